//! Write transactions so short that the bot hardly waits, with a pause between two of them, and how long settle
//! waits for other programs' locks.

use std::thread;
use std::time::{Duration, Instant};

use log::debug;
use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

use crate::interrupt::Interrupt;
use crate::store::Store;

/// How long to wait for the bot's locks.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// A write transaction takes in no further trade after this long: the bot waits for at most this
/// and one commit.
const TRANSACTION_BUDGET: Duration = Duration::from_millis(12);
/// The bot's turn between two of our transactions. SQLite's busy handler looks again 1, 3, 8, 18, 33
/// … ms after it found the lock held: the looks are 15 ms apart at most up to 33 ms, so that one of them
/// falls into each pause, wherever in our transaction the first one came.
pub(super) const PAUSE: Duration = Duration::from_millis(17);
/// How long a commit waits for a reader to finish, holding the bot's writes up meanwhile. Then the
/// transaction is taken back, and tried again after a pause.
const COMMIT_PATIENCE: Duration = Duration::from_millis(20);

impl Store {
    /// Tries a transaction again while another program's reading keeps it from being committed, at
    /// most as long as its locks are waited for.
    pub(super) fn retry_while_busy<T>(
        &mut self,
        interrupt: &Interrupt,
        mut transaction: impl FnMut(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let began = Instant::now();
        loop {
            let done = transaction(self);
            let busy = done.as_ref().is_err_and(is_busy);
            if !busy || began.elapsed() > BUSY_TIMEOUT || interrupt.asked() {
                return done;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// A write transaction that knows when it has held the lock for long enough.
pub(super) struct Short<'a>(pub Transaction<'a>, Instant);

impl<'a> Short<'a> {
    /// Waits for the lock and takes it.
    pub fn begin(store: &'a mut Store) -> rusqlite::Result<Self> {
        let transaction =
            store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self(transaction, Instant::now()))
    }

    /// Whether it is to take in no more.
    pub fn is_full(&self) -> bool {
        self.1.elapsed() > TRANSACTION_BUDGET
    }

    /// Commits, unless a reader is in the way for too long: that is [`ErrorCode::DatabaseBusy`],
    /// and nothing is written.
    pub fn commit(self) -> rusqlite::Result<()> {
        let patience = |time| self.0.busy_timeout(time);
        patience(COMMIT_PATIENCE)?;
        // not Transaction::commit, which would take the connection with it
        let committing = Instant::now();
        let committed = self.0.execute_batch("COMMIT");
        debug!(
            "a transaction of {:?}, of which {:?} to commit",
            self.1.elapsed(),
            committing.elapsed()
        );
        if committed.is_err() && !self.0.is_autocommit() {
            self.0.execute_batch("ROLLBACK")?;
        }
        patience(BUSY_TIMEOUT)?;
        committed
    }
}

/// The rest a write takes between two transactions.
pub(super) fn pause() {
    thread::sleep(PAUSE);
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Whether an error is about the row: the table's own rules do not allow what was to be written.
pub(super) fn refused(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
