//! What a run has to report about a database: alerts that are raised or cleared, outages of services,
//! corrections, contradictions. Pure; `notify` stores the notices and sends them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::engine::alert_text;
use crate::engine::summary::Summary;
use crate::rules::alert::{BEYOND_BATCH, IN_ERROR, INTERRUPTED, OUT_OF_TIME};
use crate::rules::outcome::contradicts;
use crate::rules::price::Source;
use crate::rules::settlement::Status;
use crate::rules::text::{printable, printable_line, shell_argument};
use crate::rules::units::{UnixSeconds, Usd, age, counted, rounded};
use crate::rules::value::Cell;
use crate::sources::http::RequestStats;
use crate::store::{Noteworthy, NotificationState};

/// The seconds after which an outage of a service is reported. A trade that only waits for a service that
/// does not answer is not reported earlier either.
const OUTAGE: i64 = 6 * 3600;
/// Most corrections, and contradictions, reported one by one; one notice gives the number of the rest.
const ONE_BY_ONE: usize = 20;

const CORRECTION: &str = "correction";
const CONTRADICTION: &str = "contradiction";

/// The services whose outages are reported: the key, the name in a sentence.
const SERVICES: [(&str, &str); 3] = [
    ("polymarket", "Polymarket has"),
    ("wallet", "The wallet's history (Polymarket's Data API) has"),
    ("candles", "The candle services have"),
];

/// The database of a notice.
#[derive(Debug, Clone)]
pub struct Place {
    /// The name of the machine.
    pub host: String,
    /// The database's path as given.
    pub database: String,
    /// The name of its bot in the settings file.
    pub bot: Option<String>,
}

impl Place {
    /// A command that can be typed on the machine, for this database.
    fn command(&self, command: &str) -> String {
        match &self.bot {
            Some(bot) => format!("settle {command} --bot {}", shell_argument(bot)),
            None => format!("settle {command} --db {}", shell_argument(&self.database)),
        }
    }
}

/// What is known after a run.
pub(super) struct News<'a> {
    pub place: &'a Place,
    pub summary: &'a Summary,
    /// Corrections and contradictions that were not reported yet.
    pub noteworthy: Vec<Noteworthy>,
    /// What was reported before.
    pub state: NotificationState,
    /// The requests of the run to each service so far.
    pub stats: &'a BTreeMap<&'static str, RequestStats>,
}

