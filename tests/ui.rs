//! Every message a user can see, compared with what it was.
//!
//! `tests/ui/NAME.edict`, or the policy in the directory `tests/ui/NAME/`, is
//! checked, and what edict says must equal `NAME.human`, `NAME.plain` and
//! `NAME.json`. The examples on the pages of the catalogue are checked in the same
//! way, and each must produce exactly the code of its page. After a change that is
//! meant: `EDICT_BLESS=1 cargo test --test ui`, then read the diff.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use edict::check::{Checked, check_path, check_texts, overlaps};
use edict::diag::{self, Code, Diagnostic, FileId, Files, Format, RenderOptions, Severity, codes};
use edict::source::{self, SourceSet};
use edict::syntax;

fn home() -> &'static Path {
    Path::new("tests/ui")
}

/// What a case says, with the names of temporary places replaced.
struct Said {
    diagnostics: Vec<Diagnostic>,
    names: Vec<String>,
    texts: Vec<String>,
}

impl Files for Said {
    fn name(&self, file: FileId) -> &str {
        self.names.get(usize::from(file.0)).map_or("", |name| name)
    }
    fn text(&self, file: FileId) -> &str {
        self.texts.get(usize::from(file.0)).map_or("", |text| text)
    }
}

fn said(checked: &Checked, hide: Option<&Path>) -> Said {
    said_of(&checked.diagnostics, &checked.files, hide)
}

fn said_of(diagnostics: &[Diagnostic], files: &SourceSet, hide: Option<&Path>) -> Said {
    let hidden = |text: &str| match hide {
        Some(path) => text.replace(&format!("{}/", path.display()), ""),
        None => text.to_owned(),
    };
    let mut diagnostics = diagnostics.to_vec();
    for diagnostic in &mut diagnostics {
        diagnostic.message = hidden(&diagnostic.message);
        diagnostic.help = diagnostic.help.as_deref().map(hidden);
    }
    let count = files.paths().len();
    let file = |index: usize| FileId(u16::try_from(index).unwrap());
    Said {
        diagnostics,
        names: (0..count).map(|i| hidden(files.name(file(i)))).collect(),
        texts: (0..count).map(|i| files.text(file(i)).to_owned()).collect(),
    }
}

/// Compares a case with its golden files.
fn compare(name: &str, said: &Said) {
    let bless = std::env::var_os("EDICT_BLESS").is_some();
    let formats = [
        ("human", Format::Human),
        ("plain", Format::Plain),
        ("json", Format::Json),
    ];
    for (extension, format) in formats {
        let options = RenderOptions {
            color: false,
            width: 80,
        };
        let found = diag::render(&said.diagnostics, said, format, options);
        let path = home().join(format!("{name}.{extension}"));
        if bless {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, found).unwrap();
            continue;
        }
        let golden = fs::read_to_string(&path)
            .unwrap_or_else(|_| panic!("{} is missing; bless it", path.display()));
        assert_eq!(found, golden, "{}", path.display());
    }
}

fn found(said: &Said) -> BTreeSet<Code> {
    said.diagnostics.iter().map(|d| d.code).collect()
}

/// Checks a policy in memory, or on the disk, and compares it; tells the codes.
fn texts(name: &str, texts: &[(&str, &str)]) -> BTreeSet<Code> {
    let checked = check_texts(texts);
    consistent(&checked, name);
    let said = said(&checked, None);
    compare(name, &said);
    found(&said)
}

fn path(name: &str, path: &Path, hide: Option<&Path>) -> BTreeSet<Code> {
    let checked = check_path(path);
    consistent(&checked, name);
    let said = said(&checked, hide);
    compare(name, &said);
    found(&said)
}

/// What is said of rules that overlap, which is asked for apart.
fn overlapping(name: &str, path: &Path, hide: &Path) -> BTreeSet<Code> {
    let mut checked = check_path(path);
    assert_eq!(checked.diagnostics, [], "{name}");
    checked.diagnostics = overlaps(checked.policy.as_ref().unwrap());
    let said = said(&checked, Some(hide));
    compare(name, &said);
    found(&said)
}

