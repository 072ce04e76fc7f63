//! Reads the bot's timestamps as instants. Pure functions; the zone of naive timestamps is an
//! argument. `market` reads the times in slugs.

use std::str::FromStr;
use std::sync::LazyLock;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

/// A timestamp this many seconds later than now is in the future; clocks differ by less.
pub(crate) const FUTURE: i64 = 5 * 60;

/// The zone of timestamps without one (Python's `datetime.now()` writes local time).
#[derive(Debug, Clone, Copy)]
pub enum NaiveZone {
    /// UTC.
    Utc,
    /// A fixed offset from UTC.
    Offset(FixedOffset),
    /// A zone of the IANA database.
    Named(Tz),
    /// The host's zone: the instants of a local time.
    Host(fn(&NaiveDateTime) -> LocalResult<DateTime<Utc>>),
}

impl NaiveZone {
    /// Seconds from 1970-01-01 00:00 to what a clock in this zone shows at `instant`.
    pub fn wall_seconds(self, instant: UnixSeconds) -> i64 {
        let wall = match self {
            Self::Utc => None,
            Self::Offset(offset) => return instant.plus(offset.local_minus_utc().into()).0,
            Self::Named(zone) => {
                instant.datetime().map(|at| at.with_timezone(&zone).naive_local().and_utc())
            }
            Self::Host(to_instant) => instant.datetime().map(|at| {
                // the zone says only which instant a local time is: the second guess differs from the first
                // within a few hours of a change of the clocks
                let mut wall = at;
                for _ in 0..2 {
                    let ahead =
                        to_instant(&wall.naive_utc()).latest().map(|instant| wall - instant);
                    wall = at + ahead.unwrap_or_default();
                }
                wall
            }),
        };
        wall.map_or(instant.0, |wall| wall.timestamp())
    }

    /// The first instant at which a clock in this zone shows `local`; where clocks skip it, an hour later.
    pub fn first_instant(self, local: NaiveDateTime) -> UnixSeconds {
        let found = self.instants(&local).earliest();
        let later = || self.instants(&(local + TimeDelta::hours(1))).earliest();
        UnixSeconds::from(found.or_else(later).unwrap_or_else(|| local.and_utc()))
    }

    fn instants(self, local: &NaiveDateTime) -> LocalResult<DateTime<Utc>> {
        match self {
            Self::Utc => LocalResult::Single(local.and_utc()),
            Self::Offset(offset) => offset.from_local_datetime(local).map(|at| at.to_utc()),
            Self::Named(zone) => zone.from_local_datetime(local).map(|at| at.to_utc()),
            Self::Host(instants) => instants(local),
        }
    }

    /// The name that people read.
    pub fn name(self) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Offset(offset) => offset.to_string(),
            Self::Named(zone) => zone.name().to_owned(),
            Self::Host(_) => "local time".to_owned(),
        }
    }
}

impl FromStr for NaiveZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "utc" | "z" => Ok(Self::Utc),
            _ => FixedOffset::from_str(text)
                .map(Self::Offset)
                .or_else(|_| Tz::from_str(text).map(Self::Named))
                .map_err(|_| {
                    "use utc, local, an offset like +07:00, or a zone like Europe/Berlin".to_owned()
                }),
        }
    }
}

/// A format, parsed once because a report reads a million timestamps.
type Format = Vec<Item<'static>>;

