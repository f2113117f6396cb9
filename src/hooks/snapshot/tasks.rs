//! Reads the tasks of `/proc`.
//!
//! A task may end between any two reads; then it is left out. Ids are read from
//! the directories, so nothing is missed that was there the whole time.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Sampled;
use super::behaviour::{Counters, SECOND, TICKS, behaviour, counters};
use crate::check::Attribute;
use crate::eval::Task;
use crate::hooks::cgroup;
use crate::hooks::topology::Topology;

/// `PF_KTHREAD` of `include/linux/sched.h`.
const KTHREAD: u64 = 0x0020_0000;
/// `PF_WQ_WORKER`.
const WORKER: u64 = 0x0000_0020;
/// So many bytes of a name the scheduler knows.
const NAME: usize = 15;
/// So much of a command line is kept, in bytes.
const LONGEST_CMDLINE: usize = 4_095;

/// Reads tasks, and counts what it may not read.
pub(super) struct Reader {
    proc: PathBuf,
    users: HashMap<u32, String>,
    topology: Topology,
    /// Time since boot, in nanoseconds.
    uptime: u64,
    unreadable: BTreeMap<Attribute, usize>,
}

/// A task at the first look.
pub(super) struct Seen {
    directory: PathBuf,
    pid: u32,
    tgid: u32,
    counters: Counters,
    at: Instant,
    age: u64,
    attributes: Task,
}

/// What the threads of a process share.
struct Process {
    exe: Option<String>,
    cmdline: Option<String>,
    namespace: Option<i64>,
}

impl Reader {
    pub(super) fn new(proc: &Path, passwd: &Path, topology: Topology) -> Self {
        let uptime = fs::read_to_string(proc.join("uptime")).unwrap_or_default();
        let uptime = uptime.split(' ').next().and_then(|t| t.parse::<f64>().ok());
        Self {
            proc: proc.to_owned(),
            users: users(&read(passwd).unwrap_or_default()),
            topology,
            uptime: (uptime.unwrap_or(0.0) * 1e9) as u64,
            unreadable: BTreeMap::new(),
        }
    }

    /// For how many tasks an attribute could not be read.
    pub(super) fn unreadable(&self) -> BTreeMap<String, usize> {
        self.unreadable
            .iter()
            .map(|(attribute, count)| (attribute.about().name.to_owned(), *count))
            .collect()
    }

    /// Every task that is there.
    pub(super) fn first_look(&mut self) -> io::Result<Vec<Seen>> {
        let mut all = Vec::new();
        let mut names: HashMap<u32, String> = HashMap::new();
        let mut parents: Vec<Option<u32>> = Vec::new();
        for tgid in numbers(&self.proc)? {
            let directory = self.proc.join(tgid.to_string());
            let Ok(threads) = numbers(&directory.join("task")) else {
                continue;
            };
            let process = self.process(&directory, threads.len());
            for pid in threads {
                let directory = directory.join("task").join(pid.to_string());
                let Some((seen, parent)) = self.task(directory, pid, tgid, &process) else {
                    continue;
                };
                if pid == tgid
                    && let Some(comm) = seen.attributes.text(Attribute::Comm)
                {
                    names.insert(pid, comm.to_owned());
                }
                parents.push(parent);
                all.push(seen);
            }
        }
        for (seen, parent) in all.iter_mut().zip(parents) {
            if let Some(name) = parent.and_then(|parent| names.get(&parent)) {
                seen.attributes.set(Attribute::ParentComm, name.as_str());
            }
        }
        Ok(all)
    }

