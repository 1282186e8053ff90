# SPDX-License-Identifier: MIT
# Cores are held while an isle runs, and everything is as before when it has ended, however it did.
load common

# One core for the isle, one for Linux: what an isle needs to take anything.
held() {
    need_root
    need_two_cpus
    LAST=$LAST_CPU-$LAST_CPU
    wait_for 5 nobody || true
    "$LULL" gc >gc.before # of isles that were killed with their keeper
    host_settings >before
}

# Somebody else's isle would be seen in the settings.
nobody() {
    [ "$("$LULL" ps | wc -l)" = 1 ]
}

settings_as_before() {
    wait_for 5 nobody || true
    host_settings >after
    diff before after
}

@test "settings differ while it runs, and are as before when it has ended" {
    held
    background isle "$LULL" --cpus "$LAST" "$PROGRAMS/sleeper"
    host_settings >during
    [ -s "/run/lull/isle.$pid."* ]
    ! cmp -s before during || fail "nothing has changed"
    diff before during >difference || true
    grep -q default_smp_affinity difference
    grep -q workqueue/cpumask difference
    "$LULL" ps >ps
    grep -E "^ *$pid +root +1 +$LAST_CPU .*$PROGRAMS/sleeper" ps
    kill -TERM "$pid"
    ended
    expect 42
    settings_as_before
    "$LULL" ps >ps
    lacks "^ *$pid " ps
}

@test "the core's thread is alone in a cpuset, with a real-time policy; the others are not" {
    held
    need_engine "another process has the threads" kvm
    [ -e /sys/fs/cgroup/cpuset/tasks ] || skip "no cgroup v1 cpusets here"
    background isle "$LULL" --cpus "$LAST" --report=report "$PROGRAMS/sleeper"
    local tid
    tid=$(grep -lx lull-core0 "/proc/$pid/task/"*/comm | sed 's,.*/task/,,; s,/comm,,')
    grep -qx "3*[0-9]*:cpuset:/lull.$pid" "/proc/$pid/task/$tid/cgroup"
    grep -qx "[0-9]*:cpuset:/" "/proc/$pid/task/$pid/cgroup"
    [ "$(cat "/sys/fs/cgroup/cpuset/lull.$pid/cpuset.cpus")" = "$LAST_CPU" ]
    chrt -p "$tid" | grep -q SCHED_RR || uname -r | grep -qE '^([0-5]|6\.([0-9]|1[01]))\.'
    chrt -p "$pid" | grep -q SCHED_OTHER
    kill -TERM "$pid"
    ended
    expect 42
    [ ! -e "/sys/fs/cgroup/cpuset/lull.$pid" ]
}

@test "ranks that share a core take the turns of Linux's programs" {
    held
    need_engine "another process has the threads" kvm
    background isle env MPI_LOCALNRANKS=2 MPI_LOCALRANKID=0 "$LULL" --cpus "$LAST" \
        --report=report "$PROGRAMS/sleeper"
    local tid
    tid=$(grep -lx lull-core0 "/proc/$pid/task/"*/comm | sed 's,.*/task/,,; s,/comm,,')
    chrt -p "$tid" | grep SCHED_OTHER
    kill -TERM "$pid"
    ended
    expect 42
}

@test "a program's own cpuset has its isle's cores, wherever the proxy's Linux side is put" {
    held
    need_engine "another process has the threads" kvm
    local dir=/sys/fs/cgroup/cpuset
    [ -e $dir/tasks ] || skip "no cgroup v1 cpusets here"
    background isle "$LULL" --cpus "$LAST" bash -c "echo ready
        while [ ! -e go ]; do sleep 0.1; done
        read -r own </proc/self/cpuset
        for f in cpus effective_cpus mems; do read -r x <$dir\$own/cpuset.\$f; echo \$x; done"
    mkdir $dir/lull-test
    echo "$FIRST_CPU" >$dir/lull-test/cpuset.cpus
    cat $dir/cpuset.mems >$dir/lull-test/cpuset.mems
    echo "$pid" >$dir/lull-test/tasks
    touch go
    ended
    rmdir $dir/lull-test
    expect 0
    sed -n 2,4p isle.out | diff - <(printf '%s\n' "$LAST_CPU" "$LAST_CPU" "$(cat $dir/cpuset.mems)")
}

