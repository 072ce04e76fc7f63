//! What a wallet said about trades (`settlement_fills`), and the rows that its fills are assigned to.
//! `rules::assignment` assigns them.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::fill::{
    Fill, LoggedRow, MarketId, Position, WalletRecord, WalletRecords, WalletSays,
};
use crate::rules::order_status::is_on_paper;
use crate::rules::outcome::Side;
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::{Shares, UnixSeconds, Usd, decimal_from_text};
use crate::rules::value::Cell;
use crate::rules::zone::logged_at;
use crate::store::Store;
use crate::store::columns::Field;
use crate::store::transaction::Short;

/// The first version of settle's tables that keeps single fills.
const FIRST_WITH_FILLS: i64 = 4;
/// The first version that keeps which wallet showed them.
const FIRST_WITH_WALLETS: i64 = 5;
/// How a sale is stored.
const SALE: &str = "sell";

impl Store {
    /// What a wallet said about trades, by rowid.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn wallet_records(&self) -> Result<WalletRecords, Error> {
        self.wallet_records_where("TRUE")
    }

    /// The same of the trades that a run may write: unsettled or unconfirmed ones, and those that a wallet showed
    /// at `since` or later.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn wallet_records_of_run(&self, since: UnixSeconds) -> Result<WalletRecords, Error> {
        // there the rowid of a record does not show whether its row is unsettled
        if self.fields.renumbers {
            return self.wallet_records();
        }
        self.wallet_records_where(&format!(
            "fill.read_at >= {}
             OR fill.trade_rowid IN (SELECT trade_rowid FROM settlement_unconfirmed)
             OR EXISTS (SELECT 1 FROM trades WHERE trades.rowid = fill.trade_rowid AND {})",
            since.0,
            self.fields.unsettled()
        ))
    }

    /// Whether a wallet was ever read.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn has_wallet_records(&self) -> Result<bool, Error> {
        self.read_own("settlement_fills", || {
            let sql = "SELECT EXISTS (SELECT 1 FROM settlement_fills)";
            self.connection.query_row(sql, [], |row| row.get(0))
        })
    }

    fn wallet_records_where(&self, condition: &str) -> Result<WalletRecords, Error> {
        self.read_own("settlement_fills", || {
            let mut statement = self.connection.prepare(&format!(
                "SELECT trade_rowid, trade_id, market_slug, filled, shares, cost, sold, proceeds
                 FROM settlement_fills AS fill WHERE {condition}"
            ))?;
            let rows = statement.query_map([], |row| {
                let number = |index: usize| -> rusqlite::Result<_> {
                    let text: Option<String> = row.get(index)?;
                    Ok(text.and_then(|text| decimal_from_text(&text).ok()).unwrap_or_default())
                };
                let position = Position {
                    shares: number(4)?,
                    cost: number(5)?,
                    sold: number(6)?,
                    proceeds: number(7)?,
                };
                let says = match row.get(3)? {
                    true => WalletSays::Filled(position),
                    false => WalletSays::NotFilled,
                };
                let (trade_id, market_slug) = (row.get(1)?, row.get(2)?);
                let record = WalletRecord { trade_id, market_slug, says, fills: vec![] };
                Ok((row.get(0)?, record))
            })?;
            let records = rows.collect::<rusqlite::Result<HashMap<_, _>>>()?;
            self.at_their_rows(records)
        })
    }

    /// Gives each record the rowid that its row has now, where the rows were renumbered.
    fn at_their_rows(
        &self,
        mut records: HashMap<i64, WalletRecord>,
    ) -> rusqlite::Result<WalletRecords> {
        let moved = self.moved_fills()?;
        let taken: Vec<_> =
            moved.iter().filter_map(|(from, to)| Some((*to, records.remove(from)?))).collect();
        records.extend(taken);
        Ok(WalletRecords(records))
    }

    /// The rowids of the records whose rows were renumbered, each with that of its row now. A record whose id and
    /// market several rows have, or another record has at that row, is not among them.
    fn moved_fills(&self) -> rusqlite::Result<Vec<(i64, i64)>> {
        if !self.fields.renumbers {
            return Ok(vec![]);
        }
        let is_its_row = format!(
            "{} IS fill.trade_id AND {} IS fill.market_slug",
            self.fields.sql(Field::Id),
            self.fields.sql(Field::MarketSlug)
        );
        let mut statement = self.connection.prepare(&format!(
            "SELECT fill.trade_rowid, min(trades.rowid) AS moved_to FROM settlement_fills AS fill
             JOIN trades ON {is_its_row}
             WHERE NOT EXISTS (
                 SELECT 1 FROM trades WHERE trades.rowid = fill.trade_rowid AND {is_its_row})
             GROUP BY fill.trade_rowid HAVING count(*) = 1 AND NOT EXISTS (
                 SELECT 1 FROM settlement_fills AS there WHERE there.trade_rowid = moved_to
                     AND there.trade_id IS fill.trade_id AND there.market_slug IS fill.market_slug)"
        ))?;
        let moved = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        moved.collect()
    }

    /// Moves the records of renumbered rows to their rows, so that none is written over or deleted in place of
    /// another.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn move_fills(&mut self, interrupt: &Interrupt) -> rusqlite::Result<()> {
        let moved = self.moved_fills()?;
        if moved.is_empty() {
            return Ok(());
        }
        self.retry_while_busy(interrupt, |store| {
            let transaction = Short::begin(store)?;
            // first out of the way: the rowid of one may be the next rowid of another
            let mut away = transaction
                .prepare("UPDATE settlement_fills SET trade_rowid = ?2 WHERE trade_rowid = ?1")?;
            let mut back = transaction.prepare(
                "UPDATE OR REPLACE settlement_fills SET trade_rowid = ?2 WHERE trade_rowid = ?1",
            )?;
            for (place, (from, _)) in (i64::MIN..).zip(&moved) {
                away.execute([*from, place])?;
            }
            for (place, (_, to)) in (i64::MIN..).zip(&moved) {
                back.execute([place, *to])?;
            }
            drop((away, back));
            transaction.commit().map(drop)
        })
    }

    /// The rowids of the rows of which another wallet than this one spoke last.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn rows_of_another_wallet(&self, wallet: &str) -> Result<HashSet<i64>, Error> {
        self.read_own("settlement_fills", || {
            let has_wallets =
                self.schema_version()?.is_some_and(|version| version >= FIRST_WITH_WALLETS);
            let last = if has_wallets { "wallet" } else { "NULL" };
            let sql = format!("SELECT trade_rowid FROM settlement_fills WHERE {last} IS NOT ?1");
            let mut statement = self.connection.prepare(&sql)?;
            statement.query_map([wallet], |row| row.get(0))?.collect()
        })
    }

    /// Every row with a side, a market and a time, settled or not, and the rows that settle recorded and
    /// the bot has deleted since. Trades on paper are left out. A row with a result counts as settled, also
    /// where it holds no win.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn wallet_rows(&self, zone: NaiveZone) -> Result<Vec<LoggedRow>, Error> {
        let columns = [
            Field::Id,
            Field::Timestamp,
            Field::MarketSlug,
            Field::Action,
            Field::ExecutionStatus,
            Field::OrderId,
            Field::ActualOutcome,
        ];
        let columns = columns.map(|field| self.fields.sql(field)).join(", ");
        let columns = format!("trades.rowid, {columns}, {}", self.fields.unsettled());
        let (mut rows, mut orders) = (Vec::new(), HashSet::new());
        let read = |row: &rusqlite::Row<'_>| {
            let cell = |index: usize| row.get::<_, Cell>(index);
            Ok((
                row.get::<_, i64>(0)?,
                [cell(1)?, cell(2)?, cell(3)?, cell(4)?, cell(5)?, cell(6)?, cell(7)?],
                row.get::<_, bool>(8)?,
            ))
        };
        self.pages("TRUE", &columns, read, |page| {
            for (rowid, cells, no_win) in page {
                let [trade_id, timestamp, market_slug, action, status, order, outcome] = cells;
                if is_on_paper(&status) {
                    continue;
                }
                let Some(logged_at) = logged_at(&timestamp, &market_slug, zone) else { continue };
                let is_unsettled = no_win && outcome.is_empty();
                let row = logged_row(rowid, trade_id, market_slug, &action, logged_at);
                rows.extend(row.map(|row| {
                    // the first row of an order has its fills
                    let its = || (order.to_string(), row.market.clone(), row.side == Side::Yes);
                    let is_duplicate = !order.is_empty() && !orders.insert(its());
                    LoggedRow { is_unsettled, is_duplicate, ..row }
                }));
            }
        })?;
        rows.extend(self.deleted_rows()?);
        Ok(rows)
    }

    /// The rows with a bet that settle recorded and that are gone. Their records hold no time of logging,
    /// so they count as logged at their first fill, or else when the window opened.
    fn deleted_rows(&self) -> Result<Vec<LoggedRow>, Error> {
        let keys = self.keys_of_deleted()?;
        let recorded = self.read(|| {
            let mut recorded = Vec::new();
            for (id, slug) in keys {
                let mut statement = self.connection.prepare_cached(
                    "SELECT min(id), max(trade_rowid), action, unixepoch(window_open)
                     FROM settlement_records
                     WHERE trade_id IS ?1 AND market_slug IS ?2 AND window_open IS NOT NULL
                     GROUP BY action, CASE WHEN trade_id IS NULL THEN trade_rowid END",
                )?;
                let rows = statement.query_map(params![id, slug], |row| {
                    let (first, rowid): (i64, i64) = (row.get(0)?, row.get(1)?);
                    let (action, open): (Cell, i64) = (row.get(2)?, row.get(3)?);
                    Ok((first, rowid, (id.clone(), slug.clone()), action, UnixSeconds(open)))
                })?;
                recorded.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            Ok(recorded)
        })?;
        let mut rows = Vec::new();
        for (first, rowid, (trade_id, market_slug), action, open) in recorded {
            let fills = self.fills_of(rowid, &trade_id, &market_slug)?;
            let logged_at = fills.iter().map(|fill| fill.time).min().unwrap_or(open);
            let key = i64::MIN.saturating_add(first);
            rows.extend(logged_row(key, trade_id, market_slug, &action, logged_at));
        }
        Ok(rows)
    }

    /// The number of settled trades whose fills a wallet has shown.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn wallet_count(&self) -> Result<u64, Error> {
        self.read_own("settlement_fills", || {
            let [id, slug, is_win] =
                [Field::Id, Field::MarketSlug, Field::IsWin].map(|field| self.fields.sql(field));
            let sql = format!(
                "SELECT count(*) FROM settlement_fills AS fill
                 JOIN trades ON trades.rowid = fill.trade_rowid AND {id} IS fill.trade_id
                    AND {slug} IS fill.market_slug
                 WHERE fill.filled AND {is_win} IS NOT NULL"
            );
            self.connection.query_row(&sql, [], |row| row.get(0))
        })
    }

    /// The fills of a row, as a wallet showed them; empty if none did.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn fills_of(
        &self,
        rowid: i64,
        trade_id: &Cell,
        market_slug: &Cell,
    ) -> Result<Vec<Fill>, Error> {
        let text = self.read(|| {
            let version = self.schema_version()?;
            if version.is_none_or(|version| version < FIRST_WITH_FILLS) {
                return Ok(None);
            }
            let mut statement = self.connection.prepare_cached(
                "SELECT fills FROM settlement_fills
                 WHERE trade_rowid = ?1 AND trade_id IS ?2 AND market_slug IS ?3",
            )?;
            let values = params![rowid, trade_id, market_slug];
            let text: Option<Option<String>> =
                statement.query_row(values, |row| row.get(0)).optional()?;
            Ok(text.flatten())
        })?;
        Ok(text.map_or_else(Vec::new, |text| from_json(&text)))
    }

    /// Keeps what `wallet` said, so that a later run without it knows.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn save_wallet_records(
        &mut self,
        found: &[(i64, WalletRecord)],
        wallet: &str,
        now: UnixSeconds,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        self.save_each(found, interrupt, |transaction, (rowid, record)| {
            let position = record.position();
            let text = |number: fn(&Position) -> String| position.as_ref().map(number);
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO settlement_fills
                    (trade_rowid, trade_id, market_slug, filled, shares, cost, sold, proceeds, read_at,
                     fills, wallet)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            insert.execute(params![
                rowid,
                record.trade_id,
                record.market_slug,
                position.is_some(),
                text(|position| position.shares.to_string()),
                text(|position| position.cost.to_string()),
                text(|position| position.sold.to_string()),
                text(|position| position.proceeds.to_string()),
                now.0,
                as_json(&record.fills),
                wallet
            ])?;
            Ok(())
        })
    }
}

