# SPDX-License-Identifier: MIT
# Set-user-ID programs, and a lull that is one; limits that are too low for the proxy itself.
load common

# copy NAME OWNER MODE: id(1) of that owner, with these bits.
copy() {
    cp /usr/bin/id "$1"
    chown "$2" "$1"
    chmod "$3" "$1"
}

@test "root runs a set-user-ID program of somebody else as that user" {
    need_root
    copy user 65534:0 4755
    copy group 0:65534 2755
    copy root 0:0 6755
    for program in user group root; do
        run_to native "./$program"
        run_to isle "$LULL" --isolate=no --cpus "$FIRST" "./$program"
        expect 0
        diff native.out isle.out
        run_to isle "$LULL" --isolate=no --cpus "$FIRST" sh -c "exec ./$program"
        expect 0
        diff native.out isle.out
    done
    run_to native setpriv --no-new-privs ./user
    run_to isle setpriv --no-new-privs "$LULL" --isolate=no --cpus "$FIRST" ./user
    expect 0
    diff native.out isle.out
}

@test "a program that would gain rights is refused, and as another's successor it runs on Linux" {
    need_root
    cp "$LULL" lull
    copy root 0:0 4755
    chmod 755 .
    local as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    run_to isle $as ./lull --cpus "$FIRST" ./root
    expect 126
    one_line "set-user-ID"
    run_to native $as ./root
    run_to isle $as ./lull --engine=auto --cpus "$FIRST" sh -c "exec ./root"
    expect 0
    diff native.out isle.out
}

@test "a set-user-ID lull runs nothing" {
    need_root
    cp "$LULL" lull
    chmod 755 .
    cp lull lull-root
    chmod 4755 lull-root
    local as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    run_to isle $as ./lull-root /bin/true
    expect 125
    one_line "set-user-ID"
    run_to isle $as ./lull-root --exec=/bin/true --program=0,1 x
    expect 125
    one_line "set-user-ID"
}

@test "a stack of 256 KiB and files of no size are the program's limits, not the proxy's" {
    run_to isle bash -c "ulimit -s 256; exec '$LULL' --isolate=no --cpus $FIRST sh -c 'ulimit -s; (ulimit -s)'"
    expect 0
    [ "$(cat isle.out)" = "$(printf '256\n256')" ]
    code=0
    bash -c "ulimit -f 0; exec '$LULL' --isolate=no --cpus $FIRST sh -c 'echo x; (echo y); exec echo z'" |
        cat >isle.out || code=$?
    [ "$(cat isle.out)" = "$(printf 'x\ny\nz')" ]
}
