# SPDX-License-Identifier: MIT
# Whatever a program does, SIGTERM and --timeout end it soon, and Linux says so by the exit code.
load common

AT_ONCE=6

# each STATUS OPTION GRACE WAY...: each way on an isle, AT_ONCE of them at a time, with SIGTERM after
# GRACE seconds if that is not empty; each has to end with STATUS.
each() {
    local expected=$1 option=$2 grace=$3 way n
    local -A of=()
    shift 3
    [ $# -gt 0 ] || fail "no ways"
    while [ $# -gt 0 ]; do
        of=()
        for way in "${@:1:AT_ONCE}"; do
            mkdir -p "$way"
            (cd "$way" && exec "$LULL" --isolate=no --cpus 1 "$option" "$PROGRAMS/deaf" "$way" \
                >out 2>err) 3>&- &
            of[$way]=$!
        done
        shift $(($# < AT_ONCE ? $# : AT_ONCE))
        if [ -n "$grace" ]; then
            sleep "$grace"
            kill -TERM "${of[@]}" 2>/dev/null || true
        fi
        for way in "${!of[@]}"; do
            for ((n = 0; n < RUN_LIMIT * 5; n++)); do
                kill -0 "${of[$way]}" 2>/dev/null || break
                sleep 0.1
            done
            if kill -KILL "${of[$way]}" 2>/dev/null; then
                echo "$way: it did not end" >>deaf
            fi
            code=0
            wait "${of[$way]}" 2>/dev/null || code=$?
            [ "$code" = "$expected" ] || echo "$way: $code, not $expected: $(head -3 "$way/err")" >>deaf
        done
    done
    [ ! -e deaf ] || fail "$(cat deaf)"
}

@test "SIGTERM ends it" {
    mapfile -t ways < <("$PROGRAMS/deaf" --list)
    each 143 --verbose 0.7 "${ways[@]}"
}

@test "--timeout ends it" {
    mapfile -t ways < <("$PROGRAMS/deaf" --list)
    each 124 "--timeout=0.5" "" "${ways[@]}"
}

@test "what ends by itself ends as on Linux" {
    mapfile -t ways < <("$PROGRAMS/deaf" --own)
    for way in "${ways[@]}"; do
        "$PROGRAMS/deaf" "$way" >native.out 2>&1 && fail "$way ends well natively"
    done
    each 139 --verbose "" "${ways[@]}"
}
