//! What can stop a command, in words a user can act on. What is wrong with a row or a source stops nothing:
//! that is `RowError` and `troubles`.

use std::path::PathBuf;

/// What stopped a command. Rows that cannot be settled are no such thing: they are in the summary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no file at the path.
    #[error(
        "no database at {}; name the bot's performance database with --db or SETTLE_DB \
         (settle never creates it)",
        .0.display()
    )]
    NoDatabase(PathBuf),
    /// The file is something else.
    #[error("{} is not a performance database: {why}; check --db", path.display())]
    NotPerformanceDatabase {
        /// The file.
        path: PathBuf,
        /// What is missing, and what to do.
        why: String,
    },
    /// The database cannot be read or written.
    #[error("{} cannot be {doing}: {why}{hint}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// `opened`, `read`, `written`.
        doing: &'static str,
        /// What SQLite says, fit to be printed.
        why: String,
        /// What to do next, after a semicolon, or nothing.
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
        "the lock {} cannot be taken: {source}; check that this user may write it and its folder",
        path.display()
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another run is under way.
    #[error("another settle run on {} is under way ({holder}); wait for it to end", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
        /// Who holds the lock, since when.
        holder: String,
    },
    /// More than one database, where one is needed.
    #[error("{0} takes one database; give --db once")]
    SeveralDatabases(&'static str),
    /// The page of a report cannot be written.
    #[error(
        "the report cannot be written to {}: {source}; name a file in a folder that this user may write",
        path.display()
    )]
    Page {
        /// The file asked for.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The page of a report would take a database's place.
    #[error("{} is an SQLite database, or belongs to one; name another file with --html", .0.display())]
    PageOverDatabase(PathBuf),
    /// There is no such trade.
    #[error("no trade has the id {0}; its id is in the column 'id' of the table 'trades'")]
    NoSuchTrade(String),
    /// There is no such run.
    #[error("no run {0} wrote to this database; settle status lists the last ones")]
    NoSuchRun(String),
    /// Standard output cannot be written.
    #[error("the result cannot be printed: {0}; see where standard output leads")]
    Output(#[from] std::io::Error),
}
