//! The fills of a wallet, the logged rows beside them, and what a wallet says about a trade: the values
//! that `assignment` computes with, `sources::wallet` reads and `store` keeps.

use std::collections::HashMap;

use rust_decimal::Decimal;

use crate::rules::asset::Asset;
use crate::rules::market::{RuleSet, read_market};
use crate::rules::outcome::Side;
use crate::rules::pnl::{MoneySource, Paid, Sold};
use crate::rules::title::{is_id_or_condition, market_key, may_name_a_window};
use crate::rules::units::{NotUsable, SharePrice, Shares, UnixSeconds, Usd};
use crate::rules::value::Cell;

/// Dollars below which the winnings of a market do not count as unclaimed.
pub const DUST: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

/// Fills are booked when the market has been closed for this many seconds.
pub(crate) const SETTLING: i64 = 15 * 60;

/// A market as parsed, so that a slug, a title and an address of one market are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MarketId {
    /// Its asset and its window.
    Window(Asset, UnixSeconds, UnixSeconds),
    /// Its key, where the key names no window; empty where a wallet's row names no market that can be
    /// read.
    Key(String),
}

impl MarketId {
    /// The market that a text names near this time; `None` if no market can be named so.
    pub fn read(text: &str, near: UnixSeconds) -> Option<Self> {
        let key = market_key(text, near)?;
        let market = read_market(&key, near, RuleSet::Polymarket);
        Some(match market.has_window() && market.asset != Asset::Other {
            true => Self::Window(market.asset, market.open, market.close),
            false => Self::Key(key),
        })
    }

    /// The numeric id or the condition id that names it, so that its rows under another name are not known.
    pub(crate) fn id(&self) -> Option<&String> {
        match self {
            Self::Key(key) => Some(key).filter(|key| is_id_or_condition(key)),
            Self::Window(..) => None,
        }
    }

    /// Its rows may be those of a window under another name.
    pub(crate) fn may_be_a_window(&self) -> bool {
        let is_unread = |key: &String| key.is_empty() || may_name_a_window(key);
        self.id().is_some() || matches!(self, Self::Key(key) if is_unread(key))
    }

    /// When its window closes; `None` if only Polymarket knows.
    pub(crate) fn close(&self) -> Option<UnixSeconds> {
        match self {
            Self::Window(_, _, close) => Some(*close),
            Self::Key(_) => None,
        }
    }
}

/// What one row of a wallet's history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Shares bought; the dollars hold the fee.
    Buy,
    /// Shares sold; the dollars are without the fee.
    Sell,
    /// SPLIT, MERGE, CONVERSION, MIGRATION, or a row whose side cannot be read: the market's money is
    /// not that of its buys and sales alone.
    Other,
}

/// One row of a wallet's history that touches the money of a market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The block's time.
    pub at: UnixSeconds,
    /// What it is.
    pub kind: Kind,
    /// The market.
    pub market: MarketId,
    /// The side; `None` where it cannot be read.
    pub side: Option<Side>,
    /// The id of the token bought or sold, where the row does not name its side.
    pub token: Option<String>,
    /// The number of shares.
    pub shares: Decimal,
    /// Dollars paid or received.
    pub dollars: Decimal,
    /// The market, as the wallet names it.
    pub name: String,
    /// The hash of its transaction; empty if it has none.
    pub hash: String,
}

/// A buy or a sale, or the part of a sale, that belongs to one trade.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    /// The block's time.
    pub time: UnixSeconds,
    /// Shares were sold, not bought.
    pub is_sale: bool,
    /// The number of shares.
    pub shares: Shares,
    /// Dollars paid, fees included, or received.
    pub dollars: Usd,
    /// The hash of its transaction; empty if it has none.
    pub transaction_hash: String,
}

