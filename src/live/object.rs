//! The object: open, load, attach, prepare, commit, detach.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libbpf_rs::{Link, MapCore, MapFlags, PrintLevel};

use super::agent_rows::AgentRows;
use super::ejection::Ejection;
use super::error::LiveError;
use super::generation::{Generation, Prepared};
use super::listener::Listener;
use super::listing::{self, Listed};
use super::probe;
use super::recording::Recording;
use super::request::{put, word32, word64};
use super::skeleton::{MainSkel, MainSkelBuilder};
use super::statistics::{INSPECTION, Inspection, Statistics};
use super::tables::{Active, Tables};
use super::values::{NoValues, Place, Values};
use crate::image::Image;

/// What may be chosen when the object is loaded.
pub struct LoadOptions {
    /// Where the values come from that only the agent can evaluate.
    pub values: Box<dyn Values>,
    /// The seed of the draws; 0 takes one from the clock.
    pub seed: u64,
    /// How long a runnable task may wait before the kernel ejects the
    /// scheduler; at most 30 s.
    pub watchdog: Duration,
    /// Keep account of every kind of decision, for [`Object::decisions`].
    pub audit: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            values: Box::new(NoValues),
            seed: 0,
            watchdog: Duration::from_secs(20),
            audit: false,
        }
    }
}

/// The stages of an object.
pub mod stage {
    /// In the kernel, not in charge.
    #[derive(Debug)]
    pub struct Loaded(pub(super) ());

    /// In charge of scheduling.
    #[derive(Debug)]
    pub struct Attached {
        // Dropped in this order: first the kernel's own scheduler takes over.
        pub(super) link: Option<libbpf_rs::Link>,
        pub(super) listener: Option<super::Listener>,
    }
}

/// Loaded, not attached.
pub type Loaded = Object<stage::Loaded>;
/// Attached: every normal task is scheduled by the policy.
pub type Attached = Object<stage::Attached>;

/// The object in the kernel.
pub struct Object<S> {
    stage: S,
    rows: AgentRows,
    tables: Arc<Tables>,
    skeleton: MainSkel<'static>,
    active: Active,
    /// What each bank holds, as far as it was written completely.
    banks: [Option<Arc<Image>>; 2],
    /// The policy that was in force before the one that is.
    previous: Option<Arc<Image>>,
    /// How many policies were prepared, which is the number of the last of them.
    prepared: u64,
}

impl<S> std::fmt::Debug for Object<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// One kind of decision that was taken, with `audit` set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decision {
    /// The number of the generation, modulo 2.
    pub generation_parity: u32,
    /// The rule that took the task.
    pub rule: u16,
    /// The tier it was put into.
    pub tier: u16,
    /// The slice it was given.
    pub slice_ns: u64,
    /// How often.
    pub count: u64,
}

/// `EDICT_LLCS_MAX` of `bpf/tables.bpf.h`.
const LLCS_MAX: u32 = 64;

static LIBBPF_LOG: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
const LOG_LINES: usize = 40;

fn keep_log(_: PrintLevel, text: String) {
    let mut log = LIBBPF_LOG.lock().unwrap_or_else(PoisonError::into_inner);
    for line in text.lines() {
        if log.len() == LOG_LINES {
            log.pop_front();
        }
        log.push_back(line.to_owned());
    }
}

fn refused(message: impl std::fmt::Display) -> LiveError {
    let mut log = LIBBPF_LOG.lock().unwrap_or_else(PoisonError::into_inner);
    LiveError::Refused {
        message: message.to_string(),
        log: log.drain(..).collect::<Vec<_>>().join("\n"),
    }
}

