//! Counts of some trades: with the time of the oldest, or with the ids of the first ones. `selection`,
//! `alert` and the engine count with them.

use crate::rules::text::shell_argument;
use crate::rules::units::{self, UnixSeconds};
use crate::rules::value::{Cell, bare};

/// The number of some trades, and the time of the oldest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of trades.
    pub count: u64,
    /// When the oldest was logged; `None` if no time can be read.
    pub oldest: Option<UnixSeconds>,
}

impl Tally {
    /// Adds one trade that waits since then.
    pub fn add(&mut self, since: Option<UnixSeconds>) {
        self.add_all(Self { count: 1, oldest: since });
    }

    /// Adds the trades of another tally.
    pub fn add_all(&mut self, others: Self) {
        self.count += others.count;
        self.oldest = self.oldest.into_iter().chain(others.oldest).min();
    }
}

/// A number of trades, with the ids of the first ones.
#[derive(Debug, Default, Clone)]
pub struct Named {
    /// Number of trades.
    pub count: u64,
    /// At most [`NAMED`] ids.
    pub first: Vec<Cell>,
}

/// Most ids that [`Named`] keeps.
pub const NAMED: usize = 20;

impl Named {
    /// Adds one trade.
    pub fn add(&mut self, id: &Cell) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(id.clone());
        }
    }

    /// The ids, at most `most` of them, and the number of the others.
    pub fn ids(&self, most: usize) -> String {
        let shown: Vec<String> = self.first.iter().take(most).map(bare).collect();
        let (ids, more) = (shown.join(", "), self.count - shown.len() as u64);
        match more {
            0 => ids,
            more if ids.is_empty() => units::count(&more),
            more => format!("{ids} and {} more", units::count(&more)),
        }
    }

    /// An id as an argument of a shell command.
    pub fn argument(id: &Cell) -> String {
        shell_argument(&bare(id))
    }

    /// The first ids as arguments of a shell command.
    pub fn arguments(&self) -> String {
        self.first.iter().map(Self::argument).collect::<Vec<_>>().join(" ")
    }

    /// Adds the trades of another number.
    pub fn add_all(&mut self, others: Self) {
        self.count += others.count;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(others.first.into_iter().take(room));
    }
}
