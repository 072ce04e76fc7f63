//! One run, top to bottom: select due trades, ask Polymarket and write what it has resolved, ask for
//! prices and write the rest, sum up. `rules::decision` decides a trade; `store` writes it.

use std::collections::{BTreeMap, HashSet};

use crate::engine::apply::{Batch, RunState, Stop};
use crate::engine::confirm::confirm;
use crate::engine::context::{Database, Outside, RunContext, Task};
use crate::engine::due::{DueTrades, PAGE};
use crate::engine::fills::read_wallet;
use crate::engine::late::record_alerts;
use crate::engine::market_ids::KnownIds;
use crate::engine::not_made::NotMadeTrades;
use crate::engine::rebook::rebook_read_again;
use crate::engine::statements::Statements;
use crate::engine::summary::{Event, Summary};
use crate::engine::zone::{zone_of_future, zone_warning};
use crate::error::Error;
use crate::rules::alert::{AlertRule, DUE, LateGroup, LateTrades, OUT_OF_TIME};
use crate::rules::decision::{
    Confirm, Decision, DeferReason, MarketData, decide_trade, needs_prices,
};
use crate::rules::eligibility::{Exclusion, Reading, Row, Trade, judge_again};
use crate::rules::fill::WalletRecords;
use crate::rules::price::{PriceRequest, PriceRequests, Source, Strikes};
use crate::rules::resolution::{NO_NAME, Resolution};
use crate::rules::selection::{Selection, Selector, Warning, dated_key};
use crate::rules::value::Cell;
use crate::sources::candles::fallback::Found;
use crate::sources::http::RequestStats;
use crate::store::{Store, Unconfirmed};

/// Most provisional trades that a run with a batch limit confirms.
const CONFIRMED_A_RUN: u32 = 1000;
/// The same without a batch limit, as memory holds all of them. The next run continues.
const CONFIRMED_AT_ALL: u32 = 20_000;

/// Counts every unsettled row.
///
/// # Errors
/// [`Error::Database`].
pub fn count(store: &Store, reading: Reading, rule: AlertRule<'_>) -> Result<Selection, Error> {
    let retries = store.retries()?;
    let (duplicates, wallet) = (store.duplicate_orders()?, store.wallet_records_of_run(rule.now)?);
    let mut selector = Selector::new(reading, &retries, duplicates, &wallet, rule);
    let mut offered = LateTrades::default();
    let passed_over = store.unsettled_rows(|row| {
        if let Some(offer) = selector.take(row) {
            offered.add(rule, DUE, &offer.trade, offer.is_held);
        }
    })?;
    selector.selection.exclude(Exclusion::Hold, passed_over);
    selector.selection.late.add_all(offered, false);
    Ok(selector.selection)
}

