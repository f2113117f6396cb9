//! What this machine can do, from files alone: works in every build, without
//! libbpf and without root.
//!
//! Each finding says what was looked at, whether it serves, and what to do if
//! it does not. `doctor` prints them; `run` chooses the backend by them.

use std::fs;
use std::path::Path;

use crate::diag::Code;

const SCHED_EXT: &str = "/sys/kernel/sched_ext";
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// One more than the highest number a CPU may have: masks may have holes.
#[cfg(feature = "live")]
pub(super) fn cpu_ids() -> u32 {
    read("/sys/devices/system/cpu/possible")
        .and_then(|mask| mask.rsplit([',', '-']).next()?.parse::<u32>().ok())
        .map_or(1, |last| last.saturating_add(1))
}

/// Whether a feature serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Good,
    /// It does, at a price.
    Poor,
    /// It does not.
    Missing,
    /// It could not be found out.
    Unknown,
}

impl Verdict {
    /// The word that `doctor` prints.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Poor => "poor",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// One feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub feature: &'static str,
    /// Whether it serves.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do, unless it is good.
    pub cure: Option<String>,
    /// The error that `run` would end with because of it.
    pub code: Option<Code>,
}

/// What this machine can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The release of the kernel.
    pub release: String,
    /// Every feature, the most basic first.
    pub findings: Vec<Finding>,
}

impl Probe {
    /// Whether nothing stands against attaching.
    pub fn sched_ext(&self) -> bool {
        self.obstacle().is_none()
    }

    /// The first finding that stands against attaching.
    pub fn obstacle(&self) -> Option<&Finding> {
        self.findings
            .iter()
            .find(|finding| finding.verdict == Verdict::Missing && finding.code.is_some())
    }
}

/// Looks at everything.
pub fn probe() -> Probe {
    let btf = fs::read(BTF).ok();
    Probe {
        release: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
        findings: vec![
            kernel(),
            btf_present(btf.as_deref()),
            sched_ext(btf.as_deref()),
            prototypes(btf.as_deref()),
            tracing(),
            jit(),
            capabilities(),
            isolated(),
            other_scheduler(),
            cgroup2(),
        ],
    }
}

/// The scheduler that is in charge now, if it is not the kernel's own.
pub fn attached() -> Option<String> {
    let state = state()?;
    (state != "disabled").then(|| {
        read(&format!("{SCHED_EXT}/root/ops"))
            .filter(|name| !name.is_empty())
            .unwrap_or(state)
    })
}

/// `disabled`, `enabling`, `enabled` or `disabling`; none without sched_ext.
pub fn state() -> Option<String> {
    read(&format!("{SCHED_EXT}/state"))
}

/// What would make loading fail, as an error.
#[cfg(feature = "live")]
pub(super) fn obstacle() -> Option<super::LiveError> {
    use super::LiveError;
    if !Path::new(BTF).exists() {
        return Some(LiveError::NoBtf);
    }
    if state().is_none() {
        return Some(LiveError::NoSchedExt);
    }
    if !privileged() {
        return Some(LiveError::NotPermitted);
    }
    isolated_cpus().map(LiveError::Isolated)
}

/// Whether this process may load a scheduler.
pub fn privileged() -> bool {
    // CAP_SYS_ADMIN, or CAP_PERFMON and CAP_BPF.
    let held = effective_capabilities();
    held & 1 << 21 != 0 || held & 3 << 38 == 3 << 38
}

fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn good(feature: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        feature,
        verdict: Verdict::Good,
        detail: detail.into(),
        cure: None,
        code: None,
    }
}

fn bad(
    feature: &'static str,
    verdict: Verdict,
    detail: impl Into<String>,
    cure: &str,
    code: Option<Code>,
) -> Finding {
    Finding {
        feature,
        verdict,
        detail: detail.into(),
        cure: Some(cure.to_owned()),
        code,
    }
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 16) {
        good("kernel", release)
    } else if version >= (6, 12) {
        bad(
            "kernel",
            Verdict::Poor,
            release,
            "kernels before 6.16 are not tested",
            None,
        )
    } else {
        bad(
            "kernel",
            Verdict::Missing,
            release,
            "boot 6.12 or newer; 6.16 or newer is tested",
            Some(Code::E0601),
        )
    }
}

