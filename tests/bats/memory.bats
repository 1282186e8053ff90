# SPDX-License-Identifier: MIT
# Memory of a program on an isle: calls, permissions, faults, limits.
load common

@test "mmap, munmap, mremap, mprotect, madvise, brk, malloc" {
    both_ok memory
    both_ok memory-musl
    both_ok memory-pie
}

@test "private mappings of files" {
    both_ok mapfile .
    both_ok mapfile-musl .
}

@test "memory shared with Linux" {
    need_engine "QEMU cannot be given other files later: MAP_SHARED is ENOSYS" kvm
    both_ok shared .
    both_ok shared-musl .
}

@test "random sequences of mappings, accesses and file writes are as on Linux" {
    need_engine "QEMU cannot be given other files later: MAP_SHARED is ENOSYS" kvm
    "$BATS_TEST_DIRNAME/../fuzz/mapseq" "$LULL" "$PROGRAMS/mapseq" "${LULL_MAPSEQ_SECONDS:-20}"
}

@test "a call in flight keeps no page of a far window that is unmapped" {
    need_engine "QEMU cannot be given other files later: MAP_SHARED is ENOSYS" kvm
    ulimit -s unlimited
    isle "$(command -v setarch)" -R "$PROGRAMS/farcall"
    expect 0
    grep -qx "read: -1, EFAULT" isle.out # natively a stack of a new thread may lie there
}

@test "another process sees the same page" {
    need_engine "QEMU cannot be given other files later: MAP_SHARED is ENOSYS" kvm
    head -c 4096 /dev/zero >page
    background isle "$LULL" --cpus "$FIRST" "$PROGRAMS/shared" meet page
    for _ in $(seq 200); do
        [ "$(head -c 1 page)" != A ] || break
        sleep 0.05
    done
    printf B | dd of=page bs=1 seek=1 conv=notrunc 2>dd.err
    ended
    expect 0
    [ "$(head -c 3 page)" = ABC ]
}

@test "code on the stack, where a program asks for it" {
    both_ok execstack
    both_ok execstack-dyn
    both_ok openstack
}

@test "faults reach a handler with signal, code and address" {
    both_ok faults
    both_ok faults-musl
}

@test "the same without rewriting" {
    local p
    for p in faults faults-dyn; do
        native "$PROGRAMS/$p"
        run_to isle "$LULL" --cpus "$LIST" --no-rewrite "$PROGRAMS/$p"
        expect 0
        cmp native.out isle.out
    done
}

@test "out of memory is ENOMEM" {
    isle "$PROGRAMS/exitcode" 0
    expect 0
    run_to isle "$LULL" --cpus "$LIST" --mem 320M "$PROGRAMS/oom"
    expect 0
    grep -q "32 checks passed" isle.out
    one_line "memory was refused [0-9]+ times?: more than the 320 MiB of --mem"
}

@test "what --mem refuses takes no memory from the program" {
    run_to isle "$LULL" --cpus "$FIRST" --mem 320M --report=r.json "$PROGRAMS/oom" refused
    expect 0
    jq -e '[.run.cores[].exits.memory // 0] | add < 50' r.json
}

@test "with vm.overcommit_memory=1 a mapping may be larger than --mem" {
    local setting=/proc/sys/vm/overcommit_memory old
    need_root
    old=$(cat $setting)
    run_to isle "$LULL" --cpus "$FIRST" --mem 320M "$PROGRAMS/oom" overcommitted
    [ "$old" != 0 ] || expect 1
    echo 1 >$setting
    run_to isle "$LULL" --cpus "$FIRST" --mem 320M "$PROGRAMS/oom" overcommitted
    echo "$old" >$setting
    expect 0
}

@test "--mem is a limit, not a cost" {
    local before after
    before=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
    background isle "$LULL" --cpus "$LIST" --mem 8G "$PROGRAMS/sleeper"
    after=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
    kill -TERM "$pid"
    ended
    expect 42
    echo "MemAvailable $before kB before, $after kB during"
    [ $((before - after)) -lt 1000000 ]
}

@test "a program too large for --mem is 125 or ends by itself, in words" {
    local mem
    for mem in 2M 4M; do
        run_to isle "$LULL" --cpus "$LIST" --mem $mem "$PROGRAMS/hello"
        [ "$code" = 0 ] || { expect 125 && one_line "mem" && ! grep "report this" isle.err; }
        run_to isle "$LULL" --cpus "$LIST" --mem $mem /bin/true
        [ "$code" = 0 ] || { expect 125 && one_line "mem" && ! grep "report this" isle.err; }
    done
    run_to isle "$LULL" --cpus "$LIST" --mem 2M "$PROGRAMS/cxx"
    case $code in
    125) one_line "mem" ;;
    0 | 1 | 134 | 139) ;;
    *) expect 125 ;;
    esac
}

@test "a limit of address space that is too low for an isle is 125, in one line that names it" {
    local kib
    for kib in 100000 330000 1000000; do
        run_to isle sh -c 'ulimit -v $0 && exec "$@"' $kib "$LULL" --cpus "$LIST" "$PROGRAMS/hello"
        [ "$code" = 0 ] || { expect 125 && one_line "ulimit -v"; }
        run_to isle sh -c 'ulimit -v $0 && exec "$@"' $kib "$LULL" --cpus "$LIST" /bin/true
        [ "$code" = 0 ] || { expect 125 && one_line "ulimit -v"; }
    done
}

@test "limits: descriptors, and the stack of the next program" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    both_ok limits
    both_ok limits overflow
}

@test "limits that lull inherits are the program's" {
    (ulimit -S -v 40000000 && ulimit -S -d 30000000 && ulimit -S -t 77 && ulimit -S -f 5000 &&
        ulimit -S -s 4096 && both_ok /bin/sh -c 'ulimit -v; ulimit -d; ulimit -t; ulimit -f; ulimit -s')
    (ulimit -S -v 200000 && both perl -e 'print "in words\n"; $n = 300e6; $x = "a" x $n; print "too much\n"' &&
        [ "$(cat isle.out)" = "in words" ] && [ "$code" != 0 ])
}

@test "a report longer than the program's files may be is written" {
    (ulimit -S -f 1 && run_to isle "$LULL" --cpus "$FIRST" --report="$PWD/r.json" /bin/true && expect 0)
    [ "$(stat -c %s r.json)" -gt 1024 ]
}
