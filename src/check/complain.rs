//! Complains of rules that never match, always match, or are never reached.

use super::limits::MOST_CLAUSES;
use super::misfit::too_complex;
use super::policy::{Cond, Rule};
use super::reach::{self, Finding};
use super::rules::{Rules, Typed};
use super::sink::Sink;
use crate::diag::{Code, Diagnostic, shown};

impl Rules {
    /// Complains of rules that never match, always match, or are never reached.
    pub(super) fn complain_of_reach(&self, names: &[&str], sink: &mut Sink) {
        if self.clauses > MOST_CLAUSES {
            return;
        }
        let conds: Vec<_> = self
            .rules
            .iter()
            .map(|typed| typed.rule.when.as_ref())
            .collect();
        for finding in reach::analyse(&conds) {
            let diagnostic = match finding {
                Finding::TooComplex(span, problem) => Some(too_complex(span, problem)),
                Finding::Never(index) => self.rules.get(index).map(never),
                Finding::Always(index) => self.rules.get(index).map(|typed| always(typed, names)),
                Finding::Unreachable(index, by, equal) => self.rules.get(index).map(|typed| {
                    let by: Vec<&Typed> = by.iter().filter_map(|by| self.rules.get(*by)).collect();
                    unreachable_rule(typed, &by, equal)
                }),
            };
            diagnostic
                .into_iter()
                .for_each(|diagnostic| sink.push(diagnostic));
        }
    }
}

/// How messages call a rule.
fn called(rule: &Rule) -> String {
    if rule.is_labelled() {
        format!("rule `{}`", rule.name)
    } else {
        format!("the rule on line {}", rule.line)
    }
}

fn never(typed: &Typed) -> Diagnostic {
    let pattern = |cond: &Cond| match cond {
        Cond::Test(test, _) if test.is_pattern() => Some(test.attribute()),
        _ => None,
    };
    let fits = |which: &str, attribute| {
        format!("{which} value that `{attribute}` can have fits the pattern")
    };
    let alone = match &typed.rule.when {
        Some(Cond::Not(inner)) => pattern(inner).map(|attribute| fits("every", attribute)),
        Some(cond) => pattern(cond).map(|attribute| fits("no", attribute)),
        None => None,
    };
    let help = alone.unwrap_or_else(|| {
        "one part of the condition excludes another; look for `and` where `or` is meant".to_owned()
    });
    Diagnostic::new(
        Code::E0204,
        format!("{} asks for what no task can be", called(&typed.rule)),
    )
    .label(typed.when, "never true")
    .help(help)
}

fn always(typed: &Typed, tiers: &[&str]) -> Diagnostic {
    let tier = tiers.get(usize::from(typed.rule.tier.0)).copied();
    Diagnostic::new(
        Code::E0205,
        format!("{} matches every task", called(&typed.rule)),
    )
    .label(typed.when, "always true")
    .help(format!(
        "write `otherwise -> {}` at the end instead, or correct the condition",
        shown(tier.unwrap_or("TIER"))
    ))
}

fn unreachable_rule(typed: &Typed, by: &[&Typed], equal: bool) -> Diagnostic {
    let name = called(&typed.rule);
    let mut diagnostic = Diagnostic::new(Code::E0203, format!("{name} can never match"))
        .label(typed.head, "unreachable");
    match by {
        [one] => {
            let bare = name.trim_start_matches("rule ");
            diagnostic = diagnostic.label(
                one.when,
                format!("every task that reaches {bare} is already taken here"),
            );
            let other = called(&one.rule);
            let other = other.trim_start_matches("rule ");
            if equal {
                diagnostic.help("both ask for the same tasks; delete one")
            } else if one.rule.tier == typed.rule.tier {
                diagnostic.help(format!("delete {bare}; {other} leads to the same tier"))
            } else if typed.rule.span.file == one.rule.span.file {
                diagnostic.help(format!("move {bare} above {other}, or delete it"))
            } else {
                // A rule of another file stands where `use` places it.
                diagnostic.help(format!(
                    "let {bare} stand above {other}, by what `use` places first, or delete it"
                ))
            }
        }
        several => {
            // The whole list would bury the rule itself.
            for one in several.iter().take(4) {
                diagnostic = diagnostic.label(one.when, "takes a part of its tasks");
            }
            diagnostic.help(format!(
                "{} rules above take all of its tasks together; move it up, or delete it",
                several.len()
            ))
        }
    }
}
