//! Short write transactions with a pause between them, so that the bot hardly waits, and timeouts
//! for other programs' locks.

use std::thread;
use std::time::{Duration, Instant};

use log::debug;
use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

use crate::interrupt::Interrupt;
use crate::store::Store;

/// How long settle waits for the bot's locks.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// A write transaction accepts no further trade after this time, so the bot waits at most this long
/// plus one commit.
const TRANSACTION_BUDGET: Duration = Duration::from_millis(12);
/// The bot's turn between two of our transactions. SQLite's busy handler retries 1, 3, 8, 18, 33 …
/// ms after it found the lock held. Up to 33 ms the retries are at most 15 ms apart, so one of them
/// falls into each pause, whenever the first one came in our transaction.
pub(super) const PAUSE: Duration = Duration::from_millis(17);
/// How long a commit waits for a reader, which blocks the bot's writes meanwhile. Then the
/// transaction is rolled back, and retried after a pause.
const COMMIT_PATIENCE: Duration = Duration::from_millis(20);

impl Store {
    /// Retries a transaction while another program's read prevents its commit, for at most
    /// [`BUSY_TIMEOUT`].
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

/// A write transaction with the time at which it took the lock.
pub(super) struct Short<'a>(pub Transaction<'a>, Instant);

impl<'a> Short<'a> {
    /// Waits for the lock and takes it.
    pub fn begin(store: &'a mut Store) -> rusqlite::Result<Self> {
        let transaction =
            store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self(transaction, Instant::now()))
    }

    /// Whether the time budget is used up.
    pub fn is_full(&self) -> bool {
        self.1.elapsed() > TRANSACTION_BUDGET
    }

    /// Commits. If a reader blocks the commit for too long, the result is
    /// [`ErrorCode::DatabaseBusy`], and nothing is written.
    pub fn commit(self) -> rusqlite::Result<()> {
        let patience = |time| self.0.busy_timeout(time);
        patience(COMMIT_PATIENCE)?;
        // not `Transaction::commit`, which consumes the transaction even if it fails
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

/// Waits between two transactions, so that the bot can write.
pub(super) fn pause() {
    thread::sleep(PAUSE);
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Whether an error concerns the row: a constraint of the table forbids the values.
pub(super) fn refused(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
