//! A month of a bot with settle every hour, by a clock that the test controls: which notices a person
//! gets, and which runs are red. The library runs in this process, because the program reads the real clock.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::types::Value as Sql;
use settle::cli::{self, Command, Layers};
use settle::commands;
use settle::error::Error;

use crate::support::exchange::{Asked, Exchange, Reply, Tape, market};
use crate::support::hooks::Hooks;
use crate::support::{Bench, Bet, as_logged, bet, services_at};

/// 2026-02-01 00:00 UTC.
const START: i64 = 1_769_904_000;
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
const DAYS: i64 = 28;
/// Between two runs.
const INTERVAL: i64 = HOUR;
/// Between two trades, each on the market that opens then.
const TRADES: i64 = 6 * HOUR;

/// The times of what goes wrong.
const SHORT_OUTAGE: [i64; 2] = [START + 3 * DAY + 12 * HOUR, START + 3 * DAY + 15 * HOUR];
const LONG_OUTAGE: [i64; 2] = [START + 10 * DAY + 6 * HOUR, START + 10 * DAY + 14 * HOUR];
const DEAD_WEBHOOK: [i64; 2] = [START + 5 * DAY, START + 5 * DAY + 12 * HOUR];
/// The opens of the market that resolves 40 hours late, of the one that Polymarket resolves against the
/// candles, and of the one whose trade lacks its price.
const LATE: i64 = START + 14 * DAY;
const CORRECTED: i64 = START + 20 * DAY;
const BAD_ROW: i64 = START + 5 * DAY + 6 * HOUR;

fn within(at: i64, [from, until]: [i64; 2]) -> bool {
    (from..until).contains(&at)
}

/// The price at the boundary of two markets: each market moves by more than 20 bps.
fn price(at: i64) -> f64 {
    67_000.0 + 150.0 * (at / 900 % 3) as f64
}

fn is_up(open: i64) -> bool {
    (price(open + 900) >= price(open)) != (open == CORRECTED)
}

/// Polymarket resolves every other market before the first run, the others after it.
fn resolves_at(open: i64) -> i64 {
    open + 900
        + match open {
            LATE => 40 * HOUR,
            CORRECTED => 2 * HOUR,
            open if open / TRADES % 2 == 0 => 120,
            _ => HOUR + 600,
        }
}

/// Every service, as of the clock.
fn answer(asked: &Asked, tape: &Tape, now: i64) -> Reply {
    if within(now, SHORT_OUTAGE) || within(now, LONG_OUTAGE) {
        // a wait that a run does not wait for
        return Reply::Say(503, vec![("Retry-After", "600".to_owned())], vec![]);
    }
    if asked.service() != "polymarket" {
        return tape.answer(asked);
    }
    let is_closed = asked.query.get("closed").is_some_and(|closed| closed == "true");
    let slugs = asked.slugs.iter().filter_map(|slug| {
        let open: i64 = slug.rsplit('-').next()?.parse().ok()?;
        let prices = if is_up(open) { ["1", "0"] } else { ["0", "1"] };
        (is_closed && now >= resolves_at(open)).then(|| market(slug, true, ["Up", "Down"], prices))
    });
    let markets: Vec<String> = slugs.collect();
    match asked.path.strip_prefix("/markets/").filter(|path| *path != "keyset") {
        Some(_) => Reply::status(404),
        None => asked.list(&markets.iter().map(String::as_str).collect::<Vec<_>>()),
    }
}

/// One run at this time; its exit code.
fn run(arguments: &[OsString], at: i64) -> u8 {
    let cli = cli::parse(arguments, &Layers::default()).unwrap();
    let Command::Run(args) = &cli.command else { panic!("another command") };
    let bots = cli.bots(|command| match command {
        Command::Run(args) => Some(args),
        _ => None,
    });
    let now = chrono::DateTime::from_timestamp(at, 0).unwrap();
    loop {
        match commands::run::run(&cli.common, args, &bots, now) {
            // a process that another test starts holds this one's files until it executes its own program
            Err(Error::Locked { .. }) => thread::sleep(Duration::from_millis(5)),
            ran => return ran.unwrap().code(),
        }
    }
}

