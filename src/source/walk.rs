//! Finds files below one directory handle, component by component.
//!
//! The kernel's own path lookup would leave the pack through `..`, an absolute
//! symbolic link, or a link swapped in at the right moment. Here every directory
//! on the way is a handle, `..` pops it, and a link is read and walked in the
//! same manner; what `openat2(RESOLVE_BENEATH)` does, on every kernel, with a
//! message that says where the path left. Each directory is examined on the way.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::include::{Fetched, Refusal, Store, with_label};
use super::read::{self, LARGEST_INCLUDED, LARGEST_POLICY, Obstacle, Stamp};
use super::{Include, POLICY_FILE, POLICY_YAML};
use crate::diag::{Code, Diagnostic, FileId, Span, shown};

/// Symbolic links followed for one path, as in the kernel.
const MOST_LINKS: usize = 40;
/// Directories examined above the pack.
const MOST_ANCESTORS: usize = 256;

/// A directory inside the pack.
struct Directory {
    handle: OwnedFd,
    path: PathBuf,
    name: String,
}

/// The directories from the root of the pack down; never empty.
type Stack = Vec<Rc<Directory>>;

/// What was read, to look at again at the end.
struct Seen {
    start: Stack,
    path: String,
    stamp: Stamp,
    name: String,
}

/// A pack on the disk: the directory above the policy's own, and all below it.
pub(super) struct Pack {
    /// As the user wrote it, to print.
    typed: PathBuf,
    /// The policy's own directory.
    home: Stack,
    file: String,
    named_directory: bool,
    /// For each file read, the directory that its includes are relative to.
    bases: Vec<Stack>,
    seen: Vec<Seen>,
    directories: BTreeSet<PathBuf>,
}

/// A file that was found.
struct Found {
    /// The directory that holds the file itself.
    holder: Stack,
    /// Its name there.
    name: String,
    stat: Stat,
    /// The directory that the path named, before a link at its end.
    base: Stack,
    /// The name that the path ended with.
    named: String,
}

/// Why a path leads nowhere.
enum Dead {
    Refused(Box<Diagnostic>),
    Missing,
}

impl From<Diagnostic> for Dead {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Refused(Box::new(diagnostic))
    }
}

