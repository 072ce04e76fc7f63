//! Asks Polymarket for resolutions: Gamma's lists, many markets a request; then single markets; then
//! the judges that know a market by its condition id. `answer` and `judge` interpret the answers.
//!
//! Source: the endpoints and their limits as they are documented and answer (2026).

mod answer;
mod judge;
mod singles;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::warn;

use crate::rules::market::{RuleSet, read_market as market_of};
use crate::rules::resolution::{MarketIds, Resolutions, Stated};
use crate::rules::title::is_id;
use crate::rules::units::{BtcPrice, UnixSeconds};
use crate::sources::http::{Client, FetchError, RateLimiter, RequestStats, TRIES, escaped};

pub use answer::read_markets;
use answer::{Page, is_absent, read_page};
use singles::isolated;

/// Most markets named in one request.
const SLUGS_A_REQUEST: usize = 100;
/// Most bytes of path and query.
const LONGEST_QUERY: usize = 6_000;
/// Most requests that are under way at a time.
const AT_ONCE: usize = 4;
/// Most requests in 10 seconds; the service's own limit is 300.
const PACE: (usize, Duration) = (250, Duration::from_secs(10));
/// After this many failed requests without an answer the service counts as down, and settle stops
/// searching for the slug that makes it fail.
const FAILURES_OF_AN_OUTAGE: usize = 12;
/// If the lists fail this slowly, settle does not search for such a slug, because the trades wait.
const SLOW: Duration = Duration::from_secs(5);

