//! Which of the services on the one port a request is for.
//!
//! A signature's scope decides where paths do not: a request signed for S3 is S3's, whatever its path.

use hyper::header::HeaderValue;

use super::runtime_fields::RuntimeFields;
use crate::faces::aws::JsonService;

/// What `X-Amz-Target` begins with, by service.
const TARGETS: [(&str, JsonService); 5] = [
    ("SageMaker", JsonService::SageMaker),
    ("Logs_20140328", JsonService::Logs),
    ("AnyScaleFrontendService", JsonService::AutoScaling),
    ("GraniteServiceVersion20100801", JsonService::CloudWatch),
    ("AmazonEC2ContainerRegistry_V20150921", JsonService::Registry),
];

/// The longest region that a signature's scope may name. Reason: it becomes a part of ARNs; real ones have 14.
const REGION_CHARS_MAX: usize = 64;

/// An operation of SageMaker Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuntimeOperation {
    /// `InvokeEndpoint`.
    Invoke,
    /// `InvokeEndpointWithResponseStream`.
    InvokeStream,
    /// `InvokeEndpointAsync`.
    InvokeAsync,
}

/// Our own paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// `/ping`, `/healthz`.
    Health,
    /// `/metrics`.
    Metrics,
    /// `/autoscaling/v1/signals`.
    Signals,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// An operation of a JSON service.
    Json {
        /// Which.
        service: JsonService,
        /// Its operation, as it was named.
        operation: &'a str,
    },
    /// `X-Amz-Target` of a service that is not here.
    UnknownJson(&'a str),
    /// A call of CloudWatch in Smithy's CBOR protocol.
    Cbor(&'a str),
    /// SageMaker Runtime.
    Runtime {
        /// Of which endpoint.
        endpoint: &'a str,
        /// What it should do.
        operation: RuntimeOperation,
    },
    /// STS, IAM or CloudWatch by a form, whose `Version` says which.
    Query,
    /// SageMaker Metrics.
    SageMakerMetrics,
    /// KEDA's external scaler, over gRPC.
    ExternalScaler(&'a str),
    /// One of our own paths.
    Own(Own),
    /// S3: everything else.
    S3,
}

impl<'a> Target<'a> {
    /// What a request of this head is for; the first rule that fits.
    pub(super) fn of(method: &str, path: &'a str, query: Option<&str>, fields: &RuntimeFields<'a>) -> Self {
        let scope = Scope::of(fields, query);
        if scope.is_s3 {
            return Self::S3;
        }
        if let Some(target) = fields.target {
            return of_target(target);
        }
        if method == "POST" {
            if let Some(runtime) = of_runtime(path) {
                return runtime;
            }
            if path == "/" && is_form(fields.base.content_type.value()) {
                return Self::Query;
            }
            if let Some(call) = path.strip_prefix("/externalscaler.ExternalScaler/") {
                return Self::ExternalScaler(call);
            }
        }
        let cbor = path.strip_prefix("/service/GraniteServiceVersion20100801/operation/");
        if let Some(operation) = cbor.filter(|_| fields.is_cbor) {
            return Self::Cbor(operation);
        }
        match path {
            "/BatchPutMetrics" if method == "PUT" && scope.service == Some("sagemaker") => {
                Self::SageMakerMetrics
            }
            "/BatchGetMetrics" if method == "POST" && scope.service == Some("sagemaker") => {
                Self::SageMakerMetrics
            }
            "/ping" | "/healthz" => Self::Own(Own::Health),
            "/metrics" => Self::Own(Own::Metrics),
            "/autoscaling/v1/signals" => Self::Own(Own::Signals),
            _ => Self::S3,
        }
    }
}

fn of_target(target: &str) -> Target<'_> {
    let Some((name, operation)) = target.split_once('.') else { return Target::UnknownJson(target) };
    match TARGETS.iter().find(|(candidate, _)| *candidate == name) {
        Some(&(_, service)) => Target::Json { service, operation },
        None => Target::UnknownJson(target),
    }
}

/// `/endpoints/{name}/{call}`; a name is one segment.
fn of_runtime(path: &str) -> Option<Target<'_>> {
    let (endpoint, call) = path.strip_prefix("/endpoints/")?.split_once('/')?;
    let operation = match call {
        "invocations" => RuntimeOperation::Invoke,
        "invocations-response-stream" => RuntimeOperation::InvokeStream,
        "async-invocations" => RuntimeOperation::InvokeAsync,
        _ => return None,
    };
    Some(Target::Runtime { endpoint, operation })
}

