#!/bin/sh
# From save to commit: 100 edits under load, the times that edict logs of each. Runs as root where sched_ext is (busybox sh
# will do); played by scripts/bench.
set -eu

dir=$(mktemp -d /tmp/edict-bench.XXXXXX)
log=$dir/edict.log
edits=100

write() {
    cat >"$dir/policy.edict.new" <<END
language 1
policy bench {}
set builders = { "cc1", "cc1plus", "rustc", "ld", "as", "collect2" }
tier critical { tickets = 800  slice = 3ms }
tier regular { tickets = $1  slice = 5ms }
tier batch { tickets = 20  slice = 20ms }
rules {
    shells: when comm == "sh" and nice <= 0 -> critical
    builds: when comm in builders or cgroup under "/build.slice" -> batch
    late: when runtime_avg > 20ms and not kthread -> batch
    otherwise -> regular
}
END
    mv "$dir/policy.edict.new" "$dir/policy.edict"
}

write 100
edict run "$dir" >"$log" 2>&1 &
agent=$!
trap 'kill $agent 2>/dev/null; wait $agent; rm -rf "$dir"' EXIT
waited=0
until grep -q attached "$log"; do
    sleep 1
    waited=$((waited + 1))
    if [ $waited -gt 30 ]; then
        cat "$log"
        exit 1
    fi
done
command -v hackbench >/dev/null && (while :; do hackbench -l 50 -g 2 >/dev/null; done) &
load=$!

edit=1
while [ $edit -le $edits ]; do
    write $((100 + edit))
    waited=0
    until grep -q "generation $((edit + 1)):" "$log"; do
        usleep 20000 2>/dev/null || sleep 0.02
        waited=$((waited + 1))
        if [ $waited -gt 500 ]; then
            tail -n 20 "$log"
            exit 1
        fi
    done
    edit=$((edit + 1))
done
# Without hackbench there was no load, and nothing to end.
kill $load 2>/dev/null || :

# Milliseconds, whatever unit the log has.
milliseconds() {
    sed -n "$1" "$log" | awk '{ v = $1; if ($2 == "µs" || $2 == "us") v /= 1000; if ($2 == "s") v *= 1000; print v }' | sort -n
}
row() {
    milliseconds "$2" | awk -v what="$1" '{ v[NR] = $1 } END { printf "%-28s %10.3f %10.3f %6d\n", what, v[int((NR + 1) / 2)], v[int(NR * 0.99 + 0.5)], NR }'
}
printf '%s, %s edits under hackbench\n' "$(uname -r)" $edits
printf '%-28s %10s %10s %6s\n' "milliseconds" median p99 n
row "prepare" 's/.*prepared in \([0-9.]*\) \([^ ,]*\).*/\1 \2/p'
row "commit" 's/.*committed in \([0-9.]*\) \([^ ,]*\).*/\1 \2/p'
row "save to commit" 's/.*, \([0-9.]*\) \([^ ,]*\) after the save.*/\1 \2/p'
printf 'settle time 100 ms; enable_seq %s, rejected %s\n' "$(cat /sys/kernel/sched_ext/enable_seq)" "$(cat /sys/kernel/sched_ext/nr_rejected)"