/// Gamma's lists, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    /// `/markets/keyset`: pages with a cursor.
    Keyset,
    /// `/markets`: announced to end on 2026-05-01.
    Plain,
    /// `/events`: markets with the prices that decide them.
    Events,
}

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
            pace: RateLimiter::new(PACE.0, PACE.1),
            keyset_is_gone: AtomicBool::new(false),
            lists_are_gone: AtomicBool::new(false),
            data_is_out: false,
            clob_failures: 0,
            ids: HashMap::new(),
        }
    }

    /// One request, counted for `service`.
    fn get<T>(
        &self,
        service: &'static str,
        url: &str,
        tries: u32,
        read: impl Fn(&[u8]) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut stats = RequestStats::default();
        self.pace.wait(self.asking.limit());
        let answer = self.asking.get(url, tries, &mut stats, read);
        // a panic in another thread leaves the count valid
        let mut counts = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(service).or_default().add(stats);
        answer
    }

    /// Asks about these markets by the first list that answers, or about each by itself where no list
    /// is served.
    ///
    /// # Errors
    /// [`FetchError`], if nothing is answered.
    fn find_some(&self, slugs: &[String], resolved: &mut Resolutions) -> Result<(), FetchError> {
        if !self.lists_are_gone.load(Ordering::Relaxed) {
            match self.find_listed(slugs, resolved) {
                Err(FetchError::Gone(_) | FetchError::Missing(_)) => {}
                asked => return asked,
            }
        }
        self.look_up(slugs, resolved)?;
        self.lists_are_gone.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Asks about these markets by the first list that answers. If a list fails on all of them, asks
    /// about parts.
    ///
    /// # Errors
    /// [`FetchError`], if nothing is answered; [`FetchError::Gone`] or [`FetchError::Missing`] if no
    /// list is served.
    fn find_listed(&self, slugs: &[String], resolved: &mut Resolutions) -> Result<(), FetchError> {
        let began = Instant::now();
        let has_parts = || slugs.len() > 1 && began.elapsed() < SLOW;
        if !self.keyset_is_gone.load(Ordering::Relaxed) {
            let asked = match self.ask(List::Keyset, true, slugs, TRIES, resolved) {
                Err(FetchError::NotNow(why)) => return Err(FetchError::NotNow(why)),
                Err(FetchError::Gone(_) | FetchError::Missing(_)) => None,
                Err(_) if has_parts() => {
                    Some(self.isolate(&[List::Keyset], slugs, FAILURES_OF_AN_OUTAGE, resolved))
                }
                asked => Some(asked),
            };
            match asked {
                Some(asked @ (Ok(()) | Err(FetchError::NotNow(_)))) => return asked,
                // that list answered no part, so ask this one about the whole
                Some(Err(_)) => return self.ask_lists(&[List::Plain], slugs, resolved),
                None => {}
            }
        }
        match self.ask(List::Plain, true, slugs, TRIES, resolved) {
            Ok(()) => {
                self.keyset_is_gone.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(FetchError::NotNow(why)) => Err(FetchError::NotNow(why)),
            Err(error @ (FetchError::Gone(_) | FetchError::Missing(_))) => Err(error),
            Err(_) if has_parts() => {
                self.isolate(&[List::Plain], slugs, FAILURES_OF_AN_OUTAGE, resolved)
            }
            asked => asked,
        }
    }

    /// Asks each of `lists` once about these markets, until one answers.
    ///
    /// # Errors
    /// [`FetchError`] of the last one, if no list answers.
    fn ask_lists(
        &self,
        lists: &[List],
        slugs: &[String],
        resolved: &mut Resolutions,
    ) -> Result<(), FetchError> {
        let mut asked = Ok(());
        for list in lists {
            asked = self.ask(*list, true, slugs, 1, resolved);
            if matches!(asked, Ok(()) | Err(FetchError::NotNow(_))) {
                break;
            }
        }
        asked
    }

    /// Asks a list about these markets, page by page, until all are answered or it ends.
    ///
    /// # Errors
    /// [`FetchError`], if a page is not answered, or the pages do not end.
    fn ask(
        &self,
        list: List,
        closed: bool,
        slugs: &[String],
        tries: u32,
        resolved: &mut Resolutions,
    ) -> Result<(), FetchError> {
        let mut whole = Page::default();
        let mut cursors = BTreeSet::new();
        loop {
            let path = path(list, closed, slugs, whole.next_cursor.as_deref());
            let url = format!("{}{path}", self.bases.gamma);
            let page = self.get("polymarket", &url, tries, |body| read_page(body, slugs));
            whole.absorb(page?);
            let cursor = match &whole.next_cursor {
                Some(cursor) if list == List::Keyset && !whole.answers_all(slugs) => cursor.clone(),
                _ => break,
            };
            let leads_on = !whole.is_foreign() && cursors.insert(cursor);
            if !leads_on || cursors.len() > slugs.len() {
                resolved.absorb(whole.answered());
                let why = "sent pages that do not end or do not hold what was asked for";
                return Err(FetchError::Gone(why.to_owned()));
            }
        }
        resolved.absorb(whole.resolved(slugs)?);
        Ok(())
    }

    /// Finds the slugs on which the service fails by halving `slugs`, and keeps the answers on all
    /// others. Asks for each part once. After `most_failures` without an answer the service counts as
    /// down.
    ///
    /// # Errors
    /// [`FetchError`], if no part is answered.
    fn isolate(
        &self,
        lists: &[List],
        slugs: &[String],
        most_failures: usize,
        resolved: &mut Resolutions,
    ) -> Result<(), FetchError> {
        let halves = |slugs: &[String]| {
            let (first, second) = slugs.split_at(slugs.len() / 2);
            [first.to_vec(), second.to_vec()]
        };
        let mut parts = VecDeque::from(halves(slugs));
        let (mut is_answered, mut asked, mut failures) = (false, 0, 0);
        let mut problems = Vec::new();
        while let Some(part) = parts.pop_front() {
            asked += 1;
            let error = match self.ask_lists(lists, &part, resolved) {
                Ok(()) => {
                    is_answered = true;
                    continue;
                }
                Err(error @ FetchError::NotNow(_)) => return Err(error),
                Err(error) => error,
            };
            failures += 1;
            match &part[..] {
                [slug] => problems.push(isolated(slug, &error)),
                // both halves of the whole first, then down to single slugs
                part if asked <= 2 => parts.extend(halves(part)),
                part => halves(part).into_iter().rev().for_each(|half| parts.push_front(half)),
            }
            if !is_answered && (failures >= most_failures || parts.is_empty()) {
                return Err(error);
            }
        }
        resolved.problems.extend(problems);
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
}

impl Polymarket {
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
        // a market whose slug names no window may be open, or not there at all
        let unknown = slugs.iter().filter(|slug| {
            let market = market_of(slug, UnixSeconds(0), RuleSet::Polymarket);
            !market.has_window() && resolved.answers.get(*slug).is_some_and(is_absent)
        });
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        let singles: Vec<String> = ids.iter().chain(unknown).cloned().collect();
        if !self.is_out
            && let Err(error) = self.look_up(&singles, &mut resolved)
        {
            for slug in &singles {
                resolved.answers.remove(slug);
            }
            let (base, why) = (&self.bases.gamma, error.why());
            resolved.problems.push(format!("{base} {why}; not asked again in this run"));
            self.is_out |= matches!(error, FetchError::NotNow(_));
        }
        let conditions: Vec<String> = conditions.into_iter().cloned().collect();
        self.ask_judges(&[slugs, ids].concat(), &conditions, &mut resolved);
        self.waited += began.elapsed();
        for error in &mut resolved.problems {
            warn!("polymarket: {error}");
            error.insert_str(0, "polymarket: ");
        }
        resolved
    }

    fn know(&mut self, ids: &HashMap<String, MarketIds>) {
        self.ids.extend(ids.iter().map(|(key, ids)| (key.clone(), ids.clone())));
    }

    fn stated(&mut self, keys: &[String]) -> Resolutions {
        let mut stated = Resolutions::default();
        if self.is_out || self.lists_are_gone.load(Ordering::Relaxed) {
            return stated;
        }
        let began = Instant::now();
        self.asking = self.client.until(self.end_of_share());
        let list = match self.keyset_is_gone.load(Ordering::Relaxed) {
            true => List::Plain,
            false => List::Keyset,
        };
        for some in chunks(keys) {
            if self.ask(list, false, some, 1, &mut stated).is_err() {
                break;
            }
        }
        self.waited += began.elapsed();
        stated
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

/// Splits the slugs so that each part fits into one request.
fn chunks(slugs: &[String]) -> Vec<&[String]> {
    let mut chunks = Vec::new();
    let mut rest = slugs;
    while !rest.is_empty() {
        let mut length = 0;
        let fits = rest.iter().take(SLUGS_A_REQUEST).take_while(|slug| {
            length += "&slug=".len() + slug.len();
            length <= LONGEST_QUERY - 200
        });
        let (chunk, behind) = rest.split_at(fits.count().max(1));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

/// Path and query that ask a list for these markets, closed or open ones, as many as there are slugs.
/// Both are always given, because the lists' defaults differ.
fn path(list: List, closed: bool, slugs: &[String], cursor: Option<&str>) -> String {
    let name = match list {
        List::Keyset => "/markets/keyset",
        List::Plain => "/markets",
        List::Events => "/events",
    };
    let mut path = format!("{name}?closed={closed}&limit={}", slugs.len());
    if let Some(cursor) = cursor {
        path.push_str("&after_cursor=");
        path.push_str(&escaped(cursor));
    }
    for slug in slugs {
        // nothing to escape: see `market_key`
        path.push_str("&slug=");
        path.push_str(slug);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_what_it_wants_and_how_much() {
        let slugs = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            path(List::Plain, true, &slugs, None),
            "/markets?closed=true&limit=2&slug=a&slug=b"
        );
        assert_eq!(
            path(List::Keyset, true, &slugs, Some("x=/&y")),
            "/markets/keyset?closed=true&limit=2&after_cursor=x%3D%2F%26y&slug=a&slug=b"
        );
    }

    #[test]
    fn a_chunk_fits_into_one_request() {
        let short: Vec<String> =
            (0..250).map(|n| format!("btc-updown-5m-{}", 1_770_000_000 + n)).collect();
        assert_eq!(
            chunks(&short).iter().map(|chunk| chunk.len()).collect::<Vec<_>>(),
            [100, 100, 50]
        );
        let long: Vec<String> = (0..100).map(|_| "x".repeat(120)).collect();
        for chunk in chunks(&long) {
            assert!(path(List::Keyset, true, chunk, None).len() <= LONGEST_QUERY);
        }
        assert_eq!(chunks(&long).concat(), long);
        assert!(chunks(&[]).is_empty());
    }
}
