# shellcheck shell=bash disable=SC2154
# The Debian archive through a private apt: its lists, cache and sources live in $scratch and the machine's own stay as
# they are. Packages are unpacked, never installed; signatures are checked like everywhere in apt, without exception.
# The caller sets `scratch` to a temporary directory and removes it; common.sh and packages.sh must be sourced.

DEFAULT_MIRROR=http://deb.debian.org/debian

# "URI SUITE" for every enabled binary source of this machine, from both formats that apt reads.
machine_sources() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ -f $file ]] || continue
        sed -E 's/#.*//; /^[[:space:]]*deb[[:space:]]/!d; s/\[[^]]*\]//' "$file" | awk '{print $2, $3}'
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [[ -f $file ]] || continue
        awk '
            function flush(   i, j, nu, ns, u, s) {
                if (enabled != "no" && (" " types " ") ~ / deb /) {
                    nu = split(uris, u, " "); ns = split(suites, s, " ")
                    for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i], s[j]
                }
                types = uris = suites = enabled = key = ""
            }
            /^#/ { next }
            /^[ \t]*$/ { flush(); next }
            /^[^ \t]/ { key = tolower($0); sub(/:.*/, "", key); sub(/^[^:]*:/, "") }
            { if (key == "types") types = types " " $0
              else if (key == "uris") uris = uris " " $0
              else if (key == "suites") suites = suites " " $0
              else if (key == "enabled") { enabled = tolower($0); gsub(/[ \t]/, "", enabled) } }
            END { flush() }' "$file"
    done
}

# The Debian mirror of this machine: where its own release comes from.
debian_mirror() {
    if [[ -n ${EDICT_DEBIAN_MIRROR:-} ]]; then
        printf '%s\n' "${EDICT_DEBIAN_MIRROR%/}"
        return
    fi
    local id codename uri suite
    id=$(. /etc/os-release && printf '%s' "${ID:-}")
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    if [[ $id == debian ]]; then
        while read -r uri suite; do
            case $uri in
                http://* | https://* | file:* | mirror+*) ;;
                *) continue ;;
            esac
            case $suite in
                "$codename" | stable | oldstable | testing | unstable | sid)
                    printf '%s\n' "${uri%/}"
                    return
                    ;;
            esac
        done < <(machine_sources)
    fi
    printf '%s\n' "$DEFAULT_MIRROR"
}

# Configure a private apt in $scratch that sees exactly the suites given, trusting exactly the keyring given.
private_apt() {
    local keyring=$1 suites=$2
    mkdir -p "$scratch"/{state/lists/partial,cache/archives/partial,debs,root}
    : >"$scratch/status"
    cat >"$scratch/private.sources" <<EOF
Types: deb
URIs: $(debian_mirror)
Suites: $suites
Components: main
Architectures: amd64
Targets: Packages
Signed-By: $keyring
EOF
    cat >"$scratch/apt.conf" <<EOF
Dir::Etc::SourceList "$scratch/private.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$scratch/state";
Dir::State::status "$scratch/status";
Dir::Cache "$scratch/cache";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
EOF
    # apt drops its privileges to download, when root runs it; the user it becomes must reach these directories.
    chmod 755 "$scratch"
    if ((EUID == 0)) && getent passwd _apt >/dev/null; then
        chown _apt "$scratch/debs" "$scratch"/state/lists/partial "$scratch"/cache/archives/partial
    fi
}

apt_run() {
    local tool=$1
    shift
    APT_CONFIG="$scratch/apt.conf" "$tool" "$@"
}

# True for a package that can be downloaded; apt-cache also knows names that are merely depended upon.
in_archive() {
    [[ $(apt_run apt-cache show --no-all-versions "$1" 2>/dev/null) == Package:* ]]
}

# The machine's archive keyring, under either of its names.
installed_keyring() {
    local file
    for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -f $file ]]; then
            printf '%s\n' "$file"
            return
        fi
    done
    return 1
}

# A newer archive keyring, vouched for by the suites that this machine trusts already.
newer_keyring() {
    local own=$scratch/own file
    mkdir -p "$own"/{state/lists/partial,cache/archives/partial,debs}
    chmod 755 "$own"
    if ((EUID == 0)) && getent passwd _apt >/dev/null; then
        chown _apt "$own/debs" "$own"/state/lists/partial "$own"/cache/archives/partial
    fi
    local options=(-o "Dir::State=$own/state" -o "Dir::Cache=$own/cache" -o 'Acquire::Languages=none')
    apt-get -qq "${options[@]}" update >&2 || return 1
    (cd "$own/debs" && apt-get -qq "${options[@]}" download debian-archive-keyring >&2) || return 1
    dpkg -x "$own"/debs/debian-archive-keyring_*.deb "$own/root"
    for file in "$own"/root/usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -f $file ]]; then
            printf '%s\n' "$file"
            return
        fi
    done
    return 1
}

# Read the package lists of the given suites. Fails (never degrades) when a signature cannot be checked.
read_lists() {
    local suites=$1 keyring output
    keyring=$(installed_keyring) || {
        need_packages debian-archive-keyring
        keyring=$(installed_keyring) || die "no debian-archive-keyring on this machine, so nothing from the archive can be verified"
    }
    private_apt "$keyring" "$suites"
    if output=$(apt_run apt-get update -o APT::Update::Error-Mode=any 2>&1); then
        return
    fi
    if [[ $output == *NO_PUBKEY* ]]; then
        log "this machine's keyring is too old for $suites; looking for a newer one in its own suites"
        keyring=$(newer_keyring) || die "the keyring cannot verify $suites and no newer one is offered to this machine"
        private_apt "$keyring" "$suites"
        if output=$(apt_run apt-get update -o APT::Update::Error-Mode=any 2>&1); then
            return
        fi
    fi
    printf '%s\n' "$output" | grep -E '^(E|W|Err)' >&2 || printf '%s\n' "$output" >&2
    die "could not read the package lists of $suites from $(debian_mirror)"
}

# unpack_package NAME: download it and unpack it under $scratch/root.
unpack_package() {
    local deb
    rm -f "$scratch/debs"/*.deb
    (cd "$scratch/debs" && apt_run apt-get -qq download "$1" >&2) || die "could not download $1"
    for deb in "$scratch/debs"/*.deb; do
        dpkg -x "$deb" "$scratch/root"
    done
}
