use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::diag::Code;

/// `include` lines, without a parser.
fn find(file: FileId, _: &str, text: &str) -> Vec<Include> {
    text.lines()
        .filter_map(|line| line.strip_prefix("include "))
        .map(|path| Include {
            path: path.to_owned(),
            span: Span::new(file, 0, 7),
        })
        .collect()
}

fn read(path: &Path) -> Result<SourceSet, Failure> {
    load(path, &mut find)
}

fn code(path: &Path) -> Code {
    let failure = read(path).expect_err("it is refused");
    assert_eq!(failure.diagnostics.len(), 1, "{:?}", failure.diagnostics);
    assert!(!failure.is_transient());
    failure.diagnostics[0].code
}

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            tree.write(name, text);
        }
        tree
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_policy_and_what_it_includes_are_one_snapshot() {
    let tree = Tree::new(&[
        ("web/policy.edict", "include ../base/sets.edict\nrules\n"),
        ("base/sets.edict", "include more.edict\nset\n"),
        ("base/more.edict", "more\n"),
    ]);
    let set = read(&tree.at("web")).unwrap();
    let names: Vec<_> = set.order().iter().map(|file| set.name(*file)).collect();
    let at = |name: &str| tree.at(name).to_string_lossy().into_owned();
    assert_eq!(
        names,
        [
            at("base/more.edict"),
            at("base/sets.edict"),
            at("web/policy.edict")
        ]
    );
    assert_eq!(set.text(set.root()), "include ../base/sets.edict\nrules\n");
    assert_eq!(set.paths().len(), 3);
    for directory in ["", "web", "base"] {
        let directory = tree.at(directory).canonicalize().unwrap();
        assert!(set.directories().contains(&directory), "{directory:?}");
    }
    assert_eq!(set, read(&tree.at("web/policy.edict")).unwrap());
}

#[test]
fn the_digest_is_of_names_and_contents_and_not_of_the_place() {
    let files = [("a/policy.edict", "include x\n1\n"), ("a/x", "2\n")];
    let (one, two) = (Tree::new(&files), Tree::new(&files));
    let digest = |tree: &Tree| read(&tree.at("a")).unwrap().digest();
    let before = digest(&one);
    assert_eq!(before, digest(&two));
    two.write("a/x", "3\n");
    assert_ne!(before, digest(&two));
    two.write("a/x", "2\n");
    assert_eq!(before, digest(&two));
}

#[test]
fn what_is_not_there_is_told_apart() {
    let tree = Tree::new(&[
        ("empty/x", ""),
        ("yaml/policy.yaml", "a: 1\n"),
        ("yml/policy.yml", "a: 1\n"),
        ("both/policy.yaml", "a: 1\n"),
        ("both/policy.edict", "a\n"),
    ]);
    assert_eq!(code(&tree.at("none.edict")), Code::E0001);
    assert_eq!(code(&tree.at("none/none.edict")), Code::E0001);
    assert_eq!(code(&tree.at("empty/x/policy.edict")), Code::E0001);
    assert_eq!(code(&tree.at("empty")), Code::E0003);
    assert_eq!(code(&tree.at("empty/x")), Code::E0008);
    assert!(read(&tree.at("yaml")).is_ok());
    assert_eq!(code(&tree.at("yml")), Code::E0003);
    assert_eq!(code(&tree.at("both")), Code::E0131);
    let failure = read(&tree.at("gone/deep/policy.edict")).unwrap_err();
    assert_eq!(
        failure.files.directories().iter().collect::<Vec<_>>(),
        [&tree.at("")]
    );
}

#[test]
fn a_policy_is_found_from_any_directory_it_is_named_from() {
    let set = SourceSet::in_memory(&[("a", "include b\n"), ("b", "x")], &mut find).unwrap();
    assert_eq!(set.order(), [FileId(1), FileId(0)]);
    // Relative paths are relative to the working directory, the manifest's.
    assert_eq!(code(Path::new("no-such-policy.edict")), Code::E0001);
    assert_eq!(code(Path::new("src")), Code::E0003);
}

