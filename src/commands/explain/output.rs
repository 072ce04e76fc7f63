//! Output of `explain`: sentences that a reader can check by hand, and JSON.

use anstyle::Style;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use crate::commands::explain::{State, Story, close_call};
use crate::output::json::SCHEMA_VERSION;
use crate::output::style::{STRONG, bare, field, line, next_try, styled};
use crate::rules::eligibility::Trade;
use crate::rules::fill::{Fill, WalletSays};
use crate::rules::market::Market;
use crate::rules::outcome::Tie;
use crate::rules::pnl::MoneySource;
use crate::rules::price::Source;
use crate::rules::strike::Doubt;
use crate::rules::tally::Named;
use crate::rules::text::{printable, printable_line};
use crate::rules::units::{Shares, UnixSeconds, Usd, age, counted, exact, exact_dollars};
use crate::rules::value::Cell;
use crate::store::{LastFailure, Record};

/// Takes several stories, as rows of a table without a key can share an id.
pub fn text(stories: &[Story]) -> String {
    let mut text = String::new();
    for (index, story) in stories.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        tell(&mut text, story);
    }
    text
}

fn tell(text: &mut String, story: &Story) {
    let row = &story.row;
    let title = format!("Trade {} · {}", bare(&row.id), story.state.word());
    line(text, format_args!("{}", styled(STRONG, title)));
    field(text, "Market", format_args!("{}", bare(&row.market_slug)));
    match (story.in_force(), &story.trade) {
        // the recorded window takes precedence over today's options and the row
        (Some(record), _) if record.window_open.is_some() => {
            let (open, close) = (column(&record.window_open), column(&record.window_close));
            field(text, "Window", format_args!("{open} to {close}"));
            let (rules, epoch) = (column(&record.rules), column(&record.epoch));
            field(text, "Rule", format_args!("--rules {rules}, epoch {epoch}"));
            let (position, price) =
                (dollars(&record.position_size), dollars(&record.executed_price));
            let bought = shares(record.position_size.as_ref(), record.executed_price.as_ref());
            let logged = bare(&row.timestamp);
            field(
                text,
                "Position",
                format_args!(
                    "{position} dollars on {} at {price}, logged {logged}: {position} / {price} = {} \
                     shares{}",
                    record.action.text().map(printable).unwrap_or_default(),
                    bought,
                    story.trade.as_ref().map_or("", source_of_money)
                ),
            );
            if let Some(changes) = changed_since(record, story) {
                field(text, "Row now", format_args!("{changes}: changed since it was settled"));
            }
        }
        (_, Some(trade)) if trade.bet.market.has_window() => {
            let bet = &trade.bet;
            let market = &bet.market;
            let tie = match market.tie {
                Tie::Yes => "a tie is YES",
                Tie::No => "a tie is NO",
                Tie::Split => "a tie is a split",
            };
            let (open, close) = (market.open, market.close);
            field(text, "Window", format_args!("{open} to {close}"));
            let (epoch, basis) = (market.epoch, market.basis);
            let (position, price) =
                (exact_dollars(bet.paid.cost.0), exact_dollars(bet.paid.price.0));
            let rules = story.rules.as_str();
            field(
                text,
                "Rule",
                format_args!(
                    "--rules {rules}, epoch {epoch}: the {basis} at the window's ends; {tie}"
                ),
            );
            field(
                text,
                "Position",
                format_args!(
                    "{position} dollars on {} at {price}, logged {}: {position} / {price} = {} shares{}",
                    bet.side,
                    trade.logged_at,
                    exact(bet.paid.shares.0),
                    source_of_money(trade)
                ),
            );
            let strike = bet.recorded_strike.map_or("none".to_owned(), |strike| exact(strike.0));
            field(text, "Strike", format_args!("{strike} (price_to_beat, as the bot recorded it)"));
        }
        _ => {
            let (action, timestamp) = (bare(&row.action), bare(&row.timestamp));
            field(text, "Logged", format_args!("action {action}, {timestamp}"));
        }
    }
    if let Some(late) = story.logged_after_close() {
        let how_late = if late < 60 { format!("{late} s") } else { age(late) };
        let what = "after the market's close: check --timezone, and the bot's clock";
        field(text, "Late", format_args!("logged {how_late} {what}"));
    }
    for (what, is_sale) in [("Bought", false), ("Sold", true)] {
        let fills = story.fills.iter().filter(|fill| fill.is_sale == is_sale);
        if let Some(fills) = fills_in_words(&fills.collect::<Vec<_>>(), story) {
            field(text, what, format_args!("{fills}"));
        }
    }
    field(text, "State", format_args!("{}", state(story)));
    if let Some(failure @ LastFailure { is_ignored: false, .. }) = &story.failure {
        let LastFailure { reason, next_try: at, is_held, .. } = failure;
        // the reason of a close call says until when
        let when = match is_held {
            true => String::new(),
            false => format!("; {}", next_try(Some(*at), story.now)),
        };
        field(text, "Last try", format_args!("{}{when}", printable_line(reason)));
    }
    resolved(text, story);
    for record in &story.records {
        record_sentences(text, record);
    }
}

