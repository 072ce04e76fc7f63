//! What a wallet says changes: another wallet speaks, fills arrive late, rows go, a run is undone, one bot of
//! several runs alone. Over a real socket, in real databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::{self, Bench, Bet, CLOSE, Ended, KEYLESS, OPEN, as_logged, bet, now, settle};

const WALLET: &str = "0xabababababababababababababababababababab";
const OTHER: &str = "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

/// A buy of shares of Up, or a sale, in the market that opens at `open`, this many seconds later.
fn trade(side: &str, open: i64, after: i64, shares: f64, dollars: f64) -> Value {
    json!({"timestamp": open + after, "condition_id": format!("0x{open:064x}"), "type": "TRADE",
           "size": shares, "usdc_size": dollars, "transaction_hash": format!("0x{after}"),
           "price": dollars / shares, "side": side, "outcome": "Up",
           "slug": format!("btc-updown-15m-{open}")})
}

fn page(rows: &[Value]) -> Reply {
    let pagination = json!({"has_more": false, "next_cursor": null});
    Reply::ok(json!({"data": rows, "pagination": pagination}).to_string())
}

/// Markets that all go up, and the wallets' rows, by address and by the number of [`Self::next`].
struct World {
    exchange: Exchange,
    stage: Arc<AtomicUsize>,
}

impl World {
    /// `rows` gives the rows of a wallet at a stage; `resolved`, the first stage at which the market that
    /// opens at `open` is resolved.
    fn new(
        open: i64,
        resolved: usize,
        rows: impl Fn(&str, usize) -> Vec<Value> + Send + Sync + 'static,
    ) -> Self {
        let stage = Arc::new(AtomicUsize::new(0));
        let current = Arc::clone(&stage);
        let slug = format!("btc-updown-15m-{open}");
        let markets = Markets::resolved([(slug.as_str(), true)]);
        // a mean of the minute before a boundary, or the price at it
        let prices = [(open - 60, 67_000.0), (open, 67_000.0), (open + 840, 67_100.0)];
        let tape = Tape::of(prices.into_iter().chain([(open + 900, 67_100.0)]));
        let exchange = Exchange::start(move |asked, _| {
            let stage = current.load(Ordering::SeqCst);
            match (asked.path.as_str(), asked.service()) {
                ("/v2/activity", _) => page(&rows(asked.query["user"].as_str(), stage)),
                (_, "polymarket") if stage >= resolved => {
                    markets.answer(asked).unwrap_or_else(|| Reply::status(400))
                }
                _ => tape.answer(asked),
            }
        });
        Self { exchange, stage }
    }

    fn next(&self) {
        self.stage.fetch_add(1, Ordering::SeqCst);
    }

    fn run(&self, bench: &Bench, arguments: &[&str]) -> Value {
        bench.run_at(&self.exchange.url, &[&["--confirm", "auto"], arguments].concat()).json()
    }

    fn reconcile(&self, bench: &Bench, arguments: &[&str]) -> Ended {
        let url = self.exchange.url.as_str();
        let all = ["reconcile", "--json", "--wallet", WALLET, "--polymarket-url", url];
        bench.settle(&[&all, arguments, &["--data-url", url, "--clob-url", url]].concat())
    }
}

/// The open of a window that closed less than an hour ago.
fn lately() -> i64 {
    now() - now() % 900 - 3600
}

/// A bet on that window, a minute after its open.
fn logged(open: i64) -> Bet {
    bet(1).on(&format!("btc-updown-15m-{open}")).at(&as_logged(open + 60))
}

