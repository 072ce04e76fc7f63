//! Decides what happens to one trade: settle it or defer it. Pure functions; the store writes the
//! result.

use rust_decimal::Decimal;

use crate::rules::eligibility::{Bet, Trade};
use crate::rules::fees::{Fee, Fees, StatedFee};
use crate::rules::market::{Family, Market};
use crate::rules::opinion::{Opinion, opinion};
use crate::rules::outcome::{CloseCall, Outcome, change, close_call, decide};
use crate::rules::pnl::{Money, MoneySource};
use crate::rules::price::WindowPrices;
use crate::rules::resolution::Resolution;
use crate::rules::settlement::{Case, Earlier, Measured, Settlement};
use crate::rules::strike;
use crate::rules::strike::{Neighbours, Strike};
use crate::rules::units::{Bps, BtcPrice, UnixSeconds, Usd};

/// Polymarket's role in deciding trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Confirm {
    /// Polymarket decides; until it resolves, candles decide, and later runs confirm or correct
    Auto,
    /// Candles only
    Off,
    /// Polymarket only
    Only,
}

impl Confirm {
    /// The name on the command line and in `settlement_runs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Only => "only",
        }
    }
}

/// The settings that decide trades.
#[derive(Debug, Clone, Copy)]
pub struct Deciding {
    /// Polymarket's role.
    pub confirm: Confirm,
    /// A venue move smaller than this is a close call; `None`: by the price's method with
    /// [`Confirm::Auto`], else 0.
    pub min_move: Option<Bps>,
    /// How long after its market's close a close call waits for Polymarket, in seconds.
    pub hold: i64,
    /// The fees to count.
    pub fees: Fees,
}

impl Default for Deciding {
    /// The command line's defaults.
    fn default() -> Self {
        Self { confirm: Confirm::Auto, min_move: None, hold: 6 * 3600, fees: Fees::None }
    }
}

impl Deciding {
    /// How many venues are asked for a market's prices: with [`Confirm::Auto`] a second one must bear
    /// the first out, and after the hold all decide; Binance's own candle needs no other.
    pub fn venues(&self, market: &Market, now: UnixSeconds) -> usize {
        match self.confirm {
            Confirm::Auto if market.basis.is_binances() => 1,
            Confirm::Auto if self.hold_is_over(market, now) => usize::MAX,
            Confirm::Auto => 2,
            Confirm::Off | Confirm::Only => 1,
        }
    }

    fn hold_is_over(&self, market: &Market, now: UnixSeconds) -> bool {
        now.since(market.close) >= self.hold
    }

    /// Whether the prices that Polymarket states for an unresolved market decide it, ahead of candles.
    pub fn asks_for_stated_prices(&self, market: &Market, now: UnixSeconds) -> bool {
        self.confirm == Confirm::Auto && self.hold_is_over(market, now)
    }

    /// With [`Confirm::Off`], close calls are held only if a minimum move is set.
    fn holds(&self) -> bool {
        self.confirm == Confirm::Auto || self.min_move.is_some_and(|least| least.0 > Decimal::ZERO)
    }

    /// A venue move smaller than this is a close call.
    fn least_move(&self, prices: &WindowPrices) -> Bps {
        let by_default = || match self.confirm {
            Confirm::Auto => prices.least_move(),
            Confirm::Off | Confirm::Only => Bps(Decimal::ZERO),
        };
        self.min_move.unwrap_or_else(by_default)
    }
}

/// Why a trade is left for a later run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeferReason {
    /// A close call waits for Polymarket.
    Held,
    /// Only Polymarket decides, and it has not resolved the market. Each retry waits longer.
    NotResolved,
    /// Every source that was asked answered, and none had a price. Each retry waits longer.
    NoData,
    /// The row is in error: Polymarket's answer is about another market, or the strike that is
    /// needed is missing. Each retry waits longer.
    InError,
    /// The database refuses the values to write: a row error. Each retry waits longer.
    NotWritten,
    /// Another program changed the row while it was decided. Each retry waits longer.
    Changed,
    /// A source that may have the answer could not be reached.
    SourceDown,
    /// The run ended, by its time limit or a signal, before the trade was decided and written.
    OutOfTime,
}

