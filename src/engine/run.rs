//! One run, top to bottom: select due trades, ask for prices and resolutions, decide, write, sum
//! up. Databases, sources and the time are arguments. `rules::decision` decides a trade; `store`
//! writes it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::thread;

use crate::engine::summary::Event;
use crate::engine::summary::{IN_ERROR, Summary};
use crate::error::Error;
use crate::rules::decision::{Confirm, Decision, MarketData, decide_trade};
use crate::rules::eligibility::{Eligibility, Job, Reading, judge, judge_again};
use crate::rules::price::Source;
use crate::rules::price::{PriceRequests, Strikes};
use crate::rules::resolution::{Resolution, Resolutions};
use crate::rules::selection::{
    Pick, Selection, Selector, Tally, TradeRequest, Warning, dated_slug, slug, wants,
};
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::sources::candles::fallback::Found;
use crate::sources::http::RequestStats;
use crate::store::{Store, Unconfirmed};

use crate::engine::apply::{Batch, RunState, Stop};
use crate::engine::confirm::confirm;
use crate::engine::context::{Database, Outside, RunContext, Task};

/// Most provisional trades that a run with a batch limit confirms.
const CONFIRMED_A_RUN: u32 = 1000;
/// The same without a batch limit, as memory holds all of them. The next run continues.
const CONFIRMED_AT_ALL: u32 = 20_000;
/// Trades read, decided and written per batch.
const CHUNK: usize = 1000;

