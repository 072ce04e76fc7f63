//! The sums of a report as one notice: trades, profit, what the wallet says, what waits. `monitoring::notify`
//! sends it.

use chrono::{NaiveDate, NaiveTime};
use log::warn;
use serde_json::json;

use crate::commands::report::Report;
use crate::error::Error;
use crate::monitoring::notify::Channel;
use crate::rules::statistics::Filter;
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::{FloatUsd, UnixSeconds, Usd};
use crate::settings::monitoring::NoticeArgs;
use crate::store::{BesideWallet, Store};

/// The channels of the settings.
///
/// # Errors
/// [`Error::NoChannel`].
pub(super) fn channels(settings: &NoticeArgs) -> Result<Vec<Channel>, Error> {
    let (channels, problem) = settings.channels();
    let nowhere = || "neither --notify-url nor [telegram] is set".to_owned();
    if channels.is_empty() {
        return Err(Error::NoChannel(problem.unwrap_or_else(nowhere)));
    }
    if let Some(problem) = problem {
        warn!("{problem}");
    }
    Ok(channels)
}

/// Sends the sums of the report on the database with this title to each channel, also after one that fails.
///
/// # Errors
/// [`Error::NotSent`] of the first channel that failed, [`Error::Database`].
pub(super) fn send(
    report: &Report,
    store: &Store,
    channels: &[Channel],
    title: &str,
) -> Result<(), Error> {
    let figures = &report.figures;
    let profit = figures.total_profit.and_then(FloatUsd::usd);
    let BesideWallet { difference, unclaimed } = store.beside_wallet()?;
    let mut parts = vec![format!(
        "{title}, {}: {} settled, {} won, {} lost, {} dollars",
        period(report.filter, report.zone),
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
    let text = parts.join("; ");
    let mut failures = channels.iter().filter_map(|channel| {
        let sent = channel.send_text("report", &text, fields.clone(), report.now);
        sent.err().map(|why| Error::NotSent { channel: channel.title(), why })
    });
    let first = failures.next();
    for further in failures {
        warn!("{further}");
    }
    first.map_or(Ok(()), Err)
}

/// The period of the report, as days of this zone where it has whole ones.
fn period(filter: Filter, zone: NaiveZone) -> String {
    // the day that begins at this instant
    let day = |at: UnixSeconds| -> Option<NaiveDate> {
        let day = UnixSeconds(zone.wall_seconds(at)).datetime()?.date_naive();
        (zone.first_instant(day.and_time(NaiveTime::MIN)) == at).then_some(day)
    };
    match (filter.since, filter.before) {
        (Some(since), Some(before)) => {
            let last = day(before).and_then(|day| day.pred_opt());
            match day(since).zip(last) {
                Some((first, last)) if first == last => first.to_string(),
                Some((first, last)) => format!("{first} to {last}"),
                None => format!("{since} to {before}"),
            }
        }
        (Some(since), None) => format!("since {since}"),
        (None, Some(before)) => format!("until {before}"),
        (None, None) => "all trades".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::values::date;

    #[test]
    fn a_period_of_whole_days_names_them_in_the_zone() {
        // 2026-10-26 13:15 UTC
        let now = UnixSeconds(1_793_020_500);
        let of = |since: &str, until: &str, zone: &str| {
            let zone: NaiveZone = zone.parse().unwrap();
            let since = date(since).unwrap().begin(now, zone);
            let before = date(until).unwrap().end(now, zone);
            period(Filter { since: Some(since), before: Some(before), last: None }, zone)
        };
        assert_eq!(of("yesterday", "yesterday", "utc"), "2026-10-25");
        assert_eq!(of("yesterday", "yesterday", "+07:00"), "2026-10-25");
        assert_eq!(of("yesterday", "yesterday", "+12:00"), "2026-10-26");
        // a day of 25 hours
        assert_eq!(of("yesterday", "yesterday", "Europe/Berlin"), "2026-10-25");
        assert_eq!(of("2026-10-01", "yesterday", "+07:00"), "2026-10-01 to 2026-10-25");
        let parts = "2026-10-25T12:00:00Z to 2026-10-26T17:00:00Z";
        assert_eq!(of("2026-10-25T12:00:00Z", "today", "+07:00"), parts);
    }
}
