//! Adds records to `settlement_records` for values written and values undone, and counts doubts.
//! Records are only ever added. `record` builds their content.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rusqlite::{Connection, Transaction, params};

use crate::rules::decision::{Confirm, DeferReason};
use crate::rules::market::RuleSet;
use crate::rules::settlement::{Case, Settlement};
use crate::rules::strike::Strike;
use crate::rules::value::Cell;
use crate::store::columns::{Field, FieldMap};
use crate::store::{Note, Record, RunInfo, retries, unconfirmed};

/// The statement that adds a record; built once, because all records have the same columns.
static INSERT: OnceLock<String> = OnceLock::new();

/// Adds the row of this run if it does not exist.
pub(super) fn add_run(transaction: &Transaction<'_>, run: &RunInfo) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR IGNORE INTO settlement_runs
            (run_id, started_at, version, command, rules, strike, confirm)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            run.run_id,
            run.started_at.to_string(),
            env!("CARGO_PKG_VERSION"),
            run.command,
            run.rules.map(RuleSet::as_str),
            run.strike.map(Strike::as_str),
            run.confirm.map(Confirm::as_str),
        ],
    )?;
    Ok(())
}

/// Adds the record of a settlement; if candles decided it, queues the trade for confirmation.
pub(super) fn add(
    transaction: &Transaction<'_>,
    run: &RunInfo,
    settlement: &Settlement,
    fields: &FieldMap,
) -> rusqlite::Result<()> {
    let row = &settlement.trade.row;
    let previous_id = settlement.earlier().and_then(|earlier| earlier.record_id);
    let written = values_in_row(transaction, settlement, fields)?;
    let mut record = Record::new(run, settlement, written);
    if let Some(previous) = previous_id {
        let before = Record::all_where(transaction, "id = ?1", [previous])?.pop();
        record.carry(before.ok_or(rusqlite::Error::QueryReturnedNoRows)?);
    }
    let record_id = insert(transaction, &record)?;
    transaction
        .prepare_cached("DELETE FROM settlement_retries WHERE trade_rowid = ?1")?
        .execute([row.rowid])?;
    match previous_id {
        Some(previous) => unconfirmed::forget(transaction, previous)?,
        // a stale entry for this trade, if it became unsettled again
        None => transaction
            .prepare_cached(
                "DELETE FROM settlement_unconfirmed WHERE trade_rowid = ?1 AND EXISTS
                    (SELECT 1 FROM settlement_records AS record
                     WHERE record.id = settlement_unconfirmed.record_id
                        AND trade_id IS ?2 AND market_slug IS ?3)",
            )?
            .execute(params![row.rowid, row.id, row.market_slug])?,
    };
    if let Case::Provisional { bet, .. } = &settlement.case {
        transaction
            .prepare_cached(
                "INSERT INTO settlement_unconfirmed
                    (record_id, trade_rowid, closed_at, asked, next_ask)
                 VALUES (?1, ?2, ?3, 0, ?4)",
            )?
            .execute(params![record_id, row.rowid, bet.market.close.0, run.started_at.0])?;
    }
    Ok(())
}

