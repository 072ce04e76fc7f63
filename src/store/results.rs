//! Reads the results of settled trades, for the figures of a report and for the sums in `status`.
//! `rules::statistics` and `engine::status` use them; `latest` reads the last trades alone.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use rusqlite::types::ValueRef;
use rust_decimal::Decimal;

use crate::error::Error;
use crate::rules::asset::Asset;
use crate::rules::eligibility::Reading;
use crate::rules::fill::{Position, WalletRecord, WalletRecords};
use crate::rules::logged::{LoggedMoney, SizeUnit};
use crate::rules::market;
use crate::rules::market::{Family, RuleSet};
use crate::rules::order_status::is_on_paper;
use crate::rules::outcome::Side;
use crate::rules::pnl::MoneySource;
use crate::rules::statistics::{Mode, PaidAndLogged, Provenance, Results, Settled, SettledAs};
use crate::rules::timestamp::{NaiveZone, read_cell_instant, read_instant};
use crate::rules::title::market_key;
use crate::rules::units::{FloatUsd, SharePrice, UnixSeconds, nearest_decimal};
use crate::rules::value::Cell;
use crate::store::Store;
use crate::store::columns::Field;
use crate::store::history::status_in_force;

/// Sums over the trades settled so far, as the bot computes them.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Rows with an `is_win`.
    pub settled: u64,
    /// Rows whose `is_win` is 1.
    pub wins: u64,
    /// Rows whose `is_win` is 0.
    pub losses: u64,
    /// Sum of `profit_loss` in dollars; `None` if not finite.
    pub profit: Option<FloatUsd>,
}

