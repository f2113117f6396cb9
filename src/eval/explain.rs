//! Why a task is in its tier: the rules in order, each with a reason.

use super::{Task, Truth, Verdict, evaluate, holds, parts, truth};
use crate::check::{Attribute, Compare, Cond, Model, ModelId, Policy, RuleId, Test, Type};

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
                    let (because, unknown) = reasons(cond, task, outcome, policy.models());
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

/// What an outcome rests on.
enum Reason<'a> {
    Test(&'a Test),
    /// None of so many parts or patterns; the first of them.
    Parts(&'a Test, usize),
    /// A number in a range, its ends included.
    Range(Attribute, i64, i64),
    /// A model, which nobody runs.
    Model(ModelId),
}

impl Reason<'_> {
    /// The attribute that is not known, if that is the reason.
    fn unknown(&self, task: &Task) -> Option<Attribute> {
        let attribute = match self {
            Self::Test(test) | Self::Parts(test, _) => test.attribute(),
            Self::Range(attribute, ..) => *attribute,
            Self::Model(_) => return None,
        };
        task.value(attribute).is_none().then_some(attribute)
    }

    fn sentence(&self, task: &Task, models: &[Model]) -> String {
        match self {
            Self::Test(test) => describe(test, task),
            Self::Parts(test, count) => none_of(test, *count, task),
            Self::Range(attribute, low, high) => match task.number(*attribute) {
                None => format!("{attribute} is unknown"),
                Some(value) => format!(
                    "{attribute} is {}, {} {}..{}",
                    number(*attribute, value),
                    match (*low..=*high).contains(&value) {
                        true => "in",
                        false => "not in",
                    },
                    number(*attribute, *low),
                    number(*attribute, *high),
                ),
            },
            Self::Model(id) => {
                let model = models.get(usize::from(id.0));
                format!("{}() is unknown", model.map_or("", |model| &model.name))
            }
        }
    }
}

/// The smallest set of tests, from the left, that forces the outcome.
fn reasons(cond: &Cond, task: &Task, outcome: Truth, models: &[Model]) -> (String, Vec<Attribute>) {
    let mut reasons = Vec::new();
    collect(cond, task, outcome, &mut reasons);
    let unknown = reasons
        .iter()
        .filter_map(|reason| reason.unknown(task))
        .collect();
    let mut found: Vec<String> = reasons
        .iter()
        .map(|reason| reason.sentence(task, models))
        .collect();
    found.dedup();
    (found.join("; "), unknown)
}

fn collect<'a>(cond: &'a Cond, task: &Task, outcome: Truth, found: &mut Vec<Reason<'a>>) {
    if let Some(range) = range(cond) {
        found.push(range);
        return;
    }
    // One that holds is a reason by itself; that none does is one reason.
    if let Some(tests) = parts(cond).filter(|_| outcome != Truth::True)
        && let [first, _, ..] = tests.as_slice()
    {
        found.push(Reason::Parts(first, tests.len()));
        return;
    }
    match cond {
        Cond::Not(inner) => collect(inner, task, outcome.not(), found),
        Cond::Test(test, _) => found.push(Reason::Test(test)),
        Cond::Model(id, ..) => found.push(Reason::Model(*id)),
        Cond::And(parts) => forced(parts, task, outcome, Truth::True, found),
        Cond::Or(parts) => forced(parts, task, outcome, Truth::False, found),
    }
}

/// The range that two comparisons of one number make.
fn range(cond: &Cond) -> Option<Reason<'static>> {
    let Cond::And(parts) = cond else {
        return None;
    };
    let [Cond::Test(low, _), Cond::Test(high, _)] = parts.as_slice() else {
        return None;
    };
    match (low, high) {
        (Test::Number(a, Compare::Ge, low), Test::Number(b, Compare::Le, high)) if a == b => {
            Some(Reason::Range(*a, *low, *high))
        }
        _ => None,
    }
}

/// A conjunction is true because of all its parts and otherwise because of the
/// first part that is like the outcome; a disjunction is the mirror of that.
fn forced<'a>(
    parts: &'a [Cond],
    task: &Task,
    outcome: Truth,
    needs_all: Truth,
    found: &mut Vec<Reason<'a>>,
) {
    if outcome == needs_all {
        for part in parts {
            collect(part, task, outcome, found);
        }
    } else if let Some(part) = parts.iter().find(|part| truth(part, task) == outcome) {
        collect(part, task, outcome, found);
    }
}

/// That a text has none of the parts that a set names.
fn none_of(test: &Test, count: usize, task: &Task) -> String {
    let attribute = test.attribute();
    let Some(value) = task.text(attribute).map(quoted) else {
        return format!("{attribute} is unknown");
    };
    let what = match test {
        Test::Like(..) => format!("like none of {count} patterns"),
        Test::Matches(..) => format!("which matches none of {count} expressions"),
        Test::EndsWith(..) => format!("which ends with none of {count} texts"),
        Test::Contains(..) => format!("which contains none of {count} texts"),
        _ => format!("which starts with none of {count} texts"),
    };
    format!("{attribute} is {value}, {what}")
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
        Type::Text => task.text(attribute).map(quoted),
        Type::Duration | Type::Ratio | Type::Count => {
            task.number(attribute).map(|value| number(attribute, value))
        }
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
            let with = number(attribute, *with);
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

/// Characters of a value that are shown; a command line can have thousands.
const SHOWN: usize = 80;

/// A text in quotes, its end left out when it is long.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\"", text.get(..end).unwrap_or(text)),
        None => format!("\"{text}\""),
    }
}

