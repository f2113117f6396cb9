//! The catalogue of codes: one row for each, and a page for each in
//! `docs/errors/`, which is compiled in so that `edict explain CODE` works
//! offline.
//!
//! A code is never used for something else later; E0504 was one. The first letter is the
//! severity, the first two digits are the kind: 00 files, 01 syntax, 02 names
//! and rules, 03 types and units, 04 limits, 05 not in this version, 06 the
//! environment.

use std::fmt;

use super::Severity;

macro_rules! catalogue {
    ($($code:ident $title:literal;)*) => {
        /// An entry of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// The code as it is printed, like `E0203`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            /// What the code stands for, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)* }
            }
        }

        /// The page about a code, in Markdown.
        pub fn page(code: Code) -> &'static str {
            match code {
                $(Code::$code => include_str!(concat!("../../docs/errors/", stringify!($code), ".md")),)*
            }
        }
    };
}

catalogue! {
    E0001 "no such policy file";
    E0002 "no permission to read the policy";
    E0003 "the directory has no policy";
    E0004 "not a regular file";
    E0005 "others may write the policy";
    E0006 "the file is too large";
    E0007 "the text is not UTF-8";
    E0008 "the policy is empty";
    E0009 "the policy changed while it was read";
    E0010 "a path leaves the pack";
    E0011 "a file includes itself";
    E0012 "too many includes";
    E0013 "the policy cannot be read";
    E0014 "the policy cannot be written";
    E0101 "unexpected text";
    E0102 "an operator of another language";
    E0103 "`and` mixed with `or`";
    E0104 "a chain of comparisons";
    E0105 "a unit apart from its number";
    E0106 "text without double quotes";
    E0107 "text without an end";
    E0108 "an unknown escape in a text";
    E0109 "a separator that is not needed";
    E0110 "`not` in front of a comparison";
    E0111 "a malformed number";
    E0112 "a word of another language";
    E0113 "a text that formatting would change";
    E0114 "an include that is a comment";
    E0120 "an unknown key in YAML";
    E0121 "a key given twice in YAML";
    E0122 "a YAML tag";
    E0123 "a YAML anchor, alias or merge key";
    E0124 "malformed YAML";
    E0125 "several YAML documents";
    E0126 "a YAML value that is read in two ways";
    E0127 "YAML of the wrong shape";
    E0128 "a YAML comment in an expression";
    E0129 "something missing in YAML";
    E0130 "a YAML key or value that is not a name";
    E0131 "a policy in both forms";
    E0132 "YAML that is to be formatted";
    E0133 "a policy that has no YAML form";
    E0201 "an unknown attribute";
    E0202 "an unknown tier";
    E0203 "a rule that can never be reached";
    E0204 "a condition that never holds";
    E0205 "a condition that always holds";
    E0206 "an unknown block or statement";
    E0207 "an unknown field";
    E0208 "an unknown name";
    E0209 "no `otherwise` rule";
    E0210 "`otherwise` is not the last rule";
    E0211 "a name defined twice";
    E0212 "a block that may stand only once";
    E0213 "a label used twice";
    E0214 "no `policy` block";
    E0215 "no `language` line";
    E0216 "a language version that this edict does not know";
    E0217 "no `rules` block";
    E0218 "no tier";
    E0219 "something in the wrong place";
    E0220 "a block that an included file cannot have";
    E0221 "a field given twice";
    E0222 "a block with the wrong name part";
    E0223 "a tier that preempts itself";
    E0224 "a name used above its definition";
    E0225 "a name that is taken by the language";
    E0226 "a test without a task or an expectation";
    E0227 "an unknown rule";
    E0228 "an expectation that contradicts the rules";
    E0229 "too many of a kind";
    E0230 "an unknown group of rules";
    E0231 "a group of rules placed twice";
    E0232 "groups of rules that use each other in a circle";
    E0233 "`otherwise` in a group of rules";
    E0234 "an override that names no tier";
    E0235 "a rule of `balance` that cannot be";
    E0236 "a block without a field that it needs";
    E0237 "bounds that cannot be";
    E0238 "a field that means nothing without another";
    E0239 "an unknown model";
    E0240 "a file that is there to be included";
    E0241 "a kernel that cannot carry the policy out";
    W0201 "a constant or set that nothing uses";
    W0202 "a tier that no rule leads to";
    W0203 "a member of a set given twice";
    W0204 "rules that overlap";
    W0205 "a pattern without a wildcard";
    W0206 "a pattern of the other kind";
    W0207 "a wildcard where it is an ordinary character";
    W0210 "a text that is not what it looks like";
    W0211 "a group of rules that nothing places";
    W0212 "a model that nothing asks";
    E0301 "a value of the wrong type";
    E0302 "a number without a unit";
    E0303 "an unknown unit";
    E0304 "a value outside its range";
    E0305 "a comparison that is always true or always false";
    E0306 "a task name longer than 15 bytes";
    E0307 "a malformed path";
    E0308 "an operator that the attribute does not have";
    E0309 "a truth value that is compared";
    E0310 "an overflow in a calculation";
    E0311 "a set that cannot be";
    E0312 "an unknown choice";
    E0313 "a promise shorter than a slice";
    E0314 "a comparison without an attribute on its left";
    E0315 "text that cannot be";
    E0317 "a range that ends before it begins";
    E0318 "a name that the attribute cannot have";
    E0319 "a malformed pattern of `like`";
    E0320 "a malformed regular expression";
    E0321 "a model that is not asked as one";
    E0322 "a function, which the language has not";
    E0401 "too many tiers";
    E0402 "too many rules";
    E0403 "too many clauses";
    E0404 "too many names";
    E0405 "too many numbers";
    E0406 "too many prefixes";
    E0407 "nested too deeply";
    E0408 "text too long";
    E0409 "too many classes of values";
    E0411 "a pattern that is too complex";
    E0412 "too many patterns together";
    E0420 "too many comparisons in all clauses";
    E0506 "a block that this version cannot carry out";
    E0507 "a field that this version cannot carry out";
    E0601 "the kernel has no sched_ext";
    E0602 "not permitted";
    E0603 "the kernel has no BTF";
    E0604 "another scheduler is attached";
    E0605 "the kernel refused the object";
    E0606 "the kernel's kfunc prototypes are unsound";
    E0607 "the kernel ejected the scheduler";
    E0608 "edict is already running";
    E0609 "no running edict";
    E0610 "built without the feature `live`";
    E0611 "a backend that is not in this version";
    E0612 "CPUs are isolated";
    E0613 "a change that needs a restart";
    W0601 "CPUs that this machine does not have";
    W0602 "a performance level that nothing listens to";
    E0620 "a test of the policy failed";
    E0621 "too few rules are covered by tests";
    E0622 "a snapshot that cannot be used";
    E0630 "a task was not run in time";
    E0631 "the kernel found a fault in the scheduler";
    E0632 "ejected by SysRq-S";
    E0633 "a CPU came or went";
    E0634 "detached by somebody else";
}

impl Code {
    /// The code of that name, in either case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str().eq_ignore_ascii_case(name))
    }

    /// The severity that the first letter stands for.
    pub fn severity(self) -> Severity {
        if self.as_str().starts_with('W') {
            Severity::Warning
        } else {
            Severity::Error
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_open_with_their_code_and_title() {
        for code in Code::ALL {
            let heading = format!("# {code}: {}\n", code.title());
            assert!(page(*code).starts_with(&heading), "{code}");
            assert_eq!(Code::by_name(&code.as_str().to_lowercase()), Some(*code));
        }
    }

    #[test]
    fn codes_are_in_order_and_titles_differ() {
        let titles: std::collections::BTreeSet<_> = Code::ALL.iter().map(|c| c.title()).collect();
        assert_eq!(titles.len(), Code::ALL.len());
    }
}
