//! Checks of the dependencies: licences that permit redistribution, no source except the registry, and no
//! unlisted duplicate versions. Works offline, with `Cargo.lock` and cargo's local cache.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences under which a crate may be linked into an MIT program that is distributed as a binary.
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

/// Crates that are required in two versions: ring and tempfile use different getrandom versions, and maud
/// another version of syn.
const TWICE: [&str; 2] = ["getrandom", "syn"];

/// A crate that settle uses at run time or build time.
struct Package {
    name: String,
    version: String,
    /// Its source, if it is not from the registry.
    elsewhere: Option<String>,
    licence: String,
}

/// All crates except the project itself.
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

/// Whether the licences above satisfy an SPDX expression.
fn may_be_used(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression
        .split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_licence_permits_redistribution() {
    for Package { name, licence, .. } in packages() {
        assert!(may_be_used(&licence), "{name} is under {licence}");
    }
    assert!(may_be_used("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!may_be_used("GPL-3.0") && !may_be_used("MIT AND MPL-2.0"));
}

#[test]
fn every_crate_is_from_the_registry() {
    for Package { name, elsewhere, .. } in packages() {
        assert!(
            elsewhere.is_none() || elsewhere.as_deref() == Some("(*)"),
            "{name}: {elsewhere:?}"
        );
    }
}

#[test]
fn no_crate_has_an_unlisted_second_version() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Package { name, version, .. } in packages() {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let names: Vec<&String> = versions.keys().collect();
    assert_eq!(names, TWICE, "{versions:?}");
}
