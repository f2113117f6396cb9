//! Why a task is in its tier: the rules in order, each with a reason.

use super::{Task, Truth, Verdict, evaluate, holds, truth};
use crate::check::{Attribute, Compare, Cond, Policy, RuleId, Test, Type};

/// A verdict and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Verdict,
    /// Every rule up to and including the one that decided.
    pub trace: Vec<Step>,
}

/// One rule that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: RuleId,
    /// Its name.
    pub name: String,
    /// Its line, counted from 1.
    pub line: u32,
    /// Whether it matched.
    pub matched: bool,
    /// The tests that made it so, with the values of the task.
    pub because: String,
    /// The attributes among them that are not known.
    pub unknown: Vec<Attribute>,
}

/// Evaluates, and says why.
pub fn explain(policy: &Policy, task: &Task) -> Explanation {
    let verdict = evaluate(policy, task);
    let trace = policy
        .rules()
        .iter()
        .enumerate()
        .take(usize::from(verdict.rule.0) + 1)
        .map(|(index, rule)| {
            let (matched, because, unknown) = match &rule.when {
                None => (true, "no rule before it matched".to_owned(), Vec::new()),
                Some(cond) => {
                    let outcome = truth(cond, task);
                    let (because, unknown) = reasons(cond, task, outcome);
                    (outcome == Truth::True, because, unknown)
                }
            };
            Step {
                rule: RuleId(u16::try_from(index).unwrap_or(u16::MAX)),
                name: rule.name.clone(),
                line: rule.line,
                matched,
                because,
                unknown,
            }
        })
        .collect();
    Explanation { verdict, trace }
}

/// The smallest set of tests, from the left, that forces the outcome.
fn reasons(cond: &Cond, task: &Task, outcome: Truth) -> (String, Vec<Attribute>) {
    let mut tests = Vec::new();
    collect(cond, task, outcome, &mut tests);
    let unknown = tests
        .iter()
        .filter(|test| holds(test, task) == Truth::Unknown)
        .map(|test| test.attribute())
        .collect();
    let mut found: Vec<String> = tests.iter().map(|test| describe(test, task)).collect();
    found.dedup();
    (found.join(", "), unknown)
}

fn collect<'a>(cond: &'a Cond, task: &Task, outcome: Truth, found: &mut Vec<&'a Test>) {
    match cond {
        Cond::Not(inner) => collect(inner, task, outcome.not(), found),
        Cond::Test(test, _) => found.push(test),
        Cond::Model(..) => {}
        Cond::And(parts) => forced(parts, task, outcome, Truth::True, found),
        Cond::Or(parts) => forced(parts, task, outcome, Truth::False, found),
    }
}

/// A conjunction is true because of all its parts and otherwise because of the
/// first part that is like the outcome; a disjunction is the mirror of that.
fn forced<'a>(
    parts: &'a [Cond],
    task: &Task,
    outcome: Truth,
    needs_all: Truth,
    found: &mut Vec<&'a Test>,
) {
    if outcome == needs_all {
        for part in parts {
            collect(part, task, outcome, found);
        }
    } else if let Some(part) = parts.iter().find(|part| truth(part, task) == outcome) {
        collect(part, task, outcome, found);
    }
}

/// A test and the task's value, as a statement that is true of the task.
fn describe(test: &Test, task: &Task) -> String {
    let attribute = test.attribute();
    let outcome = holds(test, task);
    if outcome == Truth::Unknown {
        return format!("{attribute} is unknown");
    }
    let is = outcome == Truth::True;
    let value = match attribute.about().ty {
        Type::Text => task.text(attribute).map(|value| format!("\"{value}\"")),
        Type::Duration => task.number(attribute).map(duration),
        Type::Ratio => task.number(attribute).map(percent),
        Type::Count => task.number(attribute).map(|value| value.to_string()),
        Type::Bool => task.truth(attribute).map(|value| value.to_string()),
    }
    .unwrap_or_default();
    match test {
        Test::TextIn(_, members) if members.len() == 1 => {
            let only = members.first().map_or("", String::as_str);
            if is {
                format!("{attribute} is {value}")
            } else {
                format!("{attribute} is {value}, not \"{only}\"")
            }
        }
        Test::TextIn(_, members) => membership(&attribute, &value, is, members.len(), "names"),
        Test::NumberIn(_, members) => membership(&attribute, &value, is, members.len(), "values"),
        Test::StartsWith(_, prefix) => format!(
            "{attribute} is {value}, which {} with \"{prefix}\"",
            if is { "starts" } else { "does not start" }
        ),
        Test::Under(_, members) => {
            let only = members.first().map_or("", String::as_str);
            let count = members.len();
            match (is, count) {
                (true, 1) => format!("{attribute} is {value}, under \"{only}\""),
                (false, 1) => format!("{attribute} is {value}, not under \"{only}\""),
                (true, _) => format!("{attribute} is {value}, under one of {count} paths"),
                (false, _) => format!("{attribute} is {value}, under none of {count} paths"),
            }
        }
        Test::Number(_, compare, with) => {
            let with = match attribute.about().ty {
                Type::Duration => duration(*with),
                Type::Ratio => percent(*with),
                _ => with.to_string(),
            };
            let sign = match compare {
                Compare::Eq => "==",
                Compare::Lt => "<",
                Compare::Le => "<=",
                Compare::Gt => ">",
                Compare::Ge => ">=",
            };
            format!(
                "{attribute} is {value}, {}{sign} {with}",
                if is { "" } else { "not " }
            )
        }
        Test::EndsWith(_, suffix) => format!(
            "{attribute} is {value}, which {} with \"{suffix}\"",
            if is { "ends" } else { "does not end" }
        ),
        Test::Contains(_, part) => format!(
            "{attribute} is {value}, which {} \"{part}\"",
            if is { "contains" } else { "does not contain" }
        ),
        Test::Like(_, glob) => format!(
            "{attribute} is {value}, {} \"{glob}\"",
            if is { "like" } else { "not like" }
        ),
        Test::Matches(_, regex) => format!(
            "{attribute} is {value}, which {} \"{regex}\"",
            if is { "matches" } else { "does not match" }
        ),
        Test::IsTrue(_) => format!("{attribute} is {value}"),
    }
}

fn membership(attribute: &Attribute, value: &str, is: bool, count: usize, what: &str) -> String {
    if is {
        format!("{attribute} is {value}, one of {count} {what}")
    } else {
        format!("{attribute} is {value}, none of {count} {what}")
    }
}

/// Nanoseconds with three digits in a readable unit.
fn duration(nanos: i64) -> String {
    let value = nanos as f64;
    match nanos.unsigned_abs() {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => trim(value / 1e3, "us"),
        1_000_000..1_000_000_000 => trim(value / 1e6, "ms"),
        _ => trim(value / 1e9, "s"),
    }
}

/// Parts per million as a percentage.
fn percent(parts: i64) -> String {
    trim(parts as f64 / 1e4, "%")
}

fn trim(value: f64, unit: &str) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}
