//! Inputs of a run: databases, sources, time, decision rules and write options.

use crate::engine::summary::Event;
use crate::interrupt::Limit;
use crate::rules::decision::Deciding;
use crate::rules::eligibility::Reading;
use crate::rules::fill::SharedRows;
use crate::rules::resolution::Resolutions;
use crate::rules::selection::Lags;
use crate::rules::units::UnixSeconds;
use crate::sources::candles::fallback::Prices;
use crate::sources::polymarket::ResolutionSource;
use crate::sources::wallet::Wallet;
use crate::store::Store;

/// One database of a run.
pub struct Database<'a> {
    /// The open database.
    pub store: &'a mut Store,
    /// The database's name in the log; `None` if the run has only one.
    pub name: Option<&'a str>,
    /// Receives the run's events for this database.
    pub report: &'a mut dyn FnMut(Event<'_>),
}

/// External sources, and what they answered: the databases of a run share it.
pub struct Outside<'a> {
    /// Historical prices.
    pub prices: &'a mut dyn Prices,
    /// Polymarket's resolutions.
    pub resolutions: &'a mut dyn ResolutionSource,
    /// The wallet, if one is given.
    pub wallet: Option<BotWallet<'a>>,
    /// What Polymarket has answered in this run.
    pub known: Resolutions,
}

/// The wallet of a bot.
pub struct BotWallet<'a> {
    /// The wallet.
    pub wallet: &'a mut Wallet,
    /// Its addresses and files.
    pub name: String,
    /// The rows of the other bots that share it, or why they cannot be read.
    pub shared: Result<SharedRows, String>,
}

/// Write options of a run; a dry run has none.
#[derive(Debug, Clone, Copy)]
pub struct RunContext<'a> {
    /// The run's id in the records.
    pub run_id: &'a str,
    /// Seconds that a trade without a price or resolution waits after its second deferral.
    pub retry_wait: i64,
}

/// What a run does, and as of when.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// How rows are read.
    pub reading: Reading,
    /// How trades are decided.
    pub deciding: &'a Deciding,
    /// Most trades per database; 0 for all.
    pub batch: usize,
    /// Ages in seconds at which a waiting trade raises an alert.
    pub lags: Lags,
    /// The time of the run.
    pub now: UnixSeconds,
    /// When the run must stop: a signal is obeyed between two transactions.
    pub limit: &'a Limit,
}
