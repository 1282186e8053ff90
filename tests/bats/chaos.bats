# SPDX-License-Identifier: MIT
# Proxies that are killed at any moment, alone and beside others: afterwards the host is as before.
# CHAOS_LAUNCHES=500 is the full run; CHAOS_SEED another order of things.
LAUNCHES=${CHAOS_LAUNCHES:-60}
RANDOM=${CHAOS_SEED:-1}
load common

# Everything that could be left; what the journal still has is put back by lull gc before.
state_of_host() {
    local record of
    host_settings
    # of this lull, its forked isles and its QEMUs; nothing of what it starts
    find /proc/[0-9]*/exe -lname "$(readlink -f "$LULL")" 2>/dev/null | sed 's/^/process /' || true
    find /sys/fs/cgroup -maxdepth 4 -type d -name 'lull*' 2>/dev/null | sed 's/^/cgroup /' || true
    find /dev/shm /dev/hugepages /tmp -maxdepth 1 -iname '*lull*' -newer stamp 2>/dev/null || true
    # a record without a process; those of others' isles come and go
    for record in /run/lull/*; do
        of=${record##*/isle.}
        case $record in
        */lock) ;;
        */isle.*) [ -d "/proc/${of%%.*}" ] || echo "$record" ;;
        *) ! nobody || echo "$record" ;;
        esac
    done
    grep -E '^HugePages_|^Hugetlb' /proc/meminfo || true
}

# launch: one isle of a random kind, in the background. Sets $pid.
launch() {
    local kind=$((RANDOM % 5)) cpus=$LIST program isolate=auto
    # mostly with a core left to Linux, so that there is something to put back
    [ $((RANDOM % 4)) = 0 ] || cpus=$LAST_CPU-$LAST_CPU
    case $kind in
    0) program=("$PROGRAMS/hello") ;;
    1) program=("$PROGRAMS/omp") ;;
    2) program=("$PROGRAMS/sleeper" compute) ;;
    3) program=(sh -c 'for i in 1 2 3; do (:); /bin/true; done; exec sleep 1') ;;
    4) program=("$PROGRAMS/sleeper") isolate=require ;;
    esac
    OMP_NUM_THREADS=2 setsid env --default-signal=INT,QUIT \
        "$LULL" --cpus "$cpus" --isolate=$isolate --timeout 20 "${program[@]}" >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    pid=$!
}

# After a random time up to 200 ms: many die while they start.
kill_one() {
    local signo
    case $((RANDOM % 3)) in
    0) signo=TERM ;;
    1) signo=INT ;;
    2) signo=KILL ;;
    esac
    sleep "0.$(printf %03d $((RANDOM % 200)))"
    kill "-$signo" "$1" 2>/dev/null || true
    signals[$signo]=$((${signals[$signo]:-0} + 1))
}

# Somebody else's isle would be seen in the settings.
nobody() {
    [ "$("$LULL" ps | wc -l)" = 1 ]
}

# patiently SECONDS COMMAND...: until it succeeds, or that time is over.
patiently() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

gone() {
    [ "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null || echo Z)" = Z ]
}

as_before() {
    "$LULL" gc >>gc
    state_of_host >after
    cmp -s before after
}

@test "launches killed at random moments leave nothing" {
    local n=0 together i all
    declare -A signals
    patiently 20 nobody || true
    "$LULL" gc
    touch stamp
    state_of_host >before
    while [ "$n" -lt "$LAUNCHES" ]; do
        together=$((1 + RANDOM % 3))
        all=()
        for ((i = 0; i < together; i++)); do
            launch
            all+=("$pid")
        done
        n=$((n + together))
        for pid in "${all[@]}"; do
            kill_one "$pid"
        done
        for pid in "${all[@]}"; do
            patiently 5 gone "$pid" || kill -KILL "$pid" # an early INT may be lost on a shell
            wait "$pid" 2>/dev/null || true
        done
    done
    pid=0
    patiently 60 as_before || true
    echo "$n launches, killed by TERM ${signals[TERM]:-0}, INT ${signals[INT]:-0}," \
        "KILL ${signals[KILL]:-0}; given back by lull gc: $(grep -c 'put back$' gc)" >&3
    diff before after
}
