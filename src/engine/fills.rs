//! What a wallet says about the trades of one database: read once, assigned over all rows, kept for
//! later runs. `rules::fill` assigns; `sources::wallet` reads.

use crate::engine::context::Task;
use crate::error::Error;
use crate::rules::fill::{
    LoggedRow, WalletRecord, WalletRecords, WalletSays, are_logged_late, assign,
};
use crate::rules::selection::Warning;
use crate::sources::wallet::Wallet;
use crate::store::Store;

/// How long before the first trade without a result the wallet is read, in seconds: markets are open for
/// a day before their window.
const BEFORE: i64 = 2 * 86_400;

/// What is known of the rows, by rowid: what `wallet` says now, or else what one said before. `writes`:
/// the answer is kept.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn read_wallet(
    store: &mut Store,
    wallet: Option<&mut Wallet>,
    task: &Task<'_>,
    writes: bool,
    warnings: &mut Vec<Warning>,
) -> Result<WalletRecords, Error> {
    let mut known = store.wallet_records()?;
    let Some(wallet) = wallet else { return Ok(known) };
    let rows = store.wallet_rows(task.reading.zone)?;
    let unsettled = || rows.iter().filter(|row| row.is_unsettled);
    let Some(earliest) = unsettled().map(|row| row.logged.logged_at).min() else {
        return Ok(known);
    };
    let mut warn = |message: String| warnings.push(Warning { code: "wallet", message });
    let logged: Vec<LoggedRow> = rows.iter().map(|row| row.logged.clone()).collect();
    let says = match wallet.read(earliest.plus(-BEFORE), task.now) {
        Ok((reading, problems)) => {
            problems.into_iter().for_each(&mut warn);
            if are_logged_late(&logged) {
                warn(
                    "most trades are logged after their market's close, so nothing is booked from the \
                     wallet; check --timezone"
                        .to_owned(),
                );
            }
            assign(&logged, &reading, task.now)
        }
        Err(why) => {
            warn(format!(
                "{why}; settle booked nothing from the wallet; the next run reads it again"
            ));
            logged.iter().map(|row| (row.rowid, WalletSays::Unreadable)).collect()
        }
    };
    let mut found = Vec::new();
    for row in unsettled() {
        let rowid = row.logged.rowid;
        let Some(says) = says.get(&rowid).copied() else { continue };
        let (trade_id, market_slug) = (row.trade_id.clone(), row.market_slug.clone());
        let record = WalletRecord { trade_id, market_slug, says };
        let before = known.of(rowid, &row.trade_id, &row.market_slug);
        match (says.pending_key(), before) {
            // what a wallet once said stays known
            (Some(_), Some(_)) => {}
            (None, Some(before)) if before.says == says => {}
            (None, _) => {
                found.push((rowid, record.clone()));
                known.0.insert(rowid, record);
            }
            (Some(_), None) => drop(known.0.insert(rowid, record)),
        }
    }
    if writes {
        store.save_positions(&found, task.now, &task.limit.interrupt)?;
    }
    Ok(known)
}
