//! Policies on a simulated fleet with a simulated clock: whole days in milliseconds of real time.

use std::collections::BTreeMap;

use scaling::{
    Action, Cooldowns, Limits, Samples, Suspended, Target, TargetTracking, Timeline, Window, Wish, WishKind,
};
use wire::Timestamp;

const TICK_SECONDS: i64 = 10;

/// A policy that keeps requests a minute and unit at `target`.
fn per_minute(target: f64) -> TargetTracking {
    policy("SageMakerVariantInvocationsPerInstance", target)
}

/// A policy that keeps requests in flight on each unit at `target`, by periods of ten seconds.
fn concurrency(target: f64) -> TargetTracking {
    policy("SageMakerVariantConcurrentRequestsPerModelHighResolution", target)
}

fn policy(metric: &str, target: f64) -> TargetTracking {
    serde_json::from_value(serde_json::json!({
        "TargetValue": target, "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
    }))
    .expect("a policy")
}

/// Something that happened: when (in seconds), and the capacity asked for.
type Event = (i64, u32);

struct Fleet {
    limits: Limits,
    policies: Vec<TargetTracking>,
    /// How long a new unit takes until it serves.
    start_seconds: i64,
    /// Whether values reach the store.
    has_metrics: bool,
    now_seconds: i64,
    in_service: u32,
    requested: u32,
    /// When the requested units are in service.
    ready_at_seconds: i64,
    timeline: Timeline,
    cooldowns: Cooldowns,
    /// Each tick: requests of each unit, requests in flight on each, and the whole load in requests a minute.
    ticks: BTreeMap<i64, (f64, f64, f64)>,
    events: Vec<Event>,
}

impl Fleet {
    fn new(units: u32, limits: Limits, policies: Vec<TargetTracking>) -> Self {
        Self {
            limits,
            policies,
            start_seconds: 0,
            has_metrics: true,
            now_seconds: 0,
            in_service: units,
            requested: units,
            ready_at_seconds: 0,
            timeline: Timeline::new(units),
            cooldowns: Cooldowns::default(),
            ticks: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Lets `seconds` pass under a load of `load(second)` requests a minute; each takes a second.
    fn run(&mut self, seconds: i64, load: impl Fn(i64) -> f64) {
        for _ in 0..seconds / TICK_SECONDS {
            let rate = load(self.now_seconds);
            if self.has_metrics {
                let units = f64::from(self.in_service.max(1));
                let value = (rate / 60.0 * TICK_SECONDS as f64 / units, rate / 60.0 / units, rate);
                self.ticks.insert(self.now_seconds, value);
            }
            self.now_seconds += TICK_SECONDS;
            self.tick();
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now_seconds * 1000)
    }

    /// What the loop does every ten seconds.
    fn tick(&mut self) {
        if self.in_service != self.requested && self.now_seconds >= self.ready_at_seconds {
            self.in_service = self.requested;
        }
        self.timeline.note(self.now(), self.in_service);
        let names: Vec<String> = (0..self.policies.len()).map(|index| format!("p{index}")).collect();
        let wishes: Vec<Wish<'_>> =
            self.policies.iter().zip(&names).map(|(policy, name)| self.wish(policy, name)).collect();
        let target = Target {
            limits: self.limits,
            suspended: Suspended::default(),
            requested: self.requested,
            cooldowns: self.cooldowns,
        };
        if let Some(action) = target.decide(&wishes, self.now()) {
            self.act(action);
        }
    }

    fn wish<'a>(&self, policy: &TargetTracking, name: &'a str) -> Wish<'a> {
        let period = policy.metric("e", "v").expect("a metric").period_seconds;
        let samples = Samples {
            high: self.points(policy.high(period).window(self.now()), period == 10),
            low: self.points(policy.low().window(self.now()), period == 10),
        };
        let tracked = policy.track(period, &samples, &self.timeline, self.limits, self.now());
        Wish {
            policy: name,
            kind: WishKind::Tracking { ask: tracked.ask, scales_in: policy.scales_in() },
            out_cooldown_seconds: policy.out_cooldown_seconds(),
            in_cooldown_seconds: policy.in_cooldown_seconds(),
        }
    }

