//! What a policy says about CPUs, held against the machine that it is to run on.
//!
//! The checker cannot know: policies are written on one machine and run on
//! others. A tier that names CPUs which are not there is carried out all the
//! same, with those that are, so this only warns.

use std::collections::BTreeSet;

use crate::check::{Cpus, Policy, Tier};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::hooks::topology::{Place, Topology};

/// A warning for each tier that asks for more than there is.
pub(super) fn misfits(policy: &Policy) -> Vec<Diagnostic> {
    let asks = |tier: &Tier| tier.cpus.is_some();
    match policy.tiers().iter().any(asks) {
        true => misfits_on(policy, &Topology::read()),
        false => Vec::new(),
    }
}

fn misfits_on(policy: &Policy, machine: &Topology) -> Vec<Diagnostic> {
    // Without sysfs nothing is known.
    if machine.ncpu() == 0 {
        return Vec::new();
    }
    let tiers = policy.tiers().iter();
    tiers
        .filter_map(|tier| {
            let (label, is_any_there) = missing(tier.cpus.as_ref()?, machine)?;
            let problem = match is_any_there {
                true => "names CPUs that are not there",
                false => "has no CPU on this machine",
            };
            let help = match is_any_there {
                true => "its tasks run on the others".to_owned(),
                false => format!(
                    "its tasks run wherever their own affinity lets them; {}",
                    there(tier.cpus.as_ref()?, machine)
                ),
            };
            Some(
                Diagnostic::new(
                    Code::W0601,
                    format!("the tier `{}` {problem}", shown(&tier.name)),
                )
                .label(place(policy, tier), label)
                .help(help),
            )
        })
        .collect()
}

/// What is not there of the CPUs, and whether others are; none when all are.
fn missing(cpus: &Cpus, machine: &Topology) -> Option<(String, bool)> {
    match cpus {
        Cpus::List(ranges) => {
            let asked = ranges.iter().flat_map(|(low, high)| *low..=*high);
            let (there, gone): (Vec<u16>, Vec<u16>) =
                asked.partition(|cpu| machine.place(u32::from(*cpu)).is_some());
            let label = match gone.as_slice() {
                [] => return None,
                [one] => format!("CPU {one} is not online"),
                _ => format!("{} are not online", joined(gone.into_iter())),
            };
            Some((label, !there.is_empty()))
        }
        Cpus::Llc(number) => {
            let is_there = machine.places().any(|(_, at)| at.llc == u32::from(*number));
            (!is_there).then(|| (format!("there is no cache {number}"), false))
        }
        Cpus::Node(number) => {
            let is_there = machine
                .places()
                .any(|(_, at)| at.node == u32::from(*number));
            (!is_there).then(|| (format!("there is no node {number}"), false))
        }
    }
}

/// What there is of what was asked for.
fn there(cpus: &Cpus, machine: &Topology) -> String {
    let (what, number): (&str, fn((u32, Place)) -> u32) = match cpus {
        Cpus::List(_) => ("CPUs", |(cpu, _)| cpu),
        Cpus::Llc(_) => ("caches", |(_, at)| at.llc),
        Cpus::Node(_) => ("nodes", |(_, at)| at.node),
    };
    let numbers: BTreeSet<u16> = machine
        .places()
        .filter_map(|place| u16::try_from(number(place)).ok())
        .collect();
    let numbers = joined(numbers.into_iter());
    format!("this machine has the {what} {numbers}")
}

/// Ascending numbers as they are written, `0-3,8`.
fn joined(numbers: impl Iterator<Item = u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => ranges.push((number, number)),
        }
    }
    Cpus::List(ranges).to_string()
}

/// Where the tier names its CPUs, be it in an override.
fn place(policy: &Policy, tier: &Tier) -> Span {
    let block = format!("tier {}", tier.name);
    let setting = policy
        .settings()
        .iter()
        .find(|setting| setting.name == "cpus" && setting.block == block);
    setting.map_or(tier.span, |setting| setting.span)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::check::check_text;

    /// CPUs 0 to 3 in two caches of one node, and CPU 5 in a node of its own.
    fn machine() -> Topology {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("online", "0-3,5\n");
        for (cpu, node, shared) in [
            (0, 0, "0-1"),
            (1, 0, "0-1"),
            (2, 0, "2-3"),
            (3, 0, "2-3"),
            (5, 2, "5"),
        ] {
            write(&format!("cpu{cpu}/node{node}/x"), "");
            write(&format!("cpu{cpu}/cache/index3/level"), "3\n");
            write(&format!("cpu{cpu}/cache/index3/shared_cpu_list"), shared);
        }
        Topology::read_from(root.path())
    }

    fn said(cpus: &str) -> Option<String> {
        let text = format!(
            "language 1\npolicy p {{ }}\ntier a {{ cpus = \"{cpus}\" }}\nrules {{ otherwise -> a }}\n"
        );
        let policy = check_text("p", &text).policy.unwrap();
        let found = misfits_on(&policy, &machine());
        assert!(found.len() <= 1, "{found:?}");
        let found = found.first()?;
        assert_eq!((found.code, found.is_error()), (Code::W0601, false));
        let label = &found.labels[0];
        assert_eq!(label.span.of(&text), format!("\"{cpus}\""));
        Some(format!(
            "{}: {}; {}",
            found.message,
            label.text,
            found.help.as_deref().unwrap()
        ))
    }

    #[test]
    fn what_is_there_is_not_spoken_of() {
        for cpus in ["0", "0-3", "0-3,5", "llc 2", "node 0", "node 2"] {
            assert_eq!(said(cpus), None, "{cpus}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (cpus, says) in [
            (
                "2-5",
                "the tier `a` names CPUs that are not there: CPU 4 is not online; its tasks run on the others",
            ),
            (
                "3,6-7,9",
                "the tier `a` names CPUs that are not there: 6-7,9 are not online; its tasks run on the others",
            ),
            (
                "4,6-1023",
                "the tier `a` has no CPU on this machine: 4,6-1023 are not online; its tasks run wherever their own affinity lets them; this machine has the CPUs 0-3,5",
            ),
            (
                "llc 3",
                "the tier `a` has no CPU on this machine: there is no cache 3; its tasks run wherever their own affinity lets them; this machine has the caches 0-2",
            ),
            (
                "node 1",
                "the tier `a` has no CPU on this machine: there is no node 1; its tasks run wherever their own affinity lets them; this machine has the nodes 0,2",
            ),
        ] {
            assert_eq!(said(cpus).as_deref(), Some(says), "{cpus}");
        }
    }

    #[test]
    fn a_machine_that_does_not_tell_is_not_spoken_of() {
        let text =
            "language 1\npolicy p { }\ntier a { cpus = \"900\" }\nrules { otherwise -> a }\n";
        let policy = check_text("p", text).policy.unwrap();
        assert_eq!(misfits_on(&policy, &Topology::default()), []);
    }
}
