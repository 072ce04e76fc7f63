//! `settle audit`: compares settled trades with Polymarket's resolutions. It lists each
//! disagreement with its likely cause, and corrects it on request.

mod compare;
mod output;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::commands::{Exit, new_run_id, only, open};
use crate::engine::context::Outside;
use crate::error::Error;
use crate::interrupt::{Interrupt, Limit};
use crate::output::log;
use crate::output::print::{after_writing, show};
use crate::output::progress::Bar;
use crate::rules::decision::Confirm;
use crate::rules::decision::fee;
use crate::rules::eligibility::{Exclusion, Reading, Row, Trade, judge_again, not_made};
use crate::rules::fees::{Fee, Fees, Taken};
use crate::rules::fill::{WalletRecord, WalletRecords};
use crate::rules::outcome::Side;
use crate::rules::price::{PriceRequest, PriceRequests};
use crate::rules::resolution::Resolutions;
use crate::rules::selection::{RowError, dated_key};
use crate::rules::settlement::{Case, Earlier, Settlement};
use crate::rules::strike::Strike;
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::{UnixSeconds, Usd};
use crate::rules::value::Cell;
use crate::rules::zone::logged_at;
use crate::settings::values::{Date, date};
use crate::settings::{self, CommonArgs, FeeArgs, ReadingArgs, ServiceArgs};
use crate::sources::candles::fallback::Found;
use crate::sources::http::Client;
use crate::sources::polymarket::ResolutionSource;
use crate::store::{RunInfo, Store, WriteOutcome};
use chrono::{DateTime, Utc};
use clap::Args;

use compare::{Compared, compare, held_a_resolution, money_of, paid};

use crate::rules::audit_cause::{Cause, cause, has_other_outcome, is_same_to_the_cent};

/// What an audit looks at.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only the trades with these ids
    #[arg(value_name = "TRADE_ID")]
    pub ids: Vec<String>,

    /// Only trades logged on or after this date (YYYY-MM-DD, a date and time, 7d, today or yesterday, in --timezone)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub since: Option<Date>,

    /// Correct what disagrees; the old values are kept in the records
    #[arg(long, visible_alias = "fix")]
    pub apply: bool,

    /// Fees.
    #[command(flatten)]
    pub fees: FeeArgs,

    /// Where prices and resolutions come from.
    #[command(flatten)]
    pub services: ServiceArgs,

    /// How rows are read.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Audits the settled trades and prints the disagreements.
///
/// # Errors
/// [`Error`]: nothing was corrected.
pub fn run(common: &CommonArgs, args: &AuditArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "audit")?;
    let seconds = UnixSeconds::from(now);
    let (mut store, _lock) = open(database, &common.schema, args.apply, seconds)?;
    let interrupt = Interrupt::listen(Exit::Interrupted.code())?;
    let reading = settings::reading_settled(&args.reading);
    let run = RunInfo {
        rules: Some(reading.rules),
        confirm: Some(Confirm::Only),
        ..RunInfo::new(new_run_id(now), seconds, "audit")
    };
    let writing = args.apply.then_some((&run, &interrupt));
    let which = Which {
        ids: args.ids.clone(),
        since: args.since.map(|date| date.begin(seconds, reading.zone)),
    };
    let (mut polymarket, mut prices) =
        settings::sources(&args.services, &Arc::new(Client::new(Limit::at_signal(&interrupt))));
    polymarket.know(&store.market_ids()?);
    let mut sources = Outside {
        prices: &mut prices,
        resolutions: &mut polymarket,
        wallet: None,
        known: Resolutions::default(),
    };
    let fees = args.fees.fees;
    let mut bar = Bar::new(common.quiet, "markets asked about");
    let mut progress = |done, all| bar.at(done, all);
    let found =
        audit(&mut store, &mut sources, reading, fees, &which, seconds, &mut progress, writing)?;
    bar.finish();
    if !common.printing().shows_text() {
        log::problems(&found.problems);
    }
    let shown = show(common.printing(), || output::json(&found), || output::text(&found, database));
    after_writing(shown, args.apply)?;
    Ok(found.exit())
}

