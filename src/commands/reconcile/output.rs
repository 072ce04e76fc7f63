//! Output of `reconcile` as text and as JSON. It decides nothing.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use crate::commands::reconcile::Report;
use crate::engine::effect::BotFigures;
use crate::engine::reconcile::{Compared, Reconciliation, State};
use crate::engine::sizes::Sizes;
use crate::output::json::{ErrorJson, OfSeveral, SCHEMA_VERSION};
use crate::output::style::{CAUTION, STRONG, bare, errors, line, styled, whole_line};
use crate::rules::decision::is_same_but_for_rounding;
use crate::rules::logged::SizeHolds;
use crate::rules::selection::Named;
use crate::rules::text::{printable, printable_line};
use crate::rules::units::{self, UnixSeconds, Usd, counted, shown};

/// The states of a trade that the wallet has a fill for.
const FILLED: [State; 2] = [State::Filled, State::Sold];
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
        line(&mut text, format_args!("The wallet cannot be read. Nothing was compared."));
        line(&mut text, format_args!("  {}", printable_line(why)));
        return text;
    };
    let (log, real) = (found.sum(|trade| trade.log_profit), found.sum(|trade| trade.real_profit));
    if !found.needs_a_look()
        && found.count(&[State::NotFilled]) == 0
        && is_same_but_for_rounding(log, real)
    {
        let profit = signed(real);
        let trades = counted(&found.count(&FILLED), "trade", "trades");
        line(&mut text, format_args!("Log and wallet agree: {trades}, {profit} dollars."));
    } else {
        table(&mut text, found);
    }
    notes(&mut text, found, report.sizes.as_ref());
    if report.left.count > 0 {
        let (left, ids) = (counted(&report.left.count, "trade", "trades"), report.left.ids(SHOWN));
        let what = "unlike the wallet, not resolved yet or ignored";
        line(&mut text, format_args!("Left         {left} {what}: {ids}"));
    }
    text.push_str(&errors(&report.errors));
    last_lines(&mut text, report);
    text
}

fn table(text: &mut String, found: &Reconciliation) {
    let of = |states: &'static [State], sum: fn(&Compared) -> Option<Decimal>| {
        found.sum(|trade| sum(trade).filter(|_| states.contains(&trade.state)))
    };
    let size = |trade: &Compared| trade.row.position_size.any_number();
    let filled: &'static [State] = &FILLED;
    let not_filled: &'static [State] = &[State::NotFilled];
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
    let rows = [("Never filled", not_filled), ("Filled", filled)];
    for (name, states) in rows {
        let (log, real) =
            (of(states, |trade| trade.log_profit), of(states, |trade| trade.real_profit));
        let count = units::count(&found.count(states));
        let (log, real) = (signed(log), signed(real));
        line(text, format_args!("{name:<13}{count:>7}   {log} in the log, {real} real"));
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
    for (state, what) in [
        (State::NotCovered, "outside the wallet's reading, or closed a moment ago"),
        (State::Ambiguous, "with fills that cannot be told apart"),
    ] {
        let mut named = Named::default();
        let trades = found.trades.iter().filter(|trade| trade.state == state);
        trades.for_each(|trade| named.add(&trade.row.id));
        if named.count > 0 {
            let trades = counted(&named.count, "trade", "trades");
            line(text, format_args!("Waiting      {trades} {what}: {}", named.ids(SHOWN)));
        }
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
        line(text, format_args!("Not assigned {rows} to no trade"));
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
        line(text, format_args!("Unclaimed    {} dollars in {markets}", plain(unclaimed)));
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

#[derive(Serialize)]
struct ReconcileJson<'a> {
    schema_version: u32,
    command: &'static str,
    #[serde(flatten)]
    of: Option<&'a OfSeveral<'a>>,
    run_id: Option<&'a str>,
    covered_from: Option<UnixSeconds>,
    covered_until: Option<UnixSeconds>,
    row_count: usize,
    filled_count: usize,
    unfilled_count: usize,
    fill_count: usize,
    log_profit: Option<Usd>,
    wallet_profit: Option<Usd>,
    wallet_spent: Option<Usd>,
    size_means: Option<&'static str>,
    markets: Vec<MarketJson<'a>>,
    trades: Vec<TradeJson<'a>>,
    unattributed: Vec<StrayJson<'a>>,
    unclaimed: Vec<UnclaimedJson<'a>>,
    other_income: Option<Usd>,
    cash: Option<CashJson>,
    effect: Option<EffectJson>,
    applied_count: usize,
    warnings: Vec<&'a String>,
    errors: Vec<ErrorJson>,
}

#[derive(Serialize)]
struct EffectJson {
    corrected_count: usize,
    emptied_count: usize,
    before: FiguresJson,
    after: FiguresJson,
}

#[derive(Serialize)]
struct FiguresJson {
    counted: u64,
    win_rate: Option<f64>,
    total_profit: Usd,
    consecutive_losses: u64,
}

impl From<&BotFigures> for FiguresJson {
    fn from(figures: &BotFigures) -> Self {
        Self {
            counted: figures.counted,
            win_rate: figures.win_rate(),
            total_profit: Usd(figures.profit),
            consecutive_losses: figures.losses_in_a_row,
        }
    }
}

#[derive(Serialize)]
struct MarketJson<'a> {
    market_slug: &'a str,
    log_profit: Option<Usd>,
    wallet_profit: Option<Usd>,
    spent: Usd,
    received: Usd,
    state: &'static str,
}

