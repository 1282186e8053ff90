# SPDX-License-Identifier: MIT
# Files, descriptors and standard streams of a program on an isle.
load common

both_in_directory() {
    mkdir native.d isle.d
    native "$1" native.d
    native_code=$code
    isle "$1" isle.d
    show isle.out
    [ "$code" = "$native_code" ]
    cmp native.out isle.out
    rmdir native.d isle.d
}

@test "files, directories, pipes, stdio" {
    both_in_directory "$PROGRAMS/files"
    [ "$native_code" = 0 ]
    both_in_directory "$PROGRAMS/files-musl"
    [ "$native_code" = 0 ]
}

@test "many calls in flight" {
    both_ok inflight .
    both_ok inflight-musl .
}

@test "sockets" {
    both_ok sockets
}

@test "descriptors: inherited ones keep their numbers, no others are there" {
    echo seven >seven
    both_ok descriptors 7<seven
    grep -qx 'open: 7' isle.out
    grep -q '7 says "seven' isle.out
    both_ok descriptors
}

@test "standard input to standard output, 32 MiB" {
    head -c 33554432 /dev/urandom >data
    limit "$LULL" --cpus "$LIST" "$PROGRAMS/cat" <data >copy
    cmp data copy
    limit cat data | limit "$LULL" --cpus "$LIST" "$PROGRAMS/cat" | cat >copy
    cmp data copy
}

@test "standard output closed" {
    local side
    for side in native isle; do
        code=0
        case $side in
        native) echo x | "$PROGRAMS/cat" >&- 2>native.err || code=$? ;;
        isle) echo x | "$LULL" --cpus "$LIST" "$PROGRAMS/cat" >&- 2>isle.err || code=$? ;;
        esac
        [ "$code" = 1 ]
    done
    cmp native.err isle.err
}

@test "all three standard descriptors closed" {
    "$LULL" --cpus "$LIST" "$PROGRAMS/exitcode" 5 <&- >&- 2>&- || code=$?
    [ "$code" = 5 ]
    # none of them is one of the proxy's own now
    code=0
    "$LULL" --cpus "$LIST" "$PROGRAMS/cat" <&- >isle.out 2>isle.err || code=$?
    [ "$code" = 1 ]
    grep -qx "read: Bad file descriptor" isle.err
}

@test "full disk" {
    code=0
    echo x | limit "$LULL" --cpus "$LIST" "$PROGRAMS/cat" >/dev/full 2>isle.err || code=$?
    [ "$code" = 1 ]
    grep -qx "write: No space left on device" isle.err
}

@test "reader of standard output gone: SIGPIPE" {
    limit "$LULL" --cpus "$LIST" "$PROGRAMS/cat" </dev/zero 2>isle.err | head -c 1 >/dev/null
    [ "${PIPESTATUS[0]}" = 141 ]
}

@test "working directory, umask, user" {
    mkdir deep
    cd deep
    (umask 077 && both_ok start)
}
