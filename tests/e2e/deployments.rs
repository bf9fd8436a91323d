//! UpdateEndpoint under load: traffic moves as the deployment says, no request fails, and a fleet that is no good never
//! takes over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::platform::{call, create_model, invoke, put, sagemaker, wait_in_service};
use harness::{Client, Server, Up, artifacts, score};
use serde_json::{Value, json};

const ENDPOINT: &str = "e";
const ROW: &str = "1\n";

/// Draws by which a share of the traffic is told. Reason: it is then known to within 13 in a hundred at five sigma.
const DRAWS: usize = 400;

fn artifact(bias: u8) -> Vec<u8> {
    artifacts::regressor(&[0.0], f32::from(bias))
}

fn answer(bias: u8) -> Vec<u8> {
    score(&artifact(bias), "text/csv", ROW.as_bytes(), "application/json")
}

/// A model and a configuration of one variant, both named `c<bias>`, that answer `bias`.
fn create_config(server: &Server, bias: u8, instances: u32) -> String {
    let name = format!("c{bias}");
    create_model(server, &name, &artifact(bias));
    create_config_of(server, &name, &name, instances);
    name
}

fn create_config_of(server: &Server, name: &str, model: &str, instances: u32) {
    let variant = json!({
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InitialInstanceCount": instances,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1,
    });
    let input = json!({"EndpointConfigName": name, "ProductionVariants": [variant]});
    sagemaker(server, "CreateEndpointConfig", &input);
}

fn create_endpoint(server: &Server, config: &str) {
    sagemaker(server, "CreateEndpoint", &json!({"EndpointName": ENDPOINT, "EndpointConfigName": config}));
    wait_in_service(server, ENDPOINT);
}

fn update(server: &Server, config: &str, deployment: &Value) {
    let mut input = json!({"EndpointName": ENDPOINT, "EndpointConfigName": config});
    if !deployment.is_null() {
        input["DeploymentConfig"] = deployment.clone();
    }
    sagemaker(server, "UpdateEndpoint", &input);
}

fn describe(server: &Server) -> Value {
    sagemaker(server, "DescribeEndpoint", &json!({"EndpointName": ENDPOINT}))
}

/// Waits until the endpoint is of none of the statuses of a change.
fn wait_settled(server: &mut Server) -> Value {
    let mut found = Value::Null;
    server.wait_for("the end of the change", |server| {
        found = describe(server);
        !matches!(found["EndpointStatus"].as_str(), Some("Creating" | "Updating" | "RollingBack"))
    });
    found
}

fn blue_green(kind: &str, member: &str, percent: u32, wait_seconds: u32) -> Value {
    json!({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
        "Type": kind,
        "WaitIntervalInSeconds": wait_seconds,
        member: {"Type": "CAPACITY_PERCENT", "Value": percent},
    }}})
}

/// Two clients that never stop asking while `work` is done; every answer is whole, and how often each came.
fn under_load(server: &mut Server, work: impl FnOnce(&mut Server)) -> BTreeMap<Vec<u8>, usize> {
    let (address, stop) = (server.address(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut seen) =
                        (Client::connect(address), BTreeMap::<Vec<u8>, usize>::new());
                    while !stop.load(Ordering::Relaxed) {
                        let answer = client.call(&invoke(ENDPOINT, "text/csv", ROW));
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        *seen.entry(answer.body).or_default() += 1;
                    }
                    seen
                })
            })
            .collect();
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(server)));
        stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::<Vec<u8>, usize>::new();
        for client in clients {
            for (body, count) in client.join().expect("no failed request") {
                *all.entry(body).or_default() += count;
            }
        }
        if let Err(panic) = worked {
            std::panic::resume_unwind(panic);
        }
        all
    })
}

/// Which part of the traffic gets `body`.
fn share_of(server: &Server, body: &[u8]) -> f64 {
    let mut client = server.connect();
    let hits = (0..DRAWS).filter(|_| client.call(&invoke(ENDPOINT, "text/csv", ROW)).body == body).count();
    hits as f64 / DRAWS as f64
}

