//! Which blocks and fields there are: one table, one home.
//!
//! The checker reads it to type fields, `explain` and the language reference
//! print it. What belongs to the language but has no engine yet is listed too,
//! so that it is refused by name and never silently accepted.

use super::attribute::Type;

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Any text.
    Text,
    /// A kernel version in a text, `"6.12"`.
    Kernel,
    /// A whole number in an inclusive range.
    Count(i64, i64),
    /// A duration in an inclusive range, in nanoseconds.
    Duration(i64, i64),
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A list of tiers.
    Tiers,
}

/// What it takes to change a field while the scheduler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Changed by a reload.
    Live,
    /// Changed only by detaching and attaching.
    Restart,
}

/// One field of a block.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub ty: FieldType,
    /// What it is when it is left out; none when nothing is.
    pub default: Option<&'static str>,
    /// What it takes to change it.
    pub class: Class,
    /// One sentence.
    pub summary: &'static str,
    /// A value, to show how it is written.
    pub example: &'static str,
}

/// Whether a block has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Titled {
    /// `tier NAME {`
    Name,
    /// `rules {`
    None,
}

/// One kind of block.
#[derive(Debug, Clone, Copy)]
pub struct BlockKind {
    /// The word it starts with.
    pub word: &'static str,
    /// Whether it has a name.
    pub titled: Titled,
    /// Whether there may be several.
    pub many: bool,
    /// Its fields; none for `rules`, which holds rules.
    pub fields: &'static [Field],
    /// One sentence.
    pub summary: &'static str,
}

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// Every block of this version.
pub const BLOCKS: [BlockKind; 4] = [
    BlockKind {
        word: "policy",
        titled: Titled::Name,
        many: false,
        fields: &[
            Field {
                name: "version",
                ty: FieldType::Text,
                default: None,
                class: Class::Live,
                summary: "the version of the policy, for people",
                example: "\"1.0.0\"",
            },
            Field {
                name: "kernel",
                ty: FieldType::Kernel,
                default: None,
                class: Class::Live,
                summary: "the oldest kernel that the policy is meant for",
                example: "\"6.12\"",
            },
        ],
        summary: "names the policy; there is exactly one",
    },
    BlockKind {
        word: "tier",
        titled: Titled::Name,
        many: true,
        fields: &[
            Field {
                name: "tickets",
                ty: FieldType::Count(1, 1_000_000),
                default: Some("100"),
                class: Class::Live,
                summary: "the share of CPU time against the other tiers that have something to run",
                example: "100",
            },
            Field {
                name: "slice",
                ty: FieldType::Duration(100 * MICROSECOND, 100 * MILLISECOND),
                default: Some("5ms"),
                class: Class::Live,
                summary: "how long a task runs before the next one is chosen",
                example: "5ms",
            },
            Field {
                name: "order",
                ty: FieldType::Choice(&["vtime", "fifo"]),
                default: Some("vtime"),
                class: Class::Live,
                summary: "in which order the tasks of the tier run: by virtual time, which nice weighs, or by arrival",
                example: "vtime",
            },
            Field {
                name: "preempt",
                ty: FieldType::Tiers,
                default: Some("[]"),
                class: Class::Live,
                summary: "the tiers whose running tasks a waking task of this tier may interrupt",
                example: "[batch]",
            },
            Field {
                name: "max_wait",
                ty: FieldType::Duration(MILLISECOND, 5 * SECOND),
                default: None,
                class: Class::Live,
                summary: "the longest that a runnable task of the tier may wait; at least the slice",
                example: "100ms",
            },
        ],
        summary: "a class of tasks that are scheduled alike; at least 1, at most 16",
    },
    BlockKind {
        word: "rules",
        titled: Titled::None,
        many: false,
        fields: &[],
        summary: "sends each task to a tier: the first rule that matches decides",
    },
    BlockKind {
        word: "lottery",
        titled: Titled::None,
        many: false,
        fields: &[Field {
            name: "between",
            ty: FieldType::Choice(&["tiers", "strict"]),
            default: Some("tiers"),
            class: Class::Live,
            summary: "how the next tier is chosen: by a lottery weighted by tickets, or always the first in the text that has something to run",
            example: "tiers",
        }],
        summary: "how tiers share the CPUs",
    },
];

/// Statements that are not blocks, and how each is written.
pub const STATEMENTS: [(&str, &str, &str); 4] = [
    (
        "language",
        "language 1",
        "the version of the language; the first line of a policy",
    ),
    (
        "include",
        "include \"../base/sets.edict\"",
        "brings in the constants and sets of another file",
    ),
    ("const", "const base = 3ms", "gives a value a name"),
    (
        "set",
        "set browsers = { \"firefox\", \"chromium\" }",
        "gives a set of texts or numbers a name",
    ),
];

/// Blocks and statements that have no engine yet, and what each is about.
pub const LATER_BLOCKS: [(&str, &str); 7] = [
    ("model", "models that rules can ask"),
    ("balance", "moving tasks between domains"),
    ("learn", "what is remembered of programs"),
    ("reward", "scripts that judge the outcome"),
    ("test", "tests of the policy in its own text"),
    ("override", "changes to what was included"),
    ("use", "groups of rules from included files"),
];

/// Fields that have no engine yet, with their blocks.
pub const LATER_FIELDS: [(&str, &str); 3] = [
    ("lottery", "refill"),
    ("lottery", "compensate"),
    ("lottery", "seed"),
];

/// Choices that have no engine yet, with their fields.
pub const LATER_CHOICES: [(&str, &str); 2] = [("order", "lottery"), ("between", "stride")];

/// The units, what each measures and how many of the smallest it is: durations
/// in nanoseconds, ratios in parts per million, sizes in bytes.
pub const UNITS: [(&str, Unit, i64); 9] = [
    ("ns", Unit::Duration, 1),
    ("us", Unit::Duration, MICROSECOND),
    ("ms", Unit::Duration, MILLISECOND),
    ("s", Unit::Duration, SECOND),
    ("%", Unit::Ratio, 10_000),
    ("B", Unit::Bytes, 1),
    ("KiB", Unit::Bytes, 1 << 10),
    ("MiB", Unit::Bytes, 1 << 20),
    ("GiB", Unit::Bytes, 1 << 30),
];

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Time.
    Duration,
    /// A part of a whole.
    Ratio,
    /// A size.
    Bytes,
}

/// The kind of block that starts with `word`.
pub fn block(word: &str) -> Option<&'static BlockKind> {
    BLOCKS.iter().find(|kind| kind.word == word)
}

impl BlockKind {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Type {
    /// The type with its article, for messages.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Count => "a number",
            Self::Duration => "a duration",
            Self::Ratio => "a ratio",
            Self::Bool => "a truth value",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_later_is_not_here_already() {
        for (word, _) in LATER_BLOCKS {
            assert!(block(word).is_none(), "{word}");
        }
        for (word, name) in LATER_FIELDS {
            assert!(block(word).is_some_and(|kind| kind.field(name).is_none()));
        }
    }
}
