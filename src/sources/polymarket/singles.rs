//! Asks about single markets, and the judges that know a market by its condition id, where the lists
//! do not decide. `answer` and `judge` interpret the answers.

use std::collections::{BTreeSet, HashMap, HashSet};

use log::debug;

use crate::rules::resolution::{Question, Resolution, Resolutions};
use crate::rules::title::{is_id, is_id_or_condition};
use crate::sources::http::{FetchError, TRIES};
use crate::sources::polymarket::answer::{absent, is_absent, read_events, read_market};
use crate::sources::polymarket::judge::{ClobMarket, Findings, Ruling, read_clob, read_rulings};
use crate::sources::polymarket::lists::{CONDITIONS_A_REQUEST, List, chunks, isolated, path};
use crate::sources::polymarket::{Polymarket, StatedPrices};

/// After this many single markets without an answer the service counts as down.
const SINGLES_OF_AN_OUTAGE: usize = 3;

/// What the Data API states.
#[derive(Default)]
struct Rulings {
    /// By condition id.
    by_condition: HashMap<String, Ruling>,
    /// The condition ids about which it answered.
    answered: HashSet<String>,
    /// It sent conditions that were not asked for: what it lacks may be there.
    is_foreign: bool,
}

impl Polymarket {
    /// Asks about each of these markets by itself: a slug that is not served by its numeric id, where that
    /// is known.
    ///
    /// # Errors
    /// [`FetchError`], if nothing is answered.
    pub(super) fn look_up(
        &self,
        keys: &[String],
        resolved: &mut Resolutions,
    ) -> Result<(), FetchError> {
        let (mut is_answered, mut failures) = (false, 0);
        let mut problems = Vec::new();
        for key in keys {
            let id = if is_id(key) {
                Some(key)
            } else {
                self.ids.get(key).and_then(|ids| ids.id.as_ref())
            };
            let route = id.map_or_else(|| format!("slug/{key}"), Clone::clone);
            let url = format!("{}/markets/{route}", self.bases.gamma);
            let answer = match self.get("polymarket", &url, TRIES, read_market) {
                Ok((answer, problem)) => {
                    problems.extend(problem);
                    answer
                }
                // a market whose ids are known is there, under another name
                Err(FetchError::Missing { .. }) => match self.ids.contains_key(key) {
                    true => absent(),
                    false => Resolution::NoSuchMarket.into(),
                },
                Err(error @ FetchError::NotNow(_)) => return Err(error),
                Err(error) => {
                    failures += 1;
                    let is_limit = matches!(error, FetchError::Limited { .. });
                    if failures >= SINGLES_OF_AN_OUTAGE.min(keys.len())
                        && (is_limit || !is_answered)
                    {
                        return Err(error);
                    }
                    problems.push(isolated(key, &error));
                    continue;
                }
            };
            (is_answered, failures) = (true, 0);
            resolved.answers.insert(key.clone(), answer);
        }
        resolved.problems.extend(problems);
        Ok(())
    }

    /// Asks the judges about the closed markets whose resolution the other answers leave open, about those
    /// of `keys` that have no answer and whose condition id is known, and about the markets that are known
    /// by their `conditions` alone.
    pub(super) fn ask_judges(
        &mut self,
        keys: &[String],
        conditions: &[String],
        resolved: &mut Resolutions,
    ) {
        let question = |key: &String| match resolved.answers.get(key) {
            Some(answer) if !is_absent(answer) => answer.question.clone(),
            _ => self.ids.get(key)?.question(),
        };
        let questions: Vec<(String, Question)> =
            keys.iter().filter_map(|key| Some((key.clone(), question(key)?))).collect();
        let asked = questions.iter().map(|(_, question)| question.condition.as_str());
        let rulings = self.ask_data(asked.chain(conditions.iter().map(String::as_str)), resolved);
        for (key, question) in &questions {
            let ruling = rulings.by_condition.get(&question.condition);
            let answer = resolved.answers.get(key);
            let is_silent = !rulings.answered.contains(&question.condition);
            let by_clob = match ruling {
                Some(Ruling::Waits(_)) => None,
                Some(ruling) if ruling.outcome(question.up_is_first).is_some() => None,
                // the lists and the Data API do not have it: the CLOB, which lags behind, is not asked
                None if !is_silent && answer.is_some_and(is_absent) => None,
                _ => self.ask_clob(&question.condition).ok(),
            };
            let by_clob = by_clob.map(|market| market.answer.resolution);
            let Some(resolution) = ruled(question, ruling, by_clob, is_silent) else { continue };
            match resolved.answers.get_mut(key) {
                Some(answer) => answer.resolution = resolution,
                None => drop(resolved.answers.insert(key.clone(), resolution.into())),
            }
        }
        self.ask_conditions(conditions, rulings, resolved);
    }

