//! `settle status`: counts settled, unsettled and due trades and every excluded row, without the
//! network. `engine::status` reads the counts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::Args;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::commands::run::text::{kinds, not_due};
use crate::commands::{Block, Bot, Exit, show_blocks};
use crate::engine::status::DatabaseStatus;
use crate::error::Error;
use crate::output::json::{ErrorJson, OfSeveral, SCHEMA_VERSION, WarningJson, excluded, failure};
use crate::output::print::show;
use crate::output::style::{
    CAUTION, STRONG, errors, errors_before_alert, field, line, money, next_try, styled,
};
use crate::rules::alert::IN_ERROR;
use crate::rules::decision::is_same_but_for_rounding;
use crate::rules::selection::Warning;
use crate::rules::text::printable;
use crate::rules::units::{FloatUsd, UnixSeconds, Usd, age, count};
use crate::settings::{self, AlertArgs, CommonArgs, ConfirmArgs, JudgingArgs};
use crate::store::{Access, PastRun};

/// What `status` counts.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which trades are due.
    #[command(flatten)]
    pub judging: JudgingArgs,

    /// Which of them are an alert.
    #[command(flatten)]
    pub alert: AlertArgs,

    /// What Polymarket decides.
    #[command(flatten)]
    pub polymarket: ConfirmArgs,

    /// Exit with 4 where the status shows an alert; otherwise an alert is shown and the exit code is 0
    #[arg(long, help_heading = "Output")]
    pub exit_code: bool,
}

impl StatusArgs {
    /// The exit status for a database.
    fn exit(&self, status: &DatabaseStatus) -> Exit {
        match self.exit_code && !status.alerts.is_empty() {
            true => Exit::Alert,
            false => Exit::Done,
        }
    }
}

/// Prints the status of each database.
///
/// # Errors
/// [`Error`], if there is only one database or the output fails.
pub fn run(
    common: &CommonArgs,
    bots: &[Bot<'_, StatusArgs>],
    now: DateTime<Utc>,
) -> Result<Exit, Error> {
    let of = |bot: &Bot<'_, StatusArgs>| {
        let reading = settings::reading(&bot.args.judging);
        let lags = settings::lags(&bot.args.alert, &bot.args.polymarket);
        DatabaseStatus::read(&bot.open(Access::Read)?, reading, lags, now.into())
    };
    if let [bot] = bots {
        let status = of(bot)?;
        show(common.printing(), || json(&status, None), || text(&status, &bot.heading()))?;
        return Ok(bot.args.exit(&status));
    }
    let blocks = bots.iter().map(|bot| {
        let status = of(bot);
        Block {
            exit: status.as_ref().map_or_else(Exit::of, |status| bot.args.exit(status)),
            json: match &status {
                Ok(status) => json(status, Some(bot)),
                Err(why) => failure(
                    "status",
                    Some(&bot.of_several()),
                    Exit::of(why).code(),
                    &why.to_string(),
                ),
            },
            text: match &status {
                Ok(status) => text(status, &bot.heading()),
                Err(why) => format!("{why}\n"),
            },
        }
    });
    let (exit, shown) = show_blocks(common.printing(), "status", &blocks.collect::<Vec<_>>());
    shown.map(|()| exit)
}

/// Most reasons shown, one line each.
const REASONS: usize = 20;

