//! What the object has asked, until somebody can tell.
//!
//! A user's name and a pattern are looked up at once. A program may have gone
//! on already, its arguments may not be in place yet, a cgroup is announced a
//! moment before its directory can be seen: those questions stay open for a few
//! rounds.
//!
//! Looking for a cgroup means walking them all. However many are asked for,
//! they share one walk, and a pause follows each: cgroups that come and go
//! faster than they can be found must not keep a CPU busy.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::request::{Event, Key, Process};
use super::values::Values;
use crate::check::Attribute;

/// So often an open question is looked at before it is given up.
const LOOKS: u32 = 10;
/// Between two looks; a look at all cgroups may have to wait longer.
pub(super) const ROUND: Duration = Duration::from_millis(5);
/// The pause after a look at all cgroups, in times of what the look took.
const PAUSE: u32 = 9;
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The pause doubles with each look that finds nothing, this often.
const DOUBLINGS: u32 = 5;

/// What the object has asked and nobody could tell yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    processes: HashMap<Process, Open>,
    /// Each with the looks that it has had.
    cgroups: HashMap<u64, u32>,
    look_at: Option<Instant>,
    in_vain: u32,
}

/// A process that is being looked at.
#[derive(Debug)]
struct Open {
    looks: u32,
    /// When it is looked at next.
    due: Instant,
    /// Its program is told already, its arguments are not.
    told: bool,
}

/// What the agent has found out about a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) exe: Option<String>,
    pub(super) cmdline: Option<String>,
}

impl Found {
    /// Reads what is wanted.
    pub(super) fn read(pid: u32, values: &dyn Values, wanted: &[Attribute]) -> Self {
        let wants = |attribute| wanted.contains(&attribute);
        Self {
            exe: wants(Attribute::Exe).then(|| values.exe(pid)).flatten(),
            cmdline: wants(Attribute::Cmdline)
                .then(|| values.cmdline(pid))
                .flatten(),
        }
    }

    pub(super) fn is_anything(&self) -> bool {
        self.exe.is_some() || self.cmdline.is_some()
    }

    /// A process that is about to run a program has no arguments for a moment.
    fn is_whole(&self, wanted: &[Attribute]) -> bool {
        let lacks_exe = wanted.contains(&Attribute::Exe) && self.exe.is_none();
        let lacks_cmdline = wanted.contains(&Attribute::Cmdline)
            && self.cmdline.as_ref().is_none_or(String::is_empty);
        !lacks_exe && !lacks_cmdline
    }

    /// What is sure already.
    fn so_far(&self) -> Self {
        Self {
            exe: self.exe.clone(),
            cmdline: self.cmdline.clone().filter(|text| !text.is_empty()),
        }
    }
}

/// What the path of a cgroup says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup {
    pub(super) path: String,
    pub(super) container: Option<String>,
    pub(super) unit: Option<String>,
}

impl Cgroup {
    pub(super) fn read(path: String, values: &dyn Values) -> Self {
        let say = |attribute| values.of_path(attribute, &path).map(str::to_owned);
        Self {
            container: say(Attribute::Container),
            unit: say(Attribute::Unit),
            path,
        }
    }
}

/// What the banks need to be told.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) processes: Vec<(Process, Found)>,
    pub(super) cgroups: Vec<(u64, Cgroup)>,
    pub(super) users: Vec<(u32, String)>,
    /// Comms, to be held against patterns.
    pub(super) names: Vec<Key>,
    /// These are no more.
    pub(super) gone: Vec<u64>,
    /// These were not found; they may be asked for again.
    pub(super) given_up: Vec<u64>,
}

