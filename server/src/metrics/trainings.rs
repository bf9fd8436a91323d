//! The numbers of training jobs: how many wait and run, and how they ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::text::{self, Text};
use super::{TRAINING_JOBS, TRAINING_JOBS_ENDED};

/// All jobs' numbers.
#[derive(Debug, Default)]
pub struct Trainings(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    waiting: u64,
    running: u64,
    /// By what they ended as, in the order of their first end.
    ended: Vec<(&'static str, u64)>,
}

/// A job that waits for its turn, until this is dropped.
#[derive(Debug)]
pub struct WaitingJob<'a>(&'a Trainings);

/// A job that runs, until this is dropped.
#[derive(Debug)]
pub struct RunningJob<'a>(&'a Trainings);

impl Trainings {
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
        let (name, help) = TRAINING_JOBS;
        text.family(name, "gauge", help);
        for (state, count) in [("running", numbers.running), ("waiting", numbers.waiting)] {
            text.sample(name, &text::label("state", state), count);
        }
        let (name, help) = TRAINING_JOBS_ENDED;
        text.family(name, "counter", help);
        for (status, count) in &numbers.ended {
            text.sample(name, &text::label("status", status), *count);
        }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    use super::*;

    fn check(trainings: &Trainings, expected: &[&str]) {
        let mut text = Text::default();
        trainings.show(&mut text);
        let page = text.finish();
        for line in expected {
            assert!(page.lines().any(|found| found == *line), "expected {line}, found:\n{page}");
        }
    }

    #[test]
    fn jobs_are_counted_where_they_are() {
        let trainings = Trainings::default();
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
