//! Requests to the AWS services, buffered: which service and operation, and the frame of each protocol's answers.
//!
//! A face is an async function from [`Call`] to a value or an [`AwsError`]; this module alone knows how JSON 1.0, JSON 1.1
//! and Query write either.

use std::sync::Arc;

use access::Caller;
use bytes::Bytes;
use serde_json::{Map, Value};
use wire::query::Form;
use wire::xml::Element;
use wire::{AwsError, ErrorCode, Scope};

use super::{authorize, autoscaling, cloudwatch, iam, logs, sagemaker, sts};
use crate::error::shortened;
use crate::platform::Platform;

/// A call of an operation of a JSON service, its body parsed.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation, without its service (`CreateModel`).
    pub operation: String,
    /// Its input: `null` members are already taken out.
    pub input: Map<String, Value>,
    /// Region (of the credential scope) and account.
    pub scope: Scope,
    /// The request's id.
    pub request_id: String,
}

/// What a JSON service answers.
pub type Reply = Result<Value, AwsError>;

/// A buffered answer: what HTTP sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// What there is to say.
    pub body: Bytes,
}

/// A service that speaks JSON under `X-Amz-Target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonService {
    /// SageMaker's control plane.
    SageMaker,
    /// CloudWatch Logs.
    Logs,
    /// Application Auto Scaling.
    AutoScaling,
    /// CloudWatch, as current clients speak to it.
    CloudWatch,
    /// Elastic Container Registry, which is not here: images are served in process.
    Registry,
}

impl JsonService {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SageMaker => "SageMaker",
            Self::Logs => "CloudWatch Logs",
            Self::AutoScaling => "Application Auto Scaling",
            Self::CloudWatch => "CloudWatch",
            Self::Registry => "Elastic Container Registry",
        }
    }

    /// What signatures for it name.
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::SageMaker => "sagemaker",
            Self::Logs => "logs",
            Self::AutoScaling => "application-autoscaling",
            Self::CloudWatch => "monitoring",
            Self::Registry => "ecr",
        }
    }

    /// What its actions begin with in IAM.
    pub const fn action_prefix(self) -> &'static str {
        match self {
            Self::CloudWatch => "cloudwatch",
            _ => self.signing_name(),
        }
    }

    /// The media type of its answers.
    const fn content_type(self) -> &'static str {
        match self {
            Self::CloudWatch => JSON_1_0,
            _ => JSON_1_1,
        }
    }
}

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";
const XML: &str = "text/xml";

/// A request to one of the services, its body read.
#[derive(Debug)]
pub struct AwsRequest {
    /// Its body, unpacked.
    pub body: Bytes,
    /// Who asks.
    pub caller: Caller,
    /// Region (of the credential scope) and account.
    pub scope: Scope,
    /// The request's id.
    pub request_id: String,
    /// Whether the client knows the Query protocol's codes (`x-amzn-query-mode`).
    pub is_query_mode: bool,
}

/// Answers a call of `operation` of a JSON service.
pub async fn json(
    platform: &Arc<Platform>,
    service: JsonService,
    operation: String,
    request: AwsRequest,
) -> AwsAnswer {
    let is_query_mode = request.is_query_mode;
    let reply = match call(service, operation, request) {
        Ok(call) => reply(platform, service, call).await,
        Err(error) => Err(error),
    };
    match reply {
        Ok(value) => answered(service.content_type(), value.to_string()),
        Err(error) => json_error(service, &error, is_query_mode),
    }
}

fn call(service: JsonService, operation: String, request: AwsRequest) -> Result<Call, AwsError> {
    let AwsRequest { body, caller, scope, request_id, .. } = request;
    let call = Call { operation, input: parse(&body)?, scope, request_id };
    authorize::json(&caller, service, &call)?;
    Ok(call)
}

