//! One run, top to bottom: select the due trades, ask for prices and resolutions, decide, write, sum
//! up. Everything it touches comes in as an argument: the databases, the sources, the instant. How a
//! trade is decided stands in `decision`, how it is written in `store`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::thread;

use crate::engine::summary::Event;
use crate::engine::summary::{IN_ERROR, Summary};
use crate::error::Error;
use crate::rules::decision::{Confirm, Decided, Evidence, decide_trade};
use crate::rules::eligibility::{Job, Judged, Reading, judge, judge_again};
use crate::rules::price::Source;
use crate::rules::price::{Needs, Strikes};
use crate::rules::resolution::{Resolved, Verdict};
use crate::rules::selection::{
    Pick, Selection, Selector, Tally, Wants, Warning, dated_slug, slug, wants,
};
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::sources::candles::fallback::Found;
use crate::sources::http::Traffic;
use crate::store::{Store, Unconfirmed};

use crate::engine::apply::{Course, Step, Stop};
use crate::engine::confirm::confirm;
use crate::engine::context::{Database, Outside, Task, Writing};

/// Most trades of earlier runs that a run with a batch has confirmed.
const CONFIRMED_A_RUN: u32 = 1000;
/// And without one: they are held in memory. The next run does the next ones.
const CONFIRMED_AT_ALL: u32 = 20_000;
/// Trades that are read, decided and written at a time.
const CHUNK: usize = 1000;

/// Settles one batch in each database, and confirms what earlier runs settled by candles; without
/// `writing`, only says what it would do. What any of the databases needs is asked for once, and what
/// stops one of them does not stop the others.
///
/// # Errors
/// Of each database, [`Error::Database`]: then nothing was written there.
pub fn settle(
    databases: &mut [Database<'_>],
    outside: &mut Outside<'_>,
    task: &Task<'_>,
    writing: Option<Writing<'_>>,
) -> Vec<Result<Summary, Error>> {
    let chosen: Vec<_> = databases.iter().map(|database| choose(database.store, task)).collect();
    let answers = ask(outside, &chosen.iter().flatten().collect::<Vec<_>>(), task.now);
    let settle = |(database, chosen): (&mut Database<'_>, Result<Chosen, Error>)| {
        carry_out(database, chosen?, &answers, task, writing)
    };
    databases.iter_mut().zip(chosen).map(settle).collect()
}

/// Reads every unsettled row, and selects at most `batch` of the due ones (0: all). `counts_hold` is
/// [`Store::unsettled_rows`]' own.
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

/// What a run takes on in one database, and what it has to ask others for that.
struct Chosen {
    selection: Selection,
    unconfirmed: Vec<Unconfirmed>,
    /// The slugs of the batch, and those of what is to be confirmed.
    slugs: [Vec<String>; 2],
    needs: Needs,
    /// Provisional trades that are not confirmed in time, and that this run does not ask about.
    late: Tally,
}

/// Selects a batch of one database and what is to be confirmed there.
fn choose(store: &Store, task: &Task<'_>) -> Result<Chosen, Error> {
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
        Confirm::Only => Needs::new(),
        _ => wanted.iter().filter_map(|(wants, strikes)| Some((wants.need?, *strikes))).collect(),
    };
    Ok(Chosen { selection, unconfirmed, slugs, needs, late })
}

/// What the trades of the batch want, each once.
fn wanted(selection: &Selection) -> Vec<&(Wants, Option<Strikes>)> {
    let places: BTreeSet<usize> = selection.batch.iter().map(|pick| pick.wants).collect();
    places.into_iter().map(|place| &selection.wants[place]).collect()
}

/// The slugs to ask Polymarket about: those of the batch, and those to confirm. Of a slug that leaves the
/// year out, the form with the year is among them.
fn slugs(
    wanted: &[&(Wants, Option<Strikes>)],
    unconfirmed: &[Unconfirmed],
    reading: Reading,
) -> [Vec<String>; 2] {
    let batch = wanted.iter().flat_map(|(wants, _)| [&wants.slug, &wants.dated_slug]);
    let rows = unconfirmed.iter().filter_map(|unconfirmed| unconfirmed.row.clone());
    let trades = rows.filter_map(|row| judge_again(row, reading).ok());
    let earlier = trades.flat_map(|trade| [slug(&trade), dated_slug(&trade)]);
    [batch.flatten().cloned().collect(), earlier.flatten().collect()]
}

/// What Polymarket and the candle services answered.
struct Answers {
    resolved: Resolved,
    found: Found,
    traffic: BTreeMap<&'static str, Traffic>,
}

/// Asks for what any of these databases needs, each thing once.
fn ask(outside: &mut Outside<'_>, chosen: &[&Chosen], now: UnixSeconds) -> Answers {
    let mut needs = Needs::new();
    for (need, strikes) in chosen.iter().flat_map(|chosen| &chosen.needs) {
        let all = needs.entry(*need).or_default();
        for strike in strikes.iter().flat_map(|strikes| [strikes.least, strikes.greatest]) {
            *all = Some(Strikes::with(*all, strike));
        }
    }
    let mut seen = HashSet::new();
    // what is to be settled comes before what is to be confirmed
    let slugs = [0, 1].into_iter().flat_map(|turn| chosen.iter().map(move |c| &c.slugs[turn]));
    let slugs: Vec<String> =
        slugs.flatten().filter(|slug| seen.insert(slug.as_str())).cloned().collect();
    let (resolved, found) = fetch(outside, &slugs, &needs, now);
    let services = outside.prices.traffic().into_iter();
    let services = services.filter(|(source, _)| *source != Source::Candles);
    let traffic = services
        .map(|(source, traffic)| (source.as_str(), traffic))
        .chain([("polymarket", outside.resolutions.traffic())])
        .collect();
    Answers { resolved, found, traffic }
}