/// Puts the object into the kernel, without attaching it.
///
/// # Errors
///
/// What the kernel has not got, or refuses; each with a cure.
pub fn load(options: LoadOptions) -> Result<Loaded, LiveError> {
    probe::obstacle().map_or(Ok(()), Err)?;
    libbpf_rs::set_print(Some((PrintLevel::Warn, keep_log)));

    // The storage is one pointer wide and lives as long as the process: with a
    // lifetime of its own it would leak into every struct above.
    let storage = Box::leak(Box::new(MaybeUninit::uninit()));
    let builder = MainSkelBuilder::default();
    let mut open = scx_utils::scx_ops_open!(builder, storage, edict_ops, None)
        .map_err(|error| refused(format!("{error:#}")))?;

    // The kernel takes a task for one that cannot migrate while a program runs
    // on its behalf, and would keep what a real-time task interrupts, with a new
    // slice, where it is. Kernels before 6.14 cannot be told otherwise: there
    // it waits for its CPU, with the slice that it has.
    let every_task = *scx_utils::compat::SCX_OPS_ENQ_MIGRATION_DISABLED;
    let cpus = probe::cpu_ids();
    open.maps
        .edict_cpus
        .set_max_entries(cpus)
        .and_then(|()| open.maps.edict_places.set_max_entries(cpus))
        .and_then(|()| open.maps.edict_cores.set_max_entries(cpus))
        .and_then(|()| open.maps.edict_admissions.set_max_entries(cpus))
        .and_then(|()| open.maps.edict_loads.set_max_entries(cpus))
        .map_err(LiveError::kernel("sizing the tables of CPUs"))?;
    if let Some(constants) = open.maps.rodata_data.as_mut() {
        constants.edict_nr_cpus = cpus;
        constants.edict_nr_llcs = caches(&options.values.places());
        constants.edict_seed = seed(options.seed);
        constants.edict_audit = u32::from(options.audit);
        constants.edict_takes_back = u32::from(every_task != 0);
    }
    let watchdog = u32::try_from(options.watchdog.as_millis()).unwrap_or(u32::MAX);
    open.struct_ops.edict_ops_mut().timeout_ms = watchdog.clamp(1, 30_000);
    // The object goes along with CPUs that come and go, also before it is
    // attached: its tables are sized for all that are possible.
    open.struct_ops.edict_ops_mut().hotplug_seq = 0;
    open.struct_ops.edict_ops_mut().flags = *scx_utils::compat::SCX_OPS_ALLOW_QUEUED_WAKEUP
            | every_task
            // The object is told of idle CPUs, and the kernel keeps account.
            | *scx_utils::compat::SCX_OPS_KEEP_BUILTIN_IDLE
            // A task may leave its CPU although nothing else is there: it may
            // not be allowed there any more.
            | *scx_utils::compat::SCX_OPS_ENQ_LAST;
    for (program, tracepoint) in [
        (&mut open.progs.edict_exec, "btf_trace_sched_process_exec"),
        (&mut open.progs.edict_cgroup_made, "btf_trace_cgroup_mkdir"),
        (&mut open.progs.edict_cgroup_gone, "btf_trace_cgroup_rmdir"),
    ] {
        // Where there is none, the object asks when it meets the task.
        program.set_autoload(scx_utils::compat::ksym_exists(tracepoint).unwrap_or(false));
    }

    // Read when it is asked for; there is nothing to attach it to.
    open.progs.edict_list.set_autoattach(false);

    let skeleton = scx_utils::scx_ops_load!(open, edict_ops, uei)
        .map_err(|error| load_error(format!("{error:#}")))?;
    let tables = Arc::new(Tables::new(&skeleton)?);
    let rows = AgentRows::new(Arc::clone(&tables), Arc::from(options.values))?;
    tables.survey()?;
    Ok(Object {
        stage: stage::Loaded(()),
        rows,
        tables,
        skeleton,
        active: Active::default(),
        banks: [None, None],
        previous: None,
        prepared: 0,
    })
}

/// How many last-level caches get queues of their own.
fn caches(places: &[Place]) -> u32 {
    let last = places.iter().map(|place| place.llc).max();
    last.map_or(1, |last| last.saturating_add(1).min(LLCS_MAX))
}

fn seed(chosen: u64) -> u64 {
    if chosen != 0 {
        return chosen;
    }
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |now| now.as_nanos() as u64 | 1)
}

