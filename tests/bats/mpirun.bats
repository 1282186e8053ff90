# SPDX-License-Identifier: MIT
# lull under mpirun (MPICH's Hydra), with programs that know nothing of MPI.
load common

setup() {
    need_isle
    command -v mpirun.mpich >/dev/null || fail "no mpirun.mpich: run make deps"
    cd "$BATS_TEST_TMPDIR" || return 1
}

no_lull() {
    [ -z "$(lull_pids)" ]
}

@test "one rank" {
    run_to isle mpirun.mpich -n 1 "$LULL" "$PROGRAMS/hello"
    expect 0
    [ "$(cat isle.out)" = hello ]
    run_to isle mpirun.mpich -n 1 "$LULL" --cpus "$LIST" "$PROGRAMS/threads"
    expect 0
    grep -q "checks passed" isle.out
}

@test "OpenMP under mpirun" {
    run_to isle mpirun.mpich -n 1 "$LULL" --cpus "$LIST" "$PROGRAMS/omp"
    expect 0
    grep -q "checks passed" isle.out
}

@test "two ranks take a core each" {
    need_two_cpus
    OMP_NUM_THREADS=1 OMP_PROC_BIND=true run_to isle mpirun.mpich -n 2 "$LULL" "$PROGRAMS/places"
    expect 0
    [ "$(grep -c '^thread 0: runs on' isle.out)" = 2 ]
    [ "$(grep '^thread 0: runs on' isle.out | sort -u | wc -l)" = 2 ]
}

# placed CORES OPTIONS...: the ranks of mpirun OPTIONS take so many different cores.
placed() {
    local n=$1
    shift
    run_to isle taskset -c "$CPUS" mpirun.mpich "$@" --dry-run "$PROGRAMS/hello"
    expect 0
    [ "$(grep '^cores:' isle.out | sed 's/, by.*//' | sort -u | wc -l)" = "$n" ] || {
        show isle.out
        fail "mpirun $*"
    }
}

# crowded TEXT OPTIONS...: refused with one line.
crowded() {
    local text=$1
    shift
    run_to isle taskset -c "$CPUS" mpirun.mpich "$@"
    expect 125
    [ "$(grep -c '^lull: ' isle.err)" = 1 ] && grep -q "^lull: $text" isle.err &&
        grep -q "to let them share: --oversubscribe" isle.err || {
        show isle.err
        fail "mpirun $*"
    }
    lacks hello isle.out
    no_lull
}

@test "more ranks than cores are refused, once, unless they may share" {
    need_two_cpus
    crowded "3 ranks of 1 core each do not fit on 2 cores" -n 3 "$LULL" "$PROGRAMS/hello"
    crowded "2 ranks of 2 cores each do not fit on 2 cores.*, 1 would" \
        -n 2 "$LULL" --cpus 2 "$PROGRAMS/hello"
    crowded "3 ranks of 1 core each" -n 3 "$LULL" --dry-run "$PROGRAMS/hello"
    OMP_NUM_THREADS=1 crowded "3 ranks of 1 core each" -n 3 "$LULL" "$PROGRAMS/hello"
    # a program with more threads than cores is no reason
    OMP_NUM_THREADS=8 placed 2 -n 2 "$LULL"
    placed 2 -n 4 "$LULL" --oversubscribe
    LULL_OVERSUBSCRIBE=1 run_to isle mpirun.mpich -n 4 "$LULL" "$PROGRAMS/hello"
    expect 0
    [ "$(grep -c hello isle.out)" = 4 ]
    lacks lull: isle.err
}

