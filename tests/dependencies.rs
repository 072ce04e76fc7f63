//! What the project stands on: licences that may be passed on, nothing from outside the registry, and no
//! crate twice that is not known of. Works offline, from `Cargo.lock` and what cargo has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences under which a crate may be linked into an MIT program that is passed on as a binary.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that others need in two versions: ring and tempfile another getrandom, maud another syn.
const TWICE: [&str; 2] = ["getrandom", "syn"];

/// A crate that is built into settle, or builds it.
struct Package {
    name: String,
    version: String,
    /// Where it is from, if it is not from the registry.
    elsewhere: Option<String>,
    licence: String,
}

/// All of them but the project itself.
fn packages() -> Vec<Package> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"]);
    cargo.args(["--format", "{p}|{l}"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let package = |line: &str| {
        let (package, licence) = line.split_once('|').unwrap();
        let mut words = package.split(' ');
        Package {
            name: words.next().unwrap().to_owned(),
            version: words.next().unwrap().to_owned(),
            elsewhere: words.find(|word| *word != "(proc-macro)").map(str::to_owned),
            licence: licence.trim_end_matches(" (*)").to_owned(),
        }
    };
    let all = lines.lines().filter(|line| !line.is_empty()).map(package);
    let others: Vec<Package> = all.filter(|package| package.name != "settle").collect();
    assert!(others.len() > 100, "only {} packages", others.len());
    others
}

/// Whether an SPDX expression can be met by the licences above.
fn may_be_used(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression
        .split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_licence_may_be_passed_on() {
    for Package { name, licence, .. } in packages() {
        assert!(may_be_used(&licence), "{name} is under {licence}");
    }
    assert!(may_be_used("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!may_be_used("GPL-3.0") && !may_be_used("MIT AND MPL-2.0"));
}

#[test]
fn everything_is_from_the_registry() {
    for Package { name, elsewhere, .. } in packages() {
        assert!(
            elsewhere.is_none() || elsewhere.as_deref() == Some("(*)"),
            "{name}: {elsewhere:?}"
        );
    }
}

#[test]
fn no_crate_is_there_twice_that_is_not_known_of() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Package { name, version, .. } in packages() {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let names: Vec<&String> = versions.keys().collect();
    assert_eq!(names, TWICE, "{versions:?}");
}
