# shellcheck shell=bash disable=SC2154
# Which qemu to emulate with.
#
# Emulated CPUs can run in a host thread each (fast, and really parallel) or take turns in one. Before 8.1 the threads do
# not lock a page of guest code while they translate it, so a CPU can keep the int3 that Linux puts there for a moment
# when it patches itself, and the guest dies of "Oops: int3". sched_ext patches hot code whenever a scheduler attaches;
# toggling /proc/sys/kernel/sched_schedstats 400 times under load killed 5 guests of 6 on qemu 7.2 and none of 10 on 10.0.
# Hence: the machine's qemu when it is new enough, else a newer one from its backports, unpacked in the cache and not
# installed, else the old one with its CPUs taking turns. KVM is not concerned.
# common.sh, packages.sh and archive.sh must be sourced; `scratch` is used as archive.sh says.

QEMU_WITH_SAFE_THREADS=8.1

_qemu_version() {
    "$@" --version 2>/dev/null | sed -nE '1s/.*version ([0-9]+\.[0-9]+).*/\1/p'
}

_safe_threads() {
    [[ -n $1 && $(printf '%s\n' "$1" "$QEMU_WITH_SAFE_THREADS" | sort -V | head -n1) == "$QEMU_WITH_SAFE_THREADS" ]]
}

# shellcheck disable=SC2034 # set for the caller
# Set `qemu_command` (an array) and `qemu_threads` (multi or single) for emulation.
choose_qemu() {
    local private
    private=$(cache_dir)/qemu
    qemu_command=(qemu-system-x86_64) qemu_threads=multi
    if _safe_threads "$(_qemu_version "${qemu_command[@]}")"; then
        return
    fi
    # A mark from a failed attempt is respected for a day.
    if [[ ! -x $private/qemu-system-x86_64 && -z $(find "$private.none" -mtime -1 2>/dev/null) ]]; then
        with_lock "$private.lock" _fetch_qemu "$private"
    fi
    if [[ -x $private/qemu-system-x86_64 ]]; then
        qemu_command=("$private/qemu-system-x86_64" -L "$private/data")
        if _safe_threads "$(_qemu_version "${qemu_command[@]}")"; then
            return
        fi
    fi
    qemu_command=(qemu-system-x86_64) qemu_threads=single
}

# In a subshell, because not getting it is no failure of the script: then the CPUs take turns.
_fetch_qemu() {
    local private=$1
    [[ ! -x $private/qemu-system-x86_64 ]] || return 0
    log "this machine's qemu cannot run emulated CPUs in parallel safely; fetching a newer one from its backports"
    if ! (_unpack_backport "$private"); then
        warn "no newer qemu to be had: the CPUs of emulated guests take turns, which is slower"
        : >"$private.none"
    fi
}

# Runs in a subshell that may die at any step, with errexit off in its caller: every step says so itself.
_unpack_backport() {
    local private=$1 codename package half=$1.half
    [[ $(. /etc/os-release && printf '%s' "${ID:-}") == debian ]] || exit 1
    { have apt-get && have dpkg; } || exit 1
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    [[ -n $codename ]] || exit 1
    scratch=$(mktemp -d -t edict-archive.XXXXXX) || exit 1
    # shellcheck disable=SC2064 # now: a local is gone by the time the trap runs
    trap "rm -rf '$scratch' '$half'" EXIT
    read_lists "$codename-backports"
    for package in qemu-system-x86 qemu-system-common qemu-system-data seabios; do
        unpack_package "$package" || exit 1
    done
    rm -rf "$half"
    mkdir -p "$half/data" || exit 1
    cp "$scratch/root/usr/bin/qemu-system-x86_64" "$half/" || exit 1
    cp "$scratch"/root/usr/share/qemu/{pvh,linuxboot,linuxboot_dma,kvmvapic}.bin "$scratch"/root/usr/share/seabios/bios{,-256k}.bin "$half/data/" || exit 1
    # The libraries are the machine's own, so see that it starts before anyone relies on it.
    _safe_threads "$(_qemu_version "$half/qemu-system-x86_64")" || exit 1
    rm -rf "$private"
    mv "$half" "$private"
}
