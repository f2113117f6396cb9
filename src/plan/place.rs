//! Who evaluates an attribute: the kernel, or the agent on the kernel's behalf.

use crate::check::{Attribute, Source};

/// Where the class of a value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The object reads the value and looks the class up.
    Kernel,
    /// The agent reads the value, looks the class up and tells the object.
    Agent,
}

/// The placement of an attribute.
pub(super) fn place(attribute: Attribute) -> Placement {
    match attribute.about().source {
        Source::Kernel => Placement::Kernel,
        Source::Agent | Source::System => Placement::Agent,
    }
}
