//! The one HTTP client: time-outs, size cap, no redirects, retries with backoff, Retry-After, and
//! what a status means. What a body means is the services' business.

use std::cell::OnceCell;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use log::debug;
use reqwest::blocking;
use reqwest::redirect::Policy;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take in all, body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest body read, in bytes; the largest answer of any service is under a tenth of it.
const MAX_BODY: u64 = 4 * 1024 * 1024;
/// How often one request is sent before the service is given up for the run.
const TRIES: u32 = 3;
/// The wait before the second try; it doubles with each further one, and up to half is added.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// The longest Retry-After that is waited for; a longer one gives the service up for the run.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a service's answer is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot answer now: worth another try.
    NotNow(String),
    /// It will not answer this request: no use in trying again.
    Refused(String),
    /// It will never answer this host: not to be asked again in this run.
    Never(String),
}

/// What an HTTP status other than 200 means: the same for all services. None for 200.
pub fn refusal(status: u16) -> Option<Trouble> {
    let said = format!("answered HTTP {status}");
    match status {
        200 => None,
        403 | 451 => Some(Trouble::Never(format!("{said} (not available from here)"))),
        408 | 418 | 425 | 429 | 500..=599 => Some(Trouble::NotNow(said)),
        _ => Some(Trouble::Refused(said)),
    }
}

/// An HTTP client that is built when it is first needed: a run with nothing due builds none.
#[derive(Debug, Default)]
pub struct Client {
    built: OnceCell<blocking::Client>,
}

/// Status, body, and how long the service asks to be left alone.
struct Response {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Client {
    /// Gets `url` until it is answered, at most three times, and has `read` say what a body with
    /// status 200 means. Adds every request sent to `requests`.
    ///
    /// # Errors
    /// [`Trouble`]; [`Trouble::NotNow`] once the tries are used up.
    pub fn get<T>(
        &self,
        url: &str,
        requests: &mut u64,
        read: impl Fn(&[u8]) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut tries = 1;
        loop {
            *requests += 1;
            let (answer, retry_after) = match self.get_once(url) {
                Ok(response) => {
                    let answer = refusal(response.status).map_or_else(|| read(&response.body), Err);
                    (answer, response.retry_after)
                }
                Err(why) => (Err(Trouble::NotNow(why)), None),
            };
            let Err(Trouble::NotNow(why)) = &answer else { return answer };
            let wait = retry_after.unwrap_or_else(|| backoff(tries));
            debug!("GET {url}: {why} (try {tries} of {TRIES})");
            if tries == TRIES || wait > MAX_RETRY_AFTER {
                return answer;
            }
            thread::sleep(wait);
            tries += 1;
        }
    }

    fn get_once(&self, url: &str) -> Result<Response, String> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let response = self.client()?.get(url).send().map_err(|error| in_words(&error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = read_body(response, deadline)?;
        Ok(Response { status, retry_after, body })
    }

    fn client(&self) -> Result<&blocking::Client, String> {
        if let Some(client) = self.built.get() {
            return Ok(client);
        }
        // an error only says that a provider is installed already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = blocking::Client::builder()
            .user_agent(concat!("settle/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .build()
            .map_err(|error| format!("the HTTP client cannot be built: {}", in_words(&error)))?;
        Ok(self.built.get_or_init(|| client))
    }
}

/// Reads a body to its end, or says why not: too large, too slow, or torn.
fn read_body(mut response: impl Read, deadline: Instant) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = match response.read(&mut chunk) {
            Ok(0) => return Ok(body),
            Ok(count) => count,
            Err(error) => return Err(format!("broke off its answer ({error})")),
        };
        body.extend_from_slice(&chunk[..count]);
        if body.len() as u64 > MAX_BODY {
            return Err(format!("sent more than {} MiB", MAX_BODY / 1024 / 1024));
        }
        if Instant::now() > deadline {
            return Err(format!("took longer than {} s", REQUEST_TIMEOUT.as_secs()));
        }
    }
}

/// The wait after the `tries`-th try, with jitter so that many hosts do not come back at once.
fn backoff(tries: u32) -> Duration {
    let base = FIRST_BACKOFF * 2u32.saturating_pow(tries - 1);
    base + base.mul_f64(fastrand::f64() / 2.0)
}

/// A reqwest error with its causes, which it leaves out of its own text, and without the URL.
fn in_words(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off its answer"
    };
    let mut root: &dyn std::error::Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    format!("{kind} ({root})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_vary() {
        for (tries, least, most) in [(1, 250, 375), (2, 500, 750)] {
            let wait = backoff(tries).as_millis();
            assert!((least..=most).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn an_endless_body_is_cut_off() {
        let endless = std::io::repeat(b'x');
        let error = read_body(endless, Instant::now() + REQUEST_TIMEOUT).unwrap_err();
        assert_eq!(error, "sent more than 4 MiB");
    }

    #[test]
    fn a_body_that_comes_too_slowly_is_cut_off() {
        let past = Instant::now() - Duration::from_secs(1);
        assert!(read_body(&b"slow"[..], past).unwrap_err().starts_with("took longer"));
    }

    #[test]
    fn statuses_mean_the_same_everywhere() {
        assert_eq!(refusal(200), None);
        for (status, wanted) in [
            (451, "never"),
            (403, "never"),
            (429, "not now"),
            (418, "not now"),
            (500, "not now"),
            (520, "not now"),
            (400, "refused"),
            (404, "refused"),
            (302, "refused"),
        ] {
            let got = match refusal(status) {
                Some(Trouble::Never(_)) => "never",
                Some(Trouble::NotNow(_)) => "not now",
                Some(Trouble::Refused(_)) => "refused",
                _ => "an answer",
            };
            assert_eq!(got, wanted, "{status}");
        }
    }
}
