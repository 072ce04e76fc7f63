//! The one HTTP client: time-outs, size cap, no redirects, retries with backoff, Retry-After, and
//! what a status means. Each service interprets its own bodies.

use std::io::Read;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::DateTime;
use log::debug;
use reqwest::blocking;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::error::Category;

use crate::interrupt::{Limit, SIGNAL_CHECK};
use crate::rules::text::{printable, printable_line};
use crate::rules::units::UnixSeconds;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of one request, body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The time limit of a notice or a ping; the run waits for it.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a notice or a ping that is under way is waited for after a signal.
const AFTER_SIGNAL: Duration = Duration::from_millis(300);
/// The largest body to read, in bytes. The services' largest answers are under a tenth of it.
const MAX_BODY: u64 = 4 * 1024 * 1024;
/// The bytes of a 404's body that are kept, so that a service's own "not found" can be recognised.
const KEPT_OF_A_BODY: usize = 1_000;
/// The characters of an error's body that a message has.
const SHOWN_OF_A_BODY: usize = 200;
/// The number of tries of one request before the run stops asking the service. A request that times
/// out is not retried.
pub const TRIES: u32 = 3;
/// The wait before the second try. It doubles with each further try, plus up to half at random.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// How long after the end of a run a request that is under way is cut.
const GRACE: Duration = Duration::from_secs(5);
/// The longest Retry-After to wait for. After a longer one the run stops asking the service.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request has no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The service cannot be reached, or says to wait longer than a run does: worth a retry.
    NotNow(String),
    /// The service limits the rate, or did not wait for this request: worth a retry after `wait`.
    Limited {
        /// The message.
        why: String,
        /// The Retry-After of its answer; none is 0.
        wait: Duration,
    },
    /// The service failed on this request, or its answer cannot be used: worth a retry.
    Failed(String),
    /// The service refuses this request: a retry would not help.
    Refused(String),
    /// The service does not have what is asked for, or this address: HTTP 404.
    Missing {
        /// The message.
        why: String,
        /// The beginning of the body.
        body: Vec<u8>,
    },
    /// The service does not have this address, or no longer.
    Gone(String),
    /// The service refuses this host: the run does not ask it again.
    Never(String),
}

impl FetchError {
    /// Whether a retry of the same request may succeed.
    fn may_pass(&self) -> bool {
        matches!(self, Self::NotNow(_) | Self::Limited { .. } | Self::Failed(_))
    }

    /// The message.
    pub fn why(&self) -> &str {
        match self {
            Self::NotNow(why)
            | Self::Limited { why, .. }
            | Self::Failed(why)
            | Self::Refused(why)
            | Self::Missing { why, .. }
            | Self::Gone(why)
            | Self::Never(why) => why,
        }
    }
}

/// The error of an HTTP status, the same for all services; `None` for 200. Its message has the
/// beginning of the body, and the target of a redirect.
pub fn refusal(status: u16, body: &[u8], location: Option<&str>) -> Option<FetchError> {
    let mut said = format!("answered HTTP {status}");
    if let Some(location) = location {
        said.push_str(&format!(" to {}", printable(location)));
    }
    said.push_str(&shown(body));
    match status {
        200 => None,
        403 | 451 => Some(FetchError::Never(format!("{said} (not available from here)"))),
        408 | 418 | 425 | 429 => Some(FetchError::Limited { why: said, wait: Duration::ZERO }),
        404 => {
            let body = body[..body.len().min(KEPT_OF_A_BODY)].to_vec();
            Some(FetchError::Missing { why: said, body })
        }
        301..=308 | 405 | 410 | 501 => Some(FetchError::Gone(said)),
        500..=599 => Some(FetchError::Failed(said)),
        _ => Some(FetchError::Refused(said)),
    }
}

/// The error with the Retry-After of its answer: a limit that lasts longer than a run waits is
/// [`FetchError::NotNow`].
fn with_wait(error: FetchError, retry_after: Option<Duration>) -> FetchError {
    match (error, retry_after) {
        (FetchError::Limited { why, .. }, Some(wait)) if wait > MAX_RETRY_AFTER => {
            FetchError::NotNow(why)
        }
        (FetchError::Limited { why, .. }, Some(wait)) => FetchError::Limited { why, wait },
        (error, _) => error,
    }
}