fn records(bench: &Bench) -> Vec<(String, Option<String>)> {
    let sql = bench.sql();
    let list = "SELECT status, money_source FROM settlement_records ORDER BY id";
    let mut statement = sql.prepare(list).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_right_wallet_takes_back_what_a_wrong_one_said() {
    let world = World::new(OPEN, 0, |wallet, _| match wallet {
        WALLET => vec![trade("BUY", OPEN, 470, 5.0, 2.0)],
        _ => vec![trade("BUY", CLOSE + 900, 470, 5.0, 2.0)],
    });
    let next = bet(2).on(&format!("btc-updown-15m-{CLOSE}")).at("2026-02-13 13:20:00");
    let bench = Bench::new(&[bet(1), next]);
    let ran = world.run(&bench, &["--wallet", OTHER]);
    assert_eq!(ran["excluded"], json!({"not_filled": 2}), "{ran}");
    let ran = world.run(&bench, &["--wallet", WALLET]);
    assert_eq!(bench.booked(1).1, Some(3.0), "{ran}");
    assert_eq!(ran["excluded"], json!({"not_filled": 1}), "{ran}");
    // it is not read again for what it said
    let ran = world.run(&bench, &["--wallet", WALLET]);
    assert_eq!(ran["excluded"], json!({"not_filled": 1}), "{ran}");
    assert_eq!(ran["requests"]["data"], 0, "{ran}");
}

#[test]
fn undo_forgets_what_the_wallet_said_of_a_trade_that_is_open_again() {
    let world = World::new(OPEN, 0, |_, _| vec![trade("BUY", OPEN, 470, 8.0, 4.4)]);
    let bench = Bench::new(&[bet(1)]);
    world.run(&bench, &["--wallet", WALLET]);
    assert_eq!(bench.booked(1).1, Some(3.6));
    bench.settle(&["undo", "last"]).code(0);
    let ran = world.run(&bench, &[]);
    assert_eq!((bench.booked(1).1, &ran["trades"][0]["money_source"]), (Some(5.0), &json!("log")));
}

#[test]
fn fills_that_change_while_a_trade_is_provisional_are_its_money_once_it_is_confirmed() {
    let open = lately();
    for (change, profit) in [("BUY", 13.0), ("SELL", -3.0)] {
        let world = World::new(open, 2, move |_, stage| {
            let mut rows = vec![trade("BUY", open, 100, 10.0, 4.0)];
            if stage >= 1 {
                let dollars = if change == "BUY" { 3.0 } else { 1.0 };
                rows.push(trade(change, open, 200, 10.0, dollars));
            }
            rows
        });
        let bench = Bench::new(&[logged(open)]);
        let wallet = ["--wallet", WALLET, "--hold-hours", "0"];
        world.run(&bench, &wallet);
        assert_eq!(bench.booked(1).1, Some(6.0), "{:?}", records(&bench));
        world.next();
        world.run(&bench, &wallet);
        world.next();
        let ran = world.run(&bench, &wallet);
        assert_eq!(bench.booked(1).1, Some(profit), "{change}: {ran}");
        assert_eq!(world.reconcile(&bench, &[]).code(0).json()["wallet_profit"], profit);
        bench.settle(&["undo", "last"]).code(0);
        assert_eq!(bench.booked(1).1, Some(6.0));
    }
}

#[test]
fn fills_that_change_in_the_run_that_confirms_are_booked_and_kept() {
    let open = lately();
    let world = World::new(open, 1, move |_, stage| {
        let later = (stage >= 1).then(|| trade("BUY", open, 200, 10.0, 3.0));
        [trade("BUY", open, 100, 10.0, 4.0)].into_iter().chain(later).collect()
    });
    let bench = Bench::new(&[logged(open)]);
    let wallet = ["--wallet", WALLET, "--hold-hours", "0"];
    world.run(&bench, &wallet);
    assert_eq!(bench.booked(1).1, Some(6.0));
    world.next();
    for _ in 0..2 {
        world.run(&bench, &wallet);
        assert_eq!(bench.booked(1).1, Some(13.0));
        let kept =
            "SELECT CAST(shares AS REAL) FROM settlement_fills WHERE trade_rowid = trades.id";
        assert_eq!(bench.count(&format!("({kept}) = 20")), 1);
    }
    assert_eq!(records(&bench).len(), 2);
}

#[test]
fn a_fill_that_is_gone_in_the_run_that_confirms_leaves_no_money_of_the_log() {
    let open = lately();
    let world = World::new(open, 1, move |_, stage| {
        vec![trade("BUY", if stage == 0 { open } else { open - 900 }, 100, 10.0, 4.0)]
    });
    for zero in [&[][..], &["--not-filled", "zero"]] {
        world.stage.store(0, Ordering::SeqCst);
        let bench = Bench::new(&[logged(open)]);
        let wallet = [&["--wallet", WALLET, "--hold-hours", "0"], zero].concat();
        world.run(&bench, &wallet);
        assert_eq!(bench.booked(1).1, Some(6.0));
        world.next();
        for _ in 0..2 {
            let ran = world.run(&bench, &wallet);
            let wanted = [Some(0.0), None];
            assert!(wanted.contains(&bench.booked(1).1), "{zero:?} {ran}");
            assert_eq!(bench.booked(1).2, None, "{zero:?} {ran}");
        }
    }
}

#[test]
fn a_trade_that_reconcile_left_keeps_the_logs_money_and_says_so() {
    let open = lately();
    let world = World::new(open, 1, move |_, _| vec![trade("BUY", open, 100, 10.0, 4.0)]);
    let bench = Bench::new(&[logged(open)]);
    world.run(&bench, &["--hold-hours", "0"]);
    assert_eq!(bench.booked(1).1, Some(5.0));
    world.reconcile(&bench, &["--apply"]);
    world.next();
    let ran = world.run(&bench, &[]);
    assert_eq!(ran["confirmed_count"], 1, "{ran}");
    let log = Some("log".to_owned());
    let wanted = [("provisional".to_owned(), log.clone()), ("confirmed".to_owned(), log)];
    assert_eq!((bench.booked(1).1, records(&bench)), (Some(5.0), wanted.to_vec()));
    // now it is resolved
    world.reconcile(&bench, &["--apply"]);
    assert_eq!(bench.booked(1).1, Some(6.0));
    world.reconcile(&bench, &[]).code(0);
}

#[test]
fn a_fill_that_arrives_late_is_booked_for_a_trade_that_counted_as_never_filled() {
    let open = lately();
    let world = World::new(open, 0, move |_, stage| match stage {
        0 => vec![trade("BUY", open - 900, 100, 10.0, 4.0)],
        _ => vec![trade("BUY", open, 100, 10.0, 4.0)],
    });
    for zero in [&[][..], &["--not-filled", "zero"]] {
        let bench = Bench::new(&[logged(open)]);
        world.stage.store(0, Ordering::SeqCst);
        let wallet = [&["--wallet", WALLET], zero].concat();
        world.run(&bench, &wallet);
        assert_eq!(bench.booked(1).2, None);
        world.next();
        let ran = world.run(&bench, &wallet);
        assert_eq!(bench.booked(1), (Some("YES".to_owned()), Some(6.0), Some(1)), "{zero:?} {ran}");
    }
}

#[test]
fn a_row_that_the_bot_deleted_keeps_the_fills_of_its_own_time() {
    let fills = || vec![trade("BUY", OPEN, 310, 10.0, 4.0), trade("BUY", OPEN, 610, 20.0, 9.0)];
    let world = World::new(OPEN, 0, move |_, _| fills());
    let first = bet(1).at("2026-02-13 13:05:00");
    let bench = Bench::new(&[first, bet(2).at("2026-02-13 13:10:00")]);
    world.run(&bench, &["--wallet", WALLET]);
    assert_eq!((bench.booked(1).1, bench.booked(2).1), (Some(6.0), Some(11.0)));
    bench.sql().execute("DELETE FROM trades WHERE id = 2", []).unwrap();
    let compared = world.reconcile(&bench, &[]);
    assert_eq!(compared.code(0).json()["wallet_profit"], 6.0);
    let unclaimed = compared.json()["unclaimed"].clone();
    bench.sql().execute("DELETE FROM trades WHERE id = 1", []).unwrap();
    let compared = world.reconcile(&bench, &[]);
    assert_eq!(compared.code(0).json()["unattributed"], json!([]));
    // the market's resolution is known from the records
    assert_eq!((&unclaimed[0]["usdc"], &compared.json()["unclaimed"]), (&json!(30.0), &unclaimed));
}

#[test]
fn rows_of_one_order_have_its_fills_on_the_first_of_them() {
    let world = World::new(OPEN, 0, |_, _| vec![trade("BUY", OPEN, 700, 10.0, 4.0)]);
    let bench = Bench::new(&[bet(1), bet(2).at("2026-02-13 13:10:00")]);
    let order = "ALTER TABLE trades ADD COLUMN order_id TEXT; UPDATE trades SET order_id = 'a';
                 UPDATE trades SET position_size = 3 WHERE id = 2";
    bench.sql().execute_batch(order).unwrap();
    let ran = world.run(&bench, &["--wallet", WALLET]);
    assert_eq!((bench.booked(1).1, bench.booked(2).1), (Some(6.0), None), "{ran}");
}

#[test]
fn one_bot_alone_takes_no_fill_of_a_bot_that_shares_its_wallet() {
    let world = World::new(OPEN, 0, |_, _| vec![trade("BUY", OPEN, 470, 10.0, 4.0)]);
    let (a, b) = (Bench::new(&[bet(1)]), Bench::new(&[bet(1).at("2026-02-13 13:12:00")]));
    let settings = format!(
        "wallet = ['{WALLET}']\nconfirm_lag_hours = 87600\n[[bot]]\nname = 'a'\ndb = '{}'\n\
         [[bot]]\nname = 'b'\ndb = '{}'\n",
        a.db.display(),
        b.db.display()
    );
    let file = b.folder.path().join("settle.toml");
    std::fs::write(&file, settings).unwrap();
    let file = file.to_str().unwrap();
    for pick in [["--bot", "b"], ["--db", b.db.to_str().unwrap()]] {
        let mut command = settle(&["run", "--json", "--config", file]);
        command.args(pick).args(["--confirm", "auto"]);
        command.args(support::services_at(&world.exchange.url));
        let ran = Ended::from(command.output().unwrap()).json();
        assert_eq!(ran["excluded"], json!({"not_filled": 1}), "{pick:?}: {ran}");
        let mut command = settle(&["reconcile", "--json", "--config", file]);
        command.args(pick).args(["--data-url", &world.exchange.url]);
        command.args(["--polymarket-url", &world.exchange.url]);
        let compared = Ended::from(command.output().unwrap()).json();
        assert_eq!(compared["unfilled_count"], 1, "{pick:?}: {compared}");
    }
    assert_eq!(a.booked(1), (None, None, None), "the other bot's database is not written");
}

#[test]
fn winnings_that_are_not_redeemed_are_listed_once_for_bots_that_share_a_wallet() {
    let world = World::new(OPEN, 0, |_, _| vec![trade("BUY", OPEN, 470, 10.0, 4.0)]);
    let (a, b) = (Bench::new(&[bet(1)]), Bench::new(&[bet(1).at("2026-02-13 13:12:00")]));
    let settings = |wallet_of_b: &str| {
        format!(
            "[[bot]]\nname = 'a'\ndb = '{}'\nwallet = ['{WALLET}']\n\
             [[bot]]\nname = 'b'\ndb = '{}'\nwallet = ['{wallet_of_b}']\n",
            a.db.display(),
            b.db.display()
        )
    };
    let other = WALLET.replace('a', "b");
    let file = b.folder.path().join("settle.toml");
    let unclaimed = |wallet_of_b: &str, more: &[&str]| {
        std::fs::write(&file, settings(wallet_of_b)).unwrap();
        let mut command = settle(&["reconcile", "--json", "--config", file.to_str().unwrap()]);
        command.args(more).args(["--data-url", &world.exchange.url]);
        command.args(["--polymarket-url", &world.exchange.url]);
        Ended::from(command.output().unwrap()).json()
    };
    let of_each = |found: &Value| {
        let databases = found["databases"].as_array().unwrap();
        databases.iter().map(|each| each["unclaimed"].as_array().unwrap().len()).collect::<Vec<_>>()
    };
    assert_eq!(of_each(&unclaimed(WALLET, &[])), [1, 0]);
    assert_eq!(of_each(&unclaimed(&other, &[])), [1, 1], "two wallets");
    let alone = unclaimed(WALLET, &["--bot", "b"]);
    assert_eq!(alone["unclaimed"].as_array().unwrap().len(), 1, "{alone}");
}

#[test]
fn booked_money_stays_where_a_later_reading_cannot_assign_the_fills() {
    let open = lately();
    let world = World::new(open, 1, move |_, stage| {
        let mut rows = vec![trade("BUY", open, 100, 10.0, 4.0)];
        if stage >= 1 {
            // of a market that nothing names
            let mut nameless = trade("BUY", open, 130, 3.0, 1.0);
            (nameless["slug"], nameless["condition_id"]) =
                (json!(""), json!(format!("0x{:064x}", 7)));
            rows.push(nameless);
        }
        rows
    });
    let bench = Bench::new(&[logged(open)]);
    world.run(&bench, &["--wallet", WALLET, "--hold-hours", "0"]);
    assert_eq!(bench.booked(1).1, Some(6.0));
    world.next();
    let ran = world.run(&bench, &["--wallet", WALLET]);
    assert_eq!((bench.booked(1).1, &ran["confirmed_count"]), (Some(6.0), &json!(1)), "{ran}");
}

#[test]
fn a_run_with_another_wallet_takes_no_booked_money_back() {
    let open = lately();
    let world = World::new(open, 0, move |wallet, _| match wallet {
        WALLET => vec![trade("BUY", open, 100, 10.0, 4.0)],
        _ => vec![trade("BUY", open - 900, 100, 10.0, 4.0)],
    });
    let bench = Bench::new(&[logged(open)]);
    world.run(&bench, &["--wallet", WALLET]);
    world.run(&bench, &["--wallet", OTHER]);
    assert_eq!(bench.booked(1).1, Some(6.0));
}

#[test]
fn markets_that_no_row_names_make_no_trade_wait() {
    for name in [
        "bitcoin-up-or-down-this-week",
        "up-or-down-nasdaq",
        "Gold?",
        "Bitcoin Up or Down - Q4 2026",
    ] {
        let world = World::new(OPEN, 0, move |_, _| {
            let mut foreign = trade("BUY", OPEN, 480, 5.0, 2.0);
            foreign["condition_id"] = json!(format!("0x{:064x}", 9));
            let named = if name.contains(' ') || name.contains('?') { "title" } else { "slug" };
            foreign["slug"] = json!("");
            foreign[named] = json!(name);
            vec![trade("BUY", OPEN, 470, 10.0, 4.0), foreign]
        });
        let bench = Bench::new(&[bet(1)]);
        let ran = world.run(&bench, &["--wallet", WALLET]);
        assert_eq!(bench.booked(1).1, Some(6.0), "{name}: {ran}");
    }
}

#[test]
fn a_renamed_slug_in_the_log_and_in_the_wallet_is_one_market() {
    let slug = format!("btc-updown-15m-{OPEN}-346");
    let renamed = slug.clone();
    let world = World::new(OPEN, 0, move |_, _| {
        let mut row = trade("BUY", OPEN, 470, 10.0, 4.0);
        row["slug"] = json!(renamed);
        row["title"] = json!("Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET");
        vec![row]
    });
    let bench = Bench::new(&[bet(1).on(&slug)]);
    let compared = world.reconcile(&bench, &[]).json();
    assert_eq!(compared["trades"][0]["state"], "filled", "{compared}");
}

#[test]
fn undo_forgets_which_trades_its_run_found_never_filled() {
    let world = World::new(OPEN, 0, |_, _| vec![trade("BUY", OPEN, 470, 10.0, 4.0)]);
    let next = bet(2).on(&format!("btc-updown-15m-{CLOSE}")).at("2026-02-13 13:20:00");
    let bench = Bench::new(&[bet(1), next]);
    let ran = world.run(&bench, &["--wallet", WALLET]);
    assert_eq!(ran["excluded"], json!({"not_filled": 1}), "{ran}");
    bench.settle(&["undo", "last"]).code(0);
    let status = bench.settle(&["status", "--json"]).json();
    assert_eq!(status["excluded"], json!({}), "{status}");

    // reconcile's, too: the log's money stands again, and an audit does not bring the wallet's back
    let bench = Bench::new(&[bet(1)]);
    world.run(&bench, &[]);
    world.reconcile(&bench, &["--apply"]);
    assert_eq!(bench.booked(1).1, Some(6.0));
    bench.settle(&["undo", "last"]).code(0);
    let audit = ["audit", "--json", "--apply", "--polymarket-url", &world.exchange.url];
    let audit = bench.settle(&[&audit[..], &["--clob-url", &world.exchange.url]].concat());
    assert_eq!((bench.booked(1).1, audit.code), (Some(5.0), 0), "{audit:?}");
}

#[test]
fn one_database_of_the_settings_alone_takes_no_fill_of_the_others() {
    let world = World::new(OPEN, 0, |_, _| vec![trade("BUY", OPEN, 470, 10.0, 4.0)]);
    let (a, b) = (Bench::new(&[bet(1)]), Bench::new(&[bet(1).at("2026-02-13 13:12:00")]));
    let file = b.folder.path().join("settle.toml");
    let (first, second) = (a.db.to_str().unwrap(), b.db.to_str().unwrap());
    let settings = format!("wallet = ['{WALLET}']\ndb = ['{first}', '{second}']\n");
    std::fs::write(&file, settings).unwrap();
    let run = |named: &str| {
        let mut command = settle(&["run", "--json", "--config", file.to_str().unwrap()]);
        command.args(["--confirm", "auto", "--db", named]);
        command.args(support::services_at(&world.exchange.url));
        Ended::from(command.output().unwrap()).json()
    };
    let ran = run(second);
    assert_eq!(ran["excluded"], json!({"not_filled": 1}), "{ran}");
    let ran = run(first);
    assert_eq!(a.booked(1).1, Some(6.0), "{ran}");
}

#[test]
fn two_bots_may_have_rows_of_one_table() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO")]);
    let settings = "[[bot]]\nname = 'up'\ndb = 'performance.db'\n[bot.schema]\nwhere = \"action = 'YES'\"\n\
                    [[bot]]\nname = 'down'\ndb = 'performance.db'\n[bot.schema]\nwhere = \"action = 'NO'\"\n";
    std::fs::write(bench.folder.path().join("settle.toml"), settings).unwrap();
    let world = World::new(OPEN, 0, |_, _| vec![]);
    let mut command = settle(&["run", "--json", "--confirm", "auto"]);
    command.args(support::services_at(&world.exchange.url)).current_dir(bench.folder.path());
    let ran = Ended::from(command.output().unwrap()).json();
    let settled: Vec<_> =
        ran["databases"].as_array().unwrap().iter().map(|block| &block["settled_count"]).collect();
    assert_eq!(settled, [&json!(1), &json!(1)], "{ran}");
}

