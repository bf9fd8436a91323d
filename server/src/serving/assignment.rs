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
        Self { hash: hash(0, name), weight: (total * most).min(f64::MAX), fleet_hash, fleets }
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