    /// The values of a window's periods: means in flight, or sums of requests.
    fn points(&self, window: Window, is_concurrency: bool) -> Vec<Option<f64>> {
        let period = i64::from(window.period_seconds);
        let starts = (0..window.count() as i64).map(|index| window.start.0 / 1000 + index * period);
        let value = |start: i64| {
            let ticks: Vec<(f64, f64, f64)> =
                self.ticks.range(start..start + period).map(|(_, v)| *v).collect();
            let sum = |pick: fn(&(f64, f64, f64)) -> f64| ticks.iter().map(pick).sum::<f64>();
            let value = if is_concurrency { sum(|v| v.1) / ticks.len() as f64 } else { sum(|v| v.0) };
            (!ticks.is_empty()).then_some(value)
        };
        starts.map(value).collect()
    }

    fn act(&mut self, action: Action<'_>) {
        let from = self.requested;
        if action.policy.is_none() {
            // The limits' own corrections cool nothing down.
        } else if action.capacity > from {
            self.cooldowns.scaled_out(self.now(), from, action.cooldown_seconds);
        } else {
            self.assert_enough(action.capacity);
            self.cooldowns.scaled_in(self.now(), action.cooldown_seconds);
        }
        self.requested = action.capacity;
        self.ready_at_seconds = self.now_seconds + self.start_seconds;
        self.events.push((self.now_seconds, action.capacity));
        if self.start_seconds == 0 {
            self.in_service = self.requested;
            self.timeline.note(self.now(), self.in_service);
        }
    }
}

impl Fleet {
    /// After a scale-in, the load of each of the last fifteen minutes would leave the metric at most at the target.
    fn assert_enough(&self, units: u32) {
        let quarter = self.now_seconds / 60 * 60 - 15 * 60;
        for (start, minute) in
            (quarter..self.now_seconds).step_by(60).map(|start| (start, self.ticks.range(start..start + 60)))
        {
            let (sums, means): (Vec<f64>, Vec<f64>) =
                minute.map(|(_, value)| (value.2, value.2 / 60.0)).unzip();
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            for policy in &self.policies {
                let is_concurrency = policy.metric("e", "v").expect("a metric").period_seconds == 10;
                let value = mean(if is_concurrency { &means } else { &sums }) / f64::from(units.max(1));
                let target = policy.target_value * (1.0 + 1e-6);
                assert!(units == self.limits.max || value <= target, "{start}: {value} by {units} units");
            }
        }
    }
}

const LIMITS: Limits = Limits { min: 1, max: 100 };
const HOUR: i64 = 3600;

#[test]
fn a_step_of_load_scales_out_after_three_periods() {
    let mut fleet = Fleet::new(1, LIMITS, vec![per_minute(70.0)]);
    fleet.start_seconds = 240;
    fleet.run(600, |_| 65.0);
    assert_eq!(fleet.events, []);
    // Ten times as much: ⌈650 / 70⌉ = 10 after three whole minutes; then nothing, although the alarm stays on until the new
    // units are there.
    fleet.run(HOUR, |_| 650.0);
    assert_eq!(fleet.events, [(780, 10)]);
}

#[test]
fn a_breach_that_grows_adds_the_difference() {
    let mut fleet = Fleet::new(1, LIMITS, vec![per_minute(70.0)]);
    fleet.start_seconds = 600;
    fleet.run(180, |_| 700.0);
    assert_eq!(fleet.events, [(180, 10)]);
    fleet.run(60, |_| 1400.0);
    assert_eq!(fleet.events, [(180, 10), (240, 20)]);
    fleet.run(300, |_| 1400.0);
    assert_eq!(fleet.events.len(), 2);
}

#[test]
fn ten_second_metrics_scale_out_after_half_a_minute() {
    let mut fleet = Fleet::new(2, LIMITS, vec![concurrency(5.0)]);
    fleet.run(600, |_| 540.0);
    assert_eq!(fleet.events, []);
    fleet.run(60, |_| 60.0 * 40.0);
    assert_eq!(fleet.events, [(630, 8)]);
    // Scaling in keeps the slow pace: fifteen whole quiet minutes.
    fleet.run(HOUR, |_| 0.0);
    assert_eq!(fleet.events, [(630, 8), (660 + 15 * 60, 1)]);
}

#[test]
fn a_drop_to_nothing_ends_at_the_minimum() {
    let limits = Limits { min: 2, max: 20 };
    let mut fleet = Fleet::new(12, limits, vec![per_minute(70.0)]);
    fleet.run(600, |_| 12.0 * 68.0);
    fleet.run(4 * HOUR, |_| 0.0);
    assert_eq!(fleet.events, [(600 + 15 * 60, 2)]);
}

