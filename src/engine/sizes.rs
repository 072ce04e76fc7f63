//! What `position_size` holds by the fills of a database's rows, and the line of the settings file that reads it.
//! `rules::logged` compares a size with a fill; `rules::size_line` finds the column that separates two units.

use std::collections::HashMap;

use rust_decimal::Decimal;

use crate::engine::fills::name_markets;
use crate::error::Error;
use crate::rules::assignment::assign_shared;
use crate::rules::fill::{SharedRows, WalletReading};
use crate::rules::logged::{
    SizeAndFill, SizeHolds, SizeUnit, size_and_fill, size_holds, unit_shown,
};
use crate::rules::size_line::size_line;
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::UnixSeconds;
use crate::rules::zone::logged_at;
use crate::store::{BotSchema, Store};

/// The number of last rows whose sizes are compared.
const LAST_ROWS: usize = 200;

/// What the sizes hold.
#[derive(Debug)]
pub struct Sizes {
    /// By the fills; mixed wherever a column separates two units.
    pub holds: SizeHolds,
    /// The line for the settings file, where sizes are read otherwise than they are meant.
    pub line: Option<String>,
    /// The unit in which sizes are read.
    pub in_use: SizeUnit,
    /// `[schema]` has a line for sizes already.
    pub is_mapped: bool,
    /// The number of rows with a fill.
    pub rows: usize,
}

impl Sizes {
    /// Compares these rows, by rowid, with their fills. `in_use` is how sizes are read.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn of(
        store: &Store,
        schema: &BotSchema,
        in_use: SizeUnit,
        fills: &[(i64, SizeAndFill)],
    ) -> Result<Self, Error> {
        let holds = size_holds(fills.iter().map(|(_, fill)| *fill));
        let units: Vec<Option<SizeUnit>> =
            fills.iter().map(|(_, fill)| unit_shown(*fill)).collect();
        let has = |unit| units.contains(&Some(unit));
        let mut line = None;
        if has(SizeUnit::Dollars) && has(SizeUnit::Shares) {
            let rowids: Vec<i64> = fills.iter().map(|(rowid, _)| *rowid).collect();
            let columns = store.columns_at(schema, &rowids)?;
            let [size, price] = ["position_size", "executed_price"].map(|it| schema.read_as(it));
            line = size_line(&units, &columns, [&size, &price]);
        }
        let rows = fills.len();
        let is_mapped = schema.expressions.iter().any(|(column, _)| *column == "position_size");
        let holds = if line.is_some() { SizeHolds::Mixed } else { holds };
        if let SizeHolds::One(unit) = holds
            && unit != in_use
        {
            line = Some(format!("size_unit = \"{}\"", unit.as_str()));
        }
        Ok(Self { holds, line, in_use, is_mapped, rows })
    }

    /// What the sizes hold, and what to do. A `line` is to be printed behind it.
    pub fn in_words(&self, has_wallet: bool) -> String {
        let mixed = "position_size holds dollars in some rows and shares in others";
        match (self.holds, &self.line) {
            (SizeHolds::One(unit), None) => format!("position_size holds {}", unit.as_str()),
            (SizeHolds::One(unit), Some(_)) => {
                format!("position_size holds {}; set in the settings file:", unit.as_str())
            }
            (SizeHolds::Mixed, Some(_)) => {
                let remove = match self.in_use {
                    SizeUnit::Dollars => "",
                    SizeUnit::Shares => "remove size_unit, and ",
                };
                let set = match self.is_mapped {
                    true => "replace size under [schema] in the settings file by",
                    false => "set under [schema] in the settings file",
                };
                format!("{mixed}; {remove}{set}:")
            }
            (SizeHolds::Mixed, None) if has_wallet => {
                format!("{mixed}; no column separates them; the wallet's fills are the money")
            }
            (SizeHolds::Mixed, None) => {
                format!("{mixed}; no column separates them; set --wallet: its fills are the money")
            }
            (SizeHolds::Neither, _) => {
                "position_size holds neither the dollars nor the shares of most fills".to_owned()
            }
            (SizeHolds::Unknown, _) => "too few fills show what position_size holds".to_owned(),
        }
    }
}

/// The sizes of those of the last rows that have one buy, by rowid: by `wallet`, else by what a wallet said before,
/// else by the fill that the bot verified. Polymarket is not asked for the names of markets.
///
/// # Errors
/// [`Error::Database`].
pub fn known_fills(
    store: &Store,
    zone: NaiveZone,
    wallet: Option<(WalletReading, SharedRows)>,
    now: UnixSeconds,
) -> Result<Vec<(i64, SizeAndFill)>, Error> {
    let mut by_wallet = HashMap::new();
    if let Some((mut history, mut shared)) = wallet {
        let mut logged = store.wallet_rows(zone)?;
        let mut nothing = |_: &[String]| HashMap::new();
        let ids = store.market_ids()?;
        name_markets(&mut logged, &mut shared, &mut history, &ids, now, &mut nothing);
        by_wallet = assign_shared(&logged, &shared, &history, now).fills;
    }
    let mut found = Vec::new();
    for row in store.last_rows(LAST_ROWS)? {
        let fills = match by_wallet.remove(&row.rowid) {
            Some(fills) => fills,
            None => store.fills_of(row.rowid, &row.id, &row.market_slug)?,
        };
        let size = row.position_size.any_number().filter(|size| *size > Decimal::ZERO);
        let mut buys = fills.iter().filter(|fill| !fill.is_sale);
        let compared = match (buys.next(), buys.next()) {
            (Some(buy), None) => size.map(|size| (size, buy.dollars.0, buy.shares.0)),
            (Some(_), Some(_)) => None,
            (None, _) => {
                let (price, amount) = (&row.verified_fill_price, &row.verified_fill_amount);
                size_and_fill(&row.position_size, price.as_ref(), amount.as_ref())
            }
        };
        found.extend(compared.map(|compared| (row.rowid, compared)));
    }
    Ok(found)
}

/// When the oldest of the last rows was logged; `None` without a row.
///
/// # Errors
/// [`Error::Database`].
pub fn oldest_of_last(store: &Store, zone: NaiveZone) -> Result<Option<UnixSeconds>, Error> {
    let rows = store.last_rows(LAST_ROWS)?;
    let times = rows.iter().filter_map(|row| logged_at(&row.timestamp, &row.market_slug, zone));
    Ok(times.min())
}
