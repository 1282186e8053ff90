# SPDX-License-Identifier: MIT
# lull check: what it says, and that the run ends as it said. No isle needed but for that.
load common

# says REGEX: a line of the last check.
says() {
    grep -qE -- "$1" isle.out || {
        show isle.out isle.err
        fail "no line matches: $1"
    }
}

check() {
    run_to isle "$LULL" check "$@"
}

# A run natively ends with the code of the last check.
as_natively() {
    local said=$code
    native "$@"
    [ "$code" = "$said" ] || fail "$*: check said $said, it ended with $code"
}

@test "static, dynamic, script" {
    check "$BIN/hello-tsc"
    expect 0
    says '^kind: x86-64, .*statically'
    says '^runnable: yes$'
    check "$PROGRAMS/dyncxx"
    expect 0
    says '^kind: x86-64, position independent, linked dynamically$'
    says '^loader: /.*/ld-linux-x86-64.so.2$'
    says '^library: libstdc\+\+.so.6 => /'
    says '^library: libc.so.6 => /'
    ldd "$PROGRAMS/dyncxx" | awk '/=>/ { print $1 }' | sort >ldd.names
    sed -n 's/^library: \(.*\) => .*/\1/p' isle.out | sort | diff ldd.names -
    printf '#!/bin/bash -e\nexit 3\n' >script
    chmod +x script
    check ./script
    expect 0
    says '^script: ./script, run by /bin/bash$'
    says '^program: .*/bash$'
}

@test "what is not there, or is no program" {
    check ./nothing
    expect 127
    one_line
    check /etc/passwd
    expect 126
    one_line
    check
    expect 125
    one_line 'no program'
}

@test "a library, a version that is missing" {
    mkdir libs
    cp "$PROGRAMS/preload.so" libs
    LD_PRELOAD=preload.so LD_LIBRARY_PATH=$PWD/libs check "$PROGRAMS/start-dyn"
    expect 0
    says "^library: preload.so => $PWD/libs/preload.so$"
    sed 's/libc\.so\.6/libc.no.6/g' "$PROGRAMS/start-dyn" >lacking
    sed 's/GLIBC_2\.34/GLIBC_9.99/g' "$PROGRAMS/start-dyn" >newer
    chmod +x lacking newer
    check ./lacking
    expect 127
    says '^libraries: the loader says: .*libc.no.6'
    says '^runnable: no; it would end with 127$'
    as_natively ./lacking
    check ./newer
    expect 1
    says '^libraries: the loader says: .*GLIBC_9.99'
    as_natively ./newer
}

@test "instructions that no processor has yet" {
    check "$PROGRAMS/imports"
    expect 0
    says 'needs x86-64-v2'
    # ISA needed: from v2 to a level that nobody knows
    local at
    at=$(LC_ALL=C grep -obUaP -m1 '\x02\x80\x00\xc0\x04\x00\x00\x00' "$PROGRAMS/imports" | cut -d: -f1)
    cp "$PROGRAMS/imports" unknown
    printf '\020' | dd of=unknown bs=1 seek=$((at + 8)) conv=notrunc 2>dd.err
    check ./unknown
    expect 127
    says '^processor: .*/unknown needs a level beyond x86-64-v4'
    as_natively ./unknown
    isle ./unknown
    expect 127
}

@test "rights and calls that have no effect" {
    check "$PROGRAMS/imports"
    expect 0
    says '^calls: .*/imports uses .*ptrace'
    cp "$PROGRAMS/start-dyn" setuid
    chmod u+s setuid
    check ./setuid
    expect 0
    says '^rights: set-user-ID'
}

@test "a loader of somebody else is not run" {
    need_root
    cp "$PROGRAMS/start-dyn" own
    local at
    at=$(grep -abo /lib64/ld-linux own | head -1 | cut -d: -f1)
    printf '%s\0' /tmp/l.$$ | dd of=own bs=1 seek="$at" conv=notrunc 2>dd.err
    cp /lib64/ld-linux-x86-64.so.2 /tmp/l.$$
    chown 1 /tmp/l.$$
    check ./own
    rm -f /tmp/l.$$
    expect 0
    says '^libraries: not looked for'
    lacks '^library:' isle.out
}

@test "a program with a sanitizer's fixed shadow memory does not run, one with UBSan does" {
    echo 'int main(void) { return 0; }' >clean.c
    local one
    for one in address leak thread; do
        gcc -fsanitize=$one clean.c -o "$one"
        check "./$one"
        expect 126
        says "^memory: .*Sanitizer, whose shadow memory"
        says '^runnable: no; its sanitizer'
    done
    clang -fsanitize=memory clean.c -o memory
    check ./memory
    expect 126
    says '^memory: .*/memory uses MemorySanitizer'
    gcc -fsanitize=undefined clean.c -o undefined
    check ./undefined
    expect 0
    says '^runnable: yes$'
    isle ./undefined
    expect 0
}
