//! The tools around a policy: tests, snapshots, comparisons, new packs, manual
//! pages, and `--watch`. What goes wrong on purpose is in each section.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "tools/compare.rs"]
mod compare;
#[path = "cli/edict.rs"]
#[allow(dead_code, reason = "the command line tests use the rest")]
mod edict;
#[path = "tools/snapshots.rs"]
mod snapshots;
#[path = "tools/suites.rs"]
mod suites;
#[path = "tools/watch.rs"]
mod watch;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use edict::Desk;

#[test]
fn every_verb_has_a_manual_page() {
    let desk = Desk::new();
    let written = desk.json(&["man", "--dir", "pages"], 0);
    let written = written["written"].as_array().unwrap();
    assert!(written.len() > 10);
    for path in written {
        let page = fs::read_to_string(desk.dir().join(path.as_str().unwrap())).unwrap();
        assert!(page.contains(".SH NAME\n"), "{path}");
        assert!(
            page.contains(".SH EXAMPLES\n.nf\n  edict "),
            "{path}: {page}"
        );
        assert!(!page.contains("\n.SH EXTRA"), "{path}");
        // A line that begins with a dot is a command.
        for line in page.lines().filter(|line| line.starts_with('.')) {
            let word = line.split(' ').next().unwrap();
            assert!(
                [
                    ".ie", ".el", ".TH", ".SH", ".TP", ".br", ".RS", ".RE", ".IP", ".nf", ".fi",
                    ".PP", ".SS"
                ]
                .contains(&word),
                "{path}: {line}"
            );
        }
    }
    let page = desk.run(&["man", "check"]).done();
    let file = fs::read_to_string(desk.dir().join("pages/edict-check.1")).unwrap();
    assert_eq!(page, file);
    assert!(desk.run(&["man"]).done().contains("edict\\-check(1)"));
    assert_eq!(desk.run(&["man", "chekc"]).code, 1);
    assert_eq!(desk.run(&["man", "--dir", "good.edict"]).code, 1);
    assert_eq!(desk.run(&["man", "run", "--dir", "x"]).code, 1);
}

#[test]
fn a_new_pack_is_whole() {
    let desk = Desk::new();
    let said = desk.run(&["new", "web-2"]).done();
    assert!(said.contains("edict check web-2"), "{said}");
    assert!(
        desk.run(&["check", "--deny-warnings", "web-2"])
            .done()
            .contains("policy web-2 0.1.0")
    );
    desk.run(&["fmt", "--check", "web-2"]).done();
    let tested = desk.run(&["test", "--coverage=100", "web-2"]).done();
    assert!(tested.contains("5 of 5 rules (100%)"), "{tested}");
    let said = desk.run(&["new", "--yaml", "web-3"]).done();
    assert!(
        said.contains("web-3/policy.yaml and web-3/sets.yaml"),
        "{said}"
    );
    desk.run(&["check", "--deny-warnings", "web-3"]).done();
    desk.run(&["test", "--coverage=100", "web-3"]).done();
    let text = fs::read_to_string(desk.dir().join("web-3/policy.yaml")).unwrap();
    assert!(text.contains("# A tier is a class of tasks"), "{text}");
    assert!(!text.contains(".edict\""), "{text}");
    let same = ["diff", "--exit-code", "web-2", "web-3"];
    assert!(desk.run(&same).done().ends_with("no difference\n"));

    let mode = |path: &str| {
        let meta = fs::metadata(desk.dir().join(path)).unwrap();
        meta.permissions().mode() & 0o777
    };
    assert_eq!(mode("web-2/policy.edict") & 0o022, 0);
    // Also where the process masks nothing: a policy that others may write is refused.
    let mut shell = Command::new("sh");
    let script = "umask 000; \"$0\" new open && \"$0\" check open";
    let shell = shell.args(["-c", script, env!("CARGO_BIN_EXE_edict")]);
    let out = shell.current_dir(desk.dir()).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    assert_eq!((mode("open"), mode("open/sets.edict")), (0o755, 0o644));
}

#[test]
fn a_new_pack_overwrites_nothing() {
    let desk = Desk::new();
    desk.write("full/policy.edict", "mine\n");
    desk.write("file", "mine\n");
    fs::create_dir(desk.dir().join("empty")).unwrap();
    for (name, why) in [
        ("full", "the directory is not empty"),
        ("file", "there is a file of that name"),
        ("no/such/place", "the directory above it is not there"),
        ("..", "does not end with a name"),
        ("a b", "does not end with a name"),
        ("9", "does not end with a name"),
        ("when", "does not end with a name"),
        ("x}\n", "does not end with a name"),
        ("/dev/null", "there is a file of that name"),
    ] {
        let out = desk.run(&["new", name]);
        assert_eq!(out.code, 1, "{name}");
        assert!(out.stderr.contains(why), "{name}: {}", out.stderr);
        assert!(out.stderr.contains("help: "), "{name}: {}", out.stderr);
        assert_eq!(desk.json(&["new", name], 1)["ok"], false);
    }
    assert_eq!(
        fs::read_to_string(desk.dir().join("full/policy.edict")).unwrap(),
        "mine\n"
    );
    if rustix::process::geteuid().is_root() && desk.is_open_to_others() {
        let mut command = desk.command(&["new", "mine"]);
        let out = command.uid(65534).gid(65534).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(stderr.contains("Permission denied"), "{stderr}");
    }
    assert_eq!(desk.json(&["new", "empty"], 0)["path"], "empty");
    let plain = desk.run(&["new", "--format", "plain", "other"]).done();
    assert_eq!(plain, "other/policy.edict\nother/sets.edict\n");
}
