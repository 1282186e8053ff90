# SPDX-License-Identifier: MIT
# Programs of Debian's packages, unmodified: what they do natively they do on an isle. Only on kvm:
# most of them have children. Python's own tests are in python.bats.
load common

# same COMMAND...: output, errors and exit code; each run in a new directory.
same() {
    local side
    for side in native isle; do
        rm -rf here
        mkdir here
        cd here || return 1
        if [ "$side" = native ]; then
            run_to "../$side" taskset -c "$CPUS" "$@"
            native_code=$code
        else
            run_to "../$side" "$LULL" --cpus "$LIST" "$@"
        fi
        cd ..
    done
    if [ "$code" != "$native_code" ] || ! cmp -s native.out isle.out || ! cmp -s native.err isle.err
    then
        printf '%.200s: exit code %d natively, %d on the isle\n' "$*" "$native_code" "$code" >&2
        diff native.out isle.out | head -20 >&2
        diff native.err isle.err | head -20 >&2
        return 1
    fi
}

same_ok() {
    same "$@"
    [ "$native_code" = 0 ] || {
        show native.err
        fail "$1 fails natively too: $native_code"
    }
}

@test "a bash script" {
    same "$BATS_TEST_DIRNAME/debian/script.sh"
    expect 9
    grep -q 'waited 0' isle.out
}

@test "scripts that set variables and exec" {
    printf '#!/bin/sh\nexport FROM_WRAPPER=$1\nshift\nexec "$@"\n' >wrapper
    chmod +x wrapper
    same_ok "$PWD/wrapper" value /usr/bin/env sh -c 'echo $FROM_WRAPPER; exit 0'
    grep -qx value isle.out
    same /bin/dash -c 'echo $0 $1; x=$(ls /etc | wc -l); echo $x; exec sh -c "exit 4"' zero one
    expect 4
}

@test "coreutils: text" {
    local words=/etc/services
    same_ok sort --parallel=2 -S 64K -k2 $words
    same_ok shuf -n 5 --random-source=/bin/ls $words
    same_ok uniq -c $words
    same_ok od -c $words
    same_ok sha256sum $words /bin/bash
    same_ok md5sum $words
    same_ok b2sum $words
    same_ok base64 $words
    same_ok tac $words
    same_ok pr $words
    same_ok factor 123456789012345678
    same_ok numfmt --to=iec 123456789
    same_ok sh -c "split -n 3 $words part && cat part* | cmp - $words && ls"
    same_ok sh -c "tee a b <$words | wc && cmp a b"
    same_ok stdbuf -oL cut -f1 $words
}

@test "coreutils: files" {
    same_ok sh -c 'cp -a /etc/alternatives copy && ls -lR copy | cksum && du -s copy && rm -r copy'
    same_ok sh -c 'mkdir -p a/b && touch -d @5 a/b/c && stat -c "%Y %s %a" a/b/c && rmdir a; rm -r a'
    same_ok sh -c 'mkfifo f && (echo through > f &) && cat f && rm f'
    same_ok sh -c 'ln -s target l && readlink l && mv l m && ls -l m | cut -c1-10'
    same_ok sh -c 'truncate -s 1M t && fallocate -l 2M t && stat -c %s t && shred -n 1 t && rm t'
    same_ok sh -c 'install -m 640 /etc/passwd p && stat -c %a p && chmod 600 p && chown 0 p && ls p'
    same_ok dd if=/dev/zero of=zeros bs=1M count=8 status=none
    same_ok df --output=source,fstype,size,target /
    same_ok sync .
}

@test "coreutils: the machine and processes" {
    same_ok nproc
    same_ok nproc --all
    same_ok id
    same_ok uname -a
    same_ok date -u -d @0
    same_ok env -i A=b /usr/bin/env
    same_ok nohup echo hi
    same_ok timeout 20 sleep 0.1
    same_ok printenv PATH
    same_ok pwd -P
    same_ok sh -c 'sh -c "kill -9 \$\$"; echo $?; sh -c "exit 77"; echo $?'
}

@test "find, grep, sed, awk, tar, gzip, xz, make, git" {
    same_ok find /etc/alternatives -type l -newer /etc/debian_version
    same_ok grep -rn root /etc/passwd /etc/group
    same_ok sed -n 's/bash/zsh/p' /etc/passwd
    same_ok awk -F: '{ n[$7]++ } END { for (s in n) print s, n[s] | "sort" }' /etc/passwd
    same_ok tar czf - -C /etc passwd group
    same_ok xz -T2 -c /etc/services
    same_ok sh -c 'printf "all: a b\n\t@cat a b\n%%:\n\t@echo \$@ > \$@\n" > Makefile && make -j2 -s'
    # make gives its children limits and identities back
    same_ok sh -c 'printf "all:\n\t@\$(MAKE) -s sub\nsub:\n\t@echo sub\n" > Makefile && make -s'
}

@test "cmake configures and builds" {
    same_ok sh -c '
        printf "cmake_minimum_required(VERSION 3.20)\nproject(x C)\nadd_executable(x x.c)\n" >CMakeLists.txt
        echo "int main(void) { return 0; }" >x.c
        cmake -S . -B b >log && cmake --build b >log2 && b/x'
}

