//! `resourceconfig.json`: which hosts train together, and which of them this one is.

use serde_json::{Map, Value};

use estimator::{Cluster, Meeting, TrainError};

/// The most hosts of a job. Reason: all of them talk to the first, and the platform has no larger jobs.
const HOSTS_MAX: usize = 100;
/// The host that is meant when nobody says.
const ONLY_HOST: &str = "algo-1";

/// The hosts of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// Their names, sorted as text.
    pub(crate) names: Vec<String>,
    /// This one's place among them.
    pub(crate) rank: usize,
}

impl Hosts {
    /// What the file's object says.
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, TrainError> {
        let fault = |reason: String| TrainError::client(format!("resourceconfig.json: {reason}"));
        let text = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        let current = object.get("current_host").and_then(text);
        let mut names = match object.get("hosts") {
            None => vec![current.clone().unwrap_or_else(|| ONLY_HOST.into())],
            Some(Value::Array(hosts)) => {
                let names: Option<Vec<String>> = hosts.iter().map(text).collect();
                names.ok_or_else(|| fault("hosts: expected names, found something else".into()))?
            }
            Some(other) => return Err(fault(format!("hosts: expected a list of names, found {other}"))),
        };
        names.sort();
        names.dedup();
        if names.len() > HOSTS_MAX {
            let found = names.len();
            return Err(fault(format!("hosts: expected at most {HOSTS_MAX}, found {found}")));
        }
        let current = match (current, names.as_slice()) {
            (Some(current), _) => current,
            (None, [only]) => only.clone(),
            (None, _) => return Err(fault("current_host: expected one of the hosts, found none".into())),
        };
        let rank = names.iter().position(|name| *name == current).ok_or_else(|| {
            fault(format!("current_host: expected one of {}, found {current:?}", names.join(", ")))
        })?;
        Ok(Self { names, rank })
    }

    /// This host's name.
    pub(crate) fn name(&self) -> &str {
        &self.names[self.rank]
    }

    /// The connection to the others, host 0 being at `address` (else at its name and the usual port).
    pub(crate) fn meet(&self, address: Option<&str>, job: &str) -> Result<Cluster, TrainError> {
        if self.names.len() == 1 {
            return Ok(Cluster::single());
        }
        Cluster::meet(&Meeting {
            rank: self.rank,
            hosts: self.names.clone(),
            address: address.map(str::to_owned),
            job: job.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(Vec<String>, usize), String> {
        let Value::Object(object) = serde_json::from_str(json).expect("JSON") else { panic!("an object") };
        Hosts::read(&object).map(|hosts| (hosts.names, hosts.rank)).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_sorted_as_text() {
        let check = |json: &str, names: &[&str], rank| {
            assert_eq!(read(json), Ok((names.iter().map(|name| (*name).to_owned()).collect(), rank)));
        };
        check("{}", &["algo-1"], 0);
        check(r#"{"current_host": "algo-1", "hosts": ["algo-1"]}"#, &["algo-1"], 0);
        check(r#"{"current_host": "x"}"#, &["x"], 0);
        let hosts = r#"{"current_host": "algo-2", "hosts": ["algo-1", "algo-2", "algo-10"]}"#;
        check(hosts, &["algo-1", "algo-10", "algo-2"], 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |json: &str, expected: &str| {
            let error = read(json).expect_err("wrong");
            assert!(error.contains(expected), "{error}");
        };
        check(r#"{"hosts": ["a", "b"]}"#, "current_host: expected one of the hosts, found none");
        check(r#"{"current_host": "c", "hosts": ["a", "b"]}"#, "expected one of a, b, found \"c\"");
        check(r#"{"hosts": "a"}"#, "hosts: expected a list of names, found \"a\"");
        check(r#"{"hosts": [1]}"#, "hosts: expected names");
    }
}