/// What holds of every outcome.
fn consistent(checked: &Checked, name: &str) {
    let refused = checked.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(checked.policy.is_none(), refused, "{name}");
    for diagnostic in &checked.diagnostics {
        let message = &diagnostic.message;
        assert!(!message.ends_with('.'), "{name}: {message}");
        let first = message.chars().next().unwrap();
        assert!(!first.is_uppercase(), "{name}: {message}");
        let texts = diagnostic.labels.iter().map(|label| &label.text);
        for text in texts.chain(&diagnostic.help).chain([message]) {
            assert_eq!(text.matches('`').count() % 2, 0, "{name}: {text}");
        }
    }
}

/// The ```edict and ```yaml examples of a page: the first is the policy, one with
/// `file=NAME` can be included; each later one without stands for itself.
fn examples(page: &str) -> Vec<Vec<(String, String)>> {
    let mut found: Vec<Vec<(String, String)>> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let (info, name) = match (line.strip_prefix("```edict"), line) {
            (Some(info), _) => (info, "policy.edict"),
            (None, "```yaml") => ("", "policy.yaml"),
            _ => continue,
        };
        let text: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        match info.trim().strip_prefix("file=") {
            Some(name) => found.last_mut().unwrap().push((name.to_owned(), text)),
            None => found.push(vec![(name.to_owned(), text)]),
        }
    }
    found
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect()
}

/// Codes that no text alone produces; [`made`] or another room's tests do.
const NOT_FROM_TEXT: &[Code] = &[
    Code::E0002,
    Code::E0003,
    Code::E0004,
    Code::E0005,
    Code::E0006,
    Code::E0007,
    Code::E0009,
    Code::E0012,
    Code::E0013,
    Code::E0402,
    Code::E0404,
    Code::E0405,
    Code::E0406,
    Code::E0408,
    Code::E0131,
];

/// Codes that are made behind the front end.
fn is_made_elsewhere(code: Code) -> bool {
    matches!(
        code,
        Code::E0014 | Code::E0113 | Code::E0132 | Code::E0133 | Code::E0409 | Code::E0420
    ) || matches!(code.as_str().get(1..3), Some("06"))
}

#[test]
fn the_example_on_each_page_produces_its_code() {
    for code in Code::ALL
        .iter()
        .copied()
        .filter(|code| !is_made_elsewhere(*code))
    {
        let examples = examples(codes::page(code));
        if NOT_FROM_TEXT.contains(&code) {
            assert!(examples.is_empty(), "{code}");
            continue;
        }
        let [first, others @ ..] = examples.as_slice() else {
            panic!("{code} has no example");
        };
        let temporary = tempfile::tempdir_in("/tmp").unwrap();
        for (name, text) in first {
            fs::write(temporary.path().join(name), text).unwrap();
        }
        let policy = temporary.path().join(&first[0].0);
        let name = format!("pages/{code}");
        let mut found = if code == Code::W0204 {
            overlapping(&name, &policy, temporary.path())
        } else {
            path(&name, &policy, Some(temporary.path()))
        };
        // A model, say, is noted as what is not carried out yet, beside what is
        // said about it.
        found.retain(|other| other == &code || !matches!(other, Code::E0506 | Code::E0507));
        assert_eq!(found, BTreeSet::from([code]), "{code}");
        for cure in others {
            let checked = check_texts(&borrowed(cure));
            let mut said = checked.diagnostics;
            said.retain(|diagnostic| diagnostic.severity != Severity::Note);
            assert_eq!(said, [], "the cure of {code}");
        }
    }
}

#[test]
fn every_code_has_a_golden_file() {
    fn collect(directory: &Path, codes: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, codes);
            } else if path.extension().is_some_and(|e| e == "json") {
                let text = fs::read_to_string(&path).unwrap();
                let found: Vec<diag::json::Described> = serde_json::from_str(&text).unwrap();
                codes.extend(found.into_iter().map(|d| d.code));
            }
        }
    }
    let mut seen = BTreeSet::new();
    collect(home(), &mut seen);
    for code in Code::ALL.iter().filter(|code| !is_made_elsewhere(**code)) {
        assert!(seen.contains(code.as_str()), "{code}");
    }
}

#[test]
fn files_say_what_they_said() {
    let mut entries: Vec<PathBuf> = fs::read_dir(home())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "edict" || e == "yaml")
                || path.is_dir()
        })
        .filter(|path| !path.ends_with("pages") && !path.ends_with("made"))
        .collect();
    entries.sort();
    assert!(entries.len() > 20);
    for entry in entries {
        let name = entry.file_stem().unwrap().to_string_lossy().into_owned();
        let found = path(&name, &entry, None);
        // `E0201-unknown-attribute` promises its code.
        let promised = Code::by_name(name.get(..5).unwrap_or("")).unwrap();
        assert!(found.contains(&promised), "{name}: {found:?}");
    }
}

