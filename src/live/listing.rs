//! Every task that the policy schedules, as the object sees it.

use std::io::Read;

use libbpf_rs::{Iter, Link};

use super::error::LiveError;
use super::request::{comm_text, word32, word64};
use super::tables::Active;
use crate::check::{RuleId, TierId};

/// Bytes of `struct edict_listed`.
const LINE: usize = 72;

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its thread id.
    pub pid: u32,
    /// Its process.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    /// The generation that the next two belong to; 0 if it never ran.
    pub generation: u64,
    /// Its tier.
    pub tier: TierId,
    /// The rule that took it.
    pub rule: RuleId,
    /// Where it stands on the virtual clock of its tier.
    pub vtime: u64,
    /// CPU time since its birth.
    pub runtime_ns: u64,
    /// The CPU that it runs on, or ran on last.
    pub cpu: u32,
    /// The weight of its nice value.
    pub weight: u32,
    /// The kernel's priority: 120 at nice 0.
    pub priority: u32,
    /// Whether it runs or waits for a CPU.
    pub is_runnable: bool,
}

impl Listed {
    fn parse(bytes: &[u8]) -> Self {
        Self {
            generation: Active::from_word(word64(bytes, 0)).generation,
            vtime: word64(bytes, 8),
            runtime_ns: word64(bytes, 16),
            pid: word32(bytes, 24),
            tgid: word32(bytes, 28),
            tier: TierId(word32(bytes, 32) as u8),
            rule: RuleId(word32(bytes, 36) as u16),
            cpu: word32(bytes, 40),
            weight: word32(bytes, 44),
            priority: word32(bytes, 48),
            is_runnable: word32(bytes, 52) != 0,
            comm: comm_text([word64(bytes, 56), word64(bytes, 64)]),
        }
    }
}

/// Reads what the iterator behind `link` says of each task.
pub(super) fn read(link: &Link) -> Result<Vec<Listed>, LiveError> {
    let mut bytes = Vec::new();
    Iter::new(link)
        .map_err(LiveError::kernel("listing tasks"))?
        .read_to_end(&mut bytes)
        .map_err(LiveError::io("listing tasks"))?;
    Ok(bytes.chunks_exact(LINE).map(Listed::parse).collect())
}
