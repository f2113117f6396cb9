//! Which blocks and fields there are: one table, one home.
//!
//! The checker reads it to type fields, `explain`, the language reference and
//! the schema of the YAML form print it. A block or field whose engine this
//! version does not have is in the table all the same: it is typed and checked
//! like every other, but what would carry a policy out refuses it by name.

mod table;

use super::attribute::Type;
use super::{types, units};

pub use table::{BLOCKS, STATEMENTS};

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
    /// A ratio in an inclusive range, in parts per million.
    Ratio(i64, i64),
    /// A size in an inclusive range, in bytes.
    Bytes(i64, i64),
    /// `true` or `false`.
    Truth,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A list of tiers.
    Tiers,
    /// A list of attributes that are numbers or truth values.
    Attributes,
    /// The name of a model.
    Model,
    /// A SHA-256 digest in a text, 64 hexadecimal digits.
    Digest,
    /// The path of a file of the pack in a text, relative to the file that it
    /// stands in.
    Path,
    /// CPUs in a text: `"0-3,8"`, `"llc 0"`, `"node 1"`.
    Cpus,
    /// Not a value but a block, of fields `TIER.FIELD = LOW..HIGH`.
    Bounds,
}

impl FieldType {
    /// The inclusive range of a number, in the smallest unit of its type.
    pub fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::Count(low, high)
            | Self::Duration(low, high)
            | Self::Ratio(low, high)
            | Self::Bytes(low, high) => Some((low, high)),
            _ => None,
        }
    }

    /// A number of the type as one would write it.
    pub fn written(self, number: i64) -> String {
        match self {
            Self::Duration(..) => types::duration(number),
            Self::Ratio(..) => units::ratio(number),
            Self::Bytes(..) => units::size(number),
            _ => number.to_string(),
        }
    }
}

/// What it takes to change a field while the scheduler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Changed by a reload.
    Live,
    /// Changed only by detaching and attaching.
    Restart,
}

/// Whether this version can carry out what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// It can.
    There,
    /// It cannot.
    Missing,
}

/// One field of a block.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub ty: FieldType,
    /// Whether it must be given.
    pub required: bool,
    /// What it is when it is left out; none when nothing is.
    pub default: Option<&'static str>,
    /// What it takes to change it.
    pub class: Class,
    /// Whether it is carried out.
    pub engine: Engine,
    /// One sentence.
    pub summary: &'static str,
    /// A value, to show how it is written.
    pub example: &'static str,
}

impl Field {
    const fn new(
        name: &'static str,
        ty: FieldType,
        example: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            name,
            ty,
            required: false,
            default: None,
            class: Class::Live,
            engine: Engine::There,
            summary,
            example,
        }
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn restart(mut self) -> Self {
        self.class = Class::Restart;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn without_engine(mut self) -> Self {
        self.engine = Engine::Missing;
        self
    }

    /// The field as one would write it, `slice = 5ms`.
    pub fn written(&self) -> String {
        match self.ty {
            FieldType::Bounds => format!("{} {}", self.name, self.example),
            _ => format!("{} = {}", self.name, self.example),
        }
    }
}

/// What stands between the word of a block and its brace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Titled {
    /// `tier NAME {`
    Name,
    /// `test "TEXT" {`
    Text,
    /// `rules {`, or `rules NAME {` for a group.
    MaybeName,
    /// `lottery {`
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
    /// Whether an included file may have it.
    pub included: bool,
    /// Whether it is carried out.
    pub engine: Engine,
    /// Its fields; `rules` holds rules, `balance` too, and `test` a task and an
    /// expectation.
    pub fields: &'static [Field],
    /// One sentence.
    pub summary: &'static str,
    /// How it is written.
    pub example: &'static str,
}

/// The units, what each measures and how many of the smallest it is: durations
/// in nanoseconds, ratios in parts per million, sizes in bytes.
pub const UNITS: [(&str, Unit, i64); 9] = [
    ("ns", Unit::Duration, 1),
    ("us", Unit::Duration, MICROSECOND),
    ("ms", Unit::Duration, MILLISECOND),
    ("s", Unit::Duration, SECOND),
    ("%", Unit::Ratio, PERCENT),
    ("B", Unit::Bytes, 1),
    ("KiB", Unit::Bytes, KIB),
    ("MiB", Unit::Bytes, MIB),
    ("GiB", Unit::Bytes, 1 << 30),
];

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const PERCENT: i64 = 10_000;
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;

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
    fn the_table_is_sound() {
        for (index, kind) in BLOCKS.iter().enumerate() {
            assert!(
                BLOCKS
                    .iter()
                    .skip(index + 1)
                    .all(|other| other.word != kind.word),
                "{}",
                kind.word
            );
            for field in kind.fields {
                let name = format!("{}.{}", kind.word, field.name);
                assert!(!(field.required && field.default.is_some()), "{name}");
                assert!(!field.summary.ends_with('.'), "{name}");
            }
        }
    }
}
