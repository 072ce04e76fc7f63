//! Finds the zone of timestamps that carry none: bots trade while a market's window is open, so the right
//! zone puts most trades into their windows. The same shows which pass of a repeated hour is meant.
//! `timestamp` reads them.

use chrono::{FixedOffset, Offset, Utc};

use crate::rules::market::{Market, RuleSet, read_market};
use crate::rules::timestamp::{FUTURE, NaiveZone, earlier_pass, read_cell};
use crate::rules::title::market_key;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

/// With fewer trades than this, nothing is concluded from all trades.
const ENOUGH: usize = 5;
/// The zones with half and quarter hours, in minutes from UTC; the others are whole hours.
///
/// Source: the IANA time zone database 2025b, summer times included, without Eucla's +08:45.
const ODD_MINUTES: [i64; 11] = [
    -570, // Marquesas
    -210, // Newfoundland
    -150, 210, // Iran
    270, // Afghanistan
    330, // India
    345, // Nepal
    390, // Myanmar
    570, // Adelaide
    630, 765, // Chatham Islands
];
/// The farthest zones, in hours from UTC.
const HOURS: std::ops::RangeInclusive<i64> = -12..=14;
/// Bots place orders on the next market this many seconds before its window opens.
const EARLY: i64 = 900;

/// The zone that fits trades better than the one they were read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LikelyZone {
    /// Seconds by which it is ahead of UTC.
    pub offset: i64,
    /// The trades that it puts into their windows.
    pub fits: usize,
    /// The trades that the zone in use puts there.
    pub fits_now: usize,
    /// All trades that were compared.
    pub compared: usize,
}

/// Whether bots trade a market at this time.
fn is_traded(market: &Market, at: UnixSeconds) -> bool {
    at >= market.open.plus(-EARLY) && at < market.close
}

/// When a trade was logged; `None` if its timestamp cannot be read. Of an hour that repeats when clocks go
/// back, the pass in which its market is traded; the later one where the market does not show it.
pub fn logged_at(timestamp: &Cell, market_slug: &Cell, zone: NaiveZone) -> Option<UnixSeconds> {
    let later = read_cell(timestamp, zone)?;
    let is_in_window = |at: UnixSeconds| {
        let key = market_slug.name().and_then(|name| market_key(&name, at));
        let market = key.map(|key| read_market(&key, at, RuleSet::Polymarket));
        market.is_some_and(|market| market.has_window() && is_traded(&market, at))
    };
    let earlier = timestamp.text().and_then(|text| earlier_pass(text, zone));
    let earlier = earlier.filter(|earlier| is_in_window(*earlier) && !is_in_window(later));
    Some(earlier.unwrap_or(later))
}

/// Trades, each with its time in the zone in use and its market.
#[derive(Debug, Clone, Copy)]
pub struct Timed<'a> {
    /// The trades.
    pub trades: &'a [(UnixSeconds, Market)],
    /// Seconds by which the zone in use is ahead of UTC.
    pub in_use: i64,
    /// The time of the reading: no trade is later.
    pub now: UnixSeconds,
}

