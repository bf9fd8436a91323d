//! A histogram without bounds set in advance: 64 buckets between each power of two and the next.
//!
//! A bucket's number is the beginning of a float's own bits, whose order is that of the numbers. So any value has its
//! bucket, and a value that is told by the middle of its bucket is wrong by less than 1/128 of itself.

use std::collections::BTreeMap;

/// Bits of a float that do not matter here: what is left are the exponent and six bits of the fraction.
const DROPPED_BITS: u32 = 52 - 6;

/// Buckets of one histogram. Reason: latencies from a microsecond to a minute take 1,700; values beyond fall into the
/// bucket next to theirs, which is wrong but bounded.
const BUCKETS_MAX: usize = 4096;

/// How often each size of value was seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets(BTreeMap<i32, u64>);

impl Buckets {
    /// Counts `value` this many times.
    pub fn add(&mut self, value: f64, count: u64) {
        if count > 0 {
            self.put(bucket_of(value), count);
        }
    }

    /// Counts all of `other` too.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(&bucket, &count)| self.put(bucket, count));
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below which `fraction` of what was counted lies.
    pub fn quantile(&self, fraction: f64) -> Option<f64> {
        let total: u64 = self.0.values().fold(0, |sum, count| sum.saturating_add(*count));
        let rank = ((total as f64 * fraction).ceil() as u64).clamp(1, total.max(1));
        let mut below = 0_u64;
        self.0.iter().find_map(|(&bucket, &count)| {
            below = below.saturating_add(count);
            (below >= rank).then(|| middle_of(bucket))
        })
    }

    /// As bytes: for each bucket, how far it is from the one before, and its count; both in LEB128.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 3);
        let mut last = 0_i64;
        for (&bucket, &count) in &self.0 {
            let step = i64::from(bucket) - last;
            put_number(&mut bytes, ((step << 1) ^ (step >> 63)).cast_unsigned());
            put_number(&mut bytes, count);
            last = i64::from(bucket);
        }
        bytes
    }

    /// From bytes; `None` when they are not of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let (mut buckets, mut last) = (BTreeMap::new(), 0_i64);
        while !bytes.is_empty() {
            let step = take_number(&mut bytes)?;
            let step = (step >> 1).cast_signed() ^ -((step & 1).cast_signed());
            last = last.checked_add(step)?;
            buckets.insert(i32::try_from(last).ok()?, take_number(&mut bytes)?);
        }
        (buckets.len() <= BUCKETS_MAX).then_some(Self(buckets))
    }

    fn put(&mut self, bucket: i32, count: u64) {
        let is_full = self.0.len() >= BUCKETS_MAX && !self.0.contains_key(&bucket);
        let bucket = if is_full { self.nearest(bucket) } else { bucket };
        let held = self.0.entry(bucket).or_default();
        *held = held.saturating_add(count);
    }

    fn nearest(&self, bucket: i32) -> i32 {
        let above = self.0.range(bucket..).next();
        above.or_else(|| self.0.last_key_value()).map_or(bucket, |(&nearest, _)| nearest)
    }
}

/// Negative numbers mirror the positive ones, below zero's.
fn bucket_of(value: f64) -> i32 {
    let magnitude = (value.abs().to_bits() >> DROPPED_BITS) as i32;
    if value < 0.0 { -magnitude - 1 } else { magnitude }
}

fn middle_of(bucket: i32) -> f64 {
    let (magnitude, sign) = if bucket < 0 { (-(bucket + 1), -1.0) } else { (bucket, 1.0) };
    if magnitude == 0 {
        return 0.0;
    }
    let bits = (i64::from(magnitude).cast_unsigned() << DROPPED_BITS) | (1 << (DROPPED_BITS - 1));
    sign * f64::from_bits(bits)
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64) {
        let mut buckets = Buckets::default();
        buckets.add(value, 1);
        let found = buckets.quantile(0.5).unwrap();
        assert!((found - value).abs() <= value.abs() / 128.0, "{value}: {found}");
    }

    #[test]
    fn any_value_is_told_to_within_a_hundredth() {
        check(0.0);
        for value in [1e-9, 0.3, 1.0, 1.015, 5.0, 63.9, 1234.5, 1e6, 9.9e17] {
            check(value);
            check(-value);
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut buckets = Buckets::default();
        (1..=1000).for_each(|value| buckets.add(f64::from(value), 1));
        for (fraction, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (0.0, 1.0), (1.0, 1000.0)] {
            let found = buckets.quantile(fraction).unwrap();
            assert!((found - expected).abs() <= expected / 100.0, "p{fraction}: {found}");
        }
        assert_eq!(Buckets::default().quantile(0.5), None);
    }

    #[test]
    fn bytes_are_read_back() {
        let mut buckets = Buckets::default();
        for (value, count) in [(-3.5, 7), (0.0, 1), (1e-3, 300), (12.0, 1), (12.1, 70_000), (1e12, u64::MAX)]
        {
            buckets.add(value, count);
        }
        assert_eq!(Buckets::from_bytes(&buckets.to_bytes()), Some(buckets.clone()));
        let mut twice = buckets.clone();
        twice.merge(&buckets);
        assert_eq!(twice.0.len(), buckets.0.len());
    }

    #[test]
    fn foreign_bytes_do_not_panic() {
        let mut state = 7_u64;
        for length in 0..2_000 {
            let bytes: Vec<u8> = (0..length % 40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            if let Some(buckets) = Buckets::from_bytes(&bytes) {
                let _ = buckets.quantile(0.9);
            }
        }
    }

    #[test]
    fn buckets_are_bounded() {
        let mut buckets = Buckets::default();
        (0..20_000).for_each(|power| buckets.add(1.01_f64.powi(power - 10_000), 1));
        assert!(buckets.0.len() <= BUCKETS_MAX);
        assert_eq!(buckets.0.values().sum::<u64>(), 20_000);
    }
}
