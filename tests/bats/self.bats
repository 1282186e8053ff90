# SPDX-License-Identifier: MIT
# What a program sees of itself and of the machine.
load common

@test "/proc/self" {
    export T_SELF=yes
    both_ok self "an argument" ""
    both_ok self-dyn
}

@test "/proc/self/maps of Debian's programs names their libraries" {
    isle /bin/cat /proc/self/maps
    expect 0
    grep -q 'r-xp .* /usr/bin/cat$' isle.out
    grep -q 'r-xp .*/libc.so.6$' isle.out
    grep -q '\[vdso\]$' isle.out
    lacks '/lull$' isle.out
}

@test "the isle's processors, not the machine's" {
    run_to isle "$LULL" --cpus "$FIRST" /bin/cat /sys/devices/system/cpu/online \
        "/sys/devices/system/cpu/cpu$FIRST_CPU/topology/core_siblings_list"
    expect 0
    [ "$(sort -u isle.out)" = "$FIRST_CPU" ]
    run_to isle "$LULL" --cpus "$FIRST" /bin/grep -c ^processor /proc/cpuinfo
    [ "$(cat isle.out)" = 1 ]
    run_to isle "$LULL" --cpus "$FIRST" /usr/bin/nproc
    [ "$(cat isle.out)" = 1 ]
    # arrays are sized by these and indexed with CPU numbers, so they are the machine's
    isle /bin/cat /sys/devices/system/cpu/{possible,present}
    native /bin/cat /sys/devices/system/cpu/{possible,present}
    cmp native.out isle.out
    run_to isle "$LULL" --cpus "$FIRST" /bin/ls /sys/devices/system/cpu
    [ "$(grep -c '^cpu[0-9]' isle.out)" = 1 ]
    isle /bin/cat /sys/devices/system/cpu/online
    [ "$(cat isle.out)" = "$(echo "$CPUS" | sed 's/^\([0-9]*\),\([0-9]*\)$/\1-\2/')" ] || [ "$CPUS" != 0,1 ]
    isle /bin/grep Cpus_allowed_list /proc/self/status
    native /bin/grep Cpus_allowed_list /proc/self/status
    cmp native.out isle.out
}

@test "the isle's memory, not the machine's" {
    isle --mem 512M /bin/grep MemTotal /proc/meminfo
    [ "$(awk '{ print $2 }' isle.out)" = 524288 ]
    isle --mem 512M /usr/bin/awk '/MemFree/ { print $2 }' /proc/meminfo
    [ "$(cat isle.out)" -le 524288 ]
}

@test "python sizes itself by the isle" {
    run_to isle "$LULL" --cpus "$FIRST" /usr/bin/python3 -c \
        'import os; print(os.cpu_count(), len(os.sched_getaffinity(0)))'
    expect 0
    [ "$(cat isle.out)" = "1 1" ]
}
