//! `settle reconcile`: compares the log with the wallet, and books the wallet's money on request.

mod json;
mod output;

use std::collections::HashSet;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::commands::{Block, Bot, Exit, new_run_id, open, shared_rows, show_blocks};
use crate::engine::effect::{BotFigures, before_and_after};
use crate::engine::fills::{name_markets, name_sides, newly_redeemed, unnamed_rows};
use crate::engine::rebook::{Rebooking, rebook};
use crate::engine::reconcile::{Reconciliation, reconcile};
use crate::engine::sizes::Sizes;
use crate::error::Error;
use crate::interrupt::{Interrupt, Limit};
use crate::output::json::failure;
use crate::output::log;
use crate::output::print::{after_writing, show};
use crate::rules::assignment::{are_logged_late, assign_shared};
use crate::rules::eligibility::{Reading, Row};
use crate::rules::fill::WalletSays;
use crate::rules::resolution::Resolutions;
use crate::rules::selection::{Named, RowError};
use crate::rules::settlement::Settlement;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::settings::{self, CommonArgs, ReadingArgs, ServiceArgs, WalletArgs};
use crate::sources::http::Client;
use crate::sources::polymarket::ResolutionSource;
use crate::sources::wallet::BEGINNING;
use crate::store::{NeverFilled, RunInfo, Store, WriteOutcome, Writes, record_in_force};
use chrono::{DateTime, Utc};
use clap::Args;

/// Trades that a warning names.
const IDS_NAMED: usize = 5;

/// What to compare, and whether to book it.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// Book the wallet's money: correct what differs, and take back the result of trades that were never
    /// filled; the old values are kept, and undo restores them
    #[arg(long)]
    pub apply: bool,

    /// Whose fills they are.
    #[command(flatten)]
    pub wallet: WalletArgs,

    /// Where the wallet and the resolutions come from.
    #[command(flatten)]
    pub services: ServiceArgs,

    /// How rows are read.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// What `reconcile` found and did.
#[derive(Default)]
pub(super) struct Report {
    /// The comparison; `None` if the wallet could not be read.
    pub found: Option<Reconciliation>,
    /// Why the wallet could not be read.
    pub unreadable: Option<String>,
    /// The id of the run that booked; `None` without `--apply`.
    pub run_id: Option<String>,
    /// Rows whose result `--apply` replaced.
    pub corrected: usize,
    /// Rows whose result `--apply` took back.
    pub emptied: usize,
    /// The right settlements of the rows that differ and can be booked.
    pub to_correct: Vec<Settlement>,
    /// The rows that were never filled.
    pub to_empty: Vec<NeverFilled>,
    /// Rows that differ and stay as they are, because their market is not resolved.
    pub left: Named,
    /// Rows that differ and stay as they are, because the user ignores them.
    pub ignored: Named,
    /// The figures that the bot reads from its table, before and after the booking; `None` if there is
    /// nothing to book.
    pub effect: Option<[BotFigures; 2]>,
    /// Rows that could not be written.
    pub errors: Vec<RowError>,
    /// What the size column holds.
    pub sizes: Option<Sizes>,
    /// Problems of the sources.
    pub warnings: Vec<String>,
    /// A signal stopped the writing.
    pub interrupted: bool,
}

impl Report {
    /// The number of rows written.
    pub fn applied(&self) -> usize {
        self.corrected + self.emptied
    }

    fn exit(&self) -> Exit {
        let Some(found) = &self.found else { return Exit::NothingHad };
        if self.interrupted {
            return Exit::Interrupted;
        }
        // what was booked does not differ any more
        let remain = found.trades.iter().filter(|trade| trade.differs).count() - self.applied();
        if remain > 0 || found.unattributed_beside_rows() > 0 {
            Exit::Alert
        } else if self.errors.is_empty() {
            Exit::Done
        } else {
            Exit::RowsInError
        }
    }
}

