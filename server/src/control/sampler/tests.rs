//! Sampling over a fake clock.

use telemetry::{Metric, Period, Range, Statistic};

use super::*;
use crate::control::Database;
use crate::error::Code;
use crate::metrics::{Backlog, Measure, Phases, VariantLabels, VariantMetrics};

fn sampler() -> Sampler {
    let alarms = Alarms::new(Database::in_memory().unwrap());
    let telemetry = Telemetry::in_memory().unwrap();
    let live = Live::new(Arc::default(), Timestamp(0));
    Sampler::new(Arc::new(live), Arc::new(telemetry), Arc::new(alarms), ".".into())
}

fn labels() -> VariantLabels {
    VariantLabels { endpoint: "e".into(), variant: "v".into(), config: Some("c".into()) }
}

fn invoke(variant: &VariantMetrics, code: Code, started: Instant, model_us: u64, total_us: u64) {
    variant.begin(started);
    let phases = Phases { predict: Duration::from_micros(model_us), ..Phases::default() };
    let ended = started + Duration::from_micros(total_us);
    variant.end(code, (code == Code::Ok).then_some(&phases), started, ended);
}

fn read(sampler: &Sampler, namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Vec<Period> {
    let dimensions = dimensions.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let range = Range { start: Timestamp(0), end: Timestamp(600_000), period_seconds: 60, unit: None };
    sampler.telemetry.series.read(&Metric::new(namespace, name, dimensions), &range).unwrap()
}

const VARIANT: [(&str, &str); 2] = [("EndpointName", "e"), ("VariantName", "v")];

#[tokio::test]
async fn what_was_counted_is_read_back_under_the_public_names() {
    let mut sampler = sampler();
    let variant = sampler.live.metrics().production_variant(labels());
    let base = Instant::now();
    sampler.tick(Timestamp(10_003), base).await;
    variant.set_instances(2, 2);
    for number in 0..10 {
        invoke(&variant, Code::Ok, base + Duration::from_millis(number), 80 + number, 100 + number);
    }
    invoke(&variant, Code::BadRequest, base, 0, 10);
    sampler.tick(Timestamp(20_004), base + Duration::from_secs(10)).await;
    let config = [VARIANT[0], VARIANT[1], ("EndpointConfigName", "c")];
    for dimensions in [&VARIANT[..], &config[..]] {
        let value = |name, statistic| {
            let periods = read(&sampler, "AWS/SageMaker", name, dimensions);
            assert_eq!(periods.len(), 1, "{name} {dimensions:?}");
            Statistic::parse(statistic).unwrap().of(&periods[0].values)
        };
        assert_eq!(value("Invocations", "Sum"), Some(11.0));
        assert_eq!(value("InvocationsPerInstance", "Sum"), Some(5.5));
        assert_eq!(value("Invocation4XXErrors", "Sum"), Some(1.0));
        assert_eq!(value("Invocation5XXErrors", "Average"), Some(0.0));
        assert_eq!(value("InvocationModelErrors", "Sum"), Some(1.0));
        assert_eq!(value("ModelLatency", "Average"), Some(84.5));
        assert_eq!(value("ModelLatency", "Minimum"), Some(80.0));
        assert_eq!(value("OverheadLatency", "Maximum"), Some(20.0));
        let p50 = value("ModelLatency", "p50").unwrap();
        assert!((p50 - 84.0).abs() <= 84.0 * 0.05, "{p50}");
    }
    assert!(read(&sampler, "AWS/SageMaker", "Invocations", &VARIANT[..1]).is_empty());
}

#[tokio::test]
async fn model_and_overhead_add_up_to_the_whole() {
    let mut sampler = sampler();
    let variant = sampler.live.metrics().production_variant(labels());
    let base = Instant::now();
    let mut total_us = 0.0;
    for number in 0..1000_u64 {
        let total = 50 + (number * number) % 977;
        invoke(&variant, Code::Ok, base, total * 4 / 5, total);
        total_us += total as f64;
    }
    sampler.tick(Timestamp(10_000), base + Duration::from_secs(10)).await;
    let sum = |name| read(&sampler, "AWS/SageMaker", name, &VARIANT)[0].values.sum;
    let found = sum("ModelLatency") + sum("OverheadLatency");
    assert!((found - total_us).abs() < 1e-6 * total_us, "{found} of {total_us}");
}

#[tokio::test]
async fn zeros_are_told_without_traffic() {
    let mut sampler = sampler();
    let variant = sampler.live.metrics().production_variant(labels());
    let base = Instant::now();
    for period in 1..=6_u32 {
        sampler
            .tick(Timestamp(i64::from(period) * 10_000 + 2), base + Duration::from_secs(10) * period)
            .await;
    }
    for name in ["Invocations", "InvocationsPerInstance", "Invocation5XXErrors", "ConcurrentRequestsPerModel"]
    {
        let found = read(&sampler, "AWS/SageMaker", name, &VARIANT);
        assert_eq!((found.len(), found[0].values.sum, found[0].values.count), (1, 0.0, 6.0), "{name}");
    }
    assert!(read(&sampler, "AWS/SageMaker", "ModelLatency", &VARIANT).is_empty());
    let models = read(&sampler, "/aws/sagemaker/Endpoints", "LoadedModelCount", &VARIANT);
    assert_eq!(models[0].values.max, 1.0);
    drop(variant);
}

#[tokio::test]
async fn a_variant_that_went_away_is_sampled_once_more() {
    let mut sampler = sampler();
    let variant = sampler.live.metrics().production_variant(labels());
    let base = Instant::now();
    invoke(&variant, Code::Ok, base, 5, 6);
    drop(variant);
    sampler.tick(Timestamp(10_000), base + Duration::from_secs(10)).await;
    sampler.tick(Timestamp(20_000), base + Duration::from_secs(20)).await;
    let found = &read(&sampler, "AWS/SageMaker", "Invocations", &VARIANT)[0].values;
    assert_eq!((found.sum, found.count), (1.0, 1.0));
}

#[tokio::test]
async fn an_asynchronous_endpoint_has_its_own_set() {
    let mut sampler = sampler();
    let variant = sampler.live.metrics().production_variant(labels());
    variant.set_asynchronous();
    variant.measure(Measure::TimeInBacklog, 12.0);
    let backlog = Backlog { size: 6, oldest_age_seconds: 3.5, instances: 0 };
    sampler.live.metrics().set_backlog("e", Some(backlog));
    sampler.tick(Timestamp(10_000), Instant::now()).await;
    let has =
        |name, dimensions: &[(&str, &str)]| !read(&sampler, "AWS/SageMaker", name, dimensions).is_empty();
    assert!(has("TimeInBacklog", &VARIANT) && has("Invocation4XXErrors", &VARIANT));
    assert!(!has("Invocations", &VARIANT) && !has("OverheadLatency", &VARIANT));
    let value = |name| read(&sampler, "AWS/SageMaker", name, &VARIANT[..1])[0].values.sum;
    assert_eq!(value("ApproximateBacklogSize"), 6.0);
    assert_eq!(value("HasBacklogWithoutCapacity"), 1.0);
    assert_eq!(value("ApproximateAgeOfOldestRequest"), 3.5);
}

#[tokio::test]
async fn a_transform_job_shows_what_the_machine_was_busy_with_while_it_ran() {
    let mut sampler = sampler();
    let metrics = Arc::clone(sampler.live.metrics());
    let running = metrics.transforms.run("j/i-1".into(), Arc::default());
    sampler.tick(Timestamp(10_000), Instant::now()).await;
    drop(running);
    sampler.tick(Timestamp(20_000), Instant::now() + Duration::from_secs(10)).await;
    for name in ["CPUUtilization", "MemoryUtilization"] {
        let found = read(&sampler, "/aws/sagemaker/TransformJobs", name, &[("Host", "j/i-1")]);
        assert_eq!((found.len(), found[0].values.count), (1, 1.0), "{name}");
    }
}

#[test]
fn periods_end_by_the_clock() {
    assert_eq!(until_next(Timestamp(10_003)), Duration::from_millis(9_997));
    assert_eq!(until_next(Timestamp(20_000)), Duration::from_secs(10));
    for late in [0, 3, 4_000] {
        assert_eq!(middle_of_period(Timestamp(20_000 + late)).0.div_euclid(PERIOD_MS), 1, "{late} ms late");
    }
}

#[tokio::test]
async fn what_is_counted_is_seen_before_its_period_ends_and_once() {
    let mut sampler = sampler();
    let variant = sampler.live.metrics().production_variant(labels());
    let base = Instant::now();
    sampler.tick(Timestamp(60_002), base).await;
    let read = async |sampler: &Sampler, now| {
        let look = sampler.live.look(now).await;
        let dimensions = VARIANT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let metric = Metric::new("AWS/SageMaker", "ModelLatency", dimensions);
        let range = Range { start: Timestamp(0), end: Timestamp(600_000), period_seconds: 60, unit: None };
        let periods = sampler.telemetry.series.read_with(&metric, &range, &look.points).unwrap();
        periods
            .iter()
            .map(|period| (period.start.0, period.values.count, period.values.sum))
            .collect::<Vec<_>>()
    };
    invoke(&variant, Code::Ok, base, 80, 100);
    assert_eq!(read(&sampler, base + Duration::from_secs(1)).await, [(60_000, 1.0, 80.0)]);
    invoke(&variant, Code::Ok, base, 90, 100);
    assert_eq!(read(&sampler, base + Duration::from_secs(2)).await, [(60_000, 2.0, 170.0)]);
    sampler.tick(Timestamp(70_003), base + Duration::from_secs(10)).await;
    assert_eq!(read(&sampler, base + Duration::from_secs(11)).await, [(60_000, 2.0, 170.0)]);
    invoke(&variant, Code::Ok, base, 30, 40);
    assert_eq!(read(&sampler, base + Duration::from_secs(12)).await, [(60_000, 3.0, 200.0)]);
}

#[tokio::test]
async fn provisioned_concurrency_is_used_by_the_time_that_requests_last() {
    let mut sampler = sampler();
    let variant = sampler.live.metrics().production_variant(labels());
    let base = Instant::now();
    let at = |seconds| base + Duration::from_secs(seconds);
    let name = "ServerlessProvisionedConcurrencyUtilization";
    sampler.tick(Timestamp(10_000), base).await;
    assert!(read(&sampler, "AWS/SageMaker", name, &VARIANT).is_empty());
    variant.set_provisioned_concurrency(4);
    (0..4).for_each(|_| variant.begin(at(0)));
    (0..4).for_each(|_| variant.end(Code::Ok, None, at(0), at(5)));
    sampler.tick(Timestamp(20_000), at(10)).await;
    let values = &read(&sampler, "AWS/SageMaker", name, &VARIANT)[0].values;
    assert!((values.sum - 0.5).abs() < 1e-3 && values.count == 1.0 && values.max == 1.0, "{values:?}");
    (0..40).for_each(|_| variant.begin(at(10)));
    sampler.tick(Timestamp(70_000), at(60)).await;
    assert_eq!(read(&sampler, "AWS/SageMaker", name, &VARIANT)[1].values.sum, 1.0);
}