#[test]
fn log_and_wallet_agree_only_where_their_sums_do() {
    let world = World::new(OPEN, 0, |_, _| vec![trade("BUY", OPEN, 470, 8.0, 4.0)]);
    let bench = Bench::new(&[bet(1)]);
    let url = world.exchange.url.as_str();
    let text = ["reconcile", "--wallet", WALLET, "--polymarket-url", url, "--data-url", url];
    let text = bench.settle(&text).stdout;
    assert!(!text.contains("agree") && text.contains("Wallet             1"), "{text}");
    bench.sql().execute("UPDATE trades SET position_size = 4", []).unwrap();
    let text = ["reconcile", "--wallet", WALLET, "--polymarket-url", url, "--data-url", url];
    let text = bench.settle(&text).stdout;
    assert!(text.contains("Log and wallet agree: 1 trade, +4.00 dollars"), "{text}");
}

#[test]
fn a_row_that_was_renumbered_keeps_the_money_of_its_fills() {
    for arguments in [&["--wallet", WALLET, "--hold-hours", "0"][..], &["--hold-hours", "0"]] {
        let open = lately();
        let world = World::new(open, 1, move |_, _| vec![trade("BUY", open, 100, 10.0, 4.0)]);
        let other = bet(2).on("no-time-here").at(&as_logged(open + 60));
        let bench = Bench::with_schema(KEYLESS, &[other, logged(open)]);
        world.run(&bench, &["--wallet", WALLET, "--hold-hours", "0"]);
        assert_eq!(bench.booked(1).1, Some(6.0), "by the fill, not by the log");
        bench.sql().execute_batch("DELETE FROM trades WHERE id = 2; VACUUM").unwrap();
        let rowid = "SELECT rowid FROM trades WHERE id = 1";
        assert_eq!(bench.sql().query_row(rowid, [], |row| row.get::<_, i64>(0)), Ok(1));
        world.next();
        let ran = world.run(&bench, arguments);
        assert_eq!((&ran["confirmed_count"], &ran["corrected_count"]), (&json!(1), &json!(0)));
        assert_eq!(bench.booked(1).1, Some(6.0), "{ran}");
        // without a record of the fills, the log's money does not take their place
        let again = Bench::with_schema(KEYLESS, &[logged(open)]);
        let world = World::new(open, 1, move |_, _| vec![trade("BUY", open, 100, 10.0, 4.0)]);
        world.run(&again, &["--wallet", WALLET, "--hold-hours", "0"]);
        again.sql().execute("DELETE FROM settlement_fills", []).unwrap();
        world.next();
        let ran = world.run(&again, arguments);
        assert_eq!((&ran["confirmed_count"], &ran["corrected_count"]), (&json!(0), &json!(0)));
        assert_eq!(again.booked(1).1, Some(6.0), "{ran}");
    }
}