#[test]
fn scaling_in_waits_for_its_cooldown() {
    // An endless fall by a third every half hour; each action waits for fifteen quiet minutes and for the last cooldown.
    let mut policy = per_minute(70.0);
    policy.scale_in_cooldown = Some(3600);
    let mut fleet = Fleet::new(20, LIMITS, vec![policy]);
    fleet.run(6 * HOUR, |second| 1300.0 * (2.0_f64 / 3.0).powi((second / 1800) as i32));
    let gaps: Vec<i64> = fleet.events.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(fleet.events.len() >= 4 && gaps.iter().all(|gap| *gap >= 3600), "{:?}", fleet.events);
}

#[test]
fn a_sawtooth_around_the_target_does_nothing_for_a_day() {
    let sawtooth = |second: i64| 70.0 * 5.0 * (1.0 + 0.08 * ((second % 240) as f64 / 120.0 - 1.0));
    let mut fleet = Fleet::new(5, LIMITS, vec![per_minute(70.0)]);
    fleet.run(24 * HOUR, sawtooth);
    assert_eq!(fleet.events, []);
    // The high-resolution alarm needs three tenths of a minute: a tooth of half a minute does not last as long.
    let fast = |second: i64| 60.0 * 25.0 * if second % 40 < 20 { 1.08 } else { 0.92 };
    let mut fleet = Fleet::new(5, LIMITS, vec![concurrency(5.0)]);
    fleet.run(24 * HOUR, fast);
    assert_eq!(fleet.events, []);
}

#[test]
fn of_two_policies_the_larger_wins_and_both_must_be_low() {
    // 600 a minute are ⌈600 / 70⌉ = 9 by the one, ⌈10 / 2.5⌉ = 4 by the other.
    let mut fleet = Fleet::new(1, LIMITS, vec![per_minute(70.0), concurrency(2.5)]);
    fleet.run(180, |_| 600.0);
    let last = *fleet.events.last().expect("an action");
    assert_eq!(last, (180, 9));
    // 560 keep the first between its marks, and the second far below: nothing until both are low.
    fleet.run(2 * HOUR, |_| 9.0 * 68.0);
    assert_eq!(*fleet.events.last().expect("an action"), last);
    fleet.run(HOUR, |_| 70.0);
    assert_eq!(fleet.events.last().expect("an action").1, 1);
}

#[test]
fn without_metrics_nothing_happens() {
    let mut fleet = Fleet::new(4, LIMITS, vec![per_minute(70.0)]);
    fleet.run(600, |_| 4.0 * 69.0);
    fleet.has_metrics = false;
    fleet.run(600, |_| 9000.0);
    assert_eq!(fleet.events, []);
    fleet.has_metrics = true;
    fleet.run(180, |_| 4.0 * 140.0);
    assert_eq!(fleet.events, [(1380, 8)]);
}

#[test]
fn a_raised_minimum_acts_at_once() {
    let mut fleet = Fleet::new(2, LIMITS, vec![per_minute(70.0)]);
    fleet.run(600, |_| 130.0);
    fleet.limits.min = 5;
    fleet.run(10, |_| 130.0);
    assert_eq!(fleet.events, [(610, 5)]);
    fleet.limits = Limits { min: 1, max: 3 };
    fleet.run(10, |_| 130.0);
    assert_eq!(fleet.events, [(610, 5), (620, 3)]);
}

#[test]
fn a_day_of_waves_is_followed_without_flapping() {
    let wave = |second: i64| {
        let day = second as f64 / (24.0 * 3600.0);
        1400.0 * (1.05 - (day * std::f64::consts::TAU).cos())
    };
    let mut fleet = Fleet::new(2, LIMITS, vec![per_minute(70.0)]);
    fleet.start_seconds = 120;
    let (mut over, mut ticks) = (0, 0);
    for _ in 0..24 * 60 {
        fleet.run(60, wave);
        ticks += 1;
        over += u32::from(wave(fleet.now_seconds) / f64::from(fleet.in_service) > 70.0 * 1.3);
    }
    assert!(over * 50 < ticks, "more than 2 % of the day far above the target: {over} of {ticks}");
    assert!(fleet.events.len() < 80, "{} actions", fleet.events.len());
    let turns = fleet.events.windows(3).filter(|w| (w[1].1 > w[0].1) != (w[2].1 > w[1].1)).count();
    assert!(turns <= 2, "{turns} turns: {:?}", fleet.events);
}
