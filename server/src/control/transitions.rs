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
            (EndpointStatus::InService | EndpointStatus::UpdateRollbackFailed, Some(fleet), None) => {
                Ok(fleet)
            }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::deployment::tests::fleet;
    use super::*;

    const NOW: Timestamp = Timestamp(5);

    fn in_service(variants: &[(&str, f64, u32)]) -> EndpointState {
        EndpointState {
            status: EndpointStatus::InService,
            failure_reason: None,
            fleet: Some(fleet("blue", variants)),
            change: None,
            last_deployment_config: None,
        }
    }

    fn with_status(status: EndpointStatus) -> EndpointState {
        let mut state = in_service(&[("a", 1.0, 1)]);
        state.status = status;
        if matches!(status, EndpointStatus::Creating | EndpointStatus::Updating | EndpointStatus::RollingBack)
        {
            state.change = Some(begin(ChangeKind::Adjust, NOW));
        }
        state
    }

    fn deploy(state: &EndpointState, asked: Deployment) -> Result<EndpointState, ControlError> {
        state.deploy("e", fleet("green", &[("a", 3.0, 2), ("b", 0.5, 1)]), asked, NOW)
    }

    fn desired(variant: &str, weight: Option<f64>, instance_count: Option<u32>) -> DesiredWeightAndCapacity {
        DesiredWeightAndCapacity { variant: variant.into(), weight, instance_count, serverless: None }
    }

    /// Which of deploy, adjust and delete a status takes.
    fn check_status(status: EndpointStatus, deploys: bool, adjusts: bool, deletes: bool) {
        let state = with_status(status);
        assert_eq!(deploy(&state, Deployment::default()).is_ok(), deploys, "deploy in {status:?}");
        assert_eq!(
            state.adjust("e", &[desired("a", Some(2.0), None)], NOW).is_ok(),
            adjusts,
            "adjust in {status:?}"
        );
        assert_eq!(state.delete("e", NOW).is_ok(), deletes, "delete in {status:?}");
    }

    #[test]
    fn each_status_takes_its_calls() {
        check_status(EndpointStatus::InService, true, true, true);
        check_status(EndpointStatus::Creating, false, false, false);
        check_status(EndpointStatus::Updating, false, false, true);
        check_status(EndpointStatus::RollingBack, false, false, true);
        check_status(EndpointStatus::Failed, false, false, true);
        check_status(EndpointStatus::UpdateRollbackFailed, true, false, true);
        check_status(EndpointStatus::OutOfService, false, false, true);
        check_status(EndpointStatus::Deleting, false, false, false);
        assert!(matches!(
            with_status(EndpointStatus::Updating).deploy(
                "e",
                fleet("g", &[("a", 1.0, 1)]),
                Deployment::default(),
                NOW
            ),
            Err(ControlError::InProgress(_))
        ));
    }

    /// `(weight, instances)` of the new fleet's variants after an update of a = 7.0 × 4.
    fn check_retained(exclude: &[VariantProperty], expected: &[(f64, u32)]) {
        let asked = Deployment { retain_all: true, exclude: exclude.to_vec(), ..Deployment::default() };
        let next = deploy(&in_service(&[("a", 7.0, 4), ("c", 1.0, 1)]), asked).expect("an update");
        let fleet = next.pending().expect("a fleet");
        let found: Vec<_> = fleet
            .variants
            .iter()
            .map(|variant| (variant.desired_weight, variant.desired_instance_count))
            .collect();
        assert_eq!(found, expected, "without {exclude:?}");
        assert!(fleet.id > next.fleet.as_ref().expect("the old fleet").id);
    }

    #[test]
    fn variants_of_the_same_name_keep_what_is_retained() {
        use VariantProperty::{DataCaptureConfig, DesiredInstanceCount, DesiredWeight};
        check_retained(&[], &[(7.0, 4), (0.5, 1)]);
        check_retained(&[DesiredWeight], &[(3.0, 4), (0.5, 1)]);
        check_retained(&[DesiredInstanceCount, DataCaptureConfig], &[(7.0, 2), (0.5, 1)]);
        check_retained(&[DesiredWeight, DesiredInstanceCount], &[(3.0, 2), (0.5, 1)]);
    }

    #[test]
    fn the_last_deployment_config_is_used_when_it_is_retained() {
        let config = json!({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration":
            {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 9}}});
        let state =
            EndpointState { last_deployment_config: Some(config.clone()), ..in_service(&[("a", 1.0, 1)]) };
        let used = |asked| match deploy(&state, asked)?.change.expect("a change").kind {
            ChangeKind::Deploy { deployment_config, .. } => Ok::<_, ControlError>(deployment_config),
            other => panic!("{other:?}"),
        };
        let retains = Deployment { retain_deployment_config: true, ..Deployment::default() };
        assert_eq!(used(retains.clone()).expect("retained"), Some(config.clone()));
        assert_eq!(used(Deployment::default()).expect("none"), None);
        used(Deployment { deployment_config: Some(config), ..retains }).expect_err("both");
    }

    fn check_refused(asked: &[DesiredWeightAndCapacity], expected: &str) {
        let error = in_service(&[("a", 1.0, 1), ("b", 0.0, 1)]).adjust("e", asked, NOW).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn numbers_that_cannot_be_served_are_refused() {
        check_refused(&[desired("x", None, None)], "\"x\"");
        check_refused(&[desired("a", Some(0.0), None)], "above 0");
        check_refused(&[desired("a", Some(-1.0), None)], "at least 0");
        check_refused(&[desired("a", Some(f64::NAN), None)], "finite");
        check_refused(&[desired("a", None, Some(0))], "at least 1 instance");
        let serverless = DesiredWeightAndCapacity {
            serverless: Some(json!({"MaxConcurrency": 5})),
            ..desired("a", None, None)
        };
        check_refused(&[serverless], "has instances");
    }

    #[test]
    fn variants_change_together_and_the_unnamed_stay() {
        let asked = [desired("a", Some(0.0), Some(3)), desired("b", Some(2.0), None)];
        let next = in_service(&[("a", 1.0, 1), ("b", 0.0, 1), ("c", 1.0, 1)])
            .adjust("e", &asked, NOW)
            .expect("served");
        let variants = &next.fleet.expect("a fleet").variants;
        let found: Vec<_> = variants
            .iter()
            .map(|v| (v.current_weight, v.desired_weight, v.current_instance_count, v.desired_instance_count))
            .collect();
        assert_eq!(found, [(1.0, 0.0, 1, 3), (0.0, 2.0, 1, 1), (1.0, 1.0, 1, 1)]);
        assert_eq!(next.status, EndpointStatus::Updating);
    }

    #[test]
    fn serverless_variants_have_a_concurrency_instead_of_instances() {
        let mut state = in_service(&[("a", 1.0, 0)]);
        let config = json!({"MemorySizeInMB": 1024, "MaxConcurrency": 5});
        state.fleet.as_mut().expect("a fleet").variants[0].current_serverless = Some(config);
        let update =
            |update| DesiredWeightAndCapacity { serverless: Some(update), ..desired("a", None, None) };
        let next = state.adjust("e", &[update(json!({"MaxConcurrency": 9}))], NOW).expect("served");
        let merged = next.fleet.expect("a fleet").variants[0].desired_serverless.clone();
        assert_eq!(merged, Some(json!({"MemorySizeInMB": 1024, "MaxConcurrency": 9})));
        state.adjust("e", &[desired("a", None, Some(1))], NOW).expect_err("it has no instances");
        state
            .adjust("e", &[update(json!({"ProvisionedConcurrency": 6}))], NOW)
            .expect_err("more than MaxConcurrency");
        deploy(&state, Deployment::default()).expect("a serverless variant may get instances");
        let mut back = fleet("green", &[("a", 1.0, 0)]);
        back.variants[0].current_serverless = Some(json!({"MaxConcurrency": 1}));
        in_service(&[("a", 1.0, 1)]).deploy("e", back, Deployment::default(), NOW).expect_err("not back");
    }
}
