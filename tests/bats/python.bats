# SPDX-License-Identifier: MIT
# Debian's python3 by its own tests (package libpython3.N-testsuite), each module whole, apart from
# what is named here with its reason. One test of ctest for each: isle.kvm.python.MODULE.
load common

RUN_LIMIT=$((RUN_LIMIT * 3))

# module NAME [REGRTEST'S OPTIONS...]
module() {
    local name=$1
    shift
    need_engine "it has children, and memory shared with QEMU cannot be copied" kvm
    local library
    library=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    [ -e "$library/test/$name.py" ] || fail "$name is missing: run make deps"
    run_to isle env TMPDIR="$PWD" "$LULL" --cpus "$LIST" /usr/bin/python3 -m test -v "$@" "$name"
    grep -E '^(ERROR|FAIL): ' isle.out | sort -u >&2 || true
    expect 0
    grep -E '^(Ran [0-9]+ tests|OK)' isle.out >&2
    # none at all, or a few that happened to be left, is not the module
    [ "$(sed -n 's/^Ran \([0-9]*\) tests.*/\1/p' isle.out)" -ge "$least" ]
}

@test "test_mmap" {
    least=40 module test_mmap
}

@test "test_signal" {
    least=50 module test_signal
}

@test "test_threading" {
    least=180 module test_threading
}

@test "test_os" {
    least=300 module test_os
}

@test "test_socket" {
    # VSOCK hangs natively too where the host of a virtual machine does not answer.
    least=700 module test_socket -i '*VSOCK*'
}

@test "test_subprocess" {
    least=300 module test_subprocess
}
