#!/bin/bash
# SPDX-License-Identifier: MIT
# What shell scripts do: pipes, children, substitutions, traps, jobs. Same output each time.
set -u
greet() {
    local n=$1
    ((n > 0)) || return 0
    echo "n=$n"
    greet $((n - 1))
}
greet 3
echo "$(printf '%s\n' c a b | sort | tr '\n' ' ')"
for word in one two; do
    (echo "subshell $word" | tr a-z A-Z)
done
cat <(echo from a substitution)
cat <<END
here, $((6 * 7))
END
read -r first rest < <(echo head tail end)
echo "$first|$rest"
mapfile -t lines </etc/shells
echo "${#lines[@]} lines"
declare -A map=([key]=value)
echo "${map[key]}"
[[ abcde =~ b(.)d ]] && echo "${BASH_REMATCH[1]}"
false | true | false
echo "${PIPESTATUS[*]}"
(exit 7)
echo "status $?"
trap 'echo caught USR1' USR1
kill -USR1 $$
(kill -TERM "$BASHPID")
echo "child died of $(($? - 128))"
sleep 0.1 &
wait $!
echo "waited $?"
coproc cat
echo through a coprocess >&"${COPROC[1]}"
read -r back <&"${COPROC[0]}"
echo "$back"
eval "exec ${COPROC[1]}>&-"
wait
seq 1 2000 | awk '{ s += $1 } END { print s }'
find /etc -maxdepth 1 -name 'pass*' -print0 | xargs -0 ls -d
out=$(mktemp)
tar cf - -C /etc passwd group | gzip -n | gzip -dc | tar xOf - passwd | cksum >"$out"
cksum </etc/passwd | cmp - "$out" && echo same
rm "$out"
trap 'echo bye' EXIT
exec 3>&1
echo on three >&3
exit 9
