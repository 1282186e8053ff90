# SPDX-License-Identifier: MIT
# lull plan: every machine of tests/topologies is drawn in 80 columns; what is no topology is refused.
load common

TOPOLOGIES=$BATS_TEST_DIRNAME/../topologies

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    local v
    for v in "${!SLURM_@}" "${!MPI_@}" "${!PMI@}" "${!OMPI_@}"; do
        unset "$v"
    done
}

plan() {
    run_to isle "$LULL" plan "$@"
}

# shown: the last plan is a drawing of at most 80 columns, on stdout alone.
shown() {
    expect 0
    [ ! -s isle.err ] || fail "stderr: $(cat isle.err)"
    awk 'length > 80 { print; long = 1 } END { exit long }' isle.out >&2
    grep -q '^machine: ' isle.out
    grep -qE '^isle( [0-9]+)?: ' isle.out
    grep -q '^Linux: ' isle.out
}

says() {
    grep -qE -- "$1" isle.out || {
        show isle.out
        fail "no line matches: $1"
    }
}

refused() {
    expect 125
    [ ! -s isle.out ]
    one_line "$1"
}

@test "every topology" {
    local f n=0
    for f in "$TOPOLOGIES"/*.xml; do
        echo "$f"
        plan --topology "$f"
        shown
        plan --topology "$f" --ranks 3 --smt --oversubscribe
        shown
        plan --topology "$f" --cpus 1 --mem 100M
        shown
        says "100.0 MiB on node"
        n=$((n + 1))
    done
    [ "$n" -ge 20 ]
}

@test "topologies are as their maker writes them" {
    mkdir copy
    cp "$TOPOLOGIES/make" copy
    python3 copy/make
    rm copy/make
    diff -r -x make -x plans copy "$TOPOLOGIES"
}

@test "eight nodes of 128 cores" {
    plan --topology 'pack:8 [numa(memory=274877906944)] l3:16(size=33554432) core:8 pu:1' --ranks 8 --cpus 32
    shown
    says "^machine: 8 packages, 8 NUMA nodes, 1024 cores, 1024 CPUs$"
    says "^ +L3 32M x4, CPU 992-1023 +0 0 0 0 0 0 0 0 each$"
    says "^isle 7: 32 cores, CPU 768-799; 57.6 GiB on node 6$"
    plan --topology 'pack:8 [numa] core:128 pu:1' --nodes 2
    shown
    says "CPU 896-1023 +0 x128$"
    plan --topology 'pack:8 [numa] core:128 pu:1' --ranks 1024 --cpus 1
    shown
    says "1011 more"
    says "^isle 1023: "
    [ "$(wc -l <isle.out)" -lt 200 ]
}

@test "what is whose" {
    plan --topology 'pack:1 l3:1 core:4 pu:2' --cpus 2 --ranks 1
    shown
    says '^    L3.* \.\. \.\. 0- 0-$'
    says '^idle: +5,7$'
    plan --topology 'pack:2 [numa] core:2 pu:1' --ranks 4 --cpus 1
    shown
    says '3 2$'
    says '1 0$'
    says '^Linux: +no core of its own$'
    plan --topology "$TOPOLOGIES/cpuset.xml"
    shown
    says 'x x \. \.$'
    plan --topology 'core:2 pu:1' --ranks 3 --cpus 1 --oversubscribe
    shown
    says 'several isles'
}

@test "this machine, and a run of it" {
    plan
    shown
    says '^package|node 0'
    says 'for the isle$'
    run_to isle "$LULL" --dry-run --cpus "$FIRST" "$BIN/hello-tsc"
    expect 0
    says "^cores: +1 \(CPU $FIRST_CPU\) on node [0-9]+, by --cpus $FIRST$"
    says '^Linux keeps: ([0-9]+ \(CPU|none of)'
    says '^memory: at most .*iB on node'
    LULL_NODES=7000 run_to isle "$LULL" --dry-run "$BIN/hello-tsc"
    expect 0
}

@test "the environment decides here, too" {
    OMP_NUM_THREADS=2 plan --topology "$TOPOLOGIES/two-by-two.xml"
    shown
    says '^by: +OMP_NUM_THREADS=2$'
    LULL_SMT=1 LULL_CPUS=2 LULL_NODES=0, plan --topology "$TOPOLOGIES/two-sockets-smt.xml"
    shown
    says '^isle: +2 cores, CPU 7,23; .* on node 0$'
    SLURM_CPUS_PER_TASK=3 SLURM_LOCALID=0 SLURM_NTASKS_PER_NODE=2 \
        plan --topology "$TOPOLOGIES/two-sockets-smt.xml"
    shown
    says '^isle 1: 3 cores'
}

@test "more than there is: what to do" {
    plan --topology "$TOPOLOGIES/two-by-two.xml" --cpus 3
    refused 'cpus 3: one NUMA node has at most 2 cores.*--nodes 2'
    plan --topology "$TOPOLOGIES/laptop-smt.xml" --cpus 3
    refused 'only 2 cores.*--smt'
    plan --topology 'core:2 pu:1' --ranks 3 --cpus 1
    refused '3 ranks of 1 core each do not fit on 2 cores .CPUs 0-1., 2 would.*--oversubscribe'
    plan --topology "$TOPOLOGIES/hybrid.xml" --cpus 9
    refused 'one kind.*--cpus LIST'
    plan --topology "$TOPOLOGIES/two-by-two.xml" --nodes 0,5
    refused 'no NUMA node 5'
    plan --topology "$TOPOLOGIES/two-by-two.xml" --mem 5G
    refused 'mem: 5120.0 MiB.*4096.0 MiB.*--nodes'
}

@test "no topology" {
    local n
    plan --topology ./missing.xml
    refused 'cannot read it: No such file'
    plan --topology nonsense
    refused 'cannot read it: No such file'
    plan --topology .
    refused 'cannot read it: Is a directory'
    plan --topology ''
    refused 'expected a file'
    for n in '' 'just text' '<xml>' '<?xml version="1.0"?><topology version="2.0"></topology>' \
        '<topology version="9.9"><object type="Machine"/></topology>' '{"a": 1}'; do
        printf '%s' "$n" >bad.xml
        plan --topology bad.xml
        refused 'no topology'
    done
    head -c 100000 /dev/urandom >bad.xml
    plan --topology bad.xml
    refused 'no topology'
    cp "$LULL" bad.xml
    plan --topology bad.xml
    refused 'no topology'
    truncate -s 3T huge.xml
    plan --topology huge.xml
    refused 'larger than 16 MiB'
    plan --topology /dev/zero
    refused 'larger than 16 MiB'
    for n in 'pack:0' 'pack:2 core' 'steam:4' ':' 'pack:x'; do
        plan --topology "$n"
        refused 'no description'
    done
    plan --topology 'pack:1000000 core:1000000 pu:1000'
    refused 'more than 16384 CPUs'
    plan --topology 'pack:200 core:200 pu:2'
    refused 'more than 16384 CPUs'
    if [ "$(id -u)" != 0 ]; then
        touch secret.xml
        chmod 000 secret.xml
        plan --topology secret.xml
        refused 'Permission denied'
    fi
}

@test "a topology that is cut short anywhere: one line or a drawing, never a crash" {
    local f size n
    for f in hybrid cxl; do
        size=$(stat -c %s "$TOPOLOGIES/$f.xml")
        for n in $(seq 1 97 "$size"); do
            head -c "$n" "$TOPOLOGIES/$f.xml" >cut.xml
            plan --topology cut.xml
            [ "$code" = 0 ] || refused 'no topology'
        done
    done
}

@test "a topology that crashes hwloc is one line, too" {
    sed 's/complete_nodeset/complete_node3et/' "$TOPOLOGIES/holes.xml" >bad.xml
    plan --topology bad.xml
    refused 'no topology'
    sed 's/complete_cpuset/complxte_cpuset/' "$TOPOLOGIES/cxl.xml" >bad.xml
    plan --topology bad.xml
    refused 'no topology'
    sed 's/cpuset="0x[0-9a-f]*"/cpuset=""/' "$TOPOLOGIES/hybrid.xml" >bad.xml
    plan --topology bad.xml
    [ "$code" = 0 ] || refused 'no topology'
}

@test "bad options" {
    plan --ranks 0
    refused 'ranks'
    plan --ranks 5000
    refused 'ranks'
    plan --nodes 0
    refused 'NUMA nodes'
    plan --nodes 3-1
    refused 'NUMA nodes'
    plan ./program
    refused 'takes no'
    run_to isle "$LULL" --topology x "$BIN/hello-tsc"
    refused 'for lull plan'
    run_to isle "$LULL" --ranks 2 "$BIN/hello-tsc"
    refused 'for lull plan'
    code=0
    "$LULL" plan >/dev/full 2>isle.err || code=$?
    [ "$code" = 125 ]
    one_line 'cannot write'
}
