//! Application Auto Scaling: scalable targets, policies, scheduled actions, activities.

mod describe;
mod input;

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use wire::{AwsError, ErrorCode, Scope, Timestamp, shape};

use super::aws::{Call, Reply};
use crate::control::alarms;
use crate::control::alarms::AlarmError;
use crate::control::autoscaling::key::SERVICE_NAMESPACE;
use crate::control::autoscaling::{AutoscalingError, ScalingPolicy, action, policy, target};
use crate::control::tags;
use crate::platform::Platform;
use input::Input;

/// The service's signing name: that of its table of shapes.
const SERVICE: &str = "application-autoscaling";

/// Answers `call`.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(platform: &Arc<Platform>, call: Call) -> Reply {
    shape::validate(SERVICE, &call.operation, &call.input)?;
    let Call { operation, input, scope, .. } = call;
    let input = Input(input);
    if let Some(namespace) = input.text("ServiceNamespace").filter(|found| *found != SERVICE_NAMESPACE) {
        let message = format!(
            "ServiceNamespace: expected {SERVICE_NAMESPACE}, found {namespace:?}, which is not served"
        );
        return Err(AwsError::validation(message));
    }
    if operation == "DescribeScalingActivities" {
        // What has ended since the last look is told as ended.
        platform.scaler.settle(Timestamp::now()).await.map_err(AwsError::from)?;
    }
    let work: Operation = match operation.as_str() {
        "RegisterScalableTarget" => register,
        "DescribeScalableTargets" => describe::targets,
        "DeregisterScalableTarget" => deregister,
        "PutScalingPolicy" => put_policy,
        "DescribeScalingPolicies" => describe::policies,
        "DeleteScalingPolicy" => delete_policy,
        "PutScheduledAction" => put_action,
        "DescribeScheduledActions" => describe::actions,
        "DeleteScheduledAction" => delete_action,
        "DescribeScalingActivities" => describe::activities,
        "TagResource" => tag,
        "UntagResource" => untag,
        "ListTagsForResource" => describe::tags,
        _ => return Err(AwsError::unknown_operation("Application Auto Scaling", &operation)),
    };
    let database = &platform.database;
    let work =
        move |connection: &rusqlite::Transaction<'_>| work(connection, &scope, &input).map_err(Failure);
    if operation.starts_with("Describe") {
        return database.read(work).await.map_err(|Failure(error)| error);
    }
    let reply = database.transact(work).await.map_err(|Failure(error)| error)?;
    platform.scaler.poke();
    Ok(reply)
}

type Operation = fn(&Connection, &Scope, &Input) -> Reply;

/// An answer that says no, through a transaction.
struct Failure(AwsError);

impl From<crate::control::StateError> for Failure {
    fn from(error: crate::control::StateError) -> Self {
        Self(AutoscalingError::State(error).into())
    }
}

impl From<AutoscalingError> for AwsError {
    fn from(error: AutoscalingError) -> Self {
        let code = match &error {
            AutoscalingError::State(cause) => {
                tracing::error!(%cause, "autoscaling: the state could not be read or written");
                return Self::internal();
            }
            AutoscalingError::Tags(tags::TagError::State(cause)) => {
                tracing::error!(%cause, "autoscaling: tags could not be read or written");
                return Self::internal();
            }
            AutoscalingError::Alarm(AlarmError::State(cause)) => {
                tracing::error!(%cause, "autoscaling: alarms could not be read or written");
                return Self::internal();
            }
            AutoscalingError::Alarm(AlarmError::Full) => ErrorCode::LimitExceededException,
            AutoscalingError::NoTarget(_)
            | AutoscalingError::NoPolicy { .. }
            | AutoscalingError::NoAction { .. } => ErrorCode::ObjectNotFoundException,
            AutoscalingError::NoArn(_) => ErrorCode::ResourceNotFoundException,
            AutoscalingError::Limit { .. } => ErrorCode::LimitExceededException,
            _ => ErrorCode::ValidationException,
        };
        Self::new(code, error.to_string())
    }
}

fn register(connection: &Connection, scope: &Scope, input: &Input) -> Reply {
    let arn = target::register(connection, scope, input.register()?, Timestamp::now())?;
    Ok(json!({"ScalableTargetARN": arn}))
}

fn deregister(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    target::deregister(connection, &input.key()?)?;
    Ok(json!({}))
}

fn put_policy(connection: &Connection, scope: &Scope, input: &Input) -> Reply {
    let (key, name) = (input.key()?, input.required("PolicyName")?.to_owned());
    let configuration = input.policy_configuration()?;
    let (arn, policy) = policy::put(connection, scope, key, name, configuration, Timestamp::now())?;
    Ok(json!({"PolicyARN": arn, "Alarms": own_alarms(scope, &policy)}))
}

/// The alarms that a policy made for itself.
fn own_alarms(scope: &Scope, policy: &ScalingPolicy) -> Vec<Value> {
    let alarm = |name: &String| json!({"AlarmName": name, "AlarmARN": alarms::arn(scope, name)});
    policy.alarms.iter().map(alarm).collect()
}

fn delete_policy(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    policy::remove(connection, &input.key()?, input.required("PolicyName")?)?;
    Ok(json!({}))
}

fn put_action(connection: &Connection, scope: &Scope, input: &Input) -> Reply {
    action::put(connection, scope, input.action()?, Timestamp::now())?;
    Ok(json!({}))
}

fn delete_action(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    action::remove(connection, &input.key()?, input.required("ScheduledActionName")?)?;
    Ok(json!({}))
}

fn tag(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    let arn = known_arn(connection, input)?;
    tags::put(connection, arn, &input.tags()?).map_err(AutoscalingError::Tags)?;
    Ok(json!({}))
}

fn untag(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    let arn = known_arn(connection, input)?;
    tags::remove(connection, arn, &input.texts("TagKeys")).map_err(AutoscalingError::State)?;
    Ok(json!({}))
}

/// `ResourceARN`, if it is that of a scalable target.
fn known_arn<'a>(connection: &Connection, input: &'a Input) -> Result<&'a str, AwsError> {
    let arn = input.required("ResourceARN")?;
    if target::all(connection)?.iter().any(|(record, _)| record.arn == arn) {
        return Ok(arn);
    }
    Err(AutoscalingError::NoArn(arn.to_owned()).into())
}