async fn reply(platform: &Arc<Platform>, service: JsonService, call: Call) -> Reply {
    let operation = call.operation.clone();
    let reply = match service {
        JsonService::SageMaker => sagemaker::answer(platform, call).await,
        JsonService::Logs => logs::answer(platform, call).await,
        JsonService::AutoScaling => autoscaling::answer(platform, call).await,
        JsonService::CloudWatch => cloudwatch::answer(platform, call).await,
        JsonService::Registry => Err(AwsError::unknown_operation(service.name(), &call.operation)),
    };
    log_unknown(service.name(), &operation, reply.as_ref().err());
    reply
}

/// One line for each call of what is not here, so that an operator sees what clients miss.
fn log_unknown(service: &str, operation: &str, error: Option<&AwsError>) {
    let is_unknown = |error: &AwsError| {
        matches!(error.code, ErrorCode::UnknownOperationException | ErrorCode::InvalidAction)
    };
    if error.is_some_and(is_unknown) {
        tracing::warn!(service, operation = %shortened(operation), "an operation that is not served was called");
    }
}

/// The members of a JSON body; an empty body has none.
fn parse(body: &[u8]) -> Result<Map<String, Value>, AwsError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let malformed = |found: &str| {
        let message = format!("body: expected a JSON object, found {found}");
        AwsError::new(ErrorCode::SerializationException, message)
    };
    #[expect(clippy::disallowed_methods, reason = "HTTP caps the bodies of these services")]
    let value = serde_json::from_slice(body).map_err(|error| malformed(&shortened(&error.to_string())))?;
    match value {
        Value::Object(mut members) => {
            remove_nulls(&mut members);
            Ok(members)
        }
        Value::Array(_) => Err(malformed("an array")),
        other => Err(malformed(&shortened(&other.to_string()))),
    }
}

/// `null` is an absent member, at any depth. Recursion ends where serde_json's own limit of 128 levels ended the parse.
fn remove_nulls(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
    members.values_mut().for_each(remove_nulls_below);
}

fn remove_nulls_below(value: &mut Value) {
    match value {
        Value::Object(members) => remove_nulls(members),
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(remove_nulls_below);
        }
        _ => {}
    }
}

fn answered(content_type: &'static str, body: String) -> AwsAnswer {
    AwsAnswer { status: 200, content_type, headers: Vec::new(), body: body.into() }
}

/// The frame of an error of a JSON service: every client error is 400.
pub fn json_error(service: JsonService, error: &AwsError, is_query_mode: bool) -> AwsAnswer {
    let AwsError { code, message, members } = error;
    let status = if code.status() < 500 { 400 } else { 500 };
    let mut body = Map::new();
    body.insert("__type".into(), code.as_str().into());
    // Some clients read one, some the other.
    body.insert("message".into(), message.as_str().into());
    body.insert("Message".into(), message.as_str().into());
    body.extend(members.clone());
    let mut headers = Vec::new();
    if is_query_mode {
        let fault = if status < 500 { "Sender" } else { "Receiver" };
        headers.push(("x-amzn-query-error", format!("{};{fault}", code.as_str())));
    }
    let body = Value::Object(body).to_string().into();
    AwsAnswer { status, content_type: service.content_type(), headers, body }
}

/// A service that speaks Query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueryService {
    Sts,
    Iam,
    CloudWatch,
}

impl QueryService {
    /// By the `Version` of a form.
    fn of(version: &str) -> Option<Self> {
        match version {
            "2011-06-15" => Some(Self::Sts),
            "2010-05-08" => Some(Self::Iam),
            "2010-08-01" => Some(Self::CloudWatch),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sts => "STS",
            Self::Iam => "IAM",
            Self::CloudWatch => "CloudWatch",
        }
    }

    /// What signatures for it name.
    const fn signing_name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::CloudWatch => "monitoring",
        }
    }

    /// What its actions begin with in IAM.
    const fn action_prefix(self) -> &'static str {
        match self {
            Self::CloudWatch => "cloudwatch",
            _ => self.signing_name(),
        }
    }

    const fn namespace(self) -> &'static str {
        match self {
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::CloudWatch => "http://monitoring.amazonaws.com/doc/2010-08-01/",
        }
    }
}

