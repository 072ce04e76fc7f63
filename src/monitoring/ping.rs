//! Pings in healthchecks.io's convention: a run's start and its exit code. A failed ping is only a
//! warning.

use log::warn;
use reqwest::Url;

use crate::sources::http::Client;

pub struct Pinger {
    url: Option<Url>,
    client: Client,
}

impl Pinger {
    pub fn new(url: Option<Url>) -> Self {
        Self { url, client: Client::default() }
    }

    /// Pings `URL/start`.
    pub fn started(&self) {
        self.ping(Some("start"));
    }

    /// Pings `URL` for the exit codes 0 and 3, as rows in error need no run, else `URL/EXIT_CODE`.
    pub fn ended(&self, exit_code: u8) {
        match exit_code {
            0 | 3 => self.ping(None),
            _ => self.ping(Some(&exit_code.to_string())),
        }
    }

    fn ping(&self, what: Option<&str>) {
        let Some(url) = &self.url else { return };
        let mut url = url.clone();
        if let (Some(what), Ok(mut path)) = (what, url.path_segments_mut()) {
            path.pop_if_empty().push(what);
        }
        if let Err(why) = self.client.ping(url) {
            warn!("the ping ({}) failed: {why}", what.unwrap_or("success"));
        }
    }
}
