//! Which zone the last trades of a database fit. `rules::zone` compares.

use crate::error::Error;
use crate::rules::eligibility::{Reading, judge_again};
use crate::rules::fill::WalletRecords;
use crate::rules::selection::Warning;
use crate::rules::timestamp::NaiveZone;
use crate::rules::zone::{LikelyZone, likely_zone, offset_text};
use crate::store::Store;

/// The number of last rows that are compared.
const LAST_ROWS: usize = 200;

/// The zone that fits the last trades better than the one they are read in.
///
/// # Errors
/// [`Error::Database`].
pub fn likely_zone_of(store: &Store, reading: Reading) -> Result<Option<LikelyZone>, Error> {
    let nothing = WalletRecords::default();
    let rows = store.last_rows(LAST_ROWS)?.into_iter();
    let trades = rows.filter_map(|row| judge_again(row, reading, &nothing).ok());
    let trades: Vec<_> = trades.map(|trade| (trade.logged_at, trade.bet.market)).collect();
    Ok(likely_zone(&trades))
}

/// The zone in words, and what to do.
pub fn in_words(zone: LikelyZone, in_use: NaiveZone) -> String {
    let LikelyZone { ahead, fits, fits_now, compared } = zone;
    let set = match in_use {
        NaiveZone::Utc => format!("--timezone {}", offset_text(ahead)),
        NaiveZone::Offset(now) => {
            format!("--timezone {}", offset_text(ahead + i64::from(now.local_minus_utc())))
        }
        NaiveZone::Named(_) | NaiveZone::Host(_) => {
            format!("a --timezone that is {} from the one in use", offset_text(ahead))
        }
    };
    format!(
        "{fits_now} of the last {compared} trades lie in their market's window; with {set}, {fits} do"
    )
}

/// The warning about the zone, if another one fits.
///
/// # Errors
/// [`Error::Database`].
pub fn zone_warning(store: &Store, reading: Reading) -> Result<Option<Warning>, Error> {
    let zone = likely_zone_of(store, reading)?;
    Ok(zone.map(|zone| Warning { code: "timezone", message: in_words(zone, reading.zone) }))
}
