# SPDX-License-Identifier: MIT
# Children and programs that become others.
load common

@test "fork, vfork, posix_spawn, system, popen, wait" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    both_ok processes
    both_ok processes-musl
    both_ok processes-dyn
}

@test "the same with every core an isle's" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    need_two_cpus
    run_to isle "$LULL" --cpus "$LIST" "$PROGRAMS/processes"
    expect 0
    run_to isle "$LULL" --cpus "$FIRST" "$PROGRAMS/processes"
    expect 0
}

@test "fork with memory of the hugetlb pool, which has no page to spare" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    need_root
    local before
    before=$(cat /proc/sys/vm/nr_hugepages)
    run_to native taskset -c "$CPUS" "$PROGRAMS/processes"
    run_to isle "$LULL" --mem 64M --hugetlb=8M --cpus "$LIST" "$PROGRAMS/processes"
    expect 0
    diff native.out isle.out
    [ "$(cat /proc/sys/vm/nr_hugepages)" = "$before" ]
}

@test "execve: words, environment, descriptors, signals, errors" {
    both_ok processes exec
    both_ok processes-dyn exec
    both_ok processes exec-errors
    both_ok processes exec-state
    both_ok processes exec-signals
}

# 58 and 59 are lull's own signals: one that comes while Linux ends lull's threads is lost.
@test "execve loses no signal but the two of lull's, whenever it comes" {
    local s pid numbers
    numbers="$(seq 34 57) $(seq 60 63)"
    "$LULL" --cpus "$FIRST" "$PROGRAMS/survivors" >isle.out 2>isle.err 3>&- &
    pid=$!
    wait_for 20 test -e started
    for s in 10 12 $numbers; do
        kill -s "$s" "$pid"
        sleep 0.011
    done
    touch stop
    wait "$pid"
    cat isle.err isle.out
    [ "$(cat isle.out)" = "10 12 $(echo $numbers) pending" ]
}

@test "execve keeps process, directory and limits of the isle" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    run_to isle "$LULL" --cpus "$FIRST" --mem 512M --report /bin/bash -c \
        'cd /usr; echo $$; exec /bin/bash -c "echo \$\$; pwd; nproc; grep MemTotal /proc/meminfo"'
    expect 0
    [ "$(sed -n 1p isle.out)" = "$(sed -n 2p isle.out)" ]
    [ "$(sed -n 3p isle.out)" = /usr ]
    [ "$(sed -n 4p isle.out)" = 1 ]
    [ "$(sed -n 5p isle.out | awk '{ print $2 }')" = 524288 ]
    [ "$(grep -c 'report of' isle.err)" = 1 ]
}

@test "execve goes on with its limit, whatever is free by then" {
    isle --mem 900T /bin/true
    expect 125
    isle --mem 900T --exec /bin/true true # as an execve passes it on
    expect 0
}

@test "a program that gives itself fewer cores passes them on" {
    need_two_cpus
    isle /usr/bin/taskset -c "$LAST_CPU" /usr/bin/nproc
    expect 0
    [ "$(cat isle.out)" = 1 ]
    isle /usr/bin/taskset -c "$LAST_CPU" /bin/grep Cpus_allowed_list /proc/self/status
    [ "$(awk '{ print $2 }' isle.out)" = "$LAST_CPU" ]
}

@test "shell scripts" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    cat >script <<'END'
#!/bin/bash
set -u
export WHAT=world
f() { local n=$1; [ "$n" = 0 ] || { echo "$n"; f $((n - 1)); }; }
f 3
echo "hello $WHAT" | tr a-z A-Z | sed 's/O/0/'
x=$(for i in 1 2 3; do echo $i; done | sort -r | head -1)
echo "$x"
(exit 5)
echo $?
{ sleep 0.1; echo late; } &
wait $!
echo $?
trap 'echo leaving' EXIT
cat <<EOT | wc -l
one
two
EOT
ls /nowhere 2>/dev/null || echo none
kill -USR1 $$ 2>/dev/null &
trap 'echo usr1' USR1
wait
exec /bin/sh -c 'echo "last of $WHAT"; exit 9'
END
    sed -i '/^kill -USR1/,/^wait$/d' script
    chmod +x script
    both ./script
    expect 9
    both_ok /bin/sh -c 'echo $(echo a; echo b) | cat; ls / >/dev/null && echo done'
}

@test "python: subprocess, os.fork, multiprocessing" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    both_ok /usr/bin/python3 -c 'import subprocess as s
print(s.run(["echo", "hi"], capture_output=True))
print(s.run("exit 4", shell=True).returncode)
print(s.run(["/nowhere"], capture_output=True).returncode if 0 else "")
try:
    s.run(["/nowhere"])
except FileNotFoundError as e:
    print(e)
p = s.Popen(["cat"], stdin=s.PIPE, stdout=s.PIPE, close_fds=True)
print(p.communicate(b"text"))'
    both_ok /usr/bin/python3 -c 'import multiprocessing as m
def f(x): return x * x
if __name__ == "__main__":
    with m.Pool(2) as p: print(p.map(f, range(10)))'
}

@test "user, groups, niceness: of the program and of its children" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    need_root
    both_ok /usr/bin/python3 -c 'import os, subprocess
os.setgroups([1, 2]); os.setgid(65534); os.setuid(65534)
print(os.getuid(), os.geteuid(), os.getgid(), os.getgroups())
try:
    open("/etc/shadow")
except PermissionError as e:
    print(e)
try:
    os.setuid(0)
except PermissionError as e:
    print(e)
print(subprocess.run(["id"], capture_output=True).stdout)
if os.fork() == 0:
    print(os.getuid(), open("/proc/self/status").read().count("65534"))
else:
    os.wait()'
    both_ok /usr/bin/python3 -c 'import subprocess as s
print(s.run(["id"], capture_output=True, user=65534, group=65534, extra_groups=[1, 2]).stdout)'
    both_ok /usr/bin/python3 -c 'import os, subprocess
print(os.nice(5), os.getpriority(os.PRIO_PROCESS, 0))
print(subprocess.run(["nice"], capture_output=True).stdout)'
}

@test "a killed program leaves its children to Linux, and nothing else" {
    need_engine "memory shared with QEMU cannot be copied: fork is ENOSYS" kvm
    local child
    background isle "$LULL" --cpus "$LIST" /usr/bin/perl -e \
        '$| = 1; $p = open(F, "-|", "/bin/sleep", "77") or die; print "ready $p\n"; sleep 77'
    child=$(awk '{ print $2 }' isle.out)
    kill -KILL "$pid"
    ended
    kill -0 "$child" # as natively
    kill -KILL "$child"
}

@test "execve asks for the memory that the user asked for, if any" {
    background isle "$LULL" --cpus "$FIRST" /bin/bash -c 'echo ready; exec sleep 77'
    wait_for 10 grep -qz -- --exec= "/proc/$pid/cmdline"
    lacks --mem "/proc/$pid/cmdline"
    kill -KILL "$pid"
    ended
    background isle "$LULL" --cpus "$FIRST" --mem 300M /bin/bash -c 'echo ready; exec sleep 77'
    wait_for 10 grep -qz -- --exec= "/proc/$pid/cmdline"
    grep -qzx -- --mem=314572800 "/proc/$pid/cmdline"
    kill -KILL "$pid"
    ended
}

@test "identity set to what it is, and how others are scheduled" {
    both_ok ids
}
