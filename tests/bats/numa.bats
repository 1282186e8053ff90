# SPDX-License-Identifier: MIT
# Memory policies and huge pages on the machine at hand; several nodes are tests/numa's.
load common

# Without those that are given back already, but still in use by another isle.
pool() {
    (cd /sys/kernel/mm/hugepages/hugepages-2048kB && echo $(($(cat nr_hugepages) - $(cat surplus_hugepages))))
}

@test "numactl sees the isle's nodes" {
    isle /usr/bin/numactl -H
    expect 0
    grep -q '^available: [1-9][0-9]* nodes (' isle.out
    isle /usr/bin/numactl -s
    expect 0
    grep -q '^policy: default$' isle.out
    grep -q '^membind: [0-9]' isle.out
}

@test "a policy goes along with execve, into the isle and in it" {
    node=$(sed 's/[,-].*//' /sys/devices/system/node/has_memory)
    isle /usr/bin/numactl --membind="$node" /usr/bin/numactl -s
    expect 0
    grep -q '^policy: bind$' isle.out
    run_to isle numactl --interleave="$node" "$LULL" --cpus "$CPUS" /usr/bin/numactl -s
    expect 0
    grep -q '^policy: interleave$' isle.out
}

@test "--numa: the same answers wherever memory comes from" {
    for policy in bind interleave first-touch; do
        isle --numa "$policy" "$PROGRAMS/memory"
        expect 0
        isle --numa "$policy" --report=report.json "$PROGRAMS/threads"
        expect 0
        [ "$(jq -r .memory.numa report.json)" = "$policy" ]
        [ "$(jq .memory.checked_pages report.json)" -gt 0 ]
        [ "$(jq .memory.off_node_pages report.json)" = 0 ]
    done
}

@test "--hugetlb reserves huge pages, uses them and gives them back" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    before=$(pool)
    isle --mem 64M --hugetlb --report=report.json "$PROGRAMS/threads"
    expect 0
    for _ in $(seq 50); do # Linux frees the last ones when the process is gone for good
        [ "$(pool)" != "$before" ] || break
        sleep 0.1
    done
    [ "$(pool)" = "$before" ]
    case ${LULL_TEST_ENGINE:-kvm} in
    kvm)
        [ "$(jq .memory.hugetlb_bytes report.json)" -gt 0 ]
        isle --mem 128M --hugetlb "$PROGRAMS/shared" . # maps files over parts of huge pages
        expect 0
        ;;
    esac
    isle --mem 64M --hugetlb=0 --report=report.json "$PROGRAMS/threads"
    expect 0
    [ "$(jq .memory.hugetlb_bytes report.json)" = 0 ]
}
