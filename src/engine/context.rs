//! What a run is given: the databases, the sources, the instant, and how it decides and writes.

use crate::engine::summary::Event;
use crate::interrupt::Interrupt;
use crate::rules::decision::Deciding;
use crate::rules::eligibility::Reading;
use crate::rules::selection::Lags;
use crate::rules::units::UnixSeconds;
use crate::sources::candles::fallback::Prices;
use crate::sources::polymarket::Resolutions;
use crate::store::Store;

/// One of the databases of a run.
pub struct Database<'a> {
    /// The database.
    pub store: &'a mut Store,
    /// What the log calls it, where there are several.
    pub name: Option<&'a str>,
    /// Gets what becomes of its trades.
    pub report: &'a mut dyn FnMut(Event<'_>),
}

/// Where what is not in a database comes from.
pub struct Outside<'a> {
    /// Historical prices.
    pub prices: &'a mut dyn Prices,
    /// Polymarket's resolutions.
    pub resolutions: &'a mut dyn Resolutions,
}

/// How a run writes; a dry run does not.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// The run's id.
    pub run_id: &'a str,
    /// How long a trade whose price or resolution is not there waits after its second deferral, in
    /// seconds.
    pub retry_wait: i64,
    /// Asked between two transactions whether to stop.
    pub interrupt: &'a Interrupt,
}

/// What is to be done, and as of when.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// How rows are read.
    pub reading: Reading,
    /// How trades are decided.
    pub deciding: &'a Deciding,
    /// At most so many trades of each database (0: all).
    pub batch: usize,
    /// Which trades that wait are an alert.
    pub lags: Lags,
    /// The instant of the run.
    pub now: UnixSeconds,
}
