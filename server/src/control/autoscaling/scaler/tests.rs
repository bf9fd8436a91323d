//! The loop on an endpoint whose changes are applied at once, or later, with a clock of the test's own.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use telemetry::{Aggregate, Metric, Point};
use wire::Scope;

use super::*;
use crate::control::autoscaling::key::Dimension;
use crate::control::autoscaling::target::{Register, ScalableTarget};
use crate::control::autoscaling::{PolicyConfiguration, ScheduledAction, action};
use crate::control::endpoint::{
    Change, ChangeKind, EndpointState, EndpointStatus, Fleet, FleetConfig, Phase, Progress, VariantState,
};
use crate::control::record::{self, Kind};
use crate::control::tags::Tags;

/// Three seconds after a whole hour: whole periods, and their values are in.
const START: Timestamp = Timestamp(1_800_000_000_000 + SETTLE_MS);

fn at(seconds: i64) -> Timestamp {
    START.plus_millis(seconds * 1000)
}

struct Stage {
    runtime: tokio::runtime::Runtime,
    database: Database,
    telemetry: Arc<Telemetry>,
    scaler: Arc<Scaler>,
    /// Whether a change is applied as soon as it is asked for.
    is_prompt: Arc<AtomicBool>,
}

fn key() -> TargetKey {
    TargetKey { endpoint: "e".into(), variant: "v".into(), dimension: Dimension::InstanceCount }
}

fn scope() -> Scope {
    Scope { region: "us-east-1".into(), account: "000000000000".into() }
}

fn endpoint(units: u32) -> EndpointState {
    let variant = VariantState {
        name: "v".into(),
        model: "m".into(),
        is_shadow: false,
        current_weight: 1.0,
        desired_weight: 1.0,
        current_instance_count: units,
        desired_instance_count: units,
        current_serverless: None,
        desired_serverless: None,
        artifact: None,
        status: Vec::new(),
    };
    let config = FleetConfig {
        name: "c".into(),
        ..serde_json::from_value(json!({"name": "c", "config": {}, "models": {}})).unwrap()
    };
    EndpointState {
        status: EndpointStatus::InService,
        failure_reason: None,
        fleet: Some(Fleet { id: 1, config, variants: vec![variant] }),
        change: None,
        last_deployment_config: None,
    }
}

fn store_endpoint(connection: &Connection, state: &EndpointState) {
    let Value::Object(document) = serde_json::to_value(state).unwrap() else { panic!("an object") };
    let record = Record {
        name: "e".into(),
        arn: "arn:e".into(),
        created: START,
        modified: START,
        status: state.status.as_str().into(),
        document,
    };
    if !record::insert(connection, Kind::Endpoint, &record).unwrap() {
        record::update(connection, Kind::Endpoint, &record).unwrap();
    }
}

fn load_endpoint(connection: &Connection) -> EndpointState {
    let record = record::find(connection, Kind::Endpoint, "e").unwrap().expect("the endpoint");
    EndpointState::of_record(&record).unwrap()
}

/// What a worker does when all is ready.
fn apply(state: &mut EndpointState) {
    (state.status, state.change) = (EndpointStatus::InService, None);
    for variant in state.fleet.iter_mut().flat_map(|fleet| &mut fleet.variants) {
        variant.current_instance_count = variant.desired_instance_count;
    }
}

impl Stage {
    fn new(units: u32) -> Self {
        let runtime = rt::control().unwrap();
        let database = Database::in_memory().unwrap();
        let telemetry = Arc::new(Telemetry::in_memory().unwrap());
        let is_prompt = Arc::new(AtomicBool::new(true));
        let (of_adjust, prompt) = (database.clone(), Arc::clone(&is_prompt));
        let adjust: Adjust = Box::new(move |_, desired| {
            let (database, prompt) = (of_adjust.clone(), Arc::clone(&prompt));
            Box::pin(async move {
                let adjusted = database.transact(move |connection| {
                    let mut state = load_endpoint(connection);
                    if state.change.is_some() {
                        return Err(ControlError::InProgress("e".into()));
                    }
                    let variant = &mut state.fleet.as_mut().unwrap().variants[0];
                    variant.desired_instance_count = desired.instance_count.unwrap();
                    if prompt.load(Ordering::Relaxed) {
                        apply(&mut state);
                    } else {
                        begin(&mut state);
                    }
                    store_endpoint(connection, &state);
                    Ok(())
                });
                adjusted.await.map(|()| "arn:e".to_owned())
            })
        });
        let scaler = Scaler::with(database.clone(), adjust, Arc::clone(&telemetry));
        let stage = Self { runtime, database, telemetry, scaler, is_prompt };
        stage.with(move |connection| store_endpoint(connection, &endpoint(units)));
        stage
    }

