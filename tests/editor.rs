//! The highlighting for editors: made from the tables of the language, and tried on
//! every policy that ships.
//!
//! `docs/editor/edict.tmLanguage.json` and the files for Vim are written by
//! `EDICT_BLESS=1 cargo test --test editor`. The patterns keep to what the `regex`
//! crate understands (no looking around), so a small tokeniser, which does what
//! TextMate's does with such a grammar, can run them here: at each place the
//! leftmost match counts, and of several there the first pattern.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use edict::check::{ATTRIBUTES, schema};
use edict::diag::FileId;
use edict::syntax::ast::{Expr, Kind, Statement};
use edict::syntax::parse;
use regex::Regex;
use serde_json::{Value, json};

/// Words of rules and tests.
const CONTROL: &[&str] = &["when", "otherwise", "for", "within", "expect", "by"];
const LOGICAL: &[&str] = &["and", "or", "not"];
/// Operators of one word and of two.
const COMPARING: &[&str] = &[
    "starts with",
    "ends with",
    "not in",
    "in",
    "under",
    "like",
    "matches",
    "contains",
];
const TRUTHS: &[&str] = &["true", "false"];
const NAME: &str = "[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*";

/// Words that a statement or block begins with.
fn declaring() -> Vec<String> {
    let blocks = schema::BLOCKS.iter().map(|block| block.word);
    let statements = schema::STATEMENTS.iter().map(|(word, ..)| *word);
    let nested = ["task", "bounds"];
    let words: BTreeSet<&str> = blocks.chain(statements).chain(nested).collect();
    let not_control = words.into_iter().filter(|word| !CONTROL.contains(word));
    not_control.map(str::to_owned).collect()
}

/// Choices of fields that are such words elsewhere: `order = lottery`.
fn choices() -> Vec<(&'static str, &'static str)> {
    let declaring = declaring();
    let fields = schema::BLOCKS.iter().flat_map(|block| block.fields);
    fields
        .filter_map(|field| match field.ty {
            schema::FieldType::Choice(choices) => Some((field.name, choices)),
            _ => None,
        })
        .flat_map(|(field, choices)| choices.iter().map(move |choice| (field, *choice)))
        .filter(|(_, choice)| declaring.iter().any(|word| word == choice))
        .collect()
}

