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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::LiveError;
use super::filled::{Filled, OF_SYSTEM};
use super::loads::imbalance_of_caches;
use super::questions::{Cgroup, Found, OF_CGROUP, OF_PROCESS, Questions};
use super::request::{BATCH, Event, Key, News, comm_words};
use super::tables::{Active, ROWS, Tables};
use super::values::Values;
use crate::check::{Attribute, Value};
use crate::image::Image;
use crate::plan::Slot;

/// How often the machine is looked at, while the policy asks.
const SAMPLE: Duration = Duration::from_secs(1);

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
    /// CPUs whose places were told.
    cpus: HashSet<u32>,
    /// Which list of users was told, and when it was looked at last.
    users: u64,
    users_seen: Option<Instant>,
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

    /// If it never was in force, nobody tells that bank anything any more.
    fn abandon(&mut self, active: Active) {
        let was_in_force = active.generation <= self.in_force;
        if let Some(bank) = self.banks.get_mut(active.bank as usize & 1)
            && bank.as_ref().is_some_and(|filled| filled.active == active)
            && !was_in_force
        {
            *bank = None;
            self.gone = None;
        }
    }
}

/// The agent's side of classification, shared by the owner of the object and
/// the thread that answers it. The file systems are read without a lock, and what
/// was read is told a batch at a time: who asks about one task waits for neither.
#[derive(Clone)]
pub(super) struct AgentRows {
    pub(super) tables: Arc<Tables>,
    values: Arc<dyn Values>,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for AgentRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentRows").finish_non_exhaustive()
    }
}

/// A bank that is filled and may be committed. Unless it was, the agent forgets
/// it with this.
#[derive(Debug)]
pub(super) struct Claim {
    rows: AgentRows,
    active: Active,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.rows.abandon(self.active);
    }
}

impl AgentRows {
    /// Tells where the CPUs are.
    pub(super) fn new(tables: Arc<Tables>, values: Arc<dyn Values>) -> Result<Self, LiveError> {
        let rows = Self {
            tables,
            values,
            state: Arc::default(),
        };
        rows.tell_places()
            .map_err(LiveError::kernel("telling where a CPU is"))?;
        Ok(rows)
    }

    /// Those that are offline keep the place that they had. Whether there are new
    /// ones among them.
    fn tell_places(&self) -> libbpf_rs::Result<bool> {
        let places = self.values.places();
        let mut are_new = false;
        for place in places {
            self.tables.write_place(&place)?;
            are_new |= self.state().cpus.insert(place.cpu);
        }
        Ok(are_new)
    }