/// A form, and the service that it is for.
fn form(body: &[u8]) -> Result<(Form, QueryService), AwsError> {
    let form = Form::parse(body)?;
    match QueryService::of(&form.version) {
        Some(service) => Ok((form, service)),
        None => {
            let found = shortened(&form.version);
            let message = format!("Version: expected 2011-06-15, 2010-05-08 or 2010-08-01, found {found:?}");
            Err(AwsError::new(ErrorCode::InvalidAction, message))
        }
    }
}

/// What the signature of a form has to name.
///
/// # Errors
/// When it is none, or of no service that is here.
pub fn form_signing_name(body: &[u8]) -> Result<&'static str, AwsError> {
    form(body).map(|(_, service)| service.signing_name())
}

/// Answers a form.
pub async fn query(platform: &Arc<Platform>, request: AwsRequest) -> AwsAnswer {
    let AwsRequest { body, caller, scope, request_id, .. } = request;
    let (form, service) = match form(&body) {
        Ok(form) => form,
        Err(error) => return query_error(None, &error, &request_id),
    };
    let operation = form.operation.clone();
    let call = Call { operation: form.operation, input: form.input, scope, request_id: request_id.clone() };
    if let Err(error) = authorize::query(&caller, service.action_prefix(), &call) {
        return query_error(Some(service), &error, &request_id);
    }
    let reply = match service {
        QueryService::Sts => sts::answer(platform, call).await,
        QueryService::Iam => iam::answer(platform, call).await,
        QueryService::CloudWatch => cloudwatch::answer_query(platform, call).await,
    };
    log_unknown(service.name(), &operation, reply.as_ref().err());
    match reply {
        Ok(result) => {
            let metadata = Element::new("ResponseMetadata").field("RequestId", request_id);
            let frame = Element::new(format!("{operation}Response")).attribute("xmlns", service.namespace());
            answered(XML, frame.child(result).child(metadata).to_document())
        }
        Err(error) => query_error(Some(service), &error, &request_id),
    }
}

/// The frame of an error of a form whose service is not known yet.
pub fn form_error(error: &AwsError, request_id: &str) -> AwsAnswer {
    query_error(None, error, request_id)
}

fn query_error(service: Option<QueryService>, error: &AwsError, request_id: &str) -> AwsAnswer {
    // What JSON services call an unknown operation has its own code here.
    let code = match error.code {
        ErrorCode::UnknownOperationException => ErrorCode::InvalidAction,
        code => code,
    };
    let status = code.status();
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    let error = Element::new("Error")
        .field("Type", fault)
        .field("Code", code.as_str())
        .field("Message", error.message.as_str());
    let frame = match service {
        Some(service) => Element::new("ErrorResponse").attribute("xmlns", service.namespace()),
        None => Element::new("ErrorResponse"),
    };
    let body = frame.child(error).field("RequestId", request_id).to_document().into();
    AwsAnswer { status, content_type: XML, headers: Vec::new(), body }
}

/// The frame of an error of S3 that its store never heard of; an answer to HEAD has no body.
pub fn s3_error(error: &AwsError, resource: &str, request_id: &str, is_head: bool) -> AwsAnswer {
    let frame = Element::new("Error")
        .field("Code", error.code.as_str())
        .field("Message", error.message.as_str())
        .field("Resource", resource)
        .field("RequestId", request_id);
    let body = if is_head { Bytes::new() } else { frame.to_document().into() };
    let headers = vec![("x-amz-request-id", request_id.to_owned()), ("x-amz-id-2", request_id.to_owned())];
    AwsAnswer { status: error.code.status(), content_type: "application/xml", headers, body }
}