impl DeferReason {
    /// The name among the reasons of `pending` in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotResolved => "not_resolved",
            Self::NoData => "no_price",
            Self::InError => "in_error",
            Self::NotWritten => "not_written",
            Self::Changed => "changed",
            Self::SourceDown => "out_of_reach",
            Self::OutOfTime => "out_of_time",
        }
    }

    /// Whether each retry waits longer, because every source that was asked has answered.
    pub fn waits_longer(self) -> bool {
        matches!(
            self,
            Self::NotResolved | Self::NoData | Self::InError | Self::NotWritten | Self::Changed
        )
    }
}

/// A trade that this run could not settle.
#[derive(Debug, Clone)]
pub struct Deferral {
    /// The trade as it was read.
    pub trade: Trade,
    /// The kind of reason.
    pub left: DeferReason,
    /// The reason as a message.
    pub reason: String,
    /// What the candles show, even though the trade is deferred.
    pub measured: Option<Measured>,
}

/// The decision on one trade.
#[derive(Debug)]
pub enum Decision {
    /// Write an outcome.
    Settle(Box<Settlement>),
    /// Leave the trade for a later run.
    Defer(Box<Deferral>),
}

/// What the sources returned for one trade's market.
#[derive(Debug, Clone, Copy)]
pub struct MarketData<'a> {
    /// The prices found, one entry per venue, in the order the venues were asked.
    pub prices: &'a [WindowPrices],
    /// A source that may have the prices failed.
    pub price_failed: bool,
    /// Polymarket's resolution; `None` if it was not asked or not reached.
    pub resolution: Option<&'a Resolution>,
    /// The fee that the market states.
    pub stated_fee: Option<StatedFee>,
    /// The prices at the window's start and close that Polymarket states for a market that it has not
    /// resolved. They decide once the hold is over.
    pub stated_prices: Option<[BtcPrice; 2]>,
}

/// Whether candles may have to decide the trade, now that Polymarket's resolution is known: `None` if
/// it could not be asked.
pub fn needs_prices(trade: &Trade, resolution: Option<&Resolution>, confirm: Confirm) -> bool {
    let is_decided = matches!(
        resolution,
        Some(Resolution::Final(_) | Resolution::OtherMarket(_) | Resolution::RuleChanged(_))
    );
    trade.bet.market.is_decided_by_candles() && confirm != Confirm::Only && !is_decided
}

