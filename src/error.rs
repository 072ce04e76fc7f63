//! What can stop a command, in words a user can act on, and the exit code of each end. What is wrong with
//! a row or a source stops nothing: that is `selection::RowError` and `troubles`.

use std::path::PathBuf;

use crate::sanitize::printable_line;

/// How the process ends: what whoever started it goes by, see the README's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing was due.
    Done,
    /// Failed; nothing was written.
    Failed,
    /// The command line, the environment or `.env` holds a bad value.
    Usage,
    /// Done, but some rows are in error.
    RowsInError,
    /// Done, but a due trade is older than the alert lag.
    Alert,
    /// No price or resolution could be had from any source.
    NothingHad,
    /// No database there, or not a performance database.
    NoDatabase,
    /// Another run holds the lock.
    Locked,
    /// Stopped by a signal.
    Interrupted,
}

impl Exit {
    /// How a run over several databases ends that ended so in each: the gravest.
    pub fn gravest(exits: impl IntoIterator<Item = Self>) -> Self {
        let gravity = |exit: &Self| match exit {
            Self::Interrupted => 8,
            Self::Usage => 7,
            Self::NoDatabase => 6,
            Self::Failed => 5,
            Self::NothingHad => 4,
            Self::Alert => 3,
            Self::RowsInError => 2,
            // whoever holds the lock is doing the work
            Self::Locked => 1,
            Self::Done => 0,
        };
        exits.into_iter().max_by_key(gravity).unwrap_or(Self::Done)
    }

    /// Whether a run that ends so did all it could do: what is left is in the rows or in time.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::RowsInError | Self::Alert)
    }

    /// The number for the operating system.
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
    #[error("{} cannot be {doing}: {}{hint}", path.display(), printable_line(&source.to_string()))]
    Database {
        /// The file.
        path: PathBuf,
        /// `opened`, `read`, `written`.
        doing: &'static str,
        /// SQLite's own words.
        source: rusqlite::Error,
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

impl Error {
    /// The exit code that tells it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoDatabase(_) | Self::NotPerformanceDatabase { .. } => Exit::NoDatabase,
            Self::Locked { .. } => Exit::Locked,
            Self::SeveralDatabases(_) | Self::PageOverDatabase(_) => Exit::Usage,
            Self::Database { .. }
            | Self::ReadOnly(_)
            | Self::Lock { .. }
            | Self::Page { .. }
            | Self::NoSuchTrade(_)
            | Self::NoSuchRun(_)
            | Self::Output(_) => Exit::Failed,
        }
    }
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
    fn of_several_ends_the_gravest_is_told() {
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
            assert_eq!(Exit::gravest(pair.iter().copied()), pair[1]);
            assert_eq!(Exit::gravest(pair.iter().rev().copied()), pair[1]);
        }
        assert_eq!(Exit::gravest([]), Exit::Done);
    }

    #[test]
    fn errors_say_what_to_do_and_map_to_their_codes() {
        let missing = Error::NoDatabase("x.db".into());
        assert_eq!(missing.exit(), Exit::NoDatabase);
        assert!(missing.to_string().contains("--db"));
        let locked = Error::Locked { path: "x.db".into(), holder: "pid 7".into() };
        assert_eq!(locked.exit(), Exit::Locked);
    }
}