impl Store {
    /// Sums over the settled trades.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn totals(&self) -> Result<Totals, Error> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Totals {
                settled: row.get(0)?,
                wins: row.get(1)?,
                losses: row.get(2)?,
                profit: FloatUsd::new(row.get(3)?),
            })
        };
        let (is_win, profit) =
            (self.fields.is_win_of_settled(), self.fields.sql(Field::ProfitLoss));
        let sql = format!(
            "SELECT count({is_win}), count(CASE WHEN {is_win} = 1 THEN 1 END),
                    count(CASE WHEN {is_win} = 0 THEN 1 END),
                    CAST(coalesce(sum({profit}), 0) AS REAL)
             FROM trades"
        );
        self.read(|| self.connection.query_row(&sql, [], read))
    }

    /// Every settled trade, read as `reading` says.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn results(&self, reading: Reading) -> Result<Results, Error> {
        let Reading { zone, rules, .. } = reading;
        let wallet = self.wallet_records()?;
        let provenance = self.provenance()?;
        let mut results =
            Results { has_signals: self.fields.has(Field::SignalType), ..Results::default() };
        let mut places: HashMap<Option<String>, u32> = HashMap::new();
        let mut markets: HashMap<String, (Option<NonZeroU32>, Option<Asset>)> = HashMap::new();
        let mut fills = HashMap::new();
        let read = |row: &rusqlite::Row<'_>| {
            let at = instant(row, 7, zone)?;
            let booked = text(row, 4)?;
            let without_result = matches!(booked, Some("SPLIT" | "UNKNOWN"));
            let (won, lost): (Option<bool>, Option<bool>) = (row.get(8)?, row.get(9)?);
            let profit_as_stored: Option<f64> = row.get(10)?;
            let signal = match row.get(13)? {
                Cell::Null => None,
                Cell::Text(text) => Some(text),
                other => Some(other.to_string()),
            };
            let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let position = position(row, &wallet)?;
            let (cost, price, money) = money(row, position, reading.size_unit)?;
            let is_filled = position.is_some();
            if let Some(position) = position
                && let Some(logged) = row.get::<_, Cell>(12)?.any_number()
            {
                let (shares, paid) = (position.shares, position.cost);
                let logged = logged.saturating_mul(shares);
                fills.insert(row.get(0)?, PaidAndLogged { shares, paid, logged });
            }
            let at_slug = at.map_or(UnixSeconds(0), UnixSeconds::from);
            let known = match provenance.is_empty() {
                true => None,
                false => provenance.get(&fingerprint(row, 1)?).copied(),
            };
            let (by, counted) = known.unwrap_or((Provenance::Elsewhere, false));
            let (duration, asset) = match text(row, 2)? {
                None => (None, None),
                Some(slug) => match markets.get(slug) {
                    Some(known) => *known,
                    None => {
                        let market = market_of(slug, at_slug, rules);
                        markets.insert(slug.to_owned(), market);
                        market
                    }
                },
            };
            let settled = Settled {
                rowid: row.get(0)?,
                logged_at: at,
                booked: match (won, lost) {
                    (Some(true), _) => SettledAs::Win,
                    (_, Some(true)) => SettledAs::Loss,
                    (Some(_), _) => SettledAs::Other,
                    (None, _) if booked == Some("SPLIT") => SettledAs::Split,
                    (None, _) => SettledAs::Unknown,
                },
                without_result,
                profit_as_stored: profit_as_stored.unwrap_or(f64::NAN),
                profit: profit_as_stored.and_then(nearest_decimal),
                cost,
                price: price.map(|price| price.0),
                side: text(row, 3)?.and_then(Side::named),
                mode: match row.get::<_, Cell>(14)? {
                    // a wallet fills no order on paper
                    _ if is_filled => Mode::Live,
                    _ if is_on_paper(&row.get(18)?) => Mode::Paper,
                    Cell::Null => Mode::NotSaid,
                    other if other.any_number() == Some(Decimal::ZERO) => Mode::Live,
                    _ => Mode::Paper,
                },
                provenance: by,
                signal: *places.entry(signal).or_insert(next),
                duration,
                asset,
                money,
                has_fee: counted
                    || row.get::<_, Cell>(19)?.any_number().is_some_and(|fee| !fee.is_zero()),
                confidence: confidence(row.get_ref(20)?),
            };
            Ok(settled)
        };
        let trades = &mut results.trades;
        self.pages(&self.fields.settled(), &self.result_columns(), read, |mut page| {
            trades.append(&mut page);
        })?;
        results.fills = fills;
        results.signals = vec![None; places.len()];
        for (signal, place) in places {
            if let Some(slot) = results.signals.get_mut(place as usize) {
                *slot = signal;
            }
        }
        results.sort();
        Ok(results)
    }

    /// The columns that [`Self::results`] reads.
    fn result_columns(&self) -> String {
        let sql = |field| self.fields.sql(field);
        let (is_win, profit) = (sql(Field::IsWin), sql(Field::ProfitLoss));
        [
            "rowid",
            sql(Field::Id),
            sql(Field::MarketSlug),
            sql(Field::Action),
            sql(Field::ActualOutcome),
            profit,
            is_win,
            sql(Field::Timestamp),
            &format!("{is_win} = 1"),
            &format!("{is_win} = 0"),
            &format!("CAST({profit} AS REAL)"),
            sql(Field::PositionSize),
            sql(Field::ExecutedPrice),
            sql(Field::SignalType),
            sql(Field::IsTestMode),
            sql(Field::VerifiedFillPrice),
            sql(Field::VerifiedFillAmount),
            sql(Field::ExitPrice),
            sql(Field::ExecutionStatus),
            sql(Field::FeePaid),
            sql(Field::Confidence),
        ]
        .join(", ")
    }

    /// The provenance of each outcome that settle wrote, and whether a fee was counted, by the fingerprint of
    /// the row at that time. A row that changed since then has another fingerprint.
    fn provenance(&self) -> Result<HashMap<u64, (Provenance, bool)>, Error> {
        self.read_own("settlement_records", || {
            let mut provenance = HashMap::new();
            let mut undone = Vec::new();
            let mut statement = self.connection.prepare(
                "SELECT status, trade_id, market_slug, action,
                        new_actual_outcome, new_profit_loss, new_is_win, id,
                        fee IS NOT NULL
                 FROM settlement_records ORDER BY id",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                match text(row, 0)?.and_then(provenance_of) {
                    Some(by) => {
                        // a confirmation of the same values has no fee of its own
                        let entry = provenance.entry(fingerprint(row, 1)?).or_insert((by, false));
                        *entry = (by, entry.1 || row.get(8)?);
                    }
                    None => undone.push((fingerprint(row, 1)?, row.get::<_, i64>(7)?)),
                }
            }
            for (fingerprint, record_id) in undone {
                let in_force = status_in_force(&self.connection, record_id)?;
                match in_force.as_deref().and_then(provenance_of) {
                    // the record that is in force again was counted above
                    Some(by) => provenance.entry(fingerprint).or_insert((by, false)).0 = by,
                    None => drop(provenance.remove(&fingerprint)),
                }
            }
            Ok(provenance)
        })
    }
}

