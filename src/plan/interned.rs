//! The tests of a policy, each once.
//!
//! A rule that names a set of thousands shares it with the policy, so such a set
//! is looked at when it is first met and known by its address from then on.
//! Globs that say no more than a name or the beginning or end of one become
//! that, for names and prefixes need no agent.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use crate::check::{Attribute, COMM_BYTES, Test};

/// Where the set of a test stands in the policy, what kind of test it is, and of
/// what.
type Address = (usize, Discriminant<Test>, Attribute);

/// The tests that are known.
#[derive(Default)]
pub(super) struct Tests {
    known: HashSet<Known>,
    shared: HashMap<Address, Arc<Test>>,
}

impl Tests {
    /// The one test that is equal to this of the policy, which lives as long as
    /// this does.
    pub(super) fn shared(&mut self, test: &Test) -> Arc<Test> {
        let Some(address) = address(test) else {
            return self.made(plain(test).unwrap_or_else(|| test.clone()));
        };
        if let Some(known) = self.shared.get(&address) {
            return Arc::clone(known);
        }
        let one = self.made(test.clone());
        self.shared.insert(address, Arc::clone(&one));
        one
    }

    /// The one test that is equal to this.
    pub(super) fn made(&mut self, test: Test) -> Arc<Test> {
        let test = Known(Arc::new(test));
        if let Some(Known(known)) = self.known.get(&test) {
            return Arc::clone(known);
        }
        let one = Arc::clone(&test.0);
        self.known.insert(test);
        one
    }
}

fn address(test: &Test) -> Option<Address> {
    let at = match test {
        Test::TextIn(_, set) | Test::Under(_, set) => Arc::as_ptr(set) as usize,
        Test::NumberIn(_, set) => Arc::as_ptr(set) as usize,
        _ => return None,
    };
    Some((at, discriminant(test), test.attribute()))
}

/// A glob whose only special characters are a star at an end, as the test that
/// says the same; none for any other test.
fn plain(test: &Test) -> Option<Test> {
    let Test::Like(attribute, glob) = test else {
        return None;
    };
    let (ahead, rest) = match glob.strip_prefix('*') {
        Some(rest) => (true, rest),
        None => (false, &**glob),
    };
    let (behind, text) = match rest.strip_suffix('*') {
        Some(text) => (true, text),
        None => (false, rest),
    };
    if text.is_empty() || text.contains(['*', '?', '[', ']', '\\']) {
        return None;
    }
    let text = text.to_owned();
    match (ahead, behind) {
        (true, true) => Some(Test::Contains(*attribute, text)),
        (true, false) => Some(Test::EndsWith(*attribute, text)),
        // The tables hold no name that is longer than a name can be.
        (false, _)
            if matches!(attribute, Attribute::Comm | Attribute::ParentComm)
                && text.len() > COMM_BYTES =>
        {
            None
        }
        (false, true) => Some(Test::StartsWith(*attribute, text)),
        (false, false) => Some(Test::TextIn(*attribute, Arc::new([text].into()))),
    }
}

/// A test that is known by what it says.
#[derive(PartialEq, Eq)]
struct Known(Arc<Test>);

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        discriminant(&*self.0).hash(state);
        self.0.attribute().hash(state);
        match &*self.0 {
            Test::TextIn(_, set) | Test::Under(_, set) => set.hash(state),
            Test::NumberIn(_, set) => set.hash(state),
            Test::StartsWith(_, text) | Test::EndsWith(_, text) | Test::Contains(_, text) => {
                text.hash(state);
            }
            Test::Like(_, text) | Test::Matches(_, text) => text.hash(state),
            Test::Number(_, compare, number) => (compare, number).hash(state),
            Test::IsTrue(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_tests_are_one() {
        let mut tests = Tests::default();
        let set = |name: &str| Arc::new([name.to_owned()].into());
        let a = Test::TextIn(Attribute::Comm, set("a"));
        let same = Test::TextIn(Attribute::Comm, set("a"));
        let one = tests.shared(&a);
        assert!(Arc::ptr_eq(&one, &tests.shared(&a)));
        assert!(Arc::ptr_eq(&one, &tests.shared(&same)));
        for other in [
            Test::TextIn(Attribute::Comm, set("b")),
            Test::TextIn(Attribute::Exe, set("a")),
            Test::Under(Attribute::Exe, set("a")),
            Test::StartsWith(Attribute::Comm, "a".into()),
            Test::EndsWith(Attribute::Comm, "a".into()),
        ] {
            assert!(!Arc::ptr_eq(&one, &tests.shared(&other)), "{other:?}");
        }
    }

    #[test]
    fn globs_that_need_no_agent_lose_their_stars() {
        let like = |glob: &str| plain(&Test::Like(Attribute::Comm, glob.into()));
        assert_eq!(
            like("kworker*"),
            Some(Test::StartsWith(Attribute::Comm, "kworker".into()))
        );
        assert_eq!(
            like("sshd"),
            Some(Test::TextIn(
                Attribute::Comm,
                Arc::new(["sshd".to_owned()].into())
            ))
        );
        assert_eq!(
            like("*-bin"),
            Some(Test::EndsWith(Attribute::Comm, "-bin".into()))
        );
        assert_eq!(
            like("*Web*"),
            Some(Test::Contains(Attribute::Comm, "Web".into()))
        );
        for glob in [
            "*",
            "**",
            "",
            "a*b",
            "a?",
            "[ab]*",
            "a\\*",
            "longer than a name",
        ] {
            assert_eq!(like(glob), None, "{glob}");
        }
        let exe = plain(&Test::Like(Attribute::Exe, "/usr/lib/firefox/*".into()));
        assert_eq!(
            exe,
            Some(Test::StartsWith(Attribute::Exe, "/usr/lib/firefox/".into()))
        );
    }
}
