//! The maps and requests of a loaded object, shared with the thread that
//! answers its questions.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};

use super::error::LiveError;
use super::moves::Moves;
use super::request::{Batch, Key, News, Process, ProcessRows, Request, put};
use super::skeleton::MainSkel;
use super::values::Place;

/// Rows of one key: `EDICT_TOLD_ROWS`.
pub(super) const ROWS: usize = 3;
/// Rows of the machine as a whole: `EDICT_SYSTEM_ROWS`.
pub(super) const SYSTEM_ROWS: usize = 6;

/// Other CPUs of a core: `EDICT_SIBLINGS_MAX`.
const SIBLINGS: usize = 7;

/// Handles of their own: they outlive the borrow of the skeleton.
#[derive(Debug)]
pub(super) struct Tables {
    banks: MapHandle,
    told_names: MapHandle,
    told_cgroups: MapHandle,
    told_users: MapHandle,
    systems: MapHandle,
    places: MapHandle,
    cores: MapHandle,
    /// The argument of two requests: used by one thread at a time.
    batches: Mutex<MapHandle>,
    pub(super) counters: MapHandle,
    pub(super) events: MapHandle,
    pub(super) decisions: MapHandle,
    pub(super) trace: MapHandle,
    pub(super) moves: Moves,
    quiet: MapHandle,
    quiet_inner: MapHandle,
    commit: Request,
    processes: Request,
    fill: Request,
    rows_told: Request,
    system_changed: Request,
    survey: Request,
    confine: Request,
    pub(super) inspect: Request,
    populations: MapHandle,
    count: Request,
    pub(super) list: Link,
    pub(super) record: Request,
}

/// The word that is in force: generation and bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Active {
    pub(super) generation: u64,
    pub(super) bank: u32,
}

impl Active {
    pub(super) fn word(self) -> u64 {
        self.generation << 1 | u64::from(self.bank & 1)
    }

    pub(super) fn from_word(word: u64) -> Self {
        Self {
            generation: word >> 1,
            bank: (word & 1) as u32,
        }
    }
}

