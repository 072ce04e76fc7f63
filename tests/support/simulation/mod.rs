//! A seeded simulation of days of settling: the engine, the store and the sources over a simulated clock and
//! a local exchange. `world` has the markets and the services, `bot` the bot's table, `runs` what settle is
//! asked to do, `checks` what must hold after each step.
//!
//! The same seed gives the same days: time is an argument of each command, and each fault follows from the seed.

pub mod bot;
pub mod checks;
pub mod dice;
pub mod runs;
pub mod world;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exchange::{Exchange, Reply};
use dice::Dice;
use runs::Runner;
use world::World;

/// 2026-02-13 00:00 UTC, when each simulation begins.
pub const BEGIN: i64 = 1_770_940_800;
/// The seconds between two runs.
pub const STEP: i64 = 600;
/// Longer than the longest wait between two attempts at a trade.
const CALM: i64 = 25 * 3600;
/// One of so many seeds has a crowd of trades.
const CROWDED: u64 = 20;
/// The trades of a crowd: a command that reads the table once for each of them holds its lock for seconds.
const CROWD: i64 = 8000;

/// What a seed did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    pub steps: u64,
    pub runs: u64,
    pub faults: u64,
    pub records: u64,
}

impl Figures {
    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.runs += other.runs;
        self.faults += other.faults;
        self.records += other.records;
    }
}

/// What did not hold in a seed.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub why: String,
    /// The steps so far.
    pub steps: Vec<String>,
}

/// The world, which the threads of the exchange share.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Option<World>>>);

impl Shared {
    /// Works on the world of the current seed.
    pub fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(self.lock().as_mut().expect("a seed is simulated"))
    }

    fn lock(&self) -> MutexGuard<'_, Option<World>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Simulates one seed after another over one exchange.
pub struct Simulator {
    exchange: Exchange,
    world: Shared,
    /// Starts a process that carries out one command at a simulated time: see [`runs::command_of_a_process`].
    process: fn() -> Command,
    /// Each step is printed as it is made.
    pub prints: bool,
}

impl Simulator {
    pub fn new(process: fn() -> Command) -> Self {
        let world = Shared::default();
        let shared = world.clone();
        let exchange = Exchange::start(move |asked, _| {
            let answer = shared.lock().as_mut().map(|world| world.answer(asked));
            match answer {
                Some(Ok(reply)) => reply,
                // the world's lock is free while this request waits
                Some(Err(wait)) => wait(),
                None => Reply::status(500),
            }
        });
        Self { exchange, world, process, prints: false }
    }

    /// Simulates a seed.
    ///
    /// # Errors
    /// [`Failure`]: what did not hold.
    pub fn run(&self, seed: u64) -> Result<Figures, Failure> {
        let folder = folder();
        let mut dice = Dice::new(seed);
        let mut world = World::new(&mut dice, seed, folder.path().join("performance.db"));
        let is_crowded = seed % CROWDED == CROWDED - 1;
        if is_crowded {
            (world.has_wallet, world.batch) = (false, 0);
        }
        let mut days = Days {
            runner: Runner::new(&self.exchange.url, self.world.clone(), self.process, &world),
            world: self.world.clone(),
            dice,
            figures: Figures::default(),
            steps: vec![world.describe()],
            prints: self.prints,
        };
        if self.prints {
            println!("seed {seed}: {}", days.steps[0]);
        }
        *self.world.lock() = Some(world);
        let lived = if is_crowded { days.crowd() } else { days.live() };
        *self.world.lock() = None;
        let Days { figures, steps, .. } = days;
        lived.map(|()| figures).map_err(|why| Failure { seed, why, steps })
    }
}

