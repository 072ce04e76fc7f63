//! Sources that fail, send invalid data or hang up. The next source is queried. Without an answer a trade
//! stays pending, and no outcome is guessed.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::exchange::{Exchange, Reply, Tape};
use crate::support::{self, Bench, CLOSE, Ended, OPEN, STRIKE, bet, nowhere, services_at};

fn tape() -> Tape {
    Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)])
}

/// An exchange on which `service` sends the given answer and the other services answer correctly.
fn broken(service: &'static str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Exchange {
    Exchange::start(
        move |asked, _| {
            if asked.service() == service { reply() } else { tape().answer(asked) }
        },
    )
}

/// A valid body of the service whose only row opens at another instant.
fn other_instant(service: &str) -> String {
    let (at, price) = (CLOSE + 60, STRIKE - 500.0);
    match service {
        "coinbase" => format!("[[{at},{price},{price},{price},{price},1]]"),
        "kraken" => format!(
            "{{\"error\":[],\"result\":{{\"XXBTZUSD\":[[{at},\"{price}\",\"{price}\",\"{price}\",\"{price}\",\"1\",\"1\",1]],\"last\":{at}}}}}"
        ),
        "bitstamp" => format!(
            "{{\"data\":{{\"pair\":\"BTC/USD\",\"ohlc\":[{{\"timestamp\":\"{at}\",\"open\":\"{price}\",\"high\":\"{price}\",\"low\":\"{price}\",\"close\":\"{price}\",\"volume\":\"1\"}}]}}}}"
        ),
        _ => format!(
            "[[{at}000,\"{price}\",\"{price}\",\"{price}\",\"{price}\",\"1\",{at}999,\"1\",1,\"1\",\"1\",\"0\"]]"
        ),
    }
}

fn requests(ended: &Ended, service: &str) -> i64 {
    ended.json()["requests"][service].as_i64().unwrap()
}

