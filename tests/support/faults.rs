//! Processes under the faults of a disk (`faults.c`), and the files that a power loss leaves of what they wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::dice::Dice;

/// The files of a folder, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The database in each folder.
pub const DATABASE: &str = "performance.db";

/// More than the wait for a lock, which no fault here is to cause.
const LONGEST: Duration = Duration::from_secs(20);
/// What a disk writes whole, or not.
const SECTOR: usize = 512;

/// The library that is put between a process and the kernel.
pub struct Shim {
    library: PathBuf,
    _folder: tempfile::TempDir,
}

/// One fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub kind: &'static str,
    /// The number of the operation, from 1.
    pub at: usize,
}

/// What became of a process.
#[derive(Debug)]
pub struct Ended {
    /// `None` if it was killed.
    pub code: Option<i32>,
    pub text: String,
    pub trace: Vec<Event>,
}

impl Ended {
    /// The operation at which the fault happened, and its file.
    pub fn happened(&self) -> Option<&str> {
        self.trace.iter().find_map(|event| match event {
            Event::Fault(what) => Some(what.as_str()),
            _ => None,
        })
    }
}

impl Shim {
    /// Compiles the library. Prints a message and returns none where it cannot be used.
    pub fn compile() -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")) {
            eprintln!("skipped: faults of a disk need Linux on 64 bits with glibc");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/faults.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut compile = Command::new(&compiler);
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&library).arg(source);
        match compile.status() {
            Ok(status) => assert!(status.success(), "faults.c does not compile"),
            Err(why) => {
                eprintln!("skipped: faults of a disk need a C compiler ({compiler}: {why})");
                return None;
            }
        }
        Some(Self { library, _folder: folder })
    }

    /// Runs a command on the database in `folder`, with or without a fault.
    pub fn run(&self, mut command: Command, folder: &Path, fault: Option<Fault>) -> Ended {
        let trace = folder.join("trace");
        command.env("LD_PRELOAD", &self.library).env("FAULT_TRACE", &trace);
        command.env("FAULT_DB", folder.canonicalize().unwrap().join(DATABASE));
        if let Some(Fault { kind, at }) = fault {
            command.env("FAULT_KIND", kind).env("FAULT_AT", at.to_string());
        }
        let (code, text) = within_time(command);
        Ended { code, text, trace: read_trace(&fs::read(&trace).unwrap_or_default()) }
    }
}

/// Runs a command that must end; its exit code and its output.
pub fn within_time(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > LONGEST {
            child.kill().unwrap();
            panic!("{command:?} has not ended after {LONGEST:?}: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (output.status.code(), text.concat())
}

/// One line of the trace.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A descriptor is opened: the name of the file, empty for the folder, and whether the file is new.
    Open(i32, String, bool),
    Close(i32),
    Write(i32, usize, Vec<u8>),
    Truncate(i32, usize),
    Sync(i32),
    /// A sync that failed: the kernel may have dropped what was to be written.
    Unsynced(i32),
    Unlink(String),
    /// Shared memory is mapped.
    Map,
    Read,
    Fault(String),
}

impl Event {
    /// The event without the bytes that it writes.
    pub fn in_short(&self) -> String {
        match self {
            Self::Write(fd, at, bytes) => format!("Write({fd}, {at}, {} bytes)", bytes.len()),
            other => format!("{other:?}"),
        }
    }

    /// The faults that can happen at this operation; empty for what is no operation of its own.
    pub fn faults(&self) -> &'static [&'static str] {
        match self {
            Self::Write(..) => &["enospc", "torn", "eio", "dead", "short", "kill", "half"],
            Self::Open(_, _, true) => &["enospc", "eio", "dead", "kill"],
            Self::Truncate(..) | Self::Sync(_) | Self::Unlink(_) | Self::Map => {
                &["eio", "dead", "kill"]
            }
            Self::Open(..) | Self::Close(_) | Self::Unsynced(_) | Self::Read | Self::Fault(_) => {
                &[]
            }
        }
    }
}

fn read_trace(bytes: &[u8]) -> Vec<Event> {
    let name = |path: &str| {
        let name = path.rsplit('/').next().unwrap();
        if name.starts_with(DATABASE) { name.to_owned() } else { String::new() }
    };
    let (mut events, mut rest) = (Vec::new(), bytes);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        let parts: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| parts[at].parse::<usize>().unwrap();
        let fd = || parts[1].parse().unwrap();
        events.push(match parts[0] {
            kind @ ("open" | "create") => Event::Open(fd(), name(parts[2]), kind == "create"),
            "close" => Event::Close(fd()),
            "write" => {
                let (written, after) = rest.split_at(number(3));
                rest = after;
                Event::Write(fd(), number(2), written.to_vec())
            }
            "truncate" => Event::Truncate(fd(), number(2)),
            "sync" => Event::Sync(fd()),
            "unsynced" => Event::Unsynced(fd()),
            "unlink" => Event::Unlink(name(parts[1])),
            "map" => Event::Map,
            "read" => Event::Read,
            "fault" => Event::Fault(format!("{} {}", parts[2], name(parts[3]))),
            other => panic!("no event of a trace: {other}"),
        });
    }
    events
}

