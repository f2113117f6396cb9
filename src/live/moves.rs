//! Loads and moves, as the object measures and makes them.

use std::io;
use std::sync::{Mutex, PoisonError};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapMut, ProgramMut};

use super::error::LiveError;
use super::loads::{Between, Candidate, Considered, CpuLoad, Load, RawFeatures, Route};
use super::object::Object;
use super::request::{Request, put, word32, word64};
use super::skeleton::MainSkel;

/// `struct edict_look`: the time, and each CPU.
const LOOK_HEAD: usize = 8;
const CPU: usize = 24;
const ONLINE: u32 = 1;
const IDLE: u32 = 2;
/// `struct edict_moves`, its head and each candidate.
const MOVES_HEAD: usize = 56;
const CANDIDATE: usize = 48;
const CANDIDATES: usize = 64;
const FEATURES: usize = 16;

/// The requests about loads and moves, one at a time.
#[derive(Debug)]
pub(super) struct Moves {
    look: Request,
    consider: Request,
    migrate: Request,
    features: Request,
    arguments: Mutex<Arguments>,
}

/// What they are given and what they tell.
#[derive(Debug)]
struct Arguments {
    looks: MapHandle,
    moves: MapHandle,
}

impl Moves {
    pub(super) fn new(skeleton: &MainSkel<'_>) -> Result<Self, LiveError> {
        let map =
            |map: &MapMut<'_>| MapHandle::try_from(map).map_err(LiveError::kernel("opening a map"));
        let request = |program: &ProgramMut<'_>| {
            Request::new(program).map_err(LiveError::io("opening a request"))
        };
        let progs = &skeleton.progs;
        Ok(Self {
            look: request(&progs.edict_look)?,
            consider: request(&progs.edict_consider)?,
            migrate: request(&progs.edict_migrate)?,
            features: request(&progs.edict_features)?,
            arguments: Mutex::new(Arguments {
                looks: map(&skeleton.maps.edict_looks)?,
                moves: map(&skeleton.maps.edict_moves)?,
            }),
        })
    }

    /// The load of each CPU that is online.
    pub(super) fn look(&self) -> io::Result<Vec<CpuLoad>> {
        let arguments = self.arguments();
        self.look.run(&mut [])?;
        let bytes = arguments.looks.lookup(&KEY, MapFlags::ANY);
        let bytes = bytes.map_err(io::Error::other)?.unwrap_or_default();
        Ok(cpus(&bytes))
    }

    fn consider(&self, route: &Route) -> io::Result<Considered> {
        let arguments = self.arguments();
        arguments.write(&words(route, &[]))?;
        self.consider.run(&mut [])?;
        Ok(considered(&arguments.read()?))
    }

    fn migrate(&self, route: &Route, tasks: &[Candidate]) -> io::Result<u32> {
        let arguments = self.arguments();
        arguments.write(&words(route, tasks))?;
        self.migrate.run(&mut [])?;
        Ok(word32(&arguments.read()?, 52))
    }

    fn arguments(&self) -> std::sync::MutexGuard<'_, Arguments> {
        self.arguments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

const KEY: [u8; 4] = 0_u32.to_ne_bytes();

impl Arguments {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.moves
            .update(&KEY, bytes, MapFlags::ANY)
            .map_err(io::Error::other)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let bytes = self.moves.lookup(&KEY, MapFlags::ANY);
        Ok(bytes.map_err(io::Error::other)?.unwrap_or_default())
    }
}

