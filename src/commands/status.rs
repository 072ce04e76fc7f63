//! `settle status`: counts settled, unsettled and due trades and every excluded row, without the
//! network. `engine::status` reads the counts.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use clap::Args;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::commands::run::text::not_due;
use crate::commands::{Block, Bot, Exit, show_blocks};
use crate::engine::status::DatabaseStatus;
use crate::error::Error;
use crate::output::json::{ErrorJson, OfSeveral, SCHEMA_VERSION, WarningJson, excluded, failure};
use crate::output::print::show;
use crate::output::style::{
    CAUTION, STRONG, errors, errors_before_alert, field, line, money, styled,
};
use crate::rules::alert::IN_ERROR;
use crate::rules::decision::is_same_but_for_rounding;
use crate::rules::selection::{NAMED, Named, Warning};
use crate::rules::text::{printable, printable_line};
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

/// Most reasons of failed attempts shown, one line each.
const REASONS: usize = 20;

/// Its last lines are what needs a person.
fn text(status: &DatabaseStatus, title: &str) -> String {
    let mut text = String::new();
    let (selection, performance) = (&status.selection, &status.performance);
    line(&mut text, format_args!("{} · {}", styled(STRONG, "settle status"), title));
    let (wins, losses) = (count(&performance.wins), count(&performance.losses));
    let mut kinds = format!("{wins} won, {losses} lost");
    if selection.booked_without_result() > 0 {
        let _ = write!(kinds, ", {} neither", count(&selection.booked_without_result()));
    }
    field(&mut text, "Settled", format_args!("{} ({kinds})", count(&status.settled())));
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
        let what = "dollars of winnings, not redeemed at the last reading of the wallet";
        field(&mut text, "Unclaimed", format_args!("{dollars} {what}"));
    }
    field(&mut text, "Win rate", format_args!("{rate}"));
    let profit =
        performance.profit.and_then(FloatUsd::usd).map_or_else(|| "no number of".to_owned(), money);
    field(&mut text, "Profit", format_args!("{profit} dollars"));
    let streak = status.latest.consecutive_losses;
    let losses = if streak == 1 { "loss" } else { "losses" };
    field(&mut text, "Streak", format_args!("{} {losses} in a row", count(&streak)));
    if let Some(today) = status.latest.profit_today.filter(|today| !today.0.is_zero()) {
        field(&mut text, "Today", format_args!("{} dollars", money(today)));
    }
    if let Some(at) = status.latest.last_settled {
        let ago = age(status.now.since(at).max(0));
        field(&mut text, "Last settled", format_args!("{ago} ago ({at})"));
    }
    unsettled(&mut text, status);
    text.push_str(&not_due(&selection.excluded));
    for run in &status.records.last_runs {
        let written = run.written.iter().map(|(status, count)| format!("{count} {status}"));
        let written = written.collect::<Vec<_>>().join(", ");
        let run = format!("{} ({}): {written}", run.run_id, run.command);
        field(&mut text, "Wrote", format_args!("{}", printable_line(&run)));
    }
    text.push_str(&match selection.late.alerts.contains_key(IN_ERROR) {
        true => errors_before_alert(&selection.errors),
        false => errors(&selection.errors),
    });
    for Warning { message, .. } in status.warnings() {
        line(&mut text, format_args!("{} {message}", styled(CAUTION, "Warning:")));
    }
    for alert in &status.alerts {
        line(&mut text, format_args!("{} {alert}", styled(CAUTION, "Alert:")));
    }
    text
}

/// What is not settled: due trades by why they wait, and those that are stuck.
fn unsettled(text: &mut String, status: &DatabaseStatus) {
    let selection = &status.selection;
    field(text, "Unsettled", format_args!("{}", count(&selection.unsettled())));
    field(text, "Due", format_args!("{}", count(&selection.due.count)));
    let retry = selection.next_retry.map(|at| format!(", the first at {at}")).unwrap_or_default();
    for (tally, words) in [
        (selection.held, "held: too close to call, waiting for Polymarket"),
        (selection.waiting, &*format!("waiting for a retry{retry}")),
        (selection.in_error, "in error"),
    ] {
        if tally.count > 0 {
            line(text, format_args!("  {:>6}  {words}", count(&tally.count)));
        }
    }
    if let Some(seconds) = status.oldest_due_age() {
        field(text, "Oldest due", format_args!("{}", age(seconds)));
    }
    let parked = &status.records.parked;
    if !parked.is_empty() {
        field(text, "Tried", format_args!("{}", count(&parked.values().sum::<u64>())));
    }
    for (reason, tried) in parked.iter().take(REASONS) {
        line(text, format_args!("  {:>6}  {}", count(tried), printable(reason)));
    }
    let more: u64 = parked.values().skip(REASONS).sum();
    if more > 0 {
        line(text, format_args!("  {:>6}  for other reasons", count(&more)));
    }
    if status.stuck.count > 0 {
        let (stuck, shown) = (count(&status.stuck.count), status.stuck.ids(NAMED));
        let what = format!("{stuck} no longer an alert after 48 hours: {shown}");
        field(text, "Stuck", format_args!("{what}"));
        let (arguments, first) =
            (status.stuck.arguments(), status.stuck.first.first().map(Named::argument));
        let what = match status.stuck.count {
            1 => "accepts it as it is",
            _ => "accepts them as they are",
        };
        let explain = format!("settle explain {} shows more", first.unwrap_or_default());
        line(text, format_args!("  settle ignore {arguments} {what}; {explain}"));
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
