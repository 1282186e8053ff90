#!/bin/bash
# SPDX-License-Identifier: MIT
# lull-bench from end to end, with a stand-in for lull. $1: build/bin, $2: the stand-in.
set -u
bin=$1 dir=$(mktemp -d) failures=0
trap 'rm -rf "$dir"' EXIT
cp "$2" "$dir/lull"
chmod +x "$dir/lull"
cpus=$(nproc)

bench() {
    "$bin/lull-bench" --lull "$dir/lull" --dir "$dir/out" --cpus 1 "$@" >"$dir/stdout" 2>"$dir/stderr"
}
fail() {
    echo "not ok: $*"
    sed 's/^/  | /' "$dir/stdout" "$dir/stderr"
    failures=$((failures + 1))
}
# expect CODE DESCRIPTION PATTERN COMMAND...: exit code, and the pattern in the output
expect() {
    local want=$1 what=$2 pattern=$3 code
    shift 3
    "$@"
    code=$?
    if [ "$code" -ne "$want" ]; then
        fail "$what: exit code $code, expected $want"
    elif ! cat "$dir/stdout" "$dir/stderr" | grep -q -- "$pattern"; then
        fail "$what: no \"$pattern\" in the output"
    else
        echo "ok: $what"
    fi
}
no_table() {
    if grep -q 'native p99' "$dir/stdout"; then
        fail "$1: a table in spite of the failure"
    fi
}
json() { # FILE EXPRESSION: true for the document d
    python3 -c "import json,sys; d=json.load(open(sys.argv[1])); sys.exit(not ($2))" "$1" ||
        fail "$1: not $2"
}

quick_os=(os --samples 50 --threads 20 --rounds 2 --mib 1)
expect 0 "os" "first touch, a page" bench --pairs 2 "${quick_os[@]}"
json "$dir/out/os.json" 'd["schema"]=="lull-bench-1" and len(d["result"]["table"]["metrics"])==13'
json "$dir/out/os.json" 'all(len(m[s]["by_pair"])==2 for m in d["result"]["table"]["metrics"] for s in ("native","isle"))'
expect 0 "os --json" '"lull-bench-1"' bench --pairs 1 --json "${quick_os[@]}"
json "$dir/stdout" 'd["bench"]=="os"'

expect 0 "fwq" "^Plot: .*fwq.png" bench --pairs 2 fwq --samples 100 --us 20
for f in fwq.png fwq.json fwq.gp fwq-native-1.dat fwq-isle-2.dat; do
    [ -s "$dir/out/$f" ] || fail "fwq: no $f"
done
[ "$(grep -vc '^#' "$dir/out/fwq-isle-2.dat")" -eq 100 ] || fail "fwq: not every sample was kept"
head -c 8 "$dir/out/fwq.png" | grep -q PNG || fail "fwq: fwq.png is no PNG"
grep -q "made 6 exits to the proxy" "$dir/stdout" || fail "fwq: wrong count of exits"
json "$dir/out/fwq.json" 'd["result"]["isle_during_marked"]["events"]["exits"]["park"]==[6]'
grep -ho 'work=[0-9]*' "$dir"/out/fwq-*-[12].dat | sort -u | wc -l | grep -qx 1 ||
    fail "fwq: the two sides did not do the same work"

if [ "$cpus" -ge 2 ]; then
    expect 0 "fwq --load" "^the isle's cores were preempted 14 times" \
        bench --pairs 2 fwq --load --samples 100 --us 20
    if pgrep -f -- "--lull $dir/lull" >/dev/null; then
        fail "fwq --load: a spinner is left"
    fi
    for f in fwq-load.png fwq-load.json fwq-load.gp fwq-load-untuned.ccdf fwq-load-isle.ccdf; do
        [ -s "$dir/out/$f" ] || fail "fwq --load: no $f"
    done
    json "$dir/out/fwq-load.json" 'set(d["result"]["systems"])=={"untuned","pinned","tuned","isle"}'
    json "$dir/out/fwq-load.json" 'd["result"]["systems"]["isle"]["preempted"]["by_round"]==[7,7]'
    json "$dir/out/fwq-load.json" 'all(len(s["noise_rate"]["by_round"])==2 for s in d["result"]["systems"].values() if s["ran"])'
    json "$dir/out/fwq-load.json" 'd["result"]["systems"]["tuned"]["ran"] or d["result"]["systems"]["tuned"]["why"]'
 json "$dir/out/fwq-load.json" 'd["result"]["isolated"]'
    STAND_IN_NO_REQUIRE=1 expect 0 "fwq --load, not isolated" "^the isle is not isolated" \
        bench --no-plot --pairs 1 fwq --load --samples 50 --us 20
    json "$dir/out/fwq-load.json" 'not d["result"]["isolated"]'
    expect 0 "fwq --load=COMMAND" "^load: sleep 50.25; " \
        bench --no-plot --pairs 1 fwq "--load=sleep 50.25" --samples 50 --us 20
    if pgrep -fx "sleep 50.25" >/dev/null; then
        fail "fwq --load=COMMAND: the command is left"
    fi
    expect 1 "a load that ends" "the load ended before the runs did: true" \
        bench --no-plot --pairs 1 fwq --load=true --samples 50 --us 20
    STAND_IN_NO_REPORT=1 expect 1 "fwq --load: no report" "lull's report" \
        bench --no-plot --pairs 1 fwq --load --samples 50 --us 20
    compgen -G "/sys/fs/cgroup/lull-bench.*" >/dev/null && fail "fwq --load: a cpuset is left"
    compgen -G "/sys/fs/cgroup/cpuset/lull-bench.*" >/dev/null && fail "fwq --load: a cpuset is left"
