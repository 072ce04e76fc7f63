//! One run at a time: an advisory lock on a file beside the database, or on the database itself where
//! no file can be made beside it. The system drops it with its holder, so a dead run blocks nobody. SQLite's own
//! locks are another matter: see `write`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::rules::units::UnixSeconds;

/// The right to write; given back when dropped. The file stays, as removing it would let a third
/// run lock a file that nobody else sees.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of the database at `database`, or says who holds it.
    ///
    /// # Errors
    /// [`Error::Locked`] at once where another run holds it, [`Error::Lock`] where the lock file
    /// cannot be opened.
    pub fn take(database: &Path, now: UnixSeconds) -> Result<Self, Error> {
        // two names of one database are one lock
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let path = lock_path(&database);
        let lock_error = |source| Error::Lock { path: path.clone(), source };
        let (mut file, is_lock_file) = match open(&path) {
            Ok(file) => (file, true),
            // flock(2) and SQLite's own locks do not see each other
            Err(error) if cannot_be_made(&error) && !path.exists() => {
                (File::open(&database).map_err(lock_error)?, false)
            }
            Err(error) => return Err(lock_error(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = "a process that could not leave its name here".to_owned();
                if is_lock_file {
                    holder.clear();
                    // who it is only serves the message
                    let _ = file.take(200).read_to_string(&mut holder);
                }
                let holder = crate::rules::text::printable(holder.trim());
                return Err(Error::Locked { path: database, holder });
            }
            Err(TryLockError::Error(source)) => return Err(lock_error(source)),
        }
        if is_lock_file {
            // a lock file of another user can be locked, but not written: then the name is missing
            let _ = file.set_len(0);
            let _ = write!(file, "process {} since {now}", std::process::id());
        }
        Ok(Self { _file: file })
    }
}

/// Whether an error says that this user can make no file there.
fn cannot_be_made(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// `performance.db` → `performance.db-settle.lock`.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-settle.lock");
    name.into()
}

fn open(path: &Path) -> std::io::Result<File> {
    let writable =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match writable {
        Err(error) if cannot_be_made(&error) && path.exists() => File::open(path),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_770_987_600);

    #[test]
    fn a_second_run_is_told_who_holds_the_lock_and_gets_it_afterwards() {
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
}
