//! The reference evaluator: what a policy means, in plain Rust.
//!
//! Rules are tried from the top; the first whose condition is *true* decides. A
//! condition is true, false or unknown (Kleene's strong logic of three values):
//! a test of an unknown attribute is unknown, `not unknown` is unknown, and a
//! rule whose condition is unknown does not match.
//!
//! It is the oracle for everything that is fast: it shares no code with
//! [`crate::plan`], compiles nothing, and is meant to be obviously right. It
//! also explains: [`explain()`] says of each rule why it did or did not match.

mod explain;
mod task;

pub use explain::{Explanation, Step, explain};
pub use task::Task;

use crate::check::{Attribute, Compare, Cond, Policy, RuleId, Test, TierId};

/// What a policy decides for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The tier.
    pub tier: TierId,
    /// The rule that decided.
    pub rule: RuleId,
}

/// A truth value of Kleene's logic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

/// The verdict of a policy for a task.
pub fn evaluate(policy: &Policy, task: &Task) -> Verdict {
    let mut last = Verdict {
        tier: TierId(0),
        rule: RuleId(0),
    };
    for (index, rule) in policy.rules().iter().enumerate() {
        last = Verdict {
            tier: rule.tier,
            rule: RuleId(u16::try_from(index).unwrap_or(u16::MAX)),
        };
        let matches = match &rule.when {
            None => true,
            Some(cond) => truth(cond, task) == Truth::True,
        };
        if matches {
            break;
        }
    }
    // A checked policy ends with `otherwise`, so the loop always breaks.
    last
}

/// The truth of a condition for a task.
pub(crate) fn truth(cond: &Cond, task: &Task) -> Truth {
    match cond {
        Cond::And(parts) => parts
            .iter()
            .fold(Truth::True, |all, part| all.and(truth(part, task))),
        Cond::Or(parts) => parts
            .iter()
            .fold(Truth::False, |any, part| any.or(truth(part, task))),
        Cond::Not(inner) => truth(inner, task).not(),
        Cond::Test(test, _) => holds(test, task),
    }
}

fn holds(test: &Test, task: &Task) -> Truth {
    match test {
        Test::TextIn(attribute, members) => text(task, *attribute, |value| members.contains(value)),
        Test::StartsWith(attribute, prefix) => {
            text(task, *attribute, |value| value.starts_with(prefix.as_str()))
        }
        Test::Under(attribute, members) => text(task, *attribute, |value| {
            members.iter().any(|member| is_under(value, member))
        }),
        Test::Number(attribute, compare, with) => number(task, *attribute, |value| match compare {
            Compare::Eq => value == *with,
            Compare::Lt => value < *with,
            Compare::Le => value <= *with,
            Compare::Gt => value > *with,
            Compare::Ge => value >= *with,
        }),
        Test::NumberIn(attribute, members) => {
            number(task, *attribute, |value| members.contains(&value))
        }
        Test::IsTrue(attribute) => task.truth(*attribute).map_or(Truth::Unknown, Truth::from),
    }
}

fn text(task: &Task, attribute: Attribute, test: impl Fn(&str) -> bool) -> Truth {
    task.text(attribute)
        .map_or(Truth::Unknown, |value| test(value).into())
}

fn number(task: &Task, attribute: Attribute, test: impl Fn(i64) -> bool) -> Truth {
    task.number(attribute)
        .map_or(Truth::Unknown, |value| test(value).into())
}

/// Whether a path is `top` or lies below it, component by component.
fn is_under(path: &str, top: &str) -> bool {
    let mut components = path.split('/').filter(|c| !c.is_empty());
    top.split('/')
        .filter(|c| !c.is_empty())
        .all(|wanted| components.next() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_neither_true_nor_false() {
        let task = Task::default();
        let test = || {
            Cond::Test(
                Test::IsTrue(Attribute::Kthread),
                crate::diag::Span::default(),
            )
        };
        assert_eq!(truth(&test(), &task), Truth::Unknown);
        assert_eq!(truth(&Cond::Not(Box::new(test())), &task), Truth::Unknown);
        let known = Task {
            kthread: Some(true),
            ..Task::default()
        };
        assert_eq!(
            truth(&Cond::Or(vec![test(), Cond::Not(Box::new(test()))]), &known),
            Truth::True
        );
        assert_eq!(
            truth(&Cond::Or(vec![test(), Cond::Not(Box::new(test()))]), &task),
            Truth::Unknown
        );
    }

    #[test]
    fn under_compares_components() {
        assert!(is_under("/a/b", "/a/b"));
        assert!(is_under("/a/b/c", "/a/b"));
        assert!(!is_under("/a/bc", "/a/b"));
        assert!(!is_under("/a", "/a/b"));
        assert!(is_under("/anything", "/"));
    }
}
