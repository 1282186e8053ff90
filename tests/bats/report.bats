#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What --report says is as documented, and lull-report makes one of the ranks'.

load common.bash

SCHEMA=$BATS_TEST_DIRNAME/../../docs/report.schema.json

merge() {
    run_to isle "$BIN/lull-report" "$@"
}

# valid FILE: the report is as docs/report.schema.json says. Debian's own python3 has the module.
valid() {
    /usr/bin/python3 -c '
import json, jsonschema, sys
schema, report = (json.load(open(name)) for name in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.validate(report, schema, cls=jsonschema.Draft7Validator)' "$SCHEMA" "$1" 2>error || {
        tail -20 error
        fail "$1 is not as its schema says"
    }
}

# report RANK PROGRAM ARGS...: r-RANK.json
report() {
    local rank=$1
    shift
    PMI_RANK=$rank isle --report="r-$rank.json" "$@"
    expect 0
}

# wait_in_read OPTIONS...: a program that waits 0.5 s for a line. Its report: r.json.
wait_in_read() {
    mkfifo in
    # shellcheck disable=SC2016 # not expanded here
    background isle bash -c 'exec "$@" <>in' - "$LULL" --cpus "$LIST" "$@" --report=r.json \
        /bin/sh -c 'echo ready; read -r x'
    sleep 0.5
    timeout 5 bash -c 'echo >in'
    ended isle
    expect 0
    pid=0
}

@test "a report is as its schema says, marked or not, watched or not" {
    isle --report=detours,r.json "$BIN/fwq" --samples 20 --us 10
    expect 0
    valid r.json
    jq -e '.marked.cores[0].gaps.watched_us >= 0' r.json
    isle --report=r.json "$PROGRAMS/exitcode" 3
    expect 3
    valid r.json
    jq -e '.marked == null and .run.cores[0].gaps == null' r.json
    isle --report=r.json "$PROGRAMS/die" segv
    expect 139
    valid r.json
}

@test "the schema refuses what is not a report" {
    report 0 "$PROGRAMS/hello"
    valid r-0.json
    for edit in 'del(.run.cores[0].thread.wait_ns)' '.schema = "lull-report-1"' '.settings = null' \
        '.run.cores[0].exits.park = -1' 'del(.system_calls.waits)' '.run = null'; do
        jq "$edit" r-0.json >bad.json
        ! valid bad.json 2>/dev/null || fail "$edit: still valid"
    done
}

@test "forwarded calls have their times, and as many as were forwarded" {
    mkdir deep
    isle --report=r.json "$PROGRAMS/files" deep
    expect 0
    valid r.json
    jq -e '.system_calls.forwarded.by_name as $n | .system_calls.waits | length > 3 and
        all(to_entries[]; .value.count >= 1 and $n[.key] >= 1 and .value.longest_us > 0 and
            .value.median_us <= .value.p99_us and .value.p99_us <= .value.longest_us and
            .value.longest_us <= .value.total_us + 0.001)' r.json
}

@test "a call that waits is reported with the time that it waited" {
    wait_in_read
    jq -e '.system_calls.waits.read | .longest_us > 300000 and .total_us >= .longest_us' r.json
    isle --report "$PROGRAMS/hello"
    grep -q 'waited for Linux' isle.err
    grep -qE '^ +write +1 ' isle.err
}

@test "--report=detours: an idle core that spins watches itself" {
    wait_in_read --spin forever --report=detours
    valid r.json
    jq -e '[.run.cores[].gaps.watched_us] | add > 100000' r.json
    jq -e 'all(.run.cores[].gaps; .total_us <= .watched_us + 1 and .longest_us <= .total_us + 1 and
        (.count == 0) == (.total_us == 0))' r.json
    grep -q 'idle and watched' isle.err
}

@test "--report=detours: each time that Linux runs something else in a core's place" {
    need_engine "the thread is the core" kvm
    taskset -c "$FIRST_CPU" bash -c "while ((SECONDS < 60)); do :; done" 3>&- 4>&- &
    pid=$!
    run_to isle "$LULL" --isolate no --cpus "$FIRST" --report=detours,r.json "$BIN/fwq" --samples 1000
    expect 0
    valid r.json
    jq -e '.marked.cores[0].preempted != null' r.json || skip "perf is not permitted here"
    jq -e '.marked.cores[0] | .preempted.complete and .preempted.count > 0 and
        .preempted.longest_us > 100 and .preempted.longest_us <= .preempted.total_us and
        ([.preempted.count - .thread.nivcsw] | .[0] >= -2 and .[0] <= 2) and
        (.preempted.total_us <= .thread.wait_ns / 1000 * 1.1 + 1000)' r.json
}

