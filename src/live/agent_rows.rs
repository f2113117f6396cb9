//! Rows that only the agent can tell: those of programs and arguments, of
//! cgroups, users and patterns, and of the machine as a whole.
//!
//! ```text
//!   prepare ──▶ every process, cgroup, user, name ─┐
//!                                                  ├─▶ Values ─▶ rows ─▶ bank
//!   object ──▶ events: not known, made, gone ──────┤
//!   clock, once a second ──▶ the machine ──────────┘
//! ```
//!
//! The bank that is being prepared is announced before it is walked for, so a
//! process that execs meanwhile is told to both banks. What is missed all the
//! same is asked for: a task whose row is unknown makes the object send the
//! question, once for each execution or key, and generation.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libbpf_rs::{MapHandle, RingBufferBuilder};

use super::error::LiveError;
use super::loads::imbalance_of_caches;
use super::questions::{Cgroup, Found, OF_CGROUP, OF_PROCESS, Questions, ROUND};
use super::request::{BATCH, Event, Key, ProcessRows, comm_text, comm_words};
use super::tables::{Active, ROWS, SYSTEM_ROWS, Tables};
use super::values::Values;
use crate::check::{Attribute, Value};
use crate::image::{Image, layout::ROW_UNKNOWN};
use crate::plan::Slot;

/// What the machine as a whole is asked for, in the order of its rows.
const OF_SYSTEM: [Attribute; SYSTEM_ROWS] = [
    Attribute::CpuUtil,
    Attribute::Load,
    Attribute::Imbalance,
    Attribute::PsiCpu,
    Attribute::OnBattery,
    Attribute::Ncpu,
];
/// How often the machine is looked at, while the policy asks.
const SAMPLE: Duration = Duration::from_secs(1);

/// A bank and what it was filled from.
#[derive(Debug, Clone)]
struct Filled {
    active: Active,
    image: Arc<Image>,
    /// What it was told last about the machine.
    system: [u32; SYSTEM_ROWS],
}

impl Filled {
    fn uses_any(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().any(|one| self.image.uses(*one))
    }

    fn row(&self, attribute: Attribute, value: Option<&str>) -> u32 {
        row(&self.image, Slot::of(attribute), value)
    }

    fn of_process(&self, found: &Found) -> ProcessRows {
        ProcessRows {
            exe: self.row(Attribute::Exe, found.exe.as_deref()),
            cmdline: self.row(Attribute::Cmdline, found.cmdline.as_deref()),
        }
    }

    fn of_cgroup(&self, cgroup: &Cgroup) -> [u32; ROWS] {
        [
            self.row(Attribute::Cgroup, Some(&cgroup.path)),
            self.row(Attribute::Container, cgroup.container.as_deref()),
            self.row(Attribute::Unit, cgroup.unit.as_deref()),
        ]
    }

    fn of_user(&self, name: &str) -> [u32; ROWS] {
        [
            self.row(Attribute::User, Some(name)),
            ROW_UNKNOWN,
            ROW_UNKNOWN,
        ]
    }

