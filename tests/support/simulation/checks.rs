//! What must hold after each step, at the end, and after everything is undone. Each check reads the
//! database by SQL of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};
use settle::engine::summary::Summary;
use settle::rules::eligibility::Exclusion;
use settle::store::{Access, BotSchema, Store};

use super::bot::Trade;
use super::world::{Market, World};
use super::{STEP, dice};

/// Outcome, profit and win, as they stand in a row.
type Booked = [Value; 3];
type Checked = Result<(), String>;

const NONE: Booked = [Value::Null, Value::Null, Value::Null];
/// Honest venues can be wrong about a market that moved less, in bps.
const TOO_CLOSE: f64 = 8.0;
/// Seconds after a market's close during which a close call waits for Polymarket.
const HOLD: i64 = 6 * 3600;
const A_DAY: i64 = 24 * 3600;

/// A record of settle's.
struct Record {
    id: i64,
    trade_id: i64,
    old: Booked,
    new: Booked,
    status: String,
    previous_id: Option<i64>,
    resolution: Option<String>,
    written_at: i64,
    is_single: bool,
}

/// The records of each trade, the first one first.
fn records_by_trade(connection: &Connection) -> BTreeMap<i64, Vec<Record>> {
    let mut by_trade: BTreeMap<i64, Vec<Record>> = BTreeMap::new();
    let sql = "SELECT id, trade_id, old_actual_outcome, old_profit_loss, old_is_win,
                   new_actual_outcome, new_profit_loss, new_is_win, status, previous_id, resolution,
                   written_at, coalesce(close_method LIKE '%single_venue', 0)
               FROM settlement_records ORDER BY id";
    // settle has written nothing yet
    let Ok(mut statement) = connection.prepare(sql) else { return by_trade };
    let read = |row: &rusqlite::Row<'_>| {
        let written_at: String = row.get(11)?;
        let written_at = DateTime::parse_from_rfc3339(&written_at).expect("a time of settle's");
        Ok(Record {
            id: row.get(0)?,
            trade_id: row.get(1)?,
            old: [row.get(2)?, row.get(3)?, row.get(4)?],
            new: [row.get(5)?, row.get(6)?, row.get(7)?],
            status: row.get(8)?,
            previous_id: row.get(9)?,
            resolution: row.get(10)?,
            written_at: written_at.timestamp(),
            is_single: row.get(12)?,
        })
    };
    for record in statement.query_map([], read).expect("records") {
        let record = record.expect("a record");
        by_trade.entry(record.trade_id).or_default().push(record);
    }
    by_trade
}

/// The results in the bot's table, by id.
fn results(connection: &Connection) -> BTreeMap<i64, Booked> {
    let sql = "SELECT id, actual_outcome, profit_loss, is_win FROM trades";
    let mut statement = connection.prepare(sql).expect("the bot's table");
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]));
    let rows = statement.query_map([], read).expect("rows");
    rows.collect::<rusqlite::Result<_>>().expect("a row")
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(why()) }
}

/// What must hold at any time.
///
/// # Errors
/// What does not.
pub fn after_a_step(world: &World) -> Checked {
    let (rows, records) =
        world.bot.with(|connection| (results(connection), records_by_trade(connection)));
    for (id, row) in &rows {
        if world.bot.own_results.contains(id) {
            continue;
        }
        let records = records.get(id).map_or(&[][..], Vec::as_slice);
        is_recorded(world, *id, row, records)?;
        if let Some(trade) = world.bot.trades.iter().find(|trade| trade.id == *id && trade.counts) {
            for record in records {
                is_right(world, trade, record)?;
            }
        }
    }
    waits_at_most_a_day(world, &rows, &records)?;
    // a reader waits until a database in WAL mode that no program has open is old enough to be copied
    let is_slow =
        world.bot.is_closed_wal() && dice::at(world.seed, "reader", world.now / STEP, 8) > 0;
    if is_slow { Ok(()) } else { is_what_readers_see(world, &rows) }
}