fn attributes() -> Vec<String> {
    let mut names: Vec<String> = ATTRIBUTES
        .iter()
        .map(|about| about.name.to_owned())
        .collect();
    // `psi.cpu` in front of a `psi` that might come.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

fn units() -> Vec<String> {
    let letters = schema::UNITS.iter().map(|(unit, ..)| *unit);
    let mut units: Vec<String> = letters
        .filter(|unit| *unit != "%")
        .map(str::to_owned)
        .collect();
    units.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
    units
}

fn any(words: &[impl AsRef<str>]) -> String {
    let words = words.iter().map(|word| {
        let word = word.as_ref().replace('.', "\\.");
        word.split(' ').collect::<Vec<_>>().join("\\s+")
    });
    format!("\\b(?:{})\\b", words.collect::<Vec<_>>().join("|"))
}

/// A pattern and the scopes of its groups; 0 is the whole match.
fn pattern(regex: &str, scopes: &[(usize, &str)]) -> Value {
    let mut groups = serde_json::Map::new();
    for (group, scope) in scopes {
        groups.insert(
            group.to_string(),
            json!({ "name": format!("{scope}.edict") }),
        );
    }
    json!({ "match": regex, "captures": groups })
}

/// A pattern with one scope.
fn whole(regex: &str, scope: &str) -> Value {
    pattern(regex, &[(0, scope)])
}

/// What is given a value.
fn property(name: &str) -> Value {
    pattern(
        &format!("\\b({name})\\s*(=)(?:\\s|$)"),
        &[
            (1, "support.type.property-name"),
            (2, "keyword.operator.assignment"),
        ],
    )
}

fn grammar() -> Value {
    let declaring = declaring();
    let with_name: Vec<&String> = declaring
        .iter()
        .filter(|word| *word != "language")
        .collect();
    let heads = any(&with_name).replace("(?:", "(");
    let text = json!({
        "name": "string.quoted.double.edict",
        "begin": "\"",
        "end": "\"|$",
        "patterns": [
            whole("\\\\(?:[\"\\\\nt]|u\\{[0-9A-Fa-f]{1,6}\\})", "constant.character.escape"),
            whole("\\\\.", "invalid.illegal.escape"),
        ],
    });
    let choices = choices().into_iter().map(|(field, choice)| {
        pattern(
            &format!("\\b({field})\\s*(=)\\s*({choice})\\b"),
            &[
                (1, "support.type.property-name"),
                (2, "keyword.operator.assignment"),
                (3, "variable.other"),
            ],
        )
    });
    let mut patterns = vec![
        whole("#.*$", "comment.line.number-sign"),
        text,
        pattern(
            &format!("(->)\\s*({NAME})"),
            &[(1, "keyword.operator.arrow"), (2, "entity.name.type")],
        ),
        pattern(
            &format!("\\b(const|set)\\s+({NAME})\\s*(=)(?:\\s|$)"),
            &[
                (1, "storage.type"),
                (2, "variable.other.constant"),
                (3, "keyword.operator.assignment"),
            ],
        ),
        pattern(
            &format!("{heads}\\s+(?:(tier|set|const)\\s+)?({NAME})\\s*(\\{{)"),
            &[
                (1, "storage.type"),
                (2, "storage.type"),
                (3, "entity.name.type"),
                (4, "punctuation.section.block"),
            ],
        ),
        pattern(
            &format!("\\b(use|expect)\\s+({NAME})(?:\\s+(by)\\s+({NAME}))?"),
            &[
                (1, "keyword.control"),
                (2, "entity.name.type"),
                (3, "keyword.control"),
                (4, "entity.name.label"),
            ],
        ),
        pattern(
            &format!("\\b({NAME})\\s*(:)"),
            &[(1, "entity.name.label"), (2, "punctuation.separator.label")],
        ),
        property(&format!("{NAME}\\.{NAME}")),
        whole(&any(&attributes()), "support.variable"),
        property(NAME),
        pattern(
            &format!("\\b({NAME})(\\()"),
            &[
                (1, "entity.name.function"),
                (2, "punctuation.section.group"),
            ],
        ),
        // A name with a `-` or a `.` holds no keyword.
        whole(
            "\\b[A-Za-z_][A-Za-z0-9_]*(?:[-.][A-Za-z0-9_]+)+",
            "variable.other",
        ),
        whole(&any(COMPARING), "keyword.operator.comparison"),
        whole(&any(LOGICAL), "keyword.operator.logical"),
        whole(&any(CONTROL), "keyword.control"),
        whole(&any(TRUTHS), "constant.language"),
        whole(&any(&declaring), "storage.type"),
        whole("\\b[A-Za-z_][A-Za-z0-9_]*", "variable.other"),
        pattern(
            &format!("[0-9][0-9_]*(%|(?:{})\\b)?", units().join("|")),
            &[(0, "constant.numeric"), (1, "keyword.other.unit")],
        ),
        whole("==|!=|<=|>=|<|>", "keyword.operator.comparison"),
        whole("\\.\\.|[-+*/]", "keyword.operator.arithmetic"),
        whole("=", "keyword.operator.assignment"),
        whole("[{}()\\[\\],]", "punctuation.section"),
    ];
    // In front of the words that they are elsewhere.
    patterns.splice(2..2, choices);
    json!({
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "edict",
        "scopeName": "source.edict",
        "fileTypes": ["edict"],
        "patterns": patterns,
    })
}

/// The same words for Vim, whose names may contain `-` and `.`.
fn vim() -> String {
    let words = |words: &[String]| words.join(" ");
    let own = |words: &[&str]| -> Vec<String> { words.iter().map(|w| (*w).to_owned()).collect() };
    let single: Vec<String> = COMPARING
        .iter()
        .flat_map(|word| word.split(' '))
        .filter(|word| *word != "not")
        .map(str::to_owned)
        .collect();
    format!(
        r##"" Vim syntax file
" Language: edict (https://crates.io/crates/scx_edict)
" Written by `EDICT_BLESS=1 cargo test --test editor`; change tests/editor.rs instead.

if exists("b:current_syntax")
  finish
endif

syntax iskeyword @,48-57,_,-,.

syntax keyword edictDeclaration {declaring}
syntax keyword edictControl {control}
syntax keyword edictOperator {logical} {comparing}
syntax keyword edictBoolean {truths}
syntax keyword edictAttribute {attributes}
syntax match edictNumber "\%([A-Za-z0-9_]\|[A-Za-z0-9_][-.]\)\@<!\d[0-9_]*\%(%\|\%({units}\)[A-Za-z0-9_]\@!\)\?"
syntax match edictLabel "\<[A-Za-z_][A-Za-z0-9_-]*\ze\s*:"
syntax match edictField "\<[A-Za-z_][A-Za-z0-9_.-]*\ze\s*=\%([^=>]\|$\)"
{choices}syntax match edictTier "\%(->\s*\)\@<=[A-Za-z_][A-Za-z0-9_-]*"
syntax match edictArrow "->"
syntax region edictText start=+"+ skip=+\\.+ end=+"+ oneline contains=edictEscape
syntax match edictEscape contained +\\\%(["\\nt]\|u{{\x\{{1,6}}}}\)+
syntax match edictComment "#.*$" contains=edictTodo,@Spell
syntax keyword edictTodo contained TODO FIXME XXX

highlight default link edictDeclaration Structure
highlight default link edictControl Conditional
highlight default link edictOperator Operator
highlight default link edictBoolean Boolean
highlight default link edictAttribute Identifier
highlight default link edictNumber Number
highlight default link edictLabel Label
highlight default link edictField Type
highlight default link edictTier Function
highlight default link edictArrow Operator
highlight default link edictText String
highlight default link edictEscape SpecialChar
highlight default link edictComment Comment
highlight default link edictTodo Todo

let b:current_syntax = "edict"
"##,
        choices = choices()
            .iter()
            .map(|(field, choice)| format!(
                "syntax match edictChoice \"\\<{field}\\s*=\\s*{choice}\\>\" contains=edictField\n"
            ))
            .collect::<String>(),
        declaring = words(&declaring()),
        control = words(&own(CONTROL)),
        logical = words(&own(LOGICAL)),
        comparing = words(&single),
        truths = words(&own(TRUTHS)),
        attributes = words(&attributes()),
        units = units().join("\\|"),
    )
}

/// Compares a file with what the tables give, or writes it.
fn generated(path: &str, text: &str) {
    if std::env::var_os("EDICT_BLESS").is_some() {
        fs::write(path, text).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap_or_default(),
        text,
        "{path}: run `EDICT_BLESS=1 cargo test --test editor`"
    );
}

#[test]
fn the_files_know_the_words_of_the_language() {
    let json = serde_json::to_string_pretty(&grammar()).unwrap() + "\n";
    generated("docs/editor/edict.tmLanguage.json", &json);
    generated("docs/editor/vim/syntax/edict.vim", &vim());
}

enum Pattern {
    Match(Regex, Vec<(usize, String)>),
    Region {
        name: String,
        begin: Regex,
        end: Regex,
        inner: Vec<Pattern>,
    },
}

fn compiled(patterns: &Value) -> Vec<Pattern> {
    let regex = |value: &Value| Regex::new(value.as_str().unwrap()).unwrap();
    let one = |pattern: &Value| match pattern.get("match") {
        Some(matched) => {
            let groups = pattern["captures"].as_object().unwrap().iter();
            let scope = |value: &Value| value["name"].as_str().unwrap().to_owned();
            let mut groups: Vec<_> = groups
                .map(|(n, v)| (n.parse().unwrap(), scope(v)))
                .collect();
            groups.sort_unstable();
            Pattern::Match(regex(matched), groups)
        }
        None => Pattern::Region {
            name: pattern["name"].as_str().unwrap().to_owned(),
            begin: regex(&pattern["begin"]),
            end: regex(&pattern["end"]),
            inner: compiled(&pattern["patterns"]),
        },
    };
    patterns.as_array().unwrap().iter().map(one).collect()
}

/// The innermost scope of each byte of a text.
fn scopes(patterns: &[Pattern], text: &str) -> Vec<String> {
    let mut scopes = vec![String::new(); text.len()];
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        tokenise(patterns, bare, 0..bare.len(), &mut |range, scope| {
            for place in &mut scopes[start + range.start..start + range.end] {
                scope.clone_into(place);
            }
        });
        start += line.len();
    }
    scopes
}

fn tokenise(
    patterns: &[Pattern],
    line: &str,
    range: Range<usize>,
    put: &mut dyn FnMut(Range<usize>, &str),
) {
    let mut at = range.start;
    while at < range.end {
        let mut best: Option<(usize, &Pattern)> = None;
        for pattern in patterns {
            let (Pattern::Match(regex, _) | Pattern::Region { begin: regex, .. }) = pattern;
            let found = regex.find_at(line, at).map(|found| found.start());
            if let Some(found) = found.filter(|found| *found < range.end)
                && best.is_none_or(|(start, _)| found < start)
            {
                best = Some((found, pattern));
            }
        }
        let Some((start, pattern)) = best else { return };
        at = match pattern {
            Pattern::Match(regex, groups) => {
                let found = regex.captures_at(line, start).unwrap();
                for (group, scope) in groups {
                    if let Some(group) = found.get(*group) {
                        put(group.range(), scope);
                    }
                }
                found.get(0).unwrap().end().max(start + 1)
            }
            Pattern::Region {
                name,
                begin,
                end,
                inner,
            } => {
                let from = begin.find_at(line, start).unwrap().end();
                // What an inner pattern takes cannot be the end.
                let mut to = from;
                loop {
                    let close = end.find_at(line, to).unwrap();
                    let escape = inner.iter().filter_map(|pattern| match pattern {
                        Pattern::Match(regex, _) => regex.find_at(line, to),
                        Pattern::Region { .. } => None,
                    });
                    match escape.min_by_key(|found| found.start()) {
                        Some(escape) if escape.start() < close.start() => to = escape.end(),
                        _ => {
                            put(start..close.end(), name);
                            tokenise(inner, line, from..close.start(), put);
                            break close.end().max(start + 1);
                        }
                    }
                }
            }
        };
    }
}

fn policies() -> Vec<PathBuf> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|e| e == "edict") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for directory in ["policies", "examples", "tests/fmt"] {
        collect(Path::new(directory), &mut found);
    }
    found
}

