//! Checks where a database lies: SQLite finds a journal by the name of its database, so the file must
//! have one name only, and must be the same file for the whole run.
//!
//! Source: of 40 kills of a writer that used a second name, 39 left the first one malformed (measured
//! 2026); "How To Corrupt An SQLite Database File", sqlite.org.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file, by its device and inode.
pub(super) type FileId = (u64, u64);

/// Which file a path names now.
///
/// # Errors
/// I/O errors.
pub(super) fn file_at(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|metadata| id_of(&metadata))
}

pub(super) fn id_of(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// The bytes that are free for this user on the disk of the file at `path`; `None` if the system does not
/// say it.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// The owner of the file at `path` where settle runs as another user: a name, or `'#UID'` for a user without one.
/// `None` also where a group shares the file: it may write it, and the folder gives new files the group.
pub fn other_owner(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    let folder = fs::metadata(path.canonicalize().ok()?.parent()?).ok()?;
    let is_shared = file.mode() & 0o060 == 0o060 && folder.mode() & 0o2000 != 0;
    if is_shared || file.uid() == rustix::process::geteuid().as_raw() {
        return None;
    }
    let uid = file.uid().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|user| {
        let mut fields = user.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid.as_str())).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| format!("'#{uid}'")))
}

/// Why SQLite cannot use the file safely at this path; `None` if it can.
pub(super) fn why_unsafe(path: &Path, metadata: &Metadata) -> Option<String> {
    if metadata.nlink() > 1 {
        return Some(
            "the file has a second name (a hard link), and SQLite's journal lies beside one of them only; \
             remove the other name, or use a symbolic link"
                .to_owned(),
        );
    }
    let path = path.canonicalize().ok()?;
    // without /proc there is nothing to check
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_mount_point = mount_points(&mounts).any(|mount| Path::new(&mount) == path);
    is_mount_point.then(|| {
        "the file alone is mounted here, and SQLite's journal lies elsewhere; mount its folder"
            .to_owned()
    })
}

/// The mount points of a `mountinfo`, the fifth field of a line; blanks are written as `\040`.
fn mount_points(mountinfo: &str) -> impl Iterator<Item = String> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(|point| {
        let octal = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
        octal.iter().fold(point.to_owned(), |point, (code, text)| point.replace(code, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_the_fifth_field_with_blanks_as_octal_numbers() {
        let info = "36 35 98:0 /a /srv/bot\\040data/p.db rw,noatime - ext3 /dev/root rw\n";
        assert_eq!(mount_points(info).collect::<Vec<_>>(), ["/srv/bot data/p.db"]);
    }
}
