# shellcheck shell=bash
# Building what runs inside of the virtual machine, and running the tests there. Sourced.

# The sourcing script sets `here`, the folder of scripts.
# shellcheck disable=SC2154

# The tests that need a sched_ext kernel; on any other kernel they say that they are skipped.
GUEST_TESTS=(live agent environment)

edict_bin=''
declare -A guest_test_bin=()

# Builds edict and the guest's tests, optimised: the guest's CPUs are emulated, and slow enough.
build_guest_programs() {
    local name path
    log "building edict and the tests for the guest"
    cargo build --release --quiet
    edict_bin=${CARGO_TARGET_DIR:-target}/release/edict
    for name in "${GUEST_TESTS[@]}"; do
        path=$(cargo test --release --no-run --test "$name" 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p' | tail -n 1)
        [[ -n $path ]] || die "cargo did not say where it put the test '$name'"
        guest_test_bin[$name]=$path
    done
}

# What does not depend on the kernel but on arithmetic, and takes long.
LONG_TESTS='draws:: adversary::'

# run_guest_tests KERNEL FILTER HOW: the guest tests on that kernel, in one boot; when HOW is `whole`, all of them, and those
# of caches and cores in another.
run_guest_tests() {
    local kernel=$1 filter=${2:-vm_} how=$3 status=0 skips=''
    [[ $how == whole ]] || skips=$LONG_TESTS
    # They want more than one cache.
    [[ $filter != vm_ ]] || skips+=' vm_domains_'
    [[ $filter == vm_domains* ]] || boot_guest_tests "$kernel" "$filter" "$skips" flat "${GUEST_TESTS[@]}" || status=$?
    # Two caches, and cores of two threads. A filter of somebody's own is for the boot above, or names these tests.
    case $how:$filter in
        whole:vm_) boot_guest_tests "$kernel" vm_domains_ '' 2llc-smt live || status=$? ;;
        *:vm_domains*) boot_guest_tests "$kernel" "$filter" '' 2llc-smt live || status=$? ;;
    esac
    return "$status"
}

# boot_guest_tests KERNEL FILTER SKIPS TOPOLOGY NAME...
boot_guest_tests() {
    local kernel=$1 filter=$2 skips=$3 topology=$4 name programs=()
    local arguments=(--kernel "$kernel" --topology "$topology" --memory 2048 --timeout 2400 --strip
        --add "$edict_bin:/usr/local/bin/edict" --add policies:/lab/policies
        --add "$here/lib/guest-tests.sh:/usr/local/bin/guest-tests.sh"
        --env EDICT_BIN=/usr/local/bin/edict --env RUST_BACKTRACE=1)
    shift 4
    for name in "$@"; do
        arguments+=(--add "${guest_test_bin[$name]}:/lab/tests/$name")
        programs+=("/lab/tests/$name")
    done
    "$here/vm" "${arguments[@]}" -- guest-tests.sh "$kernel" "$filter" "$skips" "${programs[@]}"
}
