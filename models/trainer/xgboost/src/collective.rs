//! Several hosts train one model by XGBoost's own collective: host 0 runs its tracker, all join, and from then on every sum
//! that XGBoost takes over rows is over the rows of all hosts. Trees are equal on all hosts; next to one host's over the same
//! rows they differ by the rounding of f32 histograms and by where quantile cuts fall, since each host sketches its own rows.

use std::sync::Arc;

use estimator::{Cluster, Job, TrainError};
use serde_json::{Value, json};

use crate::ffi::{Library, Membership, Tracker};

/// Seconds that a host waits for another within an operation. Reason: hosts may differ widely in what they read before the
/// first, and a host that is gone closes its connections at once.
const WAIT_S: u64 = 1800;

/// This host among the others, as long as it lives.
#[derive(Debug)]
pub(crate) struct Hosts {
    // In this order: host 0 leaves before it takes the tracker down.
    membership: Membership,
    tracker: Option<Tracker>,
}

impl Hosts {
    /// Joins; `None` for one host alone.
    ///
    /// # Errors
    /// When the hosts do not meet.
    pub(crate) fn join(library: &Arc<Library>, job: &Job) -> Result<Option<Self>, TrainError> {
        let Some(address) = job.cluster.root_address() else { return Ok(None) };
        let tracker = job.cluster.is_root().then(|| {
            let config = json!({
                "dmlc_communicator": "rabit",
                "host": address.to_string(),
                "n_workers": job.cluster.size(),
                "port": 0,
                // By task id, which is the rank here, so that both orders are one.
                "sortby": 1,
                "timeout": WAIT_S,
            });
            Tracker::start(library, &config.to_string())
        });
        let started = tracker.transpose().and_then(|tracker| {
            let arguments = tracker.as_ref().map(Tracker::worker_arguments).transpose()?;
            Ok((tracker, arguments.unwrap_or_default()))
        });
        let (tracker, mut config) = agree(&job.cluster, started.map_err(TrainError::from))?;
        config["dmlc_communicator"] = json!("rabit");
        config["dmlc_task_id"] = json!(format!("{:08}", job.cluster.rank()));
        config["dmlc_timeout"] = json!(WAIT_S);
        let membership = Membership::join(library, &config.to_string())?;
        Ok(Some(Self { membership, tracker }))
    }

    /// Leaves, all hosts together: one that came to leave later would find no tracker to say so to.
    ///
    /// # Errors
    /// When a host is gone.
    pub(crate) fn leave(self, job: &Job) -> Result<(), TrainError> {
        drop(self.membership);
        job.cluster.sum(&mut [0.0])?;
        drop(self.tracker);
        Ok(())
    }
}

/// What host 0 says of its tracker, on all hosts. Others wait for these bytes, so that a failure is told to them before it is
/// returned.
fn agree<T>(cluster: &Cluster, started: Result<(T, String), TrainError>) -> Result<(T, Value), TrainError> {
    let own = started.as_ref().map_or_else(|_| Vec::new(), |(_, arguments)| arguments.clone().into_bytes());
    let arguments = cluster.broadcast(own)?;
    let (tracker, _) = started?;
    #[expect(
        clippy::disallowed_methods,
        reason = "host 0's own words, of some hundred bytes: the cluster caps a message"
    )]
    let config = serde_json::from_slice(&arguments)
        .map_err(|_| TrainError::Internal("host 0 could not start XGBoost's tracker".into()))?;
    Ok((tracker, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_hosts_hear_that_there_is_no_tracker() {
        let mut clusters = Cluster::for_tests(2);
        let (other, root) = (clusters.remove(1), clusters.remove(0));
        let other = std::thread::spawn(move || agree(&other, Ok(((), String::new()))).map(|_| ()));
        let failed = agree::<()>(&root, Err(TrainError::Internal("no port".into()))).expect_err("it failed");
        assert_eq!(failed.to_string(), "no port");
        let heard = other.join().expect("no panic").expect_err("host 0 failed");
        assert_eq!(heard.to_string(), "host 0 could not start XGBoost's tracker");
    }

    #[test]
    fn all_hosts_join_by_what_host_0_says() {
        let mut clusters = Cluster::for_tests(2);
        let (other, root) = (clusters.remove(1), clusters.remove(0));
        let other = std::thread::spawn(move || agree(&other, Ok(((), String::new()))));
        let said = r#"{"dmlc_tracker_port": 7}"#.to_owned();
        let (_, config) = agree(&root, Ok(((), said))).expect("sound");
        assert_eq!(config["dmlc_tracker_port"], 7);
        assert_eq!(other.join().expect("no panic").expect("sound").1, config);
    }
}
