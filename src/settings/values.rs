//! Parsers for option values; each error names what is allowed. Sources and rules parse their own
//! names.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use chrono::{Days, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use clap::ValueEnum;
use reqwest::Url;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::rules::price::Source;
use crate::rules::timestamp::{NaiveZone, read_timestamp};
use crate::rules::units::UnixSeconds;
use crate::sources::wallet::is_address;

/// The zone of timestamps without one. `local` is the host's zone, from `TZ` or the system's
/// settings.
pub(crate) fn zone(text: &str) -> Result<NaiveZone, String> {
    if !text.eq_ignore_ascii_case("local") {
        return text.parse();
    }
    // chrono takes UTC where the system has no zone, and returns no error
    let variable = std::env::var("TZ").ok().filter(|zone| !zone.is_empty());
    let problem = match &variable {
        Some(zone) => (!is_known_zone(zone)).then(|| format!("TZ is {zone}")),
        None => iana_time_zone::get_timezone().err().map(|why| why.to_string()),
    };
    if let Some(why) = problem {
        let what = "name the zone itself, such as +07:00 or Europe/Berlin";
        return Err(format!("the system's zone cannot be read ({why}); {what}"));
    }
    Ok(NaiveZone::Host(|local| Local.from_local_datetime(local).map(|at| at.to_utc())))
}

/// Whether `TZ` has a zone that the system knows: a name, a file, or a rule such as `EST5EDT`.
fn is_known_zone(text: &str) -> bool {
    let name = text.strip_prefix(':').unwrap_or(text);
    let file = Path::new("/usr/share/zoneinfo").join(name);
    let is_rule = !name.contains('/') && name.chars().any(|c| c.is_ascii_digit());
    name.parse::<chrono_tz::Tz>().is_ok() || file.is_file() || is_rule
}

pub(crate) fn address(text: &str) -> Result<String, String> {
    let address = text.trim().to_ascii_lowercase();
    is_address(&address).then_some(address).ok_or_else(|| {
        "the address of the wallet that holds the positions is needed: 0x and 40 hexadecimal digits"
            .to_owned()
    })
}

/// A candle service; blanks around it do not count.
pub(crate) fn source(text: &str) -> Result<Source, String> {
    let names = || Source::value_variants().iter().map(ToString::to_string).collect::<Vec<_>>();
    Source::from_str(text.trim(), true).map_err(|_| format!("use {}", names().join(", ")))
}

pub(crate) fn batch(text: &str) -> Result<usize, String> {
    text.trim()
        .parse::<u32>()
        .map(|count| count as usize)
        .map_err(|_| "a whole number is needed, 0 for all".to_owned())
}

pub(crate) fn interval(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(minutes @ 1..=1440) => Ok(minutes),
        _ => Err("a whole number of minutes from 1 to 1440 is needed".to_owned()),
    }
}

pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    match text.trim().parse() {
        Ok(seconds @ 1..=86_400) => Ok(seconds),
        _ => Err("a whole number of seconds from 1 to 86400 is needed".to_owned()),
    }
}

pub(crate) fn hours(text: &str) -> Result<Decimal, String> {
    match text.trim().parse::<Decimal>() {
        Ok(hours) if hours >= Decimal::ZERO && hours <= Decimal::from(87_600) => Ok(hours),
        _ => Err("a number of hours from 0 to 87600 is needed".to_owned()),
    }
}

pub(crate) fn bps(text: &str) -> Result<Decimal, String> {
    match text.trim().parse::<Decimal>() {
        Ok(bps) if bps >= Decimal::ZERO && bps <= Decimal::from(10_000) => Ok(bps),
        _ => Err("a number of bps from 0 to 10000 is needed".to_owned()),
    }
}

/// `hours` in whole seconds.
pub(crate) fn seconds_of(hours: Decimal) -> i64 {
    // `hours` allows at most ten years, so neither the product nor the conversion can overflow
    hours.checked_mul(Decimal::from(3600)).and_then(|seconds| seconds.to_i64()).unwrap_or(i64::MAX)
}

/// An end of a period, as a command line names it; days and times without a zone are in `--timezone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// A date and time with a zone.
    Instant(UnixSeconds),
    /// A date and time.
    Time(NaiveDateTime),
    /// A day.
    Day(NaiveDate),
    /// So many days before today.
    DaysBefore(u64),
    /// So many times 24 hours before now.
    Ago(i64),
}

impl Date {
    /// The period's first instant, as of `now`.
    pub fn begin(self, now: UnixSeconds, zone: NaiveZone) -> UnixSeconds {
        match self {
            Self::Instant(at) => at,
            Self::Time(time) => zone.first_instant(time),
            Self::Ago(days) => now.plus(-days.saturating_mul(DAY)),
            Self::Day(_) | Self::DaysBefore(_) => {
                zone.first_instant(self.day(now, zone).and_time(NaiveTime::MIN))
            }
        }
    }

    /// The first instant after the period, as of `now`: it holds the whole day, or the second.
    pub fn end(self, now: UnixSeconds, zone: NaiveZone) -> UnixSeconds {
        match self {
            Self::Instant(_) | Self::Time(_) | Self::Ago(_) => self.begin(now, zone).plus(1),
            Self::Day(_) | Self::DaysBefore(_) => {
                let day = self.day(now, zone);
                let next = day.succ_opt().unwrap_or(day);
                zone.first_instant(next.and_time(NaiveTime::MIN))
            }
        }
    }