/// Each result has its record, each record follows from the one before, and none settles what is settled.
fn is_recorded(world: &World, id: i64, row: &Booked, records: &[Record]) -> Checked {
    let mut before = world.bot.own_values(id);
    for record in records {
        check(record.old == before, || {
            format!("record {} of trade {id} replaced {:?}, not {before:?}", record.id, record.old)
        })?;
        let is_again = record.previous_id.is_none() && record.old != NONE;
        check(!is_again, || format!("record {} settled trade {id} again", record.id))?;
        before = record.new.clone();
    }
    check(*row == before, || format!("trade {id} holds {row:?}, recorded is {before:?}"))
}

/// A record's outcome is what Polymarket stated by then, or what honest prices show.
fn is_right(world: &World, trade: &Trade, record: &Record) -> Checked {
    let market = &world.markets[trade.market];
    let at = record.written_at;
    if let Some(resolution) = &record.resolution {
        let stated = market.stated(at);
        check(stated.iter().any(|paid| paid.outcome() == resolution), || {
            let (id, slug) = (record.id, &market.slug);
            format!("record {id} has {resolution} for {slug}; Polymarket stated {stated:?}")
        })?;
    }
    if record.status != "provisional" {
        return Ok(());
    }
    let is_early = at < market.close + HOLD;
    check(!(is_early && record.is_single && !market.is_hourly), || {
        format!("record {}: one venue decided {} before the hold ended", record.id, market.slug)
    })?;
    let right = if market.moved >= 0.0 { "YES" } else { "NO" };
    let is_right = record.new[0] == Value::Text(right.to_owned());
    let may_be_wrong = market.moved.abs() < TOO_CLOSE
        || world.can_be_lied_about(market)
        || (record.is_single && !is_early);
    check(is_right || may_be_wrong, || {
        let (id, slug, moved) = (record.id, &market.slug, market.moved);
        format!("record {id} decided {slug} by prices as {:?}; it moved {moved:.1} bps", record.new)
    })
}

/// Polymarket is asked again about each trade that candles decided, and each retry comes, within a day: a
/// contradiction that Polymarket states is found.
fn waits_at_most_a_day(
    world: &World,
    rows: &BTreeMap<i64, Booked>,
    records: &BTreeMap<i64, Vec<Record>>,
) -> Checked {
    let provisional = records.iter().filter_map(|(id, records)| {
        let last = records.last().filter(|record| record.status == "provisional")?;
        (rows.contains_key(id) && !world.bot.own_results.contains(id)).then_some((id, last))
    });
    let asked = "SELECT next_ask FROM settlement_unconfirmed WHERE record_id = ?1";
    world.bot.with(|connection| {
        for (id, record) in provisional {
            let next: Option<i64> =
                connection.query_row(asked, [record.id], |row| row.get(0)).optional().expect("SQL");
            check(next.is_some_and(|next| next <= world.now + A_DAY), || {
                format!("Polymarket is asked about trade {id} at {next:?}")
            })?;
        }
        let latest = "SELECT max(next_try) FROM settlement_retries";
        let latest: Option<i64> =
            connection.query_row(latest, [], |row| row.get(0)).unwrap_or(None);
        let is_soon = latest.is_none_or(|latest| latest <= world.now + A_DAY);
        check(is_soon, || format!("a trade is tried again only at {latest:?}"))
    })
}

