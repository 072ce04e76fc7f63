//! `settle export`: one line a trade, as CSV or JSON lines, for a spreadsheet or another program.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use log::warn;
use rust_decimal::Decimal;
use serde_json::{Number, Value};

use crate::commands::{Exit, only};
use crate::error::Error;
use crate::output::print::print;
use crate::rules::eligibility::{Eligibility, Reading, Row, Trade, judge_again, judge_with};
use crate::rules::fill::{Fill, WalletRecord, WalletRecords};
use crate::rules::market::Market;
use crate::rules::order_status::is_on_paper;
use crate::rules::outcome::{Outcome, Side};
use crate::rules::text::no_formula;
use crate::rules::units::{UnixSeconds, decimal_from_text};
use crate::rules::value::Cell;
use crate::rules::zone::logged_at;
use crate::settings::values::{Date, date};
use crate::settings::{self, CommonArgs, JudgingArgs};
use crate::store::{Access, ExportRow, Record, Store, in_force_with_money};

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A head and a line a trade, separated by commas
    Csv,
    /// A JSON object a line
    Jsonl,
}

/// What to export.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The form of the lines
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    pub format: Format,

    /// Only trades logged on or after this date: YYYY-MM-DD, a date and time, 7d, today or yesterday, in --timezone
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub since: Option<Date>,

    /// Only trades logged until this date, the whole day included (or until a date and time)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub until: Option<Date>,

    /// Only trades that runs of settle after this one wrote
    #[arg(long, value_name = "RUN_ID")]
    pub changed_since: Option<String>,

    /// Trades without a result, too, each with the reason and whether it would have won
    #[arg(long)]
    pub all: bool,

    /// How rows are read.
    #[command(flatten)]
    pub judging: JudgingArgs,
}

/// The names of a line, for an export without lines; `--all` adds [`NAMES_OF_ALL`].
const NAMES: [&str; 24] = [
    "trade_id",
    "market_slug",
    "action",
    "outcome",
    "is_win",
    "profit_loss",
    "status",
    "close_time",
    "strike",
    "close_price",
    "price_source",
    "margin_bps",
    "shares",
    "cost",
    "money_source",
    "timestamp",
    "signal_type",
    "mode",
    "opened_at",
    "closed_at",
    "proceeds",
    "fee",
    "transaction_hashes",
    "run_id",
];
const NAMES_OF_ALL: [&str; 2] = ["reason", "would_have_won"];

/// The names and values of a line.
type Line = Vec<(&'static str, Value)>;

/// Prints a line a trade.
///
/// # Errors
/// [`Error`].
pub fn run(common: &CommonArgs, args: &ExportArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "export")?;
    let store = Store::open(database, Access::Read, &common.schema)?;
    let reading = settings::reading(&args.judging);
    let lines = store.consistent_read(|store| lines(store, args, reading, now.into()))?;
    let text = match args.format {
        Format::Csv => csv(&lines, args.all)?,
        Format::Jsonl => jsonl(&lines),
    };
    print(&text)?;
    Ok(Exit::Done)
}