fn btf_present(btf: Option<&[u8]>) -> Finding {
    match btf {
        Some(bytes) => good("BTF", format!("{BTF}, {} KiB", bytes.len() / 1024)),
        None if Path::new(BTF).exists() => bad(
            "BTF",
            Verdict::Unknown,
            format!("{BTF} cannot be read"),
            "run as root",
            None,
        ),
        None => bad(
            "BTF",
            Verdict::Missing,
            format!("no {BTF}"),
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF",
            Some(Code::E0603),
        ),
    }
}

fn sched_ext(btf: Option<&[u8]>) -> Finding {
    let cure = "boot a kernel built with CONFIG_SCHED_CLASS_EXT";
    let described = btf.map(|bytes| btf::Types::new(bytes).has_struct("sched_ext_ops"));
    match (state(), described) {
        (Some(state), Some(true) | None) => good("sched_ext", format!("present, {state}")),
        (Some(_), Some(false)) => bad(
            "sched_ext",
            Verdict::Missing,
            "present, but not described in BTF",
            cure,
            Some(Code::E0601),
        ),
        (None, _) => bad(
            "sched_ext",
            Verdict::Missing,
            format!("no {SCHED_EXT}"),
            cure,
            Some(Code::E0601),
        ),
    }
}

fn prototypes(btf: Option<&[u8]>) -> Finding {
    let Some(bytes) = btf else {
        return bad(
            "kfunc prototypes",
            Verdict::Unknown,
            "no BTF to look at",
            "see BTF",
            None,
        );
    };
    let unsound = btf::Types::new(bytes).kfuncs_with_aux();
    if unsound.is_empty() {
        return good("kfunc prototypes", "sound");
    }
    bad(
        "kfunc prototypes",
        Verdict::Missing,
        format!(
            "{} show an argument that no caller passes, among them {}",
            unsound.len(),
            unsound.first().map_or("", String::as_str)
        ),
        "boot a kernel whose BTF was made with pahole 1.26 or newer",
        Some(Code::E0606),
    )
}

fn tracing() -> Finding {
    if Path::new("/proc/sys/kernel/ftrace_enabled").exists() {
        return good("function tracer", "present");
    }
    bad(
        "function tracer",
        Verdict::Missing,
        "no /proc/sys/kernel/ftrace_enabled",
        "boot a kernel built with CONFIG_FUNCTION_TRACER",
        Some(Code::E0605),
    )
}

fn jit() -> Finding {
    match read("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Some("1" | "2") => good("BPF JIT", "on"),
        Some(_) => bad(
            "BPF JIT",
            Verdict::Poor,
            "off",
            "sysctl net.core.bpf_jit_enable=1",
            None,
        ),
        None => bad(
            "BPF JIT",
            Verdict::Unknown,
            "the setting cannot be read",
            "run as root",
            None,
        ),
    }
}

fn capabilities() -> Finding {
    let held = effective_capabilities();
    if privileged() {
        return good("permission", format!("capabilities {held:#x}"));
    }
    bad(
        "permission",
        Verdict::Missing,
        format!("capabilities {held:#x}"),
        "run as root",
        Some(Code::E0602),
    )
}

fn effective_capabilities() -> u64 {
    read("/proc/self/status")
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("CapEff:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        })
        .unwrap_or(0)
}

/// The CPUs that `isolcpus=` took out of scheduling.
fn isolated_cpus() -> Option<String> {
    let command_line = read("/proc/cmdline")?;
    command_line
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("isolcpus="))
        .map(str::to_owned)
}

fn isolated() -> Finding {
    match isolated_cpus() {
        None => good("isolated CPUs", "none"),
        Some(cpus) => bad(
            "isolated CPUs",
            Verdict::Missing,
            format!("isolcpus={cpus}"),
            "boot without `isolcpus=`; an isolated cpuset partition does the same",
            Some(Code::E0612),
        ),
    }
}

fn other_scheduler() -> Finding {
    match attached() {
        None => good("other scheduler", "none"),
        Some(name) if name.starts_with("edict") => good("other scheduler", "edict itself"),
        Some(name) => bad(
            "other scheduler",
            Verdict::Missing,
            format!("`{name}` is attached"),
            "stop it first",
            Some(Code::E0604),
        ),
    }
}