    fn with<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> T + Send + 'static) -> T {
        let done = self.database.transact(move |connection| Ok::<_, AutoscalingError>(work(connection)));
        self.runtime.block_on(done).unwrap()
    }

    fn register(&self, min: u32, max: u32) {
        let register = Register {
            key: key(),
            min: Some(min),
            max: Some(max),
            role_arn: None,
            suspended: None,
            tags: Tags::default(),
        };
        self.with(move |c| target::register(c, &scope(), register, START).unwrap());
    }

    fn track(&self, name: &str, configuration: Value) {
        let (name, tracking) = (name.to_owned(), serde_json::from_value(configuration).unwrap());
        let configuration = PolicyConfiguration::TargetTracking(tracking);
        self.with(move |c| policy::put(c, &scope(), key(), name, configuration, START).unwrap());
    }

    /// So many requests a minute and instance, for the ten seconds from `seconds` on.
    fn measure(&self, seconds: i64, per_minute: f64) {
        self.measure_as("InvocationsPerInstance", seconds, per_minute / 6.0);
    }

    fn measure_as(&self, name: &str, seconds: i64, value: f64) {
        let dimensions = [("EndpointName", "e"), ("VariantName", "v")];
        let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let point = Point {
            metric: Metric::new("AWS/SageMaker", name, dimensions),
            unit: "None".into(),
            time: Timestamp(at(seconds).0 - SETTLE_MS),
            values: Aggregate::of(value),
        };
        self.telemetry.series.append(&[point], at(seconds + 10)).unwrap();
    }

    fn tick(&self, seconds: i64) {
        self.runtime.block_on(self.scaler.tick(at(seconds))).unwrap();
    }

    /// Looks every ten seconds under a steady rate.
    fn run(&self, seconds: std::ops::Range<i64>, per_minute: f64) {
        for second in seconds.step_by(10) {
            self.measure(second, per_minute);
            self.tick(second + 10);
        }
    }

    fn units(&self) -> (u32, u32) {
        self.with(|c| {
            let variant = &load_endpoint(c).fleet.unwrap().variants[0];
            (variant.current_instance_count, variant.desired_instance_count)
        })
    }

    fn target(&self) -> ScalableTarget {
        self.with(|c| target::expect(c, &key()).unwrap().1)
    }

    /// Newest first.
    fn activities(&self) -> Vec<Activity> {
        self.with(|c| activity::list(c, None, None, true, None, 100).unwrap())
    }
}

fn begin(state: &mut EndpointState) {
    state.status = EndpointStatus::Updating;
    let progress = Progress { phase: Phase::Provision, step: 0, since: START };
    state.change = Some(Change { kind: ChangeKind::Adjust, started: START, progress });
}

fn per_instance(target: f64) -> Value {
    json!({
        "TargetValue": target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    })
}

#[test]
fn a_breach_scales_out_once_and_is_told_of() {
    let stage = Stage::new(4);
    stage.register(1, 20);
    stage.track("p", per_instance(70.0));
    stage.run(0..170, 210.0);
    assert_eq!(stage.units(), (4, 4), "not before three whole minutes");
    stage.run(170..180, 210.0);
    assert_eq!(stage.units(), (12, 12));
    stage.run(180..600, 70.0);
    assert_eq!(stage.units(), (12, 12));
    let activities = stage.activities();
    assert_eq!(activities.len(), 1);
    let Activity { description, cause, status, message, started, .. } = &activities[0];
    assert_eq!(description, "Setting desired instance count to 12.");
    assert!(cause.starts_with("monitor alarm TargetTracking-endpoint/e/variant/v-AlarmHigh-"), "{cause}");
    assert!(cause.ends_with(" in state ALARM triggered policy p"), "{cause}");
    assert_eq!((*status, *started), (ActivityStatus::Successful, at(180)));
    let expected =
        "Successfully set desired instance count to 12. Change successfully fulfilled by sagemaker.";
    assert_eq!(message, expected);
}

#[test]
fn an_update_under_way_blocks_and_a_restart_remembers() {
    let mut stage = Stage::new(4);
    stage.register(1, 20);
    stage.track("p", per_instance(70.0));
    stage.is_prompt.store(false, Ordering::Relaxed);
    stage.run(0..180, 210.0);
    assert_eq!(stage.units(), (4, 12));
    stage.run(180..300, 420.0);
    stage.run(300..360, 210.0);
    assert_eq!(stage.units(), (4, 12), "the endpoint is being updated");
    assert_eq!(stage.activities()[0].status, ActivityStatus::InProgress);
    let scaler = Scaler::with(
        stage.database.clone(),
        Box::new(|_, _| panic!("nothing to ask for")),
        Arc::clone(&stage.telemetry),
    );
    stage.scaler = scaler;
    stage.with(|c| {
        let mut state = load_endpoint(c);
        apply(&mut state);
        store_endpoint(c, &state);
    });
    stage.run(360..420, 70.0);
    let activities = stage.activities();
    assert_eq!((activities.len(), activities[0].status), (1, ActivityStatus::Successful));
    assert_eq!(stage.target().cooldowns.out_base(at(400)), Some(4));
}

