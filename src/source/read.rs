//! Reads one file: bounded, and only if nobody else may write it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use crate::diag::{Code, Diagnostic};

/// Largest policy file, in bytes.
pub const LARGEST_POLICY: u64 = 256 << 10;
/// Largest included file, in bytes: sets are long.
pub const LARGEST_INCLUDED: u64 = 1 << 20;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_possible_wrap,
        reason = "the types of these fields differ between architectures"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

/// Why a file is not read. The caller adds the place.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// A diagnostic without labels.
    Refused(Box<Diagnostic>),
    /// The file changed meanwhile.
    Changed,
}

impl From<Diagnostic> for Obstacle {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Refused(Box::new(diagnostic))
    }
}

/// Opens a handle that can be examined but not read: opening a pipe or a device
/// so has no effect on it.
pub(super) fn peek(directory: BorrowedFd<'_>, name: &str) -> Result<(OwnedFd, Stat), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(directory, name, flags, Mode::empty())?;
    let stat = fstat(handle.as_fd())?;
    Ok((handle, stat))
}

/// Reads the file `name` of a directory; it was seen there as `seen`. `shown` is
/// how messages call it.
pub(super) fn read(
    directory: BorrowedFd<'_>,
    name: &str,
    seen: &Stat,
    shown: &str,
    limit: u64,
) -> Result<Vec<u8>, Obstacle> {
    let kind = FileType::from_raw_mode(seen.st_mode);
    if kind != FileType::RegularFile {
        return Err(not_regular(shown, kind).into());
    }
    if writable_by_others(seen) {
        return Err(
            Diagnostic::new(Code::E0005, format!("others may write `{shown}`"))
                .help(format!("take the permission away: `chmod o-w {shown}`"))
                .into(),
        );
    }
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let handle = openat(directory, name, flags, Mode::empty()).map_err(|errno| match errno {
        // It was there a moment ago.
        Errno::NOENT | Errno::LOOP => Obstacle::Changed,
        errno => unreadable(shown, errno).into(),
    })?;
    let before = fstat(handle.as_fd()).map_err(|errno| unreadable(shown, errno))?;
    if Stamp::of(&before) != Stamp::of(seen) {
        return Err(Obstacle::Changed);
    }
    let size = u64::try_from(before.st_size).unwrap_or(0);
    if size > limit {
        return Err(too_large(shown, size, limit).into());
    }
    let mut bytes = Vec::new();
    let mut file = File::from(handle);
    (&mut file)
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            unreadable(shown, errno)
        })?;
    let after = fstat(file.as_fd()).map_err(|errno| unreadable(shown, errno))?;
    if Stamp::of(&after) != Stamp::of(&before) || bytes.len() as u64 != size {
        return Err(Obstacle::Changed);
    }
    Ok(bytes)
}

/// Whether users other than the owner and the group may write.
pub(super) fn writable_by_others(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH)
}

/// Whether users other than the owner and the group may replace the files of a
/// directory; in a sticky directory they may not.
pub(super) fn replaceable_by_others(stat: &Stat) -> bool {
    writable_by_others(stat) && !Mode::from_raw_mode(stat.st_mode).contains(Mode::SVTX)
}

/// The diagnostic for an error of the system.
pub(super) fn unreadable(shown: &str, errno: Errno) -> Diagnostic {
    match errno {
        Errno::NOENT => Diagnostic::new(Code::E0001, format!("there is no file `{shown}`")),
        Errno::ACCESS | Errno::PERM => {
            Diagnostic::new(Code::E0002, format!("no permission to read `{shown}`"))
                .help("read it as its owner, or let this user read it and enter its directories")
        }
        Errno::NOTDIR => Diagnostic::new(
            Code::E0001,
            format!("there is no file `{shown}`: a part of the path is not a directory"),
        ),
        errno => Diagnostic::new(
            Code::E0013,
            format!("cannot read `{shown}`: {}", errno_text(errno)),
        ),
    }
}

fn errno_text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

fn too_large(shown: &str, size: u64, limit: u64) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::E0006,
        format!(
            "`{shown}` is {} KiB long; at most {} KiB are read",
            size.div_ceil(1 << 10),
            limit >> 10
        ),
    );
    if limit == LARGEST_POLICY {
        diagnostic.help(format!(
            "move long sets to a file of their own and include it: such a file may be {} KiB long",
            LARGEST_INCLUDED >> 10
        ))
    } else {
        diagnostic.help("spread the sets over several files")
    }
}

fn not_regular(shown: &str, kind: FileType) -> Diagnostic {
    let kind = match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    Diagnostic::new(
        Code::E0004,
        format!("`{shown}` is {kind}, not a regular file"),
    )
}
