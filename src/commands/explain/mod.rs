//! `settle explain`: the state of one trade, from its row, its records and its last failure.
//! `output` turns it into sentences.

mod output;

use crate::commands::{Exit, only};
use crate::error::Error;
use crate::output::print::show;
use crate::rules::eligibility::{
    Eligibility, Exclusion, Reading, Row, Trade, judge_again, judge_with,
};
use crate::rules::fill::{Fill, WalletRecords};
use crate::rules::market::RuleSet;
use crate::rules::outcome;
use crate::rules::outcome::{CloseCall, Outcome, Tie};
use crate::rules::price::{Method, least_move};
use crate::rules::settlement::Status;
use crate::rules::text::printable;
use crate::rules::units::{BtcPrice, UnixSeconds};
use crate::rules::value::Cell;
use crate::settings::{self, CommonArgs, JudgingArgs};
use crate::store::{Access, LastFailure, NotMade, Record, Store, record_in_force};
use chrono::{DateTime, Utc};
use clap::Args;

/// Which trade, and how its row is read.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The trade's id, as in the column `id` of the table `trades`
    trade_id: String,
    /// How its row is read.
    #[command(flatten)]
    judging: JudgingArgs,
}

/// Prints the story of each row with this id.
///
/// # Errors
/// [`Error::NoSuchTrade`], and database errors.
pub fn run(common: &CommonArgs, args: &ExplainArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "explain")?;
    let store = Store::open(database, Access::Read, &common.schema)?;
    let reading = settings::reading(&args.judging);
    let stories = stories(&store, store.rows_with_id(&args.trade_id)?, reading, now.into())?;
    if stories.is_empty() {
        return Err(Error::NoSuchTrade(printable(&args.trade_id)));
    }
    show(common.printing(), || output::json(&stories), || output::text(&stories))?;
    Ok(Exit::Done)
}

/// The stories of rows as of `now`.
///
/// # Errors
/// [`Error::Database`].
pub fn stories(
    store: &Store,
    rows: Vec<Row>,
    reading: Reading,
    now: UnixSeconds,
) -> Result<Vec<Story>, Error> {
    let (duplicates, wallet) = (store.duplicate_orders()?, store.wallet_records()?);
    let not_settled = store.not_made()?;
    let story = |row: Row| {
        let (records, failure) = (store.records_of(&row)?, store.last_failure(&row)?);
        let is_duplicate = duplicates.contains(&row.rowid);
        let mut story = Story::new(row, records, failure, reading, &wallet, now);
        if is_duplicate && matches!(story.state, State::Held | State::Pending | State::InError(_)) {
            story.state = State::Excluded(Exclusion::DuplicateOrder);
        }
        story.fills = store.fills_of(story.row.rowid, &story.row.id, &story.row.market_slug)?;
        let known = not_settled.get(&story.row.rowid);
        let known = known.filter(|known| story.row.is(&known.trade_id, &known.market_slug));
        story.resolved = known.cloned();
        Ok(story)
    };
    rows.into_iter().map(story).collect()
}

/// The state of a trade.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Settled by settle and unchanged; holds the record's status.
    Settled(String),
    /// Has an outcome, but no record by settle.
    SettledElsewhere,
    /// Differs from settle's last record.
    ChangedSince,
    /// Not due, with the reason.
    Excluded(Exclusion),
    /// Not due before this time, with the reason.
    NotYet(Exclusion, UnixSeconds),
    /// Due, but with unusable values; holds the message.
    InError(String),
    /// A close call held for Polymarket's resolution.
    Held,
    /// Due.
    Pending,
}

impl State {
    /// Name in JSON and text.
    pub fn word(&self) -> &str {
        match self {
            Self::Settled(status) => status,
            Self::SettledElsewhere => "settled-elsewhere",
            Self::ChangedSince => "changed",
            Self::Excluded(_) | Self::NotYet(..) => "excluded",
            Self::InError(_) => "error",
            Self::Held => "held",
            Self::Pending => "pending",
        }
    }
}

/// Why a record that candles decided is a close call, where they are often wrong; `None` if not.
pub fn close_call(record: &Record) -> Option<&'static str> {
    if record.status != Status::Provisional.as_str() {
        return None;
    }
    let price = |text: &Option<String>| BtcPrice::new(text.as_ref()?.parse().ok()?).ok();
    let outcome = Outcome::named(record.new_actual_outcome.text()?)?;
    let (open, close) = (price(&record.open_price), price(&record.close_price)?);
    // the tie rule has no effect here: a tie is a small move
    let methods = [&record.open_method, &record.close_method]
        .map(|method| method.as_deref().and_then(Method::named).or(Some(Method::OpenOf(0))));
    let least = least_move(methods);
    let call = outcome::close_call(outcome, open, close, Tie::Yes, least)?;
    Some(match call {
        CloseCall::SmallMove { .. } => "the venue hardly moved",
        CloseCall::Disagreement => "the strike and the venue's own move disagree",
        CloseCall::UnknownMove => "the venue's move is not known",
        CloseCall::NoSecondVenue => "no second venue gives the same outcome",
    })
}

