//! Pings in the convention of healthchecks.io: a run's start, and how it ended. A ping that fails only warns.

use log::warn;
use reqwest::Url;

use crate::sources::http::{Client, Undelivered};

/// The check that is pinged, if there is one.
pub struct Pinger {
    url: Option<Url>,
    client: Client,
}

impl Pinger {
    /// Pings this URL; nothing, where there is none.
    pub fn new(url: Option<Url>) -> Self {
        Self { url, client: Client::default() }
    }

    /// Reports that a run starts: `URL/start`.
    pub fn started(&self) {
        self.ping(Some("start"));
    }

    /// Reports how a run ended: `URL` for 0, else `URL/EXIT_CODE`.
    pub fn ended(&self, exit_code: u8) {
        match exit_code {
            0 => self.ping(None),
            _ => self.ping(Some(&exit_code.to_string())),
        }
    }

    fn ping(&self, what: Option<&str>) {
        let Some(url) = &self.url else { return };
        let mut url = url.clone();
        if let (Some(what), Ok(mut path)) = (what, url.path_segments_mut()) {
            path.pop_if_empty().push(what);
        }
        if let Err(Undelivered::Surely(why) | Undelivered::Perhaps(why)) = self.client.ping(url) {
            warn!("the ping ({}) failed: {why}", what.unwrap_or("success"));
        }
    }
}
