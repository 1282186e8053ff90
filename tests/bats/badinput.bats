# SPDX-License-Identifier: MIT
# What cannot be run: one clear line, the code a shell would give, nothing left behind.
load common

# like_bash PROGRAM: lull's exit code is the one that bash has for it; one line that matches.
like_bash() {
    local want=0
    bash -c '"$1"' bash "$1" >/dev/null 2>&1 || want=$?
    isle "$1"
    expect "$want"
    [ ! -s isle.out ]
    one_line "$2"
}

# patch OFFSET BYTES: a copy of hello, called bad, with these bytes (as for printf) there.
patch() {
    cp "$PROGRAMS/hello" bad
    # shellcheck disable=SC2059
    printf "$2" | dd of=bad bs=1 seek="$1" conv=notrunc status=none
}

# refused REGEX: ./bad is 126 with one line.
refused() {
    isle ./bad
    expect 126
    [ ! -s isle.out ]
    one_line "${1:-bad}"
}

@test "no such program" {
    like_bash ./nothing "no such|not found|does not exist"
    like_bash nothing-of-this-name "no such|not found|does not exist"
    like_bash ./no/such/directory "no such|not found|does not exist"
    ln -s nowhere dangling
    like_bash ./dangling "no such|not found|does not exist"
}

@test "no program at all, an empty name" {
    run_to isle "$LULL"
    expect 125
    one_line "program"
    isle ""
    [ "$code" = 127 ] || expect 126
    one_line
}

@test "directory, not executable, not a directory, symlink loop, long name" {
    mkdir d
    like_bash ./d "directory"
    cp "$PROGRAMS/hello" plain
    chmod 644 plain
    like_bash ./plain "permission|executable"
    like_bash ./plain/x "not a directory"
    ln -s loop loop
    like_bash ./loop "symbolic links|loop"
    like_bash "./$(printf 'n%.0s' $(seq 300))" "too long"
}

@test "not ELF" {
    head -c 5000 /dev/urandom >bad
    chmod +x bad
    refused
    : >bad
    refused
    echo "just text" >bad
    refused
    printf '\177EL' >bad
    refused
}

@test "devices, pipes and sockets are not run" {
    isle /dev/null
    expect 126
    one_line
    mkfifo -m 755 bad
    refused
}

@test "32-bit, big-endian, other architectures, other types" {
    patch 4 '\001'
    refused "32-bit"
    patch 5 '\002'
    refused
    patch 18 '\267\000'
    refused "architecture|machine|x86-64"
    patch 18 '\003\000'
    refused "architecture|machine|x86-64|32-bit"
    patch 16 '\001\000'
    refused
    patch 16 '\004\000'
    refused
    patch 16 '\377\377'
    refused
}

@test "truncated" {
    local n size
    size=$(stat -c %s "$PROGRAMS/cxx")
    for n in 4 16 40 63 64 65 100 300 4096 $((size / 4)); do
        head -c "$n" "$PROGRAMS/cxx" >bad
        chmod +x bad
        refused
    done
}

@test "lying headers" {
    patch 32 '\377\377\377\377\377\377\377\177' # program headers far beyond the file
    refused
    patch 32 '\377\377\377\377\377\377\377\377'
    refused
    patch 56 '\000\000' # no program headers
    refused
    patch 56 '\377\377'
    refused
    patch 54 '\000\000' # of size 0
    refused
    patch 54 '\001\000'
    refused
}

# The first program header is at 64: offset +8, vaddr +16, filesz +32, memsz +40, align +48.
@test "lying segments" {
    patch $((64 + 32)) '\377\377\377\377\377\377\377\177' # more than the file has
    refused
    patch $((64 + 40)) '\001\000\000\000\000\000\000\000' # less in memory than in the file
    refused
    patch $((64 + 40)) '\000\000\000\000\000\000\000\200'
    refused
    patch $((64 + 16)) '\000\360\377\377\377\377\377\377' # wraps around
    refused
    patch $((64 + 16)) '\000\000\000\000\360\000\000\000' # in the kernel's own memory
    refused
    patch $((64 + 16)) '\000\000\000\000\000\000\000\000' # page 0
    refused
    patch $((64 + 8)) '\001\000\000\000\000\000\000\000' # offset and address disagree
    refused
    patch $((64 + 8)) '\000\000\000\000\000\000\000\200'
    refused
}

@test "an entry point where nothing is" {
    patch 24 '\000\000\000\000\000\000\000\000'
    isle ./bad
    [ "$code" = 139 ] || refused
    patch 24 '\000\000\000\000\360\000\000\000'
    isle ./bad
    [ "$code" = 139 ] || refused
}

@test "a script runs its interpreter, as on Linux" {
    printf '#!%s one two\nrest\n' "$PROGRAMS/start" >script
    chmod +x script
    both ./script three
    grep -q 'argv\[1\] "one two"' isle.out
    grep -q 'argv\[3\] "three"' isle.out
    printf '#! %s \n' "$PROGRAMS/cat" >script
    echo input >input
    native ./script <input
    isle ./script <input
    expect 0
    cmp native.out isle.out
    grep -qx input isle.out
    printf '#!%s\n' "$PWD/script" >outer
    chmod +x outer
    both ./outer
}

@test "a script without an interpreter, without the right, of too many levels" {
    local i
    printf '#!/no/such/interpreter\n' >script
    chmod +x script
    like_bash ./script "interpreter"
    printf '#!\n' >bad
    chmod +x bad
    refused
    printf '#!%s\n' "$PROGRAMS/hello" >script
    chmod 644 script
    like_bash ./script "permission|executable"
    printf '#!%s\n' "$PROGRAMS/hello" >level0
    for i in 1 2 3 4 5 6 7; do
        printf '#!%s\n' "$PWD/level$((i - 1))" >"level$i"
    done
    chmod +x level*
    like_bash ./level7 "."
}

@test "nothing is left behind by any of these" {
    touch stamp
    traces stamp >before
    patch 32 '\377\377\377\377\377\377\377\177'
    refused
    isle ./nothing
    traces stamp >after
    diff before after
}