/// Markets asked about per progress report.
const SLUGS_A_STEP: usize = 400;
/// Which settled trades to audit.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Only trades with these ids; empty for all.
    pub ids: Vec<String>,
    /// Only trades logged at or after this time.
    pub since: Option<UnixSeconds>,
}

impl Which {
    /// A row with an unreadable time passes the time filter.
    fn includes(&self, row: &Row, zone: NaiveZone) -> bool {
        let logged_at = || logged_at(&row.timestamp, &row.market_slug, zone);
        (self.ids.is_empty() || self.ids.contains(&plain_id(row)))
            && self.since.is_none_or(|since| logged_at().is_none_or(|at| at >= since))
    }
}

/// A row's id as typed on the command line.
fn plain_id(row: &Row) -> String {
    row.id.text().map_or_else(|| row.id.to_string(), str::to_owned)
}

/// A settled trade that disagrees with the resolution.
#[derive(Debug)]
pub struct Disagreement {
    /// The right settlement.
    pub right: Settlement,
    /// Likely cause.
    pub cause: Cause,
    /// Whether this audit corrected it.
    pub fixed: bool,
}

impl Disagreement {
    /// Profit in the row, in dollars; `None` if it is not a number.
    pub fn profit_written(&self) -> Option<Usd> {
        self.right.trade.row.profit_loss.any_number().map(Usd)
    }

    /// Difference between the written profit and the right one, in dollars.
    pub fn at_stake(&self) -> Usd {
        let written = self.profit_written().map_or(Decimal::ZERO, |profit| profit.0);
        Usd(self.right.profit().0.saturating_sub(written).abs())
    }
}

/// Result of an audit.
#[derive(Debug, Default)]
pub struct Audit {
    /// Run id of the corrections; `None` if there are none.
    pub run_id: Option<String>,
    /// Settled trades checked.
    pub checked: u64,
    /// Checked trades whose market is not resolved, or about which Polymarket did not answer.
    pub unresolved: u64,
    /// Trades that disagree.
    pub disagreements: Vec<Disagreement>,
    /// Rows that cannot be checked or corrected.
    pub errors: Vec<RowError>,
    /// Polymarket answered no request.
    pub nothing_had: bool,
    /// Problems with the sources.
    pub problems: Vec<String>,
    /// A signal stopped the corrections.
    pub interrupted: bool,
    /// A database error stopped the corrections.
    pub incomplete: bool,
}

impl Audit {
    /// By cause: number of disagreements, and dollars at stake.
    pub fn by_cause(&self) -> BTreeMap<Cause, (u64, Usd)> {
        let mut causes: BTreeMap<Cause, (u64, Usd)> = BTreeMap::new();
        for disagreement in &self.disagreements {
            let (count, stake) =
                causes.entry(disagreement.cause).or_insert((0, Usd(Decimal::ZERO)));
            *count += 1;
            stake.0 = stake.0.saturating_add(disagreement.at_stake().0);
        }
        causes
    }

    /// Exit status: an alert where differences remain.
    pub fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if self.nothing_had {
            Exit::NothingHad
        } else if self.disagreements.iter().any(|disagreement| !disagreement.fixed) {
            Exit::Alert
        } else if !self.errors.is_empty() {
            Exit::RowsInError
        } else {
            Exit::Done
        }
    }

    /// Number of corrected disagreements.
    pub fn fixed(&self) -> u64 {
        self.disagreements.iter().filter(|disagreement| disagreement.fixed).count() as u64
    }
}