/// Decides an unsettled trade against `strike` as of `now`. Polymarket's resolution decides if it
/// exists; otherwise candles decide, unless a close call is still held.
pub fn decide_trade(
    trade: Trade,
    data: MarketData<'_>,
    strike: Strike,
    deciding: &Deciding,
    now: UnixSeconds,
) -> Decision {
    let settle = |trade, case| Decision::Settle(Box::new(Settlement { trade, case }));
    let bet = trade.bet;
    let stated = data.stated_prices.filter(|_| deciding.asks_for_stated_prices(&bet.market, now));
    let stated = stated
        .and_then(|prices| measure(&bet, &WindowPrices::stated(prices), Strike::Venue))
        .map(Opinion::Agreed);
    let opinion = stated.unwrap_or_else(|| opinion_of(&bet, data.prices, strike, deciding, now));
    let needs_second = matches!(opinion, Opinion::NeedsSecond(_));
    let is_divided = matches!(opinion, Opinion::Divided);
    let measured = match opinion {
        // another venue may have a price that this run could not get
        Opinion::Agreed(measured) if measured.is_single && data.price_failed => None,
        Opinion::Agreed(measured) | Opinion::NeedsSecond(measured) => Some(measured),
        Opinion::Divided | Opinion::Nothing => None,
    };
    let is_polymarkets = deciding.confirm == Confirm::Only || !bet.market.is_decided_by_candles();
    let left = |trade, left, reason, measured| {
        Decision::Defer(Box::new(Deferral { trade, left, reason, measured }))
    };
    match (data.resolution, measured) {
        (Some(Resolution::Final(outcome)), _) => {
            let (outcome, money) =
                (*outcome, money(&trade, *outcome, deciding.fees, data.stated_fee));
            settle(trade, Case::Confirmed { bet, outcome, money })
        }
        (Some(Resolution::OtherMarket(why)), _) => {
            let reason = format!("{why}; settle uses neither this answer nor candles");
            left(trade, DeferReason::InError, reason, None)
        }
        (Some(Resolution::NoSuchMarket), _) if bet.market.family == Family::Timeless => {
            settle(trade, Case::Unknown { earlier: None })
        }
        (None, _) if deciding.confirm == Confirm::Off && bet.market.family == Family::Timeless => {
            settle(trade, Case::Unknown { earlier: None })
        }
        (None, _) if is_polymarkets && deciding.confirm == Confirm::Off => {
            let reason =
                "Polymarket alone decides such a market, and --confirm off does not ask it";
            left(trade, DeferReason::NotResolved, reason.to_owned(), None)
        }
        (Some(resolution), _)
            if is_polymarkets || matches!(resolution, Resolution::RuleChanged(_)) =>
        {
            let reason = format!("not resolved yet: {}", resolution.why());
            left(trade, DeferReason::NotResolved, reason, None)
        }
        (None, _) if is_polymarkets => {
            let reason = "Polymarket could not be asked".to_owned();
            left(trade, DeferReason::SourceDown, reason, None)
        }
        (_, None) if strike == Strike::Recorded && bet.recorded_strike.is_none() => {
            let found = &trade.row.price_to_beat;
            let why = found.number().and_then(BtcPrice::new).err();
            let why = why.map_or_else(|| found.to_string(), |why| why.to_string());
            let reason = format!("price_to_beat: {why}, and --strike recorded needs it");
            left(trade, DeferReason::InError, reason, None)
        }
        (_, Some(measured)) => match held(&bet, &measured, needs_second, deciding, now) {
            Some(call) => {
                let until = bet.market.close.plus(deciding.hold);
                let waits = match deciding.confirm {
                    Confirm::Off => "candles decide at",
                    _ => "waits for Polymarket until",
                };
                let reason = format!("close call: {call}; {waits} {until}");
                left(trade, DeferReason::Held, reason, Some(measured))
            }
            None => {
                let money = money(&trade, measured.outcome, deciding.fees, data.stated_fee);
                settle(trade, Case::Provisional { bet, measured, money })
            }
        },
        (resolution, None) => {
            let reason = match is_divided {
                true => "two venues give different outcomes and different moves".to_owned(),
                false => no_price(&bet, data.prices),
            };
            let asked_all = deciding.confirm == Confirm::Off || resolution.is_some();
            let there = data.price_failed || !asked_all;
            let why = if there { DeferReason::SourceDown } else { DeferReason::NoData };
            left(trade, why, reason, None)
        }
    }
}

/// Confirms or corrects a trade that an earlier run settled by candles. The fee is the one counted
/// then. `None` if the row holds no bet or no profit to confirm.
pub fn confirm_trade(trade: Trade, earlier: Earlier, outcome: Outcome) -> Option<Settlement> {
    let bet = trade.bet;
    let money = bet.paid.pay_out(bet.side, outcome, earlier.fee);
    let agrees = trade.row.actual_outcome.text() == Some(outcome.as_str());
    let case = if agrees {
        let profit = Usd(trade.row.profit_loss.any_number()?);
        // fills that the wallet showed later
        match earlier.is_of_wallet && !is_same_but_for_rounding(profit.0, money.profit.0) {
            true => Case::Corrected { bet, earlier, outcome, money },
            false => Case::ConfirmedLater { bet, earlier, outcome, profit },
        }
    } else {
        Case::Corrected { bet, earlier, outcome, money }
    };
    Some(Settlement { trade, case })
}

