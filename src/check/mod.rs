//! Stage 3: from a tree to a policy.
//!
//! [`check`] resolves names, types every value, holds the limits and looks for
//! rules that cannot be meant as they are written. If it hands out a [`Policy`],
//! the policy is valid; everything after this stage relies on that and checks
//! nothing again. It collects every mistake, so that one run shows them all.
//!
//! Nothing here guesses: what is misspelt is refused with a suggestion, what the
//! language has but this version cannot do is refused by name, and a default is
//! used only where a field is left out.
//!
//! [`check_path`] is the whole front end in one call.

mod attribute;
mod blocks;
mod conditions;
mod limits;
mod literals;
mod misfit;
mod partition;
#[allow(
    dead_code,
    unused_imports,
    reason = "conditions do not use all of it yet"
)]
mod pattern;
mod policy;
mod reach;
mod rules;
pub mod schema;
mod scope;
mod sink;
mod types;

use std::path::Path;

use crate::diag::{Code, Diagnostic, FileId, Files, Lines, Span, shown};
use crate::source::{self, SourceSet};
use crate::syntax::ast::{Block, Directive, Kind, Statement};
use crate::syntax::{self, Ast};

pub use attribute::*;
pub use limits::{
    MOST_CLAUSES, MOST_COMM_NAMES, MOST_COMM_PREFIXES, MOST_PATH_PREFIXES, MOST_RULES,
    MOST_SET_NUMBERS, MOST_TIERS,
};
pub use literals::COMM_BYTES;
pub use pattern::{Patterns, TextClass, TooComplex};
pub use policy::*;
pub use types::LONGEST_TEXT;

use blocks::{Blocks, Head, first_word, tier_id, unknown_block};
use scope::Scope;
use sink::{Sink, meant};

/// The version of the language that this edict speaks.
pub const LANGUAGE: u64 = 1;

/// Which rules, given by their conditions (none for one that always decides), can
/// decide nothing, and which is the first that decides for every task that gets
/// there; as far as the analysis finds them.
pub(crate) fn idle(rules: &[Option<&Cond>]) -> (Vec<usize>, Option<usize>) {
    let (mut idle, mut always) = (Vec::new(), None);
    for finding in reach::analyse(rules) {
        match finding {
            reach::Finding::Never(rule) | reach::Finding::Unreachable(rule, ..) => idle.push(rule),
            reach::Finding::Always(rule) => always = always.or(Some(rule)),
        }
    }
    (idle, always)
}

/// The outcome of the front end.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What was read, as far as it was read.
    pub files: SourceSet,
    /// What is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The policy; none when a diagnostic is an error.
    pub policy: Option<Policy>,
    transient: bool,
}

