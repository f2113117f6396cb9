//! Slots: what one look-up of the classifier answers, and who looks.
//!
//! An attribute has one slot, which bears its number. A text that the kernel
//! reads has a second one for the conditions that look inside of it: names and
//! prefixes are looked up in the kernel, patterns by the agent, and the rows of
//! both are ANDed like those of two attributes. So a task whose name the agent
//! has not been asked about yet is still told apart by that name.

use std::fmt;

use crate::check::{ATTRIBUTES, Attribute, Source, Test};

/// Where the class of a value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The object reads the value and looks the class up.
    Kernel,
    /// The agent reads the value, looks the class up and tells the object.
    Agent,
}

/// An attribute, or the patterns on one, as a place for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u8);

/// The texts that the kernel reads, in the order of their slots for patterns,
/// which follow those of the attributes.
const APART: [Attribute; 2] = [Attribute::Comm, Attribute::ParentComm];

impl Slot {
    /// How many slots there are.
    pub const COUNT: usize = Attribute::COUNT + APART.len();
    /// The patterns on `comm`.
    pub const COMM_PATTERNS: Self = Self(Attribute::COUNT as u8);
    /// The patterns on `parent.comm`.
    pub const PARENT_COMM_PATTERNS: Self = Self(Attribute::COUNT as u8 + 1);

    /// The slot of an attribute.
    pub fn of(attribute: Attribute) -> Self {
        Self(attribute as u8)
    }

    /// The slot that answers a test.
    pub fn of_test(test: &Test) -> Self {
        match test.attribute() {
            Attribute::Comm if test.is_pattern() => Self::COMM_PATTERNS,
            Attribute::ParentComm if test.is_pattern() => Self::PARENT_COMM_PATTERNS,
            attribute => Self::of(attribute),
        }
    }

    /// Every slot, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        let apart = [Self::COMM_PATTERNS, Self::PARENT_COMM_PATTERNS];
        let own = ATTRIBUTES.iter().map(|about| Self::of(about.attribute));
        own.chain(apart)
    }

    /// Its number, below [`Slot::COUNT`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Whether it holds only the patterns on its attribute, which has another
    /// slot for everything else.
    pub fn is_patterns(self) -> bool {
        self.index() >= Attribute::COUNT
    }

    /// The attribute that is read.
    pub fn attribute(self) -> Attribute {
        let own = ATTRIBUTES.get(self.index()).map(|about| about.attribute);
        let apart = || {
            APART
                .get(self.index().checked_sub(Attribute::COUNT)?)
                .copied()
        };
        // INVARIANT: a slot is made only here, of an attribute or of `APART`.
        own.or_else(apart).unwrap_or(Attribute::Comm)
    }

    /// Who finds the class of its values.
    pub fn placement(self) -> Placement {
        match self.attribute().about().source {
            Source::Kernel if !self.is_patterns() => Placement::Kernel,
            Source::Kernel | Source::Agent | Source::System => Placement::Agent,
        }
    }
}

/// The attribute's own.
impl From<Attribute> for Slot {
    fn from(attribute: Attribute) -> Self {
        Self::of(attribute)
    }
}

/// `nice`, and `comm patterns`.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attribute())?;
        if self.is_patterns() {
            write!(f, " patterns")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_numbered_and_know_their_attribute() {
        for (index, slot) in Slot::all().enumerate() {
            assert_eq!(slot.index(), index);
            assert_eq!(slot.is_patterns(), index >= Attribute::COUNT);
        }
        assert_eq!(Slot::all().count(), Slot::COUNT);
        assert_eq!(Slot::COMM_PATTERNS.attribute(), Attribute::Comm);
        assert_eq!(
            Slot::PARENT_COMM_PATTERNS.attribute(),
            Attribute::ParentComm
        );
    }

    #[test]
    fn only_texts_that_the_kernel_reads_are_parted() {
        for about in ATTRIBUTES {
            let pattern = Slot::of_test(&Test::Contains(about.attribute, "x".into()));
            let apart = about.ty == crate::check::Type::Text && about.source == Source::Kernel;
            assert_eq!(pattern.is_patterns(), apart, "{}", about.name);
            assert_eq!(pattern.attribute(), about.attribute);
            let name = Slot::of_test(&Test::StartsWith(about.attribute, "x".into()));
            assert_eq!(name, Slot::of(about.attribute));
            if apart {
                assert_eq!(name.placement(), Placement::Kernel);
                assert_eq!(pattern.placement(), Placement::Agent);
            }
        }
    }
}
