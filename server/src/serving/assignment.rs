//! Assignment by key: the same user stays on the same variant, and a change of weights moves as few users as it must.
//!
//! Weighted rendezvous hashing: each variant scores a key with `-weight / ln(u)`, where `u` is a hash of (endpoint,
//! variant, key) read as a number in (0, 1); the highest score wins. `-ln(u) / weight` is an exponential variable of rate
//! `weight`, and the least of such variables is that of a variant with its weight's share of the rates. A variant's score
//! depends on no other variant, so when its weight grows it can only win keys, and those only from the others. (Schindelhauer
//! and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005, the logarithmic method; in this form Wang, Mohan and Resch.)
//!
//! Between two fleets of the variant, a second hash of the key decides against the new fleet's share, so that each step of
//! a deployment moves users towards the new fleet and none back.

use super::draw::{hash, mix, unit};

/// Makes the second hash independent of the first.
const FLEET_SEED: u64 = 1;

/// The most that a weight counts. Reason: divided by the least logarithm (2^-53) it is still finite.
const WEIGHT_MAX: f64 = 1e290;

/// Variants with their hashes and weights; immutable.
#[derive(Debug)]
pub(super) struct Assignment(Vec<Candidate>);

#[derive(Debug)]
struct Candidate {
    /// Of its name.
    hash: u64,
    /// Of all of its arms.
    weight: f64,
    /// Of the newest fleet's configuration: each deployment begins with other users.
    fleet_hash: u64,
    /// The newest first: an arm, and the share of the variant that it and those before it here have.
    fleets: Vec<(usize, f64)>,
}

/// An arm of a variant, as [`Assignment::new`] wants it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arm<'a> {
    /// Its place in the endpoint.
    pub(super) index: usize,
    /// The name of its fleet's configuration.
    pub(super) config: &'a [u8],
    /// Its weight.
    pub(super) weight: f64,
}

impl Assignment {
    /// Variants by name, each with its arms, the old fleet's first.
    pub(super) fn new<'a>(variants: impl Iterator<Item = (&'a [u8], Vec<Arm<'a>>)>) -> Self {
        Self(variants.map(|(name, arms)| Candidate::new(name, &arms)).collect())
    }

    /// The arm of `key`.
    pub(super) fn choose(&self, endpoint: &str, key: &str) -> usize {
        let key = hash(hash(0, endpoint.as_bytes()), key.as_bytes());
        let mut best = (f64::NEG_INFINITY, None);
        for candidate in &self.0 {
            let score = candidate.score(key);
            if score > best.0 {
                best = (score, Some(candidate));
            }
        }
        best.1.expect("an endpoint has a weight above 0").fleet(key)
    }
}

