//! The face over a fake clock, below HTTP.

use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_040_000);
const NOW_SECONDS: i64 = NOW.0 / 1000;

fn telemetry() -> Arc<Telemetry> {
    Arc::new(Telemetry::in_memory().unwrap())
}

fn input<T: DeserializeOwned>(input: Value) -> T {
    serde_json::from_value(input).unwrap()
}

async fn put(telemetry: &Arc<Telemetry>, data: Value) -> Reply {
    write::put(telemetry, input(json!({"Namespace": "N", "MetricData": data})), NOW).await
}

fn asked(changes: Value) -> Value {
    let mut asked = json!({
        "Namespace": "N", "MetricName": "m", "StartTime": NOW_SECONDS - 600, "EndTime": NOW_SECONDS + 60,
        "Period": 60, "Statistics": ["Sum", "SampleCount"]
    });
    if let (Value::Object(asked), Value::Object(changes)) = (&mut asked, changes) {
        asked.extend(changes);
    }
    asked
}

#[tokio::test]
async fn every_way_to_put_values_is_read_back() {
    let telemetry = telemetry();
    let at = |seconds: i64| NOW_SECONDS + seconds;
    put(&telemetry, json!([
        {"MetricName": "m", "Value": 2.5, "Timestamp": at(-120), "Unit": "Count"},
        {"MetricName": "m", "Values": [1.0, 4.0], "Counts": [3.0, 1.0], "Timestamp": at(-60), "Unit": "Count"},
        {"MetricName": "m", "StatisticValues": {"SampleCount": 10.0, "Sum": 50.0, "Minimum": 1.0, "Maximum": 9.0},
         "Unit": "Count"},
    ]))
    .await
    .unwrap();
    let reply = read::statistics(&telemetry, Vec::new(), input(asked(json!({})))).await.unwrap();
    assert_eq!(reply["Label"], "m");
    let found: Vec<_> =
        reply["Datapoints"].as_array().unwrap().iter().map(|p| (&p["Sum"], &p["SampleCount"])).collect();
    assert_eq!(found, [(&json!(2.5), &json!(1.0)), (&json!(7.0), &json!(4.0)), (&json!(50.0), &json!(10.0))]);
    assert_eq!(reply["Datapoints"][0]["Unit"], "Count");
    assert_eq!(reply["Datapoints"][0]["Timestamp"], json!((at(-120)) / 60 * 60));
    let extended = asked(json!({"Statistics": [], "ExtendedStatistics": ["p50"]}));
    let reply = read::statistics(&telemetry, Vec::new(), input(extended)).await.unwrap();
    let median = reply["Datapoints"][1]["ExtendedStatistics"]["p50"].as_f64().unwrap();
    assert!((median - 1.0).abs() <= 0.01, "{median}");
}

#[tokio::test]
async fn what_cannot_be_put_or_asked_is_refused() {
    let telemetry = telemetry();
    for wrong in [
        json!([{"MetricName": "m"}]),
        json!([{"MetricName": "m", "Value": 1.0, "Values": [1.0]}]),
        json!([{"MetricName": "m", "Values": [1.0], "Counts": [1.0, 2.0]}]),
        json!([{"MetricName": "m", "Value": 1.0, "Timestamp": 5}]),
        json!([{"MetricName": "m", "StatisticValues": {"SampleCount": 0.0, "Sum": 0.0, "Minimum": 0.0, "Maximum": 0.0}}]),
    ] {
        put(&telemetry, wrong.clone()).await.expect_err(&wrong.to_string());
    }
    for wrong in [
        json!({"Period": 7}),
        json!({"Statistics": []}),
        json!({"Statistics": ["Median"]}),
        json!({"StartTime": NOW_SECONDS + 60}),
        json!({"StartTime": NOW_SECONDS - 60 * 1441}),
    ] {
        read::statistics(&telemetry, Vec::new(), input(asked(wrong.clone())))
            .await
            .expect_err(&wrong.to_string());
    }
    let reserved = json!({"Namespace": "AWS/SageMaker", "MetricData": []});
    write::put(&telemetry, input(reserved), NOW).await.unwrap_err();
}

fn query(id: &str, name: &str) -> Value {
    let metric = json!({"Namespace": "N", "MetricName": name});
    json!({"Id": id, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}})
}

fn data(queries: &Value, changes: Value) -> read::DataInput {
    let mut data = json!({
        "MetricDataQueries": queries, "StartTime": NOW_SECONDS - 600, "EndTime": NOW_SECONDS + 60
    });
    if let (Value::Object(data), Value::Object(changes)) = (&mut data, changes) {
        data.extend(changes);
    }
    input(data)
}

