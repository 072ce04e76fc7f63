//! `settle report --html`: one page without external requests. It escapes data and is readable on a phone.
//! The tests check its text, and a real browser where one is installed.

use std::path::PathBuf;

use rusqlite::params;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::exchange::{Exchange, Tape};
use crate::support::{self, Bench, Bet, CLOSE, OPEN, STRIKE, bet, services_at};

const SCRIPT: &str = "<script>document.title = 'taken over'</script>";
const IMAGE: &str = "<img src=x onerror=\"document.title = 'taken over'\">";

/// Three trades settled by a venue's price, one held, two in error, one booked by another program, and data
/// that the page must escape.
fn settled() -> Bench {
    let late = "btc-updown-15m-1770988500";
    let bench = Bench::new(&[
        bet(1),
        bet(2).action("NO"),
        bet(3),
        bet(4).on(late).at("2026-02-13 13:16:00"),
        Bet { price: Sql::Null, ..bet(5) },
        Bet { price: Sql::Text(SCRIPT.into()), ..bet(6) },
        bet(7).on(SCRIPT),
    ]);
    let sql = bench.sql();
    sql.execute(
        "UPDATE trades SET is_win = 1, profit_loss = 5, actual_outcome = 'YES' WHERE id = 7",
        [],
    )
    .unwrap();
    let set = |id: i64, signal: &str, mode: i64| {
        sql.execute(
            "UPDATE trades SET signal_type = ?2, is_test_mode = ?3 WHERE id = ?1",
            params![id, signal, mode],
        )
        .unwrap();
    };
    set(1, "momentum", 0);
    set(2, IMAGE, 0);
    set(3, "momentum", 1);
    let prices = [(OPEN, STRIKE), (CLOSE, STRIKE + 99.0), (CLOSE + 900, STRIKE + 100.0)];
    let exchange = Exchange::of(Tape::of(prices));
    // no market is resolved: close calls are held
    let services = services_at(&exchange.url);
    let mut run = vec!["run", "--confirm", "auto", "--hold-hours", "87600"];
    run.extend(services.iter().map(String::as_str));
    bench.settle(&run);
    bench
}

