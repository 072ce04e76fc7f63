//! A record: one row of `settlement_records` as a typed struct. It holds what a run wrote to a trade,
//! what was there before, and the evidence. `records` adds records, `history` follows those of a
//! trade.

use rusqlite::{Connection, Params, Row, ToSql};
use serde::Serialize;

use crate::rules::eligibility;
use crate::rules::fees::{Fee, Taken};
use crate::rules::market::RuleSet;
use crate::rules::outcome::Outcome;
use crate::rules::settlement::Settlement;
use crate::rules::units::{Usd, decimal_from_text};
use crate::rules::value::Cell;
use crate::store::RunInfo;

/// The value of `fee_taken` for a fee that was taken in shares.
const IN_SHARES: &str = "in shares";

/// Names each column once: the struct's fields are the columns of the view, in its order. A column is
/// stored for the `market`, once for its trades that a transaction writes alike, or for the `trade`.
macro_rules! record {
    ($($place:ident $column:ident: $type:ty,)*) => {
        /// One row of `settlement_records`. `guide/database.md` documents the columns. Prices, money
        /// and instants are text, with all their digits.
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        #[allow(missing_docs)] // the guide documents the columns
        pub struct Record {
            $(pub $column: $type,)*
        }

        impl Record {
            /// The columns, in the order of [`Self::read`] and [`Self::values`].
            pub(super) const COLUMNS: &[&str] = &[$(stringify!($column)),*];
            /// Whether each column is stored for the market.
            pub(super) const IS_OF_MARKET: &[bool] = &[$(is_of_market!($place)),*];

            /// Reads [`Self::COLUMNS`].
            fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
                let mut places = 0..;
                let mut place = || places.next().unwrap_or_default();
                Ok(Self { $($column: row.get(place())?,)* })
            }

            /// The values of [`Self::COLUMNS`].
            pub(super) fn values(&self) -> Vec<&dyn ToSql> {
                vec![$(&self.$column),*]
            }

            /// Whether the columns of the market are equal.
            pub(super) fn has_market_of(&self, other: &Self) -> bool {
                $((!is_of_market!($place) || self.$column == other.$column))&&*
            }
        }
    };
}

macro_rules! is_of_market {
    (market) => {
        true
    };
    (trade) => {
        false
    };
}

record! {
    trade id: i64,
    market run_id: String,
    market written_at: String,
    market version: String,
    trade trade_rowid: i64,
    trade trade_id: Cell,
    market market_slug: Cell,
    trade action: Cell,
    trade old_actual_outcome: Cell,
    trade old_profit_loss: Cell,
    trade old_is_win: Cell,
    trade old_fee_paid: Cell,
    trade new_actual_outcome: Cell,
    trade new_profit_loss: Cell,
    trade new_is_win: Cell,
    trade new_fee_paid: Cell,
    market status: String,
    trade previous_id: Option<i64>,
    market resolution: Option<String>,
    market rules: Option<String>,
    market epoch: Option<String>,
    market window_open: Option<String>,
    market window_close: Option<String>,
    market strike: Option<String>,
    market strike_source: Option<String>,
    market strike_doubts: Option<String>,
    market price_source: Option<String>,
    market open_price: Option<String>,
    market open_method: Option<String>,
    market close_price: Option<String>,
    market close_method: Option<String>,
    market margin_bps: Option<String>,
    market moved_bps: Option<String>,
    trade position_size: Option<String>,
    trade executed_price: Option<String>,
    trade shares: Option<String>,
    trade payout: Option<String>,
    trade cost: Option<String>,
    trade fee: Option<String>,
    trade fee_taken: Option<String>,
    trade profit: Option<String>,
    market money_source: Option<String>,
}

impl Record {
    /// The records that meet a condition, oldest first.
    pub(super) fn all_where(
        connection: &Connection,
        condition: &str,
        values: impl Params,
    ) -> rusqlite::Result<Vec<Self>> {
        let columns = Self::COLUMNS.join(", ");
        let sql = format!("SELECT {columns} FROM settlement_records WHERE {condition} ORDER BY id");
        connection.prepare_cached(&sql)?.query_map(values, Self::read)?.collect()
    }

