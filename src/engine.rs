//! One run, top to bottom: select the due trades, find prices, decide, book, sum up. Everything it
//! touches comes in as an argument: the database, the prices, the instant.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::thread;

use log::{info, warn};

use crate::candles::chain::{Found, Need, Prices};
use crate::candles::{PriceAt, Source};
use crate::decision::{
    Booking, Confirm, Decided, Deciding, Deferral, DeferredFor, Evidence, confirm_trade,
    decide_trade,
};
use crate::error::Error;
use crate::http::Traffic;
use crate::interrupt::Interrupt;
use crate::market::{Basis, RuleSet};
use crate::polymarket::{Resolutions, Resolved, Verdict, market_slug};
use crate::selection::{Pick, RowError, Selection, Selector, Tally, Wants};
use crate::store::{Note, RowWrite, RunInfo, Store, Unconfirmed};
use crate::strike::Strike;
use crate::summary::{self, Counts, IN_ERROR, INTERRUPTED, Observer, Summary, TradeResult};
use crate::timestamp::NaiveZone;
use crate::trade::{Cell, Job, Judged, Row, Terms, Trade, judge, judge_again};
use crate::units::UnixSeconds;

/// Most trades of earlier runs that a run with a batch has confirmed.
const CONFIRMED_A_RUN: u32 = 1000;
/// And without one: they are held in memory. The next run does the next ones.
const CONFIRMED_AT_ALL: u32 = 20_000;
/// Trades that are read, decided and written at a time.
const CHUNK: usize = 1000;

/// How rows are judged; the same for `run`, `dry-run` and `status`.
#[derive(Debug, Clone, Copy)]
pub struct Judging {
    /// The zone of naive timestamps.
    pub zone: NaiveZone,
    /// How slugs are read.
    pub rules: RuleSet,
    /// What the strike is; where it is the recorded one, a row without it is in error.
    pub strike: Strike,
    /// A due trade older than this, in seconds, is an alert.
    pub alert_lag: i64,
}

impl Judging {
    /// The terms on which a settled row is read again: its strike is not needed any more.
    pub(crate) fn lenient_terms(&self, now: UnixSeconds) -> Terms {
        Terms { needs_recorded_strike: false, ..self.terms(now) }
    }

    /// The terms on which rows are judged as of `now`.
    pub(crate) fn terms(&self, now: UnixSeconds) -> Terms {
        Terms {
            now,
            zone: self.zone,
            rules: self.rules,
            needs_recorded_strike: self.strike == Strike::Recorded,
        }
    }
}

/// Reads every unsettled row, and those whose action is HOLD only to count them if `hold`, and
/// selects at most `batch` of the due ones (0: all).
///
/// # Errors
/// [`Error::Database`].
pub fn select(
    store: &Store,
    judging: &Judging,
    batch: usize,
    hold: bool,
    now: UnixSeconds,
) -> Result<Selection, Error> {
    let retries = store.retries()?;
    let wants = |trade: &Trade| wants(trade, judging.strike);
    let mut selector = Selector::new(judging.terms(now), &retries, batch, &wants);
    store.unsettled_rows(hold, |row| selector.take(row))?;
    Ok(selector.finish())
}

/// Where what is not in the database comes from.
pub struct Outside<'a> {
    /// Historical prices.
    pub prices: &'a mut dyn Prices,
    /// Polymarket's resolutions.
    pub resolutions: &'a mut dyn Resolutions,
}

/// Where a run writes; a dry run has none.
pub struct Writing<'a> {
    /// The run's id.
    pub run_id: String,
    /// How long a trade whose price or resolution is not there waits after its second failure, in
    /// seconds.
    pub retry_wait: i64,
    /// Asked between two transactions whether to stop.
    pub interrupt: &'a Interrupt,
}

/// What is to be done, on which terms, as of when.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// How rows are judged.
    pub judging: &'a Judging,
    /// How trades are decided.
    pub deciding: &'a Deciding,
    /// At most so many trades (0: all).
    pub batch: usize,
    /// The instant of the run.
    pub now: UnixSeconds,
    /// What the log calls the database, where there are several.
    pub name: Option<&'a str>,
}

