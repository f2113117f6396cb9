//! What a policy needs of a kernel, and which kernels have it.
//!
//! The table is small on purpose: it names what came with a version of the
//! kernel, not what a configuration leaves out (`edict doctor` looks for that on
//! a running machine), and nothing that edict does in another way on older
//! kernels.

use super::policy::Policy;
use crate::diag::{Code, Diagnostic, Span};

/// A version of the kernel: `(6, 12)`.
pub type Version = (u32, u32);

/// Something of the kernel that policies need.
struct Feature {
    name: &'static str,
    /// The first version that has it.
    since: Version,
    /// What needs it.
    needed_by: fn(&Policy) -> bool,
    /// For what.
    purpose: &'static str,
}

const FEATURES: &[Feature] = &[Feature {
    name: "sched_ext",
    since: (6, 12),
    needed_by: |_| true,
    purpose: "which carries every policy out",
}];

/// What the policy needs and a kernel of this version does not have, one error
/// for each; also that the policy is meant for newer kernels.
pub fn lacking(policy: &Policy, version: Version) -> Vec<Diagnostic> {
    let here = written(version);
    let mut found: Vec<Diagnostic> = FEATURES
        .iter()
        .filter(|feature| version < feature.since && (feature.needed_by)(policy))
        .map(|feature| {
            Diagnostic::new(
                Code::E0241,
                format!("kernel {here} has no {}, {}", feature.name, feature.purpose),
            )
            .help(format!(
                "{} came with kernel {}",
                feature.name,
                written(feature.since)
            ))
        })
        .collect();
    if let Some(meant) = policy.kernel()
        && version < meant
    {
        let meant = written(meant);
        found.push(
            Diagnostic::new(
                Code::E0241,
                format!("the policy is meant for kernel {meant} and newer, not for {here}"),
            )
            .help(format!(
                "use a newer kernel, or change `kernel = \"{meant}\"` when the policy was tried on {here}"
            )),
        );
    }
    found
}

/// The same about the kernel that the policy itself names.
pub(super) fn declared(diagnostic: Diagnostic, at: Span) -> Diagnostic {
    diagnostic.label(at, "the oldest kernel that the policy is meant for")
}

/// `6.12` as a version; none for anything else.
pub fn version(text: &str) -> Option<Version> {
    let number = |digits: &str| {
        let proper = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse().ok().filter(|_| proper)
    };
    let (major, minor) = text.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

fn written((major, minor): Version) -> String {
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_text;

    fn policy(kernel: &str) -> Policy {
        let text = format!(
            "language 1\npolicy p {{ {kernel} }}\ntier a {{ }}\nrules {{ otherwise -> a }}\n"
        );
        check_text("p", &text).policy.unwrap()
    }

    #[test]
    fn kernels_are_compared_by_number() {
        let plain = policy("");
        assert!(lacking(&plain, (6, 12)).is_empty());
        assert!(lacking(&plain, (7, 0)).is_empty());
        let old = lacking(&plain, (6, 9));
        assert_eq!(old.len(), 1);
        assert!(old[0].message.contains("sched_ext"));
        let new = policy("kernel = \"6.18\"");
        assert!(lacking(&new, (6, 18)).is_empty());
        assert_eq!(lacking(&new, (6, 16)).len(), 1);
        assert_eq!(lacking(&new, (5, 4)).len(), 2);
    }

    #[test]
    fn versions() {
        assert_eq!(version("6.12"), Some((6, 12)));
        for wrong in ["6", "6.", ".1", "6.1.2", "+6.1", "6.x", ""] {
            assert_eq!(version(wrong), None, "{wrong}");
        }
    }
}