/// A number in the unit of its attribute.
fn number(attribute: Attribute, value: i64) -> String {
    match attribute.about().ty {
        Type::Duration => duration(value),
        Type::Ratio => percent(value),
        Type::Count | Type::Text | Type::Bool => value.to_string(),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diag::Span;

    fn because(cond: &Cond, task: &Task) -> String {
        let (because, unknown) = reasons(cond, task, truth(cond, task), &[]);
        assert!(unknown.is_empty() || because.contains("unknown"));
        because
    }

    #[test]
    fn every_test_has_a_sentence_for_both_outcomes() {
        let comm = |value: &str| Task::default().with(Attribute::Comm, value);
        let util = |value: i64| Task::default().with(Attribute::CpuUtil, value);
        let a = Attribute::Comm;
        let set = |names: &[&str]| Arc::new(names.iter().map(|n| (*n).to_owned()).collect());
        for (test, task, expected) in [
            (
                Test::TextIn(a, set(&["x", "y"])),
                comm("x"),
                "comm is \"x\", one of 2 names",
            ),
            (
                Test::EndsWith(a, "plus".into()),
                comm("cc1plus"),
                "comm is \"cc1plus\", which ends with \"plus\"",
            ),
            (
                Test::EndsWith(a, "plus".into()),
                comm("cc1"),
                "comm is \"cc1\", which does not end with \"plus\"",
            ),
            (
                Test::Contains(a, "c1".into()),
                comm("cc1"),
                "comm is \"cc1\", which contains \"c1\"",
            ),
            (
                Test::Contains(a, "x".into()),
                comm("cc1"),
                "comm is \"cc1\", which does not contain \"x\"",
            ),
            (
                Test::Like(a, "cc*".into()),
                comm("cc1"),
                "comm is \"cc1\", like \"cc*\"",
            ),
            (
                Test::Like(a, "cc?".into()),
                comm("cc"),
                "comm is \"cc\", not like \"cc?\"",
            ),
            (
                Test::Matches(a, "^c+1$".into()),
                comm("cc1"),
                "comm is \"cc1\", which matches \"^c+1$\"",
            ),
            (
                Test::Matches(a, "^c$".into()),
                comm("cc1"),
                "comm is \"cc1\", which does not match \"^c$\"",
            ),
            (
                Test::Number(Attribute::CpuUtil, Compare::Gt, 905_000),
                util(912_500),
                "cpu_util is 91.25%, > 90.5%",
            ),
            (
                Test::IsTrue(Attribute::OnBattery),
                Task::default(),
                "on_battery is unknown",
            ),
        ] {
            let cond = Cond::Test(test, Span::default());
            assert_eq!(because(&cond, &task), expected);
            assert_eq!(because(&Cond::Not(Box::new(cond)), &task), expected);
        }
    }

    #[test]
    fn none_of_the_parts_of_a_set_is_one_reason() {
        let comm = |value: &str| Task::default().with(Attribute::Comm, value);
        let set = |test: fn(Attribute, String) -> Test| {
            let one = |text: &str| Cond::Test(test(Attribute::Comm, text.into()), Span::default());
            Cond::Or(vec![one("cc"), one("ld")])
        };
        let starts = set(Test::StartsWith);
        assert_eq!(
            because(&starts, &comm("ld.lld")),
            "comm is \"ld.lld\", which starts with \"ld\""
        );
        let none = "comm is \"rustc\", which starts with none of 2 texts";
        assert_eq!(because(&starts, &comm("rustc")), none);
        assert_eq!(
            because(&Cond::Not(Box::new(starts.clone())), &comm("rustc")),
            none
        );
        assert_eq!(because(&starts, &Task::default()), "comm is unknown");
        for (cond, what) in [
            (set(Test::EndsWith), "which ends with none of 2 texts"),
            (set(Test::Contains), "which contains none of 2 texts"),
            (
                set(|a, text| Test::Like(a, text.into())),
                "like none of 2 patterns",
            ),
            (
                set(|a, text| Test::Matches(a, text.into())),
                "which matches none of 2 expressions",
            ),
        ] {
            let expected = format!("comm is \"rustx\", {what}");
            assert_eq!(because(&cond, &comm("rustx")), expected);
        }
        // Two comparisons that were written apart are two reasons.
        let apart = Cond::Or(vec![
            Cond::Test(
                Test::StartsWith(Attribute::Comm, "cc".into()),
                Span::default(),
            ),
            Cond::Test(
                Test::StartsWith(Attribute::Comm, "ld".into()),
                Span::new(crate::diag::FileId(0), 30, 40),
            ),
        ]);
        assert_eq!(
            because(&apart, &comm("rustc"))
                .matches("does not start")
                .count(),
            2
        );
    }

    #[test]
    fn a_range_is_one_reason() {
        let age = |value: i64| Task::default().with(Attribute::Age, value);
        let test = |compare, value| {
            Cond::Test(
                Test::Number(Attribute::Age, compare, value),
                Span::default(),
            )
        };
        let range = Cond::And(vec![
            test(Compare::Ge, 1_000_000),
            test(Compare::Le, 2_500_000),
        ]);
        assert_eq!(
            because(&range, &age(2_000_000)),
            "age is 2ms, in 1ms..2.5ms"
        );
        assert_eq!(
            because(&range, &age(3_000_000_000)),
            "age is 3s, not in 1ms..2.5ms"
        );
        assert_eq!(because(&range, &Task::default()), "age is unknown");
    }

    #[test]
    fn long_values_lose_their_end() {
        let task = Task::default().with(Attribute::Cmdline, "ü".repeat(4_000).as_str());
        let test = Test::Contains(Attribute::Cmdline, "x".into());
        let because = because(&Cond::Test(test, Span::default()), &task);
        assert_eq!(because.chars().filter(|c| *c == 'ü').count(), SHOWN);
        assert!(because.ends_with("…\", which does not contain \"x\""));
    }
}
