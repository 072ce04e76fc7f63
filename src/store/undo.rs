//! Undoes a run: restores the values that it replaced, row by row, unless a row changed since then.

use rusqlite::Connection;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::selection::RowError;
use crate::rules::text::printable;
use crate::store::Record;
use crate::store::bot_schema::Target;
use crate::store::columns::{Field, FieldMap};
use crate::store::history::{chain_of, record_in_force};
use crate::store::transaction::{Items, Short};
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
    /// What [`Self::undo`] would do; writes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], [`Error::Database`].
    pub fn undo_dry_run(&self, undo: &str) -> Result<Undone, Error> {
        let ids = self.records_to_undo(undo)?;
        let mut undone = Undone::default();
        for id in ids {
            match self.read(|| row_to_restore(&self.connection, id, &self.fields))? {
                Ok(_) => undone.restored += 1,
                Err(refused) => undone.refused.push(refused),
            }
        }
        Ok(undone)
    }

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
        let ids = self.records_to_undo(undo)?;
        self.begin_writing(interrupt)?;
        let fields = self.fields.clone();
        let items = UndoItems { ids: &ids, run, fields: &fields };
        let (done, error) = self.write_items(&items, interrupt);
        let error = error.map(|error| self.failed("written", error));
        match error {
            Some(error) if !done.iter().any(Option::is_none) => Err(error),
            error => {
                let interrupted = error.is_none() && done.len() < ids.len();
                let all = done.len();
                let error = match error {
                    None if !interrupted => self.forget_never_filled(undo, interrupt).err(),
                    error => error,
                };
                let refused: Vec<RowError> = done.into_iter().flatten().collect();
                Ok(Undone { restored: (all - refused.len()) as u64, refused, interrupted, error })
            }
        }
    }

    /// Forgets which trades a wallet showed as never filled in this run.
    fn forget_never_filled(&mut self, run_id: &str, interrupt: &Interrupt) -> Result<(), Error> {
        self.save_each(&[run_id], interrupt, |transaction, run_id| {
            transaction
                .prepare_cached(
                    "DELETE FROM settlement_fills WHERE NOT filled AND read_at = (
                        SELECT unixepoch(started_at) FROM settlement_runs WHERE run_id = ?1)",
                )?
                .execute([run_id])
                .map(drop)
        })
    }

    /// The ids of a run's records, newest first.
    fn records_to_undo(&self, undo: &str) -> Result<Vec<i64>, Error> {
        let ids: Vec<i64> = self.read_own("settlement_records", || {
            let sql = "SELECT id FROM settlement_records WHERE run_id = ?1 ORDER BY id DESC";
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([undo], |row| row.get(0))?.collect()
        })?;
        if ids.is_empty() { Err(Error::NoSuchRun(printable(undo))) } else { Ok(ids) }
    }
}

/// The records of a run to undo, newest first.
struct UndoItems<'a> {
    ids: &'a [i64],
    run: &'a RunInfo,
    fields: &'a FieldMap,
}

impl Items for UndoItems<'_> {
    /// Why a trade was not restored.
    type Done = Option<RowError>;

    fn count(&self) -> usize {
        self.ids.len()
    }

    fn put(&self, transaction: &Short<'_>, index: usize) -> rusqlite::Result<Self::Done> {
        undo_record(transaction, self.ids[index], self.run, self.fields)
    }

    fn refuse(
        &self,
        transaction: &Short<'_>,
        index: usize,
        why: String,
    ) -> rusqlite::Result<Self::Done> {
        let trade_id = transaction.query_row(
            "SELECT trade_id FROM settlement_records WHERE id = ?1",
            [self.ids[index]],
            |row| row.get(0),
        )?;
        Ok(Some(RowError { trade_id, message: format!("the database refuses the row: {why}") }))
    }
}

/// The rowid of the row that still holds what a record wrote, or the reason not to restore it.
fn row_to_restore(
    connection: &Connection,
    id: i64,
    fields: &FieldMap,
) -> rusqlite::Result<Result<i64, RowError>> {
    let has_id = |record: &&Record| record.id == id;
    let records = chain_of(connection, id)?;
    let this = records.iter().find(has_id).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let refuse = |message: &str| {
        let trade_id = this.trade_id.clone();
        Ok(Err(RowError { trade_id, message: message.to_owned() }))
    };
    // a record that undid another one can itself be undone while it is the latest record
    let is_in_force = match this.status.as_str() {
        "undone" => records.last().as_ref().is_some_and(has_id),
        _ => record_in_force(&records).as_ref().is_some_and(has_id),
    };
    if !is_in_force {
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
    for sql in rows {
        let mut statement = connection.prepare_cached(&sql)?;
        let found = statement.query_map([id], |row| row.get::<_, i64>(0))?;
        let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
        if let [only] = found[..] {
            return Ok(Ok(only));
        }
    }
    refuse("another program changed or deleted it since")
}

/// Restores what one record replaced and records that, or returns the reason not to.
fn undo_record(
    transaction: &Short<'_>,
    id: i64,
    run: &RunInfo,
    fields: &FieldMap,
) -> rusqlite::Result<Option<RowError>> {
    let rowid = match row_to_restore(transaction, id, fields)? {
        Ok(rowid) => rowid,
        Err(refused) => return Ok(Some(refused)),
    };
    let Target { table, results: [outcome, profit, is_win, fee], .. } = &fields.target;
    let old_outcome = fields.target.outcome_of("record.old_actual_outcome");
    let set_fee = match fields.has(Field::FeePaid) {
        true => format!(", {fee} = record.old_fee_paid"),
        false => String::new(),
    };
    transaction
        .prepare_cached(&format!(
            "UPDATE OR ABORT {table} AS target SET {outcome} = {old_outcome},
                 {profit} = record.old_profit_loss, {is_win} = record.old_is_win{set_fee}
             FROM (SELECT * FROM settlement_records WHERE id = ?1) AS record
             WHERE {}",
            fields.target.address.is("?2")
        ))?
        .execute([id, rowid])?;
    records::add_undone(transaction, id, rowid, run)?;
    // what a wallet said of a trade is forgotten where the trade is open again, or has the log's money
    transaction
        .prepare_cached(&format!(
            "DELETE FROM settlement_fills WHERE trade_rowid = ?2
             AND trade_id IS (SELECT trade_id FROM settlement_records WHERE id = ?1) AND (
                (SELECT {} FROM trades WHERE trades.rowid = ?2)
                OR NOT EXISTS (SELECT 1 FROM settlement_records AS earlier
                    JOIN settlement_records AS undone ON undone.id = ?1
                    WHERE earlier.id < ?1 AND earlier.trade_id IS undone.trade_id
                        AND earlier.market_slug IS undone.market_slug
                        AND earlier.money_source = 'wallet'))",
            fields.unsettled()
        ))?
        .execute([id, rowid])?;
    Ok(None)
}