@test "memory has a node" {
    report 0 "$PROGRAMS/hello"
    jq -e '[.memory.by_node[].bytes] | add > 0' r-0.json
    jq -e '.memory | .hugetlb_bytes + .thp_bytes + .small_bytes > 0' r-0.json
}

@test "a thread that was preempted: KVM and Linux say so" {
    need_engine "KVM counts" kvm
    isle --report=r.json "$BIN/fwq" --samples 200 --us 1000
    expect 0
    jq -e 'all(.marked.cores[]; .thread.run_ns > 0 and .thread.timeslices >= 0)' r.json
    jq -e '[.run.cores[].machine.exits] | add > 0' r.json
    jq -e 'all(.run.cores[].cpu_time_us; add > 0)' r.json
}

@test "who waits for lull sees its cores' time (getrusage)" {
    local code='1 for 1 .. 4e7; print +(times)[0]' program mine theirs
    # the program's own count, then its parent's of what it waited for
    theirs=$(perl -e 'print qx(@ARGV); printf " %.2f", (times)[2]' \
        "$LULL" --cpus "$FIRST" perl -e "'$code'")
    read -r mine program <<<"$theirs"
    echo "the program counts $mine s of user time, its parent $program"
    awk -v m="$mine" -v p="$program" 'BEGIN { exit !(m > 0.2 && p >= 0.9 * m) }'
}

@test "lull-report merges ranks, in their order" {
    report 1 "$PROGRAMS/hello"
    report 0 "$PROGRAMS/hello"
    merge --plot out.svg r-1.json r-0.json
    expect 0
    grep -q "^2 ranks of .*hello, whole runs" isle.out
    grep -A2 '^ *rank' isle.out | awk '{ print $1 }' | paste -sd' ' | grep -qx 'rank 0 1'
    grep -qE '^ +write +' isle.out
    grep -q '^Plot: out.svg' isle.out
    head -c 200 out.svg | grep -q '<?xml'
    sum=$(jq -s '[.[].run.cores[].exits.total] | add' r-0.json r-1.json)
    [ "$(awk '$1 == "all" { print $4 }' isle.out)" = "$sum" ]
    merge --plot "it's.png" r-0.json
    expect 0
    head -c 8 "it's.png" | grep -q PNG
}

@test "lull-report compares marked sections where all have one" {
    report 0 "$BIN/fwq" --samples 20 --us 10
    merge --no-plot r-0.json
    expect 0
    grep -q 'marked sections' isle.out
    merge --no-plot --whole-run r-0.json
    grep -q 'whole runs' isle.out
    report 1 "$PROGRAMS/hello"
    merge --no-plot r-0.json r-1.json
    expect 0
    grep -q 'whole runs' isle.out
}

@test "lull-report: one line for a file that is missing, partial, or of another schema" {
    report 0 "$PROGRAMS/hello"
    head -c 700 r-0.json >cut.json
    jq '.schema = "lull-report-1"' r-0.json >old.json
    jq 'del(.run.cores[0].thread.nivcsw)' r-0.json >less.json
    jq 'del(.host)' r-0.json >nohost.json
    jq '.run.cores = []' r-0.json >nocores.json
    jq '.system_calls = 5' r-0.json >nocalls.json
    echo '[]' >array.json
    : >empty.json
    mkdir folder
    for file in missing.json cut.json old.json less.json nohost.json nocores.json nocalls.json \
        array.json empty.json folder; do
        merge --no-plot r-0.json $file
        expect 1
        [ "$(wc -l <isle.err)" = 1 ] || fail "$file: $(cat isle.err)"
        grep -q "^lull-report: $file: left out: " isle.err || fail "$file: $(cat isle.err)"
        grep -q '^1 rank of ' isle.out
    done
    merge --no-plot missing.json
    expect 1
    grep -q 'no report is left' isle.err
}

@test "lull-report: wrong usage" {
    merge
    expect 2
    merge --steam r.json
    expect 2
    merge --help
    expect 0
    report 0 "$PROGRAMS/hello"
    merge --plot x.gif r-0.json
    expect 1
    grep -q 'ends in .png or .svg' isle.err
}
