# Makes the tables of `scripts/bench peers` from the lines that bench-peers.sh printed. Any awk.
#
# A run of a scheduler is divided by the geometric mean of the kernel's own runs in the blocks before and after it, so a
# slow drift cancels. The kernel's own row divides each of its runs by its neighbours in the same way: its spread is what
# the method cannot see, and a difference smaller than that is none.

BEGIN {
    FS = "\t"
    callbacks = split("select_cpu enqueue dispatch running stopping runnable quiescent dequeue tick update_idle set_weight enable init_task exit_task yield cpu_release cpu_acquire", callback, " ")
    throughput_columns = split("pipe messaging spawn cpu switch", throughput, " ")
    latency_columns = split("p50_us p99_us p99.9_us max_us", latency, " ")
    higher["ops_per_s"] = 1
}

$1 == "M" { meta[$2] = $3; if (split($2, part, ".") == 2 && part[1] == "left_out") { left_out[++left_outs] = part[2]; why[part[2]] = $3 } }
$1 == "R" {
    saw($4)
    value[$4, $5, $6, $2] = $7
    have[$5, $6] = 1
    block_of[$4, $2] = 1
    if ($2 > last_block) last_block = $2
}
$1 == "E" { saw($4); trouble[$4]++; troubles[++all_troubles] = sprintf("%s, %s%s: %s", $4, $5, $3 ? ", round " $3 : "", $6) }
$1 == "C" { saw($2); ns[$2, which($3)] += $5; calls[$2, which($3)] += $4; all_ns[$2] += $5; costs = 1 }
$1 == "V" { saw($2); if ($3 == "attach_ms") attach[$2, ++attaches[$2]] = $4; else other[$2, $3] = $4 }

function saw(who) {
    if (who in known) return
    known[who] = 1
    # A scheduler that was never measured yet still has its row.
    row[++rows] = who
}

# The callback that a program's name (cut after 15 bytes, or not) stands for.
function which(name,   i, n, best, got) {
    got = "other"
    for (i = 1; i <= callbacks; i++)
        for (n = length(callback[i]); n >= 4 && n > best; n--)
            if (length(name) > n && substr(name, length(name) - n) == "_" substr(callback[i], 1, n)) { best = n; got = callback[i] }
    return got
}

function sort(list, n,   i, j, v) {
    for (i = 2; i <= n; i++) {
        v = list[i]
        for (j = i - 1; j > 0 && list[j] > v; j--) list[j + 1] = list[j]
        list[j + 1] = v
    }
}
function middle(list, n) { return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2 }

# ratios(): fills `ratio` and returns how many; sets low, mid and high.
function ratios(who, workload, metric,   b, step, n, before, after, own) {
    n = 0
    step = who == "kernel" ? 2 : 1
    for (b = 0; b <= last_block; b++) {
        own = value[who, workload, metric, b]
        if (own == "" || own <= 0) continue
        before = value["kernel", workload, metric, b - step]
        after = value["kernel", workload, metric, b + step]
        if (before == "" || before <= 0) before = after
        if (after == "" || after <= 0) after = before
        if (before == "" || before <= 0) continue
        ratio[++n] = own / sqrt(before * after)
    }
    if (n) { sort(ratio, n); low = ratio[1]; mid = middle(ratio, n); high = ratio[n] }
    return n
}
function median_of(who, workload, metric,   b, n) {
    n = 0
    for (b = 0; b <= last_block; b++)
        if (value[who, workload, metric, b] != "") ratio[++n] = value[who, workload, metric, b] + 0
    if (!n) return "-"
    sort(ratio, n)
    return middle(ratio, n)
}

function cell(who, workload, metric,   n) {
    n = ratios(who, workload, metric)
    if (!n) return "-"
    median[who, workload, metric] = mid
    least[who, workload, metric] = low
    most[who, workload, metric] = high
    return sprintf("%.2f (%.2f-%.2f)%s", mid, low, high, who != "kernel" && n < meta["pairs"] ? " n=" n : "")
}
function pad(text, width) { return sprintf("%-" width "s", text) }
function short(number) { return number == "-" ? "-" : number >= 100 ? sprintf("%.0f", number) : sprintf("%.1f", number) }
function rule(title) { printf "\n%s\n\n", title }