/// The records that candles decided, each with its trade, about which Polymarket is to be asked now.
pub fn to_confirm(world: &World) -> Vec<(i64, i64)> {
    let sql = "SELECT record.id, record.trade_id FROM settlement_unconfirmed AS waiting
               JOIN settlement_records AS record ON record.id = waiting.record_id
               WHERE next_ask <= ?1";
    world.bot.with(|connection| {
        let Ok(mut statement) = connection.prepare(sql) else { return vec![] };
        let rows = statement.query_map([world.now], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("SQL").collect::<rusqlite::Result<_>>().expect("a record")
    })
}

/// A run that met no fault has confirmed or corrected those of these records whose market Polymarket has
/// resolved.
///
/// # Errors
/// The record that stands.
pub fn are_confirmed(world: &World, to_confirm: &[(i64, i64)]) -> Checked {
    let records = world.bot.with(records_by_trade);
    for (record, trade_id) in to_confirm {
        let trade = world.bot.trades.iter().find(|trade| trade.id == *trade_id);
        let Some(trade) = trade.filter(|_| !world.bot.own_results.contains(trade_id)) else {
            continue;
        };
        let stated = world.markets[trade.market].stated(world.now);
        let stands = records[trade_id].last().is_some_and(|last| last.id == *record);
        check(stated.is_empty() || !stands, || {
            format!("record {record} of trade {trade_id} stands; Polymarket stated {stated:?}")
        })?;
    }
    Ok(())
}

/// An alert names what is there: an unsettled trade older than an hour, a provisional one whose market closed
/// a day ago.
///
/// # Errors
/// The alert without a cause.
pub fn alerts_have_causes(world: &World, summary: &Summary) -> Checked {
    let count = |sql: &str, at: i64| -> u64 {
        world.bot.with(|connection| connection.query_row(sql, [at], |row| row.get(0)).unwrap_or(0))
    };
    let old = "SELECT count(*) FROM trades WHERE is_win IS NULL AND unixepoch(timestamp) < ?1";
    let late = "SELECT count(*) FROM settlement_unconfirmed WHERE closed_at < ?1";
    let is_overdue = summary.overdue.is_empty() || count(old, world.now - 3600) > 0;
    check(is_overdue, || {
        format!("no trade is overdue: {:?}", summary.overdue_in_words().collect::<Vec<_>>())
    })?;
    let late = count(late, world.now - A_DAY);
    check(summary.unconfirmed_late.trades.count <= late, || {
        format!(
            "{} trades are unconfirmed for a day, not {late}",
            summary.unconfirmed_late.trades.count
        )
    })?;
    let future = summary.excluded.get(&Exclusion::Future).copied().unwrap_or(0);
    check(future == 0, || format!("{future} trades are dated in the future"))
}

/// A command that only reads sees what the bot's table holds now.
fn is_what_readers_see(world: &World, rows: &BTreeMap<i64, Booked>) -> Checked {
    let store = Store::open(&world.bot.db, Access::Read, &BotSchema::default());
    let store = store.map_err(|why| format!("the database cannot be read: {why}"))?;
    let mut seen = 0;
    let holds = store.unsettled_rows(|_| seen += 1);
    seen += holds.map_err(|why| why.to_string())?;
    let unsettled = rows.values().filter(|row| row[2] == Value::Null).count() as u64;
    check(seen == unsettled, || format!("a reader sees {seen} unsettled rows of {unsettled}"))
}

/// What must hold once every service has worked for a day: all that is resolved is settled as resolved, for
/// the right money.
///
/// # Errors
/// What does not.
pub fn at_the_end(world: &World) -> Checked {
    let rows = world.bot.with(results);
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    let mut unclear: BTreeSet<usize> = world.bot.with_deleted.clone();
    let is_own = |id: i64| world.bot.own_results.contains(&id);
    unclear.extend(world.bot.trades.iter().filter(|it| is_own(it.id)).map(|it| it.market));
    for trade in &world.bot.trades {
        let market = &world.markets[trade.market];
        let stated = market.stated(world.now);
        if is_own(trade.id)
            || stated.is_empty()
            || (world.has_wallet && unclear.contains(&trade.market))
        {
            continue;
        }
        let row = &rows[&trade.id];
        if trade.counts && (trade.is_filled || !world.has_wallet) {
            let is_settled = stated.iter().any(|paid| is_text(&row[0], paid.outcome()));
            check(is_settled, || {
                let (id, slug) = (trade.id, &market.slug);
                format!("trade {id} on {slug} holds {row:?}; Polymarket stated {stated:?}")
            })?;
        } else if trade.counts {
            check(*row == NONE, || format!("trade {} has {row:?} and no fill", trade.id))?;
        }
        let profit = if let Value::Real(profit) = row[1] { profit } else { 0.0 };
        *sums.entry(trade.market).or_default() += profit;
        if !world.has_wallet && trade.counts {
            has_the_logs_profit(world, trade, row)?;
        }
    }
    if !world.has_wallet {
        return Ok(());
    }
    for (place, sum) in sums {
        let market = &world.markets[place];
        if let [paid] = market.stated(world.now)[..] {
            let flow = cash_flow(world, place, |is_yes| paid.a_share(is_yes));
            check((sum - flow).abs() < 1e-6, || {
                format!("the rows of {} sum to {sum}; the wallet made {flow}", market.slug)
            })?;
        }
    }
    Ok(())
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::Text(found) if found == text)
}

