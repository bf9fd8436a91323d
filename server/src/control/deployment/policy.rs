//! `DeploymentConfig`, read and checked against the fleet that it is to bring.

use serde_json::Value;

use crate::control::ControlError;
use crate::control::endpoint::Fleet;

/// The longest deployment where none is given. Reason: the longest that can be asked for.
const EXECUTION_SECONDS_MAX: u64 = 28_800;

/// How the new fleet takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// At once.
    AllAtOnce,
    /// A part, then the rest.
    Canary(Size),
    /// In equal steps.
    Linear(Size),
    /// In equal steps, each of which is provisioned by itself.
    Rolling(Size),
}

/// How many instances of a variant a step switches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many.
    InstanceCount(u32),
    /// This share of them, in percent, rounded up.
    CapacityPercent(u32),
}

impl Size {
    /// Of a variant of `count` instances; at least one.
    pub fn of(self, count: u32) -> u32 {
        let size = match self {
            Self::InstanceCount(size) => size,
            Self::CapacityPercent(percent) => {
                u32::try_from((u64::from(count) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX)
            }
        };
        size.max(1)
    }
}

/// A deployment's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How traffic moves.
    pub routing: Routing,
    /// How long each step is watched.
    pub wait_ms: i64,
    /// How long the old fleet stays warm after the last step.
    pub termination_wait_ms: i64,
    /// The most time from the start until traffic has moved.
    pub execution_max_ms: i64,
    /// Alarms whose going off takes the deployment back.
    pub alarms: Vec<String>,
}

impl Policy {
    /// All at once, without a wait.
    pub const fn immediate() -> Self {
        Self {
            routing: Routing::AllAtOnce,
            wait_ms: 0,
            termination_wait_ms: 0,
            execution_max_ms: millis(EXECUTION_SECONDS_MAX),
            alarms: Vec::new(),
        }
    }

    /// Reads a `DeploymentConfig` that is to bring `fleet`; none is [`immediate`](Self::immediate).
    ///
    /// # Errors
    /// When it contradicts itself or the fleet, or a size is outside of what its kind allows.
    pub fn parse(config: Option<&Value>, fleet: &Fleet) -> Result<Self, ControlError> {
        let Some(config) = config else { return Ok(Self::immediate()) };
        let mut policy = match (config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")) {
            (Some(_), Some(_)) => {
                return Err(refused("expected BlueGreenUpdatePolicy or RollingUpdatePolicy, found both"));
            }
            (Some(policy), None) => blue_green(policy)?,
            (None, Some(policy)) => rolling(policy)?,
            (None, None) => Self::immediate(),
        };
        let alarms = config.pointer("/AutoRollbackConfiguration/Alarms").and_then(Value::as_array);
        let names = alarms.into_iter().flatten().filter_map(|alarm| alarm.get("AlarmName")?.as_str());
        policy.alarms = names.map(str::to_owned).collect();
        policy.check(fleet)?;
        Ok(policy)
    }

    fn check(&self, fleet: &Fleet) -> Result<(), ControlError> {
        let (size, percent_min, percent_max, member) = match self.routing {
            Routing::AllAtOnce => return self.check_times(1),
            Routing::Canary(size) => (size, 1, 50, "CanarySize"),
            Routing::Linear(size) => (size, 10, 50, "LinearStepSize"),
            Routing::Rolling(size) => (size, 5, 50, "MaximumBatchSize"),
        };
        match size {
            Size::CapacityPercent(percent) if !(percent_min..=percent_max).contains(&percent) => {
                return Err(refused(format!(
                    "{member}: expected CAPACITY_PERCENT of {percent_min} to {percent_max}, found {percent}"
                )));
            }
            Size::CapacityPercent(_) => {}
            Size::InstanceCount(size) => check_count(size, member, fleet)?,
        }
        self.check_times(super::traffic::steps(self, fleet))
    }

    fn check_times(&self, steps: u32) -> Result<(), ControlError> {
        let waits = self.wait_ms.saturating_mul(i64::from(steps)).saturating_add(self.termination_wait_ms);
        if waits < self.execution_max_ms || waits == 0 {
            return Ok(());
        }
        let (limit, waits) = (self.execution_max_ms / 1000, waits / 1000);
        Err(refused(format!(
            "MaximumExecutionTimeoutInSeconds: expected more than the sum of all waits ({waits}), found {limit}"
        )))
    }
}

