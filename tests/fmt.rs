//! Text in, text out: what is printed parses back, and what is laid out is the
//! same policy with the same comments, laid out for good.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "cli/edict.rs"]
#[allow(dead_code, reason = "the command line tests use the rest")]
mod edict_binary;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use edict::diag::FileId;
use edict::syntax::fmt::{WIDTH, fmt};
use edict::syntax::parse;
use edict::syntax::print::print;
use edict_binary::Desk;
use proptest::prelude::*;

/// The text in the house style, which is in it already when that is done again.
fn done(text: &str) -> String {
    let out = fmt(FileId(0), text).unwrap_or_else(|found| panic!("{text}\n{found:?}"));
    let again = fmt(FileId(0), &out).unwrap_or_else(|found| panic!("{out}\n{found:?}"));
    assert_eq!(again, out, "not settled:\n{text}");
    out
}

#[test]
fn a_comment_inside_of_an_operator_stands_above_the_rule() {
    let text =
        "rules {\n  when nice not # one\n in 0..5 and comm starts # two\n with \"x\" -> a\n}\n";
    assert_eq!(
        done(text),
        "rules {\n  # one\n  # two\n  when nice not in 0..5 and comm starts with \"x\" -> a\n}\n"
    );
}

/// `tests/fmt/NAME.edict` becomes `tests/fmt/NAME.out`; to accept a change,
/// `EDICT_BLESS=1 cargo test --test fmt`, then read the diff.
#[test]
fn layouts_are_what_they_were() {
    let mut count = 0;
    for entry in fs::read_dir("tests/fmt").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "edict") {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path).unwrap();
        let out = done(&text);
        let golden = path.with_extension("out");
        if std::env::var_os("EDICT_BLESS").is_some() {
            fs::write(&golden, &out).unwrap();
        }
        assert_eq!(
            out,
            fs::read_to_string(&golden).unwrap(),
            "{}",
            path.display()
        );
    }
    assert!(count >= 3);
}

fn shipped(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            shipped(&path, found);
        } else if path.extension().is_some_and(|e| e == "edict") {
            found.push(path);
        }
    }
}

#[test]
fn what_ships_is_in_the_style() {
    let mut files = Vec::new();
    shipped(Path::new("policies"), &mut files);
    shipped(Path::new("examples"), &mut files);
    assert!(files.len() >= 5);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(done(&text), text, "run `edict fmt {}`", path.display());
        for line in text.lines().filter(|line| !line.contains('#')) {
            assert!(line.chars().count() <= WIDTH, "{}: {line}", path.display());
        }
    }
}

#[test]
fn the_policy_of_the_readme_is_in_the_style() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, rest) = readme.split_once("```edict\n").unwrap();
    let (policy, _) = rest.split_once("```").unwrap();
    assert_eq!(done(policy), policy);
}

#[test]
fn what_does_not_parse_is_refused() {
    for text in [
        "tier a {",
        "rules { when a && b -> c }",
        "tier a { slice: 1ms }",
        "\"",
        "}",
    ] {
        let found = fmt(FileId(0), text).unwrap_err();
        assert!(found.iter().any(|d| d.is_error()), "{text}");
    }
}

#[test]
fn the_ends_of_lines_become_those_of_unix() {
    let out = done("\u{FEFF}# one \r\ntier a { }\r\n\r\n\r\n# two\r\n\r\n");
    assert_eq!(out, "# one\ntier a { }\n\n# two\n");
    assert_eq!(done(""), "");
    assert_eq!(done("\n\n  \n"), "");
    assert_eq!(done("# only"), "# only\n");
}