/// Money of a wallet that is no trade's, in dollars.
#[derive(Debug, Clone, Default)]
pub struct Cash {
    /// Deposits.
    pub deposited: Decimal,
    /// Withdrawals.
    pub withdrawn: Decimal,
    /// Rebates, rewards and yields.
    pub other_income: Decimal,
    /// What was redeemed, by market.
    pub redeemed: HashMap<MarketId, Decimal>,
}

/// What was read of a wallet.
#[derive(Debug, Clone, Default)]
pub struct WalletReading {
    /// The rows that touch a market's money, in any order.
    pub rows: Vec<Activity>,
    /// The money that is no trade's.
    pub cash: Cash,
    /// The spans of time that the reading covers, ends included.
    pub spans: Vec<(UnixSeconds, UnixSeconds)>,
    /// The reading begins with the wallet's first row.
    pub is_whole: bool,
    /// The markets, by condition id.
    pub conditions: HashMap<String, WalletMarket>,
}

/// A market as the wallet knows it beside its name.
#[derive(Debug, Clone)]
pub struct WalletMarket {
    /// The market.
    pub market: MarketId,
    /// Whether Up or Yes is the first of its outcomes, where a row shows it.
    pub up_is_first: Option<bool>,
}

impl WalletReading {
    /// Whether the reading has every row from one instant to another.
    pub(crate) fn covers(&self, from: UnixSeconds, until: UnixSeconds) -> bool {
        let mut spans = self.spans.clone();
        spans.sort_unstable();
        let mut reach: Option<UnixSeconds> = None;
        for (start, end) in spans {
            match reach {
                None if start <= from && from <= end => reach = Some(end),
                Some(known) if start <= known.plus(1) => reach = Some(known.max(end)),
                _ => {}
            }
        }
        reach.is_some_and(|reach| reach >= until)
    }
}

/// A logged trade, as far as fills are concerned.
#[derive(Debug, Clone)]
pub struct LoggedRow {
    /// SQLite's rowid; for a row that the bot has deleted since, a number below any rowid.
    pub rowid: i64,
    /// Its id.
    pub trade_id: Cell,
    /// Its market, as the bot wrote it.
    pub market_slug: Cell,
    /// It has no result.
    pub is_unsettled: bool,
    /// The market.
    pub market: MarketId,
    /// The side.
    pub side: Side,
    /// When the bot logged it.
    pub logged_at: UnixSeconds,
    /// It logs the order of an earlier row again, which has the fills.
    pub is_duplicate: bool,
}

/// The rows of other bots that share a wallet: their fills are not those of this database's rows.
#[derive(Debug, Clone, Default)]
pub struct SharedRows {
    /// Of bots that come first where two rows were logged in one second.
    pub before: Vec<LoggedRow>,
    /// Of bots that come later.
    pub after: Vec<LoggedRow>,
}

impl LoggedRow {
    /// What the wallet says about this row.
    pub(crate) fn record(&self, says: WalletSays, fills: Vec<Fill>) -> WalletRecord {
        let (trade_id, market_slug) = (self.trade_id.clone(), self.market_slug.clone());
        WalletRecord { trade_id, market_slug, says, fills }
    }

    /// When its window closes, or when it was logged if only Polymarket knows the window.
    pub(crate) fn closed_at(&self) -> UnixSeconds {
        self.market.close().unwrap_or(self.logged_at)
    }
}

/// What a trade bought and sold, by the wallet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Shares bought.
    pub shares: Decimal,
    /// Dollars paid, fees included.
    pub cost: Decimal,
    /// Shares of them that were sold.
    pub sold: Decimal,
    /// Dollars received for these.
    pub proceeds: Decimal,
}

/// What the wallet says about a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalletSays {
    /// It was filled.
    Filled(Position),
    /// It was never filled.
    NotFilled,
    /// The reading does not cover its market.
    NotCovered,
    /// Its market closed less than 15 minutes ago.
    Settling,
    /// It cannot be known whose a fill of its market is.
    NotAttributed,
    /// The wallet could not be read.
    Unreadable,
}

