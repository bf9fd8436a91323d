//! What the operations of the services need: an action in IAM's words, on an endpoint where their input names one.

use access::{Caller, Protocol, Resource};
use serde_json::Value;
use wire::{Arn, AwsError};

use super::aws::{Call, JsonService};

/// Where the logs of endpoints are.
const ENDPOINT_LOGS: &str = "/aws/sagemaker/Endpoints/";

/// Whether `caller` may make `call` of a JSON service.
///
/// # Errors
/// When not.
pub fn json(caller: &Caller, service: JsonService, call: &Call) -> Result<(), AwsError> {
    if caller.name().is_none() {
        return Ok(());
    }
    let action = format!("{}:{}", service.action_prefix(), call.operation);
    let resource = endpoint(service, call).map_or(Resource::Other, Resource::Endpoint);
    caller.may(&action, resource).map_err(|refusal| refusal.to_error(Protocol::Json))
}

/// Whether `caller` may make `call` of a Query service whose actions begin with `prefix`.
///
/// # Errors
/// When not.
pub fn query(caller: &Caller, prefix: &str, call: &Call) -> Result<(), AwsError> {
    // Whoever has proved who they are may hear who they are.
    if caller.name().is_none() || (prefix == "sts" && call.operation == "GetCallerIdentity") {
        return Ok(());
    }
    let action = format!("{prefix}:{}", call.operation);
    caller.may(&action, Resource::Other).map_err(|refusal| refusal.to_error(Protocol::Query))
}

/// The endpoint that a call is about.
fn endpoint(service: JsonService, call: &Call) -> Option<&str> {
    let text = |name: &str| call.input.get(name).and_then(Value::as_str);
    match service {
        JsonService::SageMaker => text("EndpointName").or_else(|| {
            let (kind, name) = Arn::sagemaker_parts(text("ResourceArn")?)?;
            (kind == "endpoint").then_some(name)
        }),
        JsonService::AutoScaling => text("ResourceId")?.strip_prefix("endpoint/")?.split('/').next(),
        JsonService::Logs => text("logGroupName")?.strip_prefix(ENDPOINT_LOGS),
        JsonService::CloudWatch | JsonService::Registry => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use wire::Scope;

    use super::*;

    fn check(service: JsonService, input: &Value, expected: Option<&str>) {
        let input = input.as_object().cloned().unwrap_or_else(Map::new);
        let scope = Scope { region: "r".into(), account: "000000000000".into() };
        let call = Call { operation: "X".into(), input, scope, request_id: "i".into() };
        assert_eq!(endpoint(service, &call), expected);
    }

    #[test]
    fn the_endpoint_of_a_call_is_found() {
        use JsonService::{AutoScaling, CloudWatch, Logs, SageMaker};
        check(SageMaker, &json!({"EndpointName": "a"}), Some("a"));
        check(SageMaker, &json!({"ResourceArn": "arn:aws:sagemaker:r:000000000000:endpoint/a"}), Some("a"));
        check(SageMaker, &json!({"ResourceArn": "arn:aws:sagemaker:r:000000000000:model/a"}), None);
        check(SageMaker, &json!({"ModelName": "a"}), None);
        check(SageMaker, &json!({"EndpointName": 1}), None);
        check(AutoScaling, &json!({"ResourceId": "endpoint/a/variant/b"}), Some("a"));
        check(AutoScaling, &json!({"ResourceId": "service/a"}), None);
        check(Logs, &json!({"logGroupName": "/aws/sagemaker/Endpoints/a"}), Some("a"));
        check(Logs, &json!({"logGroupName": "/aws/sagemaker/TrainingJobs"}), None);
        check(CloudWatch, &json!({}), None);
    }
}