impl Timed<'_> {
    /// The zone that puts at least four fifths of five trades or more into their windows, where the one in use
    /// puts at most a fifth there.
    pub fn likely_zone(self) -> Option<LikelyZone> {
        let zone = self.best()?;
        // some bots log a trade after its window has closed
        let is_wrong_now = zone.fits_now * 5 <= zone.compared;
        let most = zone.compared >= ENOUGH && zone.fits * 5 >= zone.compared * 4;
        (is_wrong_now && most).then_some(zone)
    }

    /// The only zone that puts each of these trades, which the zone in use puts into the future, into its open
    /// window.
    pub fn zone_of_future(self) -> Option<LikelyZone> {
        let zone = self.best()?;
        let [_, inside] = self.fits(zone.offset);
        (inside == zone.compared).then_some(zone)
    }

    /// The number of trades that the zone in use puts into the time in which bots trade their markets, and the
    /// number of all that were compared.
    pub fn fits_now(self) -> [usize; 2] {
        let compared = self.trades.iter().filter(|(_, market)| market.has_window()).count();
        [self.fits(self.in_use)[0], compared]
    }

    /// The number of trades that the zone with this offset puts into the time in which bots trade their markets,
    /// and the number of those that it puts into their windows.
    fn fits(self, offset: i64) -> [usize; 2] {
        let ahead = offset - self.in_use;
        let mut fits = [0, 0];
        for (at, market) in self.trades.iter().filter(|(_, market)| market.has_window()) {
            let at = at.plus(-ahead);
            if is_traded(market, at) && at.since(self.now) <= FUTURE {
                fits[0] += 1;
                fits[1] += usize::from(at >= market.open);
            }
        }
        fits
    }

    /// The zone that fits most trades. Windows of several hours fit several zones: of those, only a single one of
    /// whole hours is named.
    fn best(self) -> Option<LikelyZone> {
        let zones = HOURS.map(|hours| hours * 3600).chain(ODD_MINUTES.map(|minutes| minutes * 60));
        let zones: Vec<(i64, [usize; 2])> = zones
            .filter(|offset| *offset != self.in_use)
            .map(|offset| (offset, self.fits(offset)))
            .collect();
        let most = zones.iter().map(|(_, fits)| *fits).max()?;
        let best: Vec<i64> =
            zones.into_iter().filter(|(_, fits)| *fits == most).map(|(offset, _)| offset).collect();
        let is_whole = |offset: &&i64| **offset % 3600 == 0;
        let offset = match (&best[..], best.iter().filter(is_whole).count()) {
            ([offset], _) => *offset,
            (_, 1) => *best.iter().find(is_whole)?,
            _ => return None,
        };
        let ([fits, _], [fits_now, compared]) = (most, self.fits_now());
        (compared > 0).then_some(LikelyZone { offset, fits, fits_now, compared })
    }
}

/// Whether a timestamp is another instant in another zone.
pub fn is_naive(timestamp: &Cell) -> bool {
    let elsewhere = NaiveZone::Offset(FixedOffset::east_opt(3600).unwrap_or(Utc.fix()));
    read_cell(timestamp, NaiveZone::Utc) != read_cell(timestamp, elsewhere)
}

