//! The report as one JSON object, or as CSV with a line per group. `guide/json.md` documents the
//! names that both use.

use rust_decimal::Decimal;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::commands::report::Report;
use crate::commands::report::format::DAYS;
use crate::output::json::{ErrorJson, SCHEMA_VERSION};
use crate::rules::statistics::course::{Fall, WeekHour};
use crate::rules::statistics::unfilled::SignalResults;
use crate::rules::statistics::{Breakdown, Brier, Figures, Group, Slippage, UncountedFees};
use crate::rules::text::no_formula;
use crate::rules::units::Usd;
use crate::rules::value::Cell;

/// Values by name, in output order.
#[derive(Default)]
struct Values(Vec<(&'static str, Box<RawValue>)>);

impl Values {
    fn add(&mut self, name: &'static str, value: impl Serialize) -> serde_json::Result<()> {
        self.0.push((name, to_raw_value(&value)?));
        Ok(())
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A decimal as a number without trailing zeros.
fn plain(number: Decimal) -> Usd {
    Usd(number.normalize())
}

fn dollars(amount: Option<Usd>) -> Option<Usd> {
    amount.map(|amount| plain(amount.0))
}

fn figures(values: &mut Values, figures: &Figures) -> serde_json::Result<()> {
    let streaks = figures.streaks;
    let interval = figures.interval();
    values.add("settled_count", figures.settled)?;
    values.add("wins", figures.wins)?;
    values.add("losses", figures.losses)?;
    values.add("split_count", figures.split)?;
    values.add("unknown_count", figures.unknown)?;
    values.add("win_rate", figures.win_rate())?;
    values.add("win_rate_low", interval.map(|(low, _)| low))?;
    values.add("win_rate_high", interval.map(|(_, high)| high))?;
    values.add("average_price", figures.average_price.map(plain))?;
    values.add("total_profit", figures.total_profit)?;
    values.add("average_profit", dollars(figures.average_profit))?;
    values.add("median_profit", dollars(figures.median_profit))?;
    values.add("best_profit", dollars(figures.best.map(|best| best.profit)))?;
    values.add("worst_profit", dollars(figures.worst.map(|worst| worst.profit)))?;
    values.add("profit_factor", figures.profit_factor().map(plain))?;
    values.add("max_drawdown", dollars(figures.drawdown.amount))?;
    values.add("drawdown_from", figures.drawdown.from)?;
    values.add("drawdown_to", figures.drawdown.to)?;
    values.add("total_stake", dollars(figures.cost))?;
    values.add("decided_count", figures.decided)?;
    values.add("decided_profit", figures.decided_profit)?;
    values.add("decided_average_profit", figures.decided_average)?;
    values.add("return_on_stake", figures.return_on_stake().map(plain))?;
    values.add("current_streak", streaks.current.map_or(0, |(_, length)| length))?;
    values.add("current_streak_is_wins", streaks.current.map(|(won, _)| won))?;
    values.add("longest_win_streak", streaks.longest_wins)?;
    values.add("longest_loss_streak", streaks.longest_losses)
}

fn group(group: &Group) -> serde_json::Result<Values> {
    let mut values = Values::default();
    values.add("key", &group.key)?;
    figures(&mut values, &group.figures)?;
    Ok(values)
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub fn json(report: &Report) -> serde_json::Result<String> {
    let mut values = Values::default();
    values.add("schema_version", SCHEMA_VERSION)?;
    values.add("command", "report")?;
    values.add("now", report.now)?;
    values.add("since", report.filter.since)?;
    values.add("before", report.filter.before)?;
    values.add("last", report.filter.last)?;
    values.add("trades_count", report.count())?;
    values.add("pending_count", report.pending.count)?;
    values.add("held_count", report.pending.held.len())?;
    values.add("error_count", report.pending.errors.len())?;
    figures(&mut values, &report.figures)?;
    values.add("best_trade_id", report.id_of(report.figures.best).map(Cell::json))?;
    values.add("worst_trade_id", report.id_of(report.figures.worst).map(Cell::json))?;
    values.add("slippage", report.slippage.map(slippage).transpose()?)?;
    values.add("brier", report.brier.map(brier).transpose()?)?;
    values.add("fees_not_counted", report.uncounted_fees.map(fees).transpose()?)?;
    let falls = report.falls.iter().map(fall).collect::<serde_json::Result<Vec<_>>>()?;
    values.add("longest_drawdowns", falls)?;
    let signals = report.signals.iter().map(signals).collect::<serde_json::Result<Vec<_>>>()?;
    values.add("filled_and_unfilled", signals)?;
    let week = report.hours_of_week();
    values.add("hours_of_week", week.as_ref().map(hours).transpose()?)?;
    values.add("deleted_count", report.deleted)?;
    values.add("self_reflection", self_reflection(report)?)?;
    let mut by = Values::default();
    for Breakdown { by: dimension, groups } in &report.breakdowns {
        let groups = groups.iter().map(group).collect::<serde_json::Result<Vec<_>>>()?;
        by.add(dimension.key(), groups)?;
    }
    values.add("by", by)?;
    let errors: Vec<ErrorJson> = report.pending.errors.iter().map(ErrorJson::from).collect();
    values.add("errors", errors)?;
    serde_json::to_string(&values)
}

fn slippage(slippage: Slippage) -> serde_json::Result<Values> {
    let Slippage { count, dollars, paid, logged } = slippage;
    let mut values = Values::default();
    values.add("count", count)?;
    values.add("dollars", plain(dollars.0))?;
    values.add("paid_price", plain(paid))?;
    values.add("logged_price", plain(logged))?;
    Ok(values)
}

fn brier(brier: Brier) -> serde_json::Result<Values> {
    let mut values = Values::default();
    values.add("count", brier.count)?;
    values.add("confidence", brier.confidence)?;
    values.add("price", brier.price)?;
    values.add("difference_low", brier.difference.map(|(low, _)| low))?;
    values.add("difference_high", brier.difference.map(|(_, high)| high))?;
    Ok(values)
}

fn fees(fees: UncountedFees) -> serde_json::Result<Values> {
    let mut values = Values::default();
    values.add("count", fees.count)?;
    values.add("dollars", plain(fees.dollars.0))?;
    Ok(values)
}

fn fall(fall: &Fall) -> serde_json::Result<Values> {
    let mut values = Values::default();
    values.add("amount", plain(fall.amount.0))?;
    values.add("from", fall.from)?;
    values.add("lowest", fall.lowest)?;
    values.add("until", fall.until)?;
    values.add("trades", fall.trades)?;
    Ok(values)
}

fn signals(signals: &SignalResults) -> serde_json::Result<Values> {
    let mut values = Values::default();
    values.add("key", signals.key)?;
    values.add("count", signals.count)?;
    values.add("wins", signals.wins)?;
    values.add("win_rate", signals.win_rate())?;
    values.add("average_price", signals.average_price.map(plain))?;
    Ok(values)
}

/// The hours of the week with trades.
fn hours(week: &[[WeekHour; 24]; 7]) -> serde_json::Result<Vec<Values>> {
    let days = week.iter().zip(DAYS);
    let hours = days.flat_map(|(hours, day)| hours.iter().zip(0u8..).map(move |it| (day, it)));
    let shown = hours.filter(|(_, (of, _))| of.count > 0).map(|(day, (of, hour))| {
        let mut values = Values::default();
        values.add("weekday", day)?;
        values.add("hour", format!("{hour:02}"))?;
        values.add("count", of.count)?;
        values.add("wins", of.wins)?;
        values.add("profit", plain(of.profit))?;
        Ok(values)
    });
    shown.collect()
}

fn self_reflection(report: &Report) -> serde_json::Result<Values> {
    let (reflection, triggers) = (&report.reflection, report.triggers);
    let mut values = Values::default();
    values.add("three_losses", triggers.three_losses)?;
    values.add("tenth_trade", triggers.tenth_trade)?;
    values.add("end_of_day", triggers.end_of_day)?;
    values.add("consecutive_losses", reflection.consecutive_losses)?;
    values.add("counted_trades", reflection.counted)?;
    values.add("trades_until_tenth", reflection.until_tenth())?;
    values.add("day", reflection.day.map(|day| day.to_string()))?;
    values.add("day_counted_trades", reflection.counted_that_day)?;
    values.add("day_pending_trades", reflection.pending_that_day)?;
    Ok(values)
}

/// Figures of all trades and of each group, one line each, after a header line. A missing value is
/// empty.
///
/// # Errors
/// None in practice; the type is the writer's.
pub fn csv(report: &Report) -> std::io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut all = Values::default();
    figures(&mut all, &report.figures)?;
    let names = all.0.iter().map(|(name, _)| *name);
    writer.write_record(["group_by", "key"].into_iter().chain(names))?;
    let mut line = |by: &str, key: &str, values: &Values| {
        // none of these texts needs an escape in JSON
        let shown = values.0.iter().map(|(_, value)| match value.get() {
            "null" => "",
            other => other.trim_matches('"'),
        });
        writer.write_record([by, key].into_iter().chain(shown))
    };
    line("all", "", &all)?;
    for Breakdown { by, groups } in &report.breakdowns {
        for one in groups {
            let mut values = Values::default();
            figures(&mut values, &one.figures)?;
            line(by.key(), &no_formula(one.key.as_deref().unwrap_or("(none)")), &values)?;
        }
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}