fn is_form(content_type: Option<&HeaderValue>) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let value = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
    value.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

/// What a request's signature says of where it belongs; nothing here is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    /// `us-east-1`; `None` where the request is not signed, or its region cannot be one.
    pub(super) region: Option<&'a str>,
    /// `sagemaker`, `s3` …
    pub(super) service: Option<&'a str>,
    /// Whether it is a request to S3: by its scope, or because it is signed as only S3's are.
    pub(super) is_s3: bool,
}

impl<'a> Scope<'a> {
    /// Of a request's `Authorization`, else of its query.
    pub(super) fn of(fields: &RuntimeFields<'a>, query: Option<&str>) -> Self {
        if let Some(authorization) = fields.authorization {
            return Self::of_authorization(authorization);
        }
        let Some(query) = query else { return Self::default() };
        Self { is_s3: is_presigned_for_s3(query), ..Self::default() }
    }

    fn of_authorization(authorization: &'a str) -> Self {
        if authorization.strip_prefix("AWS ").is_some() {
            // Version 2 signatures: only S3 still has them.
            return Self { is_s3: true, ..Self::default() };
        }
        // Clients write it first; to search a long text for another text costs more than the rest of this.
        let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=");
        let rest = rest.or_else(|| authorization.split_once("Credential=").map(|(_, rest)| rest));
        let Some(rest) = rest else { return Self::default() };
        let end = rest.bytes().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(rest.len());
        let credential = &rest[..end];
        // From the end, since a key may hold a slash.
        let mut parts = credential.rsplit('/').skip(1);
        let (service, region) = (parts.next(), parts.next());
        Self { region: region.filter(|region| is_region(region)), service, is_s3: service == Some("s3") }
    }
}

/// Whether a query has a signature whose scope is S3's, or no scope at all (the older form, which is S3's alone).
fn is_presigned_for_s3(query: &str) -> bool {
    let (mut is_signed, mut is_other) = (false, false);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "X-Amz-Signature" | "Signature" => is_signed = true,
            "X-Amz-Credential" => {
                let value = value.replace("%2F", "/").replace("%2f", "/");
                is_other = value.rsplit('/').nth(1) != Some("s3");
            }
            _ => {}
        }
    }
    is_signed && !is_other
}