fn lines(
    store: &Store,
    args: &ExportArgs,
    reading: Reading,
    now: UnixSeconds,
) -> Result<Vec<Line>, Error> {
    let after = match &args.changed_since {
        Some(run) => Some(store.last_record_of(&store.run_named(run)?)?),
        None => None,
    };
    let wallet = store.wallet_records()?;
    let not_made = store.not_made()?;
    let rows = store.export_rows()?;
    let deleted = store.records_of_deleted()?;
    let is_in_time = |at: Option<UnixSeconds>| {
        let is_after = |since: Date| at.is_some_and(|at| at >= since.begin(now, reading.zone));
        let is_before = |until: Date| at.is_some_and(|at| at < until.end(now, reading.zone));
        args.since.is_none_or(is_after) && args.until.is_none_or(is_before)
    };
    let is_new = |records: &[Record]| {
        after.is_none_or(|after| records.last().is_some_and(|record| record.id > after))
    };
    let mut found = Vec::new();
    let mut outcomes: HashMap<String, Outcome> = HashMap::new();
    let mut without = Vec::new();
    for row in &rows {
        let record = wallet.of(row.row.rowid, &row.row.id, &row.row.market_slug);
        let trade = judge_again(row.row.clone(), reading, record).ok();
        let outcome = row.row.actual_outcome.text().and_then(Outcome::named);
        if let (Some(trade), Some(outcome)) = (&trade, outcome)
            && let Some(key) = &trade.key
        {
            outcomes.entry(key.clone()).or_insert(outcome);
        }
        if !is_in_time(logged_at(&row.row.timestamp, &row.row.market_slug, reading.zone)) {
            continue;
        }
        if !row.is_settled {
            if args.all && after.is_none() {
                without.push((row, trade));
            }
            continue;
        }
        let records = store.records_of(&row.row)?;
        if is_new(&records) {
            let fills = store.fills_of(row.row.rowid, &row.row.id, &row.row.market_slug)?;
            let mut line = of_row(row, trade.as_ref(), &records, &wallet, &fills);
            if args.all {
                line.extend([("reason", Value::Null), ("would_have_won", Value::Null)]);
            }
            found.push(line);
        }
    }
    let mut gone = 0u64;
    for records in deleted {
        let opened = |record: &Record| {
            let at = DateTime::parse_from_rfc3339(record.window_open.as_deref()?).ok()?;
            Some(UnixSeconds(at.timestamp()))
        };
        let Some((in_force, money)) = in_force_with_money(&records) else { continue };
        if in_force.status == "not_filled" || !is_new(&records) || !is_in_time(opened(in_force)) {
            continue;
        }
        let (id, slug) = (&in_force.trade_id, &in_force.market_slug);
        let fills = store.fills_of(in_force.trade_rowid, id, slug)?;
        let mut line = of_records(in_force, money, &fills);
        if args.all {
            line.extend([("reason", "deleted by the bot".into()), ("would_have_won", Value::Null)]);
        }
        found.push(line);
        gone += 1;
    }
    if gone > 0 {
        warn!("{gone} of these trades are gone from the bot's table; settle's records have them");
    }
    for (row, trade) in without {
        let (record, judged) =
            (wallet.of(row.row.rowid, &row.row.id, &row.row.market_slug), row.row.clone());
        let reason = match judge_with(judged, reading, now, record) {
            Eligibility::Excluded(reason) | Eligibility::NotYet(reason, _) => reason.key(),
            Eligibility::Due(_) => "due",
            Eligibility::InError { .. } => "in_error",
        };
        let mut line = of_row(row, trade.as_ref(), &[], &wallet, &[]);
        let outcome = trade.as_ref().and_then(|trade| outcomes.get(trade.key.as_ref()?));
        let side = row.row.action.text().and_then(Side::named);
        let won = outcome.zip(side).and_then(|(outcome, side)| side.is_win(*outcome));
        let known = not_made.get(&row.row.rowid);
        let known = known.filter(|known| row.row.is(&known.trade_id, &known.market_slug));
        let won = won.or(known.and_then(|known| known.would_have_won));
        line.extend([("reason", reason.into()), ("would_have_won", won.into())]);
        found.push(line);
    }
    Ok(found)
}

/// The line of a row that is there.
fn of_row(
    exported: &ExportRow,
    trade: Option<&Trade>,
    records: &[Record],
    wallet: &WalletRecords,
    fills: &[Fill],
) -> Line {
    let row = &exported.row;
    let in_force = in_force_with_money(records).filter(|(in_force, _)| in_force.is_held_by(row));
    let (in_force, money) =
        in_force.map_or((None, None), |(in_force, money)| (Some(in_force), money));
    let window = trade.map(|trade| trade.bet.market).filter(Market::has_window);
    let paid = trade.map(|trade| trade.bet.paid);
    let shares = paid.map(|paid| paid.shares.0);
    let cost = paid.map(|paid| paid.cost.0);
    let fee = row.fee_paid.as_ref().and_then(Cell::any_number);
    let logged = row.timestamp.text().map_or_else(|| row.timestamp.json(), Value::from);
    let is_filled =
        wallet.of(row.rowid, &row.id, &row.market_slug).and_then(WalletRecord::position).is_some();
    let mut line = head(&row.id, &row.market_slug, &row.action);
    line.extend(result(&row.actual_outcome, &row.is_win, &row.profit_loss));
    line.extend(evidence(in_force));
    line.extend([
        ("shares", of_record(money, |record| &record.shares).or_else(|| shares.map(number)).into()),
        ("cost", of_record(money, |record| &record.cost).or_else(|| cost.map(number)).into()),
        (
            "money_source",
            paid.filter(|_| exported.is_settled).map(|paid| paid.source.as_str()).into(),
        ),
        ("timestamp", logged),
        ("signal_type", exported.signal.json()),
        ("mode", mode(row, &exported.test_mode, is_filled).into()),
        ("opened_at", window.map(|market| market.open.to_string()).into()),
        ("closed_at", window.map(|market| market.close.to_string()).into()),
        ("proceeds", of_record(money, |record| &record.payout).into()),
        ("fee", of_record(money, |record| &record.fee).or_else(|| fee.map(number)).into()),
        ("transaction_hashes", hashes(fills)),
        ("run_id", in_force.map(|record| record.run_id.clone()).into()),
    ]);
    line
}

