# SPDX-License-Identifier: MIT
# A real Slurm on loopback: srun, the job scripts, limits, cancelling, accounting.
load common

MPI=$BUILD/tests/mpi
SCRIPTS=$(cd "$BATS_TEST_DIRNAME/../../jobscripts" && pwd)
CLUSTER=$BATS_TEST_DIRNAME/../slurm/cluster

setup_file() {
    [ "$(id -u)" = 0 ] || skip "slurmd needs root"
    local name
    for name in slurmctld slurmd munged srun; do
        command -v $name >/dev/null || fail "no $name: run make deps"
    done
    printf '#!/bin/sh\nLULL=%s exec %s/epilog\n' "$LULL" "$SCRIPTS" >"$BATS_FILE_TMPDIR/epilog"
    printf '#!/bin/sh\nLULL=%s exec %s/prolog\n' "$LULL" "$SCRIPTS" >"$BATS_FILE_TMPDIR/prolog"
    chmod +x "$BATS_FILE_TMPDIR/epilog" "$BATS_FILE_TMPDIR/prolog"
    export LULL_TEST_PROLOG=$BATS_FILE_TMPDIR/prolog LULL_TEST_EPILOG=$BATS_FILE_TMPDIR/epilog
    host_settings >"$BATS_FILE_TMPDIR/settings"
    SLURM_CONF=$("$CLUSTER" start "$BATS_FILE_TMPDIR/slurm") || fail "Slurm does not start"
    export SLURM_CONF
}

teardown_file() {
    "$CLUSTER" stop "$BATS_FILE_TMPDIR/slurm"
}

setup() {
    need_isle
    need_two_cpus
    cd "$BATS_TEST_TMPDIR" || return 1
    export LULL BENCH=$BIN/lull-bench LULL_BENCH=$BIN/lull-bench
    export LULL_REPORT_TOOL=$BIN/lull-report
    ls /dev/shm >shm.before
}

clean_node() {
    [ -z "$(lull_pids)" ] && ls /dev/shm | diff shm.before - && [ "$(sinfo -h -o %t)" = idle ]
}

as_before() {
    host_settings | diff "$BATS_FILE_TMPDIR/settings" -
}

# job_state ID: RUNNING, TIMEOUT ...
job_state() {
    scontrol -o show job "$1" | sed 's/.*JobState=\([A-Z]*\).*/\1/'
}

has_state() {
    [ "$(job_state "$1")" = "$2" ]
}

# exit_code ID: "status:signal"
exit_code() {
    scontrol -o show job "$1" | sed 's/.* ExitCode=\([0-9:]*\).*/\1/'
}

@test "srun --mpi=pmi2: an isle for each task, the output as natively" {
    run_to native srun -n 2 --mpi=pmi2 "$MPI/hello"
    run_to isle srun -n 2 --mpi=pmi2 "$LULL" "$MPI/hello"
    expect 0
    diff <(sort native.out) <(sort isle.out)
    run_to isle srun -n 2 --mpi=pmi2 "$LULL" "$MPI/collectives"
    expect 0
    wait_for 30 clean_node
}

@test "tasks that Slurm binds take their own core" {
    run_to isle srun -n 2 --cpu-bind=cores "$LULL" --dry-run "$PROGRAMS/hello"
    expect 0
    [ "$(grep '^cores' isle.out | sort -u | wc -l)" = 2 ]
}

@test "more tasks than cores: Slurm's --overcommit is asking for it, a binding is not" {
    local cpu
    run_to isle srun -n 4 --overcommit --mpi=pmi2 "$LULL" "$MPI/hello"
    expect 0
    grep -q "checks passed on 4 ranks" isle.out
    cpu=$FIRST_CPU,$FIRST_CPU
    run_to isle srun -n 2 --cpu-bind="map_cpu:$cpu" "$LULL" "$PROGRAMS/hello"
    expect 125
    [ "$(grep -c '^lull: 2 ranks of 1 core each do not fit on 1 core' isle.err)" = 1 ]
    run_to isle srun -n 2 --cpu-bind="map_cpu:$cpu" "$LULL" --oversubscribe "$PROGRAMS/hello"
    expect 0
    [ "$(cat isle.out)" = $'hello\nhello' ]
}

@test "a task's cores and memory are what Slurm gives it" {
    run_to isle srun -n 1 --cpus-per-task=2 "$LULL" --dry-run "$PROGRAMS/hello"
    expect 0
    grep -qE '^cores: +1 .* SLURM_CPUS_PER_TASK=2, one core left to Linux$' isle.out
    # less a tenth the memory is all that a program gets; srun alone has no variable for it
    run_to isle salloc -n 1 --mem=1000 srun "$LULL" python3 -uc \
        'a = bytearray(600 << 20); print("so far"); b = bytearray(600 << 20); print("lots")'
    expect 1
    [ "$(cat isle.out)" = "so far" ]
    grep -q "^MemoryError" isle.err
    run_to isle salloc -n 1 --mem=1000 srun "$LULL" --dry-run "$PROGRAMS/hello"
    expect 0
    grep -qE '^memory: +at most 900.0 MiB' isle.out
    run_to isle salloc -n 2 --mem-per-cpu=300 srun "$LULL" --dry-run "$PROGRAMS/hello"
    expect 0
    [ "$(grep -cE '^memory: +at most 270.0 MiB' isle.out)" = 2 ]
}

@test "openmp.sbatch" {
    sbatch -W -o out --cpus-per-task=2 "$SCRIPTS/openmp.sbatch" "$PROGRAMS/omp" || {
        cat out
        fail "sbatch: $?"
    }
    grep -q "checks passed" out
    grep -qE "^cores: +2 " out
    jq -e '.status == 0' lull-*.json
    wait_for 30 clean_node
}