@test "what is started on an isle is on Linux's cores, with Linux's policy" {
    held
    need_engine "no fork" kvm
    isle_one() { run_to isle "$LULL" --cpus "$LAST" "$@"; }
    isle_one sh -c 'chrt -p $$; taskset -pc $$; exec chrt -p $$'
    expect 0
    lacks 'SCHED_(RR|FIFO)' isle.out
    settings_as_before
    isle_one sh -c "(exec '$PROGRAMS/hello'); '$PROGRAMS/hello'; exec '$PROGRAMS/hello'"
    expect 0
    [ "$(grep -c hello isle.out)" = 3 ]
    settings_as_before
}

SHIELD=/sys/fs/cgroup/cpuset/lull.linux

# What it takes to move other programs aside: see man/lull.1.
shielding() {
    held
    [ -e /sys/fs/cgroup/cpuset/tasks ] || skip "no cgroup v1 cpusets here"
    ! uname -r | grep -qE '^([0-5]|6\.[01])\.' || skip "Linux before 6.2 forgets affinities"
}

bystanders() {
    sleep 1000 3>&- 4>&- &
    free=$!
    taskset -c "$LAST_CPU" sleep 1000 3>&- 4>&- &
    bound=$!
    wait_for 5 grep -q sleep "/proc/$bound/comm"
    grep -h Cpus_allowed: /proc/{$free,$bound}/status >bystanders.before
}

bystanders_as_before() {
    grep -h Cpus_allowed: /proc/{$free,$bound}/status >bystanders.after
    kill $free $bound
    diff bystanders.before bystanders.after
    [ ! -e "$SHIELD" ]
}

# Threads of programs that are in the root's cpuset: "TID (name)". One process looks at them all, as
# whoever is aside shares few CPUs.
programs_in_root() {
    python3 - <<'END'
for tid in open("/sys/fs/cgroup/cpuset/tasks").read().split():
    try:
        name, rest = open(f"/proc/{tid}/stat").read().rsplit(")", 1)
    except OSError:
        continue
    if not int(rest.split()[6]) & 0x200000:
        print(name + ")")
END
}

# No program that could run on the isle's CPU, wherever it was bound to.
bystanders_aside() {
    grep -qx "$free" "$SHIELD/tasks" || return 1
    grep -qx "$bound" "$SHIELD/tasks" || return 1
    grep -qx $$ "$SHIELD/tasks" || return 1
    taskset -pc "$free" >list
    taskset -pc "$bound" >>list
    lacks "list: .*$LAST_CPU\$" list || return 1
    programs_in_root >stay
    [ ! -s stay ]
}

@test "other programs are moved off the isle's CPUs, and back" {
    shielding
    bystanders
    background isle "$LULL" --cpus "$LAST" --report=report.json "$PROGRAMS/sleeper"
    wait_for 30 bystanders_aside
    kill -TERM "$pid"
    ended
    expect 42
    bystanders_as_before
    settings_as_before
    grep -A 2 "$SHIELD" report.json | grep -q 'threads moved there'
}

# The keeper of the isle whose proxy is process $1.
keeper_of() {
    local child
    for child in $(cat "/proc/$1/task/$1/children"); do
        [ "$(cat "/proc/$child/comm")" != lull-keeper ] || echo "$child"
    done
}

# kill_both: the proxy, and first its keeper, as when a whole cgroup is killed.
kill_both() {
    kill -KILL "$(keeper_of "$pid")"
    kill -KILL "$pid"
    ended
}

@test "--isolate=require moves them before the start; SIGKILL of all, and lull gc moves them back" {
    shielding
    bystanders
    background isle "$LULL" --cpus "$LAST" --isolate=require "$PROGRAMS/sleeper"
    bystanders_aside
    kill_both
    expect 137
    bystanders_aside
    "$LULL" gc >gc
    grep -q "^$SHIELD: put back" gc
    bystanders_as_before
    settings_as_before
}

