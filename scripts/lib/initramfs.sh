# shellcheck shell=bash
# Root file systems for the lab VM, as cpio archives. The kernel unpacks archives that simply follow each other, so what
# never changes (busybox and the workloads) is packed once and cached, and each run adds its own small archive.

# Copied into every guest when the host has them. busybox has thinner versions of some, or none; these replace them.
GUEST_TOOLS=(bash hackbench cyclictest chrt taskset nice setpriv unshare)

# install_into ROOT HOSTFILE GUESTPATH: one regular file, mode kept, symbolic links followed.
install_into() {
    local target=$1/${3#/}
    mkdir -p "${target%/*}"
    # Never write through a link, such as the one of a busybox applet of the same name.
    rm -f "$target"
    cp -L --preserve=mode,timestamps "$2" "$target"
}

is_elf() {
    [[ -f $1 && -r $1 ]] && [[ $(head -c 4 "$1" | tr -d '\0') == $'\x7fELF' ]]
}

# install_libraries ROOT FILE...: the shared libraries these programs load, each at its own path.
install_libraries() {
    local root=$1 library
    shift
    while read -r library; do
        [[ -e $root/${library#/} ]] || install_into "$root" "$library" "$library"
    done < <(ldd "$@" 2>/dev/null | sed -nE 's/^.*[[:space:]](\/[^[:space:]]+) \(0x[0-9a-f]+\)$/\1/p' | sort -u)
}

# pack ROOT FILE: everything under ROOT, owned by root.
pack() {
    (cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio --null --create --quiet --format=newc --owner=+0:+0) >"$2"
}

find_busybox() {
    local file
    for file in /bin/busybox /usr/bin/busybox /sbin/busybox /usr/sbin/busybox; do
        if [[ -x $file ]] && ! ldd "$file" >/dev/null 2>&1; then
            printf '%s\n' "$file"
            return
        fi
    done
    return 1
}

# `here` is the directory of the script that sources this.
# shellcheck disable=SC2154
# base_initramfs DIRECTORY: path of the cached base archive, packed when anything it is made of has changed.
base_initramfs() {
    local store=$1 busybox tool tools=() key half
    busybox=$(find_busybox) || die "no static busybox; run scripts/setup lab"
    for tool in "${GUEST_TOOLS[@]}"; do
        if tool=$(command -v "$tool"); then
            tools+=("$(readlink -f "$tool")")
        fi
    done
    key=$(cat "$here/lib/guest-init.sh" "$here/lib/initramfs.sh" <(stat -L -c '%n %s %Y' "$busybox" "${tools[@]}") | sha256sum | cut -c1-16)
    if [[ ! -f $store/base-$key.cpio ]]; then
        mkdir -p "$store"
        half=$(mktemp -d "$store/.half.XXXXXX")
        fill_base "$half/root" "$busybox" "${tools[@]}"
        pack "$half/root" "$half/cpio"
        mv "$half/cpio" "$store/base-$key.cpio"
        rm -rf "$half"
        # Another run may be about to read an older one; a day is long enough.
        find "$store" -maxdepth 1 -name 'base-*.cpio' ! -name "base-$key.cpio" -mtime +0 -delete
    fi
    printf '%s\n' "$store/base-$key.cpio"
}

fill_base() {
    local root=$1 busybox=$2 applet tool
    shift 2
    mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,usr/local/bin,dev,proc,sys,tmp,run,root,lab,etc,var/lib,var/log,boot,.lab}
    ln -s ../run "$root/var/run"
    chmod 1777 "$root/tmp"
    chmod 700 "$root/root"
    install_into "$root" "$busybox" /bin/busybox
    while read -r applet; do
        mkdir -p "$root/$(dirname "$applet")"
        [[ -e $root/$applet ]] || ln -s /bin/busybox "$root/$applet"
    done < <("$busybox" --list-full)
    for tool in "$@"; do
        rm -f "$root"/{bin,sbin,usr/bin,usr/sbin}/"${tool##*/}"
        install_into "$root" "$tool" "/usr/bin/${tool##*/}"
    done
    [[ ! -e $root/usr/bin/bash ]] || ln -sf /usr/bin/bash "$root/bin/bash"
    if (($#)); then
        install_libraries "$root" "$@"
    fi
    install_into "$root" "$here/lib/guest-init.sh" /init
    chmod 755 "$root/init"
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'operator:x:1000:1000:operator:/tmp:/bin/sh' \
        'nobody:x:65534:65534:nobody:/nonexistent:/bin/false' >"$root/etc/passwd"
    printf '%s\n' 'root:x:0:' 'operator:x:1000:' 'nogroup:x:65534:' >"$root/etc/group"
    printf '%s\n' '127.0.0.1 localhost edict-lab' '::1 localhost' >"$root/etc/hosts"
    printf 'edict-lab\n' >"$root/etc/hostname"
    printf 'passwd: files\ngroup: files\nhosts: files\n' >"$root/etc/nsswitch.conf"
    printf 'ID=edict-lab\nNAME="edict lab"\nPRETTY_NAME="edict lab VM"\n' >"$root/etc/os-release"
}

# add_to ROOT HOSTPATH [GUESTPATH]: a file or a directory, with the libraries of every program in it. Without GUESTPATH a
# program goes to /usr/local/bin, anything else to /lab; a GUESTPATH that ends in / is the directory to put it in.
add_to() {
    local root=$1 source=$2 target=${3:-} name file programs=()
    [[ -e $source ]] || die "--add: no such file: $source"
    name=$(basename "$(readlink -f "$source")")
    [[ $source == */. || $source == . || $source == .. ]] || name=$(basename "$source")
    if [[ -z $target ]]; then
        if [[ -f $source && -x $source ]]; then target=/usr/local/bin/; else target=/lab/; fi
    fi
    [[ $target == /* ]] || die "--add: the guest path must be absolute: $target"
    [[ $target != */ ]] || target+=$name
    if [[ -d $source ]]; then
        mkdir -p "$root/${target#/}"
        cp -a "$source/." "$root/${target#/}/"
        while IFS= read -r -d '' file; do
            if is_elf "$file"; then programs+=("$file"); fi
        done < <(find "$source" -type f -perm /111 -print0)
    else
        install_into "$root" "$source" "$target"
        if is_elf "$source"; then programs+=("$source"); fi
    fi
    if ((${#programs[@]})); then
        install_libraries "$root" "${programs[@]}"
    fi
}