    /// Asks the Data API about these conditions, each once.
    fn ask_data<'a>(
        &mut self,
        conditions: impl Iterator<Item = &'a str>,
        resolved: &mut Resolutions,
    ) -> Rulings {
        let asked: BTreeSet<&str> = conditions.collect();
        let asked: Vec<&str> = asked.into_iter().collect();
        // an outage that begins midway leaves the answers before it valid
        let mut rulings = Rulings::default();
        for some in asked.chunks(CONDITIONS_A_REQUEST) {
            if self.data_is_out {
                break;
            }
            let url = format!("{}/v2/resolutions?condition={}", self.bases.data, some.join(","));
            match self.get("data", &url, TRIES, read_rulings) {
                Ok(found) => {
                    rulings.is_foreign |= found.keys().any(|id| !some.contains(&id.as_str()));
                    rulings.by_condition.extend(found);
                    rulings.answered.extend(some.iter().map(|&condition| condition.to_owned()));
                }
                Err(error) => {
                    let (base, why) = (&self.bases.data, error.why());
                    resolved.problems.push(format!("{base} {why}; not asked again in this run"));
                    self.data_is_out = true;
                }
            }
        }
        let unknown: BTreeSet<String> =
            rulings.by_condition.values().filter_map(Ruling::problem).collect();
        let new = unknown.into_iter().filter(|problem| !resolved.problems.contains(problem));
        let new: Vec<String> = new.collect();
        resolved.problems.extend(new);
        rulings
    }

    /// Answers on markets that are known by their condition id alone: by the Data API, then by the CLOB,
    /// which also names them, then by Gamma's list.
    fn ask_conditions(
        &mut self,
        conditions: &[String],
        mut rulings: Rulings,
        resolved: &mut Resolutions,
    ) {
        let mut all = Vec::new();
        for condition in conditions {
            let known = self.ids.get(condition).cloned().unwrap_or_default();
            let ruling = rulings.by_condition.remove(condition);
            let is_answered = rulings.answered.contains(condition) && !rulings.is_foreign;
            let is_denied_by_data = is_answered && ruling.is_none();
            let mut found = Findings { known, ruling, is_denied_by_data, ..Findings::default() };
            if found.known.slug.is_none() || found.are_open() {
                found.clob = Some(self.ask_clob(condition));
            }
            all.push((condition, found));
        }
        let open = all.iter().filter(|(_, found)| found.are_open());
        let open: Vec<String> = open.map(|(condition, _)| (*condition).clone()).collect();
        let mut listed = self.list_conditions(&open);
        for (condition, mut found) in all {
            found.listed = listed.remove(condition);
            match found.answer() {
                Ok(answer) => drop(resolved.answers.insert(condition.clone(), answer)),
                Err(error) => resolved.problems.push(isolated(condition, &error)),
            }
        }
    }

    /// The prices that the events of these markets state, all closed or all not. They are often missing, and
    /// candles decide then, so that a failure is no problem.
    pub(super) fn ask_events(
        &self,
        keys: &[String],
        closed: bool,
    ) -> HashMap<String, StatedPrices> {
        let is_slug = |key: &&String| !is_id_or_condition(key);
        let slugs: Vec<String> = keys.iter().filter(is_slug).cloned().collect();
        let mut found = HashMap::new();
        for some in chunks(&slugs) {
            let url = format!("{}{}", self.bases.gamma, path(List::Events, closed, some, None));
            match self.get("polymarket", &url, 1, |body| read_events(body, some)) {
                Ok(events) => found.extend(events),
                Err(error) => debug!("polymarket: {url} {}", error.why()),
            }
        }
        found
    }

    /// Asks the CLOB, unless it failed too often in this run.
    ///
    /// # Errors
    /// [`FetchError`], if it does not answer; [`FetchError::Missing`] if it has no such market.
    fn ask_clob(&mut self, condition: &str) -> Result<ClobMarket, FetchError> {
        if self.clob_failures >= SINGLES_OF_AN_OUTAGE {
            let why = "does not answer; not asked again in this run".to_owned();
            return Err(FetchError::NotNow(why));
        }
        let url = format!("{}/markets/{condition}", self.bases.clob);
        let answer = self.get("clob", &url, TRIES, read_clob);
        self.clob_failures = match &answer {
            Ok(_) | Err(FetchError::Missing { .. }) => 0,
            Err(FetchError::NotNow(_) | FetchError::Limited { .. }) => SINGLES_OF_AN_OUTAGE,
            Err(_) => self.clob_failures + 1,
        };
        answer
    }
}

/// The resolution by the judges; `None` if they leave the answer as it is. `is_silent`: the Data API
/// could not be asked.
fn ruled(
    question: &Question,
    ruling: Option<&Ruling>,
    by_clob: Option<Resolution>,
    is_silent: bool,
) -> Option<Resolution> {
    let outcome = match (ruling, by_clob) {
        (Some(Ruling::Waits(status)), _) => {
            let why = format!("Polymarket's Data API has the status {status}");
            return Some(Resolution::NotYet(why));
        }
        (Some(ruling @ Ruling::Pays(_)), None) => ruling.outcome(question.up_is_first),
        (_, Some(Resolution::Final(outcome))) => Some(outcome),
        // without a status, the prices count where the judges cannot be asked
        _ if is_silent => question.by_prices,
        _ => None,
    }?;
    match question.by_prices {
        Some(other) if other != outcome => {
            let why = "its prices and its payouts differ".to_owned();
            Some(Resolution::NotYet(why))
        }
        _ => Some(Resolution::Final(outcome)),
    }
}
