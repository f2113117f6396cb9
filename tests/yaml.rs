//! The two forms of a policy: what is written in one reads back from the other,
//! and each word has its place in the text that it came from.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "support/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use edict::check::schema::{self, FieldType};
use edict::check::{check_path, check_text, check_texts};
use edict::diag::{Code, FileId};
use edict::syntax::ast::*;
use edict::syntax::{Form, parse_as, print, yaml};
use proptest::prelude::*;

fn parsed(form: Form, text: &str) -> Ast {
    let parsed = parse_as(form, FileId(0), text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.ast.unwrap_or_else(|| panic!("no tree:\n{text}"))
}

/// Native to YAML and back; the YAML text.
fn there_and_back(ast: &Ast) -> String {
    let grouped = yaml::grouped(ast);
    let text = yaml::print(ast, &[]).unwrap_or_else(|why| panic!("{why:?}"));
    assert_eq!(parsed(Form::Yaml, &text), grouped, "{text}");
    let native = print::print(&grouped);
    assert_eq!(parsed(Form::Native, &native), grouped, "{native}");
    text
}

/// Every policy and included file that ships, and every case of `tests/ui` that
/// the parser takes.
fn native_files() -> Vec<PathBuf> {
    fn below(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|e| e == "edict") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for directory in ["policies", "examples", "tests/ui"] {
        below(Path::new(directory), &mut found);
    }
    found.sort();
    found
}

#[test]
fn every_file_reads_back_from_yaml() {
    let mut count = 0;
    for path in native_files() {
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let outcome = edict::syntax::parse(FileId(0), &text);
        let ships = !name.starts_with("tests");
        let Some(ast) = outcome.ast.filter(|_| outcome.diagnostics.is_empty()) else {
            assert!(!ships, "{name}");
            continue;
        };
        match yaml::print(&ast, &[]) {
            Ok(_) => {}
            // What is no policy may have no YAML form.
            Err(why) => {
                assert!(!ships, "{name}: {why:?}");
                continue;
            }
        }
        count += 1;
        let yaml = there_and_back(&ast);
        if ships {
            // In what ships, keys stand together already.
            assert_eq!(yaml::grouped(&ast), ast, "{name}");
            let comments = yaml::comments(Form::Native, &text);
            let with = yaml::print(&ast, &comments).unwrap();
            assert_eq!(parsed(Form::Yaml, &with), ast, "{name}");
            let there = yaml::comments(Form::Yaml, &with);
            let texts =
                |all: &[yaml::Comment]| all.iter().map(|c| c.text.clone()).collect::<Vec<_>>();
            assert_eq!(texts(&there), texts(&comments), "{name}");
            let back = yaml::print_native(&ast, &yaml::comments(Form::Native, &text));
            assert_eq!(parsed(Form::Native, &back), ast, "{name}");
            let again = yaml::comments(Form::Native, &back);
            assert_eq!(texts(&again), texts(&comments), "{name}");
        }
        assert!(!yaml.contains('\t'), "{name}");
    }
    assert!(count >= 25, "{count}");
}

#[test]
fn a_policy_means_the_same_in_both_forms() {
    for path in [
        "policies/base",
        "policies/desktop",
        "examples/01-two-tiers.edict",
    ] {
        let native = check_path(Path::new(path));
        let text = native.files.clone();
        let text = edict::diag::Files::text(&text, edict::diag::FileId(0)).to_owned();
        let ast = parsed(Form::Native, &text);
        let yaml = yaml::print(&ast, &[]).unwrap();
        let temporary = tempfile::tempdir_in("/tmp").unwrap();
        let pack = temporary.path();
        fs::create_dir(pack.join("base")).unwrap();
        fs::create_dir(pack.join("new")).unwrap();
        for file in fs::read_dir("policies/base").unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap();
            if name != "policy.edict" {
                fs::copy(&file, pack.join("base").join(name)).unwrap();
                fs::copy(&file, pack.join("new").join(name)).unwrap();
            }
        }
        // What stands beside the policy itself.
        let beside = Path::new(path).join("tests.edict");
        if beside.exists() {
            fs::copy(beside, pack.join("new/tests.edict")).unwrap();
        }
        fs::write(pack.join("new/policy.yaml"), &yaml).unwrap();
        let other = check_path(&pack.join("new"));
        assert_eq!(other.diagnostics, native.diagnostics, "{yaml}");
        let (one, two) = (native.policy.unwrap(), other.policy.unwrap());
        let tiers = |p: &edict::check::Policy| {
            format!(
                "{:?}",
                p.tiers().iter().map(|t| t.name.clone()).collect::<Vec<_>>()
            )
        };
        assert_eq!(tiers(&one), tiers(&two));
        let conditions = |p: &edict::check::Policy| {
            p.rules()
                .iter()
                .map(|r| format!("{} {:?}", r.tier.0, r.when.is_some()))
                .collect::<Vec<_>>()
        };
        assert_eq!(conditions(&one), conditions(&two));
        assert_eq!(one.tests().len(), two.tests().len());
    }
}

