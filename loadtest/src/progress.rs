//! The progress line of a run: drawn in place on a terminal, one plain line every ten seconds elsewhere. On stderr,
//! so that a report on stdout stays clean.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::worker::Live;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Draws how far a run is.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    label: String,
    total: Duration,
    started: Instant,
    last: (Instant, u64),
}

impl Progress {
    /// Nothing drawn yet; never anything when `is_quiet`.
    pub(crate) fn new(is_quiet: bool) -> Self {
        let now = Instant::now();
        let bar = (!is_quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {elapsed_precise}")
                .expect("the template is right");
            ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()).with_style(style)
        });
        Self { bar, is_quiet, label: String::new(), total: Duration::ZERO, started: now, last: (now, 0) }
    }

    /// What the next runs are called.
    pub(crate) fn label(&mut self, label: impl Into<String>) {
        self.label = label.into();
    }

    /// A run of `total` begins.
    pub(crate) fn begin(&mut self, total: Duration) {
        self.started = Instant::now();
        self.last = (self.started, 0);
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_length(total.as_millis() as u64);
        }
    }

    /// Shows the counts.
    pub(crate) fn draw(&mut self, live: &Live) {
        let now = Instant::now();
        let since = now - self.last.0;
        if self.is_quiet || (self.bar.is_none() && since < LINE_EVERY) {
            return;
        }
        let (done, errors) = (live.done.load(Ordering::Relaxed), live.errors.load(Ordering::Relaxed));
        let rate = (done - self.last.1) as f64 / since.as_secs_f64();
        self.last = (now, done);
        let elapsed = now - self.started;
        let line = format!("{} {rate:.0} requests/s, {done} done, {errors} errors", self.label);
        match &self.bar {
            Some(bar) => {
                bar.set_position((elapsed.as_millis() as u64).min(self.total.as_millis() as u64));
                bar.set_message(line);
            }
            // A closed stderr is no reason to stop measuring.
            None => drop(writeln!(
                std::io::stderr(),
                "{:>4.0} s of {:.0} s: {}",
                elapsed.as_secs_f64(),
                self.total.as_secs_f64(),
                line.trim_start()
            )),
        }
    }

    /// The run is over.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
