# shellcheck shell=bash
# Shared by every script in this directory: messages, failure, temporary files, locks, the cache directory.
# Source it; it changes nothing but the shell options. Messages go to stderr so that stdout stays the caller's.

set -euo pipefail

EDICT_STARTED=${EPOCHREALTIME/[.,]/}
EDICT_QUIET=${EDICT_QUIET:-}

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
    _dim=$'\e[2m' _red=$'\e[31m' _yellow=$'\e[33m' _plain=$'\e[0m'
else
    _dim='' _red='' _yellow='' _plain=''
fi

# Seconds since the script started, one decimal, no subprocess.
elapsed() {
    local tenths=$(((${EPOCHREALTIME/[.,]/} - EDICT_STARTED) / 100000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

_say() { printf '%s[%6ss]%s %s\n' "$_dim" "$(elapsed)" "$_plain" "$*" >&2; }
log() { [[ -n $EDICT_QUIET ]] || _say "$*"; }
warn() { _say "${_yellow}warning:${_plain} $*"; }
die() {
    _say "${_red}error:${_plain} $*"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The header comment of a script is its help: everything from line 2 to the first line that is no comment.
show_help() {
    sed -n '2,/^[^#]/{/^[^#]/q;s/^# \{0,1\}//p}' "$1"
}

# Where downloads and boot images live: outside the work tree, safe to delete at any time.
cache_dir() {
    printf '%s\n' "${EDICT_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/edict}"
}

# with_lock FILE COMMAND...: one at a time per FILE, however many scripts run. A failing COMMAND ends the script.
with_lock() {
    local file=$1 fd
    shift
    mkdir -p "$(dirname "$file")"
    exec {fd}>"$file"
    if ! flock -n "$fd"; then
        log "waiting for another run that holds $file"
        flock "$fd"
    fi
    "$@"
    exec {fd}>&-
}