static ZONED: LazyLock<Vec<Format>> = LazyLock::new(|| {
    formats(&["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"])
});
static NAIVE_WITH_T: LazyLock<Vec<Format>> =
    LazyLock::new(|| formats(&["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]));
static NAIVE_WITH_SPACE: LazyLock<Vec<Format>> =
    LazyLock::new(|| formats(&["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]));

fn formats(texts: &[&'static str]) -> Vec<Format> {
    texts.iter().map(|text| StrftimeItems::new(text).collect()).collect()
}

fn parsed(text: &str, format: &Format) -> Option<Parsed> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, format.iter()).ok()?;
    Some(parsed)
}

/// Reads `2026-02-13 13:10:42.167880` (in `zone`) and ISO 8601 with a space or `T`, and with `Z` or
/// an offset. Drops fractions of a second. `None` for any other text.
///
/// An hour that repeats when clocks go back is read as the later one, so that no trade looks older
/// than it is; [`earlier_pass`] reads the other. An hour that the change skips is `None`.
pub fn read_timestamp(text: &str, zone: NaiveZone) -> Option<UnixSeconds> {
    read_instant(text, zone).map(UnixSeconds::from)
}

/// Reads a cell as [`read_timestamp`] does, or as unix seconds, milliseconds or microseconds, as a
/// number or as text.
pub fn read_cell(cell: &Cell, zone: NaiveZone) -> Option<UnixSeconds> {
    read_cell_instant(cell, zone).map(UnixSeconds::from)
}

/// The same as [`read_cell`], with the fraction of the second.
pub fn read_cell_instant(cell: &Cell, zone: NaiveZone) -> Option<DateTime<Utc>> {
    if let Some(at) = cell.text().and_then(|text| read_instant(text, zone)) {
        return Some(at);
    }
    let number = cell.any_number()?;
    // 10 digits of seconds are the years 2001 to 2286
    let micros_a_unit = match number.floor().to_i64()? {
        1_000_000_000..=9_999_999_999 => 1_000_000,
        1_000_000_000_000..=9_999_999_999_999 => 1000,
        1_000_000_000_000_000..=9_999_999_999_999_999 => 1,
        _ => return None,
    };
    let micros = number.checked_mul(Decimal::from(micros_a_unit))?;
    DateTime::from_timestamp_micros(micros.floor().to_i64()?)
}

/// The same as [`read_timestamp`], with the fraction of the second.
pub fn read_instant(text: &str, zone: NaiveZone) -> Option<DateTime<Utc>> {
    instants(text, zone).latest()
}

/// The earlier instant of a text in an hour that repeats when clocks go back; `None` for any other.
pub fn earlier_pass(text: &str, zone: NaiveZone) -> Option<UnixSeconds> {
    match instants(text, zone) {
        LocalResult::Ambiguous(earlier, _) => Some(UnixSeconds::from(earlier)),
        _ => None,
    }
}

fn instants(text: &str, zone: NaiveZone) -> LocalResult<DateTime<Utc>> {
    let text = text.trim();
    // most timestamps have no zone; skip the three formats that need one
    let naive = |byte: u8| byte.is_ascii_digit() || b"T:. ".contains(&byte);
    if !text.get(10..).is_some_and(|time| time.bytes().all(naive)) {
        let zoned = ZONED.iter().find_map(|items| parsed(text, items)?.to_datetime().ok());
        if let Some(instant) = zoned {
            return LocalResult::Single(instant.to_utc());
        }
    }
    let (naive, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(naive) => (naive.trim_end(), NaiveZone::Utc),
        None => (text, zone),
    };
    let formats = if naive.contains('T') { &NAIVE_WITH_T } else { &NAIVE_WITH_SPACE };
    let read = |items: &Format| parsed(naive, items)?.to_naive_datetime_with_offset(0).ok();
    let Some(local) = formats.iter().find_map(read) else { return LocalResult::None };
    zone.instants(&local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INSTANT: UnixSeconds = UnixSeconds(1_770_988_242); // 2026-02-13 13:10:42 UTC

    fn read(text: &str, zone: &str) -> Option<UnixSeconds> {
        read_timestamp(text, zone.parse().unwrap())
    }

    #[test]
    fn a_wall_clock_shows_the_time_of_its_zone_and_season() {
        let host: NaiveZone = NaiveZone::Host(|local| {
            LocalResult::Single(local.and_utc() - chrono::Duration::hours(2))
        });
        for (zone, ahead, name) in [
            (NaiveZone::Utc, 0, "UTC"),
            ("-05:30".parse().unwrap(), -19_800, "-05:30"),
            ("Europe/Berlin".parse().unwrap(), 3600, "Europe/Berlin"),
            (host, 7200, "local time"),
        ] {
            assert_eq!(zone.wall_seconds(INSTANT), INSTANT.0 + ahead, "{name}");
            assert_eq!(zone.name(), name);
        }
        let berlin: NaiveZone = "Europe/Berlin".parse().unwrap();
        let summer = INSTANT.plus(180 * 86_400);
        assert_eq!(berlin.wall_seconds(summer), summer.0 + 7200);
    }

    #[test]
    fn unix_times_are_read_in_any_unit_as_number_and_text() {
        for cell in [
            Cell::Integer(INSTANT.0),
            Cell::Integer(INSTANT.0 * 1000 + 7),
            Cell::Integer(INSTANT.0 * 1_000_000),
            Cell::Real(INSTANT.0 as f64 + 0.5),
            Cell::Text(format!(" {} ", INSTANT.0)),
            Cell::Text(format!("{}.25", INSTANT.0)),
            Cell::Text("2026-02-13 13:10:42.167880".to_owned()),
        ] {
            assert_eq!(read_cell(&cell, NaiveZone::Utc), Some(INSTANT), "{cell}");
        }
        for cell in [Cell::Integer(20_260_213), Cell::Null, Cell::Text("soon".to_owned())] {
            assert_eq!(read_cell(&cell, NaiveZone::Utc), None, "{cell}");
        }
    }

    #[test]
    fn pythons_naive_timestamps_are_read_in_the_zone_given() {
        assert_eq!(read("2026-02-13 13:10:42.167880", "utc"), Some(INSTANT));
        assert_eq!(read("2026-02-13 13:10:42", "utc"), Some(INSTANT));
        assert_eq!(read("2026-02-13T13:10:42.5", "utc"), Some(INSTANT));
        assert_eq!(read("2026-02-13 20:10:42.167880", "+07:00"), Some(INSTANT));
        assert_eq!(read("2026-02-13 08:10:42", "-05:00"), Some(INSTANT));
        assert_eq!(read("2026-02-13 13:10", "utc"), Some(INSTANT.plus(-42)));
    }

    #[test]
    fn an_offset_in_the_text_is_believed_whatever_the_zone() {
        for text in [
            "2026-02-13T13:10:42Z",
            "2026-02-13T13:10:42.167880Z",
            "2026-02-13 13:10:42Z",
            "2026-02-13T20:10:42+07:00",
            "2026-02-13T20:10:42.999+0700",
            "2026-02-13 20:10:42.167880+07:00",
            "2026-02-13 08:10:42 -05:00",
            "2026-02-13T13:10:42+00",
            " 2026-02-13T13:10:42Z ",
        ] {
            assert_eq!(read(text, "+03:00"), Some(INSTANT), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_timestamps() {
        for text in
            ["", "yesterday", "2026-02-30 10:00:00", "1770988242", "13.02.2026 13:10", "NaN"]
        {
            assert_eq!(read(text, "utc"), None, "{text}");
        }
    }

    #[test]
    fn zones_are_utc_or_an_offset() {
        for good in ["utc", "UTC", "+07:00", "-05:30"] {
            assert!(good.parse::<NaiveZone>().is_ok(), "{good}");
        }
        for bad in ["", "mars", "7", "+25:00"] {
            assert!(bad.parse::<NaiveZone>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in any::<String>()) {
            let _ = read_timestamp(&text, NaiveZone::Utc);
        }
    }

    #[test]
    fn the_hosts_zone_is_what_it_is_said_to_be() {
        let host = NaiveZone::Host(|local| {
            LocalResult::Single(local.and_utc() + chrono::Duration::hours(2))
        });
        assert_eq!(read_timestamp("2026-02-13 11:10:42", host), Some(INSTANT));
        let unknown = NaiveZone::Host(|_| LocalResult::None);
        assert_eq!(read_timestamp("2026-02-13 11:10:42", unknown), None);
    }

    #[test]
    fn a_z_without_seconds_is_utc_too() {
        assert_eq!(read("2026-02-13T13:10Z", "+07:00"), Some(INSTANT.plus(-42)));
    }
}
