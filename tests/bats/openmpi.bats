# SPDX-License-Identifier: MIT
# Programs of Debian's Open MPI, each rank an isle: the same output and exit code as natively.
load common
MPIRUN=mpirun.openmpi
LOCAL_RANK=OMPI_COMM_WORLD_LOCAL_RANK
load mpi
PROGRAM=$MPI/openmpi
FAILS=$PROGRAM/fails
# Open MPI's mpirun refuses root without these; what it keeps in TMPDIR goes with the test
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR=$BATS_TEST_TMPDIR

@test "Open MPI, one rank: collectives, one-sided, data types, threads, files" {
    checked 1 "$PROGRAM/collectives"
    checked 1 "$PROGRAM/onesided" allocated
    checked 1 "$PROGRAM/types"
    checked 1 "$PROGRAM/multiple"
    checked 1 "$PROGRAM/parallelio" data
}

@test "Open MPI, two ranks: messages, collectives, data types, threads, files" {
    need_two_cpus
    checked 2 "$PROGRAM/hello"
    LULL_REPORT=r-%r.json checked 2 "$PROGRAM/pingpong"
    [ "$(echo r-*)" = "r-0.json r-1.json" ]
    # large messages: copied once, out of the other isle's memory
    jq -e '.system_calls.forwarded.by_name.process_vm_readv > 0' r-0.json
    checked 2 "$PROGRAM/collectives"
    checked 2 "$PROGRAM/types"
    checked 2 "$PROGRAM/multiple"
    checked 2 "$PROGRAM/parallelio" data
}

@test "Open MPI, two ranks: one-sided, by process_vm_readv and by shared memory" {
    need_two_cpus
    checked 2 "$PROGRAM/onesided" nocas
    OPTIONS=(--mca osc ^rdma)
    checked 2 "$PROGRAM/onesided" allocated
}

# yields VALUE OPTIONS...: what the ranks of mpirun OPTIONS find in the environment
yields() {
    # shellcheck disable=SC2016
    run_to isle "$MPIRUN" "${@:2}" sh -c 'echo "${OMPI_MCA_mpi_yield_when_idle-unset}"'
    expect 0
    [ "$(sort -u isle.out)" = "$1" ]
}

@test "Open MPI's mpirun --oversubscribe lets four ranks share two cores, and they yield" {
    need_two_cpus
    OPTIONS=(--oversubscribe)
    checked 4 "$PROGRAM/collectives"
    # slots that the user has declared: Open MPI does not see that there are fewer cores
    yields unset -n 2 "$LULL"
    yields 1 -n 4 --host localhost:4 taskset -c "$CPUS" "$LULL" --oversubscribe
    yields 0 -n 4 --host localhost:4 --mca mpi_yield_when_idle 0 "$LULL" --oversubscribe
    run_to isle "$MPIRUN" -n 4 --host localhost:4 taskset -c "$CPUS" "$LULL" "$PROGRAM/hello"
    expect 125
    grep -q "^lull: 4 ranks of 1 core each do not fit on 2 cores" isle.err
}

# placed CORES OPTIONS...: the ranks of mpirun OPTIONS take so many different cores.
placed() {
    local n=$1
    shift
    run_to isle "$MPIRUN" "$@" --dry-run "$PROGRAM/hello"
    expect 0
    [ "$(grep '^cores:' isle.out | sed 's/, by.*//' | sort -u | wc -l)" = "$n" ] || {
        show isle.out
        fail "mpirun $*"
    }
}

@test "Open MPI's binding is kept, and ranks that it does not bind divide the cores" {
    need_two_cpus
    [ "$CPUS" = 0,1 ] && [ "$(nproc)" = 2 ] || skip "the cores of Open MPI are not the first two"
    placed 2 -n 2 "$LULL"
    placed 2 -n 2 --bind-to none "$LULL"
    placed 2 -n 2 --bind-to core sh -c '"$@"; exit $?' sh "$LULL"
    placed 1 -n 1 --bind-to none "$LULL" --cpus 2
    placed 1 -n 1 --map-by slot:PE=2 "$LULL" --cpus 2
    run_to isle "$MPIRUN" -n 1 "$LULL" --cpus 2 "$PROGRAM/hello"
    expect 125
    grep -q "^lull: --cpus 2: there are only 1 .* mpirun .*--bind-to none" isle.err
    placed 1 -n 2 --cpu-set 0 --oversubscribe "$LULL"
    run_to isle "$MPIRUN" -n 2 --cpu-set 0 "$LULL" "$PROGRAM/hello"
    expect 125
    grep -q "^lull: 2 ranks of 1 core each do not fit on 1 core" isle.err
}

@test "Open MPI: MPI_Abort, an exit and a crash of one rank end all, with the native code" {
    need_two_cpus
    local how
    for how in "abort 1" "exit 0" "crash 1"; do
        # shellcheck disable=SC2086
        run_to native "$MPIRUN" -n 2 "$FAILS" $how
        native_code=$code
        [ "$native_code" != 0 ]
        ls /dev/shm >shm.before # what it left
        # shellcheck disable=SC2086
        run_to isle "$MPIRUN" -n 2 "$LULL" "$FAILS" $how
        echo "$how"
        expect "$native_code"
        wait_for 10 no_lulls
        rm -f /dev/shm/vader_segment.*
    done
}

no_lulls() {
    [ -z "$(lull_pids)" ]
}

@test "Open MPI: Ctrl-C at mpirun and SIGKILL of a rank end all ranks, with the native code" {
    need_two_cpus
    export LULL_TEST_MARK=$BATS_TEST_TMPDIR
    local side native_code=
    for side in "" "$LULL"; do
        background isle setsid "$MPIRUN" -n 2 ${side:+"$side"} "$FAILS" wait 1
        kill -INT -- "-$pid"
        ended
        expect "${native_code:-$code}"
        native_code=$code
        wait_for 10 no_ranks
    done
    killed_rank native 1
    native_code=$code
    [ "$native_code" != 0 ]
    killed_rank isle 1 "$LULL"
    expect "$native_code"
    rm -f /dev/shm/vader_segment.*
}

# Debian's python3, whichever one comes first on PATH
@test "mpi4py: numpy arrays, pickled objects, windows, files; its own benchmarks" {
    need_two_cpus
    local python=/usr/bin/python3
    "$python" -c "import mpi4py, numpy" || fail "no mpi4py: run make deps"
    checked 2 "$python" "$BATS_TEST_DIRNAME/../mpi/objects.py" data
    mpi 2 "$python" -m mpi4py.bench helloworld
    expect 0
    run_to isle "$MPIRUN" -n 2 "$LULL" "$python" -m mpi4py.bench ringtest
    expect 0
    grep -q '(2 processes, 1 bytes)' isle.out
}
