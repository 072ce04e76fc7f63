//! Asks Polymarket for resolutions: Gamma's lists, many markets a request (`lists`); then single markets,
//! then the judges that know a market by its condition id (`singles`). `answer` and `judge` interpret the
//! answers.
//!
//! Source: the endpoints and their limits as they are documented and answer (2026).

mod answer;
mod body;
mod judge;
mod lists;
mod singles;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::debug;

use crate::rules::market::{RuleSet, read_market as market_of};
use crate::rules::resolution::{Answer, MarketIds, Resolutions, Stated};
use crate::rules::title::is_id;
use crate::rules::units::{BtcPrice, UnixSeconds};
use crate::sources::http::{Client, FetchError, RateLimiter, RequestStats};

use answer::is_absent;
pub use answer::read_markets;
use body::denies_market;
use judge::clob_denies_market;
use lists::{chunks, unanswered};

/// Most requests that are under way at a time.
const AT_ONCE: usize = 4;
/// Most requests in 10 seconds; the service's own limit is 300.
const PACE: (usize, Duration) = (250, Duration::from_secs(10));
/// A source of resolutions. Tests use a map.
pub trait ResolutionSource: Send {
    /// The available answers on the markets with these keys ([`crate::rules::title::market_key`]),
    /// asked in this order.
    fn find(&mut self, keys: &[String]) -> Resolutions;
    /// Takes note of the names of markets, by key.
    fn know(&mut self, ids: &HashMap<String, MarketIds>) {
        let _ = ids;
    }
    /// What those of these markets state that are not closed; only their statements count.
    fn stated(&mut self, keys: &[String]) -> Resolutions {
        let _ = keys;
        Resolutions::default()
    }
    /// The prices at the start and at the close that Polymarket states for those of these markets, all closed
    /// or all not, where it states both; each with what it states of the market.
    fn final_prices(&mut self, keys: &[String], closed: bool) -> HashMap<String, StatedPrices> {
        let _ = (keys, closed);
        HashMap::new()
    }
    /// Requests sent so far, by service.
    fn stats(&self) -> BTreeMap<&'static str, RequestStats>;
}

/// The prices that Polymarket states for a market, and what it states of it.
#[derive(Debug, Clone)]
pub struct StatedPrices {
    /// Dollars at the window's start and at its close.
    pub prices: [BtcPrice; 2],
    /// The market.
    pub states: Stated,
}

/// Base URLs of Polymarket's services.
#[derive(Debug, Clone)]
pub struct Bases {
    /// Gamma, such as `https://gamma-api.polymarket.com`.
    pub gamma: String,
    /// The Data API, such as `https://data-api.polymarket.com`.
    pub data: String,
    /// The CLOB, such as `https://clob.polymarket.com`.
    pub clob: String,
}

/// Polymarket's services behind HTTP.
pub struct Polymarket {
    bases: Bases,
    client: Arc<Client>,
    /// The client of the current call, with this service's share of the time that is left.
    asking: Client,
    stats: Mutex<BTreeMap<&'static str, RequestStats>>,
    /// The paths that answered, each once.
    answered: Mutex<Vec<String>>,
    pace: RateLimiter,
    /// How long this service has been waited for in this run.
    waited: Duration,
    /// It could not be asked: settle does not ask it again in this run.
    is_out: bool,
    /// `/markets/keyset` is not served: settle asks the plain list at once.
    keyset_is_gone: AtomicBool,
    /// No list is served: settle asks for each market by itself.
    lists_are_gone: AtomicBool,
    /// The Data API could not be asked: settle does not ask it again in this run.
    data_is_out: bool,
    /// The same for the CLOB: how often it failed since its last answer.
    clob_failures: usize,
    /// The names of markets, by key.
    ids: HashMap<String, MarketIds>,
    /// The answers of the list of open markets, by key: each is asked for once.
    open: HashMap<String, Answer>,
}

/// The error of an address that is not served, or not any more.
fn gone(why: &str) -> FetchError {
    FetchError::Gone(format!("{why} (gone: Polymarket does not serve this address)"))
}

