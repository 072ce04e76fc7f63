//! Which fills of a wallet belong to which trades, over all rows of each market. Pure: property tests hold
//! it against the wallet's cash flow. `fill` has the types.
//!
//! Source: of 56 buys of a real wallet each belongs to the latest row of its market and side that is not
//! later than it (measured 2026).

use std::collections::{BTreeMap, HashMap, VecDeque};

use rust_decimal::Decimal;

use crate::rules::fill::{
    Activity, Fill, Kind, LoggedRow, MarketId, Position, SETTLING, SharedRows, WalletReading,
    WalletSays,
};
use crate::rules::outcome::Side;
use crate::rules::units::{Shares, UnixSeconds, Usd};

/// A fill may be this many seconds earlier than its row: clocks differ.
const GRACE: i64 = 2;
/// A fill without an earlier row belongs to the next one within this many seconds.
const NEXT_ROW: i64 = 60;

/// What a wallet says about each row, and what of it belongs to no row.
#[derive(Debug, Default)]
pub struct Assignment {
    /// By rowid.
    pub says: HashMap<i64, WalletSays>,
    /// The fills of each row that has any, by rowid, the first one first.
    pub fills: HashMap<i64, Vec<Fill>>,
    /// Rows of the wallet that belong to no trade, each with the reason.
    pub unattributed: Vec<(Activity, &'static str)>,
}

/// Assigns a wallet's fills to the trades of `rows`, beside those of other bots that share the wallet.
pub fn assign_shared(
    rows: &[LoggedRow],
    shared: &SharedRows,
    reading: &WalletReading,
    now: UnixSeconds,
) -> Assignment {
    if shared.before.is_empty() && shared.after.is_empty() {
        return assign(rows, reading, now);
    }
    // two databases number their rows alike
    let all = shared.before.iter().chain(rows).chain(&shared.after).cloned();
    let all: Vec<LoggedRow> =
        all.zip(0..).map(|(row, number)| LoggedRow { rowid: number, ..row }).collect();
    let Assignment { mut says, mut fills, unattributed } = assign(&all, reading, now);
    let own = || rows.iter().zip((0..).skip(shared.before.len()));
    Assignment {
        says: own().filter_map(|(row, at)| Some((row.rowid, says.remove(&at)?))).collect(),
        fills: own().filter_map(|(row, at)| Some((row.rowid, fills.remove(&at)?))).collect(),
        unattributed,
    }
}

/// What `reading` says about each row, as of `now`. `rows` are all rows of each market, settled and
/// excluded ones included.
pub fn assign(rows: &[LoggedRow], reading: &WalletReading, now: UnixSeconds) -> Assignment {
    let mut markets: BTreeMap<&MarketId, Vec<&LoggedRow>> = BTreeMap::new();
    for row in rows {
        markets.entry(&row.market).or_default().push(row);
    }
    let mut activity: BTreeMap<&MarketId, Vec<&Activity>> = BTreeMap::new();
    for row in &reading.rows {
        activity.entry(&row.market).or_default().push(row);
    }
    // fills of any market may hide behind an id or a name that cannot be read
    let nameless = activity.iter().filter(|(market, _)| market.may_be_a_window());
    let nameless = nameless.filter(|(market, _)| !markets.contains_key(*market));
    let mut nameless: Vec<UnixSeconds> =
        nameless.flat_map(|(_, rows)| rows.iter().map(|row| row.at)).collect();
    nameless.sort_unstable();
    // the zone of the timestamps is wrong, so no row is where its fills are
    let are_late = are_logged_late(rows);
    let mut assignment = Assignment::default();
    for (market, mut rows) in markets {
        rows.sort_by_key(|row| (row.logged_at, row.rowid));
        let earliest = rows.first().map_or(now, |row| row.logged_at);
        let close = market.close();
        let fills = activity.remove(market);
        // the wallet may name a market without a window in another way than the row does
        let (from, until) = (earliest.plus(-NEXT_ROW), close.unwrap_or(now));
        let first = nameless.partition_point(|at| *at < from);
        let is_hidden = nameless.get(first).is_some_and(|at| *at <= until.plus(NEXT_ROW));
        let is_unsure = are_late || is_hidden || (close.is_none() && fills.is_none());
        let all = if !reading.covers(from, until) {
            Some(WalletSays::NotCovered)
        } else if close.is_some_and(|close| now.since(close) < SETTLING) {
            Some(WalletSays::Settling)
        } else {
            is_unsure.then_some(WalletSays::NotAttributed)
        };
        let (positions, stray) = match all {
            Some(_) => (None, vec![]),
            None => positions(&rows, fills.unwrap_or_default(), &mut assignment.fills),
        };
        assignment.unattributed.extend(stray.into_iter().map(|(row, why)| (row.clone(), why)));
        for row in rows {
            let says = match (all, &positions) {
                (Some(says), _) => says,
                (None, None) => WalletSays::NotAttributed,
                (None, Some(positions)) => match positions.get(&row.rowid) {
                    Some(position) => WalletSays::Filled(*position),
                    None => WalletSays::NotFilled,
                },
            };
            assignment.says.insert(row.rowid, says);
        }
    }
    let foreign = activity.into_values().flatten();
    assignment.unattributed.extend(foreign.map(|row| (row.clone(), NO_ROW_IN_MARKET)));
    assignment
}

/// Whether most rows are logged after their market's close, which a wrong `--timezone` explains.
pub fn are_logged_late(rows: &[LoggedRow]) -> bool {
    let is_late = |row: &&LoggedRow| row.market.close().is_some_and(|close| row.logged_at > close);
    !rows.is_empty() && rows.iter().filter(is_late).count() * 2 > rows.len()
}

/// Shares that one row bought and has not sold.
struct Lot {
    rowid: i64,
    shares: Decimal,
}

/// The reason of a row of the wallet whose market no trade names.
pub const NO_ROW_IN_MARKET: &str = "no trade names its market";

/// Rows of a wallet that belong to no trade, each with the reason.
type Stray<'a> = Vec<(&'a Activity, &'static str)>;

/// The positions of the rows of one market, by rowid; `None` if rows of the wallet belong to none of
/// them, or its money is not that of buys and sales alone, with these rows.
fn positions<'a>(
    rows: &[&LoggedRow],
    mut fills: Vec<&'a Activity>,
    fills_of: &mut HashMap<i64, Vec<Fill>>,
) -> (Option<HashMap<i64, Position>>, Stray<'a>) {
    // a buy comes before a sale of the same second; the order of the reading decides nothing
    let order = |fill: &&'a Activity| {
        let Activity { at, kind, hash, shares, dollars, .. } = *fill;
        (*at, *kind, hash.as_str(), *shares, *dollars)
    };
    fills.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut positions: HashMap<i64, Position> = HashMap::new();
    let mut lots: HashMap<bool, VecDeque<Lot>> = HashMap::new();
    let mut stray = Vec::new();
    for fill in fills {
        let side = match (fill.kind, fill.side) {
            (Kind::Other, _) => {
                stray.push((fill, "the market's money is not that of buys and sales alone"));
                continue;
            }
            (_, None) => {
                stray.push((fill, "its side cannot be read"));
                continue;
            }
            (_, Some(side)) => side,
        };
        let lots = lots.entry(side == Side::Yes).or_default();
        let taken = match fill.kind {
            Kind::Sell => sell(fill, lots, &mut positions, fills_of),
            _ => row_of(rows, side, fill.at).and_then(|rowid| {
                let bought = part_of(fill, fill.shares, fill.dollars);
                fills_of.entry(rowid).or_default().push(bought);
                let position = positions.entry(rowid).or_default();
                position.shares = position.shares.checked_add(fill.shares)?;
                position.cost = position.cost.checked_add(fill.dollars)?;
                lots.push_back(Lot { rowid, shares: fill.shares });
                Some(())
            }),
        };
        if taken.is_none() {
            stray.push((fill, "no trade of its market and side can have it"));
        }
    }
    (stray.is_empty().then_some(positions), stray)
}

