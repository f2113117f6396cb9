//! Names for what is in force and for what is about to be.

use std::sync::Arc;

use super::agent_rows::Claim;
use super::tables::Active;
use crate::image::{Digest, Image};

/// A generation in force: its number, from 1 on, and what it consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Greater than that of any policy prepared before: what was prepared and
    /// never put in force leaves a gap, and rows told for it are nobody else's.
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
    /// Until then the agent tells this bank what it tells the one in force.
    pub(super) _claim: Claim,
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