@test "who comes from aside may plan with all CPUs; what it executes keeps its cpuset" {
    shielding
    background isle "$LULL" --cpus "$LAST" --isolate=require "$PROGRAMS/sleeper"
    # this shell is aside now
    grep -qx $$ "$SHIELD/tasks"
    run_to second "$LULL" --cpus "$LAST" "$PROGRAMS/hello"
    expect 0
    kill -TERM "$pid"
    ended
    need_engine "no fork" kvm
    run_to isle "$LULL" --cpus "$LAST" --isolate=require sh -c "'$PROGRAMS/hello'; exec '$PROGRAMS/hello'"
    expect 0
    [ "$(grep -c hello isle.out)" = 2 ]
    settings_as_before
    [ ! -e "$SHIELD" ]
}

@test "ranks that Open MPI binds to what a shield has left are not bound" {
    need_engine "another process has the threads, and the shield moves them" kvm
    shielding
    command -v mpirun.openmpi >/dev/null || fail "no mpirun.openmpi: run make deps"
    [ "$CPUS" = 0,1 ] && [ "$(nproc)" = 2 ] || skip "the cores of Open MPI are not the first two"
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR=$BATS_TEST_TMPDIR
    background isle "$LULL" --cpus "$LAST" --isolate=require "$PROGRAMS/sleeper"
    run_to ranks mpirun.openmpi -n 2 --host localhost:2 "$LULL" "$PROGRAMS/hello"
    echo "exit code $code" >>ranks.err
    # the binding of this one is its user's
    run_to bound taskset -c "$FIRST_CPU" "$LULL" --cpus "$LAST" "$PROGRAMS/hello"
    kill -TERM "$pid"
    ended
    show ranks.err bound.err
    [ "$(grep -c hello ranks.out)" = 2 ]
    grep -qE "CPU $LAST_CPU may not be used.*; CPUs $LAST_CPU are held for another isle, .*sleeper" bound.err
}

@test "SIGKILL, and the keeper puts everything back" {
    held
    local keeper
    background isle "$LULL" --cpus "$LAST" "$PROGRAMS/sleeper" compute
    keeper=$(keeper_of "$pid")
    [ "$(tr -d '\0' <"/proc/$keeper/cmdline")" = lull-keeper ]
    [ "$(ls -l "/proc/$keeper/fd" | grep -c /dev/null)" = 3 ]
    [ "$(cut -d' ' -f6 "/proc/$keeper/stat")" = "$keeper" ] # a session of its own
    kill -KILL "$pid"
    ended
    expect 137
    wait_for 5 test ! -e "/proc/$keeper"
    host_settings >after
    diff before after
    [ -z "$(find /run/lull -name "isle.$pid.*")" ]
    [ ! -e "/sys/fs/cgroup/cpuset/lull.$pid" ]
}

no_record() {
    [ -z "$(find /run/lull -name 'isle.*')" ]
}

# runs_alone PID: no other process runs this lull.
runs_alone() {
    [ "$(lull_pids)" = "$1" ]
}

@test "a cpuset that is busy when many isles end is removed when it is free" {
    held
    need_engine "another process has the threads; no fork" kvm
    [ -e /sys/fs/cgroup/cpuset/tasks ] || skip "no cgroup v1 cpusets here"
    local keeper busy cpuset
    background isle "$LULL" --cpus "$LAST" "$PROGRAMS/endings" killed
    keeper=$(keeper_of "$pid")
    cpuset=/sys/fs/cgroup/cpuset/lull.$pid
    sleep 30 &
    busy=$!
    echo $busy >"$cpuset/tasks"
    kill -KILL "$pid"
    ended
    wait_for 20 runs_alone "$keeper"
    sleep 0.5
    [ -e "$cpuset" ]
    kill $busy
    wait_for 10 test ! -e "$cpuset"
    wait_for 5 test ! -e "/proc/$keeper"
    no_record
    settings_as_before
}