/// The beginning of a body after a colon; empty for an empty body.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_OF_A_BODY)]);
    let text: String = text.trim().chars().take(SHOWN_OF_A_BODY).collect();
    if text.is_empty() { text } else { format!(": {}", printable_line(&text)) }
}

/// An HTTP client that is built on first use. A run with nothing due builds none.
#[derive(Debug, Default, Clone)]
pub struct Client {
    built: Arc<OnceLock<blocking::Client>>,
    limit: Limit,
    /// How long after the limit's end a request that is under way is cut.
    grace: Duration,
    /// The Date header of the last answer, and when it arrived.
    clock: Arc<Mutex<Option<(UnixSeconds, Instant)>>>,
}

/// The JSON in a body, read as the type that a service's answers have.
///
/// # Errors
/// [`FetchError::Failed`] where it is not whole JSON or has another shape.
pub fn json<'body, T: Deserialize<'body>>(body: &'body [u8]) -> Result<T, FetchError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            Category::Data => "of another shape than known",
            _ => "that is not whole JSON",
        };
        let body = shown(body);
        FetchError::Failed(format!("sent a body {what} ({}){body}", printable(&error.to_string())))
    })
}

/// A text escaped for a query.
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Limits the number of requests in a period, over all threads.
#[derive(Debug)]
pub struct RateLimiter {
    most: usize,
    within: Duration,
    /// The start of the current period and the number of requests in it.
    counted: Mutex<(Instant, usize)>,
}

impl RateLimiter {
    /// At most `most` requests in each period of length `within`.
    pub fn new(most: usize, within: Duration) -> Self {
        Self { most, within, counted: Mutex::new((Instant::now(), 0)) }
    }

    /// Waits until another request may be sent, or the run must stop.
    pub fn wait(&self, limit: &Limit) {
        // a panic in another thread leaves the count valid
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = counted.0.elapsed();
        if counted.1 >= self.most && passed < self.within {
            limit.sleep(self.within.saturating_sub(passed));
        }
        if counted.0.elapsed() >= self.within {
            *counted = (Instant::now(), 0);
        }
        counted.1 += 1;
    }
}

/// Requests sent to a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestStats {
    /// The number of requests; each try counts.
    pub requests: u64,
    /// The number of them without a usable answer.
    pub failures: u64,
}

impl RequestStats {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failures += other.failures;
    }

    /// The counts without those of `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            failures: self.failures - earlier.failures,
        }
    }
}

/// Status, body, Retry-After and the target of a redirect.
struct Response {
    status: u16,
    location: Option<String>,
    retry_after: Option<Duration>,
    date: Option<UnixSeconds>,
    body: Vec<u8>,
}

impl Client {
    /// A client of a run with this limit: no request begins after its end, and one that is under way
    /// is cut 5 s later.
    pub fn new(limit: Limit) -> Self {
        Self { limit, grace: GRACE, ..Self::default() }
    }

    /// The same client with an earlier end, at which also a request that is under way is cut.
    pub fn until(&self, end: Option<Instant>) -> Self {
        let limit = Limit { end, ..self.limit.clone() };
        Self { limit, grace: Duration::ZERO, ..self.clone() }
    }