/// The part of a fill that belongs to one trade.
fn part_of(fill: &Activity, shares: Decimal, dollars: Decimal) -> Fill {
    Fill {
        time: fill.at,
        is_sale: fill.kind == Kind::Sell,
        shares: Shares(shares),
        dollars: Usd(dollars),
        transaction_hash: fill.hash.clone(),
    }
}

/// Takes a sale's shares from the oldest lots; `None` if there are too few.
fn sell(
    fill: &Activity,
    lots: &mut VecDeque<Lot>,
    positions: &mut HashMap<i64, Position>,
    fills_of: &mut HashMap<i64, Vec<Fill>>,
) -> Option<()> {
    let (mut left, mut dollars) = (fill.shares, fill.dollars);
    while left > Decimal::ZERO {
        let lot = lots.front_mut()?;
        let sold = left.min(lot.shares);
        // the last part gets what the others left, so that the parts sum to the sale
        let part = match sold == left {
            true => dollars,
            false => fill.dollars.checked_mul(sold)?.checked_div(fill.shares)?,
        };
        let position = positions.get_mut(&lot.rowid)?;
        position.sold = position.sold.checked_add(sold)?;
        position.proceeds = position.proceeds.checked_add(part)?;
        fills_of.entry(lot.rowid).or_default().push(part_of(fill, sold, part));
        dollars = dollars.checked_sub(part)?;
        left = left.checked_sub(sold)?;
        lot.shares = lot.shares.checked_sub(sold)?;
        if lot.shares.is_zero() {
            lots.pop_front();
        }
    }
    Some(())
}

