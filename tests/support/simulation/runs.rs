//! What settle is asked to do in a simulation: runs that end, are killed or run out of time, with a bot or a
//! second run in between; undo, reconcile, audit.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::DateTime;
use rusqlite::Connection;
use settle::cli::{self, Command as Named, Layers};
use settle::commands::{self, Exit};
use settle::engine::context::{BotWallet, Database, Outside, RunContext, Task};
use settle::engine::run::settle;
use settle::engine::summary::{Event, Summary};
use settle::error::Error;
use settle::interrupt::{Interrupt, Limit};
use settle::rules::decision::{Confirm, Deciding};
use settle::rules::eligibility::Reading;
use settle::rules::fill::SharedRows;
use settle::rules::logged::SizeUnit;
use settle::rules::resolution::Resolutions;
use settle::rules::selection::Lags;
use settle::rules::units::UnixSeconds;
use settle::sources::candles::CandleService;
use settle::sources::candles::binance::Binance;
use settle::sources::candles::bitstamp::Bitstamp;
use settle::sources::candles::coinbase::Coinbase;
use settle::sources::candles::fallback::{Chain, PriceSource, Service};
use settle::sources::candles::kraken::Kraken;
use settle::sources::http::Client;
use settle::sources::polymarket::{Bases, Polymarket};
use settle::sources::wallet::Wallet;
use settle::store::{Access, BotSchema, RunInfo, RunLock, Store, UNDO};

use super::bot::Action;
use super::dice::Dice;
use super::world::{Trigger, WALLET, World};
use super::{Shared, checks};

/// The variables with the time and the arguments of a command in a process of its own.
const TIME: &str = "SIMULATED_TIME";
const ARGUMENTS: &str = "SIMULATED_ARGUMENTS";

/// How long the bot waits for a lock. A transaction of settle's lasts 21 ms.
const PATIENCE: Duration = Duration::from_secs(2);

/// A command of settle's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// No run: the timer is off.
    Nothing,
    Run,
    /// Something happens at one of its requests.
    RunWith(Between),
    /// No request begins.
    RunWithoutTime,
    /// A file of the process cannot grow beyond a number of bytes; the system kills it then, or refuses the
    /// write as on a full disk.
    CommandOnFullDisk {
        is_killed: bool,
    },
    UndoLast,
    /// Any run, also one that undid another.
    UndoAny,
    Reconcile,
    Audit,
}

/// What happens at a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Between {
    Bot,
    SecondCommand,
    Kill,
}

impl Act {
    pub fn any(dice: &mut Dice) -> Self {
        match dice.between(0, 1000) {
            0..100 => Self::Nothing,
            100..560 => Self::Run,
            560..680 => Self::RunWith(Between::Bot),
            680..720 => Self::RunWith(Between::SecondCommand),
            720..750 => Self::RunWith(Between::Kill),
            750..790 => Self::RunWithoutTime,
            790..825 => Self::CommandOnFullDisk { is_killed: true },
            825..850 => Self::CommandOnFullDisk { is_killed: false },
            850..885 => Self::UndoLast,
            885..920 => Self::UndoAny,
            920..965 => Self::Reconcile,
            _ => Self::Audit,
        }
    }

    pub fn is_run(self) -> bool {
        !matches!(self, Self::Nothing | Self::UndoLast | Self::UndoAny)
    }
}

/// Carries out the commands of a seed.
pub struct Runner {
    url: String,
    world: Shared,
    process: fn() -> Command,
    db: PathBuf,
    has_wallet: bool,
    in_shares: bool,
    polymarket_only: bool,
    batch: usize,
    /// Built once: it is the slow part of a run.
    client: Client,
    count: u64,
}

