//! An endpoint in each of its states, as clients read it.

use wire::Timestamp;

use super::*;
use crate::control::endpoint::{
    Change, ChangeKind, EndpointStatus, FleetConfig, Phase, PinnedArtifact, Progress,
};

const URL: &str = "s3://b/model.tar.gz";

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("expected an object, found {other}"),
    }
}

fn variant(name: &str, is_shadow: bool) -> VariantState {
    VariantState {
        name: name.into(),
        model: "m".into(),
        is_shadow,
        current_weight: 1.0,
        desired_weight: 2.0,
        current_instance_count: 1,
        desired_instance_count: 3,
        current_serverless: None,
        desired_serverless: None,
        artifact: Some(PinnedArtifact {
            url: URL.into(),
            e_tag: Some("\"e\"".into()),
            sha256: "00ff".into(),
            resolved: Timestamp(7000),
        }),
        status: Vec::new(),
    }
}

fn fleet(config_name: &str) -> Fleet {
    let config = json!({
        "EndpointConfigName": config_name,
        "ProductionVariants": [
            {"VariantName": "A", "InstanceType": "ml.m5.large", "RoutingConfig": {"RoutingStrategy": "RANDOM"}},
        ],
        "DataCaptureConfig": {"EnableCapture": true, "InitialSamplingPercentage": 20, "DestinationS3Uri": "s3://b/c"},
        "MetricsConfig": {"EnableEnhancedMetrics": true},
        "KmsKeyId": "k",
    });
    let models = json!({"m": {"ModelName": "m", "PrimaryContainer": {"Image": "xgboost:1"}}});
    let config = FleetConfig { name: config_name.into(), config: object(config), models: object(models) };
    Fleet { id: 1, config, variants: vec![variant("A", false), variant("S", true)] }
}

fn describe(state: &EndpointState) -> Value {
    let record = Record {
        name: "e".into(),
        arn: "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e".into(),
        created: Timestamp(1000),
        modified: Timestamp(2500),
        status: state.status.as_str().into(),
        document: object(serde_json::to_value(state).expect("a state")),
    };
    Value::Object(describe_endpoint(&record).expect("an endpoint"))
}

fn deploy(fleet: Fleet, started: i64) -> Change {
    let progress = Progress { phase: Phase::Provision, step: 0, since: Timestamp(started) };
    let kind = ChangeKind::Deploy { fleet: Box::new(fleet), deployment_config: None };
    Change { kind, started: Timestamp(started), progress }
}

fn in_service() -> EndpointState {
    EndpointState {
        status: EndpointStatus::InService,
        failure_reason: None,
        fleet: Some(fleet("c")),
        change: None,
        last_deployment_config: None,
    }
}

#[test]
fn an_endpoint_in_service_tells_all() {
    let mut state = in_service();
    state.last_deployment_config = Some(json!({"BlueGreenUpdatePolicy": {}}));
    let images = json!([{"SpecifiedImage": "xgboost:1", "ResolvedImage": "xgboost:1", "ResolutionTime": 7}]);
    let variant = |name: &str| {
        json!({
            "VariantName": name, "DeployedImages": images, "CurrentWeight": 1.0, "DesiredWeight": 2.0,
            "CurrentInstanceCount": 1, "DesiredInstanceCount": 3,
            "Artifact": {"Url": URL, "ETag": "\"e\"", "Sha256": "00ff"},
        })
    };
    let mut production = variant("A");
    production["RoutingConfig"] = json!({"RoutingStrategy": "RANDOM"});
    let expected = json!({
        "EndpointName": "e", "EndpointArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e",
        "EndpointConfigName": "c", "EndpointStatus": "InService", "CreationTime": 1, "LastModifiedTime": 2.5,
        "ProductionVariants": [production], "ShadowProductionVariants": [variant("S")],
        "DataCaptureConfig": {"EnableCapture": true, "CaptureStatus": "Started", "CurrentSamplingPercentage": 20,
            "DestinationS3Uri": "s3://b/c", "KmsKeyId": ""},
        "MetricsConfig": {"EnableEnhancedMetrics": true},
        "LastDeploymentConfig": {"BlueGreenUpdatePolicy": {}},
    });
    assert_eq!(describe(&state), expected);
}

#[test]
fn a_deployment_under_way_is_pending() {
    let mut state = in_service();
    state.status = EndpointStatus::Updating;
    state.change = Some(deploy(fleet("c2"), 3000));
    let described = describe(&state);
    assert_eq!(described["EndpointConfigName"], "c");
    let pending = &described["PendingDeploymentSummary"];
    assert_eq!(pending["EndpointConfigName"], "c2");
    assert_eq!(pending["StartTime"], 3);
    assert_eq!(pending["ProductionVariants"][0]["InstanceType"], "ml.m5.large");
    assert_eq!(described["ProductionVariants"][0]["InstanceType"], Value::Null);
}

#[test]
fn a_first_fleet_is_the_endpoints_own() {
    let mut state = in_service();
    state.status = EndpointStatus::Creating;
    let mut first = fleet("c");
    first.variants[0].artifact = None;
    let step = VariantStatus {
        status: "Creating".into(),
        message: Some("loading".into()),
        started: Timestamp(4000),
    };
    first.variants[0].status = vec![step];
    (state.fleet, state.change) = (None, Some(deploy(first, 3000)));
    let described = describe(&state);
    assert_eq!(described["EndpointConfigName"], "c");
    assert_eq!(described.get("PendingDeploymentSummary"), None);
    let variant = &described["ProductionVariants"][0];
    let status = json!([{"Status": "Creating", "StatusMessage": "loading", "StartTime": 4}]);
    assert_eq!((&variant["VariantStatus"], variant.get("Artifact")), (&status, None));
    // An image that was never resolved is as old as the endpoint.
    assert_eq!(variant["DeployedImages"][0]["ResolutionTime"], 1);
}

#[test]
fn a_failure_has_its_reason() {
    let mut state = in_service();
    (state.status, state.failure_reason) = (EndpointStatus::Failed, Some("no such image".into()));
    let described = describe(&state);
    assert_eq!(
        (&described["EndpointStatus"], &described["FailureReason"]),
        (&json!("Failed"), &json!("no such image"))
    );
}

#[test]
fn a_serverless_variant_has_no_instances() {
    let mut state = in_service();
    let config = json!({"MemorySizeInMB": 1024, "MaxConcurrency": 2});
    let variant = &mut state.fleet.as_mut().expect("a fleet").variants[0];
    (variant.current_serverless, variant.desired_serverless) = (Some(config.clone()), Some(config.clone()));
    let described = describe(&state);
    let variant = &described["ProductionVariants"][0];
    assert_eq!(variant["CurrentServerlessConfig"], config);
    assert_eq!(variant["DesiredServerlessConfig"], config);
    assert_eq!((variant.get("CurrentInstanceCount"), variant.get("DesiredInstanceCount")), (None, None));
}

#[test]
fn what_is_no_endpoint_is_an_error() {
    let record = Record {
        name: "e".into(),
        arn: String::new(),
        created: Timestamp(0),
        modified: Timestamp(0),
        status: String::new(),
        document: Map::new(),
    };
    describe_endpoint(&record).expect_err("no state");
}
