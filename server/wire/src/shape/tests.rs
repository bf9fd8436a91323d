//! The tables are whole, and requests are held to them in AWS's words.

use serde_json::{Value, json};

use super::*;

const SERVICES: [&str; 4] = ["sagemaker", "application-autoscaling", "logs", "monitoring"];

/// The words of the refusal; empty when there is none.
fn refusal_of(service: &str, operation: &str, input: &Value) -> String {
    let input = input.as_object().expect("an object");
    validate(service, operation, input).err().map_or_else(String::new, |error| error.to_string())
}

fn check(operation: &str, input: &Value, expected: &str) {
    assert_eq!(refusal_of("sagemaker", operation, input), expected, "{operation} {input}");
}

fn violation(value: &str, path: &str, constraint: &str) -> String {
    format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}")
}

fn check_one(operation: &str, input: &Value, value: &str, path: &str, constraint: &str) {
    let violation = violation(value, path, constraint);
    check(operation, input, &format!("ValidationException: 1 validation error detected: {violation}"));
}

#[test]
fn every_table_is_whole_and_every_pattern_compiles() {
    for service in SERVICES {
        let table = table(service).expect("a table");
        assert!(table.operations().count() >= 9, "{service}");
        for pattern in table.patterns() {
            assert!(pattern.compiled().is_some(), "{service}: {} does not compile", pattern.as_str());
        }
    }
    assert!(Table::parse(r#"{"operations":{"A":"B"},"shapes":{}}"#).unwrap_err().contains("shape B"));
}

#[test]
fn what_clients_send_passes() {
    check("DescribeModel", &json!({"ModelName": "a-1"}), "");
    check("DescribeModel", &json!({"ModelName": "a-1", "Unknown": [1]}), "");
    check("ListModels", &json!({"MaxResults": 100, "CreationTimeBefore": 1.7e9, "NameContains": null}), "");
    let variant = json!({"VariantName": "A", "ModelName": "m", "InitialVariantWeight": 1, "InitialInstanceCount": 1,
        "InstanceType": "ml.p99-x.2xlarge"});
    check("CreateEndpointConfig", &json!({"EndpointConfigName": "c", "ProductionVariants": [variant]}), "");
    let model =
        json!({"ModelName": "m", "PrimaryContainer": {"Image": "xgboost", "Environment": {"A_1": "x"}}});
    check("CreateModel", &model, "");
    check("CreateEndpoint", &json!({"EndpointName": "e", "EndpointConfigName": "c", "Tags": []}), "");
}

#[test]
fn operations_without_a_shape_pass() {
    check("CreateProcessingJob", &json!({"ProcessingJobName": 1}), "");
    assert_eq!(refusal_of("sts", "GetCallerIdentity", &json!({})), "");
}

#[test]
fn each_constraint_has_its_words() {
    let name = "[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?";
    let pattern = format!("Member must satisfy regular expression pattern: {name}");
    check_one("DescribeModel", &json!({"ModelName": "a b"}), "'a b'", "modelName", &pattern);
    check_one("DescribeModel", &json!({}), "null", "modelName", "Member must not be null");
    check_one("DescribeModel", &json!({"ModelName": null}), "null", "modelName", "Member must not be null");
    let long = "a".repeat(64);
    let longest = "Member must have length less than or equal to 63";
    check_one("DescribeModel", &json!({"ModelName": long}), &format!("'{long}'"), "modelName", longest);
    let most = "Member must have value less than or equal to 100";
    check_one("ListModels", &json!({"MaxResults": 101}), "'101'", "maxResults", most);
    let weight = json!({"EndpointConfigName": "c", "ProductionVariants": [{"VariantName": "A", "InitialVariantWeight": -0.5}]});
    let positive = "Member must have value greater than or equal to 0";
    let path = "productionVariants.1.member.initialVariantWeight";
    check_one("CreateEndpointConfig", &weight, "'-0.5'", path, positive);
    let least = "Member must have value greater than or equal to 50";
    let arn = "arn:aws:sagemaker:us-east-1:000000000000:model/m";
    check_one("ListTags", &json!({"ResourceArn": arn, "MaxResults": 49}), "'49'", "maxResults", least);
    let set = "Member must satisfy enum value set: [Ascending, Descending]";
    check_one("ListModels", &json!({"SortOrder": "Up"}), "'Up'", "sortOrder", set);
    let tags = json!({"ResourceArn": arn, "TagKeys": []});
    check_one("DeleteTags", &tags, "'[]'", "tagKeys", "Member must have length greater than or equal to 1");
}

#[test]
fn paths_go_through_lists_and_maps() {
    let variants = json!([{"VariantName": "A"}, {"VariantName": "B", "ModelName": "-"}]);
    let input = json!({"EndpointConfigName": "c", "ProductionVariants": variants});
    let pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?";
    check_one("CreateEndpointConfig", &input, "'-'", "productionVariants.2.member.modelName", pattern);

    let key = "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]";
    let model = json!({"ModelName": "m", "PrimaryContainer": {"Environment": {"1A": "x"}}});
    check_one("CreateModel", &model, "'1A'", "primaryContainer.environment", key);
    let value = "x".repeat(1025);
    let shown = format!("'{}…'", &value[..256]);
    let model = json!({"ModelName": "m", "PrimaryContainer": {"Environment": {"A": value}}});
    let longest = "Member must have length less than or equal to 1024";
    check_one("CreateModel", &model, &shown, "primaryContainer.environment.A", longest);
}

#[test]
fn all_violations_are_named_and_many_are_counted() {
    let two = [
        violation("null", "endpointConfigName", "Member must not be null"),
        violation("null", "endpointName", "Member must not be null"),
    ];
    let found = refusal_of("sagemaker", "CreateEndpoint", &json!({}));
    assert!(found.contains("2 validation errors detected: "), "{found}");
    assert!(two.iter().all(|violation| found.contains(violation)), "{found}");
    let tags = vec![json!({"Key": "k"}); 60];
    let found = refusal_of(
        "sagemaker",
        "CreateEndpoint",
        &json!({"EndpointName": "e", "EndpointConfigName": "c", "Tags": tags}),
    );
    assert!(found.starts_with("ValidationException: 61 validation errors"), "{found}");
    assert!(found.ends_with("; and 45 more"), "{found}");
}

#[test]
fn a_wrong_type_is_a_serialization_exception() {
    let check_type = |operation: &str, input: Value, expected: &str| {
        check(operation, &input, &format!("SerializationException: expected {expected}"));
    };
    check_type("DescribeModel", json!({"ModelName": 1}), "a string at 'modelName', found 1");
    check_type("ListModels", json!({"MaxResults": "1"}), "an integer of 32 bits at 'maxResults', found 1");
    check_type("ListModels", json!({"MaxResults": 1.5}), "an integer of 32 bits at 'maxResults', found 1.5");
    check_type(
        "ListModels",
        json!({"MaxResults": 4294967296_i64}),
        "an integer of 32 bits at 'maxResults', found 4294967296",
    );
    check_type(
        "ListModels",
        json!({"CreationTimeAfter": "2024"}),
        "a number of seconds since 1970 at 'creationTimeAfter', found 2024",
    );
    check_type(
        "CreateModel",
        json!({"EnableNetworkIsolation": 1}),
        "true or false at 'enableNetworkIsolation', found 1",
    );
    check_type("CreateModel", json!({"Tags": {}}), "an array at 'tags', found {}");
    check_type("CreateModel", json!({"Tags": [null]}), "an object at 'tags.1.member', found null");
    check_type("CreateModel", json!({"PrimaryContainer": []}), "an object at 'primaryContainer', found []");
}

#[test]
fn each_service_refuses_by_its_own_code() {
    let of = |service, operation, input: Value| refusal_of(service, operation, &input);
    assert!(of("logs", "GetLogEvents", json!({})).starts_with("InvalidParameterException: "));
    assert!(of("monitoring", "ListMetrics", json!({"Namespace": ""})).starts_with("ValidationError: "));
    assert!(
        of("application-autoscaling", "DescribeScalableTargets", json!({}))
            .starts_with("ValidationException: ")
    );
}

#[test]
fn a_union_has_one_member() {
    let alarm = |criteria: Value| {
        let input = json!({"AlarmName": "a", "EvaluationCriteria": criteria});
        refusal_of("monitoring", "PutMetricAlarm", &input)
    };
    assert!(
        alarm(json!({}))
            .contains("'evaluationCriteria' failed to satisfy constraint: Member must have exactly one")
    );
}

#[test]
fn recursion_ends() {
    let mut expression = json!({});
    for _ in 0..100 {
        expression = json!({"SubExpressions": [expression]});
    }
    let found =
        refusal_of("sagemaker", "Search", &json!({"Resource": "Endpoint", "SearchExpression": expression}));
    assert!(found.contains("expected at most 48 levels"), "{found}");
}

/// Nothing that JSON can say makes it panic.
#[test]
fn any_value_is_judged() {
    let values = [
        json!(null),
        json!(0),
        json!(-1e300),
        json!(""),
        json!("é\u{0}"),
        json!([]),
        json!([[]]),
        json!({"": {}}),
    ];
    for service in SERVICES {
        let table = table(service).expect("a table");
        for operation in table.operations() {
            let Some(shape) = table.input(operation) else { continue };
            for (name, _) in shape.members() {
                for value in &values {
                    refusal_of(service, operation, &json!({name: value}));
                    refusal_of(service, operation, &json!({name: [value]}));
                    refusal_of(service, operation, &json!({name: {"A": value}}));
                }
            }
        }
    }
}
