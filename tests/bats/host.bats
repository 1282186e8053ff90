# SPDX-License-Identifier: MIT
# What the host lacks: one clear line with the next step to take, 125, nothing hurt.
load common

LULL_ENGINE=kvm
export LULL_ENGINE

# in_namespace SCRIPT: runs it as root of a mount namespace of its own, so that /dev is ours there.
in_namespace() {
    unshare -m --propagation private bash -c "$1" >isle.out 2>isle.err || code=$?
}

@test "no /dev/kvm, and that engine asked for" {
    need_root
    code=0
    # shellcheck disable=SC2016
    in_namespace '
        mkdir old && mount --bind /dev old && mount -t tmpfs none /dev || exit 99
        for n in null zero full random urandom; do
            touch /dev/$n && mount --bind old/$n /dev/$n || exit 99
        done
        mkdir /dev/shm
        exec '"'$LULL' '$PROGRAMS/hello'"
    expect 125
    one_line "/dev/kvm"
    [ ! -s isle.out ]
    [ -c /dev/kvm ]
}

@test "/dev/kvm is something else" {
    need_root
    code=0
    : >empty
    in_namespace "mount --bind empty /dev/kvm && exec '$LULL' '$PROGRAMS/hello'"
    expect 125
    one_line "/dev/kvm|KVM"
}

# A place that everybody can read, whatever the repository's is: sets $public.
publish() {
    public=$(mktemp -d /tmp/lull-test.XXXXXX)
    chmod 755 "$public"
    cp "$LULL" "$PROGRAMS/hello" "$PROGRAMS/threads" "$PROGRAMS/memory" "$public"
    cd "$public" || return 1
}

teardown() {
    [ -z "${public:-}" ] || rm -rf "$public"
}

@test "no right to /dev/kvm" {
    need_root
    publish
    local as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    if "${as[@]}" test -w /dev/kvm; then
        skip "everybody has the right to /dev/kvm here"
    fi
    code=0
    "${as[@]}" ./lull ./hello >isle.out 2>isle.err || code=$?
    expect 125
    one_line "/dev/kvm.*(group|right|permission)"
    [ ! -s isle.out ]
}

@test "no root: the right to /dev/kvm is enough" {
    need_root
    need_engine "there is no KVM to have a right to" kvm
    publish
    code=0
    mknod kvm c 10 232
    chmod 666 kvm
    # shellcheck disable=SC2016
    in_namespace '
        mount --bind kvm /dev/kvm || exit 99
        as="setpriv --reuid 65534 --regid 65534 --clear-groups"
        $as ./lull ./hello && $as ./lull ./threads &&
            $as ./lull ./memory'
    expect 0
    grep -qx hello isle.out
    [ "$(grep -c 'checks passed' isle.out)" = 2 ]
}

@test "more cores than there are" {
    export LULL_ENGINE=$ENGINE
    run_to isle "$LULL" --cpus 1000 "$PROGRAMS/hello"
    expect 125
    one_line "cpus"
    run_to isle "$LULL" --cpus 4000-4001 "$PROGRAMS/hello"
    expect 125
    one_line "cpu"
    run_to isle taskset -c "$FIRST_CPU" "$LULL" --cpus 2 "$PROGRAMS/hello"
    expect 125
    one_line "cpu"
}

@test "more memory than there is" {
    export LULL_ENGINE=$ENGINE
    run_to isle "$LULL" --mem 100T "$PROGRAMS/hello"
    expect 125
    one_line "mem"
    run_to isle "$LULL" --mem 999999G "$PROGRAMS/hello"
    expect 125
    one_line "mem"
}

@test "few descriptors, little locked memory" {
    export LULL_ENGINE=$ENGINE
    (ulimit -l 64 && both_ok hello)
    (ulimit -n 64 && both_ok hello)
    (ulimit -n 64 && both_ok threads)
}

@test "a limit of address space: works, or 125 in one line" {
    export LULL_ENGINE=$ENGINE
    code=0
    (ulimit -v 1000000 && limit "$LULL" --cpus "$FIRST" "$PROGRAMS/hello" >isle.out 2>isle.err) || code=$?
    [ "$code" = 0 ] || {
        expect 125
        one_line
    }
}
