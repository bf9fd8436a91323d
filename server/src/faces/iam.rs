//! IAM: the roles that the SDKs ask for before they create anything. Any name is a role that SageMaker may take on, and
//! may do anything: what a key may do is not settled here, but by the server's own credentials.

use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use wire::xml::Element;
use wire::{AwsError, ErrorCode};

use super::aws::Call;
use crate::platform::Platform;

/// Characters of a role's name. Reason: IAM's limit.
const NAME_CHARS_MAX: usize = 64;

/// Who may take on a role.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// When a role was made: always the same, since none is.
const CREATED: &str = "2020-01-01T00:00:00Z";

/// Answers `call` with its `…Result` element; the frame around it is [`aws`](super::aws)'s.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(_platform: &Arc<Platform>, call: Call) -> Result<Element, AwsError> {
    match call.operation.as_str() {
        "GetRole" => get_role(&call),
        "SimulatePrincipalPolicy" => simulate(&call),
        operation => Err(AwsError::unknown_operation("IAM", operation)),
    }
}

fn get_role(call: &Call) -> Result<Element, AwsError> {
    let name = call.input.get("RoleName").and_then(Value::as_str).unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_name) {
        let message =
            format!("RoleName: expected 1 to {NAME_CHARS_MAX} letters, digits or +=,.@_-, found {name:?}");
        return Err(AwsError::new(ErrorCode::ValidationError, message));
    }
    let account = &call.scope.account;
    let trust = utf8_percent_encode(TRUST, NON_ALPHANUMERIC).to_string();
    let role = Element::new("Role")
        .field("Path", "/")
        .field("RoleName", name)
        .field("RoleId", "AROACLARYCLARYCLARY0")
        .field("Arn", &*format!("arn:aws:iam::{account}:role/{name}"))
        .field("CreateDate", CREATED)
        .field("AssumeRolePolicyDocument", &*trust)
        .field("MaxSessionDuration", "3600");
    Ok(Element::new("GetRoleResult").child(role))
}

/// One result for each action.
fn simulate(call: &Call) -> Result<Element, AwsError> {
    let actions = call.input.get("ActionNames").and_then(Value::as_array);
    let Some(actions) = actions.filter(|_| call.input.contains_key("PolicySourceArn")) else {
        let message = "The request must contain the parameters PolicySourceArn and ActionNames";
        return Err(AwsError::new(ErrorCode::MissingParameter, message));
    };
    let resources = call.input.get("ResourceArns").and_then(Value::as_array);
    let resource = resources.and_then(|resources| resources.first()?.as_str()).unwrap_or("*");
    let results = actions.iter().filter_map(Value::as_str).map(|action| {
        Element::new("member")
            .field("EvalActionName", action)
            .field("EvalResourceName", resource)
            .field("EvalDecision", "allowed")
            .child(Element::new("MatchedStatements"))
            .child(Element::new("MissingContextValues"))
    });
    let results = Element::new("EvaluationResults").children(results);
    Ok(Element::new("SimulatePrincipalPolicyResult").field("IsTruncated", "false").child(results))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::Scope;

    use super::*;

    fn call(input: Value) -> Call {
        let Value::Object(input) = input else { panic!("an object") };
        let scope = Scope { region: "us-east-1".into(), account: "000000000000".into() };
        Call { operation: String::new(), input, scope, request_id: "r".into() }
    }

    #[test]
    fn any_name_is_a_role() {
        let role = get_role(&call(json!({"RoleName": "R-1"}))).unwrap().to_string();
        assert!(role.contains("<Arn>arn:aws:iam::000000000000:role/R-1</Arn>"), "{role}");
        assert!(role.contains("sagemaker%2Eamazonaws%2Ecom"), "{role}");
        for wrong in [
            json!({}),
            json!({"RoleName": ""}),
            json!({"RoleName": "a/b"}),
            json!({"RoleName": "a".repeat(65)}),
        ] {
            get_role(&call(wrong)).unwrap_err();
        }
    }

    #[test]
    fn every_action_is_allowed() {
        let input = json!({"PolicySourceArn": "arn", "ActionNames": ["s3:GetObject", "s3:PutObject"]});
        let result = simulate(&call(input)).unwrap().to_string();
        assert_eq!(result.matches("<EvalDecision>allowed</EvalDecision>").count(), 2);
        assert!(result.contains("<EvalResourceName>*</EvalResourceName>"), "{result}");
        simulate(&call(json!({"ActionNames": ["a"]}))).unwrap_err();
    }
}