/// What becomes of a row that the wallet shows as never filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NotFilled {
    /// Nothing is written to it.
    Leave,
    /// It gets the market's outcome, profit 0 and win NULL, for a bot that takes NULL for open.
    Zero,
}

/// What a wallet said about one row.
#[derive(Debug, Clone, PartialEq)]
pub struct WalletRecord {
    /// The id of the row.
    pub trade_id: Cell,
    /// Its market, as the bot wrote it.
    pub market_slug: Cell,
    /// What the wallet said.
    pub says: WalletSays,
    /// The fills behind it. Empty where they are not of interest: a run does not read them again.
    pub fills: Vec<Fill>,
}

impl Position {
    /// What was paid for it.
    ///
    /// # Errors
    /// Why it is no trade's.
    pub fn paid(&self) -> Result<Paid, String> {
        let Self { shares, cost, sold, proceeds } = *self;
        // a fee may lift the price of a share above a dollar; the money does not follow from the price
        let price = cost.checked_div(shares).map(|price| price.min(Decimal::ONE));
        let price = price.ok_or(NotUsable::Missing).and_then(SharePrice::new);
        let price = price.map_err(|error| format!("the wallet's fills: {error}"))?;
        let (cost, shares, source) = (Usd(cost), Shares(shares), MoneySource::Wallet);
        let sold = Sold { shares: Shares(sold), proceeds: Usd(proceeds) };
        let sold = (!sold.shares.0.is_zero()).then_some(sold);
        Ok(Paid { cost, price, shares, sold, source })
    }
}

impl WalletRecord {
    /// The position; `None` if it was not filled or is not known.
    pub fn position(&self) -> Option<Position> {
        match self.says {
            WalletSays::Filled(position) => Some(position),
            _ => None,
        }
    }
}

/// What a wallet said about rows, by rowid.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WalletRecords(pub HashMap<i64, WalletRecord>);

impl WalletRecords {
    /// The record of a row, unless it is about another row at its rowid.
    pub fn of(&self, rowid: i64, trade_id: &Cell, market_slug: &Cell) -> Option<&WalletRecord> {
        let record = self.0.get(&rowid)?;
        (record.trade_id == *trade_id && record.market_slug == *market_slug).then_some(record)
    }
}

impl WalletSays {
    /// Why the trade waits; `None` where it does not.
    pub fn why_it_waits(self) -> Option<&'static str> {
        match self {
            Self::Filled(_) | Self::NotFilled => None,
            Self::NotCovered => Some("the wallet's history does not cover the market"),
            Self::Settling => {
                Some("the market closed less than 15 minutes ago, and fills may be missing")
            }
            Self::NotAttributed => Some("settle cannot tell whose a fill of the market is"),
            Self::Unreadable => Some("the wallet cannot be read"),
        }
    }

    /// The earliest time at which a trade that waits may be settled, by its market's close; `None`: the next run.
    pub fn waits_until(self, close: UnixSeconds) -> Option<UnixSeconds> {
        (self == Self::Settling).then(|| close.plus(SETTLING))
    }

    /// What the wallet says where a trade waits for this reason: one of [`Self::pending_key`].
    pub fn waiting(reason: &str) -> Option<Self> {
        let waits = [Self::NotCovered, Self::Settling, Self::NotAttributed, Self::Unreadable];
        waits.into_iter().find(|says| says.pending_key() == Some(reason))
    }

    /// The name among the reasons of `pending` in JSON; `None` where the trade does not wait.
    pub fn pending_key(self) -> Option<&'static str> {
        match self {
            Self::Filled(_) | Self::NotFilled => None,
            Self::NotCovered => Some("wallet_not_covered"),
            Self::Settling => Some("wallet_settling"),
            Self::NotAttributed => Some("not_attributed"),
            Self::Unreadable => Some("wallet_unreadable"),
        }
    }
}

/// Whether a reason is one of [`WalletSays::pending_key`].
pub fn is_waiting(reason: &str) -> bool {
    WalletSays::waiting(reason).is_some()
}