#[test]
fn after_any_fault_of_the_first_source_the_next_is_queried() {
    type Fault = (&'static str, fn() -> Reply, i64);
    // the fault, and the number of requests until settle gives up
    let faults: [Fault; 14] = [
        ("no rows", || Reply::ok("[]"), 1),
        ("row at another instant", || Reply::ok(other_instant("coinbase")), 1),
        (
            "wrong order of columns",
            || Reply::ok(format!("[[{CLOSE},66000,66500,67000,66100,1]]")),
            3,
        ),
        ("a price of zero", || Reply::ok(format!("[[{CLOSE},0,0,0,0,0]]")), 3),
        ("HTML with 200", || Reply::ok("<html>maintenance</html>"), 3),
        ("HTML with 520", || Reply::status(520), 3),
        ("truncated JSON", || Reply::ok(format!("[[{CLOSE},66000,665")), 3),
        (
            "429 with Retry-After 0",
            || Reply::Say(429, vec![("Retry-After", "0".into())], vec![]),
            3,
        ),
        ("429 for an hour", || Reply::Say(429, vec![("Retry-After", "3600".into())], vec![]), 1),
        ("451", || Reply::status(451), 1),
        ("403", || Reply::status(403), 1),
        (
            "a redirect",
            || Reply::Say(302, vec![("Location", "http://127.0.0.1:9/".into())], vec![]),
            1,
        ),
        ("connection dropped", || Reply::Raw(vec![]), 3),
        ("200 MB", || Reply::Flood(200_000_000), 3),
    ];
    for (fault, reply, tries) in faults {
        let bench = Bench::new(&[bet(1)]);
        let ended =
            bench.run_at(&broken("coinbase", reply).url, &["--sources", "coinbase,binance"]);
        ended.code(0);
        assert_eq!(bench.booked(1).0.as_deref(), Some("YES"), "{fault}");
        assert_eq!(ended.json()["trades"][0]["price_source"], "binance", "{fault}");
        assert_eq!(requests(&ended, "coinbase"), tries, "{fault}");
        assert_eq!(requests(&ended, "binance"), 1, "{fault}");
    }
}

/// A valid row of Coinbase at the close.
fn good_row() -> String {
    format!("[{CLOSE},{},{},{},{},1]", STRIKE, STRIKE + 100.0, STRIKE + 100.0, STRIKE)
}

/// Bodies that a hostile service may send with status 200.
fn hostile_bodies() -> Vec<(&'static str, String)> {
    let row = good_row();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    vec![
        ("deep JSON", deep),
        ("a price of 1e400", format!("[{row},[{},1e400,1e400,1e400,1e400,1]]", CLOSE + 900)),
        ("NaN as text", format!("[{row},[{},\"NaN\",\"NaN\",\"NaN\",\"NaN\",1]]", CLOSE + 900)),
        ("NaN bare", format!("[{row},[{},NaN,NaN,NaN,NaN,1]]", CLOSE + 900)),
        ("a key twice", format!("[{row},{{\"a\":1,\"a\":2}}]")),
        ("a row among rows that is none", format!("[{row},null]")),
        ("escapes for the terminal", "[\"\u{1b}]0;owned\u{7}\"]".to_owned()),
        (
            "a number of 100,000 digits",
            format!("[[{CLOSE},{0},{0},{0},{0},1]]", "9".repeat(100_000)),
        ),
    ]
}

/// Answers as the services would, but about every third request gets a fault. `seed` determines the faults.
fn faulty(seed: u64, tape: Tape, markets: support::exchange::Markets) -> Exchange {
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
    Exchange::start(move |asked, _| {
        let fault = random.lock().unwrap().u32(..30);
        let well = || match asked.service() {
            "polymarket" => markets.answer(asked).unwrap(),
            _ => tape.answer(asked),
        };
        let body = |reply: Reply| match reply {
            Reply::Say(_, _, body) => body,
            _ => vec![],
        };
        match fault {
            0 => Reply::Raw(vec![]),
            1 => Reply::status(500),
            2 => Reply::Say(429, vec![("Retry-After", "1000".into())], vec![]),
            3 => Reply::ok("<html>maintenance</html>"),
            4 => Reply::ok("[]"),
            5 => Reply::ok("{}"),
            6 => {
                // truncated in the middle
                let mut body = body(well());
                body.truncate(body.len() / 2);
                Reply::ok(body)
            }
            7 => Reply::ok([body(well()), b"]".to_vec()].concat()),
            8 => Reply::ok(String::from_utf8(body(well())).unwrap().replace("67", "null")),
            9 => {
                Reply::ok(String::from_utf8(body(well())).unwrap().replace("resolved", "disputed"))
            }
            _ => well(),
        }
    })
}

#[test]
fn each_trade_gets_the_right_outcome_under_random_faults() {
    let windows = 60;
    let seed_at_a_time = |seed: u64| {
        let open = |index: i64| OPEN + index * 900;
        let slugs: Vec<String> =
            (0..windows).map(|index| format!("btc-updown-15m-{}", open(index))).collect();
        let bets = slugs.iter().zip(1..).map(|(slug, id)| bet(id).on(slug));
        let bench = Bench::new(&bets.collect::<Vec<_>>());
        // the price alternates by more than any margin, and Polymarket resolves the same way
        let price = |index: i64| STRIKE + if index % 2 == 0 { 0.0 } else { 500.0 };
        let tape = Tape::of((0..=windows).map(|index| (open(index), price(index))));
        bench.sql().execute_batch(&format!(
            "UPDATE trades SET price_to_beat = {STRIKE} + CASE id % 2 WHEN 1 THEN 0 ELSE 500 END"
        )).unwrap();
        let outcomes = slugs.iter().zip(0..).map(|(slug, index)| (slug.as_str(), index % 2 == 0));
        let markets = support::exchange::Markets::resolved(outcomes);
        let mut runs = 0;
        while bench.count("actual_outcome IS NULL") > 0 {
            assert!(runs < 30, "seed {seed}: still unsettled after {runs} runs");
            let exchange = faulty(seed * 1000 + runs, tape.clone(), markets.clone());
            // no trade waits for its retry
            let arguments = ["--confirm", "auto", "--batch", "25"];
            bench.run_at(&exchange.url, &arguments);
            bench.sql().execute_batch("UPDATE settlement_retries SET next_try = 0").ok();
            let wrong = "actual_outcome != CASE id % 2 WHEN 1 THEN 'YES' ELSE 'NO' END
                         OR is_win != id % 2 OR profit_loss != CASE id % 2 WHEN 1 THEN 5 ELSE -5 END";
            assert_eq!(bench.count(wrong), 0, "seed {seed} run {runs}");
            runs += 1;
        }
        runs
    };
    let runs: u64 = thread::scope(|scope| {
        let seeds: Vec<_> = (0..12).map(|seed| scope.spawn(move || seed_at_a_time(seed))).collect();
        seeds.into_iter().map(|seed| seed.join().unwrap()).sum()
    });
    eprintln!("12 databases settled in {runs} runs against a third of faults");
}

#[test]
fn a_hostile_source_is_dropped_with_a_warning() {
    for (fault, body) in hostile_bodies() {
        let bench = Bench::new(&[bet(1)]);
        let exchange = broken("coinbase", move || Reply::ok(body.clone()));
        let ended = bench.run_at(&exchange.url, &["--sources", "coinbase,binance"]);
        let summary = ended.code(0).json();
        assert_eq!(summary["trades"][0]["price_source"], "binance", "{fault}");
        let warning = summary["warnings"][0]["message"].as_str().unwrap();
        assert!(
            warning.starts_with("coinbase: ") && warning.contains("not asked again"),
            "{fault}"
        );
        assert!(warning.len() < 600, "{fault}: {warning}");
        assert!(!ended.stderr.contains('\u{1b}'), "{fault}");
    }
}

#[test]
fn a_hostile_polymarket_answer_sets_no_outcome() {
    let market = support::exchange::market(
        &format!("btc-updown-15m-{OPEN}"),
        true,
        ["Up", "Down"],
        ["0", "1"],
    );
    let twice = market.replacen('{', "{\"closed\":true,", 1);
    let mut bodies = hostile_bodies();
    bodies.push(("closed twice", format!("[{twice}]")));
    bodies.push(("the right market, and deep JSON", format!("[{market},{}]", "[".repeat(5000))));
    for (fault, body) in bodies {
        let bench = Bench::new(&[bet(1)]);
        let exchange = broken("polymarket", move || Reply::ok(body.clone()));
        let ended = bench.run_at(&exchange.url, &["--confirm", "auto"]);
        assert_eq!(ended.json()["provisional_count"], 1, "{fault}: {ended:?}");
        assert_eq!(bench.booked(1).0.as_deref(), Some("YES"), "{fault}");
        assert!(ended.stderr.contains("polymarket: "), "{fault}: {}", ended.stderr);
        assert!(!ended.stderr.contains('\u{1b}'), "{fault}");
    }
}

#[test]
fn an_untrusted_certificate_is_rejected_for_every_service() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let bench = Bench::new(&[bet(1)]);
    let made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout k.pem -out c.pem";
    let mut openssl = Command::new("openssl");
    let openssl = openssl.args(made.split_whitespace()).current_dir(&bench.folder).output();
    if !openssl.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: there is no openssl here to make a certificate with");
        return;
    }
    let file = |name: &str| std::fs::read(bench.folder.path().join(name)).unwrap();
    let certificate = CertificateDer::from_pem_slice(&file("c.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&file("k.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // the client ends the handshake after it receives the certificate
            while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
            counted.fetch_add(usize::from(!tls.is_handshaking()), Ordering::SeqCst);
        }
    });
    let ended = bench.run_at(&url, &["--sources", "coinbase", "--confirm", "auto"]);
    assert!(ended.code(5).stderr.contains("certificate"), "{}", ended.stderr);
    assert_eq!((served.load(Ordering::SeqCst), bench.booked(1)), (0, (None, None, None)));
    for insecure in ["--insecure", "--no-verify", "--danger-accept-invalid-certs", "-k"] {
        bench.settle(&["run", insecure]).code(2);
    }
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE - 100.0)]));
    let to = [
        elsewhere.url.clone(),
        format!("{}/products/BTC-USD/candles", elsewhere.url),
        "file:///etc/passwd".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "//127.0.0.1:1/".to_owned(),
        "/products/BTC-USD/candles?granularity=900".to_owned(),
    ];
    for location in to {
        for status in [301, 302, 303, 307, 308] {
            let bench = Bench::new(&[bet(1)]);
            let location = location.clone();
            let reply = move || Reply::Say(status, vec![("Location", location.clone())], vec![]);
            let exchange = broken("coinbase", reply);
            let ended = bench.run_at(&exchange.url, &["--sources", "coinbase,binance"]);
            assert_eq!(requests(ended.code(0), "coinbase"), 1);
            assert_eq!(exchange.asked().len(), 2);
        }
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
}

