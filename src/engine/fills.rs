//! What a wallet says about the trades of one database: read once, assigned over all rows, kept for
//! later runs. `rules::fill` assigns; `sources::wallet` reads.

use std::collections::HashSet;

use crate::engine::context::Task;
use crate::error::Error;
use crate::rules::fill::{
    LoggedRow, WalletRecord, WalletRecords, WalletSays, are_logged_late, assign,
};
use crate::rules::selection::Warning;
use crate::sources::wallet::Wallet;
use crate::store::Store;

/// How long before the first trade of interest the wallet is read, in seconds: markets are open for a
/// day before their window.
const BEFORE: i64 = 2 * 86_400;
/// Seconds after its market's close during which a trade's fills are read again.
const READ_AGAIN: i64 = 48 * 3600;

/// What is known of the rows.
#[derive(Default)]
pub(super) struct KnownFills {
    /// What a wallet says, by rowid.
    pub records: WalletRecords,
    /// The settled rows whose money is compared with this run's reading.
    pub settled: Vec<i64>,
}

/// What is known of the rows: what `wallet` says now, or else what one said before. `writes`: the
/// answer is kept.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn read_wallet(
    store: &mut Store,
    wallet: Option<&mut Wallet>,
    duplicates: &HashSet<i64>,
    task: &Task<'_>,
    writes: bool,
    warnings: &mut Vec<Warning>,
) -> Result<KnownFills, Error> {
    let mut known = KnownFills { records: store.wallet_records()?, settled: vec![] };
    let Some(wallet) = wallet else { return Ok(known) };
    let rows = store.wallet_rows(task.reading.zone, duplicates)?;
    let has_record =
        |row: &LoggedRow| known.records.of(row.rowid, &row.trade_id, &row.market_slug).is_some();
    // a row that was compared before and cannot change any more needs no further reading
    let is_recent = |row: &LoggedRow| task.now.since(row.logged_at) < READ_AGAIN + BEFORE;
    let is_wanted = |row: &&LoggedRow| match row.is_unsettled {
        true => !has_record(row) || is_recent(row),
        false => has_record(row) && task.now.since(row.closed_at()) < READ_AGAIN,
    };
    let wanted: Vec<&LoggedRow> = rows.iter().filter(is_wanted).collect();
    let Some(earliest) = wanted.iter().map(|row| row.logged_at).min() else {
        return Ok(known);
    };
    let mut warn = |message: String| warnings.push(Warning { code: "wallet", message });
    let says = match wallet.read(earliest.plus(-BEFORE), task.now) {
        Ok((reading, problems)) => {
            problems.into_iter().for_each(&mut warn);
            if are_logged_late(&rows) {
                warn(
                    "most trades are logged after their market's close, so nothing is booked from the \
                     wallet; check --timezone"
                        .to_owned(),
                );
            }
            assign(&rows, &reading, task.now).says
        }
        Err(why) => {
            warn(format!(
                "{why}; settle booked nothing from the wallet; the next run reads it again"
            ));
            rows.iter().map(|row| (row.rowid, WalletSays::Unreadable)).collect()
        }
    };
    let mut found = Vec::new();
    for row in wanted {
        let Some(says) = says.get(&row.rowid).copied() else { continue };
        let before = known.records.of(row.rowid, &row.trade_id, &row.market_slug);
        let before = before.map(|record| record.says);
        let record = WalletRecord {
            trade_id: row.trade_id.clone(),
            market_slug: row.market_slug.clone(),
            says,
        };
        match says {
            WalletSays::Filled(_) | WalletSays::NotFilled => {
                if before != Some(says) {
                    found.push((row.rowid, record.clone()));
                }
                if !row.is_unsettled {
                    known.settled.push(row.rowid);
                }
            }
            // a newer reading has rows that change whose the fills are
            WalletSays::NotAttributed => {}
            // what a wallet once said stays known
            WalletSays::NotCovered | WalletSays::Settling | WalletSays::Unreadable => {
                if before.is_some() {
                    continue;
                }
            }
        }
        known.records.0.insert(row.rowid, record);
    }
    if writes {
        store.save_wallet_records(&found, task.now, &task.limit.interrupt)?;
    }
    Ok(known)
}
