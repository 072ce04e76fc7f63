//! Short write transactions with a pause between them, so that the bot hardly waits, and timeouts
//! for other programs' locks. An item that a trigger or constraint refuses does not stop the others.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use log::{debug, warn};
use rusqlite::{Connection, ErrorCode, InterruptHandle, Transaction, TransactionBehavior};

use crate::error::Error;
use crate::interrupt::{Interrupt, SIGNAL_CHECK};
use crate::rules::text::printable_line;
use crate::store::{PAGE, Record, Store};

/// How long settle waits for the bot's locks.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// The length of one wait for a lock: after it settle checks for a signal.
const BUSY_SLICE: Duration = Duration::from_millis(250);
/// After a wait of this length settle logs that it waits.
const LONG_WAIT: Duration = Duration::from_secs(2);
/// How long a write transaction is to last with its commit: the bot waits so long.
const TRANSACTION_GOAL: Duration = Duration::from_millis(18);
/// How long it lasts at most, if the commit takes as long as the last one.
const TRANSACTION_BUDGET: Duration = Duration::from_millis(21);
/// Rows of settle's own that one transaction writes.
const SAVED_AT_ONCE: usize = 200;
/// The fewest items for one transaction: a disk that stalls once must not leave the run without a page.
const FEWEST: usize = 50;
/// The bot's turn between two of our transactions. SQLite's busy handler retries 1, 3, 8, 18, 33 …
/// ms after it found the lock held. A transaction and a pause last 33 ms, so that a retry falls into the
/// pause, whenever the first one came in our transaction.
pub(super) const PAUSE: Duration = Duration::from_millis(14);
/// How long a commit waits for a reader, which blocks the bot's writes meanwhile. Then the
/// transaction is rolled back, and retried after a pause.
const COMMIT_PATIENCE: Duration = Duration::from_millis(20);

/// What is written item by item.
pub(super) trait Items {
    /// The result of one item.
    type Done;
    /// The number of items.
    fn count(&self) -> usize;
    /// Writes item `index`.
    ///
    /// # Errors
    /// SQLite's; if [`refused`], the item is taken back and handed to [`Self::refuse`].
    fn put(&self, transaction: &Short<'_>, index: usize) -> rusqlite::Result<Self::Done>;
    /// Notes that the database refused item `index`, with SQLite's message.
    ///
    /// # Errors
    /// SQLite's.
    fn refuse(
        &self,
        transaction: &Short<'_>,
        index: usize,
        why: String,
    ) -> rusqlite::Result<Self::Done>;
}

/// The result of one transaction.
enum Step<T> {
    Committed(Vec<T>),
    /// A trigger rolled the transaction back at this item: nothing of it is written.
    RolledBack(usize, String),
}

impl Store {
    /// Writes items in order, in as many transactions as the time budget requires. Stops between two
    /// transactions if `interrupt` asks for it. Returns the results of the items that were written
    /// or refused, and the error that stopped the work.
    pub(super) fn write_items<I: Items>(
        &mut self,
        items: &I,
        interrupt: &Interrupt,
    ) -> (Vec<I::Done>, Option<rusqlite::Error>) {
        let handle = self.connection.get_interrupt_handle();
        watched(&handle, interrupt, |step| self.write_steps(items, interrupt, step))
    }

    /// Writes items in steps, each a transaction; `step` counts them.
    fn write_steps<I: Items>(
        &mut self,
        items: &I,
        interrupt: &Interrupt,
        count: &AtomicU64,
    ) -> (Vec<I::Done>, Option<rusqlite::Error>) {
        let mut done = Vec::new();
        // a transaction that a trigger rolled back is repeated up to this item, which then is the
        // first of its transaction
        let mut offender = None;
        let mut refusal: Option<String> = None;
        while done.len() < items.count() && !interrupt.asked() {
            if let Some(touched) = self.touched {
                thread::sleep(PAUSE.saturating_sub(touched.elapsed()));
            }
            count.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = self.check_place() {
                return (done, Some(error));
            }
            let first = done.len();
            let end = offender.filter(|at| first < *at).unwrap_or(items.count());
            let step = self.retry_while_busy(interrupt, |store| match &refusal {
                Some(why) => store.refuse_item(items, first, why.clone()),
                None => store.write_some_items(items, first..end),
            });
            self.touched = Some(Instant::now());
            match step {
                Ok(Step::Committed(some)) => {
                    done.extend(some);
                    refusal = None;
                }
                Ok(Step::RolledBack(at, why)) if at == first => refusal = Some(why),
                Ok(Step::RolledBack(at, _)) => offender = Some(at),
                Err(error) if interrupt.asked() && (is_busy(&error) || is_stopped(&error)) => break,
                Err(error) => return (done, Some(error)),
            }
        }
        (done, None)
    }

