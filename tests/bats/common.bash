# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the isle's tests share. LULL_BUILD: the build directory, else build/ of the repository.
# A failed test prints what it compared; RUN_LIMIT seconds end a run that hangs.

BUILD=${LULL_BUILD:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}
BIN=$BUILD/bin
LULL=$BIN/lull
PROGRAMS=$BUILD/tests/programs
RUN_LIMIT=${LULL_TEST_LIMIT:-60}

# The first two CPUs that this shell may use (one, on a machine with one): both sides get the same.
allowed_cpus() {
    taskset -pc $$ | sed 's/.*: //' | tr ',' '\n' |
        awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }'
}
CPUS=$(allowed_cpus | head -2 | paste -sd,)
FIRST_CPU=${CPUS%%,*}
LAST_CPU=${CPUS##*,}
# As lists for --cpus, which takes a number alone as a count.
LIST=$CPUS
[[ $CPUS == *,* ]] || LIST=$CPUS-$CPUS
FIRST=$FIRST_CPU-$FIRST_CPU

# Nothing of the caller's environment steers a test, but for which engine it is to be tested on.
kvm_usable() {
    [ -r /dev/kvm ] && [ -w /dev/kvm ] && [ "$(stat -Lc %t:%T /dev/kvm)" = a:e8 ]
}
ENGINE=${LULL_TEST_ENGINE:-$(kvm_usable && echo kvm || echo qemu-tcg)}
for variable in "${!LULL_@}" "${!OMP_@}" "${!GOMP_@}" "${!T_@}"; do
    [[ $variable =~ ^LULL_(BUILD|TEST_LIMIT|TEST_ENGINE)$ ]] || unset "$variable"
done
export LULL_ENGINE=$ENGINE
# A translated processor is slow, and has no SIMD exceptions: natively they are left out too.
if [ "$ENGINE" = qemu-tcg ]; then
    RUN_LIMIT=$((RUN_LIMIT * 3))
    export T_NO_SIMD_EXCEPTIONS=1
fi
ulimit -c 0
code=0 native_code=0 pid=0

setup() {
    need_isle
    cd "$BATS_TEST_TMPDIR" || return 1
}

# A test that failed half way leaves nothing running.
teardown() {
    [ "$pid" = 0 ] || kill -KILL "$pid" 2>/dev/null || true
}

fail() {
    printf '%s\n' "$@" >&2
    return 1
}

need_isle() {
    [ -x "$LULL" ] || fail "$LULL is not there: build first, or set LULL_BUILD"
    [[ $ENGINE == *kvm ]] || return 0
    [ -e /dev/kvm ] || fail "this machine has no /dev/kvm: try make check ENGINE=qemu-tcg"
    { [ -r /dev/kvm ] && [ -w /dev/kvm ]; } ||
        fail "no right to /dev/kvm: try make check ENGINE=qemu-tcg"
}

# What only one engine can show: need_engine REASON ENGINE...
need_engine() {
    local reason=$1 one
    shift
    for one in "$@"; do
        [ "$one" != "$ENGINE" ] || return 0
    done
    skip "on $ENGINE: $reason"
}

need_root() {
    [ "$(id -u)" = 0 ] || skip "needs root"
}

need_two_cpus() {
    [ "$LAST_CPU" != "$FIRST_CPU" ] || skip "needs two CPUs"
}

limit() {
    timeout --foreground -k 5 "$RUN_LIMIT" "$@"
}

# run_to NAME COMMAND...: stdout in NAME.out, stderr in NAME.err, exit code in $code.
run_to() {
    local name=$1
    shift
    code=0
    limit "$@" >"$name.out" 2>"$name.err" 3>&- 4>&- || code=$? # 3 and 4 are bats's
}

isle() {
    run_to isle "$LULL" --cpus "$LIST" "$@"
}

native() {
    run_to native taskset -c "$CPUS" "$@"
}

# lacks REGEX FILE
lacks() {
    if grep -iE -- "$1" "$2" >&2; then
        fail "$2 has \"$1\""
    fi
}

show() {
    local f
    for f in "$@"; do
        echo "--- $f"
        head -c 4000 "$f" | cat -v | cut -c1-300
    done >&2
}

# both PROGRAM ARGS...: the same output and exit code natively and on an isle. Sets native_code.
both() {
    native "$@"
    native_code=$code
    isle "$@"
    if [ "$code" != "$native_code" ] || ! cmp -s native.out isle.out; then
        printf "%.200s: exit code %d natively, %d on the isle\n" "$*" "$native_code" "$code" >&2
        diff native.out isle.out | head -40 >&2
        show native.err isle.err
        return 1
    fi
}

# The same, and it must have succeeded. A plain name is a guest program.
both_ok() {
    local program=$1
    shift
    [ "${program#/}" != "$program" ] || program=$PROGRAMS/$program
    both "$program" "$@"
    [ "$native_code" = 0 ] || {
        show native.out native.err
        fail "$program fails natively too: $native_code"
    }
}

# expect CODE: the last run_to/isle ended with it.
expect() {
    [ "$code" = "$1" ] && return
    show isle.out isle.err
    fail "exit code $code, expected $1"
}

# one_line [REGEX]: the last isle printed one line of lull's on stderr, which matches.
one_line() {
    if [ "$(wc -l <isle.err)" != 1 ] || ! grep -q '^lull: ' isle.err || ! grep -qiE "${1:-.}" isle.err
    then
        show isle.err
        fail "expected one line \"lull: ...\" that matches: ${1:-.}"
    fi
}

# Processes that run this lull, by pid.
lull_pids() {
    find /proc/[0-9]*/exe -maxdepth 0 -lname "$(readlink -f "$LULL")" 2>/dev/null | cut -d / -f 3
}

# QEMUs that are an isle whose proxy has ended.
qemu_pids() {
    local f
    for f in $(grep -lzsE '^lull-[0-9]+,' /proc/[0-9]*/cmdline); do
        [[ ! $(tr '\0' ' ' 2>/dev/null <"$f") =~ -name\ lull-([0-9]+), ]] ||
            [ -d "/proc/${BASH_REMATCH[1]}" ] || basename "$(dirname "$f")"
    done
}

# Files of lull's that are newer than STAMP; not those of unit tests, which may run at the same time.
lull_files() {
    find /dev/shm /dev/hugepages /tmp -maxdepth 1 -iname '*lull*' ! -name 'lull-unit.*' \
        ! -name 'lull-flip-*' -newer "$1" 2>/dev/null || true
}

# What could be left behind on this machine: one line each.
traces() {
    lull_pids | sed 's/^/process /'
    qemu_pids | sed 's/^/QEMU /'
    lull_files "$1" | sed 's/^/file /'
    find /run/lull -type f ! -name lock -newer "$1" 2>/dev/null | sed 's/^/file /'
    find /sys/fs/cgroup -maxdepth 3 -type d -iname '*lull*' 2>/dev/null | sed 's/^/cgroup /'
    sed -n 's/^HugePages_\(Total\|Free\|Rsvd\)/pages &/p' /proc/meminfo
}

# What an isle changes on Linux's side for as long as it runs, with its value.
host_settings() {
    grep -rs '' /proc/irq/default_smp_affinity /proc/irq/*/smp_affinity_list \
        /sys/devices/virtual/workqueue/cpumask /sys/class/net/*/queues/rx-*/rps_cpus \
        /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor /proc/sys/kernel/watchdog_cpumask \
        /proc/sys/kernel/sched_rt_runtime_us /proc/sys/vm/stat_interval \
        /proc/sys/vm/nr_hugepages \
        /sys/devices/system/node/node*/hugepages/hugepages-*/nr_hugepages \
        /sys/fs/cgroup/cpuset/cpuset.{cpus,sched_load_balance} \
        /sys/fs/cgroup/cgroup.subtree_control || true
    od -An -td4 /dev/cpu_dma_latency 2>/dev/null | sed 's/^/latency /' || true
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1 + 1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}

# background NAME COMMAND...: starts it with default INT and QUIT, waits for "ready". Sets $pid.
background() {
    local name=$1
    shift
    rm -f "$name.out" # the last one's "ready" says nothing of this one
    env --default-signal=INT,QUIT "$@" >"$name.out" 2>"$name.err" 3>&- 4>&- &
    pid=$!
    wait_for 10 grep -q ready "$name.out" || {
        kill -KILL "$pid"
        show "$name.out" "$name.err"
        fail "$*: never ready"
    }
}

# ended NAME: waits for $pid, kills it after 10 s. Sets $code.
ended() {
    local watch
    (
        sleep 10
        kill -KILL "$pid"
    ) 3>&- 4>&- >/dev/null 2>&1 &
    watch=$!
    code=0
    wait "$pid" || code=$?
    kill "$watch" 2>/dev/null || true
    wait "$watch" 2>/dev/null || true
}
