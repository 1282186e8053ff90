# SPDX-License-Identifier: MIT
# Isles that end in every way, proxies that are killed at any moment, alone and beside others: shortly
# afterwards the host is as before, without lull gc.
# CHAOS_LAUNCHES=500 is the full run; CHAOS_SEED another order of things.
LAUNCHES=${CHAOS_LAUNCHES:-60}
RANDOM=${CHAOS_SEED:-1}
load common

# Everything that could be left.
state_of_host() {
    local record of
    host_settings
    # of this lull, its forked isles and its QEMUs; nothing of what it starts
    find /proc/[0-9]*/exe -lname "$(readlink -f "$LULL")" 2>/dev/null | sed 's/^/process /' || true
    find /sys/fs/cgroup -maxdepth 4 -type d -name 'lull*' 2>/dev/null | sed 's/^/cgroup /' || true
    find /dev/shm /dev/hugepages /tmp -maxdepth 1 -iname '*lull*' -newer stamp 2>/dev/null || true
    # a record without a process, unless it wants nothing; those of others' isles come and go
    for record in /run/lull/*; do
        of=${record##*/isle.}
        case $record in
        */lock) ;;
        */isle.*) [ -d "/proc/${of%%.*}" ] || grep -ls '^want' "$record" || true ;;
        *) ! nobody || echo "$record" ;;
        esac
    done
    grep -E '^HugePages_|^Hugetlb' /proc/meminfo || true
}

# launch KIND: one isle, in the background. Sets $pid and $lasts: it does not end by itself.
launch() {
    local cpus=$LIST program options=()
    # mostly with a core left to Linux, so that there is something to put back
    [ $((RANDOM % 4)) = 0 ] || cpus=$LAST_CPU-$LAST_CPU
    lasts=false
    case $1 in
    hello) program=("$PROGRAMS/hello") ;;
    omp) program=("$PROGRAMS/omp") ;;
    compute) program=("$PROGRAMS/sleeper" compute) lasts=true ;;
    shell) program=(sh -c 'for i in 1 2 3; do (:); /bin/true; done; exec sleep 0.3') ;;
    require) program=("$PROGRAMS/sleeper") lasts=true options=(--isolate=require) ;;
    fds) program=("$PROGRAMS/endings" fds) ;;
    children) program=("$PROGRAMS/endings" children) ;;
    drop) program=("$PROGRAMS/drop") ;;
    dropexec) program=("$PROGRAMS/drop" sh -c '(:); exec true') ;;
    exec) program=(sh -c 'exec sleep 0.3') ;;
    fifo) program=("$PROGRAMS/hello") options=(--report=fifo) ;;
    full)
        # a /run of its own, which is full when the isle ends
        program=(sh -c 'cat /dev/zero >/run/all 2>/dev/null; exit 0')
        ;;
    esac
    # shellcheck disable=SC2016
    [ "$1" != full ] || small=(unshare --mount --propagation private
        sh -c 'mount -t tmpfs -o size=1m none /run && exec "$@"' small)
    [ "$1" = full ] || small=()
    OMP_NUM_THREADS=2 setsid env --default-signal=INT,QUIT "${small[@]}" \
        "$LULL" --cpus "$cpus" --timeout 20 "${options[@]}" "${program[@]}" >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    pid=$!
}

# After a random time up to 200 ms: many die while they start. $2: it does not end by itself.
kill_one() {
    local signo
    case $((RANDOM % 5)) in
    0) signo=TERM ;;
    1) signo=INT ;;
    2) signo=KILL ;;
    *) $2 && signo=KILL || signo=none ;;
    esac
    signals[$signo]=$((${signals[$signo]:-0} + 1))
    [ $signo != none ] || return 0
    sleep "0.$(printf %03d $((RANDOM % 200)))"
    kill "-$signo" "$1" 2>/dev/null || true
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
    state_of_host >after
    cmp -s before after
}

@test "launches that end in any way, or are killed at random moments, leave nothing" {
    local n=0 together i all last round kind
    local kinds=(hello omp compute shell require fds children drop dropexec exec fifo full)
    declare -A signals launched left
    patiently 20 nobody || true
    "$LULL" gc
    mkfifo fifo
    touch stamp
    state_of_host >before
    while [ "$n" -lt "$LAUNCHES" ]; do
        # two records of the same settings are for one at a time
        together=$((1 + RANDOM % 3))
        all=() last=() round=()
        for ((i = 0; i < together; i++)); do
            kind=${kinds[n % ${#kinds[@]}]}
            [ "$kind" != full ] || [ $i = 0 ] || break
            launch "$kind"
            all+=("$pid") last+=("$lasts") round+=("$kind")
            launched[$kind]=$((${launched[$kind]:-0} + 1))
            n=$((n + 1))
            [ "$kind" != full ] || break
        done
        for i in "${!all[@]}"; do
            kill_one "${all[i]}" "${last[i]}"
        done
        for pid in "${all[@]}"; do
            patiently 20 gone "$pid" || kill -KILL "$pid" # an early INT may be lost on a shell
            wait "$pid" 2>/dev/null || true
        done
        pid=0
        # nobody but the keeper gives back
        patiently 20 as_before || {
            for kind in "${round[@]}"; do # whichever of them it was
                left[$kind]=$((${left[$kind]:-0} + 1))
            done
            diff before after >&2 || true
            "$LULL" gc >&2 || true
        }
    done
    echo "$n launches, killed by TERM ${signals[TERM]:-0}, INT ${signals[INT]:-0}," \
        "KILL ${signals[KILL]:-0}, by nobody ${signals[none]:-0}" >&3
    for kind in "${kinds[@]}"; do
        echo "$kind: ${launched[$kind]:-0} launched, ${left[$kind]:-0} times in a round that left something" >&3
    done
    "$LULL" gc
    state_of_host >after
    diff before after >&2
    [ ${#left[@]} = 0 ]
}
