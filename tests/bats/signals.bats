# SPDX-License-Identifier: MIT
# Signals inside a program, to a program from outside, and death by them.
load common

@test "handlers, masks, waiting, interrupting" {
    both_ok signals
    both_ok signals-musl
}

@test "exit codes" {
    local n
    for n in 0 1 2 42 77 124 125 126 127 128 129 200 254 255 256 -1 1000; do
        both "$PROGRAMS/exitcode" "$n"
        expect $((n & 255))
    done
}

@test "ways to leave: any thread, over others that compute or wait" {
    local way
    for way in thread-exit:7 thread-exit-raw:8 over-computing:9 over-blocked:10 main-first:0 \
        main-first-raw:5 computing-exit:7 unflushed:0 unflushed-raw:0; do
        both "$PROGRAMS/leave" "${way%:*}"
        expect "${way#*:}"
    done
}

# dies HOW SIGNAL: natively and on the isle, with registers and a backtrace.
dies() {
    echo "die $1"
    both "$PROGRAMS/die" "$1"
    expect $((128 + $2))
    [ "$(cat isle.out)" = before ]
}

dumps() {
    dies "$@"
    if ! grep -qi 'rip' isle.err || ! grep -qi 'rsp' isle.err || ! grep -qi 'backtrace' isle.err; then
        show isle.err
        fail "no registers or no backtrace"
    fi
}

@test "death by SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT: registers and backtrace" {
    dumps segv 11
    dumps ill 4
    dumps fpe 8
    dumps trap 5
    dumps abrt 6
}

@test "the backtrace names the callers" {
    local f
    isle "$PROGRAMS/die" segv
    expect 139
    for f in inner outer main; do
        grep -q " $f+0x" isle.err || {
            show isle.err
            fail "$f is missing"
        }
    done
}

@test "death of a thread's, of a deep stack's, of ignored and blocked SIGSEGV" {
    dumps segv-thread 11
    dumps segv-stack 11
    dumps segv-ignored 11
}

@test "death by signals that the program sends itself" {
    local n
    dies pipe 13
    for n in 1 2 3 9 10 12 14 15 24 31 34 64; do
        dies "raise-$n" "$n"
    done
    dies kill-15 15
    dies kill-9 9
    both "$PROGRAMS/die" raise-17 # ignored unless there is a handler
    expect 0
}

@test "TERM, INT, HUP, QUIT, USR1 reach a handler of a program that sleeps" {
    local s
    for s in TERM INT HUP QUIT USR1 USR2 ALRM; do
        background isle "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper"
        kill "-$s" "$pid"
        ended
        expect 42
        grep -q "got" isle.out
    done
}

@test "and of one that computes" {
    local s
    for s in TERM INT; do
        background isle "$LULL" --cpus "$FIRST" "$PROGRAMS/sleeper" compute
        kill "-$s" "$pid"
        ended
        expect 42
        grep -qx "got SIG$s" isle.out
    done
}

@test "without a handler they end it: 128+n" {
    local s
    for s in TERM:143 INT:130 HUP:129 USR1:138; do
        background isle "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" default
        kill "-${s%:*}" "$pid"
        ended
        expect "${s#*:}"
        background isle "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" compute default
        kill "-${s%:*}" "$pid"
        ended
        expect "${s#*:}"
    done
}

@test "every signal that ends a program natively ends it: those of faults and real-time ones too" {
    local s
    for s in 4 5 6 7 8 11 13 16 24 25 26 27 29 30 31 34 35 36 37 40 63 64; do
        background isle "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" default
        kill "-$s" "$pid"
        ended
        echo "signal $s"
        expect $((128 + s))
    done
    for s in 35 36 40; do
        background isle "$LULL" --cpus "$FIRST" "$PROGRAMS/sleeper" compute default
        kill "-$s" "$pid"
        ended
        expect $((128 + s))
    done
}

@test "an ignored signal stays ignored" {
    (
        trap '' HUP
        exec "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" default >isle.out 2>isle.err 3>&- 4>&-
    ) &
    pid=$!
    wait_for 10 grep -q ready isle.out
    kill -HUP "$pid"
    sleep 0.2
    kill -0 "$pid"
    kill -TERM "$pid"
    ended
    expect 143
}

@test "ignored and blocked signals are inherited, those that the C library hides among them" {
    "$PROGRAMS/inherit" taskset -c "$CPUS" "$PROGRAMS/inherit" >native.out
    grep -q ' 32 33 ' native.out
    limit "$PROGRAMS/inherit" "$LULL" --cpus "$LIST" "$PROGRAMS/inherit" >isle.out 3>&- 4>&-
    diff native.out isle.out
    # and handed on by a program inside
    limit "$LULL" --cpus "$LIST" "$PROGRAMS/inherit" "$PROGRAMS/inherit" >isle.out 3>&- 4>&-
    diff native.out isle.out
}

state_of() {
    awk '/^State/ { print $2 }' "/proc/$1/status"
}

is_stopped() {
    [ "$(state_of "$1")" = T ]
}

runs() {
    [ "$(state_of "$1")" != T ]
}

# A job with a process group of its own, whose parent is in the same session: Linux stops it.
@test "TSTP stops it, CONT goes on" {
    set -m
    background isle "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" default compute
    set +m
    kill -TSTP "$pid"
    wait_for 5 is_stopped "$pid"
    kill -CONT "$pid"
    wait_for 5 runs "$pid"
    kill -TERM "$pid"
    ended
    expect 143
}

@test "waits that were stopped go on to their own end" {
    local side tries
    for side in native isle; do
        set -m
        case $side in
        native) background native taskset -c "$CPUS" "$PROGRAMS/resume" ;;
        isle) background isle "$LULL" --cpus "$LIST" "$PROGRAMS/resume" ;;
        esac
        set +m
        tries=0
        while runs "$pid" && [ "$((tries++))" -lt 30 ] && sleep 0.1; do
            kill -TSTP "$pid" || break
            wait_for 1 is_stopped "$pid" || true
            kill -CONT "$pid" || break
        done
        ended
        expect 0
        [ "$tries" -gt 10 ]
    done
    cmp native.out isle.out
}

@test "TSTP is nothing to an orphaned process group, as on Linux" {
    local side
    for side in native isle; do
        case $side in
        native) background native setsid "$PROGRAMS/sleeper" default compute ;;
        isle) background isle setsid "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" default compute ;;
        esac
        kill -TSTP "$pid"
        sleep 0.5
        runs "$pid"
        kill -TERM "$pid"
        ended
        expect 143
    done
}

@test "a signal before the program has started ends lull as it would end the program" {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        env --default-signal=TERM "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" default \
            >isle.out 2>isle.err 3>&- 4>&- &
        pid=$!
        sleep "0.00$i"
        kill -TERM "$pid"
        ended
        expect 143
    done
}

@test "interval timers, timer_create, sigqueue, CPU time" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    both_ok itimers
    both_ok itimers-musl
}
