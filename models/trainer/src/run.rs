//! One run of an algorithm's `fit`: a panic is an internal fault with a reason, and the other hosts are told why there is no
//! model.

use std::panic::{AssertUnwindSafe, catch_unwind};

use estimator::{Estimator, Fitted, Job, TrainError};

/// Trains `job`.
///
/// # Errors
/// Those of the algorithm; a panic too.
pub(crate) fn fit(estimator: &Estimator, job: &Job) -> Result<Fitted, TrainError> {
    check_distributed(estimator, job)?;
    // Nothing of the job is used after a panic but the way to the other hosts.
    let outcome = catch_unwind(AssertUnwindSafe(|| (estimator.fit)(job)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(TrainError::Internal(format!("a fault in {} itself: {message}", estimator.name)))
    });
    outcome.inspect_err(|error| job.cluster.leave(error))
}

fn check_distributed(estimator: &Estimator, job: &Job) -> Result<(), TrainError> {
    match job.cluster.size() {
        size if size > 1 && !estimator.is_distributed => Err(TrainError::client(format!(
            "{}: expected one instance, found {size} hosts in resourceconfig.json",
            estimator.name
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use estimator::Cluster;

    fn estimator(fit: fn(&Job) -> Result<Fitted, TrainError>, is_distributed: bool) -> Estimator {
        let default_content_type = "text/csv";
        Estimator {
            name: "pca",
            table: &[],
            channels: &[],
            default_content_type,
            is_distributed,
            is_incremental: false,
            takes_parquet: false,
            fit,
        }
    }

    #[test]
    fn a_panic_is_an_internal_fault() {
        let job = Job::for_tests(&[], &[]);
        let error = fit(&estimator(|_| panic!("row {} of 7", 9), false), &job).expect_err("a panic");
        assert_eq!(error.failure_text(), "InternalServerError: a fault in pca itself: row 9 of 7");
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn an_algorithm_of_one_host_refuses_several() {
        let mut job = Job::for_tests(&[], &[]);
        job.cluster = Cluster::for_tests(2).remove(0);
        let error = fit(&estimator(|_| Err(TrainError::Stopped), false), &job).expect_err("two hosts");
        assert_eq!(error.to_string(), "pca: expected one instance, found 2 hosts in resourceconfig.json");
    }

    #[test]
    fn the_other_hosts_are_told_why() {
        let mut clusters = Cluster::for_tests(2);
        let other = clusters.remove(1);
        let mut job = Job::for_tests(&[], &[]);
        job.cluster = clusters.remove(0);
        fit(&estimator(|_| Err(TrainError::client("row 7 is no row")), true), &job).expect_err("it fails");
        let error = other.sum(&mut [1.0]).expect_err("host 0 failed");
        assert_eq!(error.to_string(), "host algo-1 failed: row 7 is no row");
    }
}
