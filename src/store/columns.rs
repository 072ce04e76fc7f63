//! The one map from a field of a trade to its SQL expression. Every statement on the bot's table is
//! built from it. A table that is not of the bot's schema is read through a view that is
//! (`bot_schema`).

use crate::rules::value::Cell;
use crate::store::address::Address;
use crate::store::bot_schema::Target;

/// A field of a trade, in the order in which a row is read and its update is guarded; the last
/// ones are only compared or reported.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Id,
    Timestamp,
    MarketSlug,
    Action,
    PositionSize,
    ExecutedPrice,
    PriceToBeat,
    ActualOutcome,
    ProfitLoss,
    IsWin,
    FeePaid,
    ExecutionStatus,
    VerificationStatus,
    SkippedUnfavorableMove,
    VerifiedFillPrice,
    VerifiedFillAmount,
    ExitPrice,
    SignalType,
    IsTestMode,
    OrderId,
    YesPrice,
    NoPrice,
    Confidence,
}

/// The bot's columns, in the order of [`Field`].
const BOT: [&str; 23] = [
    "trades.id",
    "trades.timestamp",
    "trades.market_slug",
    "trades.action",
    "trades.position_size",
    "trades.executed_price",
    "trades.price_to_beat",
    "trades.actual_outcome",
    "trades.profit_loss",
    "trades.is_win",
    "trades.fee_paid",
    "trades.execution_status",
    "trades.verification_status",
    "trades.skipped_unfavorable_move",
    "trades.verified_fill_price",
    "trades.verified_fill_amount",
    "trades.exit_price",
    "trades.signal_type",
    "trades.is_test_mode",
    "trades.order_id",
    "trades.yes_price",
    "trades.no_price",
    "trades.confidence",
];
/// How many of them a table must have.
const REQUIRED: usize = 10;
/// Their names.
pub(super) fn names() -> [&'static str; BOT.len()] {
    BOT.map(name)
}
/// The number of fields of a row that is settled: all but the last six.
pub(super) const ROW_FIELDS: usize = 17;

/// The SQL expression of each field; NULL where the table lacks it.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldMap {
    sql: [&'static str; BOT.len()],
    /// Triggers may change the values that settle writes, or the row.
    pub triggers: bool,
    /// Some rows have a text for a missing `is_win`.
    pub empty_is_win: bool,
    /// VACUUM may renumber the rows: the table has rowids and no INTEGER PRIMARY KEY.
    pub renumbers: bool,
    /// What settle writes to.
    pub target: Target,
}

/// The condition for a value that is a text for NULL ([`Cell::EMPTY`]).
pub(super) fn is_text_for_null(sql: &str) -> String {
    format!("lower(trim({sql})) IN ('{}')", Cell::EMPTY.join("', '"))
}

impl FieldMap {
    /// The map for a table of the bot's schema with the columns that `has` confirms.
    ///
    /// # Errors
    /// The required columns that the table lacks.
    pub fn of_bot(has: impl Fn(&str) -> bool, triggers: bool) -> Result<Self, Vec<&'static str>> {
        let missing: Vec<&str> =
            BOT[..REQUIRED].iter().map(|sql| name(sql)).filter(|name| !has(name)).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let sql = BOT.map(|sql| if has(name(sql)) { sql } else { "NULL" });
        Ok(Self { sql, triggers, empty_is_win: false, renumbers: false, target: Target::default() })
    }

    pub fn sql(&self, field: Field) -> &'static str {
        self.sql[field as usize]
    }

    pub fn has(&self, field: Field) -> bool {
        self.sql(field) != "NULL"
    }

    /// The names of the bot's columns that the table has.
    pub fn present(&self) -> Vec<&'static str> {
        self.sql.iter().filter(|sql| **sql != "NULL").map(|sql| name(sql)).collect()
    }

    /// The rowid, the expressions of a row that is settled, whether a NO is logged at the price of the YES side,
    /// and which expression of `[schema]` fails, for SELECT.
    pub fn row(&self) -> String {
        let [action, price, yes, no] =
            [Field::Action, Field::ExecutedPrice, Field::YesPrice, Field::NoPrice]
                .map(|field| self.sql(field));
        format!(
            "trades.rowid, {}, ({price} = {yes} AND {yes} <> {no} AND upper(trim({action})) IN ('NO', 'DOWN')) IS TRUE, {}",
            self.sql[..ROW_FIELDS].join(", "),
            if self.target.failing.is_possible() { "trades.unreadable" } else { "NULL" }
        )
    }

    /// The condition for a row with a text for a missing `is_win`.
    pub fn has_empty_is_win(&self) -> String {
        is_text_for_null(self.sql(Field::IsWin))
    }

    /// The condition for a row without an `is_win`.
    pub fn unsettled(&self) -> String {
        if self.target.says_unsettled {
            return "trades.unsettled".to_owned();
        }
        let is_null = format!("{} IS NULL", self.sql(Field::IsWin));
        match self.empty_is_win {
            true => format!("({is_null} OR {})", self.has_empty_is_win()),
            false => is_null,
        }
    }

    /// The condition for a settled row.
    pub fn settled(&self) -> String {
        let (is_win, outcome) = (self.sql(Field::IsWin), self.sql(Field::ActualOutcome));
        let has_win = match (self.empty_is_win, self.target.says_unsettled) {
            (_, true) => format!("{is_win} IS NOT NULL AND NOT trades.unsettled"),
            (true, false) => format!("NOT {}", self.unsettled()),
            (false, false) => format!("{is_win} IS NOT NULL"),
        };
        format!("({has_win} OR {outcome} IN ('SPLIT', 'UNKNOWN'))")
    }

    /// The expression by which a row that was logged later sorts later. A key has no order in time.
    pub fn order(&self) -> &'static str {
        match self.target.address {
            Address::Rowid => "trades.rowid",
            Address::Key(_) => self.sql(Field::Timestamp),
        }
    }

    /// The `is_win` of a settled row, else NULL.
    pub fn is_win_of_settled(&self) -> String {
        let is_win = self.sql(Field::IsWin);
        match self.empty_is_win || self.target.says_unsettled {
            true => format!("CASE WHEN {} THEN {is_win} END", self.settled()),
            false => is_win.to_owned(),
        }
    }

    /// The condition for a row that still holds what a `record` wrote, at any rowid.
    pub fn as_recorded(&self) -> String {
        let recorded = [
            (Field::Id, "trade_id"),
            (Field::MarketSlug, "market_slug"),
            (Field::Action, "action"),
            (Field::ActualOutcome, "new_actual_outcome"),
            (Field::ProfitLoss, "new_profit_loss"),
            (Field::IsWin, "new_is_win"),
        ];
        let is = recorded.map(|(field, column)| format!("{} IS record.{column}", self.sql(field)));
        is.join(" AND ")
    }

    /// The condition for a `record` whose trade is no longer at its rowid.
    pub fn moved(&self) -> String {
        let (id, slug) = (self.sql(Field::Id), self.sql(Field::MarketSlug));
        format!(
            "NOT EXISTS (SELECT 1 FROM trades WHERE trades.rowid = record.trade_rowid
                AND {id} IS record.trade_id AND {slug} IS record.market_slug)"
        )
    }
}

