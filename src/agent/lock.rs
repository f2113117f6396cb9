//! One agent at a time.
//!
//! The lock is a lock on a file, not the file: the kernel drops it with the
//! process, however that ends, so a killed agent leaves nothing to clean up.
//! Whoever holds it owns the socket beside it, and may replace one that is left
//! from an agent that was killed. The file itself is never removed, or two
//! agents could each lock a file of that name.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// Held while an agent runs.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why an agent may not run.
#[derive(Debug, Error)]
pub enum LockError {
    /// There is one already.
    #[error("another edict runs{}", .pid.map(|pid| format!(" as process {pid}")).unwrap_or_default())]
    Held {
        /// Its process, if it has written that down yet.
        pid: Option<u32>,
    },
    /// The directory belongs to somebody else, who could replace the socket.
    #[error("`{}` belongs to user {owner}, who could replace what is in it", .directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It cannot be made.
    #[error("`{}`: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The lock file that belongs to a socket.
pub fn beside(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}

impl Lock {
    /// Take the lock that belongs to `socket`; makes its directory (0755).
    pub fn take(socket: &Path) -> Result<Self, LockError> {
        let path = beside(socket);
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LockError::Io { path, source }
        };
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(directory)
                .map_err(io(directory))?;
            let owner = fs::metadata(directory).map_err(io(directory))?.uid();
            if owner != 0 && owner != rustix::process::geteuid().as_raw() {
                return Err(LockError::Foreign {
                    directory: directory.to_path_buf(),
                    owner,
                });
            }
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(io(&path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(LockError::Held {
                pid: pid.trim().parse().ok(),
            });
        }
        // Only for the message above; nothing depends on it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("edict/control.sock");
        let first = Lock::take(&socket).unwrap();
        match Lock::take(&socket) {
            Err(error @ LockError::Held { pid }) => {
                assert_eq!(pid, Some(std::process::id()));
                assert_eq!(
                    error.to_string(),
                    format!("another edict runs as process {}", std::process::id())
                );
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        Lock::take(&socket).unwrap();
    }

    #[test]
    fn a_link_in_place_of_the_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        std::os::unix::fs::symlink("/dev/null", beside(&socket)).unwrap();
        assert!(matches!(Lock::take(&socket), Err(LockError::Io { .. })));
    }
}
