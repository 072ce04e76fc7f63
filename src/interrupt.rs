//! SIGINT and SIGTERM: the process exits at once, but during writes it first finishes the current
//! transaction. `store` and `engine` check for a signal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether a signal arrived, and whether it may end the process at once.
#[derive(Debug, Default)]
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

    /// Whether a signal arrived.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}