/// Every literal and name of the tree, with its place.
fn leaves<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    match &expr.kind {
        Kind::Call(_, members)
        | Kind::Set(members)
        | Kind::List(members)
        | Kind::All(members)
        | Kind::Any(members) => members.iter().for_each(|member| leaves(member, found)),
        Kind::Group(inner) | Kind::Not(inner) | Kind::Negative(inner) => leaves(inner, found),
        Kind::Binary(_, _, left, right) => {
            leaves(left, found);
            leaves(right, found);
        }
        Kind::Text(_) | Kind::Number { .. } | Kind::Truth(_) | Kind::Name(_) => found.push(expr),
    }
}

fn all_leaves<'a>(statements: &'a [Statement], found: &mut Vec<&'a Expr>) {
    for statement in statements {
        match statement {
            Statement::Block(block) => all_leaves(&block.statements, found),
            Statement::Definition(definition) => leaves(&definition.value, found),
            Statement::Field(field) => leaves(&field.value, found),
            Statement::Rule(rule) => {
                rule.when
                    .iter()
                    .chain(&rule.hold)
                    .for_each(|expr| leaves(expr, found));
            }
            Statement::Directive(directive) => leaves(&directive.value, found),
            Statement::Use(_) | Statement::Expect(_) => {}
        }
    }
}

