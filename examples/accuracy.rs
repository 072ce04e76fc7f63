//! Measures how often settle is right on real markets, through the real engine:
//!
//! ```text
//! cargo run --release --example accuracy -- MARKETS.csv VENUE=CANDLES.csv…
//! ```
//!
//! MARKETS.csv has `slug,outcome,price_to_beat,…` with the outcome `Up` or `Down` as Polymarket
//! resolved it; CANDLES.csv `open_time,open,…` with times in unix seconds. VENUE is one of coinbase,
//! kraken, bitstamp, binance: whose candles these are. Each market becomes a bet in a performance
//! database of its own, and the engine settles it as `settle dry-run` would.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

#[path = "../tests/support/exchange.rs"]
mod exchange;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use chrono::DateTime;
use rust_decimal::Decimal;
use settle::engine::context::{Database, Outside, RunContext, Task};
use settle::engine::run as engine;
use settle::engine::summary::Event;
use settle::engine::summary::Summary;
use settle::engine::trade_result::TradeResult;
use settle::interrupt::Limit;
use settle::rules::asset::Asset;
use settle::rules::decision::{Confirm, Deciding};
use settle::rules::eligibility::Reading;
use settle::rules::market::{RuleSet, read_market};
use settle::rules::outcome::Outcome;
use settle::rules::price::{PriceAt, Source};
use settle::rules::resolution::{Resolution, Resolutions};
use settle::rules::selection::Lags;
use settle::rules::strike::Strike;
use settle::rules::units::{Bps, UnixSeconds};
use settle::rules::value::Cell;
use settle::sources::candles::fallback::{Chain, PriceSource, SourceAnswer};
use settle::sources::candles::{Candle, CandleRows};
use settle::sources::http::Client;
use settle::sources::http::RequestStats;
use settle::sources::polymarket::{Bases, Polymarket, ResolutionSource};
use settle::store::{Access, BotSchema, Store};

/// Moves on the venue, in bps: the buckets' upper ends.
const BUCKETS: [&str; 6] = ["0.5", "1", "2", "4", "8", "inf"];

struct Market {
    slug: String,
    outcome: Outcome,
    price_to_beat: Option<f64>,
    duration: &'static str,
    open: UnixSeconds,
}

fn read_markets(path: &Path) -> Vec<Market> {
    let text = fs::read_to_string(path).expect("the markets file can be read");
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split(',');
            let slug = fields.next()?.to_owned();
            let outcome = match fields.next()? {
                "Up" => Outcome::Yes,
                "Down" => Outcome::No,
                _ => return None,
            };
            let price_to_beat = fields.next().and_then(|price| price.parse().ok());
            let market = read_market(&slug, UnixSeconds(0), RuleSet::Polymarket);
            let duration = match market.close.since(market.open) {
                300 => "5m",
                900 => "15m",
                _ => "other",
            };
            Some(Market { slug, outcome, price_to_beat, duration, open: market.open })
        })
        .collect()
}

/// A candle file of one venue, of which only the opens are used.
struct CandleFile {
    venue: Source,
    book: Rc<CandleRows>,
}

impl CandleFile {
    fn read(venue: Source, path: &str) -> Rc<CandleRows> {
        let mut book = CandleRows::default();
        let text = fs::read_to_string(path).expect("the candle file can be read");
        for line in text.lines() {
            let mut fields = line.split(',');
            let (Some(time), Some(open)) = (fields.next(), fields.next()) else { continue };
            let (Ok(time), Ok(open)) = (time.parse(), open.parse::<Decimal>()) else { continue };
            let candle = Candle::new(UnixSeconds(time), open, open, open, open);
            book.insert(60, candle.expect("a price above 0"), UnixSeconds(i64::MAX));
        }
        println!("{venue}: {path}");
        Rc::new(book)
    }
}

impl PriceSource for CandleFile {
    fn source(&self) -> Source {
        self.venue
    }

