# SPDX-License-Identifier: MIT
# Nothing stays behind, whatever ends; and the kernel is small.
load common

no_lull() {
    [ -z "$(lull_pids)$(qemu_pids)" ]
}

# Open files of the whole machine, as far as other processes leave that number alone.
files_at_most() {
    [ "$(cut -f1 /proc/sys/fs/file-nr)" -le "$1" ]
}

@test "100 launches in a row" {
    local i files
    touch stamp
    traces stamp >before
    files=$(cut -f1 /proc/sys/fs/file-nr)
    for i in $(seq 100); do
        isle "$PROGRAMS/hello"
        expect 0
    done
    wait_for 5 no_lull
    traces stamp >after
    diff before after
    wait_for 20 files_at_most $((files + 90)) # a descriptor for each launch would be 100
}

@test "100 launches that die, leave over others, or are refused" {
    local i
    touch stamp
    traces stamp >before
    for i in $(seq 25); do
        isle "$PROGRAMS/die" segv-thread
        expect 139
        isle "$PROGRAMS/leave" over-computing
        expect 9
        isle "$PROGRAMS/leave" over-blocked
        expect 10
        isle --mem 100T "$PROGRAMS/hello"
        expect 125
    done
    wait_for 5 no_lull
    traces stamp >after
    diff before after
}

@test "SIGKILL of the proxy" {
    local i mode
    touch stamp
    traces stamp >before
    for i in 1 2 3 4 5; do
        for mode in "" compute; do
            # shellcheck disable=SC2086
            background isle "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" $mode
            kill -KILL "$pid"
            ended
            expect 137
        done
    done
    wait_for 5 no_lull
    "$LULL" gc
    traces stamp >after
    diff before after
    both_ok threads
}

@test "SIGKILL while it starts" {
    local i
    touch stamp
    traces stamp >before
    for i in 1 2 3 4 5 6 7 8 9; do
        "$LULL" --cpus "$LIST" "$PROGRAMS/sleeper" >isle.out 2>isle.err 3>&- 4>&- &
        pid=$!
        sleep "0.00$i"
        kill -KILL "$pid"
        ended
        expect 137
    done
    wait_for 5 no_lull
    "$LULL" gc
    traces stamp >after
    diff before after
}

@test "several isles at once, on the same cores" {
    local i all=()
    for i in 1 2 3 4; do
        limit "$LULL" --cpus "$LIST" "$PROGRAMS/threads" >"$i.out" 2>&1 3>&- 4>&- &
        all+=($!)
    done
    for i in "${all[@]}"; do
        wait "$i"
    done
    cmp 1.out 2.out
    cmp 1.out 3.out
    cmp 1.out 4.out
}

@test "an isle does not change its cores' masks or the caller's" {
    taskset -pc $$ >before
    isle "$PROGRAMS/hello"
    taskset -pc $$ >after
    diff before after
}

@test "the kernel image is at most 256 KB" {
    local size
    size=$(stat -c %s "$BUILD/kernel/lull-kernel.stripped")
    echo "$size bytes"
    [ "$size" -gt 1000 ]
    [ "$size" -le 262144 ]
}
