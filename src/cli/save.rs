//! Writes a file so that nobody ever sees half of it, a watching `edict run` least
//! of all.
//!
//! A new file is filled beside its place, brought to the disk and moved there, so
//! that a full disk costs nothing that was there before. Owner and permissions of
//! a file that is replaced are kept, unless nobody but its writer may see the new
//! content. A symbolic link stays one. What is no regular file (`/dev/stdout`, a
//! pipe) is written to as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// What the group and everybody else may do with a file.
const OTHERS: u32 = 0o077;
/// Permissions of a file that everybody may see, less what the process masks.
const OPEN: u32 = 0o666;

/// Makes `bytes` the content of `path`.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    save(path, bytes, OPEN)
}

/// Makes `bytes` the content of `path`; a file that was not there gets the
/// permissions `mode`, less those that the process masks. A `mode` that leaves
/// nothing to others takes from a file that was there what it left to them.
pub(super) fn save(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let before = fs::metadata(path).ok();
    // Where others may write too, a link of theirs may lead to any file.
    let is_link = || fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    if mode & OTHERS == 0 && before.as_ref().is_none_or(fs::Metadata::is_file) && is_link() {
        return Err(io::Error::other(
            "it is a symbolic link; name the file itself",
        ));
    }
    if before.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    put(path, bytes, mode, before.as_ref(), |_| Ok(()))
}

/// Makes `new` the content of a regular file that holds `old`; what somebody else
/// wrote meanwhile stays.
pub(super) fn exchange(path: &Path, old: &[u8], new: &[u8]) -> io::Result<()> {
    let changed = || io::Error::other("it changed meanwhile");
    let before = fs::metadata(path)?;
    if !before.is_file() {
        return Err(changed());
    }
    put(path, new, OPEN, Some(&before), |path| {
        match fs::read(path)? == old {
            true => Ok(()),
            false => Err(changed()),
        }
    })
}

/// Fills a file beside `path`, and moves it there if that `is_due` still.
fn put(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    before: Option<&fs::Metadata>,
    is_due: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    // Through a symbolic link, it is the file behind it that changes.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Until it has its owner, nobody else may look into it.
    let first = before.map_or(mode, |_| mode & !OTHERS);
    let (beside, mut file) = create_beside(&path, first)?;
    let written = (|| {
        if let Some(before) = before {
            keep(&file, before, mode)?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        is_due(&path)?;
        fs::rename(&beside, &path)
    })();
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&beside);
    }
    written?;
    // The rename is done; that it survives a loss of power is as good as it gets.
    let directory = path.parent().unwrap_or(Path::new("/"));
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

/// Gives a new file the owner and the permissions of the one before it. What is
/// private belongs to whoever wrote it.
fn keep(file: &File, before: &fs::Metadata, mode: u32) -> io::Result<()> {
    let made = file.metadata()?;
    let kept = before.permissions().mode();
    let is_private = mode & OTHERS == 0;
    let owner = |of: &fs::Metadata| (of.uid(), of.gid());
    if !is_private && owner(&made) != owner(before) {
        fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    let mode = if is_private { kept & mode } else { kept };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

fn create_beside(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let name = name.to_string_lossy();
    for attempt in 0..100 {
        let beside = path.with_file_name(format!(".{name}.{}.{attempt}", std::process::id()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)
        {
            Ok(file) => return Ok((beside, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        save(&path, b"one", 0o600).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), mode()),
            ("one".into(), 0o600)
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        save(&link, b"two", 0o666).unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), mode()),
            ("two".into(), 0o644)
        );
        // What only the owner may see stays so in a file that everybody could read.
        assert!(save(&link, b"secret", 0o600).is_err());
        save(&path, b"secret", 0o600).unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), mode()),
            ("secret".into(), 0o600)
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(save(dir.path(), b"x", 0o600).is_err());
        assert!(save(&dir.path().join("no/such"), b"x", 0o600).is_err());
        assert!(save(Path::new("/dev/full"), b"x", 0o600).is_err());
        save(Path::new("/dev/null"), b"x", 0o600).unwrap();
    }

    #[test]
    fn what_changed_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.edict");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        exchange(&path, b"old", b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let error = exchange(&path, b"old", b"newer").unwrap_err();
        assert_eq!(error.to_string(), "it changed meanwhile");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(exchange(dir.path(), b"", b"x").is_err());
        assert!(exchange(Path::new("/dev/null"), b"", b"x").is_err());
        assert!(exchange(&dir.path().join("none"), b"", b"x").is_err());
    }

    #[test]
    fn the_owner_stays_unless_the_content_is_private() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.edict");
        let owner = || {
            let meta = fs::metadata(&path).unwrap();
            (meta.uid(), meta.gid(), meta.permissions().mode() & 0o7777)
        };
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        exchange(&path, b"old", b"new").unwrap();
        assert_eq!(owner(), (65534, 65534, 0o660));
        replace(&path, b"newer").unwrap();
        assert_eq!(owner(), (65534, 65534, 0o660));
        save(&path, b"secret", 0o600).unwrap();
        assert_eq!(owner(), (0, 0, 0o600));
    }
}