#[test]
fn compressed_answers_are_neither_requested_nor_unpacked() {
    // a gzip header and invalid compressed data
    let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 100]].concat();
    let exchange = Exchange::start(move |asked, _| {
        assert!(!asked.takes_compressed);
        match asked.service() {
            "coinbase" => {
                Reply::Say(200, vec![("Content-Encoding", "gzip".into())], packed.clone())
            }
            _ => tape().answer(asked),
        }
    });
    let bench = Bench::new(&[bet(1)]);
    let ended = bench.run_at(&exchange.url, &["--sources", "coinbase,binance"]);
    assert_eq!(ended.code(0).json()["trades"][0]["price_source"], "binance");
    assert!(ended.stderr.contains("not whole JSON"), "{}", ended.stderr);
}

#[test]
fn an_endless_slow_body_times_out_and_is_not_retried() {
    let bench = Bench::new(&[bet(1)]);
    let exchange = broken("coinbase", || Reply::Drip);
    let ended = bench.run_at(&exchange.url, &["--sources", "coinbase,binance"]);
    assert_eq!(ended.code(0).json()["trades"][0]["price_source"], "binance");
    assert_eq!(requests(&ended, "coinbase"), 1, "what hangs is not tried again");
}

#[test]
fn a_truncated_body_is_rejected() {
    let torn = || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[[177098".to_vec());
    let bench = Bench::new(&[bet(1)]);
    let ended =
        bench.run_at(&broken("coinbase", torn).url, &["--sources", "coinbase,kraken,binance"]);
    assert_eq!(ended.code(0).json()["trades"][0]["price_source"], "binance");
    assert!(ended.stderr.contains("broke off its answer"), "{}", ended.stderr);
}

#[test]
fn each_service_alone_prices_a_market_by_the_row_at_the_close() {
    let now = recent_close();
    let slug = format!("btc-updown-15m-{}", now - 900);
    for service in ["coinbase", "kraken", "bitstamp", "binance"] {
        let tape = Tape::of((-3..=3).map(|minute| {
            let price = if minute < 0 { STRIKE + 100.0 } else { STRIKE - 100.0 };
            (now + minute * 60, price)
        }));
        let bench = Bench::new(&[bet(1).on(&slug)]);
        let exchange = Exchange::of(tape);
        let ended = bench.run_at(&exchange.url, &["--sources", service]);
        let summary = ended.code(0).json();
        assert_eq!(summary["trades"][0]["price_source"], service);
        assert_eq!(
            bench.booked(1).0.as_deref(),
            Some("YES"),
            "{service}: the minute before counts"
        );
        assert!(exchange.asked().iter().all(|asked| asked.starts_with(service)));
    }
}

/// The close of a 15-minute window some hours ago: Kraken returns only the newest rows.
#[allow(clippy::disallowed_methods)]
fn recent_close() -> i64 {
    let now = chrono::Utc::now().timestamp();
    now - now % 900 - 3 * 3600
}

#[test]
fn a_row_at_another_instant_is_rejected_for_every_service() {
    for service in ["coinbase", "kraken", "bitstamp", "binance"] {
        let close = recent_close();
        let slug = format!("bitcoin-up-or-down-{close}");
        let exchange = Exchange::start(move |asked, _| Reply::ok(other_instant(asked.service())));
        let bench = Bench::new(&[bet(1).on(&slug)]);
        let arguments = ["--sources", service, "--rules", "slug-close"];
        bench.run_at(&exchange.url, &arguments).code(5);
        assert!(!exchange.asked().is_empty(), "{service}");
        assert_eq!(bench.booked(1), (None, None, None), "{service}");
    }
}

#[test]
fn krakens_newest_rows_are_not_used_for_an_old_instant() {
    // 800 rows, all later than the requested one
    let close = recent_close();
    let tape = Tape::of((1..=800).map(|index| (close - 86_400 + index * 60, STRIKE - 500.0)));
    let bench = Bench::new(&[bet(1).on(&format!("btc-updown-{}", close - 86_400))]);
    let arguments = ["--sources", "kraken", "--rules", "slug-close"];
    bench.run_at(&Exchange::of(tape).url, &arguments).code(5);
    assert_eq!(bench.booked(1), (None, None, None));
}

#[test]
fn krakens_error_inside_http_200_is_not_a_price() {
    let busy = || Reply::ok("{\"error\":[\"EGeneral:Too many requests\"]}");
    let bench = Bench::new(&[bet(1).on(&format!("btc-updown-{}", recent_close()))]);
    let arguments = ["--sources", "kraken", "--rules", "slug-close"];
    let ended = bench.run_at(&broken("kraken", busy).url, &arguments);
    ended.code(5);
    assert!(ended.stderr.contains("EGeneral:Too many requests"), "{}", ended.stderr);
    assert_eq!(requests(&ended, "kraken"), 3);
}

#[test]
fn a_source_that_recovers_is_tried_again_within_the_run() {
    let exchange =
        Exchange::start(
            |asked, before| {
                if before < 2 { Reply::status(503) } else { tape().answer(asked) }
            },
        );
    let bench = Bench::new(&[bet(1)]);
    let ended = bench.run_at(&exchange.url, &["--sources", "coinbase"]);
    assert_eq!(requests(ended.code(0), "coinbase"), 3);
    assert_eq!(bench.booked(1).2, Some(1));
}

#[test]
fn with_no_source_at_all_nothing_is_written_and_the_next_run_settles() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO")]);
    let ended = bench.run_at(&nowhere(), &[]);
    let summary = ended.code(5).json();
    bench.assert_nothing_is_written();
    assert_eq!(summary["success"], false);
    assert_eq!(summary["pending_count"], 2);
    assert_eq!(summary["settled_count"], 0);
    assert!(ended.stderr.contains("2 trades are pending and none was settled"), "{}", ended.stderr);
    let summary = bench.run_at(&Exchange::of(tape()).url, &[]).code(0).json();
    assert_eq!(summary["settled_count"], 2);
}

#[test]
fn a_dead_host_is_not_queried_for_every_range() {
    // 400 windows of 15 minutes need two ranges
    let bets: Vec<_> = (0..400)
        .map(|index| bet(index).on(&format!("btc-updown-15m-{}", OPEN - index * 900)))
        .collect();
    let bench = Bench::new(&bets);
    let ended = bench.run_at(&nowhere(), &["--batch", "0", "--sources", "coinbase"]);
    assert_eq!(requests(ended.code(5), "coinbase"), 3);
}

#[test]
fn a_missing_price_leaves_only_its_own_trade_pending() {
    let missing = bet(1).on(&format!("btc-updown-15m-{}", OPEN - 9000));
    let bench = Bench::new(&[missing, bet(2)]);
    let ended = bench.run_at(&Exchange::of(tape()).url, &[]);
    let summary = ended.code(4).json();
    assert_eq!(
        (summary["settled_count"].as_i64(), summary["pending_count"].as_i64()),
        (Some(1), Some(1))
    );
    assert_eq!(bench.booked(1), (None, None, None));
    assert_eq!(bench.booked(2).2, Some(1));
    // the price becomes available: the next run settles the trade
    let mut later = tape();
    later.0.insert(OPEN - 9000 + 900, STRIKE);
    bench.run_at(&Exchange::of(later).url, &[]).code(0);
    assert_eq!(bench.booked(1).2, Some(1));
}

#[test]
fn a_summary_lists_twenty_reasons_and_counts_the_rest() {
    let bets: Vec<_> = (0..33)
        .map(|place| bet(place + 1).on(&format!("btc-updown-15m-{}", OPEN - place * 900)))
        .collect();
    let bench = Bench::new(&bets);
    // a price that is not at the close of any market
    let dump = bench.dump("prices.csv", &[(OPEN - 900_000, STRIKE)]);
    let ended = bench.settle(&["run", "--candles", dump.to_str().unwrap()]);
    let named = ended.stdout.lines().filter(|line| line.contains("  pending trade ")).count();
    assert_eq!(named, 20, "{}", ended.stdout);
    assert!(ended.stdout.contains("  and 13 more for other reasons"), "{}", ended.stdout);
}

#[test]
fn failing_trades_do_not_block_the_batch() {
    let hopeless = (0..120).map(|id| {
        bet(id)
            .at("2026-02-12 10:00:00")
            .on(&format!("btc-updown-15m-{}", OPEN - 90_000 - id * 900))
    });
    let good = (200..300).map(bet);
    let bench = Bench::new(&hopeless.chain(good).collect::<Vec<_>>());
    let exchange = Exchange::of(tape());
    let mut settled = vec![];
    for _ in 0..5 {
        let summary = bench.run_at(&exchange.url, &["--batch", "50"]).json();
        settled.push(summary["settled_count"].as_i64().unwrap());
    }
    assert_eq!(settled, [0, 0, 30, 50, 20]);
    // a trade that failed twice waits for its next try
    let status = bench.settle(&["status", "--json"]).json();
    assert!(status["waiting_count"].as_i64().unwrap() > 0, "{status}");
    assert_eq!(status["parked"]["no source has the price"], 120, "{status}");
    let text = bench.settle(&["status"]).stdout;
    assert!(text.contains("120  no source has the price"), "{text}");
    assert_eq!(status["due_count"], 120);
}

#[test]
fn trades_too_old_for_the_only_source_do_not_block_the_batch() {
    let close = recent_close();
    let old = (1..=3).map(|id| bet(id).at("2026-02-12 10:00:00"));
    let slug = format!("btc-updown-{close}");
    let bench = Bench::new(&old.chain([bet(9).on(&slug)]).collect::<Vec<_>>());
    let tape = Tape::of([(close, STRIKE + 1.0)]);
    let exchange = Exchange::of(tape);
    let arguments = ["--sources", "kraken", "--rules", "slug-close", "--batch", "3"];
    let first = bench.run_at(&exchange.url, &arguments);
    assert!(first.code(5).json()["requests"]["kraken"] == 0, "kraken cannot have them");
    bench.run_at(&exchange.url, &arguments).code(4);
    assert_eq!(bench.booked(9).2, Some(1));
}

#[test]
fn a_proxy_that_refuses_every_request_is_an_outage() {
    let bench = Bench::new(&[bet(1)]);
    for _ in 0..3 {
        bench.run_at(&Exchange::start(|_, _| Reply::status(403)).url, &[]).code(5);
    }
    bench.assert_nothing_is_written();
    bench.run_at(&Exchange::of(tape()).url, &[]).code(0);
}

#[test]
fn an_unreachable_source_is_reported_once() {
    let bench = Bench::new(&[bet(1)]);
    let url = nowhere();
    let mut arguments = vec!["run".to_owned()];
    arguments.extend(services_at(&url));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = bench.settle(&arguments);
    ended.code(5);
    for service in ["coinbase", "bitstamp", "binance"] {
        let problem = format!("{service}: {url} cannot be reached");
        assert_eq!(ended.stdout.matches(&problem).count(), 1, "{ended:#?}");
        assert!(!ended.stderr.contains(&problem), "{ended:#?}");
    }
    assert!(ended.stdout.contains("no source gave a price or a resolution"), "{}", ended.stdout);
}

/// Rows at the open and the close. The last row has a volume of `amount`.
fn quiet_close(service: &'static str, amount: &'static str) -> Exchange {
    broken(service, move || {
        let rows = [(OPEN, STRIKE, "1"), (CLOSE, STRIKE + 100.0, amount)];
        let row = |(at, price, amount): (i64, f64, &str)| match service {
            "bitstamp" => format!(
                "{{\"timestamp\":\"{at}\",\"open\":\"{price}\",\"high\":\"{price}\",\
                 \"low\":\"{price}\",\"close\":\"{price}\",\"volume\":\"{amount}\"}}"
            ),
            _ => format!(
                "[{at}000,\"{price}\",\"{price}\",\"{price}\",\"{price}\",\"1\",{at}999,\"1\",\
                 {amount},\"0\",\"0\",\"0\"]"
            ),
        };
        let rows = rows.map(row).join(",");
        Reply::ok(match service {
            "bitstamp" => format!("{{\"data\":{{\"pair\":\"BTC/USD\",\"ohlc\":[{rows}]}}}}"),
            _ => format!("[{rows}]"),
        })
    })
}

#[test]
fn a_candle_without_a_trade_is_not_a_price() {
    for (service, quiet, traded) in [("bitstamp", "0.00000000", "0.01"), ("binance", "0", "1")] {
        let bench = Bench::new(&[bet(1)]);
        let sources = ["--sources", service];
        let summary = bench.run_at(&quiet_close(service, quiet).url, &sources).code(5).json();
        assert_eq!(summary["pending"], serde_json::json!({"no_price": 1}), "{service}");
        assert_eq!(bench.booked(1), (None, None, None));
        bench.run_at(&quiet_close(service, traded).url, &sources).code(0);
        assert_eq!(bench.booked(1).0.as_deref(), Some("YES"), "{service}");
        // another venue had a trade at this time
        let bench = Bench::new(&[bet(1)]);
        let both = format!("{service},coinbase");
        let exchange = quiet_close(service, quiet);
        let summary = bench.run_at(&exchange.url, &["--sources", &both]).code(0).json();
        assert_eq!(summary["trades"][0]["price_source"], "coinbase");
    }
}

#[test]
fn a_price_far_from_the_recorded_strike_needs_a_second_venue() {
    // Coinbase's price at the close has a misplaced decimal point
    let wrong = || Tape::of([(OPEN, STRIKE), (CLOSE, 67.1)]);
    let exchange = Exchange::start(move |asked, _| match asked.service() {
        "coinbase" => wrong().answer(asked),
        _ => tape().answer(asked),
    });
    for confirm in ["off", "auto"] {
        let bench = Bench::new(&[bet(1)]);
        let alone = ["--sources", "coinbase", "--confirm", confirm];
        let summary = bench.run_at(&exchange.url, &alone).code(5).json();
        assert_eq!(summary["settled_count"], 0, "{summary}");
        let reason = summary["trades"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("more than 5 % from the recorded strike"), "{reason}");
        let summary = bench.run_at(&exchange.url, &["--confirm", confirm]).code(0).json();
        assert_eq!(summary["trades"][0]["price_source"], "bitstamp", "{summary}");
        assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
    }
    // the price really fell by a tenth: two venues agree
    let fell = Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE * 0.9)]));
    let bench = Bench::new(&[bet(1)]);
    let summary = bench.run_at(&fell.url, &[]).code(0).json();
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
    assert_eq!(
        (&summary["requests"]["coinbase"], &summary["requests"]["bitstamp"]),
        (&1.into(), &1.into())
    );
    // a dump of another coin provides no price
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("ETHUSDT-1m.csv", &[(OPEN, 2000.0), (CLOSE, 2010.0)]);
    let summary = bench.settle(&["run", "--json", "--candles", dump.to_str().unwrap()]).json();
    assert_eq!(summary["pending"], serde_json::json!({"no_price": 1}));
}