/// A step is at most half of each variant, so that a bad one leaves half of the capacity as it was. One instance of a
/// variant that has only one is the smallest step there is.
fn check_count(size: u32, member: &str, fleet: &Fleet) -> Result<(), ControlError> {
    for variant in fleet.production() {
        let count = variant.desired_instance_count;
        if size > (count / 2).max(1) {
            let name = &variant.name;
            return Err(refused(format!(
                "{member}: expected INSTANCE_COUNT of at most half of variant {name}'s {count} instances, found {size}"
            )));
        }
    }
    Ok(())
}

fn blue_green(policy: &Value) -> Result<Policy, ControlError> {
    let routing = policy.get("TrafficRoutingConfiguration");
    let routing = routing.ok_or_else(|| refused("expected a TrafficRoutingConfiguration, found none"))?;
    let kind = routing.get("Type").and_then(Value::as_str).unwrap_or_default();
    let routed = match kind {
        "ALL_AT_ONCE" => Routing::AllAtOnce,
        "CANARY" => Routing::Canary(size(routing, "CanarySize")?),
        "LINEAR" => Routing::Linear(size(routing, "LinearStepSize")?),
        _ => return Err(refused(format!("Type: expected ALL_AT_ONCE, CANARY or LINEAR, found {kind:?}"))),
    };
    for (member, is_of_type) in [("CanarySize", kind == "CANARY"), ("LinearStepSize", kind == "LINEAR")] {
        if routing.get(member).is_some() && !is_of_type {
            return Err(refused(format!("{member}: expected none with Type {kind}, found one")));
        }
    }
    Ok(Policy {
        routing: routed,
        wait_ms: seconds(routing, "WaitIntervalInSeconds", 0),
        termination_wait_ms: seconds(policy, "TerminationWaitInSeconds", 0),
        execution_max_ms: seconds(policy, "MaximumExecutionTimeoutInSeconds", EXECUTION_SECONDS_MAX),
        alarms: Vec::new(),
    })
}

fn rolling(policy: &Value) -> Result<Policy, ControlError> {
    Ok(Policy {
        routing: Routing::Rolling(size(policy, "MaximumBatchSize")?),
        wait_ms: seconds(policy, "WaitIntervalInSeconds", 0),
        termination_wait_ms: 0,
        execution_max_ms: seconds(policy, "MaximumExecutionTimeoutInSeconds", EXECUTION_SECONDS_MAX),
        alarms: Vec::new(),
    })
}

fn size(of: &Value, member: &str) -> Result<Size, ControlError> {
    let size = of.get(member).ok_or_else(|| refused(format!("expected a {member}, found none")))?;
    let value = size.get("Value").and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok());
    match (size.get("Type").and_then(Value::as_str), value) {
        (Some("INSTANCE_COUNT"), Some(count)) if count >= 1 => Ok(Size::InstanceCount(count)),
        (Some("CAPACITY_PERCENT"), Some(percent)) => Ok(Size::CapacityPercent(percent)),
        _ => Err(refused(format!(
            "{member}: expected a Type of INSTANCE_COUNT or CAPACITY_PERCENT and a Value of at least 1, found {size}"
        ))),
    }
}

fn seconds(of: &Value, member: &str, default: u64) -> i64 {
    millis(of.get(member).and_then(Value::as_u64).unwrap_or(default))
}

const fn millis(seconds: u64) -> i64 {
    // The wire's limit is 28 800 seconds; beyond a million the product need not be exact.
    (if seconds > 1_000_000 { 1_000_000 } else { seconds } * 1000) as i64
}

fn refused(what: impl std::fmt::Display) -> ControlError {
    ControlError::Refused(format!("DeploymentConfig: {what}"))
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "cases hand in literals")]
mod tests {
    use serde_json::json;

    use super::super::tests::fleet;
    use super::*;

