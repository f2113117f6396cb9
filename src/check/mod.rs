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
mod bits;
mod blocks;
mod cases;
mod checker;
mod complain;
mod conditions;
pub mod kernel;
mod limits;
mod lines;
mod literals;
mod looks;
mod misfit;
mod operands;
mod others;
mod partition;
mod parts;
mod pattern;
mod policy;
mod reach;
mod rules;
pub mod schema;
mod scope;
mod sets;
mod sink;
mod statements;
mod tiers;
mod titles;
mod types;
mod units;
mod values;
mod wording;

use std::collections::HashSet;
use std::path::Path;

use crate::diag::{Code, Diagnostic, FileId, Files, Span};
use crate::source::{self, SourceSet};
use crate::syntax::{self, Ast, Form};

pub use attribute::*;
pub use cases::MOST_TESTS;
pub use checker::{MOST_MODELS, check};
pub use limits::{
    MOST_CLAUSES, MOST_COMM_NAMES, MOST_COMM_PREFIXES, MOST_PATH_PREFIXES, MOST_RULES,
    MOST_SET_NUMBERS, MOST_TIERS,
};
pub use literals::COMM_BYTES;
pub use pattern::{Patterns, TextClass, TooComplex, exact_regex};
pub use policy::*;
pub use reach::{Difference, Differences, Values, differences, overlaps, task_text, witness};
pub use types::LONGEST_TEXT;
pub use values::MOST_CPUS;

use blocks::tier_id;

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
            reach::Finding::TooComplex(..) => {}
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

/// Whether a diagnostic is about its own place only: it would be the same if
/// something else in the policy were not broken. What is missing, unknown or not
/// used may be so for what is broken, unless it is nearly something known.
fn stands_alone(diagnostic: &Diagnostic) -> bool {
    let code = diagnostic.code;
    let kind = code.as_str();
    let misspelt = diagnostic
        .help
        .as_deref()
        .is_some_and(|help| help.starts_with("did you mean"));
    code != Code::E0313
        && ((misspelt && matches!(code, Code::E0202 | Code::E0208))
            || kind.starts_with("E03")
            || matches!(
                code,
                Code::E0201
                    | Code::E0206
                    | Code::E0207
                    | Code::E0213
                    | Code::E0219
                    | Code::E0221
                    | Code::E0222
                    | Code::E0225
            ))
}

fn compile(
    load: impl FnOnce(source::FindIncludes<'_>) -> Result<SourceSet, source::Failure>,
) -> Checked {
    let mut parsed: Vec<(FileId, syntax::Parsed)> = Vec::new();
    let loaded = load(&mut |file, name, text| {
        let outcome = syntax::parse_named(file, name, text);
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
    let mut mendable: Vec<FileId> = Vec::new();
    for (file, outcome) in &mut parsed {
        broken |= outcome.ast.is_none();
        // Only where a piece of the text is what is wrong, the rest is worth a look.
        let is_piece =
            |d: &Diagnostic| d.code == Code::E0101 || (Code::E0120..=Code::E0130).contains(&d.code);
        if outcome.ast.is_none() && outcome.diagnostics.iter().any(is_piece) {
            mendable.push(*file);
        }
        diagnostics.append(&mut outcome.diagnostics);
    }
    if broken && !unread {
        for (file, outcome) in &mut parsed {
            let text = files.text(*file);
            if !mendable.contains(file) {
                continue;
            }
            match Form::of(files.name(*file), text) {
                Form::Native => {
                    let (ast, more) = syntax::salvage(*file, text);
                    outcome.ast = ast;
                    diagnostics.extend(more);
                }
                Form::Yaml => outcome.ast = syntax::yaml::salvage(*file, text),
            }
        }
        // What was found before is found again on the way.
        let mut seen = HashSet::new();
        diagnostics.retain(|d| {
            let place = d.labels.first().map(|label| label.span);
            seen.insert((d.code, place))
        });
    }
    let asts: Vec<Ast> = files
        .order()
        .iter()
        .filter_map(|file| {
            let at = parsed.iter().position(|(parsed, _)| parsed == file)?;
            parsed.swap_remove(at).1.ast
        })
        .collect();
    let (policy, mut found) = if unread {
        (None, Vec::new())
    } else {
        check(&asts, &files)
    };
    if broken {
        found.retain(stands_alone);
    }
    // What a condition with an operator of another language asks for is a guess.
    let guessed: Vec<Span> = diagnostics
        .iter()
        .filter(|d| d.code == Code::E0102)
        .filter_map(|d| d.labels.first().map(|label| label.span))
        .collect();
    found.retain(|d| {
        let holds = |outer: Span, inner: &Span| {
            outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
        };
        let mut places = d.labels.iter().map(|label| label.span);
        !(Code::E0203..=Code::E0205).contains(&d.code)
            || !places.any(|place| guessed.iter().any(|inner| holds(place, inner)))
    });
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
            Code::E0302
                | Code::E0304
                | Code::E0305
                | Code::E0306
                | Code::E0307
                | Code::E0313
                | Code::E0315
        ) || !follows(d)
    }));
    // What has no place tells how many more there are.
    diagnostics.sort_by_key(|d| {
        let place = d.labels.first().map(|l| (l.span.file, l.span.start));
        (place.is_none(), place)
    });
    respell(&mut diagnostics, &files);
    let policy = policy.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Checked {
        files,
        diagnostics,
        policy,
        transient,
    }
}

/// Spells the cures for files in the YAML form as YAML.
fn respell(diagnostics: &mut [Diagnostic], files: &SourceSet) {
    for diagnostic in diagnostics {
        let Some(file) = diagnostic.labels.first().map(|label| label.span.file) else {
            continue;
        };
        // The parser of the YAML form speaks YAML already.
        let is_native = !(Code::E0120..=Code::E0133).contains(&diagnostic.code);
        if is_native && Form::of(files.name(file), files.text(file)) == Form::Yaml {
            diagnostic.help = diagnostic
                .help
                .take()
                .map(|help| syntax::yaml::respell(&help));
        }
    }
}
