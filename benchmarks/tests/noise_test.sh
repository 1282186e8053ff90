#!/bin/bash
# SPDX-License-Identifier: MIT
# Noise in virtual time with true systems, but few samples. $1: build/bin. Exit code 77: this
# machine has no QEMU, or no kernel and no way to get one.
set -u
bin=$1 dir=$(mktemp -d) failures=0
trap 'rm -rf "$dir"' EXIT

command -v qemu-system-x86_64 >/dev/null || { echo "skipped: no qemu-system-x86_64"; exit 77; }
[ -e "$bin/../noise/vmlinuz" ] || "$bin/../noise/noise-kernel" "$bin/../noise" ||
    { echo "skipped: no kernel"; exit 77; }

# 20 ms of virtual time, in which a clock of 250 Hz ticks five times
"$bin/lull-bench" --dir "$dir" --no-plot noise --virtual --samples 1000 --us 20 >"$dir/stdout" || {
    echo "not ok: exit code $?"
    failures=1
}
cat "$dir/stdout"
expect() { # EXPRESSION over s, the systems by name
    python3 - "$dir/noise.json" "$1" <<'EOF' || { echo "not ok: $1"; failures=$((failures + 1)); }
import json, sys
s = json.load(open(sys.argv[1]))["result"]["systems"]
sys.exit(not eval(sys.argv[2]))
EOF
}
expect 'all(x["ran"] and x["samples"] == 1000 for x in s.values())'
expect 's["isle"]["detours"] == 0 and s["isle"]["changed"] == 0 and s["isle"]["noise_rate"] == 0'
expect '0.0199 < s["isle"]["virtual_s"] < 0.0201'
expect '4 <= s["stock"]["detours"] <= 8 and s["stock"]["longest_us"] > 1'
expect '4 <= s["stock"]["events"]["interrupts"]["LOC Local timer interrupts"][0] <= 8'
expect '4 <= s["stock-2"]["detours"] <= 8'
expect 's["tuned"]["detours"] == 0 and s["tuned"]["by_shared_clock"]["detours"] >= 4'
expect 'all(x["shortest_us"] == s["isle"]["shortest_us"] for x in s.values())'

# the same again gives the same
"$bin/lull" --virtual-time --cpus 1 -- "$bin/fwq" --samples 1000 --work 6666 --out "$dir/again" \
    >"$dir/stdout" || { cat "$dir/stdout"; failures=$((failures + 1)); }
if ! cmp <(grep -v '^#' "$dir/noise-isle.dat") <(grep -v '^#' "$dir/again"); then
    echo "not ok: two runs of the isle differ"
    failures=$((failures + 1))
fi
[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
