//! Watches directories, and says only that something may have changed.
//!
//! Measured with inotify, and the reason for every line here:
//!
//! - A watched *file* that is replaced by rename gives one event and then none
//!   for ever: so only directories are watched.
//! - A Kubernetes volume swaps the link `..data`; no event names the policy:
//!   so events are never filtered by name.
//! - The watched directory itself may be replaced: so its parent is watched
//!   too, and every pass compares the inode that is watched with the inode that
//!   the path names, and arms anew where they differ.
//! - Reading the policy is itself an event (`open`): so pure reads are ignored,
//!   or each pass would start the next.
//! - Network file systems and the lower layer of an overlay say nothing, and
//!   inotify has limits: so the owner polls as well, and when the limits are
//!   reached it polls only, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::settle::{Bell, Distance};

/// How changes come to notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watching {
    /// The kernel tells, and the poll covers what it does not tell.
    Events,
    /// Only the poll; the reason is for the log.
    Polling(String),
}

/// The directories under watch.
pub struct Watch {
    near: Eye,
    far: Eye,
    asked_to_poll: Option<String>,
    watching: Watching,
}

/// One inotify instance and what it looks at.
struct Eye {
    distance: Distance,
    bell: Bell,
    watcher: Option<RecommendedWatcher>,
    armed: BTreeMap<PathBuf, Inode>,
}

/// Which directory a path names. The numbers of deleted directories are given
/// out again, often at once, so the time of birth belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inode {
    device: u64,
    number: u64,
    born: Option<SystemTime>,
}

impl Watch {
    /// Watches by events; rings `bell`.
    pub fn events(bell: Bell) -> Self {
        Self {
            near: Eye::new(Distance::Near, bell.clone()),
            far: Eye::new(Distance::Far, bell),
            asked_to_poll: None,
            watching: Watching::Events,
        }
    }

    /// Watches nothing and leaves everything to the poll.
    pub fn poll_only(bell: Bell, why: &str) -> Self {
        let mut watch = Self::events(bell);
        watch.asked_to_poll = Some(why.to_owned());
        watch.watching = Watching::Polling(why.to_owned());
        watch
    }

    /// How changes come to notice since the last [`Watch::arm`].
    pub fn watching(&self) -> &Watching {
        &self.watching
    }

    /// Watch these directories and their parents, and none else. Returns
    /// whether something is watched now that was not before: then what was read
    /// earlier may be stale.
    pub fn arm(&mut self, directories: &[PathBuf]) -> bool {
        if self.asked_to_poll.is_some() {
            return false;
        }
        let near: BTreeSet<PathBuf> = directories
            .iter()
            .filter(|path| path.is_dir())
            .cloned()
            .collect();
        let far: BTreeSet<PathBuf> = directories
            .iter()
            .filter_map(|path| nearest_ancestor(path))
            .collect();
        match (self.near.arm(&near), self.far.arm(&far)) {
            (Ok(near), Ok(far)) => {
                self.watching = Watching::Events;
                near || far
            }
            (Err(error), _) | (_, Err(error)) => {
                self.watching = Watching::Polling(in_words(&error));
                false
            }
        }
    }
}

impl Eye {
    fn new(distance: Distance, bell: Bell) -> Self {
        Self {
            distance,
            bell,
            watcher: None,
            armed: BTreeMap::new(),
        }
    }

    fn arm(&mut self, wanted: &BTreeSet<PathBuf>) -> notify::Result<bool> {
        let stale: Vec<PathBuf> = self
            .armed
            .iter()
            .filter(|(path, inode)| !wanted.contains(*path) || Inode::of(path) != Some(**inode))
            .map(|(path, _)| path.clone())
            .collect();
        let mut watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => self.open()?,
        };
        for path in stale {
            self.armed.remove(&path);
            // The kernel has forgotten a directory that is gone; so may we.
            let _ = watcher.unwatch(&path);
        }
        let mut fresh = false;
        let mut outcome = Ok(());
        for path in wanted {
            if self.armed.contains_key(path) {
                continue;
            }
            let before = Inode::of(path);
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    // A directory replaced between the two looks stays without
                    // an inode here, and is armed anew by the next pass.
                    if let Some(inode) = before.filter(|_| Inode::of(path) == before) {
                        self.armed.insert(path.clone(), inode);
                    }
                    fresh = true;
                }
                // Gone again: the next pass sees what became of it.
                Err(error) if is_gone(&error) => fresh = true,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if outcome.is_ok() {
            self.watcher = Some(watcher);
        } else {
            // Half a watch would hide that the rest is missing.
            self.armed.clear();
        }
        outcome.map(|()| fresh)
    }

    fn open(&self) -> notify::Result<RecommendedWatcher> {
        let bell = self.bell.clone();
        let distance = self.distance;
        notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !is_news(&event, distance)) {
                return;
            }
            bell.ring(distance);
        })
    }
}

