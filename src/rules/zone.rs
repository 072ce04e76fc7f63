//! Finds the zone of timestamps that carry none: bots trade while a market's window is open, so the right
//! zone puts most trades into their windows. The same shows which pass of a repeated hour is meant.
//! `timestamp` reads them.

use crate::rules::market::{Market, RuleSet, read_market};
use crate::rules::timestamp::{NaiveZone, earlier_pass, read_cell};
use crate::rules::title::market_key;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

/// With fewer trades than this, nothing is concluded.
const ENOUGH: usize = 5;
/// Zones differ by multiples of half an hour, in seconds, but for a few with quarters.
const STEP: i64 = 1800;
/// The farthest zones, in seconds from UTC: −12 and +14 hours.
const FARTHEST: [i64; 2] = [-12 * 3600, 14 * 3600];
/// Bots place orders on the next market this many seconds before its window opens.
const EARLY: i64 = 900;

/// The zone that fits trades better than the one they were read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LikelyZone {
    /// Seconds by which it is ahead of the zone in use.
    pub ahead: i64,
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

/// The zone that puts at least four fifths of the trades into their windows, where the one in use puts at
/// most a fifth there; each trade by its time in that zone and its market.
pub fn likely_zone(trades: &[(UnixSeconds, Market)]) -> Option<LikelyZone> {
    let trades: Vec<_> = trades.iter().filter(|(_, market)| market.has_window()).collect();
    let compared = trades.len();
    let most = |fits: usize| compared >= ENOUGH && fits * 5 >= compared * 4;
    let fits = |ahead: i64| {
        let is_inside = |(at, market): &&&(UnixSeconds, Market)| is_traded(market, at.plus(-ahead));
        trades.iter().filter(is_inside).count()
    };
    let fits_now = fits(0);
    // some bots log a trade after its window has closed
    if fits_now * 5 > compared {
        return None;
    }
    let [least, greatest] = FARTHEST.map(|seconds| seconds / STEP);
    let zones = (least..=greatest).map(|steps| steps * STEP);
    let best = zones.max_by_key(|ahead| (fits(*ahead), -ahead.abs()))?;
    let fits = fits(best);
    most(fits).then_some(LikelyZone { ahead: best, fits, fits_now, compared })
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

    fn trades(ahead: i64) -> Vec<(UnixSeconds, Market)> {
        let trade = |number: i64| {
            let open = 1_770_987_600 + number * 900;
            let slug = format!("btc-updown-15m-{open}");
            let at = UnixSeconds(open + 100 + number * 37);
            (at.plus(ahead), read_market(&slug, at, RuleSet::Polymarket))
        };
        (0..20).map(trade).collect()
    }

    #[test]
    fn the_zone_that_puts_trades_into_their_windows_is_found() {
        for ahead in [7 * 3600, -5 * 3600, 19_800] {
            let zone = likely_zone(&trades(ahead)).unwrap();
            assert_eq!((zone.ahead, zone.fits, zone.fits_now), (ahead, 20, 0));
        }
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
        assert_eq!(likely_zone(&trades(0)), None);
        assert_eq!(likely_zone(&trades(7 * 3600)[..4]), None);
        let mut mixed = trades(7 * 3600);
        mixed.truncate(10);
        mixed.extend(trades(-9 * 3600));
        assert_eq!(likely_zone(&mixed), None, "no one zone fits");
    }
}