fi

expect 0 "strassen" "GFLOP/s" bench --pairs 1 strassen 100 --reps 1
expect 0 "start" "launch to main" bench --pairs 3 start
if [ "$cpus" -ge 2 ]; then
    expect 0 "pread" "no core left to Linux" bench --pairs 1 pread
    json "$dir/out/pread.json" 'd["one_core_left"]["exits_per_pread"]==3/20000 and "no_core_left" in d'
fi
if command -v mpirun.mpich >/dev/null; then
    expect 0 "--mpirun" "GFLOP/s" bench --mpirun --pairs 1 strassen 100 --reps 1
    json "$dir/out/strassen.json" 'd["result"]["isle_command"].startswith("mpirun.mpich -n 1 ")'
fi

if [ "$cpus" -ge 2 ] && [ -x "$bin/mpi-pingpong" ]; then
    export STAND_IN_COUNT="$dir/mpi-count"
    expect 0 "mpi" "^Plot: .*mpi.png" bench --cpus 2 --pairs 2 mpi --quick
    for f in mpi.png mpi.json mpi.gp mpi-latency.dat mpi-bandwidth.dat mpi-allreduce-isle-ccdf.dat \
        mpi-allreduce-native-1.dat mpi-allreduce-isle-2.dat; do
        [ -s "$dir/out/$f" ] || fail "mpi: no $f"
    done
    head -c 8 "$dir/out/mpi.png" | grep -q PNG || fail "mpi: mpi.png is no PNG"
    grep -q "made 12 exits to the proxy" "$dir/stdout" || fail "mpi: wrong count of exits"
    [ "$(grep -vc '^#' "$dir/out/mpi-latency.dat")" -eq 8 ] || fail "mpi: not every size has a latency"
    [ "$(grep -vc '^#' "$dir/out/mpi-allreduce-isle-2.dat")" -eq 200 ] ||
        fail "mpi: not every iteration was kept"
    json "$dir/out/mpi.json" 'len(set(d["rank_cpus"]))==2 and d["mpi"]=="debian" and d["mpirun"]'
    json "$dir/out/mpi.json" 'all("rank 0 on CPU %d, rank 1 on CPU %d; MPICH" % tuple(d["rank_cpus"]) in d[k]["table"][n] for k in ("pingpong","allreduce") for n in ("native_note","isle_note"))'
    json "$dir/out/mpi.json" '{m["name"] for m in d["pingpong"]["table"]["metrics"]} >= {"latency 8 B","latency 64 KiB","bandwidth 8 B","bandwidth 64 KiB"}'
    json "$dir/out/mpi.json" '{m["name"] for m in d["allreduce"]["table"]["metrics"]} >= {"allreduce 8 B","work alone","work + allreduce","work + allreduce, max","slowdown"}'
    json "$dir/out/mpi.json" 'd["pingpong"]["isle_during_marked"]["events"]["exits"]["park"]==[6,6]'
    expect 0 "mpi --only, --json" '"lull-bench-1"' \
        bench --cpus 2 --no-plot --json --pairs 1 mpi --only allreduce --quick
    json "$dir/stdout" '"allreduce" in d and "pingpong" not in d'
    STAND_IN_SWAP_AT=5 expect 1 "mpi: a rank is elsewhere" "expected \"rank 0 on CPU" \
        bench --cpus 2 --no-plot --pairs 1 mpi --quick
    no_table "mpi: a rank is elsewhere"
    STAND_IN_SAME_CPU=1 expect 1 "mpi: ranks share a CPU" "no two CPUs in" \
        bench --cpus 2 --no-plot --pairs 1 mpi --quick
    STAND_IN_NO_REPORT=1 expect 1 "mpi: no report" "lull's report" \
        bench --cpus 2 --no-plot --pairs 1 mpi --quick
    expect 1 "mpi on one CPU" "mpi needs two CPUs" bench mpi --quick
    expect 2 "mpi, wrong usage" "expected --mpi debian or static" bench mpi --mpi x
    expect 2 "mpi, another argument" "unexpected argument x" bench mpi x
fi

