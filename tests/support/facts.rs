//! A task as the object sees it: `struct edict_facts`.

use edict::check::Attribute;
use edict::eval::Task;
use edict::image::{Image, layout};

/// `struct edict_facts` of `bpf/intf.h`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Facts {
    pub comm: [u64; 2],
    pub number: [i64; layout::ATTRS],
    pub row: [u32; layout::ATTRS],
    pub known: u32,
    pub pad: u32,
}

impl Facts {
    /// What the object and the agent would find out about the task.
    pub fn new(task: &Task, image: &Image) -> Self {
        let mut facts = Self::default();
        let mut know = |attribute: Attribute| facts.known |= 1 << attribute as u32;
        if let Some(comm) = task.text(Attribute::Comm) {
            know(Attribute::Comm);
            let mut bytes = [0_u8; 16];
            bytes[..comm.len()].copy_from_slice(comm.as_bytes());
            facts.comm = [
                u64::from_le_bytes(bytes[..8].try_into().unwrap()),
                u64::from_le_bytes(bytes[8..].try_into().unwrap()),
            ];
        }
        for attribute in [Attribute::Exe, Attribute::Cgroup] {
            facts.row[attribute as usize] = layout::ROW_UNKNOWN;
            if let Some(value) = task.text(attribute) {
                facts.known |= 1 << attribute as u32;
                facts.row[attribute as usize] = image.agent_row(attribute, value);
            }
        }
        for attribute in [
            Attribute::Nice,
            Attribute::Uid,
            Attribute::RuntimeAvg,
            Attribute::WakeRate,
        ] {
            if let Some(value) = task.number(attribute) {
                facts.known |= 1 << attribute as u32;
                facts.number[attribute as usize] = value;
            }
        }
        if let Some(kthread) = task.truth(Attribute::Kthread) {
            facts.known |= 1 << Attribute::Kthread as u32;
            facts.number[Attribute::Kthread as usize] = i64::from(kthread);
        }
        facts
    }

    pub fn bytes(&self) -> [u8; 408] {
        let mut bytes = [0; 408];
        let mut at = 0;
        let mut put = |piece: &[u8]| {
            bytes[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        };
        self.comm.iter().for_each(|word| put(&word.to_le_bytes()));
        self.number.iter().for_each(|word| put(&word.to_le_bytes()));
        self.row.iter().for_each(|word| put(&word.to_le_bytes()));
        put(&self.known.to_le_bytes());
        put(&self.pad.to_le_bytes());
        bytes
    }
}