function ratio_table(title, workload, metrics, columns, names,   i, r, line) {
    rule(title)
    line = pad("", 13)
    for (i = 1; i <= columns; i++) line = line (i < columns ? pad(names[i], 26) : names[i])
    print line
    for (r = 1; r <= rows; r++) {
        line = pad(row[r], 13)
        for (i = 1; i <= columns; i++) line = line pad(workload == "" ? cell(row[r], names[i], metrics) : cell(row[r], workload, names[i]), 26)
        sub(/ +$/, "", line)
        print line
    }
}

function answer(yes) { return yes ? "yes" : "NO" }

function verdicts(   i, w, r, peer, behind, clear, text, best, first) {
    rule("what edict is held to")
    for (i = 1; i <= throughput_columns; i++) {
        w = throughput[i]
        if (w == "switch" || median["edict", w, "ops_per_s"] == "") continue
        text = ""
        for (r = 1; r <= rows; r++) {
            peer = row[r]
            if (peer == "edict" || peer == "kernel" || median[peer, w, "ops_per_s"] == "") continue
            if (median[peer, w, "ops_per_s"] > median["edict", w, "ops_per_s"]) {
                first = least[peer, w, "ops_per_s"] > most["edict", w, "ops_per_s"]
                text = text sprintf("%s %s %.2f%s", text == "" ? "; behind" : ",", peer, median[peer, w, "ops_per_s"], first ? "" : " (spreads overlap)")
                behind[peer]++
                clear[peer] += first
            }
        }
        printf "%-4s %s: %.2f of the kernel's own scheduler, at least 0.97 asked%s\n", \
            answer(median["edict", w, "ops_per_s"] >= 0.97), w, median["edict", w, "ops_per_s"], text
    }
    for (r = 1; r <= rows; r++)
        if (behind[row[r]])
            printf "%-4s behind %s in %d of the throughputs, in %d by more than the spreads; at most 1 asked\n", answer(behind[row[r]] <= 1), row[r], behind[row[r]], clear[row[r]]
    if (median["edict", "wakeup", "p99_us"] != "") {
        printf "%-4s wakeup p99: %.2f of the kernel's own scheduler, at most 0.25 asked\n", \
            answer(median["edict", "wakeup", "p99_us"] <= 0.25), median["edict", "wakeup", "p99_us"]
        for (r = 1; r <= rows; r++)
            if (median[row[r], "wakeup", "p99_us"] != "" && (best == "" || median[row[r], "wakeup", "p99_us"] < median[best, "wakeup", "p99_us"])) best = row[r]
        printf "%-4s wakeup p99: the best is %s, edict asked\n", answer(best == "edict"), best
    }
}

function cost_table(   r, who, i, line, per, n) {
    rule("what it costs in `switch`, measured apart from the pairs: ns a call x calls a switch")
    line = pad("", 13) pad("BPF ns/switch", 15)
    for (i = 1; i <= callbacks; i++) { for (r = 1; r <= rows; r++) if (calls[row[r], callback[i]] > 0.005 * other[row[r], "switches"]) shown[i] = 1; if (shown[i]) line = line pad(callback[i], 14) }
    print line "other"
    for (r = 1; r <= rows; r++) {
        who = row[r]
        n = other[who, "switches"]
        if (!n) continue
        line = pad(who, 13) pad(sprintf("%.0f", all_ns[who] / n), 15)
        for (i = 1; i <= callbacks + 1; i++) {
            if (i <= callbacks && !shown[i]) continue
            per = i <= callbacks ? callback[i] : "other"
            line = line pad(calls[who, per] ? sprintf("%.0f x %.2f", ns[who, per] / calls[who, per], calls[who, per] / n) : "-", 14)
        }
        sub(/ +$/, "", line)
        print line
    }
    rule("memory and time to attach")
    print pad("", 13) pad("maps KiB", 12) pad("maps", 7) pad("agent KiB", 12) "attach s (median)"
    for (r = 1; r <= rows; r++) {
        who = row[r]
        if (who == "kernel") continue
        n = 0
        for (i = 1; i <= attaches[who]; i++) ratio[++n] = attach[who, i] / 1000
        sort(ratio, n)
        printf "%s%s%s%s%s\n", pad(who, 13), pad(other[who, "maps_bytes"] == "" ? "-" : sprintf("%.0f", other[who, "maps_bytes"] / 1024), 12), \
            pad(other[who, "maps"] == "" ? "-" : other[who, "maps"], 7), pad(other[who, "agent_kib"] == "" ? "-" : other[who, "agent_kib"], 12), n ? short(middle(ratio, n)) : "-"
    }
}