/// An offset from UTC in seconds, as `--timezone` takes it: +07:00.
pub fn offset_text(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::market::{RuleSet, read_market};

    const OPEN: i64 = 1_770_987_600;

    /// The trades of a bot whose clock is ahead of UTC, in markets of this kind and length in seconds, each this
    /// long after the open.
    fn of_kind(kind: &str, length: i64, ahead: i64, after: &[i64]) -> Vec<(UnixSeconds, Market)> {
        let trade = |(number, after): (i64, &i64)| {
            let open = OPEN + number * length;
            let at = UnixSeconds(open + after);
            (
                at.plus(ahead),
                read_market(&format!("btc-updown-{kind}-{open}"), at, RuleSet::Polymarket),
            )
        };
        (0..).zip(after).map(trade).collect()
    }

    fn trades(ahead: i64) -> Vec<(UnixSeconds, Market)> {
        let after: Vec<i64> = (0..20).map(|number| 100 + number * 37).collect();
        of_kind("15m", 900, ahead, &after)
    }

    fn of(trades: &[(UnixSeconds, Market)]) -> Timed<'_> {
        Timed { trades, in_use: 0, now: UnixSeconds(OPEN + 400 * 86_400) }
    }

    #[test]
    fn the_zone_that_puts_trades_into_their_windows_is_found() {
        let zones =
            ["+07:00", "-05:00", "+05:30", "+05:45", "+12:45", "-03:30", "+13:00", "+06:00"];
        for (name, ahead) in zones
            .into_iter()
            .zip([25_200, -18_000, 19_800, 20_700, 45_900, -12_600, 46_800, 21_600])
        {
            let zone = of(&trades(ahead)).likely_zone().unwrap();
            assert_eq!((zone.offset, zone.fits, zone.fits_now), (ahead, 20, 0), "{name}");
            assert_eq!(offset_text(zone.offset), name);
        }
        // read as +05:00, they are in UTC
        let read = trades(-18_000);
        let zone = Timed { in_use: 18_000, ..of(&read) }.likely_zone().unwrap();
        assert_eq!(zone.offset, 0);
    }

    #[test]
    fn windows_of_hours_name_no_zone_that_another_fits_as_well() {
        let after = [100, 400, 900, 1300, 1700];
        // +05:30 and +05:00 fit as well
        let hourly = of_kind("1h", 3600, 21_600, &after);
        assert_eq!(of(&hourly).likely_zone().unwrap().offset, 21_600);
        let four_hours = of_kind("4h", 14_400, 25_200, &after);
        assert_eq!(of(&four_hours).likely_zone(), None);
        // now shows that the bot's clock is no less ahead
        let (at, _) = four_hours[4];
        let now = Timed { now: at.plus(-25_200), ..of(&four_hours) };
        assert_eq!(now.likely_zone().unwrap().offset, 25_200);
        for ahead in [0, 25_200] {
            let daily = of_kind("1d", 86_400, ahead, &[40_000, 41_000, 50_000, 60_000, 70_000]);
            assert_eq!(of(&daily).likely_zone(), None);
        }
    }

    #[test]
    fn one_trade_in_the_future_shows_a_zone_where_only_one_fits() {
        let zone_of = |kind: &str, length: i64, ahead: i64, ago: i64| {
            let trades = of_kind(kind, length, ahead, &[100]);
            let now = UnixSeconds(OPEN + 100 + ago);
            let zone = Timed { now, ..of(&trades) }.zone_of_future();
            zone.map(|zone| (zone.offset, zone.fits, zone.compared))
        };
        assert_eq!(zone_of("15m", 900, 25_200, 30), Some((25_200, 1, 1)));
        assert_eq!(zone_of("15m", 900, 20_700, 30), Some((20_700, 1, 1)));
        assert_eq!(zone_of("4h", 14_400, 25_200, 30), Some((25_200, 1, 1)));
        assert_eq!(zone_of("4h", 14_400, 25_200, 3 * 3600), None);
        assert_eq!(zone_of("1d", 86_400, 25_200, 4 * 3600), None);
        // a clock that is ten minutes ahead is in no other zone
        assert_eq!(zone_of("15m", 900, 600, 0), None);
    }

    #[test]
    fn a_timestamp_with_a_zone_or_in_seconds_is_not_naive() {
        let text = |text: &str| is_naive(&Cell::Text(text.to_owned()));
        assert!(text("2026-02-13 13:07:42"));
        assert!(!text("2026-02-13T13:07:42Z") && !text("1770987600"));
        assert!(!is_naive(&Cell::Integer(1_770_987_600)));
    }

    #[test]
    fn the_window_shows_which_pass_of_a_repeated_hour_is_meant() {
        let zone: NaiveZone = "Europe/Berlin".parse().unwrap();
        // 2026-10-25 02:10 is 00:10 UTC, and an hour later once more
        let timestamp = Cell::Text("2026-10-25 02:10:00".to_owned());
        let first = 1_792_886_400; // 2026-10-25 00:00 UTC
        for (slug, minutes) in [
            (format!("btc-updown-15m-{first}"), 10),
            (format!("btc-updown-15m-{}", first + 3600), 70),
            (format!("btc-updown-4h-{first}"), 70),
            ("will-it-rain".to_owned(), 70),
        ] {
            let at = logged_at(&timestamp, &Cell::Text(slug.clone()), zone);
            assert_eq!(at, Some(UnixSeconds(first + minutes * 60)), "{slug}");
        }
    }

    #[test]
    fn trades_in_their_windows_and_few_trades_say_nothing() {
        assert_eq!(of(&trades(0)).likely_zone(), None);
        assert_eq!(of(&trades(7 * 3600)[..4]).likely_zone(), None);
        let mut mixed = trades(7 * 3600);
        mixed.truncate(10);
        mixed.extend(trades(-9 * 3600));
        assert_eq!(of(&mixed).likely_zone(), None, "no one zone fits");
    }
}
