use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn set_of(texts: &[&str]) -> Arc<BTreeSet<String>> {
    Arc::new(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn build(tests: &[Test]) -> Patterns {
    Patterns::build(&tests.iter().collect::<Vec<_>>()).unwrap()
}

/// The witnesses of the classes that some value is in, each with its tests.
fn witnesses(tests: &[Test]) -> Vec<(String, u64)> {
    let patterns = build(tests);
    let mut all: Vec<(String, u64)> = patterns
        .classes()
        .iter()
        .filter_map(|class| {
            let holds = class.signature.first().copied().unwrap_or(0);
            Some((class.witness.clone()?, holds))
        })
        .collect();
    for (witness, holds) in &all {
        let signature = patterns.signature(witness);
        assert_eq!(signature.first().copied().unwrap_or(0), *holds, "{witness}");
    }
    all.sort();
    all
}

fn of(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter()
        .map(|(text, holds)| ((*text).to_owned(), *holds))
        .collect()
}

use Attribute::{Cgroup, Cmdline, Comm, Exe};

fn like(attribute: Attribute, glob: &str) -> Test {
    Test::Like(attribute, glob.into())
}

fn matches(attribute: Attribute, regex: &str) -> Test {
    assert_eq!(expression::flaw(regex), None);
    Test::Matches(attribute, regex.into())
}

#[test]
fn combinations_that_exist_are_found_with_a_shortest_text() {
    let tests = [
        Test::Contains(Cmdline, "ab".into()),
        Test::EndsWith(Cmdline, "b".into()),
    ];
    assert_eq!(
        witnesses(&tests),
        of(&[("a", 0), ("ab", 3), ("aba", 1), ("b", 2)])
    );
    // One inside of the other, and one that excludes the other.
    let tests = [
        like(Cmdline, "a*"),
        like(Cmdline, "ab*"),
        like(Cmdline, "b*"),
    ];
    assert_eq!(
        witnesses(&tests),
        of(&[("a", 1), ("ab", 3), ("b", 4), ("c", 0)])
    );
}

#[test]
fn what_a_value_can_be_bounds_the_classes() {
    // 15 bytes do not hold both.
    let tests = [
        Test::Contains(Comm, "abcdefgh".into()),
        Test::Contains(Comm, "ijklmnop".into()),
    ];
    assert_eq!(witnesses(&tests).len(), 3);
    let tests = tests.map(|test| match test {
        Test::Contains(_, part) => Test::Contains(Cmdline, part),
        other => other,
    });
    assert_eq!(witnesses(&tests).len(), 4);
    // A path starts with `/`, has no empty part, and ends with `/` only alone.
    assert_eq!(witnesses(&[like(Exe, "/*")]), of(&[("/", 1)]));
    assert_eq!(
        witnesses(&[Test::EndsWith(Cgroup, "/".into())]),
        of(&[("/", 1), ("/a", 0)])
    );
    assert_eq!(
        witnesses(&[Test::Contains(Exe, "//".into())]),
        of(&[("/", 0)])
    );
    assert_eq!(
        witnesses(&[Test::Contains(Exe, "/../".into())]),
        of(&[("/", 0)])
    );
    assert_eq!(witnesses(&[Test::Contains(Exe, "/.../".into())]).len(), 2);
}

#[test]
fn names_and_prefixes_are_part_of_it() {
    // Only a name fits the pattern, so nothing else does.
    let tests = [like(Comm, "ab"), Test::TextIn(Comm, set_of(&["ab", "c"]))];
    assert_eq!(witnesses(&tests), of(&[("a", 0), ("ab", 3), ("c", 2)]));
    let tests = [like(Comm, "[ab]"), Test::TextIn(Comm, set_of(&["a"]))];
    assert_eq!(witnesses(&tests), of(&[("a", 3), ("b", 1), ("c", 0)]));
    let tests = [
        Test::Under(Cgroup, set_of(&["/a"])),
        Test::StartsWith(Cgroup, "/ab".into()),
        Test::EndsWith(Cgroup, "b".into()),
    ];
    assert_eq!(
        witnesses(&tests),
        of(&[
            ("/", 0),
            ("/a", 1),
            ("/a/b", 5),
            ("/ab", 6),
            ("/aba", 2),
            ("/b", 4),
        ])
    );
    let all = build(&[Test::Under(Cgroup, set_of(&["/"])), like(Cgroup, "*x*")]);
    assert!(
        all.classes()
            .iter()
            .all(|class| class.witness.is_none() || class.signature[0] & 1 == 1)
    );
}

#[test]
fn regular_expressions_are_searched_for() {
    let tests = [matches(Cmdline, "^a+$"), matches(Cmdline, r"\bab\b")];
    let patterns = build(&tests);
    for (text, holds) in [
        ("aaa", 1),
        ("aab", 0),
        ("x ab.", 2),
        ("ab", 2),
        ("éab", 2),
        ("xab", 0),
        ("", 0),
    ] {
        let found = patterns.signature(text).first().copied().unwrap_or(0);
        assert_eq!(found, holds, "{text}");
        assert!(patterns.class(text).is_some());
    }
    // Nothing matches inside of a character.
    let odd = build(&[matches(Cmdline, r"(?-u:\B)")]);
    assert_eq!(odd.signature("aéa"), Vec::<u64>::new());
}

#[test]
fn too_much_is_refused_soon() {
    let start = std::time::Instant::now();
    let half = [Test::Matches(Cmdline, "a.{400}".into())];
    assert_eq!(
        Patterns::build(&half.iter().collect::<Vec<_>>()),
        Err(TooComplex::Alone(0))
    );
    let many: Vec<Test> = (0..40)
        .map(|n| Test::Contains(Cmdline, format!("part{n}x")))
        .collect();
    assert_eq!(
        Patterns::build(&many.iter().collect::<Vec<_>>()),
        Err(TooComplex::Together(39))
    );
    // As many as the reference promises.
    let words = [
        "ninja",
        "python",
        "firefox",
        "--type=renderer",
        "chrome",
        "gradle",
    ];
    let six = words.map(|word| Test::Contains(Cmdline, word.into()));
    assert_eq!(build(&six).classes().len(), 64);
    // Endings do not multiply.
    let many: Vec<Test> = (0..300)
        .map(|n| Test::EndsWith(Cmdline, format!("part{n}x")))
        .collect();
    assert_eq!(build(&many).classes().len(), 301);
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn thousands_of_names_add_up_and_do_not_multiply() {
    let names: Vec<String> = (0..15_000).map(|n| format!("prog{}-{n}", n % 15)).collect();
    let tests = [
        Test::TextIn(Comm, Arc::new(names.into_iter().collect())),
        like(Comm, "*-1?"),
        Test::EndsWith(Comm, "7".into()),
        Test::StartsWith(Comm, "prog1".into()),
    ];
    assert!(witnesses(&tests).len() > 8);
}

fn any_pattern(attribute: Attribute) -> impl Strategy<Value = Test> {
    let part = "[ab/é.]{1,3}";
    prop_oneof![
        part.prop_map(move |p| Test::EndsWith(attribute, p)),
        part.prop_map(move |p| Test::Contains(attribute, p)),
        "([ab/é.]|\\*|\\?|\\[!?[ab]\\]){1,5}".prop_map(move |g| like(attribute, &g)),
        select(vec![
            "^a",
            "b$",
            "a|b",
            "[^a]b",
            r"\bab\b",
            "(?i)A+$",
            "^(ab)*$",
            r"\.",
            "^$",
            "é|/",
            r"(?-u:\B)a",
            "(?m)^a",
        ])
        .prop_map(move |r| matches(attribute, r)),
        part.prop_map(move |p| Test::StartsWith(attribute, p)),
        prop::collection::btree_set("[ab/é.]{0,3}", 1..4)
            .prop_map(move |texts| Test::TextIn(attribute, Arc::new(texts))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_text_is_in_a_class_and_every_witness_in_its_own(
        tests in prop::collection::vec(any_pattern(Cmdline), 1..5),
        texts in prop::collection::vec("[ab/é.c\n]{0,6}", 30),
    ) {
        let patterns = build(&tests);
        for text in texts {
            prop_assert!(patterns.class(&text).is_some(), "{text:?}");
        }
        for (number, class) in patterns.classes().iter().enumerate() {
            let Some(witness) = &class.witness else { continue };
            prop_assert_eq!(patterns.class(witness), Some(number));
        }
    }
}