@test "a child whose keeper was killed, and that ends after its parent, gives back itself" {
    held
    need_engine "no fork" kvm
    mkfifo go
    exec 9<>go
    # shellcheck disable=SC2016
    background isle sh -c 'exec "$@" <go' sh "$LULL" --cpus "$LAST" "$PROGRAMS/endings" later
    kill -KILL "$(keeper_of "$pid")"
    echo >&9
    ended
    expect 0
    wait_for 10 no_record
    settings_as_before
}

@test "SIGKILL of all, and lull gc puts everything back" {
    held
    background isle "$LULL" --cpus "$LAST" "$PROGRAMS/sleeper" compute
    kill_both
    expect 137
    host_settings >after
    ! cmp -s before after || fail "nothing had changed"
    "$LULL" gc >gc
    settings_as_before
    grep -q '^1 dead isle' gc
    grep -q 'workqueue/cpumask: put back' gc
    "$LULL" gc >gc
    grep -q '^0 dead isles, 0 things' gc
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -name "lull.$pid")" ]
}

@test "SIGKILL of all, and the next lull puts everything back" {
    held
    background isle "$LULL" --cpus "$LAST" "$PROGRAMS/sleeper"
    kill_both
    expect 137
    run_to isle "$LULL" --cpus "$LAST" "$PROGRAMS/hello"
    expect 0
    settings_as_before
}

@test "two isles: the last one puts everything back" {
    held
    local first
    background isle "$LULL" --cpus "$LAST" "$PROGRAMS/sleeper"
    first=$pid
    host_settings >during
    background second "$LULL" --cpus "$LAST" "$PROGRAMS/sleeper"
    kill -TERM "$first"
    wait "$first" || true
    host_settings >after
    diff during after
    kill -TERM "$pid"
    ended
    settings_as_before
}

records() {
    find /run/lull -name "isle.$1*" | wc -l
}

@test "a count keeps off another isle's cores, a list does not" {
    held
    background first "$LULL" --cpus "$LAST" "$PROGRAMS/sleeper"
    run_to isle taskset -c "$CPUS" "$LULL" --dry-run --cpus 1 "$PROGRAMS/hello"
    expect 0
    grep -q "^cores: *1 (CPU $FIRST_CPU) .*off other isles' cores" isle.out
    lacks '^shared' isle.out
    run_to isle taskset -c "$CPUS" "$LULL" plan --cpus 1
    grep -q "CPU $FIRST_CPU;" isle.out
    run_to isle "$LULL" --dry-run --cpus "$LAST" "$PROGRAMS/hello"
    grep -q "^cores: *1 (CPU $LAST_CPU) " isle.out
    grep -q '^shared' isle.out
    run_to isle "$LULL" --cpus "$LAST" --verbose "$PROGRAMS/hello"
    expect 0
    grep -q "CPU $LAST_CPU is shared with another isle, .*/sleeper (process $pid)" isle.err
    run_to isle "$LULL" --cpus "$LAST" --isolate=require "$PROGRAMS/hello"
    expect 125
    one_line "CPU $LAST_CPU is held for another isle, .*/sleeper \(process $pid\)"
    [ "$(records "$pid")" = 1 ]
    kill -TERM "$pid"
    ended
    settings_as_before
    [ "$(records)" = 0 ]
}

@test "a plan that comes to nothing is on no record" {
    held
    run_to isle "$LULL" --dry-run "$PROGRAMS/hello"
    expect 0
    run_to isle "$LULL" --cpus "$LAST" --mem 999999G "$PROGRAMS/hello"
    expect 125
    run_to isle "$LULL" --cpus "$LIST" --isolate=require "$PROGRAMS/hello"
    expect 125
    run_to isle env PATH=/nowhere "$LULL" --engine=qemu --cpus "$LAST" "$PROGRAMS/hello"
    expect 125
    one_line 'qemu-system-x86_64'
    run_to isle "$LULL" --cpus "$LAST" --mem 2M "$PROGRAMS/hello"
    wait_for 5 nobody || true
    [ "$(records)" = 0 ]
}