/// Its last lines are what needs a person.
fn text(status: &DatabaseStatus, title: &str) -> String {
    let mut text = String::new();
    let (selection, performance) = (&status.selection, &status.performance);
    line(&mut text, format_args!("{} · {}", styled(STRONG, "settle status"), title));
    let kinds = kinds(&[
        (performance.wins, "won"),
        (performance.losses, "lost"),
        (selection.booked_without_result(), "neither"),
    ]);
    let kinds = if kinds.is_empty() { kinds } else { format!(" ({kinds})") };
    field(&mut text, "Settled", format_args!("{}{kinds}", count(&status.settled())));
    let rate = status.win_rate().map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    if status.records.unconfirmed > 0 {
        let trades = count(&status.records.unconfirmed);
        field(&mut text, "Provisional", format_args!("{trades} not yet confirmed by Polymarket"));
    }
    if status.log_money > 0 {
        let (rests, it) = if status.log_money == 1 { ("rests", "it") } else { ("rest", "them") };
        let what =
            format!("{rests} on the log alone; settle reconcile compares {it} with the wallet");
        field(&mut text, "Money", format_args!("{} {what}", count(&status.log_money)));
    }
    if let Some(dollars) = status
        .wallet_difference
        .filter(|dollars| !is_same_but_for_rounding(*dollars, Decimal::ZERO))
    {
        let what =
            "dollars booked beyond what the wallet's fills made; settle reconcile shows the trades";
        field(&mut text, "Difference", format_args!("{} {what}", money(Usd(dollars))));
    }
    if let Some(dollars) = status.unclaimed.filter(|dollars| !dollars.is_zero()) {
        let dollars = money(Usd(dollars));
        let what =
            "dollars of winnings at the last reading of the wallet: redeem them on Polymarket";
        field(&mut text, "Unclaimed", format_args!("{dollars} {what}"));
    }
    field(&mut text, "Win rate", format_args!("{rate}"));
    let total = performance.profit.and_then(FloatUsd::usd);
    let profit = total.map_or_else(|| "no number of".to_owned(), money);
    field(&mut text, "Profit", format_args!("{profit} dollars"));
    let streak = status.latest.consecutive_losses;
    let losses = if streak == 1 { "loss" } else { "losses" };
    field(&mut text, "Streak", format_args!("{} {losses} in a row", count(&streak)));
    let is_new = |today: &Usd| !today.0.is_zero() && Some(*today) != total;
    if let Some(today) = status.latest.profit_today.filter(is_new) {
        field(&mut text, "Today", format_args!("{} dollars", money(today)));
    }
    if let Some(at) = status.latest.last_settled {
        let ago = age(status.now.since(at).max(0));
        field(&mut text, "Last settled", format_args!("{ago} ago ({at})"));
    }
    unsettled(&mut text, status);
    text.push_str(&match selection.late.alerts.contains_key(IN_ERROR) {
        true => errors_before_alert(&selection.errors),
        false => errors(&selection.errors),
    });
    text.push_str(&not_due(&selection.excluded, &selection.due_from));
    for Warning { message, .. } in status.warnings() {
        line(&mut text, format_args!("{} {message}", styled(CAUTION, "Warning:")));
    }
    for alert in &status.alerts {
        line(&mut text, format_args!("{} {alert}", styled(CAUTION, "Alert:")));
    }
    text
}

/// What is not settled: each due trade with its reason and until when, and those that are stuck.
fn unsettled(text: &mut String, status: &DatabaseStatus) {
    let selection = &status.selection;
    field(text, "Due", format_args!("{}", count(&selection.due.count)));
    let tried: u64 = selection.tried.values().map(|waits| waits.count).sum();
    let known = tried + selection.in_error.count;
    let mut reasons =
        vec![(selection.due.count.saturating_sub(known), "tried by the next run".to_owned())];
    for (reason, waits) in &selection.tried {
        let until = waits.until.filter(|_| waits.later == waits.count);
        // a hold that is over ends with the next run
        let hold = waits.until.filter(|until| waits.later == 0 && *until > status.now);
        let when = match hold {
            Some(until) => format!("waits for Polymarket until {until}"),
            None => next_try(until, status.now),
        };
        reasons.push((waits.count, format!("{}; {when}", printable(reason))));
    }
    reasons.push((selection.in_error.count, "in error".to_owned()));
    reasons.retain(|(count, _)| *count > 0);
    for (trades, words) in reasons.iter().take(REASONS) {
        line(text, format_args!("  {:>6}  {words}", count(trades)));
    }
    let more: u64 = reasons.iter().skip(REASONS).map(|(count, _)| count).sum();
    if more > 0 {
        line(text, format_args!("  {:>6}  for other reasons", count(&more)));
    }
    // an alert has the age of its trades
    if let Some(seconds) = status.oldest_due_age().filter(|_| status.alerts.is_empty()) {
        field(text, "Oldest due", format_args!("{}", age(seconds)));
    }
    if status.stuck.count > 0 {
        let (stuck, arguments) = (count(&status.stuck.count), status.stuck.arguments());
        let accepts = if status.stuck.count == 1 { "accepts it" } else { "accepts them" };
        let what =
            format!("no longer an alert after 48 hours; settle ignore {arguments} {accepts}");
        field(text, "Stuck", format_args!("{stuck} {what}"));
    }
}

