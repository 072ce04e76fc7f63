//! The sums of a report as one notice: trades, profit, what the wallet says, what waits. `monitoring::notify`
//! sends it.

use serde_json::json;

use crate::commands::report::Report;
use crate::error::Error;
use crate::monitoring::notify::Channel;
use crate::rules::units::{FloatUsd, UnixSeconds, Usd};
use crate::settings::monitoring::NoticeArgs;
use crate::store::Store;

const A_DAY: i64 = 86_400;

/// The channels of the settings.
///
/// # Errors
/// [`Error::NoChannel`].
pub(super) fn channels(settings: &NoticeArgs) -> Result<Vec<Channel>, Error> {
    let (channels, problem) = settings.channels();
    let nowhere = || "neither --notify-url nor [telegram] is set".to_owned();
    match channels.is_empty() {
        true => Err(Error::NoChannel(problem.unwrap_or_else(nowhere))),
        false => Ok(channels),
    }
}

/// Sends the sums of the report on the database with this title to each channel.
///
/// # Errors
/// [`Error::NotSent`], [`Error::Database`].
pub(super) fn send(
    report: &Report,
    store: &Store,
    channels: &[Channel],
    title: &str,
) -> Result<(), Error> {
    let figures = &report.figures;
    let profit = figures.total_profit.and_then(FloatUsd::usd);
    let (difference, unclaimed) = (store.wallet_difference()?, store.unclaimed()?);
    let mut parts = vec![format!(
        "{title}, {}: {} settled, {} won, {} lost, {} dollars",
        period(report.filter.since, report.filter.before),
        figures.settled,
        figures.wins,
        figures.losses,
        profit.map_or_else(|| "no number of".to_owned(), Usd::cents)
    )];
    if let Some(dollars) = difference {
        parts.push(match dollars.is_zero() {
            true => "the table agrees with the wallet".to_owned(),
            false => format!("the table less the wallet: {} dollars, in all", Usd(dollars).cents()),
        });
    }
    if let Some(dollars) = unclaimed.filter(|dollars| !dollars.is_zero()) {
        parts.push(format!("{} dollars of winnings are not redeemed", Usd(dollars).cents()));
    }
    if report.pending.count > 0 {
        parts.push(format!("{} waiting", report.pending.count));
    }
    let fields = json!({
        "database": title,
        "trades": figures.settled,
        "wins": figures.wins,
        "losses": figures.losses,
        "profit": profit,
        "wallet_difference": difference.map(Usd),
        "unclaimed": unclaimed.map(Usd),
        "pending": report.pending.count,
    });
    for channel in channels {
        channel
            .send_text("report", &parts.join("; "), fields.clone(), report.now)
            .map_err(|why| Error::NotSent { channel: channel.title(), why })?;
    }
    Ok(())
}

/// The time of the report in words.
fn period(since: Option<UnixSeconds>, before: Option<UnixSeconds>) -> String {
    let date = |at: UnixSeconds| at.to_string().chars().take(10).collect::<String>();
    match (since, before) {
        (Some(since), Some(before)) if before.since(since) == A_DAY && since.0 % A_DAY == 0 => {
            date(since)
        }
        (Some(since), Some(before)) => format!("{since} to {before}"),
        (Some(since), None) => format!("since {since}"),
        (None, Some(before)) => format!("until {before}"),
        (None, None) => "all trades".to_owned(),
    }
}
