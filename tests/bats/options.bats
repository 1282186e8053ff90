# SPDX-License-Identifier: MIT
# Command line and environment of lull.
load common

@test "--help and --version need no isle" {
    run_to isle "$LULL" --help
    expect 0
    grep -q -- --cpus isle.out
    [ ! -s isle.err ]
    run_to isle "$LULL" --version
    expect 0
    grep -q '[0-9]\.[0-9]' isle.out
    code=0
    "$LULL" --help >/dev/full 2>isle.err || code=$?
    expect 125
}

@test "bad options and values: 125 and one line" {
    local o
    for o in --nonsense -x --cpus= --cpus=0 --cpus=x --cpus=1-0 --cpus=,1 --mem=0 --mem=x --mem=-1G \
        --engine=steam --spin=-1 --spin=x --timeout=x --timeout=-1 --verbose=maybe --report=; do
        run_to isle "$LULL" "$o" "$PROGRAMS/hello"
        echo "$o"
        expect 125
        [ ! -s isle.out ]
        one_line
    done
    run_to isle "$LULL" --cpus
    expect 125
    one_line
}

@test "the environment, and the command line over it" {
    LULL_CPUS=1 run_to isle "$LULL" "$PROGRAMS/affinity"
    expect 0
    grep -qx "1 cpus" isle.out
    need_two_cpus
    LULL_CPUS=1 run_to isle "$LULL" --cpus 2 "$PROGRAMS/affinity"
    expect 0
    grep -qx "2 cpus" isle.out
    LULL_CPUS=nonsense run_to isle "$LULL" "$PROGRAMS/hello"
    expect 125
    one_line "LULL_CPUS"
}

@test "a list of cores is those cores" {
    need_two_cpus
    run_to isle "$LULL" --cpus "$LAST_CPU,$FIRST_CPU" "$PROGRAMS/hello"
    expect 0
    OMP_PROC_BIND=true run_to isle "$LULL" --cpus "$LAST_CPU-$LAST_CPU" "$PROGRAMS/places"
    expect 0
    grep -qx "thread 0: runs on $LAST_CPU" isle.out
}

@test "run, --, and the program's own options" {
    isle -- "$PROGRAMS/exitcode" 3
    expect 3
    run_to isle "$LULL" run --cpus "$LIST" "$PROGRAMS/exitcode" 4
    expect 4
    isle "$PROGRAMS/start" --help --cpus 99 -x
    grep -q 'argv\[1\] "--help"' isle.out
    grep -q 'argv\[4\] "-x"' isle.out
    cp "$PROGRAMS/exitcode" run
    isle ./run 6
    expect 6
}

@test "--dry-run says the plan and runs nothing" {
    run_to isle "$LULL" --dry-run --cpus "$LIST" "$PROGRAMS/hello"
    expect 0
    cat isle.out isle.err >both
    lacks '^hello$' both
    grep -qi cpu both
    run_to isle "$LULL" --dry-run --cpus 1000 "$PROGRAMS/hello"
    expect 125
    run_to isle "$LULL" --dry-run ./missing
    expect 127
}

@test "--verbose says more, and the program's output stays the same" {
    isle --verbose "$PROGRAMS/hello"
    expect 0
    [ "$(cat isle.out)" = hello ]
    [ -s isle.err ]
}

@test "silent when all is well" {
    isle "$PROGRAMS/hello"
    expect 0
    [ ! -s isle.err ] || {
        show isle.err
        fail "stderr is not empty"
    }
}

@test "--report as text on stderr" {
    isle --report "$PROGRAMS/threads"
    expect 0
    grep -q "checks passed" isle.out
    lacks exits isle.out
    grep -qi "exit" isle.err
    grep -qi "mem" isle.err
    LULL_REPORT=1 isle "$PROGRAMS/hello"
    expect 0
    [ -s isle.err ]
}

@test "--report=FILE is JSON, whatever the program's end" {
    local how
    isle --report=r.json "$PROGRAMS/threads"
    expect 0
    jq -e '.schema == "lull-report-2"' r.json
    for how in "exitcode 9:9" "die segv:139" "die raise-15:143"; do
        rm -f r.json
        # shellcheck disable=SC2086
        isle --report=r.json "$PROGRAMS/"${how%:*}
        expect "${how#*:}"
        jq -e --argjson code "${how#*:}" '.status == $code' r.json
    done
}

@test "a report's name has the rank and the pid in it" {
    PMI_RANK=3 SLURM_PROCID=5 MPI_LOCALRANKID=1 isle --report=r-%r.json "$PROGRAMS/hello"
    [ -s r-3.json ]
    SLURM_PROCID=5 isle --report=r-%r.json "$PROGRAMS/hello"
    [ -s r-5.json ]
    env -u PMI_RANK -u SLURM_PROCID "$LULL" --cpus "$LIST" --report="$PWD/r-%r-%%r%x.json" "$PROGRAMS/hello"
    [ -s r-0-%r%x.json ]
    LULL_REPORT=p-%p.json isle "$PROGRAMS/hello"
    [[ $(echo p-*) =~ ^p-[0-9]+\.json$ ]]
}

@test "--report to a file that cannot be written: one line, the program's own code" {
    isle --report=/nonexistent/dir/r.json "$PROGRAMS/exitcode" 3
    expect 3
    one_line "r.json"
    mkdir d
    isle --report=d "$PROGRAMS/exitcode" 4
    expect 4
    one_line
    isle --report=/dev/full "$PROGRAMS/exitcode" 5
    expect 5
    one_line
    [ -z "$(ls d)" ]
}

@test "--timeout: 124, with or without a handler" {
    local begin=$SECONDS
    isle --timeout 0.5 "$PROGRAMS/sleeper" default
    expect 124
    isle --timeout 0.5 "$PROGRAMS/sleeper" default compute
    expect 124
    isle --timeout 1m "$PROGRAMS/hello"
    expect 0
    [ $((SECONDS - begin)) -lt 20 ]
}

@test "--spin 0 and forever" {
    run_to isle "$LULL" --cpus "$LIST" --spin 0 "$PROGRAMS/sync"
    expect 0
    run_to isle "$LULL" --cpus "$LIST" --spin forever "$PROGRAMS/sync"
    expect 0
    run_to isle "$LULL" --cpus "$LIST" --spin forever "$PROGRAMS/signals"
    expect 0
}

@test "--engine auto, and the tested one" {
    isle --engine "$ENGINE" "$PROGRAMS/hello"
    expect 0
    isle --engine=auto "$PROGRAMS/hello"
    expect 0
}

@test "a manual page without faults" {
    local page
    command -v mandoc >/dev/null || skip "no mandoc here"
    page=$(find "$BATS_TEST_DIRNAME/../../man" -name "lull*.1")
    [ -n "$page" ] || fail "no manual page"
    # shellcheck disable=SC2086
    mandoc -T lint -W warning $page
}

@test "a relative report file is where lull was started, wherever the program goes" {
    mkdir deep
    isle --report=r.json "$PROGRAMS/files" deep
    expect 0
    [ -s r.json ] && [ ! -e deep/r.json ]
    jq -e '.schema == "lull-report-2"' r.json
}

@test "the report of the whole run has its start" {
    isle --report=r.json "$PROGRAMS/hello"
    expect 0
    jq -e '[.run.cores[].kernel.syscall_trapped // 0] | add >= 2' r.json
    jq -e '[.run.cores[].exits.exit // 0] | add == 1' r.json
}
