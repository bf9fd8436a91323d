//! The durable calls: each is one transaction that checks the state machine and stores the next state; then the
//! endpoint's worker is woken to make it so.

use rusqlite::Connection;
use serde_json::Value;
use wire::{Scope, Timestamp};

use super::autoscaling::target;
use super::autoscaling::{Dimension, TargetKey};
use super::deployment::Policy;
use super::endpoint::{ChangeKind, EndpointState, Fleet};
use super::fleet::VariantProperty;
use super::record::{self, Kind, Record};
use super::tags::{self, TagError, Tags};
use super::transitions::{Deployment, DesiredWeightAndCapacity};
use super::{Control, ControlError, StateError};

/// Endpoints of one server. Reason: each holds a model in memory and has a task of its own; this is more than a machine
/// serves, and keeps a runaway script from filling the state.
const ENDPOINTS_MAX: usize = 1000;

/// `CreateEndpoint`.
#[derive(Debug, Clone, Default)]
pub struct CreateEndpoint {
    /// `EndpointName`.
    pub name: String,
    /// `EndpointConfigName`.
    pub config_name: String,
    /// `DeploymentConfig`: kept for an update that retains it.
    pub deployment_config: Option<Value>,
    /// `Tags`.
    pub tags: Tags,
}

/// `UpdateEndpoint`.
#[derive(Debug, Clone, Default)]
pub struct UpdateEndpoint {
    /// `EndpointName`.
    pub name: String,
    /// `EndpointConfigName`.
    pub config_name: String,
    /// `RetainAllVariantProperties`.
    pub retain_all: bool,
    /// `ExcludeRetainedVariantProperties`.
    pub exclude: Vec<VariantProperty>,
    /// `DeploymentConfig`.
    pub deployment_config: Option<Value>,
    /// `RetainDeploymentConfig`.
    pub retain_deployment_config: bool,
}

impl Control {
    /// Stores a new endpoint and begins to load it; its ARN.
    ///
    /// # Errors
    /// When the name is taken, the configuration or a model of it does not exist, or what is asked contradicts itself.
    pub async fn create_endpoint(
        &self,
        scope: &Scope,
        create: CreateEndpoint,
    ) -> Result<String, ControlError> {
        let arn = scope.sagemaker(Kind::Endpoint.as_str(), &create.name).0;
        let (name, stored_arn) = (create.name.clone(), arn.clone());
        self.database
            .transact(move |transaction| insert_endpoint(transaction, create, stored_arn, Timestamp::now()))
            .await?;
        self.wake(&name);
        Ok(arn)
    }

    /// Stores a deployment of another configuration and begins it; the endpoint's ARN.
    ///
    /// # Errors
    /// When the endpoint, the configuration or a model does not exist, the endpoint is in no state for it, or what is
    /// asked contradicts itself.
    pub async fn update_endpoint(&self, update: UpdateEndpoint) -> Result<String, ControlError> {
        let name = update.name.clone();
        self.change(&name, move |transaction, endpoint, state| {
            let now = Timestamp::now();
            let fleet = Fleet::of_config(transaction, &update.config_name, now.0)?;
            let asked = Deployment {
                retain_all: update.retain_all,
                exclude: update.exclude,
                deployment_config: update.deployment_config,
                retain_deployment_config: update.retain_deployment_config,
            };
            let next = state.deploy(&endpoint.name, fleet, asked, now)?;
            check_alarms(transaction, &next)?;
            check_scalable_targets(transaction, &endpoint.name, state, &next)?;
            Ok((next, now))
        })
        .await
    }

    /// Stores new weights and counts and begins to apply them, in place and all together; the endpoint's ARN.
    ///
    /// # Errors
    /// When the endpoint or a variant does not exist, the endpoint is in no state for it, or a number cannot be served.
    pub async fn update_weights_and_capacities(
        &self,
        name: &str,
        desired: Vec<DesiredWeightAndCapacity>,
    ) -> Result<String, ControlError> {
        self.change(name, move |_, endpoint, state| {
            let now = Timestamp::now();
            Ok((state.adjust(&endpoint.name, &desired, now)?, now))
        })
        .await
    }

    /// Stores that the endpoint is to go, and begins to take it away.
    ///
    /// # Errors
    /// When it does not exist, or is being created.
    pub async fn delete_endpoint(&self, name: &str) -> Result<(), ControlError> {
        let deleted = self.change(name, |connection, endpoint, state| {
            let now = Timestamp::now();
            let next = state.delete(&endpoint.name, now)?;
            // Another endpoint of this name begins without policies.
            target::deregister_endpoint(connection, &endpoint.name)?;
            Ok((next, now))
        });
        deleted.await.map(drop)
    }

