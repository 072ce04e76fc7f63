//! A progress bar on a terminal, shown once work has taken a second.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Shorter work needs no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Appears one second after the first update.
pub struct Bar {
    bar: ProgressBar,
    began: Option<Instant>,
    wanted: bool,
}

impl Bar {
    pub fn new(quiet: bool, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let template = "{bar:30} {pos}/{len} {msg}, {rate}/s, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{:.0}", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        bar.set_message(what);
        Self { bar, began: None, wanted: !quiet }
    }

    pub fn at(&mut self, done: usize, all: usize) {
        let began = *self.began.get_or_insert_with(|| {
            self.bar.reset();
            Instant::now()
        });
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
        if self.wanted && began.elapsed() > SHOWN_AFTER {
            // this target draws only on a terminal
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.wanted = false;
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
