//! Partial evaluation: what is left of a policy when some attributes are open.
//!
//! Everything but the open attributes is known, or unknown for good. Each test
//! of a closed attribute then has its answer, and what remains of a condition
//! asks only for open ones. Negation goes down to the tests first; there a test
//! of an unknown value is false and so is its negation, so that what remains is
//! true exactly when the condition is.
//!
//! Rules that can no longer decide anything are left out, as far as the analysis
//! of [`crate::check`] finds them: rules whose condition is false by now, that
//! come after one that always decides, or that others leave nothing.

use super::write::expression;
use super::{Task, Truth, holds};
use crate::check::{Attribute, Cond, Policy, RuleId, Test, TierId, idle};
use crate::diag::Span;
use crate::syntax::print::print_expression;

/// What is left of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residual {
    /// The rules that can still decide, in the order of the policy; the last one
    /// asks nothing.
    pub rules: Vec<Remaining>,
}

/// What is left of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// The rule.
    pub rule: RuleId,
    /// Its name.
    pub name: String,
    /// Its line, counted from 1.
    pub line: u32,
    /// Where it sends a task.
    pub tier: TierId,
    /// What it still asks; none when it decides for every task that gets there.
    pub when: Option<Cond>,
    /// The same as it would be written in a policy: a condition, or nothing.
    pub text: Option<String>,
}

/// A condition on open attributes, its negations at the tests. No member of
/// `All` is an `All`, no member of `Any` an `Any`; both have two members or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    True,
    False,
    Test(Test, bool, Span),
    All(Vec<Form>),
    Any(Vec<Form>),
}

/// What is left of a policy for a task whose attributes are as they are, but
/// for those that are `free`: these may have any value, or be unknown if that
/// can be, whatever the task says.
pub fn residual(policy: &Policy, task: &Task, free: &[Attribute]) -> Residual {
    let mut rules = Vec::new();
    for (index, rule) in policy.rules().iter().enumerate() {
        let form = match &rule.when {
            None => Form::True,
            Some(cond) => left(cond, false, task, free),
        };
        if form == Form::False {
            continue;
        }
        let always = form == Form::True;
        rules.push(Remaining {
            rule: RuleId(u16::try_from(index).unwrap_or(u16::MAX)),
            name: rule.name.clone(),
            line: rule.line,
            tier: rule.tier,
            text: (!always).then(|| print_expression(&expression(&form))),
            when: (!always).then(|| cond(form)),
        });
        if always {
            break;
        }
    }
    Residual {
        rules: without_idle(rules),
    }
}

/// The rules that can decide something.
fn without_idle(mut rules: Vec<Remaining>) -> Vec<Remaining> {
    let conds: Vec<Option<&Cond>> = rules.iter().map(|rule| rule.when.as_ref()).collect();
    let (idle, last) = idle(&conds);
    if let Some(last) = last {
        rules.truncate(last + 1);
        if let Some(rule) = rules.last_mut() {
            (rule.when, rule.text) = (None, None);
        }
    }
    let mut index = 0;
    rules.retain(|_| {
        index += 1;
        !idle.contains(&(index - 1))
    });
    rules
}

/// What is left of a condition, or of its negation. Recursion follows the
/// condition, whose depth the parser bounds.
fn left(cond: &Cond, negated: bool, task: &Task, free: &[Attribute]) -> Form {
    match cond {
        Cond::Not(inner) => left(inner, !negated, task, free),
        // Unknown, and so is its negation.
        Cond::Model(..) => Form::False,
        Cond::Test(test, span) if free.contains(&test.attribute()) => {
            Form::Test(test.clone(), negated, *span)
        }
        Cond::Test(test, _) => match (holds(test, task), negated) {
            (Truth::True, false) | (Truth::False, true) => Form::True,
            _ => Form::False,
        },
        Cond::And(parts) | Cond::Or(parts) => {
            let all = matches!(cond, Cond::And(_)) != negated;
            let (neutral, forcing) = match all {
                true => (Form::True, Form::False),
                false => (Form::False, Form::True),
            };
            let mut members = Vec::new();
            for part in parts {
                match left(part, negated, task, free) {
                    form if form == forcing => return forcing,
                    form if form == neutral => {}
                    Form::All(more) if all => members.extend(more),
                    Form::Any(more) if !all => members.extend(more),
                    form => members.push(form),
                }
            }
            match (members.len(), all) {
                (0, _) => neutral,
                (1, _) => members.pop().unwrap_or(neutral),
                (_, true) => Form::All(members),
                (_, false) => Form::Any(members),
            }
        }
    }
}