#[test]
fn includes_stay_in_the_pack() {
    let tree = Tree::new(&[
        ("pack/web/policy.edict", ""),
        ("pack/base/ok.edict", "ok\n"),
        ("secret", "secret\n"),
    ]);
    let policy = |text: &str| {
        tree.write("pack/web/policy.edict", text);
        tree.at("pack/web")
    };
    for path in [
        "../../secret",
        "../web/../../secret",
        "/etc/passwd",
        "../base/../../pack/base/ok.edict",
    ] {
        assert_eq!(
            code(&policy(&format!("include {path}\n"))),
            Code::E0010,
            "{path}"
        );
    }
    for (link, target) in [
        ("pack/web/out", "../../secret"),
        ("pack/web/absolute", "/etc/passwd"),
        ("pack/web/up", "../.."),
        ("pack/web/in", "../base"),
        ("pack/web/loop", "loop"),
    ] {
        symlink(target, tree.at(link)).unwrap();
    }
    assert_eq!(code(&policy("include out\n")), Code::E0010);
    assert_eq!(code(&policy("include absolute\n")), Code::E0010);
    assert_eq!(code(&policy("include up/secret\n")), Code::E0010);
    assert_eq!(code(&policy("include loop\n")), Code::E0013);
    let set = read(&policy("include in/ok.edict\ninclude ../base/./ok.edict\n")).unwrap();
    assert_eq!(set.paths().len(), 2, "one file, by two ways");
}

#[test]
fn links_inside_the_pack_are_followed_and_watched() {
    let tree = Tree::new(&[
        ("p/v1/policy.edict", "one\n"),
        ("p/v2/policy.edict", "two\n"),
    ]);
    symlink("v1", tree.at("p/..data")).unwrap();
    symlink("..data/policy.edict", tree.at("p/policy.edict")).unwrap();
    let set = read(&tree.at("p")).unwrap();
    assert_eq!(set.text(set.root()), "one\n");
    let real = |name: &str| tree.at(name).canonicalize().unwrap();
    assert!(set.directories().contains(&real("p")));
    assert!(set.directories().contains(&real("p/v1")));
    fs::remove_file(tree.at("p/..data")).unwrap();
    symlink("v2", tree.at("p/..data")).unwrap();
    let set = read(&tree.at("p")).unwrap();
    assert_eq!(set.text(set.root()), "two\n");
}

#[test]
fn circles_and_crowds_are_refused() {
    let tree = Tree::new(&[
        ("a/policy.edict", "include x\n"),
        ("a/x", "include policy.edict\n"),
    ]);
    assert_eq!(code(&tree.at("a")), Code::E0011);
    let deep: Vec<(String, String)> = (0..12)
        .map(|n| (format!("a/{n}"), format!("include {}\nx\n", n + 1)))
        .collect();
    for (name, text) in &deep {
        tree.write(name, text);
    }
    tree.write("a/5", "x\n");
    tree.write("a/policy.edict", "include 0\n");
    assert!(read(&tree.at("a")).is_ok());
    tree.write("a/5", "include 6\n");
    assert_eq!(code(&tree.at("a")), Code::E0012);
    let many: String = (100..132).map(|n| format!("include {n}\n")).collect();
    (100..132).for_each(|n| tree.write(&format!("a/{n}"), "x\n"));
    tree.write("a/policy.edict", &many);
    assert_eq!(code(&tree.at("a")), Code::E0012);
}

#[test]
fn large_files_are_not_read() {
    let tree = Tree::new(&[("a/policy.edict", &"x".repeat(256 << 10))]);
    assert!(read(&tree.at("a")).is_ok());
    tree.write("a/policy.edict", &"x".repeat((256 << 10) + 1));
    assert_eq!(code(&tree.at("a")), Code::E0006);
    tree.write("a/policy.edict", "include sets\n");
    tree.write("a/sets", &"x".repeat(1 << 20));
    assert!(read(&tree.at("a")).is_ok());
    tree.write("a/sets", &"x".repeat((1 << 20) + 1));
    assert_eq!(code(&tree.at("a")), Code::E0006);
}

