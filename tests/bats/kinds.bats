# SPDX-License-Identifier: MIT
# Every kind of program runs on an isle as it runs natively.
load common

@test "assembler: write and exit" {
    both_ok hello
    [ "$(cat isle.out)" = hello ]
}

@test "C, glibc: arguments, environment, auxiliary vector, TLS, identity" {
    export T_ONE=1 T_EMPTY='' T_SPACE='a b  c'
    both_ok start
    both_ok start one "two words" '' $'tab\tnewline\n'
}

@test "C, musl" {
    both_ok start-musl a b
}

@test "C, static PIE" {
    both_ok start-pie a b
}

@test "found by PATH and by a relative name" {
    PATH=$PROGRAMS:$PATH both start x
    expect 0
    cp "$PROGRAMS/start" .
    both ./start x
    expect 0
    ln -s start link
    both ./link y
}

@test "thousands of arguments, a large environment" {
    # shellcheck disable=SC2046
    both_ok start $(seq 1 5000)
    T_LARGE=$(head -c 100000 /dev/zero | tr '\0' x)
    export T_LARGE
    both_ok start "$(head -c 60000 /dev/zero | tr '\0' y)"
}

@test "C++: exceptions, iostream, std::thread" {
    both_ok cxx
    both_ok cxx-pie
}

@test "C++: an exception that nobody catches" {
    both "$PROGRAMS/cxx" terminate
    expect 134
    grep -q "nobody catches this" isle.err
}

@test "Fortran" {
    both_ok fortran word
    both "$PROGRAMS/fortran" stop
    expect 7
}

@test "POSIX threads" {
    both_ok threads
    both_ok threads-musl
    both_ok threads-pie
}

@test "mutexes, condition variables, timeouts, robust mutexes, futexes" {
    both_ok sync
    both_ok sync-musl
}

@test "cancellation" {
    both_ok cancel
    both_ok cancel-musl
}

@test "64 threads on 2 cores" {
    both_ok many 64
}

@test "200 threads on 1 core" {
    native "$PROGRAMS/many" 200
    run_to isle "$LULL" --cpus "$FIRST" "$PROGRAMS/many" 200
    expect 0
    cmp native.out isle.out
}

@test "more calls that wait than a core's channel has room for" {
    both_ok crowd
    run_to isle "$LULL" --cpus "$FIRST" "$PROGRAMS/crowd"
    expect 0
    cmp native.out isle.out
}

@test "affinity means what it says" {
    both_ok affinity
}

@test "priorities mean what they say" {
    isle "$PROGRAMS/affinity" priorities
    expect 0
    grep -q "checks passed" isle.out
    [ "$(id -u)" != 0 ] || both_ok affinity priorities
}

@test "clocks and sleeping" {
    both_ok clocks .
    both_ok clocks-musl .
}

@test "registers survive system calls, time slices and signals" {
    both_ok vector
    both_ok vector-musl
}

@test "one core is enough for every program of threads" {
    local p
    for p in threads sync cancel signals inflight vector cxx clocks; do
        run_to isle "$LULL" --cpus "$FIRST" "$PROGRAMS/$p" .
        expect 0
    done
}

@test "refused system calls and files are ENOSYS" {
    isle "$PROGRAMS/refused"
    expect 0
    cat isle.out
    local all=19
    [[ ${LULL_ENGINE:-} == qemu* ]] || all=$((all + 3)) # a forked child with a filter
    if [ "$(id -u)" = 0 ]; then
        all=$((all + 4))                                    # a second name for /proc/self
        [[ ${LULL_ENGINE:-} == qemu* ]] || all=$((all + 2)) # a child in a namespace of processes
    fi
    [ "$(wc -l <isle.out)" = "$all" ]
    [ "$(grep -c ': ENOSYS$' isle.out)" = "$all" ]
}

@test "deadline threads of one core run by their deadlines, before SCHED_FIFO" {
    run_to isle "$LULL" --isolate=no --cpus 1 "$PROGRAMS/edf"
    expect 0
    [ "$(cat isle.out)" = "2 before SCHED_FIFO was done; deadline 90 ms: 2, 50 ms: 1" ]
}