fn load_error(message: String) -> LiveError {
    let unsound = scx_utils::compat::malformed_scx_kfuncs();
    if unsound.is_empty() {
        refused(message)
    } else {
        LiveError::Unsound(unsound)
    }
}

impl<S> Object<S> {
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Fills the idle bank with a policy: waits until nobody reads it, writes
    /// it, reads it back, tells the rows that only the agent knows.
    ///
    /// # Errors
    ///
    /// When the kernel refuses; what is in force has not changed then.
    pub fn prepare(&mut self, image: &Image) -> Result<Prepared, LiveError> {
        self.prepare_shared(Arc::new(image.clone()))
    }

    fn prepare_shared(&mut self, image: Arc<Image>) -> Result<Prepared, LiveError> {
        let active = Active {
            generation: self.prepared + 1,
            bank: if self.active.generation == 0 {
                0
            } else {
                1 - self.active.bank
            },
        };
        self.prepared += 1;
        let kept = self
            .banks
            .get(active.bank as usize)
            .and_then(Option::as_ref)
            .is_some_and(|held| held.digest() == image.digest());
        self.tables.wait_out_callbacks()?;
        if !kept {
            self.hold(active.bank, None);
            self.tables.write_bank(active.bank, image.bank())?;
            self.hold(active.bank, Some(Arc::clone(&image)));
        }
        self.tables.confine(active.bank)?;
        self.tables.zero_counters(active.bank)?;
        Ok(Prepared {
            expected: self.active,
            active,
            _claim: self.rows.prepare(active, &image)?,
            image,
        })
    }

    fn hold(&mut self, bank: u32, image: Option<Arc<Image>>) {
        if let Some(held) = self.banks.get_mut(bank as usize & 1) {
            *held = image;
        }
    }

    /// Puts a prepared policy in force: one store.
    ///
    /// # Errors
    ///
    /// When another one was prepared or committed since.
    pub fn commit(&mut self, prepared: Prepared) -> Result<Generation, LiveError> {
        if prepared.active.generation != self.prepared {
            return Err(LiveError::Overtaken);
        }
        let renumbered = renumbered(self.image(), &prepared.image);
        self.tables
            .commit(prepared.expected, prepared.active, renumbered)?;
        self.previous = self.image().cloned();
        self.active = prepared.active;
        self.rows.committed(self.active.generation);
        self.hold(self.active.bank, Some(Arc::clone(&prepared.image)));
        Ok(prepared.generation())
    }

    /// Puts the policy in force again that was in force before, as a new
    /// generation.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn roll_back(&mut self) -> Result<Generation, LiveError> {
        let image = self.previous.clone().ok_or(LiveError::NoGeneration)?;
        let prepared = self.prepare_shared(image)?;
        self.commit(prepared)
    }

    /// What is in force, if anything was committed.
    pub fn generation(&self) -> Option<Generation> {
        self.image().map(|image| Generation {
            number: self.active.generation,
            digest: image.digest(),
        })
    }

    /// The policy in force.
    pub fn image(&self) -> Option<&Arc<Image>> {
        if self.active.generation == 0 {
            return None;
        }
        self.banks.get(self.active.bank as usize)?.as_ref()
    }

    /// Counters of the generation in force since it was prepared.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn statistics(&self) -> Result<Statistics, LiveError> {
        let image = self.image().ok_or(LiveError::NoGeneration)?;
        Statistics::read(&self.tables, self.active, image)
    }

    /// What the object knows about a task, and what it decided.
    ///
    /// # Errors
    ///
    /// When there is no such task.
    pub fn inspect(&self, pid: u32) -> Result<Inspection, LiveError> {
        let image = self.image().ok_or(LiveError::NoGeneration)?;
        let mut context = [0; INSPECTION];
        put(&mut context, 0, &pid.to_le_bytes());
        match self.tables.inspect.run(&mut context) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Err(LiveError::NoTask(pid))
            }
            Err(error) => Err(LiveError::io("inspecting a task")(error)),
            Ok(()) => Ok(Inspection::parse(&context, image, &self.rows)),
        }
    }

    /// Every task that the policy schedules.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn tasks(&self) -> Result<Vec<Listed>, LiveError> {
        listing::read(&self.tables.list)
    }

    /// Turns on a recording of what is decided; there is one at a time.
    ///
    /// # Errors
    ///
    /// When one is on already, or the kernel refuses.
    pub fn record(&self) -> Result<Recording, LiveError> {
        Recording::begin(&self.tables)
    }

    /// The kinds of decisions taken so far, with [`LoadOptions::audit`] set.
    pub fn decisions(&self) -> Vec<Decision> {
        let map = &self.tables.decisions;
        map.keys()
            .filter_map(|key| {
                let count = map.lookup(&key, MapFlags::ANY).ok().flatten()?;
                let names = word32(&key, 12);
                Some(Decision {
                    slice_ns: word64(&key, 0),
                    generation_parity: word32(&key, 8),
                    rule: (names & 0xffff) as u16,
                    tier: (names >> 16) as u16,
                    count: word64(&count, 0),
                })
            })
            .collect()
    }
}