impl Pack {
    /// Opens the pack of the policy at `path`. The error also tells what to
    /// watch for the policy to appear.
    pub(super) fn open(path: &Path) -> Result<Self, (Box<Diagnostic>, BTreeSet<PathBuf>)> {
        let named_directory = path.is_dir();
        let (typed, mut file) = if named_directory {
            (path.to_owned(), POLICY_FILE.to_owned())
        } else {
            let parent = path.parent().unwrap_or(Path::new(""));
            let name = path.file_name().unwrap_or_default();
            (parent.to_owned(), name.to_string_lossy().into_owned())
        };
        let fail = |diagnostic: Diagnostic| {
            let mut directories = BTreeSet::new();
            let absolute = std::path::absolute(&typed).unwrap_or_else(|_| typed.clone());
            directories.extend(
                absolute
                    .ancestors()
                    .find(|p| p.is_dir())
                    .map(Path::to_owned),
            );
            (Box::new(diagnostic), directories)
        };
        let lossy = path.to_string_lossy();
        let printed = shown(&lossy);
        if ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].contains(&&*lossy) {
            // A link to whatever it is, and no file of a pack.
            return Err(fail(
                Diagnostic::new(
                    Code::E0004,
                    format!("`{printed}` is standard input, not a regular file"),
                )
                .help("write `-` for standard input"),
            ));
        }
        // Names are texts from here on; one that is none would not be found.
        if path.file_name().is_some_and(|name| name.to_str().is_none()) {
            return Err(fail(
                Diagnostic::new(
                    Code::E0013,
                    format!("cannot read `{printed}`: its name is not UTF-8 text"),
                )
                .help("rename the file"),
            ));
        }
        let here = if typed.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &typed
        };
        let blame = |errno| fail(read::unreadable(&printed, errno));
        let home = open_directory(CWD, here).map_err(blame)?;
        let real = here
            .canonicalize()
            .map_err(|error| blame(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let above = open_directory(home.as_fd(), Path::new("..")).map_err(blame)?;

        let mut directories = BTreeSet::new();
        if let Ok(absolute) = std::path::absolute(here) {
            directories.extend(absolute.parent().map(Path::to_owned));
        }
        let mut stack: Stack = Vec::new();
        let is_root = identity(&home).map_err(blame)? == identity(&above).map_err(blame)?;
        if !is_root {
            stack.push(Rc::new(Directory {
                handle: above,
                path: real.parent().unwrap_or(&real).to_owned(),
                name: String::new(),
            }));
        }
        let name = real.file_name().unwrap_or_default();
        stack.push(Rc::new(Directory {
            handle: home,
            name: name.to_string_lossy().into_owned(),
            path: real,
        }));
        directories.extend(stack.iter().map(|directory| directory.path.clone()));
        examine_upwards(&stack).map_err(|diagnostic| (diagnostic, directories.clone()))?;
        let has = |name: &str| has(&stack, name);
        if named_directory && has(POLICY_YAML) {
            if has(POLICY_FILE) {
                return Err((Box::new(both(&printed)), directories));
            }
            file = POLICY_YAML.to_owned();
        }
        Ok(Self {
            typed,
            home: stack,
            file,
            named_directory,
            bases: Vec::new(),
            seen: Vec::new(),
            directories,
        })
    }

    /// Walks `path` from the innermost directory of `start`.
    fn walk(&mut self, start: &Stack, path: &str) -> Result<Found, Dead> {
        let printed = shown(path);
        if path.starts_with('/') {
            return Err(escape(&printed).into());
        }
        let mut stack = start.clone();
        let mut base: Option<(Stack, String)> = None;
        let mut links = 0;
        let mut todo: Vec<String> = components(path);
        while let Some(component) = todo.pop() {
            if component == ".." {
                if stack.len() <= 1 {
                    return Err(escape(&printed).into());
                }
                stack.pop();
                continue;
            }
            let Some(here) = stack.last().map(Rc::clone) else {
                return Err(escape(&printed).into());
            };
            self.directories.insert(here.path.clone());
            let (handle, stat) =
                read::peek(here.handle.as_fd(), &component).map_err(|errno| match errno {
                    Errno::NOENT => Dead::Missing,
                    errno => read::unreadable(&printed, errno).into(),
                })?;
            let last = todo.is_empty();
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(read::unreadable(&printed, Errno::LOOP).into());
                    }
                    if last && base.is_none() {
                        base = Some((stack.clone(), component));
                    }
                    let target = readlinkat(handle.as_fd(), "", Vec::new())
                        .map_err(|errno| read::unreadable(&printed, errno))?;
                    let target = target
                        .into_string()
                        .map_err(|_| read::unreadable(&printed, Errno::ILSEQ))?;
                    if target.starts_with('/') {
                        return Err(absolute_link(&printed, &target).into());
                    }
                    todo.extend(components(&target));
                }
                FileType::Directory if !last => {
                    let path = here.path.join(&component);
                    if read::replaceable_by_others(&stat) {
                        return Err(replaceable(&path).into());
                    }
                    stack.push(Rc::new(Directory {
                        handle,
                        path,
                        name: component,
                    }));
                }
                _ if !last => return Err(read::unreadable(&printed, Errno::NOTDIR).into()),
                _ => {
                    let (base, named) = base.unwrap_or_else(|| (stack.clone(), component.clone()));
                    return Ok(Found {
                        holder: stack,
                        name: component,
                        stat,
                        base,
                        named,
                    });
                }
            }
        }
        // Nothing but `.` and `..`.
        Err(Diagnostic::new(
            Code::E0004,
            format!("`{printed}` is a directory, not a regular file"),
        )
        .into())
    }

    /// How messages call a file: as the user would name it from where edict was
    /// started.
    fn printed(&self, base: &Stack, named: &str) -> String {
        let (below_home, relative) = self.relative(base, named);
        let path = if below_home {
            self.typed.join(relative)
        } else {
            match self.typed.file_name() {
                Some(_) => self.typed.parent().unwrap_or(&self.typed).join(relative),
                None => self.typed.join("..").join(relative),
            }
        };
        path.to_string_lossy().into_owned()
    }

    /// The path of a file below the policy's directory, or else below the pack.
    fn relative(&self, base: &Stack, named: &str) -> (bool, String) {
        let below_home = base.len() >= self.home.len()
            && base
                .iter()
                .zip(&self.home)
                .all(|(one, other)| one.path == other.path);
        let skip = if below_home { self.home.len() } else { 1 };
        let mut parts: Vec<&str> = base.iter().skip(skip).map(|d| d.name.as_str()).collect();
        parts.push(named);
        (below_home, parts.join("/"))
    }

    /// What to say when the policy itself is not there.
    fn no_policy(&self) -> Diagnostic {
        let typed = self.typed.to_string_lossy();
        let typed = shown(&typed);
        if !self.named_directory {
            let path = self.typed.join(&self.file);
            return read::unreadable(&shown(&path.to_string_lossy()), Errno::NOENT);
        }
        Diagnostic::new(
            Code::E0003,
            format!("the directory `{typed}` has no `{POLICY_FILE}` and no `{POLICY_YAML}`"),
        )
        .help(if has(&self.home, "policy.yml") {
            format!("rename `policy.yml` to `{POLICY_YAML}`")
        } else {
            format!("name the policy file itself, or put the policy into `{POLICY_FILE}`")
        })
    }
}

