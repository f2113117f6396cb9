//! The reference evaluator: what a policy means, in plain Rust.
//!
//! Rules are tried from the top; the first whose condition is *true* decides. A
//! condition is true, false or unknown (Kleene's strong logic of three values):
//! a test of an unknown attribute is unknown, `not unknown` is unknown, and a
//! rule whose condition is unknown does not match.
//!
//! It is the oracle for everything that is fast: it shares no code with
//! [`crate::plan`], compiles nothing, and is meant to be obviously right. It
//! also explains: [`explain()`] says of each rule why it did or did not match, and
//! [`residual()`] what is left of a policy when some attributes are open.

mod explain;
mod residual;
pub mod suite;
mod task;
mod write;

pub use explain::{Explanation, Step, explain};
pub use residual::{Remaining, Residual, residual};
pub use task::Task;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::check::{Attribute, Compare, Cond, Policy, RuleId, Test, TierId, exact_regex};

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
        Cond::Model(..) => Truth::Unknown,
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
        Test::EndsWith(attribute, suffix) => {
            text(task, *attribute, |value| value.ends_with(suffix.as_str()))
        }
        Test::Contains(attribute, part) => {
            text(task, *attribute, |value| value.contains(part.as_str()))
        }
        Test::Like(attribute, glob) => text(task, *attribute, |value| like(value, glob)),
        Test::Matches(attribute, regex) => text(task, *attribute, |value| matches(value, regex)),
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

/// The text of a test that looks at a part of a text, or at a pattern of it.
fn part(test: &Test) -> Option<&str> {
    match test {
        Test::StartsWith(_, text) | Test::EndsWith(_, text) | Test::Contains(_, text) => Some(text),
        Test::Like(_, text) | Test::Matches(_, text) => Some(text),
        _ => None,
    }
}

/// The tests that one comparison with a set of parts or patterns became, as
/// `comm starts with { "a", "b" }`. They share its place.
fn parts(cond: &Cond) -> Option<Vec<&Test>> {
    let Cond::Or(members) = cond else { return None };
    let Some(Cond::Test(_, place)) = members.first() else {
        return None;
    };
    let one = |member| match member {
        &Cond::Test(ref test, span) if span == *place && part(test).is_some() => Some(test),
        _ => None,
    };
    members.iter().map(one).collect()
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

/// Whether a glob fits a text as a whole.
fn like(text: &str, glob: &str) -> bool {
    let (text, glob): (Vec<char>, Vec<char>) = (text.chars().collect(), glob.chars().collect());
    fits(&text, &glob)
}

/// Tries a star short first and longer then: what is left of the text is tried
/// again only at the last star, so the work is at most the product of both.
fn fits(text: &[char], glob: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match glob.get(from) {
            Some('*') => {
                star = Some((at, from));
                from += 1;
                continue;
            }
            None if at == text.len() => return true,
            Some(_) if at < text.len() => {
                if let Some(next) = one(text.get(at).copied(), glob, from) {
                    (at, from) = (at + 1, next);
                    continue;
                }
            }
            _ => {}
        }
        match star {
            Some((begun, position)) if begun < text.len() => {
                star = Some((begun + 1, position));
                (at, from) = (begun + 1, position + 1);
            }
            _ => return false,
        }
    }
}

/// Where the glob goes on behind the piece at `from`, if that piece fits one
/// character.
fn one(c: Option<char>, glob: &[char], from: usize) -> Option<usize> {
    let c = c?;
    match *glob.get(from)? {
        '?' => Some(from + 1),
        '\\' => (*glob.get(from + 1)? == c).then_some(from + 2),
        '[' => {
            let mut at = from + 1;
            let negated = glob.get(at) == Some(&'!');
            at += usize::from(negated);
            let first = at;
            let mut found = false;
            loop {
                let low = match *glob.get(at)? {
                    ']' if at > first => break,
                    '\\' => {
                        at += 1;
                        *glob.get(at)?
                    }
                    low => low,
                };
                at += 1;
                let mut high = low;
                if glob.get(at) == Some(&'-') && glob.get(at + 1).is_some_and(|c| *c != ']') {
                    at += 1;
                    if glob.get(at) == Some(&'\\') {
                        at += 1;
                    }
                    high = *glob.get(at)?;
                    at += 1;
                }
                found |= (low..=high).contains(&c);
            }
            (found != negated).then_some(at + 1)
        }
        other => (other == c).then_some(from + 1),
    }
}

/// Expressions that are kept compiled.
const COMPILED: usize = 256;

thread_local! {
    /// To compile an expression takes longer than to match it a thousand times,
    /// and a policy asks the same ones of every task. What is kept changes no
    /// answer.
    static EXPRESSIONS: RefCell<HashMap<Arc<str>, Option<regex::Regex>>> = RefCell::default();
}

/// Whether a regular expression fits a part of the text. The checker has
/// looked at it before, so it compiles.
fn matches(text: &str, regex: &Arc<str>) -> bool {
    EXPRESSIONS.with_borrow_mut(|known| {
        if known.len() >= COMPILED && !known.contains_key(regex) {
            known.clear();
        }
        let compiled = known
            .entry(Arc::clone(regex))
            .or_insert_with(|| regex::Regex::new(&exact_regex(regex)).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_as_a_whole() {
        for (glob, fits, fails) in [
            ("*", vec!["", "a"], vec![]),
            ("a*b", vec!["ab", "axb", "abb"], vec!["a", "abc", "ba"]),
            ("*/ninja *", vec!["/usr/bin/ninja -C x"], vec!["ninja -C x"]),
            ("?", vec!["ü"], vec!["", "ab"]),
            ("[a-c]x", vec!["bx"], vec!["dx", "x"]),
            ("[!a-c]", vec!["d", "!"], vec!["a", ""]),
            ("[]]", vec!["]"], vec!["["]),
            ("[a-]", vec!["-", "a"], vec!["b"]),
            ("\\*", vec!["*"], vec!["a", "\\"]),
            ("a**b*c", vec!["abc", "aXbYc"], vec!["acb"]),
        ] {
            for text in fits {
                assert!(like(text, glob), "{glob} {text}");
            }
            for text in fails {
                assert!(!like(text, glob), "{glob} {text}");
            }
        }
        assert!(!like(
            &"a".repeat(4_000),
            &"a*".repeat(200).replace("a*", "*a*b")
        ));
    }

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
        let known = Task::default().with(Attribute::Kthread, true);
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