@test "a batch script is none of its job's tasks" {
    sbatch -W -o out --ntasks=2 --mem=1000 "$SCRIPTS/openmp.sbatch" "$PROGRAMS/hello"
    grep -q ^hello out
    grep -qE '^memory: +at most 900.0 MiB' out
    lacks "rank 0 of" out
}

@test "a script's exit code is the program's" {
    local status=0
    sbatch -W -o out "$SCRIPTS/openmp.sbatch" "$PROGRAMS/exitcode" 42 || status=$?
    [ "$status" = 42 ]
}

@test "mpi.sbatch, by srun and by mpirun" {
    local launcher
    for launcher in srun mpirun.mpich; do
        rm -f lull-*
        LAUNCHER=$launcher sbatch -W -o out --ntasks=2 "$SCRIPTS/mpi.sbatch" "$MPI/collectives" || {
            cat out
            fail "$launcher: $?"
        }
        grep -q "checks passed on 2 ranks" out
        [ "$(ls lull-*.json | wc -l)" = 2 ]
    done
    wait_for 30 clean_node
}

@test "Open MPI: srun --mpi=pmix, and mpi.sbatch by srun and by mpirun" {
    local launcher
    export SLURM_MPI_TYPE=pmix OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    run_to native srun -n 2 "$MPI/openmpi/hello"
    run_to isle srun -n 2 "$LULL" "$MPI/openmpi/hello"
    expect 0
    diff <(sort native.out) <(sort isle.out)
    for launcher in srun mpirun.openmpi; do
        rm -f lull-*
        LAUNCHER=$launcher sbatch -W -o out --ntasks=2 "$SCRIPTS/mpi.sbatch" \
            "$MPI/openmpi/collectives" || {
            cat out
            fail "$launcher: $?"
        }
        grep -q "checks passed on 2 ranks" out
        [ "$(ls lull-*-0.json lull-*-1.json | wc -l)" = 2 ]
    done
    wait_for 30 clean_node
}

@test "hybrid.sbatch" {
    sbatch -W -o out --ntasks=1 --cpus-per-task=2 "$SCRIPTS/hybrid.sbatch" "$MPI/multiple" || {
        cat out
        fail "sbatch: $?"
    }
    grep -q "checks passed on 1 ranks" out
    wait_for 30 clean_node
}

@test "noise.sbatch" {
    sbatch -W -o out --exclusive "$SCRIPTS/noise.sbatch" --samples 300 || {
        cat out
        fail "sbatch: $?"
    }
    ls noise-*/*.json
}

@test "a cancelled job ends: CANCELLED, nothing left" {
    local id
    id=$(sbatch --parsable -o out --ntasks=2 "$SCRIPTS/mpi.sbatch" "$MPI/fails" wait 0)
    wait_for 30 grep -q ready out
    scancel "$id"
    wait_for 20 has_state "$id" CANCELLED
    wait_for 30 clean_node
}

@test "a rank that aborts or crashes: FAILED with the native exit code, nothing left" {
    local how id code
    for how in crash abort; do
        id=$(LULL=env sbatch --parsable -o native.out --ntasks=2 "$SCRIPTS/mpi.sbatch" \
            "$MPI/fails" $how 1)
        wait_for 40 has_state "$id" FAILED
        code=$(exit_code "$id")
        id=$(sbatch --parsable -o out --ntasks=2 "$SCRIPTS/mpi.sbatch" "$MPI/fails" $how 1)
        wait_for 40 has_state "$id" FAILED
        echo "$how: $code natively, $(exit_code "$id") on isles"
        [ "$(exit_code "$id")" = "$code" ]
        wait_for 30 clean_node
    done
}

# One minute is the shortest limit that Slurm knows, so both at once; KillWait is 3 s.
@test "jobs over their time limit: TERM, then KILL, TIMEOUT, nothing left" {
    local mpi deaf
    mpi=$(sbatch --parsable --time=1 -o mpi.out --ntasks=2 --overcommit "$SCRIPTS/mpi.sbatch" \
        "$MPI/fails" wait 0)
    cat >deaf <<'END'
$| = 1;
$SIG{TERM} = sub { print "no\n"; $n = time };
print "ready\n";
while (1) { sleep 1; print "deaf for ", time - $n, " s\n" if $n }
END
    deaf=$(sbatch --parsable --time=1 -o deaf.out "$SCRIPTS/openmp.sbatch" perl deaf)
    wait_for 30 grep -q ready mpi.out
    wait_for 30 grep -q ready deaf.out
    wait_for 120 has_state "$mpi" TIMEOUT
    wait_for 20 has_state "$deaf" TIMEOUT
    wait_for 30 clean_node
    show deaf.out
    [ "$(grep -c '^no$' deaf.out)" = 1 ]
    grep -q "^deaf for [12] s" deaf.out
}

# burnt STEP SECONDS: of CPU time, as Slurm sees it
burnt() {
    sstat -n -P -j "$1" -o AveCPU |
        awk -F: -v s="$2" '{ if ($1 * 3600 + $2 * 60 + $3 >= s) yes = 1 } END { exit !yes }'
}

@test "Slurm counts the isle's CPU time" {
    srun -J burn -n 1 "$LULL" "$PROGRAMS/sleeper" compute >burn.out 2>&1 &
    pid=$!
    wait_for 10 grep -q ready burn.out
    local id
    id=$(squeue -h -n burn -o %i)
    wait_for 60 burnt "$id.0" 3 # without its cores' time it would stay below 1
    scancel "$id"
    wait "$pid" || true
    pid=0
}

@test "after all that the node is as it was" {
    wait_for 30 clean_node
    wait_for 5 as_before
    [ "$(sinfo -h -R)" = "" ]
}
