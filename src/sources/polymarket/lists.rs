//! Asks Gamma's lists, many markets a request: which list is asked, page by page, and part by part where a
//! list fails on some slugs. `answer` interprets the pages, `mod.rs` decides what is asked next.
//!
//! Source: `/markets/keyset`, `/markets` and `/events` as they are documented and answer (2026).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::debug;

use crate::rules::resolution::{Answer, Resolutions};
use crate::sources::http::{FetchError, TRIES, escaped};
use crate::sources::polymarket::Polymarket;
use crate::sources::polymarket::answer::{Page, read_by_condition, read_page};

/// Most markets named in one request.
const SLUGS_A_REQUEST: usize = 100;
/// Most condition ids in one request: the Data API takes no more.
pub(super) const CONDITIONS_A_REQUEST: usize = 20;
/// Most bytes of path and query.
const LONGEST_QUERY: usize = 6_000;
/// After this many failed requests without an answer the service counts as down, and settle stops
/// searching for the slug that makes it fail.
const FAILURES_OF_AN_OUTAGE: usize = 12;
/// The same after this long without an answer, because the trades wait.
const LONGEST_SEARCH: Duration = Duration::from_secs(15);

/// Gamma's lists, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// `/markets/keyset`: pages with a cursor.
    Keyset,
    /// `/markets`: announced to end on 2026-05-01.
    Plain,
    /// `/events`: markets with the prices that decide them.
    Events,
}

impl List {
    fn path(self) -> &'static str {
        match self {
            Self::Keyset => "/markets/keyset",
            Self::Plain => "/markets",
            Self::Events => "/events",
        }
    }
}

impl Polymarket {
    /// Asks about these markets by the first list that answers. If a list fails on all of them, asks
    /// about parts.
    ///
    /// # Errors
    /// [`FetchError`], if nothing is answered; [`FetchError::Gone`] or [`FetchError::Missing`] if no
    /// list is served.
    pub(super) fn find_listed(
        &self,
        slugs: &[String],
        resolved: &mut Resolutions,
    ) -> Result<(), FetchError> {
        if !self.keyset_is_gone.load(Ordering::Relaxed) {
            match self.find_by(List::Keyset, slugs, resolved) {
                Err(FetchError::Gone(_) | FetchError::Missing { .. }) => {}
                asked @ (Ok(()) | Err(FetchError::NotNow(_) | FetchError::Limited { .. })) => {
                    return asked;
                }
                // that list answered no part, so ask this one about the whole
                Err(_) => return self.ask(List::Plain, true, slugs, 1, resolved),
            }
        }
        self.find_by(List::Plain, &unanswered(slugs, resolved), resolved)?;
        self.keyset_is_gone.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Asks a list about these markets, and about parts where it fails on all of them.
    ///
    /// # Errors
    /// [`FetchError`], if no part is answered, or the list is not served.
    fn find_by(
        &self,
        list: List,
        slugs: &[String],
        resolved: &mut Resolutions,
    ) -> Result<(), FetchError> {
        match self.ask(list, true, slugs, TRIES, resolved) {
            Ok(()) => Ok(()),
            Err(
                error @ (FetchError::NotNow(_) | FetchError::Gone(_) | FetchError::Missing { .. }),
            ) => Err(error),
            Err(error) if slugs.len() == 1 => Err(error),
            Err(error) => {
                let mut problems = Vec::new();
                let asked = self.isolate(list, slugs, error, resolved, &mut problems);
                resolved.problems.extend(problems.into_iter().filter(|_| asked.is_ok()));
                asked
            }
        }
    }

    /// Asks a list about these markets, page by page, until all are answered or it ends.
    ///
    /// # Errors
    /// [`FetchError`], if a page is not answered, the pages do not end, or they hold other markets than
    /// those that were asked for.
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
        let mut pages = Vec::new();
        loop {
            let path = path(list, closed, slugs, whole.next_cursor.as_deref());
            let url = format!("{}{path}", self.bases.gamma);
            let page = self.get("polymarket", &url, tries, |body| read_page(body, slugs))?;
            let (sent, is_repeated) = (page.slugs().clone(), pages.contains(page.slugs()));
            whole.absorb(page);
            if whole.is_foreign() || whole.answers_all(slugs) {
                break;
            }
            let cursor = whole.next_cursor.clone().filter(|_| list == List::Keyset);
            let ends = match cursor {
                // an empty page may be followed by others
                None if sent.is_empty() || !is_repeated => break,
                None => true,
                Some(cursor) => is_repeated || !cursors.insert(cursor),
            };
            pages.push(sent);
            if ends || pages.len() > slugs.len() {
                whole.answer_some(resolved);
                let why = "sent pages that do not end or repeat";
                return Err(FetchError::Gone(why.to_owned()));
            }
        }
        whole.answer_all(slugs, resolved)
    }