    /// The same tasks again, those that are still there, by their ids.
    pub(super) fn second_look(&self, seen: Vec<Seen>) -> Vec<Sampled> {
        let mut all: Vec<Sampled> = seen
            .into_iter()
            .filter_map(|seen| {
                let status = read(&seen.directory.join("status"))?;
                let stat = || read(&seen.directory.join("stat"));
                let now = counters(&seen.directory, &status, stat)?;
                let window = now.since(&seen.counters)?;
                let passed = u64::try_from(seen.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let mut attributes = seen.attributes;
                for (attribute, value) in behaviour(&window, passed, &now, seen.age) {
                    attributes.set(attribute, value);
                }
                let all = passed.saturating_mul(self.topology.ncpu().max(1) as u64);
                Some(Sampled {
                    pid: seen.pid,
                    tgid: seen.tgid,
                    runtime_ns: now.run,
                    window_runtime_ns: window.run,
                    share: round(window.run as f64 / all.max(1) as f64),
                    attributes,
                })
            })
            .collect();
        all.sort_by_key(|task| (task.pid, task.tgid));
        all
    }

    fn process(&mut self, directory: &Path, threads: usize) -> Process {
        let exe = fs::read_link(directory.join("exe")).map(|link| {
            let path = link.to_string_lossy();
            path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned()
        });
        let namespace = fs::read_link(directory.join("ns/pid"))
            .map(|link| inode(&link.to_string_lossy()).unwrap_or(0));
        let cmdline = fs::read(directory.join("cmdline"));
        Process {
            exe: self.counted(Attribute::Exe, exe, threads),
            namespace: self
                .counted(Attribute::NsPid, namespace, threads)
                .filter(|inode| *inode > 0),
            cmdline: self
                .counted(Attribute::Cmdline, cmdline, threads)
                .and_then(|bytes| words(&bytes)),
        }
    }

    /// What was read; what was refused is counted.
    fn counted<T>(
        &mut self,
        attribute: Attribute,
        outcome: io::Result<T>,
        tasks: usize,
    ) -> Option<T> {
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::PermissionDenied
        {
            *self.unreadable.entry(attribute).or_default() += tasks;
        }
        outcome.ok()
    }

    /// One task, and the id of its parent; none if it has ended.
    fn task(
        &mut self,
        directory: PathBuf,
        pid: u32,
        tgid: u32,
        process: &Process,
    ) -> Option<(Seen, Option<u32>)> {
        let stat = read(&directory.join("stat"))?;
        let (comm, fields) = stat_fields(&stat)?;
        let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
        // Ended, but its parent has not asked yet: nothing to schedule.
        if matches!(field(3), Some("Z" | "X" | "x")) {
            return None;
        }
        let status = read(&directory.join("status"))?;
        let at = Instant::now();
        let counters = counters(&directory, &status, || Some(stat.clone()))?;
        let started: u64 = field(22)?.parse().ok()?;
        let age = self.uptime.saturating_sub(started * (SECOND / TICKS));
        let flags: u64 = field(9)?.parse().ok()?;
        let parent: u32 = field(4)?.parse().ok()?;

        let mut task = Task::default()
            .with(Attribute::Comm, name(comm, flags))
            .with(Attribute::Nice, field(19)?.parse::<i64>().ok()?)
            .with(Attribute::Kthread, flags & KTHREAD != 0)
            .with(Attribute::GroupLeader, pid == tgid)
            .with(Attribute::Pid, i64::from(pid))
            .with(Attribute::Tgid, i64::from(tgid))
            .with(Attribute::Ppid, i64::from(parent))
            .with(Attribute::Age, i64::try_from(age).unwrap_or(i64::MAX));
        if let Some(uid) = effective(&status, "Uid:") {
            task.set(Attribute::Uid, i64::from(uid));
            if let Some(name) = self.users.get(&uid) {
                task.set(Attribute::User, name.as_str());
            }
        }
        if let Some(gid) = effective(&status, "Gid:") {
            task.set(Attribute::Gid, i64::from(gid));
        }
        let cpu = field(39).and_then(|cpu| cpu.parse().ok());
        if let Some(place) = cpu.and_then(|cpu| self.topology.place(cpu)) {
            task.set(Attribute::Llc, i64::from(place.llc));
            task.set(Attribute::Node, i64::from(place.node));
        }
        if let Some(path) = read(&directory.join("cgroup")).and_then(|text| group(&text)) {
            task.set(Attribute::Container, cgroup::container(&path));
            task.set(Attribute::Unit, cgroup::unit(&path));
            task.set(Attribute::Cgroup, path);
        }
        if let Some(exe) = &process.exe {
            task.set(Attribute::Exe, exe.as_str());
        }
        if let Some(cmdline) = &process.cmdline {
            task.set(Attribute::Cmdline, cmdline.as_str());
        }
        if let Some(namespace) = process.namespace {
            task.set(Attribute::NsPid, namespace);
        }
        let seen = Seen {
            directory,
            pid,
            tgid,
            counters,
            at,
            age,
            attributes: task,
        };
        Some((seen, (parent > 0).then_some(parent)))
    }
}

/// Six digits of a part of the machine are enough for a thread of an hour. The
/// kernel counts CPU time by ticks, so that a short window may seem overfull.
fn round(share: f64) -> f64 {
    ((share * 1e6).round() / 1e6).min(1.0)
}

/// A file of `/proc`; none if it is gone.
pub(super) fn read(path: &Path) -> Option<String> {
    fs::read(path)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The entries of a directory that are numbers.
fn numbers(directory: &Path) -> io::Result<Vec<u32>> {
    Ok(fs::read_dir(directory)?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

/// The name, which may hold anything, and the fields behind it: the first of
/// them is number 3 of proc(5).
pub(super) fn stat_fields(stat: &str) -> Option<(&str, Vec<&str>)> {
    let (_, rest) = stat.split_once('(')?;
    let (comm, fields) = rest.rsplit_once(')')?;
    Some((comm, fields.split_ascii_whitespace().collect()))
}

/// The name as the scheduler knows it. For its own threads the kernel tells more
/// in `/proc`: longer names, and what a worker works on, as `kworker/0:1-events`.
fn name(comm: &str, flags: u64) -> &str {
    let is_rescuer = comm.starts_with("kworker/R-");
    let own = match flags & WORKER != 0 && !is_rescuer {
        true => comm.split(['-', '+']).next().unwrap_or(comm),
        false => comm,
    };
    match flags & KTHREAD != 0 {
        true => own.get(..own.floor_char_boundary(NAME)).unwrap_or(own),
        false => own,
    }
}

/// The second number of a line like `Uid: 0 0 0 0`.
fn effective(status: &str, name: &str) -> Option<u32> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The path in the version 2 hierarchy; none for one outside of what this
/// process may see.
fn group(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let is_inside = path.starts_with('/') && !path.starts_with("/..");
    is_inside.then(|| path.to_owned())
}

/// `pid:[4026531836]`
fn inode(link: &str) -> Option<i64> {
    link.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// Arguments joined by blanks, cut where they are too long; none without any.
fn words(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    let text = String::from_utf8_lossy(bytes.get(..=end)?).replace('\0', " ");
    let end = text.floor_char_boundary(LONGEST_CMDLINE);
    Some(text.get(..end).unwrap_or_default().to_owned())
}

/// Names of users by their ids; the first line of an id counts.
fn users(passwd: &str) -> HashMap<u32, String> {
    let mut users = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
            users.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nUid:\t1000\t33\t0\t0\nGid:\t4\t5\t6\t7\n\
        voluntary_ctxt_switches:\t20\nnonvoluntary_ctxt_switches:\t3\n";

    /// Writes a task; field 4 is the parent, 9 the flags, 19 nice, 22 the start.
    fn write(root: &Path, tgid: u32, pid: u32, comm: &str, parent: u32, flags: u64) {
        let directory = root.join(format!("{tgid}/task/{pid}"));
        fs::create_dir_all(&directory).unwrap();
        let mut fields = vec!["0".to_owned(); 50];
        fields[0] = "S".into();
        fields[1] = parent.to_string();
        fields[6] = flags.to_string();
        fields[11] = "7".into();
        fields[12] = "3".into();
        fields[16] = "-5".into();
        fields[19] = "9000".into();
        let stat = format!("{pid} ({comm}) {}\n", fields.join(" "));
        fs::write(directory.join("stat"), stat).unwrap();
        fs::write(directory.join("status"), STATUS).unwrap();
        fs::write(directory.join("schedstat"), "1000000 500000 23\n").unwrap();
        fs::write(
            directory.join("cgroup"),
            "1:cpu:/x\n0::/system.slice/a.service\n",
        )
        .unwrap();
    }

    fn reader(root: &Path) -> Reader {
        fs::write(root.join("uptime"), "100.50 3.0\n").unwrap();
        fs::write(
            root.join("passwd"),
            "root:x:0:0::/:\nwww:x:33:33::/:\nbad\n",
        )
        .unwrap();
        Reader::new(root, &root.join("passwd"), Topology::default())
    }

    #[test]
    fn a_task_is_read() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), 1, 1, "init", 0, 0);
        write(root.path(), 7, 7, "we) (ird", 1, 0);
        write(root.path(), 7, 8, "worker", 1, 0);
        write(root.path(), 2, 2, "kthreadd", 0, KTHREAD);
        fs::write(root.path().join("7/cmdline"), b"weird\0-x\0").unwrap();
        std::os::unix::fs::symlink("/usr/bin/w (deleted)", root.path().join("7/exe")).unwrap();
        fs::create_dir(root.path().join("7/ns")).unwrap();
        std::os::unix::fs::symlink("pid:[4026531836]", root.path().join("7/ns/pid")).unwrap();
        let mut reader = reader(root.path());
        let seen = reader.first_look().unwrap();
        let all = reader.second_look(seen);
        assert_eq!(all.iter().map(|t| t.pid).collect::<Vec<_>>(), [1, 2, 7, 8]);
        let weird = &all[2];
        assert_eq!((weird.tgid, weird.runtime_ns), (7, 1_000_000));
        let expected = Task::default()
            .with(Attribute::Comm, "we) (ird")
            .with(Attribute::Exe, "/usr/bin/w")
            .with(Attribute::Cmdline, "weird -x")
            .with(Attribute::Nice, -5)
            .with(Attribute::Uid, 33)
            .with(Attribute::User, "www")
            .with(Attribute::Gid, 5)
            .with(Attribute::Kthread, false)
            .with(Attribute::GroupLeader, true)
            .with(Attribute::Pid, 7)
            .with(Attribute::Tgid, 7)
            .with(Attribute::Ppid, 1)
            .with(Attribute::ParentComm, "init")
            .with(Attribute::NsPid, 4_026_531_836)
            .with(Attribute::Cgroup, "/system.slice/a.service")
            .with(Attribute::Container, "")
            .with(Attribute::Unit, "a.service")
            .with(Attribute::Age, 10_500_000_000)
            // From its life: the window saw nothing.
            .with(Attribute::RuntimeAvg, 50_000)
            .with(Attribute::WakeRate, 1)
            .with(Attribute::LatCri, 47_031)
            .with(Attribute::SleepAvg, (10_500_000_000 - 1_500_000) / 20)
            .with(Attribute::SwitchRate, 2);
        assert_eq!(weird.attributes, expected);
        let worker = &all[3].attributes;
        assert_eq!(worker.truth(Attribute::GroupLeader), Some(false));
        assert_eq!(worker.text(Attribute::Exe), Some("/usr/bin/w"));
        assert_eq!(all[1].attributes.truth(Attribute::Kthread), Some(true));
        assert_eq!(all[1].attributes.text(Attribute::Exe), None);
        assert_eq!(reader.unreadable(), BTreeMap::new());
    }

    #[test]
    fn who_has_gone_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for pid in [3, 4, 5] {
            write(root.path(), pid, pid, "x", 0, 0);
        }
        fs::remove_file(root.path().join("4/task/4/status")).unwrap();
        let stat = fs::read_to_string(root.path().join("5/task/5/stat")).unwrap();
        fs::write(
            root.path().join("5/task/5/stat"),
            stat.replace(") S", ") Z"),
        )
        .unwrap();
        let mut reader = reader(root.path());
        let seen = reader.first_look().unwrap();
        assert_eq!(seen.len(), 1);
        fs::remove_dir_all(root.path().join("3")).unwrap();
        assert!(reader.second_look(seen).is_empty());
        // An id that was given out again counts from the start.
        write(root.path(), 3, 3, "x", 0, 0);
        let seen = reader.first_look().unwrap();
        fs::write(root.path().join("3/task/3/schedstat"), "10 5 1\n").unwrap();
        assert!(reader.second_look(seen).is_empty());
    }

    #[test]
    fn a_kernel_that_counts_ticks_only() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), 3, 3, "x", 0, 0);
        fs::remove_file(root.path().join("3/task/3/schedstat")).unwrap();
        let mut reader = reader(root.path());
        let seen = reader.first_look().unwrap();
        let all = reader.second_look(seen);
        assert_eq!(all[0].runtime_ns, 100_000_000);
        assert_eq!(all[0].attributes.number(Attribute::SleepAvg), None);
        assert_eq!(
            all[0].attributes.number(Attribute::RuntimeAvg),
            Some(5_000_000)
        );
    }

    #[test]
    fn pieces_of_files() {
        let worker = KTHREAD | WORKER;
        assert_eq!(name("pool_workqueue_release", KTHREAD), "pool_workqueue_");
        assert_eq!(
            name("kworker/u16:3-events_unbound", worker),
            "kworker/u16:3"
        );
        assert_eq!(name("kworker/0:1H+kblockd", worker), "kworker/0:1H");
        assert_eq!(name("kworker/R-rcu_gp", worker), "kworker/R-rcu_g");
        assert_eq!(name("a-b+c", 0), "a-b+c");
        assert_eq!(group("0::/../x\n"), None);
        assert_eq!(group("0::/a (deleted)\n").as_deref(), Some("/a"));
        assert_eq!(group("4:cpu:/\n"), None);
        assert_eq!(words(b""), None);
        assert_eq!(words(b"\0\0"), None);
        assert_eq!(words(b"a\0\0b\0").as_deref(), Some("a  b"));
        let long = "ü".repeat(5_000);
        assert_eq!(words(long.as_bytes()).unwrap().len(), 4_094);
    }
}
