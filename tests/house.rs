//! The rules of the house that a machine can hold: where things are, which way dependencies point, and
//! that what `CONTRIBUTING.md` says of files and promises is so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests; more want a reason, or a seam to part it at.
const LONGEST: usize = 500;

/// What is a function of values: no clock, no file, no socket.
const PURE: [&str; 21] = [
    "audit/cause.rs",
    "candles/plan.rs",
    "cell.rs",
    "decision.rs",
    "explain.rs",
    "fees.rs",
    "figures/groups.rs",
    "figures/mod.rs",
    "figures/reflection.rs",
    "figures/stats.rs",
    "market.rs",
    "outcome.rs",
    "pnl.rs",
    "sanitize.rs",
    "selection.rs",
    "strike.rs",
    "summary.rs",
    "timestamp.rs",
    "trade.rs",
    "trade_result.rs",
    "units.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_under(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let folder = root().join("src");
    let files = files_under(&folder, ".rs").into_iter();
    let named = files.map(|path| {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    named.collect()
}

/// A file up to its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\n").next().unwrap()
}

#[test]
fn every_file_begins_by_saying_what_belongs_in_it() {
    for (name, text) in sources() {
        let opening: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(opening.len() > 60, "{name} does not say what belongs in it: {opening}");
    }
}

#[test]
fn no_file_outgrows_its_readers() {
    for (name, text) in sources() {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines without its tests");
    }
}

#[test]
fn the_pure_core_touches_nothing_outside() {
    let outside = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::time",
        "rusqlite",
        "reqwest::",
        "Utc::now",
        "crate::app",
        "crate::cli",
        "crate::config",
        "crate::engine",
        "crate::http::C",
        "crate::output",
        "crate::run",
        "store::Store",
        "crate::interrupt",
    ];
    let sources = sources();
    for pure in PURE {
        let found = sources.iter().find(|(name, _)| name == pure);
        let text = without_tests(&found.unwrap_or_else(|| panic!("no {pure}")).1);
        for name in outside {
            assert!(!text.contains(name), "{pure} uses {name}");
        }
    }
}

#[test]
fn only_the_store_speaks_sql_and_only_one_client_http() {
    for (name, text) in sources() {
        let is_store = name.starts_with("store/");
        let has_sql = ["SELECT ", "UPDATE trades", "INSERT INTO", "DELETE FROM"]
            .iter()
            .any(|sql| without_tests(&text).contains(&format!("\"{sql}")));
        assert!(is_store || !has_sql, "{name} speaks SQL");
        let asks = text.contains("reqwest::blocking");
        assert!(name == "http.rs" || !asks, "{name} asks over HTTP by itself");
    }
}

#[test]
fn contributing_says_where_each_file_is() {
    let map = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    for (name, _) in sources() {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = map.contains(&format!("`src/{name}`"))
            || (!folder.is_empty() && map.contains(&format!("`src/{folder}/`")));
        assert!(named, "CONTRIBUTING.md does not say what src/{name} is for");
    }
}

#[test]
fn each_promise_names_a_test_that_there_is() {
    let map = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let promises = map.split("## What is promised").nth(1).expect("a list of promises");
    let promises = promises.split("\n## ").next().unwrap();
    let tests: String = files_under(&root().join("tests"), ".rs")
        .into_iter()
        .chain(files_under(&root().join("src"), ".rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let rows = promises.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut named = 0;
    for row in rows {
        for test in row.rsplit_once(" | ").unwrap().1.split('`').skip(1).step_by(2) {
            assert!(tests.contains(&format!("fn {test}(")), "no test {test}: {row}");
            named += 1;
        }
    }
    assert!(named > 30, "only {named} tests are named");
}

#[test]
fn links_between_the_projects_texts_lead_somewhere() {
    let mut texts = files_under(&root().join("src"), ".md");
    texts.extend(
        ["README.md", "CONTRIBUTING.md", "benches/README.md"].map(|name| root().join(name)),
    );
    for text in texts {
        let content = fs::read_to_string(&text).unwrap();
        for link in content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let file = link.split('#').next().unwrap();
            let target = text.parent().unwrap().join(file);
            assert!(target.exists(), "{} links to {link}", text.display());
        }
    }
}
