//! Reads a market's slug as its asset, its window and the rules that decide it. Pure functions: this module
//! holds the dated rule table and fetches, stores and decides nothing.
//!
//! Sources: the slug's number opens the window (measured on 184 trades of a real bot, and equal to
//! Polymarket's `eventStartTime`). Rule epochs are as Polymarket announced them, see [`EPOCHS`].

use std::fmt;
use std::sync::LazyLock;

use chrono::{Datelike, Days, NaiveDate, TimeZone};
use chrono_tz::America::New_York;
use regex::Regex;

use crate::rules::asset::Asset;
use crate::rules::outcome::Tie;
use crate::rules::title::{is_id, month_named};
use crate::rules::units::UnixSeconds;

/// The rules by which a run reads slugs and decides ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RuleSet {
    /// The slug's number opens the window, a tie is YES, prices follow the dated epochs
    Polymarket,
    /// The slug's number closes the window, a tie is NO, no TWAP: as in settle's predecessor
    SlugClose,
}

impl RuleSet {
    /// The name used on the command line and in `settlement_records`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polymarket => "polymarket",
            Self::SlugClose => "slug-close",
        }
    }
}

impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The kind of market that a slug names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `btc-updown-15m-1770828300`, `btc-up-or-down-5m-1770828300`: the slug names the duration, in
    /// seconds.
    UpDown(i64),
    /// `btc-updown-1770828300`: Bitcoin without a duration or another word. Taken as 15 minutes,
    /// like the bot's own markets.
    Assumed15m,
    /// `bitcoin-up-or-down-february-13-2026-3pm-et`: one hour from the named hour, US Eastern.
    Hourly,
    /// `bitcoin-up-or-down-on-february-13-2026`: noon to noon US Eastern, ending on the named day.
    Daily,
    /// A time, but words that settle does not know, or an hour that comes twice: Polymarket alone
    /// knows the window.
    OtherWords,
    /// No time: a numeric id, a condition id or other words. UNKNOWN if Polymarket has no such
    /// market.
    Timeless,
}

impl Family {
    /// Length of the window in seconds. `None` if it is not known, and for a daily window, which
    /// lasts 23 or 25 hours when US Eastern changes its clocks.
    pub fn duration(self) -> Option<i64> {
        match self {
            Self::UpDown(seconds) => Some(seconds),
            Self::Assumed15m => Some(ASSUMED_DURATION),
            Self::Hourly => Some(3600),
            Self::Daily | Self::OtherWords | Self::Timeless => None,
        }
    }
}

/// The window's length, in seconds, if a slug has a number but no duration.
const ASSUMED_DURATION: i64 = 15 * 60;
/// Durations of numbered windows whose rules are known, in seconds.
const KNOWN_DURATIONS: [i64; 4] = [300, 900, 3600, 14_400];

/// How the price at a window's boundary is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// The price at that instant: the open of the candle that opens then.
    Point,
    /// The mean price over this many seconds before the instant.
    Twap(i64),
    /// The open of Binance's 1-hour candle that opens then.
    HourOpen,
    /// The close of Binance's 1-hour candle that ends then.
    HourClose,
    /// The close of Binance's 1-minute candle that opens then.
    MinuteClose,
}

impl Basis {
    /// Whether it is a price of Binance's own: no other venue has it.
    pub fn is_binances(self) -> bool {
        matches!(self, Self::HourOpen | Self::HourClose | Self::MinuteClose)
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Point => f.write_str("point price"),
            Self::Twap(seconds) => write!(f, "mean over {seconds} s"),
            Self::HourOpen | Self::HourClose => f.write_str("price of Binance's 1-hour candle"),
            Self::MinuteClose => f.write_str("close of Binance's 1-minute candle"),
        }
    }
}

/// How many seconds before a boundary the mean of Chainlink's stream ends. Source: 7 of 8 boundaries,
/// measured (2026).
pub const STREAM_LAG: i64 = 3;

/// One line of the rule table: the basis of the boundaries of some windows from a date on.
#[derive(Debug)]
pub struct Epoch {
    /// The first instant it applies to, compared with the instant the window opens.
    pub from: UnixSeconds,
    /// Window lengths it applies to, in seconds; empty means all.
    pub durations: &'static [i64],
    /// How a boundary is priced.
    pub basis: Basis,
    /// Its name in `settlement_records` and `explain`.
    pub name: &'static str,
}