/// Whether two amounts in dollars are equal but for the digits that a column of numbers loses.
pub(crate) fn is_same_but_for_rounding(written: Decimal, right: Decimal) -> bool {
    written.saturating_sub(right).abs() <= Decimal::new(1, 6)
}

/// The money of a trade on this outcome, with the fee that is counted.
pub(crate) fn money(
    trade: &Trade,
    outcome: Outcome,
    fees: Fees,
    stated: Option<StatedFee>,
) -> Money {
    trade.bet.paid.pay_out(trade.bet.side, outcome, fee(trade, fees, stated))
}

/// The fee that is counted for a trade; a wallet's money holds its fees.
pub(crate) fn fee(trade: &Trade, fees: Fees, stated: Option<StatedFee>) -> Option<Fee> {
    let Bet { market, paid, .. } = &trade.bet;
    match paid.source {
        MoneySource::Wallet => None,
        _ => fees.on(market, trade.logged_at, paid.cost, paid.price, stated),
    }
}

/// The credible prices; the recorded strike is the reference.
fn plausible(
    all: &[WindowPrices],
    recorded: Option<BtcPrice>,
) -> impl Iterator<Item = &WindowPrices> {
    let is_plausible = move |prices: &&WindowPrices| {
        recorded.is_none_or(|strike| prices.is_plausible(strike, all))
    };
    all.iter().filter(is_plausible)
}

/// The message for a bet without a usable price.
fn no_price(bet: &Bet, all: &[WindowPrices]) -> String {
    let close = bet.market.close;
    match (all, bet.recorded_strike) {
        ([first, ..], Some(strike)) if plausible(all, bet.recorded_strike).next().is_none() => {
            format!(
                "no source has a plausible price at {close}: {}'s {} or its price at the start is \
             more than 5 % from the recorded strike {strike}, and no second venue is within 1 % of it",
                first.source, first.close.price
            )
        }
        _ => format!("no source has the price at {close}"),
    }
}

/// Measures a bet against prices; `None` if the strike to use is not known.
fn measure(bet: &Bet, prices: &WindowPrices, strike: Strike) -> Option<Measured> {
    let open = prices.open.map(|open| open.price);
    let close = prices.close.price;
    let (strike, strike_source) = match strike {
        Strike::Venue => (open?, prices.source.as_str()),
        Strike::Recorded => (bet.recorded_strike?, "recorded"),
    };
    let decision = decide(strike, close, bet.market.tie);
    let doubts = match (bet.recorded_strike, open) {
        (Some(recorded), Some(open)) => {
            let before = prices.before.map(|before| before.price);
            let in_dollars = prices.source.in_dollars();
            strike::check_strike(recorded, Neighbours { open, close, before, in_dollars })
        }
        _ => vec![],
    };
    Some(Measured {
        prices: *prices,
        strike,
        strike_source,
        outcome: decision.outcome,
        margin: decision.margin,
        moved: open.and_then(|open| change(open, close)),
        close_call: close_call(decision.outcome, open, close, bet.market.tie, prices.least_move()),
        doubts,
        is_single: false,
    })
}

/// The close call that a candle result must wait for; `None` if it need not wait.
fn held(
    bet: &Bet,
    measured: &Measured,
    needs_second: bool,
    deciding: &Deciding,
    now: UnixSeconds,
) -> Option<CloseCall> {
    let is_exact = bet.market.basis.is_binances();
    if !deciding.holds() || deciding.hold_is_over(&bet.market, now) || is_exact {
        return None;
    }
    let prices = &measured.prices;
    let open = prices.open.map(|open| open.price);
    let (close, least) = (prices.close.price, deciding.least_move(prices));
    let call = close_call(measured.outcome, open, close, bet.market.tie, least);
    call.or(needs_second.then_some(CloseCall::NoSecondVenue))
}

