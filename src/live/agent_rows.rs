//! Rows that only the agent can tell: those of programs and of cgroups.
//!
//! ```text
//!   prepare ──▶ every process, every cgroup ─┐
//!                                            ├─▶ Values ─▶ row of its class ─▶ bank
//!   object ──▶ events: not known, made, gone ┘
//! ```
//!
//! The bank that is being prepared is announced before it is walked for, so a
//! process that execs meanwhile is told to both banks. What is missed all the
//! same is asked for: a task whose row is unknown makes the object send the
//! question, once for each execution and generation.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use libbpf_rs::{MapHandle, RingBufferBuilder};

use super::error::LiveError;
use super::request::{BATCH, Event, Process};
use super::tables::{Active, Tables};
use crate::check::Attribute;
use crate::image::Image;

/// Where the values of the attributes come from that the kernel cannot
/// evaluate itself.
pub trait Values: Send {
    /// The ids of all processes.
    fn processes(&mut self) -> Vec<u32>;
    /// The path of the program that a process runs.
    fn exe(&mut self, pid: u32) -> Option<String>;
    /// Every cgroup of the version 2 hierarchy: its id and its path.
    fn cgroups(&mut self) -> Vec<(u64, String)>;
    /// The path of one cgroup.
    fn cgroup(&mut self, id: u64) -> Option<String>;
    /// This cgroup is no more.
    fn forget_cgroup(&mut self, id: u64);
}

/// Knows nothing: every such attribute stays unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoValues;

impl Values for NoValues {
    fn processes(&mut self) -> Vec<u32> {
        Vec::new()
    }
    fn exe(&mut self, _pid: u32) -> Option<String> {
        None
    }
    fn cgroups(&mut self) -> Vec<(u64, String)> {
        Vec::new()
    }
    fn cgroup(&mut self, _id: u64) -> Option<String> {
        None
    }
    fn forget_cgroup(&mut self, _id: u64) {}
}

/// So often an open question is looked at again.
const ROUNDS: u32 = 10;

/// A bank and what it was filled from.
#[derive(Debug, Clone)]
struct Filled {
    active: Active,
    image: Arc<Image>,
}

struct State {
    values: Box<dyn Values>,
    banks: [Option<Filled>; 2],
}

/// The agent's side of classification, shared by the owner of the object and
/// the thread that answers it.
#[derive(Clone)]
pub(super) struct AgentRows {
    tables: Arc<Tables>,
    state: Arc<Mutex<State>>,
}