fn cond(form: Form) -> Cond {
    let all = |members: Vec<Form>| members.into_iter().map(cond).collect();
    match form {
        Form::True => Cond::And(Vec::new()),
        Form::False => Cond::Or(Vec::new()),
        Form::Test(test, false, span) => Cond::Test(test, span),
        Form::Test(test, true, span) => Cond::Not(Box::new(Cond::Test(test, span))),
        Form::All(members) => Cond::And(all(members)),
        Form::Any(members) => Cond::Or(all(members)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_text;

    fn policy(rules: &str) -> Policy {
        let text = format!(
            "language 1\npolicy p {{ }}\ntier a {{ }}\ntier b {{ }}\nrules {{\n{rules}\n otherwise -> b\n}}\n"
        );
        let checked = check_text("policy", &text);
        checked
            .policy
            .unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
    }

    fn remaining(rules: &str, task: &Task, free: &[Attribute]) -> Vec<(u16, Option<String>)> {
        let residual = residual(&policy(rules), task, free);
        residual
            .rules
            .into_iter()
            .map(|rule| (rule.rule.0, rule.text))
            .collect()
    }

    fn rule(index: u16, text: &str) -> (u16, Option<String>) {
        (index, Some(text.to_owned()))
    }

    const RULES: &str = "when comm == \"nginx\" and nice < 0 -> a
        when (uid == 0 or nice >= 10) and not (comm in { \"a\", \"b\" } or kthread) -> b
        when cgroup under \"/a\" -> a
        when nice > 5 -> b";

    #[test]
    fn what_is_known_is_gone() {
        let task = Task::default()
            .with(Attribute::Comm, "nginx")
            .with(Attribute::Uid, 1000)
            .with(Attribute::Kthread, false);
        assert_eq!(
            remaining(RULES, &task, &[Attribute::Nice]),
            [
                rule(0, "nice < 0"),
                rule(1, "nice >= 10"),
                rule(3, "nice > 5"),
                (4, None)
            ]
        );
        let task = task.with(Attribute::Nice, 12).with(Attribute::Cgroup, "/a");
        assert_eq!(
            remaining(RULES, &task, &[Attribute::Comm]),
            [rule(1, "comm not in { \"a\", \"b\" }"), (2, None)]
        );
        assert_eq!(remaining(RULES, &task, &[]), [(1, None)]);
        assert_eq!(
            remaining(RULES, &task, &[Attribute::Comm, Attribute::Uid]),
            [rule(1, "comm not in { \"a\", \"b\" }"), (2, None)]
        );
    }

    #[test]
    fn what_is_unknown_and_closed_stays_unknown() {
        let task = Task::default().with(Attribute::Uid, 0);
        // Whether it is a kernel thread is not known, so the second rule does
        // not hold whatever the name is.
        assert_eq!(
            remaining(RULES, &task, &[Attribute::Comm]),
            [(4, None)],
            "nice is unknown too"
        );
        assert_eq!(
            remaining(
                "when not (nice > 5 and comm == \"x\") -> a",
                &task,
                &[Attribute::Comm]
            ),
            [rule(0, "comm != \"x\""), (1, None)]
        );
    }

    #[test]
    fn rules_that_others_leave_nothing_are_gone() {
        let task = Task::default().with(Attribute::Comm, "x");
        let rules = "when comm == \"x\" and nice > 0 -> a
            when nice > 5 -> b
            when nice <= 0 -> b
            when uid == 3 -> a";
        assert_eq!(
            remaining(rules, &task, &[Attribute::Nice, Attribute::Uid]),
            [rule(0, "nice > 0"), rule(2, "nice <= 0"), (4, None)]
        );
    }

    #[test]
    fn every_operator_is_written_back() {
        for text in [
            "comm == \"a\\\"b\"",
            "comm != \"a\"",
            "comm in { \"a\", \"b\" }",
            "comm not in { \"a\", \"b\" }",
            "comm starts with \"a\"",
            "not (comm starts with \"a\")",
            "exe under \"/a\"",
            "exe under { \"/a\", \"/b\" }",
            "not (exe under \"/a\")",
            "kthread",
            "not kthread",
            "nice < -5",
            "nice == -5",
            "nice != 3",
            "uid in { 1, 3 }",
            "uid not in { 1, 3 }",
            "runtime_avg >= 1500us",
            "runtime_avg > 7ns",
            "(nice < 3 and kthread) or uid == 3",
            "(nice < 3 or kthread) and uid == 3",
        ] {
            let every: Vec<Attribute> = crate::check::ATTRIBUTES
                .iter()
                .map(|about| about.attribute)
                .collect();
            let rules = format!("when {text} -> a");
            let left = remaining(&rules, &Task::default(), &every);
            assert_eq!(left, [rule(0, text), (1, None)]);
        }
    }
}