/// Fills as they are stored: times, shares, dollars and hashes in lists.
fn as_json(fills: &[Fill]) -> Option<String> {
    let list = fills.iter().map(|fill| {
        let kind = if fill.is_sale { SALE } else { "buy" };
        let [shares, dollars] = [fill.shares.0, fill.dollars.0].map(|number| number.to_string());
        json!([fill.time.0, kind, shares, dollars, fill.transaction_hash])
    });
    (!fills.is_empty()).then(|| Value::Array(list.collect()).to_string())
}

/// Reads [`as_json`]; what another program changed to something else is left out.
fn from_json(text: &str) -> Vec<Fill> {
    let list: Vec<(i64, String, String, String, String)> =
        serde_json::from_str(text).unwrap_or_default();
    let fill =
        |(time, kind, shares, dollars, transaction_hash): (i64, String, String, String, _)| {
            Some(Fill {
                time: UnixSeconds(time),
                is_sale: kind == SALE,
                shares: Shares(decimal_from_text(&shares).ok()?),
                dollars: Usd(decimal_from_text(&dollars).ok()?),
                transaction_hash,
            })
        };
    list.into_iter().filter_map(fill).collect()
}

/// A settled row, as far as fills are concerned; `None` if it names no side or no market.
fn logged_row(
    rowid: i64,
    trade_id: Cell,
    market_slug: Cell,
    action: &Cell,
    logged_at: UnixSeconds,
) -> Option<LoggedRow> {
    let side = action.text().and_then(Side::named)?;
    let market = MarketId::read(&market_slug.name()?, logged_at)?;
    let (is_unsettled, is_duplicate) = (false, false);
    Some(LoggedRow {
        rowid,
        trade_id,
        market_slug,
        is_unsettled,
        market,
        side,
        logged_at,
        is_duplicate,
    })
}
