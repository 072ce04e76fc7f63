//! How the results of trades develop: drawdowns, the edge over the latest trades, and the hours of the week.
//! `stats` has the figures of a whole set of trades.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::rules::statistics::{Settled, SettledAs};
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::{UnixSeconds, Usd};

/// The rolling edge is over this many trades.
pub const ROLLING: usize = 50;
/// With fewer trades than this, hours of the week are not compared.
pub const FOR_A_WEEK: usize = 2000;

/// A fall of the summed profit from its highest point until it is as high again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fall {
    /// Dollars from the highest point to the lowest one.
    pub amount: Usd,
    /// When the trade at the highest point was logged; `None` if that is the beginning.
    pub from: Option<UnixSeconds>,
    /// When the trade at the lowest point was logged.
    pub lowest: Option<UnixSeconds>,
    /// When the trade that made up for the fall was logged; `None` if none has.
    pub until: Option<UnixSeconds>,
    /// Trades after the highest point, up to the one that made up for the fall.
    pub trades: u64,
}

/// The falls that lasted for most trades, at most `count`, the longest first. The trades are in the order of
/// logging; UNKNOWN ones do not count.
pub fn longest_falls<'a>(trades: impl IntoIterator<Item = &'a Settled>, count: usize) -> Vec<Fall> {
    let (mut sum, mut peak) = (Decimal::ZERO, (Decimal::ZERO, None));
    let mut open: Option<Fall> = None;
    let mut falls = Vec::with_capacity(count + 1);
    // the longest ones alone, the longest first: a million trades may have 100,000 falls
    let add = |falls: &mut Vec<Fall>, fall: Fall| {
        let place = falls.partition_point(|other| other.trades >= fall.trades);
        falls.insert(place, fall);
        falls.truncate(count);
    };
    for trade in trades.into_iter().filter(|trade| trade.booked != SettledAs::Unknown) {
        let Some(profit) = trade.profit else { continue };
        sum = sum.saturating_add(profit);
        if sum >= peak.0 {
            if let Some(fall) = open.take() {
                add(&mut falls, Fall { until: trade.at(), trades: fall.trades + 1, ..fall });
            }
            peak = (sum, trade.at());
            continue;
        }
        let amount = Usd(peak.0.saturating_sub(sum));
        let begun = Fall { amount, from: peak.1, lowest: trade.at(), until: None, trades: 0 };
        let fall = open.get_or_insert(begun);
        fall.trades += 1;
        if amount > fall.amount {
            (fall.amount, fall.lowest) = (amount, trade.at());
        }
    }
    if let Some(fall) = open {
        add(&mut falls, fall);
    }
    falls
}

/// The win rate less the mean price paid, over each [`ROLLING`] trades in a row that have a price and a win
/// or a loss, with the time of the last of them.
pub fn rolling_edge<'a>(
    trades: impl IntoIterator<Item = &'a Settled>,
) -> Vec<(Option<UnixSeconds>, f64)> {
    let mut edges = Vec::new();
    let mut latest = std::collections::VecDeque::with_capacity(ROLLING + 1);
    let mut sum = 0.0;
    for trade in trades {
        let Some(won) = trade.counts_as() else { continue };
        let Some(price) = trade.price.and_then(|price| price.to_f64()) else { continue };
        let edge = f64::from(u8::from(won)) - price;
        sum += edge;
        latest.push_back(edge);
        if latest.len() > ROLLING {
            sum -= latest.pop_front().unwrap_or_default();
        }
        if latest.len() == ROLLING {
            edges.push((trade.at(), sum / ROLLING as f64));
        }
    }
    edges
}

/// The trades of one hour of the week.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WeekHour {
    /// Settled trades, UNKNOWN ones left out.
    pub count: u64,
    /// Trades won.
    pub wins: u64,
    /// Their profit in dollars.
    pub profit: Decimal,
}

