//! Counters and inspections, decoded.

use std::time::Instant;

use libbpf_rs::{MapCore, MapFlags};

use super::agent_rows::AgentRows;
use super::error::LiveError;
use super::request::{comm_text, word32, word64};
use super::tables::{Active, Tables};
use super::waits::{WAIT_BUCKETS, Waits};
use crate::check::{ATTRIBUTES, Attribute, RuleId, Source, TierId, Type};
use crate::eval::Task;
use crate::image::{Image, layout};
use crate::plan::Slot;

/// Bytes of `struct edict_counters` before its rules, and of one of its tiers.
const HEAD: usize = 32;
const RULES: usize = layout::RULES_MAX * 8;
const TIER: usize = 9 * 8 + WAIT_BUCKETS * 8;
/// Bytes of `struct edict_inspect`, and where its facts begin.
pub(super) const INSPECTION: usize = FACTS + 40 + layout::SLOTS * 8 + layout::CLAUSES_MAX / 8;
const FACTS: usize = 40;
/// Where `struct edict_population` counts the tasks that are not asleep.
const RUNNABLE: usize = 8 + layout::TIERS_MAX * 4;

/// What a tier did since its generation was prepared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TierStatistics {
    /// Tasks that are in the tier now, asleep or not.
    pub tasks: u64,
    /// Those of them that run or wait for a CPU, of the classes that it has.
    pub runnable: u64,
    /// CPU time used.
    pub runtime_ns: u64,
    /// Runs begun.
    pub dispatches: u64,
    /// Wake-ups that interrupted another tier.
    pub preemptions: u64,
    /// Runs begun on an idle CPU.
    pub direct: u64,
    /// Runs begun because the longest wait was near.
    pub overdue: u64,
    /// Runs begun under another cache than the last.
    pub migrations: u64,
    /// Draws that its budget kept it from.
    pub throttled: u64,
    /// Times that a task was queued although none of the tier's CPUs is
    /// allowed to it.
    pub strays: u64,
    /// How long its tasks waited.
    pub waits: Waits,
}

/// What was counted since the generation in force was prepared; tiers and
/// rules are in the order of its image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Each tier.
    pub tiers: Vec<TierStatistics>,
    /// How many classifications each rule took.
    pub rules: Vec<u64>,
    /// Classifications.
    pub classifications: u64,
    /// Classifications that no rule took; `otherwise` should have.
    pub unmatched: u64,
    /// Questions that did not reach the agent.
    pub events_lost: u64,
}

impl Statistics {
    pub(super) fn read(tables: &Tables, active: Active, image: &Image) -> Result<Self, LiveError> {
        let per_cpu = tables
            .counters
            .lookup_percpu(&active.bank.to_ne_bytes(), MapFlags::ANY)
            .map_err(LiveError::kernel("reading counters"))?
            .unwrap_or_default();
        let population = tables.population()?;

        let sum = |at: usize| per_cpu.iter().map(|bytes| word64(bytes, at)).sum::<u64>();
        let tiers = (0..image.tiers().len())
            .map(|tier| {
                let at = HEAD + RULES + tier * TIER;
                let waits = (0..WAIT_BUCKETS).map(|bucket| sum(at + 72 + bucket * 8));
                let longest = per_cpu.iter().map(|bytes| word64(bytes, at + 40)).max();
                TierStatistics {
                    tasks: u64::from(word32(&population, 8 + tier * 4)),
                    runnable: u64::from(word32(&population, RUNNABLE + tier * 4)),
                    dispatches: sum(at),
                    runtime_ns: sum(at + 8),
                    preemptions: sum(at + 16),
                    direct: sum(at + 24),
                    overdue: sum(at + 32),
                    migrations: sum(at + 48),
                    throttled: sum(at + 56),
                    strays: sum(at + 64),
                    waits: Waits::new(waits, longest.unwrap_or(0) / 1000),
                }
            })
            .collect();
        Ok(Self {
            tiers,
            rules: (0..image.rules().len())
                .map(|rule| sum(HEAD + rule * 8))
                .collect(),
            classifications: sum(0),
            unmatched: sum(8),
            events_lost: sum(16),
        })
    }
}

/// One task as the object sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its thread id.
    pub pid: u32,
    /// Its process.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    /// What the policy may ask about it; what the object does not know is none.
    pub task: Task,
    /// Its tier.
    pub tier: TierId,
    /// The rule that took it.
    pub rule: RuleId,
    /// The generation that this is said of.
    pub generation: u64,
    /// The performance level that its CPU is asked for, of 1024.
    pub perf: u32,
    /// Who schedules it: `ext` is this object, `rt` and `deadline` the kernel.
    pub class: &'static str,
}

impl Inspection {
    pub(super) fn parse(bytes: &[u8], image: &Image, rows: &AgentRows) -> Self {
        let pid = word32(bytes, 0);
        let tgid = word32(bytes, 4);
        let known = word64(bytes, FACTS);
        let knows = |attribute: Attribute| known & 1 << attribute as u32 != 0;
        let name = |at: usize| comm_text([word64(bytes, at), word64(bytes, at + 8)]);
        let comm = name(FACTS + 8);
        let mut task = Task::default();
        for about in ATTRIBUTES {
            let attribute = about.attribute;
            if about.source != Source::Kernel || !knows(attribute) {
                continue;
            }
            let number = word64(bytes, FACTS + 40 + attribute as usize * 8).cast_signed();
            match (attribute, about.ty) {
                (Attribute::Comm, _) => task.set(attribute, comm.as_str()),
                (Attribute::ParentComm, _) => task.set(attribute, name(FACTS + 24)),
                (_, Type::Bool) => task.set(attribute, number != 0),
                (_, _) => task.set(attribute, number),
            }
        }
        // What the object has not been told yet it does not know, if it asks.
        let told = |attribute: Attribute| !image.uses_slot(Slot::of(attribute)) || knows(attribute);
        let mut say = |attribute: Attribute, text: Option<String>| {
            if let Some(text) = text
                && told(attribute)
            {
                task.set(attribute, text);
            }
        };
        let is_kthread = word64(bytes, FACTS + 40 + Attribute::Kthread as usize * 8) != 0;
        if !is_kthread {
            let process = rows.process(tgid);
            say(Attribute::Exe, process.exe);
            say(Attribute::Cmdline, process.cmdline);
        }
        let uid = word64(bytes, FACTS + 40 + Attribute::Uid as usize * 8);
        say(
            Attribute::User,
            u32::try_from(uid).ok().and_then(|uid| rows.user(uid)),
        );
        if let Some(cgroup) = rows.cgroup(word64(bytes, 16), pid) {
            say(Attribute::Cgroup, Some(cgroup.path));
            say(Attribute::Container, cgroup.container);
            say(Attribute::Unit, cgroup.unit);
        }
        for (attribute, value) in rows.system(Instant::now()) {
            if told(attribute) {
                task.set(attribute, value);
            }
        }
        Self {
            pid,
            tgid,
            task,
            comm,
            rule: RuleId(word32(bytes, 24) as u16),
            tier: TierId(word32(bytes, 28) as u8),
            generation: Active::from_word(word64(bytes, 8)).generation,
            perf: word32(bytes, 36),
            class: match word32(bytes, 32) {
                1 | 2 => "rt",
                6 => "deadline",
                _ => "ext",
            },
        }
    }
}
