# SPDX-License-Identifier: MIT
# Proxies that are killed at any moment, alone and beside others: afterwards the host is as before.
# CHAOS_LAUNCHES=500 is the full run; CHAOS_SEED another order of things.
LAUNCHES=${CHAOS_LAUNCHES:-60}
RANDOM=${CHAOS_SEED:-1}
load common

# Everything that could be left; what the journal still has is put back by lull gc before.
state_of_host() {
    local p
    host_settings
    for p in $(lull_pids) $(qemu_pids); do
        [ "$(cut -d' ' -f3 "/proc/$p/stat" 2>/dev/null)" = Z ] || echo "process $p"
    done
    find /sys/fs/cgroup -maxdepth 4 -type d -name 'lull*' 2>/dev/null | sed 's/^/cgroup /'
    find /dev/shm /dev/hugepages /tmp -maxdepth 1 -iname '*lull*' -newer stamp 2>/dev/null
    find /run/lull -type f ! -name lock 2>/dev/null
    grep -E '^HugePages_|^Hugetlb' /proc/meminfo
    ipcs -m | grep -c 0x || true
}

# launch: one isle of a random kind, in the background. Sets $pid.
launch() {
    local kind=$((RANDOM % 4)) cpus=$LIST program
    # mostly with a core left to Linux, so that there is something to put back
    [ $((RANDOM % 4)) = 0 ] || cpus=$LAST_CPU-$LAST_CPU
    case $kind in
    0) program=("$PROGRAMS/hello") ;;
    1) program=("$PROGRAMS/omp") ;;
    2) program=("$PROGRAMS/sleeper" compute) ;;
    3) program=(sh -c 'for i in 1 2 3; do (:); /bin/true; done; exec sleep 1') ;;
    esac
    OMP_NUM_THREADS=2 setsid env --default-signal=INT,QUIT \
        "$LULL" --cpus "$cpus" --timeout 20 "${program[@]}" >/dev/null 2>&1 </dev/null 3>&- 4>&- &
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

nobody_left() {
    [ -z "$(state_of_host | grep ^process)" ] && [ "$("$LULL" ps | wc -l)" = 1 ]
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
    wait_for 30 nobody_left
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
            wait_for 5 gone "$pid" || kill -KILL "$pid" # an early INT may be lost on a shell
            wait "$pid" 2>/dev/null || true
        done
    done
    pid=0
    wait_for 60 as_before || true
    echo "$n launches, killed by TERM ${signals[TERM]:-0}, INT ${signals[INT]:-0}," \
        "KILL ${signals[KILL]:-0}; given back by lull gc: $(grep -c 'put back$' gc)" >&3
    diff before after
}
