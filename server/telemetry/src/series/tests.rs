//! Series over a fake clock.

use super::*;
use crate::Statistic;

const MINUTE_MS: i64 = 60_000;

fn series() -> Series {
    Series(Arc::new(Store::in_memory().unwrap()))
}

fn metric(name: &str) -> Metric {
    Metric::new("N", name, [("Endpoint".to_owned(), "e".to_owned())])
}

fn point(name: &str, time_ms: i64, values: &[f64]) -> Point {
    let mut aggregate = Aggregate::default();
    values.iter().for_each(|value| aggregate.record(*value));
    Point { metric: metric(name), unit: "Count".into(), time: Timestamp(time_ms), values: aggregate }
}

fn range(start_ms: i64, end_ms: i64, period_seconds: u32) -> Range {
    Range { start: Timestamp(start_ms), end: Timestamp(end_ms), period_seconds, unit: None }
}

/// (start in seconds, sum) of each period.
fn sums(series: &Series, range: &Range) -> Vec<(i64, f64)> {
    let periods = series.read(&metric("m"), range).unwrap();
    periods.into_iter().map(|period| (period.start.0 / 1000, period.values.sum)).collect()
}

#[test]
fn points_are_summed_up_by_periods_aligned_to_the_clock() {
    let series = series();
    let now = Timestamp(10 * MINUTE_MS);
    let points = [60, 65, 75, 119, 120, 200].map(|at| point("m", at * 1000, &[1.0]));
    series.append(&points, now).unwrap();
    assert_eq!(
        sums(&series, &range(60_000, 300_000, 10)),
        [(60, 2.0), (70, 1.0), (110, 1.0), (120, 1.0), (200, 1.0)]
    );
    assert_eq!(sums(&series, &range(60_000, 300_000, 60)), [(60, 4.0), (120, 1.0), (180, 1.0)]);
    // The period of the start is there whole, that of the end up to it.
    assert_eq!(sums(&series, &range(90_000, 200_000, 60)), [(60, 4.0), (120, 1.0)]);
    assert_eq!(sums(&series, &range(0, 300_000, 300)), [(0, 6.0)]);
    assert_eq!(sums(&series, &range(300_000, 400_000, 60)), []);
}

#[test]
fn dimensions_and_units_match_exactly() {
    let series = series();
    let mut other = point("m", 0, &[7.0]);
    other.unit = "Seconds".into();
    series.append(&[point("m", 0, &[1.0]), other], Timestamp(0)).unwrap();
    let of = |unit: Option<&str>| {
        let range = Range { unit: unit.map(str::to_owned), ..range(0, 1000, 60) };
        sums(&series, &range)
    };
    assert_eq!(of(Some("Count")), [(0, 1.0)]);
    assert_eq!(of(Some("Seconds")), [(0, 7.0)]);
    assert_eq!(of(Some("Bytes")), []);
    assert_eq!(of(None), [(0, 8.0)]);
    let none = series.read(&Metric::new("N", "m", []), &range(0, 1000, 60)).unwrap();
    assert!(none.is_empty());
}

#[test]
fn every_resolution_says_the_same_while_it_is_summed_up() {
    let series = series();
    let (mut expected, mut values) = (0.0, 1.0);
    for step in 0..3 * 360 {
        let now = Timestamp(step * 10_000);
        series.append(&[point("m", now.0, &[values, 2.0 * values])], now).unwrap();
        expected += 3.0 * values;
        values = f64::from((step as u32 * 7) % 13);
        if step % 6 == 0 {
            series.roll_up(now).unwrap();
        }
        if step % 97 == 0 {
            for period in [10, 60, 300, 3600] {
                let periods = series.read(&metric("m"), &range(0, now.0 + 1, period)).unwrap();
                let sum: f64 = periods.iter().map(|period| period.values.sum).sum();
                let count: f64 = periods.iter().map(|period| period.values.count).sum();
                assert_eq!(
                    (sum, count),
                    (expected, 2.0 * (step + 1) as f64),
                    "period {period} at step {step}"
                );
            }
        }
    }
}

#[test]
fn percentiles_survive_being_summed_up() {
    let series = series();
    for step in 0..60 {
        let values: Vec<f64> = (1..=100).map(|value| f64::from(value * (step + 1))).collect();
        series.append(&[point("m", i64::from(step) * 10_000, &values)], Timestamp(0)).unwrap();
    }
    let p90 = |range| {
        let periods = series.read(&metric("m"), &range).unwrap();
        Statistic::Percentile(90.0).of(&periods[0].values).unwrap()
    };
    let before = p90(range(0, 600_000, 300));
    series.roll_up(Timestamp(700_000)).unwrap();
    assert_eq!(p90(range(0, 600_000, 300)), before);
    assert!((p90(range(0, 10_000, 10)) - 90.0).abs() < 1.0);
}