    /// The time by the service that answered last, and when its answer arrived, once; `None` if no answer
    /// since the last call stated a time.
    pub fn take_clock(&self) -> Option<(UnixSeconds, Instant)> {
        // a panic in another thread leaves the value valid
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// When the run must stop.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Gets `url` with at most `most_tries` tries. `read` interprets a body with status 200. Adds each
    /// request to `stats`.
    ///
    /// # Errors
    /// [`FetchError`], of the last try.
    pub fn get<T>(
        &self,
        url: &str,
        most_tries: u32,
        stats: &mut RequestStats,
        read: impl Fn(&[u8]) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut tries = 1;
        loop {
            if self.limit.is_over() {
                return Err(self.over());
            }
            stats.requests += 1;
            let began = Instant::now();
            let longest = self.longest();
            let (answer, retry_after) = match self.get_once(url, longest) {
                Ok(response) => {
                    let Response { status, location, body, date, .. } = &response;
                    if let Some(date) = date {
                        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
                        *clock = Some((*date, Instant::now()));
                    }
                    let error = refusal(*status, body, location.as_deref());
                    let error = error.map(|error| with_wait(error, response.retry_after));
                    let answer = error.map_or_else(|| read(body), Err);
                    (answer, response.retry_after)
                }
                Err(error) => (Err(error), None),
            };
            stats.failures += u64::from(answer.is_err());
            let Some(error) = answer.as_ref().err().filter(|error| error.may_pass()) else {
                return answer;
            };
            // no retry after a time-out, because other trades wait
            let timed_out = began.elapsed() >= longest;
            let wait = retry_after.unwrap_or_else(|| backoff(tries));
            debug!("GET {url}: {} (try {tries} of {most_tries})", error.why());
            if tries == most_tries || timed_out || wait > MAX_RETRY_AFTER {
                return answer;
            }
            self.limit.sleep(wait);
            tries += 1;
        }
    }

    /// Posts `body`, which is JSON, to `url`, once, within `longest`.
    ///
    /// # Errors
    /// Why no answer with a status 2xx was received. The message omits the URL, which may hold a secret.
    pub fn post(&self, url: &reqwest::Url, body: &str, longest: Duration) -> Result<(), String> {
        let request = self.client()?.post(url.clone());
        // a new connection: a reused one may be closed by the receiver, and the request is lost
        let request = request.header(reqwest::header::CONNECTION, "close");
        let request = request.header(reqwest::header::CONTENT_TYPE, "application/json");
        self.deliver(request.timeout(longest).body(body.to_owned()))
    }

    /// Gets `url`, once, or posts `body` as text.
    ///
    /// # Errors
    /// As with [`Self::post`].
    pub fn ping(&self, url: reqwest::Url, body: Option<String>) -> Result<(), String> {
        let client = self.client()?;
        let request = match body {
            None => client.get(url),
            Some(body) => client
                .post(url)
                .header(reqwest::header::CONTENT_TYPE, "text/plain; charset=utf-8")
                .body(body),
        };
        self.deliver(request.timeout(HOOK_TIMEOUT))
    }

    /// Sends a notice or a ping. Another thread sends it, so that a signal ends the wait.
    fn deliver(&self, request: blocking::RequestBuilder) -> Result<(), String> {
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            // the receiver is gone after a signal
            let _ = send.send(delivered(request.send()));
        });
        let mut until: Option<Instant> = None;
        loop {
            match receive.recv_timeout(SIGNAL_CHECK) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if !self.limit.interrupt.asked() => {}
                Err(RecvTimeoutError::Timeout) => {
                    let until = *until.get_or_insert_with(|| Instant::now() + AFTER_SIGNAL);
                    if Instant::now() >= until {
                        return Err("was not waited for, because a signal ended the run".to_owned());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err("could not be sent".to_owned()),
            }
        }
    }

    /// The error of a request that is not sent, or not waited for, because the run must stop.
    fn over(&self) -> FetchError {
        let why = match self.limit.interrupt.asked() {
            true => "was not asked further, because a signal ended the run",
            false => "was not asked further, because the time for it is over (--max-seconds)",
        };
        FetchError::NotNow(why.to_owned())
    }

    /// The time limit of a request that begins now.
    fn longest(&self) -> Duration {
        let left = self.limit.left().map(|left| left + self.grace);
        left.map_or(REQUEST_TIMEOUT, |left| left.min(REQUEST_TIMEOUT))
    }

