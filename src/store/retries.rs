//! Trades that could not be settled, and trades that the user ignores: the time of the next attempt
//! and the reason (`settlement_retries`). `selection` chooses which of them a run tries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::decision::DeferReason;
use crate::rules::eligibility::Row;
use crate::rules::selection::{Retry, wait_after};
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::store::columns::{Field, FieldMap};
use crate::store::transaction::Short;
use crate::store::{RunInfo, Store};

/// Why a trade is not settled.
#[derive(Debug, Clone)]
pub struct LastFailure {
    /// Why the last attempt failed.
    pub reason: String,
    /// It is a close call that waits for Polymarket.
    pub is_held: bool,
    /// The user ignores the trade.
    pub is_ignored: bool,
    /// When it is tried again.
    pub next_try: UnixSeconds,
}

/// The value of column `held` for a close call that waits for Polymarket.
const HELD: i64 = 1;
/// The value of column `held` for a row in error.
const IN_ERROR: i64 = 2;
/// The value of column `held` for a trade that the user ignores; `next_try` is the time of that.
pub(super) const IGNORED: i64 = 3;

/// A trade that the user ignores.
#[derive(Debug, Clone)]
pub struct Ignored {
    /// The trade's id.
    pub trade_id: Cell,
    /// The slug of its market.
    pub market_slug: Cell,
    /// When the user ignored it.
    pub since: UnixSeconds,
}

/// The condition for a row of `settlement_unconfirmed`, named `waiting`, that the user does not
/// ignore.
pub(super) const NOT_IGNORED: &str = "NOT EXISTS (SELECT 1 FROM settlement_retries AS ignored
    WHERE ignored.trade_rowid = waiting.trade_rowid AND ignored.held = 3)";

impl Store {
    /// The trades that failed before, by rowid.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn retries(&self) -> Result<HashMap<i64, Retry>, Error> {
        self.read_own("settlement_retries", || {
            let mut statement = self.connection.prepare(
                "SELECT trade_rowid, trade_id, market_slug, next_try, held, failures, reason
                 FROM settlement_retries",
            )?;
            // trades share the few reasons, so that a long queue does not fill the memory
            let mut kinds: HashSet<Arc<str>> = HashSet::new();
            let rows = statement.query_map([], |row| {
                let held: i64 = row.get(4)?;
                let reason = row.get_ref(6)?.as_str().unwrap_or_default();
                let kind = kind_of(reason);
                let known = kinds.get(kind).cloned();
                let retry = Retry {
                    trade_id: row.get(1)?,
                    market_slug: row.get(2)?,
                    failures: row.get(5)?,
                    reason: known.unwrap_or_else(|| {
                        let kind: Arc<str> = Arc::from(kind);
                        kinds.insert(Arc::clone(&kind));
                        kind
                    }),
                    next_try: UnixSeconds(row.get(3)?),
                    held: held == HELD,
                    ignored: held == IGNORED,
                    error: (held == IN_ERROR).then(|| reason.to_owned()),
                };
                Ok((row.get(0)?, retry))
            })?;
            rows.collect()
        })
    }

    /// How the last attempt to settle a trade failed.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn last_failure(&self, row: &Row) -> Result<Option<LastFailure>, Error> {
        self.read_own("settlement_retries", || {
            self.connection
                .query_row(
                    "SELECT reason, held, next_try FROM settlement_retries
                     WHERE trade_rowid = ?1 AND trade_id IS ?2 AND market_slug IS ?3",
                    params![row.rowid, row.id, row.market_slug],
                    |row| {
                        let held: i64 = row.get(1)?;
                        Ok(LastFailure {
                            reason: row.get(0)?,
                            is_held: held == HELD,
                            is_ignored: held == IGNORED,
                            next_try: UnixSeconds(row.get(2)?),
                        })
                    },
                )
                .optional()
        })
    }

    /// The trades that the user ignores, by the time of that.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn ignored(&self) -> Result<Vec<Ignored>, Error> {
        self.read_own("settlement_retries", || {
            let mut statement = self.connection.prepare(
                "SELECT trade_id, market_slug, next_try FROM settlement_retries
                 WHERE held = ?1 ORDER BY next_try, trade_rowid",
            )?;
            let rows = statement.query_map([IGNORED], |row| {
                let since = UnixSeconds(row.get(2)?);
                Ok(Ignored { trade_id: row.get(0)?, market_slug: row.get(1)?, since })
            })?;
            rows.collect()
        })
    }

    /// Ignores these rows from now on, or no longer if `removes`. Returns the number of trades for
    /// which that changed.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn ignore(
        &mut self,
        rows: &[Row],
        removes: bool,
        now: UnixSeconds,
        interrupt: &Interrupt,
    ) -> Result<usize, Error> {
        let write = |store: &mut Self| -> rusqlite::Result<usize> {
            store.make_tables(interrupt)?;
            store.retry_while_busy(interrupt, |store| {
                let transaction = Short::begin(store)?;
                let mut changed = 0;
                for row in rows {
                    changed += match removes {
                        true => transaction.execute(
                            "DELETE FROM settlement_retries WHERE trade_rowid = ?1 AND held = ?2",
                            params![row.rowid, IGNORED],
                        )?,
                        false => transaction.execute(
                            "INSERT INTO settlement_retries
                                (trade_rowid, trade_id, market_slug, failures, next_try, held, reason)
                             VALUES (?1, ?2, ?3, 0, ?4, ?5, 'ignored by the user')
                             ON CONFLICT (trade_rowid) DO UPDATE SET trade_id = ?2,
                                market_slug = ?3, failures = 0, next_try = ?4, held = ?5,
                                reason = excluded.reason
                             WHERE held IS NOT ?5 OR trade_id IS NOT ?2",
                            params![row.rowid, row.id, row.market_slug, now.0, IGNORED],
                        )?,
                    };
                }
                transaction.commit()?;
                Ok(changed)
            })
        };
        write(self).map_err(|error| self.failed("written", error))
    }
}

