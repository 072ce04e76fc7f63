//! Reads a wallet's history: Polymarket's Data API page by page, all or nothing, and saved files. `rows`
//! interprets the rows; `rules::assignment` assigns them.
//!
//! Source: `/v2/activity` as it is documented and answers (2026).

mod rows;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::error::Error;
use crate::rules::fill::WalletReading;
use crate::rules::units::UnixSeconds;
use crate::sources::http::{self, Client, FetchError, RequestStats, TRIES, escaped};

use rows::{FileRows, JsonRow, WalletRow, activities, read_file};

/// The most rows that the Data API sends in a page.
const PAGE: usize = 1000;
/// More pages than any wallet has: a chain that does not end.
const MOST_PAGES: usize = 10_000;
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
        Ok(Some(Self { addresses, base, client, files, stats: RequestStats::default() }))
    }

    /// Requests sent so far.
    pub fn stats(&self) -> RequestStats {
        self.stats
    }

    /// The history from `start` on, as of `now`, and warnings.
    ///
    /// # Errors
    /// Why it cannot be read whole; then nothing of it may be used.
    pub fn read(
        &mut self,
        start: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(WalletReading, Vec<String>), String> {
        let (mut reading, mut warnings) = (WalletReading::default(), Vec::new());
        let mut of_addresses = Vec::new();
        for address in self.addresses.clone() {
            let cannot =
                |error: FetchError| format!("the wallet {address} cannot be read: {}", error.why());
            let rows = self.pages(&address, start, now).map_err(cannot)?;
            let is_empty = rows.is_empty()
                && self.page(&address, BEGINNING, now, 1, None).map_err(cannot)?.data.is_empty();
            if is_empty {
                warnings.push(format!(
                    "the wallet {address} has no history; is it the address that holds the positions, and not \
                     the signing key?"
                ));
            } else {
                of_addresses.push(rows);
            }
        }
        // a market is covered if each wallet is
        if !of_addresses.is_empty() && of_addresses.len() == self.addresses.len() {
            reading.spans.push((start, now));
            reading.is_whole = start <= BEGINNING;
        }
        let mut counts: HashMap<WalletRow, usize> = HashMap::new();
        for file in &self.files {
            reading.spans.push(file.span);
            reading.is_whole |= file.is_whole;
            warnings.extend(file.warning.clone());
            let mut of_file: HashMap<&WalletRow, usize> = HashMap::new();
            for row in &file.rows {
                *of_file.entry(row).or_default() += 1;
            }
            // a row that two files have is one row; a row that one file has twice is two
            for (row, count) in of_file {
                let most = counts.entry(row.clone()).or_default();
                *most = (*most).max(count);
            }
        }
        let of_files: Vec<WalletRow> =
            counts.into_iter().flat_map(|(row, count)| std::iter::repeat_n(row, count)).collect();
        let rows = of_addresses.into_iter().flatten().chain(of_files).collect::<Vec<_>>();
        (reading.rows, reading.cash, reading.conditions) = activities(&rows);
        Ok((reading, warnings))
    }

    /// Every row of a wallet in a span: all pages, or none.
    fn pages(
        &mut self,
        address: &str,
        start: UnixSeconds,
        end: UnixSeconds,
    ) -> Result<Vec<WalletRow>, FetchError> {
        let (mut rows, mut cursor, mut seen) = (Vec::new(), None, HashSet::new());
        for _ in 0..MOST_PAGES {
            let page = self.page(address, start, end, PAGE, cursor.as_deref())?;
            rows.extend(page.data.into_iter().map(WalletRow::from));
            let Pagination { has_more, next_cursor } = page.pagination;
            cursor = match (has_more, next_cursor.filter(|cursor| !cursor.is_empty())) {
                (false, None) => return Ok(rows),
                (true, Some(next)) if seen.insert(next.clone()) => Some(next),
                _ => {
                    let why = "its pages do not lead to an end".to_owned();
                    return Err(FetchError::Failed(why));
                }
            };
        }
        Err(FetchError::Failed("its pages do not end".to_owned()))
    }

    fn page(
        &mut self,
        address: &str,
        start: UnixSeconds,
        end: UnixSeconds,
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
        self.client.get(&url, TRIES, &mut self.stats, |body| http::json(body))
    }
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