/// The row that a buy belongs to.
fn row_of(rows: &[&LoggedRow], side: Side, at: UnixSeconds) -> Option<i64> {
    let takes = |row: &&&LoggedRow| {
        row.side == side
            && !row.is_duplicate
            && row.market.close().is_none_or(|close| row.logged_at <= close)
    };
    let rows: Vec<&&LoggedRow> = rows.iter().filter(takes).collect();
    if let [only] = rows[..] {
        return Some(only.rowid);
    }
    let earlier = rows.iter().rev().find(|row| row.logged_at <= at.plus(GRACE));
    let next = || rows.iter().find(|row| row.logged_at <= at.plus(NEXT_ROW));
    earlier.or_else(next).map(|row| row.rowid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::value::Cell;
    use proptest::prelude::*;

    const OPEN: i64 = 1_770_987_600;
    const NOW: UnixSeconds = UnixSeconds(OPEN + 900 + 900);

    fn market() -> MarketId {
        MarketId::read(&format!("btc-updown-15m-{OPEN}"), UnixSeconds(OPEN)).unwrap()
    }

    fn row(rowid: i64, side: Side, at: i64) -> LoggedRow {
        let logged_at = UnixSeconds(OPEN + at);
        LoggedRow {
            rowid,
            trade_id: Cell::Integer(rowid),
            market_slug: Cell::Null,
            is_unsettled: true,
            market: market(),
            side,
            logged_at,
            is_duplicate: false,
        }
    }

    fn fill(kind: Kind, side: Side, at: i64, shares: i64, cents: i64) -> Activity {
        let (shares, dollars) = (shares.into(), Decimal::new(cents, 2));
        Activity {
            at: UnixSeconds(OPEN + at),
            kind,
            market: market(),
            side: Some(side),
            token: None,
            shares,
            dollars,
            name: String::new(),
            hash: String::new(),
        }
    }

    fn reading(rows: Vec<Activity>, span: (UnixSeconds, UnixSeconds)) -> WalletReading {
        WalletReading { rows, spans: vec![span], ..WalletReading::default() }
    }

    fn says(rows: &[LoggedRow], fills: Vec<Activity>) -> Vec<WalletSays> {
        let span = (UnixSeconds(OPEN - 1000), UnixSeconds(OPEN + 1000));
        let says = assign(rows, &reading(fills, span), NOW).says;
        rows.iter().map(|row| says[&row.rowid]).collect()
    }

    fn filled(shares: i64, cost: i64, sold: i64, proceeds: i64) -> WalletSays {
        WalletSays::Filled(Position {
            shares: shares.into(),
            cost: Decimal::new(cost, 2),
            sold: sold.into(),
            proceeds: Decimal::new(proceeds, 2),
        })
    }

    #[test]
    fn a_buy_belongs_to_the_latest_row_before_it_or_the_next_one() {
        let (yes, no) = (Side::Yes, Side::No);
        let rows = [row(1, yes, 60), row(2, yes, 120), row(3, yes, 300), row(4, no, 60)];
        let buy = |at, shares| fill(Kind::Buy, yes, at, shares, 100 * shares);
        let found = says(&rows, vec![buy(118, 1), buy(299, 2), buy(10, 4), buy(295, 8)]);
        // two seconds of grace before row 2 and row 3; row 1 is the next one for the first fill
        assert_eq!(found[0], filled(4, 400, 0, 0));
        assert_eq!(found[1], filled(9, 900, 0, 0));
        assert_eq!((found[2], found[3]), (filled(2, 200, 0, 0), WalletSays::NotFilled));
        // a side with one row takes all its fills
        let found = says(&rows[3..], vec![fill(Kind::Buy, no, -500, 3, 90)]);
        assert_eq!(found, [filled(3, 90, 0, 0)]);
        // a fill that belongs to no row
        let found = says(&rows[..2], vec![fill(Kind::Buy, yes, -500, 3, 90)]);
        assert_eq!(found, [WalletSays::NotAttributed; 2]);
    }

    #[test]
    fn a_sale_reduces_the_oldest_shares_first() {
        let yes = Side::Yes;
        let rows = [row(1, yes, 0), row(2, yes, 100)];
        let fills = vec![
            fill(Kind::Sell, yes, 200, 6, 300),
            fill(Kind::Buy, yes, 200, 4, 200),
            fill(Kind::Buy, yes, 10, 4, 100),
        ];
        let found = says(&rows, fills);
        assert_eq!(found, [filled(4, 100, 4, 200), filled(4, 200, 2, 100)]);
        // more sold than bought
        let found = says(&rows, vec![fill(Kind::Sell, yes, 200, 6, 300)]);
        assert_eq!(found, [WalletSays::NotAttributed; 2]);
    }

    #[test]
    fn a_market_with_other_rows_waits_and_so_does_what_is_not_covered() {
        let rows = [row(1, Side::Yes, 0)];
        let buy = || fill(Kind::Buy, Side::Yes, 10, 4, 100);
        let other = Activity { side: None, ..fill(Kind::Other, Side::Yes, 20, 1, 0) };
        assert_eq!(says(&rows, vec![buy(), other]), [WalletSays::NotAttributed]);
        let with = |from, until, now| {
            let span = (UnixSeconds(OPEN + from), UnixSeconds(OPEN + until));
            assign(&rows, &reading(vec![buy()], span), UnixSeconds(OPEN + now)).says[&1]
        };
        assert_eq!(with(-60, 900, 1800), filled(4, 100, 0, 0));
        assert_eq!(with(-59, 900, 1800), WalletSays::NotCovered);
        assert_eq!(with(-60, 899, 1800), WalletSays::NotCovered);
        assert_eq!(with(-60, 900, 1799), WalletSays::Settling);
    }

    #[test]
    fn a_market_that_only_polymarket_knows_is_never_called_not_filled() {
        let named = |text| MarketId::read(text, UnixSeconds(OPEN)).unwrap();
        let of = |market, logged| {
            let rows = [LoggedRow { market: named(market), ..row(1, Side::Yes, 0) }];
            let buy = fill(Kind::Buy, Side::Yes, 10, 4, 100);
            let rows_of_wallet = vec![Activity { market: named(logged), ..buy }];
            let span = (UnixSeconds(OPEN - 60), NOW);
            assign(&rows, &reading(rows_of_wallet, span), NOW).says[&1]
        };
        assert_eq!(of("will-it-rain", "will-it-rain"), filled(4, 100, 0, 0));
        assert_eq!(of("will-it-rain", "another"), WalletSays::NotAttributed);
        assert_eq!(of("512345", "will-it-rain"), WalletSays::NotAttributed);
    }

    #[test]
    fn a_row_of_a_market_that_cannot_be_read_makes_the_trades_of_its_time_wait() {
        let rows = [row(1, Side::Yes, 0)];
        let of = |key: &str, at| {
            let market = MarketId::Key(key.to_owned());
            let unread = Activity { market, ..fill(Kind::Buy, Side::Yes, at, 4, 100) };
            says(&rows, vec![fill(Kind::Buy, Side::Yes, 10, 4, 100), unread])
        };
        for key in ["", "bitcoin up / down (15 min)", "btc-updown-15m"] {
            assert_eq!(of(key, 10), [WalletSays::NotAttributed], "{key}");
            assert_eq!(of(key, -61), [filled(4, 100, 0, 0)], "{key}");
            assert_eq!(of(key, 961), [filled(4, 100, 0, 0)], "{key}");
        }
        assert_eq!(of("will it rain?", 10), [filled(4, 100, 0, 0)]);
    }

    #[test]
    fn the_order_in_which_rows_are_read_decides_nothing() {
        let yes = Side::Yes;
        let rows = [row(1, yes, 0), row(2, yes, 100)];
        let buys = || [fill(Kind::Buy, yes, 10, 5, 200), fill(Kind::Buy, yes, 110, 5, 200)];
        let sales = [fill(Kind::Sell, yes, 200, 5, 400), fill(Kind::Sell, yes, 200, 5, 100)];
        let [one, other] = sales;
        let first = says(&rows, [&buys()[..], &[one.clone(), other.clone()]].concat());
        assert_eq!(first, says(&rows, [&[other, one], &buys()[..]].concat()));
    }

    #[test]
    fn rows_after_the_close_and_orders_logged_again_take_no_fill() {
        let yes = Side::Yes;
        let rows =
            [row(1, yes, 0), LoggedRow { is_duplicate: true, ..row(2, yes, 5) }, row(3, yes, 901)];
        let found = says(&rows, vec![fill(Kind::Buy, yes, 10, 4, 100)]);
        assert_eq!(found, [filled(4, 100, 0, 0), WalletSays::NotFilled, WalletSays::NotFilled]);
        // most rows are late: the zone is wrong
        let late = [row(1, yes, 901), row(2, yes, 902), row(3, yes, 10)];
        let found = says(&late, vec![fill(Kind::Buy, yes, 10, 4, 100)]);
        assert_eq!(found, [WalletSays::NotAttributed; 3]);
    }

    proptest! {
        /// The rows of a market sum to the wallet's cash flow in it, and to its shares.
        #[test]
        fn the_rows_of_a_market_sum_to_the_wallets_money(
            rows in proptest::collection::vec((any::<bool>(), 0i64..900), 1..6),
            fills in proptest::collection::vec(
                (any::<bool>(), any::<bool>(), 0i64..900, 1i64..50, 1i64..5000), 0..20),
        ) {
            let side = |yes| if yes { Side::Yes } else { Side::No };
            let rows: Vec<LoggedRow> = rows.iter().zip(1..)
                .map(|((yes, at), rowid)| row(rowid, side(*yes), *at)).collect();
            let fills: Vec<Activity> = fills.iter().map(|(buys, yes, at, shares, cents)| {
                fill(if *buys { Kind::Buy } else { Kind::Sell }, side(*yes), *at, *shares, *cents)
            }).collect();
            let found = says(&rows, fills.clone());
            if found.contains(&WalletSays::NotAttributed) {
                return Ok(());
            }
            let mut sum = (Decimal::ZERO, Decimal::ZERO);
            for says in found {
                if let WalletSays::Filled(position) = says {
                    sum.0 += position.proceeds - position.cost;
                    sum.1 += position.shares - position.sold;
                }
            }
            let mut flow = (Decimal::ZERO, Decimal::ZERO);
            for fill in fills {
                let sign = if fill.kind == Kind::Buy { Decimal::ONE } else { -Decimal::ONE };
                flow.0 -= sign * fill.dollars;
                flow.1 += sign * fill.shares;
            }
            prop_assert!((sum.0 - flow.0).abs() < Decimal::new(1, 12), "{} {}", sum.0, flow.0);
            prop_assert_eq!(sum.1, flow.1);
        }
    }
}
