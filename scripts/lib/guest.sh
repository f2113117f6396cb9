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

# run_guest_tests KERNEL [FILTER]: every guest test on that kernel, in one boot, and those of caches and cores in another.
run_guest_tests() {
    local kernel=$1 filter=${2:-vm_} status=0
    boot_guest_tests "$kernel" "$filter" flat "${GUEST_TESTS[@]}" || status=$?
    # Two caches, and cores of two threads. A filter of somebody's own is for the boot above, or names these tests.
    case $filter in
        vm_) boot_guest_tests "$kernel" vm_domains_ 2llc-smt live || status=$? ;;
        vm_domains*) boot_guest_tests "$kernel" "$filter" 2llc-smt live || status=$? ;;
    esac
    return "$status"
}

# boot_guest_tests KERNEL FILTER TOPOLOGY NAME...: Shares and waits are measured on emulated CPUs that the host may stop
# for a moment, so a program whose tests fail runs once more, and says so.
boot_guest_tests() {
    local kernel=$1 filter=$2 topology=$3 name script='status=0;'
    local arguments=(--kernel "$kernel" --topology "$topology" --memory 2048 --timeout 2400 --strip
        --add "$edict_bin:/usr/local/bin/edict" --add policies:/lab/policies
        --env EDICT_BIN=/usr/local/bin/edict --env RUST_BACKTRACE=1)
    shift 3
    for name in "$@"; do
        arguments+=(--add "${guest_test_bin[$name]}:/lab/tests/$name")
        script+=" run='/lab/tests/$name --test-threads=1 --nocapture';"
        script+=" \$run \"\$1\" || { echo 'AGAIN: $name failed on kernel $kernel and runs once more'; \$run \"\$1\"; } || status=\$?;"
    done
    "$here/vm" "${arguments[@]}" -- sh -c "$script exit \$status" sh "$filter"
}
