//! Offers the due trades of a database in blocks, and counts the rows that it passes over. `run` takes the
//! blocks.

use std::collections::BinaryHeap;
use std::vec;

use crate::engine::apply::RunState;
use crate::engine::context::Task;
use crate::error::Error;
use crate::interrupt::Limit;
use crate::rules::eligibility::{Exclusion, Trade};
use crate::rules::selection::{Offer, Selector};
use crate::store::{FIRST, Store};

/// Trades that Polymarket is asked about, and that are written, at a time.
pub(super) const PAGE: usize = 1000;
/// Trades for whose prices the candle services are asked at a time. Without a batch limit, memory
/// holds two times so many: the next ones are read in the pauses between transactions.
const BLOCK: usize = 10 * PAGE;

/// Reads the unsettled rows of a database, each once, and offers the due trades in blocks: with a
/// batch limit the ones that became due first, without one in the order of their rows.
pub(super) struct DueTrades<'a> {
    /// Judges and counts the rows.
    pub selector: Selector<'a>,
    batch: usize,
    /// After a signal no further row is read.
    limit: &'a Limit,
    /// The cursor of the next page; `None` after the last.
    after: Option<i64>,
    /// Trades of the next block.
    ahead: Vec<Trade>,
    /// The trades that are still to be offered.
    offers: vec::IntoIter<Offer>,
}

impl<'a> DueTrades<'a> {
    pub fn new(selector: Selector<'a>, task: &Task<'a>) -> Self {
        let Task { batch, limit, .. } = *task;
        Self {
            selector,
            batch,
            limit,
            after: Some(FIRST),
            ahead: vec![],
            offers: vec![].into_iter(),
        }
    }

    /// The next trades, at most [`BLOCK`] and one page; none at the end.
    pub fn next_block(&mut self, store: &Store) -> Result<Vec<Trade>, Error> {
        if self.batch > 0 {
            let mut first = BinaryHeap::new();
            while self.after.is_some() {
                for offer in self.next_page(store)? {
                    first.push(offer);
                    if first.len() > self.batch
                        && let Some(last) = first.pop()
                    {
                        self.selector.leave_beyond_batch(&last);
                    }
                }
                if self.after.is_none() {
                    self.offers = first.into_sorted_vec().into_iter();
                    break;
                }
            }
            let block = self.offers.by_ref().take(BLOCK);
            return Ok(block.map(|offer| *offer.trade).collect());
        }
        while self.after.is_some() && self.ahead.len() < BLOCK {
            self.read_ahead(store)?;
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Reads one page of the next block, where there is room for it.
    pub fn read_ahead(&mut self, store: &Store) -> Result<(), Error> {
        if self.batch == 0 && self.ahead.len() < BLOCK {
            let page = self.next_page(store)?;
            self.ahead.extend(page.into_iter().map(|offer| *offer.trade));
        }
        Ok(())
    }

    /// Counts the trades that the run did not reach.
    pub fn leave_rest(&mut self, store: &Store, state: &mut RunState<'_>) -> Result<(), Error> {
        loop {
            let block = self.next_block(store)?;
            if block.is_empty() {
                return Ok(());
            }
            state.leave(&block);
        }
    }

    /// The trades that one page of rows offers.
    fn next_page(&mut self, store: &Store) -> Result<Vec<Offer>, Error> {
        let Some(after) = self.after.filter(|_| !self.limit.interrupt.asked()) else {
            self.after = None;
            return Ok(vec![]);
        };
        let page = store.unsettled_page(after)?;
        self.after = page.next;
        self.selector.selection.exclude(Exclusion::Hold, page.passed_over);
        Ok(page.rows.into_iter().filter_map(|row| self.selector.take(row)).collect())
    }
}