#[test]
fn every_policy_is_highlighted_as_the_parser_reads_it() {
    let patterns = compiled(&grammar()["patterns"]);
    let keywords: BTreeSet<&str> = CONTROL
        .iter()
        .chain(LOGICAL)
        .chain(TRUTHS)
        .chain(COMPARING)
        .flat_map(|word| word.split(' '))
        .collect();
    let mut seen = BTreeSet::new();
    for path in policies() {
        let text = fs::read_to_string(&path).unwrap();
        let scopes = scopes(&patterns, &text);
        let ast = parse(FileId(0), &text).ast.unwrap();
        let mut expected = Vec::new();
        all_leaves(&ast.statements, &mut expected);
        let mut in_texts = vec![false; text.len()];
        for leaf in expected {
            let range = leaf.span().start as usize..leaf.span().end as usize;
            let (wanted, inner) = match &leaf.kind {
                Kind::Text(_) => ("string.quoted", "constant.character.escape"),
                Kind::Number { .. } => ("constant.numeric", "keyword.other.unit"),
                Kind::Truth(_) => ("constant.language", ""),
                Kind::Name(name) if ATTRIBUTES.iter().any(|about| about.name == name) => {
                    ("support.variable", "")
                }
                _ => ("variable.other", ""),
            };
            for at in range.clone() {
                let scope = &scopes[at];
                assert!(
                    scope.starts_with(wanted) || (!inner.is_empty() && scope.starts_with(inner)),
                    "{}: `{}`: {scope}, not {wanted}",
                    path.display(),
                    &text[range.clone()]
                );
                in_texts[at] = matches!(leaf.kind, Kind::Text(_));
            }
            seen.insert(wanted);
        }
        // Comments and words outside of texts, found without the grammar.
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let end_of = |test: fn(u8) -> bool| {
                let length = bytes[at..].iter().position(|byte| !test(*byte));
                length.map_or(bytes.len(), |length| at + length)
            };
            if in_texts[at] {
                at += 1;
            } else if bytes[at] == b'"' {
                // The title of a test.
                at += 1 + text[at + 1..].find('"').unwrap() + 1;
            } else if bytes[at] == b'#' {
                let end = end_of(|byte| byte != b'\n');
                for (offset, scope) in scopes[at..end].iter().enumerate() {
                    let is_return = bytes[at + offset] == b'\r';
                    assert!(
                        is_return || scope.starts_with("comment.line"),
                        "{}",
                        path.display()
                    );
                }
                seen.insert("comment.line");
                at = end;
            } else if bytes[at].is_ascii_alphabetic() || bytes[at] == b'_' {
                let end = end_of(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
                });
                let word = text[at..end].trim_end_matches(['-', '.']);
                let end = at + word.len();
                // A rule is named before its colon, and by tests that expect it.
                let is_label = text[end..].trim_start().starts_with(':')
                    || text[..at].trim_end().ends_with(" by");
                let is_title =
                    scopes[at].starts_with("entity.name") || scopes[at].starts_with("support.type");
                if keywords.contains(word) && !is_label {
                    let fits = scopes[at].starts_with("keyword")
                        || scopes[at].starts_with("constant.language");
                    assert!(fits, "{}: `{word}`: {}", path.display(), scopes[at]);
                    seen.insert("keyword");
                } else if !is_title {
                    assert!(!scopes[at].is_empty(), "{}: `{word}`", path.display());
                    assert!(
                        !scopes[at].starts_with("keyword")
                            || CONTROL.contains(&word)
                            || word == "use",
                        "{}: `{word}`: {}",
                        path.display(),
                        scopes[at]
                    );
                }
                at = end;
            } else if bytes[at].is_ascii_digit() {
                at = end_of(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            } else {
                at += 1;
            }
        }
    }
    let wanted = [
        "string.quoted",
        "constant.numeric",
        "support.variable",
        "variable.other",
        "comment.line",
        "keyword",
    ];
    for scope in wanted {
        assert!(seen.contains(scope), "no policy has a {scope}");
    }
}

