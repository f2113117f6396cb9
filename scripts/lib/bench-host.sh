# shellcheck shell=bash
# The host's half of `scripts/bench peers`: the peers, built from the crate registry, and the guest that measures them.
# Sourced; common.sh, packages.sh and toolchain.sh must be too.

# The sourcing script sets `here`, the folder of scripts.
# shellcheck disable=SC2154

# Pinned: another version is another scheduler.
declare -A PEER_VERSION=([bpfland]=1.1.4 [lavd]=1.1.4 [rusty]=1.1.4 [layered]=1.1.4 [pandemonium]=5.23.1)
# In the order in which they are built.
PEERS=(bpfland lavd rusty layered pandemonium)
PEER_WORKLOADS=(pipe messaging spawn cpu wakeup floor switch)

# The program of a peer, once it is installed: the first that its crate installs.
peer_program() {
    local root
    root=$(cache_dir)/peers
    [[ -f $root/.crates.toml ]] || return 0
    sed -n "s/^\"scx_$1 ${PEER_VERSION[$1]} .*= \[\"\([^\"]*\)\".*/\1/p" "$root/.crates.toml" | sed "s|^|$root/bin/|"
}

# install_peer NAME: builds it unless it is there; afterwards peer_program says whether that went well. What did not build
# is not tried again for a day.
install_peer() {
    local name=$1 version=${PEER_VERSION[$1]} root program
    root=$(cache_dir)/peers
    program=$(peer_program "$name")
    if [[ -n $program && -x $program ]]; then
        return
    fi
    if [[ -n $(find "$root/$name-$version.failed" -mtime -1 2>/dev/null) ]]; then
        return
    fi
    mkdir -p "$root"
    log "building scx_$name $version (log: $root/$name-$version.log); this takes minutes, once"
    # One target directory, so that what they share is built once.
    if CARGO_TARGET_DIR=$root/build nice -n 19 cargo install --locked --version "=$version" --root "$root" "scx_$name" \
        >"$root/$name-$version.log" 2>&1 </dev/null; then
        rm -f "$root/$name-$version.failed"
        # Gigabytes that nobody needs once the last one is built.
        for name in "${PEERS[@]}"; do [[ -n $(peer_program "$name") ]] || return 0; done
        rm -rf "$root/build"
        return
    fi
    grep -m 1 -E '^ *(error|thread .* panicked|fatal|.*cannot find)' "$root/$name-$version.log" | cut -c 1-200 >"$root/$name-$version.failed" ||
        tail -n 1 "$root/$name-$version.log" >"$root/$name-$version.failed"
}

# Meta lines of the results: what they were measured on.
meta() { printf 'M\t%s\t%s\n' "$1" "$2"; }

# Splits what the guest prints: results to a file, progress and anything unexpected to the terminal.
sort_lines() {
    local line
    while IFS= read -r line; do
        case $line in
            P$'\t'*) log "${line#*$'\t'}" ;;
            [MRECV]$'\t'*) printf '%s\n' "$line" >>"$1" ;;
            *) printf '%s\n' "$line" >&2 ;;
        esac
    done
}

# print_tables RESULTS: the tables; with `write` also into docs/performance.md, in place of those that stood there.
print_tables() {
    local document=docs/performance.md tables mark=peers
    tables=$(awk -f scripts/lib/bench-table.awk "$1")
    printf '%s\n' "$tables"
    [[ -n $write ]] || return 0
    grep -q '^M.icount.yes' "$1" && mark=icount
    grep -q "^<!-- $mark: end -->$" "$document" || die "$document has no place for these tables: <!-- $mark: begin -->, <!-- $mark: end -->"
    tables=$tables awk -v begin="<!-- $mark: begin -->" -v end="<!-- $mark: end -->" '
        $0 == end { print "```"; inside = 0 }
        !inside { print }
        $0 == begin { inside = 1; print "```"; print ENVIRON["tables"] }' "$document" >"$document.new"
    mv "$document.new" "$document"
    log "written into $document"
}

# run_peers RESULTS: the guest. Takes bench's settings: schedulers, workloads, pairs, seconds, kernel, cpus, topology, icount.
run_peers() {
    local results=$1 name program adds=() present=() versions=() status=0 edict tool timeout reason
    for name in ${workloads//,/ }; do
        [[ " ${PEER_WORKLOADS[*]} " == *" $name "* ]] || die "unknown workload '$name': ${PEER_WORKLOADS[*]}"
    done
    for name in ${schedulers//,/ }; do
        [[ $name == edict || -n ${PEER_VERSION[$name]:-} ]] || die "unknown scheduler '$name': edict ${PEERS[*]}"
    done
    need_packages linux-perf stress-ng rt-tests bpftool
    for name in ${schedulers//,/ }; do
        if [[ $name == edict ]]; then
            present+=(edict)
            continue
        fi
        with_lock "$(cache_dir)/peers.lock" install_peer "$name"
        program=$(peer_program "$name")
        if [[ -n $program && -x $program ]]; then
            adds+=(--add "$program:/usr/local/bin/scx_$name")
            present+=("$name") versions+=("$name ${PEER_VERSION[$name]}")
        else
            reason="does not build here: $(<"$(cache_dir)/peers/$name-${PEER_VERSION[$name]}.failed")"
            warn "scx_$name ${PEER_VERSION[$name]} $reason"
            meta "left_out.$name" "$reason" >>"$results"
        fi
    done
    ((${#present[@]})) || die "no scheduler to measure"
    log "building edict"
    cargo build --release --quiet
    edict=${CARGO_TARGET_DIR:-target}/release/edict
    for tool in perf stress-ng bpftool; do
        adds+=(--add "$(PATH=$PATH:/usr/sbin:/sbin command -v "$tool"):/usr/local/bin/$tool")
    done
    {
        meta edict "$("$edict" --version | awk '{print $2}') ($(git describe --always --dirty 2>/dev/null || echo 'no git'))"
        meta host "$(machine)"
        meta topology "$topology"
        meta icount "${icount:+yes}"
        meta peers "$(printf '%s, ' "${versions[@]}" | sed 's/, $//')"
    } >>"$results"
    # Generous: a scheduler may be ten times slower than the kernel's own in a workload, and take a minute to attach.
    timeout=$((600 + (pairs * ${#present[@]} * 2 + 1) * $(wc -w <<<"${workloads//,/ }") * (seconds * 3 + 15) * (${icount:+5} + 1)))
    "$here/vm" --kernel "$kernel" --cpus "$cpus" --topology "$topology" ${icount:+--icount} --strip --timeout "$timeout" \
        --add "$edict:/usr/local/bin/edict" "${adds[@]}" --add "$(command -v cyclictest):/lab/bin/pipewire" \
        --add policies:/lab/policies --add scripts/lib/bench-layered.json:/lab/layered.json \
        --add scripts/lib/bench-peers.sh:/lab/bench-peers.sh \
        --env "BENCH_PAIRS=$pairs" --env "BENCH_SECONDS=$seconds" --env "BENCH_SCHEDULERS=${present[*]}" \
        --env "BENCH_WORKLOADS=${workloads//,/ }" -- sh /lab/bench-peers.sh | sort_lines "$results" || status=$?
    return $status
}
