//! One run, top to bottom: select the due trades, ask for prices and resolutions, decide, write, sum
//! up. Everything it touches comes in as an argument: the databases, the sources, the instant. How a
//! trade is decided stands in `decision`, how it is written in `store`.

mod confirm;
mod course;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::thread;

use crate::candles::Source;
use crate::candles::chain::{Found, Need, Prices};
use crate::cell::Cell;
use crate::decision::{Confirm, Decided, Deciding, Evidence, decide_trade};
use crate::error::Error;
use crate::http::Traffic;
use crate::interrupt::Interrupt;
use crate::polymarket::{Resolutions, Resolved, Verdict, market_slug};
use crate::selection::{Pick, Selection, Selector, Tally, Wants, wants};
use crate::store::{Store, Unconfirmed};
use crate::summary::{IN_ERROR, Summary};
use crate::trade::{Judged, Reading, judge};
use crate::trade_result::Observer;
use crate::units::UnixSeconds;

use confirm::confirm;
use course::{Course, Step, Stop};

/// Most trades of earlier runs that a run with a batch has confirmed.
const CONFIRMED_A_RUN: u32 = 1000;
/// And without one: they are held in memory. The next run does the next ones.
const CONFIRMED_AT_ALL: u32 = 20_000;
/// Trades that are read, decided and written at a time.
const CHUNK: usize = 1000;

/// One of the databases of a run.
pub struct Database<'a> {
    /// The database.
    pub store: &'a mut Store,
    /// What the log calls it, where there are several.
    pub name: Option<&'a str>,
    /// Is told what becomes of its trades.
    pub observer: &'a mut dyn Observer,
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
    /// A due trade older than this, in seconds, is an alert.
    pub alert_lag: i64,
    /// The instant of the run.
    pub now: UnixSeconds,
}

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

/// Reads every unsettled row, and those whose action is HOLD only to count them if `hold`, and
/// selects at most `batch` of the due ones (0: all).
///
/// # Errors
/// [`Error::Database`].
pub fn select(
    store: &Store,
    reading: Reading,
    batch: usize,
    hold: bool,
    now: UnixSeconds,
) -> Result<Selection, Error> {
    let retries = store.retries()?;
    let mut selector = Selector::new(reading, &retries, batch, now);
    store.unsettled_rows(hold, |row| selector.take(row))?;
    Ok(selector.finish())
}

/// What a run takes on in one database, and what it has to ask others for that.
struct Chosen {
    selection: Selection,
    unconfirmed: Vec<Unconfirmed>,
    /// The slugs of the batch, and those of what is to be confirmed.
    slugs: [Vec<String>; 2],
    needs: BTreeSet<Need>,
}

/// Selects a batch of one database and what is to be confirmed there.
fn choose(store: &Store, task: &Task<'_>) -> Result<Chosen, Error> {
    let Task { reading, deciding, batch, now, .. } = *task;
    let selection = select(store, reading, batch, false, now)?;
    let confirmed = if batch == 0 { CONFIRMED_AT_ALL } else { CONFIRMED_A_RUN };
    let unconfirmed = match deciding.confirm {
        Confirm::Off => vec![],
        _ => store.unconfirmed(now, confirmed)?,
    };
    let wanted = wanted(&selection);
    let slugs = match deciding.confirm {
        Confirm::Off => Default::default(),
        _ => slugs(&wanted, &unconfirmed),
    };
    let needs = match deciding.confirm {
        Confirm::Only => BTreeSet::new(),
        _ => wanted.iter().filter_map(|wants| wants.need).collect(),
    };
    Ok(Chosen { selection, unconfirmed, slugs, needs })
}

/// What the trades of the batch want, each once.
fn wanted(selection: &Selection) -> Vec<&Wants> {
    let places: BTreeSet<usize> = selection.batch.iter().map(|pick| pick.wants).collect();
    places.into_iter().map(|place| &selection.wants[place]).collect()
}