#[test]
fn a_month_raises_each_alert_once_with_a_cause_and_clears_it_once() {
    let bench = Bench::new(&[]);
    let (clock, hooks) = (Arc::new(AtomicI64::new(START)), Hooks::start());
    let tape = Tape::of(
        (0..DAYS * 96 + 96).map(|quarter| START + quarter * 900).map(|at| (at, price(at))),
    );
    let exchange = {
        let clock = Arc::clone(&clock);
        Exchange::start(move |asked, _| answer(asked, &tape, clock.load(Ordering::SeqCst)))
    };
    let mut arguments = vec!["settle".to_owned(), "run".to_owned(), "-q".to_owned()];
    arguments.push(format!("--db={}", bench.db.display()));
    arguments.extend([format!("--notify-url={}", hooks.url), "--interval-minutes=60".to_owned()]);
    arguments.extend(services_at(&exchange.url));
    let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();

    let mut events = Vec::new();
    let mut red = BTreeMap::<&str, u32>::new();
    let mut after_the_bad_row = BTreeSet::new();
    let mut trades = 0;
    for at in (START..START + DAYS * DAY).step_by(INTERVAL as usize) {
        while START + trades * TRADES + 60 <= at && trades < (DAYS - 1) * DAY / TRADES {
            let open = START + trades * TRADES;
            trades += 1;
            let row = bet(trades)
                .on(&format!("btc-updown-15m-{open}"))
                .at(&as_logged(open + 60))
                .action(if trades % 2 == 0 { "YES" } else { "NO" });
            let price = if open == BAD_ROW { Sql::Null } else { Sql::Real(0.5) };
            bench.insert(&[Bet { price, strike: Sql::Real(self::price(open)), ..row }]);
        }
        clock.store(at, Ordering::SeqCst);
        let is_dead = within(at, DEAD_WEBHOOK);
        hooks.answer(if is_dead { 503 } else { 200 });
        let code = run(&arguments, at);
        let heard = hooks.events();
        assert!(!is_dead || heard.len() <= 1, "a dead host is asked once a run");
        events.extend(heard.into_iter().filter(|_| !is_dead));
        // what a person can see as the cause
        let cause = [
            ("short outage", [SHORT_OUTAGE[0], SHORT_OUTAGE[1]]),
            ("long outage", [LONG_OUTAGE[0], LONG_OUTAGE[1]]),
            ("bad row", [BAD_ROW + HOUR, BAD_ROW + 51 * HOUR]),
            ("late resolution", [LATE + 24 * HOUR, LATE + 60 * HOUR]),
        ];
        if !matches!(code, 0 | 3) {
            let cause = cause.iter().find(|(_, time)| within(at, *time));
            let cause =
                cause.unwrap_or_else(|| panic!("exit {code} without a cause at {}", as_logged(at)));
            *red.entry(cause.0).or_default() += 1;
        }
        if at > BAD_ROW + 52 * HOUR {
            after_the_bad_row.insert(code);
        }
    }

    let count = |event: &str, key: &str| {
        let is_its = |sent: &&serde_json::Value| {
            let alerts = sent["alerts"].as_array();
            sent["event"] == event
                && alerts.is_none_or(|alerts| alerts.iter().any(|alert| alert == key))
        };
        events.iter().filter(is_its).count()
    };
    // the long outage, the bad row and the late resolution; nothing of the short outage
    let alerts = ["outage_polymarket", "outage_candles", "overdue", "rows_in_error", "unconfirmed"];
    for key in alerts {
        let counts = (count("alert_raised", key), count("alert_cleared", key));
        assert_eq!(counts, (1, 1), "{key}: {events:#?}");
    }
    let raised = events.iter().filter(|event| event["event"] == "alert_raised");
    let raised: BTreeSet<&str> = raised
        .flat_map(|event| event["alerts"].as_array().unwrap())
        .map(|key| key.as_str().unwrap())
        .collect();
    assert_eq!(raised, BTreeSet::from(alerts));
    let of_trade = |event: &str| {
        let its = events.iter().filter(|sent| sent["event"] == event);
        its.map(|sent| sent["trade"]["market_slug"].clone()).collect::<Vec<_>>()
    };
    let corrected = vec![serde_json::json!(format!("btc-updown-15m-{CORRECTED}"))];
    assert_eq!(of_trade("correction"), corrected);
    assert_eq!(of_trade("contradiction"), corrected);
    let causes: Vec<&str> = red.keys().copied().collect();
    assert_eq!(causes, ["bad row", "late resolution", "long outage", "short outage"], "{red:?}");
    assert_eq!(red["bad row"], 48, "48 hours of one run an hour: {red:?}");
    // after 48 hours the bad row alone turns no run red
    assert!(after_the_bad_row.contains(&3), "{after_the_bad_row:?}");

    // every other trade has Polymarket's outcome
    assert_eq!(bench.count("is_win IS NULL"), 1);
    let wins = (0..trades).filter(|trade| {
        let open = START + trade * TRADES;
        open != BAD_ROW && is_up(open) == ((trade + 1) % 2 == 0)
    });
    let wins = wins.count() as i64;
    assert_eq!((bench.count("is_win = 1"), bench.count("is_win = 0")), (wins, trades - 1 - wins));
    let waiting = "SELECT count(*) FROM settlement_notices";
    let waiting: i64 = bench.sql().query_row(waiting, [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 0);
}
