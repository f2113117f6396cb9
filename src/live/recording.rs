//! What the scheduler decides while somebody records: each stretch of time that
//! a task has a CPU, and each commit.

use std::sync::{Arc, Mutex, PoisonError};

use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};
use serde::{Deserialize, Serialize};

use super::error::LiveError;
use super::request::{comm_text, put, word32, word64};
use super::tables::{Active, Tables};
use crate::check::{RuleId, TierId};

/// Bytes of `struct edict_traced`.
const RECORD: usize = 72;
/// Bytes of `struct edict_record`.
const REQUEST: usize = 24;

/// How a task got its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It won a draw between the tiers.
    Drawn,
    /// Nobody else wanted that CPU.
    Direct,
    /// It interrupted another tier.
    Preempt,
    /// It would have waited too long.
    Due,
}

/// The time for which a task had a CPU: until it left it, or to the end of a
/// slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// On the clock of the scheduler.
    pub begun_ns: u64,
    /// On the same clock.
    pub ended_ns: u64,
    /// How long it had waited for it; 0 if it kept its CPU.
    pub waited_ns: u64,
    /// The CPU.
    pub cpu: u32,
    /// The task.
    pub pid: u32,
    /// Its process.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    /// Its tier.
    pub tier: TierId,
    /// The rule that took it.
    pub rule: RuleId,
    /// How it got the CPU.
    pub how: How,
    /// The generation that tier and rule belong to.
    pub generation: u64,
    /// Whether it would have gone on, or did.
    pub is_runnable: bool,
    /// Whether it goes on with a run that another class interrupted.
    pub is_resumed: bool,
    /// Whether it began before the recording, which is when it is said to begin.
    pub is_cut: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A task had a CPU.
    Ran(Stretch),
    /// A policy was put in force.
    Committed {
        /// On the clock of the scheduler.
        at_ns: u64,
        /// Its number.
        generation: u64,
    },
}

impl Happening {
    fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < RECORD {
            return None;
        }
        let ended_ns = word64(bytes, 8);
        let generation = Active::from_word(word64(bytes, 24)).generation;
        let flags = word32(bytes, 52);
        let decided = word32(bytes, 44);
        match word32(bytes, 48) {
            0 => Some(Self::Ran(Stretch {
                begun_ns: word64(bytes, 0),
                ended_ns,
                waited_ns: word64(bytes, 16),
                pid: word32(bytes, 32),
                tgid: word32(bytes, 36),
                cpu: word32(bytes, 40),
                rule: RuleId((decided & 0xffff) as u16),
                tier: TierId((decided >> 16 & 0xff) as u8),
                how: match decided >> 24 {
                    0 => How::Drawn,
                    2 => How::Preempt,
                    3 => How::Due,
                    _ => How::Direct,
                },
                generation,
                is_runnable: flags & 1 != 0,
                is_resumed: flags & 2 != 0,
                is_cut: flags & 4 != 0,
                comm: comm_text([word64(bytes, 56), word64(bytes, 64)]),
            })),
            1 => Some(Self::Committed {
                at_ns: ended_ns,
                generation,
            }),
            _ => None,
        }
    }

    fn at_ns(&self) -> u64 {
        match self {
            Self::Ran(stretch) => stretch.ended_ns,
            Self::Committed { at_ns, .. } => *at_ns,
        }
    }
}

/// How a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// On the clock of the scheduler.
    pub at_ns: u64,
    /// So much happened for which there was no room.
    pub lost: u64,
}

/// A recording that is on; dropping it turns it off. It may outlive the object,
/// and then hears nothing more.
#[derive(Debug)]
pub struct Recording {
    tables: Arc<Tables>,
    ring: RingBuffer<'static>,
    heard: Arc<Mutex<Vec<Happening>>>,
    began_ns: u64,
    is_on: bool,
}