/// The dated rule table of `--rules polymarket`; the last line that applies to a market wins.
/// Source: several independent public sources agree (2026). Dates are 00:00 UTC.
pub const EPOCHS: &[Epoch] = &[
    // the Chainlink BTC/USD data stream's point price
    Epoch { from: UnixSeconds(0), durations: &[], basis: Basis::Point, name: "point" },
    // 2026-08-07: the stream's mean over the minute before the boundary
    Epoch {
        from: UnixSeconds(1_786_060_800),
        durations: &[900, 14_400],
        basis: Basis::Twap(60),
        name: "twap-60s from 2026-08-07",
    },
    // 2026-08-07: the 5-minute markets use the mean over half a minute …
    Epoch {
        from: UnixSeconds(1_786_060_800),
        durations: &[300],
        basis: Basis::Twap(30),
        name: "twap-30s from 2026-08-07",
    },
    // 2026-08-14: … and a week later the mean over a minute
    Epoch {
        from: UnixSeconds(1_786_665_600),
        durations: &[300],
        basis: Basis::Twap(60),
        name: "twap-60s from 2026-08-14",
    },
];

/// The only epoch of `--rules slug-close`, which has no TWAP.
const SLUG_CLOSE_EPOCH: Epoch =
    Epoch { from: UnixSeconds(0), durations: &[], basis: Basis::Point, name: "slug-close" };

/// A market, as its slug describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Market {
    /// The asset that it is on.
    pub asset: Asset,
    /// The kind of slug.
    pub family: Family,
    /// When the window opens; when the trade was logged, if only Polymarket knows the window.
    pub open: UnixSeconds,
    /// When the window closes; as for `open`.
    pub close: UnixSeconds,
    /// How the prices at its boundaries are defined.
    pub basis: Basis,
    /// The outcome of a tie.
    pub tie: Tie,
    /// The name of the rule epoch that applies.
    pub epoch: &'static str,
}

impl Market {
    /// Whether the slug names the window.
    pub fn has_window(&self) -> bool {
        !matches!(self.family, Family::OtherWords | Family::Timeless)
    }

    /// Whether candles can decide it: settle has the asset's prices, and the rules of such windows
    /// are known. Polymarket alone decides any other market.
    pub fn is_decided_by_candles(&self) -> bool {
        let is_known = match self.family {
            Family::UpDown(seconds) => KNOWN_DURATIONS.contains(&seconds),
            Family::Assumed15m | Family::Hourly | Family::Daily => true,
            Family::OtherWords | Family::Timeless => false,
        };
        is_known && self.asset != Asset::Other
    }
}

// a test compiles each pattern, so that none is `None`

/// A slug that Polymarket renamed: `btc-updown-15m-1770828300-346`.
static NUMBER_INSIDE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"-[0-9]{10}-[0-9]{1,6}$").ok());
static HOURLY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?<asset>[a-z]+)-up-or-down-(?<month>[a-z]+)-(?<day>[0-9]{1,2})(?:-(?<year>[0-9]{4}))?-(?<hour>[0-9]{1,2})(?<half>am|pm)-et$",
    )
    .ok()
});
static DAILY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?<asset>[a-z]+)-up-or-down-on-(?<month>[a-z]+)-(?<day>[0-9]{1,2})(?:-(?<year>[0-9]{4}))?$",
    )
    .ok()
});

/// The words of a slug before the 10-digit unix time at its end, and the time:
/// `btc-updown-15m-1770828300` → `btc-updown-15m` and 1770828300. `None` for an empty slug, and for no
/// digits, 9 or 11 of them at the end.
fn number_at_end(slug: &str) -> Option<(&str, UnixSeconds)> {
    let slug = slug.trim();
    let (before, number) = slug.split_at_checked(slug.len().checked_sub(10)?)?;
    let mut name = before.chars();
    let is_longer = name.next_back().is_some_and(|last| last.is_ascii_digit());
    if is_longer || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let name = Some(name.as_str()).filter(|name| !name.contains('\n'))?;
    Some((name, UnixSeconds(number.parse().ok()?)))
}

