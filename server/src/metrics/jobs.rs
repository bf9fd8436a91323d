//! The numbers of the jobs of one kind: how many wait and run, and how they ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::text::{self, Text};

/// The jobs of one kind.
#[derive(Debug)]
pub struct Jobs {
    /// The name and the help of the gauge of those that wait and run.
    open: (&'static str, &'static str),
    /// The name and the help of the counter of those that have ended.
    ended: (&'static str, &'static str),
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    waiting: u64,
    running: u64,
    /// By what they ended as, in the order of their first end.
    ended: Vec<(&'static str, u64)>,
}

/// A job that waits for its turn, until this is dropped.
#[derive(Debug)]
pub struct WaitingJob<'a>(&'a Jobs);

/// A job that runs, until this is dropped.
#[derive(Debug)]
pub struct RunningJob<'a>(&'a Jobs);

impl Jobs {
    /// No jobs yet: shown as the gauge `open` and the counter `ended`, each a name and its help.
    pub(super) fn new(open: (&'static str, &'static str), ended: (&'static str, &'static str)) -> Self {
        Self { open, ended, numbers: Mutex::default() }
    }

    /// A job waits.
    pub fn wait(&self) -> WaitingJob<'_> {
        self.numbers().waiting += 1;
        WaitingJob(self)
    }

    /// A job runs.
    pub fn run(&self) -> RunningJob<'_> {
        self.numbers().running += 1;
        RunningJob(self)
    }

    /// A job has ended, in this status.
    pub fn end(&self, status: &'static str) {
        let mut numbers = self.numbers();
        match numbers.ended.iter_mut().find(|(ended, _)| *ended == status) {
            Some((_, count)) => *count += 1,
            None => numbers.ended.push((status, 1)),
        }
    }

    /// Their part of the page.
    pub(super) fn show(&self, text: &mut Text) {
        let numbers = self.numbers();
        let (name, help) = self.open;
        text.family(name, "gauge", help);
        for (state, count) in [("running", numbers.running), ("waiting", numbers.waiting)] {
            text.sample(name, &text::label("state", state), count);
        }
        let (name, help) = self.ended;
        text.family(name, "counter", help);
        for (status, count) in &numbers.ended {
            text.sample(name, &text::label("status", status), *count);
        }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitingJob<'_> {
    fn drop(&mut self) {
        self.0.numbers().waiting -= 1;
    }
}

impl Drop for RunningJob<'_> {
    fn drop(&mut self) {
        self.0.numbers().running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TRAINING_JOBS, TRAINING_JOBS_ENDED};
    use super::*;

    fn check(jobs: &Jobs, expected: &[&str]) {
        let mut text = Text::default();
        jobs.show(&mut text);
        let page = text.finish();
        for line in expected {
            assert!(page.lines().any(|found| found == *line), "expected {line}, found:\n{page}");
        }
    }

    #[test]
    fn jobs_are_counted_where_they_are() {
        let trainings = Jobs::new(TRAINING_JOBS, TRAINING_JOBS_ENDED);
        let (waiting, running) = (trainings.wait(), trainings.run());
        check(
            &trainings,
            &[r#"clary_training_jobs{state="waiting"} 1"#, r#"clary_training_jobs{state="running"} 1"#],
        );
        drop((waiting, running));
        trainings.end("Failed");
        trainings.end("Failed");
        check(
            &trainings,
            &[
                r#"clary_training_jobs{state="waiting"} 0"#,
                r#"clary_training_jobs{state="running"} 0"#,
                r#"clary_training_jobs_ended_total{status="Failed"} 2"#,
            ],
        );
    }
}
