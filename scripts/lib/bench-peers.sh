#!/bin/sh
# Schedulers side by side, inside one boot: the guest's half of `scripts/bench peers`. Runs as root where sched_ext is
# (busybox sh will do).
#
# A block is every workload once under one scheduler. Blocks alternate: kernel, A, kernel, B, kernel, ... so that each run
# of a scheduler has a run of the kernel's own right before and right after it, and whatever drifts slowly (the host, its
# heat, its other guests) is in both. Each round begins with another scheduler. Prints tab-separated lines and decides
# nothing: medians, ratios and verdicts are made of them outside, by bench-table.awk.
#
#   M key value                                  what was measured on
#   R block round scheduler workload metric value
#   E block round scheduler workload reason      thrown out by the kernel, not attached, or no result
#   C scheduler callback calls nanoseconds       BPF run time in one run of `switch`
#   V scheduler key value                        memory, time to attach
#   P text                                       progress
set -u

pairs=${BENCH_PAIRS:-5}
seconds=${BENCH_SECONDS:-5}
schedulers=${BENCH_SCHEDULERS:-edict}
workloads=$BENCH_WORKLOADS
policy=${BENCH_POLICY:-/lab/policies/desktop}
bin=/lab/bin
work=/tmp/bench
mkdir -p $work
cpus=$(nproc)
ext=/sys/kernel/sched_ext
tab=$(printf '\t')
pid='' attached='' block=0 round=0

emit() {
    line=$1
    shift
    for field in "$@"; do line=$line$tab$field; done
    printf '%s\n' "$line"
}
progress() { emit P "$*"; }
# Milliseconds since boot, in steps of 10: the runs are hundreds of times longer.
now() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
switches() { awk '$1 == "ctxt" { print $2 }' /proc/stat; }

# --- workloads: each prints "metric value" lines ----------------------------------------------------------------------

# Two tasks and two pipes; a switch at each end of each message. run_pipe LOOPS [WORDS BEFORE THE COMMAND]...
run_pipe() {
    loops=$1
    shift
    before=$(switches)
    took=$("$@" timeout 120 perf bench -f simple sched pipe -l "$loops" 2>/dev/null) || return 1
    after=$(switches)
    awk -v t="$took" -v n="$loops" -v s=$((after - before)) 'BEGIN {
        if (t <= 0 || s <= 0) exit 1
        printf "ops_per_s %.1f\nns_per_op %.1f\nns_per_switch %.1f\n", n / t, t * 1e9 / n, t * 1e9 / s }'
}
work_pipe() { run_pipe "$pipe_loops"; }
# The same on one CPU: nothing but switches, no choice of a CPU in it.
work_switch() { run_pipe "$switch_loops" taskset 1; }

# Four groups of 20 senders and 20 receivers over sockets.
work_messaging() {
    took=$(timeout 120 perf bench -f simple sched messaging -g 4 -l "$messaging_loops" 2>/dev/null) || return 1
    awk -v t="$took" -v n="$messaging_loops" 'BEGIN { if (t <= 0) exit 1; printf "ops_per_s %.1f\n", 4 * 20 * 20 * n / t }'
}

# Fork, exec of a small static program, exit, wait: two shells for each CPU do that as fast as they can.
spawner() {
    left=$spawn_loops
    while [ "$left" -gt 0 ]; do
        $bin/true
        left=$((left - 1))
    done
}
work_spawn() {
    begun=$(now) shells='' each=$((cpus * 2))
    while [ $each -gt 0 ]; do
        spawner &
        shells="$shells $!"
        each=$((each - 1))
    done
    # shellcheck disable=SC2086 # a list
    wait $shells
    ended=$(now)
    awk -v t=$((ended - begun)) -v n=$((cpus * 2 * spawn_loops)) 'BEGIN { if (t <= 0) exit 1; printf "ops_per_s %.2f\n", n * 1000 / t }'
}

# Three computing tasks for each CPU.
work_cpu() {
    timeout 120 stress-ng --cpu $((cpus * 3)) --cpu-method int64 --timeout "${seconds}s" --metrics-brief --temp-path /tmp >$work/stress 2>&1 || return 1
    awk '{ for (i = 1; i < NF; i++) if ($i == "cpu" && $(i + 1) ~ /^[0-9]+$/) { print "ops_per_s", $(i + 5); found = 1 } }
        END { exit !found }' $work/stress
}