/// A folder in memory where the system has one: a simulated disk needs no real one.
fn folder() -> tempfile::TempDir {
    let in_memory = PathBuf::from("/dev/shm");
    let made = tempfile::tempdir_in(in_memory);
    made.or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// The days of one seed.
struct Days {
    runner: Runner,
    world: Shared,
    dice: Dice,
    figures: Figures,
    steps: Vec<String>,
    prints: bool,
}

impl Days {
    fn live(&mut self) -> Result<(), String> {
        for _ in 0..self.dice.between(25, 50) {
            let jump = if self.dice.chance(5) { self.dice.between(6, 30) } else { 1 };
            self.pass(jump * STEP);
            self.bot_acts();
            self.settle_acts()?;
        }
        self.calm_down()?;
        self.undo_everything()
    }

    /// A crowd of trades is settled by one run and undone at once, while the bot goes on writing.
    fn crowd(&mut self) -> Result<(), String> {
        self.world.with(|world| world.bot.trades_at_once(CROWD, &world.markets));
        self.tell(&format!("the bot trades {CROWD} times"));
        self.pass(CALM);
        self.world.with(|world| world.is_calm = true);
        let done = self
            .runner
            .while_the_bot_writes(|runner| runner.act(runs::Act::Run, &mut self.dice))?;
        self.tell(&done);
        self.figures.steps += 2;
        self.figures.runs += 1;
        self.figures.records += self.world.with(|world| checks::records(world));
        let undone = self
            .runner
            .while_the_bot_writes(|runner| runner.act(runs::Act::UndoLast, &mut self.dice))?;
        self.tell(&undone);
        self.world.with(|world| checks::is_the_bots_own(world))
    }

    fn pass(&self, seconds: i64) {
        self.world.with(|world| world.now += seconds);
    }

    fn tell(&mut self, what: &str) {
        let now = self.world.with(|world| world.now);
        let step = format!("{} {what}", world::clock(now));
        if self.prints {
            println!("{step}");
        }
        self.steps.push(step);
    }

    /// Trades, and now and then a change of the table.
    fn bot_acts(&mut self) {
        let actions = self.dice.between(0, 4);
        for _ in 0..actions {
            let action = bot::Action::any(&mut self.dice);
            let done = self.world.with(|world| world.bot_does(action));
            self.tell(&done);
        }
    }

    /// One command, and what must hold afterwards.
    fn settle_acts(&mut self) -> Result<(), String> {
        let act = runs::Act::any(&mut self.dice);
        self.act(act)
    }

    fn act(&mut self, act: runs::Act) -> Result<(), String> {
        let to_confirm = self.world.with(|world| checks::to_confirm(world));
        let done = self.runner.act(act, &mut self.dice)?;
        self.figures.steps += 1;
        self.figures.runs += u64::from(act.is_run());
        self.tell(&done);
        let faults = self.world.with(|world| std::mem::take(&mut world.faults));
        self.figures.faults += faults;
        let found = self.world.with(|world| world.found.take());
        found.map_or(Ok(()), Err)?;
        if act == runs::Act::Run && faults == 0 {
            self.world.with(|world| checks::are_confirmed(world, &to_confirm))?;
        }
        self.world.with(|world| checks::after_a_step(world))
    }

    /// Every service works, no fill is late: all that can be settled is settled.
    fn calm_down(&mut self) -> Result<(), String> {
        self.pass(CALM);
        self.world.with(|world| world.is_calm = true);
        let most = self.world.with(|world| world.runs_for_all());
        let mut held = self.rounds(most)?;
        // reconcile knows every fill, also of a trade whose run was undone
        if self.world.with(|world| world.has_wallet) {
            self.pass(STEP);
            self.act(runs::Act::Reconcile)?;
            held = self.rounds(most)?;
        }
        held
    }

    /// Runs until all is settled that can be, at most so many times; returns what does not hold in the end.
    fn rounds(&mut self, most: usize) -> Result<Result<(), String>, String> {
        let mut held = Ok(());
        for _ in 0..most {
            self.pass(STEP);
            self.act(runs::Act::Run)?;
            held = self.world.with(|world| checks::at_the_end(world));
            if held.is_ok() {
                break;
            }
        }
        Ok(held)
    }

    /// Undoes every run, the last one first: the table is the bot's own again.
    fn undo_everything(&mut self) -> Result<(), String> {
        let runs = self.world.with(|world| checks::runs_to_undo(world));
        self.figures.records += self.world.with(|world| checks::records(world));
        for run in runs {
            self.pass(60);
            self.runner.undo(&run)?;
        }
        self.tell("everything undone");
        self.world.with(|world| checks::is_the_bots_own(world))
    }
}
