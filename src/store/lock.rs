//! Allows one run at a time, by an advisory lock on a file beside the database, or on its folder if no
//! file can be created there: only SQLite opens the database, because closing it would release SQLite's locks. The system releases it when its process ends, so a
//! dead run blocks no other. `transaction` handles SQLite's own locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::rules::units::UnixSeconds;

/// The lock of a run, released when dropped. The file stays: if it was removed, a third run could
/// lock a file that other runs do not see.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of the database at `database`, or reports its holder.
    ///
    /// # Errors
    /// [`Error::Locked`] at once if another run holds it, [`Error::Lock`] if the lock file cannot
    /// be opened.
    pub fn take(database: &Path, now: UnixSeconds) -> Result<Self, Error> {
        // two paths to one database must share one lock
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let path = lock_path(&database);
        let lock_error = |source| Error::Lock { path: path.clone(), source };
        let (mut file, is_lock_file) = match open(&path) {
            Ok(file) => (file, true),
            Err(error) if cannot_be_made(&error) && !path.exists() => {
                let folder = database.parent().unwrap_or(Path::new("/"));
                (File::open(folder).map_err(lock_error)?, false)
            }
            Err(error) => return Err(lock_error(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = "a process that could not leave its name here".to_owned();
                if is_lock_file {
                    holder.clear();
                    // the holder's name only serves the message, so a failed read is ignored
                    let _ = file.take(200).read_to_string(&mut holder);
                }
                let holder = crate::rules::text::printable(holder.trim());
                return Err(Error::Locked { path: database, holder });
            }
            Err(TryLockError::Error(source)) => return Err(lock_error(source)),
        }
        if is_lock_file {
            // another user's lock file can be locked but not written; then the name is missing
            let _ = file.set_len(0);
            let _ = write!(file, "process {} since {now}", std::process::id());
        }
        Ok(Self { _file: file })
    }

    /// Whether a run holds the lock of the database at `database`, without taking it.
    ///
    /// # Errors
    /// Why the lock file cannot be used, and what to do.
    pub fn look_at(database: &Path) -> Result<bool, String> {
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let path = lock_path(&database);
        let named = match path.symlink_metadata() {
            Ok(named) => named,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        if !named.is_file() {
            let path = path.display();
            return Err(format!("{path} is not a regular file; remove it"));
        }
        let file = File::open(&path).map_err(|error| {
            let path = path.display();
            format!("{path}: {error}; remove it, or give it to the user that runs settle (chown)")
        })?;
        Ok(matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

/// Whether an error means that this user cannot create a file there.
fn cannot_be_made(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// `performance.db` → `performance.db-settle.lock`.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-settle.lock");
    name.into()
}

/// Opens or creates the lock file. It must be a regular file with one name: through a link another
/// file would be locked and emptied.
fn open(path: &Path) -> std::io::Result<File> {
    let refused = || std::io::Error::other("it is not a regular file; remove it");
    if path.symlink_metadata().is_ok_and(|named| !named.is_file()) {
        return Err(refused());
    }
    // a pipe does not make it wait
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let file = match options.clone().write(true).create(true).truncate(false).open(path) {
        Err(error) if cannot_be_made(&error) && path.exists() => options.open(path)?,
        other => other?,
    };
    let (opened, named) = (file.metadata()?, path.symlink_metadata()?);
    let is_the_same = (opened.dev(), opened.ino()) == (named.dev(), named.ino());
    match named.is_file() && is_the_same && opened.nlink() == 1 {
        true => Ok(file),
        false => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_770_987_600);

    #[test]
    fn a_second_run_names_the_holder_of_the_lock_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("p.db");
        std::fs::write(&database, "").unwrap();
        let held = RunLock::take(&database, NOW).unwrap();
        let error = RunLock::take(&database, NOW).unwrap_err().to_string();
        let holder = format!("process {} since 2026-02-13T13:00:00Z", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(held);
        assert!(RunLock::take(&database, NOW).is_ok());
    }

    #[test]
    fn a_lock_file_that_is_a_link_is_refused_and_its_target_untouched() {
        for link in [std::os::unix::fs::symlink, |from: PathBuf, to| std::fs::hard_link(from, to)] {
            let folder = tempfile::tempdir().unwrap();
            let (database, target) = (folder.path().join("p.db"), folder.path().join("target"));
            std::fs::write(&database, "").unwrap();
            std::fs::write(&target, "precious").unwrap();
            link(target.clone(), lock_path(&database)).unwrap();
            let error = RunLock::take(&database, NOW).unwrap_err();
            assert!(matches!(error, Error::Lock { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
        }
    }
}