/// The provenance that a record of this status gives; `None` for one that undoes another.
pub(super) fn provenance_of(status: &str) -> Option<Provenance> {
    match status {
        "confirmed" | "corrected" => Some(Provenance::Confirmed),
        "provisional" => Some(Provenance::Provisional),
        "unknown" => Some(Provenance::Final),
        _ => None,
    }
}

/// A hash of a row's id, slug, action, outcome, profit and win, from column `first` on. As in
/// SQLite, equal numbers of different types are equal.
fn fingerprint(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for index in first..first + 6 {
        match row.get_ref(index)? {
            ValueRef::Null => 0u8.hash(&mut hasher),
            // integers beyond 2^53 may collide, but no id or amount is that large
            ValueRef::Integer(number) => (1u8, (number as f64).to_bits()).hash(&mut hasher),
            // -0 equals 0
            ValueRef::Real(number) => (1u8, (number + 0.0).to_bits()).hash(&mut hasher),
            ValueRef::Text(bytes) => (2u8, bytes).hash(&mut hasher),
            ValueRef::Blob(bytes) => (3u8, bytes).hash(&mut hasher),
        }
    }
    Ok(hasher.finish())
}

/// What the wallet says of the row, if it filled it.
fn position(row: &rusqlite::Row<'_>, wallet: &WalletRecords) -> rusqlite::Result<Option<Position>> {
    if wallet.0.is_empty() {
        return Ok(None);
    }
    let of_wallet = wallet.of(row.get(0)?, &row.get(1)?, &row.get(2)?);
    Ok(of_wallet.and_then(WalletRecord::position))
}

/// The dollars paid and the price of a share, from [`Store::result_columns`]: the wallet's, or the row's
/// own. A size that cannot be used gives what can be read of it.
fn money(
    row: &rusqlite::Row<'_>,
    position: Option<Position>,
    unit: SizeUnit,
) -> rusqlite::Result<(Option<Decimal>, Option<SharePrice>, MoneySource)> {
    let cell = |index: usize| row.get::<_, Cell>(index);
    if let Some(Ok(paid)) = position.map(|it| it.paid()) {
        return Ok((Some(paid.cost.0), Some(paid.price), paid.source));
    }
    let [size, price, verified_price, verified_amount, exit] =
        [cell(11)?, cell(12)?, cell(15)?, cell(16)?, cell(17)?];
    let own = LoggedMoney {
        size: &size,
        price: &price,
        verified_price: Some(&verified_price),
        verified_amount: Some(&verified_amount),
        exit_price: Some(&exit),
    };
    Ok(match own.paid(unit) {
        Ok(paid) => (Some(paid.cost.0), Some(paid.price), paid.source),
        Err(_) => {
            let price = price.any_number().and_then(|price| SharePrice::new(price).ok());
            (size.any_number(), price, MoneySource::Log)
        }
    })
}

/// A forecast from 0 to 1.
#[allow(clippy::cast_possible_truncation)] // a forecast needs no more than seven digits
fn confidence(value: ValueRef<'_>) -> Option<f32> {
    let number = match value {
        ValueRef::Real(number) => number,
        ValueRef::Integer(number) => number as f64,
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok()?,
        ValueRef::Null | ValueRef::Blob(_) => return None,
    };
    (0.0..=1.0).contains(&number).then_some(number as f32)
}

/// The instant of a timestamp in any form; most are text, which needs no copy.
pub(super) fn instant(
    row: &rusqlite::Row<'_>,
    index: usize,
    zone: NaiveZone,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    match text(row, index)?.and_then(|text| read_instant(text, zone)) {
        None => Ok(read_cell_instant(&row.get(index)?, zone)),
        at => Ok(at),
    }
}

pub(super) fn text<'a>(
    row: &'a rusqlite::Row<'_>,
    index: usize,
) -> rusqlite::Result<Option<&'a str>> {
    Ok(row.get_ref(index)?.as_str().ok())
}

/// The length of the window of a slug's market, in seconds, and its asset. A daily window counts as 24
/// hours, also when clocks change.
pub(super) fn market_of(
    slug: &str,
    at: UnixSeconds,
    rules: RuleSet,
) -> (Option<NonZeroU32>, Option<Asset>) {
    let Some(key) = market_key(slug, at) else { return (None, None) };
    let market = market::read_market(&key, at, rules);
    if !market.has_window() {
        return (None, Some(market.asset));
    }
    let seconds = match market.family {
        Family::Daily => 86_400,
        other => other.duration().unwrap_or_else(|| market.close.since(market.open)),
    };
    (u32::try_from(seconds).ok().and_then(NonZeroU32::new), Some(market.asset))
}