    /// The rows of a comm, if the policy has such patterns.
    fn of_name(&self, key: Key) -> Option<[u32; ROWS]> {
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

    fn of_system(&self, sample: &[(Attribute, Value)]) -> [u32; SYSTEM_ROWS] {
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

#[derive(Default)]
struct State {
    banks: [Option<Filled>; 2],
    /// The generation in force.
    in_force: u64,
    /// While a bank is being prepared: the cgroups that went meanwhile.
    gone: Option<HashSet<u64>>,
    /// The machine as it was seen last, and when.
    system: Vec<(Attribute, Value)>,
    sampled: Option<Instant>,
}

impl State {
    fn use_any(&self, attributes: &[Attribute]) -> bool {
        self.banks
            .iter()
            .flatten()
            .any(|filled| filled.uses_any(attributes))
    }

    /// Whether the policy in force, or the one that is being prepared, asks for
    /// the machine as a whole.
    fn asks_for_the_machine(&self) -> bool {
        let mut banks = self.banks.iter().flatten();
        banks.any(|filled| filled.active.generation >= self.in_force && filled.uses_any(&OF_SYSTEM))
    }
}

/// The agent's side of classification, shared by the owner of the object and
/// the thread that answers it. Who needs both locks takes one after the other,
/// so that no one waits for a bank while the file systems are read.
#[derive(Clone)]
pub(super) struct AgentRows {
    tables: Arc<Tables>,
    values: Arc<Mutex<Box<dyn Values>>>,
    state: Arc<Mutex<State>>,
}

impl AgentRows {
    /// Tells where the CPUs are, which does not change while the object lives.
    pub(super) fn new(tables: Arc<Tables>, mut values: Box<dyn Values>) -> Result<Self, LiveError> {
        for place in values.places() {
            tables
                .write_place(&place)
                .map_err(LiveError::kernel("telling where a CPU is"))?;
        }
        Ok(Self {
            tables,
            values: Arc::new(Mutex::new(values)),
            state: Arc::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn values(&self) -> MutexGuard<'_, Box<dyn Values>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every row of a bank that is about to be committed.
    pub(super) fn prepare(&self, active: Active, image: &Arc<Image>) -> Result<(), LiveError> {
        let filled = Filled {
            active,
            image: Arc::clone(image),
            system: [ROW_UNKNOWN; SYSTEM_ROWS],
        };
        let cgroups_matter = {
            let mut state = self.state();
            if let Some(bank) = state.banks.get_mut(active.bank as usize & 1) {
                *bank = Some(filled.clone());
            }
            state.gone = Some(HashSet::new());
            state.use_any(&OF_CGROUP)
        };
        if filled.uses_any(&OF_CGROUP) {
            self.prepare_cgroups(&filled)?;
        } else if !cgroups_matter {
            // The object does not say any more which of them are gone.
            for (id, _) in self.tables.cgroups() {
                self.tables.forget(Key::Cgroup(id));
            }
        }
        self.state().gone = None;
        self.prepare_users_and_names(&filled)?;
        if filled.uses_any(&OF_SYSTEM) {
            self.tell_the_machine(Instant::now());
        }
        if filled.uses_any(&OF_PROCESS) {
            self.prepare_processes(&filled)?;
        }
        Ok(())
    }

    /// That generation is in force now.
    pub(super) fn committed(&self, generation: u64) {
        self.state().in_force = generation;
    }

    fn prepare_processes(&self, filled: &Filled) -> Result<(), LiveError> {
        let mut wanted = OF_PROCESS.to_vec();
        wanted.retain(|attribute| filled.image.uses(*attribute));
        let processes = self.values().processes();
        for pids in processes.chunks(BATCH) {
            let found = self
                .tables
                .processes(pids)
                .map_err(LiveError::io("looking at processes"))?;
            let rows: Vec<_> = {
                let mut values = self.values();
                found
                    .into_iter()
                    .filter_map(|process| {
                        let found = Found::read(process.pid, values.as_mut(), &wanted);
                        let rows = || (process, filled.of_process(&found));
                        found.is_anything().then(rows)
                    })
                    .collect()
            };
            let Active { generation, bank } = filled.active;
            self.tables
                .fill(&rows, generation, bank)
                .map_err(LiveError::io("telling the rows of processes"))?;
        }
        Ok(())
    }

    fn prepare_cgroups(&self, filled: &Filled) -> Result<(), LiveError> {
        // Told before the look and not seen by it: those are gone.
        let told = self.tables.cgroups();
        let cgroups: Vec<(u64, Cgroup)> = {
            let mut values = self.values();
            let paths = values.cgroups();
            let read = |(id, path)| (id, Cgroup::read(path, values.as_ref()));
            paths.into_iter().map(read).collect()
        };
        let known: HashSet<u64> = cgroups.iter().map(|(id, _)| *id).collect();
        let mut state = self.state();
        let gone = state.gone.take().unwrap_or_default();
        for (id, bank) in told {
            if bank == filled.active.bank && !known.contains(&id) {
                self.tables.forget(Key::Cgroup(id));
            }
        }
        for (id, cgroup) in cgroups.iter().filter(|(id, _)| !gone.contains(id)) {
            self.tables
                .tell(Key::Cgroup(*id), filled.of_cgroup(cgroup), filled.active)
                .map_err(LiveError::kernel("telling the rows of cgroups"))?;
        }
        Ok(())
    }

    /// Those that there are; others are told when they are met.
    fn prepare_users_and_names(&self, filled: &Filled) -> Result<(), LiveError> {
        let users: Vec<(u32, String)> = if filled.image.uses(Attribute::User) {
            let mut values = self.values();
            let uids = values.users();
            let named = |uid| Some((uid, values.user(uid)?));
            uids.into_iter().filter_map(named).collect()
        } else {
            Vec::new()
        };
        for (uid, name) in users {
            self.tables
                .tell(Key::User(uid), filled.of_user(&name), filled.active)
                .map_err(LiveError::kernel("telling the rows of users"))?;
        }
        let patterns = [Slot::COMM_PATTERNS, Slot::PARENT_COMM_PATTERNS];
        if !patterns.iter().any(|slot| filled.image.uses_slot(*slot)) {
            return Ok(());
        }
        let names: HashSet<String> = self.values().names().into_iter().collect();
        for name in names {
            let words = comm_words(&name);
            for key in [Key::Comm(words), Key::ParentComm(words)] {
                if let Some(rows) = filled.of_name(key) {
                    self.tables
                        .tell(key, rows, filled.active)
                        .map_err(LiveError::kernel("telling the rows of names"))?;
                }
            }
        }
        Ok(())
    }

    /// Once a second, if anybody wants to know.
    fn look_at_the_machine(&self, now: Instant) {
        let due = {
            let state = self.state();
            state.asks_for_the_machine()
                && state
                    .sampled
                    .is_none_or(|at| now.duration_since(at) >= SAMPLE)
        };
        if due {
            let sample = self.sample();
            let mut state = self.state();
            state.system = sample;
            state.sampled = Some(now);
            drop(state);
            self.tell_the_machine(now);
        }
    }

    /// Looks at the machine; how far its caches are apart, the object knows best.
    fn sample(&self) -> Vec<(Attribute, Value)> {
        let mut sample = self.values().system();
        match self.tables.moves.look() {
            Ok(cpus) if !cpus.is_empty() => {
                let imbalance = Value::Number(imbalance_of_caches(&cpus));
                sample.retain(|(attribute, _)| *attribute != Attribute::Imbalance);
                sample.push((Attribute::Imbalance, imbalance));
            }
            Ok(_) => {}
            Err(error) => log::warn!("looking at the loads: {error}"),
        }
        sample
    }

    /// Tells the banks what has changed; what has not costs nothing.
    fn tell_the_machine(&self, now: Instant) {
        self.system(now);
        let mut state = self.state();
        let State { banks, system, .. } = &mut *state;
        let mut changed = false;
        for filled in banks.iter_mut().flatten() {
            let rows = filled.of_system(system);
            if !filled.uses_any(&OF_SYSTEM) || rows == filled.system {
                continue;
            }
            match self.tables.write_system(rows, filled.active) {
                Ok(()) => filled.system = rows,
                Err(error) => log::warn!("the rows of the machine: {error}"),
            }
            changed = true;
        }
        if changed && let Err(error) = self.tables.system_changed() {
            log::warn!("the rows of the machine: {error}");
        }
    }

    /// The machine as it was seen in the last second or so.
    pub(super) fn system(&self, now: Instant) -> Vec<(Attribute, Value)> {
        let state = self.state();
        if state
            .sampled
            .is_some_and(|at| now.duration_since(at) < 2 * SAMPLE)
        {
            return state.system.clone();
        }
        drop(state);
        let sample = self.sample();
        let mut state = self.state();
        state.system.clone_from(&sample);
        state.sampled = Some(now);
        sample
    }

    /// What a process runs, with which arguments.
    pub(super) fn process(&self, pid: u32) -> Found {
        Found::read(pid, self.values().as_mut(), &OF_PROCESS)
    }

    pub(super) fn user(&self, uid: u32) -> Option<String> {
        self.values().user(uid)
    }

    pub(super) fn cgroup(&self, id: u64) -> Option<Cgroup> {
        let mut values = self.values();
        let path = values.cgroup(id).or_else(|| {
            values.look_again();
            values.cgroup(id)
        })?;
        Some(Cgroup::read(path, values.as_ref()))
    }

    /// Answers what was asked, now or before.
    fn answer(&self, questions: &mut Questions, events: &[Event]) {
        let mut wanted = [&OF_PROCESS[..], &OF_CGROUP[..]].concat();
        wanted.retain(|attribute| self.state().use_any(&[*attribute]));
        let answers = {
            let mut values = self.values();
            questions.answer(events, values.as_mut(), &wanted, Instant::now())
        };
        let mut state = self.state();
        let State { banks, gone, .. } = &mut *state;
        for id in answers.gone.iter().chain(&answers.given_up) {
            self.tables.forget(Key::Cgroup(*id));
        }
        if let Some(gone) = gone {
            gone.extend(&answers.gone);
        }
        let mut told = false;
        for filled in banks.iter().flatten() {
            let mut rows: Vec<(Key, [u32; ROWS])> = Vec::new();
            if filled.uses_any(&OF_CGROUP) {
                let of =
                    |(id, cgroup): &(u64, Cgroup)| (Key::Cgroup(*id), filled.of_cgroup(cgroup));
                rows.extend(answers.cgroups.iter().map(of));
            }
            if filled.image.uses(Attribute::User) {
                let of = |(uid, name): &(u32, String)| (Key::User(*uid), filled.of_user(name));
                rows.extend(answers.users.iter().map(of));
            }
            let named = answers.names.iter();
            rows.extend(named.filter_map(|key| Some((*key, filled.of_name(*key)?))));
            for (key, rows) in rows {
                if let Err(error) = self.tables.tell(key, rows, filled.active) {
                    log::warn!("the rows of {key:?}: {error}");
                }
                told = true;
            }
            if !answers.processes.is_empty() && filled.uses_any(&OF_PROCESS) {
                let of = |(process, found)| (process, filled.of_process(found));
                let found = answers.processes.iter();
                let rows: Vec<_> = found
                    .map(|(process, found)| of((*process, found)))
                    .collect();
                let Active { generation, bank } = filled.active;
                if let Err(error) = self.tables.fill(&rows, generation, bank) {
                    log::warn!("the rows of processes: {error}");
                }
            }
        }
        if told && let Err(error) = self.tables.rows_told() {
            log::warn!("the rows that were told: {error}");
        }
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
        let mut questions = Questions::default();
        while !stop.load(Ordering::Relaxed) {
            self.look_at_the_machine(Instant::now());
            let patience = ROUND * if questions.is_empty() { 20 } else { 1 };
            // Interrupted by a signal is no failure.
            let _ = ring.poll(patience);
            let events = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
            if events.is_empty() && questions.is_empty() {
                continue;
            }
            self.answer(&mut questions, &events);
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
