//! What a wallet says about the trades of one database: read once, assigned over all rows, kept for
//! later runs. `rules::assignment` assigns; `sources::wallet` reads.

use std::collections::{BTreeMap, HashMap, HashSet};

use rust_decimal::Decimal;

use crate::engine::context::{BotWallet, Task};
use crate::engine::market_ids::KnownIds;
use crate::error::Error;
use crate::rules::assignment::{Assignment, are_logged_late, assign_shared};
use crate::rules::fill::{
    Activity, Fill, LoggedRow, MarketId, Position, SharedRows, WalletReading, WalletRecord,
    WalletRecords, WalletSays,
};
use crate::rules::market::{RuleSet, read_market, with_year};
use crate::rules::outcome::Side;
use crate::rules::resolution::{MarketIds, Stated};
use crate::rules::selection::Warning;
use crate::rules::title::market_key;
use crate::rules::units::{UnixSeconds, counted};
use crate::store::Store;

/// How long before the first trade of interest the wallet is read, in seconds: markets are open for a
/// day before their window.
const BEFORE: i64 = 2 * 86_400;
/// Seconds after its market's close during which a trade's fills are read again.
const READ_AGAIN: i64 = 48 * 3600;
/// Seconds after its logging during which the fills of a trade are read again whose market's close only
/// Polymarket knows.
const LONGEST_MARKET: i64 = 30 * 86_400;

/// What is known of the rows.
#[derive(Default)]
pub(super) struct KnownFills {
    /// What a wallet says, by rowid.
    pub records: WalletRecords,
    /// The settled rows whose fills have changed: the rowid, what the wallet said before, and what it
    /// says now.
    pub changed: Vec<(i64, Position, WalletRecord)>,
    /// The addresses and files of the wallet that was read.
    pub wallet: String,
    /// Problems of the reading.
    pub warnings: Vec<Warning>,
}

/// Asks Polymarket what the markets with these keys state of themselves.
pub(crate) type Ask<'a> = dyn FnMut(&[String]) -> HashMap<String, Stated> + 'a;

/// Why no fill can be assigned: a row of another bot that shares the wallet, logged at `since` or later,
/// names its market by an id that settle cannot read now, so that its fills would be taken for this bot's.
pub(crate) fn unnamed_rows(shared: &SharedRows, since: UnixSeconds) -> Option<String> {
    let rows = shared.before.iter().chain(&shared.after).filter(|row| row.logged_at >= since);
    let count = rows.filter(|row| row.market.id().is_some()).count();
    (count > 0).then(|| {
        let rows = counted(&count, "row", "rows");
        let name = if count == 1 { "names its" } else { "name their" };
        format!(
            "{rows} of another bot that shares the wallet {name} market by an id that settle cannot look up \
             now"
        )
    })
}

/// Finds the market of each row of the log and of the wallet that names it by a numeric id or a condition
/// id: from the wallet's other rows, from `ids`, by key, or else from Polymarket, which is asked about
/// those at `since` or later. Returns what Polymarket answered, by key.
pub(crate) fn name_markets(
    rows: &mut [LoggedRow],
    shared: &mut SharedRows,
    reading: &mut WalletReading,
    ids: &HashMap<String, MarketIds>,
    since: UnixSeconds,
    ask: &mut Ask<'_>,
) -> HashMap<String, MarketIds> {
    name_renamed(rows.iter_mut().chain(&mut shared.before).chain(&mut shared.after), reading);
    let logged = rows.iter().chain(&shared.before).chain(&shared.after);
    let all = logged
        .map(|row| (&row.market, row.logged_at))
        .chain(reading.rows.iter().map(|row| (&row.market, row.at)));
    // each with the time of a row, near which its slug is read
    let nameless: BTreeMap<String, UnixSeconds> =
        all.filter_map(|(market, at)| Some((market.id()?.clone(), at))).collect();
    if nameless.is_empty() {
        return HashMap::new();
    }
    let mut names = names_by(ids, &nameless, reading);
    let is_unknown =
        |(key, at): &(&String, &UnixSeconds)| **at >= since && !names.contains_key(*key);
    let unknown: Vec<String> =
        nameless.iter().filter(is_unknown).map(|(key, _)| key.clone()).collect();
    let mut learned = HashMap::new();
    if !unknown.is_empty() {
        let answers = ask(&unknown).into_iter().map(|(key, states)| (key, states.ids));
        learned = answers.filter(|(key, _)| nameless.contains_key(key)).collect();
        names.extend(names_by(&learned, &nameless, reading));
    }
    let rename = |market: &mut MarketId| {
        if let Some(name) = market.id().and_then(|key| names.get(key)) {
            *market = name.clone();
        }
    };
    let logged = rows.iter_mut().chain(&mut shared.before).chain(&mut shared.after);
    logged.for_each(|row| rename(&mut row.market));
    reading.rows.iter_mut().for_each(|row| rename(&mut row.market));
    for (mut market, dollars) in std::mem::take(&mut reading.cash.redeemed) {
        rename(&mut market);
        let sum = reading.cash.redeemed.entry(market).or_default();
        *sum = sum.saturating_add(dollars);
    }
    learned
}

