//! The markets, their prices and resolutions, and the services that answer about them as of the simulated
//! time, each with its faults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chrono::DateTime;
use serde_json::json;

use super::bot::{Action, Bot};
use super::dice::{self, Dice};
use super::{BEGIN, STEP, Shared};
use crate::exchange::{Asked, Reply, Tape};

/// The wallet of the bot.
pub const WALLET: &str = "0xabababababababababababababababababababab";
/// The services of candles.
const VENUES: [&str; 4] = ["coinbase", "kraken", "bitstamp", "binance"];
/// The end of the prices, in seconds after the beginning.
const END: i64 = 5 * 86_400;

/// How a market ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Paid {
    Up,
    Down,
    Half,
}

impl Paid {
    /// The outcome in the bot's table.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Up => "YES",
            Self::Down => "NO",
            Self::Half => "SPLIT",
        }
    }

    /// Dollars a share of this side.
    pub fn a_share(self, is_yes: bool) -> f64 {
        match (self, is_yes) {
            (Self::Half, _) => 0.5,
            (Self::Up, true) | (Self::Down, false) => 1.0,
            _ => 0.0,
        }
    }
}

pub struct Market {
    pub slug: String,
    /// The slug under which Polymarket has it.
    served_as: String,
    pub open: i64,
    pub close: i64,
    /// By the true prices, in bps.
    pub moved: f64,
    pub is_hourly: bool,
    /// What Polymarket states, each from its time on.
    resolutions: Vec<(i64, Paid)>,
    number: i64,
}

impl Market {
    /// What Polymarket has stated until `now`, the last one last.
    pub fn stated(&self, now: i64) -> Vec<Paid> {
        let so_far = self.resolutions.iter().filter(|(from, _)| *from <= now);
        so_far.map(|(_, paid)| *paid).collect()
    }

    fn condition(&self) -> String {
        format!("0x{:064x}", self.number)
    }
}

/// Something that happens at one request of a run.
pub enum Trigger {
    /// The bot changes its table.
    Bot(Action),
    /// Another process carries out a command, which must end with this exit code.
    Command { command: Command, code: i32, world: Shared },
    /// The process is killed.
    Kill(Arc<Mutex<Option<Child>>>),
}

pub struct World {
    pub seed: u64,
    pub now: i64,
    pub bot: Bot,
    pub has_wallet: bool,
    pub in_shares: bool,
    pub batch: usize,
    pub polymarket_only: bool,
    /// Nothing fails any more.
    pub is_calm: bool,
    pub markets: Vec<Market>,
    /// The lists that are served: all, the plain one, the one with cursors, or none.
    lists: i64,
    liar: Option<&'static str>,
    tapes: BTreeMap<&'static str, BTreeMap<i64, f64>>,
    /// The number of the request, of a run, at which something happens.
    pub trigger: Option<(i64, Trigger)>,
    pub requests: i64,
    /// Injected since this was last taken.
    pub faults: u64,
    /// What a thread of the exchange found wrong.
    pub found: Option<String>,
}

/// Waits for an answer outside of the world's lock.
pub type Waiting = Box<dyn FnOnce() -> Reply + Send>;