impl News<'_> {
    /// The notices, and the state once they are stored. An outage is in `outages` if another database
    /// of the run has reported that it began or ended.
    pub fn notices(&self, outages: &mut BTreeSet<String>) -> (Vec<Value>, NotificationState) {
        let mut next = self.state.clone();
        let mut notices = self.of_alerts(&mut next, outages);
        let corrections = self.noteworthy.iter().filter(|note| note.is_correction);
        let contradictions = self.noteworthy.iter().filter(|note| is_contradiction(note));
        notices.extend(self.of_records(CORRECTION, corrections));
        notices.extend(self.of_records(CONTRADICTION, contradictions));
        (notices, next)
    }

    fn of_alerts(
        &self,
        next: &mut NotificationState,
        outages: &mut BTreeSet<String>,
    ) -> Vec<Value> {
        let summary = self.summary;
        let pending = summary.pending_by_reason();
        let waits =
            ["out_of_reach", "wallet_unreadable"].iter().any(|key| pending.contains_key(key));
        next.outages = after_requests(&self.state.outages, self.stats, waits, summary.now);
        let active = self.alerts(&next.outages);
        let mut is_new =
            |key: &&String| !key.starts_with(OUTAGE_OF) || outages.insert((*key).clone());
        let before = &self.state.alerts;
        let has_news = |(key, alert): &(&String, &Alert)| {
            before.get(*key).is_none_or(|raised| alert.latest > Some(*raised))
        };
        let raised = active.iter().filter(has_news).map(|(key, _)| key);
        let raised: Vec<&String> = raised.filter(&mut is_new).collect();
        let cleared = before.keys().filter(|key| !active.contains_key(*key));
        let cleared: Vec<&String> = cleared.filter(&mut is_new).collect();
        let mut notices = Vec::new();
        if !raised.is_empty() {
            let reasons = summary.overdue.iter().map(|(reason, group)| {
                let age = group.oldest.map(|oldest| summary.now.since(oldest));
                json!({"reason": reason, "count": group.trades.count, "oldest_age_seconds": age})
            });
            let sentences = active.values().flat_map(|alert| &alert.sentences);
            let what: Vec<&str> = sentences.map(String::as_str).collect();
            let what = what.join("\n");
            let mut body = self.body("alert_raised", &what, &command_for(&raised));
            body["alerts"] = json!(raised);
            body["reasons"] = reasons.collect();
            notices.push(body);
        }
        if !cleared.is_empty() {
            let keys = |keys: &mut dyn Iterator<Item = &String>| {
                keys.map(|key| key.replace('_', " ")).collect::<Vec<_>>().join(", ")
            };
            let mut what = format!("cleared: {}", keys(&mut cleared.iter().copied()));
            if !active.is_empty() {
                what.push_str(&format!("; still raised: {}", keys(&mut active.keys())));
            }
            if summary.stuck.count > 0 {
                let count = summary.stuck.count;
                what.push_str(&format!("; {count} no longer an alert after 48 hours"));
            }
            let mut body = self.body("alert_cleared", &what, "status");
            body["alerts"] = json!(cleared);
            body["still_raised"] = active.keys().cloned().collect();
            notices.push(body);
        }
        next.alerts = active
            .keys()
            .map(|key| {
                let at = before.get(key).filter(|_| !raised.contains(&key));
                (key.clone(), at.copied().unwrap_or(summary.now))
            })
            .collect();
        notices
    }

    /// The alerts to report, by their kinds.
    fn alerts(&self, outages: &BTreeMap<String, UnixSeconds>) -> BTreeMap<String, Alert> {
        let summary = self.summary;
        let is_raised = |key: &str| self.state.alerts.contains_key(key);
        let mut alerts: BTreeMap<String, Alert> = BTreeMap::new();
        let others = || summary.overdue.iter().filter(|(reason, _)| **reason != IN_ERROR);
        let is_urgent = others().any(|(reason, group)| {
            let age = group.oldest.map_or(0, |oldest| summary.now.since(oldest));
            age >= OUTAGE || !may_pass(reason)
        });
        // what was reported is cleared only once no such trade is left
        let reports_others = is_urgent || is_raised("overdue");
        for ((reason, group), sentence) in summary.overdue.iter().zip(summary.overdue_in_words()) {
            let key = match *reason {
                IN_ERROR => "rows_in_error",
                _ if reports_others => "overdue",
                _ => continue,
            };
            let alert = alerts.entry(key.to_owned()).or_default();
            alert.sentences.push(sentence);
            // a service that is out is one cause, however many trades wait for it
            alert.latest = alert.latest.max(group.latest_report.filter(|_| !may_pass(reason)));
        }
        // Polymarket is one cause, too
        let late = summary.unconfirmed_in_words().map(|sentence| ("unconfirmed", sentence, None));
        let latest = summary.future.latest_report;
        let future = summary.future_in_words().map(|sentence| ("future", sentence, latest));
        for (key, sentence, latest) in late.into_iter().chain(future) {
            alerts.insert(key.to_owned(), Alert { sentences: vec![sentence], latest });
        }
        for (service, name) in SERVICES {
            let Some(since) = outages.get(service) else { continue };
            let key = format!("{OUTAGE_OF}{service}");
            let length = summary.now.since(*since);
            if length >= OUTAGE || is_raised(&key) {
                let sentence = format!("{name} not answered since {since} ({})", age(length));
                alerts.insert(key, Alert { sentences: vec![sentence], latest: None });
            }
        }
        alerts
    }

    fn of_records<'n>(
        &self,
        event: &str,
        notes: impl Iterator<Item = &'n Noteworthy>,
    ) -> Vec<Value> {
        let notes: Vec<&Noteworthy> = notes.collect();
        let (first, more) = notes.split_at(notes.len().min(ONE_BY_ONE));
        let mut notices = Vec::new();
        for note in first {
            let id = note.trade_id.text().map_or_else(|| note.trade_id.to_string(), printable);
            let command = format!("explain {}", shell_argument(&id));
            let mut body = self.body(event, &in_words(note, event), &command);
            body["run_id"] = json!(note.run_id);
            body["trade"] = trade(note);
            notices.push(body);
        }
        if !more.is_empty() {
            let count = more.len();
            let mut body = self.body(event, &counted(&count, "more trade", "more trades"), "log");
            body["more"] = json!(count);
            notices.push(body);
        }
        notices
    }

    fn body(&self, event: &str, what: &str, command: &str) -> Value {
        let Self { place, summary, .. } = self;
        let run_id = summary.run_id.as_deref().unwrap_or_default();
        let counts = [
            ("settled", summary.settled()),
            ("corrected", summary.with_status(Status::Corrected)),
            ("pending", summary.pending()),
            ("held", summary.held()),
            ("in_error", summary.errors.len() as u64),
            ("stuck", summary.stuck.count),
            ("due", summary.due_after.count),
            ("unsettled", summary.unsettled_after()),
        ];
        let said = counts.map(|(name, count)| format!("{} {count}", name.replace('_', " ")));
        let command = place.command(command);
        let Place { host, database, .. } = place;
        let name = match event {
            "alert_raised" | "alert_cleared" => "alert",
            event => event,
        };
        let first = if event == "alert_raised" { "\n" } else { " " };
        let text = format!(
            "settle {name} on {host}, {database}:{first}{what}\nRun {run_id}: {}\nType: {command}",
            said.join(", ")
        );
        json!({
            "schema_version": 1,
            "event": event,
            "text": text,
            "host": host,
            "database": database,
            "name": place.bot,
            "run_id": run_id,
            "time": summary.now.to_string(),
            "counts": counts.into_iter().collect::<BTreeMap<_, _>>(),
            "command": command,
        })
    }
}

