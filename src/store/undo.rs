//! Undoes a run: restores the values that it replaced, row by row, unless a row changed since then.

use rusqlite::Transaction;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::selection::RowError;
use crate::rules::text::{printable, printable_line};
use crate::store::Record;
use crate::store::columns::{Field, FieldMap};
use crate::store::history::{chain_of, standing_record};
use crate::store::transaction::{Short, pause, refused};
use crate::store::{RunInfo, Store, records};

/// The result of undoing a run.
#[derive(Debug, Default)]
pub struct Undone {
    /// The number of trades restored to their state before the run.
    pub restored: u64,
    /// The trades that were not restored, each with the reason.
    pub refused: Vec<RowError>,
    /// A signal stopped the undo before it was complete.
    pub interrupted: bool,
    /// The error that stopped the undo before it was complete, if any.
    pub error: Option<Error>,
}

impl Store {
    /// Undoes what the run `undo` wrote, newest record first: restores the values that it replaced
    /// if the row still holds what the run wrote. Stops between two transactions if `interrupt`
    /// asks for it.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], [`Error::Database`].
    pub fn undo(
        &mut self,
        undo: &str,
        run: &RunInfo,
        interrupt: &Interrupt,
    ) -> Result<Undone, Error> {
        let ids = self.records_of_run(undo).map_err(|error| self.failed("read", error))?;
        let Some(ids) = ids.filter(|ids| !ids.is_empty()) else {
            return Err(Error::NoSuchRun(printable(undo)));
        };
        let mut undone = Undone::default();
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            if interrupt.asked() {
                undone.interrupted = true;
                break;
            }
            let done =
                self.retry_while_busy(interrupt, |store| store.undo_some(rest, run, &mut undone));
            match done.map_err(|error| self.failed("written", error)) {
                Ok(done) => rest = &rest[done..],
                Err(error) if undone.restored == 0 => return Err(error),
                Err(error) => {
                    undone.error = Some(error);
                    break;
                }
            }
            pause();
        }
        Ok(undone)
    }

    /// The ids of a run's records, newest first; `None` if settle has written nothing yet.
    fn records_of_run(&self, run_id: &str) -> rusqlite::Result<Option<Vec<i64>>> {
        if !self.has_records()? {
            return Ok(None);
        }
        let mut statement = self
            .connection
            .prepare("SELECT id FROM settlement_records WHERE run_id = ?1 ORDER BY id DESC")?;
        statement.query_map([run_id], |row| row.get(0))?.collect::<rusqlite::Result<_>>().map(Some)
    }

    /// One transaction: at least one record, then as many as the time budget allows.
    fn undo_some(
        &mut self,
        ids: &[i64],
        run: &RunInfo,
        undone: &mut Undone,
    ) -> rusqlite::Result<usize> {
        let fields = self.fields.clone();
        let transaction = Short::begin(self)?;
        let (mut restored, mut refused, mut done) = (0, vec![], 0);
        for id in ids {
            if done > 0 && transaction.is_full() {
                break;
            }
            match undo_record(&transaction.0, *id, run, &fields)? {
                None => restored += 1,
                Some(refusal) => refused.push(refusal),
            }
            done += 1;
        }
        transaction.commit()?;
        undone.restored += restored;
        undone.refused.extend(refused);
        Ok(done)
    }
}

/// Restores what one record replaced and records that, or returns the reason not to.
fn undo_record(
    transaction: &Transaction<'_>,
    id: i64,
    run: &RunInfo,
    fields: &FieldMap,
) -> rusqlite::Result<Option<RowError>> {
    let has_id = |record: &&Record| record.id == id;
    let records = chain_of(transaction, id)?;
    let this = records.iter().find(has_id).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let refuse = |message: &str| {
        let trade_id = this.trade_id.clone();
        Ok(Some(RowError { trade_id, message: message.to_owned() }))
    };
    // a record that undid another one can itself be undone while it is the latest record
    let stands = match this.status.as_str() {
        "undone" => records.last().as_ref().is_some_and(has_id),
        _ => standing_record(&records).as_ref().is_some_and(has_id),
    };
    if !stands {
        let undone = |record: &Record| record.status == "undone" && record.previous_id == Some(id);
        return refuse(match records.iter().any(undone) {
            true => "it is undone already",
            false => "a later run wrote to it; undo that one first",
        });
    }
    let (trade_id, fee) = (fields.sql(Field::Id), fields.sql(Field::FeePaid));
    let recorded = format!(
        "FROM settlement_records AS record JOIN trades ON {trade_id} IS record.trade_id
         WHERE record.id = ?1 AND {} AND {fee} IS record.new_fee_paid",
        fields.as_recorded()
    );
    // if the rows were renumbered, the only row that holds what the record wrote
    let rows = [
        format!("SELECT trades.rowid {recorded} AND trades.rowid = record.trade_rowid"),
        format!("SELECT trades.rowid {recorded} AND {} LIMIT 2", fields.moved()),
    ];
    let mut rowid = None;
    for sql in rows {
        let mut statement = transaction.prepare_cached(&sql)?;
        let found = statement.query_map([id], |row| row.get::<_, i64>(0))?;
        let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
        if let [only] = found[..] {
            rowid = Some(only);
            break;
        }
    }
    let Some(rowid) = rowid else {
        return refuse("another program changed or deleted it since");
    };
    let [outcome, profit, is_win, fee] =
        [Field::ActualOutcome, Field::ProfitLoss, Field::IsWin, Field::FeePaid]
            .map(|field| fields.column(field));
    let set_fee = match fields.has(Field::FeePaid) {
        true => format!(", {fee} = record.old_fee_paid"),
        false => String::new(),
    };
    let restored = transaction
        .prepare_cached(&format!(
            "UPDATE trades SET {outcome} = record.old_actual_outcome,
                 {profit} = record.old_profit_loss, {is_win} = record.old_is_win{set_fee}
             FROM (SELECT * FROM settlement_records WHERE id = ?1) AS record
             WHERE trades.rowid = ?2"
        ))?
        .execute([id, rowid]);
    match restored {
        Err(error) if refused(&error) && !transaction.is_autocommit() => {
            return refuse(&format!(
                "the database refuses it: {}",
                printable_line(&error.to_string())
            ));
        }
        other => other?,
    };
    records::add_run(transaction, run)?;
    records::add_undone(transaction, id, rowid, run)?;
    Ok(None)
}