impl Checked {
    /// Whether a file changed while it was read: the same call may succeed a
    /// moment later.
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

/// Reads, parses and checks the policy at `path`, a file or a directory with a
/// `policy.edict`.
pub fn check_path(path: &Path) -> Checked {
    compile(|find| source::load(path, find))
}

/// Parses and checks a policy that is in no file; it cannot include any.
pub fn check_text(name: &str, text: &str) -> Checked {
    check_texts(&[(name, text)])
}

/// Parses and checks texts that are in no file; the first is the policy, and
/// includes are looked up among the names.
pub fn check_texts(texts: &[(&str, &str)]) -> Checked {
    compile(|find| SourceSet::in_memory(texts, find))
}

fn compile(
    load: impl FnOnce(source::FindIncludes<'_>) -> Result<SourceSet, source::Failure>,
) -> Checked {
    let mut parsed: Vec<(FileId, syntax::Parsed)> = Vec::new();
    let loaded = load(&mut |file, text| {
        let outcome = syntax::parse(file, text);
        let includes = outcome.ast.as_ref().map_or_else(Vec::new, syntax::includes);
        parsed.push((file, outcome));
        includes
    });
    let (files, mut diagnostics, transient) = match loaded {
        Ok(files) => (files, Vec::new(), false),
        Err(failure) => {
            let transient = failure.is_transient();
            (failure.files, failure.diagnostics, transient)
        }
    };
    let unread = !diagnostics.is_empty();
    let mut broken = false;
    for (_, outcome) in &mut parsed {
        broken |= outcome.ast.is_none();
        diagnostics.append(&mut outcome.diagnostics);
    }
    if unread || broken {
        return Checked {
            files,
            diagnostics,
            policy: None,
            transient,
        };
    }
    let asts: Vec<Ast> = files
        .order()
        .iter()
        .filter_map(|file| {
            let at = parsed.iter().position(|(parsed, _)| parsed == file)?;
            parsed.swap_remove(at).1.ast
        })
        .collect();
    let (policy, found) = check(&asts, &files);
    // What is said of a literal that was refused follows from that.
    let refused: Vec<Span> = diagnostics
        .iter()
        .filter(|d| matches!(d.code, Code::E0108 | Code::E0111))
        .filter_map(|d| d.labels.first().map(|label| label.span))
        .collect();
    let follows = |d: &Diagnostic| {
        let meets = |a: Span, b: &Span| a.file == b.file && a.start < b.end && b.start < a.end;
        let place = d.labels.first().map(|label| label.span);
        place.is_some_and(|place| refused.iter().any(|span| meets(place, span)))
    };
    diagnostics.extend(found.into_iter().filter(|d| {
        !matches!(
            d.code,
            Code::E0304 | Code::E0305 | Code::E0306 | Code::E0307 | Code::E0313 | Code::E0315
        ) || !follows(d)
    }));
    // What has no place tells how many more there are.
    diagnostics.sort_by_key(|d| {
        let place = d.labels.first().map(|l| (l.span.file, l.span.start));
        (place.is_none(), place)
    });
    let policy = policy.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Checked {
        files,
        diagnostics,
        policy,
        transient,
    }
}

/// Checks parsed files: what is included before what includes it, the policy
/// itself last. `files` holds their texts.
pub fn check(asts: &[Ast], files: &dyn Files) -> (Option<Policy>, Vec<Diagnostic>) {
    let mut checker = Checker::default();
    let Some((root, included)) = asts.split_last() else {
        return (None, Vec::new());
    };
    for ast in asts {
        for statement in &ast.statements {
            if let Statement::Definition(definition) = statement {
                checker.scope.announce(&definition.name);
            }
        }
    }
    for ast in included {
        checker.included(ast);
    }
    checker.root(root);
    let lines = Lines::new(files.text(root.file()));
    let policy = checker.finish(root, &lines);
    (policy, checker.sink.finish())
}

#[derive(Default)]
struct Checker<'a> {
    scope: Scope,
    sink: Sink,
    policies: Vec<&'a Block>,
    tiers: Vec<&'a Block>,
    rules: Vec<&'a Block>,
    lotteries: Vec<&'a Block>,
}

impl<'a> Checker<'a> {
    /// An included file defines constants and sets, and nothing else.
    fn included(&mut self, ast: &'a Ast) {
        for (index, statement) in ast.statements.iter().enumerate() {
            match statement {
                Statement::Definition(_) => self.definition(statement),
                Statement::Directive(directive) if directive.word.text == "include" => {
                    self.include(directive);
                }
                Statement::Directive(directive) if directive.word.text == "language" => {
                    self.language(directive, index == 0);
                }
                _ => self.sink.push(
                    Diagnostic::new(
                        Code::E0220,
                        "an included file defines constants and sets, nothing else",
                    )
                    .label(first_word(statement), "not in an included file")
                    .help("move it to the policy"),
                ),
            }
        }
    }