fn name(sql: &str) -> &str {
    sql.strip_prefix("trades.").unwrap_or(sql)
}

/// The statements of `update_trade`. ?1 is the rowid; the values of the row as it was read follow, then the
/// new ones. OR ABORT overrides the table's own conflict clauses: REPLACE would delete a row of the bot,
/// and ROLLBACK would end the transaction.
#[derive(Debug, Default)]
pub(super) struct UpdateSql {
    /// Whether the row still holds all values, in the order of [`Field`].
    pub look: String,
    /// With the same values.
    pub update: Updates,
    /// For a database that no other program has changed since the row was read: with the outcome, profit
    /// and win alone. `None` where a trigger or an expression may change the row.
    pub update_unchanged: Option<Updates>,
}

/// An UPDATE without and with a fee.
#[derive(Debug, Default)]
pub(super) struct Updates {
    pub without_fee: String,
    pub with_fee: String,
}

impl UpdateSql {
    pub fn new(map: &FieldMap) -> Self {
        let all = is_as_read(&map.sql[..ROW_FIELDS]);
        let target = &map.target;
        let at_row = match target.is_mapped {
            true => {
                let is_row = target.address.is("?1");
                format!("{is_row} AND EXISTS (SELECT 1 FROM trades WHERE {all})")
            }
            false => all.clone(),
        };
        let results = [Field::ActualOutcome, Field::ProfitLoss, Field::IsWin];
        let results = results.map(|field| map.sql(field));
        let can_change = map.triggers || target.is_mapped;
        Self {
            look: format!("SELECT EXISTS (SELECT 1 FROM trades WHERE {all})"),
            update: Updates::new(target, &at_row, ROW_FIELDS),
            update_unchanged: (!can_change)
                .then(|| Updates::new(target, &is_as_read(&results), results.len())),
        }
    }
}

impl Updates {
    /// `read`: how many values of the row the condition compares.
    fn new(target: &Target, condition: &str, read: usize) -> Self {
        let Target { table, results: [outcome, profit, is_win, fee], .. } = target;
        let table = match target.is_mapped {
            true => format!("{table} AS target"),
            false => table.clone(),
        };
        let [first, second, third, fourth] = [2, 3, 4, 5].map(|place| read + place);
        let written = target.outcome_of(&format!("?{first}"));
        let set = format!("{outcome} = {written}, {profit} = ?{second}, {is_win} = ?{third}");
        Self {
            without_fee: format!("UPDATE OR ABORT {table} SET {set} WHERE {condition}"),
            with_fee: format!(
                "UPDATE OR ABORT {table} SET {set}, {fee} = ?{fourth} WHERE {condition}"
            ),
        }
    }
}

/// The condition for a row that holds the values from ?2 on in these expressions.
fn is_as_read(expressions: &[&str]) -> String {
    let mut condition = "trades.rowid = ?1".to_owned();
    for (sql, place) in expressions.iter().zip(2..) {
        condition.push_str(&format!(" AND {sql} IS ?{place}"));
    }
    condition
}