/// The trades by weekday, from Monday, and hour in `zone`; `None` with fewer than [`FOR_A_WEEK`].
pub fn hours_of_week(trades: &[&Settled], zone: NaiveZone) -> Option<[[WeekHour; 24]; 7]> {
    if trades.len() < FOR_A_WEEK {
        return None;
    }
    let mut week = [[WeekHour::default(); 24]; 7];
    for trade in trades.iter().filter(|trade| trade.booked != SettledAs::Unknown) {
        let (Some(at), Some(profit)) = (trade.at(), trade.profit) else { continue };
        let at = zone.wall_seconds(at);
        // 1970-01-01 was a Thursday
        let day = (at.div_euclid(86_400) + 3).rem_euclid(7);
        let hour = at.rem_euclid(86_400) / 3600;
        let place = usize::try_from(day).ok().zip(usize::try_from(hour).ok());
        let cell = place.and_then(|(day, hour)| week.get_mut(day)?.get_mut(hour));
        if let Some(cell) = cell {
            cell.count += 1;
            cell.wins += u64::from(trade.counts_as() == Some(true));
            cell.profit = cell.profit.saturating_add(profit);
        }
    }
    Some(week)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::statistics::tests::{MIDNIGHT, settled, trade};

    #[test]
    fn a_fall_ends_where_the_profit_is_as_high_again_and_the_longest_comes_first() {
        // up to 5, down to 3, back at 5; down to 1 and 0, up to 2
        let trades = settled(&["+5", "-2", "+2", "-4", "-1", "+2"]);
        let falls = longest_falls(&trades, 9);
        let shown: Vec<_> = falls
            .iter()
            .map(|fall| {
                (fall.amount.0.to_string(), fall.from, fall.lowest, fall.until, fall.trades)
            })
            .collect();
        let at = |rowid: usize| trades[rowid - 1].at();
        assert_eq!(shown[0], ("5".to_owned(), at(3), at(5), None, 3));
        assert_eq!(shown[1], ("2".to_owned(), at(1), at(2), at(3), 2));
        assert_eq!(longest_falls(&trades, 1).len(), 1);
        assert_eq!(longest_falls(&settled(&["+1", "+2"]), 9), []);
        assert_eq!(longest_falls(&settled(&["-1"]), 9)[0].from, None);
    }

    #[test]
    fn the_rolling_edge_is_over_the_latest_fifty_trades_that_count() {
        let mut trades = settled(&["-1"; 50]);
        trades.extend((51..=75).map(|rowid| trade(rowid, "+1", SettledAs::Win)));
        trades.push(trade(76, "+0", SettledAs::Split));
        let edges = rolling_edge(&trades);
        assert_eq!(edges.len(), 26);
        // all of the first fifty were lost at 0.50; at the end, half were won
        assert!((edges[0].1 + 0.5).abs() < 1e-12 && edges[25].1.abs() < 1e-12, "{edges:?}");
        assert_eq!(edges[25].0, trades[74].at());
        assert_eq!(rolling_edge(&trades[..49]), []);
    }

    #[test]
    fn an_hour_of_the_week_is_in_the_zone_and_needs_two_thousand_trades() {
        // 2026-02-13 is a Friday; one minute after midnight in UTC
        let mut trade = trade(1, "+2", SettledAs::Win);
        trade.logged_at = MIDNIGHT.plus(60).datetime();
        let trades = vec![&trade; FOR_A_WEEK];
        let of = |zone: &str| hours_of_week(&trades, zone.parse().unwrap()).unwrap();
        let all = WeekHour { count: 2000, wins: 2000, profit: 4000.into() };
        assert_eq!(of("utc")[4][0], all);
        assert_eq!(of("-01:00")[3][23], all);
        assert_eq!(of("Europe/Berlin")[4][1], all);
        assert_eq!(hours_of_week(&trades[1..], NaiveZone::Utc), None);
    }
}