    fn parse(config: Value, counts: &[u32]) -> Result<Policy, String> {
        let variants: Vec<_> = counts.iter().map(|count| ("v", 1.0, *count)).collect();
        Policy::parse(Some(&config), &fleet("green", &variants)).map_err(|error| error.to_string())
    }

    fn blue_green(routing: Value) -> Value {
        json!({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}})
    }

    fn sized(kind: &str, member: &str, size: &str, value: u32) -> Value {
        blue_green(json!({"Type": kind, "WaitIntervalInSeconds": 60, member: {"Type": size, "Value": value}}))
    }

    fn rolling(size: &str, value: u32) -> Value {
        json!({"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": size, "Value": value}, "WaitIntervalInSeconds": 1}})
    }

    fn check(config: Value, counts: &[u32], routing: Routing) {
        assert_eq!(parse(config.clone(), counts).map(|policy| policy.routing), Ok(routing), "{config}");
    }

    fn check_refused(config: Value, counts: &[u32], expected: &str) {
        let error = parse(config.clone(), counts).expect_err(expected);
        assert!(error.contains(expected), "{config}: {error}");
    }

    const COUNT: &str = "INSTANCE_COUNT";
    const PERCENT: &str = "CAPACITY_PERCENT";

    #[test]
    fn policies_are_read() {
        assert_eq!(
            Policy::parse(None, &fleet("green", &[("v", 1.0, 1)])).expect("none"),
            Policy::immediate()
        );
        check(json!({}), &[1], Routing::AllAtOnce);
        check(
            blue_green(json!({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0})),
            &[1],
            Routing::AllAtOnce,
        );
        check(sized("CANARY", "CanarySize", PERCENT, 50), &[1], Routing::Canary(Size::CapacityPercent(50)));
        check(sized("CANARY", "CanarySize", COUNT, 2), &[4, 5], Routing::Canary(Size::InstanceCount(2)));
        check(sized("CANARY", "CanarySize", COUNT, 1), &[1], Routing::Canary(Size::InstanceCount(1)));
        check(
            sized("LINEAR", "LinearStepSize", PERCENT, 10),
            &[9],
            Routing::Linear(Size::CapacityPercent(10)),
        );
        check(rolling(PERCENT, 5), &[9], Routing::Rolling(Size::CapacityPercent(5)));
        let alarms =
            json!({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]}});
        assert_eq!(parse(alarms, &[1]).expect("alarms").alarms, ["a", "b"]);
    }

    #[test]
    fn sizes_keep_half_of_the_capacity() {
        check_refused(sized("CANARY", "CanarySize", PERCENT, 51), &[4], "1 to 50, found 51");
        check_refused(sized("CANARY", "CanarySize", COUNT, 3), &[6, 4], "half of variant v's 4");
        check_refused(sized("LINEAR", "LinearStepSize", PERCENT, 9), &[4], "10 to 50, found 9");
        check_refused(rolling(PERCENT, 4), &[4], "5 to 50, found 4");
        check_refused(rolling(PERCENT, 51), &[4], "5 to 50, found 51");
    }

    #[test]
    fn contradictions_are_refused() {
        let mut both = rolling(PERCENT, 5);
        both["BlueGreenUpdatePolicy"] = json!({});
        check_refused(both, &[1], "found both");
        check_refused(json!({"BlueGreenUpdatePolicy": {}}), &[1], "TrafficRoutingConfiguration");
        check_refused(blue_green(json!({"Type": "CANARY"})), &[1], "a CanarySize, found none");
        check_refused(sized("LINEAR", "CanarySize", PERCENT, 10), &[1], "a LinearStepSize, found none");
        let all = json!({"Type": "ALL_AT_ONCE", "CanarySize": {"Type": PERCENT, "Value": 10}});
        check_refused(blue_green(all), &[1], "CanarySize: expected none");
        check_refused(blue_green(json!({"Type": "ROUND"})), &[1], "\"ROUND\"");
        check_refused(sized("CANARY", "CanarySize", "MANY", 1), &[1], "CAPACITY_PERCENT");
        let mut long = sized("LINEAR", "LinearStepSize", PERCENT, 10);
        long["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = json!(600);
        check_refused(long, &[10], "sum of all waits (600), found 600");
    }
}