fn is_region(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=REGION_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderName};

    use super::*;

    const S3: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00";
    const SAGEMAKER: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/sagemaker/aws4_request, SignedHeaders=host, Signature=00";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    fn check(line: &str, fields: &[(&'static str, &str)], expected: Target<'_>) {
        let (method, uri) = line.split_once(' ').unwrap();
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let headers = headers(fields);
        let found = Target::of(method, path, query, &RuntimeFields::of(&headers));
        assert_eq!(found, expected, "{line} {fields:?}");
    }

    fn json(service: JsonService, operation: &str) -> Target<'_> {
        Target::Json { service, operation }
    }

    #[test]
    fn a_target_names_a_json_service() {
        let target = |value: &'static str| [("x-amz-target", value)];
        check("POST /", &target("SageMaker.CreateModel"), json(JsonService::SageMaker, "CreateModel"));
        check("POST /", &target("Logs_20140328.GetLogEvents"), json(JsonService::Logs, "GetLogEvents"));
        check(
            "POST /",
            &target("AnyScaleFrontendService.RegisterScalableTarget"),
            json(JsonService::AutoScaling, "RegisterScalableTarget"),
        );
        check(
            "POST /",
            &target("GraniteServiceVersion20100801.ListMetrics"),
            json(JsonService::CloudWatch, "ListMetrics"),
        );
        check(
            "POST /",
            &target("AmazonEC2ContainerRegistry_V20150921.DescribeImages"),
            json(JsonService::Registry, "DescribeImages"),
        );
        check(
            "POST /",
            &target("DynamoDB_20120810.GetItem"),
            Target::UnknownJson("DynamoDB_20120810.GetItem"),
        );
        check("POST /", &target("SageMaker"), Target::UnknownJson("SageMaker"));
    }

    #[test]
    fn paths_name_the_other_services() {
        let runtime = |operation| Target::Runtime { endpoint: "a-1", operation };
        check("POST /endpoints/a-1/invocations", &[], runtime(RuntimeOperation::Invoke));
        check(
            "POST /endpoints/a-1/invocations-response-stream",
            &[],
            runtime(RuntimeOperation::InvokeStream),
        );
        check("POST /endpoints/a-1/async-invocations", &[], runtime(RuntimeOperation::InvokeAsync));
        check("GET /endpoints/a-1/invocations", &[], Target::S3);
        check("POST /endpoints/a-1/invocations/x", &[], Target::S3);
        check("POST /endpoints/a/b/invocations", &[], Target::S3);
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        check("POST /", &[form], Target::Query);
        check("POST /bucket", &[form], Target::S3);
        check("PUT /", &[form], Target::S3);
        let cbor = ("smithy-protocol", "rpc-v2-cbor");
        check(
            "POST /service/GraniteServiceVersion20100801/operation/ListMetrics",
            &[cbor],
            Target::Cbor("ListMetrics"),
        );
        check("POST /service/GraniteServiceVersion20100801/operation/ListMetrics", &[], Target::S3);
        check("PUT /BatchPutMetrics", &[("authorization", SAGEMAKER)], Target::SageMakerMetrics);
        check("PUT /BatchPutMetrics", &[], Target::S3);
        check("POST /externalscaler.ExternalScaler/IsActive", &[], Target::ExternalScaler("IsActive"));
        check("GET /", &[], Target::S3);
        check("PUT /bucket/key", &[], Target::S3);
    }

    #[test]
    fn the_scope_breaks_ties_in_favour_of_s3() {
        let own = [
            ("GET /ping", Target::Own(Own::Health)),
            ("HEAD /healthz", Target::Own(Own::Health)),
            ("GET /metrics", Target::Own(Own::Metrics)),
            ("GET /autoscaling/v1/signals", Target::Own(Own::Signals)),
        ];
        for (line, target) in own {
            check(line, &[], target);
            check(line, &[("authorization", "Bearer x")], target);
            check(line, &[("authorization", SAGEMAKER)], target);
            check(line, &[("authorization", S3)], Target::S3);
            check(line, &[("authorization", "AWS AKID:c2ln")], Target::S3);
            check(&format!("{line}?X-Amz-Signature=00"), &[], Target::S3);
            check(&format!("{line}?AWSAccessKeyId=A&Signature=x&Expires=1"), &[], Target::S3);
            check(
                &format!("{line}?X-Amz-Credential=A%2FD%2FR%2Fs3%2Faws4_request&X-Amz-Signature=0"),
                &[],
                Target::S3,
            );
        }
        check("POST /endpoints/a/invocations", &[("authorization", S3)], Target::S3);
        check(
            "POST /endpoints/a/invocations?X-Amz-Credential=A%2FD%2FR%2Fsagemaker%2Faws4_request&X-Amz-Signature=0",
            &[],
            Target::Runtime { endpoint: "a", operation: RuntimeOperation::Invoke },
        );
    }

    #[test]
    fn a_scope_is_read_from_its_end_and_a_region_is_held_to_its_letters() {
        let check = |authorization: &str, region: Option<&str>, service: Option<&str>| {
            let scope = Scope::of_authorization(authorization);
            assert_eq!((scope.region, scope.service), (region, service), "{authorization}");
        };
        check(SAGEMAKER, Some("eu-west-1"), Some("sagemaker"));
        check("AWS4-HMAC-SHA256 Credential=A/K/D/r-1/logs/aws4_request", Some("r-1"), Some("logs"));
        check("AWS4-HMAC-SHA256 Credential=A/D/R\"1/logs/aws4_request", None, Some("logs"));
        check("AWS4-HMAC-SHA256 Credential=", None, None);
        check("Bearer x", None, None);
        check("", None, None);
    }
}