/// Compares, books with `--apply`, and prints.
///
/// # Errors
/// [`Error`]: nothing was written.
pub fn run(
    common: &CommonArgs,
    args: &ReconcileArgs,
    bots: &[Bot<'_, ReconcileArgs>],
    now: DateTime<Utc>,
) -> Result<Exit, Error> {
    let interrupt = Interrupt::listen(Exit::Interrupted.code())?;
    let picked: Vec<usize> = (0..bots.len()).filter(|index| !bots[*index].is_beside).collect();
    if let [index] = picked[..] {
        let bot = &bots[index];
        let report = compare(bots, index, now, &interrupt)?;
        log_problems(common, &report);
        let title = bot.heading();
        let shown =
            show(common.printing(), || json::json(&report, None), || output::text(&report, &title));
        return after_writing(shown, args.apply).map(|()| report.exit());
    }
    let mut claimed = Vec::new();
    let blocks = picked.into_iter().map(|index| {
        let bot = &bots[index];
        let mut report = compare(bots, index, now, &interrupt);
        if let Ok(Report { found: Some(found), .. }) = &mut report {
            leave_out_claimed(&mut found.unclaimed, bot, &mut claimed);
        }
        if let Ok(report) = &report {
            log_problems(common, report);
        }
        let of = bot.of_several();
        Block {
            exit: report.as_ref().map_or_else(Exit::of, Report::exit),
            json: match &report {
                Ok(report) => json::json(report, Some(&of)),
                Err(why) => failure("reconcile", Some(&of), Exit::of(why).code(), &why.to_string()),
            },
            text: match &report {
                Ok(report) => output::text(report, &bot.heading()),
                Err(why) => format!("{}: {why}\n", bot.title()),
            },
        }
    });
    let (exit, shown) = show_blocks(common.printing(), "reconcile", &blocks.collect::<Vec<_>>());
    after_writing(shown, args.apply).map(|()| exit)
}

/// Leaves out the winnings that the block of an earlier bot has, which shares the wallet: `claimed`. Adds the others
/// to it.
fn leave_out_claimed<'a>(
    unclaimed: &mut Vec<(String, Decimal)>,
    bot: &Bot<'a, ReconcileArgs>,
    claimed: &mut Vec<(&'a WalletArgs, String)>,
) {
    let wallet = &bot.args.wallet;
    let is_known = |market: &String| {
        claimed.iter().any(|(other, known)| known == market && wallet.shares_with(other))
    };
    unclaimed.retain(|(market, _)| !is_known(market));
    claimed.extend(unclaimed.iter().map(|(market, _)| (wallet, market.clone())));
}

fn log_problems(common: &CommonArgs, report: &Report) {
    if !common.printing().shows_text() {
        log::problems(&report.warnings);
    }
}

/// Compares the rows of the bot at `index` with its wallet, and books what differs with `--apply`.
fn compare(
    bots: &[Bot<'_, ReconcileArgs>],
    index: usize,
    now: DateTime<Utc>,
    interrupt: &Interrupt,
) -> Result<Report, Error> {
    let bot = &bots[index];
    let args = bot.args;
    let client = Arc::new(Client::new(Limit::at_signal(interrupt)));
    let wallet = settings::wallet(&args.wallet, &args.services, Arc::clone(&client))?;
    let mut wallet = wallet.ok_or(Error::NoWallet)?;
    let seconds = UnixSeconds::from(now);
    let (mut store, _lock) = open(&bot.database, bot.schema, args.apply, seconds)?;
    let shared = shared_rows(bots, index, |args| (&args.wallet, args.reading.timezone));
    let reading = settings::reading_settled(&args.reading);
    let mut report = Report::default();
    let read = shared.and_then(|shared| Ok((wallet.read(BEGINNING, seconds)?, shared)));
    match read {
        Err(why) => report.unreadable = Some(why),
        Ok(((mut history, warnings), mut shared)) => {
            report.warnings = warnings;
            let (mut polymarket, _) = settings::sources(&args.services, &client);
            let mut logged = store.wallet_rows(reading.zone)?;
            if are_logged_late(&logged) {
                report.warnings.push(
                    "most trades are logged after their market's close, so settle assigns no fill; check \
                     --timezone"
                        .to_owned(),
                );
            }
            let (mut known, mut problems) = (Resolutions::default(), Vec::new());
            let ids = store.market_ids()?;
            polymarket.know(&ids);
            let mut states = |keys: &[String]| {
                known.absorb(polymarket.find(keys));
                known.states(keys)
            };
            name_markets(&mut logged, &mut shared, &mut history, &ids, BEGINNING, &mut states);
            if let Some(why) = unnamed_rows(&shared, BEGINNING) {
                report.unreadable = Some(why);
                return Ok(report);
            }
            name_sides(&mut history, &logged, &mut states);
            let assignment = assign_shared(&logged, &shared, &history, seconds);
            let mut ask = |keys: &[String]| {
                let new = keys.iter().filter(|key| !known.answers.contains_key(*key));
                let new: Vec<String> = new.cloned().collect();
                if !new.is_empty() {
                    known.absorb(polymarket.find(&new));
                }
                problems.append(&mut known.problems);
                std::mem::take(&mut known)
            };
            let found = reconcile(&store, &logged, &history, assignment, reading, &mut ask)?;
            report.warnings.append(&mut problems);
            report.warnings.append(&mut known.problems);
            find_rebookings(&store, &found, reading, &mut report)?;
            if !report.to_correct.is_empty() || !report.to_empty.is_empty() {
                let results = store.results(reading)?;
                let effect = before_and_after(&results, &report.to_correct, &report.to_empty);
                report.effect = Some(effect);
            }
            if args.apply {
                let redeemed = newly_redeemed(&logged, &history, &store.redeemed()?);
                store.save_redeemed(&redeemed, seconds, interrupt)?;
                let name = args.wallet.name();
                apply(&mut store, &found, &mut report, &name, new_run_id(now), seconds, interrupt)?;
            }
            let sizes = found.sizes();
            report.sizes = Some(Sizes::of(&store, bot.schema, reading.size_unit, &sizes)?);
            report.found = Some(found);
        }
    }
    Ok(report)
}

/// Finds what is to be written for each row that differs. Ignored rows stay as they are.
fn find_rebookings(
    store: &Store,
    found: &Reconciliation,
    reading: Reading,
    report: &mut Report,
) -> Result<(), Error> {
    let ignored = store.ignored()?;
    let mut settled_again = Named::default();
    let is_ignored =
        |row: &Row| ignored.iter().any(|ignored| row.is(&ignored.trade_id, &ignored.market_slug));
    for trade in found.trades.iter().filter(|trade| trade.differs) {
        if is_ignored(&trade.row) {
            report.ignored.add(&trade.row.id);
            continue;
        }
        let records = store.records_of(&trade.row)?;
        let standing = record_in_force(&records);
        let is_again = standing.is_some_and(|record| !record.is_held_by(&trade.row));
        if is_again && !trade.row.is_win.is_empty() {
            settled_again.add(&trade.row.id);
        }
        match rebook(&records, trade.row.clone(), reading, &found.records, trade.resolution) {
            Some(Rebooking::Correct(right)) => report.to_correct.push(*right),
            Some(Rebooking::Empty(never)) => report.to_empty.push(*never),
            None => report.left.add(&trade.row.id),
        }
    }
    if settled_again.count > 0 {
        report.warnings.push(format!(
            "another program replaced what settle wrote to {} of these trades ({}): two settlers work on \
             this table; switch off the bot's own settling",
            settled_again.count,
            settled_again.ids(IDS_NAMED)
        ));
    }
    Ok(())
}

/// Books the wallet's money, and keeps what the wallet says, so that a later run knows it.
fn apply(
    store: &mut Store,
    found: &Reconciliation,
    report: &mut Report,
    wallet: &str,
    run_id: String,
    now: UnixSeconds,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    interrupt.hold();
    let known = store.wallet_records()?;
    let is_new = |rowid: &i64, says: WalletSays| {
        matches!(says, WalletSays::Filled(_) | WalletSays::NotFilled)
            && known.0.get(rowid).map(|record| record.says) != Some(says)
    };
    let booked = report.to_correct.iter().map(|right| right.trade.row.rowid);
    let booked: HashSet<i64> =
        booked.chain(report.to_empty.iter().map(|never| never.row.rowid)).collect();
    // a row that differs and stays as it is keeps the log's money
    let records: Vec<_> = found
        .trades
        .iter()
        .filter(|trade| !trade.differs || booked.contains(&trade.row.rowid))
        .filter_map(|trade| Some((trade.row.rowid, found.records.0.get(&trade.row.rowid)?.clone())))
        .filter(|(rowid, record)| is_new(rowid, record.says))
        .collect();
    store.save_wallet_records(&records, wallet, now, interrupt)?;
    let run = RunInfo::new(run_id, now, "reconcile");
    let corrected = store.write(&run, &report.to_correct, &[], interrupt);
    let emptied = match corrected.error {
        None => store.empty(&run, &report.to_empty, interrupt),
        Some(_) => Writes::default(),
    };
    let count =
        |done: &[WriteOutcome]| done.iter().filter(|done| **done == WriteOutcome::Written).count();
    (report.corrected, report.emptied) = (count(&corrected.done), count(&emptied.done));
    let ids = report.to_correct.iter().map(|right| &right.trade.row.id);
    let ids = ids.zip(&corrected.done);
    let more = report.to_empty.iter().map(|never| &never.row.id).zip(&emptied.done);
    for (id, done) in ids.chain(more) {
        let message = match done {
            WriteOutcome::Written => continue,
            WriteOutcome::Conflict => {
                "another program changed the row; settle left it alone; run settle reconcile again"
                    .to_owned()
            }
            WriteOutcome::Rejected(why) => format!("the database refuses the row: {why}"),
        };
        report.errors.push(RowError { trade_id: id.clone(), message });
    }
    report.interrupted = interrupt.asked();
    report.run_id = Some(run.run_id);
    match corrected.error.or(emptied.error) {
        Some(error) if report.applied() == 0 => Err(error),
        Some(error) => {
            let message = format!("settle did not write all: {error}; run settle reconcile again");
            report.errors.push(RowError { trade_id: Cell::Null, message });
            Ok(())
        }
        None => Ok(()),
    }
}