/// An error of SageMaker Runtime and of our own paths: the code is in a header.
pub fn rest_error(error: &AwsError) -> AwsAnswer {
    let mut body = Map::new();
    body.insert("Message".into(), error.message.as_str().into());
    body.extend(error.members.clone());
    AwsAnswer {
        status: error.code.status(),
        content_type: "application/json",
        headers: vec![("x-amzn-errortype", error.code.as_str().into())],
        body: Value::Object(body).to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str, expected: Result<&str, &str>) {
        let found = parse(body.as_bytes()).map(|members| Value::Object(members).to_string());
        match expected {
            Ok(expected) => assert_eq!(found.as_deref(), Ok(expected), "{body}"),
            Err(expected) => {
                let error = found.expect_err(body);
                assert_eq!(error.code, ErrorCode::SerializationException);
                assert!(error.message.contains(expected), "{error}");
            }
        }
    }

    #[test]
    fn a_body_is_an_object_without_nulls() {
        parsed("", Ok("{}"));
        parsed("{}", Ok("{}"));
        parsed(r#"{"A":null,"B":{"C":null,"D":[null,{"E":null,"F":1}]}}"#, Ok(r#"{"B":{"D":[{"F":1}]}}"#));
        parsed("{", Err("expected a JSON object, found EOF"));
        parsed("[]", Err("found an array"));
        parsed("1", Err("found 1"));
        parsed("\u{1}", Err("expected a JSON object"));
        parsed(&"[".repeat(200), Err("recursion limit"));
    }

    #[test]
    fn json_errors_have_both_spellings_and_only_two_statuses() {
        let error = AwsError::new(ErrorCode::ResourceNotFoundError, "no such \"a\"").with("Extra", 1);
        let answer = json_error(JsonService::CloudWatch, &error, true);
        assert_eq!((answer.status, answer.content_type), (400, JSON_1_0));
        let expected = r#"{"Extra":1,"Message":"no such \"a\"","__type":"ResourceNotFoundError","message":"no such \"a\""}"#;
        assert_eq!(answer.body, expected);
        assert_eq!(answer.headers, [("x-amzn-query-error", "ResourceNotFoundError;Sender".to_owned())]);
        let answer = json_error(JsonService::SageMaker, &AwsError::internal(), false);
        assert_eq!((answer.status, answer.content_type, answer.headers.len()), (500, JSON_1_1, 0));
    }

    #[test]
    fn query_errors_name_the_fault_and_the_request() {
        let error = AwsError::unknown_operation("STS", "X");
        let answer = query_error(Some(QueryService::Sts), &error, "id-1");
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, 400);
        for part in [
            r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>"#,
            "<Code>InvalidAction</Code>",
            "</Error><RequestId>id-1</RequestId></ErrorResponse>",
        ] {
            assert!(body.contains(part), "{part} in {body}");
        }
        assert_eq!(query_error(None, &AwsError::internal(), "i").status, 500);
    }

    #[test]
    fn errors_of_s3_name_the_resource_and_are_silent_to_head() {
        let error = AwsError::new(ErrorCode::SlowDown, "wait");
        let answer = s3_error(&error, "/b/k&1", "id-1", false);
        assert_eq!((answer.status, answer.content_type), (503, "application/xml"));
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        let expected = "<Error><Code>SlowDown</Code><Message>wait</Message><Resource>/b/k&amp;1</Resource>\
                        <RequestId>id-1</RequestId></Error>";
        assert!(body.ends_with(expected), "{body}");
        assert!(s3_error(&error, "/b", "id-1", true).body.is_empty());
    }

    #[test]
    fn runtime_errors_carry_their_code_in_a_header() {
        let error = AwsError::new(ErrorCode::ModelError, "m").with("OriginalStatusCode", 400);
        let answer = rest_error(&error);
        assert_eq!(answer.status, 424);
        assert_eq!(answer.body, r#"{"Message":"m","OriginalStatusCode":400}"#);
        assert_eq!(answer.headers, [("x-amzn-errortype", "ModelError".to_owned())]);
    }
}
