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

/// Names each column once: the struct's fields are the table's columns, in the table's order.
macro_rules! record {
    ($($column:ident: $type:ty,)*) => {
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
        }
    };
}

record! {
    id: i64,
    run_id: String,
    written_at: String,
    version: String,
    trade_rowid: i64,
    trade_id: Cell,
    market_slug: Cell,
    action: Cell,
    old_actual_outcome: Cell,
    old_profit_loss: Cell,
    old_is_win: Cell,
    old_fee_paid: Cell,
    new_actual_outcome: Cell,
    new_profit_loss: Cell,
    new_is_win: Cell,
    new_fee_paid: Cell,
    status: String,
    previous_id: Option<i64>,
    resolution: Option<String>,
    rules: Option<String>,
    epoch: Option<String>,
    window_open: Option<String>,
    window_close: Option<String>,
    strike: Option<String>,
    strike_source: Option<String>,
    strike_doubts: Option<String>,
    price_source: Option<String>,
    open_price: Option<String>,
    open_method: Option<String>,
    close_price: Option<String>,
    close_method: Option<String>,
    margin_bps: Option<String>,
    moved_bps: Option<String>,
    position_size: Option<String>,
    executed_price: Option<String>,
    shares: Option<String>,
    payout: Option<String>,
    cost: Option<String>,
    fee: Option<String>,
    fee_taken: Option<String>,
    profit: Option<String>,
    money_source: Option<String>,
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

    /// The record of a write to `row`, without a status; `written` holds the row's new outcome, profit, win
    /// or loss, fee.
    pub(super) fn of_row(run: &RunInfo, row: &eligibility::Row, written: [Cell; 4]) -> Self {
        let [outcome, profit, is_win, fee] = written;
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
            new_actual_outcome: outcome,
            new_profit_loss: profit,
            new_is_win: is_win,
            new_fee_paid: fee,
            ..Self::default()
        }
    }

    /// The record of a settlement; `written` holds the row's new outcome, profit, win or loss, fee.
    /// Its id is not known yet.
    pub(super) fn new(run: &RunInfo, settlement: &Settlement, written: [Cell; 4]) -> Self {
        let mut record = Self {
            status: settlement.status().as_str().to_owned(),
            previous_id: settlement.earlier().and_then(|earlier| earlier.record_id),
            resolution: settlement.resolution().map(Outcome::as_str).map(str::to_owned),
            rules: run.rules.map(RuleSet::as_str).map(str::to_owned),
            profit: text(Some(settlement.profit())),
            ..Self::of_row(run, &settlement.trade.row, written)
        };
        if let Some(bet) = settlement.bet() {
            record.epoch = text(Some(bet.market.epoch));
            if bet.market.has_window() {
                record.window_open = text(Some(bet.market.open));
                record.window_close = text(Some(bet.market.close));
            }
            record.money_source = text(Some(bet.money.as_str()));
            record.position_size = text(Some(bet.position));
            record.executed_price = text(Some(bet.price));
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
    pub fn is_what_stands_in(&self, row: &eligibility::Row) -> bool {
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
