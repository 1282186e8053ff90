# SPDX-License-Identifier: MIT
# Dynamic programs: their own loader, libraries, and what Debian ships.
load common

@test "loader, libraries, dlopen, TLS, IFUNC, vDSO, code made at run time" {
    both_ok dynamic "$PROGRAMS/dynplug.so"
    both_ok dynamic-fixed "$PROGRAMS/dynplug.so"
}

@test "the same without rewriting" {
    run_to isle "$LULL" --cpus "$LIST" --no-rewrite "$PROGRAMS/dynamic" "$PROGRAMS/dynplug.so"
    expect 0
}

@test "the test programs as dynamic ones" {
    both_ok start-dyn one two
    both_ok threads-dyn
    both_ok memory-dyn
    both_ok faults-dyn
    both_ok signals-dyn
    both_ok vector-dyn
}

@test "C++17 exceptions across a shared library" {
    both_ok dyncxx
}

@test "LD_PRELOAD and LD_LIBRARY_PATH" {
    export LD_PRELOAD=$PROGRAMS/preload.so
    isle "$PROGRAMS/dynamic" - preload
    expect 0
    grep -qx preloaded isle.out
    unset LD_PRELOAD
    cp "$PROGRAMS/dyncxx" moved
    LD_LIBRARY_PATH=/nowhere isle "$PROGRAMS/dynamic" - plain
    grep -qx plain isle.out
    isle ./moved
    expect 0
}

@test "system calls in libraries are rewritten" {
    isle --report "$PROGRAMS/dynamic" "$PROGRAMS/dynplug.so"
    expect 0
    local trapped
    trapped=$(awk '/system calls, trapped/ { print $4 }' isle.err)
    echo "trapped: $trapped"
    # 100 calls of lib_getppid and of getppid, 20 libraries: without rewriting more than 1000
    [ "$trapped" -lt 500 ]
}

@test "addresses differ from run to run, and with --no-aslr do not" {
    local i
    for i in 1 2 3 4 5; do
        isle "$PROGRAMS/dynamic" - where
        expect 0
        cat isle.out >>random
        isle --no-aslr "$PROGRAMS/dynamic" - where
        cat isle.out >>same
    done
    [ "$(sort -u random | wc -l)" -gt 2 ]
    [ "$(sort -u same | wc -l)" = 1 ]
}

@test "Debian's own programs" {
    both_ok /bin/true
    both /bin/false
    expect 1
    both_ok /bin/ls -l /usr/lib/locale
    both_ok /bin/cat /etc/debian_version /etc/passwd
    both_ok /bin/bash -c 'echo hi; for i in 1 2 3; do x=$((x + i)); done; echo $x; exit 0'
    both /bin/bash -c 'exit 7'
    expect 7
    both_ok /usr/bin/perl -e 'print join(",", map { $_ * 2 } 1 .. 5), "\n"'
    both_ok /usr/bin/python3 -c 'print(1)'
    both_ok /usr/bin/python3 -c 'import json, re, threading, decimal; print(json.dumps([1, 2]))'
    both_ok /usr/bin/sort /etc/passwd
}

@test "a loader that is not there, or is none" {
    cp "$PROGRAMS/start-dyn" bad
    local at
    at=$(grep -abo /lib64/ld-linux bad | head -1 | cut -d: -f1)
    printf '/lib64/no' | dd of=bad bs=1 seek="$at" conv=notrunc 2>dd.err
    isle ./bad
    expect 127
    one_line "dynamic loader"
    printf '/etc/passwd\0' | dd of=bad bs=1 seek="$at" conv=notrunc 2>dd.err
    isle ./bad
    expect 126
    one_line
}