impl Runner {
    pub fn new(url: &str, world: Shared, process: fn() -> Command, of: &World) -> Self {
        let url = url.to_owned();
        Self {
            url,
            world,
            process,
            db: of.bot.db.clone(),
            has_wallet: of.has_wallet,
            in_shares: of.in_shares,
            polymarket_only: of.polymarket_only,
            batch: of.batch,
            client: Client::default(),
            count: 0,
        }
    }

    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.world.with(|world| world.now))
    }

    fn set_trigger(&self, trigger: Option<(i64, Trigger)>) {
        self.world.with(|world| (world.trigger, world.requests) = (trigger, 0));
    }

    /// Does this while the bot writes to a table of its own, and gives up on a lock after [`PATIENCE`].
    ///
    /// # Errors
    /// What must not happen: also that the bot gave up.
    pub fn while_the_bot_writes(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<String, String>,
    ) -> Result<String, String> {
        let db = self.db.clone();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let writes = scope.spawn(|| -> rusqlite::Result<()> {
                let bot = Connection::open(db)?;
                bot.busy_timeout(PATIENCE)?;
                bot.execute_batch("CREATE TABLE IF NOT EXISTS beats (at INTEGER)")?;
                while !is_over.load(Ordering::Relaxed) {
                    bot.execute("INSERT INTO beats VALUES (1)", [])?;
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            });
            let done = work(self);
            is_over.store(true, Ordering::Relaxed);
            let written = writes.join().expect("no thread panics");
            let done = done?;
            written.map_err(|why| format!("{done}; the bot could not write: {why}"))?;
            Ok(done)
        })
    }

    /// Carries out a command, and says what it did.
    ///
    /// # Errors
    /// What must not happen.
    pub fn act(&mut self, act: Act, dice: &mut Dice) -> Result<String, String> {
        let at = dice.between(1, 7);
        self.set_trigger(None);
        let done = match act {
            Act::Nothing => Ok("no run".to_owned()),
            Act::Run => {
                let world = self.world.clone();
                let look = |summary: &Summary| {
                    world.with(|world| checks::alerts_have_causes(world, summary))
                };
                self.run_and_look(true, look)
            }
            Act::RunWith(Between::Bot) => {
                self.set_trigger(Some((at, Trigger::Bot(Action::any(dice)))));
                self.run(true).map(|done| format!("{done}; the bot acted at request {at}"))
            }
            Act::RunWith(Between::SecondCommand) => {
                let (arguments, code) = self.second_command(dice);
                let mut command = (self.process)();
                self.prepare(&mut command, &arguments);
                let world = self.world.clone();
                self.set_trigger(Some((at, Trigger::Command { command, code, world })));
                let name = &arguments[1];
                self.run(true).map(|done| format!("{done}; {name} began at request {at}"))
            }
            Act::RunWith(Between::Kill) => Ok(self.killed_at(at)),
            Act::RunWithoutTime => self.run(false),
            Act::CommandOnFullDisk { is_killed } => Ok(self.limited(is_killed, dice)),
            Act::UndoLast => match self.store(Access::Write)?.last_run() {
                Ok(run_id) => self.undo(&run_id),
                Err(Error::NothingToUndo) => Ok("nothing to undo".to_owned()),
                Err(why) => Err(why.to_string()),
            },
            Act::UndoAny => {
                let runs =
                    self.store(Access::Write)?.logged_runs().map_err(|why| why.to_string())?;
                match runs.len() {
                    0 => Ok("nothing to undo".to_owned()),
                    count => self.undo(&runs[dice.between(0, count as i64) as usize].run_id),
                }
            }
            Act::Reconcile if !self.has_wallet => Ok("no wallet".to_owned()),
            Act::Reconcile => self.command(&self.arguments("reconcile", "--apply")),
            Act::Audit => self.command(&self.arguments("audit", "--fix")),
        };
        self.set_trigger(None);
        done
    }

    fn store(&self, access: Access) -> Result<Store, String> {
        Store::open(&self.db, access, &BotSchema::default()).map_err(|why| why.to_string())
    }

    fn new_id(&mut self) -> String {
        self.count += 1;
        format!("simulated-{:05}", self.count)
    }

    /// A run as the command makes it; without time no request begins.
    fn run(&mut self, has_time: bool) -> Result<String, String> {
        self.run_and_look(has_time, |_| Ok(()))
    }

    /// A run as the command makes it; `look` looks at what it reports.
    fn run_and_look(
        &mut self,
        has_time: bool,
        look: impl Fn(&Summary) -> Result<(), String>,
    ) -> Result<String, String> {
        let now = self.now();
        let end = (!has_time).then(Instant::now);
        let client = Arc::new(self.client.until(end));
        let interrupt = Interrupt::default();
        let limit = Limit { interrupt: interrupt.clone(), end };
        let url = || self.url.clone();
        let bases = Bases { gamma: url(), data: url(), clob: url() };
        let mut polymarket = Polymarket::new(bases, Arc::clone(&client));
        let mut prices = self.prices(&client);
        let addresses = if self.has_wallet { vec![WALLET.to_owned()] } else { vec![] };
        let mut wallet =
            Wallet::new(addresses, &[], url(), client).map_err(|why| why.to_string())?;
        let deciding = Deciding {
            confirm: if self.polymarket_only { Confirm::Only } else { Confirm::Auto },
            ..Deciding::default()
        };
        let task = Task {
            reading: Reading {
                size_unit: if self.in_shares { SizeUnit::Shares } else { SizeUnit::Dollars },
                ..Reading::default()
            },
            deciding: &deciding,
            batch: self.batch,
            lags: Lags::default(),
            now,
            limit: &limit,
        };
        let run_id = self.new_id();
        let writing = RunContext { run_id: &run_id, retry_wait: 600 };
        let mut store = self.store(Access::Write)?;
        let _lock =
            once_unlocked(|| RunLock::take(&self.db, now)).map_err(|why| why.to_string())?;
        let mut ignore = |_: Event<'_>| {};
        let mut database = Database { store: &mut store, name: None, report: &mut ignore };
        let mut outside = Outside {
            prices: &mut prices,
            resolutions: &mut polymarket,
            wallet: wallet.as_mut().map(|wallet| BotWallet {
                wallet,
                name: "0x1".to_owned(),
                shared: Ok(SharedRows::default()),
            }),
            known: Resolutions::default(),
        };
        let summary = settle(&mut database, &mut outside, &task, Some(writing));
        let summary = summary.map_err(|why| format!("{run_id}: {why}"))?;
        if !summary.errors.is_empty() {
            let first = &summary.errors[0];
            return Err(format!("{run_id}: trade {}: {}", first.trade_id, first.message));
        }
        look(&summary).map_err(|why| format!("{run_id}: {why}"))?;
        let (settled, pending) = (summary.settled(), summary.pending());
        Ok(format!("{run_id}: {settled} settled, {pending} pending"))
    }

    fn prices(&self, client: &Arc<Client>) -> Chain {
        let services: [Box<dyn CandleService + Sync>; 4] =
            [Box::new(Coinbase), Box::new(Kraken), Box::new(Bitstamp), Box::new(Binance)];
        let source = |service| {
            let service = Service::new(service, vec![self.url.clone()], Arc::clone(client));
            Box::new(service) as Box<dyn PriceSource>
        };
        Chain::new(services.into_iter().map(source).collect())
    }

    /// Undoes a run.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub fn undo(&mut self, run_id: &str) -> Result<String, String> {
        let mut store = self.store(Access::Write)?;
        let now = self.now();
        let _lock =
            once_unlocked(|| RunLock::take(&self.db, now)).map_err(|why| why.to_string())?;
        let run = RunInfo::new(self.new_id(), now, UNDO);
        let undone = store.undo(run_id, &run, &Interrupt::default());
        let undone = undone.map_err(|why| why.to_string())?;
        let (restored, refused) = (undone.restored, undone.refused.len());
        Ok(format!("{run_id} undone: {restored} restored, {refused} refused"))
    }

    fn arguments(&self, command: &str, option: &str) -> Vec<String> {
        let mut all: Vec<String> = ["settle", command].map(str::to_owned).to_vec();
        all.extend(Some(option).filter(|option| !option.is_empty()).map(str::to_owned));
        all.extend(["--quiet".to_owned(), format!("--db={}", self.db.display())]);
        let services = ["polymarket", "data", "clob", "coinbase", "kraken", "bitstamp", "binance"];
        all.extend(services.map(|service| format!("--{service}-url={}", self.url)));
        if self.in_shares {
            all.push("--size-unit=shares".to_owned());
        }
        if self.has_wallet && command != "audit" {
            all.push(format!("--wallet={WALLET}"));
        }
        if command == "run" {
            all.push(format!("--batch={}", self.batch));
            let confirm = if self.polymarket_only { "only" } else { "auto" };
            all.push(format!("--confirm={confirm}"));
        }
        all
    }

    fn command(&mut self, arguments: &[String]) -> Result<String, String> {
        let exit = once_unlocked(|| carry_out(arguments, self.now().0));
        let exit = exit.map_err(|why| why.to_string())?;
        let name = &arguments[1];
        match exit {
            Exit::Done | Exit::Alert | Exit::NothingHad => Ok(format!("{name}: {exit:?}")),
            // a result of the bot's own may not be one that settle can correct
            Exit::RowsInError if self.world.with(|world| !world.bot.own_results.is_empty()) => {
                Ok(format!("{name}: {exit:?}"))
            }
            exit => Err(format!("{name} ended with {exit:?}")),
        }
    }

    /// Gives a process a command to carry out.
    fn prepare(&self, command: &mut Command, arguments: &[String]) {
        command.env(TIME, self.now().0.to_string());
        command.env(ARGUMENTS, arguments.join("\n"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }

    fn spawned(&self, mut command: Command, arguments: &[String]) -> Child {
        self.prepare(&mut command, arguments);
        command.spawn().expect("a process")
    }

    /// A command for a second process while a run has the lock, and its exit code.
    fn second_command(&self, dice: &mut Dice) -> (Vec<String>, i32) {
        let (arguments, exit) = match dice.between(0, 5) {
            0 => (self.of_database(&["status"]), Exit::Done),
            1 => (self.undo_last(), Exit::Locked),
            2 if self.has_wallet => (self.arguments("reconcile", "--apply"), Exit::Locked),
            3 => (self.arguments("audit", "--fix"), Exit::Locked),
            _ => (self.arguments("run", ""), Exit::Locked),
        };
        (arguments, exit.code().into())
    }

    fn undo_last(&self) -> Vec<String> {
        self.of_database(&["undo", "last", "--quiet"])
    }

    /// A command that reads and writes the database alone.
    fn of_database(&self, command: &[&str]) -> Vec<String> {
        let db = format!("--db={}", self.db.display());
        let mut all = vec!["settle".to_owned()];
        all.extend(command.iter().map(|&argument| argument.to_owned()));
        all.push(db);
        all
    }

    /// A run whose process is killed at one of its requests.
    fn killed_at(&mut self, at: i64) -> String {
        let slot = Arc::new(Mutex::new(None));
        self.set_trigger(Some((at, Trigger::Kill(Arc::clone(&slot)))));
        let child = self.spawned((self.process)(), &self.arguments("run", ""));
        *slot.lock().expect("no thread panics") = Some(child);
        loop {
            let mut child = slot.lock().expect("no thread panics");
            let ended = child.as_mut().expect("a process").try_wait().expect("a process");
            if let Some(status) = ended {
                return format!("a run that is killed at request {at}: {status}");
            }
            drop(child);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A command whose files cannot grow beyond a size.
    fn limited(&mut self, is_killed: bool, dice: &mut Dice) -> String {
        let size = std::fs::metadata(&self.db).expect("the database").len() as i64 / 512;
        let blocks = dice.between(0, 2 * size + 80);
        self.world.with(|world| world.faults += 1);
        let arguments = match dice.between(0, 10) {
            0..2 => self.undo_last(),
            2..4 if self.has_wallet => self.arguments("reconcile", "--apply"),
            4..6 => self.arguments("audit", "--fix"),
            _ => self.arguments("run", ""),
        };
        let inner = (self.process)();
        let mut command = Command::new("sh");
        let trap = if is_killed { "" } else { "trap '' XFSZ; " };
        command.args(["-c", &format!("{trap}ulimit -c 0; ulimit -f $0; exec \"$@\"")]);
        command.arg(blocks.to_string()).arg(inner.get_program()).args(inner.get_args());
        let status = self.spawned(command, &arguments).wait().expect("a process");
        format!("{} whose files end at {blocks} blocks: {status}", arguments[1])
    }
}

/// Does this again while the database is locked: a process that another thread starts holds the files of this
/// one for a moment, until it executes its own program.
fn once_unlocked<T>(take: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..200 {
        match take() {
            Err(Error::Locked { .. }) => thread::sleep(Duration::from_millis(5)),
            taken => return taken,
        }
    }
    take()
}

/// Carries out a command of the command line at a time.
fn carry_out(arguments: &[String], now: i64) -> Result<Exit, Error> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let cli = cli::parse(&arguments, &Layers::default()).unwrap_or_else(|why| panic!("{why}"));
    let now = DateTime::from_timestamp(now, 0).expect("a time");
    match &cli.command {
        Named::Run(args) => {
            let bots =
                cli.bots(|named| if let Named::Run(args) = named { Some(args) } else { None });
            commands::run::run(&cli.common, args, &bots, now)
        }
        Named::Reconcile(args) => {
            let bots = cli
                .bots(|named| if let Named::Reconcile(args) = named { Some(args) } else { None });
            commands::reconcile::run(&cli.common, args, &bots, now)
        }
        Named::Audit(args) => commands::audit::run(&cli.common, args, now),
        Named::Undo(args) => commands::undo::run(&cli.common, args, now),
        Named::Status(_) => {
            let bots =
                cli.bots(|named| if let Named::Status(args) = named { Some(args) } else { None });
            commands::status::run(&cli.common, &bots, now)
        }
        other => panic!("{} is not simulated", other.name()),
    }
}

/// Carries out the command of a process that a simulation started; `false` in any other process.
pub fn command_of_a_process() -> bool {
    let (Ok(time), Ok(arguments)) = (std::env::var(TIME), std::env::var(ARGUMENTS)) else {
        return false;
    };
    let arguments: Vec<String> = arguments.lines().map(str::to_owned).collect();
    let exit = carry_out(&arguments, time.parse().expect("a time"));
    std::process::exit(exit.unwrap_or_else(|why| Exit::of(&why)).code().into())
}