#[tokio::test]
async fn data_come_in_pages_in_either_order() {
    let telemetry = telemetry();
    let points = (0..5).flat_map(|minute| {
        let at = NOW_SECONDS - 60 * minute;
        ["a", "b"].map(|name| json!({"MetricName": name, "Value": minute, "Timestamp": at}))
    });
    put(&telemetry, points.collect()).await.unwrap();
    for (order, expected) in [
        ("TimestampAscending", [4.0, 3.0, 2.0, 1.0, 0.0]),
        ("TimestampDescending", [0.0, 1.0, 2.0, 3.0, 4.0]),
    ] {
        let (mut found, mut token) = (Vec::new(), Value::Null);
        loop {
            let mut changes = json!({"ScanBy": order, "MaxDatapoints": 3});
            if token != Value::Null {
                changes["NextToken"] = token;
            }
            let asked = data(&json!([query("q1", "a"), query("q2", "b")]), changes);
            let reply = read::data(&telemetry, Vec::new(), asked).await.unwrap();
            for result in reply["MetricDataResults"].as_array().unwrap() {
                let values = result["Values"].as_array().unwrap();
                assert_eq!(values.len(), result["Timestamps"].as_array().unwrap().len());
                found.extend(values.iter().map(|value| (result["Id"].clone(), value.as_f64().unwrap())));
            }
            token = reply["NextToken"].clone();
            if token == Value::Null {
                break;
            }
        }
        let of =
            |id: &str| found.iter().filter(|(of, _)| of == id).map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!((of("q1"), of("q2")), (expected.to_vec(), expected.to_vec()), "{order}");
    }
}

#[tokio::test]
async fn queries_that_are_not_served_say_so() {
    let telemetry = telemetry();
    for (wrong, part) in [
        (json!([{"Id": "e", "Expression": "m1 / 2"}]), "Expression is not served"),
        (json!([query("q", "a"), query("q", "b")]), "again"),
        (json!([query("Q", "a")]), "lower-case"),
        (json!([{"Id": "q"}]), "MetricStat"),
        (
            json!([{"Id": "q", "MetricStat": {"Metric": {"MetricName": "m"}, "Period": 60, "Stat": "Sum"}}]),
            "Namespace",
        ),
    ] {
        let error = read::data(&telemetry, Vec::new(), data(&wrong, json!({}))).await.unwrap_err();
        assert!(error.message.contains(part), "{error}");
    }
    let token = data(&json!([]), json!({"NextToken": "x"}));
    assert_eq!(
        read::data(&telemetry, Vec::new(), token).await.unwrap_err().code,
        ErrorCode::InvalidNextToken
    );
}

#[tokio::test]
async fn metrics_are_listed_by_their_dimensions() {
    let telemetry = telemetry();
    let dimensions = json!([{"Name": "Endpoint", "Value": "e"}]);
    put(&telemetry, json!([{"MetricName": "m", "Value": 1.0, "Dimensions": dimensions}, {"MetricName": "n", "Value": 1.0}]))
        .await
        .unwrap();
    let names = async |filter: Value, now: Timestamp| {
        let reply = read::list(&telemetry, Vec::new(), input(filter), now).await.unwrap();
        let metrics = reply["Metrics"].as_array().unwrap().clone();
        metrics.iter().map(|metric| metric["MetricName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({}), NOW).await, ["m", "n"]);
    assert_eq!(names(json!({"Dimensions": [{"Name": "Endpoint"}]}), NOW).await, ["m"]);
    assert_eq!(names(json!({"Namespace": "M"}), NOW).await, [""; 0]);
    let later = NOW.plus_millis(4 * 3600 * 1000);
    assert_eq!(names(json!({"RecentlyActive": "PT3H"}), later).await, [""; 0]);
}

#[tokio::test]
async fn alarms_are_described_as_they_were_put() {
    let alarms = crate::control::Alarms::new(crate::control::Database::in_memory().unwrap());
    let scope = wire::Scope { region: "us-east-1".into(), account: "000000000000".into() };
    for name in ["b", "a", "c"] {
        let Value::Object(alarm) = json!({
            "AlarmName": name, "Namespace": "N", "MetricName": "m", "Statistic": "Average", "Period": 60,
            "EvaluationPeriods": 3, "Threshold": 1.5, "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": ["arn:aws:sns:x"]
        }) else {
            panic!("an object")
        };
        alarms::put(&alarms, &scope, alarm, NOW).await.unwrap();
    }
    let described = async |filter: Value| alarms::describe(&alarms, input(filter)).await.unwrap();
    let reply = described(json!({"MaxRecords": 2})).await;
    assert_eq!((&reply["MetricAlarms"][0]["AlarmName"], &reply["NextToken"]), (&json!("a"), &json!("b")));
    let next = described(json!({"NextToken": "b"})).await;
    assert_eq!((&next["MetricAlarms"][0]["AlarmName"], &next["NextToken"]), (&json!("c"), &Value::Null));
    let state = json!({"AlarmName": "a", "StateValue": "ALARM", "StateReason": "r"});
    alarms::set_state(&alarms, input(state), NOW).await.unwrap();
    let raised = described(json!({"StateValue": "ALARM"})).await;
    assert_eq!(raised["MetricAlarms"].as_array().unwrap().len(), 1);
    assert_eq!(raised["MetricAlarms"][0]["Threshold"], json!(1.5));
    assert_eq!(raised["MetricAlarms"][0]["OKActions"], json!([]));
    let history = alarms::history(&alarms, input(json!({"AlarmName": "a"}))).await.unwrap();
    assert_eq!(history["AlarmHistoryItems"].as_array().unwrap().len(), 2);
    let missing = json!({"AlarmName": "z", "StateValue": "OK", "StateReason": "r"});
    let error = alarms::set_state(&alarms, input(missing), NOW).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceNotFound);
    alarms::delete(&alarms, input(json!({"AlarmNames": ["a", "b", "c"]}))).await.unwrap();
    assert_eq!(described(json!({})).await["MetricAlarms"], json!([]));
}
