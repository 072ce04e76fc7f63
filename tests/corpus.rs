//! The parsers' promises on the inputs that fuzzing found interesting (`fuzz/corpus`).

#[path = "../fuzz/promises.rs"]
mod promises;

use std::path::Path;

fn each_of(target: &str, promise: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        promise(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count >= 3, "{target}: only {count} inputs");
}

#[test]
fn slugs() {
    each_of("slug", promises::slug);
}

#[test]
fn timestamps() {
    each_of("timestamp", promises::timestamp);
}

#[test]
fn candle_bodies() {
    each_of("candles", promises::candles);
}

#[test]
fn market_bodies() {
    each_of("markets", promises::markets);
}

#[test]
fn dump_files() {
    each_of("dump", promises::dump);
}
