//! Random policies and random tasks that nearly miss each other.
//!
//! Values come from small vocabularies in which one is the other with a byte
//! more, a component more or one nanosecond less, so that most comparisons are
//! decided at their edge.

use super::rng::Rng;
use edict::check::{Attribute, Policy, check_text};
use edict::eval::Task;

const COMMS: &[&str] = &[
    "a",
    "ab",
    "abc",
    "abd",
    "b",
    "cc1",
    "cc1plus",
    "cc1plu",
    "c",
    "cc",
    "rustc",
    "rust",
    "rustc2",
    "ld",
    "ld.lld",
    "nginx",
    "nginx: worker",
    "fifteen-bytes-a",
    "fifteen-bytes-b",
    "fifteen-bytes-",
    "ü",
    "üb",
    "kworker/0:1",
    "kworker/u8:0",
    "~",
    "x y",
];
const PREFIXES: &[&str] = &[
    "a",
    "ab",
    "abc",
    "c",
    "cc1",
    "rust",
    "kworker/",
    "fifteen-bytes-",
    "ü",
    "ng",
];
const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/b",
    "/a/b/c",
    "/a/bc",
    "/ab",
    "/a/b/c/d",
    "/batch.slice",
    "/batch.slice/x",
    "/batch.slicer",
    "/system.slice/backup.service",
    "/usr/bin/cc1",
    "/usr/bin",
    "/usr",
    "/b",
];
const PATH_PREFIXES: &[&str] = &[
    "/a",
    "/a/",
    "/a/b",
    "/usr/b",
    "/batch.slice",
    "/",
    "/system",
];
const NICES: &[i64] = &[-19, -5, -1, 0, 1, 5, 10, 18];
const UIDS: &[i64] = &[1, 999, 1000, 1001, 65534, 4294967294, 1010, 1039];
const RUNTIMES: &[(&str, i64)] = &[
    ("100us", 100_000),
    ("1ms", 1_000_000),
    ("2ms", 2_000_000),
    ("20ms", 20_000_000),
    ("1s", 1_000_000_000),
];
const RATES: &[i64] = &[1, 10, 99, 100, 1000];
const TIERS: &[&str] = &["t0", "t1", "t2", "t3"];

/// A policy that the checker accepts. Rules that it finds unreachable or always
/// true or false are taken out, as a person would.
pub fn policy(rng: &mut Rng) -> (String, Policy) {
    loop {
        let mut rules: Vec<String> = (0..1 + rng.below(14))
            .map(|_| format!("when {} -> {}", expression(rng, 3), rng.pick(TIERS)))
            .collect();
        let otherwise = rng.pick(TIERS);
        for _ in 0..40 {
            let text = render(&rules, otherwise);
            let checked = check_text("random.edict", &text);
            if let Some(policy) = checked.policy {
                return (text, policy);
            }
            let Some(diagnostic) = checked.diagnostics.iter().find(|d| d.is_error()) else {
                panic!("no policy and no error: {text}");
            };
            let code = diagnostic.code.as_str();
            assert!(
                ["E0203", "E0204", "E0205", "E0403"].contains(&code),
                "{code} {}: {:?}\n{text}",
                diagnostic.message,
                diagnostic.labels
            );
            let at = diagnostic.labels[0].span.start as usize;
            let line = text[..at].matches('\n').count();
            let first = render(&[], otherwise).matches('\n').count() - 2;
            assert!(line >= first, "{code} is not about a rule:\n{text}");
            rules.remove(line - first);
            if rules.is_empty() {
                break;
            }
        }
    }
}

fn render(rules: &[String], otherwise: &str) -> String {
    let mut text = String::from("language 1\npolicy random {}\n");
    text += "set names = { \"ab\", \"cc1\", \"cc1plus\", \"rustc\", \"fifteen-bytes-a\" }\n";
    text += "set places = { \"/a/b\", \"/batch.slice\", \"/usr/bin\" }\n";
    text += "set people = { 0, 1000, 65534 }\n";
    let crowd: Vec<String> = (1010..1040).map(|uid| uid.to_string()).collect();
    text += &format!("set crowd = {{ {} }}\n", crowd.join(", "));
    for (index, tier) in TIERS.iter().enumerate() {
        text += &format!("tier {tier} {{ tickets = {} }}\n", index + 1);
    }
    text += "rules {\n";
    for rule in rules {
        text += rule;
        text.push('\n');
    }
    text + "otherwise -> " + otherwise + "\n}\n"
}

