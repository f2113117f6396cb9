//! The classifier compiled for the host.
#![allow(unsafe_code, reason = "it is C, called")]

use super::facts::Facts;
use edict::image::{Image, layout};

#[link(name = "edict_classify", kind = "static")]
unsafe extern "C" {
    fn edict_host_classify(bank: *const u64, facts: *mut Facts) -> i32;
    fn edict_host_layout(what: u32) -> u64;
}

/// A bank in memory that is aligned as the struct is.
pub struct HostBank(Vec<u64>);

impl HostBank {
    pub fn new(image: &Image) -> Self {
        Self::of_bytes(image.bank())
    }

    /// Any bytes, as many as a bank has.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), layout::bank::SIZE);
        let word = |word: &[u8]| u64::from_le_bytes(word.try_into().unwrap());
        Self(bytes.chunks_exact(8).map(word).collect())
    }

    /// Rule and tier, or none when no clause holds.
    pub fn classify(&self, facts: &Facts) -> Option<(u16, u8)> {
        // SAFETY: the vector holds exactly one `struct edict_bank`, aligned to
        // its strictest member; `Facts` mirrors `struct edict_facts`. The
        // function reads both and keeps neither.
        verdict(unsafe { edict_host_classify(self.0.as_ptr(), &mut facts.clone()) })
    }
}

/// Rule and tier of what the classifier returns.
pub fn verdict(packed: i32) -> Option<(u16, u8)> {
    (packed >= 0).then_some(((packed >> 8) as u16, packed as u8))
}

/// A size or offset as the C compiler has it.
pub fn c_layout(what: usize) -> u64 {
    // SAFETY: the function takes any number.
    unsafe { edict_host_layout(what as u32) }
}