impl<S> Object<S> {
    /// The load of each CPU that is online.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn look(&self) -> Result<Vec<CpuLoad>, LiveError> {
        let moves = &self.tables().moves;
        moves.look().map_err(LiveError::io("looking at the loads"))
    }

    /// The tasks that wait in the source of a route and may run in its
    /// destination. What is known of the move is written down at each.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn consider(&self, route: &Route) -> Result<Considered, LiveError> {
        let moves = &self.tables().moves;
        moves
            .consider(route)
            .map_err(LiveError::io("considering moves"))
    }

    /// Moves the tasks that are still waiting; tells how many were.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn migrate(&self, route: &Route, tasks: &[Candidate]) -> Result<u32, LiveError> {
        let moves = &self.tables().moves;
        moves
            .migrate(route, tasks)
            .map_err(LiveError::io("moving tasks"))
    }

    /// What the object wrote down at a task when it was considered last.
    ///
    /// # Errors
    ///
    /// When there is no such task.
    pub fn features(&self, pid: u32) -> Result<RawFeatures, LiveError> {
        let mut context = [0; CANDIDATE];
        put(&mut context, 0, &pid.to_le_bytes());
        match self.tables().moves.features.run(&mut context) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Err(LiveError::NoTask(pid))
            }
            Err(error) => Err(LiveError::io("reading what is known of a move")(error)),
            Ok(()) => Ok(features(&context, FEATURES)),
        }
    }
}

fn cpus(bytes: &[u8]) -> Vec<CpuLoad> {
    let entries = bytes.get(LOOK_HEAD..).unwrap_or_default().chunks_exact(CPU);
    (0..)
        .zip(entries)
        .filter(|(_, entry)| word32(entry, 20) & ONLINE != 0)
        .map(|(cpu, entry)| CpuLoad {
            cpu,
            load: Load(word64(entry, 0)),
            tasks: word32(entry, 8),
            llc: word32(entry, 12),
            node: word32(entry, 16),
            is_idle: word32(entry, 20) & IDLE != 0,
        })
        .collect()
}

fn words(route: &Route, tasks: &[Candidate]) -> Vec<u8> {
    let mut bytes = vec![0; MOVES_HEAD + CANDIDATES * CANDIDATE];
    let between: u32 = match route.between {
        Between::Cpus => 0,
        Between::Caches => 1,
    };
    put(&mut bytes, 0, &route.src_load.0.to_le_bytes());
    put(&mut bytes, 8, &route.dst_load.0.to_le_bytes());
    put(&mut bytes, 16, &route.round.to_le_bytes());
    put(&mut bytes, 20, &between.to_le_bytes());
    put(&mut bytes, 24, &route.src.to_le_bytes());
    put(&mut bytes, 28, &route.dst.to_le_bytes());
    put(&mut bytes, 32, &route.dst_cpu.to_le_bytes());
    put(&mut bytes, 36, &route.cpu_idle.to_le_bytes());
    put(&mut bytes, 40, &route.cpu_not_idle.to_le_bytes());
    let tasks = tasks.get(..tasks.len().min(CANDIDATES)).unwrap_or(tasks);
    put(&mut bytes, 48, &(tasks.len() as u32).to_le_bytes());
    for (index, task) in tasks.iter().enumerate() {
        let at = MOVES_HEAD + index * CANDIDATE;
        put(&mut bytes, at, &task.pid.to_le_bytes());
        put(&mut bytes, at + 8, &task.cpu.to_le_bytes());
    }
    bytes
}

fn considered(bytes: &[u8]) -> Considered {
    let count = word32(bytes, 48) as usize;
    let entries = bytes.get(MOVES_HEAD..).unwrap_or_default();
    Considered {
        candidates: entries
            .chunks_exact(CANDIDATE)
            .take(count)
            .map(|entry| Candidate {
                pid: word32(entry, 0),
                weight: word32(entry, 4),
                cpu: word32(entry, 8),
                features: features(entry, FEATURES),
            })
            .collect(),
        hot: word32(bytes, 44),
    }
}

fn features(bytes: &[u8], at: usize) -> RawFeatures {
    RawFeatures {
        src_dom_load: word64(bytes, at),
        dst_dom_load: word64(bytes, at + 8),
        cpu_idle: word32(bytes, at + 16).cast_signed(),
        cpu_not_idle: word32(bytes, at + 20).cast_signed(),
        cpu: word32(bytes, at + 24).cast_signed(),
        round: word32(bytes, at + 28),
    }
}
