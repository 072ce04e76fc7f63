//! Files for other programs, each whole or not there at all: a report's page, a run's metrics, a new settings
//! file.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Replaces a file atomically, so that a reader never sees half of it. An existing file keeps its mode;
/// the umask gives that of a new one. A database is never replaced.
///
/// # Errors
/// I/O errors, or a path that belongs to a database.
pub fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    // replace a symlink's target, not the link; write to a pipe or a terminal as it is
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if is_of_database(&path) {
        return Err(io::Error::other("it is an SQLite database, or belongs to one"));
    }
    if path.exists() && !path.is_file() {
        return fs::write(path, text);
    }
    let file = file_beside(&path, text)?;
    if let Ok(existing) = fs::metadata(&path) {
        file.as_file().set_permissions(existing.permissions())?;
    }
    file.persist(&path).map(drop).map_err(|error| error.error)
}

/// Makes a file. One that exists, and a link, stay as they are.
///
/// # Errors
/// I/O errors; [`io::ErrorKind::AlreadyExists`].
pub fn new_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let file = file_beside(path, text)?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

/// A temporary file with this text in the folder of `path`.
fn file_beside(path: &Path, text: &[u8]) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // keep only the error's kind: its message names the temporary file
    let mut file = Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| io::Error::from(error.kind()))?;
    file.write_all(text)?;
    Ok(file)
}

/// Suffixes of the files beside a database: SQLite's, and settle's lock.
const BESIDE_A_DATABASE: [&str; 4] = ["-wal", "-shm", "-journal", "-settle.lock"];

/// Whether the file at `path` is an SQLite database, or has the name of a file beside one.
pub fn is_of_database(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.as_os_str().to_string_lossy();
    let stem = BESIDE_A_DATABASE.iter().find_map(|end| name.strip_suffix(end));
    is_database(&path) || stem.is_some_and(|stem| is_database(Path::new(stem)))
}

/// Whether the file starts with SQLite's magic bytes.
fn is_database(path: &Path) -> bool {
    let mut magic = [0; 16];
    // opening a pipe would wait for its writer
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_file
        && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && &magic == b"SQLite format 3\0"
}