    /// One transaction: at least one item, then as many as the time budget allows.
    fn write_some_items<I: Items>(
        &mut self,
        items: &I,
        range: std::ops::Range<usize>,
    ) -> rusqlite::Result<Step<I::Done>> {
        // without triggers, OR ABORT takes back what a refused statement did
        let has_triggers = self.fields.triggers;
        let last_commit = self.last_commit;
        let transaction = Short::begin(self)?;
        let mut done = Vec::new();
        for index in range {
            if !done.is_empty() && transaction.is_full(last_commit) {
                break;
            }
            if has_triggers {
                transaction.prepare_cached("SAVEPOINT item")?.execute([])?;
            }
            match items.put(&transaction, index) {
                Ok(one) => done.push(one),
                Err(error) if !is_of_row(&error) => return Err(error),
                Err(error) => {
                    let why = printable_line(&error.to_string());
                    if transaction.is_autocommit() {
                        return Ok(Step::RolledBack(index, why));
                    }
                    if has_triggers {
                        transaction.execute_batch("ROLLBACK TO item")?;
                        transaction.markets.borrow_mut().clear();
                    }
                    done.push(items.refuse(&transaction, index, why)?);
                }
            }
            if has_triggers {
                transaction.prepare_cached("RELEASE item")?.execute([])?;
            }
        }
        let began = transaction.began;
        self.last_commit = transaction.commit()?;
        if done.len() >= 100 {
            self.fits = fitting(done.len(), began.elapsed());
        }
        Ok(Step::Committed(done))
    }

    fn refuse_item<I: Items>(
        &mut self,
        items: &I,
        index: usize,
        why: String,
    ) -> rusqlite::Result<Step<I::Done>> {
        let transaction = Short::begin(self)?;
        let done = items.refuse(&transaction, index, why)?;
        transaction.commit()?;
        Ok(Step::Committed(vec![done]))
    }

    /// Writes something of settle's own for each item, in short transactions. Makes settle's tables, unless
    /// there is nothing to write.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) fn save_each<T>(
        &mut self,
        items: &[T],
        interrupt: &Interrupt,
        put: impl Fn(&Transaction<'_>, &T) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        if items.is_empty() {
            return Ok(());
        }
        self.begin_writing(interrupt)?;
        let mut save = || {
            items.chunks(SAVED_AT_ONCE).try_for_each(|some| {
                self.retry_while_busy(interrupt, |store| {
                    let transaction = Short::begin(store)?;
                    some.iter().try_for_each(|item| put(&transaction, item))?;
                    transaction.commit().map(drop)
                })
            })
        };
        let saved = save();
        saved.map_err(|error| self.failed("written", error))
    }

    /// Retries a transaction while another program's lock prevents it, for at most
    /// [`BUSY_TIMEOUT`], in slices, so that a signal ends the wait.
    pub(super) fn retry_while_busy<T>(
        &mut self,
        interrupt: &Interrupt,
        mut transaction: impl FnMut(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let began = Instant::now();
        let mut is_logged = false;
        loop {
            self.connection.busy_timeout(BUSY_SLICE)?;
            let done = transaction(self);
            self.connection.busy_timeout(BUSY_TIMEOUT)?;
            let busy = done.as_ref().is_err_and(is_busy);
            if !busy || began.elapsed() > BUSY_TIMEOUT || interrupt.asked() {
                return done;
            }
            if !is_logged && began.elapsed() > LONG_WAIT {
                is_logged = true;
                warn!(
                    "another program holds the lock of {}; settle waits at most {} s; see which \
                     programs have the database open",
                    self.path.display(),
                    BUSY_TIMEOUT.as_secs()
                );
            }
            thread::sleep(PAUSE);
        }
    }
}

/// A write transaction.
pub(super) struct Short<'a> {
    transaction: Transaction<'a>,
    /// When it took the lock.
    began: Instant,
    /// No other program has changed the database since the store was opened.
    pub is_unchanged: bool,
    /// The latest rows of `settlement_markets` that it added, with their ids.
    pub markets: RefCell<VecDeque<(i64, Record)>>,
}

