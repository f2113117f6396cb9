//! The values that the kernel cannot evaluate: which program a process runs
//! with which arguments, the path of a cgroup, the name of a user, and what is
//! true of the machine as a whole.
//!
//! Programs are read from `/proc/PID/exe`, cgroups by walking the version 2
//! hierarchy, whose inode numbers are the ids that the object reports. Paths
//! are relative to the root of the hierarchy as this process sees it. Users are
//! those of `/etc/passwd`, which is read again for each question; those that
//! only a directory service knows have no name here. Nothing here decides
//! anything: what is read goes to [`crate::live`], which knows the row of its
//! class in each bank.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cgroup::{container, unit};
use super::hierarchy::{self, Hierarchy};
use super::system::System;
use super::topology::Topology;
use crate::check::{Attribute, LONGEST_TEXT, Value};
use crate::live::{Place, Values};

/// Older than that, what was counted says nothing about the last second.
const FRESH: Duration = Duration::from_secs(3);

/// Reads `/proc` and the cgroup file system.
#[derive(Debug)]
pub struct FileSystems {
    proc: PathBuf,
    users: PathBuf,
    cgroups: Option<PathBuf>,
    /// Of the cgroups that the last look saw.
    paths: Mutex<HashMap<u64, Arc<str>>>,
    unseen: AtomicUsize,
    machine: Mutex<Machine>,
}

/// What is known of the machine as a whole.
#[derive(Debug, Default)]
struct Machine {
    system: Option<System>,
    sampled: Option<Instant>,
    topology: Topology,
}

impl Default for FileSystems {
    fn default() -> Self {
        Self::new()
    }
}

impl FileSystems {
    /// Finds the hierarchy among the mounts.
    pub fn new() -> Self {
        Self {
            proc: "/proc".into(),
            users: "/etc/passwd".into(),
            cgroups: fs::read_to_string("/proc/self/mountinfo")
                .ok()
                .and_then(|mounts| cgroup2_mount(&mounts)),
            paths: Mutex::default(),
            unseen: AtomicUsize::new(0),
            machine: Mutex::default(),
        }
    }

    /// Where the version 2 hierarchy is mounted.
    pub fn cgroup_mount(&self) -> Option<&Path> {
        self.cgroups.as_deref()
    }

    fn read_exe(directory: &Path) -> Option<String> {
        let link = fs::read_link(directory.join("exe")).ok()?;
        let path = link.to_string_lossy();
        Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
    }

    fn read_passwd(&self) -> String {
        let bytes = fs::read(&self.users).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn walk(&self) -> Hierarchy {
        let Some(root) = &self.cgroups else {
            return Hierarchy::default();
        };
        let found = hierarchy::walk(root).unwrap_or_default();
        if self.unseen.swap(found.unseen, Ordering::Relaxed) != found.unseen && found.unseen > 0 {
            log::warn!(
                "{} cgroups could not be looked into: what is in them stays unknown",
                found.unseen
            );
        }
        found
    }

    fn paths(&self) -> MutexGuard<'_, HashMap<u64, Arc<str>>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values for FileSystems {
    fn processes(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(&self.proc) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    fn exe(&self, pid: u32) -> Option<String> {
        let process = self.proc.join(pid.to_string());
        // A leader that has ended before its threads runs nothing any more.
        Self::read_exe(&process).or_else(|| {
            fs::read_dir(process.join("task"))
                .ok()?
                .flatten()
                .find_map(|thread| Self::read_exe(&thread.path()))
        })
    }

    fn cmdline(&self, pid: u32) -> Option<String> {
        let file = fs::File::open(self.proc.join(format!("{pid}/cmdline"))).ok()?;
        let mut bytes = Vec::new();
        // One more than fits, so that a character that is cut is seen as such.
        let most = LONGEST_TEXT as u64 + 1;
        file.take(most).read_to_end(&mut bytes).ok()?;
        Some(joined(&bytes))
    }

    fn lives(&self, pid: u32) -> bool {
        self.proc.join(pid.to_string()).exists()
    }

    fn cgroups(&self) -> Vec<(u64, String)> {
        self.look_again();
        let paths = self.paths();
        paths
            .iter()
            .map(|(id, path)| (*id, String::from(&**path)))
            .collect()
    }

    fn cgroup(&self, id: u64) -> Option<String> {
        self.paths().get(&id).map(|path| String::from(&**path))
    }

    fn cgroup_of(&self, pid: u32, id: u64) -> Option<String> {
        let text = fs::read_to_string(self.proc.join(format!("{pid}/cgroup"))).ok()?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        // Of the namespace of this process; what is outside begins with `/..`.
        let about = fs::metadata(self.cgroups.as_ref()?.join(path.strip_prefix('/')?)).ok()?;
        (about.ino() == id).then(|| path.to_owned())
    }

    fn look_again(&self) {
        // Nobody waits for the look itself.
        let paths = self.walk().paths;
        *self.paths() = paths;
    }

    fn forget_cgroup(&self, id: u64) {
        self.paths().remove(&id);
    }

    fn of_path<'a>(&self, attribute: Attribute, path: &'a str) -> Option<&'a str> {
        match attribute {
            Attribute::Container => Some(container(path)),
            Attribute::Unit => Some(unit(path)),
            _ => None,
        }
    }