    /// CPUs came or went: what is said of the machine is old. The object itself
    /// keeps account of those whose place it knows.
    pub(super) fn look_at_the_cpus(&self) {
        match self.tell_places() {
            Ok(true) => {
                let sorted = self.tables.survey();
                let sorted = sorted.and_then(|()| self.tables.confine(0));
                if let Err(error) = sorted.and_then(|()| self.tables.confine(1)) {
                    log::warn!("where the CPUs are: {error}");
                }
            }
            Ok(false) => {}
            Err(error) => log::warn!("where the CPUs are: {error}"),
        }
        self.state().sampled = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every row of a bank that is about to be committed.
    pub(super) fn prepare(&self, active: Active, image: &Arc<Image>) -> Result<Claim, LiveError> {
        let filled = Filled::new(active, image);
        let claim = Claim {
            rows: self.clone(),
            active,
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
        Ok(claim)
    }

    /// That generation is in force now.
    pub(super) fn committed(&self, generation: u64) {
        self.state().in_force = generation;
    }

    fn abandon(&self, active: Active) {
        self.state().abandon(active);
    }

    fn prepare_processes(&self, filled: &Filled) -> Result<(), LiveError> {
        let mut wanted = OF_PROCESS.to_vec();
        wanted.retain(|attribute| filled.image.uses(*attribute));
        let processes = self.values.processes();
        for pids in processes.chunks(BATCH) {
            let found = self
                .tables
                .processes(pids)
                .map_err(LiveError::io("looking at processes"))?;
            let rows: Vec<_> = found
                .into_iter()
                .filter_map(|process| {
                    let found = Found::read(process.pid, self.values.as_ref(), &wanted);
                    let rows = || (process, filled.of_process(&found));
                    found.is_anything().then(rows)
                })
                .collect();
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
        let paths = self.values.cgroups();
        let known: HashSet<u64> = paths.iter().map(|(id, _)| *id).collect();
        for (id, bank) in told {
            if bank == filled.active.bank && !known.contains(&id) {
                self.tables.forget(Key::Cgroup(id));
            }
        }
        for paths in paths.chunks(BATCH) {
            let read = |(id, path): &(u64, String)| {
                let cgroup = Cgroup::read(path.clone(), self.values.as_ref());
                (*id, filled.of_cgroup(&cgroup))
            };
            let rows: Vec<_> = paths.iter().map(read).collect();
            // Those that go from here on are withdrawn once this lock is free.
            let state = self.state();
            let is_gone = |id: u64| state.gone.as_ref().is_some_and(|gone| gone.contains(&id));
            for (id, rows) in rows.into_iter().filter(|(id, _)| !is_gone(*id)) {
                self.tables
                    .tell(Key::Cgroup(id), rows, filled.active)
                    .map_err(LiveError::kernel("telling the rows of cgroups"))?;
            }
        }
        Ok(())
    }

    /// The users that there are, and which list says so.
    fn named_users(&self) -> (u64, Vec<(u32, String)>) {
        // Before it is read: what changes meanwhile is another one.
        let list = self.values.users_version();
        let named = |uid| Some((uid, self.values.user(uid)?));
        let users = self.values.users();
        (list, users.into_iter().filter_map(named).collect())
    }

    /// Those that there are; others are told when they are met.
    fn prepare_users_and_names(&self, filled: &Filled) -> Result<(), LiveError> {
        if filled.image.uses(Attribute::User) {
            let (list, users) = self.named_users();
            for (uid, name) in users {
                self.tables
                    .tell(Key::User(uid), filled.of_user(&name), filled.active)
                    .map_err(LiveError::kernel("telling the rows of users"))?;
            }
            self.state().users = list;
        }
        let patterns = [Slot::COMM_PATTERNS, Slot::PARENT_COMM_PATTERNS];
        if !patterns.iter().any(|slot| filled.image.uses_slot(*slot)) {
            return Ok(());
        }
        let names: HashSet<String> = self.values.names().into_iter().collect();
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

    /// Once a second, if anybody wants to know: users come, and get other names.
    pub(super) fn look_at_the_users(&self, now: Instant) {
        {
            let mut state = self.state();
            let is_due = |at| now.duration_since(at) >= SAMPLE;
            if !state.use_any(&[Attribute::User]) || !state.users_seen.is_none_or(is_due) {
                return;
            }
            state.users_seen = Some(now);
        }
        if self.values.users_version() != self.state().users {
            self.tell_users_again();
        }
    }

    /// Tells all users, and forgets those that have no name: who meets one asks.
    fn tell_users_again(&self) {
        let (list, users) = self.named_users();
        let named: HashSet<u32> = users.iter().map(|(uid, _)| *uid).collect();
        let mut state = self.state();
        state.users = list;
        for (uid, _) in self.tables.users() {
            if !named.contains(&uid) {
                self.tables.forget(Key::User(uid));
            }
        }
        let mut news = News::default();
        news.changed();
        let banks = state.banks.iter().flatten();
        for filled in banks.filter(|filled| filled.image.uses(Attribute::User)) {
            for (uid, name) in &users {
                let key = Key::User(*uid);
                let rows = filled.of_user(name);
                if let Err(error) = self.tables.tell(key, rows, filled.active) {
                    log::warn!("the rows of {key:?}: {error}");
                }
            }
        }
        if let Err(error) = self.tables.rows_told(news) {
            log::warn!("the rows of users: {error}");
        }
    }

    /// Once a second, if anybody wants to know.
    pub(super) fn look_at_the_machine(&self, now: Instant) {
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
        let mut sample = self.values.system();
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
        Found::read(pid, self.values.as_ref(), &OF_PROCESS)
    }

    pub(super) fn user(&self, uid: u32) -> Option<String> {
        self.values.user(uid)
    }

    /// The cgroup of a task, without a look at all of them.
    pub(super) fn cgroup(&self, id: u64, pid: u32) -> Option<Cgroup> {
        let path = self.values.cgroup(id);
        let path = path.or_else(|| self.values.cgroup_of(pid, id))?;
        Some(Cgroup::read(path, self.values.as_ref()))
    }

    /// Answers what was asked, now or before.
    pub(super) fn answer(&self, questions: &mut Questions, events: &[Event]) {
        let mut wanted = [&OF_PROCESS[..], &OF_CGROUP[..]].concat();
        wanted.retain(|attribute| self.state().use_any(&[*attribute]));
        let answers = questions.answer(events, self.values.as_ref(), &wanted, Instant::now());
        let mut state = self.state();
        let State { banks, gone, .. } = &mut *state;
        for id in answers.gone.iter().chain(&answers.given_up) {
            self.tables.forget(Key::Cgroup(*id));
        }
        if let Some(gone) = gone {
            gone.extend(&answers.gone);
        }
        let mut news = News::default();
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
                news.of(key);
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
        if !news.is_none()
            && let Err(error) = self.tables.rows_told(news)
        {
            log::warn!("the rows that were told: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(generation: u64, bank: u32) -> Filled {
        let text = "language 1\npolicy p { version = \"1\" }\ntier t { tickets = 1 }\n\
                    rules {\n when ncpu > 1 -> t\n otherwise -> t\n}\n";
        let policy = crate::check::check_text("policy.edict", text)
            .policy
            .unwrap();
        let plan = crate::plan::lower(&policy).unwrap();
        let image = Arc::new(crate::image::emit(&plan).unwrap());
        Filled::new(Active { generation, bank }, &image)
    }

    #[test]
    fn a_bank_that_was_abandoned_is_told_nothing() {
        let mut state = State::default();
        let [first, second] = [filled(1, 0), filled(2, 0)];
        state.banks = [Some(first.clone()), None];
        assert!(state.asks_for_the_machine());
        // Another was prepared in the same bank: it is that one's now.
        state.banks = [Some(second.clone()), None];
        state.abandon(first.active);
        assert!(state.asks_for_the_machine());
        state.abandon(second.active);
        assert!(!state.asks_for_the_machine() && state.banks[0].is_none());
    }

    #[test]
    fn what_is_or_was_in_force_is_not_abandoned() {
        let mut state = State::default();
        let (old, new) = (filled(3, 0), filled(5, 1));
        state.banks = [Some(old.clone()), Some(new.clone())];
        state.in_force = 5;
        state.abandon(new.active);
        state.abandon(old.active);
        assert!(state.banks.iter().all(Option::is_some));
        assert!(state.asks_for_the_machine());
    }
}
