//! Adds records to `settlement_records` for values written and values undone, and counts doubts.
//! Records are only ever added. `record` builds their content.

use std::collections::BTreeMap;
use std::iter;
use std::sync::OnceLock;

use rusqlite::{Connection, ToSql, Transaction, params, params_from_iter};

use crate::rules::decision::{Confirm, DeferReason};
use crate::rules::market::RuleSet;
use crate::rules::settlement::{Case, Settlement};
use crate::rules::strike::Strike;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::store::columns::{Field, FieldMap};
use crate::store::transaction::Short;
use crate::store::{Note, Record, RunInfo, retries, unconfirmed};

/// The statements that add a record, first for its market; built once, because all records have the same
/// columns.
static INSERT: OnceLock<[String; 2]> = OnceLock::new();
/// How many of the latest markets a transaction looks at for one with the same columns.
const LATEST_MARKETS: usize = 8;

/// Adds the row of this run if it does not exist.
fn add_run(transaction: &Transaction<'_>, run: &RunInfo) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO settlement_runs
                (run_id, started_at, version, command, rules, strike, confirm)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            run.run_id,
            run.started_at.to_string(),
            env!("CARGO_PKG_VERSION"),
            run.command,
            run.rules.map(RuleSet::as_str),
            run.strike.map(Strike::as_str),
            run.confirm.map(Confirm::as_str),
        ])?;
    Ok(())
}

/// Adds the record of a settlement, with the values in the row now; if candles decided it, queues the trade for confirmation.
pub(super) fn add(
    transaction: &Short<'_>,
    run: &RunInfo,
    settlement: &Settlement,
    record: &mut Record,
    fields: &FieldMap,
) -> rusqlite::Result<()> {
    let row = &settlement.trade.row;
    record.set_written(values_in_row(transaction, settlement, fields)?);
    if let Some(previous) = record.previous_id {
        record.carry(Record::with_id(transaction, previous)?);
    }
    match record.previous_id {
        Some(previous) => unconfirmed::forget(transaction, previous)?,
        None => unconfirmed::forget_stale(transaction, row)?,
    }
    let record_id = insert(transaction, run, record)?;
    transaction
        .prepare_cached("DELETE FROM settlement_retries WHERE trade_rowid = ?1")?
        .execute([row.rowid])?;
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

/// Adds a record of this run and returns its id. The columns of its market are stored once where the transaction has
/// just added the same ones.
pub(super) fn insert(
    transaction: &Short<'_>,
    run: &RunInfo,
    record: &Record,
) -> rusqlite::Result<i64> {
    // by index, because a lookup of 40 names takes longer than the insertion
    let [of_market, of_trade] = INSERT.get_or_init(|| [insertion(true), insertion(false)]);
    let values = |of_market: bool| {
        let values = record.values().into_iter().zip(Record::IS_OF_MARKET).skip(1);
        values.filter(move |(_, it)| **it == of_market).map(|(value, _)| value)
    };
    let mut markets = transaction.markets.borrow_mut();
    let market_id = match markets.iter().find(|(_, latest)| record.has_market_of(latest)) {
        Some((id, _)) => *id,
        None => {
            add_run(transaction, run)?;
            transaction.prepare_cached(of_market)?.execute(params_from_iter(values(true)))?;
            let id = transaction.last_insert_rowid();
            markets.truncate(LATEST_MARKETS - 1);
            markets.push_front((id, record.clone()));
            id
        }
    };
    let ids = iter::once(&market_id as &dyn ToSql);
    transaction.prepare_cached(of_trade)?.execute(params_from_iter(ids.chain(values(false))))?;
    Ok(transaction.last_insert_rowid())
}

/// The statement that adds the columns of a record's market, or the others with the id of the market
/// first. SQLite gives the id of the record.
fn insertion(of_market: bool) -> String {
    let (table, first) = match of_market {
        true => ("settlement_markets", None),
        false => ("settlement_writes", Some("market_id")),
    };
    let columns = Record::COLUMNS.iter().zip(Record::IS_OF_MARKET).skip(1);
    let columns = columns.filter(|(_, it)| **it == of_market).map(|(column, _)| *column);
    let columns: Vec<&str> = first.into_iter().chain(columns).collect();
    let place = |name| columns.iter().position(|column| *column == name).unwrap_or_default() + 1;
    let places: Vec<String> = (1..=columns.len())
        .map(|at| match columns[at - 1] {
            // see the table
            "payout" => format!("nullif(?{at}, ?{})", place("shares")),
            _ => format!("?{at}"),
        })
        .collect();
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places.join(", "))
}

/// Adds the record of undoing record `id`, whose trade is now at `rowid`. If that restores an
/// outcome that candles decided, queues the trade for confirmation again.
pub(super) fn add_undone(
    transaction: &Short<'_>,
    id: i64,
    rowid: i64,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    let undone = Record::with_id(transaction, id)?;
    let record = Record {
        run_id: run.run_id.clone(),
        written_at: run.started_at.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        trade_rowid: rowid,
        trade_id: undone.trade_id,
        market_slug: undone.market_slug,
        action: undone.action,
        old_actual_outcome: undone.new_actual_outcome,
        old_profit_loss: undone.new_profit_loss,
        old_is_win: undone.new_is_win,
        old_fee_paid: undone.new_fee_paid,
        new_actual_outcome: undone.old_actual_outcome,
        new_profit_loss: undone.old_profit_loss,
        new_is_win: undone.old_is_win,
        new_fee_paid: undone.old_fee_paid,
        status: "undone".to_owned(),
        previous_id: Some(id),
        rules: undone.rules,
        ..Record::default()
    };
    insert(transaction, run, &record)?;
    unconfirmed::forget(transaction, id)?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO settlement_unconfirmed
                (record_id, trade_rowid, closed_at, asked, next_ask)
             SELECT id, ?3, unixepoch(window_close), 0, ?2 FROM settlement_records
             WHERE id = ?1 AND status = 'provisional'",
        )?
        .execute(params![undone.previous_id, run.started_at.0, rowid])?;
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
        Note::Forget(record_id) => unconfirmed::forget(transaction, *record_id),
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

/// The doubts about recorded strikes of trades settled after `since`, by name: a count and the id of one
/// trade.
pub(super) fn doubted(
    connection: &Connection,
    fields: &FieldMap,
    since: UnixSeconds,
) -> rusqlite::Result<BTreeMap<String, (u64, Cell)>> {
    let is_win = fields.sql(Field::IsWin);
    let mut statement = connection.prepare(&format!(
        "SELECT strike_doubts, count(DISTINCT trade_rowid), trade_id FROM settlement_records
         JOIN trades ON trades.rowid = trade_rowid AND {is_win} IS NOT NULL
         WHERE strike_doubts IS NOT NULL AND written_at > ?1 GROUP BY strike_doubts"
    ))?;
    let mut rows = statement.query([since.to_string()])?;
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
