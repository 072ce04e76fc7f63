//! Names and formats of a report's figures, for text and page.

use rust_decimal::Decimal;

use crate::commands::report::Report;
use crate::rules::statistics::unfilled::SignalResults;
use crate::rules::statistics::{Brier, Dimension, Figures, Filter, Group, Slippage, UncountedFees};
use crate::rules::text::printable;
use crate::rules::units::{Usd, count, counted, rounded, shown, signed};

/// The days of the week, in the order of a week map.
pub(super) const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Describes which trades the report covers.
pub(super) fn what_it_is_of(filter: &Filter) -> String {
    let mut words = match filter.last {
        Some(last) => format!("the last {last} settled trades, and those pending,"),
        None => "all trades".to_owned(),
    };
    if let Some(since) = filter.since {
        words.push_str(&format!(" logged from {since}"));
    }
    if let Some(before) = filter.before {
        words.push_str(&format!(
            "{} before {before}",
            if filter.since.is_some() { "" } else { " logged" }
        ));
    }
    words
}

/// Sets of trades to compare: all, live and paper, confirmed and provisional.
pub(super) fn sets(report: &Report) -> Vec<(&str, &Figures)> {
    let apart = [Dimension::Mode, Dimension::Provenance].map(|by| report.groups(by));
    let apart = apart.into_iter().flatten();
    let apart = apart.filter_map(|group: &Group| Some((group.key.as_deref()?, &group.figures)));
    std::iter::once(("all", &report.figures)).chain(apart).collect()
}

/// Formats one figure of a set of trades.
pub(super) type Shown = fn(&Figures) -> String;

/// Headline figures: name and format.
pub(super) const FIGURES: [(&str, Shown); 20] = [
    ("Settled", |figures| count(&figures.settled)),
    ("Wins", |figures| count(&figures.wins)),
    ("Losses", |figures| count(&figures.losses)),
    ("Split", |figures| count(&figures.split)),
    ("Unknown", |figures| count(&figures.unknown)),
    ("Win rate", |figures| figures.win_rate().map_or_else(dash, percent)),
    ("95 % interval", |figures| interval(figures.interval())),
    ("Average price", |figures| figures.average_price.map_or_else(dash, price)),
    ("Profit", |figures| dollars(figures.profit())),
    ("Average profit", |figures| dollars(figures.average_profit)),
    ("Median profit", |figures| dollars(figures.median_profit)),
    ("Best profit", |figures| dollars(figures.best.map(|best| best.profit))),
    ("Worst profit", |figures| dollars(figures.worst.map(|worst| worst.profit))),
    ("Profit factor", |figures| figures.profit_factor().map_or_else(dash, two_places)),
    ("Largest drawdown", |figures| amount(figures.drawdown.amount)),
    ("Staked", |figures| amount(figures.cost)),
    ("Return on stake", |figures| figures.return_on_stake().map_or_else(dash, signed_percent)),
    ("Streak now", |figures| {
        figures.streaks.current.map_or_else(dash, |(won, length)| in_a_row(won, length))
    }),
    ("Longest of wins", |figures| count(&figures.streaks.longest_wins)),
    ("Longest of losses", |figures| count(&figures.streaks.longest_losses)),
];

/// Columns of a breakdown: name and format. The most important come first, as a phone shows only
/// those.
pub(super) const COLUMNS: [(&str, Shown); 9] = [
    ("settled", |figures| count(&figures.settled)),
    ("win rate", |figures| figures.win_rate().map_or_else(dash, percent)),
    ("profit", |figures| dollars(figures.profit())),
    ("wins", |figures| count(&figures.wins)),
    ("losses", |figures| count(&figures.losses)),
    ("95 % interval", |figures| interval(figures.interval())),
    ("avg price", |figures| figures.average_price.map_or_else(dash, price)),
    ("average", |figures| dollars(figures.average_profit)),
    ("return", |figures| figures.return_on_stake().map_or_else(dash, signed_percent)),
];

/// Compares a group's win rate with the prices paid.
pub(super) fn verdict(figures: &Figures) -> &'static str {
    match figures.beats_price() {
        Some(std::cmp::Ordering::Greater) => "better than paid for",
        Some(std::cmp::Ordering::Less) => "worse than paid for",
        Some(std::cmp::Ordering::Equal) => "as paid for, or too few trades",
        None => "",
    }
}

/// One sentence: whether the bot knows more than the market.
pub(super) fn brier_sentence(brier: &Brier) -> String {
    let meaning = match brier.error() {
        std::cmp::Ordering::Less => "the bot knew more than the market",
        std::cmp::Ordering::Greater => "the market knew more than the bot",
        std::cmp::Ordering::Equal => "these trades show no difference between bot and market",
    };
    let trades = counted(&brier.count, "trade", "trades");
    format!(
        "Brier score of {trades}: confidence {:.3}, price paid {:.3} (0 is perfect, a coin has 0.25): {meaning}.",
        brier.confidence, brier.price
    )
}

