//! The members of a request, read into what the calls take. Types and patterns are checked before.

use scaling::{PredefinedMetricType, Suspended};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use wire::{AwsError, Timestamp};

use crate::control::autoscaling::action::PutAction;
use crate::control::autoscaling::target::Register;
use crate::control::autoscaling::{AutoscalingError, PolicyConfiguration, TargetKey};
use crate::control::tags::Tags;

/// A request's members.
pub(super) struct Input(pub(super) Map<String, Value>);

impl Input {
    pub(super) fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member).and_then(Value::as_str)
    }

    pub(super) fn required(&self, member: &str) -> Result<&str, AwsError> {
        self.text(member)
            .ok_or_else(|| AwsError::validation(format!("{member}: expected a value, found none")))
    }

    pub(super) fn texts(&self, member: &str) -> Vec<String> {
        let values = self.0.get(member).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(super) fn key(&self) -> Result<TargetKey, AwsError> {
        Ok(TargetKey::parse(self.required("ResourceId")?, self.required("ScalableDimension")?)?)
    }

    fn time(&self, member: &str) -> Option<Timestamp> {
        self.0.get(member).and_then(Value::as_f64).map(Timestamp::from_seconds)
    }

    pub(super) fn register(&self) -> Result<Register, AwsError> {
        let suspended: Option<Suspended> = self.parsed("SuspendedState")?;
        Ok(Register {
            key: self.key()?,
            min: capacity(&self.0, "MinCapacity")?,
            max: capacity(&self.0, "MaxCapacity")?,
            role_arn: self.text("RoleARN").map(str::to_owned),
            suspended,
            tags: self.tags()?,
        })
    }

    /// `Tags`, a map in this service.
    pub(super) fn tags(&self) -> Result<Tags, AwsError> {
        let tags = self.0.get("Tags").and_then(Value::as_object);
        let list: Value =
            tags.into_iter().flatten().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        Ok(Tags::parse(Some(&list)).map_err(AutoscalingError::Tags)?)
    }

    pub(super) fn action(&self) -> Result<PutAction, AwsError> {
        let limits = self.0.get("ScalableTargetAction").and_then(Value::as_object);
        let limits = limits.map(|limits| {
            Ok::<_, AwsError>((capacity(limits, "MinCapacity")?, capacity(limits, "MaxCapacity")?))
        });
        Ok(PutAction {
            key: self.key()?,
            name: self.required("ScheduledActionName")?.to_owned(),
            schedule: self.text("Schedule").map(str::to_owned),
            zone: self.text("Timezone").map(str::to_owned),
            start: self.time("StartTime"),
            end: self.time("EndTime"),
            limits: limits.transpose()?,
        })
    }

    pub(super) fn policy_configuration(&self) -> Result<PolicyConfiguration, AwsError> {
        const TRACKING: &str = "TargetTrackingScalingPolicyConfiguration";
        const STEP: &str = "StepScalingPolicyConfiguration";
        let (has_tracking, has_step) = (self.0.contains_key(TRACKING), self.0.contains_key(STEP));
        match (self.text("PolicyType"), has_tracking, has_step) {
            (Some("PredictiveScaling"), ..) => {
                Err(AwsError::validation("PolicyType: PredictiveScaling is not served for sagemaker"))
            }
            (Some("TargetTrackingScaling") | None, true, false) => {
                self.refuse_metrics()?;
                Ok(PolicyConfiguration::TargetTracking(
                    self.parsed(TRACKING)?.ok_or_else(AwsError::internal)?,
                ))
            }
            (Some("StepScaling") | None, false, true) => {
                Ok(PolicyConfiguration::Step(self.parsed(STEP)?.ok_or_else(AwsError::internal)?))
            }
            (kind, ..) => {
                let kind = kind.unwrap_or("none");
                Err(AwsError::validation(format!(
                    "expected PolicyType TargetTrackingScaling with {TRACKING} alone, or StepScaling with {STEP} \
                     alone, found PolicyType {kind} with other members"
                )))
            }
        }
    }

    /// Metrics of other services, of inference components, and formulas, are refused by their names.
    fn refuse_metrics(&self) -> Result<(), AwsError> {
        let at =
            |path: &str| self.0.get("TargetTrackingScalingPolicyConfiguration").and_then(|c| c.pointer(path));
        if at("/CustomizedMetricSpecification/Metrics").is_some() {
            return Err(AwsError::validation(
                "CustomizedMetricSpecification: expected MetricName, Namespace, Dimensions and Statistic, found \
                 Metrics: metric mathematics are not served",
            ));
        }
        let kind = at("/PredefinedMetricSpecification/PredefinedMetricType").and_then(Value::as_str);
        let served = PredefinedMetricType::ALL.map(PredefinedMetricType::as_str);
        match kind.filter(|kind| !served.contains(kind)) {
            None => Ok(()),
            Some(kind) => Err(AwsError::validation(format!(
                "PredefinedMetricType: expected one of {}, found {kind}, which is not served",
                served.join(", ")
            ))),
        }
    }

    fn parsed<T: DeserializeOwned>(&self, member: &str) -> Result<Option<T>, AwsError> {
        let value = self.0.get(member).cloned().map(serde_json::from_value);
        value.transpose().map_err(|error| AwsError::validation(format!("{member}: {error}")))
    }
}

/// A capacity: a whole number from 0 on.
fn capacity(members: &Map<String, Value>, member: &str) -> Result<Option<u32>, AwsError> {
    let Some(value) = members.get(member) else { return Ok(None) };
    let number = value.as_u64().and_then(|value| u32::try_from(value).ok());
    let refused =
        || AwsError::validation(format!("{member}: expected a whole number from 0 on, found {value}"));
    number.map(Some).ok_or_else(refused)
}