/// An alert to report.
#[derive(Default)]
struct Alert {
    sentences: Vec<String>,
    /// When a run first reported the latest trade of an alert that each trade causes by itself: after a later
    /// one, the alert is reported again. `None` for an alert with one cause for all of its trades.
    latest: Option<UnixSeconds>,
}

/// The beginning of the key of an alert about a service.
const OUTAGE_OF: &str = "outage_";

/// The command that shows most about these alerts.
fn command_for(raised: &[&String]) -> String {
    let has = |key: &str| raised.iter().any(|raised| raised.starts_with(key));
    let command = match () {
        () if has(OUTAGE_OF) => "doctor",
        () if has("overdue") || has("rows_in_error") || has("future") => "status",
        () => "run -vv",
    };
    command.to_owned()
}

/// Whether a trade that waits for this reason needs no person as long as a service may be out.
fn may_pass(reason: &str) -> bool {
    [OUT_OF_TIME, INTERRUPTED, BEYOND_BATCH].contains(&reason) || alert_text::needs_service(reason)
}

/// The services that do not answer after a run with these requests, and since when. A service that was not
/// asked stays as it was, until Polymarket answers and no trade `waits` for a service.
fn after_requests(
    before: &BTreeMap<String, UnixSeconds>,
    stats: &BTreeMap<&'static str, RequestStats>,
    waits: bool,
    now: UnixSeconds,
) -> BTreeMap<String, UnixSeconds> {
    let asked = |service: &str| {
        let mut asked = RequestStats::default();
        let hosts = stats.iter().filter(|(host, _)| service_of(host) == Some(service));
        hosts.for_each(|(_, stats)| asked.add(*stats));
        asked
    };
    let polymarket = asked("polymarket");
    let is_done = polymarket.requests > polymarket.failures && !waits;
    let mut outages = before.clone();
    for (service, _) in SERVICES {
        match asked(service) {
            RequestStats { requests: 0, .. } if !is_done => {}
            RequestStats { requests, failures } if requests > 0 && requests == failures => {
                outages.entry(service.to_owned()).or_insert(now);
            }
            RequestStats { .. } => drop(outages.remove(service)),
        }
    }
    outages
}

