//! Asks about single markets, and the judges that know a market by its condition id, where the lists
//! do not decide. `answer` and `judge` interpret the answers.

use std::collections::{BTreeSet, HashMap, HashSet};

use log::debug;

use crate::rules::resolution::{Answer, Question, Resolution, Resolutions};
use crate::rules::title::is_id;
use crate::sources::http::{FetchError, TRIES};
use crate::sources::polymarket::answer::{absent, is_absent, read_events, read_market};
use crate::sources::polymarket::judge::{Ruling, read_clob, read_rulings};
use crate::sources::polymarket::{List, Polymarket, StatedPrices, chunks, path};

/// Most condition ids that the Data API takes in one request.
const CONDITIONS_A_REQUEST: usize = 20;
/// After this many single markets without an answer the service counts as down.
const SINGLES_OF_AN_OUTAGE: usize = 3;

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
        let mut is_answered = false;
        let mut problems = Vec::new();
        for (count, key) in keys.iter().enumerate() {
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
                Err(FetchError::Missing(why)) if why.contains("not found") => {
                    match self.ids.contains_key(key) {
                        true => absent(),
                        false => Resolution::NoSuchMarket.into(),
                    }
                }
                Err(error @ FetchError::NotNow(_)) => return Err(error),
                Err(error) if !is_answered && count + 1 >= SINGLES_OF_AN_OUTAGE.min(keys.len()) => {
                    return Err(error);
                }
                Err(error) => {
                    problems.push(isolated(key, &error));
                    continue;
                }
            };
            is_answered = true;
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
        let asked: BTreeSet<&str> =
            questions.iter().map(|(_, question)| question.condition.as_str()).collect();
        let asked: Vec<&str> = asked.into_iter().collect();
        let mut rulings = HashMap::new();
        // an outage that begins midway leaves the answers before it valid
        let mut answered: HashSet<&str> = HashSet::new();
        for some in asked.chunks(CONDITIONS_A_REQUEST) {
            if self.data_is_out {
                break;
            }
            let url = format!("{}/v2/resolutions?condition={}", self.bases.data, some.join(","));
            match self.get("data", &url, TRIES, read_rulings) {
                Ok(found) => {
                    rulings.extend(found);
                    answered.extend(some);
                }
                Err(error) => {
                    let (base, why) = (&self.bases.data, error.why());
                    resolved.problems.push(format!("{base} {why}; not asked again in this run"));
                    self.data_is_out = true;
                }
            }
        }
        for (key, question) in &questions {
            let ruling = rulings.get(&question.condition);
            let answer = resolved.answers.get(key);
            let is_silent = !answered.contains(question.condition.as_str());
            let by_clob = match ruling {
                Some(Ruling::Waits(_)) => None,
                Some(ruling) if ruling.outcome(question.up_is_first).is_some() => None,
                // the lists and the Data API do not have it: the CLOB, which lags behind, is not asked
                None if !is_silent && answer.is_some_and(is_absent) => None,
                _ => self.ask_clob(&question.condition).ok(),
            };
            let by_clob = by_clob.map(|answer| answer.resolution);
            let Some(resolution) = ruled(question, ruling, by_clob, is_silent) else { continue };
            match resolved.answers.get_mut(key) {
                Some(answer) => answer.resolution = resolution,
                None => drop(resolved.answers.insert(key.clone(), resolution.into())),
            }
        }
        for condition in conditions {
            match self.ask_clob(condition) {
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
        let is_slug = |key: &&String| !is_id(key) && !key.starts_with("0x");
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
    /// [`FetchError`], if it does not answer.
    fn ask_clob(&mut self, condition: &str) -> Result<Answer, FetchError> {
        if self.clob_failures >= SINGLES_OF_AN_OUTAGE {
            let why = "does not answer; not asked again in this run".to_owned();
            return Err(FetchError::NotNow(why));
        }
        let url = format!("{}/markets/{condition}", self.bases.clob);
        let answer = match self.get("clob", &url, TRIES, read_clob) {
            Err(FetchError::Missing(why)) if why.contains("not found") => {
                Ok(Resolution::NoSuchMarket.into())
            }
            answer => answer,
        };
        self.clob_failures = match &answer {
            Ok(_) => 0,
            Err(FetchError::NotNow(_)) => SINGLES_OF_AN_OUTAGE,
            Err(_) => self.clob_failures + 1,
        };
        answer
    }
}

/// The problem of one market that was asked about by itself.
pub(super) fn isolated(key: &str, error: &FetchError) -> String {
    format!("{key}: Polymarket {}; settle asks about it again in the next run", error.why())
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
            let why = format!("Polymarket's Data API says {status}");
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
