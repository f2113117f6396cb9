//! What a policy says about CPUs, held against the machine that it is to run on.
//!
//! The checker cannot know: policies are written on one machine and run on
//! others. A tier that names CPUs which are not there is carried out all the
//! same, with those that are, and one whose performance level nobody listens to
//! runs at another, so this only warns.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::check::{Cpus, Policy, Tier};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::hooks::topology::{Place, Topology};

/// Where the kernel describes its CPUs.
const CPUS: &str = "/sys/devices/system/cpu";

/// The one governor that takes into account what a scheduler asks for.
const LISTENS: &str = "schedutil";

/// Warnings about what the policy asks for and this machine has not.
pub(super) fn misfits(policy: &Policy) -> Vec<Diagnostic> {
    let asks = |tier: &Tier| tier.cpus.is_some() || tier.perf.is_some();
    match policy.tiers().iter().any(asks) {
        true => misfits_on(policy, Path::new(CPUS)),
        false => Vec::new(),
    }
}

fn misfits_on(policy: &Policy, root: &Path) -> Vec<Diagnostic> {
    let machine = Topology::read_from(root);
    let mut found = absent(policy, &machine);
    found.extend(unheard(policy, &governors(root, &machine)));
    found
}

/// The cpufreq governors of the CPUs that are online; empty where the machine
/// does not let the kernel set frequencies.
fn governors(root: &Path, machine: &Topology) -> BTreeSet<String> {
    let read = |cpu: u32| {
        let file = root.join(format!("cpu{cpu}/cpufreq/scaling_governor"));
        fs::read_to_string(file).ok()
    };
    let texts = machine.places().filter_map(|(cpu, _)| read(cpu));
    texts.map(|text| text.trim().to_owned()).collect()
}

/// A warning when no CPU takes the performance levels of the tiers into account.
fn unheard(policy: &Policy, governors: &BTreeSet<String>) -> Option<Diagnostic> {
    let tiers = policy.tiers().iter();
    let mut asking = tiers.filter(|tier| tier.perf.is_some()).peekable();
    asking.peek()?;
    if governors.contains(LISTENS) {
        return None;
    }
    let names: Vec<String> = governors.iter().map(|name| format!("`{name}`")).collect();
    let why = match names.as_slice() {
        [] => "this machine has no cpufreq".to_owned(),
        [one] => format!("the governor is {one}"),
        _ => format!("the governors are {}", names.join(" and ")),
    };
    let help = match names.is_empty() {
        true => "the CPUs run as fast as they do without; leave `perf` out to say so".to_owned(),
        false => format!(
            "write `{LISTENS}` into {CPUS}/cpufreq/policy*/scaling_governor, or leave `perf` out"
        ),
    };
    let problem = Diagnostic::new(Code::W0602, format!("nothing listens to `perf`: {why}"));
    let problem = asking.fold(problem, |problem, tier| {
        problem.label(place(policy, tier, "perf"), "asked for in vain")
    });
    Some(problem.help(help))
}

/// A warning for each tier that names CPUs which are not there.
fn absent(policy: &Policy, machine: &Topology) -> Vec<Diagnostic> {
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
                .label(place(policy, tier, "cpus"), label)
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

/// Where a field of the tier is given, be it in an override.
fn place(policy: &Policy, tier: &Tier, field: &str) -> Span {
    let block = format!("tier {}", tier.name);
    let setting = policy
        .settings()
        .iter()
        .find(|setting| setting.name == field && setting.block == block);
    setting.map_or(tier.span, |setting| setting.span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_text;

    /// CPUs 0 to 3 in two caches of one node, and CPU 5 in a node of its own.
    fn machine(governors: [&str; 2]) -> tempfile::TempDir {
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
        for (cpu, governor) in governors.into_iter().enumerate() {
            if !governor.is_empty() {
                write(&format!("cpu{cpu}/cpufreq/scaling_governor"), governor);
            }
        }
        root
    }

    fn policy(fields: &str) -> (Policy, String) {
        let text = format!(
            "language 1\npolicy p {{ }}\ntier a {{ {fields} }}\nrules {{ otherwise -> a }}\n"
        );
        (check_text("p", &text).policy.unwrap(), text)
    }

    fn said(cpus: &str) -> Option<String> {
        let (policy, text) = policy(&format!("cpus = \"{cpus}\""));
        let found = misfits_on(&policy, machine([""; 2]).path());
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
        let (policy, _) = policy("cpus = \"900\"");
        assert_eq!(misfits_on(&policy, Path::new("/nowhere")), []);
    }

    #[test]
    fn one_governor_listens_to_performance_levels() {
        let (policy, text) = policy("perf = 80%");
        let said = |governors| {
            let mut found = misfits_on(&policy, machine(governors).path());
            assert!(found.len() <= 1, "{found:?}");
            found.pop()
        };
        for heard in [["schedutil\n"; 2], ["performance\n", "schedutil\n"]] {
            assert_eq!(said(heard), None);
        }
        let other = said(["performance\n", "powersave\n"]).unwrap();
        assert_eq!((other.code, other.is_error()), (Code::W0602, false));
        assert_eq!(
            other.message,
            "nothing listens to `perf`: the governors are `performance` and `powersave`"
        );
        assert_eq!(other.labels[0].span.of(&text), "80%");
        assert!(other.help.unwrap().contains("schedutil"));
        let one = said(["performance\n"; 2]).unwrap();
        assert!(one.message.ends_with("the governor is `performance`"));
        let none = said([""; 2]).unwrap();
        assert_eq!(
            none.message,
            "nothing listens to `perf`: this machine has no cpufreq"
        );
    }
}
