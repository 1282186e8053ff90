# SPDX-License-Identifier: MIT
# MPI programs as Debian ships them, two ranks: the same results as natively.
load common

setup() {
    need_isle
    need_two_cpus
    cd "$BATS_TEST_TMPDIR" || return 1
    export OMP_NUM_THREADS=1
    ls /dev/shm >shm.before
}

# on SIDE COMMAND...: two ranks natively or on isles, in a folder of their own.
on() {
    local side=$1
    shift
    mkdir -p "$side"
    cd "$side"
    if [ "$side" = isle ]; then
        set -- "$LULL" "$@"
    fi
    run_to "../$side" taskset -c "$CPUS" mpirun.mpich -n 2 "$@"
    cd ..
    [ "$code" = 0 ] || {
        show "$side.out" "$side.err"
        fail "$side: exit code $code"
    }
    ls /dev/shm | diff shm.before -
}

# The sizes that NetPIPE tried. What it found may be torn from its size: the other rank writes too.
sizes() {
    grep -o '[0-9]* bytes  *[0-9]* times' "$1" | sort -n
}

# netpipe OPTIONS...: data arrive whole, in every size.
netpipe() {
    on native NPmpich2 -i "$@"
    on isle NPmpich2 -i "$@"
    diff <(sizes native.err) <(sizes isle.err)
    local passed
    passed=$(grep -c 'Integrity check passed' isle.err)
    [ "$passed" -ge 30 ]
    [ "$passed" = "$(sizes isle.err | wc -l)" ]
}

@test "NetPIPE checks what arrives: blocking, preposted, synchronous, with offsets" {
    command -v NPmpich2 >/dev/null || fail "no NPmpich2: run make deps"
    netpipe -n 10 -u 4194304
    netpipe -n 5 -u 262144 -a
    netpipe -n 5 -u 262144 -S
    netpipe -n 5 -u 262144 -O 1,3
}

@test "NetPIPE measures" {
    on native NPmpich2 -n 20 -u 65536 -o native.np
    on isle NPmpich2 -n 20 -u 65536 -o isle.np
    # size, throughput, time: as many sizes as natively, each with a figure
    diff <(awk '{ print $1 }' native/native.np) <(awk '$2 > 0 && $3 > 0 { print $1 }' isle/isle.np)
}

# figure NAME FILE: the number that NWChem gives it.
figure() {
    sed -n "s/^ *$1 *= *\(-[0-9.]*\|[0-9.]*\)[ s]*$/\1/p" "$2"
}

@test "NWChem: energies of water" {
    local nwchem name
    nwchem=$("$BATS_TEST_DIRNAME/../../scripts/nwchem" 2>nwchem.err) || skip "$(cat nwchem.err)"
    export LD_LIBRARY_PATH=$(echo "$nwchem"/usr/lib/*-linux-gnu) ARMCI_USE_WIN_ALLOCATE=0
    export NWCHEM_BASIS_LIBRARY=$nwchem/usr/share/nwchem/libraries/
    cat >h2o.nw <<END
start h2o
geometry units angstroms
  O  0.0  0.0       0.117790
  H  0.0  0.755453 -0.471161
  H  0.0 -0.755453 -0.471161
end
basis
  * library 6-31g*
end
task scf energy
task mp2 energy
END
    on native "$nwchem/usr/bin/nwchem.mpich" "$PWD/h2o.nw"
    on isle "$nwchem/usr/bin/nwchem.mpich" "$PWD/h2o.nw"
    for name in "Total SCF energy" "Nuclear repulsion energy" "Two-electron energy"; do
        echo "$name: $(figure "$name" native.out), isle: $(figure "$name" isle.out)"
        paste <(figure "$name" native.out) <(figure "$name" isle.out) |
            awk '{ d = $1 - $2; if (NF == 2 && d < 1e-9 && d > -1e-9) n++ } END { exit n < 1 || n < NR }'
    done
    figure "Total SCF energy" isle.out | grep -q '^-76\.0104815'
}
