//! Which zone the last trades of a database fit, and the alert about timestamps in the future. `rules::zone`
//! compares.

use crate::error::Error;
use crate::rules::eligibility::{Reading, Row, judge_again};
use crate::rules::market::Market;
use crate::rules::selection::Warning;
use crate::rules::timestamp::{FUTURE, NaiveZone};
use crate::rules::units::UnixSeconds;
use crate::rules::zone::{LikelyZone, Timed, is_naive, logged_at, offset_text};
use crate::store::Store;

/// The number of last rows that are compared.
const LAST_ROWS: usize = 200;

/// Those of the last trades whose timestamps have no zone of their own.
fn last_trades(store: &Store, reading: Reading) -> Result<Vec<(UnixSeconds, Market)>, Error> {
    let rows = store.last_rows(LAST_ROWS)?.into_iter().filter(|row| is_naive(&row.timestamp));
    let trades = rows.filter_map(|row| judge_again(row, reading, None).ok());
    Ok(trades.map(|trade| (trade.logged_at, trade.bet.market)).collect())
}

fn timed(trades: &[(UnixSeconds, Market)], zone: NaiveZone, now: UnixSeconds) -> Timed<'_> {
    Timed { trades, in_use: zone.wall_seconds(now) - now.0, now }
}

/// The zone that fits the last trades better than the one in use; and how many of them lie in their market's window
/// in the zone in use, of how many.
///
/// # Errors
/// [`Error::Database`].
pub fn zone_and_fits(
    store: &Store,
    reading: Reading,
    now: UnixSeconds,
) -> Result<(Option<LikelyZone>, [usize; 2]), Error> {
    let trades = last_trades(store, reading)?;
    let timed = timed(&trades, reading.zone, now);
    Ok((timed.likely_zone(), timed.fits_now()))
}

/// The zone that fits, or else the only zone that fits those of the last trades whose timestamps are in the future,
/// however few they are. `count` is the number of rows in the future.
///
/// # Errors
/// [`Error::Database`].
pub fn zone_of_future(
    store: &Store,
    count: u64,
    reading: Reading,
    now: UnixSeconds,
) -> Result<Option<LikelyZone>, Error> {
    if count == 0 {
        return Ok(None);
    }
    let mut trades = last_trades(store, reading)?;
    if let Some(zone) = timed(&trades, reading.zone, now).likely_zone() {
        return Ok(Some(zone));
    }
    trades.retain(|(at, _)| at.since(now) > FUTURE);
    Ok(timed(&trades, reading.zone, now).zone_of_future())
}

/// The number of the last rows whose timestamps are in the future.
///
/// # Errors
/// [`Error::Database`].
pub fn future_rows(store: &Store, reading: Reading, now: UnixSeconds) -> Result<u64, Error> {
    let rows = store.last_rows(LAST_ROWS)?;
    let at = |row: &Row| logged_at(&row.timestamp, &row.market_slug, reading.zone);
    let future = rows.iter().filter(|row| at(row).is_some_and(|at| at.since(now) > FUTURE));
    Ok(future.count() as u64)
}

/// The zone in words, and what to do.
pub fn in_words(zone: LikelyZone) -> String {
    let LikelyZone { offset, fits, fits_now, compared } = zone;
    let set = offset_text(offset);
    format!(
        "{fits_now} of the last {compared} trades lie in their market's window; with --timezone {set}, {fits} do"
    )
}

/// What to do about timestamps in the future that are not in `zone`.
pub fn future_advice(zone: Option<LikelyZone>) -> String {
    match zone {
        None => "check --timezone and the clock of the bot".to_owned(),
        Some(zone) => {
            let (of, offset) = (zone.compared, offset_text(zone.offset));
            let (trades, lie) = if of == 1 { ("trade", "lies") } else { ("trades", "lie") };
            format!(
                "set --timezone {offset} (timezone = \"{offset}\" in the settings file): with it, {} of {of} {trades} that settle compared {lie} in the market's window",
                zone.fits
            )
        }
    }
}

/// This number of rows with a timestamp in the future; `None` if there are none.
pub fn future_in_words(count: u64, zone: Option<LikelyZone>) -> Option<String> {
    let rows = if count == 1 { "row has" } else { "rows have" };
    let what = future_advice(zone);
    (count > 0)
        .then(|| format!("{count} {rows} a timestamp in the future; settle leaves them; {what}"))
}

/// The warning about the zone, if another one fits.
///
/// # Errors
/// [`Error::Database`].
pub fn zone_warning(
    store: &Store,
    reading: Reading,
    now: UnixSeconds,
) -> Result<Option<Warning>, Error> {
    let (zone, _) = zone_and_fits(store, reading, now)?;
    Ok(zone.map(|zone| Warning { code: "timezone", message: in_words(zone) }))
}
