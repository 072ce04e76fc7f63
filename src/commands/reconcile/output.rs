//! Output of `reconcile` as text. It decides nothing; `json` has the JSON output.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::commands::reconcile::Report;
use crate::engine::effect::BotFigures;
use crate::engine::reconcile::{Compared, Reconciliation, State};
use crate::engine::sizes::Sizes;
use crate::output::style::{CAUTION, STRONG, bare, errors, line, styled, whole_line};
use crate::rules::decision::is_same_but_for_rounding;
use crate::rules::fill::WalletSays;
use crate::rules::logged::SizeHolds;
use crate::rules::selection::Named;
use crate::rules::text::{printable, printable_line};
use crate::rules::units::{self, UnixSeconds, Usd, counted, shown};

/// The states of a trade that the wallet has a fill for.
pub(super) const FILLED: [State; 2] = [State::Filled, State::Sold];
/// Trades and rows of the wallet that the text names.
const SHOWN: usize = 5;

fn signed(dollars: Decimal) -> String {
    Usd(dollars).cents()
}

fn plain(dollars: Decimal) -> String {
    shown(dollars, 2)
}

pub fn text(report: &Report, title: &str) -> String {
    let mut text = String::new();
    let run = report.run_id.as_deref().unwrap_or("nothing was written");
    line(&mut text, format_args!("{} · {title} · {run}", styled(STRONG, "settle reconcile")));
    for warning in &report.warnings {
        line(
            &mut text,
            format_args!("{} {}", styled(CAUTION, "Warning:"), printable_line(warning)),
        );
    }
    let Some(found) = &report.found else {
        let why = report.unreadable.as_deref().unwrap_or_default();
        line(&mut text, format_args!("Nothing was compared: {}", printable_line(why)));
        line(&mut text, format_args!("Next: settle doctor, which checks the wallet"));
        return text;
    };
    let (log, real) = (found.sum(|trade| trade.log_profit), found.sum(|trade| trade.real_profit));
    if !found.needs_a_look()
        && found.count(&[State::NotFilled]) == 0
        && is_same_but_for_rounding(log, real)
    {
        let profit = signed(real);
        let trades = counted(&found.count(&FILLED), "trade", "trades");
        match found.count(&FILLED) {
            0 => line(&mut text, format_args!("No trade to compare.")),
            _ => line(&mut text, format_args!("Log and wallet agree: {trades}, {profit} dollars.")),
        }
    } else {
        table(&mut text, found);
    }
    notes(&mut text, found, report.sizes.as_ref());
    for (name, left, what) in [
        ("Left", &report.left, "unlike the wallet until Polymarket resolves the market".to_owned()),
        (
            "Ignored",
            &report.ignored,
            format!(
                "unlike the wallet; settle ignore --remove {} ends that",
                report.ignored.arguments()
            ),
        ),
    ] {
        if left.count > 0 {
            line(&mut text, format_args!("{name:<13}{}: {what}", trades(left)));
        }
    }
    text.push_str(&errors(&report.errors));
    last_lines(&mut text, report);
    text
}

fn table(text: &mut String, found: &Reconciliation) {
    let size = |trade: &Compared| trade.row.position_size.any_number();
    line(
        text,
        format_args!("{:<13}{:>7}{:>12}{:>12}{:>12}", "", "Trades", "Spent", "Received", "Profit"),
    );
    // a trade whose outcome is not known has no profit yet
    let is_decided = |trade: &&Compared| trade.state.is_known() && trade.log_profit.is_some();
    let known = found.trades.iter().filter(is_decided).count();
    let logged = found.sum(|trade| trade.log_profit.and(size(trade)));
    let log_profit = found.sum(|trade| trade.log_profit);
    let received = logged.saturating_add(log_profit);
    line(
        text,
        format_args!(
            "{:<13}{:>7}{:>12}{:>12}{:>12}",
            "Log",
            units::count(&known),
            plain(logged),
            plain(received),
            signed(log_profit)
        ),
    );
    let profit = found.sum(|trade| trade.real_profit);
    let received = found.sum(|trade| Some(trade.received));
    line(
        text,
        format_args!(
            "{:<13}{:>7}{:>12}{:>12}{:>12}",
            "Wallet",
            units::count(&found.count(&FILLED)),
            plain(found.spent()),
            plain(received),
            signed(profit)
        ),
    );
    // where all are of one kind, the lines above have the numbers
    let is_never =
        |trade: &&Compared| trade.state == State::NotFilled && trade.log_profit.is_some();
    let never = found.trades.iter().filter(is_never).count();
    if never > 0 && found.count(&FILLED) > 0 {
        let [log, filled] = [&[State::NotFilled][..], &FILLED].map(|states| {
            let of = |trade: &Compared| trade.log_profit.filter(|_| states.contains(&trade.state));
            signed(found.sum(of))
        });
        let never = units::count(&never);
        line(text, format_args!("{:<13}{never:>7}   {log} in the log, 0.00 real", "Never filled"));
        line(text, format_args!("{:<23}{filled} in the log", "Filled"));
    }
    let mut worst: Vec<&Compared> = found.trades.iter().filter(|trade| trade.differs).collect();
    let gap = |trade: &Compared| {
        let booked = trade.booked_profit().unwrap_or_default();
        booked.saturating_sub(trade.real_profit.unwrap_or_default()).abs()
    };
    worst.sort_by_key(|trade| std::cmp::Reverse(gap(trade)));
    for trade in worst.iter().take(SHOWN) {
        let booked = trade.booked_profit().map_or_else(|| "nothing".to_owned(), signed);
        let real = trade.real_profit.map_or_else(|| "not known".to_owned(), signed);
        let id = bare(&trade.row.id);
        line(
            text,
            format_args!("Differs      booked {booked}, wallet {real}: settle explain {id}"),
        );
    }
    if worst.len() > SHOWN {
        let more = units::count(&(worst.len() - SHOWN));
        line(text, format_args!("             and {more} more"));
    }
}

