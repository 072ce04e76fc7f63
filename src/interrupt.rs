//! When a run must stop: at SIGINT or SIGTERM, or at its time limit. During a run that writes, a
//! signal only sets a flag; `engine`, `store` and `sources` check it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether a signal arrived, and whether it may end the process at once.
#[derive(Debug, Default, Clone)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    may_exit: Arc<AtomicBool>,
}

impl Interrupt {
    /// Installs the signal handlers. A signal that may end the process ends it with `exit_code`.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn listen(exit_code: u8) -> io::Result<Self> {
        let interrupt = Self::default();
        interrupt.may_exit.store(true, Ordering::SeqCst);
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&interrupt.asked))?;
            let status = i32::from(exit_code);
            flag::register_conditional_shutdown(signal, status, Arc::clone(&interrupt.may_exit))?;
        }
        Ok(interrupt)
    }

    /// From here on a signal only sets a flag; the caller checks [`Self::asked`].
    pub fn hold(&self) {
        self.may_exit.store(false, Ordering::SeqCst);
    }

    /// Runs `print`, during which a signal ends the process at once: a reader of the output that stops
    /// reading must not keep the process alive.
    pub fn free_while<T>(&self, print: impl FnOnce() -> T) -> T {
        let may_exit = self.may_exit.swap(true, Ordering::SeqCst);
        let printed = print();
        self.may_exit.store(may_exit, Ordering::SeqCst);
        printed
    }

    /// Whether a signal arrived.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

/// How often a wait looks for a signal.
pub const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// When a run must stop: at a signal, or at its end.
#[derive(Debug, Default, Clone)]
pub struct Limit {
    /// The signal.
    pub interrupt: Interrupt,
    /// No request begins after this instant; `None` without a time limit.
    pub end: Option<Instant>,
}

impl Limit {
    /// A limit at a signal alone.
    pub fn at_signal(interrupt: &Interrupt) -> Self {
        Self { interrupt: interrupt.clone(), end: None }
    }

    /// A limit at a signal, or `length` from now.
    pub fn after(interrupt: &Interrupt, length: Duration) -> Self {
        Self { interrupt: interrupt.clone(), end: Instant::now().checked_add(length) }
    }

    /// Whether the run must stop.
    pub fn is_over(&self) -> bool {
        self.interrupt.asked() || self.left().is_some_and(|left| left.is_zero())
    }

    /// The time until the end; `None` without a time limit.
    pub fn left(&self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Waits for `length`, or until the run must stop.
    pub fn sleep(&self, length: Duration) {
        let until = Instant::now() + length;
        while !self.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(SIGNAL_CHECK));
        }
    }
}
