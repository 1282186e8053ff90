# SPDX-License-Identifier: MIT
# Random system calls harm neither proxy nor host. Seeds are printed when something fails; another
# set: WILD_SEED=N. WILD_SECONDS on each side (12); a proxy with sanitizers: LULL_BUILD.
SECONDS_EACH=${WILD_SECONDS:-12}
SEED=${WILD_SEED:-1}
load common

# jail COMMAND...: without rights, in an empty directory of limited size. A root that makes it sees
# to it that the engine can be used there, the host's /dev stays as it is, and shared memory of
# System V does not outlive it.
jail() {
    rm -rf wd && mkdir -m 777 wd || return 1
    if [ "$(id -u)" != 0 ]; then
        (cd wd && ulimit -f 65536 && exec "$@")
        return
    fi
    # shellcheck disable=SC2016
    unshare --mount --ipc --propagation private sh -c '
        if [ -e /dev/kvm ]; then
            mknod -m 666 kvm.$$ c 10 232 && mount --bind kvm.$$ /dev/kvm && rm kvm.$$ || exit 2
        fi
        mount -t tmpfs -o size=64m,mode=777 wild wd && cd wd || exit 2
        exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
            --bounding-set=-all --no-new-privs "$@"' jail "$@"
}

# What it may end with: its own codes, or a signal of its own making.
own_end() {
    case $1 in
    137) return 1 ;; # it had to be killed
    0 | 3 | 13[0-9] | 14[0-9] | 15[0-9]) return 0 ;;
    *) return 1 ;;
    esac
}

# wild NAME COMMAND...: for $SECONDS_EACH, a new seed whenever it has ended.
wild() {
    local name=$1 seed=$SEED end=$((SECONDS + SECONDS_EACH))
    shift
    runs=0
    while [ $SECONDS -lt $end ]; do
        # no file of this directory, whose disk is the host's: it would fill it
        jail timeout --foreground -k 5 30 "$@" "$PROGRAMS/wild" $seed 3 \
            2>&1 >/dev/null 3>&- 4>&- </dev/null | tail -c 65536 >"$name.err"
        code=${PIPESTATUS[0]}
        check_end "$name" "$seed" || return 1
        seed=$((seed + 1))
        runs=$((runs + 1))
    done
    echo "$runs runs $name, seeds from $SEED" >&3
}

check_end() {
    local name=$1 seed=$2
    if ! own_end "$code" && { [ "$code" != 125 ] || [ "$(grep -ac 'lull: ' "$name.err")" = 0 ]; }; then
        show "$name.err"
        fail "seed $seed: exit code $code"
    fi
    # a sanitizer's findings, or the proxy's own death: the program's is told with its registers
    if grep -aE 'runtime error|Sanitizer|panic' "$name.err"; then
        fail "seed $seed"
    fi
    if [ "$name" = isle ] && [ "$code" -ge 132 ] && ! grep -aqi 'signal\|SIG\|rip' isle.err; then
        show isle.err
        fail "seed $seed: the proxy itself died: $code"
    fi
}

@test "random system calls, natively" {
    wild native taskset -c "$CPUS"
}

@test "random system calls, on an isle" {
    touch before
    traces before >traces.before
    wild isle "$LULL" --cpus "$LIST" --mem 256M
    traces before >traces.after
    diff traces.before traces.after
    # and the host is as before
    isle "$PROGRAMS/hello"
    expect 0
}