/// A trade with its state and its records.
#[derive(Debug)]
pub struct Story {
    /// The trade's row.
    pub row: Row,
    /// The trade's state.
    pub state: State,
    /// The bet and its market; `None` if the row cannot be read.
    pub trade: Option<Trade>,
    /// How the slug is read now.
    pub rules: RuleSet,
    /// settle's records of the row, oldest first.
    pub records: Vec<Record>,
    /// How the last attempt failed.
    pub failure: Option<LastFailure>,
    /// The time of the explanation.
    pub now: UnixSeconds,
    /// Its fills, as a wallet showed them.
    pub fills: Vec<Fill>,
    /// How its market resolved, although the trade was not made, or waits for the wallet.
    pub resolved: Option<NotMade>,
}

impl Story {
    /// The story of `row` as of `now`.
    pub fn new(
        row: Row,
        records: Vec<Record>,
        failure: Option<LastFailure>,
        reading: Reading,
        wallet: &WalletRecords,
        now: UnixSeconds,
    ) -> Self {
        let record = wallet.of(row.rowid, &row.id, &row.market_slug);
        let trade = judge_again(row.clone(), reading, record).ok();
        let state = state(&row, &records, failure.as_ref(), reading, wallet, now);
        let (rules, fills, resolved) = (reading.rules, vec![], None);
        Self { row, state, trade, rules, records, failure, now, fills, resolved }
    }

    /// Seconds from the market's close to the trade's log time; `None` if logged before.
    pub fn logged_after_close(&self) -> Option<i64> {
        let trade = self.trade.as_ref().filter(|trade| trade.bet.market.has_window())?;
        Some(trade.logged_at.since(trade.bet.market.close)).filter(|late| *late > 0)
    }

    /// The record of the values that are, or last were, in the row.
    pub fn in_force(&self) -> Option<&Record> {
        record_in_force(&self.records)
    }
}

fn state(
    row: &Row,
    records: &[Record],
    failure: Option<&LastFailure>,
    reading: Reading,
    wallet: &WalletRecords,
    now: UnixSeconds,
) -> State {
    let wallet = wallet.of(row.rowid, &row.id, &row.market_slug);
    let booked = |outcome: Outcome| row.actual_outcome.text() == Some(outcome.as_str());
    let has_outcome =
        row.is_win != Cell::Null || booked(Outcome::Unknown) || booked(Outcome::Split);
    // where reconcile emptied the row, its state is that of a row without a result
    let is_emptied = |record: &&Record| record.status == "not_filled" && record.is_held_by(row);
    let in_force = record_in_force(records).filter(|record| !is_emptied(record));
    match (in_force, has_outcome) {
        (Some(record), true) if record.is_held_by(row) => State::Settled(record.status.clone()),
        (Some(_), _) => State::ChangedSince,
        (None, true) => State::SettledElsewhere,
        (None, false) if failure.is_some_and(|failure| failure.is_ignored) => {
            State::Excluded(Exclusion::Ignored)
        }
        (None, false) => match judge_with(row.clone(), reading, now, wallet) {
            Eligibility::Excluded(reason) => State::Excluded(reason),
            Eligibility::NotYet(reason, due_from) => State::NotYet(reason, due_from),
            Eligibility::InError { message, .. } => State::InError(message),
            Eligibility::Due(_) if failure.is_some_and(|failure| failure.is_held) => State::Held,
            Eligibility::Due(_) => State::Pending,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::Decimal;

    /// A record of a venue that opened at 10,000 and moved by this many bps.
    fn decided(status: &str, moved: Option<&str>, outcome: &str) -> Record {
        let close = Decimal::from(10_000) + moved.map_or(Decimal::ZERO, |bps| bps.parse().unwrap());
        Record {
            status: status.to_owned(),
            open_price: moved.map(|_| "10000".to_owned()),
            close_price: Some(close.to_string()),
            new_actual_outcome: Cell::Text(outcome.to_owned()),
            ..Record::default()
        }
    }

    #[test]
    fn a_close_call_that_candles_decided_is_known_by_its_record() {
        for (status, moved, outcome, wanted) in [
            ("provisional", Some("12.5"), "YES", None),
            ("provisional", Some("-12.5"), "NO", None),
            ("provisional", Some("-3.9"), "NO", Some("the venue hardly moved")),
            ("provisional", None, "YES", Some("the venue's move is not known")),
            (
                "provisional",
                Some("12.5"),
                "NO",
                Some("the strike and the venue's own move disagree"),
            ),
            // decided by Polymarket
            ("confirmed", Some("0.1"), "YES", None),
        ] {
            assert_eq!(close_call(&decided(status, moved, outcome)), wanted, "{moved:?} {outcome}");
        }
    }
}
