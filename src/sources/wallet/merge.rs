//! Rows of several readings of one wallet as one history: of each row the largest count in any one file, and a
//! fresh answer in place of what a file has of the same transaction. Nothing here is read or assigned.
//!
//! The export has neither slug nor ids, and it may round, so rows are compared by what both have.

use std::collections::HashMap;

use rust_decimal::Decimal;

use crate::rules::fill::MarketId;
use crate::rules::units::UnixSeconds;

use super::rows::{WalletRow, is_cash};

/// The history as far as it is read.
pub(super) struct Merged {
    pub rows: Vec<WalletRow>,
    /// How many of them, the first ones, are from fresh answers.
    fresh: usize,
    /// The places of the rows of one second and kind.
    places: HashMap<(UnixSeconds, String), Vec<usize>>,
}

impl Merged {
    /// The rows of fresh answers: every row counts.
    pub(super) fn new(fresh: Vec<WalletRow>, has_files: bool) -> Self {
        let mut merged = Self { fresh: fresh.len(), rows: Vec::new(), places: HashMap::new() };
        match has_files {
            true => fresh.into_iter().for_each(|row| merged.push(row)),
            false => merged.rows = fresh,
        }
        merged
    }

    fn push(&mut self, row: WalletRow) {
        let key = (row.at, row.kind.clone());
        self.places.entry(key).or_default().push(self.rows.len());
        self.rows.push(row);
    }

    /// Adds the rows of a file that neither a fresh answer nor an earlier file has. Returns their number.
    pub(super) fn add<'a>(&mut self, file: impl Iterator<Item = &'a WalletRow>) -> usize {
        // a row stands for one row of the file
        let mut taken = vec![false; self.rows.len()];
        let mut left: Vec<&WalletRow> = Vec::new();
        for row in file {
            if !self.is_replaced(row) {
                left.push(row);
            }
        }
        // equal amounts first, so that a rounded one takes no other row's place
        for is_equal in [is_same_amount, is_near] {
            left.retain(|row| {
                let places = self.places.get(&(row.at, row.kind.clone())).into_iter().flatten();
                let mut places = places.filter(|place| !taken[**place]);
                let found = places.find(|place| {
                    let known = &self.rows[**place];
                    is_alike(known, row) && is_equal(known, row)
                });
                if let Some(place) = found {
                    taken[*place] = true;
                }
                found.is_none()
            });
        }
        let added = left.len();
        left.into_iter().cloned().for_each(|row| self.push(row));
        added
    }

    /// Whether a fresh answer has the row's transaction: its rows may have changed since.
    fn is_replaced(&self, row: &WalletRow) -> bool {
        let places = self.places.get(&(row.at, row.kind.clone())).into_iter().flatten();
        let mut fresh = places.filter(|place| **place < self.fresh).map(|place| &self.rows[*place]);
        !row.hash.is_empty() && fresh.any(|known| known.hash == row.hash && is_alike(known, row))
    }
}

/// Whether two rows of one second and kind may be one, as far as both say.
fn is_alike(a: &WalletRow, b: &WalletRow) -> bool {
    let agree = |a: &str, b: &str| a.is_empty() || b.is_empty() || a.eq_ignore_ascii_case(b);
    let is_one_market = || {
        let has_same_title = !a.title.is_empty() && a.title == b.title;
        let is_open = |market: &MarketId| market.may_be_a_window();
        a.market == b.market || has_same_title || is_open(&a.market) || is_open(&b.market)
    };
    agree(&a.hash, &b.hash)
        && agree(&a.wallet, &b.wallet)
        && (is_cash(&a.kind) || (agree(&a.outcome, &b.outcome) && is_one_market()))
}

fn is_same_amount(a: &WalletRow, b: &WalletRow) -> bool {
    a.dollars == b.dollars && (a.shares == b.shares || is_cash(&a.kind))
}

/// Whether the amounts are equal to the decimals of the coarser one, at least to cents.
fn is_near(a: &WalletRow, b: &WalletRow) -> bool {
    let is_near = |a: Decimal, b: Decimal| {
        let decimals = a.scale().min(b.scale()).max(2);
        a.saturating_sub(b).abs() < Decimal::new(1, decimals)
    };
    is_near(a.dollars, b.dollars) && (is_near(a.shares, b.shares) || is_cash(&a.kind))
}
