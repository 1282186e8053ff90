# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of MPI libraries share. $MPIRUN: the library's mpirun, $LOCAL_RANK: the variable in
# which it tells a rank its number on the node.
MPI=$BUILD/tests/mpi
FLAG= # for lull
OPTIONS=() # for mpirun

setup() {
    need_isle
    command -v "$MPIRUN" >/dev/null || fail "no $MPIRUN: run make deps"
    cd "$BATS_TEST_TMPDIR" || return 1
    ls /dev/shm >shm.before
}

nothing_left() {
    [ -z "$(lull_pids)" ] || fail "still there: $(lull_pids)"
    ls /dev/shm | diff shm.before -
}

# mpi RANKS PROGRAM ARGS...: natively and on isles; the ranks' lines may come in any order.
mpi() {
    local n=$1
    shift
    rm -f data
    run_to native "$MPIRUN" "${OPTIONS[@]}" -n "$n" "$@"
    native_code=$code
    rm -f data
    run_to isle "$MPIRUN" "${OPTIONS[@]}" -n "$n" "$LULL" ${FLAG:+"$FLAG"} "$@"
    echo "$n ranks: $*"
    expect "$native_code"
    diff <(sort native.out) <(sort isle.out)
    nothing_left
}

# checked RANKS PROGRAM ARGS...: the same, and all checks have passed.
checked() {
    mpi "$@"
    expect 0
    grep -q "checks passed on $1 ranks" isle.out
}

# killed_rank NAME N LULL...: the Nth of two ranks is killed; sets $code.
killed_rank() {
    local name=$1 n=$2 ranks
    shift 2
    background "$name" "$MPIRUN" -n 2 "$@" "$FAILS" wait 0
    wait_for 10 two_ranks
    ranks=($(rank_pids))
    kill -KILL "${ranks[n]}"
    ended
    wait_for 10 no_ranks
}

rank_pids() {
    grep -lzsx "LULL_TEST_MARK=$BATS_TEST_TMPDIR" /proc/[0-9]*/environ |
        xargs -r grep -lzs "^$LOCAL_RANK=" | cut -d / -f 3
}

two_ranks() {
    [ "$(rank_pids | wc -l)" = 2 ]
}

no_ranks() {
    [ -z "$(rank_pids)" ]
}
