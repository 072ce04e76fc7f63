//! The tests of whole commands, one module a promise, in one program: it compiles and links once, and its tests run
//! side by side. `tests/simulation.rs` and `tests/disk_faults.rs` use both cores for themselves, so they are
//! programs of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

mod alerts;
mod bad_rows;
mod booted;
mod command_line;
mod concurrency;
mod corpus;
mod crash;
mod databases;
mod deadline;
mod dependencies;
mod doctor;
mod endpoints;
mod export;
mod figures;
mod foreign;
mod house;
mod init;
mod installation;
mod json;
mod made;
mod monitoring;
mod month;
mod older;
mod orchestration;
mod outages;
mod own_outcomes;
mod page;
mod queue;
mod reconcile;
mod report;
mod resolutions;
mod settles;
mod several;
mod simulated_prices;
mod sizes;
mod snapshots;
mod trust;
mod wallet;
mod wallet_changes;
mod wallet_reading;