#[test]
fn quiet_scales_in_to_the_minimum_and_never_below() {
    let stage = Stage::new(6);
    stage.register(2, 20);
    stage.track("p", per_instance(70.0));
    stage.run(0..890, 0.0);
    assert_eq!(stage.units().1, 6);
    stage.run(890..2400, 0.0);
    assert_eq!(stage.units().1, 2);
    let activities = stage.activities();
    let reasons: Vec<_> = activities.iter().map(|activity| activity.not_scaled).collect();
    assert_eq!(reasons, [Some(NotScaled::AlreadyAtMinCapacity(2)), None], "told once");
}

#[test]
fn ten_second_values_scale_out_after_half_a_minute() {
    let stage = Stage::new(2);
    stage.register(1, 20);
    let metric = "SageMakerVariantConcurrentRequestsPerModelHighResolution";
    stage.track(
        "p",
        json!({"TargetValue": 5.0, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}}),
    );
    for second in [0, 10, 20] {
        assert_eq!(stage.units().1, 2);
        stage.measure_as("ConcurrentRequestsPerModel", second, 20.0);
        stage.tick(second + 10);
    }
    assert_eq!(stage.units().1, 8);
}

#[test]
fn limits_are_kept_at_once_also_after_a_manual_change() {
    let stage = Stage::new(1);
    stage.register(3, 5);
    stage.tick(0);
    assert_eq!(stage.units(), (3, 3));
    assert_eq!(stage.activities()[0].cause, "minimum capacity was set to 3");
    stage.with(|c| store_endpoint(c, &endpoint(9)));
    stage.tick(10);
    assert_eq!(stage.units(), (5, 5));
    assert_eq!(stage.activities()[0].cause, "maximum capacity was set to 5");
}