    fn user(&self, uid: u32) -> Option<String> {
        let text = self.read_passwd();
        let found = passwd(&text).find(|(_, id)| *id == uid);
        found.map(|(name, _)| name.to_owned())
    }

    fn users(&self) -> Vec<u32> {
        passwd(&self.read_passwd()).map(|(_, uid)| uid).collect()
    }

    fn users_version(&self) -> u64 {
        let Ok(about) = fs::metadata(&self.users) else {
            return 0;
        };
        let mut hasher = DefaultHasher::new();
        let parts = (about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        (parts, about.ctime(), about.ctime_nsec()).hash(&mut hasher);
        // 0 is that there is none.
        hasher.finish() | 1
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for pid in self.processes() {
            let Ok(threads) = fs::read_dir(self.proc.join(format!("{pid}/task"))) else {
                continue;
            };
            for thread in threads.flatten() {
                if let Ok(comm) = fs::read(thread.path().join("comm")) {
                    let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
                    names.push(String::from_utf8_lossy(comm).into_owned());
                }
            }
        }
        names
    }

    fn system(&self) -> Vec<(Attribute, Value)> {
        let now = Instant::now();
        let mut machine = self.machine();
        let begun = machine.sampled.replace(now);
        let is_fresh = begun.is_some_and(|at| now.duration_since(at) <= FRESH);
        machine.topology.look_again();
        let topology = machine.topology.clone();
        let system = match machine.system.take() {
            Some(mut system) if is_fresh => {
                system.set_topology(topology);
                system
            }
            _ => System::new(topology),
        };
        machine.system.insert(system).sample()
    }

    fn places(&self) -> Vec<Place> {
        let mut machine = self.machine();
        machine.topology.look_again();
        let topology = &machine.topology;
        topology
            .places()
            .map(|(cpu, place)| Place {
                cpu,
                llc: place.llc,
                node: place.node,
                siblings: topology.siblings(cpu).to_vec(),
            })
            .collect()
    }
}

/// The arguments of a process, each of which ends with NUL, joined by blanks
/// and cut between characters where a text of a policy would end.
fn joined(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0);
    let bytes = bytes.get(..end.map_or(0, |end| end + 1)).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).replace('\0', " ");
    let mut end = LONGEST_TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// Names and ids of `/etc/passwd`.
fn passwd(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some((name, fields.nth(1)?.parse().ok()?))
    })
}

/// The mount point of the version 2 hierarchy; that of a hybrid set-up too.
fn cgroup2_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next() == Some("cgroup2"))
            .then(|| before.split(' ').nth(4).map(|at| PathBuf::from(plain(at))))?
    })
}