@test "ranks that start one after the other divide the same cores" {
    held
    # what the first one has is missing from everybody's affinity, as below an isolated partition
    cat >launch <<'END'
export MPI_LOCALNRANKS=2 OMP_NUM_THREADS=1
MPI_LOCALRANKID=$1 "$2" "$3/sleeper" >first.out 2>&1 &
until grep -q ready first.out; do sleep 0.05; done
core=$("$2" ps | awk -v pid=$! '$1 == pid { print $4 }')
[ "$core" = "$5" ] && rest=$4 || rest=$5
taskset -pc "$rest" $$
MPI_LOCALRANKID=$((1 - $1)) "$2" --dry-run "$3/hello"
kill -TERM $!
wait
echo "rest: $rest"
END
    local rank rest
    for rank in 0 1; do
        run_to isle taskset -c "$CPUS" bash launch "$rank" "$LULL" "$PROGRAMS" "$FIRST_CPU" "$LAST_CPU"
        expect 0
        rest=$(sed -n 's/^rest: //p' isle.out)
        grep -q "^cores: *1 (CPU $rest) on" isle.out
        grep -q "rank $((1 - rank)) of 2 here" isle.out
        lacks '^shared' isle.out
    done
}

@test "errors give back too" {
    held
    run_to isle "$LULL" --cpus "$LAST" "$PROGRAMS/die" segv-thread
    expect 139
    settings_as_before
    run_to isle "$LULL" --cpus "$LAST" --mem 2M "$PROGRAMS/memory"
    settings_as_before
    run_to isle "$LULL" --cpus "$LAST" --timeout 0.5 "$PROGRAMS/sleeper" compute
    settings_as_before
}

@test "--isolate=no changes nothing; require without a core for Linux is 125" {
    held
    background isle "$LULL" --cpus "$LAST" --isolate=no "$PROGRAMS/sleeper"
    host_settings >after
    diff before after
    "$LULL" ps | grep -qE "^ *$pid "
    kill -TERM "$pid"
    ended
    expect 42
    run_to isle "$LULL" --cpus "$LIST" --isolate=require "$PROGRAMS/hello"
    expect 125
    one_line 'isolate=require'
    isle --isolate=maybe "$PROGRAMS/hello"
    expect 125
    one_line 'auto, no or require'
}

# as_user COMMAND...: a user with no right but that to /dev/kvm.
as_user() {
    # shellcheck disable=SC2016
    run_to isle unshare --mount --propagation private sh -c '
        if [ -e /dev/kvm ]; then
            mknod -m 666 kvm.$$ c 10 232 && mount --bind kvm.$$ /dev/kvm && rm kvm.$$ || exit 99
        fi
        exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
            --bounding-set=-all --no-new-privs "$@"' as_user "$@"
}

@test "without root: it runs, and one line says what was not possible" {
    held
    public=$(mktemp -d /tmp/lull-test.XXXXXX)
    chmod 755 "$public"
    cp "$LULL" "$PROGRAMS/hello" "$PROGRAMS/omp" "$public"
    cd "$public"
    as_user ./lull --cpus "$LAST" ./hello
    expect 0
    grep -qx hello isle.out
    one_line 'without root.*cpuset.*interrupts.*real-time'
    as_user ./lull --cpus "$LAST" ./omp
    expect 0
    one_line 'without root'
    as_user ./lull --cpus "$LAST" --isolate=no ./hello
    expect 0
    [ ! -s isle.err ]
    as_user ./lull --cpus "$LAST" --isolate=require ./hello
    expect 125
    one_line 'isolate=require'
    # one line of a job, not one of each rank
    as_user env MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2 ./lull --cpus "$LAST" ./hello
    expect 0
    [ ! -s isle.err ]
    as_user ./lull gc
    expect 0
    as_user ./lull doctor
    expect 0
    grep -q 'lacks' isle.out
    cd "$BATS_TEST_TMPDIR"
    rm -rf "$public"
    settings_as_before
}

