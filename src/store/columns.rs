//! The columns of the bot's table that settle uses, and the statements that name them.

/// The columns of `trades` that settling requires.
pub(super) const NEEDED_COLUMNS: [&str; 10] = [
    "id",
    "timestamp",
    "market_slug",
    "action",
    "position_size",
    "executed_price",
    "price_to_beat",
    "actual_outcome",
    "profit_loss",
    "is_win",
];

/// The columns of `trades` that settling reads if they exist, in the order in which a row is read
/// and its update is guarded.
pub(super) const OPTIONAL: [&str; 6] = [
    "fee_paid",
    "execution_status",
    "verification_status",
    "skipped_unfavorable_move",
    "verified_fill_price",
    "verified_fill_amount",
];

/// Which optional columns the table has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Columns {
    /// In the order of [`OPTIONAL`].
    pub optional: [bool; OPTIONAL.len()],
    pub signal_type: bool,
    pub is_test_mode: bool,
    /// Triggers may change the values that settle writes.
    pub triggers: bool,
}

impl Columns {
    pub fn fee_paid(self) -> bool {
        self.optional[0]
    }

    /// The columns of [`OPTIONAL`], with NULL for each one that is missing.
    pub fn optional_or_null(self) -> impl Iterator<Item = &'static str> {
        let present = self.optional.into_iter().zip(OPTIONAL);
        present.map(|(is_there, column)| if is_there { column } else { "NULL" })
    }
}

/// The statements of `book` for a table with these columns.
#[derive(Debug, Default)]
pub(super) struct BookSql {
    pub look: String,
    pub update: String,
    pub update_with_fee: String,
}

impl BookSql {
    pub fn new(columns: Columns) -> Self {
        let mut as_read = "rowid = ?1 AND is_win IS ?2 AND id IS ?3 AND timestamp IS ?4
            AND market_slug IS ?5 AND action IS ?6 AND position_size IS ?7
            AND executed_price IS ?8 AND price_to_beat IS ?9 AND actual_outcome IS ?10
            AND profit_loss IS ?11"
            .to_owned();
        for (column, place) in columns.optional_or_null().zip(12..) {
            as_read.push_str(&format!(" AND {column} IS ?{place}"));
        }
        let set = "actual_outcome = ?18, profit_loss = ?19, is_win = ?20";
        Self {
            look: format!("SELECT EXISTS (SELECT 1 FROM trades WHERE {as_read})"),
            update: format!("UPDATE trades SET {set} WHERE {as_read}"),
            update_with_fee: format!("UPDATE trades SET {set}, fee_paid = ?21 WHERE {as_read}"),
        }
    }
}