const HEAD: &str = "language 1\npolicy p { }\ntier a { }\n";

fn rules(rules: &str) -> String {
    format!("{HEAD}rules {{\n{rules}  otherwise -> a\n}}\n")
}

/// What is too long to be kept as a file.
#[test]
fn large_texts_say_what_they_said() {
    let one = |name: &str, code: Code, text: &str| {
        let found = texts(&format!("made/{name}"), &[("policy.edict", text)]);
        assert_eq!(found, BTreeSet::from([code]), "{name}");
    };
    let many = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    let members = |count: usize, member: fn(usize) -> String| {
        (0..count).map(member).collect::<Vec<_>>().join(", ")
    };

    one(
        "512-rules",
        Code::E0402,
        &rules(&many(512, |n| format!("  when uid == {n} -> a\n"))),
    );
    one(
        "5000-parentheses",
        Code::E0407,
        &rules(&format!(
            "  when {}kthread{} -> a\n",
            "(".repeat(5_000),
            ")".repeat(5_000)
        )),
    );
    one(
        "4097-numbers",
        Code::E0405,
        &rules(&format!(
            "  when uid in {{ {} }} -> a\n",
            members(4_097, |n| n.to_string())
        )),
    );
    one(
        "513-prefixes",
        Code::E0406,
        &rules(
            &(0..2)
                .map(|half| {
                    let prefix = |n| format!("comm starts with \"p{}\"", n + half * 300);
                    let prefixes: Vec<String> = (0..300).map(prefix).collect();
                    format!("  when {} -> a\n", prefixes.join(" or "))
                })
                .collect::<String>(),
        ),
    );
    one(
        "4097-comparisons",
        Code::E0405,
        &rules(&format!(
            "  when {} -> a\n",
            (0..4_097)
                .map(|n| format!("uid != {n}"))
                .collect::<Vec<_>>()
                .join(" and ")
        )),
    );
    one(
        "16385-paths",
        Code::E0406,
        &rules(&format!(
            "  when exe under {{ {} }} -> a\n",
            members(16_385, |n| format!("\"/{n}\""))
        )),
    );
    one(
        "long-text",
        Code::E0408,
        &rules(&format!("  when exe == \"/{}\" -> a\n", "x".repeat(5_000))),
    );
    one(
        "long-line",
        Code::E0208,
        &rules(&format!(
            "  when comm in {{ {}, oops }} -> a\n",
            members(9_000, |n| format!("\"n{n}\""))
        )),
    );

    let sets: Vec<(String, String)> = (0..5)
        .map(|set| {
            let names: Vec<String> = (0..14_000).map(|n| format!("\"n{set}-{n}\"")).collect();
            (
                format!("{set}.edict"),
                format!("set s{set} = {{ {} }}\n", names.join(",")),
            )
        })
        .collect();
    let policy = format!(
        "language 1\npolicy p {{ }}\n{}tier a {{ }}\nrules {{\n{}  otherwise -> a\n}}\n",
        many(5, |n| format!("include \"{n}.edict\"\n")),
        many(5, |n| format!("  when comm in s{n} -> a\n")),
    );
    let mut files = vec![("policy.edict", policy.as_str())];
    files.extend(
        sets.iter()
            .map(|(name, text)| (name.as_str(), text.as_str())),
    );
    let found = texts("made/70000-names", &files);
    assert_eq!(found, BTreeSet::from([Code::E0404]));

    let files: Vec<(String, String)> = (0..10)
        .map(|n| {
            let text = if n == 0 {
                rules("").replace("tier", "include \"1.edict\"\ntier")
            } else {
                format!("include \"{}.edict\"\nset s{n} = {{ 1 }}\n", n + 1)
            };
            (format!("{n}.edict"), text)
        })
        .collect();
    let found = texts("made/9-includes-deep", &borrowed(&files));
    assert_eq!(found, BTreeSet::from([Code::E0012]));
}