/// Undoes the octal escapes of mountinfo.
fn plain(escaped: &str) -> String {
    let mut pieces = escaped.split('\\');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(piece.get(3..).unwrap_or_default());
            }
            None => {
                text.push('\\');
                text.push_str(piece);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_hierarchy_alone_and_beside_version_1() {
        let pure = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup2_mount(pure), Some("/sys/fs/cgroup".into()));
        let hybrid = "30 29 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      31 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup2_mount(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(cgroup2_mount("1 0 8:1 / / rw - ext4 /dev/sda rw\n"), None);
    }

    #[test]
    fn undoes_escapes_of_mount_points() {
        assert_eq!(plain("/a\\040b"), "/a b");
        assert_eq!(plain("/a\\b"), "/a\\b");
    }

    #[test]
    fn reads_its_own_program() {
        let files = FileSystems::new();
        let own = std::env::current_exe().unwrap();
        assert_eq!(
            files.exe(std::process::id()).unwrap(),
            own.to_str().unwrap()
        );
        assert!(files.processes().contains(&std::process::id()));
        assert!(files.lives(std::process::id()));
        assert!(!files.lives(u32::MAX));
    }

    #[test]
    fn a_thread_tells_the_program_of_an_ended_leader() {
        let proc = tempfile::tempdir().unwrap();
        let thread = proc.path().join("7/task/8");
        fs::create_dir_all(proc.path().join("7/task/7")).unwrap();
        fs::create_dir_all(&thread).unwrap();
        std::os::unix::fs::symlink("/usr/bin/game (deleted)", thread.join("exe")).unwrap();
        let mut files = FileSystems::new();
        files.proc = proc.path().to_owned();
        assert_eq!(files.exe(7).as_deref(), Some("/usr/bin/game"));
        assert_eq!(files.exe(8), None);
    }

    #[test]
    fn arguments_are_joined_and_cut() {
        assert_eq!(joined(b"cc\0-c\0a b.c\0"), "cc -c a b.c");
        assert_eq!(joined(b"a\0\0b\0"), "a  b", "an empty argument");
        assert_eq!(joined(b"nginx: worker\0\0\0\0"), "nginx: worker");
        assert_eq!(joined(b""), "");
        let long = "\u{fc}".repeat(4_000);
        let cut = joined(long.as_bytes());
        assert_eq!(cut.len(), 4_094);
        assert!(long.starts_with(&cut));
        assert_eq!(joined(&[b'x'; 9_000]).len(), 4_095);
    }

    #[test]
    fn reads_its_own_arguments_and_name() {
        let files = FileSystems::new();
        let own: Vec<String> = std::env::args().collect();
        assert_eq!(files.cmdline(std::process::id()), Some(own.join(" ")));
        assert_eq!(files.cmdline(u32::MAX), None);
        let comm = fs::read_to_string("/proc/self/task/self/comm");
        let comm = comm.or_else(|_| fs::read_to_string("/proc/thread-self/comm"));
        assert!(files.names().contains(&comm.unwrap().trim_end().to_owned()));
    }

    #[test]
    fn users_are_those_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "root:x:0:0::/root:/bin/sh\n# no\n\nann:x:1000:1000:Ann,,:/:\n+::::::\n";
        fs::write(file.path(), text).unwrap();
        let mut files = FileSystems::new();
        files.users = file.path().to_owned();
        assert_eq!(files.users(), [0, 1000]);
        assert_eq!(files.user(1000).as_deref(), Some("ann"));
        assert_eq!(files.user(1), None);
        let before = files.users_version();
        assert_eq!(files.users_version(), before);
        fs::write(file.path(), format!("{text}bob:x:1001:1001:::\n")).unwrap();
        assert_ne!(files.users_version(), before);
        assert_eq!(files.user(1001).as_deref(), Some("bob"));
        files.users = "/nowhere".into();
        assert_eq!((files.user(0), files.users_version()), (None, 0));
    }

    #[test]
    fn the_machine_is_known_by_halves_at_first() {
        let files = FileSystems::new();
        let known = |sample: &[(Attribute, Value)], attribute| {
            sample.iter().any(|(known, _)| *known == attribute)
        };
        let first = files.system();
        assert!(known(&first, Attribute::Ncpu));
        assert!(!known(&first, Attribute::CpuUtil));
        std::thread::sleep(Duration::from_millis(50));
        assert!(known(&files.system(), Attribute::CpuUtil));
        files.machine().sampled = Instant::now().checked_sub(2 * FRESH);
        assert!(!known(&files.system(), Attribute::CpuUtil), "too long ago");
        assert!(!files.places().is_empty());
    }

    #[test]
    fn ids_of_cgroups_are_inode_numbers() {
        let files = FileSystems::new();
        let Some(mount) = files.cgroup_mount().map(Path::to_owned) else {
            eprintln!("SKIPPED: no version 2 cgroup hierarchy is mounted here");
            return;
        };
        let root = fs::metadata(mount).unwrap().ino();
        assert_eq!(files.cgroup(root), None, "nobody has looked yet");
        files.look_again();
        assert_eq!(files.cgroup(root).as_deref(), Some("/"));
        assert_eq!(files.cgroup(u64::MAX), None);
        // One's own is found without a look.
        let files = FileSystems::new();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let Some(own) = own.filter(|path| !path.starts_with("..")) else {
            return;
        };
        let Ok(about) = fs::metadata(files.cgroup_mount().unwrap().join(own)) else {
            return;
        };
        let pid = std::process::id();
        let path = format!("/{own}");
        assert_eq!(files.cgroup_of(pid, about.ino()), Some(path));
        assert_eq!(files.cgroup_of(pid, about.ino() + 1), None);
    }
}