/// How the market of a trade resolved that was not made, or waits for the wallet.
fn resolved(text: &mut String, story: &Story) {
    if let (State::Excluded(_) | State::Pending | State::Held, Some(known)) =
        (&story.state, &story.resolved)
    {
        let outcome = printable(&known.outcome);
        let rest = match known.would_have_won {
            Some(true) => "this trade would have won, and is not counted".to_owned(),
            Some(false) => "this trade would have lost, and is not counted".to_owned(),
            None => match wallet_wait(story, &known.reason) {
                Some(why) => format!("its money waits for the wallet: {why}"),
                None => "it is not counted".to_owned(),
            },
        };
        field(text, "Resolved", format_args!("Polymarket resolved the market {outcome}; {rest}"));
    }
}

/// Why a trade waits for the wallet and until when; `None` if the reason is another one.
fn wallet_wait(story: &Story, reason: &str) -> Option<String> {
    let says = WalletSays::waiting(reason)?;
    let until = story.trade.as_ref().and_then(|trade| says.waits_until(trade.bet.market.close));
    Some(format!("{}; {}", says.why_it_waits()?, next_try(until, story.now)))
}

/// Most fills whose times are named.
const FILLS_TIMED: usize = 5;

/// What the fills come to, and when they were, beside the time of logging; `None` if there are none.
fn fills_in_words(fills: &[&Fill], story: &Story) -> Option<String> {
    let sum = |of: fn(&Fill) -> Decimal| {
        fills.iter().map(|fill| of(fill)).fold(Decimal::ZERO, Decimal::saturating_add)
    };
    let (shares, dollars) = (sum(|fill| fill.shares.0), sum(|fill| fill.dollars.0));
    let each = exact(dollars.checked_div(shares)?);
    let when = |fill: &&&Fill| {
        let logged_at = story.trade.as_ref()?.logged_at;
        Some(format!("{} s", fill.time.since(logged_at)))
    };
    let mut times: Vec<String> =
        fills.iter().take(FILLS_TIMED).filter_map(|it| when(&it)).collect();
    if fills.len() > FILLS_TIMED {
        times.push("later".to_owned());
    }
    let (count, dollars) = (counted(&fills.len(), "fill", "fills"), exact_dollars(dollars));
    let times = match times.is_empty() {
        true => String::new(),
        false => format!(", {} after it was logged", times.join(", ")),
    };
    Some(format!("{} shares for {dollars} dollars ({each} each), {count}{times}", exact(shares)))
}

/// position / price, both from a record.
fn shares(position: Option<&String>, price: Option<&String>) -> String {
    let number = |text: &String| text.parse::<Decimal>().ok();
    let (position, price) = (position.and_then(number), price.and_then(number));
    let shares = position.zip(price).and_then(|(position, price)| position.checked_div(price));
    shares.map_or_else(String::new, exact)
}

/// Whose record the size and the price are, unless they are the logged ones.
fn source_of_money(trade: &Trade) -> &'static str {
    match trade.bet.paid.source {
        MoneySource::Wallet => ", by the wallet's fills",
        MoneySource::Row => ", by the bot's own record of the fill",
        MoneySource::Log => "",
    }
}

