#!/bin/bash
# SPDX-License-Identifier: MIT
# In the place of qemu-system-x86_64 in driver_test.sh: no machine, only files of the right shape,
# made up. One detour in ten samples by the shared clock, none by the plugin's counts.
# STAND_IN_QEMU=WORD: fails where its command line has WORD. STAND_IN_QEMU_CUT=1: sends half.
set -eu
[ -n "${STAND_IN_QEMU:-}" ] && case " $* " in
*"$STAND_IN_QEMU"*) echo "stand-in: told to fail" >&2; exit 1 ;;
esac
serial=() append='' plugin='' smp=1 initrd=''
while [ $# -gt 0 ]; do
    case $1 in
    -serial) serial+=("${2#file:}"); shift ;;
    -append) append=$2; shift ;;
    -plugin) plugin=$2; shift ;;
    -smp) smp=$2; shift ;;
    -initrd) initrd=$2; shift ;;
    esac
    shift
done
head -c 6 "$initrd" | grep -q 070701
read -r cpu _ _ n _ work <<<"${append##*-- }"
own=$((3 * work + 13)) column=$((smp > 1 ? 2 : 1))
interrupts() { # COUNT
    printf '           %s\nLOC: %s   Local timer interrupts\n' \
        "$(printf 'CPU%d ' $(seq 0 $((column - 1))))" \
        "$([ $column = 1 ] && echo "$1" || echo "9 $1")"
}
section() { # NAME TEXT
    printf '@%s %d\n%s' "$1" ${#2} "$2"
}
samples=$(echo "# lull-fwq-1 tsc_hz=999999000.000 work=$work cores=1 samples=$n cpus=$cpu"
    for i in $(seq 0 $((n - 1))); do
        echo "0 $i $((own + (i % 10 == 5 ? 2500 : 0)))"
    done)
echo "a kernel's messages" >"${serial[0]}"
{
    section kernel 6.1.0-stand-in
    section status 0
    section before "$(interrupts 40)"
    section after "$(interrupts 47)"
    [ -n "${STAND_IN_QEMU_CUT:-}" ] || section samples "$samples"
    [ -n "${STAND_IN_QEMU_CUT:-}" ] || section end ''
} >"${serial[1]}"
if [ -n "$plugin" ]; then
    out=${plugin#*out=}
    for i in $(seq 0 $((n + 20))); do
        echo "$((1000 + i * own)) 0"
    done >"${out%,cpu=*}"
fi