fn wait_for_baking(server: &mut Server) {
    server.wait_for("baking", |server| {
        let pending = &describe(server)["PendingDeploymentSummary"];
        pending["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Baking"
    });
}

#[test]
fn a_canary_takes_its_share_then_all_and_no_request_fails() {
    let mut server = Up::new().start();
    let (old, new) = (create_config(&server, 1, 4), create_config(&server, 2, 4));
    create_endpoint(&server, &old);
    let deployment = blue_green("CANARY", "CanarySize", 25, 3);
    let seen = under_load(&mut server, |server| {
        update(server, &new, &deployment);
        let busy = call(
            server,
            "SageMaker.UpdateEndpoint",
            &json!({"EndpointName": ENDPOINT, "EndpointConfigName": old}),
        );
        assert!(
            busy.status == 400 && busy.text().contains("Cannot update in-progress endpoint"),
            "{}",
            busy.text()
        );
        wait_for_baking(server);
        let endpoint = describe(server);
        assert_eq!(
            (&endpoint["EndpointStatus"], &endpoint["EndpointConfigName"]),
            (&json!("Updating"), &json!(old))
        );
        assert_eq!(endpoint["PendingDeploymentSummary"]["EndpointConfigName"], json!(new));
        let share = share_of(server, &answer(2));
        assert!((share - 0.25).abs() < 0.11, "{share}");
        let endpoint = wait_settled(server);
        assert_eq!(
            (&endpoint["EndpointStatus"], &endpoint["EndpointConfigName"]),
            (&json!("InService"), &json!(new))
        );
        assert_eq!(
            (&endpoint["LastDeploymentConfig"], &endpoint["FailureReason"]),
            (&deployment, &Value::Null)
        );
        assert_eq!(share_of(server, &answer(2)), 1.0);
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&answer(1), &answer(2)]);
}

#[test]
fn each_policy_brings_the_new_fleet_and_no_request_fails() {
    let mut server = Up::new().start();
    let mut names = vec![create_config(&server, 1, 2)];
    create_endpoint(&server, &names[0]);
    let rolling = json!({"RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 1,
    }});
    let mut at_once = blue_green("ALL_AT_ONCE", "_", 1, 1);
    at_once["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"].as_object_mut().unwrap().remove("_");
    at_once["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] = json!(1);
    let policies = [Value::Null, at_once, blue_green("LINEAR", "LinearStepSize", 50, 1), rolling];
    for (bias, policy) in (2..).zip(policies) {
        let name = create_config(&server, bias, 2);
        let seen = under_load(&mut server, |server| {
            update(server, &name, &policy);
            let endpoint = wait_settled(server);
            assert_eq!(
                (&endpoint["EndpointStatus"], &endpoint["EndpointConfigName"]),
                (&json!("InService"), &json!(name)),
                "{policy}"
            );
            assert_eq!(share_of(server, &answer(bias)), 1.0);
        });
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&answer(bias - 1), &answer(bias)], "{policy}");
        names.push(name);
    }
    // Fifty in a row, back and forth.
    let seen = under_load(&mut server, |server| {
        for turn in 0..50 {
            let name = &names[turn % names.len()];
            update(server, name, &Value::Null);
            assert_eq!(wait_settled(server)["EndpointConfigName"], json!(name));
        }
    });
    assert_eq!(seen.len(), names.len());
}