/// Reads the key of a market ([`crate::rules::title::market_key`]) by `rules`. `traded_at` counts
/// only if the slug omits the year, where the year whose date is nearest to it is used, or the
/// window.
pub fn read_market(key: &str, traded_at: UnixSeconds, rules: RuleSet) -> Market {
    let (asset, family, open, close) = read_window(key, traded_at, rules).unwrap_or_else(|| {
        let inside = NUMBER_INSIDE.as_ref().is_some_and(|form| form.is_match(key));
        let is_dated = HOURLY.as_ref().is_some_and(|form| form.is_match(key));
        let has_time = !is_id(key) && (inside || is_dated || number_at_end(key).is_some());
        let family = if has_time { Family::OtherWords } else { Family::Timeless };
        (Asset::Other, family, traded_at, traded_at)
    });
    let (epoch, tie) = match rules {
        RuleSet::SlugClose => (&SLUG_CLOSE_EPOCH, Tie::No),
        RuleSet::Polymarket if family == Family::Daily => (epoch_of(family, open), Tie::Split),
        RuleSet::Polymarket => (epoch_of(family, open), Tie::Yes),
    };
    let (basis, epoch) = match (rules, family) {
        (RuleSet::Polymarket, Family::Hourly) => (Basis::HourClose, "binance-1h"),
        (RuleSet::Polymarket, Family::Daily) => (Basis::MinuteClose, "binance-noon"),
        _ => (epoch.basis, epoch.name),
    };
    Market { asset, family, open, close, basis, tie, epoch }
}

/// The slug with the year added, for a market whose `slug` names a day but no year; `None` for any
/// other slug. Polymarket also gives the form without a year to another year's market.
pub fn with_year(slug: &str, market: &Market) -> Option<String> {
    let slug = slug.trim().to_ascii_lowercase();
    let named = match market.family {
        Family::Hourly => market.open,
        Family::Daily => market.close,
        _ => return None,
    };
    let year = named.datetime()?.with_timezone(&New_York).year();
    let captures = [&HOURLY, &DAILY].into_iter().find_map(|form| form.as_ref()?.captures(&slug))?;
    let (day, is_without) = (captures.name("day")?, captures.name("year").is_none());
    let (before, after) = slug.split_at(day.end());
    is_without.then(|| format!("{before}-{year}{after}"))
}

/// The last line of [`EPOCHS`] that applies to a window of this family that opens at `open`. Hourly
/// and daily markets resolve on Binance's candles: see [`read_market`].
fn epoch_of(family: Family, open: UnixSeconds) -> &'static Epoch {
    let duration = match family {
        Family::UpDown(_) | Family::Assumed15m => family.duration(),
        _ => None,
    };
    let holds = |epoch: &&Epoch| {
        epoch.from <= open
            && (epoch.durations.is_empty()
                || duration.is_some_and(|seconds| epoch.durations.contains(&seconds)))
    };
    EPOCHS.iter().rev().find(holds).unwrap_or(&EPOCHS[0])
}

/// The asset, family, open and close of the window that a slug names; `None` if it names none.
fn read_window(
    slug: &str,
    traded_at: UnixSeconds,
    rules: RuleSet,
) -> Option<(Asset, Family, UnixSeconds, UnixSeconds)> {
    if let Some((name, number)) = number_at_end(slug) {
        let (asset, family, duration) = numbered_family(name)?;
        return Some(match rules {
            RuleSet::Polymarket => (asset, family, number, number.plus(duration)),
            RuleSet::SlugClose => (asset, family, number.plus(-duration), number),
        });
    }
    if let Some(captures) = HOURLY.as_ref().and_then(|hourly| hourly.captures(slug)) {
        let hour: u32 = captures["hour"].parse().ok()?;
        if !(1..=12).contains(&hour) {
            return None;
        }
        let hour = hour % 12 + if &captures["half"] == "pm" { 12 } else { 0 };
        let open = eastern(named_date(&captures, traded_at)?, hour)?;
        return Some((asset_of(&captures), Family::Hourly, open, open.plus(3600)));
    }
    let captures = DAILY.as_ref()?.captures(slug)?;
    let date = named_date(&captures, traded_at)?;
    let before = date.checked_sub_days(Days::new(1))?;
    Some((asset_of(&captures), Family::Daily, eastern(before, 12)?, eastern(date, 12)?))
}

