# shellcheck shell=bash
# System packages. On Debian and Ubuntu `need_packages` installs what is missing; elsewhere it names the packages and stops.
# Names are Debian's; the two tables below translate them for the message.

declare -A _FEDORA=(
    [libclang-19-dev]=clang-devel [clang-19]=clang [llvm-19]=llvm [libelf-dev]=elfutils-libelf-devel
    [zlib1g-dev]=zlib-devel [pkg-config]=pkgconf-pkg-config [build-essential]='gcc make' [qemu-system-x86]=qemu-system-x86-core
    [busybox-static]=busybox [rt-tests]=realtime-tests [xz-utils]=xz
)
declare -A _ARCH=(
    [libclang-19-dev]=clang [clang-19]=clang [llvm-19]=llvm [libelf-dev]=libelf [zlib1g-dev]=zlib
    [pkg-config]=pkgconf [build-essential]=base-devel [busybox-static]=busybox [xz-utils]=xz
)

_installed() {
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]
}

_as_root() {
    if ((EUID == 0)); then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "not root and no sudo; run as root: $*"
    fi
}

# need_packages NAME...: make sure that these Debian packages are installed.
need_packages() {
    if ! have apt-get || ! have dpkg-query; then
        _other_distribution "$@"
        return
    fi
    local name missing=()
    for name in "$@"; do
        _installed "$name" || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    log "installing ${missing[*]}"
    local output
    output=$(_as_root apt-get -q update 2>&1) ||
        die "apt-get update failed:"$'\n'"$output"
    output=$(_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" 2>&1 </dev/null) ||
        die "apt-get could not install ${missing[*]}:"$'\n'"$output"
}

_other_distribution() {
    local name fedora=() arch=()
    for name in "$@"; do
        # A table entry may name two packages, so it is split on purpose.
        # shellcheck disable=SC2206
        fedora+=(${_FEDORA[$name]:-$name}) arch+=(${_ARCH[$name]:-$name})
    done
    {
        printf 'This script installs packages by itself on Debian and Ubuntu only. Install these and set EDICT_SKIP_PACKAGES=1:\n'
        printf '  Fedora: dnf install %s\n' "${fedora[*]}"
        printf '  Arch:   pacman -S --needed %s\n' "${arch[*]}"
    } >&2
    [[ -n ${EDICT_SKIP_PACKAGES:-} ]] || die "no apt-get here"
}
