#!/bin/sh
# Run test programs in the guest:   guest-tests.sh KERNEL FILTER SKIPS PROGRAM...
#
# Shares and waits are measured on emulated CPUs that the host may stop for a moment, so a test that fails runs once more,
# and that is said; not when the kernel has thrown the scheduler out. SKIPS are parts of names of tests to leave out, or
# nothing. Here nothing may skip itself: the guest is made so that everything can run.

kernel=$1 filter=$2 skips=$3
shift 3
status=0 unfit=0

# Runs "$@", shows what it prints and keeps it.
run() {
    { "$@" --test-threads=1 --nocapture; echo $? >/tmp/tests.status; } | tee /tmp/tests.output
    # 7.3 does not come back from hibernation, whoever schedules.
    if grep 'SKIPPED' /tmp/tests.output | grep -v 'SKIPPED hibernation' | grep . ||
        { [ "$filter" = vm_ ] && grep '^running 0 tests' /tmp/tests.output; }; then
        echo "$1: tests were skipped where none may be" >&2
        unfit=1
    fi
    return "$(cat /tmp/tests.status)"
}

# How often the kernel has thrown a scheduler out, which the agent's tests provoke and no others are to see.
ejections() { dmesg | grep -cE 'sched_ext: .*disabled \((runnable task stall|runtime error)'; }

for program in "$@"; do
    skipped=''
    before=$(ejections)
    for skip in $skips; do skipped="$skipped --skip $skip"; done
    # shellcheck disable=SC2086 # several words
    run "$program" "$filter" $skipped && continue
    if [ "${program##*/}" != agent ] && [ "$(ejections)" != "$before" ]; then
        dmesg | grep sched_ext
        status=1
        continue
    fi
    # The names stand below the last line `failures:`.
    failed=$(awk '/^failures:$/ { n = 0 } /^    [a-z0-9_:]+$/ { name[++n] = $1 } END { while (n) print name[n--] }' /tmp/tests.output)
    # shellcheck disable=SC2086 # several names on one line
    echo "AGAIN: ${program##*/} failed on kernel $kernel, and what failed runs once more:" $failed
    if [ -n "$failed" ]; then
        # shellcheck disable=SC2086 # several names
        run "$program" --exact $failed || status=$?
    else
        # shellcheck disable=SC2086
        run "$program" "$filter" $skipped || status=$?
    fi
done
[ "$unfit" = 0 ] || status=1
exit "$status"