#[test]
fn files_of_both_forms_include_each_other() {
    let native = "language 1\npolicy p { }\ninclude \"s.yaml\"\ntier a { }\ntier b { }\nrules { when comm in shells -> a otherwise -> b }\n";
    let sets = "set:\n  shells: [bash, zsh]\n";
    let checked = check_texts(&[("policy.edict", native), ("s.yaml", sets)]);
    assert_eq!(checked.diagnostics, []);
    let policy = "language: 1\npolicy:\n  name: p\ninclude: [s.edict]\ntier:\n  a: {}\n  b:\nrules:\n  - when: comm in shells\n    tier: a\n  - otherwise: b\n";
    let sets = "set shells = { \"bash\", \"zsh\" }\n";
    let checked = check_texts(&[("policy.yaml", policy), ("s.edict", sets)]);
    assert_eq!(checked.diagnostics, []);
    // A name without an extension is judged by the text only when it is none.
    assert_eq!(
        check_text(
            "<stdin>",
            &policy.replace("include: [s.edict]", "set: {shells: [bash]}")
        )
        .diagnostics,
        []
    );
    assert_ne!(check_text("policy", policy).diagnostics, []);
}

/// Each name, number and text stands where its place says, in every style of
/// scalar.
#[test]
fn places_point_at_the_words() {
    fn visit(expr: &Expr, text: &str, count: &mut usize) {
        let found = expr.span().of(text);
        let words: Vec<&str> = found.split_whitespace().collect();
        match &expr.kind {
            Kind::Name(name) => assert_eq!(found, name, "in {text}"),
            Kind::Number { .. } | Kind::Truth(_) => {
                assert_eq!(found, print::print_expression(expr));
            }
            Kind::Text(value) => assert_eq!(found.replace("\\\"", "\"").trim_matches('"'), *value),
            Kind::Group(_) => assert!(words[0].starts_with('(') && found.ends_with(')')),
            Kind::Set(_) => assert!(found.starts_with('{') && found.ends_with('}'), "{found}"),
            _ => {}
        }
        *count += 1;
        match &expr.kind {
            Kind::Call(_, members)
            | Kind::Set(members)
            | Kind::List(members)
            | Kind::All(members)
            | Kind::Any(members) => members.iter().for_each(|m| visit(m, text, count)),
            Kind::Group(inner) | Kind::Not(inner) | Kind::Negative(inner) => {
                visit(inner, text, count);
            }
            Kind::Binary(operator, place, left, right) => {
                let found = place.0.of(text).replace("\\x3e", ">");
                let words: Vec<&str> = found.split_whitespace().collect();
                assert_eq!(words.join(" "), operator.as_str());
                visit(left, text, count);
                visit(right, text, count);
            }
            _ => {}
        }
    }
    let condition = "comm in { \"ä\", \"it's\" } and not (nice > -5 or uid in 1..2) and cgroup starts with \"/x\"";
    let styles = [
        condition.to_owned(),
        format!("'{}'", condition.replace('\'', "''")),
        format!(
            "\"{}\"",
            condition.replace('"', "\\\"").replace('>', "\\x3e")
        ),
        format!(">-\n      {}", condition.replace(" and ", "\n      and ")),
        format!(">-\n      {}", condition.replace(" and ", "\n\n      and ")),
        format!(
            "|\n      {}\n",
            condition.replace(" and ", "\n      and\n        ")
        ),
        condition.replace(" and ", "\n      and "),
        format!(
            "'{}'",
            condition
                .replace('\'', "''")
                .replace(" and ", "\n\n      and ")
        ),
        format!(
            "\"{}\"",
            condition
                .replace('"', "\\\"")
                .replace(" and ", " \\\n      and ")
        ),
    ];
    let mut printed = BTreeSet::new();
    for style in styles {
        let text = format!("rules:\n  - name: x  # é\n    when: {style}\n    tier: a\n");
        let ast = parsed(Form::Yaml, &text);
        let Statement::Block(block) = &ast.statements[0] else {
            panic!("a block")
        };
        let Statement::Rule(rule) = &block.statements[0] else {
            panic!("a rule")
        };
        let when = rule.when.as_ref().unwrap();
        printed.insert(print::print_expression(when));
        let mut count = 0;
        // A doubled quote is the one thing that is written differently.
        let plain = text.replace("''", "'");
        if plain.len() == text.len() {
            visit(when, &text, &mut count);
            assert!(count > 10);
        }
        assert_eq!(rule.target.span().of(&text), "a");
    }
    assert_eq!(printed.len(), 1, "{printed:#?}");
}

