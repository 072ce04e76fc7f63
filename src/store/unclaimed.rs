//! What a wallet's readings show beside the settled trades: profits that differ, and winnings that were not
//! redeemed. The latter are what the settled trades of a wallet pay, less what the wallet's
//! readings showed as redeemed (`settlement_redeemed`).

use std::collections::HashMap;

use rusqlite::params;
use rust_decimal::Decimal;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::fill::DUST;
use crate::rules::outcome::{Outcome, Side};
use crate::rules::pnl::paid_per_share;
use crate::rules::units::{UnixSeconds, decimal_from_text};
use crate::rules::value::Cell;
use crate::store::Store;
use crate::store::columns::Field;

impl Store {
    /// What was redeemed, in dollars, by the market as the bot wrote it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn redeemed(&self) -> Result<HashMap<String, Decimal>, Error> {
        self.read_own("settlement_redeemed", || {
            let sql = "SELECT market_slug, dollars FROM settlement_redeemed";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let dollars: String = row.get(1)?;
                Ok((row.get(0)?, decimal_from_text(&dollars).unwrap_or_default()))
            })?;
            rows.collect()
        })
    }

    /// Keeps what was redeemed, in dollars, by the market as the bot wrote it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn save_redeemed(
        &mut self,
        found: &[(String, Decimal)],
        now: UnixSeconds,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        self.save_each(found, interrupt, |transaction, (market, dollars)| {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO settlement_redeemed (market_slug, dollars, read_at)
                 VALUES (?1, ?2, ?3)",
            )?;
            insert.execute(params![market, dollars.to_string(), now.0]).map(drop)
        })
    }

    /// Booked profits less what the wallet's fills of these trades made, in dollars, over the settled trades
    /// that the last readings cover; `None` if there are none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn wallet_difference(&self) -> Result<Option<Decimal>, Error> {
        self.read_own("settlement_fills", || {
            let [id, slug, action, outcome, profit] = [
                Field::Id,
                Field::MarketSlug,
                Field::Action,
                Field::ActualOutcome,
                Field::ProfitLoss,
            ]
            .map(|field| self.fields.sql(field));
            let mut statement = self.connection.prepare(&format!(
                "SELECT fill.filled, fill.shares, fill.cost, fill.sold, fill.proceeds, {action}, {outcome}, {profit}
                 FROM settlement_fills AS fill
                 JOIN trades ON trades.rowid = fill.trade_rowid AND {id} IS fill.trade_id
                    AND {slug} IS fill.market_slug
                 WHERE fill.filled IN (0, 1) AND {}",
                self.fields.settled()
            ))?;
            let mut rows = statement.query([])?;
            let mut difference = None;
            while let Some(row) = rows.next()? {
                let number = |index: usize| -> rusqlite::Result<Decimal> {
                    let text: Option<String> = row.get(index)?;
                    Ok(text.and_then(|text| decimal_from_text(&text).ok()).unwrap_or_default())
                };
                let [action, outcome, booked] =
                    [row.get::<_, Cell>(5)?, row.get::<_, Cell>(6)?, row.get::<_, Cell>(7)?];
                let side = action.text().and_then(Side::named);
                let outcome = outcome.text().and_then(Outcome::named);
                let outcome = outcome.filter(|outcome| *outcome != Outcome::Unknown);
                let (Some(side), Some(outcome)) = (side, outcome) else { continue };
                let held = number(1)?.saturating_sub(number(3)?);
                let paid = held.saturating_mul(paid_per_share(side, outcome));
                // a trade that was never filled made 0
                let made = paid.saturating_add(number(4)?).saturating_sub(number(2)?);
                let sum: &mut Decimal = difference.get_or_insert_default();
                let booked = booked.any_number().unwrap_or_default();
                *sum = sum.saturating_add(booked.saturating_sub(made));
            }
            Ok(difference)
        })
    }

    /// Dollars that the settled trades won and that were not redeemed at the last reading of a wallet; `None`
    /// if no wallet was read.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unclaimed(&self) -> Result<Option<Decimal>, Error> {
        let read = || {
            if !self.has("settlement_fills")? {
                return Ok(None);
            }
            let [id, slug, action, outcome] =
                [Field::Id, Field::MarketSlug, Field::Action, Field::ActualOutcome]
                    .map(|field| self.fields.sql(field));
            let sql = format!(
                "SELECT fill.market_slug, fill.shares, fill.sold, {action}, {outcome}
                 FROM settlement_fills AS fill
                 LEFT JOIN trades ON trades.rowid = fill.trade_rowid AND {id} IS fill.trade_id
                    AND {slug} IS fill.market_slug"
            );
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let mut won: Option<HashMap<String, Decimal>> = None;
            while let Some(row) = rows.next()? {
                let won = won.get_or_insert_default();
                let [market, action, outcome] =
                    [row.get::<_, Cell>(0)?, row.get::<_, Cell>(3)?, row.get::<_, Cell>(4)?];
                let number = |index: usize| -> rusqlite::Result<Decimal> {
                    let text: Option<String> = row.get(index)?;
                    Ok(text.and_then(|text| decimal_from_text(&text).ok()).unwrap_or_default())
                };
                let (side, outcome) = (action.text().and_then(Side::named), outcome.text());
                let (Some(market), Some(side), Some(outcome)) =
                    (market.name(), side, outcome.and_then(Outcome::named))
                else {
                    continue;
                };
                let held = number(1)?.saturating_sub(number(2)?);
                let pays = held.saturating_mul(paid_per_share(side, outcome));
                let sum = won.entry(market.into_owned()).or_default();
                *sum = sum.saturating_add(pays);
            }
            Ok(won)
        };
        let won = read().map_err(|error| self.failed("read", error))?;
        let redeemed = self.redeemed()?;
        let left = |(market, won): (String, Decimal)| {
            won.saturating_sub(redeemed.get(&market).copied().unwrap_or_default())
        };
        Ok(won.map(|won| {
            won.into_iter()
                .map(left)
                .filter(|left| *left >= DUST)
                .fold(Decimal::ZERO, Decimal::saturating_add)
        }))
    }
}
