//! One file per command: arguments, action, text and JSON output. Only the commands choose exit
//! codes.

pub mod audit;
pub mod completions;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod ignore;
pub mod init;
pub mod log;
pub mod man;
pub mod reconcile;
pub mod report;
pub mod run;
pub mod status;
pub mod undo;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::error::Error;
use crate::output::json::{OfSeveral, of_all};
use crate::output::print::{Printing, show};
use crate::rules::fill::SharedRows;
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::UnixSeconds;
use crate::settings::file::other_than_installed;
use crate::settings::{CommonArgs, WalletArgs};
use crate::store::{Access, BotSchema, RunLock, Store};

/// Each exit status and what it says of a run, for the help and the manual page.
pub const EXITS: [(Exit, &str); 9] = [
    (Exit::Done, "done, or nothing due"),
    (Exit::Failed, "failed, nothing written"),
    (Exit::Usage, "bad usage"),
    (Exit::RowsInError, "done, but rows are in error"),
    (
        Exit::Alert,
        "done, but a due trade is older than the alert lag, or a provisional one is not confirmed in time",
    ),
    (Exit::NothingHad, "no source gave a price or a resolution"),
    (Exit::NoDatabase, "no performance database there"),
    (Exit::Locked, "another run is in progress"),
    (Exit::Interrupted, "interrupted"),
];

/// Exit status of the process; the README's table lists the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing was due.
    Done,
    /// Failed; nothing was written.
    Failed,
    /// The command line, the environment or `.env` has a bad value.
    Usage,
    /// Done, but some rows are in error.
    RowsInError,
    /// Done, but a trade is past the alert lag or the confirm lag.
    Alert,
    /// No source had a price or a resolution.
    NothingHad,
    /// The database is missing, or is not a performance database.
    NoDatabase,
    /// Another run holds the lock.
    Locked,
    /// A signal stopped the command.
    Interrupted,
}

impl Exit {
    /// Exit status for an error.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::NoDatabase(_) | Error::NotPerformanceDatabase { .. } => Self::NoDatabase,
            Error::Locked { .. } => Self::Locked,
            Error::SeveralDatabases(_)
            | Error::PageOverDatabase(_)
            | Error::NoActivity { .. }
            | Error::Settings(_)
            | Error::SettingsExist(_)
            | Error::NoWallet
            | Error::NoChannel(_)
            | Error::EmptyPeriod => Self::Usage,
            Error::Database { .. }
            | Error::ReadOnly(_)
            | Error::Lock { .. }
            | Error::NewSettings { .. }
            | Error::Page { .. }
            | Error::NoSuchTrade(_)
            | Error::NoSuchRun(_)
            | Error::NothingToUndo
            | Error::AmbiguousRun(..)
            | Error::NotSent { .. }
            | Error::Output(_) => Self::Failed,
        }
    }

    /// The most severe exit status of several databases.
    pub fn most_serious(exits: impl IntoIterator<Item = Self>) -> Self {
        let seriousness = |exit: &Self| match exit {
            Self::Interrupted => 8,
            Self::Usage => 7,
            Self::NoDatabase => 6,
            Self::Failed => 5,
            Self::NothingHad => 4,
            Self::Alert => 3,
            Self::RowsInError => 2,
            // the process that holds the lock does the work
            Self::Locked => 1,
            Self::Done => 0,
        };
        exits.into_iter().max_by_key(seriousness).unwrap_or(Self::Done)
    }

    /// Whether the run did all it could. What is left needs time or a corrected row.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::RowsInError | Self::Alert)
    }

    /// Exit code for the operating system.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::RowsInError => 3,
            Self::Alert => 4,
            Self::NothingHad => 5,
            Self::NoDatabase => 10,
            Self::Locked => 11,
            Self::Interrupted => 130,
        }
    }
}

/// A bot's database, with the settings that hold for it.
#[derive(Debug)]
pub struct Bot<'a, A> {
    /// The path of the database.
    pub database: PathBuf,
    /// The name of its `[[bot]]`.
    pub name: Option<&'a str>,
    /// Its table.
    pub schema: &'a BotSchema,
    /// The settings file in use.
    pub settings_file: Option<&'a Path>,
    /// The command's arguments.
    pub args: &'a A,
    /// The command does not work on it; it may share a wallet with another bot.
    pub is_beside: bool,
}

impl<A> Bot<'_, A> {
    fn open(&self, access: Access) -> Result<Store, Error> {
        Store::open(&self.database, access, self.schema)
    }

    fn title(&self) -> String {
        titled(self.name, &self.database)
    }

    /// The first line of a summary, after the command.
    fn heading(&self) -> String {
        let file = other_than_installed(self.settings_file);
        let file = file.map(|file| format!(" · settings {}", file.display()));
        format!("{}{}", self.title(), file.unwrap_or_default())
    }

    fn of_several(&self) -> OfSeveral<'_> {
        OfSeveral { db: self.database.display().to_string(), name: self.name }
    }
}