/// Audits the settled trades, and with `writing` corrects the disagreements. `progress` receives
/// the number of markets asked about and the total.
///
/// # Errors
/// [`Error::Database`].
#[allow(clippy::too_many_arguments)] // each is one thing an audit depends on
pub fn audit(
    store: &mut Store,
    sources: &mut Outside<'_>,
    reading: Reading,
    fees: Fees,
    which: &Which,
    now: UnixSeconds,
    progress: &mut dyn FnMut(usize, usize),
    writing: Option<(&RunInfo, &Interrupt)>,
) -> Result<Audit, Error> {
    let mut audit = Audit::default();
    let wallet = store.wallet_records()?;
    // the rows are read twice, so that memory holds no trade that is right
    let mut keys = HashSet::new();
    store.settled_rows(|row| {
        if !which.includes(&row, reading.zone) {
            return;
        }
        if let Some(Ok(trade)) = judge(row, reading, &wallet) {
            keys.extend([trade.key.clone(), dated_key(&trade)].into_iter().flatten());
        }
    })?;
    let mut keys: Vec<String> = keys.into_iter().collect();
    keys.sort_unstable();
    let resolved = resolve(sources.resolutions, &keys, progress);
    audit.nothing_had = resolved.answers.is_empty() && !resolved.problems.is_empty();
    audit.problems.clone_from(&resolved.problems);

    let mut wrong = Vec::new();
    let mut failed = None;
    let mut missing: BTreeSet<String> = which.ids.iter().cloned().collect();
    store.settled_rows(|row| {
        if !which.includes(&row, reading.zone) {
            return;
        }
        missing.remove(&plain_id(&row));
        let Some(judged) = judge(row, reading, &wallet) else { return };
        audit.checked += 1;
        let trade = match judged {
            Ok(trade) => trade,
            Err(error) => return audit.errors.push(error),
        };
        let on = |fees: Fees, trade: &Trade| {
            let answer = trade.key.as_ref().and_then(|key| resolved.answers.get(key));
            let stated = answer.and_then(|answer| answer.states.fee);
            fee(trade, fees, stated)
        };
        let mut compared = compare(trade, &resolved, |trade| on(fees, trade));
        let mut was_resolved = false;
        if let Compared::Wrong(settlement) = compared {
            // a fee that settle or the bot recorded takes precedence over this command's fee
            // options
            let records = store.records_of(&settlement.trade.row).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                vec![]
            });
            was_resolved = held_a_resolution(&records, &settlement.trade.row);
            compared =
                match (money_of(&records, &settlement.trade.row), paid(&settlement.trade.row)) {
                    (Some(record), _) => compare(settlement.trade, &resolved, |_| record.fee()),
                    (None, Some(paid)) => compare(settlement.trade, &resolved, |trade| {
                        let due = on(Fees::Taker, trade);
                        let due = due.filter(|due| is_same_to_the_cent(Some(paid.0), due.dollars));
                        Some(due.unwrap_or(Fee { dollars: paid, taken: Taken::Added }))
                    }),
                    (None, None) => Compared::Wrong(settlement),
                };
        }
        match compared {
            Compared::Right => {}
            Compared::Unresolved => audit.unresolved += 1,
            Compared::OtherMarket { trade_id, why } => {
                let message = format!("cannot be checked: {why}");
                audit.errors.push(RowError { trade_id, message });
            }
            Compared::Wrong(settlement) => wrong.push((*settlement, was_resolved)),
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    for id in missing {
        let message = "no settled trade has this id".to_owned();
        audit.errors.push(RowError { trade_id: Cell::Text(id), message });
    }
    let wanted = |settlement: &Settlement| {
        PriceRequest::of(&settlement.trade.bet.market, Strike::Recorded, 1)
    };
    let wrong_ones = wrong.iter().map(|(settlement, _)| settlement);
    let unlike = wrong_ones.filter(|settlement| has_other_outcome(settlement));
    let needs: PriceRequests = unlike.filter_map(wanted).map(|need| (need, None)).collect();
    let found = match needs.is_empty() {
        true => Found::default(),
        false => sources.prices.find(&needs, now),
    };
    audit.problems.extend(found.problems);
    for (right, was_resolved) in wrong {
        let prices = wanted(&right).and_then(|need| found.prices.get(&need)?.last());
        let cause = match has_other_outcome(&right) {
            true if was_resolved => Cause::ResolutionChanged,
            true if has_changed_rule(&right.trade, &resolved) => Cause::RuleChanged,
            _ => cause(&right, prices),
        };
        audit.disagreements.push(Disagreement { right, cause, fixed: false });
    }
    if let Some(writing) = writing {
        correct(store, &mut audit, writing)?;
    }
    Ok(audit)
}

/// Whether Polymarket states another rule for a trade's market than settle knows.
fn has_changed_rule(trade: &Trade, resolved: &Resolutions) -> bool {
    let keys = [trade.key.clone(), dated_key(trade)].into_iter().flatten();
    let mut answers = keys.filter_map(|key| resolved.answers.get(&key));
    answers.any(|answer| answer.states.changed_rule(&trade.bet.market).is_some())
}

/// A settled row as a trade, or why it cannot be checked; `None` for a row without a bet.
fn judge(row: Row, reading: Reading, wallet: &WalletRecords) -> Option<Result<Trade, RowError>> {
    let is_bet = row.action.text().and_then(Side::named).is_some();
    let id = row.id.clone();
    let of_wallet = wallet.of(row.rowid, &row.id, &row.market_slug);
    let is_filled = of_wallet.and_then(WalletRecord::position).is_some();
    let trade = match not_made(&row) && is_bet && !is_filled {
        true => {
            let why = Exclusion::NotMade.words();
            Err(format!("{why}, and yet it has an outcome; left alone"))
        }
        false => {
            judge_again(row, reading, of_wallet).map_err(|why| format!("cannot be checked: {why}"))
        }
    };
    match trade {
        Ok(trade) => Some(Ok(trade)),
        Err(message) if is_bet => Some(Err(RowError { trade_id: id, message })),
        Err(_) => None,
    }
}

/// Asks Polymarket about each market once, in steps.
fn resolve(
    resolutions: &mut dyn ResolutionSource,
    slugs: &[String],
    progress: &mut dyn FnMut(usize, usize),
) -> Resolutions {
    let mut resolved = Resolutions::default();
    for (step, some) in slugs.chunks(SLUGS_A_STEP).enumerate() {
        progress(step * SLUGS_A_STEP, slugs.len());
        let answer = resolutions.find(some);
        let out_of_reach = answer.answers.is_empty();
        resolved.answers.extend(answer.answers);
        resolved.problems.extend(answer.problems);
        if out_of_reach {
            break;
        }
    }
    progress(slugs.len(), slugs.len());
    resolved
}

/// Writes the right values, except to rows changed since they were read.
fn correct(
    store: &mut Store,
    audit: &mut Audit,
    (run, interrupt): (&RunInfo, &Interrupt),
) -> Result<(), Error> {
    for disagreement in &mut audit.disagreements {
        let records = store.records_of(&disagreement.right.trade.row)?;
        let record_id = records.last().map(|record| record.id);
        let replaced = Earlier { record_id, ..Earlier::default() };
        match &mut disagreement.right.case {
            Case::Unknown { earlier } => *earlier = Some(replaced),
            Case::ConfirmedLater { earlier, .. } | Case::Corrected { earlier, .. } => {
                *earlier = replaced;
            }
            Case::Provisional { .. } | Case::Confirmed { .. } => {}
        }
    }
    let right: Vec<Settlement> =
        audit.disagreements.iter().map(|disagreement| disagreement.right.clone()).collect();
    interrupt.hold();
    let written = store.write(run, &right, &[], interrupt);
    audit.interrupted = interrupt.asked();
    if let Some(error) = &written.error {
        audit
            .problems
            .push(format!("settle did not correct all: {error}; run settle audit --apply again"));
        audit.incomplete = true;
    }
    if written.any() {
        audit.run_id = Some(run.run_id.clone());
    }
    let left = written.error.map(|error| format!("not corrected: {error}"));
    let mut done = written.done.into_iter();
    for disagreement in &mut audit.disagreements {
        let message = match (done.next(), &left) {
            (Some(WriteOutcome::Written), _) => {
                disagreement.fixed = true;
                continue;
            }
            (Some(WriteOutcome::Conflict), _) => {
                "changed by another program during the run; settle left it alone".to_owned()
            }
            (Some(WriteOutcome::Rejected(why)), _) => {
                format!("the database refuses the row: {why}")
            }
            (None, Some(left)) => left.clone(),
            // a signal stopped the writes before this row
            (None, None) => break,
        };
        let trade_id = disagreement.right.trade.row.id.clone();
        audit.errors.push(RowError { trade_id, message });
    }
    Ok(())
}