/// What depends on how files lie on the disk.
#[test]
fn files_that_cannot_be_read_say_what_they_said() {
    let temporary = tempfile::tempdir_in("/tmp").unwrap();
    let place = temporary.path();
    let at = |name: &str| place.join(name);
    let write = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), bytes).unwrap();
        at(name)
    };
    let one = |name: &str, code: Code, target: &Path| {
        let found = path(&format!("made/{name}"), target, Some(place));
        assert_eq!(found, BTreeSet::from([code]), "{name}");
    };
    let policy = rules("");

    one("no-such-file", Code::E0001, &at("none.edict"));
    fs::create_dir(at("empty")).unwrap();
    one("directory-without-a-policy", Code::E0003, &at("empty"));
    write("both/policy.yaml", b"language: 1\n");
    write("both/policy.edict", policy.as_bytes());
    one("both-forms", Code::E0131, &at("both"));
    write("yml/policy.yml", b"language: 1\n");
    one("policy-yml", Code::E0003, &at("yml"));
    one("device", Code::E0004, Path::new("/dev/zero"));
    one("standard-input", Code::E0004, Path::new("/dev/stdin"));
    one(
        "300-KiB",
        Code::E0006,
        &write("large.edict", &vec![b'#'; 300 << 10]),
    );
    write(
        "big/policy.edict",
        policy.replace("tier", "include \"sets\"\ntier").as_bytes(),
    );
    write("big/sets", &vec![b'#'; 2 << 20]);
    one("2-MiB-included", Code::E0006, &at("big"));
    let many: String = (0..5).map(|n| format!("include \"{n}.sets\"\n")).collect();
    write(
        "much/policy.edict",
        policy.replace("tier", &format!("{many}tier")).as_bytes(),
    );
    for n in 0..5 {
        write(&format!("much/{n}.sets"), &vec![b'#'; 1 << 20]);
    }
    one("5-MiB-together", Code::E0006, &at("much"));
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"/tmp/caf\xE9.edict"));
    one("name-not-utf-8", Code::E0013, odd);
    let mut bytes = policy.clone().into_bytes();
    bytes.extend(b"# caf\xE9\n");
    one("not-utf-8", Code::E0007, &write("latin1.edict", &bytes));
    std::os::unix::fs::symlink("loop.edict", at("loop.edict")).unwrap();
    one("link-to-itself", Code::E0013, &at("loop.edict"));

    let open = write("open.edict", policy.as_bytes());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    one("world-writable", Code::E0005, &open);
    write("shared/policy.edict", policy.as_bytes());
    fs::set_permissions(at("shared"), fs::Permissions::from_mode(0o777)).unwrap();
    one("world-writable-directory", Code::E0005, &at("shared"));
}

/// Root reads everything, so this drops root in a thread of its own.
/// What is said when a file changes while another is read.
#[test]
fn a_file_that_changes_meanwhile_says_what_it_said() {
    let temporary = tempfile::tempdir_in("/tmp").unwrap();
    let policy = temporary.path().join("policy.edict");
    fs::write(&policy, "include \"sets.edict\"\n").unwrap();
    fs::write(temporary.path().join("sets.edict"), "set a = { 1 }\n").unwrap();
    let mut includes = |file: FileId, _: &str, text: &str| {
        if file == FileId(1) {
            let beside = policy.with_extension("new");
            fs::write(&beside, "language 1\n").unwrap();
            fs::rename(&beside, &policy).unwrap();
        }
        syntax::includes(&syntax::parse(file, text).ast.unwrap())
    };
    let failure = source::load(&policy, &mut includes).unwrap_err();
    let said = said_of(&failure.diagnostics, &failure.files, Some(temporary.path()));
    compare("made/changed-meanwhile", &said);
    assert_eq!(found(&said), BTreeSet::from([Code::E0009]));
}

#[test]
fn a_file_without_permission_says_what_it_said() {
    let temporary = tempfile::tempdir_in("/tmp").unwrap();
    let place = temporary.path().to_owned();
    let secret = place.join("secret.edict");
    fs::write(&secret, rules("")).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let found = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65_534);
            // Of this thread only.
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        let checked = check_path(&secret);
        said(&checked, Some(&place))
    })
    .join()
    .unwrap();
    compare("made/no-permission", &found);
    assert_eq!(found.diagnostics[0].code, Code::E0002);
    assert_eq!(found.diagnostics[0].severity, Severity::Error);
}

