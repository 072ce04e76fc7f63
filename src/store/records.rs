//! The tables that are settle's own: what was written, by which run and on what grounds
//! (`settlement_records`, only ever added to), which trades to try later (`settlement_retries`), and
//! which to confirm (`settlement_unconfirmed`). They are made by the first run that has something to
//! write.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, params, params_from_iter};

use super::write::{self, Columns};
use super::{Note, RecordCounts, RunInfo, Unconfirmed, history, record};
use crate::candles::Source;
use crate::cell::Cell;
use crate::decision::{Booking, Confirm, DeferredFor, Earlier, Status};
use crate::fees::{Fee, Taken};
use crate::market::RuleSet;
use crate::selection::{LONGEST_WAIT, Retry};
use crate::strike::Strike;
use crate::trade::Row;
use crate::units::{Bps, BtcPrice, UnixSeconds, Usd, decimal_from_text};

/// The statement that adds a record; made once, as every record has the same columns.
static INSERT: OnceLock<String> = OnceLock::new();

/// Prices and money are kept as decimal text, with all their digits.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS settlement_runs (
    run_id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    version TEXT NOT NULL,
    command TEXT NOT NULL,
    rules TEXT,
    strike TEXT,
    confirm TEXT
);
CREATE TABLE IF NOT EXISTS settlement_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL REFERENCES settlement_runs (run_id),
    written_at TEXT NOT NULL,
    version TEXT NOT NULL,
    trade_rowid INTEGER NOT NULL,
    trade_id,
    market_slug TEXT,
    action TEXT,
    old_actual_outcome,
    old_profit_loss,
    old_is_win,
    old_fee_paid,
    new_actual_outcome,
    new_profit_loss,
    new_is_win,
    new_fee_paid,
    status TEXT NOT NULL,
    previous_id INTEGER REFERENCES settlement_records (id),
    resolution TEXT,
    rules TEXT,
    epoch TEXT,
    window_open TEXT,
    window_close TEXT,
    strike TEXT,
    strike_source TEXT,
    strike_doubts TEXT,
    price_source TEXT,
    open_price TEXT,
    open_method TEXT,
    close_price TEXT,
    close_method TEXT,
    margin_bps TEXT,
    moved_bps TEXT,
    position_size TEXT,
    executed_price TEXT,
    shares TEXT,
    payout TEXT,
    cost TEXT,
    fee TEXT,
    fee_taken TEXT,
    profit TEXT
);
CREATE INDEX IF NOT EXISTS settlement_records_by_id ON settlement_records (trade_id);
CREATE INDEX IF NOT EXISTS settlement_records_by_run ON settlement_records (run_id, status);
CREATE INDEX IF NOT EXISTS settlement_records_doubted ON settlement_records (trade_rowid)
    WHERE strike_doubts IS NOT NULL;