# A task that sleeps for a millisecond, over and over, as SCHED_OTHER, and how late it wakes, while three tasks for each CPU
# compute. The names are what the desktop pack goes by: cyclictest goes as `pipewire` (critical), the others as `cc1plus`
# (batch). Nobody has another nice value than 0.
work_wakeup() { lateness --policy=other; }
# The same as a real-time task, which no scheduler of ours has a say in: what the machine itself is late by.
work_floor() { lateness --policy=fifo --priority=80; }
# lateness OPTION_OF_CYCLICTEST...
lateness() {
    hogs='' each=$((cpus * 3))
    while [ $each -gt 0 ]; do
        $bin/cc1plus &
        hogs="$hogs $!"
        each=$((each - 1))
    done
    sleep 1
    timeout $((seconds * 4 + 60)) $bin/pipewire "$@" --threads=1 --interval=1000 --duration="$seconds" --mlockall --quiet --histogram=200000 \
        >$work/histogram 2>$work/errors
    failed=$?
    # shellcheck disable=SC2086 # a list
    kill $hogs
    # shellcheck disable=SC2086
    wait $hogs 2>/dev/null
    [ $failed = 0 ] || return 1
    # Without leading zeros, which some awks read as octal.
    grep -v ' 0*$' $work/histogram | sed 's/^0*\([0-9]\)/\1/; s/\([ :]\)0*\([0-9]\)/\1\2/' | awk '
        /Overflows/ { over = $NF + 0 }
        /^# Max Lat/ { worst = $NF + 0 }
        /^[0-9]/ && $2 > 0 { at[++rows] = $1 + 0; many[rows] = $2; n += $2 }
        function percentile(part,   need, seen, i) {
            need = part * (n + over)
            for (i = 1; i <= rows; i++) if ((seen += many[i]) >= need) return at[i]
            return worst
        }
        END {
            if (!n) exit 1
            print "p50_us", percentile(0.5); print "p99_us", percentile(0.99); print "p99.9_us", percentile(0.999)
            print "max_us", worst; print "samples", n + over
        }'
}

# --- schedulers -------------------------------------------------------------------------------------------------------

start() {
    case $1 in
        edict) exec edict run "$policy" ;;
        bpfland) exec scx_bpfland ;;
        rusty) exec scx_rusty ;;
        layered) exec scx_layered f:/lab/layered.json ;;
        lavd) exec scx_lavd ;;
        pandemonium) exec scx_pandemonium ;;
        *) echo "no such scheduler: $1" && return 1 ;;
    esac
}

state() { cat $ext/state; }
running() { kill -0 "$pid" 2>/dev/null && [ "$(state)" = enabled ] && [ "$(cat $ext/enable_seq)" = "$sequence" ]; }
# The last thing that the kernel or the scheduler itself said about its end, on one line.
reason() {
    {
        tail -n 3 "$work/$1.log"
        dmesg | grep 'sched_ext: .*disabled (' | tail -n 1
    } | grep -v '^ *$' | tail -n 1 | tr '\t' ' ' | cut -c 1-200
}

attach() {
    attached='' begun=$(now)
    dmesg -c >/dev/null
    start "$1" >"$work/$1.log" 2>&1 &
    pid=$!
    until [ "$(state)" = enabled ]; do
        if ! kill -0 $pid 2>/dev/null || [ $(($(now) - begun)) -gt 300000 ]; then
            kill -9 $pid 2>/dev/null
            wait $pid 2>/dev/null
            return 1
        fi
        usleep 100000
    done
    attached=$1 sequence=$(cat $ext/enable_seq)
    emit V "$1" attach_ms $(($(now) - begun))
    sleep 1
    running || {
        detach
        return 1
    }
}
detach() {
    kill -INT "$pid" 2>/dev/null
    waited=0
    while kill -0 "$pid" 2>/dev/null; do
        usleep 100000
        waited=$((waited + 1))
        [ $waited != 100 ] || kill -TERM "$pid" 2>/dev/null
        [ $waited -lt 200 ] || kill -KILL "$pid" 2>/dev/null
    done
    wait "$pid" 2>/dev/null
    until [ "$(state)" = disabled ]; do usleep 100000; done
    attached=''
}

# --- one block --------------------------------------------------------------------------------------------------------

measure() {
    scheduler=$1 workload=$2
    if "work_$workload" >$work/values; then
        if [ "$scheduler" = kernel ] || running; then
            while read -r metric value; do
                emit R $block $round "$scheduler" "$workload" "$metric" "$value"
                summary="$summary $workload.$metric=$value"
            done <$work/values
            return 0
        fi
    elif [ "$scheduler" = kernel ] || running; then
        emit E $block $round "$scheduler" "$workload" "no result"
        return 0
    fi
    emit E $block $round "$scheduler" "$workload" "ejected: $(reason "$scheduler")"
    return 1
}

# A scheduler that is thrown out gets one more chance in the block, with the workload after the one that it failed.
measure_all() {
    scheduler=$1 summary='' chances=2
    for workload in $workloads; do
        [ "$workload" != floor ] || [ "$scheduler" = kernel ] || continue
        if [ "$scheduler" != kernel ] && [ -z "$attached" ]; then
            [ $chances -gt 0 ] || break
            chances=$((chances - 1))
            if ! attach "$scheduler"; then
                emit E $block $round "$scheduler" "$workload" "not attached: $(reason "$scheduler")"
                break
            fi
        fi
        measure "$scheduler" "$workload" || detach
    done
    [ -z "$attached" ] || detach
    progress "round $round/$pairs $scheduler:$summary"
    block=$((block + 1))
}

