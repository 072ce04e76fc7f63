//! Sends notices, each at least once: a notice is stored with what it reports, and removed when it was
//! answered with a status 2xx; until then the next run sends it again. `notices` decides what is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use log::{info, warn};
use reqwest::Url;
use serde_json::{Value, json};

use crate::engine::summary::Summary;
use crate::error::Error;
use crate::interrupt::{Interrupt, Limit};
use crate::monitoring::notices::{News, Place, is_contradiction};
use crate::monitoring::telegram;
use crate::rules::units::UnixSeconds;
use crate::sources::http::{Client, HOOK_TIMEOUT, RequestStats};
use crate::store::{NotificationState, Store};

/// The longest time that the notices of a run take in all.
const LONGEST: Duration = Duration::from_secs(10);

/// Where notices are sent. The address may hold a secret, so there is no `Debug`.
#[derive(Clone)]
pub struct Channel {
    url: Url,
    /// The chat of a notice by Telegram.
    chat_id: Option<String>,
}

impl Channel {
    /// A POST of the whole notice as JSON.
    pub fn post(url: Url) -> Self {
        Self { url, chat_id: None }
    }

    /// The text of the notice, from a Telegram bot to a chat.
    ///
    /// # Errors
    /// If no address can be made of these parts.
    pub fn telegram(base: &str, token: &str, chat_id: &str) -> Result<Self, String> {
        let url = telegram::address(base, token)?;
        Ok(Self { url, chat_id: Some(chat_id.to_owned()) })
    }

    /// The name in the database.
    fn name(&self) -> &'static str {
        if self.chat_id.is_some() { "telegram" } else { "post" }
    }

    /// The name in messages.
    pub fn title(&self) -> &'static str {
        if self.chat_id.is_some() { "notices by Telegram" } else { "notices" }
    }

    /// Sends one notice.
    fn send(&self, client: &Client, body: &str, longest: Duration) -> Result<(), String> {
        let Some(chat_id) = &self.chat_id else { return client.post(&self.url, body, longest) };
        let notice: Value = serde_json::from_str(body).unwrap_or_default();
        let text = notice["text"].as_str().unwrap_or(body);
        client.post(&self.url, &telegram::message(chat_id, text), longest)
    }

    /// Sends one notice, to see whether it arrives.
    ///
    /// # Errors
    /// Why it did not.
    pub fn send_test(&self, now: UnixSeconds) -> Result<String, String> {
        self.send_text("test", "a test of settle doctor", json!({}), now)?;
        Ok("the test was delivered".to_owned())
    }

    /// Sends a notice that no run causes: `event`, `what` for people, and `fields` beside them.
    ///
    /// # Errors
    /// Why it did not arrive.
    pub fn send_text(
        &self,
        event: &str,
        what: &str,
        mut fields: Value,
        now: UnixSeconds,
    ) -> Result<(), String> {
        let text = format!("settle on {}: {what}", host());
        for (name, value) in
            [("event", event), ("text", &text), ("host", &host()), ("time", &now.to_string())]
        {
            fields[name] = value.into();
        }
        self.send(&Client::default(), &fields.to_string(), HOOK_TIMEOUT)
    }
}

/// Sends the notices of one run, for all of its databases.
pub struct Notifier {
    /// The channels to which nothing failed in this run.
    channels: Vec<Channel>,
    names: Vec<&'static str>,
    client: Client,
    host: String,
    /// The time left for notices.
    left: Duration,
    /// The requests to each service so far.
    stats: BTreeMap<&'static str, RequestStats>,
    /// The outages that another database has reported.
    outages: BTreeSet<String>,
}

impl Notifier {
    /// Without channels, no notice is stored and none is sent.
    pub fn new(channels: Vec<Channel>, interrupt: &Interrupt) -> Self {
        Self {
            names: channels.iter().map(Channel::name).collect(),
            channels,
            client: Client::new(Limit::at_signal(interrupt)),
            host: host(),
            left: LONGEST,
            stats: BTreeMap::new(),
            outages: BTreeSet::new(),
        }
    }

    /// Stores and sends what changed with a run in the database of the bot with this name. A failure is a
    /// warning.
    pub fn report(
        &mut self,
        store: &mut Store,
        (database, bot): (String, Option<&str>),
        summary: &Summary,
    ) {
        for (service, stats) in &summary.stats {
            self.stats.entry(service).or_default().add(*stats);
        }
        if self.names.is_empty() {
            return;
        }
        let bot = bot.map(str::to_owned);
        let place = Place { host: self.host.clone(), database, bot };
        let sent = self.queue(store, &place, summary).and_then(|()| self.send_queued(store));
        if let Err(why) = sent {
            warn!("the notices of {} wait for the next run: {why}", place.database);
        }
    }

    /// Stores the notices of this run.
    fn queue(&mut self, store: &mut Store, place: &Place, summary: &Summary) -> Result<(), Error> {
        let run_id = summary.run_id.as_deref().unwrap_or_default();
        let stored = store.notification_state()?;
        let mut state = stored.clone();
        let records = store.last_records(run_id)?;
        // records from before notices were enabled are not reported
        let before = records.map(|(_, before)| before);
        state.last_record = state.last_record.or(before);
        if summary.interrupted {
            // not all trades were looked at; the next run reports what this one wrote
            return match state == stored {
                true => Ok(()),
                false => store.queue_notices(&state, &self.names, &[]),
            };
        }
        let noteworthy = match state.last_record {
            Some(from) => {
                store.noteworthy(from, |note| note.is_correction || is_contradiction(note))?
            }
            None => vec![],
        };
        let news = News { place, summary, noteworthy, state, stats: &self.stats };
        let (notices, next) = news.notices(&mut self.outages);
        let last_record = records.map(|(last, _)| last);
        let next = NotificationState { last_record, ..next };
        if next == stored && notices.is_empty() {
            return Ok(());
        }
        let bodies: Vec<String> = notices.iter().map(Value::to_string).collect();
        store.queue_notices(&next, &self.names, &bodies)
    }

    /// Sends the notices of a database that are not delivered, oldest first.
    fn send_queued(&mut self, store: &mut Store) -> Result<(), Error> {
        let mut index = 0;
        while let Some(channel) = self.channels.get(index).cloned() {
            index += 1;
            while let Some((id, body)) = store.next_notice(channel.name())? {
                if self.left.is_zero() || self.client.limit().interrupt.asked() {
                    let what = "are not sent in this run, because its end is due";
                    warn!("further {} {what}; the next run sends them", channel.title());
                    return Ok(());
                }
                let began = Instant::now();
                let sent = channel.send(&self.client, &body, self.left.min(HOOK_TIMEOUT));
                self.left = self.left.saturating_sub(began.elapsed());
                if let Err(why) = sent {
                    // the other databases of the run do not wait for the same failure
                    let title = channel.title();
                    warn!("{title}: one was not delivered, the next run sends it again: {why}");
                    index -= 1;
                    self.channels.remove(index);
                    break;
                }
                store.remove_notice(id)?;
                info!("delivered to {}: one notice", channel.title());
            }
        }
        Ok(())
    }
}

/// The name of this machine.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unknown host".to_owned(),
        name => name.to_owned(),
    }
}
