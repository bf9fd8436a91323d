//! `clary up` killed at random points: what was answered is there, changes under way are finished, and an endpoint that
//! served serves again, by one configuration and one set of weights.
//!
//! `CLARY_KILLS` says how often (8 unless given), `CLARY_SEED` where the randomness begins.

use std::path::Path;

use harness::platform::{call, create_model, invoke, sagemaker, wait_in_service};
use harness::{Client, Request, Server, Up, artifacts, score};
use serde_json::{Value, json};

use crate::number;

/// How often the server is killed, unless `CLARY_KILLS` says otherwise. Reason: a few seconds of every run of the suite.
const KILLS_DEFAULT: u64 = 8;

/// The most invocations between a change and the kill. Reason: a change takes a few of them, so that kills fall before,
/// into and behind it.
const INVOCATIONS_BEFORE_KILL: u64 = 40;

const ENDPOINT: &str = "e";
const ROW: &str = "1\n";

/// What an endpoint should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    /// Configuration 1 or 2.
    config: u8,
    /// Which of its two variants, `a` (0) or `b` (1), has all the weight.
    variant: u8,
}

impl Wanted {
    fn config_name(self) -> String {
        format!("c{}", self.config)
    }

    fn weights(self) -> [f64; 2] {
        if self.variant == 0 { [1.0, 0.0] } else { [0.0, 1.0] }
    }

    /// The answer to [`ROW`] of whoever has the weight.
    fn answer(self) -> Vec<u8> {
        score(&artifact(self.config, self.variant), "text/csv", ROW.as_bytes(), "application/json")
    }

    /// The request that makes it so, from `before`.
    fn request(self, before: Self) -> (&'static str, Value) {
        if self.config != before.config {
            return (
                "UpdateEndpoint",
                json!({"EndpointName": ENDPOINT, "EndpointConfigName": self.config_name()}),
            );
        }
        let [a, b] = self.weights();
        let desired =
            json!([{"VariantName": "a", "DesiredWeight": a}, {"VariantName": "b", "DesiredWeight": b}]);
        let input = json!({"EndpointName": ENDPOINT, "DesiredWeightsAndCapacities": desired});
        ("UpdateEndpointWeightsAndCapacities", input)
    }
}

/// Each configuration's variants answer what no other does.
fn artifact(config: u8, variant: u8) -> Vec<u8> {
    artifacts::regressor(&[0.0], f32::from(10 * config + variant))
}

/// Two configurations of two variants each, and an endpoint of the first.
fn prepare(data: &Path) -> Wanted {
    let server = Up::on(data).start();
    for config in [1, 2] {
        let mut variants = Vec::new();
        for variant in [0, 1] {
            let model = format!("m{config}{variant}");
            create_model(&server, &model, &artifact(config, variant));
            variants.push(json!({
                "VariantName": if variant == 0 { "a" } else { "b" },
                "ModelName": model,
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "InitialVariantWeight": 1 - variant,
            }));
        }
        let input = json!({"EndpointConfigName": format!("c{config}"), "ProductionVariants": variants});
        sagemaker(&server, "CreateEndpointConfig", &input);
    }
    sagemaker(&server, "CreateEndpoint", &json!({"EndpointName": ENDPOINT, "EndpointConfigName": "c1"}));
    wait_in_service(&server, ENDPOINT);
    Wanted { config: 1, variant: 0 }
}

/// Invokes until the endpoint answers: it may be unavailable meanwhile, but never unknown.
fn wait_for_answer(server: &mut Server) -> Vec<u8> {
    let mut body = Vec::new();
    server.wait_for("an answer", |server| {
        let answer = server.call(&invoke(ENDPOINT, "text/csv", ROW));
        assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text());
        body.clone_from(&answer.body);
        answer.status == 200
    });
    body
}

/// What the endpoint has become, when it is settled: by its description, and by its answers.
fn settled(server: &mut Server) -> Wanted {
    wait_in_service(server, ENDPOINT);
    let endpoint = sagemaker(server, "DescribeEndpoint", &json!({"EndpointName": ENDPOINT}));
    assert_eq!(endpoint["FailureReason"], Value::Null, "{endpoint}");
    assert_eq!(endpoint["PendingDeploymentSummary"], Value::Null, "{endpoint}");
    let weights: Vec<_> = endpoint["ProductionVariants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| {
            assert_eq!(variant["CurrentWeight"], variant["DesiredWeight"], "{endpoint}");
            variant["CurrentWeight"].as_f64().unwrap()
        })
        .collect();
    let config = if endpoint["EndpointConfigName"] == "c1" { 1 } else { 2 };
    let variant = u8::from(weights == [0.0, 1.0]);
    let found = Wanted { config, variant };
    assert_eq!(weights, found.weights(), "{endpoint}");
    let mut client = server.connect();
    for _ in 0..10 {
        let answer = client.call(&invoke(ENDPOINT, "text/csv", ROW));
        assert_eq!((answer.status, &answer.body), (200, &found.answer()), "{found:?}: {}", answer.text());
    }
    found
}

