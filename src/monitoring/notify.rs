//! Notifications: one JSON POST for each alert raised or cleared, each contradiction and each
//! correction, and none of them twice. The database stores what was sent (`store::notified`).

use std::cell;
use std::collections::BTreeSet;
use std::path::Path;

use log::{info, warn};
use reqwest::Url;
use serde_json::{Value, json};

use crate::engine::summary::{IN_ERROR, Summary};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::outcome::contradicts;
use crate::rules::text::printable_line;
use crate::rules::units::{UnixSeconds, rounded};
use crate::sources::http::{Client, Undelivered};
use crate::store::{Noteworthy, NotificationState, Store};

/// Most corrections, and contradictions, sent one by one; one notice gives the number of the rest.
const ONE_BY_ONE: usize = 20;

const CORRECTION: &str = "correction";
const CONTRADICTION: &str = "contradiction";

impl Noteworthy {
    fn is_contradiction(&self) -> bool {
        let known = self.resolution.zip(self.moved);
        known.is_some_and(|(resolution, moved)| contradicts(resolution, moved))
    }

    fn in_words(&self, event: &str) -> String {
        let [from, to] = &self.outcomes;
        let (id, slug) = (&self.trade_id, &self.market_slug);
        let said = match (event, self.moved) {
            (CONTRADICTION, Some(moved)) => format!(
                "trade {id} on {slug}: Polymarket resolved it {to}, but {} moved {:+.1} bps in its window",
                self.price_source.as_deref().unwrap_or("the venue"),
                rounded(moved.0, 1)
            ),
            _ => {
                let [before, after] = &self.profits;
                format!("trade {id} on {slug}: {from} → {to}, profit {before} → {after}")
            }
        };
        printable_line(&said)
    }

    fn json(&self) -> Value {
        json!({
            "trade_id": self.trade_id.json(),
            "market_slug": self.market_slug.json(),
            "outcome_before": self.outcomes[0].json(),
            "outcome": self.outcomes[1].json(),
            "profit_before": self.profits[0].json(),
            "profit_loss": self.profits[1].json(),
            "moved_bps": self.moved,
            "price_source": self.price_source,
        })
    }
}

/// Sends one notice to `url`, to see whether it arrives.
///
/// # Errors
/// Why it did not, or that there is no URL.
pub fn send_test(url: Option<&Url>, now: UnixSeconds) -> Result<String, String> {
    let url = url.ok_or("no --notify-url is set, so no notice is sent")?;
    let body = json!({"event": "test", "message": "a test of settle doctor", "at": now});
    match Client::default().post(url, &body) {
        Ok(()) => Ok("the test was delivered".to_owned()),
        Err(Undelivered::Surely(why) | Undelivered::Perhaps(why)) => Err(why),
    }
}

/// A notification, and the state to store with it.
#[derive(Debug, PartialEq)]
struct Notice {
    body: Value,
    then: NotificationState,
}

/// Sends notifications, if there is a URL.
pub struct Notifier<'a> {
    url: Option<&'a Url>,
    client: Client,
    /// Whether a delivery failed; other databases then need not wait for the same failure.
    is_out: cell::Cell<bool>,
}

impl<'a> Notifier<'a> {
    pub fn new(url: Option<&'a Url>) -> Self {
        Self { url, client: Client::default(), is_out: cell::Cell::new(false) }
    }

    /// Sends what changed with a run. A failed delivery is a warning. The next run repeats it if it
    /// certainly did not arrive.
    pub fn tell(
        &self,
        store: &mut Store,
        database: &Path,
        summary: &Summary,
        interrupt: &Interrupt,
    ) {
        let Some(url) = self.url.filter(|_| !self.is_out.get()) else { return };
        if let Err(why) = self.tell_all(url, store, database, summary, interrupt) {
            warn!("the notification was not delivered: {why}");
        }
    }

    fn tell_all(
        &self,
        url: &Url,
        store: &mut Store,
        database: &Path,
        summary: &Summary,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        let run_id = summary.run_id.as_deref().unwrap_or_default();
        let stored = store.notification_state()?;
        let mut state = stored.clone();
        let (last, before) = match store.last_records(run_id)? {
            Some((last, before)) => (Some(last), Some(before)),
            None => (None, None),
        };
        // records from before notifications were enabled are not sent
        state.corrected = state.corrected.or(before);
        state.contradicted = state.contradicted.or(before);
        let noteworthy = match state.corrected.min(state.contradicted) {
            Some(from) => {
                store.noteworthy(from, |note| note.is_correction || note.is_contradiction())?
            }
            None => vec![],
        };
        // store the start: the next run must not skip what an interrupted run wrote
        if state != stored {
            store.save_notification_state(&state)?;
        }
        let news = News {
            run_id,
            database: database.display().to_string(),
            now: summary.now,
            noteworthy,
            state: state.clone(),
        };
        for notice in news.notices(summary) {
            if interrupt.asked() {
                return Ok(());
            }
            // stored first: if the process dies before the POST returns, nothing is sent twice
            store.save_notification_state(&notice.then)?;
            let event = notice.body["event"].as_str().unwrap_or_default().to_owned();
            let delivered = self.client.post(url, &notice.body);
            self.is_out.set(delivered.is_err());
            match delivered {
                Ok(()) => info!("notified: {event}"),
                Err(Undelivered::Surely(why)) => {
                    store.save_notification_state(&state)?;
                    warn!("notification of {event} failed, the next run tries again: {why}");
                    return Ok(());
                }
                Err(Undelivered::Perhaps(why)) => {
                    warn!("notification of {event} may not have arrived: {why}");
                    return Ok(());
                }
            }
            state = notice.then;
        }
        let all = NotificationState { corrected: last, contradicted: last, ..state.clone() };
        if all != state {
            store.save_notification_state(&all)?;
        }
        Ok(())
    }
}

