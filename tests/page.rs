//! `settle report --html`: one page without external requests. It escapes data and is readable on a phone.
//! The tests check its text, and a real browser where one is installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::path::PathBuf;

use rusqlite::params;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};
use support::browser::Browser;
use support::exchange::{Exchange, Tape};
use support::{Bench, Bet, CLOSE, OPEN, STRIKE, bet, services_at};

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
        "<h2>Summary, live",
        "<h2>Summary, paper",
        "<h2>Self-reflection",
        "<h2>Equity, live",
        "<h2>Equity, paper",
        "<h2>Profit by day",
        "<h2>Calibration",
        "<h2>Profit by signal type",
        "<h2>By price paid",
        "<td class=\"words\">provisional</td>",
        "<td class=\"words\">coinbase</td>",
        "<td>67099</td>",
        "too close to call",
        "executed_price: NULL, where a number is needed",
    ] {
        assert!(page.contains(part), "no {part} in:\n{page}");
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
    for loads in ["http:", "https:", "url(", "@import", "<link", "<iframe", "srcset", " href="] {
        assert!(!page.contains(loads), "{loads} in:\n{page}");
    }
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
    assert!(page(&bench).1.contains("No trade is settled yet."));
    bench.insert(&[bet(1)]);
    let sql = "UPDATE trades SET is_win = 1, profit_loss = 5, actual_outcome = 'YES'";
    bench.sql().execute(sql, []).unwrap();
    let one = page(&bench).1;
    assert!(one.contains("100.0 %") && !one.contains("NaN"), "{one}");
}

#[test]
fn a_browser_shows_the_page_wide_and_narrow_light_and_dark() {
    let Some(browser) = Browser::start() else { return };
    let bench = settled();
    let (path, _) = page(&bench);
    let mut colours = Vec::new();
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        browser.open(&path, width, scheme);
        let at = format!("{width} {scheme}");
        assert_eq!(browser.value("innerWidth"), width, "{at}");
        let root = "document.documentElement";
        let beyond = browser.value(&format!("{root}.scrollWidth - {root}.clientWidth"));
        assert_eq!(beyond, 0, "{at}: wider than the screen");
        assert_eq!(browser.value("document.scripts.length + document.images.length"), 0);
        assert_eq!(browser.value("performance.getEntriesByType('resource').length"), 0);
        assert_eq!(browser.value("document.title"), "settle report · performance.db");
        let slug = browser.value(
            "[...document.querySelectorAll('td.market')].map(cell => cell.textContent)
                .find(text => text.includes('script'))",
        );
        assert_eq!(slug, SCRIPT);
        // every chart is drawn inside its card
        let charts = browser.value(
            "[...document.querySelectorAll('svg')].map(svg => {
                const [own, card] = [svg, svg.closest('section')].map(e => e.getBoundingClientRect());
                return own.width > 200 && own.height > 30 && own.right <= card.right
                    && svg.getAttribute('aria-label').length > 0;
            })",
        );
        assert_eq!(charts, json!([true, true, true, true, true]), "{at}");
        assert_eq!(browser.complaints(), json!([]), "{at}");
        colours.push(browser.value("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(colours[0], colours[1]);
    assert_eq!(colours[..2], colours[2..]);
    let unnamed = browser.value("document.querySelectorAll('table:not(:has(caption))').length");
    assert_eq!(unnamed, Value::from(0));
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
