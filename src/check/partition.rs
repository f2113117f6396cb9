//! Divides the values of an attribute into classes: two values are in one class
//! when every test of the policy answers alike for them.
//!
//! There are endless texts, but only finitely many answers. A text either is one
//! of those that tests name, or it is not, and then only the prefixes it has
//! matter. So the classes of a text attribute are found from one value for each
//! text that is named and one for each prefix ("starts with this, with no longer
//! one, and is not named"); those of a number from the numbers next to each one
//! that is named. Where patterns look inside of texts, automata find the classes
//! ([`super::pattern`]). Of a class nothing is kept but its answers, and a value
//! where one is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::attribute::{Attribute, Type};
use super::bits::Bits;
use super::literals::COMM_BYTES;
use super::pattern::{Effort, Patterns, TooComplex};
use super::policy::{Compare, Cond, Test, Value};
use crate::diag::Span;

/// Members of a set that is compared by what is in it.
const COMPARED: usize = 8;

/// The classes of one attribute.
#[derive(Debug)]
pub(super) struct Partition<'a> {
    tests: Vec<&'a Test>,
    /// For each class the tests that are true in it; none for "unknown".
    classes: Vec<Option<Bits>>,
    /// For each class a value that is in it, if values were asked for.
    values: Vec<Option<Value>>,
}

impl<'a> Partition<'a> {
    /// How many classes there are.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The classes in which a test is true, or false. A test of an unknown value
    /// is neither.
    pub(super) fn mask(&self, test: &Test, wanted: bool) -> Bits {
        let mut mask = Bits::none(self.classes.len());
        let Ok(index) = self.tests.binary_search_by(|known| order(known, test)) else {
            return mask;
        };
        for (class, answers) in self.classes.iter().enumerate() {
            if answers.as_ref().is_some_and(|a| a.has(index) == wanted) {
                mask.set(class);
            }
        }
        mask
    }

    /// Whether a test is true in a class; none where the value is unknown.
    pub(super) fn holds(&self, test: &Test, class: usize) -> Option<bool> {
        let index = self
            .tests
            .binary_search_by(|known| order(known, test))
            .ok()?;
        let answers = self.classes.get(class)?.as_ref()?;
        Some(answers.has(index))
    }

    /// The class of an unknown value.
    pub(super) fn unknown(&self) -> Option<usize> {
        self.classes.iter().position(Option::is_none)
    }

    /// A value that is in a class; none for "unknown", and where none was asked
    /// for.
    pub(super) fn value(&self, class: usize) -> Option<&Value> {
        self.values.get(class)?.as_ref()
    }

    /// None when building it, or asking it about each of the tests, would be
    /// more work than is left.
    fn new(
        attribute: Attribute,
        mut tests: Vec<&'a Test>,
        patterns: Option<&Patterns>,
        with_values: bool,
        left: &mut usize,
    ) -> Option<Self> {
        let uses = tests.len();
        sort(&mut tests);
        spend(left, effort(attribute, &tests))?;
        let mut found: HashMap<Bits, ()> = HashMap::new();
        let mut classes = Vec::new();
        let mut values = Vec::new();
        let mut add = |answers: Bits, value: Option<Value>| {
            if found.insert(answers.clone(), ()).is_none() {
                classes.push(Some(answers));
                values.push(value);
            }
        };
        match attribute.about().ty {
            Type::Text => {
                let made = match patterns {
                    None if with_values => Some(Patterns::build(&tests).ok()?),
                    _ => None,
                };
                match patterns.or(made.as_ref()) {
                    Some(patterns) => {
                        for class in patterns.classes() {
                            // Texts without a witness are no values.
                            if let Some(witness) = &class.witness {
                                add(
                                    Bits::of(&class.signature, tests.len()),
                                    Some(Value::Text(witness.clone())),
                                );
                            }
                        }
                    }
                    None => texts(attribute, &tests, &mut |answers| add(answers, None)),
                }
            }
            Type::Bool => {
                add(Bits::none(tests.len()), Some(Value::Truth(false)));
                add(Bits::all(tests.len()), Some(Value::Truth(true)));
            }
            Type::Count | Type::Duration | Type::Ratio => {
                numbers(attribute, &tests, &mut |answers, number| {
                    add(answers, Some(Value::Number(number)));
                });
            }
        }
        if may_be_unknown(attribute) {
            classes.push(None);
            values.push(None);
        }
        spend(left, uses.saturating_mul(classes.len()))?;
        Some(Self {
            tests,
            classes,
            values,
        })
    }
}