/// What one run has to send.
struct News<'a> {
    run_id: &'a str,
    database: String,
    now: UnixSeconds,
    noteworthy: Vec<Noteworthy>,
    state: NotificationState,
}

impl News<'_> {
    /// The notifications in the order they are sent.
    fn notices(&self, summary: &Summary) -> Vec<Notice> {
        let mut notices = self.of_alerts(summary);
        let state = notices.last().map_or_else(|| self.state.clone(), |notice| notice.then.clone());
        let corrected = |state: &mut NotificationState, id| state.corrected = Some(id);
        let contradicted = |state: &mut NotificationState, id| state.contradicted = Some(id);
        let after = |id: Option<i64>| move |note: &&Noteworthy| note.id > id.unwrap_or(0);
        let corrections = self.noteworthy.iter().filter(|note| note.is_correction);
        let corrections = corrections.filter(after(self.state.corrected));
        let contradictions = self.noteworthy.iter().filter(|note| note.is_contradiction());
        let contradictions = contradictions.filter(after(self.state.contradicted));
        notices.extend(self.of_records(CORRECTION, corrections, state.clone(), corrected));
        let state = notices.last().map_or(state, |notice| notice.then.clone());
        notices.extend(self.of_records(CONTRADICTION, contradictions, state, contradicted));
        notices
    }

    fn of_alerts(&self, summary: &Summary) -> Vec<Notice> {
        let key = |reason: &&str| if *reason == IN_ERROR { "rows_in_error" } else { "overdue" };
        let unconfirmed = summary.unconfirmed_in_words();
        let late = unconfirmed.is_some().then_some("unconfirmed");
        let now = summary.overdue.keys().map(key).chain(late);
        let now: BTreeSet<String> = now.map(str::to_owned).collect();
        let raised: Vec<&String> = now.difference(&self.state.alerts).collect();
        let cleared: Vec<&String> = self.state.alerts.difference(&now).collect();
        let mut notices = Vec::new();
        let mut then = self.state.clone();
        if !raised.is_empty() {
            then.alerts.extend(now.iter().cloned());
            let reasons = summary.overdue.iter().map(|(reason, tally)| {
                let age = tally.oldest.map(|oldest| summary.now.since(oldest));
                json!({"reason": reason, "count": tally.count, "oldest_age_seconds": age})
            });
            let text = format!(
                "settle alert on {}: {}",
                self.database,
                [summary.overdue_in_words(), unconfirmed.into_iter().collect()].concat().join("; ")
            );
            let mut body = self.body("alert_raised", &text);
            body["alerts"] = json!(raised);
            body["reasons"] = reasons.collect();
            notices.push(Notice { body, then: then.clone() });
        }
        if !cleared.is_empty() {
            then.alerts.clone_from(&now);
            let text = format!("settle alert cleared on {}: {}", self.database, join(&cleared));
            let mut body = self.body("alert_cleared", &text);
            body["alerts"] = json!(cleared);
            body["still_raised"] = json!(now);
            notices.push(Notice { body, then });
        }
        notices
    }

    fn of_records<'n>(
        &self,
        event: &str,
        notes: impl Iterator<Item = &'n Noteworthy>,
        mut state: NotificationState,
        mark: impl Fn(&mut NotificationState, i64),
    ) -> Vec<Notice> {
        let notes: Vec<&Noteworthy> = notes.collect();
        let (first, more) = notes.split_at(notes.len().min(ONE_BY_ONE));
        let mut notices = Vec::new();
        for note in first {
            let text = format!("settle {event} on {}: {}", self.database, note.in_words(event));
            let mut body = self.body(event, &text);
            body["run_id"] = json!(note.run_id);
            body["trade"] = note.json();
            mark(&mut state, note.id);
            notices.push(Notice { body, then: state.clone() });
        }
        if let Some(last) = more.last() {
            let count = more.len();
            let text = format!("settle {event} on {}: {count} more trades", self.database);
            mark(&mut state, last.id);
            let mut body = self.body(event, &text);
            body["more"] = json!(count);
            notices.push(Notice { body, then: state });
        }
        notices
    }

    fn body(&self, event: &str, text: &str) -> Value {
        json!({
            "schema_version": 1,
            "event": event,
            "text": text,
            "database": self.database,
            "run_id": self.run_id,
            "time": self.now.to_string(),
        })
    }
}

fn join(keys: &[&String]) -> String {
    keys.iter().map(|key| key.replace('_', " ")).collect::<Vec<_>>().join(", ")
}
