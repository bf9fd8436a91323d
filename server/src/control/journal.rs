//! What happens to endpoints, for whoever looks later: lines of the endpoint's log group, and the event "SageMaker Endpoint
//! Deployment State Change" as a line of `events.jsonl`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use telemetry::Telemetry;
use telemetry::logs::Line;
use wire::Timestamp;

use super::endpoint::{EndpointState, Fleet};
use super::record::Record;
use super::{ids, instance};

/// When a file of events is full. Reason: some thousand events, which a person or a script still reads at once.
const EVENTS_BYTES_MAX: u64 = 8 << 20;

/// Full files that are kept beside the one that is written. Reason: with it, 32 MiB at most.
const FULL_FILES_KEPT: usize = 3;

/// The files of events and the log groups of endpoints.
#[derive(Debug)]
pub(super) struct Journal {
    telemetry: Arc<Telemetry>,
    path: PathBuf,
    /// Held while a line is written or the files move up.
    file: Mutex<()>,
}

impl Journal {
    /// Events go to `events.jsonl` below `data`.
    pub(super) fn new(data: &Path, telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry, path: data.join("events.jsonl"), file: Mutex::default() }
    }

    /// A line in the log of every variant of `fleet`, now.
    pub(super) fn log(&self, endpoint: &str, fleet: &Fleet, message: &str) {
        tracing::info!(endpoint, config = fleet.config.name, "{message}");
        for variant in &fleet.variants {
            self.log_variant(endpoint, fleet, &variant.name, message);
        }
    }

    /// A line in the log of one variant, now.
    pub(super) fn log_variant(&self, endpoint: &str, fleet: &Fleet, variant: &str, message: &str) {
        let group = format!("/aws/sagemaker/Endpoints/{endpoint}");
        let stream = format!("{variant}/{}", instance::id(endpoint, fleet.id, variant));
        self.log_line(group, stream, message.to_owned());
    }

    /// A line in a stream of a group, now.
    pub(super) fn log_line(&self, group: String, stream: String, message: String) {
        self.telemetry.logs.enqueue(Line { group, stream, time: Timestamp::now(), message });
    }

    /// The event that the endpoint's deployment is now in another state. A disk that is full must not stop a deployment:
    /// then the log says so.
    pub(super) fn changed(&self, record: &Record, state: &EndpointState) {
        self.record(&event(record, state, &ids::uuid()));
    }

    /// Writes `event`.
    pub(super) fn record(&self, event: &Value) {
        if let Err(error) = self.append(event) {
            tracing::warn!(path = %self.path.display(), %error, "an event could not be written");
        }
    }

    fn append(&self, event: &Value) -> io::Result<()> {
        let _file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() >= EVENTS_BYTES_MAX) {
            self.move_up()?;
        }
        let mut file = File::options().create(true).append(true).open(&self.path)?;
        file.write_all(format!("{event}\n").as_bytes())
    }

    /// `events.jsonl` becomes `events.jsonl.1`, that becomes `….2`, and so on; the last goes.
    fn move_up(&self) -> io::Result<()> {
        let numbered = |number: usize| match number {
            0 => self.path.clone(),
            number => self.path.with_extension(format!("jsonl.{number}")),
        };
        for number in (0..FULL_FILES_KEPT).rev().filter(|number| numbered(*number).exists()) {
            fs::rename(numbered(number), numbered(number + 1))?;
        }
        Ok(())
    }
}

/// An event as EventBridge would carry it: what `record` is of is now in another state.
pub(super) fn envelope(record: &Record, detail_type: &str, id: &str, detail: impl Into<Value>) -> Value {
    let mut parts = record.arn.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    json!({
        "version": "0",
        "id": id,
        "detail-type": detail_type,
        "source": "aws.sagemaker",
        "account": account,
        "time": record.modified.iso8601(),
        "region": region,
        "resources": [record.arn],
        "detail": detail.into(),
    })
}

fn event(record: &Record, state: &EndpointState, id: &str) -> Value {
    let fleet = state.fleet.as_ref().or_else(|| state.pending());
    let variants: Vec<_> = fleet
        .into_iter()
        .flat_map(Fleet::production)
        .map(|variant| {
            json!({
                "VariantName": variant.name,
                "CurrentWeight": variant.current_weight,
                "DesiredWeight": variant.desired_weight,
                "CurrentInstanceCount": variant.current_instance_count,
                "DesiredInstanceCount": variant.desired_instance_count,
            })
        })
        .collect();
    let detail = json!({
        "EndpointName": record.name,
        "EndpointArn": record.arn,
        "EndpointConfigName": fleet.map(|fleet| &*fleet.config.name),
        "PendingEndpointConfigName": state.pending().map(|fleet| &*fleet.config.name),
        "ProductionVariants": variants,
        "EndpointStatus": capitals(state.status.as_str()),
        "DeploymentStage": state.change.as_ref().map(|change| capitals(&format!("{:?}", change.progress.phase))),
        "DeploymentStep": state.change.as_ref().map(|change| change.progress.step),
        "FailureReason": state.failure_reason,
        "CreationTime": record.created.0,
        "LastModifiedTime": record.modified.0,
    });
    envelope(record, "SageMaker Endpoint Deployment State Change", id, detail)
}

/// `InService` as `IN_SERVICE`.
fn capitals(status: &str) -> String {
    let mut text = String::new();
    for letter in status.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::deployment::tests::fleet;
    use super::*;

    fn journal(data: &Path) -> Journal {
        Journal::new(data, Arc::new(Telemetry::in_memory().unwrap()))
    }

    #[test]
    fn an_event_carries_the_state_in_capitals() {
        let data = tempfile::tempdir().unwrap();
        let journal = journal(data.path());
        let state = EndpointState::create(fleet("green", &[("a", 1.0, 1)]), None, Timestamp(0)).unwrap();
        let record = Record {
            name: "e".into(),
            arn: "arn:aws:sagemaker:eu-west-1:000000000000:endpoint/e".into(),
            created: Timestamp(0),
            modified: Timestamp(1000),
            status: String::new(),
            document: serde_json::Map::new(),
        };
        journal.changed(&record, &state);
        journal.changed(&record, &state);
        let text = fs::read_to_string(data.path().join("events.jsonl")).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 2);
        assert_ne!(events[0]["id"], events[1]["id"]);
        assert_eq!(
            (&events[0]["region"], &events[0]["account"]),
            (&json!("eu-west-1"), &json!("000000000000"))
        );
        assert_eq!(events[0]["time"], "1970-01-01T00:00:01Z");
        assert_eq!(events[0]["detail"]["EndpointStatus"], "CREATING");
        assert_eq!(events[0]["detail"]["EndpointConfigName"], "green");
        assert_eq!(capitals("UpdateRollbackFailed"), "UPDATE_ROLLBACK_FAILED");
    }

    #[test]
    fn full_files_move_up_and_the_oldest_goes() {
        let data = tempfile::tempdir().unwrap();
        let journal = journal(data.path());
        for round in 0..6 {
            let file = File::create(data.path().join("events.jsonl")).unwrap();
            file.set_len(EVENTS_BYTES_MAX).unwrap();
            journal.append(&json!(round)).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(data.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["events.jsonl", "events.jsonl.1", "events.jsonl.2", "events.jsonl.3"]);
        assert_eq!(fs::read_to_string(data.path().join("events.jsonl")).unwrap(), "5\n");
    }
}
