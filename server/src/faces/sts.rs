//! STS: who calls. The account is ours; whoever asks for a role gets credentials that are good for nothing but to be
//! sent back here.

use std::sync::Arc;

use wire::xml::Element;
use wire::{AwsError, ErrorCode, Timestamp};

use super::aws::Call;
use crate::platform::Platform;

/// How long a session lasts, in seconds, where the request does not say.
const SESSION_SECONDS: i64 = 3600;

/// The longest session, in seconds. Reason: the public service's.
const SESSION_SECONDS_MAX: i64 = 129_600;

/// Answers `call` with its `…Result` element; the frame around it is [`aws`](super::aws)'s.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(_platform: &Arc<Platform>, call: Call) -> Result<Element, AwsError> {
    match call.operation.as_str() {
        "GetCallerIdentity" => Ok(caller_identity(&call)),
        "AssumeRole" => assume_role(&call, Timestamp::now()),
        "GetSessionToken" => session_token(&call, Timestamp::now()),
        operation => Err(AwsError::unknown_operation("STS", operation)),
    }
}

/// A user, not a role: the SDKs then ask IAM for the role of the user's name, and get one.
fn caller_identity(call: &Call) -> Element {
    let account = &call.scope.account;
    Element::new("GetCallerIdentityResult")
        .field("Arn", &*format!("arn:aws:iam::{account}:user/clary"))
        .field("UserId", "AIDACLARYCLARYCLARY0")
        .field("Account", account.as_str())
}

fn assume_role(call: &Call, now: Timestamp) -> Result<Element, AwsError> {
    let (role, session) = (text(call, "RoleArn")?, text(call, "RoleSessionName")?);
    let parts: Vec<_> = role.splitn(6, ':').collect();
    let (account, name) = match parts[..] {
        ["arn", _, "iam", _, account, resource] if resource.starts_with("role/") => {
            (account, resource.rsplit('/').next().unwrap_or_default())
        }
        _ => {
            let message = format!("RoleArn: expected arn:aws:iam::<account>:role/<name>, found {role:?}");
            return Err(AwsError::new(ErrorCode::ValidationError, message));
        }
    };
    let id = "AROACLARYCLARYCLARY0";
    let user = Element::new("AssumedRoleUser")
        .field("AssumedRoleId", &*format!("{id}:{session}"))
        .field("Arn", &*format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"));
    Ok(Element::new("AssumeRoleResult").child(credentials(call, now)?).child(user))
}

fn session_token(call: &Call, now: Timestamp) -> Result<Element, AwsError> {
    Ok(Element::new("GetSessionTokenResult").child(credentials(call, now)?))
}

/// Not secrets: they are the same for everybody, and no key that is checked.
fn credentials(call: &Call, now: Timestamp) -> Result<Element, AwsError> {
    let seconds = match call.input.get("DurationSeconds").and_then(|value| value.as_str()) {
        None => SESSION_SECONDS,
        Some(text) => {
            let seconds = text.parse().ok().filter(|seconds| (900..=SESSION_SECONDS_MAX).contains(seconds));
            seconds.ok_or_else(|| {
                let message =
                    format!("DurationSeconds: expected 900 to {SESSION_SECONDS_MAX}, found {text:?}");
                AwsError::new(ErrorCode::ValidationError, message)
            })?
        }
    };
    Ok(Element::new("Credentials")
        .field("AccessKeyId", "ASIACLARYCLARYCLARY0")
        .field("SecretAccessKey", "clary")
        .field("SessionToken", "clary")
        .field("Expiration", &*now.plus_millis(seconds * 1000).iso8601()))
}

fn text<'a>(call: &'a Call, name: &str) -> Result<&'a str, AwsError> {
    let given = call.input.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    given.ok_or_else(|| {
        AwsError::new(ErrorCode::MissingParameter, format!("The request must contain the parameter {name}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::Scope;

    use super::*;

    fn call(input: serde_json::Value) -> Call {
        let serde_json::Value::Object(input) = input else { panic!("an object") };
        let scope = Scope { region: "us-east-1".into(), account: "000000000000".into() };
        Call { operation: "AssumeRole".into(), input, scope, request_id: "r".into() }
    }

    #[test]
    fn a_role_is_taken_on() {
        let role = "arn:aws:iam::123456789012:role/path/R";
        let given = call(json!({"RoleArn": role, "RoleSessionName": "s", "DurationSeconds": "900"}));
        let result = assume_role(&given, Timestamp(0)).unwrap().to_string();
        assert!(result.contains("<Arn>arn:aws:sts::123456789012:assumed-role/R/s</Arn>"), "{result}");
        assert!(result.contains("<Expiration>1970-01-01T00:15:00Z</Expiration>"), "{result}");
    }

    #[test]
    fn what_is_no_role_is_refused() {
        for wrong in [
            json!({"RoleArn": "x", "RoleSessionName": "s"}),
            json!({"RoleArn": "arn:aws:iam::1:user/u", "RoleSessionName": "s"}),
            json!({"RoleArn": "arn:aws:iam::1:role/r"}),
            json!({"RoleArn": "arn:aws:iam::1:role/r", "RoleSessionName": "s", "DurationSeconds": "1"}),
        ] {
            assume_role(&call(wrong), Timestamp(0)).unwrap_err();
        }
    }
}