    /// One request, within `longest`. Another thread sends it, so that a signal ends the wait.
    fn get_once(&self, url: &str, longest: Duration) -> Result<Response, FetchError> {
        let client = self.client().map_err(FetchError::NotNow)?.clone();
        let (send, receive) = mpsc::channel();
        let url = url.to_owned();
        thread::spawn(move || {
            // the receiver is gone after a signal
            let _ = send.send(fetch(&client, &url, longest));
        });
        loop {
            match receive.recv_timeout(SIGNAL_CHECK) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if !self.limit.interrupt.asked() => {}
                Err(RecvTimeoutError::Timeout) => return Err(self.over()),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(FetchError::Failed("could not be read".to_owned()));
                }
            }
        }
    }

    fn client(&self) -> Result<&blocking::Client, String> {
        if let Some(client) = self.built.get() {
            return Ok(client);
        }
        // the only possible error is that a provider is installed already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = blocking::Client::builder()
            .user_agent(concat!("settle/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .build()
            .map_err(|error| {
                let why = root_of(&error);
                format!("cannot be asked: {why}; are the system's CA certificates installed?")
            })?;
        Ok(self.built.get_or_init(|| client))
    }
}

/// Sends one request and reads its answer, within `longest`.
fn fetch(client: &blocking::Client, url: &str, longest: Duration) -> Result<Response, FetchError> {
    let deadline = Instant::now() + longest;
    let response = client.get(url).timeout(longest).send().map_err(|error| {
        match error.is_timeout() || error.is_connect() {
            true => FetchError::NotNow(in_words(error)),
            false => FetchError::Failed(in_words(error)),
        }
    })?;
    let status = response.status().as_u16();
    let header = |name| response.headers().get(name)?.to_str().ok().map(str::trim);
    let retry_after = header(reqwest::header::RETRY_AFTER).and_then(|value| value.parse().ok());
    let retry_after = retry_after.map(Duration::from_secs);
    let location = header(reqwest::header::LOCATION).map(str::to_owned);
    let date =
        header(reqwest::header::DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let date = date.map(|date| UnixSeconds(date.timestamp()));
    let body = read_body(response, deadline, longest)?;
    Ok(Response { status, location, retry_after, date, body })
}

fn delivered(answer: reqwest::Result<blocking::Response>) -> Result<(), String> {
    match answer {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("answered HTTP {}", response.status().as_u16())),
        Err(error) => Err(in_words(error)),
    }
}

/// Reads a body to its end, unless it is too large, too slow or torn.
fn read_body(
    mut response: impl Read,
    deadline: Instant,
    longest: Duration,
) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = match response.read(&mut chunk) {
            Ok(0) => return Ok(body),
            Ok(count) => count,
            Err(error) => {
                return Err(FetchError::Failed(format!("broke off its answer ({error})")));
            }
        };
        body.extend_from_slice(&chunk[..count]);
        if body.len() as u64 > MAX_BODY {
            let most = MAX_BODY / 1024 / 1024;
            return Err(FetchError::Failed(format!("sent more than {most} MiB")));
        }
        if Instant::now() > deadline {
            let most = longest.as_secs_f64();
            return Err(FetchError::NotNow(format!("took longer than {most:.0} s")));
        }
    }
}

/// The wait after the `tries`-th try, with jitter so that many hosts do not retry at once.
fn backoff(tries: u32) -> Duration {
    let base = FIRST_BACKOFF * 2u32.saturating_pow(tries - 1);
    base + base.mul_f64(fastrand::f64() / 2.0)
}

/// A reqwest error with its root cause, which reqwest omits, and without the URL.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let kind = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off its answer"
    };
    format!("{kind} ({})", root_of(&error))
}