/// Finds the window of rows whose slug names none, where the wallet has the same slug and its title shows the
/// window: Polymarket renames slugs.
fn name_renamed<'a>(rows: impl Iterator<Item = &'a mut LoggedRow>, reading: &WalletReading) {
    let mut rows: Vec<&mut LoggedRow> = rows.filter(|row| row.market.close().is_none()).collect();
    if rows.is_empty() {
        return;
    }
    let by_name = |row: &Activity| Some((MarketId::read(&row.name, row.at)?, row.market.clone()));
    let windows: HashMap<MarketId, MarketId> = reading
        .rows
        .iter()
        .filter(|row| row.market.close().is_some())
        .filter_map(by_name)
        .filter(|(name, market)| name != market)
        .collect();
    for row in &mut rows {
        if let Some(market) = windows.get(&row.market) {
            row.market = market.clone();
        }
    }
}

/// The markets of these ids, each with the time of a row, as far as the wallet or `ids` name them.
fn names_by(
    ids: &HashMap<String, MarketIds>,
    nameless: &BTreeMap<String, UnixSeconds>,
    reading: &WalletReading,
) -> HashMap<String, MarketId> {
    let by_condition: HashMap<&String, (&String, &MarketIds)> =
        ids.iter().filter_map(|entry| Some((entry.1.condition.as_ref()?, entry))).collect();
    let by_wallet = |condition: &String| Some(reading.conditions.get(condition)?.market.clone());
    let name = |key: &String, at: UnixSeconds| {
        by_wallet(key).or_else(|| {
            let known = ids.get_key_value(key).or_else(|| by_condition.get(key).copied());
            let (key, ids) = known?;
            let name = ids.condition.as_ref().and_then(by_wallet);
            name.or_else(|| MarketId::read(ids.slug.as_ref().unwrap_or(key), at))
        })
    };
    let named = nameless.iter().filter_map(|(key, at)| Some((key.clone(), name(key, *at)?)));
    named.filter(|(_, market)| market.id().is_none()).collect()
}

/// Names the side of fills whose row has only the id of its token.
pub(crate) fn name_sides(reading: &mut WalletReading, rows: &[LoggedRow], ask: &mut Ask<'_>) {
    let nameless = reading.rows.iter().filter(|row| row.token.is_some());
    let mut markets: BTreeMap<&MarketId, String> =
        nameless.filter_map(|row| Some((&row.market, market_key(&row.name, row.at)?))).collect();
    if markets.is_empty() {
        return;
    }
    let logged: HashSet<&MarketId> = rows.iter().map(|row| &row.market).collect();
    markets.retain(|market, _| logged.contains(market));
    let keys: Vec<String> = markets.into_values().collect();
    let states = ask(&keys);
    let sides: HashMap<&String, Side> = states
        .values()
        .flat_map(|states| states.tokens.iter().map(|(it, side)| (it, *side)))
        .collect();
    for row in reading.rows.iter_mut().filter(|row| row.side.is_none()) {
        row.side = row.token.as_ref().and_then(|token| sides.get(token)).copied();
    }
}