#[test]
fn late_points_are_added_where_they_belong() {
    let series = series();
    series.append(&[point("m", 5_000, &[1.0])], Timestamp(5_000)).unwrap();
    series.roll_up(Timestamp(7_300_000)).unwrap();
    series.append(&[point("m", 15_000, &[2.0])], Timestamp(7_300_000)).unwrap();
    for period in [60, 300, 3600] {
        assert_eq!(sums(&series, &range(0, 3_600_000, period)), [(0, 3.0)], "{period}");
    }
    series.roll_up(Timestamp(7_400_000)).unwrap();
    assert_eq!(sums(&series, &range(0, 3_600_000, 3600)), [(0, 3.0)]);
}

#[test]
fn each_resolution_forgets_in_its_own_time() {
    let series = series();
    series.append(&[point("m", 0, &[1.0])], Timestamp(0)).unwrap();
    let hours = |hours: i64| Timestamp(hours * 3_600_000 + 20_000);
    let kept = |period| !sums(&series, &range(0, 3_600_000, period)).is_empty();
    for (age, expected) in [
        (2, [true, true, true, true]),
        (4, [false, true, true, true]),
        (16 * 24, [false, false, true, true]),
        (64 * 24, [false, false, false, true]),
        (456 * 24, [false, false, false, false]),
    ] {
        series.roll_up(hours(age)).unwrap();
        assert_eq!([10, 60, 300, 3600].map(kept), expected, "after {age} hours");
    }
    assert!(series.list(&MetricFilter::default(), Timestamp(0), 0, 10).unwrap().0.is_empty());
}

#[test]
fn what_was_not_summed_up_before_a_stop_is_summed_up_after_it() {
    let series = series();
    series.append(&[point("m", 0, &[1.0])], Timestamp(0)).unwrap();
    series.roll_up(Timestamp(100 * 3_600_000)).unwrap();
    assert_eq!(sums(&series, &range(0, 60_000, 60)), [(0, 1.0)]);
    assert_eq!(sums(&series, &range(0, 10_000, 10)), []);
}

#[test]
fn metrics_are_listed_in_pages() {
    let series = series();
    let points: Vec<_> = (0..5).map(|number| point(&format!("m{number}"), 1000, &[1.0])).collect();
    series.append(&points, Timestamp(1000)).unwrap();
    let (mut names, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let (page, next) = series.list(&MetricFilter::default(), Timestamp(0), from, 2).unwrap();
        assert!(page.len() <= 2);
        names.extend(page.into_iter().map(|metric| metric.name));
        after = next;
    }
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4"]);
    let filter = MetricFilter { name: Some("m3".into()), ..MetricFilter::default() };
    assert_eq!(series.list(&filter, Timestamp(0), 0, 10).unwrap().0.len(), 1);
    assert!(series.list(&filter, Timestamp(5000), 0, 10).unwrap().0.is_empty());
}

#[test]
fn points_not_yet_appended_are_read_and_listed_with_the_rest() {
    let series = series();
    series.append(&[point("m", 61_000, &[1.0])], Timestamp(61_000)).unwrap();
    let newest = [point("m", 75_000, &[2.0]), point("n", 75_000, &[5.0]), point("m", 125_000, &[7.0])];
    let read = |range: &Range| {
        let periods = series.read_with(&metric("m"), range, &newest).unwrap();
        periods.into_iter().map(|period| (period.start.0 / 1000, period.values.sum)).collect::<Vec<_>>()
    };
    assert_eq!(read(&range(60_000, 200_000, 60)), [(60, 3.0), (120, 7.0)]);
    assert_eq!(read(&range(60_000, 120_000, 10)), [(60, 1.0), (70, 2.0)]);
    assert_eq!(read(&Range { unit: Some("Seconds".into()), ..range(0, 200_000, 60) }), []);
    let list = |limit| {
        let listed = series.list_with(&MetricFilter::default(), Timestamp(0), 0, limit, &newest).unwrap();
        listed.0.into_iter().map(|metric| metric.name).collect::<Vec<_>>()
    };
    assert_eq!(list(10), ["m", "n"]);
    assert_eq!(list(1), ["m"]);
}