fn notes(text: &mut String, found: &Reconciliation, sizes: Option<&Sizes>) {
    for ((why, then), (named, until)) in waits(found) {
        let then = until.map_or_else(|| then.to_owned(), |at| format!("compared from {at} on"));
        line(text, format_args!("Waiting      {}: {why}; {then}", trades(&named)));
    }
    if let Some(sizes) = sizes.filter(|sizes| sizes.holds != SizeHolds::Unknown) {
        line(text, format_args!("Sizes        {}", sizes.in_words(true)));
        if let Some(setting) = &sizes.line {
            whole_line(text, format_args!("  {setting}"));
        }
    }
    if !found.unattributed.is_empty() {
        let (one, several) = ("row of the wallet belongs", "rows of the wallet belong");
        let rows = counted(&found.unattributed.len(), one, several);
        line(text, format_args!("Not assigned {rows} to no trade:"));
        for (row, why) in found.unattributed.iter().take(SHOWN) {
            let name = printable(&row.name);
            let (shares, dollars) = (row.shares, plain(row.dollars));
            line(
                text,
                format_args!("  {} {name}: {shares} shares, {dollars} dollars: {why}", row.at),
            );
        }
        if found.unattributed.len() > SHOWN {
            let more = units::count(&(found.unattributed.len() - SHOWN));
            line(text, format_args!("  and {more} more; --json lists them"));
        }
    }
    let unclaimed = found.unclaimed.iter().map(|(_, dollars)| *dollars).sum::<Decimal>();
    if !unclaimed.is_zero() {
        let markets = counted(&found.unclaimed.len(), "market", "markets");
        let dollars = plain(unclaimed);
        line(
            text,
            format_args!("Unclaimed    {dollars} dollars in {markets}: redeem them on Polymarket"),
        );
    }
    if let Some(cash) = &found.cash {
        let mut sum =
            format!("deposited {} {} trades", plain(cash.deposited), with_sign(cash.trades));
        for (what, dollars) in [
            ("other income", cash.other_income),
            ("withdrawn", -cash.withdrawn),
            ("open", -cash.open_cost),
        ] {
            if !dollars.is_zero() {
                sum.push_str(&format!(" {} {what}", with_sign(dollars)));
            }
        }
        let expected = plain(cash.expected);
        line(text, format_args!("Cash         {sum} = {expected}: Polymarket should show this"));
    }
}

/// Trades that wait, with the earliest time at which one of them is compared.
type Waits = (Named, Option<UnixSeconds>);

/// The trades that wait for the wallet, by the reason and what follows from it.
fn waits(found: &Reconciliation) -> BTreeMap<(&'static str, &'static str), Waits> {
    let mut waits: BTreeMap<_, Waits> = BTreeMap::new();
    for trade in &found.trades {
        let says = found.records.0.get(&trade.row.rowid).map(|record| record.says);
        let Some((says, why)) = says.and_then(|says| Some((says, says.why_it_waits()?))) else {
            continue;
        };
        let then = match says {
            WalletSays::NotCovered => "give a longer one",
            _ => "its result stays",
        };
        let (named, until) = waits.entry((why, then)).or_default();
        named.add(&trade.row.id);
        *until =
            until.iter().copied().chain(trade.closed.and_then(|at| says.waits_until(at))).min();
    }
    waits
}

/// `trade 6`, `trades 6, 7 and 3 more`.
fn trades(named: &Named) -> String {
    let noun = if named.count == 1 { "trade" } else { "trades" };
    format!("{noun} {}", named.ids(SHOWN))
}

/// A number with its sign before a blank, for a sum.
fn with_sign(dollars: Decimal) -> String {
    let sign = if dollars.is_sign_negative() { '−' } else { '+' };
    format!("{sign} {}", plain(dollars.abs()))
}

fn last_lines(text: &mut String, report: &Report) {
    let (corrected, emptied) = (report.to_correct.len(), report.to_empty.len());
    let Some([before, after]) = &report.effect else {
        if report.run_id.is_some() {
            line(text, format_args!("Nothing to book"));
        }
        return;
    };
    let change = signed(after.profit.saturating_sub(before.profit));
    let rate = |figures: &BotFigures| {
        figures
            .win_rate()
            .map_or_else(|| "none".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
    };
    let trades = counted(&after.counted, "trade", "trades");
    line(
        text,
        format_args!(
            "Bot sees     {trades} (was {}), win rate {} (was {})",
            units::count(&before.counted),
            rate(after),
            rate(before)
        ),
    );
    line(
        text,
        format_args!(
            "             profit {} (was {}), losses in a row {} (was {})",
            signed(after.profit),
            signed(before.profit),
            after.losses_in_a_row,
            before.losses_in_a_row
        ),
    );
    if report.run_id.is_some() {
        let (corrected, emptied) = (report.corrected, report.emptied);
        line(
            text,
            format_args!(
                "Booked: {corrected} corrected, {emptied} emptied, profit {change}; settle undo last takes \
                 it back"
            ),
        );
    } else {
        line(
            text,
            format_args!(
                "Next: settle reconcile --apply ({corrected} corrected, {emptied} emptied, profit \
                 {change}; undo takes it back)"
            ),
        );
    }
}
