//! Pings in healthchecks.io's convention: a run's start, and its exit code with what it did. A failed ping is
//! only a warning.

use log::warn;
use reqwest::Url;

use crate::interrupt::{Interrupt, Limit};
use crate::sources::http::Client;

pub struct Pinger {
    url: Option<Url>,
    client: Client,
}

impl Pinger {
    /// Pings that a signal cuts.
    pub fn new(url: Option<Url>, interrupt: &Interrupt) -> Self {
        Self { url, client: Client::new(Limit::at_signal(interrupt)) }
    }

    /// Pings `URL/start`.
    pub fn started(&self) {
        self.ping(Some("start"), None);
    }

    /// Pings `URL` for the exit codes 0 and 3, as rows in error need no run, else `URL/EXIT_CODE`. The body
    /// says what the run did.
    pub fn ended(&self, exit_code: u8, body: String) {
        match exit_code {
            0 | 3 => self.ping(None, Some(body)),
            _ => self.ping(Some(&exit_code.to_string()), Some(body)),
        }
    }

    fn ping(&self, what: Option<&str>, body: Option<String>) {
        let Some(url) = &self.url else { return };
        let mut url = url.clone();
        if let (Some(what), Ok(mut path)) = (what, url.path_segments_mut()) {
            path.pop_if_empty().push(what);
        }
        if let Err(why) = self.client.ping(url, body) {
            warn!("the ping ({}) failed: {why}", what.unwrap_or("success"));
        }
    }
}