/// Nesting and length cost what they must and no more.
#[test]
fn large_and_deep_texts_are_laid_out() {
    let members: Vec<String> = (0..20_000).map(|n| format!("\"name-{n}\"")).collect();
    let out = done(&format!("set s = {{ {} }}", members.join(",")));
    assert!(out.lines().all(|line| line.len() <= WIDTH));
    let terms: Vec<String> = (0..5_000).map(|n| format!("uid == {n}")).collect();
    let out = done(&format!("rules {{ when {} -> a }}", terms.join(" or ")));
    assert!(out.lines().all(|line| line.len() <= WIDTH));
    let deep = format!(
        "rules {{ when {}a{} -> a }}",
        "(b_rather_long_name and ".repeat(31),
        ")".repeat(31)
    );
    done(&deep);
    done(&format!("{}x = 1{}", "a { ".repeat(60), " }".repeat(60)));
    done(&format!("{}x = 1{}", "a {\n".repeat(60), " }".repeat(60)));
}

/// Replaces blanks of a printed policy, outside of texts, by others; where a word
/// must not be followed by a comment, only by blanks and line ends.
fn noisy(text: &str, noise: &[(u8, String)]) -> String {
    let mut noise = noise.iter().cycle();
    let mut out = String::new();
    let mut is_inside = false;
    let mut escaped = false;
    let mut word = String::new();
    for c in text.chars() {
        if is_inside {
            is_inside = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            out.push(c);
            continue;
        }
        if c == '"' {
            is_inside = true;
        }
        if !c.is_ascii_whitespace() {
            word.push(c);
            out.push(c);
            continue;
        }
        let (kind, comment) = noise.next().unwrap();
        let is_bound = ["not", "starts", "ends", "use", "expect"].contains(&word.as_str());
        word.clear();
        match kind {
            0 => out.push('\n'),
            1 => out.push_str(" \n\n\t\n  "),
            2 => out.push_str("\t "),
            3 if !is_bound => out.push_str(&format!(" #{comment}\n")),
            4 if !is_bound => out.push_str(&format!("\n\n  # {comment}\r\n")),
            _ => out.push(c),
        }
    }
    out
}