/// The row's size and price, if they differ from those it was settled with.
fn changed_since(record: &Record, story: &Story) -> Option<String> {
    let row = &story.row;
    let (size, price) = match &story.trade {
        Some(trade) => (Some(trade.bet.paid.cost.0), Some(trade.bet.paid.price.0)),
        None => (row.position_size.any_number(), row.executed_price.any_number()),
    };
    let columns = [
        ("position_size", &record.position_size, size, &row.position_size),
        ("executed_price", &record.executed_price, price, &row.executed_price),
    ];
    let changed = columns.iter().filter(|(_, then, now, _)| {
        let then = then.as_ref().and_then(|text| text.parse().ok());
        then.is_none() || *now != then
    });
    let changed: Vec<String> = changed.map(|(name, .., cell)| format!("{name} {cell}")).collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

fn state(story: &Story) -> String {
    let row = &story.row;
    let values = format!(
        "actual_outcome {}, profit_loss {}, is_win {}",
        bare(&row.actual_outcome),
        row.profit_loss,
        row.is_win
    );
    match &story.state {
        State::Settled(status) => match status.as_str() {
            "provisional" => {
                "provisional: candles decided it; a later run asks Polymarket, except with \
                 --confirm off, and corrects it if Polymarket resolved otherwise"
                    .to_owned()
            }
            "confirmed" => "confirmed: the result agrees with Polymarket's resolution".to_owned(),
            "corrected" => {
                let money = story.trade.as_ref().map(|trade| trade.bet.paid.source);
                let is_kept = |it: &Record| it.old_actual_outcome == it.new_actual_outcome;
                let is_kept = story.in_force().is_some_and(is_kept);
                let right = match is_kept && money == Some(MoneySource::Wallet) {
                    true => "the wallet's fills",
                    false => "Polymarket's resolution",
                };
                format!("corrected: settle replaced a result that disagreed with {right}")
            }
            "unknown" => "unknown: the slug has no time, so settle knows no market; neither a \
                          win nor a loss"
                .to_owned(),
            other => other.to_owned(),
        },
        State::SettledElsewhere => format!(
            "settled by another program ({values}); settle has no record of how. settle audit {} \
             asks Polymarket about it",
            bare(&row.id)
        ),
        State::ChangedSince => {
            format!("changed by another program after settle's last record below: now {values}")
        }
        State::Excluded(reason) => format!("excluded, not due: {}", reason.words()),
        State::NotYet(reason, due_from) => {
            format!("excluded, not due: {}; due from {due_from} on", reason.words())
        }
        State::InError(message) => {
            let id = Named::argument(&row.id);
            format!(
                "in error: {message}; fix the row, and the next run settles it, or settle ignore {id}"
            )
        }
        State::Held => "held: too close to call by candles".to_owned(),
        State::Pending if story.failure.is_none() => {
            "pending: due; tried by the next run".to_owned()
        }
        State::Pending => "pending: due; the last attempt could not settle it".to_owned(),
    }
}

/// A text of a record, printable.
#[allow(clippy::ref_option)] // a record's field as it is
fn column(text: &Option<String>) -> String {
    text.as_deref().map(printable).unwrap_or_default()
}

/// A number of a record, at most 6 decimal places.
#[allow(clippy::ref_option)] // a record's field as it is
fn number(text: &Option<String>) -> String {
    let value = text.as_ref().and_then(|text| text.parse().ok());
    value.map_or_else(String::new, exact)
}

/// Dollars or a price of a share of a record.
#[allow(clippy::ref_option)] // a record's field as it is
fn dollars(text: &Option<String>) -> String {
    let value = text.as_ref().and_then(|text| text.parse().ok());
    value.map_or_else(String::new, exact_dollars)
}

fn record_sentences(text: &mut String, record: &Record) {
    let [written_at, status, run_id, version] =
        [&record.written_at, &record.status, &record.run_id, &record.version]
            .map(|text| printable(text));
    let head = format!("{written_at} {status}");
    line(text, format_args!(""));
    line(
        text,
        format_args!(
            "{} (record {}, run {run_id}, settle {version})",
            styled(STRONG, head),
            record.id
        ),
    );
    let mut say = |sentence: String| line(text, format_args!("  {sentence}"));
    if let Some(previous) = record.previous_id {
        say(match status.as_str() {
            "undone" => format!("Undoes record {previous}."),
            "corrected" => format!("Corrects record {previous}."),
            "not_filled" => format!("Empties record {previous}: the wallet has no fill for it."),
            _ => format!("Confirms record {previous}."),
        });
    }
    // a confirmation repeats the prices of the record before it
    if record.previous_id.is_none() {
        prices(record).into_iter().for_each(&mut say);
    }
    if let Some(why) = close_call(record) {
        say(format!(
            "It was a close call ({why}), in which candles are often wrong: no hold was set, or \
             it was over."
        ));
    }
    if record.resolution.is_some() {
        say(format!("Polymarket resolved the market {}.", column(&record.resolution)));
    }
    if record.shares.is_some() {
        let fee = match (record.fee.is_some(), column(&record.fee_taken).as_str()) {
            (false, _) => String::new(),
            (true, "in shares") => {
                format!(
                    ", of which a fee worth {} dollars was taken in shares",
                    dollars(&record.fee)
                )
            }
            (true, _) => format!(", and a fee of {} dollars on top", dollars(&record.fee)),
        };
        say(format!(
            "{} shares{fee}: paid out {}, spent {}, profit {} dollars.",
            number(&record.shares),
            dollars(&record.payout),
            dollars(&record.cost),
            dollars(&record.profit)
        ));
    }
    let change =
        |name: &str, old: &Cell, new: &Cell| format!("{name} {} → {}", bare(old), bare(new));
    let mut changes = vec![
        change("actual_outcome", &record.old_actual_outcome, &record.new_actual_outcome),
        change("profit_loss", &record.old_profit_loss, &record.new_profit_loss),
        change("is_win", &record.old_is_win, &record.new_is_win),
    ];
    if [&record.old_fee_paid, &record.new_fee_paid].iter().any(|fee| **fee != Cell::Null) {
        changes.push(change("fee_paid", &record.old_fee_paid, &record.new_fee_paid));
    }
    say(format!("{}{}.{:#}", Style::new().dimmed(), changes.join(", "), Style::new().dimmed()));
}

/// Sentences about the venue's prices and the strike.
fn prices(record: &Record) -> Vec<String> {
    let mut sentences = Vec::new();
    let venue = match column(&record.price_source) {
        source if source == Source::Candles.as_str() => "candles (the dump file)".to_owned(),
        source => source,
    };
    let moved = match record.moved_bps.is_some() {
        true => format!("; it moved {} bps", number(&record.moved_bps)),
        false => String::new(),
    };
    let boundaries = [
        (&record.window_open, &record.open_price, &record.open_method, ""),
        (&record.window_close, &record.close_price, &record.close_method, &moved),
    ];
    for (at, price, method, moved) in boundaries {
        if price.is_some() {
            let (at, price, method) = (column(at), number(price), column(method));
            sentences.push(format!("At {at} {venue} was at {price} ({method}){moved}."));
        }
    }
    if record.strike.is_some() {
        let source = match column(&record.strike_source).as_str() {
            "recorded" => "the recorded price_to_beat".to_owned(),
            venue => format!("{venue}'s price at the start"),
        };
        sentences.push(format!(
            "The strike is {} ({source}); the close lies {} bps from it.",
            number(&record.strike),
            number(&record.margin_bps)
        ));
    }
    if record.strike_doubts.is_some() {
        let names = column(&record.strike_doubts);
        let words: Vec<&str> = names.split(' ').map(Doubt::words).collect();
        sentences.push(format!("The recorded strike looks wrong ({names}): {}.", words.join("; ")));
    }
    sentences
}

#[derive(Serialize)]
struct ExplainJson<'a> {
    schema_version: u32,
    command: &'static str,
    #[serde(flatten)]
    story: StoryJson<'a>,
    /// Other rows with the same id, in a table without a key.
    same_id: Vec<StoryJson<'a>>,
}