@test "binding by mpirun is kept, ranks bound to the same cores divide them" {
    need_two_cpus
    local same=$FIRST_CPU,$FIRST_CPU
    [ "$CPUS" = 0,1 ] || skip "Hydra counts CPUs in its own way where not all are allowed"
    placed 2 -n 2 -bind-to core "$LULL"
    placed 2 -n 2 -bind-to user:0-1 "$LULL"
    # of a script that starts it without exec, too
    # shellcheck disable=SC2016
    placed 2 -n 2 -bind-to core sh -c '"$@"; exit $?' sh "$LULL"
    # shellcheck disable=SC2016
    placed 2 -n 2 sh -c 'taskset -c "$MPI_LOCALRANKID" "$@"; exit $?' sh "$LULL"
    crowded "2 ranks of 1 core each do not fit on 1 core" -n 2 -bind-to "user:$same" "$LULL" \
        "$PROGRAMS/hello"
    placed 1 -n 2 -bind-to "user:$same" "$LULL" --oversubscribe
}

@test "every rank writes a report of its own" {
    need_two_cpus
    LULL_REPORT=r-%r.json run_to isle mpirun.mpich -n 2 "$LULL" "$PROGRAMS/exitcode" 0
    expect 0
    jq -e '.status == 0' r-0.json
    jq -e '.status == 0' r-1.json
    [ "$(echo r-*)" = "r-0.json r-1.json" ]
}

@test "the program's exit code is mpirun's" {
    local n
    for n in 0 1 42 255; do
        run_to isle mpirun.mpich -n 1 "$LULL" "$PROGRAMS/exitcode" "$n"
        expect "$n"
    done
}

@test "death by a signal looks as it does natively" {
    run_to native mpirun.mpich -n 1 "$PROGRAMS/die" segv
    native_code=$code
    run_to isle mpirun.mpich -n 1 "$LULL" "$PROGRAMS/die" segv
    expect "$native_code"
    grep -qi rip isle.err || grep -qi rip isle.out
}

@test "not runnable, not found" {
    run_to isle mpirun.mpich -n 1 "$LULL" ./missing
    expect 127
    run_to isle mpirun.mpich -n 1 "$LULL" /
    expect 126
}

@test "standard input" {
    echo "through mpirun" | limit mpirun.mpich -n 1 "$LULL" "$PROGRAMS/cat" >isle.out
    [ "$(cat isle.out)" = "through mpirun" ]
}

# Hydra ends with 0 when a signal ended it, natively too, and may drop what is still to be printed:
# the rank writes into a file.
@test "SIGTERM and SIGINT to mpirun reach the handler or end the program" {
    local s mode
    for s in TERM INT; do
        for mode in "" "default" "compute" "compute default"; do
            echo "SIG$s, sleeper $mode"
            rm -f rank.out
            # shellcheck disable=SC2016,SC2086
            env --default-signal=INT,QUIT mpirun.mpich -n 1 sh -c 'exec "$@" >rank.out' sh \
                "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" $mode >isle.out 2>isle.err 3>&- 4>&- &
            pid=$!
            wait_for 10 grep -q ready rank.out
            kill "-$s" "$pid"
            ended
            wait_for 5 no_lull
            case $mode in
            *default) lacks got rank.out ;;
            *) grep -q "got SIG" rank.out ;;
            esac
        done
    done
}

@test "SIGKILL of mpirun ends everything" {
    background isle mpirun.mpich -n 1 "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" default
    kill -KILL "$pid"
    ended
    wait_for 10 no_lull
}

@test "who yields on a core of several isles gives it up" {
    need_engine "there the core is a thread of QEMU" kvm
    # a list is taken as it is, without a flag
    # two ranks that are told the same CPU; alone it is theirs
    LULL_REPORT=y-%r.json run_to isle mpirun.mpich -n 2 "$LULL" --cpus "$FIRST" \
        perl -e 'syscall(24) for 1 .. 1000'
    expect 0
    [ "$(jq '.run.cores[0].exits.yield' y-0.json)" -ge 1000 ]
    "$LULL" --report=y.json --cpus "$FIRST" perl -e 'syscall(24) for 1 .. 1000'
    [ "$(jq '.run.cores[0].exits.yield' y.json)" = 0 ]
}
