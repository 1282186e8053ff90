#!/bin/bash
# SPDX-License-Identifier: MIT
# The benchmark programs natively: results, checks that do find errors, wrong usage. $1: build/bin
set -u
bin=$1 dir=$(mktemp -d) failures=0
trap 'rm -rf "$dir"' EXIT

# expect CODE COMMAND...
expect() {
    local want=$1 code
    shift
    "$@" >"$dir/out" 2>&1
    code=$?
    if [ "$code" -ne "$want" ]; then
        echo "not ok: $*: exit code $code, expected $want"
        sed 's/^/  | /' "$dir/out"
        failures=$((failures + 1))
    fi
}
check() { # DESCRIPTION COMMAND...
    local what=$1
    shift
    "$@" || { echo "not ok: $what"; failures=$((failures + 1)); }
}

for n in 1 7 8 9 63 64 100 129 250; do
    OMP_NUM_THREADS=2 expect 0 "$bin/strassen" "$n" --cutoff 16 --reps 1
done
for threads in 1 2 5; do
    OMP_NUM_THREADS=$threads expect 0 "$bin/strassen" 300 --cutoff 32 --reps 2
done
for kernel in avx512f avx2 sse2; do
    if "$bin/strassen" 8 --kernel $kernel --reps 1 2>&1 | grep -q "kernel $kernel: expected"; then
        [ $kernel != sse2 ] || expect 0 false
        echo "skipped: this CPU has no $kernel"
        continue
    fi
    expect 0 "$bin/strassen" 200 --kernel $kernel --reps 1
    expect 1 "$bin/strassen" 200 --kernel $kernel --reps 1 --spoil
done
expect 1 "$bin/strassen" 600 --reps 1 --spoil # too large for the full check
expect 2 "$bin/strassen"
expect 2 "$bin/strassen" 0
expect 2 "$bin/strassen" 8 8
expect 1 "$bin/strassen" 8 --kernel none

expect 0 "$bin/fwq" --samples 30 --work 1000 --out "$dir/fwq" --json "$dir/json"
check "fwq: one line per sample" test "$(grep -vc '^#' "$dir/fwq")" -eq $((30 * $(nproc)))
check "fwq: JSON" python3 -m json.tool "$dir/json" "$dir/json.out"
expect 0 "$bin/fwq" --samples 5 --work 1000 --interrupts "$dir/irq"
check "fwq: interrupts before" grep -q 'LOC:' "$dir/irq.before"
check "fwq: interrupts after" grep -q 'LOC:' "$dir/irq.after"
expect 1 "$bin/fwq" --samples 5 --work 1000 --interrupts /nonexistent/x
expect 1 "$bin/fwq" --samples 5 --work 1000 --out /nonexistent/x
expect 2 "$bin/fwq" --samples x
expect 2 "$bin/fwq" extra

expect 0 "$bin/osbench" --samples 50 --threads 20 --rounds 2 --mib 1 --json "$dir/json"
check "osbench: JSON" python3 -m json.tool "$dir/json" "$dir/json.out"
expect 2 "$bin/osbench" --mib 0
expect 0 "$bin/preadbench" --count 500 --json "$dir/json"
check "preadbench: JSON" python3 -m json.tool "$dir/json" "$dir/json.out"
TMPDIR=/nonexistent expect 1 "$bin/preadbench" --count 1
expect 0 "$bin/hello-tsc"
check "hello-tsc: two numbers" grep -qE '^[0-9]+ [0-9]+$' "$dir/out"

if [ -x "$bin/mpi-pingpong" ]; then
    # ranks COMMAND...: two of them, bound to the first and the last CPU
    ranks() {
        local cpu=(0 $(($(nproc) - 1)))
        mpirun.mpich -n 1 taskset -c "${cpu[0]}" "$@" : -n 1 taskset -c "${cpu[1]}" "$@"
    }
    for p in mpi-pingpong mpi-pingpong-static; do
        [ -x "$bin/$p" ] || continue
        expect 0 ranks "$bin/$p" --rounds 20 --json "$dir/json"
        check "$p: JSON" python3 -m json.tool "$dir/json" "$dir/json.out"
        check "$p: all sizes" test "$(grep -c '"bandwidth\|"latency' "$dir/json")" -eq 22
        expect 0 ranks "$bin/$p" --where
        check "$p --where" grep -q '^rank 0 on CPU 0, rank 1 on CPU [0-9]*; MPICH [0-9.]*, ch' "$dir/out"
    done
    for p in mpi-allreduce mpi-allreduce-static; do
        [ -x "$bin/$p" ] || continue
        expect 0 ranks "$bin/$p" --rounds 5 --iterations 30 --us 20 --json "$dir/json" --out "$dir/dat"
        check "$p: JSON" python3 -m json.tool "$dir/json" "$dir/json.out"
        check "$p: a line for each iteration" test "$(grep -vc '^#' "$dir/dat")" -eq 30
        expect 0 ranks "$bin/$p" --calibrate
        check "$p: one count" grep -qxE '[0-9]+' "$dir/out"
        expect 1 ranks "$bin/$p" --rounds 5 --iterations 30 --us 20 --out /nonexistent/x
    done
    expect 1 mpirun.mpich -n 1 taskset -c 0 "$bin/mpi-pingpong"
    if [ "$(nproc)" -gt 1 ]; then
        expect 1 mpirun.mpich -n 2 "$bin/mpi-pingpong"
        check "an unbound rank" grep -q 'CPUs are allowed, not one: bind each rank' "$dir/out"
    fi
    expect 2 "$bin/mpi-pingpong" --max 7
    expect 2 "$bin/mpi-allreduce" x
fi

# ordinary static programs that are not position-independent
for p in fwq strassen osbench preadbench hello-tsc; do
    check "$p is of type EXEC" sh -c "readelf -h '$bin/$p' | grep -q 'Type:.*EXEC'"
    check "$p is static" sh -c "! readelf -l '$bin/$p' | grep -q INTERP"
done

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