impl Tables {
    pub(super) fn new(skeleton: &MainSkel<'_>) -> Result<Self, LiveError> {
        let map = |map: &libbpf_rs::MapMut<'_>| {
            MapHandle::try_from(map).map_err(LiveError::kernel("opening a map"))
        };
        let request = |program: &libbpf_rs::ProgramMut<'_>| {
            Request::new(program).map_err(LiveError::io("opening a request"))
        };
        let maps = &skeleton.maps;
        let progs = &skeleton.progs;
        Ok(Self {
            banks: map(&maps.edict_banks)?,
            told_names: map(&maps.edict_told_names)?,
            told_cgroups: map(&maps.edict_told_cgroups)?,
            told_users: map(&maps.edict_told_users)?,
            systems: map(&maps.edict_systems)?,
            places: map(&maps.edict_places)?,
            cores: map(&maps.edict_cores)?,
            batches: Mutex::new(map(&maps.edict_batches)?),
            counters: map(&maps.edict_counters_of)?,
            events: map(&maps.edict_events)?,
            decisions: map(&maps.edict_decisions)?,
            trace: map(&maps.edict_trace)?,
            moves: Moves::new(skeleton)?,
            quiet: map(&maps.edict_quiet)?,
            quiet_inner: map(&maps.edict_quiet_inner)?,
            populations: map(&maps.edict_populations)?,
            commit: request(&progs.edict_commit)?,
            processes: request(&progs.edict_processes)?,
            fill: request(&progs.edict_fill)?,
            rows_told: request(&progs.edict_rows_told)?,
            system_changed: request(&progs.edict_system_changed)?,
            survey: request(&progs.edict_survey)?,
            confine: request(&progs.edict_confine)?,
            inspect: request(&progs.edict_inspect)?,
            count: request(&progs.edict_count)?,
            record: request(&progs.edict_record)?,
            list: progs
                .edict_list
                .attach()
                .map_err(LiveError::kernel("opening the list of tasks"))?,
        })
    }

    /// Waits until every callback that was running has returned: the kernel
    /// runs `synchronize_rcu()` after an update of an array of maps.
    pub(super) fn wait_out_callbacks(&self) -> Result<(), LiveError> {
        let inner = self.quiet_inner.as_fd().as_raw_fd();
        self.quiet
            .update(&0_u32.to_ne_bytes(), &inner.to_ne_bytes(), MapFlags::ANY)
            .map_err(LiveError::kernel("waiting for running callbacks"))
    }

    /// Writes a bank, reads it back and compares; zeroes its counters.
    pub(super) fn write_bank(&self, bank: u32, bytes: &[u8]) -> Result<(), LiveError> {
        let key = bank.to_ne_bytes();
        self.banks
            .update(&key, bytes, MapFlags::ANY)
            .map_err(LiveError::kernel("writing a bank"))?;
        let written = self
            .banks
            .lookup(&key, MapFlags::ANY)
            .map_err(LiveError::kernel("reading a bank"))?;
        if written.as_deref() != Some(bytes) {
            return Err(LiveError::Corrupt);
        }
        Ok(())
    }

    pub(super) fn zero_counters(&self, bank: u32) -> Result<(), LiveError> {
        let cpus = libbpf_rs::num_possible_cpus()
            .map_err(LiveError::kernel("counting the possible CPUs"))?;
        let zero = vec![vec![0_u8; self.counters.value_size() as usize]; cpus];
        self.counters
            .update_percpu(&bank.to_ne_bytes(), &zero, MapFlags::ANY)
            .map_err(LiveError::kernel("zeroing counters"))
    }

    pub(super) fn commit(
        &self,
        expected: Active,
        active: Active,
        renumbered: u64,
    ) -> Result<(), LiveError> {
        let mut context = [0; 24];
        put(&mut context, 0, &expected.word().to_le_bytes());
        put(&mut context, 8, &active.word().to_le_bytes());
        put(&mut context, 16, &renumbered.to_le_bytes());
        match self.commit.run(&mut context) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(LiveError::Overtaken),
            other => other.map_err(LiveError::io("committing a generation")),
        }
    }

    /// Which execution each pid is; pids that are no process are left out.
    pub(super) fn processes(&self, pids: &[u32]) -> io::Result<Vec<Process>> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let key = 0_u32.to_ne_bytes();
        let asked = Batch::of_pids(pids);
        batches
            .update(&key, asked.bytes(), MapFlags::ANY)
            .map_err(io::Error::other)?;
        self.processes.run(&mut [])?;
        let answered = batches
            .lookup(&key, MapFlags::ANY)
            .map_err(io::Error::other)?;
        Ok(Batch::from(answered.unwrap_or_default()).found().collect())
    }

    /// Tells rows of processes. Those that have gone on meanwhile are left out
    /// by the object.
    pub(super) fn fill(
        &self,
        rows: &[(Process, ProcessRows)],
        generation: u64,
        bank: u32,
    ) -> io::Result<()> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        for rows in rows.chunks(super::request::BATCH) {
            let batch = Batch::of_rows(rows, generation, bank);
            batches
                .update(&0_u32.to_ne_bytes(), batch.bytes(), MapFlags::ANY)
                .map_err(io::Error::other)?;
            self.fill.run(&mut [])?;
        }
        Ok(())
    }

    fn told(&self, key: Key) -> &MapHandle {
        match key {
            Key::Cgroup(_) => &self.told_cgroups,
            Key::User(_) => &self.told_users,
            Key::Comm(_) | Key::ParentComm(_) => &self.told_names,
        }
    }

    /// Tells the rows of a key in one bank.
    pub(super) fn tell(
        &self,
        key: Key,
        rows: [u32; ROWS],
        active: Active,
    ) -> libbpf_rs::Result<()> {
        let mut value = [0; 24];
        put(&mut value, 0, &active.generation.to_le_bytes());
        for (index, row) in rows.iter().enumerate() {
            put(&mut value, 8 + index * 4, &row.to_le_bytes());
        }
        self.told(key)
            .update(&key.bytes(active.bank), &value, MapFlags::ANY)
    }

    /// Withdraws the rows of a key: it is unknown, and may be asked for again.
    pub(super) fn forget(&self, key: Key) {
        for bank in 0..2 {
            // It need not be there: only banks that ask have rows.
            let _ = self.told(key).delete(&key.bytes(bank));
        }
    }

    /// The cgroups that have rows in a bank, or have been asked for, and in which.
    pub(super) fn cgroups(&self) -> Vec<(u64, u32)> {
        let id = |(key, bank)| match key {
            Key::Cgroup(id) => Some((id, bank)),
            Key::User(_) | Key::Comm(_) | Key::ParentComm(_) => None,
        };
        let keys = self.told_cgroups.keys();
        keys.filter_map(|key| Key::parse(&key).and_then(id))
            .collect()
    }

    /// The users that have rows in a bank, or have been asked for, and in which.
    pub(super) fn users(&self) -> Vec<(u32, u32)> {
        let id = |(key, bank)| match key {
            Key::User(uid) => Some((uid, bank)),
            Key::Cgroup(_) | Key::Comm(_) | Key::ParentComm(_) => None,
        };
        let keys = self.told_users.keys();
        keys.filter_map(|key| Key::parse(&key).and_then(id))
            .collect()
    }

    /// Writes the rows of the machine as a whole, in the order of the slots.
    pub(super) fn write_system(
        &self,
        rows: [u32; SYSTEM_ROWS],
        active: Active,
    ) -> libbpf_rs::Result<()> {
        let mut value = [0; 32];
        put(&mut value, 0, &active.generation.to_le_bytes());
        for (index, row) in rows.iter().enumerate() {
            put(&mut value, 8 + index * 4, &row.to_le_bytes());
        }
        let bank = active.bank.to_ne_bytes();
        self.systems.update(&bank, &value, MapFlags::ANY)
    }

    /// Writes where a CPU is.
    pub(super) fn write_place(&self, place: &Place) -> libbpf_rs::Result<()> {
        let cpu = place.cpu.to_ne_bytes();
        let mut value = [0; 8];
        put(&mut value, 0, &place.llc.to_le_bytes());
        put(&mut value, 4, &place.node.to_le_bytes());
        self.places.update(&cpu, &value, MapFlags::ANY)?;
        let mut value = [0; 4 + SIBLINGS * 4];
        let siblings = place.siblings.iter().take(SIBLINGS);
        put(&mut value, 0, &(siblings.len() as u32).to_le_bytes());
        for (index, sibling) in siblings.enumerate() {
            put(&mut value, 4 + index * 4, &sibling.to_le_bytes());
        }
        self.cores.update(&cpu, &value, MapFlags::ANY)
    }

    /// Every place was written: the object makes sets of CPUs of them.
    pub(super) fn survey(&self) -> Result<(), LiveError> {
        with_patience(|| self.survey.run(&mut []))
            .map_err(LiveError::io("sorting the CPUs by their caches"))
    }

    /// A bank was written: the object makes sets of CPUs of its tiers.
    pub(super) fn confine(&self, bank: u32) -> Result<(), LiveError> {
        let mut context = [0; 8];
        put(&mut context, 0, &bank.to_le_bytes());
        with_patience(|| self.confine.run(&mut context))
            .map_err(LiveError::io("sorting the CPUs by their tiers"))
    }

    /// How many tasks each tier has, as `struct edict_population`.
    pub(super) fn population(&self) -> Result<Vec<u8>, LiveError> {
        self.count
            .run(&mut [])
            .map_err(LiveError::io("counting tasks"))?;
        let counted = self
            .populations
            .lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)
            .map_err(LiveError::kernel("counting tasks"))?;
        Ok(counted.unwrap_or_default())
    }

    /// Tasks that wait for rows of such keys look again; all of them do where
    /// rows that were known are others now.
    pub(super) fn rows_told(&self, news: News) -> io::Result<()> {
        self.rows_told.run(&mut news.bytes())
    }

    /// Every task looks again at the machine as a whole.
    pub(super) fn system_changed(&self) -> io::Result<()> {
        self.system_changed.run(&mut [])
    }
}

/// The object takes memory from a small store that the kernel fills up a moment
/// later. What it has made stays, so it goes on where it ended.
fn with_patience(mut run: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 0..50 {
        match run() {
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                std::thread::sleep(Duration::from_millis(2));
            }
            other => return other,
        }
    }
    run()
}
