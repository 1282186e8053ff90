# SPDX-License-Identifier: MIT
# Which engine runs, and QEMU when it is not as it should be.
load common

STRASSEN=$BIN/strassen

setup() {
    need_isle
    cd "$BATS_TEST_TMPDIR" || return 1
    unset LULL_ENGINE
}

teardown() {
    [ "$pid" = 0 ] || kill -KILL "$pid" 2>/dev/null || true
    [ -z "${public:-}" ] || rm -rf "$public"
}

# As a user who has no right to /dev/kvm: as nobody, in a place that nobody can read.
without_kvm() {
    public=$(mktemp -d /tmp/lull-test.XXXXXX)
    chmod 755 "$public"
    cp "$LULL" "$STRASSEN" "$PROGRAMS/hello" "$public"
    chmod 755 "$public"/*
    local as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    ! "${as[@]}" test -w /dev/kvm || skip "everybody has the right to /dev/kvm here"
    code=0
    (cd "$public" && limit "${as[@]}" "$@") >isle.out 2>isle.err || code=$?
}

# The QEMU of the isle whose proxy is $pid: a child of its keeper.
qemu_of() {
    local keeper
    keeper=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
    tr -d ' ' <"/proc/$keeper/task/$keeper/children"
}

# fake BODY: a QEMU of ours.
fake() {
    printf '#!/bin/sh\n%s\n' "$1" >qemu
    chmod +x qemu
}

@test "LULL_ENGINE=qemu, as this machine is" {
    LULL_ENGINE=qemu run_to isle "$LULL" --cpus "$LIST" --report "$STRASSEN" 256
    expect 0
    grep -q "engine *qemu-" isle.err
    grep -qi "verified\|residual\|check" isle.out
}

@test "LULL_ENGINE=qemu without the right to /dev/kvm" {
    need_root
    without_kvm env LULL_ENGINE=qemu ./lull --report ./strassen 256
    expect 0
    grep -q "engine *qemu-tcg" isle.err
}

@test "auto without the right to /dev/kvm: qemu with TCG, and the report says why" {
    need_root
    without_kvm ./lull --report ./hello
    expect 0
    grep -qx hello isle.out
    grep -q "engine *qemu-tcg (no right to /dev/kvm" isle.err
}

@test "auto where /dev/kvm is something else" {
    need_root
    [ -e /dev/kvm ] || skip "there is no /dev/kvm to be replaced"
    : >empty
    code=0
    unshare -m --propagation private \
        sh -c "mount --bind empty /dev/kvm && exec '$LULL' '$PROGRAMS/hello'" \
        >isle.out 2>isle.err || code=$?
    expect 0
    grep -qx hello isle.out
}

@test "--dry-run names the engine" {
    run_to isle "$LULL" --engine qemu-tcg --dry-run "$PROGRAMS/hello"
    expect 0
    grep -q "^engine: qemu-tcg" isle.out
}

@test "no QEMU" {
    code=0
    env PATH=/nonexistent "$LULL" --engine qemu "$PROGRAMS/hello" >isle.out 2>isle.err || code=$?
    expect 125
    one_line "apt-get install qemu-system-x86"
    LULL_QEMU=/nonexistent/qemu run_to isle "$LULL" --engine qemu "$PROGRAMS/hello"
    expect 125
    one_line "LULL_QEMU=/nonexistent/qemu"
}

@test "a QEMU that is too old" {
    # shellcheck disable=SC2016
    fake '[ "$1" = --version ] && echo "QEMU emulator version 4.2.1" && exit
echo "qemu-system-x86_64: -M microvm,acpi=on: no such property" >&2; exit 1'
    LULL_QEMU=$PWD/qemu run_to isle "$LULL" --engine qemu "$PROGRAMS/hello"
    expect 125
    one_line "version 4, too old"
}

@test "a QEMU that refuses an option: its own words" {
    # shellcheck disable=SC2016
    fake 'exec qemu-system-x86_64 "$@" -device no-such-thing'
    LULL_QEMU=$PWD/qemu run_to isle "$LULL" --engine qemu "$PROGRAMS/hello"
    expect 125
    one_line "no-such-thing"
}

@test "a QEMU that cannot have its memory" {
    (ulimit -v 4000000 && run_to isle "$LULL" --engine qemu-tcg "$PROGRAMS/hello" && one_line &&
        expect 125)
}

@test "QEMU is killed: 125, one line, nothing left" {
    touch stamp
    traces stamp >before
    for mode in "" compute; do
        # shellcheck disable=SC2086
        background isle "$LULL" --engine qemu --cpus "$LIST" "$PROGRAMS/sleeper" $mode
        # shellcheck disable=SC2046
        kill -KILL $(qemu_of)
        ended
        expect 125
        one_line "QEMU was killed by signal 9"
    done
    traces stamp >after
    diff before after
}

@test "the proxy is killed: QEMU goes with it" {
    touch stamp
    traces stamp >before
    background isle "$LULL" --engine qemu --cpus "$LIST" "$PROGRAMS/sleeper" compute
    [ -n "$(qemu_of)" ]
    kill -KILL "$pid"
    ended
    same() { # its cores are given back by whoever comes next
        "$LULL" gc
        traces stamp >after
        diff before after
    }
    wait_for 5 same
}

# group SIGNAL COMMAND...: the signal goes to the command and all of its group. Sets $code.
group() {
    local signal=$1
    shift
    rm -f group.out group.code
    # shellcheck disable=SC2016
    setsid -w sh -c 'signal=$1; shift; trap : INT TERM HUP
        env --default-signal=INT,TERM,HUP "$@" >group.out 2>group.err &
        until grep -q ready group.out; do sleep 0.02; done
        kill -$signal 0; wait $!; code=$?; wait $!; now=$?
        [ $now = 127 ] || code=$now
        echo $code >group.code' sh "$signal" "$@" 3>&- 4>&- || true
    code=$(cat group.code)
}

@test "what is sent to the whole group ends as natively" {
    for signal in INT TERM HUP; do
        group $signal taskset -c "$CPUS" "$PROGRAMS/sleeper"
        native_code=$code
        mv group.out native.out
        group $signal "$LULL" --engine qemu --cpus "$LIST" "$PROGRAMS/sleeper"
        echo "$signal: natively $native_code, on the isle $code"
        [ "$code" = "$native_code" ]
        diff native.out group.out
        [ ! -s group.err ]
    done
}

@test "stopped and continued: QEMU too" {
    background isle "$LULL" --engine qemu --cpus "$LIST" "$PROGRAMS/sleeper" compute
    local q
    q=$(qemu_of)
    kill -TSTP "$pid"
    state() {
        grep -q "^State:.$2" "/proc/$1/status"
    }
    if wait_for 5 state "$pid" T; then # not in an orphaned group
        wait_for 5 state "$q" T
    fi
    kill -CONT "$pid"
    wait_for 5 state "$q" '[SR]'
    kill -TERM "$pid"
    ended
}

@test "virtual time: the same figures each time" {
    run_to isle "$LULL" --virtual-time --cpus "$FIRST" "$BIN/fwq" --samples 500 --work 3000
    expect 0
    sed 1d isle.out >first
    run_to isle "$LULL" --virtual-time --cpus "$FIRST" "$BIN/fwq" --samples 500 --work 3000
    expect 0
    sed 1d isle.out >second
    diff first second
    awk 'NR == 3 { if ($8 + $9 + $10 != 0) exit 1 }' isle.out
}

@test "virtual time: one core, and TCG" {
    need_two_cpus
    run_to isle "$LULL" --virtual-time --cpus "$LIST" "$PROGRAMS/hello"
    expect 125
    one_line "one core"
    run_to isle "$LULL" --virtual-time --engine kvm --cpus 1 "$PROGRAMS/hello"
    expect 125
    one_line "TCG"
}

@test "the program has no children that it did not make" {
    run_to isle "$LULL" --engine qemu --cpus "$FIRST" "$PROGRAMS/processes" childless
    expect 0
}
