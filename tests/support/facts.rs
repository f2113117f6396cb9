//! A task as the object sees it: `struct edict_facts`.

use edict::check::{ATTRIBUTES, Attribute, Source, Type, Value};
use edict::eval::Task;
use edict::image::{Image, layout};
use edict::plan::Slot;

/// `struct edict_facts` of `bpf/intf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Facts {
    pub known: u64,
    pub comm: [u64; 2],
    pub parent_comm: [u64; 2],
    pub value: [i64; layout::SLOTS],
    /// Room for the classifier's notes.
    pub left: [u64; 16],
}

impl Default for Facts {
    fn default() -> Self {
        // What is not known is not to be read: rows and numbers that would show.
        Self {
            known: 0,
            comm: [u64::MAX; 2],
            parent_comm: [u64::MAX; 2],
            value: [-1; layout::SLOTS],
            left: [0; 16],
        }
    }
}

impl Facts {
    /// What the object and the agent would find out about the task.
    pub fn new(task: &Task, image: &Image) -> Self {
        let mut facts = Self::default();
        for about in ATTRIBUTES {
            let Some(value) = task.value(about.attribute) else {
                continue;
            };
            let slot = Slot::of(about.attribute);
            match (about.source, about.ty, value) {
                (Source::Kernel, Type::Text, Value::Text(text)) => {
                    facts.know(slot, 0);
                    let patterns = match about.attribute {
                        Attribute::ParentComm => {
                            facts.parent_comm = words(text);
                            Slot::PARENT_COMM_PATTERNS
                        }
                        _ => {
                            facts.comm = words(text);
                            Slot::COMM_PATTERNS
                        }
                    };
                    facts.know_row(patterns, image.agent_row(patterns, text));
                }
                (Source::Kernel, _, value) => facts.know(slot, number(value)),
                (_, _, Value::Text(text)) => facts.know_row(slot, image.agent_row(slot, text)),
                (_, _, value) => {
                    facts.know_row(slot, image.agent_row_of_number(slot, number(value)));
                }
            }
        }
        facts
    }

    fn know(&mut self, slot: Slot, value: i64) {
        self.known |= 1 << slot.index();
        self.value[slot.index()] = value;
    }

    /// As the object does: a row that nobody has told is no row.
    fn know_row(&mut self, slot: Slot, row: u32) {
        if row != layout::ROW_UNKNOWN {
            self.know(slot, i64::from(row));
        }
    }

    pub const SIZE: usize = 40 + layout::SLOTS * 8 + 16 * 8;

    pub fn bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let words = [self.known]
            .into_iter()
            .chain(self.comm)
            .chain(self.parent_comm);
        let words = words.chain(self.value.map(i64::cast_unsigned));
        for (to, from) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        bytes
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Number(number) => *number,
        Value::Truth(truth) => i64::from(*truth),
        Value::Text(text) => panic!("{text} is no number"),
    }
}

fn words(comm: &str) -> [u64; 2] {
    let mut bytes = [0_u8; 16];
    bytes[..comm.len()].copy_from_slice(comm.as_bytes());
    [
        u64::from_le_bytes(bytes[..8].try_into().unwrap()),
        u64::from_le_bytes(bytes[8..].try_into().unwrap()),
    ]
}
