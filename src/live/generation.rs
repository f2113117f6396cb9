//! Names for what is in force and for what is about to be.

use std::sync::Arc;

use super::tables::Active;
use crate::image::{Digest, Image};

/// A generation in force: its number, counted from 1, and what it consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// One more than that of the generation before.
    pub number: u64,
    /// The identity of its bank.
    pub digest: Digest,
}

/// A filled bank that is not in force.
///
/// INVARIANT: made only by `prepare`, after the bank was read back; consumed
/// by `commit`, which refuses it when another one was committed meanwhile.
#[derive(Debug)]
pub struct Prepared {
    pub(super) expected: Active,
    pub(super) active: Active,
    pub(super) image: Arc<Image>,
    /// Which preparation: a later one has taken the bank from this one.
    pub(super) serial: u64,
}

impl Prepared {
    /// What it will be called once it is committed.
    pub fn generation(&self) -> Generation {
        Generation {
            number: self.active.generation,
            digest: self.image.digest(),
        }
    }
}