/// Settles a batch of one database and confirms provisional trades of earlier runs. Without
/// `context` this is a dry run.
///
/// # Errors
/// [`Error::Database`], if the run wrote nothing.
pub fn settle(
    database: &mut Database<'_>,
    outside: &mut Outside<'_>,
    task: &Task<'_>,
    context: Option<RunContext<'_>>,
) -> Result<Summary, Error> {
    let before = stats(outside);
    let now = task.now;
    let earlier = database.store.alerts()?;
    let rule = AlertRule { lags: task.lags, now, earlier: &earlier };
    let most = if task.batch == 0 { CONFIRMED_AT_ALL } else { CONFIRMED_A_RUN };
    let (mut unconfirmed, unconfirmed_late) = match task.deciding.confirm {
        Confirm::Off => (vec![], LateGroup::default()),
        _ => (database.store.unconfirmed(now, most)?, database.store.not_asked_yet(rule)?),
    };
    let retries = database.store.retries()?;
    let duplicates = database.store.duplicate_orders()?;
    let mut state = RunState::new(task, context, database.name, database.report, rule, &retries);
    state.unconfirmed_late = unconfirmed_late;
    state.warnings.extend(upgraded(database.store, task, context.is_some())?);
    let Outside { wallet, resolutions, known, .. } = &mut *outside;
    let mut ask = |keys: &[String]| {
        if task.deciding.confirm != Confirm::Off && !keys.is_empty() {
            known.absorb(resolutions.find(keys));
        }
        known.states(keys)
    };
    let mut ids = KnownIds::read(database.store)?;
    let (store, writes) = (&mut *database.store, context.is_some());
    let mut fills = read_wallet(store, wallet, &mut ask, &mut ids, task, writes)?;
    state.warnings.append(&mut fills.warnings);
    resolutions.know(&ids.known);
    let has_wallet = wallet.is_some() || database.store.has_wallet_records()?;
    let wallet = &fills.records;
    let asks = task.deciding.confirm != Confirm::Off;
    let kept = asks.then(|| database.store.not_made_reasons()).transpose()?;
    let selector = Selector::new(task.reading, &retries, duplicates, wallet, rule);
    let selector = selector.without(kept.unwrap_or_default());
    let mut due = DueTrades::new(selector, task);
    state.all = unconfirmed.len();
    let mut found = Found::default();
    let mut block = due.next_block(database.store)?;
    let not_made = match &due.selector.selection.not_settled {
        not_settled if asks => NotMadeTrades::read(database.store, not_settled, has_wallet, task)?,
        _ => NotMadeTrades::default(),
    };
    let mut run = Run {
        outside,
        task,
        state: &mut state,
        found: &mut found,
        statements: Statements::default(),
        wallet,
        not_made: &not_made,
        ids,
    };
    loop {
        let is_last = block.is_empty();
        run.state.all += block.len();
        let store = &mut *database.store;
        let decided = run
            .decide_by_polymarket(store, block, &mut unconfirmed)
            .and_then(|undecided| run.decide_by_prices(store, &mut due, undecided));
        run.state.go_on_after(decided)?;
        if is_last || run.state.stopped.is_some() {
            break;
        }
        block = run.state.go_on_after(due.next_block(store))?;
    }
    let in_own_words = run.settle_own_words(database.store);
    let in_own_words = run.state.go_on_after(in_own_words)?;
    due.selector.selection.include(Exclusion::OtherAction, in_own_words);
    let ids = run.ids;
    if context.is_some() && matches!(state.stopped, None | Some(Stop::OutOfTime)) {
        let kept = ids.keep(database.store, task);
        let kept = kept.and_then(|()| not_made.keep(database.store, &outside.known, task));
        state.go_on_after(kept)?;
    }
    if state.stopped.is_none() {
        let rebooked = rebook_read_again(database.store, &fills, task, &mut state);
        state.go_on_after(rebooked)?;
    }
    let left = due.leave_rest(database.store, &mut state);
    state.go_on_after(left)?;

    let mut warnings = due.selector.selection.warnings(task.reading.rules);
    let zone = zone_warning(database.store, task.reading, task.now);
    warnings.extend(state.go_on_after(zone)?);
    warnings.append(&mut state.warnings);
    let is_whole = matches!(state.stopped, None | Some(Stop::OutOfTime));
    let (counts, new) = sum_up(state, due.selector.selection, task);
    let future = counts.future.trades.count;
    let mut summary = Summary {
        run_id: context.map(|context| context.run_id.to_owned()),
        interrupted: context.is_some() && task.limit.interrupt.asked(),
        // the run may have written: where the rows cannot be read, the alert names no zone
        future_zone: zone_of_future(database.store, future, task.reading, task.now).ok().flatten(),
        warnings,
        problems: [&outside.known.problems[..], &found.problems].concat(),
        stats: stats_since(outside, &before),
        ..counts
    };
    let written = context.filter(|_| is_whole);
    record_alerts(database.store, &mut summary, &new, rule, task, written);
    (database.report)(Event::SummedUp(&summary));
    Ok(summary)
}

