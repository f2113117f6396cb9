//! The rows of one bank, from what the agent has read.

use std::sync::Arc;

use super::questions::{Cgroup, Found};
use super::request::{Key, ProcessRows, comm_text};
use super::tables::{Active, ROWS, SYSTEM_ROWS};
use crate::check::{Attribute, Value};
use crate::image::{Image, layout::ROW_UNKNOWN};
use crate::plan::Slot;

/// What the machine as a whole is asked for, in the order of its rows.
pub(super) const OF_SYSTEM: [Attribute; SYSTEM_ROWS] = [
    Attribute::CpuUtil,
    Attribute::Load,
    Attribute::Imbalance,
    Attribute::PsiCpu,
    Attribute::OnBattery,
    Attribute::Ncpu,
];
/// A bank and what it was filled from.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    pub(super) active: Active,
    pub(super) image: Arc<Image>,
    /// What it was told last about the machine.
    pub(super) system: [u32; SYSTEM_ROWS],
}

impl Filled {
    pub(super) fn new(active: Active, image: &Arc<Image>) -> Self {
        Self {
            active,
            image: Arc::clone(image),
            system: [ROW_UNKNOWN; SYSTEM_ROWS],
        }
    }

    pub(super) fn uses_any(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().any(|one| self.image.uses(*one))
    }

    fn row(&self, attribute: Attribute, value: Option<&str>) -> u32 {
        row(&self.image, Slot::of(attribute), value)
    }

    pub(super) fn of_process(&self, found: &Found) -> ProcessRows {
        ProcessRows {
            exe: self.row(Attribute::Exe, found.exe.as_deref()),
            cmdline: self.row(Attribute::Cmdline, found.cmdline.as_deref()),
        }
    }

    pub(super) fn of_cgroup(&self, cgroup: &Cgroup) -> [u32; ROWS] {
        [
            self.row(Attribute::Cgroup, Some(&cgroup.path)),
            self.row(Attribute::Container, cgroup.container.as_deref()),
            self.row(Attribute::Unit, cgroup.unit.as_deref()),
        ]
    }

    pub(super) fn of_user(&self, name: &str) -> [u32; ROWS] {
        [
            self.row(Attribute::User, Some(name)),
            ROW_UNKNOWN,
            ROW_UNKNOWN,
        ]
    }

    /// The rows of a comm, if the policy has such patterns.
    pub(super) fn of_name(&self, key: Key) -> Option<[u32; ROWS]> {
        let (slot, words) = match key {
            Key::Comm(words) => (Slot::COMM_PATTERNS, words),
            Key::ParentComm(words) => (Slot::PARENT_COMM_PATTERNS, words),
            Key::Cgroup(_) | Key::User(_) => return None,
        };
        let row = || row(&self.image, slot, Some(&comm_text(words)));
        self.image
            .uses_slot(slot)
            .then(|| [row(), ROW_UNKNOWN, ROW_UNKNOWN])
    }

    pub(super) fn of_system(&self, sample: &[(Attribute, Value)]) -> [u32; SYSTEM_ROWS] {
        OF_SYSTEM.map(|attribute| {
            let value = sample.iter().find(|(known, _)| *known == attribute);
            let number = match value {
                Some((_, Value::Number(number))) => *number,
                Some((_, Value::Truth(truth))) => i64::from(*truth),
                Some((_, Value::Text(_))) | None => return ROW_UNKNOWN,
            };
            self.image.agent_row_of_number(Slot::of(attribute), number)
        })
    }
}

fn row(image: &Image, slot: Slot, value: Option<&str>) -> u32 {
    value.map_or(ROW_UNKNOWN, |value| image.agent_row(slot, value))
}