CREATE TABLE IF NOT EXISTS settlement_unconfirmed (
    record_id INTEGER PRIMARY KEY REFERENCES settlement_records (id),
    trade_rowid INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    next_ask INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS settlement_unconfirmed_by_trade ON settlement_unconfirmed (trade_rowid);
CREATE INDEX IF NOT EXISTS settlement_unconfirmed_by_close ON settlement_unconfirmed (closed_at);
CREATE TABLE IF NOT EXISTS settlement_retries (
    trade_rowid INTEGER PRIMARY KEY,
    trade_id,
    market_slug,
    failures INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    held INTEGER NOT NULL,
    reason TEXT NOT NULL
);";

/// Makes the tables where they are not there yet.
pub(super) fn make_tables(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(SCHEMA)
}

/// Adds the row of this run, once.
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

/// Adds the record of a booking, and has the trade confirmed later where candles decided it.
pub(super) fn add(
    transaction: &Transaction<'_>,
    run: &RunInfo,
    booking: &Booking,
    columns: Columns,
) -> rusqlite::Result<()> {
    let row = &booking.trade.row;
    let previous_id = booking.earlier.as_ref().and_then(|earlier| earlier.record_id);
    let written = write::values_in_row(transaction, booking, columns)?;
    let mut values = record::values(run, booking, &written);
    let before = match previous_id {
        Some(previous) => measured_before(transaction, previous)?,
        None => vec![],
    };
    for (name, value) in &mut values {
        let carried = before.iter().find(|(carried, cell)| carried == name && *cell != Cell::Null);
        if let Some((_, cell)) = carried {
            *value = cell.to_sql()?;
        }
    }
    // by place, as looking 40 names up takes longer than the insertion
    let sql = INSERT.get_or_init(|| {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> = (1..=values.len()).map(|place| format!("?{place}")).collect();
        let (names, places) = (names.join(", "), places.join(", "));
        format!("INSERT INTO settlement_records ({names}) VALUES ({places})")
    });
    let values = values.iter().map(|(_, value)| value);
    transaction.prepare_cached(sql)?.execute(params_from_iter(values))?;
    let record_id = transaction.last_insert_rowid();
    transaction
        .prepare_cached("DELETE FROM settlement_retries WHERE trade_rowid = ?1")?
        .execute([row.rowid])?;
    match previous_id {
        Some(previous) => forget(transaction, previous)?,
        // a stale entry of this trade's, if it was unsettled again since
        None => transaction
            .prepare_cached(
                "DELETE FROM settlement_unconfirmed WHERE trade_rowid = ?1 AND EXISTS
                    (SELECT 1 FROM settlement_records AS record
                     WHERE record.id = settlement_unconfirmed.record_id
                        AND trade_id IS ?2 AND market_slug IS ?3)",
            )?
            .execute(params![row.rowid, row.id, row.market_slug])?,
    };
    let bet = booking.proof.as_ref().map(|proof| &proof.bet);
    if let (Status::Provisional, Some(bet)) = (booking.status, bet) {
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

/// What a record of Polymarket's word on a trade takes over from the record before it.
const CARRIED: [&str; 14] = [
    "rules",
    "epoch",
    "window_open",
    "window_close",
    "strike",
    "strike_source",
    "strike_doubts",
    "price_source",
    "open_price",
    "open_method",
    "close_price",
    "close_method",
    "margin_bps",
    "moved_bps",
];

fn measured_before(
    transaction: &Transaction<'_>,
    id: i64,
) -> rusqlite::Result<Vec<(&'static str, Cell)>> {
    let sql = format!("SELECT {} FROM settlement_records WHERE id = ?1", CARRIED.join(", "));
    transaction.prepare_cached(&sql)?.query_row([id], |row| {
        let cell = |(index, name)| Ok((name, super::cell(row.get_ref(index)?)));
        CARRIED.into_iter().enumerate().map(cell).collect()
    })
}

/// Adds the record of taking the record `id` back, whose trade is at `rowid` now. Where that brings
/// back what candles had decided, it is to be confirmed again.
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
    forget(transaction, id)?;
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

/// Writes a note.
pub(super) fn add_note(
    transaction: &Transaction<'_>,
    note: &Note<'_>,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    match note {
        Note::Deferred(failure) => {
            let row = &failure.trade.row;
            let held = failure.left == DeferredFor::Held;
            let counts = failure.left == DeferredFor::NotThere;
            add_failure(transaction, row, &failure.reason, counts, held, run)
        }
        Note::Unresolved(record_id, rowid) => ask_later(transaction, *record_id, *rowid, run),
        Note::Forget(record_id) => forget(transaction, *record_id).map(drop),
    }
}

/// Notes that the database refused a trade's outcome, so that it does not stand in front of others.
pub(super) fn add_refused(
    transaction: &Transaction<'_>,
    booking: &Booking,
    why: &str,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    match booking.earlier.as_ref().map(|earlier| earlier.record_id) {
        None => add_failure(transaction, &booking.trade.row, why, true, false, run),
        Some(Some(record_id)) => ask_later(transaction, record_id, booking.trade.row.rowid, run),
        Some(None) => Ok(()),
    }
}

/// Notes that a trade could not be settled. Where that `counts`, each further try waits longer; else
/// the trade only stands behind those that never failed.
fn add_failure(
    transaction: &Transaction<'_>,
    row: &Row,
    reason: &str,
    counts: bool,
    held: bool,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    let failures: i64 = transaction
        .prepare_cached(
            "SELECT failures FROM settlement_retries
             WHERE trade_rowid = ?1 AND trade_id IS ?2 AND market_slug IS ?3",
        )?
        .query_row(params![row.rowid, row.id, row.market_slug], |found| found.get(0))
        .optional()?
        .unwrap_or(0);
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

/// Has Polymarket asked again, each time later.
fn ask_later(
    transaction: &Transaction<'_>,
    record_id: i64,
    rowid: i64,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    let asked = transaction
        .prepare_cached("SELECT asked FROM settlement_unconfirmed WHERE record_id = ?1")?
        .query_row([record_id], |found| found.get::<_, i64>(0))
        .optional()?;
    let Some(asked) = asked.map(|asked| asked.saturating_add(1)) else { return Ok(()) };
    let next_ask = run.started_at.plus(wait_after(asked, run.retry_wait));
    transaction
        .prepare_cached(
            "UPDATE settlement_unconfirmed SET asked = ?2, next_ask = ?3, trade_rowid = ?4
             WHERE record_id = ?1",
        )?
        .execute(params![record_id, asked, next_ask.0, rowid])?;
    Ok(())
}

/// Takes a record off the list of those to confirm.
fn forget(transaction: &Transaction<'_>, record_id: i64) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached("DELETE FROM settlement_unconfirmed WHERE record_id = ?1")?
        .execute([record_id])
}

/// What holds of a row of `trades` that still is as a `record` left it, wherever it stands.
pub(super) const AS_RECORDED: &str = "trades.id IS record.trade_id
    AND trades.market_slug IS record.market_slug AND trades.action IS record.action
    AND trades.actual_outcome IS record.new_actual_outcome
    AND trades.profit_loss IS record.new_profit_loss AND trades.is_win IS record.new_is_win";

/// What holds of a `record` whose trade is no longer at its address.
pub(super) const MOVED: &str = "NOT EXISTS (SELECT 1 FROM trades AS there
    WHERE there.rowid = record.trade_rowid AND there.id IS record.trade_id
        AND there.market_slug IS record.market_slug)";

/// The query for the rows, of which there should be one, that are as the record `?1` left them.
pub(super) fn find_again(row_columns: &str) -> String {
    format!(
        "SELECT {row_columns} FROM settlement_records AS record
         JOIN trades ON trades.id = record.trade_id AND {AS_RECORDED}
         WHERE record.id = ?1 AND {MOVED} LIMIT 2"
    )
}

/// The query for the trades to confirm as of `?1`, at most `?2`, with these columns of theirs first.
/// A wait longer than any that is given was noted under a clock that was wrong.
pub(super) fn unconfirmed(row_columns: &str) -> String {
    format!(
        "SELECT {row_columns},
                waiting.record_id, record.trade_id, record.strike, record.moved_bps,
                record.close_price, record.price_source, record.margin_bps,
                record.fee, record.fee_taken,
                trades.rowid IS NOT NULL AND {AS_RECORDED}
         FROM settlement_unconfirmed AS waiting
         JOIN settlement_records AS record ON record.id = waiting.record_id
         LEFT JOIN trades ON trades.rowid = waiting.trade_rowid
         WHERE waiting.next_ask <= ?1 OR waiting.next_ask > ?1 + {LONGEST_WAIT}
         ORDER BY waiting.closed_at, waiting.trade_rowid LIMIT ?2"
    )
}

/// What [`unconfirmed`] gives from column `first` on: what was written, and whether the row at its
/// address still is as it was written.
pub(super) fn read_unconfirmed(
    row: &rusqlite::Row<'_>,
    first: usize,
) -> rusqlite::Result<(Unconfirmed, bool)> {
    let text = |index: usize| row.get::<_, Option<String>>(first + index);
    let decimal = |index: usize| -> rusqlite::Result<_> {
        Ok(text(index)?.and_then(|text| decimal_from_text(&text).ok()))
    };
    let record_id = row.get(first)?;
    let taken = match text(8)?.as_deref() {
        Some(record::IN_SHARES) => Taken::InShares,
        _ => Taken::Added,
    };
    let earlier = Earlier {
        record_id: Some(record_id),
        strike: decimal(2)?.map(BtcPrice),
        moved: decimal(3)?.map(Bps),
        close_price: decimal(4)?.map(BtcPrice),
        source: text(5)?.as_deref().and_then(Source::named),
        margin: decimal(6)?.map(Bps),
        fee: decimal(7)?.map(|dollars| Fee { dollars: Usd(dollars), taken }),
    };
    let trade_id = super::cell(row.get_ref(first + 1)?);
    Ok((Unconfirmed { record_id, trade_id, row: None, earlier }, row.get(first + 9)?))
}

/// How many trades are not confirmed, and how many have a doubted strike.
pub(super) fn counts(connection: &Connection) -> rusqlite::Result<RecordCounts> {
    let unconfirmed =
        connection
            .query_row("SELECT count(*) FROM settlement_unconfirmed", [], |row| row.get(0))?;
    let doubted = doubted(connection)?;
    let mut parked = BTreeMap::new();
    let mut statement = connection.prepare(
        "SELECT retry.reason FROM settlement_retries AS retry
         JOIN trades ON trades.rowid = retry.trade_rowid AND trades.id IS retry.trade_id
         WHERE trades.is_win IS NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        *parked.entry(kind_of(row.get_ref(0)?.as_str().unwrap_or_default())).or_insert(0) += 1;
    }
    let last_runs = history::last_runs(connection)?;
    Ok(RecordCounts { unconfirmed, doubted, parked, last_runs })
}

/// The doubts of recorded strikes of settled trades.
pub(super) fn doubted(connection: &Connection) -> rusqlite::Result<BTreeMap<String, (u64, Cell)>> {
    let mut statement = connection.prepare(
        "SELECT strike_doubts, count(DISTINCT trade_rowid), trade_id FROM settlement_records
         JOIN trades ON trades.rowid = trade_rowid AND trades.is_win IS NOT NULL
         WHERE strike_doubts IS NOT NULL GROUP BY strike_doubts",
    )?;
    let mut rows = statement.query([])?;
    let mut doubted = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (names, count, id): (String, u64, _) =
            (row.get(0)?, row.get(1)?, super::cell(row.get_ref(2)?));
        for name in names.split(' ') {
            doubted.entry(name.to_owned()).or_insert_with(|| (0, id.clone())).0 += count;
        }
    }
    Ok(doubted)
}

/// A reason without its particulars: "no source has the price at 2026-…" is "no source has the price".
fn kind_of(reason: &str) -> String {
    let particulars = [": ", "; ", " at 2"].iter().filter_map(|mark| reason.find(mark)).min();
    reason[..particulars.unwrap_or(reason.len())].to_owned()
}

/// How long a trade waits after its `failures`-th failure, in seconds: not at all after the first,
/// `first_wait` after the second, and twice as long after each further one, up to a day.
fn wait_after(failures: i64, first_wait: i64) -> i64 {
    let doublings = u32::try_from(failures - 2).unwrap_or(0);
    match failures {
        ..=1 => 0,
        _ => first_wait.saturating_mul(2i64.saturating_pow(doublings)).min(LONGEST_WAIT),
    }
}

/// The trades that failed before, by rowid.
pub(super) fn retries(connection: &Connection) -> rusqlite::Result<HashMap<i64, Retry>> {
    let mut statement = connection.prepare(
        "SELECT trade_rowid, trade_id, market_slug, next_try, held FROM settlement_retries",
    )?;
    let rows = statement.query_map([], |row| {
        let retry = Retry {
            trade_id: super::cell(row.get_ref(1)?),
            market_slug: super::cell(row.get_ref(2)?),
            next_try: UnixSeconds(row.get(3)?),
            held: row.get(4)?,
        };
        Ok((row.get(0)?, retry))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_by_kind() {
        for (reason, kind) in [
            ("no source has the price at 2026-02-13T13:15:00Z", "no source has the price"),
            ("close call: the venue moved +1.5 bps; waits until 2026", "close call"),
            ("Polymarket could not be asked", "Polymarket could not be asked"),
        ] {
            assert_eq!(kind_of(reason), kind);
        }
    }

    #[test]
    fn each_failure_waits_longer_up_to_a_day() {
        let waits: Vec<i64> = (1..=11).map(|failures| wait_after(failures, 600)).collect();
        assert_eq!(waits, [0, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400, 86_400]);
    }
}