    /// Finds the slugs on which the service fails by halving `slugs`, and keeps the answers on all
    /// others. Asks for each part once. `error` is how it failed on all. Without an answer for long, or
    /// if the service limits all requests, it counts as down.
    ///
    /// # Errors
    /// [`FetchError`], if no part is answered, or it counts as down.
    fn isolate(
        &self,
        list: List,
        slugs: &[String],
        error: FetchError,
        resolved: &mut Resolutions,
        problems: &mut Vec<String>,
    ) -> Result<(), FetchError> {
        let halves = |slugs: &[String]| {
            let (first, second) = slugs.split_at(slugs.len() / 2);
            [first.to_vec(), second.to_vec()]
        };
        let began = Instant::now();
        let mut is_answered = false;
        if let FetchError::Limited { wait, .. } = &error {
            // single markets show whether one slug or every request is refused
            let mut ends = slugs.first().into_iter().chain(slugs.last());
            is_answered = ends.any(|slug| {
                self.asking.limit().sleep(*wait);
                self.ask(list, true, std::slice::from_ref(slug), 1, resolved).is_ok()
            });
            if !is_answered {
                return Err(error);
            }
        }
        let mut parts = VecDeque::from(halves(slugs));
        let (mut asked, mut failures) = (0, 0);
        while let Some(part) = parts.pop_front() {
            asked += 1;
            let error = match self.ask(list, true, &part, 1, resolved) {
                Ok(()) => {
                    (is_answered, failures) = (true, 0);
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
            let is_limit = matches!(error, FetchError::Limited { .. });
            let is_silent = !is_answered && (parts.is_empty() || began.elapsed() >= LONGEST_SEARCH)
                || failures >= FAILURES_OF_AN_OUTAGE && (is_limit || !is_answered);
            if is_silent {
                return Err(error);
            }
            if let FetchError::Limited { wait, .. } = error {
                self.asking.limit().sleep(wait);
            }
        }
        Ok(())
    }

    /// Asks for those of these markets that are open, each once a run.
    pub(super) fn ask_open(&mut self, keys: &[String]) {
        if self.is_out || self.lists_are_gone.load(Ordering::Relaxed) {
            return;
        }
        let left: Vec<String> =
            keys.iter().filter(|key| !self.open.contains_key(*key)).cloned().collect();
        for some in chunks(&left) {
            let mut found = Resolutions::default();
            let asked = self.ask(self.list(), false, some, 1, &mut found);
            self.open.extend(found.answers);
            if asked.is_err() {
                break;
            }
        }
    }

    /// The answers of Gamma's list on the closed markets with these condition ids, by these. Other judges
    /// know them too, so that a failure is no problem.
    pub(super) fn list_conditions(&self, conditions: &[String]) -> HashMap<String, Answer> {
        let mut found = HashMap::new();
        if self.is_out || self.lists_are_gone.load(Ordering::Relaxed) {
            return found;
        }
        for some in conditions.chunks(CONDITIONS_A_REQUEST) {
            // Gamma writes some ids without their first two zeros
            let short = some.iter().filter_map(|id| id.strip_prefix("0x00"));
            let all = some.iter().cloned().chain(short.map(|digits| format!("0x{digits}")));
            let query = all.collect::<Vec<String>>().join("&condition_ids=");
            let (base, list, most) = (&self.bases.gamma, self.list().path(), some.len());
            let url = format!("{base}{list}?closed=true&limit={most}&condition_ids={query}");
            match self.get("polymarket", &url, 1, |body| read_by_condition(body, some)) {
                Ok(answers) => found.extend(answers),
                Err(error) => debug!("polymarket: {url} {}", error.why()),
            }
        }
        found
    }

    /// The list that is served.
    fn list(&self) -> List {
        match self.keyset_is_gone.load(Ordering::Relaxed) {
            true => List::Plain,
            false => List::Keyset,
        }
    }
}

/// Those of these markets that have no answer yet.
pub(super) fn unanswered(slugs: &[String], resolved: &Resolutions) -> Vec<String> {
    slugs.iter().filter(|slug| !resolved.answers.contains_key(*slug)).cloned().collect()
}

/// The problem of one market that was asked about by itself.
pub(super) fn isolated(key: &str, error: &FetchError) -> String {
    format!("{key}: Polymarket {}; settle asks about it again in the next run", error.why())
}

/// Splits the slugs so that each part fits into one request.
pub(super) fn chunks(slugs: &[String]) -> Vec<&[String]> {
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
pub(super) fn path(list: List, closed: bool, slugs: &[String], cursor: Option<&str>) -> String {
    let mut path = format!("{}?closed={closed}&limit={}", list.path(), slugs.len());
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
