//! The house rules that a compiler does not know: which room may use which,
//! who may name which library, what is documented.
//!
//! The rules are written down in ARCHITECTURE.md; this test is what makes them
//! true. It reads the sources as text, without the parts under `#[cfg(test)]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("diag", &[]),
    ("source", &["diag"]),
    ("syntax", &["diag", "source"]),
    ("check", &["diag", "source", "syntax"]),
    ("eval", &["diag", "source", "syntax", "check"]),
    ("plan", &["diag", "source", "syntax", "check"]),
    ("image", &["diag", "source", "syntax", "check", "plan"]),
    (
        "live",
        &["diag", "source", "syntax", "check", "eval", "plan", "image"],
    ),
    ("hooks", &["diag", "check", "eval", "plan", "image", "live"]),
    (
        "reload",
        &[
            "diag", "source", "syntax", "check", "eval", "plan", "image", "live", "hooks",
        ],
    ),
    (
        "agent",
        &[
            "diag", "source", "syntax", "check", "eval", "plan", "image", "live", "hooks", "reload",
        ],
    ),
    (
        "cli",
        &[
            "diag", "source", "syntax", "check", "eval", "plan", "image", "live", "hooks",
            "reload", "agent",
        ],
    ),
];

/// Who may name what. A word is looked for as a path segment.
const ONLY: &[(&str, &[&str])] = &[
    ("libbpf_rs", &["src/live/"]),
    ("libbpf_sys", &["src/live/"]),
    ("scx_utils", &["src/live/"]),
    ("scx_stats", &["src/agent/metrics"]),
    ("scx_stats_derive", &["src/agent/metrics"]),
    ("pest", &["src/syntax/native"]),
    ("pest_derive", &["src/syntax/native"]),
    ("granit_parser", &["src/syntax/yaml"]),
    ("regex", &["src/eval/"]),
    ("regex_automata", &["src/check/pattern/"]),
    ("regex_syntax", &["src/check/pattern/"]),
    ("notify", &["src/reload/watch"]),
    ("unicode_security", &["src/check/looks"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("anyhow", &["src/cli/", "src/main.rs"]),
];

/// Rooms without clock, environment, threads or I/O.
const PURE: &[&str] = &["diag", "syntax", "check", "eval", "plan", "image"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::thread",
    "std::time",
    "std::net",
    "std::process",
    "std::io",
    "rustix",
    "SystemTime",
    "Instant",
];
/// The one place in a pure room that reads files: it hands the path on.
const PURE_EXCEPT: &[(&str, &str)] = &[];

/// A file beyond this is asking to be two.
const LINES_MAX: usize = 550;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn files(dir: &str, extensions: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root().join(dir), &mut found);
    found
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|e| extensions.iter().any(|wanted| e == *wanted))
        })
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The code of a file: no comments, nothing from `#[cfg(test)]` on.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whole test files (`#[cfg(test)] mod tests;`) are not part of the house.
fn sources() -> Vec<(String, String)> {
    files("src", &["rs"])
        .into_iter()
        .filter(|(name, _)| !name.ends_with("/tests.rs") && !name.contains("/tests/"))
        .collect()
}

fn room(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("src/")?;
    let room = rest.split('/').next()?;
    Some(room.strip_suffix(".rs").unwrap_or(room))
}

/// Rooms that a text names as `crate::room` or inside `use crate::{…}`.
fn uses(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            let mut first = true;
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        first = true;
                        word.clear();
                    }
                    c if c.is_alphanumeric() || c == '_' => {
                        word.extend(first.then_some(c));
                    }
                    _ if depth == 0 && first && !word.is_empty() => {
                        found.insert(std::mem::take(&mut word));
                        first = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    found
}

/// Whether `word` stands in the code as a crate: `word::` or `use word`.
fn names_crate(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + word.len()..];
        let starts =
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '.');
        starts
            && (after.starts_with("::") || (after.starts_with(';') && code[..at].ends_with("use ")))
    })
}

#[test]
fn arrows_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let rooms: BTreeSet<&str> = allowed.keys().copied().collect();
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(room) = room(&name) else { continue };
        if room == "lib" || room == "main" {
            continue;
        }
        let Some(allowed) = allowed.get(room) else {
            wrong.push(format!("{name}: `{room}` is not a room of ARCHITECTURE.md"));
            continue;
        };
        for used in uses(&code(&text)) {
            if rooms.contains(used.as_str()) && used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name}: `{room}` may not use `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_are_named_where_they_belong() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let code = code(&text);
        for (word, places) in ONLY {
            if names_crate(&code, word) && !places.iter().any(|place| name.starts_with(place)) {
                wrong.push(format!(
                    "{name} names `{word}`, which belongs to {places:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_are_pure() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if !room(&name).is_some_and(|room| PURE.contains(&room)) {
            continue;
        }
        let code = code(&text);
        for word in IMPURE {
            if code.contains(word) && !PURE_EXCEPT.contains(&(name.as_str(), word)) {
                wrong.push(format!("{name} uses `{word}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_stands_at_the_kernel_boundary_and_says_why() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let stripped = line.split("//").next().unwrap_or_default();
            if !stripped.contains("unsafe ") || stripped.contains("unsafe_code") {
                continue;
            }
            if !name.starts_with("src/live/") {
                wrong.push(format!("{name}:{}: unsafe outside of `live`", index + 1));
            }
            let above = lines[index.saturating_sub(6)..index].join("\n");
            if !above.contains("SAFETY:") {
                wrong.push(format!("{name}:{}: no SAFETY: comment", index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_page_and_no_page_is_left_over() {
    let codes: BTreeSet<String> = edict::diag::Code::ALL
        .iter()
        .map(|code| code.as_str().to_owned())
        .collect();
    let pages: BTreeSet<String> = files("docs/errors", &["md"])
        .into_iter()
        .filter_map(|(name, _)| {
            let stem = Path::new(&name).file_stem()?.to_str()?.to_owned();
            (stem != "README").then_some(stem)
        })
        .collect();
    assert_eq!(codes, pages);
}

#[test]
fn rooms_stay_small() {
    let mut wrong = Vec::new();
    let mut all = files("src", &["rs"]);
    all.extend(files("bpf", &["c", "h"]));
    for (name, text) in all {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{name} has {lines} lines; it is asking to be two"));
        }
    }
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    if main.lines().count() >= 80 {
        wrong.push("src/main.rs is not the place for code".into());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bpf_files_say_their_licence_and_their_purpose() {
    for (name, text) in files("bpf", &["c", "h"]) {
        assert!(
            text.starts_with("/* SPDX-License-Identifier: GPL-2.0-only */\n/*\n"),
            "{name} must open with its licence and a comment that says what it is for"
        );
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut inside = false;
    let mut wrong = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            continue;
        }
        if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            let name = name.trim();
            if !name.is_empty()
                && !name.starts_with('#')
                && !architecture.contains(&format!("`{name}`"))
            {
                wrong.push(format!("`{name}` has no line in ARCHITECTURE.md"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
