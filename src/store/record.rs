//! The content of a record: a settlement and its evidence, as columns of `settlement_records`.
//! `records` and `history` add and read records.

use std::fmt::Display;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use crate::rules::decision::{Measured, Settlement};
use crate::rules::eligibility::Bet;
use crate::rules::fees::{Fee, Taken};
use crate::rules::market::RuleSet;
use crate::rules::outcome::Outcome;
use crate::rules::units::{Usd, decimal_from_text};
use crate::rules::value::Cell;
use crate::store::RunInfo;

/// The value of `fee_taken` for a fee that was taken in shares.
const IN_SHARES: &str = "in shares";

/// Reads a fee from a record's columns `fee` and `fee_taken`.
pub(super) fn fee(dollars: Option<&str>, taken: Option<&str>) -> Option<Fee> {
    let taken = match taken {
        Some(IN_SHARES) => Taken::InShares,
        _ => Taken::Added,
    };
    let dollars = decimal_from_text(dollars?).ok()?;
    Some(Fee { dollars: Usd(dollars), taken })
}

/// A column of `settlement_records` and its value.
type Column<'a> = (&'static str, ToSqlOutput<'a>);

/// The record of a settlement; `written` holds the row's new outcome, profit, win or loss, fee.
pub(super) fn values<'a>(
    run: &'a RunInfo,
    settlement: &'a Settlement,
    written: &'a [Cell; 4],
) -> Vec<Column<'a>> {
    let mut values = Vec::with_capacity(40);
    values.extend(of_run(run, settlement));
    values.extend(of_row(settlement, written));
    values.extend(of_market(settlement.bet()));
    values.extend(of_prices(settlement.measured()));
    values.extend(of_money(settlement));
    values
}

/// The run, the status, and Polymarket's resolution.
fn of_run<'a>(run: &'a RunInfo, settlement: &'a Settlement) -> [Column<'a>; 7] {
    let previous_id = settlement.earlier().and_then(|earlier| earlier.record_id);
    [
        ("run_id", word(Some(&run.run_id))),
        ("written_at", text(Some(&run.started_at))),
        ("version", word(Some(env!("CARGO_PKG_VERSION")))),
        ("status", word(Some(settlement.status().as_str()))),
        ("previous_id", ToSqlOutput::Owned(Value::from(previous_id))),
        ("resolution", word(settlement.resolution().map(Outcome::as_str))),
        ("rules", word(run.rules.map(RuleSet::as_str))),
    ]
}

/// The trade, and its row's values before and after the write.
fn of_row<'a>(settlement: &'a Settlement, written: &'a [Cell; 4]) -> [Column<'a>; 12] {
    let row = &settlement.trade.row;
    let [outcome, profit, is_win, fee] = written;
    let no_fee = ToSqlOutput::Borrowed(ValueRef::Null);
    [
        ("trade_rowid", ToSqlOutput::Owned(Value::from(row.rowid))),
        ("trade_id", cell(&row.id)),
        ("market_slug", cell(&row.market_slug)),
        ("action", cell(&row.action)),
        ("old_actual_outcome", cell(&row.actual_outcome)),
        ("old_profit_loss", cell(&row.profit_loss)),
        ("old_is_win", cell(&row.is_win)),
        ("old_fee_paid", row.fee_paid.as_ref().map_or(no_fee, cell)),
        ("new_actual_outcome", cell(outcome)),
        ("new_profit_loss", cell(profit)),
        ("new_is_win", cell(is_win)),
        ("new_fee_paid", cell(fee)),
    ]
}

/// The window, the rule epoch, and the bet.
fn of_market(bet: Option<&Bet>) -> [Column<'_>; 5] {
    [
        ("epoch", word(bet.map(|bet| bet.market.epoch))),
        ("window_open", text(bet.map(|bet| bet.market.open))),
        ("window_close", text(bet.map(|bet| bet.market.close))),
        ("position_size", text(bet.map(|bet| bet.position))),
        ("executed_price", text(bet.map(|bet| bet.price))),
    ]
}

fn of_prices(measured: Option<&Measured>) -> [Column<'_>; 10] {
    let quoted = measured.map(|measured| &measured.prices);
    let open = quoted.and_then(|quoted| quoted.open.as_ref());
    let doubts = measured.filter(|measured| !measured.doubts.is_empty()).map(|measured| {
        let names: Vec<&str> = measured.doubts.iter().map(|doubt| doubt.name()).collect();
        names.join(" ")
    });
    [
        ("strike", text(measured.map(|measured| measured.strike))),
        ("strike_source", word(measured.map(|measured| measured.strike_source))),
        ("strike_doubts", text(doubts)),
        ("price_source", word(quoted.map(|quoted| quoted.source.as_str()))),
        ("open_price", text(open.map(|open| open.price))),
        ("open_method", text(open.map(|open| open.method))),
        ("close_price", text(quoted.map(|quoted| quoted.close.price))),
        ("close_method", text(quoted.map(|quoted| quoted.close.method))),
        ("margin_bps", text(measured.and_then(|measured| measured.margin))),
        ("moved_bps", text(measured.and_then(|measured| measured.moved))),
    ]
}

fn of_money<'a>(settlement: &Settlement) -> [Column<'a>; 6] {
    let money = settlement.money();
    let fee = settlement.fee();
    let taken = fee.map(|fee| match fee.taken {
        Taken::InShares => IN_SHARES,
        Taken::Added => "added to the spend",
    });
    [
        ("shares", text(money.map(|money| money.shares))),
        ("payout", text(money.map(|money| money.payout))),
        ("cost", text(money.map(|money| money.cost))),
        ("fee", text(fee.map(|fee| fee.dollars))),
        ("fee_taken", word(taken)),
        ("profit", text(Some(settlement.profit()))),
    ]
}

fn word(word: Option<&str>) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(word.map_or(ValueRef::Null, |word| ValueRef::Text(word.as_bytes())))
}

/// Prices, money and instants are stored as text, with all their digits.
fn text<'a>(value: Option<impl Display>) -> ToSqlOutput<'a> {
    ToSqlOutput::Owned(value.map_or(Value::Null, |value| Value::Text(value.to_string())))
}

fn cell(cell: &Cell) -> ToSqlOutput<'_> {
    cell.into()
}