impl Inode {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            number: meta.ino(),
            born: meta.created().ok(),
        })
    }
}

/// The parent, or the closest directory above that exists.
fn nearest_ancestor(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .map(|above| match above.as_os_str().is_empty() {
            true => Path::new("."),
            false => above,
        })
        .find(|above| above.is_dir())
        .map(Path::to_path_buf)
}

/// Whether an event may mean that the policy has changed. Never by name.
fn is_news(event: &notify::Event, distance: Distance) -> bool {
    if event.need_rescan() {
        return true;
    }
    match distance {
        Distance::Near => match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => false,
            _ => true,
        },
        Distance::Far => matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        ),
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}

fn in_words(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the limit of inotify watches is reached (fs.inotify.max_user_watches)".to_owned()
        }
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE) => {
            "the limit of inotify instances or of open files is reached \
             (fs.inotify.max_user_instances)"
                .to_owned()
        }
        notify::ErrorKind::Io(error) => format!("inotify: {error}"),
        _ => error.to_string(),
    }
}

const EMFILE: i32 = 24;

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Event, Flag};

    use super::*;

    fn event(kind: EventKind) -> Event {
        Event::new(kind)
    }

    #[test]
    fn reading_is_no_news_and_writing_is() {
        let open = event(EventKind::Access(AccessKind::Open(AccessMode::Any)));
        assert!(!is_news(&open, Distance::Near));
        let closed = event(EventKind::Access(AccessKind::Close(AccessMode::Write)));
        assert!(is_news(&closed, Distance::Near));
        let written = event(EventKind::Modify(ModifyKind::Data(DataChange::Any)));
        assert!(is_news(&written, Distance::Near));
        assert!(
            !is_news(&written, Distance::Far),
            "a busy log file next to the pack is no reason to look"
        );
        let made = event(EventKind::Create(CreateKind::Folder));
        assert!(is_news(&made, Distance::Far));
    }

    #[test]
    fn lost_events_are_news_at_any_distance() {
        let rescan = event(EventKind::Other).set_flag(Flag::Rescan);
        assert!(is_news(&rescan, Distance::Near));
        assert!(is_news(&rescan, Distance::Far));
    }

    #[test]
    fn limits_are_named_by_their_sysctl() {
        let watches = notify::Error::new(notify::ErrorKind::MaxFilesWatch);
        assert!(in_words(&watches).contains("max_user_watches"));
        let instances = notify::Error::io(std::io::Error::from_raw_os_error(EMFILE));
        assert!(in_words(&instances).contains("max_user_instances"));
    }

    #[test]
    fn a_directory_that_is_missing_is_awaited_in_the_nearest_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("a/b/c");
        assert_eq!(nearest_ancestor(&missing), Some(dir.path().to_path_buf()));
        assert_eq!(nearest_ancestor(Path::new("src")), Some(PathBuf::from(".")));
    }

    #[test]
    fn arming_twice_is_nothing_new_and_a_replaced_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let pack = dir.path().join("pack");
        fs::create_dir(&pack).unwrap();
        let mut watch = Watch::events(Bell::new(|| {}));
        assert!(watch.arm(std::slice::from_ref(&pack)));
        assert!(!watch.arm(std::slice::from_ref(&pack)));
        fs::rename(&pack, dir.path().join("old")).unwrap();
        fs::create_dir(&pack).unwrap();
        assert!(watch.arm(std::slice::from_ref(&pack)));
        assert!(!watch.arm(std::slice::from_ref(&pack)));
        assert_eq!(watch.watching(), &Watching::Events);
    }
}
