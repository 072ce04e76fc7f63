//! Compares the log with the wallet: which trades were filled, for how much, and what each really made.
//! `rules::assignment` assigns the fills; `rebook` finds what is to be corrected.

use std::collections::{BTreeMap, HashMap, HashSet};

use rust_decimal::Decimal;

use crate::error::Error;
use crate::rules::assignment::{Assignment, NO_ROW_IN_MARKET};
use crate::rules::decision::is_same_but_for_rounding;
use crate::rules::eligibility::{Bet, Reading, Row, judge_again};
use crate::rules::fill::{
    Activity, DUST, Kind, LoggedRow, MarketId, Position, WalletReading, WalletRecords, WalletSays,
};
use crate::rules::logged::{SizeAndFill, SizeHolds, size_holds};
use crate::rules::outcome::{Outcome, Side};
use crate::rules::pnl::{Money, paid_per_share};
use crate::rules::resolution::{Resolution, Resolutions};
use crate::rules::selection::dated_key;
use crate::rules::units::UnixSeconds;
use crate::store::Store;

/// The state of a trade by the wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Filled, and held to the end.
    Filled,
    /// Some of its shares were sold.
    Sold,
    /// Never filled.
    NotFilled,
    /// The reading does not cover it, or its market closed a moment ago.
    NotCovered,
    /// It cannot be known whose a fill of its market is.
    Ambiguous,
}

impl State {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filled => "filled",
            Self::Sold => "sold",
            Self::NotFilled => "not_filled",
            Self::NotCovered => "not_covered",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// Whether the wallet says what the trade made.
    pub fn is_known(self) -> bool {
        matches!(self, Self::Filled | Self::Sold | Self::NotFilled)
    }
}

impl From<WalletSays> for State {
    fn from(says: WalletSays) -> Self {
        match says {
            WalletSays::Filled(position) if !position.sold.is_zero() => Self::Sold,
            WalletSays::Filled(_) => Self::Filled,
            WalletSays::NotFilled => Self::NotFilled,
            WalletSays::NotAttributed => Self::Ambiguous,
            WalletSays::NotCovered | WalletSays::Settling | WalletSays::Unreadable => {
                Self::NotCovered
            }
        }
    }
}

/// One trade of the log beside the wallet.
#[derive(Debug)]
pub struct Compared {
    /// The row as it was read.
    pub row: Row,
    /// The key of its market, or the text in the row.
    pub market: String,
    /// Its state by the wallet.
    pub state: State,
    /// When its market's window closed; `None` if only Polymarket knows.
    pub closed: Option<UnixSeconds>,
    /// What it bought and sold by the wallet.
    pub position: Option<Position>,
    /// Polymarket's resolution, if it has one.
    pub resolution: Option<Outcome>,
    /// What the log's size and price come to, in dollars.
    pub log_profit: Option<Decimal>,
    /// What the wallet's fills made, in dollars; 0 for a trade that was never filled.
    pub real_profit: Option<Decimal>,
    /// Dollars received for its shares, from sales and payouts.
    pub received: Decimal,
    /// The booked result is unlike the wallet's.
    pub differs: bool,
}

impl Compared {
    /// The profit in the row, in dollars.
    pub fn booked_profit(&self) -> Option<Decimal> {
        self.row.profit_loss.any_number()
    }
}

/// The money of a wallet over its whole history, in dollars.
#[derive(Debug)]
pub struct CashLine {
    /// Deposits.
    pub deposited: Decimal,
    /// Withdrawals.
    pub withdrawn: Decimal,
    /// What all trades made, those without a row included.
    pub trades: Decimal,
    /// Rebates, rewards and yields.
    pub other_income: Decimal,
    /// What was paid in markets that are not decided.
    pub open_cost: Decimal,
    /// What Polymarket should show.
    pub expected: Decimal,
}

/// The log beside the wallet.
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// Every trade that can have a fill, in the order of the rows.
    pub trades: Vec<Compared>,
    /// Rows of the wallet that belong to no trade, each with the reason.
    pub unattributed: Vec<(Activity, &'static str)>,
    /// The buys and sales in the rows' markets.
    pub fill_count: usize,
    /// Winnings that were not redeemed, by market, in dollars.
    pub unclaimed: Vec<(String, Decimal)>,
    /// What the size column means, where enough rows show it.
    pub size_means: Option<&'static str>,
    /// Rebates, rewards and yields, in dollars.
    pub other_income: Decimal,
    /// The money over the wallet's whole history; `None` if that was not read.
    pub cash: Option<CashLine>,
    /// The first and the last instant that the reading covers.
    pub covered: Option<(UnixSeconds, UnixSeconds)>,
    /// What the wallet says about each row.
    pub records: WalletRecords,
}

impl Reconciliation {
    /// The trades in a state.
    pub fn count(&self, states: &[State]) -> usize {
        self.trades.iter().filter(|trade| states.contains(&trade.state)).count()
    }

    /// The sum over the trades that the wallet covers and whose outcome is known.
    pub fn sum(&self, of: impl Fn(&Compared) -> Option<Decimal>) -> Decimal {
        let known = self.trades.iter().filter(|trade| trade.state.is_known());
        known.filter_map(of).fold(Decimal::ZERO, Decimal::saturating_add)
    }