#[test]
fn text_is_utf8_and_the_place_of_what_is_not_is_told() {
    let tree = Tree::new(&[("a/policy.edict", "")]);
    fs::write(tree.at("a/policy.edict"), b"line\nb\xC3\xA4d \xFF here\n").unwrap();
    let failure = read(&tree.at("a")).unwrap_err();
    assert_eq!(failure.diagnostics[0].code, Code::E0007);
    let span = failure.diagnostics[0].labels[0].span;
    assert_eq!(
        (span.start, span.of(failure.files.text(span.file))),
        (10, "\u{FFFD}")
    );
    tree.write("a/policy.edict", " \n\t");
    assert_eq!(code(&tree.at("a")), Code::E0008);
}

#[test]
fn only_regular_files_are_opened() {
    let tree = Tree::new(&[("a/policy.edict", "x\n"), ("a/b/c", "")]);
    fs::remove_file(tree.at("a/policy.edict")).unwrap();
    let pipe = tree.at("a/policy.edict");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    // Would wait for a writer for ever.
    assert_eq!(code(&pipe), Code::E0004);
    fs::remove_file(&pipe).unwrap();
    tree.write("a/policy.edict", "include b\n");
    assert_eq!(code(&tree.at("a")), Code::E0004);
    tree.write("a/policy.edict", "include ..\n");
    assert_eq!(code(&tree.at("a")), Code::E0004);
    assert_eq!(code(Path::new("/dev/zero")), Code::E0004);
}

#[test]
fn what_others_may_write_is_not_trusted() {
    let tree = Tree::new(&[
        ("a/b/policy.edict", "include ../c/d/x\n"),
        ("a/c/d/x", "x\n"),
    ]);
    let policy = tree.at("a/b");
    assert!(read(&policy).is_ok());
    for (name, wrong, right) in [
        ("a/b/policy.edict", 0o646, 0o644),
        ("a/c/d/x", 0o666, 0o644),
        ("a/b", 0o777, 0o755),
        ("a/c", 0o757, 0o755),
        ("a/c/d", 0o757, 0o755),
        ("a", 0o777, 0o755),
        // Above the pack: whoever may rename `a` may replace the policy.
        ("", 0o757, 0o755),
    ] {
        tree.mode(name, wrong);
        assert_eq!(code(&policy), Code::E0005, "{name}");
        tree.mode(name, right);
        assert!(read(&policy).is_ok(), "{name}");
    }
    // In a sticky directory nobody replaces the files of others.
    tree.mode("a/b", 0o1777);
    assert!(read(&policy).is_ok());
}

#[test]
fn a_file_that_changes_meanwhile_is_read_again() {
    let tree = Tree::new(&[("a/policy.edict", "include x\n"), ("a/x", "x\n")]);
    let policy = tree.at("a/policy.edict");
    let replace = |text: &'static str| {
        let policy = policy.clone();
        move |file: FileId, _: &str, found: &str| {
            if file == FileId(1) {
                let beside = policy.with_extension("new");
                fs::write(&beside, text).unwrap();
                fs::rename(&beside, &policy).unwrap();
            }
            find(file, "", found)
        }
    };
    let failure = load(&tree.at("a"), &mut replace("include x\nchanged\n")).unwrap_err();
    assert!(failure.is_transient());
    assert_eq!(failure.diagnostics[0].code, Code::E0009);
    assert!(read(&tree.at("a")).is_ok());
}

#[test]
fn includes_that_fail_are_given_up_after_a_while() {
    let policy = "include none.edict\n".repeat(1_000);
    let tree = Tree::new(&[("policy.edict", &policy)]);
    let failure = read(&tree.at("policy.edict")).expect_err("there is none");
    assert_eq!(failure.diagnostics.len(), MOST_FILES);
}
