# SPDX-License-Identifier: MIT
# True MPI programs, each rank an isle: the same output and exit code as natively.
load common

MPIRUN=mpirun.mpich
LOCAL_RANK=MPI_LOCALRANKID
load mpi
FAILS=$MPI/fails

everything() {
    local n=$1 folder=$2 t
    for t in hello pingpong collectives onesided types multiple; do
        checked "$n" "$folder/$t"
    done
    checked "$n" "$folder/parallelio" data
}

need_static() {
    [ -x "$MPI/static/hello" ] || skip "the static MPICH is not there: make mpich-static, then build"
}

@test "Debian's MPICH, one rank" {
    everything 1 "$MPI"
}

@test "Debian's MPICH, two ranks" {
    need_two_cpus
    everything 2 "$MPI"
}

@test "Debian's MPICH, four ranks on the same cores" {
    FLAG=--oversubscribe
    everything 4 "$MPI"
}

@test "static MPICH, one rank" {
    need_static
    everything 1 "$MPI/static"
}

@test "static MPICH, two ranks" {
    need_static
    need_two_cpus
    everything 2 "$MPI/static"
}

@test "static MPICH, four ranks on the same cores" {
    need_static
    FLAG=--oversubscribe
    everything 4 "$MPI/static"
}

# Hydra gives the code of the rank that failed, or at times that of the other one, which it has ended.
@test "MPI_Abort, an exit and a crash of one rank end all, with the code that mpirun gives natively" {
    need_two_cpus
    local how who again
    for how in abort exit crash; do
        for who in 0 1; do
            echo "$how of rank $who"
            for again in 1 2 3 4 5; do
                run_to native mpirun.mpich -n 2 "$MPI/fails" $how $who
                native_code=$code
                [ "$native_code" != 0 ] || fail "succeeds natively"
                run_to isle mpirun.mpich -n 2 "$LULL" "$MPI/fails" $how $who
                [ "$code" != "$native_code" ] || break
                echo "try $again: $native_code natively, $code on isles"
            done
            expect "$native_code"
            wait_for 10 nothing_left
        done
    done
}

# Hydra's own code, natively too: 2 when it sees a rank's end before its own, else 0. A terminal sends
# it to the whole group.
@test "Ctrl-C at mpirun ends all ranks, waiting or computing" {
    need_two_cpus
    local who whom
    for who in 0 1; do
        for whom in mpirun group; do
            background isle setsid mpirun.mpich -n 2 "$LULL" "$MPI/fails" wait $who
            if [ $whom = group ]; then
                kill -INT -- "-$pid"
            else
                kill -INT "$pid"
            fi
            ended
            [ "$code" = 2 ] || expect 0
            wait_for 10 nothing_left
        done
    done
}

@test "SIGKILL of one rank ends all, with the native code" {
    need_two_cpus
    local n
    export LULL_TEST_MARK=$BATS_TEST_TMPDIR
    for n in 0 1; do
        killed_rank native $n
        native_code=$code
        [ "$native_code" != 0 ]
        ls /dev/shm >shm.before # what it left
        killed_rank isle $n "$LULL"
        expect "$native_code"
        wait_for 10 nothing_left
    done
}

# advised RANKS VARIABLES...: what the ranks see of the advice that follows from their number
advised() {
    limit env "${@:2}" mpirun.mpich -n "$1" "$LULL" --cpus 1 sh -c \
        'echo "${UCX_MAX_RNDV_RAILS:-none}"' | sort -u
}

@test "where Linux keeps fewer cores than there are ranks, UCX copies nothing through it" {
    need_two_cpus
    local many=$(($(nproc) / 2 + 1))
    [ "$(advised 1)" = none ]
    [ "$(advised "$many")" = 0 ]
    [ "$(advised "$many" UCX_MAX_RNDV_RAILS=2)" = 2 ]
    # ranks on other nodes, too
    limit mpirun.mpich -n "$many" sh -c 'PMI_SIZE=999 exec "$@"' sh "$LULL" --cpus 1 \
        sh -c 'echo "${UCX_MAX_RNDV_RAILS:-none}"' >isle.out
    [ "$(sort -u isle.out)" = none ]
}

@test "a message leaves no isle" {
    need_two_cpus
    [ "$(nproc)" = 2 ] || skip "Linux keeps cores here"
    LULL_REPORT=m-%r.json run_to isle mpirun.mpich -n 2 "$LULL" --cpus 1 "$BUILD/bin/mpi-pingpong" \
        --rounds 50
    expect 0
    grep -q '^latency 1 MiB' isle.out
    for r in 0 1; do
        jq -e '(.system_calls.forwarded.by_name.process_vm_readv // 0) == 0' "m-$r.json"
    done
}

@test "lull-bench mpi: the ranks of both sides are on the same CPUs" {
    need_two_cpus
    limit "$BUILD/bin/lull-bench" --dir out --no-plot --pairs 1 mpi --quick >bench.out
    grep -q '^latency 8 B ' bench.out
    grep -q '^slowdown ' bench.out
    jq -e '.rank_cpus[0] != .rank_cpus[1]' out/mpi.json
    jq -e '[.pingpong, .allreduce] | all(.table.isle_note == .table.native_note)' out/mpi.json
}