// ------------------------------------------------------------ random trees

fn name(text: impl Into<String>) -> Name {
    Name {
        text: text.into(),
        place: Place::default(),
    }
}

fn block(word: &str, titles: Vec<Title>, statements: Vec<Statement>) -> Statement {
    Statement::Block(Block {
        word: name(word),
        titles,
        statements,
        place: Place::default(),
    })
}

/// The first of each name.
fn once<T>(items: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items
        .into_iter()
        .filter(|item| seen.insert(key(item)))
        .collect()
}

fn fields() -> impl Strategy<Value = Vec<Statement>> {
    let known = prop::sample::select(vec!["version", "file", "cpus", "script", "slice", "on"]);
    let key = prop_oneof![tree::word(), known.prop_map(str::to_owned)];
    let one = (key, tree::any_expr()).prop_map(|(key, value)| (key, value));
    prop::collection::vec(one, 0..4).prop_map(|all| {
        let reserved = ["name", "rules", "task", "expect", "by", "bounds"];
        once(all, |(key, _)| key.clone())
            .into_iter()
            .filter(|(key, _)| !reserved.contains(&key.as_str()))
            .map(|(key, value)| {
                Statement::Field(Field {
                    name: name(key),
                    value,
                    place: Place::default(),
                })
            })
            .collect()
    })
}

fn rules() -> impl Strategy<Value = Vec<Statement>> {
    let target = prop_oneof![
        tree::word(),
        Just("migrate".to_owned()),
        Just("no".to_owned())
    ];
    let rule = (
        prop::option::of(tree::word()),
        prop::option::of(tree::any_expr()),
        prop::option::of(tree::any_expr()),
        target,
        prop::option::of(tree::word()),
    )
        .prop_map(|(label, when, hold, target, within)| {
            Statement::Rule(Rule {
                label: label.map(name),
                hold: when.as_ref().and(hold),
                when,
                target: name(target),
                within: within.map(name),
                place: Place::default(),
            })
        });
    let used = tree::word().prop_map(|word| {
        Statement::Use(Use {
            name: name(word),
            place: Place::default(),
        })
    });
    prop::collection::vec(prop_oneof![5 => rule, 1 => used], 0..4)
}