/// The condition ids that the wallet shows for the markets of unsettled rows, by the rows' keys.
fn ids_of_wallet(rows: &[LoggedRow], reading: &WalletReading) -> HashMap<String, MarketIds> {
    let conditions: HashMap<&MarketId, (&String, Option<bool>)> = reading
        .conditions
        .iter()
        .map(|(condition, known)| (&known.market, (condition, known.up_is_first)))
        .collect();
    let of = |row: &LoggedRow| {
        let (condition, up_is_first) = *conditions.get(&row.market)?;
        let key = market_key(&row.market_slug.name()?, row.logged_at)?;
        let market = read_market(&key, row.logged_at, RuleSet::Polymarket);
        let key = with_year(&key, &market).unwrap_or(key);
        let condition = Some(condition.clone());
        Some((key, MarketIds { condition, up_is_first, ..MarketIds::default() }))
    };
    rows.iter().filter(|row| row.is_unsettled).filter_map(of).collect()
}

/// What the wallet has redeemed in the markets of these rows, in dollars by the market as the bot wrote it,
/// where that is more than `known`.
pub(crate) fn newly_redeemed(
    rows: &[LoggedRow],
    reading: &WalletReading,
    known: &HashMap<String, Decimal>,
) -> Vec<(String, Decimal)> {
    let of = |row: &LoggedRow| {
        let redeemed = *reading.cash.redeemed.get(&row.market)?;
        let market = row.market_slug.name()?.into_owned();
        (known.get(&market).copied().unwrap_or_default() < redeemed).then_some((market, redeemed))
    };
    let found: BTreeMap<String, Decimal> = rows.iter().filter_map(of).collect();
    found.into_iter().collect()
}

impl KnownFills {
    /// Takes over what the wallet says of these rows. Returns what is to be kept of unsettled ones.
    /// `of_another`: the rowids of rows of which another wallet spoke last.
    fn take<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a LoggedRow>,
        says: &HashMap<i64, WalletSays>,
        fills: &mut HashMap<i64, Vec<Fill>>,
        of_another: &HashSet<i64>,
    ) -> Vec<(i64, WalletRecord)> {
        let mut found = Vec::new();
        for row in rows {
            let Some(says) = says.get(&row.rowid).copied() else { continue };
            let before = self.records.of(row.rowid, &row.trade_id, &row.market_slug);
            let before = before.map(|record| record.says);
            let record = row.record(says, fills.remove(&row.rowid).unwrap_or_default());
            match says {
                WalletSays::Filled(_) | WalletSays::NotFilled => {
                    if before == Some(says)
                        && !(row.is_unsettled && of_another.contains(&row.rowid))
                    {
                        continue;
                    }
                    match before {
                        _ if row.is_unsettled => found.push((row.rowid, record.clone())),
                        // another wallet, or another file, may lack the fill
                        Some(WalletSays::Filled(_))
                            if says == WalletSays::NotFilled && of_another.contains(&row.rowid) =>
                        {
                            continue;
                        }
                        // it is kept once the row's money is corrected
                        Some(WalletSays::Filled(position)) => {
                            self.changed.push((row.rowid, position, record.clone()));
                        }
                        // it was booked as never filled, with --not-filled zero
                        Some(WalletSays::NotFilled) => {
                            self.changed.push((row.rowid, Position::default(), record.clone()));
                        }
                        _ => continue,
                    }
                }
                // a newer reading has rows that change whose the fills are; booked money stays
                WalletSays::NotAttributed if row.is_unsettled => {}
                // what a wallet once said stays known
                WalletSays::NotCovered
                | WalletSays::Settling
                | WalletSays::Unreadable
                | WalletSays::NotAttributed => {
                    if before.is_some() {
                        continue;
                    }
                }
            }
            self.records.0.insert(row.rowid, WalletRecord { fills: vec![], ..record });
        }
        found
    }
}

