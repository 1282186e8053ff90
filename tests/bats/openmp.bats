# SPDX-License-Identifier: MIT
# OpenMP on an isle.
load common

setup() {
    need_isle
    cd "$BATS_TEST_TMPDIR" || return 1
    [ -x "$PROGRAMS/omp" ] || fail "built without static OpenMP: use gcc"
}

@test "loops, reductions, tasks, locks, nested regions" {
    both_ok omp
}

@test "more threads than cores" {
    OMP_NUM_THREADS=7 both_ok omp
}

@test "passive and active waiting" {
    OMP_WAIT_POLICY=passive both_ok omp
    OMP_WAIT_POLICY=active both_ok omp
}

@test "one thread" {
    OMP_NUM_THREADS=1 both_ok omp
}

@test "Fortran" {
    both_ok fortran-omp
}

@test "no binding" {
    both_ok places
}

@test "OMP_PROC_BIND" {
    OMP_PROC_BIND=true both_ok places
    OMP_PROC_BIND=close OMP_NUM_THREADS=5 both_ok places
    OMP_PROC_BIND=spread OMP_NUM_THREADS=2 both_ok places
    OMP_PROC_BIND=master OMP_NUM_THREADS=2 both_ok places
}

@test "OMP_PLACES" {
    OMP_PLACES=threads both_ok places
    OMP_PLACES=cores OMP_PROC_BIND=close both_ok places
    OMP_PLACES=sockets both_ok places
    OMP_PLACES="{$LAST_CPU},{$FIRST_CPU}" OMP_PROC_BIND=close both_ok places
}

@test "GOMP_CPU_AFFINITY" {
    GOMP_CPU_AFFINITY="$LAST_CPU $FIRST_CPU" both_ok places
}

@test "OMP_NUM_THREADS decides the cores when nothing else does" {
    OMP_NUM_THREADS=1 run_to isle "$LULL" "$PROGRAMS/affinity"
    expect 0
    grep -qx "1 cpus" isle.out
}