/// The service of [`SERVICES`] to which a host of the requests belongs.
fn service_of(host: &str) -> Option<&'static str> {
    match host {
        "polymarket" => Some("polymarket"),
        "data" => Some("wallet"),
        host if Source::SERVICES.iter().any(|source| source.as_str() == host) => Some("candles"),
        _ => None,
    }
}

pub(super) fn is_contradiction(note: &Noteworthy) -> bool {
    let known = note.resolution.zip(note.moved);
    known.is_some_and(|(resolution, moved)| contradicts(resolution, moved))
}

fn in_words(note: &Noteworthy, event: &str) -> String {
    let [from, to] = &note.outcomes;
    let (id, slug) = (&note.trade_id, &note.market_slug);
    let said = match (event, note.moved) {
        (CONTRADICTION, Some(moved)) => format!(
            "trade {id} on {slug}: Polymarket resolved it {to}, but {} moved {:+.1} bps in its window",
            note.price_source.as_deref().unwrap_or("the venue"),
            rounded(moved.0, 1)
        ),
        _ => {
            let dollars = |cell: &Cell| {
                cell.any_number().map_or_else(|| cell.to_string(), |number| Usd(number).cents())
            };
            let [before, after] = [&note.profits[0], &note.profits[1]].map(dollars);
            format!("trade {id} on {slug}: {from} → {to}, profit {before} → {after} dollars")
        }
    };
    printable_line(&said)
}

fn trade(note: &Noteworthy) -> Value {
    json!({
        "trade_id": note.trade_id.json(),
        "market_slug": note.market_slug.json(),
        "outcome_before": note.outcomes[0].json(),
        "outcome": note.outcomes[1].json(),
        "profit_before": note.profits[0].json(),
        "profit_loss": note.profits[1].json(),
        "moved_bps": note.moved,
        "price_source": note.price_source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_whatever_the_name_of_the_database() {
        let place = |database: &str, bot: Option<&str>| Place {
            host: "h".to_owned(),
            database: database.to_owned(),
            bot: bot.map(str::to_owned),
        };
        assert_eq!(place("/a/b.db", None).command("status"), "settle status --db /a/b.db");
        assert_eq!(place("it's.db", None).command("log"), r"settle log --db 'it'\''s.db'");
        assert_eq!(
            place("/a/b.db", Some("btc 5")).command("status"),
            "settle status --bot 'btc 5'"
        );
    }

    #[test]
    fn an_outage_lasts_from_the_first_run_without_an_answer_to_the_first_with_one() {
        let asked = |host, requests, failures| {
            BTreeMap::from([(host, RequestStats { requests, failures })])
        };
        let after =
            |before: &_, stats: &_, at| after_requests(before, stats, true, UnixSeconds(at));
        let none = BTreeMap::new();
        let out = after(&none, &asked("polymarket", 3, 3), 100);
        assert_eq!(out, BTreeMap::from([("polymarket".to_owned(), UnixSeconds(100))]));
        assert_eq!(after(&out, &asked("polymarket", 1, 1), 700), out);
        assert_eq!(after(&out, &asked("polymarket", 0, 0), 700), out, "it was not asked");
        assert_eq!(after(&out, &asked("polymarket", 2, 1), 700), none);
        // one candle service that answers is enough
        let mut stats = asked("kraken", 2, 2);
        assert_eq!(after(&none, &stats, 1).len(), 1);
        stats.extend(asked("coinbase", 1, 0));
        assert_eq!(after(&none, &stats, 1), none);
        // candles are not asked for what Polymarket decides
        let out = after(&none, &asked("kraken", 2, 2), 1);
        let stats = asked("polymarket", 1, 0);
        assert_eq!(after(&out, &stats, 9), out, "a trade waits for them");
        assert_eq!(after_requests(&out, &stats, false, UnixSeconds(9)), none);
    }
}