function absolute_table(   r, i, line, unit, scale, any, workload) {
    unit = meta["icount"] ? "instructions" : "nanoseconds of the guest"
    # -icount shift=1: two nanoseconds of guest time an instruction, all CPUs together.
    scale = meta["icount"] ? 0.5 : 1
    rule(unit " a context switch (median of all runs)")
    print pad("", 13) pad("switch", 12) "pipe"
    for (r = 1; r <= rows; r++) {
        line = pad(row[r], 13)
        for (i = 1; i <= 2; i++) {
            workload = i == 1 ? "switch" : "pipe"
            any = median_of(row[r], workload, "ns_per_switch")
            line = line pad(any == "-" ? any : sprintf("%.0f", any * scale), 12)
        }
        sub(/ +$/, "", line)
        print line
    }
}

# One row of latenesses in microseconds.
function lateness(title, who, workload,   line, i) {
    line = pad(title, 13)
    for (i = 1; i <= latency_columns; i++) line = line pad(short(median_of(who, workload, latency[i])), 10)
    return line short(median_of(who, workload, "samples"))
}
END {
    if (!rows) { print "nothing was measured"; exit 1 }
    printf "edict %s beside its peers\n", meta["edict"]
    printf "Linux %s, %s CPUs (%s), %s%s; host: %s\n", meta["linux"], meta["cpus"], meta["topology"], meta["accel"], meta["icount"] ? ", guest time counts instructions" : "", meta["host"]
    if (meta["peers"] != "") printf "peers: %s\n", meta["peers"]
    printf "%s pairs, runs of %s s. Ratio to the kernel's own scheduler in the runs before and after:\nmedian (least-most); the row `kernel` is that scheduler beside itself: what this method cannot tell apart.\n", meta["pairs"], meta["seconds"]
    if (meta["finished"] != "yes") print "NOT FINISHED: the guest ended before the last run."
    n = 0
    for (i = 1; i <= throughput_columns; i++) if ((throughput[i], "ops_per_s") in have) { n++; columns[n] = throughput[i] }
    if (n) ratio_table("throughput: higher is better", "", "ops_per_s", n, columns)
    if (("wakeup", "p99_us") in have) {
        ratio_table("lateness of wakeups under load: lower is better", "wakeup", "", latency_columns, latency)
        rule("the same in microseconds of the guest (median of all runs)")
        print pad("", 13) pad("p50", 10) pad("p99", 10) pad("p99.9", 10) pad("max", 10) "wakeups a run"
        for (r = 1; r <= rows; r++) print lateness(row[r], row[r], "wakeup")
        if (("floor", "p99_us") in have) print lateness("real time", "kernel", "floor")
    }
    if (("switch", "ops_per_s") in have || ("pipe", "ops_per_s") in have) absolute_table()
    if (costs) cost_table()
    if ("edict" in known && "kernel" in known) verdicts()
    if (all_troubles) {
        rule("thrown out, not attached, or without a result")
        for (i = 1; i <= all_troubles; i++) print troubles[i]
    }
    if (left_outs) {
        rule("left out")
        for (i = 1; i <= left_outs; i++) printf "%s: %s\n", left_out[i], why[left_out[i]]
    }
}