/// The slugs to ask Polymarket about: those of the batch, and those to confirm.
fn slugs(wanted: &[&Wants], unconfirmed: &[Unconfirmed]) -> [Vec<String>; 2] {
    let rows = unconfirmed.iter().filter_map(|unconfirmed| unconfirmed.row.as_ref());
    let earlier = rows.filter_map(|row| market_slug(row.market_slug.text()?));
    [wanted.iter().filter_map(|wants| wants.slug.clone()).collect(), earlier.collect()]
}

/// What Polymarket and the candle services answered.
struct Answers {
    resolved: Resolved,
    found: Found,
    traffic: BTreeMap<&'static str, Traffic>,
}

/// Asks for what any of these databases needs, each thing once.
fn ask(outside: &mut Outside<'_>, chosen: &[&Chosen], now: UnixSeconds) -> Answers {
    let needs = chosen.iter().flat_map(|chosen| chosen.needs.iter().copied()).collect();
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
    needs: &BTreeSet<Need>,
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
    let Chosen { selection, unconfirmed, .. } = chosen;
    let (unsettled_before, due_before) = (selection.unsettled(), selection.due.count);
    let slug_warning = selection.doubt_of_reading(task.reading.rules);
    let Answers { resolved, found, traffic } = answers;
    let mut course = Course::new(task, writing, database.name, database.observer);
    course.all = selection.batch.len() + unconfirmed.len();
    // in a total outage nothing is known of any trade, so nothing is noted of any
    course.notes_deferrals = found.answered
        || !resolved.verdicts.is_empty()
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
    let (again, warnings) = confirm(unconfirmed, resolved, task.reading, database.name);
    if course.stopped.is_none() {
        course.go_on(database.store, again)?;
    }

    let answered = task.deciding.confirm == Confirm::Only && !resolved.verdicts.is_empty();
    let nothing_had = course.deferred && !course.proved && !answered && found.prices.is_empty();
    course.left.insert("waiting for a retry", selection.waiting);
    course.left.insert("beyond this batch", selection.beyond_batch);
    let mut due_after = Tally::default();
    course.left.values().for_each(|tally| due_after.add_all(*tally));
    let overdue = |(_, tally): &(&str, Tally)| {
        tally.oldest.is_some_and(|oldest| task.now.since(oldest) > task.alert_lag)
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
        slug_warning,
        warnings,
        troubles: [&resolved.troubles[..], &found.troubles].concat(),
        traffic: traffic.clone(),
    };
    database.observer.summed_up(&summary);
    Ok(summary)
}

/// Reads the rows of these trades, judges them again as they stand now, and decides them.
fn judge_and_decide(
    store: &mut Store,
    picks: &[Pick],
    wanted: &[Wants],
    answers: &Answers,
    task: &Task<'_>,
) -> Result<Step, Error> {
    let Task { reading, deciding, now, .. } = *task;
    let Answers { resolved, found, .. } = answers;
    let mut step = Step::default();
    let no_such_market = Verdict::no_such_market();
    for (pick, row) in picks.iter().zip(store.rows_at(picks.iter().map(|pick| pick.rowid))?) {
        let wanted = &wanted[pick.wants];
        let judged = row.filter(|row| row.is_win == Cell::Null).map(|row| judge(row, reading, now));
        let trade = match judged {
            Some(Judged::Due(trade)) if wants(&trade, reading.strike) == *wanted => *trade,
            _ => {
                step.changed.extend(store.rows_at([pick.rowid])?);
                continue;
            }
        };
        let evidence = Evidence {
            prices: wanted.need.and_then(|need| found.prices.get(&need)),
            price_failed: found.failed,
            verdict: match &wanted.slug {
                Some(slug) => resolved.verdicts.get(slug),
                None => Some(&no_such_market),
            },
        };
        match decide_trade(trade, evidence, reading.strike, deciding, now) {
            Decided::Booking(booking) => step.bookings.push(*booking),
            Decided::Deferral(deferral) => step.deferrals.push(*deferral),
        }
    }
    Ok(step)
}
