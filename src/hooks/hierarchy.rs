//! Every directory of a hierarchy, by its inode number.
//!
//! Cgroups nest as deep as whoever may make them likes, so neither paths nor
//! open files may be what limits the walk: a cgroup that nobody sees has rows
//! that nobody knows, and would be out of reach of every rule on `cgroup`. Each
//! step goes from an open directory to the next by one name. Of a deep branch the
//! middle is closed, and opened again from below on the way back.
//!
//! A path longer than a text of a policy may be is cut after the last component
//! that fits; what is below counts as being there.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::check::LONGEST_TEXT;

/// Directories that stay open at either end of a branch.
const HELD: usize = 64;

/// What a walk has found.
#[derive(Debug, Default)]
pub(super) struct Hierarchy {
    /// The path of each directory, `/` being the one that was begun with.
    pub(super) paths: HashMap<u64, Arc<str>>,
    /// Directories that could not be looked into, though they are there.
    pub(super) unseen: usize,
}

/// Looks at all directories from `root` on. What goes meanwhile is left out.
///
/// # Errors
///
/// When the first one cannot be read.
pub(super) fn walk(root: &Path) -> io::Result<Hierarchy> {
    walk_holding(HELD, root)
}

fn walk_holding(held: usize, root: &Path) -> io::Result<Hierarchy> {
    let mut found = Hierarchy::default();
    let first = openat(CWD, root, DIRECTORY, Mode::empty())?;
    let mut levels = vec![found.enter(first, Name::first())?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.below.pop() else {
            let left = levels.pop();
            if let (Some(left), Some(here)) = (left, levels.last_mut()) {
                here.come_back_from(&left);
            }
            continue;
        };
        match level.open(&name) {
            Ok(directory) => {
                let name = level.name.below(&name);
                match found.enter(directory, name) {
                    Ok(below) => levels.push(below),
                    Err(Errno::NOENT) => {}
                    Err(_) => found.unseen += 1,
                }
            }
            Err(Errno::NOENT) => {}
            Err(_) => found.unseen += 1,
        }
        if let Some(middle) = levels.len().checked_sub(held + 1).filter(|at| *at >= held)
            && let Some(level) = levels.get_mut(middle)
        {
            level.directory = None;
        }
    }
    Ok(found)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW);

/// The path of a directory, as far as it fits.
#[derive(Debug, Clone)]
struct Name {
    path: Arc<str>,
    is_cut: bool,
}

impl Name {
    fn first() -> Self {
        Self {
            path: "/".into(),
            is_cut: false,
        }
    }

    fn below(&self, name: &CStr) -> Self {
        let slash = if self.path.ends_with('/') { "" } else { "/" };
        let name = name.to_string_lossy();
        if self.is_cut || self.path.len() + slash.len() + name.len() > LONGEST_TEXT {
            return Self {
                path: Arc::clone(&self.path),
                is_cut: true,
            };
        }
        Self {
            path: format!("{}{slash}{name}", self.path).into(),
            is_cut: false,
        }
    }
}

/// A directory on the way from the first to the one that is looked at.
struct Level {
    /// None where it is in the middle of a deep branch.
    directory: Option<OwnedFd>,
    inode: u64,
    name: Name,
    /// Those below it that are still to be looked at.
    below: Vec<CString>,
}

impl Level {
    fn open(&self, name: &CStr) -> Result<OwnedFd, Errno> {
        let directory = self.directory.as_ref().ok_or(Errno::BADF)?;
        openat(directory, name, DIRECTORY, Mode::empty())
    }

    /// Opens what was closed, which is above the one that was left. One that has
    /// gone meanwhile leads nowhere: then what is still to be seen here is unseen.
    fn come_back_from(&mut self, left: &Self) {
        if self.directory.is_some() {
            return;
        }
        let is_here = |above: &OwnedFd| fstat(above).is_ok_and(|about| about.st_ino == self.inode);
        self.directory = left.open(c"..").ok().filter(is_here);
    }
}

impl Hierarchy {
    fn enter(&mut self, directory: OwnedFd, name: Name) -> Result<Level, Errno> {
        let inode = fstat(&directory)?.st_ino;
        let mut below = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let is_itself = matches!(entry.file_name().to_bytes(), b"." | b"..");
            if entry.file_type() == FileType::Directory && !is_itself {
                below.push(entry.file_name().to_owned());
            }
        }
        self.paths.insert(inode, Arc::clone(&name.path));
        Ok(Level {
            directory: Some(directory),
            inode,
            name,
            below,
        })
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::mkdirat;

    use super::*;

    /// Directories in each other, each of that name; their inodes from the top.
    fn nest(root: &Path, depth: usize, name: &str) -> Vec<u64> {
        let mut at = openat(CWD, root, DIRECTORY, Mode::empty()).unwrap();
        let mut inodes = vec![fstat(&at).unwrap().st_ino];
        for _ in 0..depth {
            mkdirat(&at, name, Mode::RWXU).unwrap();
            at = openat(&at, name, DIRECTORY, Mode::empty()).unwrap();
            inodes.push(fstat(&at).unwrap().st_ino);
        }
        inodes
    }

    #[test]
    fn paths_are_relative_to_where_it_begins() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/d", "e"] {
            std::fs::create_dir_all(root.path().join(path)).unwrap();
        }
        std::fs::write(root.path().join("a/file"), "").unwrap();
        std::os::unix::fs::symlink("/", root.path().join("link")).unwrap();
        let found = walk(root.path()).unwrap();
        let mut paths: Vec<&str> = found.paths.values().map(AsRef::as_ref).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/", "/a", "/a/b", "/a/b/c", "/a/d", "/e"]);
        assert_eq!(found.unseen, 0);
        assert!(walk(&root.path().join("nowhere")).is_err());
    }

    #[test]
    fn no_depth_hides_a_directory() {
        let root = tempfile::tempdir().unwrap();
        let name = "n".repeat(250);
        // Four times what a path may be for the kernel, and more than are held.
        let inodes = nest(root.path(), 2 * HELD + 20, &name);
        let found = walk(root.path()).unwrap();
        assert_eq!((found.paths.len(), found.unseen), (inodes.len(), 0));
        let path = |at: usize| found.paths[&inodes[at]].as_ref();
        assert_eq!(path(2), format!("/{name}/{name}"));
        let fits = LONGEST_TEXT / 251;
        assert_eq!(path(fits).len(), 251 * fits);
        for deeper in fits..inodes.len() {
            assert_eq!(path(deeper), path(fits));
        }
    }

    #[test]
    fn what_was_closed_is_opened_again_on_the_way_back() {
        let root = tempfile::tempdir().unwrap();
        let mut directory = root.path().to_owned();
        for _ in 0..12 {
            directory.push("deep");
            std::fs::create_dir_all(directory.join("beside/below")).unwrap();
        }
        for held in [1, 2, 5, 20] {
            let found = walk_holding(held, root.path()).unwrap();
            assert_eq!((found.paths.len(), found.unseen), (1 + 3 * 12, 0), "{held}");
        }
    }

    #[test]
    fn one_cut_path_does_not_take_another_name() {
        let full = Name {
            path: "x".repeat(LONGEST_TEXT - 3).into(),
            is_cut: false,
        };
        assert_eq!(full.below(c"ab").path.len(), LONGEST_TEXT);
        let cut = full.below(c"abc");
        assert_eq!(cut.below(c"a").path, full.path);
    }
}