    fn root(&mut self, ast: &'a Ast) {
        let declared = |statement: &Statement| matches!(statement, Statement::Directive(d) if d.word.text == "language");
        if !ast.statements.iter().any(declared) {
            let at = ast.statements.first().map(first_word);
            let at = at.unwrap_or_else(|| Span::new(ast.file(), 0, 0));
            self.sink.push(
                Diagnostic::new(Code::E0215, "the policy does not name its language")
                    .label(at, "expected `language 1` before this")
                    .help(format!("start the file with `language {LANGUAGE}`")),
            );
        }
        for (index, statement) in ast.statements.iter().enumerate() {
            match statement {
                Statement::Definition(_) => self.definition(statement),
                Statement::Directive(directive) => match directive.word.text.as_str() {
                    "language" => self.language(directive, index == 0),
                    "include" => self.include(directive),
                    word => {
                        let names = schema::STATEMENTS.iter().map(|(name, ..)| *name);
                        self.sink.push(
                            Diagnostic::new(
                                Code::E0206,
                                format!("unknown statement `{}`", shown(word)),
                            )
                            .label(directive.word.span(), "no such statement")
                            .maybe_help(meant(
                                word,
                                names,
                                "statement",
                            )),
                        );
                    }
                },
                Statement::Block(block) => match block.word.text.as_str() {
                    "policy" => self.policies.push(block),
                    "tier" => self.tiers.push(block),
                    "rules" => self.rules.push(block),
                    "lottery" => self.lotteries.push(block),
                    _ => self.sink.push(unknown_block(block)),
                },
                Statement::Use(named) => self.sink.push(
                    Diagnostic::new(
                        Code::E0501,
                        format!(
                            "`use {}`: groups of rules are not in this version",
                            shown(&named.name.text)
                        ),
                    )
                    .label(named.place.0, "")
                    .help("write the rules here"),
                ),
                Statement::Field(_) => self.misplaced(
                    statement,
                    "a field outside of a block",
                    "put it into `tier NAME { … }`, or write `const` in front of it",
                ),
                Statement::Rule(_) => self.misplaced(
                    statement,
                    "a rule outside of `rules`",
                    "put it into `rules { … }`",
                ),
                Statement::Expect(_) => self.misplaced(
                    statement,
                    "`expect` outside of a test",
                    "tests are not in this version",
                ),
            }
        }
    }

    fn misplaced(&mut self, statement: &Statement, message: &str, help: &str) {
        self.sink.push(
            Diagnostic::new(Code::E0219, message)
                .label(first_word(statement), "not here")
                .help(help),
        );
    }

    fn definition(&mut self, statement: &Statement) {
        let Statement::Definition(definition) = statement else {
            return;
        };
        let word = definition.word.text.as_str();
        let (name, value) = (&definition.name, &definition.value);
        match word {
            "const" => self.scope.define_constant(name, value, &mut self.sink),
            "set" => self.scope.define_set(name, value, &mut self.sink),
            _ => {
                let alias = match word {
                    "let" | "var" | "define" => Some("did you mean `const`?".to_owned()),
                    _ => meant(word, ["const", "set"], "definition"),
                };
                self.sink.push(
                    Diagnostic::new(Code::E0206, format!("unknown statement `{}`", shown(word)))
                        .label(definition.word.span(), "no such statement")
                        .maybe_help(alias),
                );
            }
        }
    }

    fn language(&mut self, directive: &Directive, first: bool) {
        let span = directive.place.0;
        if !first {
            self.sink.push(
                Diagnostic::new(Code::E0215, "`language` is not the first statement")
                    .label(span, "too late")
                    .help("move it to the top of the file"),
            );
        }
        match &directive.value.kind {
            Kind::Number {
                value: LANGUAGE,
                unit: None,
            } => {}
            Kind::Number { value, unit: None } => self.sink.push(
                Diagnostic::new(
                    Code::E0216,
                    format!("the language version {value} is not known"),
                )
                .label(
                    directive.value.span(),
                    format!("this edict knows {LANGUAGE}"),
                )
                .help(format!("write `language {LANGUAGE}`, or use a newer edict")),
            ),
            _ => self.sink.push(
                Diagnostic::new(Code::E0216, "the language version is a number")
                    .label(directive.value.span(), "not a plain number")
                    .help(format!("write `language {LANGUAGE}`")),
            ),
        }
    }

    fn include(&mut self, directive: &Directive) {
        if let Kind::Text(_) = directive.value.kind {
            return;
        }
        self.sink.push(
            Diagnostic::new(Code::E0301, "`include` asks for a path")
                .label(directive.value.span(), "expected a text")
                .help("write `include \"FILE\"`"),
        );
    }