/// A change of a file that no sync has made durable.
#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// A file, which may have lost its name.
#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// A disk with the files of one folder, under the operations of a trace.
#[derive(Clone)]
pub struct Disk {
    files: Vec<File>,
    /// The names that survive a power loss for certain.
    names: BTreeMap<String, usize>,
    /// Names since then, in order: the file, or none where the name was removed.
    pending_names: Vec<(String, Option<usize>)>,
    /// The file, or the folder, of each descriptor.
    open: BTreeMap<i32, Option<usize>>,
    /// Whether the kernel drops what it could not sync: no later sync makes it durable.
    pub drops_unsynced: bool,
}

impl Disk {
    pub fn of(files: &Files) -> Self {
        let names = files.keys().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let file = |bytes: &Vec<u8>| File { durable: bytes.clone(), ..File::default() };
        let files = files.values().map(file).collect();
        Self { files, names, pending_names: vec![], open: BTreeMap::new(), drops_unsynced: false }
    }

    fn named(&self, name: &str) -> Option<usize> {
        let latest = self.pending_names.iter().rev().find(|(pending, _)| pending == name);
        latest.map_or_else(|| self.names.get(name).copied(), |(_, file)| *file)
    }

    fn file(&mut self, fd: i32) -> &mut File {
        let file = self.open[&fd].expect("nothing is written to the folder");
        &mut self.files[file]
    }

    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Open(fd, name, is_new) => {
                if *is_new {
                    self.files.push(File::default());
                    self.pending_names.push((name.clone(), Some(self.files.len() - 1)));
                }
                self.open.insert(*fd, self.named(name).filter(|_| !name.is_empty()));
            }
            Event::Close(fd) => drop(self.open.remove(fd)),
            Event::Write(fd, at, bytes) => {
                self.file(*fd).pending.push(Change::Write(*at, bytes.clone()));
            }
            Event::Truncate(fd, length) => self.file(*fd).pending.push(Change::Truncate(*length)),
            Event::Sync(fd) => match self.open[fd] {
                Some(file) => {
                    let file = &mut self.files[file];
                    for change in std::mem::take(&mut file.pending) {
                        change.make(&mut file.durable);
                    }
                }
                None => {
                    for (name, file) in std::mem::take(&mut self.pending_names) {
                        match file {
                            Some(file) => drop(self.names.insert(name, file)),
                            None => drop(self.names.remove(&name)),
                        }
                    }
                }
            },
            Event::Unsynced(fd) => {
                if let Some(file) = self.open[fd].filter(|_| self.drops_unsynced) {
                    self.files[file].pending.clear();
                }
            }
            Event::Unlink(name) => self.pending_names.push((name.clone(), None)),
            Event::Map | Event::Read | Event::Fault(_) => {}
        }
    }

    /// The files after a power loss now. Of what is not synced each sector is there, is not, or is torn, and
    /// each name is there or not. The dice favour that one file has all of its changes and another has none.
    pub fn after_power_loss(&self, dice: &mut Dice) -> Files {
        let mut names = self.names.clone();
        let keeps_names = dice.between(0, 3);
        let mut changed: BTreeMap<&str, Vec<Option<usize>>> = BTreeMap::new();
        for (name, file) in &self.pending_names {
            changed.entry(name).or_default().push(*file);
        }
        for (name, states) in changed {
            let kept = match keeps_names {
                0 => 0,
                1 => states.len(),
                _ => dice.between(0, states.len() as i64 + 1) as usize,
            };
            match kept.checked_sub(1).map(|last| states[last]) {
                None => {}
                Some(Some(file)) => drop(names.insert(name.to_owned(), file)),
                Some(None) => drop(names.remove(name)),
            }
        }
        let mut left = Files::new();
        for (name, file) in names {
            let File { durable, pending } = &self.files[file];
            let mut bytes = durable.clone();
            // memory shared by processes is not on the disk, only what a system wrote of it at some time
            if name.ends_with("-shm") {
                if dice.chance(50) {
                    let garbage = (0..32 * 1024).map(|_| dice.between(0, 256) as u8);
                    left.insert(name, garbage.collect());
                }
                continue;
            }
            // what is kept of each change, in percent
            let kept = dice.one(&[0, 0, 100, 100, 50, 90]);
            for change in pending {
                change.make_in_part(&mut bytes, kept, dice);
            }
            left.insert(name, bytes);
        }
        left
    }
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Truncate(length) => bytes.resize(*length, 0),
            Self::Write(at, new) => {
                let end = at + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*at..end].copy_from_slice(new);
            }
        }
    }

    fn make_in_part(&self, bytes: &mut Vec<u8>, percent: i64, dice: &mut Dice) {
        let Self::Write(at, new) = self else {
            if dice.chance(percent) {
                self.make(bytes);
            }
            return;
        };
        let mut from = 0;
        while from < new.len() {
            let end = ((at + from) / SECTOR + 1) * SECTOR - at;
            let end = end.min(new.len());
            let mut sector = &new[from..end];
            // the power fails as the sector is written
            if percent == 50 && dice.chance(10) {
                sector = &sector[..dice.between(0, sector.len() as i64) as usize];
            }
            if dice.chance(percent) {
                Self::Write(at + from, sector.to_vec()).make(bytes);
            }
            from = end;
        }
    }
}