/// Begins to change the endpoint, and leaves before the answer or after it and some invocations: whether it was answered.
fn change(server: &Server, before: Wanted, after: Wanted, random: &mut fastrand::Rng) -> bool {
    let (operation, input) = after.request(before);
    let request = Request::new("POST", "/")
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("X-Amz-Target", &format!("SageMaker.{operation}"))
        .body(input.to_string());
    let mut client = Client::connect(server.address());
    client.send(&request.to_bytes()).unwrap();
    let is_answered = random.u8(..4) != 0;
    if is_answered {
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, 200, "{operation} {before:?} → {after:?}: {}", answer.text());
    }
    for _ in 0..random.u64(..INVOCATIONS_BEFORE_KILL) {
        let answer = server.call(&invoke(ENDPOINT, "text/csv", ROW));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body == before.answer() || answer.body == after.answer(), "{}", answer.text());
    }
    is_answered
}

#[test]
fn a_kill_during_a_change_leaves_the_old_or_the_new_state() {
    let data = tempfile::tempdir().unwrap();
    let mut state = prepare(data.path());
    let seed = number("CLARY_SEED", 1);
    let mut random = fastrand::Rng::with_seed(seed);
    for kill in 0..number("CLARY_KILLS", KILLS_DEFAULT) {
        let mut server = Up::on(data.path()).start();
        wait_for_answer(&mut server);
        assert_eq!(settled(&mut server), state, "kill {kill} of seed {seed}: nothing was changed");
        let after = if random.bool() {
            Wanted { config: 3 - state.config, variant: 0 }
        } else {
            Wanted { variant: 1 - state.variant, ..state }
        };
        let is_answered = change(&server, state, after, &mut random);
        // The harness kills without warning.
        drop(server);
        let mut server = Up::on(data.path()).start();
        let first = wait_for_answer(&mut server);
        assert!(first == state.answer() || first == after.answer(), "kill {kill} of seed {seed}");
        let found = settled(&mut server);
        if is_answered {
            assert_eq!(found, after, "kill {kill} of seed {seed}: answered means stored");
        } else {
            assert!(found == state || found == after, "kill {kill} of seed {seed}: {found:?}");
        }
        state = found;
    }
}

#[test]
fn what_was_created_or_deleted_is_finished_after_a_kill() {
    let data = tempfile::tempdir().unwrap();
    prepare(data.path());
    let server = Up::on(data.path()).start();
    sagemaker(&server, "CreateEndpoint", &json!({"EndpointName": "second", "EndpointConfigName": "c2"}));
    drop(server);
    let server = Up::on(data.path()).start();
    wait_in_service(&server, "second");
    sagemaker(&server, "DeleteEndpoint", &json!({"EndpointName": "second"}));
    drop(server);
    let mut server = Up::on(data.path()).start();
    server.wait_for("the deletion", |server| {
        let answer = call(server, "SageMaker.DescribeEndpoint", &json!({"EndpointName": "second"}));
        answer.status == 400 && answer.text().contains("Could not find endpoint")
    });
    settled(&mut server);
}

#[test]
fn a_restart_serves_the_pinned_bytes_whatever_became_of_the_object() {
    let data = tempfile::tempdir().unwrap();
    let state = prepare(data.path());
    let server = Up::on(data.path()).start();
    // Other bytes at the same place, and configuration and model gone.
    harness::platform::put(&server, "/models/m10/model.tar.gz", &artifact(9, 9));
    sagemaker(&server, "DeleteEndpointConfig", &json!({"EndpointConfigName": "c1"}));
    sagemaker(&server, "DeleteModel", &json!({"ModelName": "m10"}));
    drop(server);
    let mut server = Up::on(data.path()).start();
    wait_for_answer(&mut server);
    assert_eq!(settled(&mut server), state);
    let endpoint = sagemaker(&server, "DescribeEndpoint", &json!({"EndpointName": ENDPOINT}));
    let pinned = harness::Oracle::of_bytes(&artifact(1, 0));
    assert_eq!(endpoint["ProductionVariants"][0]["Artifact"]["Sha256"], pinned.digest());
    drop(server);
    // Without its copy, the endpoint is out of service until the same bytes are back.
    std::fs::remove_dir_all(data.path().join("artifacts").join(pinned.digest())).unwrap();
    let mut server = Up::on(data.path()).start();
    let status = |server: &Server| {
        sagemaker(server, "DescribeEndpoint", &json!({"EndpointName": ENDPOINT}))["EndpointStatus"].clone()
    };
    server.wait_for("OutOfService", |server| status(server) == "OutOfService");
    assert_eq!(server.call(&invoke(ENDPOINT, "text/csv", ROW)).status, 503);
    harness::platform::put(&server, "/models/m10/model.tar.gz", &artifact(1, 0));
    wait_for_answer(&mut server);
    server.wait_for("InService", |server| status(server) == "InService");
    assert_eq!(settled(&mut server), state);
}
