# SPDX-License-Identifier: MIT
# Isles that end in every way, proxies that are killed at any moment, alone and beside others: shortly
# afterwards the host is as before, without lull gc.
# CHAOS_LAUNCHES=500 is the full run; CHAOS_SEED another order of things.
# Whatever goes wrong is printed at once, with the launch that it happened to: a run that is ended from
# outside has said so far what it saw.
LAUNCHES=${CHAOS_LAUNCHES:-60}
STALL=${CHAOS_STALL:-120} # seconds without progress before watch() ends what the test waits for
BAD_ROUNDS=5 # after so many rounds that left something the others are not run
RANDOM=${CHAOS_SEED:-1}
load common
watcher=0 since=0 doing=start

teardown() {
    [ "$watcher" = 0 ] || kill "$watcher" 2>/dev/null || true
    [ "$pid" = 0 ] || kill -KILL "$pid" 2>/dev/null || true
}

# Everything that could be left.
state_of_host() {
    local record of
    host_settings
    # of this lull, its forked isles and its QEMUs; nothing of what it starts
    find /proc/[0-9]*/exe -lname "$(readlink -f "$LULL")" 2>/dev/null | sed 's/^/process /' || true
    find /sys/fs/cgroup -maxdepth 4 -type d -name 'lull*' 2>/dev/null | sed 's/^/cgroup /' || true
    lull_files stamp
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

# What the test does now, for watch(). What took long is printed.
step() {
    [ $((SECONDS - since)) -lt 10 ] || echo "$doing: $((SECONDS - since)) s" >&3
    since=$SECONDS
    doing=$*
    echo "$*" >progress
}

# below PID [EXCEPT]: it and the processes below it, without EXCEPT and those below that.
below() {
    local child children
    [ "$1" != "${2:-}" ] || return 0
    echo "$1"
    read -ra children < <(cat "/proc/$1/task/"*/children 2>/dev/null | tr '\n' ' ') || true
    for child in "${children[@]}"; do
        below "$child" "${2:-}"
    done
}

# describe PID...: what each thread of them does and where it waits.
describe() {
    local task
    for task in $(printf '/proc/%s/task/*\n' "$@"); do
        [ -r "$task/status" ] || continue
        grep -sE '^(Name|State|PPid|SigPnd|ShdPnd|SigBlk):' "$task/status" | tr '\n' ' '
        echo "[${task#/proc/}]"
        tr '\0' ' ' <"$task/cmdline" 2>/dev/null | cut -c 1-200 || true
        cat "$task/stack" 2>/dev/null || cat "$task/wchan" 2>/dev/null || true
    done
}

# watch SHELL: ends what the test waits for if SHELL makes no progress for STALL seconds, and says
# what that was; the third time, SHELL too.
watch() {
    local now before='' still=0 times=0 found self
    while sleep 5 5>&- && [ -d "/proc/$1" ]; do
        now=$(cat progress)
        [ "$now" = "$before" ] && still=$((still + 5)) || still=0
        before=$now
        [ "$still" -ge "$STALL" ] || continue
        still=0
        self=$BASHPID
        found=$({
            lull_pids
            below "$1" "$self"
        } | sort -un | grep -vx "$1")
        echo "no progress for $STALL s: $now" >&5
        # shellcheck disable=SC2086
        describe "$1" $found >&5
        touch stuck
        # shellcheck disable=SC2086
        kill -KILL $found 2>/dev/null || true
        times=$((times + 1))
        [ $times -lt 3 ] || kill -KILL "$1"
    done
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

# What is not as before(), and what lull's processes do.
differs() {
    diff before after || true
    # shellcheck disable=SC2046
    describe $(lull_pids)
}

# ends N KIND PID: waits for a launch, which ends by itself or was killed.
ends() {
    step "launch $1 ($2, process $3): waits for its end"
    code=0
    if ! patiently 15 gone "$3"; then
        echo "launch $1 ($2) has not ended after 15 s:" >&3
        # shellcheck disable=SC2046
        describe $(below "$3") >&3
        patiently 30 gone "$3" || {
            echo "launch $1 ($2) never ended" >&3
            kill -KILL "$3"
            wait "$3" || true
            return 1
        }
    fi
    wait "$3" || code=$?
    [ "$code" != 124 ] || { # that of --timeout
        echo "launch $1 ($2) was ended by --timeout" >&3
        return 1
    }
}

@test "launches that end in any way, or are killed at random moments, leave nothing" {
    since=$SECONDS
    local n=0 bad=0 late=0 together i all last round kind shell
    local kinds=(hello omp compute shell require fds children drop dropexec exec fifo full)
    declare -A signals launched left
    step "looks at the machine"
    shell=$BASHPID # of the watcher it would be another
    watch "$shell" 2>/dev/null 4>&- 5>&3 3>&- &
    watcher=$!
    patiently 20 nobody || true
    "$LULL" gc
    mkfifo fifo
    touch stamp
    state_of_host >before
    while [ "$n" -lt "$LAUNCHES" ] && [ "$bad" -lt "$BAD_ROUNDS" ] && [ ! -e stuck ]; do
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
        step "launches up to $n (${round[*]})"
        for i in "${!all[@]}"; do
            kill_one "${all[i]}" "${last[i]}"
        done
        for i in "${!all[@]}"; do
            pid=${all[i]}
            ends $((n - ${#all[@]} + i + 1)) "${round[i]}" "$pid" || late=$((late + 1))
        done
        pid=0
        step "launches up to $n (${round[*]}): waits until nothing is left"
        # nobody but the keeper gives back
        patiently 8 as_before || {
            echo "$doing: there is still, after 8 s" >&3
            differs >&3
        }
        patiently 12 as_before || {
            for kind in "${round[@]}"; do # whichever of them it was
                left[$kind]=$((${left[$kind]:-0} + 1))
            done
            bad=$((bad + 1))
            echo "launches up to $n (${round[*]}) left something:" >&3
            differs >&3
            step "launches up to $n (${round[*]}): lull gc"
            "$LULL" gc >&3 2>&1 || true
            patiently 5 as_before || {
                echo "lull gc does not help: nothing more can be seen" >&3
                break
            }
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
    [ ${#left[@]} = 0 ] && [ "$late" = 0 ] && [ ! -e stuck ]
}
