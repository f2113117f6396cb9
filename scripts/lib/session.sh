#!/bin/sh
# A session of edict that a person can read. Runs as root inside of the virtual machine (busybox sh), played by scripts/run.
# It ends with a status other than 0 when something that it shows did not happen.
# The workers' programs are written in single quotes on purpose, and `within` runs functions by name.
# shellcheck disable=SC2016,SC2317
set -u

policy=${EDICT_SESSION_POLICY:-/lab/policies/desktop}
log=/tmp/edict.log
failed=0

say() { printf '\n### %s\n\n' "$*"; }
show() {
    printf '$ %s\n' "$*"
    "$@"
}
expect() {
    if [ "$2" = "$3" ]; then
        printf '    ok: %s is %s\n' "$1" "$2"
    else
        printf '    NOT OK: %s is %s, expected %s\n' "$1" "$2" "$3"
        failed=1
    fi
}
# Hundredths of a second since the machine started.
clock() { sed 's/ .*//; s/\.//' /proc/uptime; }
# Waits until a command succeeds, at most so many seconds; says how long it took.
within() {
    limit=$(($1 * 100)) what=$2 begun=$(clock)
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $(($(clock) - begun)) -gt "$limit" ]; then
            printf '    NOT OK: %s: not within %d s\n' "$what" $((limit / 100))
            failed=1
            return 1
        fi
        usleep 50000
    done
    took=$(($(clock) - begun))
    printf '    %s after %d.%02d s\n' "$what" $((took / 100)) $((took % 100))
}
enable_seq() { cat /sys/kernel/sched_ext/enable_seq; }
state() { cat /sys/kernel/sched_ext/state; }
field() { edict status --format json | sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1; }
tier_of() { edict why "$1" --format json | sed -n 's/.*"tier": *"\([^"]*\)".*/\1/p' | head -n 1; }
in_tier() { [ "$(tier_of "$1")" = "$2" ]; }

# Programs whose names the policy knows: a shell script's task is named after the script.
worker() {
    printf '#!/bin/sh\n%s\n' "$2" >"/tmp/$1"
    chmod +x "/tmp/$1"
    "/tmp/$1" &
}

say "A desktop at work: two compilers, a backup, a browser and an audio server"
worker cc1plus 'while :; do :; done'
compiler=$!
worker rustc 'while :; do :; done'
worker rsync 'while :; do :; done'
worker firefox 'while :; do i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; usleep 8000; done'
worker pipewire 'while :; do usleep 5000; done'
audio=$!
show uname -r
printf '$ cat /sys/kernel/sched_ext/state\n'
state

say "The policy is checked, then it takes over"
show edict check "$policy"
printf '$ edict run %s &\n' "$policy"
edict run "$policy" >"$log" 2>&1 &
agent=$!
within 60 "attached" grep -q 'attached' "$log"
cat "$log"
expect "the kernel's sched_ext state" "$(state)" enabled
before=$(enable_seq)
generation=$(field generation)
sleep 3
show edict status

say "Why is the audio server where it is?"
show edict why "$audio"

say "An edit takes effect while everything runs: compilers become normal work"
was=$(tier_of "$compiler")
cp "$policy/policy.edict" /tmp/before.edict
# The rule `compile` ends with this line.
sed 's/^\( *or comm in build_drivers *\)-> batch/\1-> normal/' /tmp/before.edict >/tmp/after.edict
printf '$ diff -u before after\n'
diff -u /tmp/before.edict /tmp/after.edict | sed 1,2d
lines=$(wc -l <"$log")
# The policy's own tests say where the rule leads, and change in the same moment.
sed -i 's/expect batch by compile$/expect normal by compile/' "$policy/tests.edict"
cp /tmp/after.edict "$policy/policy.edict"
within 10 "cc1plus moved from $was to normal" in_tier "$compiler" normal
sed "1,${lines}d" "$log"
expect "the generation" "$(field generation)" $((generation + 1))
expect "enable_seq (unchanged: nothing was detached)" "$(enable_seq)" "$before"

say "A broken edit is refused; what runs stays"
generation=$(field generation)
lines=$(wc -l <"$log")
sed 's/when comm in compilers/when comm in compilres/' /tmp/after.edict >"$policy/policy.edict"
within 10 "refused" sh -c "sed 1,${lines}d $log | grep -q kept"
sed "1,${lines}d" "$log"
expect "the generation" "$(field generation)" "$generation"
expect "the compiler's tier" "$(tier_of "$compiler")" normal
expect "enable_seq" "$(enable_seq)" "$before"
lines=$(wc -l <"$log")
cp /tmp/after.edict "$policy/policy.edict"
within 10 "the good text is back" sh -c "sed 1,${lines}d $log | grep -q again"
sed "1,${lines}d" "$log"

say "Stop: the kernel's own scheduler takes over, and the work goes on"
printf '$ kill %s\n' "$agent"
lines=$(wc -l <"$log")
kill "$agent"
wait "$agent"
expect "edict's exit status" "$?" 0
sed "1,${lines}d" "$log"
expect "the kernel's sched_ext state" "$(state)" disabled
kill -0 "$compiler" && echo "    ok: the compiler still runs"
expect "schedulers that the kernel threw out" "$(cat /sys/kernel/sched_ext/nr_rejected)" 0

[ "$failed" = 0 ] && say "Everything above happened for real, on $(uname -r)"
exit "$failed"
