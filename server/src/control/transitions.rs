//! What each call does to an endpoint's state: pure functions that check the state machine and return the next state,
//! which is stored before the call is answered.
//!
//! ```text
//! create ─► Creating ─► InService ◄─► Updating ─► (RollingBack) ─► InService │ UpdateRollbackFailed
//!               └─► Failed                 delete, from anywhere but Creating ─► Deleting ─► gone
//! ```

use serde_json::Value;
use wire::Timestamp;

use super::ControlError;
use super::deployment::Policy;
use super::endpoint::{Change, ChangeKind, EndpointState, EndpointStatus, Fleet, Phase, Progress};
use super::fleet::VariantProperty;

/// What `UpdateEndpoint` asks for, beside the new fleet.
#[derive(Debug, Clone, Default)]
pub(super) struct Deployment {
    pub retain_all: bool,
    pub exclude: Vec<VariantProperty>,
    pub deployment_config: Option<Value>,
    pub retain_deployment_config: bool,
}

/// What `UpdateEndpointWeightsAndCapacities` asks for one variant; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredWeightAndCapacity {
    /// The variant.
    pub variant: String,
    /// `DesiredWeight`.
    pub weight: Option<f64>,
    /// `DesiredInstanceCount`.
    pub instance_count: Option<u32>,
    /// `ServerlessUpdateConfig`.
    pub serverless: Option<Value>,
}

impl EndpointState {
    /// A new endpoint whose first fleet is to be loaded. `deployment_config` waits for an update that retains it.
    ///
    /// # Errors
    /// When the deployment configuration contradicts itself.
    pub(super) fn create(
        fleet: Fleet,
        deployment_config: Option<Value>,
        now: Timestamp,
    ) -> Result<Self, ControlError> {
        Policy::parse(deployment_config.as_ref(), &fleet)?;
        let kind = ChangeKind::Deploy { fleet: Box::new(fleet), deployment_config: None };
        Ok(Self {
            status: EndpointStatus::Creating,
            failure_reason: None,
            fleet: None,
            change: Some(begin(kind, now)),
            last_deployment_config: deployment_config,
        })
    }

    /// Begins a deployment of `fleet`.
    ///
    /// # Errors
    /// When the endpoint is in no state for it, or what is asked contradicts itself.
    pub(super) fn deploy(
        &self,
        name: &str,
        mut fleet: Fleet,
        asked: Deployment,
        now: Timestamp,
    ) -> Result<Self, ControlError> {
        let current = self.changeable(name)?;
        refuse_serverless_conversion(current, &fleet)?;
        fleet.id = fleet.id.max(current.id + 1);
        if asked.retain_all {
            fleet.retain(current, &asked.exclude)?;
        }
        let deployment_config = match (asked.deployment_config, asked.retain_deployment_config) {
            (Some(_), true) => {
                return Err(ControlError::Refused(
                    "expected DeploymentConfig or RetainDeploymentConfig, found both".into(),
                ));
            }
            (given, false) => given,
            (None, true) => self.last_deployment_config.clone(),
        };
        Policy::parse(deployment_config.as_ref(), &fleet)?;
        let kind = ChangeKind::Deploy { fleet: Box::new(fleet), deployment_config };
        Ok(self.changing(EndpointStatus::Updating, kind, now))
    }

    /// Begins to change weights and counts in place; all variants together.
    ///
    /// # Errors
    /// When the endpoint is in no state for it, a variant does not exist, or a number is not one that can be served.
    pub(super) fn adjust(
        &self,
        name: &str,
        asked: &[DesiredWeightAndCapacity],
        now: Timestamp,
    ) -> Result<Self, ControlError> {
        self.changeable(name)?;
        if self.status == EndpointStatus::UpdateRollbackFailed {
            return Err(wrong_state(name, self.status, "UpdateEndpoint or DeleteEndpoint"));
        }
        let mut next = self.changing(EndpointStatus::Updating, ChangeKind::Adjust, now);
        let fleet = next.fleet.as_mut().expect("a changeable endpoint has a fleet");
        let is_asynchronous = fleet.is_asynchronous();
        for desired in asked {
            let variant = fleet.variants.iter_mut().find(|variant| variant.name == desired.variant);
            let variant = variant.ok_or_else(|| ControlError::NoVariant {
                endpoint: name.to_owned(),
                variant: desired.variant.clone(),
            })?;
            if let Some(weight) = desired.weight {
                check_weight(&desired.variant, weight)?;
                variant.desired_weight = weight;
            }
            if let Some(count) = desired.instance_count {
                check_count(&desired.variant, count, variant.current_serverless.is_some(), is_asynchronous)?;
                variant.desired_instance_count = count;
            }
            if let Some(serverless) = &desired.serverless {
                variant.desired_serverless = Some(merge_serverless(variant, serverless)?);
            }
        }
        fleet.check_weights()?;
        Ok(next)
    }

