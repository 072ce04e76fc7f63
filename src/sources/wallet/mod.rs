//! Reads a wallet's history: Polymarket's Data API page by page, all or nothing, and saved files. `rows`
//! interprets the rows, `merge` makes one history of several readings; `rules::assignment` assigns them.
//!
//! Source: `/v2/activity` as it is documented and answers (2026).

mod merge;
mod rows;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use crate::error::Error;
use crate::rules::fill::{MarketId, WalletReading};
use crate::rules::text::printable;
use crate::rules::units::{UnixSeconds, counted};
use crate::sources::http::{self, Client, FetchError, RequestStats, TRIES, escaped};

use merge::Merged;
use rows::{FileRows, JsonRow, WalletRow, activities, read_file};

/// The most rows that the Data API sends in a page.
const PAGE: usize = 1000;
/// More pages than any wallet has: a chain that does not end.
const MOST_PAGES: usize = 10_000;
/// A row may be this many seconds later than now: clocks differ.
const LATEST: i64 = 86_400;
/// 2020-01-01, before Polymarket's first trade.
pub const BEGINNING: UnixSeconds = UnixSeconds(1_577_836_800);

/// Where a wallet's history is read.
pub struct Wallet {
    addresses: Vec<String>,
    base: String,
    client: Arc<Client>,
    files: Vec<FileRows>,
    stats: RequestStats,
}

impl Wallet {
    /// The wallets with these addresses at the Data API's `base`, and these files, read now. `None`
    /// without any.
    ///
    /// # Errors
    /// [`Error::NoActivity`], where a file is no wallet's history.
    pub fn new(
        addresses: Vec<String>,
        files: &[PathBuf],
        base: String,
        client: Arc<Client>,
    ) -> Result<Option<Self>, Error> {
        if addresses.is_empty() && files.is_empty() {
            return Ok(None);
        }
        let read = |path: &PathBuf| {
            let named = |why| Error::NoActivity { path: path.clone(), why };
            read_file(path).map_err(named)
        };
        let files = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut known = HashSet::new();
        let addresses = addresses.into_iter().map(|address| address.to_ascii_lowercase());
        let addresses = addresses.filter(|address| known.insert(address.clone())).collect();
        Ok(Some(Self { addresses, base, client, files, stats: RequestStats::default() }))
    }

    /// Requests sent so far.
    pub fn stats(&self) -> RequestStats {
        self.stats
    }

