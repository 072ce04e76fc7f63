//! Reads what a row names as its market as the key that Polymarket is asked with: a slug, a numeric
//! id, a condition id, the address of a page, or a title. `market` reads the slug.
//!
//! Source: the titles of Polymarket's export, which are in New York's time without a year (2026).

use std::sync::LazyLock;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use chrono_tz::America::New_York;
use regex::Regex;

use crate::rules::asset::Asset;
use crate::rules::units::UnixSeconds;

/// The length of the longest slug that a market can have, in bytes.
const LONGEST_SLUG: usize = 120;
/// The hexadecimal digits of a condition id; Polymarket's newer ones have two less.
const CONDITION_DIGITS: usize = 64;

// of titles as `plain_title` writes them; a test compiles each pattern, so that none is `None`
static TITLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^(?<asset>[a-z]+)\ up\ or\ down(?:-|\ on\ )(?<month>[a-z]+)\.?\ (?<day>[0-9]{1,2})
        (?:,?\ (?<year>[0-9]{4}))?(?<rest>.*)$",
    )
    .ok()
});
static SPAN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^,?\ (?<hour>[0-9]{1,2})(?::(?<minute>[0-9]{2}))?\ ?(?<half>am|pm)
        (?:-(?<hour2>[0-9]{1,2})(?::(?<minute2>[0-9]{2}))?\ ?(?<half2>am|pm))?\ (?<zone>et|est|edt)$",
    )
    .ok()
});

/// The key of the market that a row names; `None` if no market can have it. A title names no year:
/// the one nearest to `near` is used.
pub fn market_key(text: &str, near: UnixSeconds) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(path) = page(&text) {
        return slug(path.rsplit('/').next()?);
    }
    if let Some(condition) = condition_id(&text) {
        return Some(condition);
    }
    let title = plain_title(&text);
    if title.contains(" up or down") {
        return titled(&title, near);
    }
    slug(&text)
}

/// A title in lower case, with single blanks, and with plain hyphens that no blank is beside.
pub(crate) fn plain_title(text: &str) -> String {
    let text =
        text.to_lowercase().replace(['\u{2010}', '\u{2011}', '\u{2012}', '–', '—', '−'], "-");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace(" -", "-").replace("- ", "-")
}

/// Whether a name that settle cannot read may be that of an up-or-down market of an asset that it knows.
pub(crate) fn may_name_a_window(text: &str) -> bool {
    let text = text.to_lowercase();
    let words = text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let Some(at) = words.iter().position(|word| matches!(*word, "up" | "updown")) else {
        return false;
    };
    let after = &words[at..];
    let is_it = after[0] == "updown" || after.contains(&"down");
    // the slug of an hour that comes twice is read: it names no other window
    let is_hourly = text.ends_with("am-et") || text.ends_with("pm-et");
    let is_asset = |word: &&str| Asset::named(word).is_some();
    is_it && !is_hourly && words.iter().any(is_asset) && names_a_time(&words)
}

/// Whether one of the words is a unix time, a time of day or a duration, or two are a month and its day.
fn names_a_time(words: &[&str]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = |word: &&str| {
        let of_day = word.strip_suffix("am").or_else(|| word.strip_suffix("pm"));
        let long = word.strip_suffix('m').or_else(|| word.strip_suffix('h'));
        of_day.is_some_and(|hour| hour.is_empty() || is_number(hour))
            || long.is_some_and(is_number)
            || ["min", "minute", "minutes", "hour", "hours", "hourly", "daily"].contains(word)
            || (is_number(word) && word.len() >= 10)
    };
    let is_date = |pair: &[&str]| {
        MONTHS.iter().any(|month| pair[0].len() >= 3 && month.starts_with(pair[0]))
            && is_number(pair[1])
            && pair[1].len() <= 2
    };
    words.iter().any(is_time) || words.windows(2).any(is_date)
}