/// What ships is valid, without a warning.
#[test]
fn what_ships_is_checked() {
    let mut count = 0;
    let mut check = |path: &Path| {
        count += 1;
        let checked = check_path(path);
        let drawn = diag::render(
            &checked.diagnostics,
            &checked.files,
            Format::Human,
            RenderOptions::default(),
        );
        assert!(
            checked.diagnostics.is_empty(),
            "{}\n{drawn}",
            path.display()
        );
    };
    for entry in fs::read_dir("examples").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "edict") {
            check(&path);
        }
    }
    for entry in fs::read_dir("policies").unwrap() {
        let path = entry.unwrap().path();
        if path.join("policy.edict").exists() {
            check(&path);
        }
    }
    assert!(count >= 3, "{count}");
}

/// The language reference: each ```edict block is a policy, or a piece of one.
#[test]
fn the_examples_in_the_reference_are_valid() {
    let reference = fs::read_to_string("grammar/README.md").unwrap();
    let examples = examples(&reference);
    assert!(examples.len() >= 5);
    for example in examples {
        let (name, text) = &example[0];
        let whole = if text.contains("language 1") || text.contains("language: 1") {
            text.clone()
        } else {
            complete(text)
        };
        let mut files = vec![(name.as_str(), whole.as_str())];
        files.extend(borrowed(&example).into_iter().skip(1));
        let checked = check_texts(&files);
        let errors: Vec<_> = checked
            .diagnostics
            .iter()
            .filter(|d| d.is_error())
            .collect();
        assert!(errors.is_empty(), "{whole}\n{errors:?}");
    }
}

/// One fact, one home: what the tables say stands in the reference.
#[test]
fn the_reference_knows_every_word() {
    use edict::check::{ATTRIBUTES, schema};
    let reference = fs::read_to_string("grammar/README.md").unwrap();
    let row = |name: &str, also: &str| {
        let found = reference.lines().any(|line| {
            let named = line.starts_with(&format!("| `{name}`"))
                || line.starts_with(&format!("| {name} |"));
            named && line.contains(also)
        });
        assert!(found, "{name}: {also}");
    };
    for about in ATTRIBUTES {
        row(about.name, "");
    }
    for block in schema::BLOCKS {
        assert!(
            reference.contains(&format!("\n### {}\n", block.word)),
            "{}",
            block.word
        );
        let later = schema::Engine::Missing;
        if block.engine == later {
            row("blocks", &format!("`{}`", block.word));
        }
        for field in block.fields {
            row(field.name, field.default.unwrap_or("none"));
            let is_marked = block.engine != later && field.engine == later;
            row(field.name, if is_marked { "` † |" } else { "` |" });
            let (low, high) = field.ty.range().unwrap_or((0, i64::MAX));
            if high < i64::MAX {
                row(field.name, &field.ty.written(low));
                row(field.name, &field.ty.written(high));
            }
            if let schema::FieldType::Choice(choices) = field.ty {
                for choice in choices {
                    row(field.name, &format!("`{choice}`"));
                }
            }
        }
    }
    for (word, ..) in schema::STATEMENTS {
        assert!(
            reference.contains(&format!("`{word}")) || reference.contains(&format!("### {word}"))
        );
    }
    for (unit, ..) in schema::UNITS {
        assert!(reference.contains(&format!("`{unit}`")), "{unit}");
    }
}

/// Adds to a piece of a policy what it lacks.
fn complete(piece: &str) -> String {
    let is_statement = piece.lines().any(|line| {
        [
            "tier ",
            "rules ",
            "set ",
            "const ",
            "policy ",
            "lottery ",
            "include ",
            "model ",
            "balance ",
            "reward ",
            "learn ",
            "test ",
            "override ",
        ]
        .iter()
        .any(|word| line.starts_with(word))
    });
    let piece = if is_statement {
        piece.to_owned()
    } else if piece.contains("->") {
        let end = if piece.contains("otherwise") {
            ""
        } else {
            "otherwise -> normal\n"
        };
        format!("rules {{\n{piece}{end}}}\n")
    } else {
        format!(
            "rules {{\nwhen {} -> normal\notherwise -> normal\n}}\n",
            piece.trim()
        )
    };
    let mut whole = "language 1\n".to_owned();
    if !piece.contains("policy ") {
        whole += "policy piece { }\n";
    }
    whole += &piece;
    for tier in ["critical", "normal", "batch"] {
        if !piece.contains(&format!("tier {tier} ")) {
            whole += &format!("tier {tier} {{ }}\n");
        }
    }
    if !piece.contains("rules {") {
        whole += "rules { otherwise -> normal }\n";
    }
    whole
}