/// What the wallet made in a market.
fn cash_flow(world: &World, market: usize, a_share: impl Fn(bool) -> f64) -> f64 {
    let fills = world.bot.fills.iter().filter(|fill| fill.market == market);
    let flow = fills.map(|fill| {
        let direction = if fill.is_sale { -1.0 } else { 1.0 };
        direction * (fill.shares * a_share(fill.is_yes) - fill.dollars)
    });
    flow.sum()
}

/// The profit by the logged size and price.
fn has_the_logs_profit(world: &World, trade: &Trade, row: &Booked) -> Checked {
    let sql = "SELECT position_size, executed_price FROM trades WHERE id = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?));
    let logged = world.bot.shadow.query_row(sql, [trade.id], read);
    let (size, price) = logged.expect("a row of the bot's");
    let (shares, dollars) =
        if world.in_shares { (size, size * price) } else { (size / price, size) };
    let market: &Market = &world.markets[trade.market];
    let stated = market.stated(world.now);
    let paid = stated.iter().find(|paid| is_text(&row[0], paid.outcome()));
    let Some(paid) = paid else { return Ok(()) };
    let profit = shares * paid.a_share(trade.is_yes) - dollars;
    let is_right = matches!(row[1], Value::Real(found) if (found - profit).abs() < 0.01);
    check(is_right, || format!("trade {} holds {row:?}; it made {profit}", trade.id))
}

/// The number of records.
pub fn records(world: &World) -> u64 {
    let sql = "SELECT count(*) FROM settlement_records";
    world.bot.with(|connection| connection.query_row(sql, [], |row| row.get(0)).unwrap_or(0))
}

/// Every run that wrote, but those that undid another, the last one first.
pub fn runs_to_undo(world: &World) -> Vec<String> {
    let sql = "SELECT run_id FROM settlement_records AS record
               WHERE 'undo' IS NOT (SELECT command FROM settlement_runs AS run
                                    WHERE run.run_id = record.run_id)
               GROUP BY run_id ORDER BY min(id) DESC";
    world.bot.with(|connection| {
        let Ok(mut statement) = connection.prepare(sql) else { return vec![] };
        let runs = statement.query_map([], |row| row.get(0)).expect("runs");
        runs.collect::<rusqlite::Result<_>>().expect("a run")
    })
}

/// Whether the bot's table is as it would be without settle, but for the results that the bot changed.
///
/// # Errors
/// The first row that differs.
pub fn is_the_bots_own(world: &World) -> Checked {
    let table = |connection: &Connection| -> Vec<Vec<Value>> {
        let sql = "SELECT * FROM trades ORDER BY id";
        let mut statement = connection.prepare(sql).expect("the bot's table");
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        let rows = statement.query_map([], read).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("a row")
    };
    let is_own = |row: &&Vec<Value>| !matches!(row[0], Value::Integer(id) if world.bot.own_results.contains(&id));
    let (settled, own) = (world.bot.with(table), table(&world.bot.shadow));
    check(settled.len() == own.len(), || format!("{} rows of {}", settled.len(), own.len()))?;
    let pairs = settled.iter().filter(is_own).zip(own.iter().filter(is_own));
    for (found, wanted) in pairs {
        check(found == wanted, || format!("undone, a row is {found:?}, not {wanted:?}"))?;
    }
    Ok(())
}
