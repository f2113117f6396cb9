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
//!
//! Looking for a cgroup means walking them all. However many are asked for,
//! they share one walk, and a pause follows each: cgroups that come and go
//! faster than they can be found must not keep a CPU busy.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libbpf_rs::{MapHandle, RingBufferBuilder};

use super::error::LiveError;
use super::request::{BATCH, Event, Process};
use super::tables::{Active, Tables};
use crate::check::Attribute;
use crate::image::Image;

/// Where the values of the attributes come from that the kernel cannot
/// evaluate itself. What an implementation does not say is not known.
pub trait Values: Send {
    /// The ids of all processes.
    fn processes(&mut self) -> Vec<u32> {
        Vec::new()
    }
    /// The path of the program that a process runs.
    fn exe(&mut self, _pid: u32) -> Option<String> {
        None
    }
    /// Whether there is such a process still.
    fn lives(&mut self, _pid: u32) -> bool {
        false
    }
    /// Every cgroup of the version 2 hierarchy: its id and its path.
    fn cgroups(&mut self) -> Vec<(u64, String)> {
        Vec::new()
    }
    /// The path of one cgroup, as far as the last look at all of them tells.
    fn cgroup(&mut self, _id: u64) -> Option<String> {
        None
    }
    /// Looks at all cgroups again.
    fn look_again(&mut self) {}
    /// This cgroup is no more.
    fn forget_cgroup(&mut self, _id: u64) {}
}

/// Knows nothing: every such attribute stays unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoValues;

impl Values for NoValues {}

/// So often an open question is looked at before it is given up.
const LOOKS: u32 = 10;
/// Between two looks; a look at all cgroups may have to wait longer.
const ROUND: Duration = Duration::from_millis(5);
/// The pause after a look at all cgroups, in times of what the look took.
const PAUSE: u32 = 9;
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The pause doubles with each look that finds nothing, this often.
const DOUBLINGS: u32 = 5;

/// What the object has asked and nobody could tell yet.
#[derive(Debug, Default)]
struct Questions {
    /// Each with the looks that it has had, and when the next is due.
    programs: HashMap<Process, (u32, Instant)>,
    /// Each with the looks that it has had.
    cgroups: HashMap<u64, u32>,
    look_at: Option<Instant>,
    in_vain: u32,
}

/// What the banks need to be told.
#[derive(Debug, Default)]
struct Answers {
    programs: Vec<(Process, String)>,
    cgroups: Vec<(u64, String)>,
    gone: Vec<u64>,
}

impl Questions {
    fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.cgroups.is_empty()
    }

    /// Takes in what was heard and answers what can be answered. What no bank
    /// wants to know is no question.
    fn answer(
        &mut self,
        events: &[Event],
        values: &mut dyn Values,
        wanted: &[Attribute],
        now: Instant,
    ) -> Answers {
        let mut answers = Answers::default();
        for event in events {
            match *event {
                Event::Exe(process) => {
                    self.programs.entry(process).or_insert((0, now));
                }
                Event::Cgroup(id) => {
                    self.cgroups.entry(id).or_insert(0);
                }
                Event::CgroupGone(id) => {
                    self.cgroups.remove(&id);
                    values.forget_cgroup(id);
                    answers.gone.push(id);
                }
            }
        }
        if !wanted.contains(&Attribute::Exe) {
            self.programs.clear();
        }
        if !wanted.contains(&Attribute::Cgroup) {
            self.cgroups.clear();
        }
        self.programs.retain(|process, (looks, due)| {
            if now < *due {
                return true;
            }
            if let Some(exe) = values.exe(process.pid) {
                answers.programs.push((*process, exe));
                return false;
            }
            *looks += 1;
            *due = now + ROUND;
            *looks < LOOKS && values.lives(process.pid)
        });
        self.find_cgroups(values, &mut answers);
        if !self.cgroups.is_empty() && self.look_at.is_none_or(|at| at <= now) {
            let before = answers.cgroups.len();
            let started = Instant::now();
            values.look_again();
            let took = started.elapsed();
            self.find_cgroups(values, &mut answers);
            self.in_vain = if answers.cgroups.len() > before {
                0
            } else {
                DOUBLINGS.min(self.in_vain + 1)
            };
            let pause = (took * PAUSE).max(ROUND * (1 << self.in_vain.saturating_sub(1)));
            // From its end: a long look must not be due again at once.
            self.look_at = Some(now + took + pause.min(PAUSE_MAX));
            self.cgroups.retain(|_, looks| {
                *looks += 1;
                *looks < LOOKS
            });
        }
        answers
    }

    fn find_cgroups(&mut self, values: &mut dyn Values, answers: &mut Answers) {
        self.cgroups.retain(|id, _| match values.cgroup(*id) {
            Some(path) => {
                answers.cgroups.push((*id, path));
                false
            }
            None => true,
        });
    }
}

