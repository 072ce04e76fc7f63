//! What a wallet says about the trades of one database: read once, assigned over all rows, kept for
//! later runs. `rules::fill` assigns; `sources::wallet` reads.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::engine::context::{BotWallet, Task};
use crate::error::Error;
use crate::rules::fill::{
    LoggedRow, MarketId, Position, WalletReading, WalletRecord, WalletRecords, WalletSays,
    are_logged_late, assign_shared,
};
use crate::rules::outcome::Side;
use crate::rules::resolution::Tokens;
use crate::rules::selection::Warning;
use crate::rules::title::market_key;
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
    /// The settled rows whose fills have changed: the rowid, what the wallet said before, and what it
    /// says now.
    pub changed: Vec<(i64, Position, WalletRecord)>,
}

/// Names the side of fills whose row has only the id of its token. `ask` asks Polymarket about markets
/// by their keys, for their tokens.
pub(crate) fn name_sides(
    reading: &mut WalletReading,
    rows: &[LoggedRow],
    ask: &mut dyn FnMut(&[String]) -> Tokens,
) {
    let nameless = reading.rows.iter().filter(|row| row.token.is_some());
    let mut markets: BTreeMap<&MarketId, String> =
        nameless.filter_map(|row| Some((&row.market, market_key(&row.name, row.at)?))).collect();
    if markets.is_empty() {
        return;
    }
    let logged: HashSet<&MarketId> = rows.iter().map(|row| &row.market).collect();
    markets.retain(|market, _| logged.contains(market));
    let keys: Vec<String> = markets.into_values().collect();
    let sides: HashMap<String, Side> = ask(&keys).into_iter().collect();
    for row in reading.rows.iter_mut().filter(|row| row.side.is_none()) {
        row.side = row.token.as_ref().and_then(|token| sides.get(token)).copied();
    }
}

/// What is known of the rows: what `wallet` says now, or else what one said before. `writes`: the
/// answer is kept.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn read_wallet(
    store: &mut Store,
    wallet: &mut Option<BotWallet<'_>>,
    ask: &mut dyn FnMut(&[String]) -> Tokens,
    duplicates: &HashSet<i64>,
    task: &Task<'_>,
    writes: bool,
    warnings: &mut Vec<Warning>,
) -> Result<KnownFills, Error> {
    let mut known = KnownFills { records: store.wallet_records()?, changed: vec![] };
    let Some(BotWallet { wallet, shared }) = wallet else { return Ok(known) };
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
    let read = match shared {
        Ok(shared) => wallet.read(earliest.plus(-BEFORE), task.now).map(|read| (read, shared)),
        Err(why) => Err(why.clone()),
    };
    let says = match read {
        Ok(((mut reading, problems), shared)) => {
            name_sides(&mut reading, &rows, ask);
            problems.into_iter().for_each(&mut warn);
            if are_logged_late(&rows) {
                warn(
                    "most trades are logged after their market's close, so nothing is booked from the \
                     wallet; check --timezone"
                        .to_owned(),
                );
            }
            assign_shared(&rows, shared, &reading, task.now).says
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
                if before == Some(says) {
                    continue;
                }
                match before {
                    _ if row.is_unsettled => found.push((row.rowid, record.clone())),
                    // it is kept once the row's money is corrected
                    Some(WalletSays::Filled(position)) => {
                        known.changed.push((row.rowid, position, record.clone()));
                    }
                    _ => continue,
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
