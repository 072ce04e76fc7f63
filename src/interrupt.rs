//! SIGINT and SIGTERM: the process ends at once, except while it writes; then it finishes
//! the transaction under way first. Where it is asked is for `store` and `engine`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether the process was asked to stop, and whether it may do so at any instant.
#[derive(Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    may_exit: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts listening for the signals; one that may end the process ends it with `exit_code`.
    ///
    /// # Errors
    /// Where the system refuses the handlers.
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

    /// From here on a signal is only noted; the caller looks at [`Self::asked`].
    pub fn hold(&self) {
        self.may_exit.store(false, Ordering::SeqCst);
    }

    /// Whether a signal came.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}