#[test]
fn a_far_backlog_asks_at_most_three_spans_at_once_and_keeps_the_answers_beside_a_failed_one() {
    let opens: Vec<i64> = (0..9).map(|week| OPEN + week * 604_800).collect();
    let bets = (1..).zip(&opens).map(|(id, open)| {
        let at = chrono::DateTime::from_timestamp(open + 60, 0).unwrap();
        bet(id)
            .on(&format!("btc-updown-15m-{open}"))
            .at(&at.format("%Y-%m-%d %H:%M:%S").to_string())
    });
    let bench = Bench::new(&bets.collect::<Vec<_>>());
    let prices = opens.iter().flat_map(|open| [(*open, STRIKE), (open + 900, STRIKE + 100.0)]);
    let tape = Tape::of(prices.collect::<Vec<_>>());
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let exchange = Exchange::start(move |asked, before| match asked.service() {
        "coinbase" => {
            seen.fetch_max(1 + now.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            thread::sleep(std::time::Duration::from_millis(150));
            now.fetch_sub(1, Ordering::SeqCst);
            // the service refuses one span of several that are asked at the same time
            if before == 5 { Reply::status(404) } else { tape.answer(asked) }
        }
        _ => Reply::status(500),
    });
    let summary = bench.run_at(&exchange.url, &["--sources", "coinbase"]).json();
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(summary["settled_count"], 8, "{summary}");
    assert_eq!(bench.count("actual_outcome = 'YES'"), 8);
}