/// A bank and what it was filled from.
#[derive(Debug, Clone)]
struct Filled {
    active: Active,
    image: Arc<Image>,
}

#[derive(Default)]
struct State {
    banks: [Option<Filled>; 2],
    /// While a bank is being prepared: the cgroups that went meanwhile.
    gone: Option<HashSet<u64>>,
}

impl State {
    fn use_any(&self, attribute: Attribute) -> bool {
        self.banks
            .iter()
            .flatten()
            .any(|filled| filled.image.uses(attribute))
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
    pub(super) fn new(tables: Arc<Tables>, values: Box<dyn Values>) -> Self {
        Self {
            tables,
            values: Arc::new(Mutex::new(values)),
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn values(&self) -> MutexGuard<'_, Box<dyn Values>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every row of a bank that is about to be committed.
    pub(super) fn prepare(&self, active: Active, image: &Arc<Image>) -> Result<(), LiveError> {
        let cgroups_matter = {
            let mut state = self.state();
            if let Some(bank) = state.banks.get_mut(active.bank as usize & 1) {
                *bank = Some(Filled {
                    active,
                    image: Arc::clone(image),
                });
            }
            state.gone = Some(HashSet::new());
            state.use_any(Attribute::Cgroup)
        };
        if image.uses(Attribute::Cgroup) {
            self.prepare_cgroups(active, image)?;
        } else if !cgroups_matter {
            // The object does not say any more which of them are gone.
            for id in (0..2).flat_map(|bank| self.tables.cgroups_of(bank)) {
                self.tables.forget_cgroup(id);
            }
        }
        self.state().gone = None;
        if image.uses(Attribute::Exe) {
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
                            let exe = values.exe(process.pid)?;
                            Some((process, image.agent_row(Attribute::Exe, &exe)))
                        })
                        .collect()
                };
                self.tables
                    .fill(&rows, active.generation, active.bank)
                    .map_err(LiveError::io("telling the rows of programs"))?;
            }
        }
        Ok(())
    }

    fn prepare_cgroups(&self, active: Active, image: &Image) -> Result<(), LiveError> {
        // Told before the look and not seen by it: those are gone.
        let told = self.tables.cgroups_of(active.bank);
        let cgroups = self.values().cgroups();
        let known: HashSet<u64> = cgroups.iter().map(|(id, _)| *id).collect();
        let mut state = self.state();
        let gone = state.gone.take().unwrap_or_default();
        for id in told {
            if !known.contains(&id) {
                self.tables.forget_cgroup(id);
            }
        }
        for (id, path) in cgroups.iter().filter(|(id, _)| !gone.contains(id)) {
            let row = image.agent_row(Attribute::Cgroup, path);
            self.tables
                .fill_cgroup(*id, row, active.generation, active.bank)
                .map_err(LiveError::kernel("telling the rows of cgroups"))?;
        }
        Ok(())
    }

    pub(super) fn exe(&self, pid: u32) -> Option<String> {
        self.values().exe(pid)
    }

    pub(super) fn cgroup(&self, id: u64) -> Option<String> {
        let mut values = self.values();
        values.cgroup(id).or_else(|| {
            values.look_again();
            values.cgroup(id)
        })
    }

    /// Answers what was asked, now or before.
    fn answer(&self, questions: &mut Questions, events: &[Event]) {
        let mut wanted = vec![Attribute::Exe, Attribute::Cgroup];
        wanted.retain(|attribute| self.state().use_any(*attribute));
        let answers = {
            let mut values = self.values();
            questions.answer(events, values.as_mut(), &wanted, Instant::now())
        };
        let mut state = self.state();
        let State { banks, gone } = &mut *state;
        for id in &answers.gone {
            self.tables.forget_cgroup(*id);
        }
        if let Some(gone) = gone {
            gone.extend(&answers.gone);
        }
        let mut told = false;
        for filled in banks.iter().flatten() {
            let Active { generation, bank } = filled.active;
            if filled.image.uses(Attribute::Cgroup) {
                for (id, path) in &answers.cgroups {
                    let row = filled.image.agent_row(Attribute::Cgroup, path);
                    if let Err(error) = self.tables.fill_cgroup(*id, row, generation, bank) {
                        log::warn!("the row of cgroup {path}: {error}");
                    }
                    told = true;
                }
            }
            if !answers.programs.is_empty() && filled.image.uses(Attribute::Exe) {
                let rows: Vec<_> = answers
                    .programs
                    .iter()
                    .map(|(process, exe)| (*process, filled.image.agent_row(Attribute::Exe, exe)))
                    .collect();
                if let Err(error) = self.tables.fill(&rows, generation, bank) {
                    log::warn!("the rows of programs: {error}");
                }
            }
        }
        if told && let Err(error) = self.tables.cgroups_changed() {
            log::warn!("the rows of cgroups: {error}");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Cgroups that a look can see, programs, and how often anyone looked.
    #[derive(Default)]
    struct Fake {
        visible: HashMap<u64, String>,
        seen: HashMap<u64, String>,
        programs: HashMap<u32, String>,
        walks: u32,
        reads: u32,
        takes: Duration,
    }

    impl Values for Fake {
        fn exe(&mut self, pid: u32) -> Option<String> {
            self.reads += 1;
            self.programs.get(&pid).cloned()
        }
        fn lives(&mut self, pid: u32) -> bool {
            pid != 3
        }
        fn cgroup(&mut self, id: u64) -> Option<String> {
            self.seen.get(&id).cloned()
        }
        fn look_again(&mut self) {
            self.walks += 1;
            std::thread::sleep(self.takes);
            self.seen = self.visible.clone();
        }
    }

    /// Says to the questions what is heard at a time, in milliseconds.
    fn hearing() -> impl FnMut(&mut Questions, &mut Fake, u64, &[Event]) -> Answers {
        let start = Instant::now();
        move |questions, fake, millis, events| {
            let now = start + Duration::from_millis(millis);
            questions.answer(events, fake, &[Attribute::Exe, Attribute::Cgroup], now)
        }
    }

    fn process(pid: u32) -> Process {
        Process {
            pid,
            exec_id: 1,
            started: 2,
        }
    }

    #[test]
    fn cgroups_that_come_and_go_share_a_handful_of_walks() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        let pair = |id| [Event::Cgroup(id), Event::CgroupGone(id)];
        let events: Vec<_> = (0..500).flat_map(pair).collect();
        assert_eq!(hear(&mut open, &mut fake, 0, &events).gone.len(), 500);
        assert_eq!(fake.walks, 0);
        for id in 0..500 {
            hear(&mut open, &mut fake, 2 * id, &[Event::Cgroup(id)]);
            hear(&mut open, &mut fake, 2 * id + 1, &[Event::CgroupGone(id)]);
        }
        assert!((1..=20).contains(&fake.walks), "{} walks", fake.walks);
        assert!(open.is_empty());
    }

    #[test]
    fn what_is_never_found_is_given_up_on_a_busy_host() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        fake.visible.insert(1000, "/busy".into());
        let lost: Vec<_> = (0..500).map(Event::Cgroup).collect();
        hear(&mut open, &mut fake, 0, &lost);
        assert_eq!(fake.walks, 1, "a batch shares one");
        for millis in 1..3000 {
            hear(&mut open, &mut fake, millis, &[Event::Cgroup(1000)]);
        }
        assert!(open.is_empty());
        assert_eq!(fake.walks, LOOKS);
    }

    #[test]
    fn a_cgroup_that_shows_a_moment_later_is_found() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        hear(&mut open, &mut fake, 0, &[Event::Cgroup(7)]);
        fake.visible.insert(7, "/late".into());
        let answers = hear(&mut open, &mut fake, 2_000, &[]);
        assert_eq!(answers.cgroups, [(7, String::from("/late"))]);
        assert!(open.is_empty());
    }

    #[test]
    fn the_pause_begins_at_the_end_of_a_long_walk() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        fake.takes = Duration::from_millis(20);
        hear(&mut open, &mut fake, 0, &[Event::Cgroup(7)]);
        hear(&mut open, &mut fake, 180, &[Event::Cgroup(8)]);
        assert_eq!(fake.walks, 1);
        hear(&mut open, &mut fake, 60_000, &[]);
        assert_eq!(fake.walks, 2);
    }

    #[test]
    fn what_no_bank_uses_is_not_looked_for() {
        let (mut open, mut fake) = (Questions::default(), Fake::default());
        let exe = Event::Exe(process(2));
        let events = [Event::Cgroup(1), exe, Event::CgroupGone(3)];
        let answers = open.answer(&events, &mut fake, &[], Instant::now());
        assert_eq!((fake.walks, fake.reads), (0, 0));
        assert_eq!(answers.gone, [3]);
        assert!(open.is_empty());
    }

    #[test]
    fn a_program_that_cannot_be_read_stays_open_for_its_rounds() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        let events = [1, 2, 3].map(|pid| Event::Exe(process(pid)));
        hear(&mut open, &mut fake, 0, &events);
        hear(&mut open, &mut fake, 0, &[Event::CgroupGone(9)]);
        assert_eq!(fake.reads, 3, "not before the next round");
        fake.programs.insert(1, "/bin/late".into());
        let answers = hear(&mut open, &mut fake, 5, &[]);
        assert_eq!(answers.programs, [(process(1), "/bin/late".into())]);
        assert_eq!(fake.reads, 5, "the dead one is not open any more");
        for round in 2..20 {
            hear(&mut open, &mut fake, 5 * round, &[]);
        }
        assert!(open.is_empty());
        assert_eq!(fake.reads, 3 + 2 + LOOKS - 2);
    }
}