/// What a run has done and left, without what its sources did, and the alerts that no run has recorded.
fn sum_up(
    mut state: RunState<'_>,
    mut selection: Selection,
    task: &Task<'_>,
) -> (Summary, Vec<(i64, Cell)>) {
    let nothing_had = state.deferred && !state.had_some;
    state.name_failure();
    let mut due_after = state.due_after;
    for tally in [selection.in_error, selection.waiting, selection.beyond_batch] {
        due_after.add_all(tally);
    }
    for ((key, why), (tally, named, until)) in std::mem::take(&mut selection.wallet_waits) {
        state.counts.add_waiting(key, why, named, until);
        due_after.add_all(tally);
    }
    let mut late = state.late;
    late.add_all(std::mem::take(&mut selection.late), false);
    // the next runs settle the rest of a backlog
    let beyond_batch = std::mem::take(&mut selection.late_beyond_batch);
    late.add_all(beyond_batch, state.counts.has_settled());
    let (unsettled_before, due_before) = (selection.unsettled(), selection.due.count);
    let mut errors = selection.errors;
    errors.append(&mut state.errors);
    let summary = Summary {
        now: task.now,
        counts: state.counts,
        errors,
        unsettled_before,
        due_before,
        due_after,
        tried: selection.tried,
        due_from: selection.due_from,
        overdue: late.alerts,
        stuck: late.stuck,
        future: late.future,
        nothing_had,
        excluded: selection.excluded,
        unconfirmed_late: state.unconfirmed_late,
        ..Summary::default()
    };
    (summary, late.new)
}

/// What changed since settle 0.1, for a database that it wrote: once, as the run brings its tables to
/// this version.
fn upgraded(store: &mut Store, task: &Task<'_>, writes: bool) -> Result<Option<Warning>, Error> {
    if !store.is_of_settle_0_1()? {
        return Ok(None);
    }
    if writes {
        store.upgrade(&task.limit.interrupt)?;
    }
    let message = "settle 0.1 wrote to this database. Since then these defaults changed: the strike is the \
                   venue's price at the window's start (--strike recorded takes price_to_beat); rows \
                   with skipped_unfavorable_move = 1 are not settled (--include-skipped settles them); \
                   candles decide only with a second venue. Old records stay and can be undone";
    Ok(Some(Warning { code: "upgraded", message: message.to_owned() }))
}

/// The requests to each service so far.
fn stats(outside: &Outside<'_>) -> BTreeMap<&'static str, RequestStats> {
    let services = outside.prices.stats().into_iter();
    let services = services.filter(|(source, _)| *source != Source::Candles);
    let mut stats: BTreeMap<&'static str, RequestStats> = services
        .map(|(source, stats)| (source.as_str(), stats))
        .chain(outside.resolutions.stats())
        .collect();
    if let Some(wallet) = &outside.wallet {
        stats.entry("data").or_default().add(wallet.wallet.stats());
    }
    stats
}

/// The requests to each service since `before`.
fn stats_since(
    outside: &Outside<'_>,
    before: &BTreeMap<&'static str, RequestStats>,
) -> BTreeMap<&'static str, RequestStats> {
    let since = |(service, stats): (&'static str, RequestStats)| {
        (service, stats.since(before.get(service).copied().unwrap_or_default()))
    };
    stats(outside).into_iter().map(since).collect()
}

/// A run on one database: what it asks, knows and has done.
struct Run<'a, 'b, 'c> {
    outside: &'a mut Outside<'b>,
    task: &'a Task<'a>,
    state: &'a mut RunState<'c>,
    /// What the candle services have answered for the current block, and their problems in the run.
    found: &'a mut Found,
    /// What markets state of themselves while they are not resolved.
    statements: Statements,
    /// What a wallet says of the trades.
    wallet: &'a WalletRecords,
    /// Trades that were not made, for calls with room for their markets.
    not_made: &'a NotMadeTrades,
    /// The names of markets.
    ids: KnownIds,
}