    /// Reads the endpoint's state, stores the next, and wakes its worker, in this order.
    async fn change(
        &self,
        name: &str,
        next: impl FnOnce(
            &Connection,
            &Record,
            &EndpointState,
        ) -> Result<(EndpointState, Timestamp), ControlError>
        + Send
        + 'static,
    ) -> Result<String, ControlError> {
        let asked = name.to_owned();
        let arn = self.database.transact(move |transaction| {
            let found = record::find(transaction, Kind::Endpoint, &asked)?;
            let mut endpoint = found.ok_or(ControlError::NoEndpoint(asked))?;
            let state = EndpointState::of_record(&endpoint)?;
            let (next, now) = next(transaction, &endpoint, &state)?;
            next.store(transaction, &mut endpoint, now)?;
            Ok::<_, ControlError>(endpoint.arn)
        });
        let arn = arn.await?;
        self.wake(name);
        Ok(arn)
    }
}

impl EndpointState {
    /// The state that a record of [`Kind::Endpoint`] holds.
    ///
    /// # Errors
    /// When it is not one.
    pub fn of_record(record: &Record) -> Result<Self, StateError> {
        record.read()
    }

    /// Stores this as the state of `record`.
    pub(super) fn store(
        &self,
        connection: &Connection,
        record: &mut Record,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.status.as_str().clone_into(&mut record.status);
        record.modified = now;
        record.document = record::document(self)?;
        record::update(connection, Kind::Endpoint, record).map(drop)
    }
}

fn insert_endpoint(
    connection: &Connection,
    create: CreateEndpoint,
    arn: String,
    now: Timestamp,
) -> Result<(), ControlError> {
    if record::find(connection, Kind::Endpoint, &create.name)?.is_some() {
        return Err(ControlError::EndpointTaken(create.name));
    }
    if record::count(connection, Kind::Endpoint)? >= ENDPOINTS_MAX {
        return Err(ControlError::Refused(format!(
            "expected at most {ENDPOINTS_MAX} endpoints, found one more"
        )));
    }
    let fleet = Fleet::of_config(connection, &create.config_name, now.0)?;
    let state = EndpointState::create(fleet, create.deployment_config, now)?;
    let record = Record {
        name: create.name,
        arn,
        created: now,
        modified: now,
        status: state.status.as_str().to_owned(),
        document: record::document(&state)?,
    };
    record::insert(connection, Kind::Endpoint, &record)?;
    tags::put(connection, &record.arn, &create.tags)?;
    Ok(())
}

/// An alarm that nobody evaluates would never take anything back.
fn check_alarms(connection: &Connection, state: &EndpointState) -> Result<(), ControlError> {
    let Some(ChangeKind::Deploy { fleet, deployment_config }) =
        state.change.as_ref().map(|change| &change.kind)
    else {
        return Ok(());
    };
    for alarm in Policy::parse(deployment_config.as_ref(), fleet)?.alarms {
        if record::find(connection, Kind::Alarm, &alarm)?.is_none() {
            return Err(ControlError::Refused(format!(
                "AutoRollbackConfiguration: expected alarms that exist, found {alarm:?}"
            )));
        }
    }
    Ok(())
}

/// A target that scales instances of one type must not go on with those of another: its numbers mean something else.
fn check_scalable_targets(
    connection: &Connection,
    endpoint: &str,
    state: &EndpointState,
    next: &EndpointState,
) -> Result<(), ControlError> {
    let (Some(current), Some(pending)) = (&state.fleet, next.pending()) else { return Ok(()) };
    for variant in &pending.variants {
        let instance_type = |fleet: &Fleet| fleet.definition(&variant.name)?.get("InstanceType").cloned();
        let is_other =
            current.variant(&variant.name).is_some() && instance_type(current) != instance_type(pending);
        let (endpoint, name) = (endpoint.to_owned(), variant.name.clone());
        let target = TargetKey { endpoint, variant: name, dimension: Dimension::InstanceCount };
        if is_other && record::find(connection, Kind::ScalableTarget, &target.record_name())?.is_some() {
            return Err(ControlError::Refused(format!(
                "variant {}: expected the InstanceType that it has, since it is a scalable target, found another: \
                 deregister the target first",
                variant.name
            )));
        }
    }
    Ok(())
}

impl From<TagError> for ControlError {
    fn from(error: TagError) -> Self {
        match error {
            TagError::State(error) => Self::State(error),
            other => Self::Refused(other.to_string()),
        }
    }
}
