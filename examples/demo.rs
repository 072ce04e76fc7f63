//! Makes the sample performance database and serves the sample's prices and resolutions as a
//! local exchange, for `scripts/demo.sh`: `demo FOLDER` writes FOLDER/performance.db, then the server's address to
//! FOLDER/url, and serves until it is killed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

#[path = "../tests/support/exchange.rs"]
mod exchange;

use std::path::PathBuf;

use exchange::{Exchange, Markets, Tape};

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: demo FOLDER"));
    let database = rusqlite::Connection::open(folder.join("performance.db"))
        .expect("the folder can be written");
    database.execute_batch(include_str!("sample/performance.sql")).expect("a new database");
    drop(database);

    let prices = include_str!("sample/prices.csv").lines().skip(1).map(|line| {
        let (at, price) = line.split_once(',').expect("two columns");
        (at.parse().expect("unix seconds"), price.parse().expect("a price"))
    });
    let resolutions = include_str!("sample/resolutions.csv").lines().skip(1).map(|line| {
        let (slug, outcome) = line.split_once(',').expect("two columns");
        (slug, outcome == "Up")
    });
    let exchange = Exchange::resolving(Tape::of(prices), Markets::resolved(resolutions));
    // complete at once, so that the script that waits for the file never reads half an address
    let unfinished = folder.join("url.part");
    std::fs::write(&unfinished, &exchange.url).expect("the folder can be written");
    std::fs::rename(unfinished, folder.join("url")).expect("the folder can be written");
    loop {
        std::thread::park();
    }
}
