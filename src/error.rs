//! Errors that stop a command, worded for users. Problems with a row or a source stop nothing: see
//! `RowError` and `problems`.

use std::path::PathBuf;

/// An error that stops a command. Rows that cannot be settled are in the summary instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file at the path.
    #[error(
        "no database at {}; name the bot's performance database with --db or SETTLE_DB \
         (settle never creates it)",
        .0.display()
    )]
    NoDatabase(PathBuf),
    /// The file is not a performance database.
    #[error("{} is not a performance database: {why}; check --db", path.display())]
    NotPerformanceDatabase {
        /// The file.
        path: PathBuf,
        /// What is missing, and what to do.
        why: String,
    },
    /// The settings file has a value that cannot be used; names key, file and line.
    #[error("{0}")]
    Settings(String),
    /// `settle init` would replace a file.
    #[error(
        "{} exists, and settle init replaces no file; settle wrote nothing; remove the file, or name another \
         with --config",
        .0.display()
    )]
    SettingsExist(PathBuf),
    /// The new settings file cannot be written.
    #[error(
        "cannot write {}: {source}; name a file in a folder that this user may write with --config",
        path.display()
    )]
    NewSettings {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// The database cannot be read or written.
    #[error("{} cannot be {doing}: {why}{hint}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// `opened`, `read` or `written`.
        doing: &'static str,
        /// SQLite's message, made printable.
        why: String,
        /// What to do next, after a semicolon; may be empty.
        hint: &'static str,
    },
    /// The database cannot be written by this user.
    #[error(
        "{} cannot be written by this user; run settle as the user the bot runs as \
         (dry-run and status need no more than reading)",
        .0.display()
    )]
    ReadOnly(PathBuf),
    /// The lock file cannot be used.
    #[error(
        "cannot take the lock {}: {source}; settle wrote nothing; {}",
        path.display(),
        lock_hint(source)
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// Another run holds the lock.
    #[error("another run is in progress on {} ({holder}); wait for it to end", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
        /// Which process holds the lock, and since when.
        holder: String,
    },
    /// More than one database, for a command that takes one.
    #[error(
        "{0} takes one database; give --db once, or name a bot of the settings file with --bot"
    )]
    SeveralDatabases(&'static str),
    /// Neither a wallet nor a file of its history is given.
    #[error(
        "no wallet is given; name the address that holds the positions with --wallet 0x…, or a saved \
         history with --activity FILE"
    )]
    NoWallet,
    /// `report --notify` has nowhere to send to; the reason.
    #[error("--notify cannot send: {0}")]
    NoChannel(String),
    /// `report --notify` was not delivered: to what, and why not.
    #[error(
        "the report was not sent as {channel}: {why}; run the command again, which sends it to each channel"
    )]
    NotSent {
        /// What was sent.
        channel: &'static str,
        /// Why it did not arrive.
        why: String,
    },
    /// `--since` is not before `--until`.
    #[error(
        "--since is later than --until, so no trade is between them; choose an earlier --since"
    )]
    EmptyPeriod,
    /// The HTML page cannot be written.
    #[error(
        "cannot write the report to {}: {source}; name a file in a folder that this user may write",
        path.display()
    )]
    Page {
        /// The file asked for.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// The HTML page would replace a database or a file beside one.
    #[error("{} is an SQLite database, or belongs to one; name another file with --html", .0.display())]
    PageOverDatabase(PathBuf),
    /// No trade has this id.
    #[error("no trade has the id {0}; settle export --all lists the trades with their ids")]
    NoSuchTrade(String),
    /// A file of `--activity` is no wallet's history.
    #[error(
        "{} is not a wallet's history: {why}; export it from Polymarket, or save /v2/activity of the Data API",
        path.display()
    )]
    NoActivity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No run with this id wrote to the database.
    #[error("no run {0} wrote to this database; settle log lists the runs")]
    NoSuchRun(String),
    /// No run is left to undo.
    #[error("no run is left to undo; settle log lists the runs")]
    NothingToUndo,
    /// The ids of several runs begin with this text.
    #[error("several runs begin with {0}: {1}; give more of the id")]
    AmbiguousRun(String, String),
    /// Standard output cannot be written.
    #[error(
        "cannot print the result: {0}; check the file or program that receives standard output"
    )]
    Output(#[from] std::io::Error),
}

/// What to do where a lock file cannot be used.
fn lock_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "free space on the disk and run the command again"
        }
        // a disk that fails has no kind of its own
        _ => {
            "remove the file, or give it to the user that runs settle (chown); if neither helps, check the disk"
        }
    }
}
