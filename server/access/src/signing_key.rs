//! Signing keys: four HMACs of the secret by day, region, service and terminator. They are the same for a day, so each
//! access key remembers its last few.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;

use crate::claim::TERMINATOR;
use crate::digest;

/// Signing keys that one access key remembers. Reason: two days around midnight for each of the services that are
/// served; a client with more regions pays four HMACs, 2 µs.
const KEYS_MAX: usize = 16;

/// One derived key and what it is for.
#[derive(Debug)]
struct Derived {
    day: Box<str>,
    region: Box<str>,
    service: Box<str>,
    key: hmac::Key,
}

/// The signing keys of one access key.
#[derive(Debug, Default)]
pub(crate) struct SigningKeys(ArcSwap<Vec<Arc<Derived>>>);

/// A signing key; remembered once a signature by it has proved right.
#[derive(Debug, Clone)]
pub(crate) struct SigningKey {
    derived: Arc<Derived>,
    is_remembered: bool,
}

impl SigningKey {
    /// The key.
    pub(crate) fn hmac_key(&self) -> &hmac::Key {
        &self.derived.key
    }
}

impl SigningKeys {
    /// The key for a scope.
    pub(crate) fn of(&self, secret: &str, day: &str, region: &str, service: &str) -> SigningKey {
        let is_it =
            |key: &&Arc<Derived>| *key.day == *day && *key.region == *region && *key.service == *service;
        if let Some(derived) = self.0.load().iter().find(is_it) {
            return SigningKey { derived: Arc::clone(derived), is_remembered: true };
        }
        let key = derive(secret, day, region, service);
        let derived = Derived { day: day.into(), region: region.into(), service: service.into(), key };
        SigningKey { derived: Arc::new(derived), is_remembered: false }
    }

    /// Remembers a key that proved right: scopes that strangers make up push nothing out.
    pub(crate) fn remember(&self, key: &SigningKey) {
        if key.is_remembered {
            return;
        }
        self.0.rcu(|keys| {
            let oldest = keys.len().saturating_sub(KEYS_MAX - 1);
            let kept = keys[oldest..].iter().cloned();
            kept.chain([Arc::clone(&key.derived)]).collect::<Vec<_>>()
        });
    }
}

fn derive(secret: &str, day: &str, region: &str, service: &str) -> hmac::Key {
    let mut key = digest::hmac_key(format!("AWS4{secret}").as_bytes());
    for part in [day, region, service, TERMINATOR] {
        key = digest::hmac_key(&digest::hmac(&key, part.as_bytes()));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_remembered_once_proved_and_the_oldest_goes() {
        let keys = SigningKeys::default();
        let of = |region: &str| keys.of("secret", "20240102", region, "s3");
        assert!(!of("r").is_remembered);
        assert!(!of("r").is_remembered, "not proved");
        keys.remember(&of("r"));
        assert!(of("r").is_remembered);
        for index in 0..KEYS_MAX {
            keys.remember(&of(&format!("r{index}")));
        }
        assert!(!of("r").is_remembered, "the oldest went");
        assert_eq!(keys.0.load().len(), KEYS_MAX);
    }

    #[test]
    fn a_key_is_of_its_whole_scope() {
        let tag = |secret, day, region, service| digest::hmac(&derive(secret, day, region, service), b"text");
        let one = tag("secret", "20240102", "us-east-1", "s3");
        assert_eq!(one, tag("secret", "20240102", "us-east-1", "s3"));
        for other in [
            tag("Secret", "20240102", "us-east-1", "s3"),
            tag("secret", "20240103", "us-east-1", "s3"),
            tag("secret", "20240102", "us-east-2", "s3"),
            tag("secret", "20240102", "us-east-1", "sagemaker"),
        ] {
            assert_ne!(one, other);
        }
    }
}