fn expression(rng: &mut Rng, depth: usize) -> String {
    if depth == 0 || rng.one_in(3) {
        return atom(rng);
    }
    let joined = |rng: &mut Rng, word: &str| {
        (0..2 + rng.below(2))
            .map(|_| {
                let part = expression(rng, depth - 1);
                if part.contains(" and ") || part.contains(" or ") {
                    format!("({part})")
                } else {
                    part
                }
            })
            .collect::<Vec<_>>()
            .join(word)
    };
    match rng.below(5) {
        0 => format!("not ({})", expression(rng, depth - 1)),
        1 | 2 => joined(rng, " and "),
        _ => joined(rng, " or "),
    }
}

fn atom(rng: &mut Rng) -> String {
    let compare = |rng: &mut Rng| *rng.pick(&["==", "!=", "<", "<=", ">", ">="]);
    match rng.below(11) {
        0..=2 => text_atom(rng, "comm", COMMS, PREFIXES, "names", false),
        3 => text_atom(rng, "exe", PATHS, PATH_PREFIXES, "places", true),
        4 | 5 => text_atom(rng, "cgroup", PATHS, PATH_PREFIXES, "places", true),
        6 => format!("nice {} {}", compare(rng), rng.pick(NICES)),
        7 => match rng.below(4) {
            0 => "uid in people".to_owned(),
            3 => "uid in crowd".to_owned(),
            1 => format!(
                "uid not in {{ {}, {} }}",
                UIDS[rng.below(3)],
                UIDS[3 + rng.below(5)]
            ),
            _ => format!("uid {} {}", compare(rng), rng.pick(UIDS)),
        },
        8 => (*rng.pick(&["kthread", "not kthread"])).to_owned(),
        9 => format!("runtime_avg {} {}", compare(rng), rng.pick(RUNTIMES).0),
        _ => format!("wake_rate {} {}", compare(rng), rng.pick(RATES)),
    }
}

fn text_atom(
    rng: &mut Rng,
    name: &str,
    values: &[&str],
    prefixes: &[&str],
    set: &str,
    path: bool,
) -> String {
    match rng.below(if path { 7 } else { 6 }) {
        0 => format!("{name} == {:?}", rng.pick(values)),
        1 => format!("{name} != {:?}", rng.pick(values)),
        2 => format!("{name} in {set}"),
        3 => format!("{name} not in {set}"),
        4 => {
            let at = rng.below(values.len() - 3);
            format!(
                "{name} in {{ {:?}, {:?}, {:?} }}",
                values[at],
                values[at + 1],
                values[at + 3]
            )
        }
        5 => format!("{name} starts with {:?}", rng.pick(prefixes)),
        _ => match rng.below(2) {
            0 => format!("{name} under {set}"),
            _ => format!("{name} under {:?}", rng.pick(values)),
        },
    }
}

/// A task near the vocabulary of the policies.
pub fn task(rng: &mut Rng) -> Task {
    let mut task = Task::default()
        .with(Attribute::Comm, near_name(rng))
        .with(Attribute::Nice, near(rng, NICES).clamp(-20, 19))
        .with(
            Attribute::Uid,
            near(rng, UIDS).clamp(0, i64::from(u32::MAX)),
        )
        .with(Attribute::Kthread, rng.one_in(4));
    for attribute in [Attribute::Exe, Attribute::Cgroup] {
        if !rng.one_in(5) {
            task.set(attribute, near_path(rng));
        }
    }
    if !rng.one_in(5) {
        let at = rng.pick(RUNTIMES).1;
        task.set(Attribute::RuntimeAvg, (at + rng.below(3) as i64 - 1).max(0));
    }
    if !rng.one_in(5) {
        task.set(Attribute::WakeRate, near(rng, RATES).max(0));
    }
    task
}

fn near(rng: &mut Rng, values: &[i64]) -> i64 {
    rng.pick(values) + rng.below(3) as i64 - 1
}

/// A name of the vocabulary, one byte more or less, or cut at 15 bytes.
fn near_name(rng: &mut Rng) -> String {
    let from = if rng.one_in(3) { PREFIXES } else { COMMS };
    let mut name = (*rng.pick(from)).to_owned();
    match rng.below(6) {
        0 => name.push(*rng.pick(&['a', 'b', '1', '\u{7f}', '/'])),
        1 => {
            name.pop();
        }
        2 => name.insert(0, 'a'),
        _ => {}
    }
    while name.len() > 15 {
        name.pop();
    }
    name
}

fn near_path(rng: &mut Rng) -> String {
    let mut path = (*rng.pick(PATHS)).to_owned();
    match rng.below(6) {
        0 => {
            path = format!(
                "{}/{}",
                path.trim_end_matches('/'),
                rng.pick(&["b", "c", "x"])
            )
        }
        1 if path != "/" => path.push('c'),
        2 if path.len() > 2 => {
            path.pop();
            if path.ends_with('/') {
                path.pop();
            }
        }
        _ => {}
    }
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}
