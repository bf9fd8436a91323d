//! The worker's reads and writes of the stored state, and what it tells the journal.

use std::collections::HashSet;

use rusqlite::Connection;
use wire::Timestamp;

use super::{Turn, Worker};
use crate::control::async_inference::queue;
use crate::control::deployment::Policy;
use crate::control::endpoint::{ChangeKind, EndpointState, Fleet};
use crate::control::record::{self, Kind, Record};
use crate::control::{Control, StateError, tags, transform};
use crate::rt;

/// The tag of an endpoint that names the attribute of CustomAttributes by which requests are assigned.
const ASSIGNMENT_TAG: &str = "clary:assignment-attribute";

impl Worker {
    /// What should be; `None` when the endpoint is gone.
    pub(super) async fn read(&self) -> Result<Option<Turn>, StateError> {
        let name = self.name.clone();
        self.control
            .database
            .read(move |connection| {
                let Some(record) = record::find(connection, Kind::Endpoint, &name)? else { return Ok(None) };
                let state = EndpointState::of_record(&record)?;
                let alarm = alarm(connection, &state)?;
                let attribute = tags::of(connection, &record.arn)?.0.remove(ASSIGNMENT_TAG);
                Ok(Some(Turn { record, state, alarm, attribute }))
            })
            .await
    }

    /// Stores `next`, unless the state changed since it was read: then the next turn sees that.
    pub(super) async fn store(&self, record: Record, next: EndpointState) -> Result<(), StateError> {
        let (before, hosting) = (record.document.clone(), std::sync::Arc::clone(&self.control.hosting));
        let stored = self.control.database.transact(move |connection| {
            let Some(mut record) = record::find(connection, Kind::Endpoint, &record.name)? else {
                return Ok::<_, StateError>(None);
            };
            if record.document != before {
                return Ok(None);
            }
            next.store(connection, &mut record, Timestamp::now())?;
            Ok(Some((record, next)))
        });
        if let Some((record, state)) = stored.await? {
            rt::blocking(move || hosting.journal.changed(&record, &state)).await;
        }
        Ok(())
    }

    /// Removes the endpoint, what is scaled by it and what waits for it.
    pub(super) async fn remove(&self, turn: Turn) -> Result<(), StateError> {
        let name = turn.record.name;
        self.control
            .database
            .transact(move |connection| {
                for kind in [Kind::ScheduledAction, Kind::ScalingPolicy, Kind::ScalableTarget] {
                    for record in record::all(connection, kind)? {
                        if scales(&record.name, &name) {
                            record::remove(connection, kind, &record.name)?;
                        }
                    }
                }
                // Another endpoint of this name must not answer what was asked of this one.
                queue::remove_all(connection, &name)?;
                record::remove(connection, Kind::Endpoint, &name).map(drop)
            })
            .await
    }

    /// A line in the logs of all variants of `fleet`.
    pub(super) fn log(&self, fleet: &Fleet, message: &str) {
        self.control.hosting.journal.log(&self.name, fleet, message);
    }

    /// Which artifacts the variants of `fleet` serve, each in its own log.
    pub(super) fn log_models(&self, fleet: &Fleet) {
        let Some(loaded) = self.actual.loaded(fleet.id) else { return };
        for variant in &fleet.variants {
            if let Some(pin) = loaded.variant(&variant.name).and_then(|loaded| loaded.pin.as_ref()) {
                let message = format!("model {} loaded: {}, SHA-256 {}", variant.model, pin.url, pin.sha256);
                self.control.hosting.journal.log_variant(&self.name, fleet, &variant.name, &message);
            }
        }
    }

    /// The logs of a fleet that another took over from end with this.
    pub(super) fn log_replaced(&self, blue: &Fleet) {
        self.log(blue, "replaced");
    }
}

impl Control {
    /// Removes the artifacts that no endpoint needs any more.
    pub(in crate::control) async fn sweep(&self) {
        let referenced = self.database.transact(|connection| referenced(connection)).await;
        let artifacts = std::sync::Arc::clone(self.hosting.models.artifacts());
        match referenced {
            Ok(referenced) => rt::blocking(move || artifacts.sweep(&referenced)).await,
            Err(error) => tracing::warn!(%error, "artifacts are not swept: the state cannot be read"),
        }
    }
}

/// The digests that endpoints and transform jobs are held to.
fn referenced(connection: &Connection) -> Result<HashSet<String>, StateError> {
    let mut digests = transform::referenced(connection)?;
    for record in record::all(connection, Kind::Endpoint)? {
        let state = EndpointState::of_record(&record)?;
        for fleet in state.fleet.iter().chain(state.pending()) {
            let pins = fleet.variants.iter().filter_map(|variant| variant.artifact.as_ref());
            digests.extend(pins.map(|pin| pin.sha256.clone()));
        }
    }
    Ok(digests)
}

/// An alarm of the deployment under way that is in `ALARM`.
fn alarm(connection: &Connection, state: &EndpointState) -> Result<Option<String>, StateError> {
    let Some(change) = &state.change else { return Ok(None) };
    let ChangeKind::Deploy { fleet, deployment_config } = &change.kind else { return Ok(None) };
    let alarms =
        Policy::parse(deployment_config.as_ref(), fleet).map(|policy| policy.alarms).unwrap_or_default();
    for name in alarms {
        if record::find(connection, Kind::Alarm, &name)?.is_some_and(|alarm| alarm.status == "ALARM") {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether a scalable target, policy or scheduled action of this name is of a variant of `endpoint`.
fn scales(name: &str, endpoint: &str) -> bool {
    let part = format!("endpoint/{endpoint}/variant/").to_ascii_lowercase();
    name.to_ascii_lowercase().contains(&part)
}
