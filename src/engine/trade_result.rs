//! Result of one trade in a run, for listing, logging and counting. Pure; `summary` counts.

use crate::rules::decision::{DeferReason, Deferral};
use crate::rules::eligibility::{Bet, Row};
use crate::rules::outcome::Outcome;
use crate::rules::price::Source;
use crate::rules::settlement::{Case, Settlement, Status};
use crate::rules::strike::Doubt;
use crate::rules::units::{Bps, BtcPrice, UnixSeconds, Usd};
use crate::rules::value::Cell;

/// Reason of a row that another program changed.
pub(crate) const CHANGED: &str = "changed by another program during the run; settle left it alone";

/// How a trade ended in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Settled; in a dry run, would be settled.
    Settled(Status),
    /// Settled by an earlier run; Polymarket's resolution confirmed or corrected it.
    LookedAtAgain(Status),
    /// Left for a later run, with the reason.
    Pending(DeferReason),
    /// A close call held for Polymarket's resolution.
    Held,
    /// Another program settled or changed the row during the run; settle left it alone.
    Changed,
}

impl Ending {
    /// Name in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settled(status) | Self::LookedAtAgain(status) => status.as_str(),
            Self::Pending(_) => "pending",
            Self::Held => "held",
            Self::Changed => "changed",
        }
    }
}

/// One trade of a run and its result.
#[derive(Debug, Clone)]
pub struct TradeResult {
    /// The row as the run read it.
    pub row: Row,
    /// How the trade ended.
    pub ending: Ending,
    /// Why the trade was left.
    pub reason: Option<String>,
    /// The earliest time of the next attempt at a trade that was left.
    pub next_try: Option<UnixSeconds>,
    /// The market's outcome; `None` while pending.
    pub outcome: Option<Outcome>,
    /// Win or loss; `None` for neither.
    pub is_win: Option<bool>,
    /// Profit in dollars; negative for a loss.
    pub profit: Option<Usd>,
    /// The bet; `None` if no market could be read.
    pub bet: Option<Bet>,
    /// The strike used, or else the recorded one.
    pub strike: Option<BtcPrice>,
    /// Price at the market's close.
    pub close_price: Option<BtcPrice>,
    /// Source of the close price.
    pub price_source: Option<Source>,
    /// Distance from the strike to the close price, in bps.
    pub margin: Option<Bps>,
    /// The venue's move in the window, in bps.
    pub moved: Option<Bps>,
    /// The venue's move in bps, if Polymarket's resolution contradicts it.
    pub contradicted_move: Option<Bps>,
    /// Whether candles decided a close call, where they are often wrong.
    pub close_call: bool,
    /// Doubts about the recorded strike.
    pub doubts: Vec<Doubt>,
    /// The earlier outcome that was corrected.
    pub corrected_from: Option<Cell>,
    /// Whether an earlier run settled the trade.
    pub settled_before: bool,
}

impl TradeResult {
    /// When the market closed; `None` if only Polymarket knows the window.
    pub fn close_time(&self) -> Option<UnixSeconds> {
        self.bet.filter(|bet| bet.market.has_window()).map(|bet| bet.market.close)
    }

    /// Whether the trade has no fill, and is booked with profit 0.
    pub fn is_not_filled(&self) -> bool {
        self.bet.is_some_and(|bet| bet.paid.shares.0.is_zero())
    }

    /// `done` is false if the row had changed before the write.
    pub(crate) fn of_settlement(settlement: Settlement, done: bool) -> Self {
        let bet = settlement.bet().copied();
        let measured = settlement.measured();
        let earlier = settlement.earlier();
        let ending = match (done, earlier) {
            (false, _) => Ending::Changed,
            (true, None) => Ending::Settled(settlement.status()),
            (true, Some(_)) => Ending::LookedAtAgain(settlement.status()),
        };
        let corrected = done && settlement.status() == Status::Corrected;
        Self {
            ending,
            reason: (!done).then(|| CHANGED.to_owned()),
            next_try: None,
            outcome: done.then_some(settlement.outcome()),
            is_win: settlement.is_win().filter(|_| done),
            profit: done.then_some(settlement.profit()),
            bet,
            strike: measured
                .map(|measured| measured.strike)
                .or_else(|| earlier.and_then(|earlier| earlier.strike))
                .or_else(|| bet.and_then(|bet| bet.recorded_strike)),
            close_price: measured
                .map(|measured| measured.prices.close.price)
                .or_else(|| earlier.and_then(|earlier| earlier.close_price)),
            price_source: measured
                .map(|measured| measured.prices.source)
                .or_else(|| earlier.and_then(|earlier| earlier.source)),
            margin: measured
                .and_then(|measured| measured.margin)
                .or_else(|| earlier.and_then(|earlier| earlier.margin)),
            moved: settlement.moved(),
            contradicted_move: settlement.contradicted_move(),
            close_call: done && is_close(&settlement),
            doubts: measured.map(|measured| measured.doubts.clone()).unwrap_or_default(),
            corrected_from: corrected.then(|| settlement.trade.row.actual_outcome.clone()),
            settled_before: earlier.is_some(),
            row: settlement.trade.row,
        }
    }

    pub(crate) fn of_deferral(deferral: Deferral, next_try: UnixSeconds) -> Self {
        let bet = Some(deferral.trade.bet);
        let measured = deferral.measured.as_ref();
        Self {
            ending: match deferral.left {
                DeferReason::Held => Ending::Held,
                left => Ending::Pending(left),
            },
            bet,
            reason: Some(deferral.reason),
            next_try: Some(next_try),
            outcome: None,
            is_win: None,
            profit: None,
            strike: measured
                .map(|measured| measured.strike)
                .or_else(|| bet.and_then(|bet| bet.recorded_strike)),
            close_price: measured.map(|measured| measured.prices.close.price),
            price_source: measured.map(|measured| measured.prices.source),
            margin: measured.and_then(|measured| measured.margin),
            moved: measured.and_then(|measured| measured.moved),
            contradicted_move: None,
            close_call: false,
            doubts: measured.map(|measured| measured.doubts.clone()).unwrap_or_default(),
            corrected_from: None,
            settled_before: false,
            row: deferral.trade.row,
        }
    }
}

/// Whether candles decided the settlement although it is a close call.
fn is_close(settlement: &Settlement) -> bool {
    match &settlement.case {
        Case::Provisional { measured, .. } => measured.close_call.is_some(),
        _ => false,
    }
}
