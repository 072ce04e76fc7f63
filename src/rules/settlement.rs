//! What is written for a trade: its outcome, how that is known, and what it replaces. `decision`
//! decides it.

use rust_decimal::Decimal;

use crate::rules::eligibility::{Bet, Trade};
use crate::rules::fees::Fee;
use crate::rules::outcome::{CloseCall, Outcome, contradicts};
use crate::rules::pnl::Money;
use crate::rules::price::{Source, WindowPrices};
use crate::rules::strike::Doubt;
use crate::rules::units::{Bps, BtcPrice, Usd};

/// The status of a written outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Decision by candles.
    Provisional,
    /// Polymarket's resolution.
    Confirmed,
    /// Polymarket's resolution, which replaced a different outcome.
    Corrected,
    /// No market can be read from the slug; final.
    Unknown,
}

impl Status {
    /// The name in records and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisional => "provisional",
            Self::Confirmed => "confirmed",
            Self::Corrected => "corrected",
            Self::Unknown => "unknown",
        }
    }
}

/// What the candles show for a market.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The venue's prices.
    pub prices: WindowPrices,
    /// The strike that the close was measured against.
    pub strike: BtcPrice,
    /// `recorded`, or the venue's name.
    pub strike_source: &'static str,
    /// The outcome by these prices.
    pub outcome: Outcome,
    /// The signed distance from the strike to the close.
    pub margin: Option<Bps>,
    /// The venue's signed move from the window's start to its close.
    pub moved: Option<Bps>,
    /// Why candles are unreliable for this market, whether or not the trade is held.
    pub close_call: Option<CloseCall>,
    /// Reasons to doubt the recorded strike.
    pub doubts: Vec<Doubt>,
    /// No other venue had a price, although others were asked.
    pub is_single: bool,
}

/// What was written for a trade before, and the evidence for it.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    /// The id of its record; `None` if another program wrote the outcome.
    pub record_id: Option<i64>,
    /// The strike that the close was measured against.
    pub strike: Option<BtcPrice>,
    /// The venue's signed move in the window.
    pub moved: Option<Bps>,
    /// The venue's price at the window's close.
    pub close_price: Option<BtcPrice>,
    /// The venue of that price.
    pub source: Option<Source>,
    /// The signed distance from the strike to the close.
    pub margin: Option<Bps>,
    /// The fee that was counted.
    pub fee: Option<Fee>,
    /// Its money was the wallet's.
    pub is_of_wallet: bool,
}

/// The outcome to write to a trade, and why.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The trade as it was read.
    pub trade: Trade,
    /// How its outcome is known.
    pub case: Case,
}

/// How the outcome of a trade is known.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // nearly all settlements have a bet and prices
#[allow(missing_docs)] // the fields' types state what they hold
pub enum Case {
    /// No market can be read from the slug: UNKNOWN, final. An audit may correct an earlier result
    /// to it.
    Unknown { earlier: Option<Earlier> },
    /// Candles decide; a later run compares the outcome with Polymarket's resolution.
    Provisional { bet: Bet, measured: Measured, money: Money },
    /// Polymarket has resolved the market of an unsettled trade.
    Confirmed { bet: Bet, outcome: Outcome, money: Money },
    /// Polymarket's resolution agrees with an earlier result: the row stays, a record is added.
    ConfirmedLater { bet: Bet, earlier: Earlier, outcome: Outcome, profit: Usd },
    /// Polymarket's resolution replaces an earlier result.
    Corrected { bet: Bet, earlier: Earlier, outcome: Outcome, money: Money },
}

impl Settlement {
    /// The outcome to write.
    pub fn outcome(&self) -> Outcome {
        match &self.case {
            Case::Unknown { .. } => Outcome::Unknown,
            Case::Provisional { measured, .. } => measured.outcome,
            Case::Confirmed { outcome, .. }
            | Case::ConfirmedLater { outcome, .. }
            | Case::Corrected { outcome, .. } => *outcome,
        }
    }

    /// Profit or loss in dollars; 0 for UNKNOWN.
    pub fn profit(&self) -> Usd {
        match &self.case {
            Case::Unknown { .. } => Usd(Decimal::ZERO),
            Case::ConfirmedLater { profit, .. } => *profit,
            Case::Provisional { money, .. }
            | Case::Confirmed { money, .. }
            | Case::Corrected { money, .. } => money.profit,
        }
    }

    /// Win or loss; `None` for a split or an unknown outcome. Where shares were sold, it is the sign of
    /// the profit.
    pub fn is_win(&self) -> Option<bool> {
        let bet = self.bet()?;
        match bet.paid.sold {
            Some(_) => Some(self.profit().0)
                .filter(|profit| !profit.is_zero())
                .map(|profit| profit.is_sign_positive()),
            None => bet.side.is_win(self.outcome()),
        }
    }

    /// The status of the outcome.
    pub fn status(&self) -> Status {
        match &self.case {
            Case::Unknown { .. } => Status::Unknown,
            Case::Provisional { .. } => Status::Provisional,
            Case::Confirmed { .. } | Case::ConfirmedLater { .. } => Status::Confirmed,
            Case::Corrected { .. } => Status::Corrected,
        }
    }

    /// The bet; `None` for UNKNOWN.
    pub fn bet(&self) -> Option<&Bet> {
        match &self.case {
            Case::Unknown { .. } => None,
            Case::Provisional { bet, .. }
            | Case::Confirmed { bet, .. }
            | Case::ConfirmedLater { bet, .. }
            | Case::Corrected { bet, .. } => Some(bet),
        }
    }

    /// What this run's candles show.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.case {
            Case::Provisional { measured, .. } => Some(measured),
            _ => None,
        }
    }

    /// Polymarket's resolution; `None` if it has not resolved.
    pub fn resolution(&self) -> Option<Outcome> {
        match self.status() {
            Status::Confirmed | Status::Corrected => Some(self.outcome()),
            Status::Provisional | Status::Unknown => None,
        }
    }

    /// The payout and profit; `None` if there are none or the row's earlier profit stays.
    pub fn money(&self) -> Option<&Money> {
        match &self.case {
            Case::Provisional { money, .. }
            | Case::Confirmed { money, .. }
            | Case::Corrected { money, .. } => Some(money),
            Case::Unknown { .. } | Case::ConfirmedLater { .. } => None,
        }
    }

    /// What this settlement confirms or replaces; `None` if the trade was unsettled.
    pub fn earlier(&self) -> Option<&Earlier> {
        match &self.case {
            Case::Unknown { earlier } => earlier.as_ref(),
            Case::ConfirmedLater { earlier, .. } | Case::Corrected { earlier, .. } => Some(earlier),
            Case::Provisional { .. } | Case::Confirmed { .. } => None,
        }
    }

    /// Whether the trade's row stays unchanged and only a record is added.
    pub fn leaves_row(&self) -> bool {
        matches!(self.case, Case::ConfirmedLater { .. })
    }

    /// The fee on the trade's fill; `None` if fees are not counted.
    pub fn fee(&self) -> Option<Fee> {
        self.money()?.fee
    }

    /// The venue's move in the market's window, from this run or an earlier one.
    pub fn moved(&self) -> Option<Bps> {
        let now = self.measured().and_then(|measured| measured.moved);
        now.or_else(|| self.earlier()?.moved)
    }

    /// The venue's move, if Polymarket's resolution contradicts it.
    pub fn contradicted_move(&self) -> Option<Bps> {
        let resolution = self.resolution()?;
        self.moved().filter(|moved| contradicts(resolution, *moved))
    }
}
