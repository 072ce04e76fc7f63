//! Settled trades that the bot has deleted since settle recorded them: a report counts them by their records,
//! as an export does. `results` reads the trades that are there.

use std::collections::HashSet;

use chrono::DateTime;

use crate::error::Error;
use crate::rules::eligibility::Reading;
use crate::rules::outcome::Side;
use crate::rules::pnl::MoneySource;
use crate::rules::statistics::{DELETED, Mode, Provenance, Settled, SettledAs};
use crate::rules::units::{SharePrice, UnixSeconds, decimal_from_text, f64_from_decimal};
use crate::rules::value::Cell;
use crate::store::columns::Field;
use crate::store::history::chains;
use crate::store::results::{market_of, provenance_of};
use crate::store::{Record, Store, in_force_with_money};

/// The id and the market of a trade, as texts.
type Key = (String, String);

impl Store {
    /// The trades whose records say that they are settled, and whose rows are gone. They have no signal type,
    /// and the time at which their market's window opened in place of the time of logging.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn deleted_results(&self, reading: Reading) -> Result<Vec<Settled>, Error> {
        let chains = self.records_of_deleted()?;
        let settled = |chain: &Vec<Record>| {
            let (in_force, money) = in_force_with_money(chain)?;
            settled_by(in_force, money, reading)
        };
        Ok(chains.iter().filter_map(settled).collect())
    }

    /// The records of trades that the bot has deleted since, oldest first by trade.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn records_of_deleted(&self) -> Result<Vec<Vec<Record>>, Error> {
        let keys = self.keys_of_deleted()?;
        self.read(|| {
            let mut found = Vec::new();
            for (id, slug) in keys {
                found.extend(chains(Record::all_where(
                    &self.connection,
                    "trade_id IS ?1 AND market_slug IS ?2",
                    rusqlite::params![id, slug],
                )?));
            }
            Ok(found)
        })
    }

    /// The ids and markets of the records without a row, in the order of their first record.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) fn keys_of_deleted(&self) -> Result<Vec<(Cell, Cell)>, Error> {
        // a row at its rowid is found at once; rows that moved are looked for in one pass below
        let mut keys: Vec<(Cell, Cell)> = self.read_own("settlement_records", || {
            let mut statement = self.connection.prepare(&format!(
                "SELECT trade_id, market_slug FROM settlement_records AS record WHERE {}
                 GROUP BY trade_id, market_slug ORDER BY min(id)",
                self.fields.moved()
            ))?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        if keys.is_empty() {
            return Ok(keys);
        }
        let text = |(id, slug): &(Cell, Cell)| (id.to_string(), slug.to_string());
        let mut gone: HashSet<Key> = keys.iter().map(text).collect();
        let [id, slug] = [Field::Id, Field::MarketSlug].map(|field| self.fields.sql(field));
        let columns = format!("trades.rowid, {id}, {slug}");
        let read = |row: &rusqlite::Row<'_>| Ok(text(&(row.get(1)?, row.get(2)?)));
        self.pages("TRUE", &columns, read, |page| {
            for key in page {
                gone.remove(&key);
            }
        })?;
        keys.retain(|key| gone.contains(&text(key)));
        Ok(keys)
    }
}

/// The trade as its records have it; `None` if it is not settled by them.
fn settled_by(in_force: &Record, money: Option<&Record>, reading: Reading) -> Option<Settled> {
    let by = provenance_of(&in_force.status)?;
    let opened = DateTime::parse_from_rfc3339(in_force.window_open.as_deref().unwrap_or_default());
    let at = opened.ok().map(|at| UnixSeconds(at.timestamp()));
    let outcome = in_force.new_actual_outcome.text();
    let booked = match in_force.new_is_win.any_number() {
        Some(won) if won.is_zero() => SettledAs::Loss,
        Some(_) => SettledAs::Win,
        None if outcome == Some("SPLIT") => SettledAs::Split,
        None if outcome == Some("UNKNOWN") || by == Provenance::Final => SettledAs::Unknown,
        None => return None,
    };
    let number = |of: fn(&Record) -> Option<&String>| decimal_from_text(of(money?)?).ok();
    let profit = in_force.new_profit_loss.any_number();
    let slug = in_force.market_slug.text();
    let near = at.unwrap_or(UnixSeconds(0));
    let (duration, asset) = slug.map_or((None, None), |slug| market_of(slug, near, reading.rules));
    let source = in_force.money_source.as_ref().or(money.and_then(|it| it.money_source.as_ref()));
    let is_by = |by: &MoneySource| source.is_some_and(|source| source == by.as_str());
    let source = [MoneySource::Wallet, MoneySource::Row].into_iter().find(is_by);
    Some(Settled {
        rowid: DELETED.saturating_add(in_force.id),
        logged_at: at.and_then(UnixSeconds::datetime),
        booked,
        without_result: matches!(outcome, Some("SPLIT" | "UNKNOWN")),
        profit_as_stored: profit.map_or(f64::NAN, f64_from_decimal),
        profit,
        cost: number(|record| record.cost.as_ref()),
        price: number(|record| record.executed_price.as_ref())
            .and_then(|price| SharePrice::new(price).ok())
            .map(|price| price.0),
        side: in_force.action.text().and_then(Side::named),
        mode: if source == Some(MoneySource::Wallet) { Mode::Live } else { Mode::NotSaid },
        provenance: by,
        signal: 0,
        duration,
        asset,
        money: source.unwrap_or(MoneySource::Log),
        has_fee: money.is_some_and(|record| record.fee.is_some()),
        confidence: None,
    })
}