/// The numbers whose tier has another name than before: bit t is tier t.
fn renumbered(before: Option<&Arc<Image>>, after: &Image) -> u64 {
    let before = before.map_or(&[][..], |image| image.tiers());
    after
        .tiers()
        .iter()
        .enumerate()
        .filter(|(number, tier)| before.get(*number).is_none_or(|old| old.name != tier.name))
        .fold(0, |mask, (number, _)| mask | 1 << number)
}

impl Loaded {
    /// Puts the policy in charge of every normal task.
    ///
    /// # Errors
    ///
    /// When nothing was committed, or the kernel refuses.
    pub fn attach(mut self) -> Result<Attached, LiveError> {
        if self.active.generation == 0 {
            return Err(LiveError::NoGeneration);
        }
        if let Some(name) = probe::attached() {
            return Err(LiveError::Occupied(name));
        }
        let listener = self.rows.listen()?;
        let skeleton = &mut self.skeleton;
        let link: Link = scx_utils::scx_ops_attach!(skeleton, edict_ops, false)
            .map_err(|error| refused(format!("{error:#}")))?;
        Ok(Object {
            stage: stage::Attached {
                link: Some(link),
                listener: Some(listener),
            },
            rows: self.rows,
            tables: self.tables,
            skeleton: self.skeleton,
            active: self.active,
            banks: self.banks,
            previous: self.previous,
            prepared: self.prepared,
        })
    }
}

impl Attached {
    /// Why the kernel's own scheduler is back in charge, if it is.
    #[expect(unsafe_code, reason = "memory that the kernel writes")]
    pub fn ejection(&self) -> Option<Ejection> {
        let exit = &self.skeleton.maps.data_data.as_ref()?.uei;
        // SAFETY: `exit` is borrowed from the mapping of the object's data;
        // the kernel writes this word last, after the texts.
        let kind = unsafe { std::ptr::read_volatile(&raw const exit.kind) };
        if kind == 0 {
            return None;
        }
        let dump = self
            .skeleton
            .maps
            .data_uei_dump
            .lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)
            .ok()
            .flatten()
            .map_or_else(String::new, |bytes| text(&bytes));
        Some(Ejection {
            reason: text(&exit.reason.map(i8::cast_unsigned)),
            message: text(&exit.msg.map(i8::cast_unsigned)),
            dump,
            ..Ejection::new(kind, exit.exit_code)
        })
    }

    /// Gives scheduling back to the kernel.
    ///
    /// # Errors
    ///
    /// When the kernel has not taken over within five seconds.
    pub fn detach(mut self) -> Result<(), LiveError> {
        drop(self.stage.link.take());
        drop(self.stage.listener.take());
        let begun = Instant::now();
        while probe::state().is_some_and(|state| state != "disabled") {
            if begun.elapsed() > Duration::from_secs(5) {
                return Err(LiveError::Kernel {
                    what: "detaching",
                    source: std::io::ErrorKind::TimedOut.into(),
                });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default())
        .into_owned()
}