    fn prices(
        &mut self,
        _asset: Asset,
        wanted: &BTreeSet<PriceAt>,
        _now: UnixSeconds,
    ) -> SourceAnswer {
        let priced = |quote: &PriceAt| Some((*quote, self.book.price(*quote)?));
        let prices: HashMap<_, _> = wanted.iter().filter_map(priced).collect();
        SourceAnswer { answered: true, prices, ..SourceAnswer::default() }
    }

    fn stats(&self) -> RequestStats {
        RequestStats::default()
    }
}

/// A Polymarket that has resolved nothing, so that candles decide or hold.
struct Silent;

impl ResolutionSource for Silent {
    fn find(&mut self, slugs: &[String]) -> Resolutions {
        let answer =
            |slug: &String| (slug.clone(), Resolution::NotYet("not asked".to_owned()).into());
        Resolutions { answers: slugs.iter().map(answer).collect(), problems: vec![] }
    }

    fn stats(&self) -> BTreeMap<&'static str, RequestStats> {
        BTreeMap::new()
    }
}

/// One way of settling.
#[derive(Clone, Copy)]
struct Way {
    rules: RuleSet,
    strike: Strike,
    min_move: Decimal,
    confirm: Confirm,
}

fn settle(
    database: &Path,
    prices: &mut Chain,
    resolutions: &mut dyn ResolutionSource,
    way: Way,
    writing: Option<RunContext<'_>>,
) -> (Summary, Vec<TradeResult>) {
    let deciding = Deciding {
        confirm: way.confirm,
        min_move: Some(Bps(way.min_move)),
        // for ever: what is held counts as not decided
        hold: i64::MAX,
        ..Deciding::default()
    };
    let access = if writing.is_some() { Access::Write } else { Access::Read };
    let mut store =
        Store::open(database, access, &BotSchema::default()).expect("the database made here");
    let task = Task {
        reading: Reading { rules: way.rules, strike: way.strike, ..Reading::default() },
        deciding: &deciding,
        batch: 0,
        lags: Lags { due: i64::MAX, confirm: i64::MAX, hold: 0, polymarket_alone: false },
        now: UnixSeconds(4_000_000_000),
        limit: &Limit::default(),
    };
    let mut results = Vec::new();
    let mut report = |event: Event<'_>| {
        if let Event::Ended { result, .. } = event {
            results.push(result.clone());
        }
    };
    let mut database = Database { store: &mut store, name: None, report: &mut report };
    let mut outside = Outside { prices, resolutions, wallet: None, known: Resolutions::default() };
    let summary = engine::settle(&mut database, &mut outside, &task, writing);
    let summary = summary.expect("the database made here");
    (summary, results)
}

/// A bet of $5 at 0.50 on Up in every market.
fn make_database(path: &Path, markets: &[Market]) {
    let mut database = rusqlite::Connection::open(path).expect("a temporary folder");
    database
        .execute_batch(
            "CREATE TABLE trades (
                 id INTEGER PRIMARY KEY, timestamp DATETIME, market_slug TEXT, action TEXT,
                 position_size REAL, executed_price REAL, price_to_beat REAL,
                 actual_outcome TEXT, profit_loss REAL, is_win BOOLEAN);",
        )
        .expect("a new database");
    let transaction = database.transaction().expect("a new database");
    for (id, market) in markets.iter().enumerate() {
        let made = DateTime::from_timestamp(market.open.0 + 60, 0).expect("a time of our days");
        transaction
            .execute(
                "INSERT INTO trades VALUES (?1, ?2, ?3, 'YES', 5.0, 0.5, ?4, NULL, NULL, NULL)",
                rusqlite::params![
                    id as i64,
                    made.format("%Y-%m-%d %H:%M:%S").to_string(),
                    market.slug,
                    market.price_to_beat
                ],
            )
            .expect("a new row");
    }
    transaction.commit().expect("a new database");
}

