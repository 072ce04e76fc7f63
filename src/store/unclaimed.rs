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

/// The settled trades beside the last readings of their wallets.
#[derive(Debug, Clone, Copy, Default)]
pub struct BesideWallet {
    /// Booked profits less what the wallet's fills of these trades made, in dollars; `None` if the readings
    /// cover no settled trade.
    pub difference: Option<Decimal>,
    /// Dollars that the trades won and that were not redeemed; `None` if no wallet was read.
    pub unclaimed: Option<Decimal>,
}

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

    /// Compares the settled trades with the last readings of their wallets.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn beside_wallet(&self) -> Result<BesideWallet, Error> {
        let redeemed = self.redeemed()?;
        self.read_own("settlement_fills", || {
            let sql = |field| self.fields.sql(field);
            let mut statement = self.connection.prepare(&format!(
                "SELECT fill.shares, fill.cost, fill.sold, fill.proceeds, fill.market_slug,
                        {}, {}, {}, {}
                 FROM settlement_fills AS fill
                 LEFT JOIN trades ON trades.rowid = fill.trade_rowid AND {} IS fill.trade_id
                    AND {} IS fill.market_slug",
                sql(Field::Action),
                sql(Field::ActualOutcome),
                sql(Field::ProfitLoss),
                self.fields.settled(),
                sql(Field::Id),
                sql(Field::MarketSlug),
            ))?;
            let mut rows = statement.query([])?;
            let (mut won, mut difference) = (None::<HashMap<String, Decimal>>, None::<Decimal>);
            while let Some(row) = rows.next()? {
                let won = won.get_or_insert_default();
                let number = |index: usize| -> rusqlite::Result<Decimal> {
                    let text: Option<String> = row.get(index)?;
                    Ok(text.and_then(|text| decimal_from_text(&text).ok()).unwrap_or_default())
                };
                let cell = |index: usize| row.get::<_, Cell>(index);
                let (side, outcome) = (cell(5)?, cell(6)?);
                let side = side.text().and_then(Side::named);
                let outcome = outcome.text().and_then(Outcome::named);
                let (Some(side), Some(outcome)) = (side, outcome) else { continue };
                let held = number(0)?.saturating_sub(number(2)?);
                let pays = held.saturating_mul(paid_per_share(side, outcome));
                if let Some(market) = cell(4)?.name() {
                    let sum = won.entry(market.into_owned()).or_default();
                    *sum = sum.saturating_add(pays);
                }
                let is_settled = row.get::<_, Option<bool>>(8)?.unwrap_or_default();
                if is_settled && outcome != Outcome::Unknown {
                    // a trade that was never filled made 0
                    let made = pays.saturating_add(number(3)?).saturating_sub(number(1)?);
                    let booked = cell(7)?.any_number().unwrap_or_default();
                    let sum = difference.get_or_insert_default();
                    *sum = sum.saturating_add(booked.saturating_sub(made));
                }
            }
            let left = |(market, won): (String, Decimal)| {
                won.saturating_sub(redeemed.get(&market).copied().unwrap_or_default())
            };
            let unclaimed = won.map(|won| {
                let left = won.into_iter().map(left).filter(|left| *left >= DUST);
                left.fold(Decimal::ZERO, Decimal::saturating_add)
            });
            Ok(BesideWallet { difference, unclaimed })
        })
    }
}