# A list that begins one further on each time.
rotated() {
    skip=$1
    shift
    while [ "$skip" -gt 0 ]; do
        first=$1
        shift
        set -- "$@" "$first"
        skip=$((skip - 1))
    done
    echo "$@"
}

# --- what it costs ----------------------------------------------------------------------------------------------------

programs() { bpftool prog show 2>/dev/null; }
ids() { sed -n 's/^\([0-9]*\): .*/\1/p'; }

# One run of `switch` with the kernel's clock on every BPF program (which itself costs time, so no ratio is taken here).
cost() {
    programs | ids >$work/old.programs
    bpftool map show | ids >$work/old.maps
    attach "$1" || {
        emit E $block 0 "$1" cost "not attached: $(reason "$1")"
        return
    }
    echo 1 >/proc/sys/kernel/bpf_stats_enabled
    programs >$work/programs.before
    from=$(switches)
    work_switch >$work/values
    to=$(switches)
    programs >$work/programs.after
    echo 0 >/proc/sys/kernel/bpf_stats_enabled
    if running; then
        emit V "$1" switches $((to - from))
        awk -v who="$1" -v old=$work/old.programs -v before=$work/programs.before '
            BEGIN { while ((getline id < old) > 0) gone[id] = 1; while ((getline line < before) > 0) read_line(line, was_ns, was_n) }
            function read_line(line, ns, n,   words, many, i, id) {
                many = split(line, words, " ")
                if (words[1] !~ /^[0-9]+:$/) return 0
                id = words[1] + 0; name[id] = "?"; kind[id] = words[2]
                for (i = 2; i < many; i++) {
                    if (words[i] == "name") name[id] = words[i + 1]
                    if (words[i] == "run_time_ns") ns[id] = words[i + 1]
                    if (words[i] == "run_cnt") n[id] = words[i + 1]
                }
                return id
            }
            { id = read_line($0, ns, n)
              if (id && !(id in gone) && n[id] - was_n[id] > 0)
                  printf "C\t%s\t%s\t%d\t%d\n", who, name[id], n[id] - was_n[id], ns[id] - was_ns[id] }' $work/programs.after
        bpftool map show | awk -v who="$1" -v old=$work/old.maps '
            BEGIN { while ((getline id < old) > 0) gone[id] = 1 }
            /^[0-9]+:/ { mine = !(($1 + 0) in gone); maps += mine }
            mine { for (i = 1; i < NF; i++) if ($i == "memlock") bytes += $(i + 1) }
            END { printf "V\t%s\tmaps\t%d\nV\t%s\tmaps_bytes\t%d\n", who, maps, who, bytes }'
        emit V "$1" agent_kib "$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status")"
    else
        emit E $block 0 "$1" cost "ejected: $(reason "$1")"
    fi
    detach
    progress "cost of $1"
}

# --- how much work makes a run of so many seconds, under the kernel's own scheduler -----------------------------------

# calibrate WORKLOAD OPERATIONS_A_LOOP: prints the loops.
calibrate() {
    "work_$1" | awk -v s="$seconds" -v per="$2" '$1 == "ops_per_s" { n = int($2 * s / per) } END { print (n > 10 ? n : 10) }'
}

cp /bin/busybox $bin/true
printf '#!/bin/sh\nwhile :; do :; done\n' >$bin/cc1plus
chmod +x $bin/cc1plus

[ "$(state)" = disabled ] || {
    echo "a scheduler is attached already" >&2
    exit 1
}
emit M linux "$(uname -r)"
emit M cpus "$cpus"
emit M accel "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
emit M seconds "$seconds"
emit M pairs "$pairs"
pipe_loops=2000 switch_loops=2000 messaging_loops=10 spawn_loops=30
switch_loops=$(calibrate switch 1)
for workload in $workloads; do
    case $workload in
        pipe) pipe_loops=$(calibrate pipe 1) ;;
        messaging) messaging_loops=$(calibrate messaging 1600) ;;
        spawn) spawn_loops=$(calibrate spawn $((cpus * 2))) ;;
    esac
done
progress "runs of $seconds s: $pipe_loops messages through a pipe ($switch_loops on one CPU), $messaging_loops loops of messaging, $spawn_loops processes a shell"

measure_all kernel
# shellcheck disable=SC2086 # lists
while [ $round -lt "$pairs" ]; do
    round=$((round + 1))
    set -- $schedulers
    for one in $(rotated $(((round - 1) % $#)) $schedulers); do
        measure_all "$one"
        measure_all kernel
    done
done
if [ -z "${BENCH_NO_COST:-}" ] && command -v bpftool >/dev/null; then
    # shellcheck disable=SC2086 # a list
    for one in $schedulers; do cost "$one"; done
fi
emit M finished yes
