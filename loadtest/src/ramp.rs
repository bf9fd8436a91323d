//! The highest rate under a latency objective: double until a rate fails, then bisect between the best and the worst.
//! [`RateSearch`] decides and knows nothing of the network; [`ramp`] asks it and runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::{Load, Outcome, Plan, run};
use crate::progress::Progress;
use crate::report::{Milliseconds, RATE_REACHED, generator_is_behind, to_json};
use crate::schedule::{Arrivals, RATE_MAX};

/// The most steps of one search. Reason: twenty doublings reach [`RATE_MAX`] from one a second, and twelve halvings
/// are finer than any machine is steady.
const STEPS_MAX: usize = 32;

/// The search ends when the failing rate is within this factor of the passing one. Reason: runs of a few seconds
/// differ by that much.
const RESOLUTION: f64 = 1.05;

/// The share of the highest rate that an instance is meant to take. Reason: new instances need their time, and the load grows
/// meanwhile; the public service's guide starts with a half.
const SAFETY_FACTOR: f64 = 0.5;

/// The target of a scaling policy by `SageMakerVariantInvocationsPerInstance`: requests a minute for each instance, where one
/// carries `rate` a second.
fn invocations_per_instance(rate: f64) -> f64 {
    (rate * SAFETY_FACTOR * 60.0).max(1.0).floor()
}

/// The target-tracking policy of what ramps found (their JSON), by the slowest; `None` where one found no rate.
pub(crate) fn policy(ramps: &Value) -> Option<Value> {
    let targets = ramps.as_array()?.iter().map(|ramp| ramp["invocations_per_instance"].as_f64());
    let target = targets.collect::<Option<Vec<_>>>()?.into_iter().reduce(f64::min)?;
    Some(json!({
        "TargetValue": target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }))
}

/// What a rate must keep to pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objective {
    /// The highest p99, from the intended start.
    pub(crate) p99: Duration,
    /// The highest share of requests that fail or are not 2xx.
    pub(crate) error_share: f64,
}

impl Objective {
    /// Why a run does not keep the objective; nothing when it does.
    pub(crate) fn broken_by(&self, outcome: &Outcome) -> Option<String> {
        let tally = &outcome.tally;
        let meant = tally.answers() + tally.failures.values().sum::<u64>();
        let p99 = tally.latency_at(0.99);
        if meant == 0 {
            return Some("no request in this step: the step is too short for the rate".to_owned());
        }
        if tally.errors() as f64 > self.error_share * meant as f64 {
            return Some(format!("{} of {meant} requests failed", tally.errors()));
        }
        if p99 > self.p99 {
            let blame = if generator_is_behind(outcome) { " (the generator itself fell behind)" } else { "" };
            return Some(format!("p99 {} over {}{blame}", Milliseconds(p99), Milliseconds(self.p99)));
        }
        // A Poisson step of few requests misses its rate by chance: three standard deviations are allowed.
        let asked = outcome.rate_asked.unwrap_or_default();
        let expected = asked * outcome.elapsed.as_secs_f64();
        if (tally.answers() as f64) < expected * RATE_REACHED - 3.0 * expected.sqrt() {
            return Some(format!("answered {:.1}/s of {asked:.1}/s", outcome.rate_achieved()));
        }
        None
    }
}

/// Doubling, then bisection.
#[derive(Debug)]
pub(crate) struct RateSearch {
    next: f64,
    highest: f64,
    best: Option<f64>,
    worst: Option<f64>,
    steps: usize,
}

impl RateSearch {
    /// Starts at `start`, never above `highest`.
    pub(crate) fn new(start: f64, highest: f64) -> Self {
        Self { next: start.min(highest), highest, best: None, worst: None, steps: 0 }
    }

    /// The rate to try; none when the search is over.
    pub(crate) fn next(&self) -> Option<f64> {
        let is_narrow = match (self.best, self.worst) {
            (Some(best), Some(worst)) => worst <= best * RESOLUTION,
            (Some(best), None) => best >= self.highest,
            // Nothing passes, down to less than one request in two seconds.
            (None, Some(worst)) => worst < 0.5,
            (None, None) => false,
        };
        (!is_narrow && self.steps < STEPS_MAX).then_some(self.next)
    }

    /// The last rate passed, or did not.
    pub(crate) fn report(&mut self, passed: bool) {
        self.steps += 1;
        let tried = Some(self.next);
        let bound = if passed { &mut self.best } else { &mut self.worst };
        *bound = tried;
        self.next = match (self.best, self.worst) {
            (Some(best), Some(worst)) => f64::midpoint(best, worst),
            (Some(best), None) => (best * 2.0).min(self.highest),
            (None, Some(worst)) => worst / 2.0,
            (None, None) => self.next,
        };
    }

    /// The highest rate that passed.
    pub(crate) fn best(&self) -> Option<f64> {
        self.best
    }
}

/// How a ramp goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ramp {
    /// The first rate.
    pub(crate) start: f64,
    /// The highest rate tried, at most [`RATE_MAX`].
    pub(crate) highest: f64,
    /// What must be kept.
    pub(crate) objective: Objective,
    /// How requests are spread.
    pub(crate) arrivals: Arrivals,
}

/// What a ramp found.
pub(crate) struct Found {
    /// The highest rate that keeps the objective, and its run.
    pub(crate) best: Option<(f64, Outcome)>,
    /// Every step: rate, p99, why it failed.
    steps: Vec<(f64, Duration, Option<String>)>,
}

