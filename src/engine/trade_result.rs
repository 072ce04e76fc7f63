//! What became of one trade in a run, as it is listed, logged and counted. Pure; the counts are
//! `summary`'s.

use crate::rules::decision::{Booking, Deferral, DeferredFor, Status};
use crate::rules::eligibility::{Bet, Job, Row};
use crate::rules::outcome::Outcome;
use crate::rules::price::Source;
use crate::rules::strike::Doubt;
use crate::rules::units::{Bps, BtcPrice, UnixSeconds, Usd};
use crate::rules::value::Cell;

/// Why a row that another program changed was left.
pub(crate) const CHANGED: &str = "settled or changed by another program meanwhile; left alone";

/// What became of a trade in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Booked, or would be.
    Booked(Status),
    /// Settled by an earlier run; Polymarket's resolution is the same, or was put in its place.
    LookedAtAgain(Status),
    /// Left for a later run, and why.
    Pending(DeferredFor),
    /// A close call that waits for Polymarket.
    Held,
    /// The row was settled or changed by another program meanwhile: left alone.
    Changed,
}

impl Ending {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booked(status) | Self::LookedAtAgain(status) => status.as_str(),
            Self::Pending(_) => "pending",
            Self::Held => "held",
            Self::Changed => "changed",
        }
    }
}

/// One trade of the batch, as it is listed.
#[derive(Debug, Clone)]
pub struct TradeResult {
    /// The trade's row as it was read.
    pub row: Row,
    /// What became of it.
    pub ending: Ending,
    /// Why it is pending, in words.
    pub reason: Option<String>,
    /// Who won; none while pending.
    pub outcome: Option<Outcome>,
    /// Win, loss, or neither.
    pub is_win: Option<bool>,
    /// Dollars won or lost.
    pub profit: Option<Usd>,
    /// What was bet, on what; none where no market could be read.
    pub bet: Option<Bet>,
    /// The strike used, or recorded.
    pub strike: Option<BtcPrice>,
    /// The price at the close.
    pub close_price: Option<BtcPrice>,
    /// Where it is from.
    pub price_source: Option<Source>,
    /// How far the close lies from the strike.
    pub margin: Option<Bps>,
    /// How far the venue moved in the window.
    pub moved: Option<Bps>,
    /// The venue's move, where Polymarket's resolution contradicts it.
    pub contradicted_move: Option<Bps>,
    /// Whether candles decided it although they are often wrong in such a case.
    pub close_call: bool,
    /// What speaks against the recorded strike.
    pub doubts: Vec<Doubt>,
    /// The outcome that was corrected.
    pub corrected_from: Option<Cell>,
    /// Whether an earlier run had settled it.
    pub settled_before: bool,
}

impl TradeResult {
    /// When its market closed.
    pub fn close_time(&self) -> Option<UnixSeconds> {
        self.bet.map(|bet| bet.market.close)
    }

    /// Of a booking that was written, or found its row changed.
    pub(crate) fn of_booking(booking: Booking, done: bool) -> Self {
        let proof = booking.proof.as_ref();
        let bet = proof.map(|proof| proof.bet);
        let measured = proof.and_then(|proof| proof.measured.as_ref());
        let earlier = booking.earlier.as_ref();
        let ending = match (done, earlier) {
            (false, _) => Ending::Changed,
            (true, None) => Ending::Booked(booking.status),
            (true, Some(_)) => Ending::LookedAtAgain(booking.status),
        };
        let corrected = done && booking.status == Status::Corrected;
        Self {
            ending,
            reason: (!done).then(|| CHANGED.to_owned()),
            outcome: done.then_some(booking.outcome),
            is_win: booking.is_win.filter(|_| done),
            profit: done.then_some(booking.profit),
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
            moved: booking.moved(),
            contradicted_move: booking.contradicted_move(),
            close_call: done && is_close(&booking),
            doubts: measured.map(|measured| measured.doubts.clone()).unwrap_or_default(),
            corrected_from: corrected.then(|| booking.trade.row.actual_outcome.clone()),
            settled_before: earlier.is_some(),
            row: booking.trade.row,
        }
    }

    /// Of a trade left for a later run.
    pub(crate) fn of_deferral(deferral: Deferral) -> Self {
        let bet = match &deferral.trade.job {
            Job::Decide(bet) => Some(*bet),
            Job::BookUnknown => None,
        };
        let measured = deferral.measured.as_ref();
        Self {
            ending: match deferral.left {
                DeferredFor::Held => Ending::Held,
                left => Ending::Pending(left),
            },
            bet,
            reason: Some(deferral.reason),
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

    /// Of a row that another program settled or changed between its selection and its turn.
    pub(crate) fn of_changed(row: Row) -> Self {
        Self {
            row,
            ending: Ending::Changed,
            reason: Some(CHANGED.to_owned()),
            outcome: None,
            is_win: None,
            profit: None,
            bet: None,
            strike: None,
            close_price: None,
            price_source: None,
            margin: None,
            moved: None,
            contradicted_move: None,
            close_call: false,
            doubts: vec![],
            corrected_from: None,
            settled_before: false,
        }
    }
}

/// Whether candles decided a booking in a case in which they are often wrong.
fn is_close(booking: &Booking) -> bool {
    let measured = booking.proof.as_ref().and_then(|proof| proof.measured.as_ref());
    booking.status == Status::Provisional
        && measured.is_some_and(|measured| measured.close_call.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_without_a_market_that_is_left_has_no_close() {
        let trade = crate::rules::eligibility::Trade {
            row: crate::rules::eligibility::tests::row(),
            logged_at: UnixSeconds(0),
            job: Job::BookUnknown,
        };
        let (why, reason) = (DeferredFor::Interrupted, "the run was interrupted".to_owned());
        let deferral = Deferral { trade, left: why, reason, measured: None };
        let result = TradeResult::of_deferral(deferral);
        assert_eq!((result.ending, result.close_time()), (Ending::Pending(why), None));
    }
}