/// Adds a record and returns its id.
pub(super) fn insert(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<i64> {
    // by index, because a lookup of 40 names takes longer than the insertion; without the id
    let sql = INSERT.get_or_init(|| {
        let names = &Record::COLUMNS[1..];
        let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        let (names, places) = (names.join(", "), places.join(", "));
        format!("INSERT INTO settlement_records ({names}) VALUES ({places})")
    });
    transaction.prepare_cached(sql)?.execute(&record.values()[1..])?;
    Ok(transaction.last_insert_rowid())
}

/// Adds the record of undoing record `id`, whose trade is now at `rowid`. If that restores an
/// outcome that candles decided, queues the trade for confirmation again.
pub(super) fn add_undone(
    transaction: &Transaction<'_>,
    id: i64,
    rowid: i64,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO settlement_records (
                run_id, written_at, version, trade_rowid, trade_id, market_slug, action,
                old_actual_outcome, old_profit_loss, old_is_win, old_fee_paid,
                new_actual_outcome, new_profit_loss, new_is_win, new_fee_paid,
                status, previous_id, rules)
             SELECT ?1, ?2, ?3, ?5, trade_id, market_slug, action,
                new_actual_outcome, new_profit_loss, new_is_win, new_fee_paid,
                old_actual_outcome, old_profit_loss, old_is_win, old_fee_paid,
                'undone', id, rules
             FROM settlement_records WHERE id = ?4",
        )?
        .execute(params![
            run.run_id,
            run.started_at.to_string(),
            env!("CARGO_PKG_VERSION"),
            id,
            rowid
        ])?;
    unconfirmed::forget(transaction, id)?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO settlement_unconfirmed
                (record_id, trade_rowid, closed_at, asked, next_ask)
             SELECT before.id, ?3, unixepoch(before.window_close), 0, ?2
             FROM settlement_records AS this
             JOIN settlement_records AS before ON before.id = this.previous_id
             WHERE this.id = ?1 AND before.status = 'provisional'",
        )?
        .execute(params![id, run.started_at.0, rowid])?;
    Ok(())
}

pub(super) fn add_note(
    transaction: &Transaction<'_>,
    note: &Note<'_>,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    match note {
        Note::Deferred(failure) => {
            let row = &failure.trade.row;
            retries::add(transaction, row, &failure.reason, failure.left, run)
        }
        Note::Unresolved(record_id, rowid) => {
            unconfirmed::ask_later(transaction, *record_id, *rowid, run)
        }
        Note::Forget(record_id) => unconfirmed::forget(transaction, *record_id).map(drop),
    }
}

/// Schedules a retry of a trade that was decided and not written, so that it does not block others.
pub(super) fn add_unwritten(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    why: &str,
    left: DeferReason,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    match settlement.earlier().map(|earlier| earlier.record_id) {
        None => retries::add(transaction, &settlement.trade.row, why, left, run),
        Some(Some(record_id)) => {
            unconfirmed::ask_later(transaction, record_id, settlement.trade.row.rowid, run)
        }
        Some(None) => Ok(()),
    }
}

/// The doubts about recorded strikes of settled trades, by name: a count and the id of one trade.
pub(super) fn doubted(
    connection: &Connection,
    fields: &FieldMap,
) -> rusqlite::Result<BTreeMap<String, (u64, Cell)>> {
    let is_win = fields.sql(Field::IsWin);
    let mut statement = connection.prepare(&format!(
        "SELECT strike_doubts, count(DISTINCT trade_rowid), trade_id FROM settlement_records
         JOIN trades ON trades.rowid = trade_rowid AND {is_win} IS NOT NULL
         WHERE strike_doubts IS NOT NULL GROUP BY strike_doubts"
    ))?;
    let mut rows = statement.query([])?;
    let mut doubted = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (names, count, id): (String, u64, Cell) = (row.get(0)?, row.get(1)?, row.get(2)?);
        for name in names.split(' ') {
            doubted.entry(name.to_owned()).or_insert_with(|| (0, id.clone())).0 += count;
        }
    }
    Ok(doubted)
}

/// The outcome, profit, win or loss, and fee in a trade's row after a write, as the columns hold them:
/// a column's type or a trigger may change what was written.
pub(super) fn values_in_row(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    fields: &FieldMap,
) -> rusqlite::Result<[Cell; 4]> {
    let written = [Field::ActualOutcome, Field::ProfitLoss, Field::IsWin, Field::FeePaid];
    let written = written.map(|field| fields.sql(field)).join(", ");
    let sql = format!("SELECT {written} FROM trades WHERE rowid = ?1");
    transaction.prepare_cached(&sql)?.query_row([settlement.trade.row.rowid], |row| {
        let at = |index: usize| row.get::<_, Cell>(index);
        Ok([at(0)?, at(1)?, at(2)?, at(3)?])
    })
}
