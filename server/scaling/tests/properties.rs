//! What holds for every policy, capacity and value.

use proptest::prelude::*;
use scaling::{Ask, Limits, Samples, TargetTracking, Timeline, recommend};
use wire::Timestamp;

fn policy(target: f64) -> TargetTracking {
    serde_json::from_value(serde_json::json!({
        "TargetValue": target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }))
    .expect("a policy")
}

fn ask(target: f64, units: u32, value: f64, limits: Limits) -> Ask {
    let samples = Samples { high: vec![Some(value); 3], low: vec![Some(value); 15] };
    policy(target).track(60, &samples, &Timeline::new(units), limits, Timestamp(3_600_000)).ask
}

/// What becomes of the capacity by itself, without cooldowns.
fn desired(target: f64, units: u32, value: f64, limits: Limits) -> u32 {
    match ask(target, units, value, limits) {
        Ask::Out(capacity) => capacity.max(units),
        Ask::In(capacity) => capacity.min(units),
        Ask::Stay => units,
    }
}

prop_compose! {
    fn limits()(min in 0_u32..20, more in 0_u32..80) -> Limits {
        Limits { min, max: min + more }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn more_work_never_asks_for_fewer(
        target in 0.01_f64..1e4, units in 1_u32..100, a in 0.0_f64..1e5, b in 0.0_f64..1e5, limits in limits(),
    ) {
        let units = limits.clamp(units);
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(desired(target, units, low, limits) <= desired(target, units, high, limits));
        let recommended = |value| recommend(units, Some(value), target, limits);
        prop_assert!(recommended(low) <= recommended(high));
    }

    #[test]
    fn the_capacity_is_within_the_limits(
        target in 0.01_f64..1e4, units in 0_u32..100, value in 0.0_f64..1e300, limits in limits(),
    ) {
        match ask(target, units, value, limits) {
            Ask::Out(capacity) | Ask::In(capacity) => {
                prop_assert!((limits.min..=limits.max).contains(&capacity));
            }
            Ask::Stay => {}
        }
        prop_assert!((limits.min..=limits.max).contains(&recommend(units, Some(value), target, limits)));
    }

    #[test]
    fn scaling_in_leaves_the_metric_at_most_at_the_target(
        target in 0.01_f64..1e4, units in 1_u32..100, share in 0.0_f64..0.9, limits in limits(),
    ) {
        let units = limits.clamp(units).max(1);
        let value = target * share;
        let after = desired(target, units, value, limits);
        if after < units && after > 0 {
            let projected = value * f64::from(units) / f64::from(after);
            let is_capped = after == limits.max;
            prop_assert!(is_capped || projected <= target * (1.0 + 1e-6), "{units} -> {after}: {projected} > {target}");
        }
    }

    #[test]
    fn scaling_out_brings_the_metric_to_the_target(
        target in 0.01_f64..1e4, units in 1_u32..100, share in 1.001_f64..50.0,
    ) {
        let limits = Limits { min: 1, max: 1_000_000 };
        let after = desired(target, units, target * share, limits);
        prop_assert!(after > units);
        let of = |capacity: u32| target * share * f64::from(units) / f64::from(capacity);
        prop_assert!(of(after) <= target * (1.0 + 1e-6), "enough");
        prop_assert!(of(after - 1) > target * (1.0 - 1e-6), "and no more than that");
    }
}