#[derive(Serialize)]
struct TradeJson<'a> {
    trade_id: Value,
    market_slug: &'a str,
    action: Value,
    state: &'static str,
    logged_size: Value,
    logged_price: Value,
    shares: Option<Usd>,
    cost: Option<Usd>,
    booked_profit: Value,
    real_profit: Option<Usd>,
}

#[derive(Serialize)]
struct StrayJson<'a> {
    market: &'a str,
    side: Option<&'static str>,
    shares: Usd,
    usdc: Usd,
    time: UnixSeconds,
    reason: &'a str,
}

#[derive(Serialize)]
struct UnclaimedJson<'a> {
    market_slug: &'a str,
    usdc: Usd,
}

#[derive(Serialize)]
struct CashJson {
    deposited: Usd,
    withdrawn: Usd,
    trades: Usd,
    other_income: Usd,
    open_cost: Usd,
    expected: Usd,
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub fn json(report: &Report, of: Option<&OfSeveral<'_>>) -> serde_json::Result<String> {
    let nothing = Reconciliation::default();
    let found = report.found.as_ref().unwrap_or(&nothing);
    let is_read = report.found.is_some();
    let usd = |dollars: Decimal| is_read.then_some(Usd(dollars));
    serde_json::to_string(&ReconcileJson {
        schema_version: SCHEMA_VERSION,
        command: "reconcile",
        of,
        run_id: report.run_id.as_deref(),
        covered_from: found.covered.map(|covered| covered.0),
        covered_until: found.covered.map(|covered| covered.1),
        row_count: found.trades.len(),
        filled_count: found.count(&FILLED),
        unfilled_count: found.count(&[State::NotFilled]),
        fill_count: found.fill_count,
        log_profit: usd(found.sum(|trade| trade.log_profit)),
        wallet_profit: usd(found.sum(|trade| trade.real_profit)),
        wallet_spent: usd(found.spent()),
        size_means: found.size_means,
        markets: markets(found),
        trades: found.trades.iter().map(trade_json).collect(),
        unattributed: found
            .unattributed
            .iter()
            .map(|(row, reason)| StrayJson {
                market: &row.name,
                side: row.side.map(|side| side.wins_on().as_str()),
                shares: Usd(row.shares),
                usdc: Usd(row.dollars),
                time: row.at,
                reason,
            })
            .collect(),
        unclaimed: found
            .unclaimed
            .iter()
            .map(|(market_slug, dollars)| UnclaimedJson { market_slug, usdc: Usd(*dollars) })
            .collect(),
        other_income: usd(found.other_income),
        cash: found.cash.as_ref().map(|cash| CashJson {
            deposited: Usd(cash.deposited),
            withdrawn: Usd(cash.withdrawn),
            trades: Usd(cash.trades),
            other_income: Usd(cash.other_income),
            open_cost: Usd(cash.open_cost),
            expected: Usd(cash.expected),
        }),
        effect: report.effect.as_ref().map(|[before, after]| EffectJson {
            corrected_count: report.to_correct.len(),
            emptied_count: report.to_empty.len(),
            before: before.into(),
            after: after.into(),
        }),
        applied_count: report.applied(),
        warnings: report.warnings.iter().chain(&report.unreadable).collect(),
        errors: report.errors.iter().map(ErrorJson::from).collect(),
    })
}

fn trade_json(trade: &Compared) -> TradeJson<'_> {
    let row = &trade.row;
    TradeJson {
        trade_id: row.id.json(),
        market_slug: &trade.market,
        action: row.action.json(),
        state: trade.state.as_str(),
        logged_size: row.position_size.json(),
        logged_price: row.executed_price.json(),
        shares: trade.position.map(|position| Usd(position.shares)),
        cost: trade.position.map(|position| Usd(position.cost)),
        booked_profit: row.profit_loss.json(),
        real_profit: trade.real_profit.map(Usd),
    }
}

/// The markets of the trades, in the order of their names.
fn markets(found: &Reconciliation) -> Vec<MarketJson<'_>> {
    let mut markets: BTreeMap<&str, Vec<&Compared>> = BTreeMap::new();
    for trade in &found.trades {
        markets.entry(&trade.market).or_default().push(trade);
    }
    let sum = |trades: &[&Compared], of: fn(&Compared) -> Option<Decimal>| {
        let known: Vec<Decimal> = trades.iter().filter_map(|trade| of(trade)).collect();
        (!known.is_empty())
            .then(|| Usd(known.into_iter().fold(Decimal::ZERO, Decimal::saturating_add)))
    };
    let market = |(market_slug, trades): (_, Vec<&Compared>)| {
        // a market is filled if any of its trades is; a sale says more, and so does a doubt
        let order = [State::Ambiguous, State::NotCovered, State::Sold, State::Filled];
        let has = |state: &State| trades.iter().any(|trade| trade.state == *state);
        let state = order.into_iter().find(has).unwrap_or(State::NotFilled);
        let spent = sum(&trades, |trade| Some(trade.position?.cost));
        MarketJson {
            market_slug,
            log_profit: sum(&trades, |trade| trade.log_profit),
            wallet_profit: sum(&trades, |trade| trade.real_profit),
            spent: spent.unwrap_or(Usd(Decimal::ZERO)),
            received: sum(&trades, |trade| Some(trade.received)).unwrap_or(Usd(Decimal::ZERO)),
            state: state.as_str(),
        }
    };
    markets.into_iter().map(market).collect()
}