/// Puts tests in order, each once.
fn sort(tests: &mut Vec<&Test>) {
    tests.sort_by(|a, b| order(a, b));
    tests.dedup_by(|a, b| order(a, b).is_eq());
}

/// Whether a task can be without a value of the attribute for a while.
pub(super) fn may_be_unknown(attribute: Attribute) -> bool {
    attribute.about().may_be_unknown
}

/// Takes work from what is left; none when it is not enough.
pub(super) fn spend(left: &mut usize, work: usize) -> Option<()> {
    *left = left.checked_sub(work)?;
    Some(())
}

/// How much work it is to find the classes, in words of bit sets.
fn effort(attribute: Attribute, tests: &[&Test]) -> usize {
    let values: usize = tests
        .iter()
        .map(|test| match test {
            Test::TextIn(_, texts) | Test::Under(_, texts) => texts.len(),
            Test::NumberIn(_, numbers) => numbers.len(),
            _ => 1,
        })
        .sum();
    match attribute.about().ty {
        // One set of bits for each text, found by comparing texts.
        Type::Text => values.saturating_mul(tests.len().div_ceil(64) + 64),
        // Each test is asked about the numbers around each one.
        Type::Count | Type::Duration | Type::Ratio => values.saturating_mul(3 * tests.len()),
        Type::Bool => tests.len(),
    }
}

/// The tests of conditions by attribute, each where it stands.
type Tests<'a> = BTreeMap<Attribute, Vec<(&'a Test, Span)>>;

/// The classes of the attributes that patterns look into; where the policy asks
/// for too much, the test that does.
pub(super) fn patterns<'a>(
    conds: impl Iterator<Item = &'a Cond>,
) -> Result<BTreeMap<Attribute, Patterns>, (Span, TooComplex)> {
    let mut all = Tests::new();
    for cond in conds {
        collect(cond, &mut all);
    }
    all.retain(|_, tests| tests.iter().any(|(test, _)| test.is_pattern()));
    let mut left = Effort::of_policy();
    let built = all.into_iter().map(|(attribute, placed)| {
        let mut tests: Vec<&Test> = placed.iter().map(|(test, _)| *test).collect();
        sort(&mut tests);
        let patterns = Patterns::within(&tests, &mut left).map_err(|problem| {
            let index = match problem {
                TooComplex::Alone(index) => Some(index),
                TooComplex::Together(_) => None,
            };
            let culprit = index.and_then(|index| tests.get(index).copied());
            // Of several it is the last in the text.
            let place = placed.iter().rev().find(|(test, _)| match culprit {
                Some(culprit) => order(test, culprit).is_eq(),
                None => test.is_pattern(),
            });
            (place.map_or_else(Span::default, |(_, span)| *span), problem)
        })?;
        Ok((attribute, patterns))
    });
    built.collect()
}

/// The partitions of all attributes that some condition tests; none when that
/// is more work than is left. `patterns` are those of the same conditions.
pub(super) fn partitions<'a>(
    conds: impl Iterator<Item = &'a Cond>,
    patterns: &BTreeMap<Attribute, Patterns>,
    with_values: bool,
    left: &mut usize,
) -> Option<BTreeMap<Attribute, Partition<'a>>> {
    let mut tests = Tests::new();
    for cond in conds {
        collect(cond, &mut tests);
    }
    tests
        .into_iter()
        .map(|(attribute, tests)| {
            let tests = tests.into_iter().map(|(test, _)| test).collect();
            let patterns = patterns.get(&attribute);
            let partition = Partition::new(attribute, tests, patterns, with_values, left)?;
            Some((attribute, partition))
        })
        .collect()
}

fn collect<'a>(cond: &'a Cond, tests: &mut Tests<'a>) {
    match cond {
        Cond::And(members) | Cond::Or(members) => members.iter().for_each(|m| collect(m, tests)),
        Cond::Not(inner) => collect(inner, tests),
        Cond::Model(..) => {}
        Cond::Test(test, span) => {
            let tests = tests.entry(test.attribute()).or_default();
            tests.push((test, *span));
        }
    }
}