/// Settles one batch per database and confirms provisional trades of earlier runs. Without
/// `writing` this is a dry run. Databases share requests. An error in one does not stop the others.
///
/// # Errors
/// Per database: [`Error::Database`], if the run wrote nothing there.
pub fn settle(
    databases: &mut [Database<'_>],
    outside: &mut Outside<'_>,
    task: &Task<'_>,
    context: Option<RunContext<'_>>,
) -> Vec<Result<Summary, Error>> {
    let plans: Vec<_> = databases.iter().map(|database| plan(database.store, task)).collect();
    let answers = ask(outside, &plans.iter().flatten().collect::<Vec<_>>(), task.now);
    let settle = |(database, plan): (&mut Database<'_>, Result<Plan, Error>)| {
        carry_out(database, plan?, &answers, task, context)
    };
    databases.iter_mut().zip(plans).map(settle).collect()
}

/// Reads every unsettled row and selects at most `batch` due trades (0: all). See
/// [`Store::unsettled_rows`] for `counts_hold`.
///
/// # Errors
/// [`Error::Database`].
pub fn select(
    store: &Store,
    reading: Reading,
    batch: usize,
    counts_hold: bool,
    now: UnixSeconds,
) -> Result<Selection, Error> {
    let retries = store.retries()?;
    let mut selector = Selector::new(reading, &retries, batch, now);
    let passed_over = store.unsettled_rows(counts_hold, |row| selector.take(row))?;
    Ok(selector.finish(passed_over))
}

/// One database's share of a run, and what it needs from the sources.
struct Plan {
    selection: Selection,
    unconfirmed: Vec<Unconfirmed>,
    /// Slugs of the batch, then slugs to confirm.
    slugs: [Vec<String>; 2],
    needs: PriceRequests,
    /// Provisional trades past the confirm lag that this run does not ask about.
    late: Tally,
}

fn plan(store: &Store, task: &Task<'_>) -> Result<Plan, Error> {
    let Task { reading, deciding, batch, lags, now } = *task;
    let selection = select(store, reading, batch, false, now)?;
    let confirmed = if batch == 0 { CONFIRMED_AT_ALL } else { CONFIRMED_A_RUN };
    let unconfirmed = match deciding.confirm {
        Confirm::Off => vec![],
        _ => store.unconfirmed(now, confirmed)?,
    };
    let late = match deciding.confirm {
        Confirm::Off => Tally::default(),
        _ => store.not_asked_yet(now, now.plus(-lags.confirm))?,
    };
    let wanted = wanted(&selection);
    let slugs = match deciding.confirm {
        Confirm::Off => Default::default(),
        _ => slugs(&wanted, &unconfirmed, reading),
    };
    let needs = match deciding.confirm {
        Confirm::Only => PriceRequests::new(),
        _ => wanted.iter().filter_map(|(wants, strikes)| Some((wants.need?, *strikes))).collect(),
    };
    Ok(Plan { selection, unconfirmed, slugs, needs, late })
}

/// What the batch needs, without duplicates.
fn wanted(selection: &Selection) -> Vec<&(TradeRequest, Option<Strikes>)> {
    let places: BTreeSet<usize> = selection.batch.iter().map(|pick| pick.wants).collect();
    places.into_iter().map(|place| &selection.wants[place]).collect()
}

/// Slugs to ask Polymarket about: those of the batch and those to confirm. A slug without a year
/// also appears in its form with the year.
fn slugs(
    wanted: &[&(TradeRequest, Option<Strikes>)],
    unconfirmed: &[Unconfirmed],
    reading: Reading,
) -> [Vec<String>; 2] {
    let batch = wanted.iter().flat_map(|(wants, _)| [&wants.slug, &wants.dated_slug]);
    let rows = unconfirmed.iter().filter_map(|unconfirmed| unconfirmed.row.clone());
    let trades = rows.filter_map(|row| judge_again(row, reading).ok());
    let earlier = trades.flat_map(|trade| [slug(&trade), dated_slug(&trade)]);
    [batch.flatten().cloned().collect(), earlier.flatten().collect()]
}

struct Answers {
    resolved: Resolutions,
    found: Found,
    stats: BTreeMap<&'static str, RequestStats>,
}

/// Asks once for everything that these databases need.
fn ask(outside: &mut Outside<'_>, plans: &[&Plan], now: UnixSeconds) -> Answers {
    let mut needs = PriceRequests::new();
    for (need, strikes) in plans.iter().flat_map(|plan| &plan.needs) {
        let all = needs.entry(*need).or_default();
        for strike in strikes.iter().flat_map(|strikes| [strikes.least, strikes.greatest]) {
            *all = Some(Strikes::with(*all, strike));
        }
    }
    let mut seen = HashSet::new();
    // slugs to settle come before slugs to confirm
    let slugs = [0, 1].into_iter().flat_map(|turn| plans.iter().map(move |plan| &plan.slugs[turn]));
    let slugs: Vec<String> =
        slugs.flatten().filter(|slug| seen.insert(slug.as_str())).cloned().collect();
    let (resolved, found) = fetch(outside, &slugs, &needs, now);
    let services = outside.prices.stats().into_iter();
    let services = services.filter(|(source, _)| *source != Source::Candles);
    let stats = services
        .map(|(source, stats)| (source.as_str(), stats))
        .chain([("polymarket", outside.resolutions.stats())])
        .collect();
    Answers { resolved, found, stats }
}

/// Asks Polymarket and the candle services in parallel. Skips a service with nothing to ask.
fn fetch(
    outside: &mut Outside<'_>,
    slugs: &[String],
    needs: &PriceRequests,
    now: UnixSeconds,
) -> (Resolutions, Found) {
    let Outside { prices, resolutions } = outside;
    match (slugs.is_empty(), needs.is_empty()) {
        (true, true) => (Resolutions::default(), Found::default()),
        (true, false) => (Resolutions::default(), prices.find(needs, now)),
        (false, true) => (resolutions.find(slugs), Found::default()),
        (false, false) => thread::scope(|scope| {
            let resolved = scope.spawn(|| resolutions.find(slugs));
            let found = prices.find(needs, now);
            // a panic in the thread counts as not asked
            (resolved.join().unwrap_or_default(), found)
        }),
    }
}

/// Decides and writes the trades of one database, and sums up.
fn carry_out(
    database: &mut Database<'_>,
    plan: Plan,
    answers: &Answers,
    task: &Task<'_>,
    context: Option<RunContext<'_>>,
) -> Result<Summary, Error> {
    let Plan { selection, unconfirmed, mut late, .. } = plan;
    let (unsettled_before, due_before) = (selection.unsettled(), selection.due.count);
    let mut warnings = selection.warnings(task.reading.rules);
    let Answers { resolved, found, stats } = answers;
    let mut state = RunState::new(task, context, database.name, database.report);
    state.all = selection.batch.len() + unconfirmed.len();
    // in a total outage no trade was checked, so no deferral is noted
    state.notes_deferrals = found.answered
        || !resolved.answers.is_empty()
        || (found.problems.is_empty() && resolved.problems.is_empty());
    state.left.insert(IN_ERROR, selection.in_error);
    state.errors = selection.errors;
    let mut rest = selection.batch.as_slice();
    while !rest.is_empty() && state.stopped.is_none() {
        let (picks, behind) = rest.split_at(CHUNK.min(rest.len()));
        match judge_and_decide(database.store, picks, &selection.wants, answers, task) {
            Ok(decided) => {
                rest = behind;
                state.go_on(database.store, decided)?;
            }
            Err(error) if state.wrote => state.stopped = Some(Stop::Failed(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    state.leave(rest);
    let again = confirm(unconfirmed, resolved, task, &mut late, database.name);
    if state.stopped.is_none() {
        state.go_on(database.store, again)?;
    }
    warnings.append(&mut state.warnings);

    let answered = task.deciding.confirm == Confirm::Only && !resolved.answers.is_empty();
    let nothing_had = state.deferred && !state.had_some && !answered;
    state.left.insert("waiting for a retry", selection.waiting);
    state.left.insert("beyond this batch", selection.beyond_batch);
    let mut due_after = Tally::default();
    state.left.values().for_each(|tally| due_after.add_all(*tally));
    let overdue = |(_, tally): &(&str, Tally)| {
        tally.oldest.is_some_and(|oldest| task.now.since(oldest) > task.lags.due)
    };
    let summary = Summary {
        run_id: context.map(|context| context.run_id.to_owned()),
        now: task.now,
        counts: state.counts,
        errors: state.errors,
        unsettled_before,
        due_before,
        due_after,
        overdue: state.left.into_iter().filter(overdue).collect(),
        nothing_had,
        interrupted: context.is_some_and(|context| context.interrupt.asked()),
        excluded: selection.excluded,
        unconfirmed_late: late,
        warnings,
        problems: [&resolved.problems[..], &found.problems].concat(),
        stats: stats.clone(),
    };
    (database.report)(Event::SummedUp(&summary));
    Ok(summary)
}

/// Reads the rows again, as another program may have changed them, and decides them.
fn judge_and_decide(
    store: &mut Store,
    picks: &[Pick],
    wanted: &[(TradeRequest, Option<Strikes>)],
    answers: &Answers,
    task: &Task<'_>,
) -> Result<Batch, Error> {
    let Task { reading, deciding, now, .. } = *task;
    let Answers { resolved, found, .. } = answers;
    let mut batch = Batch::default();
    for (pick, row) in picks.iter().zip(store.rows_at(picks.iter().map(|pick| pick.rowid))?) {
        let (wanted, _) = &wanted[pick.wants];
        let judged = row.filter(|row| row.is_win == Cell::Null).map(|row| judge(row, reading, now));
        let trade = match judged {
            Some(Eligibility::Due(trade)) if wants(&trade, reading.strike) == *wanted => *trade,
            _ => {
                batch.changed.extend(store.rows_at([pick.rowid])?);
                continue;
            }
        };
        let resolution = match (&wanted.slug, &trade.job) {
            (Some(slug), Job::Decide(bet)) => resolved.resolution(slug, &bet.market),
            _ => Some(Resolution::no_such_market()),
        };
        if let Some(Resolution::OtherYear(why)) = &resolution {
            batch.warnings.push(Warning {
                code: "other_year",
                message: format!("trade {}: {why}", trade.row.id),
            });
        }
        let prices = wanted.need.and_then(|need| found.prices.get(&need));
        let data = MarketData {
            prices: prices.map_or(&[], Vec::as_slice),
            price_failed: found.failed,
            resolution: resolution.as_ref(),
        };
        match decide_trade(trade, data, reading.strike, deciding, now) {
            Decision::Settle(settlement) => batch.settlements.push(*settlement),
            Decision::Defer(deferral) => batch.deferrals.push(*deferral),
        }
    }
    Ok(batch)
}