impl<'a> Deref for Short<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Transaction<'a> {
        &self.transaction
    }
}

impl<'a> Short<'a> {
    /// Waits for the lock and takes it.
    pub fn begin(store: &'a mut Store) -> rusqlite::Result<Self> {
        let opened = store.opened_version;
        let transaction =
            store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let began = Instant::now();
        let is_unchanged = data_version(&transaction)? == opened;
        Ok(Self { transaction, began, is_unchanged, markets: RefCell::default() })
    }

    /// Whether the time budget is used up, but for a commit that takes so long.
    fn is_full(&self, commit: Duration) -> bool {
        self.began.elapsed() + commit.min(TRANSACTION_BUDGET / 2) > TRANSACTION_BUDGET
    }

    /// Commits. If a reader blocks the commit for too long, the result is
    /// [`ErrorCode::DatabaseBusy`], and nothing is written.
    ///
    /// Returns how long that took.
    pub fn commit(self) -> rusqlite::Result<Duration> {
        self.busy_timeout(COMMIT_PATIENCE)?;
        // not `Transaction::commit`, which consumes the transaction even if it fails
        let committing = Instant::now();
        let committed = self.execute_batch("COMMIT");
        let took = committing.elapsed();
        debug!("a transaction of {:?}, of which {took:?} to commit", self.began.elapsed());
        if committed.is_err() && !self.is_autocommit() {
            self.execute_batch("ROLLBACK")?;
        }
        self.busy_timeout(BUSY_TIMEOUT)?;
        committed.map(|()| took)
    }
}

/// A number that changes when another connection changes the database.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// How long a transaction may go on after a signal before it is stopped and rolled back: a trigger of the
/// table may never end.
const PATIENCE: Duration = Duration::from_millis(400);

/// Runs `work`, and stops its transaction where that goes on too long after a signal. `work` counts its
/// transactions.
fn watched<T>(
    handle: &InterruptHandle,
    interrupt: &Interrupt,
    work: impl FnOnce(&AtomicU64) -> T,
) -> T {
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        let (ended, end) = mpsc::channel::<()>();
        let count = &count;
        scope.spawn(move || {
            let mut seen: Option<(u64, Instant)> = None;
            while end.recv_timeout(SIGNAL_CHECK) == Err(RecvTimeoutError::Timeout) {
                let now = count.load(Ordering::Relaxed);
                match seen {
                    _ if !interrupt.asked() => {}
                    Some((before, since)) if before == now => {
                        if since.elapsed() >= PATIENCE {
                            handle.interrupt();
                        }
                    }
                    _ => seen = Some((now, Instant::now())),
                }
            }
        });
        let done = work(count);
        drop(ended);
        done
    })
}

/// Whether a statement was stopped by [`watched`].
fn is_stopped(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Whether an error concerns the row: a constraint or trigger of the table refuses the values. Other
/// errors concern the database, such as a full disk.
fn is_of_row(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::Unknown
        )
    )
}

/// The number of items for a transaction of [`TRANSACTION_GOAL`], after one of `done` items that lasted
/// `took`.
fn fitting(done: usize, took: Duration) -> usize {
    let fits = done as u128 * TRANSACTION_GOAL.as_micros() / took.as_micros().max(1);
    usize::try_from(fits).unwrap_or(PAGE).clamp(FEWEST, PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_seconds_does_not_bring_the_page_to_zero() {
        assert_eq!(fitting(1000, Duration::from_secs(60)), FEWEST);
        assert_eq!(fitting(1600, Duration::from_millis(36)), 800);
        assert_eq!(fitting(1000, Duration::ZERO), PAGE);
    }
}