#[derive(Serialize)]
struct StoryJson<'a> {
    trade_id: Value,
    market_slug: Value,
    action: Value,
    state: &'a str,
    explanation: String,
    window_open: Option<String>,
    window_close: Option<String>,
    outcome: Value,
    profit_loss: Option<Usd>,
    is_win: Value,
    last_failure: Option<&'a str>,
    resolved: Option<&'a str>,
    would_have_won: Option<bool>,
    records: &'a [Record],
    fills: Vec<FillJson<'a>>,
}

#[derive(Serialize)]
struct FillJson<'a> {
    time: UnixSeconds,
    kind: &'static str,
    shares: Shares,
    dollars: Usd,
    transaction_hash: &'a str,
}

impl<'a> From<&'a Fill> for FillJson<'a> {
    fn from(fill: &'a Fill) -> Self {
        Self {
            time: fill.time,
            kind: if fill.is_sale { "sell" } else { "buy" },
            shares: fill.shares,
            dollars: fill.dollars,
            transaction_hash: &fill.transaction_hash,
        }
    }
}

impl<'a> From<&'a Story> for StoryJson<'a> {
    fn from(story: &'a Story) -> Self {
        let row = &story.row;
        let market = story.trade.as_ref().map(|trade| trade.bet.market);
        let market = market.filter(Market::has_window);
        let in_force = story.in_force();
        Self {
            trade_id: row.id.json(),
            market_slug: row.market_slug.json(),
            action: row.action.json(),
            state: story.state.word(),
            explanation: state(story),
            window_open: in_force
                .and_then(|record| record.window_open.clone())
                .or(market.map(|market| market.open.to_string())),
            window_close: in_force
                .and_then(|record| record.window_close.clone())
                .or(market.map(|market| market.close.to_string())),
            outcome: row.actual_outcome.json(),
            profit_loss: row.profit_loss.any_number().map(Usd),
            is_win: row.is_win.json(),
            last_failure: story.failure.as_ref().map(|failure| failure.reason.as_str()),
            resolved: story.resolved.as_ref().map(|known| known.outcome.as_str()),
            would_have_won: story.resolved.as_ref().and_then(|known| known.would_have_won),
            records: &story.records,
            fills: story.fills.iter().map(FillJson::from).collect(),
        }
    }
}

/// The stories as one JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub fn json(stories: &[Story]) -> serde_json::Result<String> {
    let mut all = stories.iter().map(StoryJson::from);
    let Some(story) = all.next() else { return Ok("null".to_owned()) };
    serde_json::to_string(&ExplainJson {
        schema_version: SCHEMA_VERSION,
        command: "explain",
        story,
        same_id: all.collect(),
    })
}