impl Store for Pack {
    /// Device and inode.
    type Identity = (u64, u64);

    fn fetch(
        &mut self,
        from: Option<(FileId, &Include)>,
        known: &[(u64, u64)],
    ) -> Result<Fetched<(u64, u64)>, Refusal> {
        let span = from.map(|(_, include)| include.span);
        let (start, path, limit) = match from {
            None => (self.home.clone(), self.file.clone(), LARGEST_POLICY),
            Some((file, include)) => {
                let base = self.bases.get(usize::from(file.0)).unwrap_or(&self.home);
                (base.clone(), include.path.clone(), LARGEST_INCLUDED)
            }
        };
        let found = self.walk(&start, &path).map_err(|dead| {
            refusal(
                match dead {
                    Dead::Refused(diagnostic) => *diagnostic,
                    Dead::Missing if span.is_none() => self.no_policy(),
                    Dead::Missing => read::unreadable(&shown(&path), Errno::NOENT),
                },
                span,
            )
        })?;
        let stamp = Stamp::of(&found.stat);
        let identity = (stamp.device, stamp.inode);
        let name = self.printed(&found.base, &found.named);
        let (below_home, relative) = self.relative(&found.base, &found.named);
        let key = if below_home {
            relative
        } else {
            format!("../{relative}")
        };
        let path_of = |stack: &Stack, name: &str| {
            stack
                .last()
                .map_or_else(PathBuf::new, |directory| directory.path.join(name))
        };
        let bytes = if known.contains(&identity) {
            Vec::new()
        } else {
            let Some(holder) = found.holder.last() else {
                return Err(refusal(escape(&shown(&path)), span));
            };
            let bytes = read::read(
                holder.handle.as_fd(),
                &found.name,
                &found.stat,
                &shown(&name),
                limit,
            )
            .map_err(|obstacle| match obstacle {
                Obstacle::Refused(diagnostic) => refusal(*diagnostic, span),
                Obstacle::Changed => changed(&name, span),
            })?;
            self.bases.push(found.base.clone());
            bytes
        };
        self.seen.push(Seen {
            start,
            path,
            stamp,
            name: name.clone(),
        });
        Ok(Fetched {
            identity,
            name,
            key,
            path: path_of(&found.base, &found.named),
            bytes,
        })
    }