impl Recording {
    /// Turns it on. The object refuses a second one.
    pub(super) fn begin(tables: &Arc<Tables>) -> Result<Self, LiveError> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let trace = MapHandle::try_from(&tables.trace)
            .map_err(LiveError::kernel("opening the ring of a recording"))?;
        let mut builder = RingBufferBuilder::new();
        let to = Arc::clone(&heard);
        builder
            .add(&trace, move |bytes| {
                if let Some(happening) = Happening::parse(bytes) {
                    to.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(happening);
                }
                0
            })
            .map_err(LiveError::kernel("opening the ring of a recording"))?;
        let ring = builder
            .build()
            .map_err(LiveError::kernel("opening the ring of a recording"))?;
        // What a recording before this one has left.
        let _ = ring.consume();
        heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (began_ns, _) = turn(tables, true)?;
        Ok(Self {
            tables: Arc::clone(tables),
            ring,
            heard,
            began_ns,
            is_on: true,
        })
    }

    /// When it began, on the clock of the scheduler.
    pub fn began_ns(&self) -> u64 {
        self.began_ns
    }

    /// What has happened since the last time, in the order of its ends, but no
    /// more of it than that.
    pub fn read(&mut self, most: usize) -> Vec<Happening> {
        // Nothing fails here but the callback, which does not.
        let _ = self.ring.consume_raw_n(most);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut happened = std::mem::take(&mut *heard);
        // The last of the one before may have come while this one was turned on.
        happened.retain(|happening| happening.at_ns() >= self.began_ns);
        happened
    }

    /// Turns it off. What happened before can still be read.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn end(&mut self) -> Result<Closed, LiveError> {
        let (at_ns, _) = turn(&self.tables, false)?;
        self.is_on = false;
        // Whoever saw that it was on has told by then, or lost, what it had to tell.
        self.tables.wait_out_callbacks()?;
        let (_, lost) = turn(&self.tables, false)?;
        Ok(Closed { at_ns, lost })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.is_on
            && let Err(error) = turn(&self.tables, false)
        {
            log::error!("ending a recording: {error}");
        }
    }
}

/// Turns recording on or off; when, and what was lost.
fn turn(tables: &Tables, on: bool) -> Result<(u64, u64), LiveError> {
    let mut context = [0; REQUEST];
    put(&mut context, 16, &u32::from(on).to_le_bytes());
    tables
        .record
        .run(&mut context)
        .map_err(LiveError::io("recording"))?;
    Ok((word64(&context, 0), word64(&context, 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        for (at, word) in [(0, 100_u64), (8, 250), (16, 7), (24, 5 << 1 | 1)] {
            put(&mut bytes, at, &word.to_le_bytes());
        }
        for (at, word) in [(32, 4711_u32), (36, 4700), (40, 3), (48, kind), (52, 5)] {
            put(&mut bytes, at, &word.to_le_bytes());
        }
        put(&mut bytes, 44, &[0x01, 0x01, 2, 3]);
        put(&mut bytes, 56, b"nginx");
        bytes
    }

    #[test]
    fn a_record_says_what_the_object_has_written() {
        let Some(Happening::Ran(stretch)) = Happening::parse(&record(0)) else {
            panic!("no stretch");
        };
        let expected = Stretch {
            begun_ns: 100,
            ended_ns: 250,
            waited_ns: 7,
            cpu: 3,
            pid: 4711,
            tgid: 4700,
            comm: "nginx".into(),
            tier: TierId(2),
            rule: RuleId(257),
            how: How::Due,
            generation: 5,
            is_runnable: true,
            is_resumed: false,
            is_cut: true,
        };
        assert_eq!(stretch, expected);
        let committed = Happening::Committed {
            at_ns: 250,
            generation: 5,
        };
        assert_eq!(Happening::parse(&record(1)), Some(committed));
        assert_eq!(Happening::parse(&record(2)), None);
        assert_eq!(Happening::parse(&record(0)[..RECORD - 1]), None);
    }
}