    /// Dollars spent on the trades, fees included.
    pub fn spent(&self) -> Decimal {
        self.sum(|trade| Some(trade.position?.cost))
    }

    /// The sizes of the rows with one buy, by rowid.
    pub fn sizes(&self) -> Vec<(i64, SizeAndFill)> {
        let size = |trade: &Compared| {
            let rowid = trade.row.rowid;
            let fills = self.records.0.get(&rowid).into_iter().flat_map(|record| &record.fills);
            let has_one = fills.filter(|fill| !fill.is_sale).count() == 1;
            let position = trade.position.filter(|_| has_one)?;
            let size = trade.row.position_size.any_number()?;
            Some((rowid, (size, position.cost, position.shares)))
        };
        self.trades.iter().filter_map(size).collect()
    }

    /// Whether booked money is unlike the wallet's, or fills lie on a side without a row.
    pub fn needs_a_look(&self) -> bool {
        self.trades.iter().any(|trade| trade.differs) || self.unattributed_beside_rows() > 0
    }

    /// The fills that belong to no row although their market has one.
    pub fn unattributed_beside_rows(&self) -> usize {
        let is_beside_a_row =
            |(row, why): &&(Activity, &str)| *why != NO_ROW_IN_MARKET && row.kind != Kind::Other;
        self.unattributed.iter().filter(is_beside_a_row).count()
    }
}

/// A row, read by its own values and by the wallet's.
struct Judged {
    row: Row,
    /// The key of its market, and the key with the year where the market has one.
    key: Option<String>,
    dated: Option<String>,
    by_log: Option<Bet>,
    by_wallet: Option<Bet>,
}

/// Reads every trade and compares it with what the wallet says. `ask` asks Polymarket about markets by
/// their keys.
///
/// # Errors
/// [`Error::Database`].
pub fn reconcile(
    store: &Store,
    logged: &[LoggedRow],
    wallet: &WalletReading,
    assignment: Assignment,
    reading: Reading,
    ask: &mut dyn FnMut(&[String]) -> Resolutions,
) -> Result<Reconciliation, Error> {
    let Assignment { says, mut fills, unattributed } = assignment;
    let mut records = WalletRecords::default();
    for row in logged {
        if let Some(says) = says.get(&row.rowid).copied() {
            let fills = fills.remove(&row.rowid).unwrap_or_default();
            records.0.insert(row.rowid, row.record(says, fills));
        }
    }
    let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
    let mut keep = |row: Row| {
        if records.0.contains_key(&row.rowid) {
            rows.insert(row.rowid, row);
        }
    };
    store.settled_rows(&mut keep)?;
    store.unsettled_rows(keep)?;
    let judge = |row: &Row, record| judge_again(row.clone(), reading, record).ok();
    let rows: Vec<Judged> = rows
        .into_values()
        .map(|row| {
            let by_log = judge(&row, None).map(|trade| trade.bet);
            let by_wallet = judge(&row, records.of(row.rowid, &row.id, &row.market_slug));
            let dated = by_wallet.as_ref().and_then(dated_key);
            let key = by_wallet.as_ref().and_then(|trade| trade.key.clone());
            Judged { row, key, dated, by_log, by_wallet: by_wallet.map(|trade| trade.bet) }
        })
        .collect();
    let is_covered =
        |judged: &&Judged| State::from(records.0[&judged.row.rowid].says) != State::NotCovered;
    let mut seen = HashSet::new();
    let keys: Vec<String> = rows
        .iter()
        .filter(is_covered)
        .flat_map(|judged| [judged.key.clone(), judged.dated.clone()])
        .flatten()
        .filter(|key| seen.insert(key.clone()))
        .collect();
    let resolved = if keys.is_empty() { Resolutions::default() } else { ask(&keys) };

    let mut found = Reconciliation { unattributed, ..Reconciliation::default() };
    let mut outcomes: HashMap<&MarketId, (Outcome, String)> = HashMap::new();
    let markets: HashMap<i64, &MarketId> =
        logged.iter().map(|row| (row.rowid, &row.market)).collect();
    for Judged { row, key, by_log, by_wallet, .. } in rows {
        let record = &records.0[&row.rowid];
        let resolution = by_wallet.zip(key.as_ref()).and_then(|(bet, key)| {
            match resolved.resolution(key, &bet.market)? {
                Resolution::Final(outcome) => Some(outcome),
                _ => None,
            }
        });
        let outcome = resolution.or_else(|| Outcome::named(row.actual_outcome.text()?));
        let outcome = outcome.filter(|outcome| *outcome != Outcome::Unknown);
        let market = key.unwrap_or_else(|| row.market_slug.to_string());
        if let (Some(outcome), Some(id)) = (outcome, markets.get(&row.rowid)) {
            outcomes.entry(id).or_insert_with(|| (outcome, market.clone()));
        }
        let money = |bet: Bet| outcome.map(|outcome| bet.paid.pay_out(bet.side, outcome, None));
        let position = record.position();
        let real: Option<Money> = position.and(by_wallet).and_then(money);
        let state = State::from(record.says);
        let real_profit = match state {
            State::NotFilled => Some(Decimal::ZERO),
            _ => real.map(|real| real.profit.0),
        };
        let log_profit = by_log.and_then(money).map(|money| money.profit.0);
        found.trades.push(Compared {
            differs: differs(&row, state, outcome, real_profit),
            closed: markets.get(&row.rowid).and_then(|market| market.close()),
            row,
            market,
            state,
            position,
            resolution,
            log_profit,
            real_profit,
            received: real.map_or(Decimal::ZERO, |real| real.payout.0),
        });
    }
    let known: HashSet<&MarketId> = markets.values().copied().collect();
    found.fill_count = wallet
        .rows
        .iter()
        .filter(|row| row.kind != Kind::Other && known.contains(&row.market))
        .count();
    found.other_income = wallet.cash.other_income;
    let ends = wallet.spans.iter();
    found.covered = ends.clone().map(|span| span.0).min().zip(ends.map(|span| span.1).max());
    let recorded: Vec<(MarketId, Outcome, String)> = store
        .recorded_resolutions()?
        .into_iter()
        .filter_map(|(name, open, outcome)| Some((MarketId::read(&name, open)?, outcome, name)))
        .collect();
    for (market, outcome, name) in &recorded {
        outcomes.entry(market).or_insert_with(|| (*outcome, name.clone()));
    }
    close_the_books(&mut found, wallet, &outcomes);
    found.records = records;
    found.size_means = size_means(&found.sizes());
    Ok(found)
}

