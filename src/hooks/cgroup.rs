//! What the path of a cgroup says: the container and the systemd unit.
//!
//! Nobody but those who make cgroups knows what is in them, so this goes by the
//! names that they use: Docker, Podman, containerd, CRI-O, Kubernetes, LXC, and
//! systemd. Pure functions of the path; the innermost match counts, as for a
//! container in a container.

/// How runtimes that leave their cgroups to systemd begin the name of a scope.
const SCOPES: [&str; 6] = [
    "docker-",
    "libpod-",
    "cri-containerd-",
    "crio-",
    "containerd-",
    "nerdctl-",
];

/// The directories that runtimes put containers into when they make cgroups
/// themselves.
const DIRECTORIES: [&str; 5] = ["docker", "podman", "libpod_parent", "lxc", "containerd"];

/// The id of the container, or its name where it has no id; empty outside of
/// one.
pub fn container(path: &str) -> &str {
    let mut found = "";
    let mut above = "";
    let mut in_pods = false;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if let Some(id) = of_scope(part).or_else(|| of_directory(above, part, in_pods)) {
            found = id;
        }
        in_pods |= part.starts_with("kubepods");
        above = part;
    }
    found
}

/// `docker-ID.scope`, `lxc.payload.NAME`
fn of_scope(part: &str) -> Option<&str> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(name).filter(|name| !name.is_empty());
    }
    let name = part.strip_suffix(".scope")?;
    let id = SCOPES.iter().find_map(|scope| name.strip_prefix(scope))?;
    // conmon watches a container from the outside.
    let is_inside = !id.is_empty() && !id.starts_with("conmon-");
    is_inside.then_some(id)
}

/// `/docker/ID`, `/lxc/NAME`, `/kubepods/burstable/podUID/ID`
fn of_directory<'a>(above: &str, part: &'a str, in_pods: bool) -> Option<&'a str> {
    let is_id = part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let is_named = above == "lxc" && !part.ends_with(".service");
    (is_named || is_id && (in_pods || DIRECTORIES.contains(&above))).then_some(part)
}

/// The systemd unit: the innermost service or scope, else the innermost slice,
/// else empty.
pub fn unit(path: &str) -> &str {
    let innermost = |ends: &[&str]| {
        path.rsplit('/').find(|part| {
            ends.iter()
                .any(|end| part.ends_with(end) && part.len() > end.len())
        })
    };
    innermost(&[".service", ".scope"])
        .or_else(|| innermost(&[".slice"]))
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_of_every_runtime() {
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/docker/{ID}/init.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            format!("/kubepods.slice/kubepods-besteffort.slice/x.slice/crio-{ID}.scope"),
            format!("/kubepods/burstable/pod0a1b/{ID}"),
            format!("/lxc/outer/docker/{ID}"),
        ] {
            assert_eq!(container(&path), ID, "{path}");
        }
        assert_eq!(container("/lxc/web"), "web");
        assert_eq!(container("/lxc.payload.web/init.scope"), "web");
    }

    #[test]
    fn what_is_no_container() {
        for path in [
            "/",
            "",
            "/system.slice/docker.service",
            "/system.slice/containerd.service",
            "/docker",
            "/docker/build",
            "/lxc.monitor.web",
            "/machine.slice/machine-x.scope",
            "/user.slice/user-1000.slice/session-2.scope",
            &format!("/machine.slice/libpod-conmon-{ID}.scope"),
            &format!("/data/{ID}"),
            "/system.slice/docker-.scope",
        ] {
            assert_eq!(container(path), "", "{path}");
        }
    }

    #[test]
    fn units() {
        for (path, expected) in [
            ("/system.slice/nginx.service", "nginx.service"),
            ("/system.slice/nginx.service/workers", "nginx.service"),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope",
                "app-x.scope",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/session.slice",
                "user@1000.service",
            ),
            ("/batch.slice/jobs", "batch.slice"),
            ("/init.scope", "init.scope"),
            ("/", ""),
            ("", ""),
            ("/.service", ""),
            ("/work", ""),
        ] {
            assert_eq!(unit(path), expected, "{path}");
        }
    }
}