    /// The record with this id.
    ///
    /// # Errors
    /// [`rusqlite::Error::QueryReturnedNoRows`].
    pub(super) fn with_id(connection: &Connection, id: i64) -> rusqlite::Result<Self> {
        Self::all_where(connection, "id = ?1", [id])?
            .pop()
            .ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// The record of a write to `row`, without a status and without the values in the row afterwards.
    pub(super) fn of_row(run: &RunInfo, row: &eligibility::Row) -> Self {
        Self {
            run_id: run.run_id.clone(),
            written_at: run.started_at.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            trade_rowid: row.rowid,
            trade_id: row.id.clone(),
            market_slug: row.market_slug.clone(),
            action: row.action.clone(),
            old_actual_outcome: row.actual_outcome.clone(),
            old_profit_loss: row.profit_loss.clone(),
            old_is_win: row.is_win.clone(),
            old_fee_paid: row.fee_paid.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Takes the outcome, profit, win or loss, and fee that are in the row after the write.
    pub(super) fn set_written(&mut self, written: [Cell; 4]) {
        [self.new_actual_outcome, self.new_profit_loss, self.new_is_win, self.new_fee_paid] =
            written;
    }

    /// The record of a settlement, without its id and without the values in the row afterwards.
    pub(super) fn new(run: &RunInfo, settlement: &Settlement) -> Self {
        let mut record = Self {
            status: settlement.status().as_str().to_owned(),
            previous_id: settlement.earlier().and_then(|earlier| earlier.record_id),
            resolution: settlement.resolution().map(Outcome::as_str).map(str::to_owned),
            rules: run.rules.map(RuleSet::as_str).map(str::to_owned),
            profit: text(Some(settlement.profit())),
            ..Self::of_row(run, &settlement.trade.row)
        };
        if let Some(bet) = settlement.bet() {
            record.epoch = text(Some(bet.market.epoch));
            if bet.market.has_window() {
                record.window_open = text(Some(bet.market.open));
                record.window_close = text(Some(bet.market.close));
            }
            record.money_source = text(Some(bet.paid.source.as_str()));
            record.position_size = text(Some(bet.paid.cost));
            record.executed_price = text(Some(bet.paid.price));
        }
        if let Some(measured) = settlement.measured() {
            let prices = &measured.prices;
            let doubts: Vec<&str> = measured.doubts.iter().map(|doubt| doubt.name()).collect();
            record.strike = text(Some(measured.strike));
            record.strike_source = text(Some(measured.strike_source));
            record.strike_doubts = Some(doubts.join(" ")).filter(|names| !names.is_empty());
            record.price_source = text(Some(prices.source.as_str()));
            record.open_price = text(prices.open.map(|open| open.price));
            record.open_method = text(prices.open.map(|open| open.method));
            record.close_price = text(Some(prices.close.price));
            let single = if measured.is_single { ", single_venue" } else { "" };
            record.close_method = Some(format!("{}{single}", prices.close.method));
            record.margin_bps = text(measured.margin);
            record.moved_bps = text(measured.moved);
        }
        if let Some(money) = settlement.money() {
            record.shares = text(Some(money.shares));
            record.payout = text(Some(money.payout));
            record.cost = text(Some(money.cost));
            record.fee = text(money.fee.map(|fee| fee.dollars));
            record.fee_taken = text(money.fee.map(|fee| match fee.taken {
                Taken::InShares => IN_SHARES,
                Taken::Added => "added to the spend",
            }));
        }
        record
    }

    /// Copies the evidence of the record that this one confirms or corrects, where that has any.
    pub(super) fn carry(&mut self, before: Self) {
        let carry = |mine: &mut Option<String>, theirs: Option<String>| {
            if theirs.is_some() {
                *mine = theirs;
            }
        };
        carry(&mut self.rules, before.rules);
        carry(&mut self.epoch, before.epoch);
        carry(&mut self.window_open, before.window_open);
        carry(&mut self.window_close, before.window_close);
        carry(&mut self.strike, before.strike);
        carry(&mut self.strike_source, before.strike_source);
        carry(&mut self.strike_doubts, before.strike_doubts);
        carry(&mut self.price_source, before.price_source);
        carry(&mut self.open_price, before.open_price);
        carry(&mut self.open_method, before.open_method);
        carry(&mut self.close_price, before.close_price);
        carry(&mut self.close_method, before.close_method);
        carry(&mut self.margin_bps, before.margin_bps);
        carry(&mut self.moved_bps, before.moved_bps);
    }

    /// The fee that was counted; `None` if no fee was, or the record has no payout.
    pub fn fee(&self) -> Option<Fee> {
        fee(self.fee.as_deref(), self.fee_taken.as_deref())
    }

    /// Whether `row` holds the values that this record wrote.
    pub fn is_held_by(&self, row: &eligibility::Row) -> bool {
        self.new_actual_outcome == row.actual_outcome
            && same(&self.new_profit_loss, &row.profit_loss)
            && same(&self.new_is_win, &row.is_win)
    }
}

/// Reads a fee from a record's columns `fee` and `fee_taken`.
pub(super) fn fee(dollars: Option<&str>, taken: Option<&str>) -> Option<Fee> {
    let taken = match taken {
        Some(IN_SHARES) => Taken::InShares,
        _ => Taken::Added,
    };
    let dollars = decimal_from_text(dollars?).ok()?;
    Some(Fee { dollars: Usd(dollars), taken })
}

/// Equal as SQLite compares them: a number is equal in any column type.
fn same(one: &Cell, other: &Cell) -> bool {
    one == other || one.any_number().is_some_and(|number| other.any_number() == Some(number))
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn a_record_has_the_columns_of_its_table() {
        let mut connection = Connection::open_in_memory().unwrap();
        let transaction = connection.transaction().unwrap();
        schema::make_tables(&transaction).unwrap();
        let sql = "SELECT name FROM pragma_table_info('settlement_records')";
        let mut columns = transaction.prepare(sql).unwrap();
        let columns = columns.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let columns: Vec<String> = columns.collect::<rusqlite::Result<_>>().unwrap();
        assert_eq!(Record::COLUMNS, columns);
    }
}
