//! JSON output of `reconcile`, as `guide/json.md` documents it. Fields are only ever added.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use crate::commands::reconcile::Report;
use crate::commands::reconcile::output::FILLED;
use crate::engine::effect::BotFigures;
use crate::engine::reconcile::{Compared, Reconciliation, State};
use crate::output::json::{ErrorJson, OfSeveral, SCHEMA_VERSION};
use crate::rules::units::{UnixSeconds, Usd};

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