/// Settles one batch, and confirms what earlier runs settled by candles; without `writing`, only
/// says what it would do.
///
/// # Errors
/// [`Error::Database`]: then nothing was written.
pub fn settle(
    store: &mut Store,
    mut sources: Outside<'_>,
    task: &Task<'_>,
    writing: Option<Writing<'_>>,
    observer: &mut dyn Observer,
) -> Result<Summary, Error> {
    let chosen = choose(store, task)?;
    let known = ask(&mut sources, &[&chosen], task.now);
    carry_out(store, chosen, &known, task, writing, observer)
}

/// What a run takes on in one database, and what it has to ask others for that.
pub struct Chosen {
    selection: Selection,
    unconfirmed: Vec<Unconfirmed>,
    /// The slugs of the batch, and those of what is to be confirmed.
    slugs: [Vec<String>; 2],
    needs: BTreeSet<Need>,
}

/// What Polymarket and the candle services answered.
#[derive(Default)]
pub struct Answers {
    resolved: Resolved,
    found: Found,
    traffic: BTreeMap<&'static str, Traffic>,
}

/// Selects a batch of one database and what is to be confirmed there.
///
/// # Errors
/// [`Error::Database`].
pub fn choose(store: &Store, task: &Task<'_>) -> Result<Chosen, Error> {
    let Task { judging, deciding, now, .. } = *task;
    let selection = select(store, judging, task.batch, false, now)?;
    let confirmed = if task.batch == 0 { CONFIRMED_AT_ALL } else { CONFIRMED_A_RUN };
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

/// Asks for what any of these databases needs, each thing once.
pub fn ask(sources: &mut Outside<'_>, chosen: &[&Chosen], now: UnixSeconds) -> Answers {
    let needs = chosen.iter().flat_map(|chosen| chosen.needs.iter().copied()).collect();
    let mut seen = HashSet::new();
    // what is to be settled comes before what is to be confirmed
    let slugs = [0, 1].into_iter().flat_map(|turn| chosen.iter().map(move |c| &c.slugs[turn]));
    let slugs: Vec<String> =
        slugs.flatten().filter(|slug| seen.insert(slug.as_str())).cloned().collect();
    let (resolved, found) = fetch(sources, &slugs, &needs, now);
    let services = sources.prices.traffic().into_iter();
    let services = services.filter(|(source, _)| *source != Source::Candles);
    let traffic = services
        .map(|(source, traffic)| (source.as_str(), traffic))
        .chain([("polymarket", sources.resolutions.traffic())])
        .collect();
    Answers { resolved, found, traffic }
}

/// Decides what was chosen by what is known and, with `writing`, writes it.
///
/// # Errors
/// [`Error::Database`]: then nothing was written.
pub fn carry_out(
    store: &mut Store,
    chosen: Chosen,
    known: &Answers,
    task: &Task<'_>,
    writing: Option<Writing<'_>>,
    observer: &mut dyn Observer,
) -> Result<Summary, Error> {
    let Task { judging, deciding, now, .. } = *task;
    let Chosen { selection, unconfirmed, .. } = chosen;
    let Answers { resolved, found, traffic } = known;
    let unsettled_before = selection.unsettled();
    let doubt = selection.doubt_of_reading(judging.rules);
    let run_id = writing.as_ref().map(|writing| writing.run_id.clone());
    let mut course = Course {
        all: selection.batch.len() + unconfirmed.len(),
        // in a total outage nothing is known of any trade, so nothing is noted of any
        notes_failures: found.answered
            || !resolved.verdicts.is_empty()
            || (found.troubles.is_empty() && resolved.troubles.is_empty()),
        desk: writing.map(|writing| Desk::new(writing, judging, deciding, now)),
        ended: Counts::default(),
        errors: selection.errors,
        left: BTreeMap::from([(IN_ERROR, selection.in_error)]),
        failed: false,
        proved: false,
        wrote: false,
        stopped: None,
        done: 0,
        name: task.name,
        observer,
    };
    let knowledge = Knowledge { wants: &selection.wants, resolved, found };
    let mut rest = selection.batch.as_slice();
    while !rest.is_empty() && course.stopped.is_none() {
        let (picks, behind) = rest.split_at(CHUNK.min(rest.len()));
        match decide_some(store, picks, &knowledge, task) {
            Ok(decided) => {
                rest = behind;
                course.go_on(store, decided)?;
            }
            Err(error) if course.wrote => course.stopped = Some(Stop::Failed(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    course.leave(rest);
    let again = confirm(unconfirmed, resolved, judging, now);
    if course.stopped.is_none() {
        let (bookings, notes) = (again.bookings, again.notes);
        course.go_on(store, Step { bookings, notes, ..Step::default() })?;
    }

    let answered = deciding.confirm == Confirm::Only && !resolved.verdicts.is_empty();
    let nothing_had = course.failed && !course.proved && !answered && found.prices.is_empty();
    let left = [
        course.left,
        BTreeMap::from([
            ("waiting for a retry", selection.waiting),
            ("beyond this batch", selection.beyond_batch),
        ]),
    ];
    let mut due_after = Tally::default();
    left.iter().flat_map(BTreeMap::values).for_each(|tally| due_after.add_all(*tally));
    let overdue = |(_, tally): &(&str, Tally)| {
        tally.oldest.is_some_and(|oldest| now.since(oldest) > judging.alert_lag)
    };
    let summary = Summary {
        run_id,
        now,
        ended: course.ended,
        errors: course.errors,
        unsettled_before,
        due_before: selection.due.count,
        due_after,
        overdue: left.into_iter().flatten().filter(overdue).collect(),
        nothing_had,
        interrupted: course.desk.is_some_and(|desk| desk.interrupt.asked()),
        doubt,
        troubles: [&again.warnings[..], &resolved.troubles, &found.troubles].concat(),
        traffic: traffic.clone(),
    };
    summary::log(&summary, task.name);
    Ok(summary)
}

/// What was found out, and by whom it was wanted.
struct Knowledge<'a> {
    wants: &'a [Wants],
    resolved: &'a Resolved,
    found: &'a Found,
}

/// What is to become of some of the trades.
#[derive(Default)]
struct Step {
    bookings: Vec<Booking>,
    failures: Vec<Deferral>,
    notes: Vec<Note<'static>>,
    /// Rows that are no longer what they were when they were selected; none where there is no such
    /// row any more.
    changed: Vec<Option<Row>>,
}

/// Reads the rows of these trades and decides them.
fn decide_some(
    store: &mut Store,
    picks: &[Pick],
    knowledge: &Knowledge<'_>,
    task: &Task<'_>,
) -> Result<Step, Error> {
    let mut step = Step::default();
    let terms = task.judging.terms(task.now);
    let no_such_market = Verdict::NotYet("no market of Polymarket's can have this slug".to_owned());
    for (pick, row) in picks.iter().zip(store.rows_at(picks.iter().map(|pick| pick.rowid))?) {
        let wanted = &knowledge.wants[pick.wants];
        let trade = row.filter(|row| row.is_win == Cell::Null).map(|row| judge(row, &terms));
        let trade = match trade {
            Some(Judged::Due(trade)) if wants(&trade, task.judging.strike) == *wanted => *trade,
            _ => {
                step.changed.extend(store.rows_at([pick.rowid])?);
                continue;
            }
        };
        let findings = Evidence {
            quoted: wanted.need.and_then(|need| knowledge.found.prices.get(&need)),
            price_failed: knowledge.found.failed,
            verdict: match &wanted.slug {
                Some(slug) => knowledge.resolved.verdicts.get(slug),
                None => Some(&no_such_market),
            },
        };
        match decide_trade(trade, findings, task.deciding, task.now) {
            Decided::Booking(booking) => step.bookings.push(*booking),
            Decided::Deferral(failure) => step.failures.push(*failure),
        }
    }
    Ok(step)
}

/// The run's name in the records, and who may stop it.
struct Desk<'a> {
    run: RunInfo,
    interrupt: &'a Interrupt,
}

impl<'a> Desk<'a> {
    fn new(writing: Writing<'a>, judging: &Judging, deciding: &Deciding, now: UnixSeconds) -> Self {
        writing.interrupt.hold();
        let run = RunInfo {
            run_id: writing.run_id,
            started_at: now,
            command: "run",
            rules: Some(judging.rules),
            strike: Some(judging.strike),
            confirm: Some(deciding.confirm),
            retry_wait: writing.retry_wait,
        };
        Self { run, interrupt: writing.interrupt }
    }
}

/// Why a run does not go on.
enum Stop {
    Interrupted,
    /// The database failed, in words.
    Failed(String),
}

/// A run under way: what the trades came to so far.
#[allow(clippy::struct_excessive_bools)] // each is asked about by itself
struct Course<'a> {
    /// None in a dry run.
    desk: Option<Desk<'a>>,
    name: Option<&'a str>,
    observer: &'a mut dyn Observer,
    notes_failures: bool,
    ended: Counts,
    errors: Vec<RowError>,
    /// The due trades that are left, by reason.
    left: BTreeMap<&'static str, Tally>,
    /// Some trade could not be decided.
    failed: bool,
    /// Some trade was, by a price or a resolution.
    proved: bool,
    wrote: bool,
    stopped: Option<Stop>,
    done: usize,
    all: usize,
}

impl Course<'_> {
    /// Writes what was decided, unless this is a dry run, and counts it.
    ///
    /// # Errors
    /// [`Error::Database`], if nothing was written in this run.
    fn go_on(&mut self, store: &mut Store, step: Step) -> Result<(), Error> {
        let Step { mut bookings, mut failures, notes, changed } = step;
        self.failed |= !failures.is_empty();
        self.proved |= bookings.iter().any(|booking| booking.proof.is_some());
        let mut done = vec![RowWrite::Done; bookings.len()];
        if let Some(desk) = &self.desk {
            let mut notes: Vec<Note<'_>> = notes;
            if self.notes_failures {
                notes.extend(failures.iter().map(Note::Deferred));
            }
            let written = store.write(&desk.run, &bookings, &notes, desk.interrupt);
            done = written.done;
            self.wrote |= !done.is_empty() || (written.error.is_none() && !notes.is_empty());
            self.stopped = match written.error {
                Some(error) if !self.wrote => return Err(error),
                Some(error) => {
                    warn!("the run could not write all: {error}");
                    Some(Stop::Failed(error.to_string()))
                }
                None => desk.interrupt.asked().then_some(Stop::Interrupted),
            };
        }
        for booking in bookings.split_off(done.len()) {
            match &self.stopped {
                Some(Stop::Failed(error)) => {
                    let why = format!("not written: {error}");
                    self.refuse(booking, &why);
                }
                // what was to be confirmed is asked about again
                _ if booking.earlier.is_some() => {}
                _ => {
                    let (trade, left) = (booking.trade, DeferredFor::Interrupted);
                    let reason = INTERRUPTED.to_owned();
                    failures.push(Deferral { trade, left, reason, measured: None });
                }
            }
        }
        for (booking, put) in bookings.into_iter().zip(done) {
            match put {
                RowWrite::Done => self.end(&TradeResult::of_booking(booking, true)),
                RowWrite::Changed => self.end(&TradeResult::of_booking(booking, false)),
                RowWrite::Refused(why) => {
                    self.refuse(booking, &format!("the database refuses it: {why}"));
                }
            }
        }
        for failure in failures {
            let reason = match failure.left {
                DeferredFor::NotThere | DeferredFor::OutOfReach => "no price or resolution",
                DeferredFor::Held => "close calls held for Polymarket",
                DeferredFor::Interrupted => INTERRUPTED,
            };
            self.left.entry(reason).or_default().add(Some(failure.trade.logged_at));
            self.end(&TradeResult::of_failure(failure));
        }
        for row in changed {
            match row {
                Some(row) => self.end(&TradeResult::of_changed(row)),
                None => {
                    warn!("a trade was deleted by another program meanwhile");
                    self.ended.add_gone();
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, result: &TradeResult) {
        summary::log_result(result, self.name);
        self.ended.add(result);
        self.observer.ended(result);
        self.done += 1;
        self.observer.progress(self.done, self.all);
    }

    /// Makes a booking that cannot be written an error of its row.
    fn refuse(&mut self, booking: Booking, why: &str) {
        if booking.earlier.is_none() {
            self.left.entry(IN_ERROR).or_default().add(Some(booking.trade.logged_at));
        }
        self.errors.push(RowError { trade_id: booking.trade.row.id, message: why.to_owned() });
    }

    /// Counts the trades that the run did not come to.
    fn leave(&mut self, rest: &[Pick]) {
        if rest.is_empty() {
            return;
        }
        let reason = match &self.stopped {
            Some(Stop::Failed(why)) => {
                let message = format!("and {} further trades not written: {why}", rest.len());
                self.errors.push(RowError { trade_id: Cell::Null, message });
                IN_ERROR
            }
            _ => {
                self.ended.add_interrupted(rest.len() as u64);
                INTERRUPTED
            }
        };
        let tally = self.left.entry(reason).or_default();
        for pick in rest {
            tally.add(Some(pick.logged_at));
        }
    }
}

/// What the trades of the batch want, each once.
fn wanted(selection: &Selection) -> Vec<&Wants> {
    let places: BTreeSet<usize> = selection.batch.iter().map(|pick| pick.wants).collect();
    places.into_iter().map(|place| &selection.wants[place]).collect()
}

/// Asks Polymarket and the candle services side by side, and nobody about nothing.
fn fetch(
    sources: &mut Outside<'_>,
    slugs: &[String],
    needs: &BTreeSet<Need>,
    now: UnixSeconds,
) -> (Resolved, Found) {
    let Outside { prices, resolutions } = sources;
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

/// The slugs to ask Polymarket about: those of the batch, and those to confirm.
fn slugs(wanted: &[&Wants], unconfirmed: &[Unconfirmed]) -> [Vec<String>; 2] {
    let rows = unconfirmed.iter().filter_map(|unconfirmed| unconfirmed.row.as_ref());
    let earlier = rows.filter_map(|row| market_slug(row.market_slug.text()?));
    [wanted.iter().filter_map(|wants| wants.slug.clone()).collect(), earlier.collect()]
}

/// What others are asked for a trade.
fn wants(trade: &Trade, strike: Strike) -> Wants {
    Wants { need: need(trade, strike), slug: slug(trade) }
}

/// Polymarket's slug of a trade's market; none for a trade that has no market.
pub(crate) fn slug(trade: &Trade) -> Option<String> {
    match trade.job {
        Job::Decide(_) => market_slug(trade.row.market_slug.text()?),
        Job::BookUnknown => None,
    }
}

/// The prices a trade's market needs.
pub(crate) fn need(trade: &Trade, strike: Strike) -> Option<Need> {
    let Job::Decide(bet) = &trade.job else { return None };
    let market = &bet.market;
    let quote = |at| PriceAt { at, basis: market.basis };
    Some(Need {
        close: quote(market.close),
        open: quote(market.open),
        open_is_strike: strike == Strike::Venue,
        // only to tell which boundary a recorded strike is of: a point will do
        before: PriceAt {
            at: market.open.plus(-market.close.since(market.open)),
            basis: Basis::Point,
        },
    })
}

/// What is to be written of trades that earlier runs settled.
#[derive(Default)]
struct Again {
    bookings: Vec<Booking>,
    notes: Vec<Note<'static>>,
    warnings: Vec<String>,
}

/// Confirms or corrects what earlier runs settled, and notes what is to be asked again or no longer
/// stands.
fn confirm(
    unconfirmed: Vec<Unconfirmed>,
    resolved: &Resolved,
    judging: &Judging,
    now: UnixSeconds,
) -> Again {
    let terms = judging.lenient_terms(now);
    let mut again = Again::default();
    for Unconfirmed { record_id, trade_id, row, earlier } in unconfirmed {
        let Some(row) = row else {
            let warning = format!(
                "trade {trade_id} is not as settle wrote it: Polymarket's word on it is not waited \
                 for any more; settle explain and settle audit tell how it stands"
            );
            warn!("{warning}");
            again.warnings.push(warning);
            again.notes.push(Note::Forget(record_id));
            continue;
        };
        let rowid = row.rowid;
        let trade = match judge_again(row, &terms) {
            Ok(trade) => trade,
            Err(why) => {
                info!("trade {trade_id} cannot be confirmed yet: {why}");
                again.notes.push(Note::Unresolved(record_id, rowid));
                continue;
            }
        };
        let slug = slug(&trade);
        let outcome = slug.as_ref().and_then(|slug| resolved.outcome(slug));
        match outcome.and_then(|outcome| confirm_trade(trade, earlier, outcome)) {
            Some(booking) => again.bookings.push(booking),
            // no market has such a slug, it was answered that it is not resolved, or the row holds
            // nothing that could be confirmed
            None if slug.is_none_or(|slug| resolved.verdicts.contains_key(&slug)) => {
                again.notes.push(Note::Unresolved(record_id, rowid));
            }
            None => {}
        }
    }
    again
}