/// Whether a key is a numeric id of a market.
pub fn is_id(key: &str) -> bool {
    (1..=12).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a key is a numeric id or a condition id.
pub fn is_id_or_condition(key: &str) -> bool {
    is_id(key) || key.starts_with("0x")
}

/// The condition id in a text: `0x` and 64 digits in lower case. The prefix may be missing, and so
/// may two zeros at its beginning.
pub fn condition_id(text: &str) -> Option<String> {
    let digits = text.trim().to_ascii_lowercase();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_long = (CONDITION_DIGITS - 2..=CONDITION_DIGITS).contains(&digits.len());
    (is_hex && is_long).then(|| format!("0x{digits:0>CONDITION_DIGITS$}"))
}

/// The path of the address of a page, without its query.
fn page(text: &str) -> Option<&str> {
    let (_, path) = text.split_once("polymarket.com/")?;
    let path = path.split(['?', '#']).next()?;
    Some(path.trim_end_matches('/'))
}

/// A slug as Polymarket writes it; `None` if no market can have that slug.
fn slug(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_slug = !text.is_empty() && text.len() <= LONGEST_SLUG && text.bytes().all(plain);
    is_slug.then(|| text.to_owned())
}

/// The slug of the market with this title, as [`plain_title`] writes it: "bitcoin up or down-february 13,
/// 8:00am-8:15am et", "…-august 27, 3am et", "… on july 2?".
fn titled(title: &str, near: UnixSeconds) -> Option<String> {
    let captures = TITLE.as_ref()?.captures(title)?;
    let (name, day) = (&captures["asset"], &captures["day"]);
    let (month, month_number) = month_begun(&captures["month"])?;
    let year = captures.name("year").map(|year| format!("-{}", year.as_str())).unwrap_or_default();
    let rest = captures["rest"].trim_end_matches(['?', ' ']);
    if rest.is_empty() {
        return Some(format!("{name}-up-or-down-on-{month}-{day}{year}"));
    }
    let span = SPAN.as_ref()?.captures(rest)?;
    let zone = &span["zone"];
    let number = |name: &str| span.name(name).map_or(Some(0), |found| found.as_str().parse().ok());
    let (hour, minute, half) = (number("hour")?, number("minute")?, &span["half"]);
    let start = time_of_day(hour, minute, half)?;
    let years = match captures.name("year") {
        Some(year) => vec![year.as_str().parse().ok()?],
        None => {
            let year = near.datetime()?.year();
            vec![year - 1, year, year + 1]
        }
    };
    let number_of_day = day.parse().ok()?;
    let starts =
        years.iter().filter_map(|year| NaiveDate::from_ymd_opt(*year, month_number, number_of_day));
    let mut starts = starts.flat_map(|date| instants(date.and_time(start), zone));
    let Some(end_half) = span.name("half2") else {
        // EST names no hour of summer
        let is_hour = minute == 0 && (zone == "et" || starts.next().is_some());
        return is_hour.then(|| format!("{name}-up-or-down-{month}-{day}{year}-{hour}{half}-et"));
    };
    let asset = Asset::named(name)?;
    let end = time_of_day(number("hour2")?, number("minute2")?, end_half.as_str())?;
    let (start_date, open) = starts.min_by_key(|(_, open)| open.since(near).abs())?;
    let end_date = match end <= start {
        true => start_date.checked_add_days(Days::new(1))?,
        false => start_date,
    };
    let ends = instants(end_date.and_time(end), "et").into_iter();
    let seconds = ends.map(|(_, close)| close.since(open)).filter(|seconds| *seconds > 0).min()?;
    let duration = match seconds {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds => format!("{}m", seconds / 60),
    };
    Some(format!("{}-updown-{duration}-{open}", asset.symbol(), open = open.0))
}

/// The instants of a local time in New York, with its date: two in an hour that comes twice. `est` and
/// `edt` name one of its two clocks.
fn instants(local: NaiveDateTime, zone: &str) -> Vec<(NaiveDate, UnixSeconds)> {
    let found = New_York.from_local_datetime(&local);
    let hours = match zone {
        "est" => Some(-5),
        "edt" => Some(-4),
        _ => None,
    };
    let both = [found.earliest(), found.latest()].into_iter().flatten();
    let both = both
        .filter(|at| hours.is_none_or(|hours| at.offset().fix().local_minus_utc() == hours * 3600));
    both.map(|at| (local.date(), UnixSeconds(at.timestamp()))).collect()
}

fn time_of_day(hour: u32, minute: u32, half: &str) -> Option<NaiveTime> {
    if !(1..=12).contains(&hour) {
        return None;
    }
    NaiveTime::from_hms_opt(hour % 12 + if half == "pm" { 12 } else { 0 }, minute, 0)
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The number of the month with this English name, in lower case.
pub fn month_named(name: &str) -> Option<u32> {
    Some(MONTHS.iter().zip(1..).find(|(month, _)| **month == name)?.1)
}

/// The month, and its number, whose name begins with these three letters or more.
fn month_begun(name: &str) -> Option<(&'static str, u32)> {
    let is_it = |(month, _): &(&&str, u32)| name.len() >= 3 && month.starts_with(name);
    MONTHS.iter().zip(1..).find(is_it).map(|(month, number)| (*month, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, near: i64) -> Option<String> {
        market_key(text, UnixSeconds(near))
    }

    #[test]
    fn patterns_compile() {
        assert!(TITLE.is_some() && SPAN.is_some());
    }

    #[test]
    fn a_market_may_be_named_by_slug_address_id_or_condition() {
        for (text, wanted) in [
            (" BTC-updown-15m-1770987600\n", "btc-updown-15m-1770987600"),
            (
                "https://polymarket.com/event/a-market/btc-updown-15m-1770987600",
                "btc-updown-15m-1770987600",
            ),
            (
                "https://polymarket.com/event/btc-updown-15m-1770987600?tid=177",
                "btc-updown-15m-1770987600",
            ),
            ("polymarket.com/event/btc-updown-15m-1770987600/#top", "btc-updown-15m-1770987600"),
            ("2031187", "2031187"),
        ] {
            assert_eq!(key(text, 0).as_deref(), Some(wanted), "{text}");
        }
        let padded = format!("0x00{}", "a".repeat(62));
        for text in ["A".repeat(62), format!("0x{}", "a".repeat(62)), padded.to_uppercase()] {
            assert_eq!(key(&text, 0).as_deref(), Some(padded.as_str()), "{text}");
        }
        for text in ["", "a b", "straße-1770987600", "a&closed=false", &"x".repeat(121)] {
            assert_eq!(key(text, 0), None, "{text}");
        }
        assert!(is_id("2031187") && !is_id("btc-1") && !is_id(""));
    }

    #[test]
    fn a_title_names_its_market_in_new_yorks_time() {
        for (title, near, wanted) in [
            (
                "Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET",
                1_770_987_660,
                "btc-updown-15m-1770987600",
            ),
            (
                "Bitcoin Up or Down - January 5, 7:00PM-7:15PM ET",
                1_767_657_669,
                "btc-updown-15m-1767657600",
            ),
            (
                "Bitcoin Up or Down - February 13, 11:45PM-12:00AM ET",
                1_771_044_369,
                "btc-updown-15m-1771044300",
            ),
            (
                "Bitcoin Up or Down - December 31, 11:55PM-12:00AM ET",
                1_767_243_369,
                "btc-updown-5m-1767243300",
            ),
            (
                "Bitcoin Up or Down - March 8, 3:15AM-3:30AM ET",
                1_772_954_169,
                "btc-updown-15m-1772954100",
            ),
            (
                "Bitcoin Up or Down - November 1, 2:00AM-2:15AM ET",
                1_793_516_469,
                "btc-updown-15m-1793516400",
            ),
            // an hour that comes twice: the instant nearest to the trade
            (
                "Bitcoin Up or Down - November 1, 1:00AM-1:15AM ET",
                1_793_509_260,
                "btc-updown-15m-1793509200",
            ),
            (
                "Bitcoin Up or Down - November 1, 1:00AM-1:15AM ET",
                1_793_512_860,
                "btc-updown-15m-1793512800",
            ),
            (
                "Bitcoin Up or Down - October 9, 8:00AM-12:00PM ET",
                1_791_550_200,
                "btc-updown-4h-1791547200",
            ),
            (
                "Ethereum Up or Down - October 20, 3:45PM-4:00PM ET",
                1_792_525_570,
                "eth-updown-15m-1792525500",
            ),
            (
                "Bitcoin Up or Down - August 27, 3AM ET",
                1_787_814_600,
                "bitcoin-up-or-down-august-27-3am-et",
            ),
            ("Bitcoin Up or Down on July 2?", 1_782_961_600, "bitcoin-up-or-down-on-july-2"),
        ] {
            assert_eq!(key(title, near).as_deref(), Some(wanted), "{title}");
        }
        for title in ["Bitcoin Up or Down - soon", "Bitcoin Up or Down - May 32, 8:00AM-8:15AM ET"]
        {
            assert_eq!(key(title, 0), None, "{title}");
        }
    }

    #[test]
    fn a_title_may_be_written_in_other_ways() {
        let february = 1_770_987_660;
        for title in [
            "Bitcoin Up or Down - February 13, 8:00AM-8:15AM EST",
            "Bitcoin Up or Down – Feb 13, 8:00AM–8:15AM ET",
            "BTC Up or Down - Feb. 13, 8:00 am - 8:15 am ET",
            "Bitcoin Up or Down\u{a0}- February 13, 2026, 8:00\u{202f}AM-8:15\u{202f}AM ET",
        ] {
            let wanted = Some("btc-updown-15m-1770987600");
            assert_eq!(key(title, february).as_deref(), wanted, "{title}");
        }
        let hour = Some("bitcoin-up-or-down-february-13-3am-et");
        for title in
            ["Bitcoin Up or Down - Feb 13, 3 AM EST", "Bitcoin Up or Down – February 13, 3:00AM ET"]
        {
            assert_eq!(key(title, february).as_deref(), hour, "{title}");
        }
        // New York has no such hour in winter, and no hour begins there
        for title in [
            "Bitcoin Up or Down - February 13, 8:00AM-8:15AM EDT",
            "Bitcoin Up or Down - February 13, 3AM EDT",
            "Bitcoin Up or Down - February 13, 3:30AM ET",
            "Bitcoin Up or Down - Fe 13, 3AM ET",
        ] {
            assert_eq!(key(title, february), None, "{title}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_read_may_be_a_windows() {
        for name in [
            "Bitcoin Up / Down (15 min)!",
            "btc-updown-15m-1770987600-346",
            "bitcoin-up-or-down-on-november-29-2026-883",
            "Solana Up or Down, hourly",
        ] {
            assert!(may_name_a_window(name), "{name}");
        }
        for name in [
            "",
            "will-it-rain",
            "S&P 500 (SPX) Up or Down on July 2?",
            "Bitcoin up to 90k?",
            "bitcoin-up-or-down-this-week",
            "ethereum-up-or-down-in-november-2026",
            "Bitcoin Up or Down - Q4 2026",
            "XRP up or down on Friday?",
            "Will Hype show up to beat the Down Under team?",
        ] {
            assert!(!may_name_a_window(name), "{name}");
        }
    }
}