/// Records that a trade could not be settled. If `left` waits longer, so does each retry. Otherwise
/// the trade only moves behind the trades that never failed.
pub(super) fn add(
    transaction: &Transaction<'_>,
    row: &Row,
    reason: &str,
    left: DeferReason,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    let counts = left.waits_longer();
    let held = match left {
        DeferReason::Held => HELD,
        DeferReason::InError | DeferReason::NotWritten => IN_ERROR,
        _ => 0,
    };
    let failures: i64 = transaction
        .prepare_cached(
            "SELECT failures FROM settlement_retries
             WHERE trade_rowid = ?1 AND trade_id IS ?2 AND market_slug IS ?3",
        )?
        .query_row(params![row.rowid, row.id, row.market_slug], |found| found.get(0))
        .optional()?
        .unwrap_or(0);
    // it was not made, or waited for the wallet, at an earlier run
    transaction
        .prepare_cached("DELETE FROM settlement_not_made WHERE trade_rowid = ?1")?
        .execute([row.rowid])?;
    let failures = if counts { failures + 1 } else { failures };
    let wait = if counts { wait_after(failures, run.retry_wait) } else { 0 };
    let next_try = run.started_at.plus(wait);
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO settlement_retries
                (trade_rowid, trade_id, market_slug, failures, next_try, held, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![row.rowid, row.id, row.market_slug, failures, next_try.0, held, reason])?;
    Ok(())
}

/// Why trades that are still unsettled failed at their latest attempt, and the number of each.
pub(super) fn parked(
    connection: &Connection,
    fields: &FieldMap,
) -> rusqlite::Result<BTreeMap<String, u64>> {
    let (id, is_win) = (fields.sql(Field::Id), fields.sql(Field::IsWin));
    let mut parked = BTreeMap::new();
    let mut statement = connection.prepare(&format!(
        "SELECT retry.reason FROM settlement_retries AS retry
         JOIN trades ON trades.rowid = retry.trade_rowid AND {id} IS retry.trade_id
         WHERE {is_win} IS NULL AND retry.held IS NOT {IGNORED}"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind = kind_of(row.get_ref(0)?.as_str().unwrap_or_default());
        *parked.entry(kind.to_owned()).or_insert(0) += 1;
    }
    Ok(parked)
}

/// A reason without details: "no source has the price at 2026-…" becomes "no source has the price".
fn kind_of(reason: &str) -> &str {
    let particulars = [": ", "; ", " at 2"].iter().filter_map(|mark| reason.find(mark)).min();
    &reason[..particulars.unwrap_or(reason.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_by_kind() {
        for (reason, kind) in [
            ("no source has the price at 2026-02-13T13:15:00Z", "no source has the price"),
            ("close call: the venue moved +1.5 bps; waits until 2026", "close call"),
            ("Polymarket could not be asked", "Polymarket could not be asked"),
        ] {
            assert_eq!(kind_of(reason), kind);
        }
    }
}