    /// Begins to delete it.
    ///
    /// # Errors
    /// While it is created; a deletion under way goes on as it is.
    pub(super) fn delete(&self, name: &str, now: Timestamp) -> Result<Self, ControlError> {
        match self.status {
            EndpointStatus::Creating | EndpointStatus::Deleting => {
                Err(ControlError::InProgress(name.to_owned()))
            }
            _ => Ok(self.changing(EndpointStatus::Deleting, ChangeKind::Delete, now)),
        }
    }

    /// The fleet that serves, if a change may begin.
    fn changeable(&self, name: &str) -> Result<&Fleet, ControlError> {
        match (self.status, &self.fleet, &self.change) {
            (EndpointStatus::Failed, ..) => Err(wrong_state(name, self.status, "DeleteEndpoint")),
            (EndpointStatus::OutOfService, ..) => {
                Err(wrong_state(name, self.status, "DeleteEndpoint, or to wait until it is restored"))
            }
            (_, Some(fleet), None) => Ok(fleet),
            _ => Err(ControlError::InProgress(name.to_owned())),
        }
    }

    fn changing(&self, status: EndpointStatus, kind: ChangeKind, now: Timestamp) -> Self {
        Self { status, change: Some(begin(kind, now)), ..self.clone() }
    }
}

fn begin(kind: ChangeKind, now: Timestamp) -> Change {
    Change { kind, started: now, progress: Progress { phase: Phase::Provision, step: 0, since: now } }
}

fn wrong_state(name: &str, status: EndpointStatus, expected: &str) -> ControlError {
    let status = status.as_str();
    ControlError::Refused(format!("endpoint {name} is in status {status}: expected {expected}"))
}

fn refuse_serverless_conversion(current: &Fleet, next: &Fleet) -> Result<(), ControlError> {
    for variant in next.production().filter(|variant| variant.current_serverless.is_some()) {
        if current.variant(&variant.name).is_some_and(|old| old.current_serverless.is_none()) {
            let name = &variant.name;
            return Err(ControlError::Refused(format!(
                "variant {name}: a variant with instances cannot become serverless; delete the endpoint first"
            )));
        }
    }
    Ok(())
}

fn check_weight(variant: &str, weight: f64) -> Result<(), ControlError> {
    if weight.is_finite() && weight >= 0.0 {
        return Ok(());
    }
    Err(ControlError::Refused(format!(
        "variant {variant}: expected a finite weight of at least 0, found {weight}"
    )))
}

fn check_count(
    variant: &str,
    count: u32,
    is_serverless: bool,
    is_asynchronous: bool,
) -> Result<(), ControlError> {
    if is_serverless {
        return Err(ControlError::Refused(format!(
            "variant {variant}: expected no DesiredInstanceCount, since it is serverless, found {count}"
        )));
    }
    if count == 0 && !is_asynchronous {
        return Err(ControlError::Refused(format!(
            "variant {variant}: expected at least 1 instance, found 0: only asynchronous endpoints scale to none"
        )));
    }
    Ok(())
}

fn merge_serverless(variant: &super::endpoint::VariantState, update: &Value) -> Result<Value, ControlError> {
    let Some(Value::Object(mut config)) = variant.current_serverless.clone() else {
        let name = &variant.name;
        return Err(ControlError::Refused(format!(
            "variant {name}: expected no ServerlessUpdateConfig, since it has instances"
        )));
    };
    for (member, value) in update.as_object().into_iter().flatten() {
        config.insert(member.clone(), value.clone());
    }
    let number = |member: &str| config.get(member).and_then(Value::as_u64);
    if let (Some(provisioned), Some(max)) = (number("ProvisionedConcurrency"), number("MaxConcurrency"))
        && provisioned > max
    {
        let name = &variant.name;
        return Err(ControlError::Refused(format!(
            "variant {name}: expected ProvisionedConcurrency of at most MaxConcurrency ({max}), found {provisioned}"
        )));
    }
    Ok(Value::Object(config))
}
