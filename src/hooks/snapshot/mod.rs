//! Every task of this machine, with every attribute that user space can read.
//!
//! A snapshot is what `edict diff --snapshot` evaluates two policies on: a file
//! that says what ran, to be kept and to be looked at elsewhere. It needs no
//! root and no kernel half. What this user may not read is unknown, and counted.
//!
//! # How behaviours are estimated
//!
//! The kernel half counts every burst. User space sees counters only:
//! `/proc/PID/task/TID/schedstat` has the time on a CPU and the time waiting for
//! one, `status` the number of voluntary switches (the task went to sleep) and
//! of involuntary ones. Both are read twice, a *window* apart. With the
//! differences over the window if it saw eight sleeps, else with the sums over
//! the life of the task if that saw eight, else not at all:
//!
//! | attribute | estimate |
//! |---|---|
//! | `runtime_avg` | time on a CPU / sleeps |
//! | `wake_rate` | sleeps / time |
//! | `sleep_avg` | (time - time on a CPU - time waiting) / sleeps |
//! | `switch_rate` | (sleeps + involuntary switches) / time, from eight of both together on |
//! | `lat_cri` | by the formula of `bpf/behaviour.bpf.h`, from the first two |
//! | `runtime_dev` | unknown: no counter tells it |
//!
//! The kernel half weighs recent bursts more, so a task that has just changed its
//! ways is estimated late. `parent.comm` is the name of the parent's first
//! thread; the parent itself may be another one.

mod behaviour;
mod format;
mod tasks;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::system::System;
use super::topology::Topology;
use crate::check::Attribute;
use crate::eval::Task;

pub use format::Malformed;

/// The version of the format. Fields are added within a version; a version ends
/// when one changes its meaning.
pub const VERSION: u32 = 1;

/// What ran on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The version of the format.
    pub version: u32,
    /// When it was taken, in UTC as RFC 3339 writes it.
    pub time: String,
    /// The machine.
    pub host: Host,
    /// The time between the two looks at the counters, in nanoseconds.
    pub window_ns: u64,
    /// The attributes of the machine as a whole.
    #[serde(with = "format::attributes")]
    pub system: Task,
    /// For how many tasks an attribute could not be read for want of permission.
    pub unreadable: BTreeMap<String, usize>,
    /// The tasks that were there at both looks, by their ids.
    pub tasks: Vec<Sampled>,
}

/// The machine that a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The release of the kernel.
    pub kernel: String,
    /// How many CPUs are online.
    pub ncpu: usize,
    /// How many last-level caches they have.
    pub llcs: u32,
}

/// One task: a thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// The thread's own id.
    pub pid: u32,
    /// The id of its process.
    pub tgid: u32,
    /// CPU time since it began, in nanoseconds.
    pub runtime_ns: u64,
    /// CPU time in the window, in nanoseconds.
    pub window_runtime_ns: u64,
    /// That as a part of all CPU time of the machine in the window, from 0 to 1.
    #[serde(deserialize_with = "format::share")]
    pub share: f64,
    /// What is known of it.
    #[serde(with = "format::attributes")]
    pub attributes: Task,
}

impl Snapshot {
    /// Looks at this machine twice, `window` apart.
    ///
    /// # Errors
    /// When `/proc` cannot be listed.
    pub fn take(window: Duration) -> io::Result<Self> {
        let topology = Topology::read();
        let mut system = System::new(topology.clone());
        system.sample();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let host = Host {
            kernel: kernel.trim().to_owned(),
            ncpu: topology.ncpu(),
            llcs: topology.llcs(),
        };
        let time = rfc3339(SystemTime::now());
        let mut reader = tasks::Reader::new(Path::new("/proc"), Path::new("/etc/passwd"), topology);
        let seen = reader.first_look()?;
        if !window.is_zero() {
            thread::sleep(window);
        }
        let tasks = reader.second_look(seen);
        let mut about = Task::default();
        for (attribute, value) in system.sample() {
            about.set(attribute, value);
        }
        Ok(Self {
            version: VERSION,
            time,
            host,
            window_ns: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            system: about,
            unreadable: reader.unreadable(),
            tasks,
        })
    }

    /// Leaves an attribute out, of the machine and of every task.
    pub fn forget(&mut self, attribute: Attribute) {
        self.system.forget(attribute);
        for task in &mut self.tasks {
            task.attributes.forget(attribute);
        }
        self.unreadable.remove(attribute.about().name);
    }

    /// How many processes its tasks belong to.
    pub fn processes(&self) -> usize {
        let mut ids: Vec<u32> = self.tasks.iter().map(|task| task.tgid).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    /// Everything that is known of one task: its own attributes and those of the
    /// machine.
    pub fn whole(&self, task: &Sampled) -> Task {
        let mut whole = task.attributes.clone();
        for (attribute, value) in self.system.values() {
            whole.set(attribute, value.clone());
        }
        whole
    }
}

/// `2026-11-21T15:30:00Z`
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin
    // in March, so that the leap day is the last one.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day = shifted % 146_097;
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_274_581), "2026-11-21T15:23:01Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn this_machine_runs_this_test() {
        let snapshot = Snapshot::take(Duration::from_millis(50)).unwrap();
        assert!(snapshot.host.ncpu >= 1 && !snapshot.host.kernel.is_empty());
        let own = std::process::id();
        let mine: Vec<&Sampled> = snapshot.tasks.iter().filter(|t| t.tgid == own).collect();
        let leader = mine.iter().find(|task| task.pid == own).unwrap();
        let task = snapshot.whole(leader);
        assert_eq!(task.truth(Attribute::GroupLeader), Some(true));
        assert_eq!(task.truth(Attribute::Kthread), Some(false));
        assert_eq!(task.number(Attribute::Tgid), Some(i64::from(own)));
        let exe = std::env::current_exe().unwrap();
        assert_eq!(task.text(Attribute::Exe), exe.to_str());
        assert!(task.number(Attribute::Ncpu).is_some());
        assert!(
            snapshot
                .tasks
                .is_sorted_by(|a, b| a.pid < b.pid || a.pid == b.pid && a.tgid <= b.tgid)
        );
        let again = Snapshot::parse(&snapshot.to_text()).unwrap();
        assert_eq!(again.tasks.len(), snapshot.tasks.len());
        assert_eq!(again.tasks[0].attributes, snapshot.tasks[0].attributes);
    }
}