    /// Looks every path up again: a file that was replaced while others were
    /// read would make a policy out of two versions.
    fn still_the_same(&mut self) -> Result<(), Refusal> {
        for seen in std::mem::take(&mut self.seen) {
            match self.walk(&seen.start, &seen.path) {
                Ok(found) if Stamp::of(&found.stat) == seen.stamp => {}
                _ => return Err(changed(&seen.name, None)),
            }
        }
        Ok(())
    }

    fn directories(&self) -> BTreeSet<PathBuf> {
        self.directories.clone()
    }
}

/// The components of a path, the last one first, without `.` and empty ones.
fn components(path: &str) -> Vec<String> {
    path.rsplit('/')
        .filter(|component| !matches!(*component, "" | "."))
        .map(str::to_owned)
        .collect()
}

fn open_directory(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

fn identity(directory: &OwnedFd) -> Result<(u64, u64), Errno> {
    let stamp = Stamp::of(&fstat(directory)?);
    Ok((stamp.device, stamp.inode))
}

/// Refuses the pack when others may replace it, or a directory above it.
fn examine_upwards(stack: &Stack) -> Result<(), Box<Diagnostic>> {
    for directory in stack {
        let stat = fstat(&directory.handle).ok();
        if stat.is_some_and(|stat| read::replaceable_by_others(&stat)) {
            return Err(Box::new(replaceable(&directory.path)));
        }
    }
    let Some(root) = stack.first() else {
        return Ok(());
    };
    let mut path = root.path.clone();
    let mut above = open_directory(root.handle.as_fd(), Path::new(".."));
    for _ in 0..MOST_ANCESTORS {
        // What this user may not enter, this user cannot examine.
        let (Ok(handle), true) = (&above, path.pop()) else {
            break;
        };
        if fstat(handle).is_ok_and(|stat| read::replaceable_by_others(&stat)) {
            return Err(Box::new(replaceable(&path)));
        }
        above = open_directory(handle.as_fd(), Path::new(".."));
    }
    Ok(())
}

fn replaceable(path: &Path) -> Diagnostic {
    let path = path.to_string_lossy();
    let path = shown(&path);
    Diagnostic::new(
        Code::E0005,
        format!("others may replace files in the directory `{path}`"),
    )
    .help(format!("take the permission away: `chmod o-w {path}`"))
}

fn escape(printed: &str) -> Diagnostic {
    Diagnostic::new(Code::E0010, format!("the path `{printed}` leaves the pack"))
        .help("a policy reads only files below the directory above its own, by relative paths")
}

fn absolute_link(printed: &str, target: &str) -> Diagnostic {
    Diagnostic::new(
        Code::E0010,
        format!("`{printed}` is an absolute symbolic link, or passes one"),
    )
    .help(format!(
        "name what it leads to, `{}`, or make it a relative link inside of the pack",
        shown(target)
    ))
}

/// Whether the innermost directory has a file of that name.
fn has(stack: &Stack, name: &str) -> bool {
    let home = stack.last();
    home.is_some_and(|home| read::peek(home.handle.as_fd(), name).is_ok())
}

fn both(printed: &str) -> Diagnostic {
    Diagnostic::new(
        Code::E0131,
        format!("the directory `{printed}` has both `{POLICY_FILE}` and `{POLICY_YAML}`"),
    )
    .help("delete one of the two, or name the file that is meant")
}

fn refusal(diagnostic: Diagnostic, span: Option<Span>) -> Refusal {
    Refusal {
        diagnostic: Box::new(with_label(diagnostic, span, "included here")),
        transient: false,
    }
}

fn changed(name: &str, span: Option<Span>) -> Refusal {
    let diagnostic = Diagnostic::new(
        Code::E0009,
        format!("`{}` changed while it was read", shown(name)),
    )
    .help("try again when it is written");
    Refusal {
        diagnostic: Box::new(with_label(diagnostic, span, "included here")),
        transient: true,
    }
}