/// What is known of the rows: what `wallet` says now, or else what one said before. `ids` are the names of
/// markets, to which those that are found now are added. `writes`: the answer is kept.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn read_wallet(
    store: &mut Store,
    wallet: &mut Option<BotWallet<'_>>,
    ask: &mut Ask<'_>,
    ids: &mut KnownIds,
    task: &Task<'_>,
    writes: bool,
) -> Result<KnownFills, Error> {
    let records = store.wallet_records_of_run(task.now.plus(-LONGEST_MARKET))?;
    let mut known = KnownFills { records, ..KnownFills::default() };
    let Some(BotWallet { wallet, name, shared }) = wallet else { return Ok(known) };
    known.wallet.clone_from(name);
    let mut rows = store.wallet_rows(task.reading.zone)?;
    // a verdict of another wallet, or of a file that has changed since, is read again
    let of_another = store.rows_of_another_wallet(name)?;
    let has_record =
        |row: &LoggedRow| known.records.of(row.rowid, &row.trade_id, &row.market_slug).is_some();
    // a row that was compared before and cannot change any more needs no further reading
    let is_recent = |row: &LoggedRow| match row.market.close() {
        Some(_) => task.now.since(row.logged_at) < READ_AGAIN + BEFORE,
        None => task.now.since(row.logged_at) < LONGEST_MARKET,
    };
    let is_wanted = |row: &&LoggedRow| match row.is_unsettled {
        true => !has_record(row) || is_recent(row) || of_another.contains(&row.rowid),
        false => has_record(row) && task.now.since(row.closed_at()) < READ_AGAIN,
    };
    let wanted: Vec<&LoggedRow> = rows.iter().filter(is_wanted).collect();
    let Some(earliest) = wanted.iter().map(|row| row.logged_at).min() else {
        return Ok(known);
    };
    let since = earliest.plus(-BEFORE);
    let wanted: HashSet<i64> = wanted.into_iter().map(|row| row.rowid).collect();
    let mut warnings = Vec::new();
    let mut warn = |message: String| warnings.push(Warning { code: "wallet", message });
    let read = match shared {
        Ok(shared) => wallet.read(since, task.now).map(|read| (read, shared)),
        Err(why) => Err(why.clone()),
    };
    let Assignment { says, mut fills, .. } = match read {
        Ok(((mut reading, problems), shared)) => {
            let learned = name_markets(&mut rows, shared, &mut reading, &ids.known, since, ask);
            ids.learn(learned);
            for (key, of_wallet) in ids_of_wallet(&rows, &reading) {
                ids.known.entry(key).or_insert(of_wallet);
            }
            name_sides(&mut reading, &rows, ask);
            problems.into_iter().for_each(&mut warn);
            if are_logged_late(&rows) {
                warn(
                    "most trades are logged after their market's close, so settle books nothing from the \
                     wallet; check --timezone"
                        .to_owned(),
                );
            }
            if writes {
                let redeemed = newly_redeemed(&rows, &reading, &store.redeemed()?);
                store.save_redeemed(&redeemed, task.now, &task.limit.interrupt)?;
            }
            match unnamed_rows(shared, since) {
                None => assign_shared(&rows, shared, &reading, task.now),
                Some(why) => {
                    warn(format!("{why}; settle booked nothing from the wallet"));
                    let all = rows.iter().map(|row| (row.rowid, WalletSays::NotAttributed));
                    Assignment { says: all.collect(), ..Assignment::default() }
                }
            }
        }
        Err(why) => {
            warn(format!(
                "{why}; settle booked nothing from the wallet; the next run reads it again"
            ));
            let says = rows.iter().map(|row| (row.rowid, WalletSays::Unreadable)).collect();
            Assignment { says, ..Assignment::default() }
        }
    };
    let rows = rows.iter().filter(|row| wanted.contains(&row.rowid));
    let found = known.take(rows, &says, &mut fills, &of_another);
    known.warnings = warnings;
    if writes {
        store.save_wallet_records(&found, &known.wallet, task.now, &task.limit.interrupt)?;
    }
    Ok(known)
}