fn page(bench: &Bench) -> (PathBuf, String) {
    let path = bench.folder.path().join("report.html");
    bench.settle(&["report", "--html", path.to_str().unwrap()]).code(0);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn the_page_shows_figures_trades_with_evidence_held_rows_and_errors() {
    let (_, page) = page(&settled());
    for part in [
        "<h2>Equity, live",
        "<h2>Equity, paper",
        "<dt>Profit</dt>",
        "<dt>Win rate</dt>",
        "<dt>Edge over the price paid</dt>",
        "<dt>Waiting</dt><dd>3<small>1 held, 2 in error",
        "<h2>Months",
        "<h2>Self-reflection",
        "<h2>Calibration",
        "<h2>Profit by signal type",
        "<h2>By price paid",
        "<h2>Longest drawdowns",
        "<code>settle explain 1</code>",
        "<a href=\"https://polymarket.com/event/btc-updown-15m-1770987600\"",
        "Fees not counted: about ",
        ">provisional</td>",
        ">coinbase</td>",
        ">67099</td>",
        "too close to call",
        "executed_price: NULL, where a number is needed",
    ] {
        assert!(page.contains(part), "no {part} in:\n{page}");
    }
    // one day has no chart, and a week map needs 2,000 trades
    for part in ["<h2>Profit by day", "<h2>Hours of the week", "<h2>Edge, last 50"] {
        assert!(!page.contains(part), "{part} in:\n{page}");
    }
}

#[test]
fn database_values_are_escaped_as_text() {
    let (_, page) = page(&settled());
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;document.title = 'taken over'&lt;/script&gt;"), "{page}");
    assert!(page.contains("&lt;img src=x onerror="), "{page}");
}

#[test]
fn the_page_has_no_external_references() {
    let (_, page) = page(&settled());
    for loads in ["http:", "url(", "@import", "<link", "<iframe", "srcset"] {
        assert!(!page.contains(loads), "{loads} in:\n{page}");
    }
    // links to the markets' pages are followed by readers alone
    let links = page.matches("<a href=\"https://polymarket.com/event/").count();
    assert!(links > 0);
    assert_eq!((page.matches("https:").count(), page.matches(" href=").count()), (links, links));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_page_overwrites_an_older_page_but_never_a_database() {
    let bench = settled();
    let (path, first) = page(&bench);
    assert_eq!(page(&bench).1.len(), first.len());
    assert!(bench.files().contains(&"report.html".to_owned()));

    let before = bench.bytes();
    let over = bench.settle(&["report", "--html", bench.db.to_str().unwrap()]);
    assert_eq!(over.code(2).stdout, "");
    assert_eq!(bench.bytes(), before);

    // an open database has its latest pages in the -wal file
    let sql = bench.sql();
    sql.pragma_update(None, "journal_mode", "wal").unwrap();
    sql.execute("UPDATE trades SET profit_loss = 4 WHERE id = 7", []).unwrap();
    let dump = bench.dump("prices.csv", &[(OPEN, STRIKE)]);
    for end in ["-wal", "-shm", "-journal", "-settle.lock"] {
        let beside = format!("{}{end}", bench.db.display());
        bench.settle(&["report", "--html", &beside]).code(2);
        let run =
            bench.settle(&["run", "--metrics-file", &beside, "--candles", dump.to_str().unwrap()]);
        assert!(run.stderr.contains("belongs to one"), "{}", run.stderr);
    }
    sql.query_row("PRAGMA integrity_check", [], |row| {
        row.get(0).map(|ok: String| assert_eq!(ok, "ok"))
    })
    .unwrap();

    let nowhere = path.parent().unwrap().join("no/such/folder.html");
    let ended = bench.settle(&["report", "--html", nowhere.to_str().unwrap()]);
    assert!(ended.code(1).stderr.contains("folder.html"), "{}", ended.stderr);
}

#[test]
fn a_page_works_with_no_trade_and_one_trade() {
    let bench = Bench::new(&[]);
    let none = page(&bench).1;
    for part in ["No trade is settled yet", "<code>settle doctor --db ", "<code>settle run --db "] {
        assert!(none.contains(part), "no {part} in:\n{none}");
    }
    assert!(!none.contains(">-<") && !none.contains("<table"), "{none}");
    bench.insert(&[bet(1)]);
    let sql = "UPDATE trades SET is_win = 1, profit_loss = 5, actual_outcome = 'YES'";
    bench.sql().execute(sql, []).unwrap();
    let one = page(&bench).1;
    assert!(one.contains("100.0 %") && !one.contains("NaN"), "{one}");
    let other = bench.settle(&["report", "--since", "2026-03-01", "--html", "-"]);
    assert!(other.stdout.contains("No settled trade is in this report, and the database has 1."));
}

/// Adds `count` settled trades in the first `days` days of 2026, of `signals` signal types.
fn add_many(bench: &Bench, count: u32, days: u32, signals: u32) {
    bench
        .sql()
        .execute_batch(&format!(
            "WITH RECURSIVE n (i, random) AS (SELECT 0, 1 UNION ALL
                SELECT i + 1, (random * 1103515245 + 12345) % 2147483648 FROM n WHERE i + 1 < {count}),
             t AS (SELECT i, 1767225600 + i * {days} * 864 / {count} * 100 AS at, 30 + i * 7 % 50 AS cents,
                random / 65536 % 100 AS percent FROM n)
             INSERT INTO trades (timestamp, market_slug, action, position_size, executed_price, confidence,
                signal_type, actual_outcome, profit_loss, is_win)
             SELECT datetime(at, 'unixepoch'), 'btc-updown-15m-' || (at / 900 * 900), 'YES', 5, cents / 100.0,
                min(1, cents / 100.0 + 0.1), 'signal ' || (i % {signals} + 1), iif(percent < cents + 2, 'YES', 'NO'),
                iif(percent < cents + 2, round(500.0 / cents - 5, 2), -5), percent < cents + 2 FROM t"
        ))
        .unwrap();
}

#[test]
fn a_year_of_trades_has_charts_in_dates_and_whole_dollars_and_is_small() {
    let bench = Bench::new(&[]);
    add_many(&bench, 100_000, 300, 300);
    let page = page(&bench).1;
    assert!(page.len() < 300_000, "{} bytes", page.len());
    for part in
        ["<h2>Profit by day", "<h2>Hours of the week", "<h2>Edge, last 50", "Brier score of"]
    {
        assert!(page.contains(part), "no {part}");
    }
    let labels = regex::Regex::new(r#"<span class="([xy])[^>]*>([^<]*)</span>"#).unwrap();
    let date =
        regex::Regex::new(r"^([0-9]{1,2} )?[A-Z][a-z]{2}( 2026)?$|^0\.[0-9]$|^1\.0$").unwrap();
    let value = regex::Regex::new(r"^-?\$[0-9,]+k?$|^[+-]?[0-9]+ %$").unwrap();
    let mut counted = (0, 0);
    for label in labels.captures_iter(&page) {
        match &label[1] {
            "x" => {
                assert!(date.is_match(&label[2]), "{}", &label[2]);
                counted.0 += 1;
            }
            _ => {
                assert!(value.is_match(&label[2]), "{}", &label[2]);
                counted.1 += 1;
            }
        }
    }
    assert!(counted.0 > 10 && counted.1 > 10, "{counted:?}");
}

/// Elements of the page that reach beyond the screen, and sections whose content is wider than they are.
const BEYOND: &str = "(() => {
    const root = document.documentElement;
    const all = [...document.querySelectorAll('body *')].filter(e => !e.closest('svg, .seen'));
    const right = all.filter(e => e.getBoundingClientRect().right > root.clientWidth + 1);
    const cut = [...document.querySelectorAll('section, table')].filter(e => e.scrollWidth > e.clientWidth + 1);
    return [root.scrollWidth - root.clientWidth, ...[...right, ...cut].map(e => e.outerHTML.slice(0, 120))];
})()";