    fn day(self, now: UnixSeconds, zone: NaiveZone) -> NaiveDate {
        let today = UnixSeconds(zone.wall_seconds(now)).datetime().unwrap_or_default().date_naive();
        match self {
            Self::Day(day) => day,
            Self::DaysBefore(days) => today.checked_sub_days(Days::new(days)).unwrap_or(today),
            Self::Instant(_) | Self::Time(_) | Self::Ago(_) => today,
        }
    }
}

/// Seconds of 24 hours.
const DAY: i64 = 86_400;

/// A date, a date and time, `7d`, `today` or `yesterday`.
pub(crate) fn date(text: &str) -> Result<Date, String> {
    let word = text.trim().to_ascii_lowercase();
    let days = || word.strip_suffix('d')?.parse().ok().filter(|days| (1..100_000).contains(days));
    let date = match word.as_str() {
        "today" => Some(Date::DaysBefore(0)),
        "yesterday" => Some(Date::DaysBefore(1)),
        _ => days().map(Date::Ago),
    };
    date.or_else(|| time(text))
        .or_else(|| NaiveDate::from_str(&word).ok().map(Date::Day))
        .ok_or_else(|| "a date like 2026-02-13, 7d, today or yesterday is needed".to_owned())
}

fn time(text: &str) -> Option<Date> {
    let at = read_timestamp(text, NaiveZone::Utc)?;
    let elsewhere = FixedOffset::east_opt(3600).map(NaiveZone::Offset);
    match elsewhere.and_then(|zone| read_timestamp(text, zone)) {
        Some(same) if same == at => Some(Date::Instant(at)),
        _ => at.datetime().map(|time| Date::Time(time.naive_utc())),
    }
}

/// A name in a list; blanks around it do not count.
#[allow(clippy::unnecessary_wraps)] // clap wants a parser that may fail
pub(crate) fn name(text: &str) -> Result<String, String> {
    Ok(text.trim().to_owned())
}

/// How often `--verbose` is given.
pub(crate) fn verbosity(text: &str) -> Result<u8, String> {
    text.trim().parse().map_err(|_| "a whole number is needed: 0, 1 or 2".to_owned())
}

/// The parser of an option that takes a regular file; `what` names its content. Blanks beside a comma do not
/// count, unless a file has them in its name.
pub(crate) fn file(what: &'static str) -> impl Fn(&str) -> Result<PathBuf, String> + Clone {
    move |text| {
        let path = [text, text.trim()].map(PathBuf::from);
        let path = path.iter().find(|path| path.exists()).unwrap_or(&path[1]).clone();
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(path),
            Ok(metadata) if metadata.is_dir() => Err("it is a folder; name each file".to_owned()),
            // reading a pipe may never end
            Ok(_) => Err(format!("it is not a regular file; {what} is needed")),
            Err(error) => Err(format!("{error}; {what} is needed")),
        }
    }
}

pub(crate) fn hook_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(Url::has_host).ok_or_else(|| "an http or https URL is needed".to_owned())
}

pub(crate) fn base_url(text: &str) -> Result<String, String> {
    let needed = || "a base URL like http://127.0.0.1:8080 is needed".to_owned();
    let url = Url::parse(text).map_err(|_| needed())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        // a base URL is shown, so it must hold no secret
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    if plain { Ok(text.trim_end_matches('/').to_owned()) } else { Err(needed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_holds_its_whole_days_and_counts_back_from_now() {
        // 2026-02-13 13:15 UTC
        let now = UnixSeconds(1_770_988_500);
        let midnight = UnixSeconds(1_770_940_800);
        let within = |text: &str, zone: &str| {
            let zone = zone.parse().unwrap();
            date(text).map(|date| (date.begin(now, zone), date.end(now, zone)))
        };
        let of = |text: &str| within(text, "utc");
        assert_eq!(of("today"), Ok((midnight, midnight.plus(DAY))));
        assert_eq!(of(" Yesterday"), Ok((midnight.plus(-DAY), midnight)));
        assert_eq!(of("2026-02-13"), Ok((midnight, midnight.plus(DAY))));
        assert_eq!(of("7d"), Ok((now.plus(-7 * DAY), now.plus(-7 * DAY + 1))));
        assert_eq!(of("2026-02-13 13:15:00"), Ok((now, now.plus(1))));
        assert_eq!(of("2026-02-13T15:15:00+02:00"), Ok((now, now.plus(1))));
        // 20:15 in Jakarta, and 2026-02-14 01:15 at +12:00
        let hours = |midnight: UnixSeconds, hours: i64| midnight.plus(hours * 3600);
        let jakarta = Ok((hours(midnight, -7), hours(midnight, 17)));
        assert_eq!(within("today", "Asia/Jakarta"), jakarta);
        assert_eq!(within("2026-02-13", "+07:00"), jakarta);
        assert_eq!(within("yesterday", "+12:00"), Ok((hours(midnight, -12), hours(midnight, 12))));
        assert_eq!(within("2026-02-13 20:15:00", "+07:00"), Ok((now, now.plus(1))));
        // a day of 25 hours, and one whose midnight the clocks skip
        let (begin, end) = within("2026-10-25", "Europe/Berlin").unwrap();
        assert_eq!(end.since(begin), 25 * 3600);
        let (begin, end) = within("2018-11-04", "America/Sao_Paulo").unwrap();
        assert_eq!(end.since(begin), 23 * 3600);
        for wrong in ["0d", "-1d", "d", "tomorrow", "2026-13-01", ""] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }
}