    /// The history from `start` on, as of `now`, and warnings. It is waited for in at most half of the
    /// time left.
    ///
    /// # Errors
    /// Why it cannot be read whole; then nothing of it may be used.
    pub fn read(
        &mut self,
        start: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(WalletReading, Vec<String>), String> {
        let end = self.client.limit().left().map(|left| Instant::now() + left / 2);
        let client = self.client.until(end);
        let (mut reading, mut warnings) = (WalletReading::default(), Vec::new());
        let (mut fresh, mut answered) = (Vec::new(), HashSet::new());
        for address in self.addresses.clone() {
            let cannot = |why: String| format!("the wallet {address} cannot be read: {why}");
            let rows = self.pages(&client, &address, start, now).map_err(cannot)?;
            let is_empty = rows.is_empty() && {
                let page = self.page(&client, &address, (BEGINNING, now), 1, None);
                page.map_err(|error| cannot(format!("its oldest page {}", error.why())))?
                    .data
                    .is_empty()
            };
            if is_empty {
                warnings.push(format!(
                    "the wallet {address} has no history; is it the address that holds the positions, and not \
                     the signing key?"
                ));
            } else {
                fresh.extend(rows);
                answered.insert(address);
            }
        }
        // a market is covered if each wallet is
        let has_answers = !answered.is_empty() && answered.len() == self.addresses.len();
        if has_answers {
            reading.spans.push((start, now));
            reading.is_whole = start <= BEGINNING;
        }
        let mut merged = Merged::new(fresh, !self.files.is_empty());
        let mut are_known = true;
        for file in &self.files {
            let (place, newest) = &file.newest;
            if newest.since(now) > LATEST {
                return Err(format!("{place}: its time {newest} is more than a day from now"));
            }
            reading.spans.push(file.span);
            warnings.extend(file.warning.clone());
            let is_fresh = |row: &&WalletRow| row.at >= start && answered.contains(&row.wallet);
            let added = merged.add(file.rows.iter().filter(|row| !is_fresh(row)));
            are_known &= added == 0 || file.is_whole;
        }
        let earliest = self.files.iter().min_by_key(|file| file.span.0);
        reading.is_whole = match earliest {
            None => reading.is_whole,
            Some(_) if has_answers => reading.is_whole && are_known,
            Some(earliest) => {
                let last = self.files.iter().map(|file| file.span.1).max().unwrap_or(now);
                earliest.is_whole && reading.covers(earliest.span.0, last)
            }
        };
        (reading.rows, reading.cash, reading.conditions) = activities(&merged.rows);
        warnings.extend(unread_markets(&reading));
        Ok((reading, warnings))
    }

    /// Every row of a wallet in a span: all pages, or none.
    fn pages(
        &mut self,
        client: &Client,
        address: &str,
        start: UnixSeconds,
        end: UnixSeconds,
    ) -> Result<Vec<WalletRow>, String> {
        let (mut rows, mut cursor, mut cursors) = (Vec::new(), None, HashSet::new());
        let mut earlier: Vec<Vec<u64>> = Vec::new();
        for number in 1..=MOST_PAGES {
            let page = self.page(client, address, (start, end), PAGE, cursor.as_deref());
            let page = page.map_err(|error| format!("page {number} {}", error.why()))?;
            let before = rows.len();
            for (row, place) in page.data.into_iter().zip(1..) {
                let named = |why: String| format!("page {number}, row {place}: {why}");
                let row = WalletRow::try_from(row).map_err(named)?;
                if row.at.since(end) > LATEST {
                    return Err(named(format!("its time {} is more than a day from now", row.at)));
                }
                rows.push(WalletRow { wallet: address.to_owned(), ..row });
            }
            let hashes = hashes(&rows[before..]);
            if let Some(at) = earlier.iter().position(|known| is_repeated(known, &hashes)) {
                return Err(format!("page {number} repeats page {}", at + 1));
            }
            earlier.push(hashes);
            let Pagination { has_more, next_cursor } = page.pagination;
            cursor = match (has_more, next_cursor) {
                (false, None) => return Ok(rows),
                (true, Some(next)) if !next.trim().is_empty() && cursors.insert(next.clone()) => {
                    Some(next)
                }
                (true, Some(next)) if !next.trim().is_empty() => {
                    return Err(format!("page {number} names the cursor of an earlier page"));
                }
                _ => {
                    let why = "has an empty cursor, or its cursor and has_more disagree";
                    return Err(format!("page {number} {why}"));
                }
            };
        }
        Err(format!("it has more than {MOST_PAGES} pages"))
    }

    fn page(
        &mut self,
        client: &Client,
        address: &str,
        (start, end): (UnixSeconds, UnixSeconds),
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page, FetchError> {
        let mut url = format!(
            "{}/v2/activity?user={address}&start={}&end={}&sort_direction=ASC&limit={limit}\
             &exclude_deposits_withdrawals=false",
            self.base, start.0, end.0
        );
        if let Some(cursor) = cursor {
            url.push_str("&cursor=");
            url.push_str(&escaped(cursor));
        }
        client.get(&url, TRIES, &mut self.stats, |body| http::json(body))
    }
}

/// A warning of the rows whose market cannot be read.
fn unread_markets(reading: &WalletReading) -> Option<String> {
    // a row that has only an id is looked up by it
    let is_id = |market: &MarketId, name: &str| matches!(market, MarketId::Key(key) if key == name);
    let is_unread = |market: &MarketId, name: &str| {
        market.may_be_a_window() && !(market.id().is_some() && is_id(market, name))
    };
    let mut unread = reading.rows.iter().filter(|row| is_unread(&row.market, &row.name));
    let first = unread.next()?;
    let (count, name) = (1 + unread.count(), printable(&first.name));
    Some(format!(
        "settle cannot read the market of {} of the wallet, the first of {} with the name '{name}'; trades of \
         that time wait",
        counted(&count, "row", "rows"),
        first.at
    ))
}

/// The hashes of rows, in order.
fn hashes(rows: &[WalletRow]) -> Vec<u64> {
    let hash = |row: &WalletRow| {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        hasher.finish()
    };
    let mut hashes: Vec<u64> = rows.iter().map(hash).collect();
    hashes.sort_unstable();
    hashes
}

/// Whether one page holds all rows of the other. Two pages may share a single row: an equal fill.
fn is_repeated(a: &[u64], b: &[u64]) -> bool {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let is_whole = few.len() > 1 || (few.len() == 1 && many.len() == 1);
    let mut many = many.iter();
    is_whole && few.iter().all(|hash| many.by_ref().find(|other| *other >= hash) == Some(hash))
}

/// A page of `/v2/activity`.
#[derive(Deserialize)]
struct Page {
    data: Vec<JsonRow>,
    pagination: Pagination,
}

#[derive(Deserialize)]
struct Pagination {
    has_more: bool,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Whether a text is the address of a wallet: 0x and 40 hexadecimal digits.
pub fn is_address(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| {
        digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The name of a file in messages.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