# noise: what the systems send is made up, what the driver makes of it is not
mkdir "$dir/qemu"
cp "$(dirname "$0")/stand-in-qemu.sh" "$dir/qemu/qemu-system-x86_64"
noise() {
    PATH=$dir/qemu:$PATH bench "${noise_options[@]}" noise --virtual --samples 200 --us 10 \
        --kernel "$0" "$@"
}
noise_options=()
expect 0 "noise" "^Linux, 2 CPUs, tuned .* 200 .* 0 .* 0$" noise
grep -q "^isle  *200  *0.002002  *10.012  *0  *0.000  *0.000e+00  *0$" "$dir/stdout" ||
    fail "noise: wrong figures of the isle"
grep -q "^Linux  *200  *0.002052  *10.012  *20  *2.500 " "$dir/stdout" ||
    fail "noise: wrong figures of Linux"
grep -q "would be 20 (stock-2) 20 (tuned)" "$dir/stdout" || fail "noise: wrong figures of the clock"
grep -q "LOC Local timer interrupts  *7$" "$dir/stdout" || fail "noise: wrong count of interrupts"
for f in noise.png noise.json noise.gp noise-isle.dat noise-tuned.counts; do
    [ -s "$dir/out/$f" ] || fail "noise: no $f"
done
head -c 8 "$dir/out/noise.png" | grep -q PNG || fail "noise: noise.png is no PNG"
json "$dir/out/noise.json" 'all(s["ran"] for s in d["result"]["systems"].values())'
json "$dir/out/noise.json" '[s["detours"] for s in d["result"]["systems"].values()]==[0,20,0,0]'
json "$dir/out/noise.json" 'd["result"]["systems"]["stock"]["events"]["interrupts"]["LOC Local timer interrupts"]==[7]'
noise_options=(--json)
expect 0 "noise --json" '"lull-bench-1"' noise
json "$dir/stdout" 'd["bench"]=="noise"'
noise_options=()
STAND_IN_QEMU=nohz_full expect 0 "noise: tuned Linux can't be had" \
    "tuned .*not run: .*exit code 1: stand-in: told to fail" noise
json "$dir/out/noise.json" 'not d["result"]["systems"]["tuned"]["ran"] and d["result"]["systems"]["isle"]["ran"]'
STAND_IN_QEMU=-smp expect 1 "noise: Linux can't be had" "Linux  *not run: .*told to fail" noise
grep -q "^isle  *200 " "$dir/stdout" || fail "noise: no figures of the isle without Linux"
STAND_IN_QEMU_CUT=1 expect 1 "noise: Linux ends too early" "ended before it had sent all" noise
STAND_IN_FAIL_AT=1 STAND_IN_COUNT=$dir/noise-count expect 1 "noise: the isle fails" \
    "isle  *not run: .*exit code 125" noise
STAND_IN_HZ=2600000000.0 expect 1 "noise: the isle has no virtual time" "that is no virtual time" noise
(
    mkdir "$dir/empty"
    # shellcheck disable=SC2123 # a search path without QEMU is meant
    PATH=$dir/empty
    bench --no-plot noise --virtual --kernel "$0"
    [ $? -eq 1 ]
) || fail "no QEMU: wrong exit code"
grep -q "Linux  *not run: .*cannot execute qemu-system-x86_64" "$dir/stdout" || fail "no QEMU: no clear line"
expect 1 "noise: no kernel" "cannot read the kernel /nonexistent" noise --kernel /nonexistent
expect 2 "noise without --virtual" "say --virtual" bench noise
expect 2 "noise, wrong usage" "unexpected argument x" noise x
expect 2 "noise, wrong number" "expected a whole number" noise --samples 1

# failures: one clear line, a true code, no table
expect 1 "no lull" "cannot execute /nonexistent/lull" bench --lull /nonexistent/lull start
expect 1 "the program fails natively" "failed natively with exit code 1" bench strassen --spoil 64
no_table "strassen --spoil"
export STAND_IN_COUNT="$dir/count"
STAND_IN_FAIL_AT=3 expect 1 "lull fails in the second pair" \
    "pair 2 of 2: failed on an isle with exit code 125" bench --pairs 2 "${quick_os[@]}"
no_table "lull fails"
STAND_IN_NO_REPORT=1 expect 1 "lull writes no report" "lull's report" bench --pairs 1 fwq --samples 50 --us 10
no_table "no report"
expect 1 "a run takes too long" "did not end natively within 0.2 s" bench --timeout 0.2 fwq --samples 100000
(
    mkdir "$dir/path"
    # shellcheck disable=SC2123 # a search path without gnuplot is meant
    PATH=$dir/path
    bench fwq --samples 50
    [ $? -eq 1 ]
) || fail "no gnuplot: wrong exit code"
grep -q "gnuplot, which is not installed" "$dir/stderr" || fail "no gnuplot: no clear line"
expect 2 "no name" "which benchmark" bench
expect 2 "wrong name" "no benchmark is called x" bench x
expect 2 "wrong CPUs" "expected a number of CPUs" bench --cpus x os
expect 2 "CPU that is not there" "not there or not allowed" bench --cpus 1000-1001 os
expect 0 "--help" "usage: lull-bench" bench --help

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
