//! When requests are meant to start. Pure: no clock, the seed is given.
//!
//! The schedule does not know about answers: that is what makes the load open-loop. A request that starts late is
//! late against this schedule, and its latency counts from here.

use std::time::Duration;

/// The highest rate that can be asked for. Reason: a million requests a second is beyond what one machine's loopback
/// carries, so a higher number is a typing mistake.
pub(crate) const RATE_MAX: f64 = 1_000_000.0;

/// How requests are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// Evenly.
    Constant,
    /// As independent clients do: exponential gaps, the same mean rate.
    Poisson,
}

/// One request to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Counts from 0; picks the payload.
    pub(crate) index: u64,
    /// The intended start, from the start of the run.
    pub(crate) at: Duration,
}

/// All intended starts of a run, in order.
#[derive(Debug)]
pub(crate) struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    end: Duration,
    next_index: u64,
    /// Seconds of the last Poisson arrival.
    poisson_seconds: f64,
    random: fastrand::Rng,
}

impl Schedule {
    /// `rate` requests a second until `end`.
    pub(crate) fn new(arrivals: Arrivals, rate: f64, end: Duration, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { arrivals, rate, end, next_index: 0, poisson_seconds: 0.0, random }
    }

    /// Seconds from the start of the run to the next arrival.
    fn next_seconds(&mut self) -> f64 {
        match self.arrivals {
            // From the index, not by adding gaps: a sum of a million rounded gaps drifts.
            Arrivals::Constant => self.next_index as f64 / self.rate,
            Arrivals::Poisson => {
                // 1 - u is in (0, 1], so the logarithm is finite.
                self.poisson_seconds += -(1.0 - self.random.f64()).ln() / self.rate;
                self.poisson_seconds
            }
        }
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let at = Duration::try_from_secs_f64(self.next_seconds()).ok().filter(|at| *at < self.end)?;
        let index = self.next_index;
        self.next_index += 1;
        Some(Arrival { index, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(arrivals: Arrivals, rate: f64, seconds: u64) -> Vec<Duration> {
        Schedule::new(arrivals, rate, Duration::from_secs(seconds), 7).map(|arrival| arrival.at).collect()
    }

    #[test]
    fn constant_starts_are_multiples_of_the_gap() {
        let starts = starts(Arrivals::Constant, 250.0, 2);
        assert_eq!(starts.len(), 500);
        for (index, at) in starts.iter().enumerate() {
            assert_eq!(at.as_nanos(), index as u128 * 4_000_000);
        }
    }

    #[test]
    fn constant_starts_do_not_drift() {
        // A third of a second is not a binary fraction; after a day the start is still exact to the nanosecond.
        let schedule = Schedule::new(Arrivals::Constant, 3.0, Duration::from_secs(86_401), 0);
        let at = schedule.filter(|arrival| arrival.index == 3 * 86_400).map(|arrival| arrival.at).next();
        assert_eq!(at, Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn poisson_keeps_the_rate_and_spreads_the_gaps() {
        let starts = starts(Arrivals::Poisson, 1_000.0, 20);
        // The count is Poisson with mean 20,000: six standard deviations are 849.
        assert!((19_151..=20_849).contains(&starts.len()), "{} arrivals", starts.len());
        assert!(starts.is_sorted());
        let gaps: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let longer_than_mean = gaps.iter().filter(|gap| **gap > 0.001).count() as f64 / gaps.len() as f64;
        assert!((longer_than_mean - (-1.0f64).exp()).abs() < 0.02, "{longer_than_mean}");
    }

    #[test]
    fn the_seed_decides() {
        let with_seed =
            |seed| Schedule::new(Arrivals::Poisson, 50.0, Duration::from_secs(2), seed).collect::<Vec<_>>();
        assert_eq!(with_seed(1), with_seed(1));
        assert_ne!(with_seed(1), with_seed(2));
    }

    #[test]
    fn nothing_starts_at_or_after_the_end() {
        assert_eq!(starts(Arrivals::Constant, 10.0, 1).last(), Some(&Duration::from_millis(900)));
    }
}
