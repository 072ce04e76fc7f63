//! Alerts in words: what happened, to which trades, and the command to type. `rules::alert` decides what is an
//! alert.

use crate::engine::zone::future_advice;
use crate::rules::alert::{
    BEYOND_BATCH, DUE, IN_ERROR, INTERRUPTED, LateGroup, OUT_OF_REACH, OUT_OF_TIME,
};
use crate::rules::fill::WalletSays;
use crate::rules::tally::{NAMED, Named};
use crate::rules::units::{UnixSeconds, age};
use crate::rules::zone::LikelyZone;

/// `trade 6`, `trades 6, 7`.
fn trades(named: &Named) -> String {
    format!("{} {}", if named.count == 1 { "trade" } else { "trades" }, named.ids(NAMED))
}

fn choose<'a>(named: &Named, one: &'a str, several: &'a str) -> &'a str {
    if named.count == 1 { one } else { several }
}

/// How long the oldest trade of a group has been due.
fn due_for(group: &LateGroup, now: UnixSeconds) -> String {
    let longest = age(group.oldest.map_or(0, |oldest| now.since(oldest)));
    match group.trades.count {
        1 => format!("due for {longest}"),
        _ => format!("due for up to {longest}"),
    }
}

/// The alert about due trades that are left for this reason.
pub(crate) fn overdue(reason: &str, group: &LateGroup, now: UnixSeconds) -> String {
    let named = &group.trades;
    let (ids, arguments) = (trades(named), named.arguments());
    let (are, due) = (choose(named, "is", "are"), due_for(group, now));
    if reason == IN_ERROR {
        let rows = choose(named, "row", "rows");
        return format!(
            "{ids} {are} in error, {due}; fix the {rows}, or settle ignore {arguments}"
        );
    }
    let reason_and_command = match reason {
        DUE => format!("settle run settles {} or prints why not", choose(named, "it", "them")),
        BEYOND_BATCH => format!("{reason}; settle run --batch 0 tries all"),
        INTERRUPTED | OUT_OF_TIME => format!("{reason}; settle run continues"),
        _ if needs_service(reason) => format!("{reason}; settle doctor checks the services"),
        _ => {
            let first = named.first.first().map(Named::argument).unwrap_or_default();
            let ends = choose(named, "accepts it", "accepts them");
            format!("{reason}; settle explain {first} shows more, settle ignore {arguments} {ends}")
        }
    };
    format!("{ids} {are} {due}: {reason_and_command}")
}

/// Whether trades wait for this reason until a service answers.
pub(crate) fn needs_service(reason: &str) -> bool {
    reason == OUT_OF_REACH || WalletSays::Unreadable.why_it_waits() == Some(reason)
}

/// The alert about provisional trades that Polymarket has not confirmed; `None` if there are none.
pub(crate) fn unconfirmed(late: &LateGroup, now: UnixSeconds) -> Option<String> {
    let oldest = age(now.since(late.oldest?));
    let named = &late.trades;
    let (ids, arguments) = (trades(named), named.arguments());
    let (are, closed) =
        (choose(named, "is", "are"), choose(named, "its market", "the first of their markets"));
    let accepts = choose(named, "accepts it", "accepts them");
    Some(format!(
        "{ids} {are} provisional, decided by candles alone: {closed} closed {oldest} ago, and Polymarket \
         has not confirmed the outcome; settle run -vv shows what Polymarket answers, settle ignore \
         {arguments} {accepts}"
    ))
}

/// The alert about rows with a timestamp in the future; `None` if there are none.
pub(crate) fn future(group: &LateGroup, zone: Option<LikelyZone>) -> Option<String> {
    let named = &group.trades;
    let (ids, arguments) = (trades(named), named.arguments());
    let (have, them) = (choose(named, "has", "have"), choose(named, "it", "them"));
    (named.count > 0).then(|| {
        format!(
            "{ids} {have} a timestamp in the future; settle leaves {them}; {}; settle ignore {arguments} \
             accepts {them}",
            future_advice(zone)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::value::Cell;

    fn group(ids: std::ops::Range<i64>) -> LateGroup {
        let mut group = LateGroup::default();
        ids.for_each(|id| group.add(&Cell::Integer(id), Some(UnixSeconds(id)), UnixSeconds(0)));
        group
    }

    #[test]
    fn an_alert_names_its_trades_and_a_command_in_the_right_number() {
        let now = UnixSeconds(7_206);
        assert_eq!(
            overdue(IN_ERROR, &group(6..7), now),
            "trade 6 is in error, due for 2 h 0 min; fix the row, or settle ignore 6"
        );
        assert_eq!(
            overdue(IN_ERROR, &group(6..8), now),
            "trades 6, 7 are in error, due for up to 2 h 0 min; fix the rows, or settle ignore 6 7"
        );
        assert_eq!(
            overdue("no price or resolution", &group(6..8), now),
            "trades 6, 7 are due for up to 2 h 0 min: no price or resolution; settle explain 6 shows \
             more, settle ignore 6 7 accepts them"
        );
        let doctor = overdue(OUT_OF_REACH, &group(6..7), now);
        assert!(doctor.ends_with("settle doctor checks the services"), "{doctor}");
    }

    #[test]
    fn an_alert_names_twenty_trades_and_counts_the_others() {
        let text = future(&group(1..1031), None).unwrap();
        assert!(text.starts_with("trades 1, 2, ") && text.contains("20 and 1,010 more have a "));
        assert!(text.contains("settle ignore 1 2 ") && text.ends_with(" 19 20 accepts them"));
        assert_eq!(future(&LateGroup::default(), None), None);
    }
}
