//! Days of settling in a simulated world, seed by seed: nothing is settled twice or without its record, nothing
//! that Polymarket resolved stays contradicted, no trade is starved, the rows' money is the wallet's, and undo
//! restores the bot's table. `cargo run --example simulate SEED` replays a seed that failed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/simulation/mod.rs"]
mod simulation;

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use simulation::runs::command_of_a_process;
use simulation::{Figures, Simulator};

/// The seeds of `cargo test`; `SIMULATED_SEEDS` sets another number, which CI does.
const SEEDS: u64 = 60;
/// The simulations at a time.
const THREADS: u64 = 2;

/// This program again, for one command in a process of its own.
fn process() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_command_of_a_simulation_runs_in_its_own_process"]);
    command
}

#[test]
fn a_command_of_a_simulation_runs_in_its_own_process() {
    // the simulation starts it; without its variables there is nothing to do
    assert!(!command_of_a_process());
}

#[test]
fn no_seed_of_a_simulation_breaks_a_promise() {
    let seeds = std::env::var("SIMULATED_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let simulate = || {
        let simulator = Simulator::new(process);
        let (mut figures, mut failures) = (Figures::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (figures, failures);
            }
            match simulator.run(seed) {
                Ok(of_seed) => figures.add(of_seed),
                Err(failure) => failures.push(failure),
            }
        }
    };
    let (mut figures, mut failures) = (Figures::default(), Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(simulate)).collect();
        for thread in threads {
            let (of_thread, failed) = thread.join().unwrap();
            figures.add(of_thread);
            failures.extend(failed);
        }
    });
    eprintln!("{seeds} seeds in {:?}: {figures:?}", began.elapsed());
    failures.sort_by_key(|failure| failure.seed);
    for failure in &failures {
        eprintln!("seed {}: {}", failure.seed, failure.why);
    }
    let first = failures.first().map(|failure| format!("{}\n", failure.steps.join("\n")));
    assert!(
        failures.is_empty(),
        "the steps of the first failed seed:\n{}",
        first.unwrap_or_default()
    );
}
