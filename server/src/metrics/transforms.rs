//! The numbers of transform jobs: those that run are counted by their engine as they go, and looked at when the page is read;
//! what ended ones counted is added up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use transform::Progress;
use transform::job::Counts;

use super::jobs::{self, Jobs, WaitingJob};
use super::text::Text;
use super::{TRANSFORM_COUNTERS, TRANSFORM_JOBS, TRANSFORM_JOBS_ENDED};

/// How many counters of the engine are shown.
const COUNTERS: usize = TRANSFORM_COUNTERS.len();

/// All jobs' numbers.
#[derive(Debug)]
pub struct Transforms {
    jobs: Jobs,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    running: Vec<Arc<Job>>,
    /// What ended jobs counted, in the order of [`TRANSFORM_COUNTERS`].
    counted: [u64; COUNTERS],
}

#[derive(Debug)]
struct Job {
    /// `<job>/<instance>`: CloudWatch's dimension.
    host: String,
    progress: Arc<Progress>,
}

/// A job that runs, until this is dropped.
#[derive(Debug)]
pub struct RunningJob<'a> {
    transforms: &'a Transforms,
    job: Arc<Job>,
    _counted: jobs::RunningJob<'a>,
}

impl Default for Transforms {
    fn default() -> Self {
        Self { jobs: Jobs::new(TRANSFORM_JOBS, TRANSFORM_JOBS_ENDED), numbers: Mutex::default() }
    }
}

impl Transforms {
    /// A job waits.
    pub fn wait(&self) -> WaitingJob<'_> {
        self.jobs.wait()
    }

    /// A job runs on `host` and counts in `progress`.
    pub fn run(&self, host: String, progress: Arc<Progress>) -> RunningJob<'_> {
        let job = Arc::new(Job { host, progress });
        self.numbers().running.push(Arc::clone(&job));
        RunningJob { transforms: self, job, _counted: self.jobs.run() }
    }

    /// A job has ended, in this status.
    pub fn end(&self, status: &'static str) {
        self.jobs.end(status);
    }

    /// Where jobs run now.
    pub fn hosts(&self) -> Vec<String> {
        self.numbers().running.iter().map(|job| job.host.clone()).collect()
    }

    /// Their part of the page.
    pub(super) fn show(&self, text: &mut Text) {
        self.jobs.show(text);
        let numbers = self.numbers();
        let mut totals = numbers.counted;
        numbers.running.iter().for_each(|job| add(&mut totals, &job.progress));
        for ((name, help), total) in TRANSFORM_COUNTERS.into_iter().zip(totals) {
            text.family(name, "counter", help);
            text.sample(name, "", total);
        }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningJob<'_> {
    fn drop(&mut self) {
        let mut numbers = self.transforms.numbers();
        numbers.running.retain(|job| !Arc::ptr_eq(job, &self.job));
        add(&mut numbers.counted, &self.job.progress);
    }
}

/// Adds what `progress` counted, in the order of [`TRANSFORM_COUNTERS`].
fn add(totals: &mut [u64; COUNTERS], progress: &Progress) {
    let counts = Counts::from(progress);
    let counted = [
        // Those that an earlier run had done were counted then.
        counts.objects_done.saturating_sub(counts.objects_skipped),
        counts.objects_failed,
        counts.records,
        counts.records_refused,
        counts.bytes_read,
        counts.bytes_written,
        counts.calls,
        counts.retries,
    ];
    totals.iter_mut().zip(counted).for_each(|(total, count)| *total += count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(transforms: &Transforms, expected: &[&str]) {
        let mut text = Text::default();
        transforms.show(&mut text);
        let page = text.finish();
        for line in expected {
            assert!(page.lines().any(|found| found == *line), "expected {line}, found:\n{page}");
        }
    }

    #[test]
    fn a_job_counts_while_it_runs_and_after_it_ended() {
        let transforms = Transforms::default();
        let waiting = transforms.wait();
        check(&transforms, &[r#"clary_transform_jobs{state="waiting"} 1"#]);
        drop(waiting);
        let progress = Arc::new(Progress::default());
        let running = transforms.run("j/i-1".into(), Arc::clone(&progress));
        assert_eq!(transforms.hosts(), ["j/i-1"]);
        Progress::add(&progress.records, 5);
        Progress::add(&progress.objects_done, 3);
        Progress::add(&progress.objects_skipped, 1);
        let counted = ["clary_transform_records_total 5", "clary_transform_objects_total 2"];
        check(&transforms, &[r#"clary_transform_jobs{state="running"} 1"#]);
        check(&transforms, &counted);
        drop(running);
        transforms.end("Completed");
        check(&transforms, &counted);
        check(&transforms, &[r#"clary_transform_jobs{state="running"} 0"#]);
        check(&transforms, &[r#"clary_transform_jobs_ended_total{status="Completed"} 1"#]);
        assert!(transforms.hosts().is_empty());
        let other = Arc::new(Progress::default());
        Progress::add(&other.records, 2);
        let _running = transforms.run("k/i-2".into(), other);
        check(&transforms, &["clary_transform_records_total 7"]);
    }
}