#[test]
fn what_only_looks_like_a_keyword_is_none() {
    let patterns = compiled(&grammar()["patterns"]);
    let scope = |text: &str, word: &str| {
        let at = text.find(word).unwrap();
        let scopes = scopes(&patterns, text);
        let found: BTreeSet<&str> = scopes[at..at + word.len()]
            .iter()
            .map(String::as_str)
            .collect();
        found.into_iter().collect::<Vec<_>>().join(" ")
    };
    for (text, word, expected) in [
        ("when android -> a", "android", "variable.other.edict"),
        ("when in-memory -> a", "in-memory", "variable.other.edict"),
        (
            "x: when a -> otherwise-not",
            "otherwise-not",
            "entity.name.type.edict",
        ),
        (
            "  when: when a -> b",
            "when:",
            "entity.name.label.edict punctuation.separator.label.edict",
        ),
        (
            "when comm == \"when # and\" -> b",
            "when # and",
            "string.quoted.double.edict",
        ),
        (
            "when comm == \"\\\"and\" -> b",
            "and",
            "string.quoted.double.edict",
        ),
        ("set s = { \"\\q\" }", "\\q", "invalid.illegal.escape.edict"),
        (
            "# when and \"x\"",
            "when and \"x\"",
            "comment.line.number-sign.edict",
        ),
        (
            "set s = { \"unclosed",
            "unclosed",
            "string.quoted.double.edict",
        ),
        (
            "a == \"x\" # y\n\"z\" and",
            "and",
            "keyword.operator.logical.edict",
        ),
        (
            "when parent.comm not   in s -> a",
            "not   in",
            "keyword.operator.comparison.edict",
        ),
        (
            "when parent.comm in s -> a",
            "parent.comm",
            "support.variable.edict",
        ),
        ("when nice == 5 -> a", "nice", "support.variable.edict"),
        ("tier critical {", "critical", "entity.name.type.edict"),
        ("override tier batch {", "batch", "entity.name.type.edict"),
        (
            "policy web-latency {",
            "web-latency",
            "entity.name.type.edict",
        ),
        ("slice = 5_000us", "5_000", "constant.numeric.edict"),
        ("slice = 5_000us", "us", "keyword.other.unit.edict"),
        ("when m() > 80% -> a", "m", "entity.name.function.edict"),
        (
            "critical.tickets = 400..1600",
            "critical.tickets",
            "support.type.property-name.edict",
        ),
        ("expect critical by edge", "edge", "entity.name.label.edict"),
    ] {
        let text = if text.starts_with("when m(") {
            &text[5..]
        } else {
            text
        };
        assert_eq!(scope(text, word), expected, "{text}");
    }
}
