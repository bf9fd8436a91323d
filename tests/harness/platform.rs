//! What tests ask of `clary up` over raw HTTP: calls of its services, and an endpoint to invoke.

use std::time::Instant;

use serde_json::{Value, json};

use crate::http::ANSWER_TIMEOUT;
use crate::{Answer, Request, Server};

/// A call of an operation of a JSON service: `target` is `SageMaker.CreateModel`.
pub fn call(server: &Server, target: &str, input: &Value) -> Answer {
    let request = Request::new("POST", "/")
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("X-Amz-Target", target)
        .body(input.to_string());
    server.call(&request)
}

/// A call of SageMaker's control plane that must succeed.
pub fn sagemaker(server: &Server, operation: &str, input: &Value) -> Value {
    let answer = call(server, &format!("SageMaker.{operation}"), input);
    assert_eq!(answer.status, 200, "{operation} {input}: {}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

/// A PUT to the embedded S3 that must succeed.
pub fn put(server: &Server, path: &str, body: &[u8]) {
    let answer = server.call(&Request::new("PUT", path).body(body));
    assert_eq!(answer.status, 200, "PUT {path}: {}", answer.text());
}

/// Makes a model named `name` of `artifact`, which is put into the bucket `models` (made, if it is not there).
pub fn create_model(server: &Server, name: &str, artifact: &[u8]) {
    put(server, "/models", b"");
    let path = format!("/models/{name}/model.tar.gz");
    put(server, &path, artifact);
    create_model_at(server, name, &format!("s3:/{path}"));
}

/// Makes a model named `name` of the artifact at `url`.
pub fn create_model_at(server: &Server, name: &str, url: &str) {
    let input = json!({
        "ModelName": name,
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/test",
        "PrimaryContainer": {
            "Image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/clary:latest",
            "ModelDataUrl": url,
        },
    });
    sagemaker(server, "CreateModel", &input);
}

/// Makes an endpoint `name` of one variant `AllTraffic` of `artifact`, and waits until it serves.
pub fn deploy(server: &Server, name: &str, artifact: &[u8]) {
    create_model(server, name, artifact);
    let variant = json!({
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1,
    });
    let input = json!({"EndpointConfigName": name, "ProductionVariants": [variant]});
    sagemaker(server, "CreateEndpointConfig", &input);
    sagemaker(server, "CreateEndpoint", &json!({"EndpointName": name, "EndpointConfigName": name}));
    wait_in_service(server, name);
}

/// Waits until the endpoint serves.
///
/// # Panics
/// When it fails, or takes too long.
pub fn wait_in_service(server: &Server, name: &str) {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    loop {
        let endpoint = sagemaker(server, "DescribeEndpoint", &json!({"EndpointName": name}));
        match endpoint["EndpointStatus"].as_str() {
            Some("InService") => return,
            Some("Creating" | "Updating" | "SystemUpdating") if Instant::now() < deadline => {
                std::thread::yield_now();
            }
            _ => panic!("expected {name} to serve, found {endpoint}"),
        }
    }
}

/// An invocation of `endpoint`.
pub fn invoke(endpoint: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    let request = Request::new("POST", &format!("/endpoints/{endpoint}/invocations"));
    request.header("Content-Type", content_type).body(body)
}