    /// Refuses every block of a kind but the first.
    fn once(&mut self, blocks: &[&Block]) {
        let [first, others @ ..] = blocks else {
            return;
        };
        for block in others {
            let word = &block.word.text;
            self.sink.push(
                Diagnostic::new(Code::E0212, format!("a second `{word}` block"))
                    .label(block.head(), "again")
                    .label(first.head(), "first here")
                    .help("put everything into one block"),
            );
        }
    }

    fn finish(&mut self, root: &Ast, lines: &Lines<'_>) -> Option<Policy> {
        let start = root.statements.first().map(first_word);
        let start = start.unwrap_or_else(|| Span::new(root.file(), 0, 0));
        for blocks in [
            self.policies.clone(),
            self.rules.clone(),
            self.lotteries.clone(),
        ] {
            self.once(&blocks);
        }
        for (missing, word, code, message, help) in [
            (
                self.policies.is_empty(),
                "policy",
                Code::E0214,
                "the policy has no name",
                "add `policy NAME { version = \"1.0.0\" }`",
            ),
            (
                self.tiers.is_empty(),
                "tier",
                Code::E0218,
                "the policy has no tier",
                "add a tier, as `tier regular { }`",
            ),
            (
                self.rules.is_empty(),
                "rules",
                Code::E0217,
                "the policy has no rules",
                "add `rules { otherwise -> TIER }`",
            ),
        ] {
            if missing {
                self.sink.push(
                    Diagnostic::new(code, message)
                        .label(start, format!("no `{word}` block in this file"))
                        .help(help),
                );
            }
        }

        // Names first, so that tiers may name tiers below them.
        let mut named: Vec<(&'a Block, &'a str, Span)> = Vec::new();
        for block in self.tiers.clone() {
            let Some(name) = blocks::title(block, &mut self.sink) else {
                continue;
            };
            let first = named.iter().find(|(_, known, _)| *known == name.text);
            if let Some((_, _, first)) = first {
                self.sink
                    .push(scope::twice("tier", &name.text, name.span(), *first));
                continue;
            }
            named.push((block, &name.text, name.span()));
        }
        if let Some((_, _, span)) = named.get(MOST_TIERS) {
            self.sink.push(
                Diagnostic::new(Code::E0401, format!("more than {MOST_TIERS} tiers"))
                    .label(*span, "this tier crosses the limit")
                    .help("join tiers whose fields are alike"),
            );
        }
        let names: Vec<&str> = named.iter().map(|(_, name, _)| *name).collect();
        let mut blocks = Blocks {
            scope: &mut self.scope,
            sink: &mut self.sink,
            tiers: &names,
        };
        let head = self.policies.first().map(|block| blocks.head(block));
        let lottery = self.lotteries.first().map(|block| blocks.lottery(block));
        let tiers: Vec<Tier> = named
            .iter()
            .enumerate()
            .filter_map(|(index, (block, ..))| blocks.tier(block, tier_id(index)))
            .collect();

        let mut typed = None;
        for block in self.rules.clone() {
            blocks::title(block, &mut self.sink);
            let rules = rules::rules(block, lines, &names, &mut self.scope, &mut self.sink);
            typed.get_or_insert(rules);
        }
        let rules = typed?;
        rules.complain_of_reach(&names, &mut self.sink);
        if self.sink.has_errors() {
            // What is not used may be used where the mistake is.
            return None;
        }
        for (index, (_, name, span)) in named.iter().enumerate() {
            if !rules.tiers.contains(&tier_id(index)) {
                self.sink.push(
                    Diagnostic::new(Code::W0202, format!("no rule leads to the tier `{name}`"))
                        .label(*span, "never used")
                        .help("delete it, or send tasks to it"),
                );
            }
        }
        self.scope.warn_unused(root.file(), &mut self.sink);
        let Head {
            name,
            version,
            kernel,
        } = head?;
        Some(Policy {
            name,
            version,
            kernel,
            tiers,
            rules: rules.rules.into_iter().map(|typed| typed.rule).collect(),
            lottery: lottery.unwrap_or(Lottery {
                between: Between::Tiers,
            }),
            tests: Vec::new(),
        })
    }
}
