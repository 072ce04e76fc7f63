//! Replays one seed of the simulation and prints its steps, or simulates one seed after another until it is
//! stopped, and prints the seeds an hour:
//!
//! ```text
//! cargo run --example simulate -- [SEED]
//! cargo run --example simulate
//! ```
//!
//! It stops at the first seed in which something does not hold. `tests/simulation.rs` runs the same seeds.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

#[path = "../tests/support/exchange.rs"]
mod exchange;
#[path = "../tests/support/simulation/mod.rs"]
mod simulation;

use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime};

use simulation::runs::command_of_a_process;
use simulation::{Figures, Simulator};

/// The seeds between two lines of figures.
const A_LINE: u64 = 50;

fn process() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

fn main() -> ExitCode {
    if command_of_a_process() {
        return ExitCode::SUCCESS;
    }
    let seed: Option<u64> = std::env::args().nth(1).map(|seed| seed.parse().expect("a seed"));
    let mut simulator = Simulator::new(process);
    simulator.prints = seed.is_some();
    // seeds that no earlier call had
    #[allow(clippy::disallowed_methods)]
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let first = seed.unwrap_or(clock.as_secs() * 1000);
    let (began, mut figures) = (Instant::now(), Figures::default());
    for seed_of_now in first.. {
        match simulator.run(seed_of_now) {
            Ok(of_seed) => figures.add(of_seed),
            Err(failure) => {
                if seed.is_none() {
                    println!("{}", failure.steps.join("\n"));
                }
                println!("seed {} failed: {}", failure.seed, failure.why);
                return ExitCode::FAILURE;
            }
        }
        let count = seed_of_now - first + 1;
        let passed = began.elapsed();
        if seed.is_some() || count.is_multiple_of(A_LINE) {
            let an_hour = count as f64 * 3600.0 / passed.as_secs_f64();
            println!("{count} seeds in {passed:.0?}, {an_hour:.0} an hour: {figures:?}");
        }
        if seed.is_some() {
            break;
        }
    }
    ExitCode::SUCCESS
}