impl Polymarket {
    /// The services at these addresses.
    pub fn new(bases: Bases, client: Arc<Client>) -> Self {
        Self {
            bases,
            asking: Client::clone(&client),
            client,
            waited: Duration::ZERO,
            is_out: false,
            stats: Mutex::default(),
            answered: Mutex::default(),
            pace: RateLimiter::new(PACE.0, PACE.1),
            keyset_is_gone: AtomicBool::new(false),
            lists_are_gone: AtomicBool::new(false),
            data_is_out: false,
            clob_failures: 0,
            ids: HashMap::new(),
            open: HashMap::new(),
        }
    }

    /// One request, counted for `service`.
    ///
    /// # Errors
    /// [`FetchError`]; [`FetchError::Missing`] only where the service says that it has no such market.
    /// Another 404 is [`FetchError::Gone`].
    fn get<T>(
        &self,
        service: &'static str,
        url: &str,
        tries: u32,
        read: impl Fn(&[u8]) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut stats = RequestStats::default();
        self.pace.wait(self.asking.limit());
        let denies = if service == "clob" { clob_denies_market } else { denies_market };
        let answer = self.asking.get(url, tries, &mut stats, read);
        let answer = answer.map_err(|error| match error {
            FetchError::Missing { why, body } if !denies(&body) => gone(&why),
            FetchError::Gone(why) => gone(&why),
            error => error,
        });
        // a panic in another thread leaves the count valid
        let mut counts = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(service).or_default().add(stats);
        if answer.is_ok() {
            let path = url.split('?').next().unwrap_or(url).to_owned();
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            if !answered.contains(&path) {
                answered.push(path);
            }
        }
        answer
    }

    /// The addresses, without queries, that have answered so far, the first one first.
    pub fn answered(&self) -> Vec<String> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks about these markets by the first list that answers, or about each by itself where no list
    /// is served.
    ///
    /// # Errors
    /// [`FetchError`], if nothing is answered.
    fn find_some(&self, slugs: &[String], resolved: &mut Resolutions) -> Result<(), FetchError> {
        if !self.lists_are_gone.load(Ordering::Relaxed) {
            match self.find_listed(slugs, resolved) {
                Err(FetchError::Gone(_) | FetchError::Missing { .. }) => {}
                asked => return asked,
            }
        }
        self.look_up(&unanswered(slugs, resolved), resolved)?;
        self.lists_are_gone.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Asks about the chunks that no other thread has taken, until a thread finds that the service is
    /// `out`. Returns each result with its place.
    fn find_next(
        &self,
        chunks: &[&[String]],
        next: &AtomicUsize,
        out: &AtomicBool,
    ) -> Vec<(usize, Resolutions)> {
        let mut found = Vec::new();
        while !out.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(some) = chunks.get(place) else { break };
            let mut resolved = Resolutions::default();
            if let Err(error) = self.find_some(some, &mut resolved) {
                let (base, why) = (&self.bases.gamma, error.why());
                // a single slug may be the one on which the service fails
                let is_out = some.len() > 1 || matches!(error, FetchError::NotNow(_));
                let rest = if is_out { "; not asked again in this run" } else { "" };
                out.fetch_or(is_out, Ordering::Relaxed);
                resolved.problems.push(format!("{base} {why}{rest}"));
            }
            found.push((place, resolved));
        }
        found
    }

    /// Asks about these markets in parts that fit into a request, several at a time.
    fn find_in_parts(&mut self, slugs: &[String]) -> Resolutions {
        let chunks = chunks(slugs);
        let (next, out) = (AtomicUsize::new(0), AtomicBool::new(false));
        let asking = || self.find_next(&chunks, &next, &out);
        let mut found = thread::scope(|scope| {
            let others: Vec<_> =
                (1..chunks.len().min(AT_ONCE)).map(|_| scope.spawn(asking)).collect();
            let mut found = asking();
            // a thread that panicked has no results
            found.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
            found
        });
        self.is_out = out.load(Ordering::Relaxed);
        found.sort_by_key(|(place, _)| *place);
        let mut resolved = Resolutions::default();
        for (_, some) in found {
            resolved.absorb(some);
        }
        // every request under way reports the same outage, and every page the same unknown status
        let mut seen = BTreeSet::new();
        resolved.problems.retain(|problem| seen.insert(problem.clone()));
        resolved
    }