fn asset_of(captures: &regex::Captures<'_>) -> Asset {
    Asset::named(&captures["asset"]).unwrap_or(Asset::Other)
}

/// The asset and family of a slug, by its words before the number, and its windows' length in seconds.
/// `None` if the words name no window.
fn numbered_family(name: &str) -> Option<(Asset, Family, i64)> {
    let (asset, kind) = name.split_once('-')?;
    if asset.is_empty() || !asset.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let asset = Asset::named(asset).unwrap_or(Asset::Other);
    let length = kind.strip_prefix("updown").or_else(|| kind.strip_prefix("up-or-down"))?;
    if length.is_empty() {
        return Some((asset, Family::Assumed15m, ASSUMED_DURATION));
    }
    let length = length.strip_prefix('-')?;
    let (count, unit) = length.split_at_checked(length.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let is_count = (1..=3).contains(&count.len())
        && count.bytes().all(|byte| byte.is_ascii_digit())
        && !count.starts_with('0');
    let seconds = count.parse::<i64>().ok().filter(|_| is_count)? * unit;
    Some((asset, Family::UpDown(seconds), seconds))
}

/// The date in an hourly or daily slug; without a year, the date nearest to `near`.
fn named_date(captures: &regex::Captures<'_>, near: UnixSeconds) -> Option<NaiveDate> {
    let month = month_named(&captures["month"])?;
    let day = captures["day"].parse().ok()?;
    if let Some(year) = captures.name("year") {
        return NaiveDate::from_ymd_opt(year.as_str().parse().ok()?, month, day);
    }
    let near = near.datetime()?.date_naive();
    (near.year() - 1..=near.year() + 1)
        .filter_map(|year| NaiveDate::from_ymd_opt(year, month, day))
        .min_by_key(|date| (*date - near).num_days().abs())
}

/// The instant of `hour` o'clock on `date` in US Eastern, with daylight saving time. `None` for an
/// hour that comes twice or never on that day.
fn eastern(date: NaiveDate, hour: u32) -> Option<UnixSeconds> {
    let local = date.and_hms_opt(hour, 0, 0)?;
    New_York.from_local_datetime(&local).single().map(|at| UnixSeconds(at.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    const NOW: UnixSeconds = UnixSeconds(1_770_990_000); // 2026-02-13 13:40 UTC

    fn at(iso: &str) -> UnixSeconds {
        UnixSeconds(DateTime::parse_from_rfc3339(iso).unwrap().timestamp())
    }

    fn slug_number(slug: &str) -> Option<UnixSeconds> {
        number_at_end(slug).map(|(_, number)| number)
    }

    fn read(slug: &str) -> Market {
        read_market(slug, NOW, RuleSet::Polymarket)
    }

    #[test]
    fn patterns_compile() {
        for pattern in [&NUMBER_INSIDE, &HOURLY, &DAILY] {
            assert!(pattern.is_some());
        }
    }

    #[test]
    fn the_number_at_the_slugs_end_is_its_time() {
        assert_eq!(slug_number("btc-updown-15m-1770828300"), Some(UnixSeconds(1_770_828_300)));
        assert_eq!(slug_number("bitcoin-up-down-1770828900"), Some(UnixSeconds(1_770_828_900)));
        assert_eq!(slug_number("btc-updown-15m-1770828300\n"), Some(UnixSeconds(1_770_828_300)));
    }

    #[test]
    fn a_slug_without_a_ten_digit_number_at_its_end_has_no_time() {
        for slug in [
            "no-timestamp-here",
            "",
            "btc-updown-15m-177082830",
            "btc-updown-15m-17708283000",
            "btc-1770828300-updown",
            "btc-updown-15m-١٧٧٠٨٢٨٣٠٠",
        ] {
            assert_eq!(slug_number(slug), None, "{slug}");
            assert_eq!(read(slug).family, Family::Timeless, "{slug}");
        }
    }

    #[test]
    fn the_number_opens_the_window() {
        for (slug, seconds) in [
            ("btc-updown-5m-1770828300", 300),
            ("btc-updown-15m-1770828300", 900),
            ("btc-updown-4h-1770828300", 14_400),
            ("btc-updown-1770828300", 900),
            ("bitcoin-up-or-down-1770828300", 900),
            ("btc-up-or-down-5m-1770828300", 300),
            ("bitcoin-up-or-down-15m-1770828300", 900),
            ("btc-up-or-down-4h-1770828300", 14_400),
            ("btc-updown-60s-1770828300", 60),
            ("btc-updown-1w-1770828300", 604_800),
        ] {
            let market = read(slug);
            assert_eq!(market.open, UnixSeconds(1_770_828_300), "{slug}");
            assert_eq!(market.close, UnixSeconds(1_770_828_300 + seconds), "{slug}");
            assert_eq!(market.tie, Tie::Yes, "{slug}");
        }
    }

    #[test]
    fn only_bitcoin_without_a_further_word_is_taken_for_fifteen_minutes() {
        for slug in [
            "bitcoin-up-down-1770828300",
            "btc-updown-soon-1770828300",
            "btc-updown-15min-1770828300",
            "btc-updown-0m-1770828300",
            "btc-updown-1000m-1770828300",
            "will-bitcoin-reach-150k-by-december-31-1770828300",
            "btc-updown-15m-1770828300-346",
        ] {
            for rules in [RuleSet::Polymarket, RuleSet::SlugClose] {
                let market = read_market(slug, NOW, rules);
                assert_eq!(market.family, Family::OtherWords, "{slug}");
                assert!(!market.has_window() && !market.is_decided_by_candles(), "{slug}");
            }
        }
    }

    #[test]
    fn candles_decide_no_duration_that_is_not_known() {
        for (slug, is_known) in [
            ("btc-updown-5m-1770828300", true),
            ("btc-updown-1770828300", true),
            ("btc-updown-1h-1770828300", true),
            ("btc-updown-60s-1770828300", false),
            ("btc-updown-1d-1770828300", false),
            ("bitcoin-up-or-down-february-13-2026-3pm-et", true),
            ("bitcoin-up-or-down-on-february-13-2026", true),
        ] {
            assert_eq!(read(slug).is_decided_by_candles(), is_known, "{slug}");
        }
    }

    #[test]
    fn a_slug_that_leaves_the_year_out_has_a_form_with_it() {
        let dated = |slug: &str| with_year(slug, &read(slug));
        assert_eq!(
            dated("bitcoin-up-or-down-february-13-3pm-et").as_deref(),
            Some("bitcoin-up-or-down-february-13-2026-3pm-et")
        );
        assert_eq!(
            dated("bitcoin-up-or-down-on-february-13").as_deref(),
            Some("bitcoin-up-or-down-on-february-13-2026")
        );
        for slug in [
            "bitcoin-up-or-down-february-13-2026-3pm-et",
            "bitcoin-up-or-down-on-february-13-2026",
            "btc-updown-15m-1770828300",
        ] {
            assert_eq!(dated(slug), None);
        }
        // 8 p.m. on 31 December in US Eastern is 1 January in UTC
        let slug = "bitcoin-up-or-down-december-31-8pm-et";
        let market = read_market(slug, at("2025-12-31T20:00:00Z"), RuleSet::Polymarket);
        let wanted = Some("bitcoin-up-or-down-december-31-2025-8pm-et".to_owned());
        assert_eq!(with_year(slug, &market), wanted);
    }

    #[test]
    fn under_slug_close_the_number_closes_it_and_a_tie_is_no() {
        let market = read_market("btc-updown-15m-1790000100", NOW, RuleSet::SlugClose);
        assert_eq!(market.open, UnixSeconds(1_790_000_100 - 900));
        assert_eq!(market.close, UnixSeconds(1_790_000_100));
        assert_eq!(market.tie, Tie::No);
        assert_eq!(market.basis, Basis::Point);
    }

    #[test]
    fn each_epoch_begins_on_its_date() {
        let basis =
            |minutes: &str, iso: &str| read(&format!("btc-updown-{minutes}-{}", at(iso).0)).basis;
        assert_eq!(basis("15m", "2026-08-06T23:45:00Z"), Basis::Point);
        assert_eq!(basis("15m", "2026-08-07T00:00:00Z"), Basis::Twap(60));
        assert_eq!(basis("4h", "2026-08-06T20:00:00Z"), Basis::Point);
        assert_eq!(basis("4h", "2026-08-07T00:00:00Z"), Basis::Twap(60));
        assert_eq!(basis("5m", "2026-08-06T23:55:00Z"), Basis::Point);
        assert_eq!(basis("5m", "2026-08-07T00:00:00Z"), Basis::Twap(30));
        assert_eq!(basis("5m", "2026-08-13T23:55:00Z"), Basis::Twap(30));
        assert_eq!(basis("5m", "2026-08-14T00:00:00Z"), Basis::Twap(60));
    }

    #[test]
    fn hourly_slugs_name_the_hour_in_us_eastern() {
        let winter = read("bitcoin-up-or-down-february-13-2026-3pm-et");
        assert_eq!(winter.open, at("2026-02-13T20:00:00Z"));
        assert_eq!(winter.close, at("2026-02-13T21:00:00Z"));
        let summer = read("bitcoin-up-or-down-july-4-2026-12am-et");
        assert_eq!(summer.open, at("2026-07-04T04:00:00Z"));
        assert_eq!(read("bitcoin-up-or-down-july-4-2026-12pm-et").open, at("2026-07-04T16:00:00Z"));
        // Binance's own candle even in the TWAP epoch
        assert_eq!(read("bitcoin-up-or-down-october-4-2026-1pm-et").basis, Basis::HourClose);
    }

    #[test]
    fn an_hourly_slug_without_a_year_is_the_one_nearest_to_the_trade() {
        let near = |iso| {
            read_market("bitcoin-up-or-down-december-31-11pm-et", at(iso), RuleSet::Polymarket).open
        };
        assert_eq!(near("2026-01-01T04:10:00Z"), at("2026-01-01T04:00:00Z"));
        assert_eq!(near("2026-12-31T20:00:00Z"), at("2027-01-01T04:00:00Z"));
        let daily = "bitcoin-up-or-down-on-january-1";
        let market = read_market(daily, at("2025-12-31T20:00:00Z"), RuleSet::Polymarket);
        assert_eq!(market.close, at("2026-01-01T17:00:00Z"));
    }

    #[test]
    fn names_are_those_in_records_and_on_the_command_line() {
        assert_eq!(RuleSet::Polymarket.to_string(), "polymarket");
        assert_eq!(RuleSet::SlugClose.as_str(), "slug-close");
        assert_eq!(Basis::Point.to_string(), "point price");
        assert_eq!(Basis::Twap(60).to_string(), "mean over 60 s");
    }

    #[test]
    fn an_hour_the_clock_change_doubles_or_drops_is_not_guessed() {
        for slug in
            ["bitcoin-up-or-down-november-1-2026-1am-et", "bitcoin-up-or-down-march-8-2026-2am-et"]
        {
            assert_eq!(read(slug).family, Family::OtherWords, "{slug}");
        }
    }

    #[test]
    fn daily_slugs_run_from_noon_to_noon_and_split_a_tie() {
        let market = read("bitcoin-up-or-down-on-march-8-2026");
        // daylight saving time begins on that day: 23 hours
        assert_eq!(market.open, at("2026-03-07T17:00:00Z"));
        assert_eq!(market.close, at("2026-03-08T16:00:00Z"));
        assert_eq!(market.tie, Tie::Split);
    }

    #[test]
    fn dates_that_do_not_exist_are_no_time() {
        for slug in [
            "bitcoin-up-or-down-february-30-2026-3pm-et",
            "bitcoin-up-or-down-smarch-3-2026-3pm-et",
            "bitcoin-up-or-down-february-3-2026-13pm-et",
            "bitcoin-up-or-down-february-3-2026-0am-et",
            "bitcoin-up-or-down-on-june-31-2026",
        ] {
            assert!(!read(slug).has_window(), "{slug}");
        }
    }

    #[test]
    fn another_coins_market_is_never_read_as_bitcoins() {
        for (slug, asset) in [
            ("eth-updown-15m-1770828300", Asset::Eth),
            ("sol-updown-5m-1770828300", Asset::Sol),
            ("ethereum-up-or-down-february-13-2026-3pm-et", Asset::Eth),
            ("zcash-up-or-down-on-february-13-2026", Asset::Zec),
            ("ltc-updown-15m-1770828300", Asset::Other),
            ("nvda-up-or-down-on-november-20-2026", Asset::Other),
            ("will-eth-go-up-1770828300", Asset::Other),
            ("wbtc-updown-15m-1770828300", Asset::Other),
            ("btc-updown-5m-eth-updown-15m-1770828300", Asset::Other),
        ] {
            let market = read(slug);
            assert_eq!(market.asset, asset, "{slug}");
            assert_eq!(market.is_decided_by_candles(), asset != Asset::Other, "{slug}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(slug in any::<String>(), at in any::<i64>()) {
            for rules in [RuleSet::Polymarket, RuleSet::SlugClose] {
                let _ = read_market(&slug, UnixSeconds(at), rules);
            }
        }

        #[test]
        fn texts_like_slugs_are_read_or_refused_without_a_panic(
            slug in "(btc|bitcoin|eth)?-?(updown|up-or-down|up-or-down-on)?-?(5m|15m|999d|[a-z]{3,9}-[0-9]{1,2}(-[0-9]{4})?)?-?([0-9]{8,12}|[0-9]{1,2}(am|pm)-et)?",
            at in any::<i64>(),
        ) {
            for rules in [RuleSet::Polymarket, RuleSet::SlugClose] {
                let market = read_market(&slug, UnixSeconds(at), rules);
                prop_assert_eq!(market.open < market.close, market.has_window());
            }
        }

        #[test]
        fn ten_digits_at_the_end_are_found(number in 1_000_000_000i64..=9_999_999_999, name in "[a-z-]{0,30}") {
            prop_assert_eq!(slug_number(&format!("{name}-{number}")), Some(UnixSeconds(number)));
        }
    }

    #[test]
    fn a_family_says_how_long_its_windows_are_but_for_days_that_clocks_change() {
        let families = [Family::UpDown(300), Family::Assumed15m, Family::Hourly, Family::Daily];
        let durations = families.map(Family::duration);
        assert_eq!(durations, [Some(300), Some(900), Some(3600), None]);
    }

    proptest! {
        /// The patterns that the code for a slug with a number stands for.
        #[test]
        fn a_slug_with_a_number_is_read_as_the_patterns_read_it(
            slug in "([a-zE]{0,3})(-(updown|up-or-down|up))?(-[0-9]{0,4}[smhdwx]?)?(-|é|\n)?[0-9]{9,11}",
        ) {
            let number = Regex::new(r"^(?:(?<name>.*)[^0-9])?(?<number>[0-9]{10})$").unwrap();
            let name = Regex::new(
                r"^(?<asset>[a-z]+)-(?:updown|up-or-down)(?:-(?<count>[1-9][0-9]{0,2})(?<unit>[smhdw]))?$",
            )
            .unwrap();
            let found = number.captures(&slug);
            let wanted = found.as_ref().map(|found| found["number"].parse().unwrap());
            prop_assert_eq!(slug_number(&slug).map(|time| time.0), wanted);
            let words = found.as_ref().and_then(|found| found.name("name"));
            let wanted = words.and_then(|words| name.captures(words.as_str()));
            let read = number_at_end(&slug).and_then(|(words, _)| numbered_family(words));
            prop_assert_eq!(read.is_some(), wanted.is_some());
            if let (Some((_, family, _)), Some(wanted)) = (read, wanted) {
                let count = wanted.name("count").map(|count| count.as_str().parse::<i64>().unwrap());
                let unit = |unit: regex::Match<'_>| match unit.as_str() {
                    "s" => 1,
                    "m" => 60,
                    "h" => 3600,
                    "d" => 86_400,
                    _ => 604_800,
                };
                let family_wanted = match (count, wanted.name("unit").map(unit)) {
                    (Some(count), Some(unit)) => Family::UpDown(count * unit),
                    _ => Family::Assumed15m,
                };
                prop_assert_eq!(family, family_wanted);
            }
        }
    }
}