/// The line of a trade that the bot has deleted since settle recorded it.
fn of_records(in_force: &Record, money: Option<&Record>, fills: &[Fill]) -> Line {
    let money_source =
        in_force.money_source.clone().or(money.and_then(|money| money.money_source.clone()));
    let mut line = head(&in_force.trade_id, &in_force.market_slug, &in_force.action);
    line.extend(result(
        &in_force.new_actual_outcome,
        &in_force.new_is_win,
        &in_force.new_profit_loss,
    ));
    line.extend(evidence(Some(in_force)));
    line.extend([
        ("shares", of_record(money, |record| &record.shares).into()),
        ("cost", of_record(money, |record| &record.cost).into()),
        ("money_source", money_source.into()),
        ("timestamp", Value::Null),
        ("signal_type", Value::Null),
        ("mode", Value::Null),
        ("opened_at", in_force.window_open.clone().into()),
        ("closed_at", in_force.window_close.clone().into()),
        ("proceeds", of_record(money, |record| &record.payout).into()),
        ("fee", of_record(money, |record| &record.fee).into()),
        ("transaction_hashes", hashes(fills)),
        ("run_id", in_force.run_id.clone().into()),
    ]);
    line
}

/// The hashes of the transactions of these fills, each once; null without any.
fn hashes(fills: &[Fill]) -> Value {
    let mut hashes: Vec<&str> = fills.iter().map(|fill| fill.transaction_hash.as_str()).collect();
    hashes.retain(|hash| !hash.is_empty());
    let mut seen = HashSet::new();
    hashes.retain(|hash| seen.insert(*hash));
    if hashes.is_empty() { Value::Null } else { hashes.into() }
}

fn head(id: &Cell, slug: &Cell, action: &Cell) -> Line {
    vec![("trade_id", id.json()), ("market_slug", slug.json()), ("action", action.json())]
}

fn result(outcome: &Cell, is_win: &Cell, profit: &Cell) -> Line {
    let won = is_win.any_number().map(|win| !win.is_zero());
    let profit = profit.any_number().map(number);
    vec![("outcome", outcome.json()), ("is_win", won.into()), ("profit_loss", profit.into())]
}

fn evidence(record: Option<&Record>) -> Line {
    vec![
        ("status", record.map(|record| record.status.clone()).into()),
        ("close_time", record.and_then(|record| record.window_close.clone()).into()),
        ("strike", of_record(record, |record| &record.strike).into()),
        ("close_price", of_record(record, |record| &record.close_price).into()),
        ("price_source", record.and_then(|record| record.price_source.clone()).into()),
        ("margin_bps", of_record(record, |record| &record.margin_bps).into()),
    ]
}

/// `paper` or `live`: a trade that a wallet filled is live, whatever the bot's marks say.
fn mode(row: &Row, test_mode: &Cell, is_filled: bool) -> &'static str {
    let on_paper = row.execution_status.as_ref().is_some_and(is_on_paper);
    let is_test = test_mode.any_number().is_some_and(|mode| !mode.is_zero());
    if !is_filled && (on_paper || is_test) { "paper" } else { "live" }
}

/// A number of a record, which holds all its digits as text.
fn of_record(record: Option<&Record>, of: impl Fn(&Record) -> &Option<String>) -> Option<Value> {
    let text = record.and_then(|record| of(record).as_deref())?;
    decimal_from_text(text).ok().map(number)
}

fn number(decimal: Decimal) -> Value {
    decimal.to_string().parse().map_or(Value::Null, |number: Number| Value::Number(number))
}

fn jsonl(lines: &[Line]) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        let fields = line.iter().map(|(name, value)| format!("\"{name}\":{value}"));
        text.push_str(&format!("{{{}}}\n", fields.collect::<Vec<_>>().join(",")));
    }
    text.into_bytes()
}

/// A head, then the lines.
fn csv(lines: &[Line], all: bool) -> Result<Vec<u8>, Error> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let more = NAMES_OF_ALL.iter().filter(|_| all);
    let head = match lines.first() {
        Some(first) => first.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        None => NAMES.iter().chain(more).copied().collect(),
    };
    writer.write_record(head).map_err(std::io::Error::from)?;
    for line in lines {
        let cells = line.iter().map(|(_, value)| match value {
            Value::Null => String::new(),
            Value::String(text) => no_formula(text).into_owned(),
            Value::Array(texts) => {
                let texts = texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
                no_formula(&texts).into_owned()
            }
            other => other.to_string(),
        });
        writer.write_record(cells).map_err(std::io::Error::from)?;
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::units::{Shares, Usd};

    #[test]
    fn each_transaction_is_listed_once() {
        let fill = |hash: &str| Fill {
            time: UnixSeconds(0),
            is_sale: false,
            shares: Shares(Decimal::ONE),
            dollars: Usd(Decimal::ONE),
            transaction_hash: hash.to_owned(),
        };
        let fills = ["0xa", "0xb", "", "0xa"].map(fill);
        assert_eq!(hashes(&fills), serde_json::json!(["0xa", "0xb"]));
        assert_eq!(hashes(&fills[2..3]), Value::Null);
    }
}