#[derive(Serialize)]
struct StatusJson<'a> {
    schema_version: u32,
    command: &'static str,
    #[serde(flatten)]
    of: Option<OfSeveral<'a>>,
    settled_count: u64,
    unsettled_count: u64,
    due_count: u64,
    unconfirmed_count: u64,
    log_money_count: u64,
    unclaimed: Option<Usd>,
    held_count: u64,
    stuck_count: u64,
    waiting_count: u64,
    error_count: u64,
    parked: &'a BTreeMap<String, u64>,
    excluded: BTreeMap<&'static str, u64>,
    oldest_due_age_seconds: Option<i64>,
    alert: bool,
    wins: u64,
    losses: u64,
    win_rate: Option<f64>,
    total_profit: Option<FloatUsd>,
    consecutive_losses: u64,
    profit_today: Option<Usd>,
    last_settled_at: Option<UnixSeconds>,
    last_runs: Vec<RunOfStatusJson<'a>>,
    warnings: Vec<WarningJson>,
    errors: Vec<ErrorJson>,
}

#[derive(Serialize)]
struct RunOfStatusJson<'a> {
    run_id: &'a str,
    command: &'a str,
    written: BTreeMap<&'a str, u64>,
}

impl<'a> From<&'a PastRun> for RunOfStatusJson<'a> {
    fn from(run: &'a PastRun) -> Self {
        let written = run.written.iter().map(|(status, count)| (status.as_str(), *count));
        Self { run_id: &run.run_id, command: &run.command, written: written.collect() }
    }
}

/// One JSON object on one line; `bot` is set if there are several databases.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(status: &DatabaseStatus, bot: Option<&Bot<'_, StatusArgs>>) -> serde_json::Result<String> {
    let selection = &status.selection;
    serde_json::to_string(&StatusJson {
        schema_version: SCHEMA_VERSION,
        command: "status",
        of: bot.map(Bot::of_several),
        settled_count: status.settled(),
        unsettled_count: selection.unsettled(),
        due_count: selection.due.count,
        unconfirmed_count: status.records.unconfirmed,
        log_money_count: status.log_money,
        unclaimed: status.unclaimed.map(Usd),
        held_count: selection.held.count,
        stuck_count: status.stuck.count,
        waiting_count: selection.waiting.count,
        error_count: selection.in_error.count,
        parked: &status.records.parked,
        excluded: excluded(&selection.excluded),
        oldest_due_age_seconds: status.oldest_due_age(),
        alert: !status.alerts.is_empty(),
        wins: status.performance.wins,
        losses: status.performance.losses,
        win_rate: status.win_rate(),
        total_profit: status.performance.profit,
        consecutive_losses: status.latest.consecutive_losses,
        profit_today: status.latest.profit_today,
        last_settled_at: status.latest.last_settled,
        last_runs: status.records.last_runs.iter().map(RunOfStatusJson::from).collect(),
        warnings: status.warnings().into_iter().map(WarningJson::from).collect(),
        errors: selection.errors.iter().map(ErrorJson::from).collect(),
    })
}