impl Questions {
    pub(super) fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.cgroups.is_empty()
    }

    /// Takes in what was heard and answers what can be answered. What no bank
    /// wants to know is no question.
    pub(super) fn answer(
        &mut self,
        events: &[Event],
        values: &dyn Values,
        wanted: &[Attribute],
        now: Instant,
    ) -> Answers {
        let mut answers = Answers::default();
        let mut at_once = HashSet::new();
        for event in events {
            match *event {
                Event::Process(process) => {
                    self.processes.entry(process).or_insert(Open {
                        looks: 0,
                        due: now,
                        told: false,
                    });
                }
                Event::Key(Key::Cgroup(id)) => {
                    self.cgroups.entry(id).or_insert(0);
                }
                Event::Key(key) => {
                    at_once.insert(key);
                }
                Event::CgroupGone(id) => {
                    self.cgroups.remove(&id);
                    values.forget_cgroup(id);
                    answers.gone.push(id);
                }
                // No question of a task.
                Event::Cpus => {}
            }
        }
        for key in at_once {
            match key {
                Key::User(uid) => answers
                    .users
                    .extend(values.user(uid).map(|name| (uid, name))),
                Key::Comm(_) | Key::ParentComm(_) => answers.names.push(key),
                Key::Cgroup(_) => {}
            }
        }
        if !OF_PROCESS.iter().any(|one| wanted.contains(one)) {
            self.processes.clear();
        }
        if !OF_CGROUP.iter().any(|one| wanted.contains(one)) {
            self.cgroups.clear();
        }
        self.look_at_processes(values, wanted, now, &mut answers);
        self.look_at_cgroups(values, now, &mut answers);
        answers
    }

    fn look_at_processes(
        &mut self,
        values: &dyn Values,
        wanted: &[Attribute],
        now: Instant,
        answers: &mut Answers,
    ) {
        self.processes.retain(|process, open| {
            if now < open.due {
                return true;
            }
            let found = Found::read(process.pid, values, wanted);
            if found.is_whole(wanted) {
                answers.processes.push((*process, found));
                return false;
            }
            open.looks += 1;
            open.due = now + ROUND;
            if open.looks >= LOOKS || !values.lives(process.pid) {
                // Then it is as it is: nobody has to have arguments.
                if found.is_anything() {
                    answers.processes.push((*process, found));
                }
                return false;
            }
            let so_far = found.so_far();
            if so_far.is_anything() && !open.told {
                open.told = true;
                answers.processes.push((*process, so_far));
            }
            true
        });
    }

    fn look_at_cgroups(&mut self, values: &dyn Values, now: Instant, answers: &mut Answers) {
        self.find_cgroups(values, answers);
        if self.cgroups.is_empty() || self.look_at.is_some_and(|at| at > now) {
            return;
        }
        let before = answers.cgroups.len();
        let started = Instant::now();
        values.look_again();
        let took = started.elapsed();
        self.find_cgroups(values, answers);
        self.in_vain = if answers.cgroups.len() > before {
            0
        } else {
            DOUBLINGS.min(self.in_vain + 1)
        };
        let pause = (took * PAUSE).max(ROUND * (1 << self.in_vain.saturating_sub(1)));
        // From its end: a long look must not be due again at once.
        self.look_at = Some(now + took + pause.min(PAUSE_MAX));
        self.cgroups.retain(|id, looks| {
            *looks += 1;
            if *looks >= LOOKS {
                answers.given_up.push(*id);
            }
            *looks < LOOKS
        });
    }

    fn find_cgroups(&mut self, values: &dyn Values, answers: &mut Answers) {
        self.cgroups.retain(|id, _| match values.cgroup(*id) {
            Some(path) => {
                answers.cgroups.push((*id, Cgroup::read(path, values)));
                false
            }
            None => true,
        });
    }
}