impl Candidate {
    fn new(name: &[u8], arms: &[Arm<'_>]) -> Self {
        // Relative to the largest, so that no sum overflows.
        let most = arms.iter().map(|arm| arm.weight).fold(0.0, f64::max);
        let total: f64 = arms.iter().map(|arm| arm.weight / most).sum();
        let mut share = 0.0;
        let fleets = arms.iter().rev().map(|arm| {
            share += arm.weight / most / total;
            (arm.index, share)
        });
        let fleets = if most > 0.0 { fleets.collect() } else { Vec::new() };
        let fleet_hash = hash(FLEET_SEED, arms.last().map_or(&[], |arm| arm.config));
        Self { hash: hash(0, name), weight: (total * most).min(WEIGHT_MAX), fleet_hash, fleets }
    }

    /// Below 0 for a variant that takes no keys.
    fn score(&self, key: u64) -> f64 {
        if self.fleets.is_empty() {
            return f64::NEG_INFINITY;
        }
        // The middle of one of 2^52 steps: never 0 nor 1, so that its logarithm is finite and below 0.
        let u = ((mix(key ^ self.hash) >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64);
        -self.weight / u.ln()
    }

    fn fleet(&self, key: u64) -> usize {
        match self.fleets[..] {
            [(only, _)] => only,
            ref fleets => {
                let place = unit(mix(key ^ self.hash.rotate_left(32) ^ self.fleet_hash));
                let fleet = fleets.iter().find(|&&(_, share)| place < share);
                fleet.or(fleets.last()).expect("a candidate with a score has a fleet").0
            }
        }
    }
}

/// The value of `name` in CustomAttributes of the form `name=value,other=value`.
pub(super) fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = attributes.split(',').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| found.trim() == name)?;
    Some(value.trim()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: usize = 100_000;

    fn assignment(variants: &[(&str, f64)]) -> Assignment {
        Assignment::new(variants.iter().enumerate().map(|(index, &(name, weight))| {
            (name.as_bytes(), vec![Arm { index, config: b"c".as_slice(), weight }])
        }))
    }

    /// Whom each key goes to.
    fn assigned(endpoint: &str, assignment: &Assignment) -> Vec<usize> {
        (0..KEYS).map(|key| assignment.choose(endpoint, &format!("user-{key}"))).collect()
    }

    fn count(assigned: &[usize], variant: usize) -> f64 {
        assigned.iter().filter(|&&found| found == variant).count() as f64
    }

    /// Whether a count is within five standard deviations of a binomial.
    fn is_share(count: f64, share: f64) -> bool {
        let keys = KEYS as f64;
        (count - share * keys).abs() <= 5.0 * (share * (1.0 - share) * keys).sqrt()
    }

    fn check(variants: &[(&str, f64)]) {
        let most = variants.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        let total: f64 = variants.iter().map(|(_, weight)| weight / most).sum();
        let assigned = assigned("e", &assignment(variants));
        for (index, (name, weight)) in variants.iter().enumerate() {
            let count = count(&assigned, index);
            assert!(is_share(count, weight / most / total), "{name} of {variants:?}: {count}");
        }
    }

    #[test]
    fn keys_are_shared_by_weight() {
        check(&[("only", 1.0)]);
        check(&[("a", 1.0), ("b", 1.0)]);
        check(&[("a", 90.0), ("b", 10.0)]);
        check(&[("a", 0.0), ("b", 1.0)]);
        check(&[("a", 1e-3), ("b", 1.0)]);
        check(&[("a", 2.0), ("b", 3.0), ("c", 5.0), ("d", 7.0), ("e", 11.0)]);
        check(&[("a", f64::MAX), ("b", f64::MAX)]);
    }

    #[test]
    fn a_weight_grown_from_a_tenth_to_a_fifth_moves_a_tenth_of_the_keys_and_none_back() {
        for (before, after) in [
            (vec![("a", 90.0), ("b", 10.0)], vec![("a", 80.0), ("b", 20.0)]),
            (vec![("a", 45.0), ("b", 10.0), ("c", 45.0)], vec![("a", 40.0), ("b", 20.0), ("c", 40.0)]),
        ] {
            let (before, after) = (assigned("e", &assignment(&before)), assigned("e", &assignment(&after)));
            let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
            assert!(moved.iter().all(|(_, after)| **after == 1), "towards the grown one only");
            assert!(is_share(moved.len() as f64, 0.1), "{}", moved.len());
        }
    }

    #[test]
    fn a_new_variant_takes_its_share_and_moves_no_other_key() {
        let three = assignment(&[("a", 1.0), ("b", 2.0), ("c", 3.0)]);
        let two = assignment(&[("a", 1.0), ("b", 2.0)]);
        let (three, two) = (assigned("e", &three), assigned("e", &two));
        assert!(is_share(count(&three, 2), 0.5));
        assert!(three.iter().zip(&two).all(|(three, two)| *three == 2 || three == two));
    }

    #[test]
    fn endpoints_are_independent_of_each_other() {
        let halves = assignment(&[("a", 1.0), ("b", 1.0)]);
        let (one, other) = (assigned("one", &halves), assigned("other", &halves));
        let both = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(is_share(both as f64, 0.5), "{both}");
        assert_eq!(one, assigned("one", &halves));
    }

    fn fleets(green_share: f64) -> Assignment {
        let arm = |index, config, weight| Arm { index, config, weight };
        let a =
            vec![arm(0, b"blue".as_slice(), 9.0 * (1.0 - green_share)), arm(1, b"green", 9.0 * green_share)];
        let b = vec![arm(2, b"blue".as_slice(), 1.0 - green_share), arm(3, b"green", green_share)];
        Assignment::new([(b"a".as_slice(), a), (b"b".as_slice(), b)].into_iter())
    }

    #[test]
    fn each_step_of_a_deployment_moves_keys_to_the_new_fleet_only_and_never_between_variants() {
        let mut before = assigned("e", &fleets(0.0));
        for green_share in [0.1, 0.3, 0.5, 0.9, 1.0] {
            let after = assigned("e", &fleets(green_share));
            for (before, after) in before.iter().zip(&after) {
                assert_eq!(before / 2, after / 2, "the variant stays");
                assert!(after >= before, "none goes back");
            }
            let green = count(&after, 1) + count(&after, 3);
            assert!(is_share(green, green_share), "{green} at {green_share}");
            before = after;
        }
    }

    fn check_attribute(attributes: &str, expected: Option<&str>) {
        assert_eq!(attribute(attributes, "user"), expected, "{attributes:?}");
    }

    #[test]
    fn an_attribute_is_found_by_its_name() {
        check_attribute("user=u1", Some("u1"));
        check_attribute("a=b, user = u1 ,c=d", Some("u1"));
        check_attribute("user=a=b", Some("a=b"));
        check_attribute("user=u1,user=u2", Some("u1"));
        check_attribute("", None);
        check_attribute("user", None);
        check_attribute("user=", None);
        check_attribute("xuser=1,User=2", None);
    }
}