impl Run<'_, '_, '_> {
    /// Asks Polymarket page by page, and writes at once what it has resolved. The first page also has
    /// the provisional trades. Returns the trades that prices may decide.
    fn decide_by_polymarket(
        &mut self,
        store: &mut Store,
        block: Vec<Trade>,
        unconfirmed: &mut Vec<Unconfirmed>,
    ) -> Result<Vec<(Trade, Option<Resolution>)>, Error> {
        let mut undecided = Vec::new();
        let mut trades = block.into_iter();
        loop {
            let page: Vec<Trade> = trades.by_ref().take(PAGE).collect();
            if page.is_empty() && unconfirmed.is_empty() {
                return Ok(undecided);
            }
            if self.is_over() {
                self.state.leave(&page);
                self.state.leave(trades.as_slice());
                return Ok(undecided);
            }
            let to_confirm = std::mem::take(unconfirmed);
            self.ask_polymarket(&page, &to_confirm);
            let mut batch = Batch::default();
            for trade in page {
                let resolution = self.resolution(&trade, &mut batch.warnings);
                self.ids.note(&trade, &self.outside.known.answers, resolution.as_ref());
                match needs_prices(&trade, resolution.as_ref(), self.task.deciding.confirm) {
                    true => undecided.push((trade, resolution)),
                    false => self.decide(&mut batch, trade, resolution.as_ref()),
                }
            }
            self.state.go_on(store, batch)?;
            if !to_confirm.is_empty() && self.state.stopped.is_none() {
                let known = &self.outside.known;
                let again = confirm(to_confirm, known, self.wallet, self.task, self.state);
                self.state.go_on(store, again)?;
            }
        }
    }

    /// Asks for the prices of these trades, decides them and writes them.
    fn decide_by_prices(
        &mut self,
        store: &mut Store,
        due: &mut DueTrades<'_>,
        undecided: Vec<(Trade, Option<Resolution>)>,
    ) -> Result<(), Error> {
        if undecided.is_empty() {
            return Ok(());
        }
        let is_asked = !self.is_over();
        let mut undecided = undecided;
        if is_asked {
            let Self { outside, statements, ids, state, .. } = self;
            statements.read(outside, &mut undecided, ids, &mut state.warnings);
            statements.read_prices(outside, &undecided, self.task);
            let mut needs = PriceRequests::new();
            for (trade, resolution) in &undecided {
                if !needs_prices(trade, resolution.as_ref(), self.task.deciding.confirm) {
                    continue;
                }
                if self.statements.prices(trade).is_some() {
                    continue;
                }
                let Some(need) = self.need(trade) else { continue };
                let strikes = needs.entry(need).or_default();
                if let Some(strike) = trade.bet.recorded_strike {
                    *strikes = Some(Strikes::with(*strikes, strike));
                }
            }
            let mut problems = std::mem::take(&mut self.found.problems);
            *self.found = self.outside.prices.find(&needs, self.task.now);
            let none = self.found.problems.is_empty() && self.outside.known.problems.is_empty();
            self.state.answered |= self.found.answered || none;
            add_new(&mut problems, std::mem::take(&mut self.found.problems));
            self.found.problems = problems;
        }
        let mut undecided = undecided.into_iter();
        while undecided.len() > 0 {
            let page: Vec<_> = undecided.by_ref().take(store.settlements_a_transaction()).collect();
            // after the end of the run, what is known is still decided and written
            let goes_on = matches!(self.state.stopped, None | Some(Stop::OutOfTime));
            if !is_asked || !goes_on {
                let rest: Vec<Trade> = page.into_iter().map(|(trade, _)| trade).collect();
                self.state.leave(&rest);
                continue;
            }
            let mut batch = Batch::default();
            for (trade, resolution) in page {
                self.decide(&mut batch, trade, resolution.as_ref());
            }
            self.state.go_on(store, batch)?;
            due.read_ahead(store)?;
        }
        Ok(())
    }

    /// The prices that candles need to decide a trade.
    fn need(&self, trade: &Trade) -> Option<PriceRequest> {
        let venues = self.task.deciding.venues(&trade.bet.market, self.task.now);
        PriceRequest::of(&trade.bet.market, self.task.reading.strike, venues)
    }

    /// Decides one trade with what is known.
    fn decide(&self, batch: &mut Batch, trade: Trade, resolution: Option<&Resolution>) {
        let Task { reading, deciding, now, limit, .. } = *self.task;
        let prices = self.need(&trade).and_then(|need| self.found.prices.get(&need));
        let data = MarketData {
            prices: prices.map_or(&[], Vec::as_slice),
            price_failed: self.found.failed,
            resolution,
            stated_fee: self.statements.fee(&trade, &self.outside.known),
            stated_prices: self.statements.prices(&trade),
        };
        match decide_trade(trade, data, reading.strike, deciding, now) {
            Decision::Settle(settlement) => batch.settlements.push(*settlement),
            Decision::Defer(mut deferral) => {
                if deferral.left == DeferReason::SourceDown && limit.is_over() {
                    deferral.left = DeferReason::OutOfTime;
                    OUT_OF_TIME.clone_into(&mut deferral.reason);
                }
                batch.deferrals.push(*deferral);
            }
        }
    }

    /// Polymarket's resolution of a trade's market; `None` if it could not be asked.
    fn resolution(&self, trade: &Trade, warnings: &mut Vec<Warning>) -> Option<Resolution> {
        let resolution = match &trade.key {
            Some(key) => self.outside.known.resolution(key, &trade.bet.market),
            None if self.task.deciding.confirm == Confirm::Off => None,
            // only Polymarket can say that there is no such market
            None => Some(Resolution::NotYet(NO_NAME.to_owned())),
        };
        if let Some(Resolution::OtherYear(why)) = &resolution {
            let message = format!("trade {}: {why}", trade.row.id);
            warnings.push(Warning { code: "other_year", message });
        }
        resolution
    }

    /// Asks about the markets of these trades that this run has not asked about yet: those to settle
    /// first. A slug without a year is also asked about in its form with the year.
    fn ask_polymarket(&mut self, page: &[Trade], to_confirm: &[Unconfirmed]) {
        if self.task.deciding.confirm == Confirm::Off {
            return;
        }
        let earlier = to_confirm.iter().filter_map(|unconfirmed| unconfirmed.row.clone());
        let again = |row: Row| {
            let record = self.wallet.of(row.rowid, &row.id, &row.market_slug);
            judge_again(row, self.task.reading, record).ok()
        };
        let earlier: Vec<Trade> = earlier.filter_map(again).collect();
        let trades = page.iter().chain(&earlier);
        let keys = trades.flat_map(|trade| [trade.key.clone(), dated_key(trade)]).flatten();
        let known = &self.outside.known.answers;
        let mut seen = HashSet::new();
        let keys: Vec<String> =
            keys.filter(|key| !known.contains_key(key) && seen.insert(key.clone())).collect();
        if keys.is_empty() && !self.not_made.has_waiting() {
            return;
        }
        let mut keys = keys;
        self.not_made.fill_up(&mut keys);
        keys.retain(|key| !self.outside.known.answers.contains_key(key));
        if keys.is_empty() {
            return;
        }
        let mut resolved = self.outside.resolutions.find(&keys);
        self.state.answered |= !resolved.answers.is_empty();
        add_new(&mut self.outside.known.problems, std::mem::take(&mut resolved.problems));
        self.outside.known.absorb(resolved);
    }

    /// Asks about the trades that were not made, where this run has not, and settles those whose action is an
    /// outcome of their market in its own words. Returns their number.
    fn settle_own_words(&mut self, store: &mut Store) -> Result<u64, Error> {
        if !self.not_made.has_waiting() || self.is_over() {
            return Ok(0);
        }
        self.ask_polymarket(&[], &[]);
        let mut batch = Batch::default();
        for (trade, resolution) in self.not_made.in_own_words(&self.outside.known, self.task) {
            self.ids.note(&trade, &self.outside.known.answers, Some(&resolution));
            self.decide(&mut batch, trade, Some(&resolution));
        }
        // a row that cannot be settled stays excluded
        batch.deferrals.clear();
        let count = batch.settlements.len();
        self.state.all += count;
        self.state.go_on(store, batch)?;
        Ok(count as u64)
    }

    /// Whether the run must stop: it notes why.
    fn is_over(&mut self) -> bool {
        if self.state.stopped.is_none() && self.task.limit.is_over() {
            let signal = self.task.limit.interrupt.asked();
            self.state.stopped = Some(if signal { Stop::Interrupted } else { Stop::OutOfTime });
        }
        self.state.stopped.is_some()
    }
}

/// Adds the problems that are not known yet: each is reported once a run.
fn add_new(problems: &mut Vec<String>, found: Vec<String>) {
    for problem in found {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}