impl World {
    pub fn new(dice: &mut Dice, seed: u64, db: PathBuf) -> Self {
        let has_wallet = dice.chance(45);
        let bot = Bot::new(dice, db);
        let mut price = 67_000.0;
        let mut truth = BTreeMap::new();
        for at in (BEGIN - 6 * 3600..BEGIN + END).step_by(60) {
            // the sum of four uniform numbers: nearly normal
            let sum: i64 = (0..4).map(|_| dice.between(-1000, 1001)).sum();
            price *= 1.0 + sum as f64 * 4e-7;
            truth.insert(at, f64::round(price * 100.0) / 100.0);
        }
        let liar = dice.chance(50).then(|| dice.one(&VENUES));
        let tape = |venue: &'static str| {
            let seen = truth.iter().map(|(at, price)| {
                let noise = dice::at(seed, venue, *at, 201) as f64 / 1e6 - 1e-4;
                let lie = match liar == Some(venue) {
                    true => dice::at(seed, "lie", *at / 900, 9) as f64 / 1e3 - 4e-3,
                    false => 0.0,
                };
                (*at, f64::round(price * (1.0 + noise + lie) * 100.0) / 100.0)
            });
            (venue, seen.collect())
        };
        let tapes = VENUES.map(tape).into_iter().collect();
        Self {
            seed,
            now: BEGIN + dice.between(0, 600),
            bot,
            has_wallet,
            in_shares: dice.chance(25),
            batch: dice.one(&[2, 3, 5, 50, 0]) as usize,
            polymarket_only: dice.chance(20),
            is_calm: false,
            markets: markets(dice, &truth),
            lists: dice.between(0, 6),
            liar,
            tapes,
            trigger: None,
            requests: 0,
            faults: 0,
            found: None,
        }
    }

    pub fn describe(&self) -> String {
        format!(
            "{}, wallet {}, shares {}, batch {}, only {}, lists {}, liar {:?}",
            self.bot.describe(),
            self.has_wallet,
            self.in_shares,
            self.batch,
            self.polymarket_only,
            self.lists,
            self.liar
        )
    }

    /// Enough runs for each trade to have its turn several times.
    pub fn runs_for_all(&self) -> usize {
        let rows = self.bot.count();
        4 + rows.div_ceil(if self.batch == 0 { rows.max(1) } else { self.batch })
    }

    pub fn bot_does(&mut self, action: Action) -> String {
        let Self { bot, markets, now, has_wallet, in_shares, .. } = self;
        bot.act(action, markets, *now, *has_wallet, *in_shares)
    }

    /// Whether a candle price of this market can be a lie.
    pub fn can_be_lied_about(&self, market: &Market) -> bool {
        market.is_hourly && self.liar == Some("binance")
    }

    /// Answers a request; or what the thread does without the world's lock.
    pub fn answer(&mut self, asked: &Asked) -> Result<Reply, Waiting> {
        self.requests += 1;
        let due = self.trigger.take_if(|(at, _)| *at <= self.requests);
        let reply = self.reply(asked);
        match due.map(|(_, trigger)| trigger) {
            None => Ok(reply),
            Some(Trigger::Bot(action)) => {
                self.bot_does(action);
                self.faults += 1;
                Ok(reply)
            }
            Some(Trigger::Command { mut command, code, world }) => {
                self.faults += 1;
                Err(Box::new(move || {
                    let status = command.status().expect("a process");
                    if status.code() != Some(code) {
                        let found =
                            format!("a command during a run ended with {status}, not {code}");
                        world.with(|world| world.found = Some(found));
                    }
                    reply
                }))
            }
            Some(Trigger::Kill(child)) => {
                self.faults += 1;
                Err(Box::new(move || {
                    loop {
                        if let Some(child) = child.lock().expect("no thread panics").as_mut() {
                            let _ = child.kill();
                            return Reply::Raw(vec![]);
                        }
                        thread::sleep(Duration::from_millis(1));
                    }
                }))
            }
        }
    }

    fn reply(&mut self, asked: &Asked) -> Reply {
        if asked.path == "/v2/activity" {
            return self.fault("wallet").unwrap_or_else(|| self.activity(asked));
        }
        let service = asked.service();
        if let Some(reply) = self.fault(service) {
            return reply;
        }
        match service {
            "polymarket" => self.polymarket(asked),
            "data" => self.data(asked),
            "clob" => self.clob(asked.path.trim_start_matches("/markets/")),
            venue => self.candles(venue, asked),
        }
    }

    /// What a service answers in place of an answer. A service is out for hours, other faults pass.
    fn fault(&mut self, service: &str) -> Option<Reply> {
        if self.is_calm {
            return None;
        }
        let of_hours = dice::at(self.seed, service, self.now / (3 * 3600), 100);
        let of_run = dice::at(self.seed, service, self.now / STEP, 100);
        let reply = match (of_hours, of_run) {
            (0..15, _) | (_, 0..4) => refused(503),
            (15..18, _) => refused(403),
            (18..20, _) => refused(410),
            (20..28, _) | (_, 4..8) => odd(self.seed, service, self.now),
            _ => return None,
        };
        self.faults += 1;
        Some(reply)
    }

    fn candles(&mut self, venue: &str, asked: &Asked) -> Reply {
        let Some(tape) = self.tapes.get(venue) else { return Reply::status(404) };
        let late = dice::at(self.seed, &format!("{venue} lags"), self.now / 7200, 10);
        let lag = if self.is_calm || late > 1 { 0 } else { 2400 };
        self.faults += u64::from(lag > 0);
        // a candle that lacks its end is not there yet
        let end = if lag == 0 { self.now + 1 } else { (self.now - lag) / 3600 * 3600 };
        let seen = tape.range(self.now - 26 * 3600..end);
        Tape::of(seen.map(|(at, price)| (*at, *price))).answer(asked)
    }

    fn polymarket(&self, asked: &Asked) -> Reply {
        let gone = match asked.path.as_str() {
            "/markets/keyset" => matches!(self.lists, 3 | 5),
            "/markets" => matches!(self.lists, 4 | 5),
            _ => false,
        };
        if gone {
            return refused(404);
        }
        if asked.path == "/events" {
            return Reply::ok("[]");
        }
        let last_years = |market: &&Market| market.served_as != market.slug;
        let single = asked.path.strip_prefix("/markets/").filter(|path| *path != "keyset");
        if let Some(name) = single {
            let slug = name.strip_prefix("slug/").unwrap_or(name);
            let named = |market: &&Market| market.served_as == slug || self.id(market) == slug;
            let found = self.markets.iter().find(named).map(|market| self.gamma(market));
            let earlier = || self.markets.iter().filter(last_years).find(|it| it.slug == slug);
            let found = found.or_else(|| earlier().map(|market| self.last_year(market)));
            return found.map_or_else(not_found, |market| Reply::ok(market.to_string()));
        }
        let closed = asked.query.get("closed").is_some_and(|closed| closed == "true");
        let mut found = Vec::new();
        for market in &self.markets {
            if asked.slugs.contains(&market.served_as) {
                found.push(self.gamma(market));
            }
            if last_years(&market) && asked.slugs.contains(&market.slug) {
                found.push(self.last_year(market));
            }
        }
        let found = found.iter().filter(|market| market["closed"] == closed);
        let found: Vec<String> = found.map(ToString::to_string).collect();
        asked.list(&found.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn id(&self, market: &Market) -> String {
        (2_000_000 + market.number % 1_000_000).to_string()
    }

    /// A market in Gamma's format, as of now.
    fn gamma(&self, market: &Market) -> serde_json::Value {
        let stated = market.stated(self.now).pop();
        let style = dice::at(self.seed, "style", market.number, 4);
        let (closed, status, up) = match stated {
            None if self.now < market.close || style < 2 => (false, None, 0.5),
            None => (true, Some("proposed"), 0.5),
            // without a status the judges decide
            Some(paid) => (true, (style != 1).then_some("resolved"), paid.a_share(true)),
        };
        let (labels, prices) = match style % 2 == 0 {
            true => (["Up", "Down"], [up, 1.0 - up]),
            false => (["Down", "Up"], [1.0 - up, up]),
        };
        let prices = prices.map(|price| price.to_string());
        json!({
            "id": self.id(market), "slug": market.served_as, "closed": closed,
            "conditionId": market.condition(), "umaResolutionStatus": status,
            "outcomes": json!(labels).to_string(), "outcomePrices": json!(prices).to_string(),
            "eventStartTime": iso(market.open), "endDate": iso(market.close),
        })
    }

    /// The market of the year before, which has the slug without a year and another outcome.
    fn last_year(&self, market: &Market) -> serde_json::Value {
        let prices = if market.moved >= 0.0 { ["0", "1"] } else { ["1", "0"] };
        let [open, close] = [market.open, market.close].map(|at| iso(at - 365 * 86_400));
        json!({
            "id": (market.number % 1_000_000).to_string(), "slug": market.slug, "closed": true,
            "conditionId": format!("0x{:064x}", market.number + (1 << 50)),
            "umaResolutionStatus": "resolved", "outcomes": "[\"Up\",\"Down\"]",
            "outcomePrices": json!(prices).to_string(), "eventStartTime": open, "endDate": close,
        })
    }

    fn data(&self, asked: &Asked) -> Reply {
        let conditions = asked.query.get("condition").cloned().unwrap_or_default();
        let is_asked = |market: &&Market| conditions.contains(&market.condition());
        let ruling = |market: &Market| {
            let up_is_first = dice::at(self.seed, "style", market.number, 4) % 2 == 0;
            let paid = market.stated(self.now).pop();
            let payouts = paid.map(|paid| {
                let millionths = |is_yes| (paid.a_share(is_yes) * 1e6) as u64;
                [millionths(up_is_first), millionths(!up_is_first)]
            });
            let status = if paid.is_some() { "resolved" } else { "proposed" };
            json!({"condition_id": market.condition(), "status": status, "payouts": payouts})
        };
        let rulings: Vec<_> = self.markets.iter().filter(is_asked).map(ruling).collect();
        Reply::ok(json!({"data": rulings}).to_string())
    }

    /// The CLOB lags behind.
    fn clob(&self, condition: &str) -> Reply {
        let Some(market) = self.markets.iter().find(|market| market.condition() == condition)
        else {
            return not_found();
        };
        let paid = market.stated(self.now - 900).pop();
        let tokens = [("Up", true), ("Down", false)].map(|(name, is_yes)| {
            let winner = paid.is_some_and(|paid| paid.a_share(is_yes) == 1.0);
            json!({"outcome": name, "winner": winner})
        });
        let body = json!({"closed": self.now >= market.close, "market_slug": market.served_as,
                          "is_50_50_outcome": paid == Some(Paid::Half), "tokens": tokens});
        Reply::ok(body.to_string())
    }

    /// The wallet's rows that have arrived, a few a page.
    fn activity(&self, asked: &Asked) -> Reply {
        let number = |name: &str| asked.query.get(name).and_then(|text| text.parse::<i64>().ok());
        let (start, end) = (number("start").unwrap_or(0), number("end").unwrap_or(i64::MAX));
        let arrived = self.bot.fills.iter().filter(|fill| {
            let is_there = self.is_calm || fill.arrives <= self.now;
            is_there && fill.at <= self.now && (start..=end).contains(&fill.at)
        });
        let mut rows: Vec<_> = arrived.collect();
        rows.sort_by_key(|fill| fill.at);
        let from = number("cursor").unwrap_or(0) as usize;
        let until = rows.len().min(from + 20);
        let page: Vec<_> = rows[from.min(until)..until]
            .iter()
            .map(|fill| {
                let market = &self.markets[fill.market];
                json!({"proxy_wallet": WALLET, "timestamp": fill.at, "type": "TRADE",
                       "condition_id": market.condition(), "size": fill.shares,
                       "usdc_size": fill.dollars, "transaction_hash": format!("0x{:x}", fill.at),
                       "side": if fill.is_sale { "SELL" } else { "BUY" },
                       "outcome": if fill.is_yes { "Up" } else { "Down" }, "slug": market.served_as})
            })
            .collect();
        let next = (until < rows.len()).then(|| until.to_string());
        let pagination = json!({"has_more": next.is_some(), "next_cursor": next});
        Reply::ok(json!({"data": page, "pagination": pagination}).to_string())
    }
}

/// The markets of all days: one in a quarter of an hour, and one an hour that is named without its year.
fn markets(dice: &mut Dice, truth: &BTreeMap<i64, f64>) -> Vec<Market> {
    let mut markets = Vec::new();
    for open in (BEGIN..BEGIN + END - 2 * 86_400).step_by(900) {
        for length in [900, 3600] {
            if open % length != 0 {
                continue;
            }
            let (close, is_hourly) = (open + length, length == 3600);
            // an hour is decided by the last price in it
            let last = if is_hourly { close - 60 } else { close };
            let moved = (truth[&last] / truth[&open] - 1.0) * 10_000.0;
            let paid = if truth[&last] >= truth[&open] { Paid::Up } else { Paid::Down };
            let (slug, served_as) = match is_hourly {
                true => hourly(open, dice.chance(60)),
                false => (format!("btc-updown-15m-{open}"), format!("btc-updown-15m-{open}")),
            };
            let resolutions = resolutions(dice, close, paid);
            let number = open * 2 + i64::from(is_hourly);
            let market =
                Market { slug, served_as, open, close, moved, is_hourly, resolutions, number };
            markets.push(market);
        }
    }
    markets
}

/// When Polymarket resolves a market, and how: soon, late, early, never, or twice.
fn resolutions(dice: &mut Dice, close: i64, paid: Paid) -> Vec<(i64, Paid)> {
    let other = if paid == Paid::Up { Paid::Down } else { Paid::Up };
    let soon = close + dice.between(60, 2400);
    match dice.between(0, 100) {
        0..55 => vec![(soon, paid)],
        55..72 => vec![(close + dice.between(2 * 3600, 20 * 3600), paid)],
        72..78 => vec![(close - 100, paid)],
        78..83 => vec![(soon, Paid::Half)],
        83..90 => vec![(soon, other), (soon + dice.between(600, 30_000), paid)],
        _ => vec![],
    }
}

/// The slug of an hour in New York without its year, and that under which Polymarket has it.
fn hourly(open: i64, has_other_year: bool) -> (String, String) {
    // standard time in February
    let local = DateTime::from_timestamp(open - 5 * 3600, 0).expect("a time");
    let hour = local.format("%-I%P").to_string();
    let day = local.format("%B-%-d").to_string().to_lowercase();
    let plain = format!("bitcoin-up-or-down-{day}-{hour}-et");
    let dated = format!("bitcoin-up-or-down-{day}-{}-{hour}-et", local.format("%Y"));
    let served_as = if has_other_year { dated } else { plain.clone() };
    (plain, served_as)
}

pub fn clock(at: i64) -> String {
    DateTime::from_timestamp(at, 0).expect("a time").format("%d %H:%M:%S").to_string()
}

fn iso(at: i64) -> String {
    DateTime::from_timestamp(at, 0).expect("a time").to_rfc3339()
}

/// A refusal that no client tries again at once.
fn refused(status: u16) -> Reply {
    Reply::Say(status, vec![("Retry-After", "60".to_owned())], b"<html>no</html>".to_vec())
}

/// A body of another shape than known.
fn odd(seed: u64, service: &str, now: i64) -> Reply {
    let bodies: [&[u8]; 6] =
        [b"[{\"slug\":", b"{\"markets\":null}", b"[1,2]", b"<html>", b"{}", b"null"];
    let body = bodies[dice::at(seed, service, now, 6) as usize];
    Reply::Say(200, vec![("Retry-After", "60".to_owned())], body.to_vec())
}

fn not_found() -> Reply {
    let body = b"{\"type\":\"not found error\",\"error\":\"slug not found\"}";
    Reply::Say(404, vec![], body.to_vec())
}
