#!/bin/bash
# SPDX-License-Identifier: MIT
# In the place of lull in driver_test.sh: drops the options and runs the program on plain Linux,
# after writing a report of the right shape. Not an isle: what is timed with it means nothing.
# --virtual-time: the program does not run; its samples are made up.
# STAND_IN_FAIL_AT=N: the Nth call (counted in the file STAND_IN_COUNT) fails.
# STAND_IN_SWAP_AT=N: so counted, MPI ranks are from the Nth call on where others are. With
# STAND_IN_SAME_CPU they are all on one CPU.
set -eu
cpus='' report='' virtual=''
while [ $# -gt 0 ]; do
    case $1 in
    --cpus) cpus=$2; shift 2 ;;
    --report=*) report=${1#--report=}; shift ;;
    --virtual-time) virtual=1; shift ;;
    --isolate=require) [ -z "${STAND_IN_NO_REQUIRE:-}" ] || exit 125; shift ;;
    --) shift; break ;;
    *) echo "stand-in: unknown option $1" >&2; exit 125 ;;
    esac
done
if [ -n "${STAND_IN_FAIL_AT:-}" ]; then
    echo x >>"$STAND_IN_COUNT"
    if [ "$(wc -l <"$STAND_IN_COUNT")" -ge "$STAND_IN_FAIL_AT" ]; then
        echo "stand-in: told to fail" >&2
        exit 125
    fi
fi
if [ "$cpus" = 1 ] && [ -n "${MPI_LOCALRANKID:-}" ]; then # a core of its own for each rank
    allowed=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
    all=()
    for part in ${allowed//,/ }; do
        for cpu in $(seq "${part%-*}" "${part#*-}"); do all+=("$cpu"); done
    done
    at=$MPI_LOCALRANKID
    if [ -n "${STAND_IN_SWAP_AT:-}" ]; then
        echo x >>"$STAND_IN_COUNT"
        [ "$(wc -l <"$STAND_IN_COUNT")" -lt "$STAND_IN_SWAP_AT" ] || at=$((1 - at))
    fi
    [ -z "${STAND_IN_SAME_CPU:-}" ] || at=0
    cpus=${all[at]}-${all[at]}
    report=${report/\%r/$PMI_RANK}
fi
if [ -n "$report" ] && [ -z "${STAND_IN_NO_REPORT:-}" ]; then
    {
        printf '{"schema": "lull-report-2", "marked": {"seconds": 0.5, "cores": ['
        comma='' core=0
        for part in ${cpus//,/ }; do
            for cpu in $(seq "${part%-*}" "${part#*-}"); do
                printf '%s{"core": %d, "cpu": %d, "exits": {"total": 4, "mark": 1, "park": 3},' \
                    "$comma" "$core" "$cpu"
                printf '"kernel": {"fault": 0, "interrupt": 0, "pagefault": 0}, "thread": {"nivcsw": 7},'
                printf '"host_interrupts": {"LOC Local timer interrupts": 5}}'
                comma=', ' core=$((core + 1))
            done
        done
        printf ']}}\n'
    } >"$report"
fi
if [ -n "$virtual" ]; then # fwq --samples N --work W --out FILE
    {
        echo "# lull-fwq-1 tsc_hz=${STAND_IN_HZ:-1000000000.000} work=$5 cores=1 samples=$3 cpus=1"
        for i in $(seq 0 $(($3 - 1))); do
            echo "0 $i $((3 * $5 + 13))"
        done
    } >"$7"
    exit 0
fi
exec taskset -c "$cpus" "$@"