#[test]
fn a_step_is_taken_once_a_period() {
    let stage = Stage::new(2);
    stage.register(1, 20);
    let step = json!({"AdjustmentType": "ChangeInCapacity", "Cooldown": 0,
        "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}]});
    let arn = stage.with(move |c| {
        let configuration = PolicyConfiguration::Step(serde_json::from_value(step).unwrap());
        policy::put(c, &scope(), key(), "s".into(), configuration, START).unwrap().0
    });
    stage.with(move |c| {
        let alarm = json!({"AlarmName": "backlog", "AlarmActions": [arn], "Namespace": "AWS/SageMaker",
            "MetricName": "InvocationsPerInstance", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
            "Threshold": 100.0, "ComparisonOperator": "GreaterThanThreshold",
            "Dimensions": [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "v"}]});
        let Value::Object(input) = alarm else { panic!("an object") };
        alarms::put(c, "backlog".into(), "arn:a".into(), input, START).unwrap();
    });
    stage.run(0..60, 200.0);
    assert_eq!(stage.units().1, 3);
    stage.run(60..110, 200.0);
    assert_eq!(stage.units().1, 3);
    stage.run(110..120, 200.0);
    assert_eq!(stage.units().1, 4);
    let cause = &stage.activities()[0].cause;
    assert_eq!(cause, "monitor alarm backlog in state ALARM triggered policy s");
}

#[test]
fn scheduled_actions_move_the_limits_and_the_capacity_follows() {
    let stage = Stage::new(1);
    stage.register(1, 5);
    let put = action::PutAction {
        key: key(),
        name: "morning".into(),
        schedule: Some("rate(1 minute)".into()),
        zone: None,
        start: Some(at(30)),
        end: Some(at(100)),
        limits: Some((Some(4), None)),
    };
    stage.with(move |c| action::put(c, &scope(), put, START).unwrap());
    stage.tick(20);
    assert_eq!(stage.units().1, 1);
    stage.tick(40);
    assert_eq!((stage.units().1, stage.target().limits), (4, scaling::Limits { min: 4, max: 5 }));
    let causes: Vec<_> = stage.activities().into_iter().map(|activity| activity.cause).collect();
    assert!(causes.contains(&"scheduled action name morning was triggered".to_owned()), "{causes:?}");
    let next = |stage: &Stage| stage.with(|c| action::all(c).unwrap().remove(0).1.next);
    assert_eq!(next(&stage), Some(at(90)));
    stage.tick(4000);
    assert_eq!(next(&stage), None, "it is over, and what was missed acted once");
    let of_action = |activity: &Activity| activity.cause.starts_with("scheduled");
    assert_eq!(stage.activities().iter().filter(|activity| of_action(activity)).count(), 2);
}

#[test]
fn suspended_scaling_stands_still() {
    let stage = Stage::new(4);
    stage.register(1, 20);
    stage.track("p", per_instance(70.0));
    let suspended = scaling::Suspended { dynamic_scaling_out_suspended: true, ..Default::default() };
    let register = Register {
        key: key(),
        min: None,
        max: None,
        role_arn: None,
        suspended: Some(suspended),
        tags: Tags::default(),
    };
    stage.with(move |c| target::register(c, &scope(), register, START).unwrap());
    stage.run(0..300, 210.0);
    assert_eq!(stage.units().1, 4);
}

#[test]
fn with_the_endpoint_all_of_it_goes() {
    let stage = Stage::new(4);
    stage.register(1, 20);
    stage.track("p", per_instance(70.0));
    let put = action::PutAction {
        key: key(),
        name: "a".into(),
        schedule: Some("rate(1 day)".into()),
        zone: None,
        start: None,
        end: None,
        limits: Some((Some(1), Some(2))),
    };
    stage.with(move |c| action::put(c, &scope(), put, START).unwrap());
    assert_eq!(stage.with(|c| record::all(c, Kind::Alarm).unwrap().len()), 2);
    stage.with(|c| assert!(record::remove(c, Kind::Endpoint, "e").unwrap()));
    stage.tick(10);
    for kind in [Kind::ScalableTarget, Kind::ScalingPolicy, Kind::ScheduledAction, Kind::Alarm] {
        assert_eq!(stage.with(move |c| record::all(c, kind).unwrap().len()), 0, "{kind:?}");
    }
}

#[test]
fn what_cannot_be_done_is_told_and_the_history_is_bounded() {
    let mut stage = Stage::new(1);
    stage.register(3, 5);
    let refuse: Adjust = Box::new(|_, _| Box::pin(async { Err(ControlError::Refused("no room".into())) }));
    stage.scaler = Scaler::with(stage.database.clone(), refuse, Arc::clone(&stage.telemetry));
    stage.tick(0);
    let activity = stage.activities().remove(0);
    assert_eq!(activity.status, ActivityStatus::Failed);
    assert_eq!(activity.message, "Failed to set desired instance count to 3. Reason: no room");
    for second in 1..700 {
        stage.tick(second * 10);
    }
    let kept = stage.with(|c| activity::list(c, None, None, true, None, 10_000).unwrap().len());
    assert_eq!(kept, 500);
}

#[test]
fn looks_follow_whole_periods() {
    for (now, expected) in [(0, 3_000), (3_000, 10_000), (3_001, 9_999), (12_999, 1), (13_000, 10_000)] {
        assert_eq!(next_look_ms(Timestamp(now)), expected, "{now}");
    }
}

#[test]
fn an_action_keeps_what_it_is_not_given() {
    let stage = Stage::new(1);
    stage.register(1, 5);
    let put = |schedule: Option<&str>, limits| action::PutAction {
        key: key(),
        name: "a".into(),
        schedule: schedule.map(str::to_owned),
        zone: None,
        start: None,
        end: None,
        limits,
    };
    let refused = |put: action::PutAction, expected: &str| {
        let error = stage.with(move |c| action::put(c, &scope(), put, START).unwrap_err().to_string());
        assert!(error.contains(expected), "{error}");
    };
    refused(put(None, Some((Some(1), None))), "Schedule: expected one");
    refused(put(Some("rate(1 day)"), None), "ScalableTargetAction");
    refused(put(Some("rate(1 day)"), Some((Some(2), Some(1)))), "MinCapacity of at most");
    refused(put(Some("at(2020-01-01T00:00:00)"), Some((Some(1), None))), "a time to come");
    refused(put(Some("soon"), Some((Some(1), None))), "Schedule: expected at(");
    let first = put(Some("rate(1 day)"), Some((Some(1), None)));
    let second = put(Some("rate(2 days)"), None);
    stage.with(move |c| action::put(c, &scope(), first, START).unwrap());
    stage.with(move |c| action::put(c, &scope(), second, START).unwrap());
    let stored: Vec<ScheduledAction> =
        stage.with(|c| action::all(c).unwrap().into_iter().map(|(_, a)| a).collect());
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].schedule.as_str(), stored[0].min), ("rate(2 days)", Some(1)));
}
