//! Parsers for option values; each error names what is allowed. Sources and rules parse their own
//! names.

use std::path::PathBuf;

use chrono::{Local, TimeZone};
use reqwest::Url;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::rules::timestamp::{NaiveZone, read_timestamp};
use crate::rules::units::UnixSeconds;
use crate::sources::wallet::is_address;

/// The zone of timestamps without one. `local` is the host's zone, from `TZ` or the system's
/// settings.
pub(crate) fn zone(text: &str) -> Result<NaiveZone, String> {
    if !text.eq_ignore_ascii_case("local") {
        return text.parse();
    }
    // chrono takes UTC where the system has no zone, without a word
    let is_set = std::env::var_os("TZ").is_some_and(|zone| !zone.is_empty());
    if !is_set && let Err(why) = iana_time_zone::get_timezone() {
        let what = "name the zone itself, such as +07:00 or Europe/Berlin";
        return Err(format!("the system's zone cannot be read ({why}); {what}"));
    }
    Ok(NaiveZone::Host(|local| Some(Local.from_local_datetime(local).latest()?.to_utc())))
}

pub(crate) fn address(text: &str) -> Result<String, String> {
    let address = text.trim().to_ascii_lowercase();
    is_address(&address).then_some(address).ok_or_else(|| {
        "the address of the wallet that holds the positions is needed: 0x and 40 hexadecimal digits"
            .to_owned()
    })
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

/// A date, meaning its midnight in UTC, or a date and time.
pub(crate) fn date(text: &str) -> Result<UnixSeconds, String> {
    let midnight = format!("{} 00:00:00", text.trim());
    read_timestamp(text, NaiveZone::Utc)
        .or_else(|| read_timestamp(&midnight, NaiveZone::Utc))
        .ok_or_else(|| "a date like 2026-02-13 is needed".to_owned())
}

/// The exclusive end of a period: the end of a date, or a second after a date and time.
pub(crate) fn end_of_date(text: &str) -> Result<UnixSeconds, String> {
    let instant = date(text)?;
    let is_date = read_timestamp(text, NaiveZone::Utc).is_none();
    Ok(instant.plus(if is_date { 86_400 } else { 1 }))
}

/// The parser of an option that takes a regular file; `what` names its content.
pub(crate) fn file(what: &'static str) -> impl Fn(&str) -> Result<PathBuf, String> + Clone {
    move |text| {
        let path = PathBuf::from(text);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(path),
            Ok(metadata) if metadata.is_dir() => Err("it is a folder; name each file".to_owned()),
            // reading a pipe may never end
            Ok(_) => Err(format!("it is no regular file; {what} is needed")),
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
        && url.fragment().is_none();
    if plain { Ok(text.trim_end_matches('/').to_owned()) } else { Err(needed()) }
}
