# SPDX-License-Identifier: MIT
# Programs that attack the proxy from inside: ended with one clear line, or refused.
load common

ended_with_a_line() {
    expect 125
    [ "$(grep -c '^lull: ' isle.err)" = 1 ] || {
        show isle.err
        fail "expected one line"
    }
}

@test "garbage all over the channel" {
    local seed
    for seed in $(seq 20); do
        isle "$PROGRAMS/vandal" channel "$seed"
        ended_with_a_line
        grep -q "broke\|failed" isle.err
    done
}

@test "answers to questions that nobody asked" {
    isle "$PROGRAMS/vandal" answers
    ended_with_a_line
}

@test "a request that there is not" {
    isle "$PROGRAMS/vandal" request
    ended_with_a_line
}

@test "a machine that stops" {
    isle "$PROGRAMS/vandal" machine
    ended_with_a_line
    grep -q "cannot go on\|is gone" isle.err
}

@test "requests with hostile numbers are refused" {
    isle "$PROGRAMS/vandal" numbers
    expect 0
    grep -qx "all refused" isle.out
}

@test "SIGTERM and --timeout end an isle whose kernel does not answer" {
    isle --timeout 0.5 "$PROGRAMS/vandal" kernel
    expect 124
    "$LULL" --cpus "$LIST" "$PROGRAMS/vandal" kernel >isle.out 2>isle.err 3>&- &
    pid=$!
    sleep 0.5
    kill -TERM "$pid"
    code=0
    wait "$pid" || code=$?
    pid=0
    expect 143
    grep -q "takes no signals: it is ended by SIGTERM" isle.err
}
