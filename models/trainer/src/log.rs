//! What training says while it runs: lines on standard output, a progress bar on standard error where that is a
//! terminal.

use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};

/// Where lines go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log;

impl Log {
    /// Writes one line. A reader that went away does not end training.
    pub(crate) fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// A bar of `rounds` steps; hidden unless standard error is a terminal and standard output is not, so that bar and
    /// metric lines do not overwrite each other.
    pub(crate) fn progress(&self, rounds: u64) -> ProgressBar {
        use std::io::IsTerminal;
        if std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rounds, {eta} left");
        ProgressBar::new(rounds).with_style(style.expect("the template is a constant"))
    }
}