/// What the venues' prices say. With [`Confirm::Auto`] one venue is not enough, except where the rule is
/// Binance's own candle.
fn opinion_of(
    bet: &Bet,
    all: &[WindowPrices],
    strike: Strike,
    deciding: &Deciding,
    now: UnixSeconds,
) -> Opinion {
    let plausible = plausible(all, bet.recorded_strike);
    if deciding.venues(&bet.market, now) == 1 {
        // the first set that includes the open, or else the first one
        let prices = plausible.min_by_key(|prices| prices.open.is_none());
        let measured = prices.and_then(|prices| measure(bet, prices, strike));
        return measured.map_or(Opinion::Nothing, Opinion::Agreed);
    }
    let measured = plausible.filter_map(|prices| measure(bet, prices, strike)).collect();
    opinion(measured, deciding.hold_is_over(&bet.market, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::eligibility::Row;
    use crate::rules::eligibility::tests::row;
    use crate::rules::market::{RuleSet, read_market};
    use crate::rules::outcome::Side;
    use crate::rules::pnl::Paid;
    use crate::rules::price::{Method, Priced, Source};
    use crate::rules::settlement::Status;
    use crate::rules::units::SharePrice;
    use crate::rules::value::Cell;

    const OPEN: UnixSeconds = UnixSeconds(1_770_987_600);
    const SOON: UnixSeconds = UnixSeconds(OPEN.0 + 1800);

    /// $5 at 0.50 on YES, with a strike of 67,000.
    fn trade() -> Trade {
        let slug = format!("btc-updown-15m-{}", OPEN.0);
        let price = SharePrice::new(Decimal::new(5, 1)).unwrap();
        let bet = Bet {
            market: read_market(&slug, OPEN, RuleSet::Polymarket),
            side: Side::Yes,
            paid: Paid::logged(Usd(5.into()), price).unwrap(),
            recorded_strike: BtcPrice::new(67_000.into()).ok(),
        };
        let row = Row {
            timestamp: Cell::Null,
            market_slug: Cell::Text(slug.clone()),
            action: Cell::Text("YES".to_owned()),
            actual_outcome: Cell::Text("YES".to_owned()),
            profit_loss: Cell::Text("5".to_owned()),
            ..row()
        };
        Trade { row, logged_at: OPEN, key: Some(slug), bet }
    }

    fn quoted(open: i64, close: i64) -> WindowPrices {
        let priced = |dollars: i64| Priced {
            price: BtcPrice::new(dollars.into()).unwrap(),
            method: Method::OpenOf(900),
        };
        let (open, close) = (Some(priced(open)), priced(close));
        WindowPrices { source: Source::Coinbase, close, open, before: None }
    }

    fn deciding(confirm: Confirm, min_move: i64) -> Deciding {
        let (min_move, hold) = (Some(Bps(min_move.into())), 6 * 3600);
        Deciding { confirm, min_move, hold, fees: Fees::None }
    }

    #[allow(clippy::needless_pass_by_value)] // tests make these where they hand them over
    fn decided(
        deciding: &Deciding,
        quoted: Option<WindowPrices>,
        resolution: Option<Resolution>,
        price_failed: bool,
    ) -> Result<Settlement, Box<Deferral>> {
        // a second venue bears the first out
        let second = quoted.map(|prices| WindowPrices { source: Source::Kraken, ..prices });
        let prices: Vec<WindowPrices> = quoted.into_iter().chain(second).collect();
        let data = MarketData {
            prices: &prices,
            price_failed,
            resolution: resolution.as_ref(),
            stated_fee: None,
            stated_prices: None,
        };
        match decide_trade(trade(), data, Strike::Recorded, deciding, SOON) {
            Decision::Settle(settlement) => Ok(*settlement),
            Decision::Defer(deferral) => Err(deferral),
        }
    }

    #[allow(clippy::unnecessary_wraps)] // as it is handed over
    fn not_yet() -> Option<Resolution> {
        Some(Resolution::NotYet("it is open".to_owned()))
    }

    #[test]
    fn names_are_those_on_the_command_line_and_in_records() {
        let names = [Confirm::Auto, Confirm::Off, Confirm::Only].map(Confirm::as_str);
        assert_eq!(names, ["auto", "off", "only"]);
        let statuses = [Status::Provisional, Status::Confirmed, Status::Corrected, Status::Unknown];
        assert_eq!(
            statuses.map(Status::as_str),
            ["provisional", "confirmed", "corrected", "unknown"]
        );
    }

    #[test]
    fn close_calls_are_held_by_auto_and_where_a_margin_is_asked_for() {
        // a move of 3 bps, on which strike and venue agree
        let close = quoted(67_000, 67_020);
        for (confirm, min_move, held) in [
            (Confirm::Auto, 4, true),
            (Confirm::Auto, 2, false),
            (Confirm::Off, 0, false),
            (Confirm::Off, 2, false),
            (Confirm::Off, 4, true),
        ] {
            let found = decided(&deciding(confirm, min_move), Some(close), not_yet(), false);
            let is_held = found.as_ref().is_err_and(|failure| failure.left == DeferReason::Held);
            assert_eq!(is_held, held, "{confirm:?} {min_move}");
        }
        // strike and venue disagree, for any minimum move
        let disagree = quoted(67_100, 67_050);
        assert!(decided(&deciding(Confirm::Auto, 0), Some(disagree), not_yet(), false).is_err());
        assert!(decided(&deciding(Confirm::Off, 0), Some(disagree), None, false).is_ok());
    }

    #[test]
    fn one_venue_alone_is_held_and_decides_after_the_hold() {
        let prices = [quoted(67_000, 67_500)];
        let decide = |confirm, now, price_failed| {
            let open = not_yet();
            let data = MarketData {
                prices: &prices,
                price_failed,
                resolution: open.as_ref(),
                stated_fee: None,
                stated_prices: None,
            };
            match decide_trade(trade(), data, Strike::Venue, &deciding(confirm, 4), now) {
                Decision::Settle(settlement) => {
                    Ok(settlement.measured().is_some_and(|measured| measured.is_single))
                }
                Decision::Defer(deferral) => Err(deferral.left),
            }
        };
        let later = SOON.plus(6 * 3600);
        assert_eq!(decide(Confirm::Auto, SOON, false), Err(DeferReason::Held));
        assert_eq!(decide(Confirm::Auto, later, false), Ok(true));
        // another venue may have a price that this run could not get
        assert_eq!(decide(Confirm::Auto, later, true), Err(DeferReason::SourceDown));
        assert_eq!(decide(Confirm::Off, SOON, false), Ok(false));
    }

    #[test]
    fn what_a_held_trade_waits_for_is_said() {
        let reason = |confirm| {
            let close = Some(quoted(67_000, 67_020));
            decided(&deciding(confirm, 4), close, not_yet(), false).unwrap_err().reason
        };
        assert!(reason(Confirm::Auto).ends_with("waits for Polymarket until 2026-02-13T19:15:00Z"));
        assert!(reason(Confirm::Off).ends_with("candles decide at 2026-02-13T19:15:00Z"));
    }

    #[test]
    fn only_polymarket_decides_where_that_is_asked_for() {
        let clear = Some(quoted(67_000, 68_000));
        let only = deciding(Confirm::Only, 0);
        let left = |resolution| decided(&only, clear, resolution, false).unwrap_err().left;
        assert_eq!(left(not_yet()), DeferReason::NotResolved);
        assert_eq!(left(None), DeferReason::SourceDown);
        let settlement = decided(&only, None, Some(Resolution::Final(Outcome::No)), false).unwrap();
        assert_eq!(
            (settlement.status(), settlement.profit()),
            (Status::Confirmed, Usd((-5).into()))
        );
    }

    #[test]
    fn a_trade_without_a_price_waits_longer_only_if_everything_answered() {
        for (confirm, resolution, price_failed, left) in [
            (Confirm::Off, None, false, DeferReason::NoData),
            (Confirm::Off, None, true, DeferReason::SourceDown),
            (Confirm::Auto, not_yet(), false, DeferReason::NoData),
            (Confirm::Auto, not_yet(), true, DeferReason::SourceDown),
            (Confirm::Auto, None, false, DeferReason::SourceDown),
            (Confirm::Auto, None, true, DeferReason::SourceDown),
        ] {
            let failure =
                decided(&deciding(confirm, 4), None, resolution, price_failed).unwrap_err();
            assert_eq!(failure.left, left, "{confirm:?} {price_failed}");
        }
    }

    #[test]
    fn a_price_that_is_not_believed_is_no_price() {
        let venue = |source, open: i64, close: i64| WindowPrices { source, ..quoted(open, close) };
        let decide = |prices: &[WindowPrices]| {
            let data = MarketData {
                prices,
                price_failed: false,
                resolution: None,
                stated_fee: None,
                stated_prices: None,
            };
            match decide_trade(trade(), data, Strike::Venue, &deciding(Confirm::Off, 0), SOON) {
                Decision::Settle(settlement) => {
                    Ok((settlement.outcome(), settlement.measured().cloned()))
                }
                Decision::Defer(deferral) => Err((deferral.left, deferral.reason)),
            }
        };
        let a_thousandth = venue(Source::Coinbase, 67_000, 67);
        let (left, reason) = decide(&[a_thousandth]).unwrap_err();
        assert_eq!(left, DeferReason::NoData);
        assert!(reason.contains("more than 5 % from the recorded strike 67000"), "{reason}");
        // another venue's price is near the strike
        let (outcome, measured) =
            decide(&[a_thousandth, venue(Source::Kraken, 67_000, 67_100)]).unwrap();
        assert_eq!((outcome, measured.unwrap().prices.source), (Outcome::Yes, Source::Kraken));
        // two venues agree: the market really moved
        let fell = [venue(Source::Coinbase, 67_000, 60_000), venue(Source::Kraken, 67_010, 60_020)];
        let (outcome, measured) = decide(&fell).unwrap();
        assert_eq!((outcome, measured.unwrap().prices.source), (Outcome::No, Source::Coinbase));
    }

    #[test]
    fn an_answer_about_another_market_decides_nothing_and_neither_do_candles() {
        let other = Some(Resolution::OtherMarket("it is on eth".to_owned()));
        for confirm in [Confirm::Auto, Confirm::Only] {
            let clear = Some(quoted(67_000, 68_000));
            let left = decided(&deciding(confirm, 4), clear, other.clone(), false).unwrap_err();
            assert_eq!(left.left, DeferReason::InError);
            assert!(left.reason.contains("it is on eth"));
        }
        let other_year = Some(Resolution::OtherYear("it is of 2025".to_owned()));
        let clear = Some(quoted(67_000, 68_000));
        assert!(decided(&deciding(Confirm::Auto, 4), clear, other_year.clone(), false).is_ok());
        let left = decided(&deciding(Confirm::Only, 4), clear, other_year, false).unwrap_err();
        assert_eq!(left.left, DeferReason::NotResolved);
    }

    #[test]
    fn a_resolution_leaves_what_it_confirms_and_replaces_the_rest() {
        let confirmed = confirm_trade(trade(), Earlier::default(), Outcome::Yes).unwrap();
        assert_eq!((confirmed.status(), confirmed.leaves_row()), (Status::Confirmed, true));
        assert_eq!((confirmed.profit(), confirmed.is_win()), (Usd(5.into()), Some(true)));
        let corrected = confirm_trade(trade(), Earlier::default(), Outcome::No).unwrap();
        assert_eq!((corrected.status(), corrected.leaves_row()), (Status::Corrected, false));
        assert_eq!((corrected.profit(), corrected.is_win()), (Usd((-5).into()), Some(false)));
        let split = confirm_trade(trade(), Earlier::default(), Outcome::Split).unwrap();
        assert_eq!((split.profit(), split.is_win()), (Usd(0.into()), None));
        let first = decided(
            &deciding(Confirm::Auto, 4),
            None,
            Some(Resolution::Final(Outcome::Yes)),
            false,
        );
        assert!(!first.unwrap().leaves_row(), "it is not written yet");
    }
}
