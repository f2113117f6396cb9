//! Writes a file so that nobody ever sees half of it.
//!
//! A new file is filled beside its place, brought to the disk and moved there, so
//! that a full disk costs nothing that was there before. The permissions of a file
//! that is replaced are kept, unless nobody but its owner may see the new content. What is no regular file (`/dev/stdout`, a pipe) is
//! written to as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What the group and everybody else may do with a file.
const OTHERS: u32 = 0o077;

/// Makes `bytes` the content of `path`.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    save(path, bytes, 0o666)
}

/// Makes `bytes` the content of `path`; a file that was not there gets the
/// permissions `mode`, less those that the process masks. A `mode` that leaves
/// nothing to others takes from a file that was there what it left to them.
pub(super) fn save(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let before = fs::metadata(path).ok();
    if before.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    // Through a symbolic link, it is the file behind it that changes.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (beside, mut file) = create_beside(&path, mode)?;
    let written = (|| {
        file.write_all(bytes)?;
        if let Some(before) = before {
            let kept = before.permissions().mode();
            let is_private = mode & OTHERS == 0;
            let mode = if is_private { kept & mode } else { kept };
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.sync_all()?;
        fs::rename(&beside, &path)
    })();
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&beside);
    }
    written
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
        save(&link, b"secret", 0o600).unwrap();
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
}