/// Asks Polymarket and the candle services side by side, and nobody about nothing.
fn fetch(
    outside: &mut Outside<'_>,
    slugs: &[String],
    needs: &Needs,
    now: UnixSeconds,
) -> (Resolved, Found) {
    let Outside { prices, resolutions } = outside;
    match (slugs.is_empty(), needs.is_empty()) {
        (true, true) => (Resolved::default(), Found::default()),
        (true, false) => (Resolved::default(), prices.find(needs, now)),
        (false, true) => (resolutions.find(slugs), Found::default()),
        (false, false) => thread::scope(|scope| {
            let resolved = scope.spawn(|| resolutions.find(slugs));
            let found = prices.find(needs, now);
            // a panic there is as if it had not been asked
            (resolved.join().unwrap_or_default(), found)
        }),
    }
}

/// Decides what was chosen in one database by the answers, writes it with `writing`, and sums up.
fn carry_out(
    database: &mut Database<'_>,
    chosen: Chosen,
    answers: &Answers,
    task: &Task<'_>,
    writing: Option<Writing<'_>>,
) -> Result<Summary, Error> {
    let Chosen { selection, unconfirmed, mut late, .. } = chosen;
    let (unsettled_before, due_before) = (selection.unsettled(), selection.due.count);
    let mut warnings = selection.warnings(task.reading.rules);
    let Answers { resolved, found, traffic } = answers;
    let mut course = Course::new(task, writing, database.name, database.report);
    course.all = selection.batch.len() + unconfirmed.len();
    // in a total outage nothing is known of any trade, so nothing is noted of any
    course.notes_deferrals = found.answered
        || !resolved.answers.is_empty()
        || (found.troubles.is_empty() && resolved.troubles.is_empty());
    course.left.insert(IN_ERROR, selection.in_error);
    course.errors = selection.errors;
    let mut rest = selection.batch.as_slice();
    while !rest.is_empty() && course.stopped.is_none() {
        let (picks, behind) = rest.split_at(CHUNK.min(rest.len()));
        match judge_and_decide(database.store, picks, &selection.wants, answers, task) {
            Ok(decided) => {
                rest = behind;
                course.go_on(database.store, decided)?;
            }
            Err(error) if course.wrote => course.stopped = Some(Stop::Failed(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    course.leave(rest);
    let again = confirm(unconfirmed, resolved, task, &mut late, database.name);
    if course.stopped.is_none() {
        course.go_on(database.store, again)?;
    }
    warnings.append(&mut course.warnings);

    let answered = task.deciding.confirm == Confirm::Only && !resolved.answers.is_empty();
    let nothing_had = course.deferred && !course.had_some && !answered;
    course.left.insert("waiting for a retry", selection.waiting);
    course.left.insert("beyond this batch", selection.beyond_batch);
    let mut due_after = Tally::default();
    course.left.values().for_each(|tally| due_after.add_all(*tally));
    let overdue = |(_, tally): &(&str, Tally)| {
        tally.oldest.is_some_and(|oldest| task.now.since(oldest) > task.lags.due)
    };
    let summary = Summary {
        run_id: writing.map(|writing| writing.run_id.to_owned()),
        now: task.now,
        counts: course.counts,
        errors: course.errors,
        unsettled_before,
        due_before,
        due_after,
        overdue: course.left.into_iter().filter(overdue).collect(),
        nothing_had,
        interrupted: writing.is_some_and(|writing| writing.interrupt.asked()),
        excluded: selection.excluded,
        unconfirmed_late: late,
        warnings,
        troubles: [&resolved.troubles[..], &found.troubles].concat(),
        traffic: traffic.clone(),
    };
    (database.report)(Event::SummedUp(&summary));
    Ok(summary)
}

/// Reads the rows of these trades, judges them again as they stand now, and decides them.
fn judge_and_decide(
    store: &mut Store,
    picks: &[Pick],
    wanted: &[(Wants, Option<Strikes>)],
    answers: &Answers,
    task: &Task<'_>,
) -> Result<Step, Error> {
    let Task { reading, deciding, now, .. } = *task;
    let Answers { resolved, found, .. } = answers;
    let mut step = Step::default();
    for (pick, row) in picks.iter().zip(store.rows_at(picks.iter().map(|pick| pick.rowid))?) {
        let (wanted, _) = &wanted[pick.wants];
        let judged = row.filter(|row| row.is_win == Cell::Null).map(|row| judge(row, reading, now));
        let trade = match judged {
            Some(Judged::Due(trade)) if wants(&trade, reading.strike) == *wanted => *trade,
            _ => {
                step.changed.extend(store.rows_at([pick.rowid])?);
                continue;
            }
        };
        let verdict = match (&wanted.slug, &trade.job) {
            (Some(slug), Job::Decide(bet)) => resolved.verdict(slug, &bet.market),
            _ => Some(Verdict::no_such_market()),
        };
        if let Some(Verdict::OtherYear(why)) = &verdict {
            step.warnings.push(Warning {
                code: "other_year",
                message: format!("trade {}: {why}", trade.row.id),
            });
        }
        let prices = wanted.need.and_then(|need| found.prices.get(&need));
        let evidence = Evidence {
            prices: prices.map_or(&[], Vec::as_slice),
            price_failed: found.failed,
            verdict: verdict.as_ref(),
        };
        match decide_trade(trade, evidence, reading.strike, deciding, now) {
            Decided::Booking(booking) => step.bookings.push(*booking),
            Decided::Deferral(deferral) => step.deferrals.push(*deferral),
        }
    }
    Ok(step)
}