fn id(result: &TradeResult) -> usize {
    match result.row.id {
        Cell::Integer(id) => id as usize,
        _ => unreachable!("ids are given here"),
    }
}

/// Counts of one cell of the table.
#[derive(Default, Clone, Copy)]
struct Count {
    n: u64,
    right: u64,
    held: u64,
}

impl Count {
    fn add(&mut self, result: &TradeResult, market: &Market) {
        match result.outcome {
            Some(outcome) => {
                self.n += 1;
                self.right += u64::from(outcome == market.outcome);
            }
            None if result.close_price.is_some() => {
                self.n += 1;
                self.held += 1;
            }
            None => {}
        }
    }

    fn decided(self) -> u64 {
        self.n - self.held
    }

    fn accuracy(self) -> String {
        percent(self.right, self.decided())
    }
}

fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.2} %", part as f64 * 100.0 / whole as f64),
    }
}

type Counts = BTreeMap<(&'static str, usize), Count>;

/// By duration and bucket of the venue's move in the market's own window.
fn count(results: &[TradeResult], markets: &[Market], bucket: &HashMap<usize, usize>) -> Counts {
    let mut counts = Counts::new();
    for result in results {
        let market = &markets[id(result)];
        if let Some(bucket) = bucket.get(&id(result)) {
            counts.entry((market.duration, *bucket)).or_default().add(result, market);
        }
    }
    counts
}

fn bucket_of(moved: Bps) -> usize {
    let below = |end: &&&str| end.parse().is_ok_and(|end: Decimal| moved.0.abs() >= end);
    BUCKETS.iter().take_while(below).count()
}

fn total(counts: &Counts, duration: &str) -> Count {
    counts.iter().filter(|((held, _), _)| *held == duration).fold(
        Count::default(),
        |sum, (_, count)| Count {
            n: sum.n + count.n,
            right: sum.right + count.right,
            held: sum.held + count.held,
        },
    )
}

fn measure_venue(venue: Source, book: &Rc<CandleRows>, database: &Path, markets: &[Market]) {
    let run = |rules, strike, min_move: &str| {
        let file = CandleFile { venue, book: Rc::clone(book) };
        let mut prices = Chain::new(vec![Box::new(file)]);
        let min_move = min_move.parse().expect("a number");
        let way = Way { rules, strike, min_move, confirm: Confirm::Off };
        settle(database, &mut prices, &mut Silent, way, None).1
    };
    let all = run(RuleSet::Polymarket, Strike::Venue, "0");
    let bucket: HashMap<usize, usize> =
        all.iter().filter_map(|result| Some((id(result), bucket_of(result.moved?)))).collect();
    let counted = |results: Vec<TradeResult>| count(&results, markets, &bucket);
    let plan = counted(run(RuleSet::SlugClose, Strike::Venue, "0"));
    let recorded = counted(run(RuleSet::Polymarket, Strike::Recorded, "4"));
    let at_venue = counted(all);
    let cautious = counted(run(RuleSet::Polymarket, Strike::Venue, "4"));

    println!("\nBy the venue's move in the window; 'held' and 'decided' with --min-move-bps 4\n");
    println!(
        "| {venue} | move, bps | n | slug-close | venue, all | held | venue, decided | recorded: n | held | decided |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let durations: BTreeSet<&str> = markets.iter().map(|market| market.duration).collect();
    for duration in durations {
        let line = |name: &str, of: &dyn Fn(&Counts) -> Count| {
            let [plan, all, cautious, recorded] = [&plan, &at_venue, &cautious, &recorded].map(of);
            println!(
                "| {duration} | {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
                all.n,
                plan.accuracy(),
                all.accuracy(),
                cautious.held,
                cautious.accuracy(),
                recorded.n,
                recorded.held,
                recorded.accuracy()
            );
        };
        let mut from = "0";
        for (index, to) in BUCKETS.into_iter().enumerate() {
            let name = match to {
                "inf" => format!("{from} and more"),
                _ => format!("{from} to {to}"),
            };
            from = to;
            line(&name, &|counts| counts.get(&(duration, index)).copied().unwrap_or_default());
        }
        line("all", &|counts| total(counts, duration));
    }

    println!("\nWhat a margin costs and buys (--strike venue, all durations)\n");
    println!("| --min-move-bps | decided | share | wrong | right of those decided |");
    println!("|---|---|---|---|---|");
    for min_move in ["0", "0.5", "1", "2", "3", "4", "5", "6", "8"] {
        let counts = counted(run(RuleSet::Polymarket, Strike::Venue, min_move));
        let mut sum = Count::default();
        for count in counts.values() {
            sum.n += count.n;
            sum.right += count.right;
            sum.held += count.held;
        }
        println!(
            "| {min_move} | {} | {} | {} | {} |",
            sum.decided(),
            percent(sum.decided(), sum.n),
            sum.decided() - sum.right,
            sum.accuracy()
        );
    }
}

/// With every market resolved: what is written, and how often Polymarket is asked, over a socket.
fn measure_confirmation(venue: Source, book: &Rc<CandleRows>, database: &Path, markets: &[Market]) {
    let resolved = exchange::Markets::resolved(
        markets.iter().map(|market| (market.slug.as_str(), market.outcome == Outcome::Yes)),
    );
    let server = exchange::Exchange::resolving(exchange::Tape::default(), resolved);
    let [gamma, data, clob] = [(); 3].map(|()| server.url.clone());
    let bases = Bases { gamma, data, clob };
    let mut polymarket = Polymarket::new(bases, Arc::new(Client::default()));
    let mut prices = Chain::new(vec![Box::new(CandleFile { venue, book: Rc::clone(book) })]);
    let way = Way {
        rules: RuleSet::Polymarket,
        strike: Strike::Venue,
        min_move: Decimal::from(4),
        confirm: Confirm::Auto,
    };
    let writing = RunContext { run_id: "accuracy", retry_wait: 600 };
    let (summary, _) = settle(database, &mut prices, &mut polymarket, way, Some(writing));
    let read = rusqlite::Connection::open(database).expect("the database made here");
    let mut statement =
        read.prepare("SELECT id, actual_outcome FROM trades").expect("the table made here");
    let written = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?)))
        .expect("the table made here")
        .map(|row| row.expect("the table made here"));
    let right = written
        .filter(|(id, outcome)| outcome.as_deref() == Some(markets[*id as usize].outcome.as_str()))
        .count() as u64;
    println!(
        "\nWith every market resolved, --confirm auto: {right} of {} written as Polymarket resolved \
         them ({}), {} requests to Polymarket",
        markets.len(),
        percent(right, markets.len() as u64),
        summary.stats["polymarket"].requests
    );
    let alerts = summary.alerts();
    println!("Contradictions (moves over 15 bps resolved the other way): {}", alerts.len());
    for alert in alerts {
        println!("- {alert}");
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: accuracy MARKETS.csv VENUE=CANDLES.csv…";
    let markets = read_markets(Path::new(&arguments.next().expect(usage)));
    let days = |at: Option<&Market>| at.map(|market| market.open.to_string()).unwrap_or_default();
    println!(
        "{} markets, {} to {}",
        markets.len(),
        days(markets.iter().min_by_key(|market| market.open)),
        days(markets.iter().max_by_key(|market| market.open))
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("performance.db");
    make_database(&database, &markets);
    let files: Vec<(Source, Rc<CandleRows>)> = arguments
        .map(|argument| {
            let (venue, path) = argument.split_once('=').expect(usage);
            let venue = Source::named(venue).expect(usage);
            (venue, CandleFile::read(venue, path))
        })
        .collect();
    for (venue, book) in &files {
        measure_venue(*venue, book, &database, &markets);
    }
    let (venue, book) = files.first().expect(usage);
    measure_confirmation(*venue, book, &database, &markets);
}