/// One sentence; `None` if no trade was deleted.
pub(super) fn deleted_sentence(count: usize) -> Option<String> {
    let trades = if count == 1 { "trade is" } else { "trades are" };
    (count > 0).then(|| {
        format!(
            "Deleted: {count} {trades} gone from the bot's table and counted by settle's records."
        )
    })
}

pub(super) fn fees_sentence(fees: &UncountedFees) -> String {
    format!("Fees not counted: about {} if every order was a taker's.", two_places(fees.dollars.0))
}

pub(super) fn slippage_sentence(slippage: &Slippage) -> String {
    let Slippage { count, dollars, paid, logged } = *slippage;
    let trades = counted(&count, "filled trade", "filled trades");
    format!(
        "Slippage: {trades} paid {} a share, logged {}: {} dollars more.",
        price(paid),
        price(logged),
        dollars.cents()
    )
}

/// One sentence: how often filled and unfilled signals won; `None` if all were filled.
pub(super) fn signals_sentence(signals: &[SignalResults]) -> Option<String> {
    let (filled, unfilled) = signals.split_first()?;
    let sum = |of: fn(&SignalResults) -> u64| unfilled.iter().map(of).sum::<u64>();
    let (count, wins) = (sum(|of| of.count), sum(|of| of.wins));
    let rate = percent(wins as f64 / count as f64);
    let own = filled.win_rate().map_or_else(dash, percent);
    let unfilled = counted(&count, "unfilled signal", "unfilled signals");
    Some(format!("Not filled: {unfilled} would have won {rate}; the filled trades won {own}."))
}

pub(super) fn name_of(key: Option<&str>) -> String {
    key.map_or_else(|| "(none)".to_owned(), printable)
}

/// Each trigger: name, whether it is due, and why.
pub(super) fn triggers(report: &Report) -> [(&'static str, bool, String); 3] {
    let (reflection, triggers) = (&report.reflection, report.triggers);
    let day = match (reflection.day, reflection.counted_that_day) {
        (None, _) => "no trade has a win or a loss yet".to_owned(),
        (Some(day), counted) => {
            let pending = reflection.pending_that_day;
            format!("{day}: {counted} won or lost, {pending} pending")
        }
    };
    let until = reflection.until_tenth();
    [
        (
            "Three losses in a row",
            triggers.three_losses,
            format!("{} in a row now", reflection.consecutive_losses),
        ),
        (
            "Each tenth trade",
            triggers.tenth_trade,
            format!("{} won or lost so far, {until} more until the next tenth", reflection.counted),
        ),
        ("End of day (UTC)", triggers.end_of_day, day),
    ]
}

/// Whether a formatted figure is a gain; `None` without a sign or at 0.
pub(super) fn sign_of(shown: &str) -> Option<bool> {
    let is_gain = match shown.chars().next() {
        Some('+') => true,
        Some('−') => false,
        _ => return None,
    };
    shown.contains(|digit| ('1'..='9').contains(&digit)).then_some(is_gain)
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

/// Formats a rate from 0 to 1 as percent.
pub(super) fn percent(rate: f64) -> String {
    format!("{:.1} %", rate * 100.0)
}

fn signed_percent(rate: Decimal) -> String {
    let percent = rate.checked_mul(Decimal::ONE_HUNDRED);
    percent.map_or_else(dash, |percent| format!("{} %", signed(percent, 1)))
}

pub(super) fn interval(interval: Option<(f64, f64)>) -> String {
    interval.map_or_else(dash, |(low, high)| format!("{:.1} - {:.1} %", low * 100.0, high * 100.0))
}

/// Dollars per share.
pub(super) fn price(price: Decimal) -> String {
    format!("{:.3}", rounded(price, 3))
}

pub(super) fn two_places(number: Decimal) -> String {
    shown(number, 2)
}

/// Dollars with a sign.
pub(super) fn dollars(amount: Option<Usd>) -> String {
    amount.map_or_else(dash, Usd::cents)
}

/// Dollars without a sign; never negative.
fn amount(amount: Option<Usd>) -> String {
    amount.map_or_else(dash, |amount| two_places(amount.0))
}

pub(super) fn in_a_row(won: bool, length: u64) -> String {
    let word = match (won, length) {
        (true, 1) => "win",
        (true, _) => "wins",
        (false, 1) => "loss",
        (false, _) => "losses",
    };
    format!("{length} {word}")
}