/// Whether a row's booked result is unlike the wallet's.
fn differs(row: &Row, state: State, outcome: Option<Outcome>, real: Option<Decimal>) -> bool {
    let booked = row.profit_loss.any_number();
    match state {
        State::NotFilled => {
            !row.is_win.is_empty() || booked.is_some_and(|profit| !profit.is_zero())
        }
        State::Filled | State::Sold => match (booked, real) {
            (Some(booked), Some(real)) => {
                let written = row.actual_outcome.text();
                !is_same_but_for_rounding(booked, real) || written != outcome.map(Outcome::as_str)
            }
            _ => false,
        },
        State::NotCovered | State::Ambiguous => false,
    }
}

/// What the size column means.
fn size_means(sizes: &[(i64, SizeAndFill)]) -> Option<&'static str> {
    match size_holds(sizes.iter().map(|(_, fill)| *fill)) {
        SizeHolds::One(unit) => Some(unit.as_str()),
        SizeHolds::Mixed | SizeHolds::Neither => Some("mixed"),
        SizeHolds::Unknown => None,
    }
}

/// Sums each market of the wallet: what was not redeemed, and the cash line.
fn close_the_books(
    found: &mut Reconciliation,
    wallet: &WalletReading,
    outcomes: &HashMap<&MarketId, (Outcome, String)>,
) {
    let mut markets: BTreeMap<&MarketId, (Decimal, HashMap<bool, Decimal>)> = BTreeMap::new();
    let mut has_other = HashSet::new();
    for row in &wallet.rows {
        let (flow, held) = markets.entry(&row.market).or_default();
        let held = held.entry(row.side == Some(Side::Yes)).or_default();
        match row.kind {
            Kind::Buy => {
                *flow = flow.saturating_sub(row.dollars);
                *held = held.saturating_add(row.shares);
            }
            Kind::Sell => {
                *flow = flow.saturating_add(row.dollars);
                *held = held.saturating_sub(row.shares);
            }
            Kind::Other => drop(has_other.insert(&row.market)),
        }
    }
    let (mut trades, mut open_cost) = (Decimal::ZERO, Decimal::ZERO);
    for (market, (flow, held)) in &markets {
        let redeemed = wallet.cash.redeemed.get(market).copied();
        match outcomes.get(market) {
            Some((outcome, name)) => {
                let pays = |is_yes: bool| {
                    let side = if is_yes { Side::Yes } else { Side::No };
                    let shares = held.get(&is_yes).copied().unwrap_or_default();
                    shares.saturating_mul(paid_per_share(side, *outcome))
                };
                let payout = pays(true).saturating_add(pays(false));
                trades = trades.saturating_add(*flow).saturating_add(payout);
                let left = payout.saturating_sub(redeemed.unwrap_or_default());
                if left >= DUST && !has_other.contains(market) {
                    found.unclaimed.push((name.clone(), left));
                }
            }
            None => match redeemed {
                Some(redeemed) => trades = trades.saturating_add(*flow).saturating_add(redeemed),
                None => open_cost = open_cost.saturating_sub(*flow),
            },
        }
    }
    if wallet.is_whole && has_other.is_empty() {
        let cash = &wallet.cash;
        let (deposited, withdrawn) = (cash.deposited, cash.withdrawn);
        let other_income = cash.other_income;
        let income = deposited.saturating_add(trades).saturating_add(other_income);
        let expected = income.saturating_sub(withdrawn).saturating_sub(open_cost);
        found.cash =
            Some(CashLine { deposited, withdrawn, trades, other_income, open_cost, expected });
    }
}