@test "pseudo-terminals" {
    same_ok /usr/bin/python3 -c '
import os, pty
m, s = pty.openpty()
print(os.isatty(s), os.get_inheritable(m), m, s)
os.write(s, b"x\n")
print(os.read(m, 10))
pid, fd = pty.fork()
if pid == 0:
    os.execlp("sh", "sh", "-c", "tty >/dev/null && echo terminal; echo controlled >/dev/tty; exit 3")
out = b""
while True:
    try:
        out += os.read(fd, 100)
    except OSError:
        break
print(out, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'
}

@test "gcc, binutils, gdb" {
    same_ok sh -c 'echo "int main(void) { return 5; }" | gcc -x c - -o five && ./five; echo $?'
    same_ok gcc --version
    same_ok readelf -Wa /bin/true
    same_ok objdump -d --section=.plt /bin/true
    same_ok ldd --version
    same_ok gdb --version
    same_ok gdb -batch -ex 'info functions main' -ex 'print 6*7' "$PROGRAMS/start-dyn"
}

@test "perl" {
    same_ok perl -MPOSIX -MData::Dumper -MSocket -e '
        $| = 1;
        $Data::Dumper::Sortkeys = 1;
        print Dumper({map {$_ => $_ ** 2} 1 .. 5}), strftime("%Y-%m-%d", gmtime 0), "\n", `echo child`;
        open my $ls, "-|", "ls", "/etc/alternatives" or die; my @l = <$ls>; close $ls; print scalar @l, "\n";
        my $pid = fork; exit 3 unless $pid; waitpid $pid, 0; print $? >> 8, "\n";
        $SIG{USR1} = sub { print "signal\n" }; kill USR1 => $$;
        socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC; syswrite $a, "bytes"; sysread $b, my $s, 9; print "$s\n";
        print sprintf("%.10f", exp 1), " ", join(",", sort { $a <=> $b } 10, 9, 100), "\n"; eval { die "thrown\n" }; print $@;'
}

@test "sqlite3: a million rows, integrity" {
    same_ok sqlite3 rows.db 'create table t(a integer primary key, b text);
        with recursive c(x) as (select 1 union all select x+1 from c where x<1000000)
        insert into t select x, "row " || x from c;
        create index i on t(b); select count(*), sum(a), max(b) from t; pragma integrity_check'
    grep -qx '1000000|500000500000|row 999999' isle.out
    grep -qx ok isle.out
    same_ok sqlite3 wal.db 'pragma journal_mode=wal; create table t(a); insert into t values (1), (2);
        select sum(a) from t; pragma integrity_check'
}

@test "python3 with numpy, OpenBLAS with two threads" {
    export OPENBLAS_NUM_THREADS=2
    same_ok /usr/bin/python3 -c '
import numpy as np
rng = np.random.default_rng(1)
a = rng.random((600, 600))
b = a @ a
w, v = np.linalg.eigh(b + b.T)
print(b.sum().round(6), w[-3:].round(6), np.abs((b + b.T) @ v - v * w).max() < 1e-6)
print(np.linalg.solve(a, a[:, 0]).round(6)[:3], np.fft.fft(a[0]).sum().round(6))'
    same_ok /usr/bin/python3 -c '
import multiprocessing, concurrent.futures as cf, os, subprocess
with multiprocessing.Pool(2) as p:
    print(p.map(abs, range(-5, 5)))
with cf.ThreadPoolExecutor(4) as e:
    print(sum(e.map(lambda x: x * x, range(100))))
print(os.cpu_count(), sorted(os.sched_getaffinity(0)) == list(os.sched_getaffinity(0)))
print(subprocess.run(["tr", "a", "b"], input=b"banana", capture_output=True).stdout)'
}

@test "a Fortran OpenMP program, dynamically linked" {
    export OMP_NUM_THREADS=2
    both_ok fortran-omp-dyn
}

# iperf JSON: no error, and all that was to come came
iperf_ok() {
    jq -e '.error == null and .end.sum_received.bytes > 1000000' "$1" >/dev/null ||
        fail "$(head -c 600 "$1")"
}

@test "iperf3 on loopback: client, server, both on an isle" {
    local port=$((20000 + RANDOM % 10000)) server client
    iperf3 -s -1 -p $port --forceflush >native.log 2>&1 3>&- 4>&- &
    server=$!
    wait_for 10 grep -q listening native.log || fail "the server does not listen"
    run_to isle "$LULL" --cpus "$LAST_CPU-$LAST_CPU" iperf3 -c 127.0.0.1 -p $port -n 50M -J
    expect 0
    iperf_ok isle.out
    wait $server
    for client in native isle; do
        port=$((port + 1))
        limit "$LULL" --cpus "$FIRST" iperf3 -s -1 -p $port --forceflush >"server.$port" 2>&1 3>&- 4>&- &
        server=$!
        wait_for 10 grep -q listening "server.$port" || fail "the server does not listen"
        if [ $client = native ]; then
            run_to isle iperf3 -c 127.0.0.1 -p $port -n 50M -J
        else
            run_to isle "$LULL" --cpus "$LAST_CPU-$LAST_CPU" iperf3 -c 127.0.0.1 -p $port -t 2 -P 2 -J
        fi
        expect 0
        iperf_ok isle.out
        wait $server
    done
}

@test "MPICH: two ranks, each on an isle; mpirun itself on an isle" {
    need_two_cpus
    mpicc.mpich -O2 "$BATS_TEST_DIRNAME/debian/mpi.c" -o mpi
    run_to native mpirun.mpich -n 2 ./mpi
    [ "$code" = 0 ]
    sort native.out >native.sorted
    [ "$(wc -l <native.sorted)" = 6 ]
    run_to isle mpirun.mpich -n 2 "$LULL" --cpus 1 ./mpi
    expect 0
    sort isle.out | diff native.sorted -
    isle mpirun.mpich -n 2 ./mpi
    expect 0
    sort isle.out | diff native.sorted -
}