#[test]
fn an_alarm_takes_a_bad_canary_back() {
    let mut server = Up::new().start();
    let (old, new) = (create_config(&server, 1, 2), create_config(&server, 2, 2));
    create_endpoint(&server, &old);
    let cloudwatch = |server: &Server, operation: &str, input: &Value| {
        let answer = call(server, &format!("GraniteServiceVersion20100801.{operation}"), input);
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
    };
    let mut deployment = blue_green("CANARY", "CanarySize", 50, 600);
    deployment["AutoRollbackConfiguration"] = json!({"Alarms": [{"AlarmName": "errors"}]});
    let input = json!({"EndpointName": ENDPOINT, "EndpointConfigName": new, "DeploymentConfig": deployment});
    let unknown = call(&server, "SageMaker.UpdateEndpoint", &input);
    assert!(unknown.status == 400 && unknown.text().contains("errors"), "{}", unknown.text());
    let alarm = json!({
        "AlarmName": "errors", "Namespace": "AWS/SageMaker", "MetricName": "Invocation5XXErrors", "Statistic": "Sum",
        "Period": 60, "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
        "Dimensions": [{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": "AllTraffic"}],
    });
    cloudwatch(&server, "PutMetricAlarm", &alarm);
    let set = |server: &Server, state: &str| {
        let input = json!({"AlarmName": "errors", "StateValue": state, "StateReason": "a test"});
        cloudwatch(server, "SetAlarmState", &input);
    };
    set(&server, "OK");
    under_load(&mut server, |server| {
        update(server, &new, &deployment);
        wait_for_baking(server);
        let share = share_of(server, &answer(2));
        assert!((share - 0.5).abs() < 0.13, "{share}");
        set(server, "ALARM");
        let endpoint = wait_settled(server);
        assert_eq!(
            (&endpoint["EndpointStatus"], &endpoint["EndpointConfigName"]),
            (&json!("InService"), &json!(old))
        );
        let reason = endpoint["FailureReason"].as_str().unwrap().to_owned();
        assert!(reason.contains("alarm errors was in ALARM while baking"), "{reason}");
        assert_eq!(share_of(server, &answer(1)), 1.0);
    });
    // In ALARM from the start, no traffic moves at all.
    let seen = under_load(&mut server, |server| {
        set(server, "ALARM");
        update(server, &new, &deployment);
        let endpoint = wait_settled(server);
        let reason = endpoint["FailureReason"].as_str().unwrap().to_owned();
        assert!(reason.contains("before traffic moved"), "{reason}");
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&answer(1)]);
}

/// What an update to a model made by `model` fails with, while the old fleet serves.
fn check_refused(server: &mut Server, name: &str, model: impl FnOnce(&Server), expected: &str) {
    model(server);
    create_config_of(server, name, name, 1);
    let seen = under_load(server, |server| {
        update(server, name, &Value::Null);
        let endpoint = wait_settled(server);
        assert_eq!(
            (&endpoint["EndpointStatus"], &endpoint["EndpointConfigName"]),
            (&json!("InService"), &json!("c1"))
        );
        let reason = endpoint["FailureReason"].as_str().unwrap().to_owned();
        assert!(reason.contains(expected), "{reason}");
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&answer(1)], "{name}");
}

#[test]
fn a_fleet_that_cannot_serve_changes_nothing() {
    let mut server = Up::new().start();
    let old = create_config(&server, 1, 1);
    create_endpoint(&server, &old);
    check_refused(
        &mut server,
        "broken",
        |server| create_model(server, "broken", b"no model"),
        "ping health check",
    );
    let of_image = |name: &'static str, image: &'static str| {
        move |server: &Server| {
            let container = json!({"Image": image, "ModelDataUrl": "s3://models/c1/model.tar.gz"});
            let role = "arn:aws:iam::000000000000:role/test";
            let input = json!({"ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": container});
            sagemaker(server, "CreateModel", &input);
        }
    };
    check_refused(
        &mut server,
        "foreign",
        of_image("foreign", "r.example/pytorch-inference:2"),
        "pytorch-inference",
    );
    check_refused(&mut server, "other", of_image("other", "xgboost:1"), "expected an artifact of xgboost");
    // The object changes between the configuration and its first endpoint.
    create_model(&server, "late", &artifact(7));
    create_config_of(&server, "late", "late", 1);
    put(&server, "/models/late/model.tar.gz", &artifact(8));
    update(&server, "late", &Value::Null);
    let endpoint = wait_settled(&mut server);
    let reason = endpoint["FailureReason"].as_str().unwrap();
    assert!(
        endpoint["EndpointConfigName"] == "c1" && reason.contains("expected the pinned bytes"),
        "{reason}"
    );
}

#[test]
fn a_failed_creation_says_why_and_can_be_deleted() {
    let mut server = Up::new().start();
    create_model(&server, "broken", b"no model");
    create_config_of(&server, "broken", "broken", 1);
    let input = json!({"EndpointName": ENDPOINT, "EndpointConfigName": "broken"});
    sagemaker(&server, "CreateEndpoint", &input);
    let endpoint = wait_settled(&mut server);
    assert_eq!(
        (&endpoint["EndpointStatus"], &endpoint["EndpointConfigName"]),
        (&json!("Failed"), &json!("broken"))
    );
    let reason = endpoint["FailureReason"].as_str().unwrap();
    assert!(
        reason.starts_with("The primary container for production variant AllTraffic did not pass"),
        "{reason}"
    );
    let invoked = server.call(&invoke(ENDPOINT, "text/csv", ROW));
    assert!(invoked.status == 400 && invoked.text().contains("not found"), "{}", invoked.text());
    let refused = call(&server, "SageMaker.UpdateEndpoint", &input);
    assert!(refused.status == 400 && refused.text().contains("DeleteEndpoint"), "{}", refused.text());
    // The SDK deletes the configuration first.
    sagemaker(&server, "DeleteEndpointConfig", &json!({"EndpointConfigName": "broken"}));
    sagemaker(&server, "DeleteEndpoint", &json!({"EndpointName": ENDPOINT}));
    server.wait_for("the deletion", |server| {
        call(server, "SageMaker.DescribeEndpoint", &json!({"EndpointName": ENDPOINT})).status == 400
    });
    // The name is free again.
    let name = create_config(&server, 1, 1);
    create_endpoint(&server, &name);
    assert_eq!(server.call(&invoke(ENDPOINT, "text/csv", ROW)).body, answer(1));
}

#[test]
fn weights_and_counts_change_in_place() {
    let mut server = Up::new().start();
    for bias in [1, 2] {
        create_model(&server, &format!("m{bias}"), &artifact(bias));
    }
    let variant = |name: &str, bias: u8, weight: f64| {
        json!({"VariantName": name, "ModelName": format!("m{bias}"), "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large", "InitialVariantWeight": weight})
    };
    let input = json!({"EndpointConfigName": "c", "ProductionVariants": [variant("a", 1, 1.0), variant("b", 2, 0.0)]});
    sagemaker(&server, "CreateEndpointConfig", &input);
    create_endpoint(&server, "c");
    let change = |server: &mut Server, desired: Value| {
        let input = json!({"EndpointName": ENDPOINT, "DesiredWeightsAndCapacities": desired});
        sagemaker(server, "UpdateEndpointWeightsAndCapacities", &input);
        wait_settled(server)
    };
    under_load(&mut server, |server| {
        assert_eq!(share_of(server, &answer(2)), 0.0);
        let desired = json!([{"VariantName": "a", "DesiredWeight": 1}, {"VariantName": "b", "DesiredWeight": 3, "DesiredInstanceCount": 2}]);
        let endpoint = change(server, desired);
        let b = &endpoint["ProductionVariants"][1];
        assert_eq!((&b["CurrentWeight"], &b["CurrentInstanceCount"]), (&json!(3.0), &json!(2)), "{endpoint}");
        let share = share_of(server, &answer(2));
        assert!((share - 0.75).abs() < 0.11, "{share}");
        change(server, json!([{"VariantName": "b", "DesiredWeight": 0, "DesiredInstanceCount": 1}]));
        assert_eq!(share_of(server, &answer(2)), 0.0);
        let request = invoke(ENDPOINT, "text/csv", ROW).header("X-Amzn-SageMaker-Target-Variant", "b");
        assert_eq!(server.call(&request).body, answer(2), "a weight of 0 is still served by name");
    });
    let refused = |desired: Value| {
        let input = json!({"EndpointName": ENDPOINT, "DesiredWeightsAndCapacities": desired});
        let answer = call(&server, "SageMaker.UpdateEndpointWeightsAndCapacities", &input);
        assert_eq!(answer.status, 400, "{}", answer.text());
        answer.text()
    };
    assert!(refused(json!([{"VariantName": "a", "DesiredWeight": 0}])).contains("above 0"));
    assert!(refused(json!([{"VariantName": "x", "DesiredWeight": 1}])).contains('x'));
    assert!(
        refused(json!([{"VariantName": "a", "DesiredInstanceCount": 0}])).contains("at least 1 instance")
    );
    let logs = call(
        &server,
        "Logs_20140328.DescribeLogStreams",
        &json!({"logGroupName": "/aws/sagemaker/Endpoints/e"}),
    );
    assert!(logs.text().contains("a/i-") && logs.text().contains("b/i-"), "{}", logs.text());
}
