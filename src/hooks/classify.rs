//! The values that the kernel cannot evaluate: which program a process runs,
//! and the path of a cgroup.
//!
//! Programs are read from `/proc/PID/exe`, cgroups by walking the version 2
//! hierarchy, whose inode numbers are the ids that the object reports. Paths
//! are relative to the root of the hierarchy as this process sees it. Nothing
//! here decides anything: what is read goes to [`crate::live`], which knows the
//! row of its class in each bank.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::live::Values;

/// Reads `/proc` and the cgroup file system.
#[derive(Debug)]
pub struct FileSystems {
    proc: PathBuf,
    cgroups: Option<PathBuf>,
    paths: HashMap<u64, String>,
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
            cgroups: fs::read_to_string("/proc/self/mountinfo")
                .ok()
                .and_then(|mounts| cgroup2_mount(&mounts)),
            paths: HashMap::new(),
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

    fn walk(&mut self) {
        let Some(root) = self.cgroups.clone() else {
            return;
        };
        self.paths.clear();
        let mut open = vec![(root, String::from("/"))];
        while let Some((directory, path)) = open.pop() {
            let Ok(about) = fs::symlink_metadata(&directory) else {
                continue;
            };
            if let Ok(entries) = fs::read_dir(&directory) {
                for entry in entries.flatten() {
                    if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        continue;
                    }
                    let name = entry.file_name();
                    let slash = if path == "/" { "" } else { "/" };
                    let below = format!("{path}{slash}{}", name.to_string_lossy());
                    open.push((entry.path(), below));
                }
            }
            self.paths.insert(about.ino(), path);
        }
    }
}

impl Values for FileSystems {
    fn processes(&mut self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(&self.proc) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    fn exe(&mut self, pid: u32) -> Option<String> {
        let process = self.proc.join(pid.to_string());
        // A leader that has ended before its threads runs nothing any more.
        Self::read_exe(&process).or_else(|| {
            fs::read_dir(process.join("task"))
                .ok()?
                .flatten()
                .find_map(|thread| Self::read_exe(&thread.path()))
        })
    }

    fn lives(&mut self, pid: u32) -> bool {
        self.proc.join(pid.to_string()).exists()
    }

    fn cgroups(&mut self) -> Vec<(u64, String)> {
        self.walk();
        self.paths
            .iter()
            .map(|(id, path)| (*id, path.clone()))
            .collect()
    }

    fn cgroup(&mut self, id: u64) -> Option<String> {
        self.paths.get(&id).cloned()
    }

    fn look_again(&mut self) {
        self.walk();
    }

    fn forget_cgroup(&mut self, id: u64) {
        self.paths.remove(&id);
    }
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
        let mut files = FileSystems::new();
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
    fn ids_of_cgroups_are_inode_numbers() {
        let mut files = FileSystems::new();
        let Some(mount) = files.cgroup_mount().map(Path::to_owned) else {
            eprintln!("SKIPPED: no version 2 cgroup hierarchy is mounted here");
            return;
        };
        let root = fs::metadata(mount).unwrap().ino();
        assert_eq!(files.cgroup(root), None, "nobody has looked yet");
        files.look_again();
        assert_eq!(files.cgroup(root).as_deref(), Some("/"));
        assert_eq!(files.cgroup(u64::MAX), None);
    }
}