/// A tree of the shape of a policy, whatever stands in it.
fn policy() -> impl Strategy<Value = Ast> {
    let title = || tree::word().prop_map(|word| vec![Title::Name(name(word))]);
    let definition =
        (prop::bool::ANY, tree::word(), tree::any_expr()).prop_map(|(set, word, value)| {
            Statement::Definition(Definition {
                word: name(if set { "set" } else { "const" }),
                name: name(word),
                value,
                place: Place::default(),
            })
        });
    let include = ".{0,12}".prop_map(|path| {
        Statement::Directive(Directive {
            word: name("include"),
            value: Expr {
                kind: Kind::Text(path.replace('\0', "")),
                place: Place::default(),
            },
            place: Place::default(),
        })
    });
    let tier = (title(), fields()).prop_map(|(title, fields)| block("tier", title, fields));
    let changed = (tree::word(), tree::word(), fields()).prop_map(|(kind, word, fields)| {
        block(
            "override",
            vec![Title::Name(name(kind)), Title::Name(name(word))],
            fields,
        )
    });
    let group = (title(), rules()).prop_map(|(title, rules)| block("rules", title, rules));
    let test = (
        ".{0,12}",
        fields(),
        tree::word(),
        prop::option::of(tree::word()),
    )
        .prop_map(|(title, task, tier, by)| {
            let expect = Statement::Expect(Expect {
                tier: name(tier),
                by: by.map(name),
                place: Place::default(),
            });
            let title = Title::Text(title.replace('\0', ""), Place::default());
            block(
                "test",
                vec![title],
                vec![block("task", Vec::new(), task), expect],
            )
        });
    let single = (
        prop::sample::select(vec![
            "lottery", "learn", "reward", "policy", "rules", "balance",
        ]),
        fields(),
        fields(),
        rules(),
        tree::word(),
    )
        .prop_map(|(word, mut fields, bounds, rules, title)| match word {
            "policy" => block(word, vec![Title::Name(name(title))], fields),
            "rules" => block(word, Vec::new(), rules),
            "balance" => {
                fields.extend(rules);
                block(word, Vec::new(), fields)
            }
            "reward" => {
                fields.push(block("bounds", Vec::new(), bounds));
                block(word, Vec::new(), fields)
            }
            _ => block(word, Vec::new(), fields),
        });
    let statement = prop_oneof![
        3 => definition,
        1 => include,
        2 => tier,
        1 => changed,
        1 => group,
        2 => test,
        3 => single,
    ];
    prop::collection::vec(statement, 0..7).prop_map(|statements| {
        let key = |statement: &Statement| match statement {
            Statement::Definition(d) => format!("{} {}", d.word.text, d.name.text),
            Statement::Block(b) if b.word.text == "policy" => "policy".to_owned(),
            Statement::Block(b) if b.word.text != "test" => {
                let titles: Vec<&str> = b.titles.iter().map(Title::text).collect();
                format!("{} {}", b.word.text, titles.join(" "))
            }
            other => format!("{other:?}"),
        };
        Ast {
            statements: once(statements, key),
            place: Place::default(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Every policy has a YAML form, and it is the same policy.
    #[test]
    fn policies_read_back_from_yaml(ast in policy()) {
        there_and_back(&ast);
    }

    /// What is no policy is refused, or reads back.
    #[test]
    fn any_tree_reads_back_or_is_refused(ast in tree::any_ast()) {
        if let Ok(text) = yaml::print(&ast, &[]) {
            prop_assert_eq!(parsed(Form::Yaml, &text), yaml::grouped(&ast), "{}", text);
        }
    }

    /// Grouping twice changes nothing more.
    #[test]
    fn grouping_settles(ast in policy()) {
        let once = yaml::grouped(&ast);
        prop_assert_eq!(yaml::grouped(&once), once);
    }

    /// Whatever the text is, it is read in bounded time and never panics.
    #[test]
    fn hostile_yaml_is_refused(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40)) {
        let text = pieces.concat();
        let outcome = parse_as(Form::Yaml, FileId(0), &text);
        for diagnostic in &outcome.diagnostics {
            for label in &diagnostic.labels {
                prop_assert!(text.get(label.span.start as usize..label.span.end as usize).is_some(), "{:?} in {}", label, text);
            }
        }
        check_text("policy.yaml", &text);
    }
}

const PIECES: [&str; 44] = [
    "language: 1\n",
    "policy:\n",
    "  name: p\n",
    "rules:\n",
    "- ",
    "  - ",
    "when: ",
    "otherwise: a\n",
    "tier:\n",
    "  a: {}\n",
    "comm in x",
    "\"",
    "'",
    "''",
    ": ",
    " #",
    "\n",
    "\n\n",
    "  ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "!x ",
    "<<: ",
    ">-\n",
    "|\n",
    "|2\n",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "? ",
    "é",
    "\u{FEFF}",
    "\\",
    "= ",
    "no",
    "0755",
    "test:\n",
    "\r\n",
];

#[test]
fn large_and_deep_yaml_is_refused_quickly() {
    let many = |piece: &str, count: usize| piece.repeat(count);
    let bombs = [
        ("sequences", many("[", 100_000), Some(Code::E0407)),
        ("mappings", many("{a: ", 50_000), Some(Code::E0407)),
        (
            "blocks",
            (0..400).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
            Some(Code::E0407),
        ),
        ("items", many("- ", 50_000), Some(Code::E0407)),
        (
            "aliases",
            format!("a: &a [{}]\nb: &b [{}]\n", many("x,", 99), many("*a,", 99)),
            Some(Code::E0123),
        ),
        ("comments", many("#\n", 100_000), None),
        ("blanks", many(" ", 200_000), None),
        (
            "keys",
            (0..20_000).map(|n| format!("k{n}: 1\n")).collect(),
            Some(Code::E0120),
        ),
        ("one key", many("language: 1\n", 20_000), Some(Code::E0121)),
        ("quotes", many("'", 200_000), None),
        ("escapes", format!("a: \"{}\"", many("\\x41", 40_000)), None),
        ("folds", format!("a: >-\n{}", many(" x\n", 40_000)), None),
        (
            "members",
            format!("set:\n  a: [{}]\n", many("x, ", 40_000)),
            None,
        ),
        (
            "plain",
            format!("rules:\n  - when: {}\n", many("a ", 60_000)),
            Some(Code::E0101),
        ),
    ];
    for (name, text, code) in bombs {
        let start = Instant::now();
        let outcome = parse_as(Form::Yaml, FileId(0), &text);
        let took = start.elapsed();
        // Unoptimised and on a busy machine; what is quadratic takes minutes.
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        assert!(outcome.diagnostics.len() <= 65, "{name}");
        if let Some(code) = code {
            let first = outcome.diagnostics.first().map(|d| d.code);
            assert_eq!(first, Some(code), "{name}: {:?}", outcome.diagnostics);
            assert!(outcome.ast.is_none(), "{name}");
        }
    }
}

/// One fact, one home: what the reader must know of the schema is what the schema
/// says.
#[test]
fn the_reader_knows_the_schema() {
    let texts: BTreeSet<(&str, &str)> = schema::BLOCKS
        .iter()
        .flat_map(|kind| kind.fields.iter().map(move |field| (kind.word, field)))
        .filter(|(_, field)| {
            matches!(
                field.ty,
                FieldType::Text
                    | FieldType::Kernel
                    | FieldType::Digest
                    | FieldType::Path
                    | FieldType::Cpus
            )
        })
        .map(|(word, field)| (word, field.name))
        .collect();
    assert_eq!(
        yaml::TEXT_FIELDS.iter().copied().collect::<BTreeSet<_>>(),
        texts
    );
    for kind in schema::BLOCKS {
        assert!(yaml::TOP.contains(&kind.word), "{}", kind.word);
    }
    for (word, ..) in schema::STATEMENTS {
        assert!(word == "use" || yaml::TOP.contains(&word), "{word}");
    }
}
