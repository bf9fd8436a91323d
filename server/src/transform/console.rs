//! What a person sees while a transform runs: a bar on a terminal, else a line a minute; on standard error, since standard output
//! may be the answers.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use transform::Progress;
use transform::job::Counts;

use crate::config::transform::ProgressKind;

/// How often the bar is drawn. Reason: as often as an eye follows numbers.
const BAR_INTERVAL: Duration = Duration::from_millis(250);

/// How often a line is written where there is no bar. Reason: a job of a day leaves some thousand lines.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// A bar where it is known how much there is. What a narrow terminal has no room for is left out, so that it stays one line.
const BAR: &str = "{percent:>3} % {bar:16} {wide_msg}";

/// What there is of it where it is not, as of standard input.
const NO_BAR: &str = "{wide_msg}";

const MB: f64 = 1e6;

/// Standard error, with or without a bar at its end.
pub(super) struct Console {
    bar: Option<ProgressBar>,
    has_lines: bool,
    started: Instant,
}

impl Console {
    /// Shows progress in this way.
    pub(super) fn start(kind: ProgressKind) -> Self {
        let is_bar = match kind {
            ProgressKind::Auto => io::stderr().is_terminal(),
            ProgressKind::Bar => true,
            ProgressKind::Lines | ProgressKind::None => false,
        };
        let bar = is_bar.then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.set_style(style(NO_BAR));
            bar
        });
        let has_lines = !is_bar && kind != ProgressKind::None;
        Self { bar, has_lines, started: Instant::now() }
    }

    /// Says a line, above the bar. A closed standard error is no reason to fail.
    pub(super) fn say(&self, line: &str) {
        let write = || _ = writeln!(io::stderr().lock(), "{line}");
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Shows `progress` until it is dropped.
    pub(super) async fn show(self: Arc<Self>, progress: Arc<Progress>) {
        if self.bar.is_none() && !self.has_lines {
            return;
        }
        let interval = if self.bar.is_some() { BAR_INTERVAL } else { LINE_INTERVAL };
        let mut ticks = tokio::time::interval(interval);
        // The first comes at once, when there is nothing to show.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let seen = Counts::from(&*progress);
            let line = line(&seen, self.started.elapsed());
            match &self.bar {
                Some(bar) => {
                    if seen.bytes_found > 0 && bar.length() == Some(0) {
                        bar.set_style(style(BAR));
                    }
                    bar.set_length(seen.bytes_found);
                    bar.set_position(seen.bytes_read);
                    bar.set_message(line);
                    bar.tick();
                }
                None => self.say(&line),
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}

/// What there is to see after `elapsed`.
fn line(seen: &Counts, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let mut line = format!("{} records, {:.1} MB/s", seen.records, seen.bytes_read as f64 / MB / seconds);
    if let Some(left) = left(seen, elapsed) {
        line += &format!(", {} left", short(left));
    }
    if seen.objects_found > 0 {
        line += &format!(", {} of {} objects", seen.objects_done, seen.objects_found);
    }
    if seen.objects_failed > 0 {
        line += &format!(" ({} failed)", seen.objects_failed);
    }
    line
}

/// At the speed so far; `None` where there is nothing to tell it by.
fn left(seen: &Counts, elapsed: Duration) -> Option<Duration> {
    let rest = seen.bytes_found.checked_sub(seen.bytes_read)?;
    if seen.bytes_read == 0 || rest == 0 {
        return None;
    }
    let seconds = elapsed.as_secs_f64() * rest as f64 / seen.bytes_read as f64;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A time for people: its two largest units.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes_found: u64, bytes_read: u64, objects_failed: u64) -> Counts {
        let objects_found = u64::from(bytes_found > 0) * 3;
        let (records, objects_done) = (20, 1);
        Counts {
            bytes_found,
            bytes_read,
            records,
            objects_found,
            objects_done,
            objects_failed,
            ..Counts::default()
        }
    }

    #[test]
    fn a_line_has_what_is_known() {
        let check = |seen: Counts, expected: &str| assert_eq!(line(&seen, Duration::from_secs(10)), expected);
        check(seen(0, 5_000_000, 0), "20 records, 0.5 MB/s");
        check(seen(40_000_000, 10_000_000, 0), "20 records, 1.0 MB/s, 30 s left, 1 of 3 objects");
        check(seen(10_000_000, 10_000_000, 2), "20 records, 1.0 MB/s, 1 of 3 objects (2 failed)");
        check(seen(10_000_000, 0, 0), "20 records, 0.0 MB/s, 1 of 3 objects");
    }

    #[test]
    fn times_are_short() {
        let check = |seconds, expected: &str| assert_eq!(short(Duration::from_secs(seconds)), expected);
        check(59, "59 s");
        check(61, "1 min 1 s");
        check(3_599, "59 min 59 s");
        check(90_061, "25 h 1 min");
    }
}