    /// Reads the names of the markets that the list of closed ones lacks, where they are not known: they lead
    /// to the market where a later run finds the lists gone.
    fn name_open(&mut self, slugs: &[String], resolved: &mut Resolutions) {
        let is_nameless = |slug: &&String| {
            let is_named = self.ids.get(*slug).is_some_and(|ids| ids.condition.is_some());
            !is_named && resolved.answers.get(*slug).is_some_and(is_absent)
        };
        let nameless: Vec<String> = slugs.iter().filter(is_nameless).cloned().collect();
        self.ask_open(&nameless);
        for slug in nameless {
            if let (Some(open), Some(answer)) =
                (self.open.get(&slug), resolved.answers.get_mut(&slug))
            {
                answer.states = open.states.clone();
                // a slug among the names is the mark of a closed market
                answer.states.ids.slug = None;
            }
        }
    }

    /// This service is waited for in at most half of a run's time.
    fn end_of_share(&self) -> Option<Instant> {
        let left = self.client.limit().left()?;
        Some(Instant::now() + left.saturating_sub(self.waited) / 2)
    }
}

impl ResolutionSource for Polymarket {
    fn find(&mut self, keys: &[String]) -> Resolutions {
        let began = Instant::now();
        self.asking = self.client.until(self.end_of_share());
        let is_condition = |key: &&String| key.starts_with("0x");
        let (conditions, others): (Vec<&String>, Vec<&String>) =
            keys.iter().partition(is_condition);
        let (ids, slugs): (Vec<&String>, Vec<&String>) =
            others.into_iter().partition(|key| is_id(key));
        let slugs: Vec<String> = slugs.into_iter().cloned().collect();
        let mut resolved = match self.is_out {
            true => Resolutions::default(),
            false => self.find_in_parts(&slugs),
        };
        self.name_open(&slugs, &mut resolved);
        // a market whose slug names no window and that no list has may not be there at all
        let unknown = slugs.iter().filter(|slug| {
            let market = market_of(slug, UnixSeconds(0), RuleSet::Polymarket);
            let is_open = self.open.get(*slug).is_some_and(|open| !is_absent(open));
            !market.has_window() && !is_open && resolved.answers.get(*slug).is_some_and(is_absent)
        });
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        let singles: Vec<String> = ids.iter().chain(unknown).cloned().collect();
        if !self.is_out
            && let Err(error) = self.look_up(&singles, &mut resolved)
        {
            for slug in &singles {
                if resolved.answers.get(slug).is_some_and(is_absent) {
                    resolved.answers.remove(slug);
                }
            }
            let (base, why) = (&self.bases.gamma, error.why());
            resolved.problems.push(format!("{base} {why}; not asked again in this run"));
            self.is_out |= match error {
                FetchError::NotNow(_) => true,
                FetchError::Limited { .. } => singles.len() > 1,
                _ => false,
            };
        }
        let conditions: Vec<String> = conditions.into_iter().cloned().collect();
        self.ask_judges(&[slugs, ids].concat(), &conditions, &mut resolved);
        self.waited += began.elapsed();
        for error in &mut resolved.problems {
            debug!("polymarket: {error}");
            error.insert_str(0, "polymarket: ");
        }
        resolved
    }

    fn know(&mut self, ids: &HashMap<String, MarketIds>) {
        self.ids.extend(ids.iter().map(|(key, ids)| (key.clone(), ids.clone())));
    }

    fn stated(&mut self, keys: &[String]) -> Resolutions {
        let began = Instant::now();
        self.asking = self.client.until(self.end_of_share());
        self.ask_open(keys);
        self.waited += began.elapsed();
        let open = |key: &String| Some((key.clone(), self.open.get(key)?.clone()));
        Resolutions { answers: keys.iter().filter_map(open).collect(), problems: vec![] }
    }

    fn final_prices(&mut self, keys: &[String], closed: bool) -> HashMap<String, StatedPrices> {
        if self.is_out || keys.is_empty() {
            return HashMap::new();
        }
        let began = Instant::now();
        self.asking = self.client.until(self.end_of_share());
        let found = self.ask_events(keys, closed);
        self.waited += began.elapsed();
        found
    }

    fn stats(&self) -> BTreeMap<&'static str, RequestStats> {
        let counts = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let services = ["polymarket", "data", "clob"];
        let count = |service| (service, counts.get(service).copied().unwrap_or_default());
        services.into_iter().map(count).collect()
    }
}