/// Finds the highest rate of `plan` (whose load is replaced) that keeps the objective.
///
/// # Errors
/// When the target cannot be reached.
pub(crate) fn ramp(plan: &Plan, ramp: &Ramp, progress: &mut Progress) -> anyhow::Result<Found> {
    let mut search = RateSearch::new(ramp.start, ramp.highest.min(RATE_MAX));
    let mut found = Found { best: None, steps: Vec::new() };
    while let Some(rate) = search.next() {
        progress.label(format!("{rate:.1}/s:"));
        let step = Plan { load: Load::Open { arrivals: ramp.arrivals, rate }, ..plan.clone() };
        let outcome = run(&step, progress)?;
        let broken = ramp.objective.broken_by(&outcome);
        search.report(broken.is_none());
        found.steps.push((rate, outcome.tally.latency_at(0.99), broken.clone()));
        if broken.is_none() {
            found.best = Some((rate, outcome));
        }
    }
    debug_assert_eq!(found.best.as_ref().map(|(rate, _)| *rate), search.best());
    Ok(found)
}

impl Found {
    /// The readable table of the steps.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:>12}{:>16}  result\n", "requests/s", "p99");
        for (rate, p99, broken) in &self.steps {
            let result = broken.as_deref().unwrap_or("passed");
            text += &format!("{rate:>12.1}{:>16}  {result}\n", Milliseconds(*p99));
        }
        text + &match &self.best {
            Some((rate, _)) => format!(
                "highest rate that keeps the objective: {rate:.1} requests/s\n\
                 scaling target: SageMakerVariantInvocationsPerInstance {}\n",
                invocations_per_instance(*rate)
            ),
            None => "no rate keeps the objective\n".to_owned(),
        }
    }

    /// The same for a program.
    pub(crate) fn to_json(&self, watched: &[String]) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|(rate, p99, broken)| json!({"rate": rate, "p99_ms": p99.as_secs_f64() * 1e3, "broken": broken}))
            .collect();
        json!({
            "rate": self.best.as_ref().map(|(rate, _)| rate),
            "invocations_per_instance": self.best.as_ref().map(|(rate, _)| invocations_per_instance(*rate)),
            "best": self.best.as_ref().map(|(_, outcome)| to_json(outcome, watched)),
            "steps": steps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::{Failure, Tally};

    /// Searches against a server that carries `capacity` requests a second: what is found, and in how many steps.
    fn search(start: f64, highest: f64, capacity: f64) -> (Option<f64>, usize) {
        let mut search = RateSearch::new(start, highest);
        while let Some(rate) = search.next() {
            search.report(rate <= capacity);
        }
        (search.best(), search.steps)
    }

    #[test]
    fn the_highest_rate_is_found_within_the_resolution() {
        for capacity in [3.0, 130.0, 999.0, 12_345.0, 250_000.0] {
            let (best, steps) = search(100.0, RATE_MAX, capacity);
            let best = best.unwrap();
            assert!(best <= capacity && capacity <= best * RESOLUTION, "{best} for {capacity}");
            assert!(steps <= STEPS_MAX, "{steps} steps for {capacity}");
        }
    }

    #[test]
    fn a_policy_aims_at_half_of_what_an_instance_carries() {
        assert_eq!(invocations_per_instance(20.0), 600.0);
        assert_eq!(invocations_per_instance(0.01), 1.0);
        let found = |targets: &[Option<f64>]| {
            policy(&targets.iter().map(|target| json!({"invocations_per_instance": target})).collect())
        };
        assert_eq!(found(&[Some(900.0), Some(600.0)]).unwrap()["TargetValue"], 600.0);
        assert!(found(&[Some(900.0), None]).is_none() && found(&[]).is_none());
    }

    #[test]
    fn the_search_ends_at_its_limits() {
        assert_eq!(search(100.0, 800.0, 1e9).0, Some(800.0));
        assert_eq!(search(900.0, 800.0, 1e9), (Some(800.0), 1));
        let (best, steps) = search(1_000.0, RATE_MAX, 0.0);
        assert!(best.is_none() && steps < STEPS_MAX, "{steps} steps");
    }

    #[test]
    fn a_step_passes_only_when_everything_holds() {
        let objective = Objective { p99: Duration::from_millis(5), error_share: 0.001 };
        let outcome = |answers: u32, latency_ms: u64, failures: u32| {
            let mut tally = Tally::new(0);
            for _ in 0..answers {
                tally.answered(200, Duration::from_millis(latency_ms));
            }
            for _ in 0..failures {
                tally.failed(Failure::Closed, Duration::ZERO);
            }
            let elapsed = Duration::from_secs(10);
            objective.broken_by(&Outcome { tally, elapsed, rate_asked: Some(1_000.0), slices: 1 })
        };
        assert_eq!(outcome(10_000, 4, 0), None);
        assert_eq!(outcome(10_000, 4, 10), None);
        assert_eq!(outcome(10_000, 4, 11).unwrap(), "11 of 10011 requests failed");
        assert_eq!(outcome(10_000, 6, 0).unwrap(), "p99 6.001 ms over 5.000 ms");
        assert_eq!(outcome(9_000, 4, 0).unwrap(), "answered 900.0/s of 1000.0/s");
        assert!(outcome(0, 0, 0).unwrap().contains("too short"));
    }
}
