#!/bin/sh
# Run test programs in the guest:   guest-tests.sh KERNEL FILTER SKIPS PROGRAM...
#
# Shares and waits are measured on emulated CPUs that the host may stop for a moment, so a test that fails runs once more,
# and that is said. SKIPS are parts of names of tests to leave out, or nothing.

kernel=$1 filter=$2 skips=$3
shift 3
status=0

# Runs "$@", shows what it prints and keeps it.
run() {
    { "$@" --test-threads=1 --nocapture; echo $? >/tmp/tests.status; } | tee /tmp/tests.output
    return "$(cat /tmp/tests.status)"
}

for program in "$@"; do
    skipped=
    for skip in $skips; do skipped="$skipped --skip $skip"; done
    # shellcheck disable=SC2086 # several words
    run "$program" "$filter" $skipped && continue
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
exit "$status"