/// The result of a command in one of several databases.
struct Block {
    exit: Exit,
    json: serde_json::Result<String>,
    text: String,
}

/// Prints one block a database; returns the most severe exit status.
fn show_blocks(printing: Printing, command: &str, blocks: &[Block]) -> (Exit, Result<(), Error>) {
    let exit = Exit::most_serious(blocks.iter().map(|block| block.exit));
    let texts: Vec<&str> = blocks.iter().map(|block| block.text.as_str()).collect();
    let all = || {
        // a missing object fails as the whole one does
        let objects = blocks.iter().map(|block| block.json.as_deref().unwrap_or_default());
        of_all(command, exit.is_success(), objects)
    };
    (exit, show(printing, all, || texts.join("\n")))
}

/// The name of a bot, if it has one, and its database.
fn titled(name: Option<&str>, database: &Path) -> String {
    let database = database.display();
    name.map_or_else(|| database.to_string(), |name| format!("{name} · {database}"))
}

/// The rows of the other bots that share a wallet with the bot at `index`. `of` gives the wallet and the
/// zone of a bot.
///
/// # Errors
/// Why another bot's rows cannot be read: without them its fills could be booked twice.
fn shared_rows<'a, A>(
    bots: &[Bot<'a, A>],
    index: usize,
    of: impl Fn(&'a A) -> (&'a WalletArgs, NaiveZone),
) -> Result<SharedRows, String> {
    let mut shared = SharedRows::default();
    let Some((own, _)) = bots.get(index).map(|bot| of(bot.args)) else { return Ok(shared) };
    for (other, bot) in bots.iter().enumerate().filter(|(other, _)| *other != index) {
        let (wallet, zone) = of(bot.args);
        if !own.shares_with(wallet) {
            continue;
        }
        let read = || bot.open(Access::Read)?.wallet_rows(zone);
        let rows = read().map_err(|why: Error| format!("a bot shares the wallet, and {why}"))?;
        if other < index { &mut shared.before } else { &mut shared.after }.extend(rows);
    }
    Ok(shared)
}

/// The database of a command that takes exactly one.
fn only<'a>(common: &'a CommonArgs, command: &'static str) -> Result<&'a Path, Error> {
    match &common.db[..] {
        [database] => Ok(database),
        _ => Err(Error::SeveralDatabases(command)),
    }
}

/// Opens a database; with `writes`, for writing, and with the lock that keeps other runs out.
fn open(
    database: &Path,
    schema: &BotSchema,
    writes: bool,
    now: UnixSeconds,
) -> Result<(Store, Option<RunLock>), Error> {
    let access = if writes { Access::Write } else { Access::Read };
    let store = Store::open(database, access, schema)?;
    let lock = writes.then(|| RunLock::take(database, now)).transpose()?;
    Ok((store, lock))
}

/// Unique: a process has one run, and two processes differ in id or microsecond.
fn new_run_id(now: DateTime<Utc>) -> String {
    format!("{}-{}", now.format("%Y%m%dT%H%M%S%.6fZ"), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_readmes_table() {
        let codes = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::RowsInError, 3),
            (Exit::Alert, 4),
            (Exit::NothingHad, 5),
            (Exit::NoDatabase, 10),
            (Exit::Locked, 11),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code);
        }
    }

    #[test]
    fn the_most_serious_of_several_exits_is_returned() {
        let order = [
            Exit::Done,
            Exit::Locked,
            Exit::RowsInError,
            Exit::Alert,
            Exit::NothingHad,
            Exit::Failed,
            Exit::NoDatabase,
            Exit::Usage,
            Exit::Interrupted,
        ];
        for pair in order.windows(2) {
            assert_eq!(Exit::most_serious(pair.iter().copied()), pair[1]);
            assert_eq!(Exit::most_serious(pair.iter().rev().copied()), pair[1]);
        }
        assert_eq!(Exit::most_serious([]), Exit::Done);
    }

    #[test]
    fn errors_say_what_to_do_and_map_to_their_codes() {
        let missing = Error::NoDatabase("x.db".into());
        assert_eq!(Exit::of(&missing), Exit::NoDatabase);
        assert!(missing.to_string().contains("--db"));
        for (kind, what) in [
            (std::io::ErrorKind::StorageFull, "free space"),
            (std::io::ErrorKind::PermissionDenied, "chown"),
        ] {
            let lock = Error::Lock { path: "x.db-settle.lock".into(), source: kind.into() };
            assert!(lock.to_string().contains(what), "{lock}");
        }
        let locked = Error::Locked { path: "x.db".into(), holder: "pid 7".into() };
        assert_eq!(Exit::of(&locked), Exit::Locked);
    }
}