fn noise() -> impl Strategy<Value = Vec<(u8, String)>> {
    let comment = prop_oneof![
        "\\PC{0,12}",
        Just("\"".to_owned()),
        Just("} -> ) {".to_owned()),
        Just("## x".to_owned()),
    ];
    prop::collection::vec((0..40_u8, comment), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_is_parsed_back(ast in tree::any_ast()) {
        let text = print(&ast);
        let parsed = parse(FileId(0), &text);
        prop_assert_eq!(&parsed.diagnostics, &[], "{}", text);
        prop_assert_eq!(parsed.ast.as_ref(), Some(&ast), "{}", text);
    }

    #[test]
    fn what_is_laid_out_says_the_same(ast in tree::any_ast(), noise in noise()) {
        let text = noisy(&print(&ast), &noise);
        let parsed = parse(FileId(0), &text);
        prop_assert_eq!(&parsed.diagnostics, &[], "{}", text);
        prop_assert_eq!(parsed.ast.as_ref(), Some(&ast), "{}", text);
        // `fmt` compares tree and comments itself.
        let out = done(&text);
        prop_assert_eq!(parse(FileId(0), &out).ast, Some(ast));
        prop_assert!(!out.contains("\n\n\n"), "{}", out);
        prop_assert!(!out.starts_with('\n') && !out.contains(" \n"), "{}", out);
    }
}

const UGLY: &str = "language 1\ntier a{tickets=1}\n# c\n";
const NEAT: &str = "language 1\ntier a { tickets = 1 }\n# c\n";

#[test]
fn a_file_is_replaced_and_keeps_what_it_is() {
    let desk = Desk::new();
    desk.write("a.edict", UGLY);
    let path = desk.dir().join("a.edict");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.edict", desk.dir().join("link.edict")).unwrap();
    let before = fs::metadata(&path).unwrap();
    assert_eq!(
        desk.run(&["fmt", "link.edict"]).done(),
        "formatted: link.edict\n"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), NEAT);
    let after = fs::metadata(&path).unwrap();
    assert_eq!(after.mode(), before.mode());
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_ne!(after.ino(), before.ino(), "renamed over, not written into");
    assert!(
        fs::symlink_metadata(desk.dir().join("link.edict"))
            .unwrap()
            .is_symlink()
    );
    // In the style already: not touched.
    assert_eq!(desk.run(&["fmt", "a.edict"]).done(), "");
    assert_eq!(fs::metadata(&path).unwrap().ino(), after.ino());
    let left = fs::read_dir(desk.dir()).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn check_and_diff_write_nothing() {
    let desk = Desk::new();
    desk.write("pack/policy.edict", UGLY);
    desk.write("pack/deep/sets.edict", NEAT);
    desk.write("pack/.hidden/x.edict", UGLY);
    desk.write("pack/notes.txt", "}");
    let out = desk.run(&["fmt", "--check", "pack"]);
    assert_eq!(
        (out.code, out.stdout.as_str()),
        (1, "not formatted: pack/policy.edict\n")
    );
    let out = desk.run(&["fmt", "--check", "--format", "plain", "pack"]);
    assert_eq!((out.code, out.stdout.as_str()), (1, "pack/policy.edict\n"));
    let difference = "--- pack/policy.edict\n+++ pack/policy.edict\n@@ -1,3 +1,3 @@\n language 1\n-tier a{tickets=1}\n+tier a { tickets = 1 }\n # c\n";
    assert_eq!(desk.run(&["fmt", "--diff", "pack"]).done(), difference);
    let out = desk.run(&["fmt", "--diff", "--check", "pack"]);
    assert_eq!((out.code, out.stdout.as_str()), (1, difference));
    let json = desk.json(&["fmt", "--check", "--diff", "pack"], 1);
    assert_eq!(json["ok"], false);
    assert_eq!(json["files"][1]["path"], "pack/policy.edict");
    assert_eq!(json["files"][1]["changed"], true);
    assert_eq!(json["files"][1]["diff"], difference);
    assert_eq!(json["files"][0]["changed"], false);
    assert_eq!(desk.json(&["fmt", "--check", "pack/deep"], 0)["ok"], true);
    let text = fs::read_to_string(desk.dir().join("pack/policy.edict")).unwrap();
    assert_eq!(text, UGLY);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let desk = Desk::new();
    assert_eq!(desk.run_with(&["fmt", "-"], UGLY).done(), NEAT);
    let out = desk.run_with(&["fmt", "--check", "-"], UGLY);
    assert_eq!(
        (out.code, out.stdout.as_str()),
        (1, "not formatted: <stdin>\n")
    );
    let out = desk.run_with(&["fmt", "--format", "json", "-"], UGLY);
    let json: serde_json::Value = serde_json::from_str(&out.done()).unwrap();
    assert_eq!(json["files"][0]["text"], NEAT);
    assert_eq!(desk.run_with(&["fmt", "-", "-"], UGLY).code, 1);
}

#[test]
fn what_cannot_be_laid_out_is_said_and_left() {
    let desk = Desk::new();
    desk.write("bad.edict", "tier a {");
    desk.write("ugly.edict", UGLY);
    desk.write("policy.yaml", "policy: x\n");
    desk.write_bytes("latin.edict", b"# caf\xE9\n");
    let out = desk.run(&["fmt", "--format", "plain", "bad.edict", "ugly.edict"]);
    assert_eq!(out.code, 3);
    assert!(
        out.stderr.starts_with("bad.edict:1:8: error[E0101]: "),
        "{}",
        out.stderr
    );
    let read = |name: &str| fs::read_to_string(desk.dir().join(name)).unwrap();
    assert_eq!(
        (read("bad.edict").as_str(), read("ugly.edict").as_str()),
        ("tier a {", NEAT)
    );
    for (path, code) in [
        ("none.edict", "E0001"),
        ("policy.yaml", "E0132"),
        ("latin.edict", "E0007"),
        ("/dev/null", "E0004"),
    ] {
        let json = desk.json(&["fmt", path], 3);
        assert_eq!(json["diagnostics"][0]["code"], code, "{path}");
        assert_eq!(json["ok"], false);
    }
}