/// Any total order of the tests of one attribute. Large sets are compared by
/// address, so that they are not walked for each use; two that are written out
/// alike are two tests then, which costs a bit and changes nothing.
fn order(a: &Test, b: &Test) -> std::cmp::Ordering {
    use std::sync::Arc;
    fn sets<T: Ord>(a: &Arc<BTreeSet<T>>, b: &Arc<BTreeSet<T>>) -> std::cmp::Ordering {
        let large = |set: &BTreeSet<T>| set.len() > COMPARED;
        large(a).cmp(&large(b)).then_with(|| {
            if large(a) {
                Arc::as_ptr(a).cmp(&Arc::as_ptr(b))
            } else {
                a.cmp(b)
            }
        })
    }
    let rank = |test: &Test| match test {
        Test::TextIn(..) => 0,
        Test::StartsWith(..) => 1,
        Test::Under(..) => 2,
        Test::Number(..) => 3,
        Test::NumberIn(..) => 4,
        Test::IsTrue(..) => 5,
        Test::EndsWith(..) => 6,
        Test::Contains(..) => 7,
        Test::Like(..) => 8,
        Test::Matches(..) => 9,
    };
    match (a, b) {
        (Test::TextIn(_, a), Test::TextIn(_, b)) | (Test::Under(_, a), Test::Under(_, b)) => {
            sets(a, b)
        }
        (Test::StartsWith(_, a), Test::StartsWith(_, b))
        | (Test::EndsWith(_, a), Test::EndsWith(_, b))
        | (Test::Contains(_, a), Test::Contains(_, b)) => a.cmp(b),
        (Test::Like(_, a), Test::Like(_, b)) | (Test::Matches(_, a), Test::Matches(_, b)) => {
            a.cmp(b)
        }
        (Test::Number(_, op_a, a), Test::Number(_, op_b, b)) => {
            (*op_a as u8, a).cmp(&(*op_b as u8, b))
        }
        (Test::NumberIn(_, a), Test::NumberIn(_, b)) => sets(a, b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// Finds the answers that are possible for a text.
fn texts(attribute: Attribute, tests: &[&Test], add: &mut dyn FnMut(Bits)) {
    let none = Bits::none(tests.len());
    let mut named: HashMap<Vec<u8>, Bits> = HashMap::new();
    let mut prefixes: HashMap<Vec<u8>, Bits> = HashMap::new();
    for (index, test) in tests.iter().enumerate() {
        let mark = |map: &mut HashMap<Vec<u8>, Bits>, text: Vec<u8>| {
            map.entry(text).or_insert_with(|| none.clone()).set(index);
        };
        match test {
            Test::TextIn(_, texts) => {
                for text in texts.iter() {
                    mark(&mut named, text.as_bytes().to_vec());
                }
            }
            Test::StartsWith(_, prefix) => mark(&mut prefixes, prefix.as_bytes().to_vec()),
            Test::Under(_, paths) => {
                for path in paths.iter() {
                    mark(&mut named, path.as_bytes().to_vec());
                    let inside = if path == "/" {
                        path.clone()
                    } else {
                        format!("{path}/")
                    };
                    mark(&mut prefixes, inside.into_bytes());
                }
            }
            _ => {}
        }
    }
    let is_comm = matches!(attribute, Attribute::Comm | Attribute::ParentComm);
    // In the order of bytes, what starts with a prefix follows it, so the
    // prefixes that a text has are on a stack.
    let mut all: Vec<&Vec<u8>> = named.keys().chain(prefixes.keys()).collect();
    all.sort_unstable();
    all.dedup();
    let mut outer: Vec<(&[u8], Bits)> = Vec::new();
    for text in all {
        while outer
            .pop_if(|(prefix, _)| !text.starts_with(prefix))
            .is_some()
        {}
        let mut answers = outer
            .last()
            .map_or_else(|| none.clone(), |(_, a)| a.clone());
        if let Some(more) = prefixes.get(text) {
            answers = answers.or(more);
            outer.push((text, answers.clone()));
            // A name that fills all bytes has no longer one, so it stands for
            // itself; if it is named as well, that is added below.
            if !(is_comm && text.len() >= COMM_BYTES && named.contains_key(text)) {
                add(answers.clone());
            }
        }
        if let Some(more) = named.get(text) {
            add(answers.or(more));
        }
    }
    // A text that is not named and has no prefix but those that all have.
    let is_path = matches!(attribute, Attribute::Exe | Attribute::Cgroup);
    let every = prefixes.get(b"/".as_slice()).filter(|_| is_path);
    add(every.cloned().unwrap_or(none));
}

/// Finds the answers that are possible for a number.
fn numbers(attribute: Attribute, tests: &[&Test], add: &mut dyn FnMut(Bits, i64)) {
    let (low, high) = attribute.about().range.unwrap_or((i64::MIN, i64::MAX));
    let mut values = BTreeSet::from([low, high]);
    let mut near = |value: i64| {
        for value in [value.saturating_sub(1), value, value.saturating_add(1)] {
            if (low..=high).contains(&value) {
                values.insert(value);
            }
        }
    };
    for test in tests {
        match test {
            Test::Number(_, _, value) => near(*value),
            Test::NumberIn(_, members) => members.iter().for_each(|member| near(*member)),
            _ => {}
        }
    }
    // Of the values of a class, the plainest one stands for it.
    let mut values: Vec<i64> = values.into_iter().collect();
    values.sort_by_key(|value| (value.unsigned_abs(), *value < 0));
    for value in values {
        let mut answers = Bits::none(tests.len());
        for (index, test) in tests.iter().enumerate() {
            let holds = match test {
                Test::Number(_, compare, bound) => match compare {
                    Compare::Eq => value == *bound,
                    Compare::Lt => value < *bound,
                    Compare::Le => value <= *bound,
                    Compare::Gt => value > *bound,
                    Compare::Ge => value >= *bound,
                },
                Test::NumberIn(_, members) => members.contains(&value),
                _ => false,
            };
            if holds {
                answers.set(index);
            }
        }
        add(answers, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn set(texts: &[&str]) -> Arc<BTreeSet<String>> {
        Arc::new(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    fn classes(attribute: Attribute, tests: &[Test]) -> usize {
        let mut left = usize::MAX;
        let tests = tests.iter().collect();
        Partition::new(attribute, tests, None, false, &mut left)
            .unwrap()
            .len()
    }

    #[test]
    fn too_much_work_is_not_begun() {
        let tests: Vec<Test> = (0..4_000)
            .map(|n| Test::Number(Attribute::Uid, Compare::Eq, n))
            .collect();
        let mut left = 40_000_000;
        let tests = tests.iter().collect();
        assert!(Partition::new(Attribute::Uid, tests, None, false, &mut left).is_none());
    }

    #[test]
    fn prefixes_nest() {
        let starts = |text: &str| Test::StartsWith(Attribute::Comm, text.into());
        let tests = [starts("a"), starts("ab"), starts("abc"), starts("b")];
        assert_eq!(classes(Attribute::Comm, &tests), 5);
        let named = Test::TextIn(Attribute::Comm, set(&["abd", "abcd", "c"]));
        let tests = [&tests[..], &[named]].concat();
        // and: abd, abcd, c
        assert_eq!(classes(Attribute::Comm, &tests), 8);
    }

    #[test]
    fn names_fall_into_few_classes() {
        let a = Test::TextIn(Attribute::Comm, set(&["x", "y"]));
        let b = Test::TextIn(Attribute::Comm, set(&["y", "z"]));
        // x, y, z, anything else
        assert_eq!(
            classes(Attribute::Comm, &[a.clone(), b.clone(), a.clone()]),
            4
        );
        let p = Test::StartsWith(Attribute::Comm, "y".into());
        // and: y…, which is in neither
        assert_eq!(classes(Attribute::Comm, &[a, b, p]), 5);
    }

    #[test]
    fn a_full_name_leaves_no_room_for_a_longer_one() {
        let full = "a".repeat(COMM_BYTES);
        let prefix = Test::StartsWith(Attribute::Comm, full.clone());
        let named = Test::TextIn(Attribute::Comm, set(&[&full]));
        assert_eq!(classes(Attribute::Comm, &[prefix, named]), 2);
    }

    #[test]
    fn paths_know_components_and_may_be_unknown() {
        let under = Test::Under(Attribute::Exe, set(&["/usr"]));
        let prefix = Test::StartsWith(Attribute::Exe, "/usr".into());
        // under /usr; /usrx; anything else; unknown
        assert_eq!(classes(Attribute::Exe, &[under, prefix]), 4);
        let all = Test::Under(Attribute::Cgroup, set(&["/"]));
        assert_eq!(classes(Attribute::Cgroup, &[all]), 2);
    }

    #[test]
    fn numbers_are_told_apart_at_their_bounds() {
        let test = |compare, value| Test::Number(Attribute::Nice, compare, value);
        let tests = [
            test(Compare::Lt, 0),
            test(Compare::Le, 0),
            test(Compare::Gt, 18),
        ];
        // < 0; 0; 1 to 18; 19
        assert_eq!(classes(Attribute::Nice, &tests), 4);
    }
}
