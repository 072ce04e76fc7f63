//! Reads the latest settled trades: today's profit, for a run's last line and `status`, and the losses in a row.
//! Neither reads every trade where the bot has an index on its timestamps.

use chrono::{DateTime, Days, Utc};
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use rust_decimal::Decimal;

use crate::error::Error;
use crate::rules::statistics::stats::Streaks;
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::{UnixSeconds, Usd, nearest_decimal};
use crate::rules::value::Cell;
use crate::store::Store;
use crate::store::columns::Field;
use crate::store::results::{instant, text};

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Texts that begin with a digit sort from here on; a blank, and any number, comes before.
const FIRST_DIGIT: &str = "/~";

/// Figures of the latest settled trades.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    /// Losses in a row among the latest trades; UNKNOWN and SPLIT trades do not count.
    pub consecutive_losses: u64,
    /// Sum of `profit_loss` of the trades logged today (UTC), in dollars; `None` if the sum does
    /// not fit a `Decimal`.
    pub profit_today: Option<Usd>,
    /// When settle last settled, confirmed or corrected a trade; `None` if it never did.
    pub last_settled: Option<UnixSeconds>,
}

impl Store {
    /// Figures of the latest settled trades, as of `now`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn latest(&self, zone: NaiveZone, now: UnixSeconds) -> Result<Latest, Error> {
        Ok(Latest {
            consecutive_losses: self.read(|| self.consecutive_losses(zone))?,
            profit_today: self.profit_today(zone, now)?,
            last_settled: self.read_own("settlement_records", || last_settled(&self.connection))?,
        })
    }

    /// [`Latest::profit_today`] alone, as of `now`. It reads the rows whose timestamps may be of that day: one pass
    /// over the table, or parts of an index.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn profit_today(&self, zone: NaiveZone, now: UnixSeconds) -> Result<Option<Usd>, Error> {
        let day = now.0.div_euclid(DAY);
        let at_day = |after: i64| day.saturating_add(after).saturating_mul(DAY);
        // a zone is at most 14 hours from UTC
        let date = |after| {
            let date = DateTime::from_timestamp_secs(at_day(after));
            date.map(|date| date.date_naive().to_string()).unwrap_or_default()
        };
        // unix times as text sort alike in all units
        let seconds = [at_day(0), at_day(1)];
        let texts = [
            [String::new(), FIRST_DIGIT.to_owned()],
            [date(-1), date(2)],
            seconds.map(|seconds| seconds.to_string()),
        ];
        let numbers = [1, 1000, 1_000_000]
            .map(|unit| seconds.map(|seconds| Cell::Integer(seconds.saturating_mul(unit))));
        let ranges: Vec<Cell> =
            texts.map(|range| range.map(Cell::Text)).into_iter().chain(numbers).flatten().collect();
        let [at, profit_loss] =
            [Field::Timestamp, Field::ProfitLoss].map(|field| self.fields.sql(field));
        let in_range = vec![format!("{at} >= ? AND {at} < ?"); ranges.len() / 2].join(" OR ");
        let sql = format!(
            "SELECT {at}, CAST({profit_loss} AS REAL) FROM trades
             WHERE ({in_range} OR {at} >= ':') AND {}",
            self.fields.settled()
        );
        self.read(|| {
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query(params_from_iter(&ranges))?;
            let mut profit = Some(Decimal::ZERO);
            while let Some(row) = rows.next()? {
                let at = instant(row, 0, zone)?;
                if at.is_some_and(|at| at.timestamp().div_euclid(DAY) == day) {
                    let dollars = row.get::<_, Option<f64>>(1)?.unwrap_or_default();
                    let sum = profit.zip(nearest_decimal(dollars));
                    profit = sum.and_then(|(sum, more)| sum.checked_add(more));
                }
            }
            Ok(profit.map(Usd))
        })
    }

    /// Losses in a row among the latest trades. Rows are read backwards by the text of `timestamp`, up to the
    /// last one needed. Texts with a `T` or a zone do not sort by instant among the others: they are read one
    /// day further, as a zone is at most 14 hours from UTC.
    fn consecutive_losses(&self, zone: NaiveZone) -> rusqlite::Result<u64> {
        let mut counted: Vec<(Option<DateTime<Utc>>, i64, bool)> = Vec::new();
        // the earliest instant that is needed, and the texts from where on a row of any form, and one of the
        // common form, is earlier
        let mut needed: Option<DateTime<Utc>> = None;
        let (mut all_earlier, mut earlier): (Option<String>, Option<String>) = (None, None);
        let [at, is_win, outcome] = [Field::Timestamp, Field::IsWin, Field::ActualOutcome]
            .map(|field| self.fields.sql(field));
        let settled = self.fields.settled();
        let is_common =
            format!("(substr({at}, 11, 1) = ' ' AND substr({at}, 12) NOT GLOB '*[^0-9:.]*')");
        // first the values that do not sort by time: numbers, also as text (a unix time has begun with 1 since
        // 2001, and will until 2033), and what is no time; with OR, SQLite would read the whole index
        for (condition, in_order) in [
            (format!("{at} IS NULL"), false),
            (format!("{at} < '1~'"), false),
            (format!("{at} >= ':'"), false),
            (format!("{at} >= '1~' AND {at} < ':'"), true),
            (format!("{at} >= ?2 AND {at} < ?1 AND NOT {is_common}"), true),
        ] {
            let is_last = condition.contains("?1");
            if is_last && earlier.is_none() {
                break;
            }
            let mut statement = self.connection.prepare(&format!(
                "SELECT rowid, {at}, {is_win} = 1, {is_win} = 0,
                        {outcome} IN ('SPLIT', 'UNKNOWN'), {is_common}
                 FROM trades WHERE {condition} AND {settled} ORDER BY {at} DESC"
            ))?;
            let mut rows = match is_last {
                true => statement.query([&earlier, &all_earlier])?,
                false => statement.query([])?,
            };
            while let Some(row) = rows.next()? {
                let text = text(row, 1)?;
                let is_before = |end: &String| text.is_none_or(|text| text < end.as_str());
                if in_order && all_earlier.as_ref().is_some_and(is_before) {
                    break;
                }
                let at = instant(row, 1, zone)?;
                let is_earlier = at.zip(needed).is_some_and(|(at, needed)| at < needed);
                if in_order && !is_last && is_earlier && row.get(5)? {
                    earlier = text.map(str::to_owned);
                    break;
                }
                let is = |index| row.get::<_, Option<bool>>(index).map(Option::unwrap_or_default);
                let (won, lost, without_result) = (is(2)?, is(3)?, is(4)?);
                if !won && !lost || without_result {
                    continue;
                }
                counted.push((at, row.get(0)?, won));
                if let Some(at) = at.filter(|_| in_order && won && needed.is_none()) {
                    needed = Some(at);
                    // a text of two days before is at most 12 hours into the day before
                    let far = at.date_naive().checked_sub_days(Days::new(1));
                    all_earlier = far.map(|day| day.to_string());
                }
            }
        }
        counted.sort_unstable();
        let mut streaks = Streaks::default();
        for (_, _, won) in counted {
            streaks.add(won);
        }
        Ok(streaks.losses_now())
    }
}

/// When settle last wrote an outcome that was not undone.
fn last_settled(connection: &Connection) -> rusqlite::Result<Option<UnixSeconds>> {
    connection
        .query_row(
            "SELECT unixepoch(written_at) FROM settlement_records AS record
             WHERE status <> 'undone' AND NOT EXISTS
                (SELECT 1 FROM settlement_records AS undone
                 WHERE undone.trade_id IS record.trade_id AND undone.previous_id = record.id
                    AND undone.status = 'undone')
             ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
        .map(|found| found.flatten().map(UnixSeconds))
}
