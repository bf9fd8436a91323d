//! Alarms over a fake clock.

use serde_json::json;
use telemetry::{Aggregate, Metric, Point};

use super::*;

fn scope() -> Scope {
    Scope { region: "us-east-1".into(), account: "000000000000".into() }
}

fn input(changes: Value) -> Map<String, Value> {
    let mut input = json!({
        "AlarmName": "a", "Namespace": "N", "MetricName": "m", "Statistic": "Sum", "Period": 10,
        "EvaluationPeriods": 1, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "d", "Value": "v"}]
    });
    if let (Value::Object(input), Value::Object(changes)) = (&mut input, changes) {
        input.extend(changes);
        input.retain(|_, value| !value.is_null());
    }
    match input {
        Value::Object(input) => input,
        _ => panic!("an object"),
    }
}

fn point(time_ms: i64, value: f64) -> Point {
    let metric = Metric::new("N", "m", [("d".to_owned(), "v".to_owned())]);
    Point { metric, unit: "None".into(), time: Timestamp(time_ms), values: Aggregate::of(value) }
}

async fn state(alarms: &Alarms, name: &str) -> Option<AlarmState> {
    alarms.all().await.unwrap().into_iter().find(|alarm| alarm.name == name).map(|alarm| alarm.state)
}

#[tokio::test]
async fn an_alarm_follows_its_metric() {
    let alarms = Alarms::new(Database::in_memory().unwrap());
    let telemetry = Arc::new(Telemetry::in_memory().unwrap());
    alarms.put(&scope(), "a".into(), input(json!({})), Timestamp(0)).await.unwrap();
    assert_eq!(state(&alarms, "a").await, Some(AlarmState::InsufficientData));
    for (at, value, expected) in
        [(0, 4.0, AlarmState::Ok), (10, 6.0, AlarmState::Alarm), (20, 5.0, AlarmState::Ok)]
    {
        let now = Timestamp((at + 10) * 1000 + 5);
        telemetry.series.append(&[point(at * 1000, value)], now).unwrap();
        alarms.judge(&telemetry, now).await.unwrap();
        assert_eq!(state(&alarms, "a").await, Some(expected), "after {value}");
    }
    let alarm = &alarms.all().await.unwrap()[0];
    assert_eq!(alarm.history.len(), 4);
    assert!(alarm.reason.contains("5.0"), "{}", alarm.reason);
    assert_eq!(alarm.arn, "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a");
}

#[tokio::test]
async fn a_state_that_is_set_is_seen_and_kept_over_a_start() {
    let database = Database::in_memory().unwrap();
    let alarms = Alarms::new(database.clone());
    alarms.put(&scope(), "a".into(), input(json!({})), Timestamp(0)).await.unwrap();
    let raised = || NewState { state: AlarmState::Alarm, reason: "r".into(), reason_data: None };
    alarms.set_state("a", raised(), Timestamp(1)).await.unwrap();
    assert_eq!((state(&alarms, "a").await, state(&alarms, "b").await), (Some(AlarmState::Alarm), None));
    assert!(matches!(alarms.set_state("b", raised(), Timestamp(1)).await, Err(AlarmError::Unknown(_))));
    let again = Alarms::new(database);
    assert_eq!(state(&again, "a").await, Some(AlarmState::Alarm));
    again.put(&scope(), "a".into(), input(json!({"ActionsEnabled": false})), Timestamp(2)).await.unwrap();
    let alarm = &again.all().await.unwrap()[0];
    assert_eq!((alarm.state, alarm.actions_enabled), (AlarmState::Alarm, false));
    again.enable_actions(vec!["a".into(), "b".into()], true).await.unwrap();
    assert!(again.all().await.unwrap()[0].actions_enabled);
    again.delete(vec!["a".into(), "b".into()]).await.unwrap();
    assert!(state(&again, "a").await.is_none() && again.all().await.unwrap().is_empty());
}

#[test]
fn an_alarm_that_contradicts_itself_is_refused() {
    Watch::read(&input(json!({}))).unwrap();
    for wrong in [
        json!({"Statistic": null}),
        json!({"ExtendedStatistic": "p9"}),
        json!({"Statistic": null, "ExtendedStatistic": "tm9"}),
        json!({"Period": 7}),
        json!({"Period": null}),
        json!({"DatapointsToAlarm": 2}),
        json!({"DatapointsToAlarm": 0}),
        json!({"Threshold": null}),
        json!({"ComparisonOperator": "LessThanLowerThreshold"}),
        json!({"TreatMissingData": "x"}),
        json!({"Metrics": []}),
        json!({"Period": 3600, "EvaluationPeriods": 1000}),
        json!({"Namespace": null}),
    ] {
        assert!(Watch::read(&input(wrong.clone())).is_err(), "{wrong}");
    }
}
