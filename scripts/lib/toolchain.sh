# shellcheck shell=bash
# The build toolchain: rustc and cargo, clang for the BPF side, and the environment that a build wants.

RUST_MINIMUM=1.91
CLANG_MINIMUM=18

# True when dotted version $1 is at least $2.
version_at_least() {
    [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n1) == "$2" ]]
}

# The version of rustc; nothing where there is none, or where rustup has no toolchain behind its name yet.
_rust_version() {
    local said
    if said=$(rustc --version 2>/dev/null); then
        awk '{print $2}' <<<"$said"
    fi
}

# need_rust: a rustc new enough, from what is there, or from the distribution's rustup, or with directions.
need_rust() {
    local version
    if ! have cargo && [[ -x ${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo ]]; then
        export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    version=$(_rust_version)
    if [[ -n $version ]] && have cargo && version_at_least "${version%%-*}" "$RUST_MINIMUM"; then
        log "rustc $version"
        return
    fi
    if have rustup; then
        log "rustc ${version:-none}; rustup fetches the stable toolchain"
        rustup toolchain install stable --profile minimal -c rustfmt -c clippy >&2
        rustup default stable >&2
    elif have apt-cache && [[ $(apt-cache policy rustup 2>/dev/null) == *Candidate:\ [0-9]* ]]; then
        need_packages rustup
        rustup toolchain install stable --profile minimal -c rustfmt -c clippy >&2
        rustup default stable >&2
    else
        die "edict needs rustc >= $RUST_MINIMUM, found ${version:-none}; install it as https://rustup.rs says, then run this again"
    fi
    hash -r
    version=$(_rust_version)
    if [[ -z $version ]] || ! version_at_least "${version%%-*}" "$RUST_MINIMUM"; then
        die "rustup left rustc ${version:-missing}; edict needs >= $RUST_MINIMUM (is an older rustc first in PATH?)"
    fi
    log "rustc $version"
}

# The newest clang in PATH that can compile our BPF, as a command name; prints nothing when there is none.
find_clang() {
    local candidate major best='' best_major=0
    for candidate in clang clang-{18..29}; do
        have "$candidate" || continue
        major=$("$candidate" -dumpversion 2>/dev/null | cut -d. -f1)
        if [[ $major =~ ^[0-9]+$ ]] && ((major >= CLANG_MINIMUM && major > best_major)); then
            best=$candidate best_major=$major
        fi
    done
    [[ -z $best ]] || printf '%s\n' "$best"
}

# Export BPF_CLANG and LIBCLANG_PATH for scx_cargo and bindgen. What the caller has set already, stays.
export_build_env() {
    local clang major dir
    clang=${BPF_CLANG:-$(find_clang)}
    [[ -n $clang ]] || die "no clang >= $CLANG_MINIMUM; run scripts/setup build"
    export BPF_CLANG=$clang
    if [[ -z ${LIBCLANG_PATH:-} ]]; then
        major=$("$clang" -dumpversion | cut -d. -f1)
        for dir in "/usr/lib/llvm-$major/lib" /usr/lib64 /usr/lib; do
            if compgen -G "$dir/libclang*.so*" >/dev/null; then
                export LIBCLANG_PATH=$dir
                break
            fi
        done
    fi
}

# need_clang: clang and libclang, the newest this distribution has from 19 down to the minimum.
need_clang() {
    local major
    if [[ -z $(find_clang) ]] && have apt-cache; then
        for major in 19 20 21 18; do
            if [[ $(apt-cache policy "clang-$major" 2>/dev/null) == *Candidate:\ [0-9]* ]]; then
                need_packages "clang-$major" "libclang-$major-dev" "llvm-$major"
                return
            fi
        done
        need_packages clang-19 libclang-19-dev llvm-19
    elif have apt-cache; then
        major=$("$(find_clang)" -dumpversion | cut -d. -f1)
        need_packages "libclang-$major-dev" "llvm-$major"
    else
        need_packages clang-19 libclang-19-dev llvm-19
    fi
}