fn root_of(error: &reqwest::Error) -> &dyn std::error::Error {
    let mut root: &dyn std::error::Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn waits_grow_and_vary() {
        for (tries, least, most) in [(1, 250, 375), (2, 500, 750)] {
            let wait = backoff(tries).as_millis();
            assert!((least..=most).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn no_more_requests_are_sent_than_the_pace_allows() {
        let pace = RateLimiter::new(3, Duration::from_millis(40));
        let began = Instant::now();
        (0..7).for_each(|_| pace.wait(&Limit::default()));
        // the fourth and the seventh begin a stretch of their own
        assert!(began.elapsed() >= Duration::from_millis(80));
    }

    #[test]
    fn a_failure_before_the_requests_time_is_up_is_no_time_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 1000]);
                // more than half of the time that is left
                thread::sleep(Duration::from_millis(1200));
                let _ = std::io::Write::write_all(
                    &mut stream,
                    b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        let end = Instant::now().checked_add(Duration::from_secs(2));
        let client = Client::new(Limit::default()).until(end);
        let mut stats = RequestStats::default();
        client.get(&url, 3, &mut stats, |_| Ok(())).unwrap_err();
        assert_eq!(stats.requests, 2);
    }

    #[test]
    fn an_endless_body_is_cut_off() {
        let endless = std::io::repeat(b'x');
        let error =
            read_body(endless, Instant::now() + REQUEST_TIMEOUT, REQUEST_TIMEOUT).unwrap_err();
        assert_eq!(error, FetchError::Failed("sent more than 4 MiB".to_owned()));
    }

    #[test]
    fn a_body_that_comes_too_slowly_is_cut_off() {
        let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let slow = read_body(&b"slow"[..], past, REQUEST_TIMEOUT);
        assert!(matches!(slow, Err(FetchError::NotNow(why)) if why.starts_with("took longer")));
    }

    #[test]
    fn a_body_is_whole_json_of_the_known_shape_with_each_field_once() {
        #[derive(Debug, Deserialize)]
        struct Body {
            a: Value,
        }
        let read = |body: &str| json::<Body>(body.as_bytes()).map(|body| body.a.to_string());
        assert_eq!(read(r#"{"a":[1e400,-0.5,null],"b":{}}"#), Ok("[1e+400,-0.5,null]".to_owned()));
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        for (body, named) in [
            ("", "not whole JSON"),
            ("{", "not whole JSON"),
            (r#"{"a":NaN}"#, "not whole JSON"),
            (r#"{"a":[1,]}"#, "not whole JSON"),
            (r#"{"a":1} 2"#, "not whole JSON"),
            (&deep, "not whole JSON"),
            ("7", "another shape"),
            ("{}", "another shape"),
            (r#"{"a":1,"a":1}"#, "another shape"),
            (r#"{"a":1,"\u0061":2}"#, "another shape"),
        ] {
            let Err(FetchError::Failed(why)) = read(body) else { panic!("{body:.40}") };
            assert!(why.contains(named), "{body:.40}: {why}");
        }
    }

    #[test]
    fn statuses_mean_the_same_everywhere() {
        assert_eq!(refusal(200, b"[]", None), None);
        for (status, wanted) in [
            (451, "never"),
            (403, "never"),
            (429, "limited"),
            (418, "limited"),
            (500, "failed"),
            (520, "failed"),
            (400, "refused"),
            (422, "refused"),
            (404, "missing"),
            (410, "gone"),
            (308, "gone"),
        ] {
            let got = match refusal(status, b"", None) {
                Some(FetchError::Never(_)) => "never",
                Some(FetchError::NotNow(_)) => "not now",
                Some(FetchError::Limited { .. }) => "limited",
                Some(FetchError::Failed(_)) => "failed",
                Some(FetchError::Gone(_)) => "gone",
                Some(FetchError::Missing { .. }) => "missing",
                Some(FetchError::Refused(_)) => "refused",
                None => "an answer",
            };
            assert_eq!(got, wanted, "{status}");
        }
    }

    #[test]
    fn a_limit_that_lasts_longer_than_a_run_waits_is_not_now() {
        let limited = || refusal(429, b"", None).unwrap();
        let wait = Duration::from_secs(5);
        let kept = with_wait(limited(), Some(wait));
        assert!(matches!(kept, FetchError::Limited { wait: found, .. } if found == wait));
        let long = with_wait(limited(), Some(Duration::from_secs(6)));
        assert!(matches!(long, FetchError::NotNow(_)));
        assert_eq!(with_wait(limited(), None), limited());
    }

    #[test]
    fn a_refusal_has_the_beginning_of_the_body_and_the_target_of_a_redirect() {
        let why = |status, body: &[u8], location| {
            refusal(status, body, location).unwrap().why().to_owned()
        };
        let retired = why(410, b" this API is deprecated\x1b[2J ", None);
        assert_eq!(retired, "answered HTTP 410: this API is deprecated\\u{1b}[2J");
        assert_eq!(
            why(308, b"", Some("https://x.invalid/")),
            "answered HTTP 308 to https://x.invalid/"
        );
        assert!(why(500, &[b'x'; 5000], None).len() < 300);
    }
}