#[test]
fn a_browser_shows_the_page_wide_and_narrow_light_and_dark() {
    let Some(browser) = Browser::start() else { return };
    let small = settled();
    let large = Bench::new(&[]);
    add_many(&large, 3000, 100, 4);
    let mut colours = Vec::new();
    for (bench, charts) in [(&small, 5), (&large, 5)] {
        let (path, _) = page(bench);
        for width in [1400, 800, 390] {
            for scheme in ["light", "dark"] {
                browser.open(&path, width, scheme);
                let at = format!("{width} {scheme}");
                assert_eq!(browser.value("innerWidth"), width, "{at}");
                assert_eq!(browser.value(BEYOND), json!([0]), "{at}: wider than the screen");
                assert_eq!(browser.value("document.scripts.length + document.images.length"), 0);
                assert_eq!(browser.value("performance.getEntriesByType('resource').length"), 0);
                assert_eq!(browser.value("document.title"), "settle report · performance.db");
                // every chart is drawn inside its card
                let drawn = browser.value(
                    "[...document.querySelectorAll('.plot')].map(plot => {
                        const [own, card] = [plot, plot.closest('section')].map(e => e.getBoundingClientRect());
                        return own.width > 200 && own.height > 30 && own.right <= card.right
                            && plot.getAttribute('aria-label').length > 0;
                    })",
                );
                assert_eq!(drawn, json!(vec![true; charts]), "{at}");
                assert_eq!(browser.complaints(), json!([]), "{at}");
                if width == 1400 {
                    let first =
                        "document.querySelectorAll('.plot')[1].getBoundingClientRect().bottom";
                    let bottom = browser.value(first).as_f64().unwrap();
                    assert!(bottom < 900.0, "{at}: the equity curve ends at {bottom}");
                    colours.push(browser.value("getComputedStyle(document.body).backgroundColor"));
                }
            }
        }
    }
    assert_ne!(colours[0], colours[1]);
    assert_eq!(colours[..2], colours[2..]);
    let unnamed = browser.value("document.querySelectorAll('table:not(:has(caption))').length");
    assert_eq!(unnamed, Value::from(0));
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        let image = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/guide/report.png");
        browser.open(&page(&large).0, 1000, "light");
        std::fs::write(image, browser.picture()).unwrap();
    }
    let (path, _) = page(&small);
    browser.open(&path, 800, "light");
    let slug = browser.value(
        "[...document.querySelectorAll('.market')].map(cell => cell.textContent)
            .find(text => text.includes('script'))",
    );
    assert_eq!(slug, SCRIPT);
}

#[test]
fn a_page_keeps_the_mode_of_its_file_and_a_hyphen_is_stdout() {
    use std::os::unix::fs::PermissionsExt;
    let bench = support::Bench::new(&[support::bet(1)]);
    let file = bench.folder.path().join("page.html");
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    bench.settle(&["report", "--html", file.to_str().unwrap()]).code(0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let printed = bench.settle(&["report", "--html", "-"]).code(0).stdout.clone();
    assert!(printed.starts_with("<!"), "{printed}");
    assert!(printed.trim_end().ends_with("</html>"), "{printed}");
}