impl AgentRows {
    pub(super) fn new(tables: Arc<Tables>, values: Box<dyn Values>) -> Self {
        Self {
            tables,
            state: Arc::new(Mutex::new(State {
                values,
                banks: [None, None],
            })),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every row of a bank that is about to be committed.
    pub(super) fn prepare(&self, active: Active, image: &Arc<Image>) -> Result<(), LiveError> {
        let mut state = self.state();
        if let Some(bank) = state.banks.get_mut(active.bank as usize & 1) {
            *bank = Some(Filled {
                active,
                image: Arc::clone(image),
            });
        }
        if image.uses(Attribute::Cgroup) {
            let cgroups = state.values.cgroups();
            let known: HashSet<u64> = cgroups.iter().map(|(id, _)| *id).collect();
            for id in self.tables.cgroups_of(active.bank) {
                if !known.contains(&id) {
                    self.tables.forget_cgroup(id);
                }
            }
            for (id, path) in &cgroups {
                let row = image.agent_row(Attribute::Cgroup, path);
                self.tables
                    .fill_cgroup(*id, row, active.generation, active.bank)
                    .map_err(LiveError::kernel("telling the rows of cgroups"))?;
            }
        }
        if image.uses(Attribute::Exe) {
            for pids in state.values.processes().chunks(BATCH) {
                let found = self
                    .tables
                    .processes(pids)
                    .map_err(LiveError::io("looking at processes"))?;
                let rows: Vec<_> = found
                    .into_iter()
                    .filter_map(|process| {
                        let exe = state.values.exe(process.pid)?;
                        Some((process, image.agent_row(Attribute::Exe, &exe)))
                    })
                    .collect();
                self.tables
                    .fill(&rows, active.generation, active.bank)
                    .map_err(LiveError::io("telling the rows of programs"))?;
            }
        }
        Ok(())
    }

    pub(super) fn exe(&self, pid: u32) -> Option<String> {
        self.state().values.exe(pid)
    }

    pub(super) fn cgroup(&self, id: u64) -> Option<String> {
        self.state().values.cgroup(id)
    }

    /// Answers what was asked; gives back what has no answer yet.
    fn answer(&self, events: &[Event]) -> Vec<Event> {
        let mut state = self.state();
        let State { values, banks } = &mut *state;
        let mut programs: Vec<(Process, String)> = Vec::new();
        let mut told = false;
        let mut unanswered = Vec::new();
        for event in events {
            match *event {
                Event::Exe(process) => {
                    if let Some(exe) = values.exe(process.pid) {
                        programs.push((process, exe));
                    }
                }
                Event::Cgroup(id) => {
                    let Some(path) = values.cgroup(id) else {
                        unanswered.push(*event);
                        continue;
                    };
                    for filled in banks.iter().flatten() {
                        if !filled.image.uses(Attribute::Cgroup) {
                            continue;
                        }
                        let row = filled.image.agent_row(Attribute::Cgroup, &path);
                        let Active { generation, bank } = filled.active;
                        if let Err(error) = self.tables.fill_cgroup(id, row, generation, bank) {
                            log::warn!("the row of cgroup {path}: {error}");
                        }
                        told = true;
                    }
                }
                Event::CgroupGone(id) => {
                    values.forget_cgroup(id);
                    self.tables.forget_cgroup(id);
                }
            }
        }
        for filled in banks.iter().flatten() {
            if programs.is_empty() || !filled.image.uses(Attribute::Exe) {
                continue;
            }
            let rows: Vec<_> = programs
                .iter()
                .map(|(process, exe)| (*process, filled.image.agent_row(Attribute::Exe, exe)))
                .collect();
            let Active { generation, bank } = filled.active;
            if let Err(error) = self.tables.fill(&rows, generation, bank) {
                log::warn!("the rows of programs: {error}");
            }
        }
        if told && let Err(error) = self.tables.cgroups_changed() {
            log::warn!("the rows of cgroups: {error}");
        }
        unanswered
    }

    /// Starts the thread that answers.
    pub(super) fn listen(&self) -> Result<Listener, LiveError> {
        let rows = self.clone();
        let events = MapHandle::try_from(&self.tables.events)
            .map_err(LiveError::kernel("opening the ring of events"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("edict-classes".into())
            .spawn(move || {
                if let Err(error) = rows.listen_until(&events, &stopped) {
                    log::error!("listening to the object: {error}");
                }
            })
            .map_err(LiveError::io("starting a thread"))?;
        Ok(Listener {
            stop,
            thread: Some(thread),
        })
    }

    fn listen_until(&self, events: &MapHandle, stop: &AtomicBool) -> libbpf_rs::Result<()> {
        let heard = Mutex::new(Vec::new());
        let mut builder = RingBufferBuilder::new();
        builder.add(events, |bytes| {
            if let Some(event) = Event::parse(bytes) {
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(event);
            }
            0
        })?;
        let ring = builder.build()?;
        // A cgroup is announced a moment before its directory can be seen.
        let mut open: Vec<Event> = Vec::new();
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            let patience = if open.is_empty() { 100 } else { 5 };
            // Interrupted by a signal is no failure.
            let _ = ring.poll(Duration::from_millis(patience));
            let events = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
            if events.is_empty() && open.is_empty() {
                continue;
            }
            rounds = if events.is_empty() { rounds + 1 } else { 0 };
            open.extend(events);
            open = self.answer(&open);
            if rounds >= ROUNDS {
                open.clear();
            }
        }
        Ok(())
    }
}

/// The thread; it ends with this.
#[derive(Debug)]
pub(super) struct Listener {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that answers the object died");
        }
    }
}