fn cgroup2() -> Finding {
    let mounted = read("/proc/self/mountinfo").unwrap_or_default();
    if mounted.lines().any(|line| line.contains(" - cgroup2 ")) {
        return good("cgroup v2", "mounted");
    }
    bad(
        "cgroup v2",
        Verdict::Poor,
        "not mounted",
        "mount it, or `cgroup` stays unknown in every rule",
        None,
    )
}

/// Just enough of the BPF Type Format to look for a name.
mod btf {
    const FUNC: u32 = 12;
    const FUNC_PROTO: u32 = 13;
    const STRUCT: u32 = 4;

    pub(super) struct Types<'a> {
        types: &'a [u8],
        strings: &'a [u8],
    }

    struct Type {
        at: usize,
        name: u32,
        kind: u32,
        members: usize,
        other: u32,
    }

    fn word(bytes: &[u8], at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    }

    impl<'a> Types<'a> {
        pub(super) fn new(bytes: &'a [u8]) -> Self {
            let section = |offset: usize, length: usize| {
                let head = word(bytes, 4)? as usize;
                let start = head + word(bytes, offset)? as usize;
                bytes.get(start..start + word(bytes, length)? as usize)
            };
            Self {
                types: section(8, 12).unwrap_or_default(),
                strings: section(16, 20).unwrap_or_default(),
            }
        }

        fn name(&self, at: u32) -> &'a [u8] {
            let rest = self.strings.get(at as usize..).unwrap_or_default();
            rest.split(|byte| *byte == 0).next().unwrap_or_default()
        }

        fn each(&self) -> impl Iterator<Item = Type> + '_ {
            let mut at = 0;
            std::iter::from_fn(move || {
                let info = word(self.types, at + 4)?;
                let found = Type {
                    at,
                    name: word(self.types, at)?,
                    kind: info >> 24 & 0x1f,
                    members: (info & 0xffff) as usize,
                    other: word(self.types, at + 8)?,
                };
                at += 12
                    + match found.kind {
                        1 | 14 | 17 => 4,
                        3 => 12,
                        STRUCT | 5 | 15 | 19 => found.members * 12,
                        6 | FUNC_PROTO => found.members * 8,
                        _ => 0,
                    };
                Some(found)
            })
        }

        pub(super) fn has_struct(&self, name: &str) -> bool {
            self.each()
                .any(|at| at.kind == STRUCT && self.name(at.name) == name.as_bytes())
        }

        /// kfuncs of sched_ext whose public prototype still has the argument
        /// that the verifier adds by itself: no program can call them.
        pub(super) fn kfuncs_with_aux(&self) -> Vec<String> {
            let all: Vec<Type> = self.each().collect();
            all.iter()
                .filter(|at| at.kind == FUNC)
                .filter_map(|function| {
                    let name = std::str::from_utf8(self.name(function.name)).ok()?;
                    let ours = name.starts_with("scx_bpf_") || name.starts_with("__scx_bpf_");
                    if !ours || name.ends_with("_impl") {
                        return None;
                    }
                    // Types are numbered from 1.
                    let prototype = all.get(function.other.checked_sub(1)? as usize)?;
                    (prototype.kind == FUNC_PROTO
                        && (0..prototype.members).any(|parameter| {
                            let at = prototype.at + 12 + parameter * 8;
                            word(self.types, at).is_some_and(|name| self.name(name) == b"aux")
                        }))
                    .then(|| name.to_owned())
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_obstacle_has_a_cure() {
        for finding in probe().findings {
            assert_eq!(finding.cure.is_none(), finding.verdict == Verdict::Good);
            assert!(!finding.detail.is_empty(), "{finding:?}");
        }
    }

    #[test]
    fn reads_the_kernels_own_types() {
        let Ok(bytes) = fs::read(BTF) else {
            eprintln!("SKIPPED: this kernel has no BTF");
            return;
        };
        let types = btf::Types::new(&bytes);
        assert!(types.has_struct("task_struct"));
        assert!(!types.has_struct("no_such_struct"));
    }

    #[test]
    fn survives_bytes_that_are_no_types() {
        for bytes in [&b""[..], &[0; 24], &[0xff; 64]] {
            let types = btf::Types::new(bytes);
            assert!(!types.has_struct("task_struct"));
            assert!(types.kfuncs_with_aux().is_empty());
        }
    }
}
