//! What is kept of the values of a period: enough for every statistic, and summed up with another period's by addition.

use crate::Buckets;

/// The values of a period.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// How many; a fraction where whoever reported them weighed them so.
    pub count: f64,
    /// All together.
    pub sum: f64,
    /// The least; infinite when there is none.
    pub min: f64,
    /// The greatest; negative infinite when there is none.
    pub max: f64,
    /// How often each size was seen; empty where only the four others are known.
    pub buckets: Buckets,
}

impl Default for Aggregate {
    fn default() -> Self {
        let buckets = Buckets::default();
        Self { count: 0.0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, buckets }
    }
}

impl Aggregate {
    /// One value.
    pub fn of(value: f64) -> Self {
        let mut aggregate = Self::default();
        aggregate.record(value);
        aggregate
    }

    /// `ones` ones among `count` zeros and ones: how a rate is reported.
    pub fn of_ones(ones: u64, count: u64) -> Self {
        let mut aggregate = Self::default();
        aggregate.record_many(1.0, ones as f64);
        aggregate.record_many(0.0, count.saturating_sub(ones) as f64);
        aggregate
    }

    /// One more value.
    pub fn record(&mut self, value: f64) {
        self.record_many(value, 1.0);
    }

    /// One value, so many times.
    pub fn record_many(&mut self, value: f64, count: f64) {
        if count <= 0.0 {
            return;
        }
        self.count += count;
        self.sum += value * count;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.buckets.add(value, (count.round() as u64).max(1));
    }

    /// The values of another period too.
    pub fn merge(&mut self, other: &Self) {
        // Percentiles are of all values or of none.
        let knows_both = (self.count == 0.0 || !self.buckets.is_empty()) && !other.buckets.is_empty();
        if knows_both {
            self.buckets.merge(&other.buckets);
        } else if other.count > 0.0 {
            self.buckets = Buckets::default();
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The mean; `None` of nothing.
    pub fn average(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// The value below which `percent` of a hundred lie; `None` where only sums are known.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        if self.min == self.max {
            return Some(self.min);
        }
        let found = self.buckets.quantile(percent / 100.0)?;
        Some(found.clamp(self.min, self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Aggregate {
        let mut aggregate = Aggregate::default();
        values.iter().for_each(|value| aggregate.record(*value));
        aggregate
    }

    #[test]
    fn two_periods_are_one() {
        let mut merged = of(&[1.0, 5.0]);
        merged.merge(&of(&[3.0]));
        assert_eq!(merged, of(&[1.0, 5.0, 3.0]));
        assert_eq!((merged.min, merged.max, merged.average()), (1.0, 5.0, Some(3.0)));
        merged.merge(&Aggregate::default());
        assert_eq!(merged, of(&[1.0, 5.0, 3.0]));
        let mut empty = Aggregate::default();
        empty.merge(&merged);
        assert_eq!(empty, merged);
        assert_eq!(Aggregate::default().average(), None);
    }

    #[test]
    fn percentiles_of_sums_are_not_guessed() {
        let only_sums = Aggregate { buckets: Buckets::default(), ..of(&[1.0, 9.0]) };
        assert_eq!(only_sums.percentile(50.0), None);
        let mut mixed = of(&[1.0, 2.0, 3.0]);
        mixed.merge(&only_sums);
        assert_eq!((mixed.count, mixed.percentile(50.0)), (5.0, None));
        let same = Aggregate { buckets: Buckets::default(), ..of(&[4.0, 4.0]) };
        assert_eq!(same.percentile(99.0), Some(4.0));
    }

    #[test]
    fn a_rate_is_a_mean_of_zeros_and_ones() {
        let rate = Aggregate::of_ones(1, 4);
        assert_eq!((rate.count, rate.sum, rate.average()), (4.0, 1.0, Some(0.25)));
        assert_eq!((rate.min, rate.max), (0.0, 1.0));
        assert_eq!(Aggregate::of_ones(0, 3).max, 0.0);
    }
}