@test "lull ps, gc and doctor take no arguments" {
    local command
    for command in ps gc doctor; do
        run_to isle "$LULL" "$command" more
        expect 125
        one_line "takes no 'more'"
        run_to isle "$LULL" "$command"
        expect 0
        code=0
        "$LULL" "$command" >/dev/full 2>isle.err || code=$?
        expect 125
        one_line 'standard output'
    done
}

nothing_left() {
    host_settings >after
    diff before after
    [ -z "$(find /run/lull -name "isle.*")" ]
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -name 'lull.*')" ]
}

@test "a program that gives up root leaves nothing, whether it executes another or not" {
    held
    need_engine "no fork" kvm
    run_to isle "$LULL" --cpus "$LAST" "$PROGRAMS/drop"
    expect 0
    [ "$(cat isle.out)" = "user 65534" ]
    nothing_left
    run_to isle "$LULL" --cpus "$LAST" "$PROGRAMS/drop" sh -c 'id -u; (true); exec id -u'
    expect 0
    [ ! -s isle.err ]
    [ "$(grep -c 65534 isle.out)" = 3 ]
    nothing_left
}

@test "a program without root that was moved aside goes on on its isle's core" {
    shielding
    need_engine "no fork" kvm
    run_to isle "$LULL" --cpus "$LAST" --isolate=require "$PROGRAMS/drop" \
        sh -c 'while read -r name cpus; do
                [ $name != Cpus_allowed_list: ] || echo "list: $cpus"
            done </proc/self/status; (true); exec id -u'
    expect 0
    grep -qx "list: $LAST_CPU" isle.out
    [ ! -s isle.err ]
    nothing_left
}

@test "SIGTERM while the program executes another leaves nothing" {
    held
    local ms
    for ms in 15 25 35 45; do
        "$LULL" --cpus "$LAST" sh -c 'exec sleep 5' >isle.out 2>isle.err 3>&- 4>&- &
        pid=$!
        sleep "0.0$ms"
        kill -TERM "$pid"
        ended
        expect 143
    done
    nothing_left
}

@test "a report to a FIFO that nobody reads costs one line" {
    held
    mkfifo fifo
    run_to isle "$LULL" --cpus "$LAST" --report=fifo "$PROGRAMS/exitcode" 7
    expect 7
    one_line 'fifo: nobody reads it'
    nothing_left
    run_to isle "$LULL" --cpus "$LAST" --report=/dev/stdout "$PROGRAMS/exitcode" 7
    expect 7
    grep -q lull-report isle.out
    [ -L /dev/stdout ]
}

@test "an isle is alive to whoever has its record, in another namespace too" {
    held
    run_to isle unshare --pid --fork --mount-proc "$LULL" --cpus "$LAST" --isolate=no \
        sh -c "'$LULL' ps; kill -KILL \$\$"
    grep -qE "^ +1 root +1 +$LAST_CPU " isle.out
    background isle unshare --pid --fork --kill-child "$LULL" --cpus "$LAST" --isolate=no "$PROGRAMS/sleeper"
    "$LULL" ps >ps
    grep -q "sleeper" ps
    run_to second "$LULL" --dry-run --cpus 1 "$PROGRAMS/hello"
    grep -q "^cores: *1 (CPU $FIRST_CPU)" second.out
    kill -KILL "$pid"
    ended
    wait_for 5 nobody
    "$LULL" gc
    nothing_left
}

@test "/run without room gives back all the same" {
    held
    # shellcheck disable=SC2016
    run_to isle unshare --mount --propagation private sh -c '
        mount -t tmpfs -o size=1m none /run || exit 99
        exec "$@"' small "$LULL" --cpus "$LAST" sh -c 'cat /dev/zero >/run/all 2>/dev/null; exit 5'
    expect 5
    [ ! -s isle.err ]
    host_settings >after
    diff before after
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -name 'lull.*')" ]
}