/// What is known by process.
pub(super) const OF_PROCESS: [Attribute; 2] = [Attribute::Exe, Attribute::Cmdline];
/// What is known by cgroup, in the order of the rows of a key.
pub(super) const OF_CGROUP: [Attribute; 3] =
    [Attribute::Cgroup, Attribute::Container, Attribute::Unit];

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Cgroups that a look can see, programs, and how often anyone looked.
    #[derive(Default)]
    struct Fake {
        visible: HashMap<u64, String>,
        seen: Mutex<HashMap<u64, String>>,
        programs: HashMap<u32, String>,
        arguments: HashMap<u32, String>,
        walked: AtomicU32,
        read: AtomicU32,
        takes: Duration,
    }

    impl Fake {
        fn walks(&self) -> u32 {
            self.walked.load(Ordering::Relaxed)
        }
        fn reads(&self) -> u32 {
            self.read.load(Ordering::Relaxed)
        }
    }

    impl Values for Fake {
        fn exe(&self, pid: u32) -> Option<String> {
            self.read.fetch_add(1, Ordering::Relaxed);
            self.programs.get(&pid).cloned()
        }
        fn lives(&self, pid: u32) -> bool {
            pid != 3
        }
        fn cgroup(&self, id: u64) -> Option<String> {
            self.seen.lock().unwrap().get(&id).cloned()
        }
        fn of_path<'a>(&self, attribute: Attribute, path: &'a str) -> Option<&'a str> {
            (attribute == Attribute::Unit && path == "/late").then_some("of /late")
        }
        fn cmdline(&self, pid: u32) -> Option<String> {
            self.arguments.get(&pid).cloned()
        }
        fn user(&self, uid: u32) -> Option<String> {
            (uid == 1000).then(|| "ann".into())
        }
        fn look_again(&self) {
            self.walked.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(self.takes);
            *self.seen.lock().unwrap() = self.visible.clone();
        }
    }

    /// Says to the questions what is heard at a time, in milliseconds.
    fn hearing() -> impl FnMut(&mut Questions, &Fake, u64, &[Event]) -> Answers {
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
        let (mut open, fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        let pair = |id| [Event::Key(Key::Cgroup(id)), Event::CgroupGone(id)];
        let events: Vec<_> = (0..500).flat_map(pair).collect();
        assert_eq!(hear(&mut open, &fake, 0, &events).gone.len(), 500);
        assert_eq!(fake.walks(), 0);
        for id in 0..500 {
            hear(&mut open, &fake, 2 * id, &[Event::Key(Key::Cgroup(id))]);
            hear(&mut open, &fake, 2 * id + 1, &[Event::CgroupGone(id)]);
        }
        assert!((1..=20).contains(&fake.walks()), "{} walks", fake.walks());
        assert!(open.is_empty());
    }

    #[test]
    fn what_is_never_found_is_given_up_on_a_busy_host() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        fake.visible.insert(1000, "/busy".into());
        let lost: Vec<_> = (0..500).map(|id| Event::Key(Key::Cgroup(id))).collect();
        hear(&mut open, &fake, 0, &lost);
        assert_eq!(fake.walks(), 1, "a batch shares one");
        let mut given_up = Vec::new();
        for millis in 1..3000 {
            let answers = hear(&mut open, &fake, millis, &[Event::Key(Key::Cgroup(1000))]);
            given_up.extend(answers.given_up);
        }
        assert!(open.is_empty());
        assert_eq!(fake.walks(), LOOKS);
        given_up.sort_unstable();
        assert_eq!(given_up, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn a_cgroup_that_shows_a_moment_later_is_found() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        hear(&mut open, &fake, 0, &[Event::Key(Key::Cgroup(7))]);
        fake.visible.insert(7, "/late".into());
        let answers = hear(&mut open, &fake, 2_000, &[]);
        let found = answers.cgroups.first().unwrap();
        assert_eq!((found.0, found.1.path.as_str()), (7, "/late"));
        assert_eq!(found.1.unit.as_deref(), Some("of /late"));
        assert_eq!(found.1.container, None);
        assert!(open.is_empty());
    }

    #[test]
    fn the_pause_begins_at_the_end_of_a_long_walk() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        fake.takes = Duration::from_millis(20);
        hear(&mut open, &fake, 0, &[Event::Key(Key::Cgroup(7))]);
        hear(&mut open, &fake, 180, &[Event::Key(Key::Cgroup(8))]);
        assert_eq!(fake.walks(), 1);
        hear(&mut open, &fake, 60_000, &[]);
        assert_eq!(fake.walks(), 2);
    }

    #[test]
    fn what_no_bank_uses_is_not_looked_for() {
        let (mut open, fake) = (Questions::default(), Fake::default());
        let exe = Event::Process(process(2));
        let events = [Event::Key(Key::Cgroup(1)), exe, Event::CgroupGone(3)];
        let answers = open.answer(&events, &fake, &[], Instant::now());
        assert_eq!((fake.walks(), fake.reads()), (0, 0));
        assert_eq!(answers.gone, [3]);
        assert!(open.is_empty());
    }

    #[test]
    fn a_program_that_cannot_be_read_stays_open_for_its_rounds() {
        let (mut open, mut fake, mut hear) = (Questions::default(), Fake::default(), hearing());
        let events = [1, 2, 3].map(|pid| Event::Process(process(pid)));
        hear(&mut open, &fake, 0, &events);
        hear(&mut open, &fake, 0, &[Event::CgroupGone(9)]);
        assert_eq!(fake.reads(), 3, "not before the next round");
        fake.programs.insert(1, "/bin/late".into());
        let answers = hear(&mut open, &fake, 5, &[]);
        let exe = Some("/bin/late".into());
        let found = Found { exe, cmdline: None };
        assert_eq!(answers.processes, [(process(1), found)]);
        assert_eq!(fake.reads(), 5, "the dead one is not open any more");
        for round in 2..20 {
            hear(&mut open, &fake, 5 * round, &[]);
        }
        assert!(open.is_empty());
        assert_eq!(fake.reads(), 3 + 2 + LOOKS - 2);
    }

    #[test]
    fn arguments_that_are_not_in_place_yet_hold_up_nothing_else() {
        let (mut open, mut fake) = (Questions::default(), Fake::default());
        let wanted = [Attribute::Exe, Attribute::Cmdline];
        let start = Instant::now();
        let mut hear = |fake: &Fake, millis, events: &[Event]| {
            let now = start + Duration::from_millis(millis);
            open.answer(events, fake, &wanted, now).processes
        };
        fake.programs.insert(1, "/bin/cc".into());
        fake.arguments.insert(1, String::new());
        let exe = Some(String::from("/bin/cc"));
        let found = |cmdline: Option<&str>| Found {
            exe: exe.clone(),
            cmdline: cmdline.map(str::to_owned),
        };
        let event = [Event::Process(process(1))];
        assert_eq!(hear(&fake, 0, &event), [(process(1), found(None))]);
        assert_eq!(hear(&fake, 5, &[]), [], "said once");
        fake.arguments.insert(1, "cc -c a.c".into());
        let whole = found(Some("cc -c a.c"));
        assert_eq!(hear(&fake, 10, &[]), [(process(1), whole)]);
        assert_eq!(hear(&fake, 15, &[]), []);

        // One that has none for good is told in the end.
        fake.arguments.insert(1, String::new());
        hear(&fake, 20, &event);
        let last: Vec<_> = (1..20)
            .flat_map(|round| hear(&fake, 20 + 5 * round, &[]))
            .collect();
        assert_eq!(last, [(process(1), found(Some("")))]);
    }

    #[test]
    fn users_and_names_are_answered_at_once_and_once() {
        let (mut open, fake) = (Questions::default(), Fake::default());
        let comm = Key::Comm([1, 2]);
        let events = [
            Event::Key(Key::User(1000)),
            Event::Key(Key::User(7)),
            Event::Key(comm),
            Event::Key(comm),
        ];
        let answers = open.answer(&events, &fake, &[], Instant::now());
        assert_eq!(answers.users, [(1000, "ann".to_owned())]);
        assert_eq!(answers.names, [comm]);
        assert!(open.is_empty());
    }
}
