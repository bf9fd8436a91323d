//! The credentials file: who may call this server. JSON, because it is read and written by the tools that everything else
//! here is; see [`Credentials::parse`] for an example.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use serde::Deserialize;

use crate::allow::AllowList;
use crate::digest::{self, Digest};
use crate::principal::{Key, Principal, Rates};
use crate::rate::{Bucket, Buckets};

/// The largest file. Reason: ten thousand keys with long lists.
pub const FILE_BYTES_MAX: usize = 8 << 20;

/// Entries of each kind. Reason: this is for a team, not for a directory service.
const ENTRIES_MAX: usize = 10_000;

/// The fastest rate that a file may name, in requests a second. Reason: beyond what one machine answers, and far from
/// where a token takes less than a nanosecond.
const RATE_MAX: f64 = 1e6;

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// It is too large.
    #[error("expected at most {FILE_BYTES_MAX} bytes, found {0}")]
    TooLarge(usize),
    /// It is not JSON of this shape.
    #[error("expected the JSON of a credentials file, found {0}")]
    Shape(#[from] serde_json::Error),
    /// An entry is not what it should be.
    #[error("{place}: expected {expected}, found {found}")]
    Entry {
        /// Which.
        place: String,
        /// What it should be.
        expected: &'static str,
        /// What it is; secrets are never shown.
        found: String,
    },
}

/// Everybody who is known. Immutable: a file that has changed is a new value.
#[derive(Debug, Default)]
pub struct Credentials {
    keys: HashMap<Box<str>, Arc<Key>>,
    tokens: HashMap<Digest, Arc<Principal>>,
    certificates: HashMap<Box<str>, Arc<Principal>>,
    regions: Option<Vec<String>>,
    /// By kind and name, so that a new file's callers keep the state of their rates.
    principals: HashMap<(&'static str, String), Arc<Principal>>,
}

impl Credentials {
    /// Reads a file. Callers that `before` knew by the same name and rates keep their rates' state.
    ///
    /// ```
    /// # use access::Credentials;
    /// let file = r#"{
    ///   "keys": [{
    ///     "access_key_id": "AKIAEXAMPLE",
    ///     "secret_access_key": "a long random text",
    ///     "allow": { "actions": ["*"], "endpoints": ["*"], "buckets": ["*"] }
    ///   }, {
    ///     "access_key_id": "AKIASCORING",
    ///     "secret_access_key": "another long random text",
    ///     "allow": { "actions": ["sagemaker:InvokeEndpoint"], "endpoints": ["churn-*"] },
    ///     "requests_per_second": 500,
    ///     "requests_per_second_per_variant": 200
    ///   }],
    ///   "bearer_tokens": [{
    ///     "name": "dashboard",
    ///     "sha256": "0b8b1f1ccd1bd2c9a8cb1e1e5bfb5c1d4b26d4b3ad2b1ad2e5a7b4d8b2f7c6a1",
    ///     "allow": { "actions": ["sagemaker:InvokeEndpoint"], "endpoints": ["churn"] }
    ///   }],
    ///   "certificates": [{
    ///     "name": "scoring.example.com",
    ///     "allow": { "actions": ["sagemaker:InvokeEndpoint"], "endpoints": ["*"] }
    ///   }],
    ///   "regions": ["us-east-1"]
    /// }"#;
    /// let credentials = Credentials::parse(file.as_bytes(), None)?;
    /// assert_eq!(credentials.len(), 4);
    /// # Ok::<(), access::CredentialsError>(())
    /// ```
    ///
    /// # Errors
    /// When the file is not such a file.
    pub fn parse(file: &[u8], before: Option<&Self>) -> Result<Self, CredentialsError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(CredentialsError::TooLarge(file.len()));
        }
        if !file.trim_ascii_start().starts_with(b"{") {
            return refuse("file", "a JSON object", "something else");
        }
        #[expect(clippy::disallowed_methods, reason = "FILE_BYTES_MAX is the cap")]
        let file: File = serde_json::from_slice(file)?;
        let mut credentials = Self { regions: file.regions, ..Self::default() };
        for (index, entry) in file.keys.into_iter().enumerate() {
            credentials.add_key(&format!("keys[{index}]"), entry, before)?;
        }
        for (index, entry) in file.bearer_tokens.into_iter().enumerate() {
            credentials.add_token(&format!("bearer_tokens[{index}]"), entry, before)?;
        }
        for (index, entry) in file.certificates.into_iter().enumerate() {
            credentials.add_certificate(&format!("certificates[{index}]"), entry, before)?;
        }
        Ok(credentials)
    }

    /// How many keys, tokens and certificates there are.
    pub fn len(&self) -> usize {
        self.keys.len() + self.tokens.len() + self.certificates.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn key(&self, id: &str) -> Option<&Arc<Key>> {
        self.keys.get(id)
    }

    /// By the token's hash: what the look-up's time tells is of the hash alone.
    pub(crate) fn token(&self, token: &str) -> Option<&Arc<Principal>> {
        self.tokens.get(&digest::sha256(token.as_bytes()))
    }

    pub(crate) fn certificate(&self, names: &[String]) -> Option<&Arc<Principal>> {
        names.iter().find_map(|name| self.certificates.get(name.as_str()))
    }

    /// The regions that signatures may be for, where the file says.
    pub(crate) fn serves_region(&self, region: &str) -> bool {
        self.regions.as_ref().is_none_or(|regions| regions.iter().any(|served| served == region))
    }

    fn add_key(
        &mut self,
        place: &str,
        entry: KeyEntry,
        before: Option<&Self>,
    ) -> Result<(), CredentialsError> {
        let id = name(place, entry.access_key_id)?;
        if entry.secret_access_key.is_empty() {
            return refuse(place, "a secret_access_key", "an empty one");
        }
        let principal = self.principal(place, "key", id.clone(), entry.rules, before)?;
        let (secret, token) =
            (entry.secret_access_key.into(), entry.session_token.map(String::into_boxed_str));
        let key = Key { principal, secret, token, signing_keys: Default::default() };
        insert(place, &mut self.keys, id.into(), Arc::new(key))
    }

    fn add_token(
        &mut self,
        place: &str,
        entry: TokenEntry,
        before: Option<&Self>,
    ) -> Result<(), CredentialsError> {
        let Some(hash) = digest::from_hex(entry.sha256.as_bytes()) else {
            return refuse(place, "a sha256 of 64 lower-case hexadecimal digits", "something else");
        };
        let principal = self.principal(place, "token", name(place, entry.name)?, entry.rules, before)?;
        insert(place, &mut self.tokens, hash, principal)
    }

    fn add_certificate(
        &mut self,
        place: &str,
        entry: CertificateEntry,
        before: Option<&Self>,
    ) -> Result<(), CredentialsError> {
        let name = name(place, entry.name)?;
        let principal = self.principal(place, "certificate", name.clone(), entry.rules, before)?;
        insert(place, &mut self.certificates, name.into(), principal)
    }

    fn principal(
        &mut self,
        place: &str,
        kind: &'static str,
        name: String,
        rules: Rules,
        before: Option<&Self>,
    ) -> Result<Arc<Principal>, CredentialsError> {
        let rates = Rates {
            overall: rate(place, rules.requests_per_second)?,
            per_variant: rate(place, rules.requests_per_second_per_variant)?,
        };
        let key = (kind, name.clone());
        let same = before.and_then(|before| before.principals.get(&key)).filter(|old| old.rates == rates);
        let (overall, per_variant) = match same {
            Some(old) => (old.overall.clone(), old.per_variant.clone()),
            None => (
                rates.overall.map(|rate| Arc::new(Bucket::new(rate))),
                rates.per_variant.map(|rate| Arc::new(Buckets::new(rate))),
            ),
        };
        let is_token = kind != "key";
        let principal =
            Arc::new(Principal { name, allow: rules.allow, rates, overall, per_variant, is_token });
        insert(place, &mut self.principals, key, Arc::clone(&principal))?;
        Ok(principal)
    }
}

fn refuse<T>(place: &str, expected: &'static str, found: impl Into<String>) -> Result<T, CredentialsError> {
    Err(CredentialsError::Entry { place: place.to_owned(), expected, found: found.into() })
}

/// Names that fit where they are written: credentials, logs, messages.
fn name(place: &str, name: String) -> Result<String, CredentialsError> {
    const NAME_BYTES_MAX: usize = 128;
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.chars().all(|c| !c.is_control() && !matches!(c, '/' | ',') || c == ' ');
    if is_name {
        Ok(name)
    } else {
        refuse(place, "a name of 1 to 128 bytes without / and ,", format!("{name:?}"))
    }
}

fn rate(place: &str, rate: Option<f64>) -> Result<Option<f64>, CredentialsError> {
    match rate {
        Some(rate) if !(rate > 0.0 && rate <= RATE_MAX) => {
            refuse(place, "a rate above 0 and at most 1000000", rate.to_string())
        }
        rate => Ok(rate),
    }
}

fn insert<K: Hash + Eq, V>(
    place: &str,
    map: &mut HashMap<K, V>,
    key: K,
    value: V,
) -> Result<(), CredentialsError> {
    if map.insert(key, value).is_some() {
        return refuse(place, "a new name or hash", "one that an entry before has");
    }
    if map.len() > 3 * ENTRIES_MAX { refuse(place, "at most 30000 entries", "more") } else { Ok(()) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<KeyEntry>,
    #[serde(default)]
    bearer_tokens: Vec<TokenEntry>,
    #[serde(default)]
    certificates: Vec<CertificateEntry>,
    #[serde(default)]
    regions: Option<Vec<String>>,
}

/// What all entries have. Flattened by hand: serde's `flatten` would let unknown members pass.
struct Rules {
    allow: AllowList,
    requests_per_second: Option<f64>,
    requests_per_second_per_variant: Option<f64>,
}

macro_rules! entry {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        struct $name {
            $($field: $type,)*
            rules: Rules,
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields, rename = "entry")]
                struct Entry {
                    $($field: $type,)*
                    allow: AllowList,
                    requests_per_second: Option<f64>,
                    requests_per_second_per_variant: Option<f64>,
                }
                let Entry { $($field,)* allow, requests_per_second, requests_per_second_per_variant } =
                    Entry::deserialize(deserializer)?;
                let rules = Rules { allow, requests_per_second, requests_per_second_per_variant };
                Ok(Self { $($field,)* rules })
            }
        }
    };
}

entry! {
    /// An access key.
    KeyEntry {
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
    }
}

entry! {
    /// A bearer token: its hash, so that the file does not hold what callers send.
    TokenEntry {
        name: String,
        sha256: String,
    }
}

entry! {
    /// A client certificate, by its common name or one of its alternative names.
    CertificateEntry {
        name: String,
    }
}

#[cfg(test)]
mod tests {
    use wire::Timestamp;

    use super::*;
    use crate::principal::Caller;

    const ALLOW: &str = r#""allow":{"actions":["*"]}"#;

    fn check(file: &str, expected: Result<usize, &str>) {
        let result = Credentials::parse(file.as_bytes(), None);
        match (result, expected) {
            (Ok(credentials), Ok(expected)) => assert_eq!(credentials.len(), expected, "{file}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{file}: {error}"),
            (result, _) => panic!("{file}: {result:?}"),
        }
    }

    #[test]
    fn files_are_read_or_refused_with_their_place() {
        let hash = "0".repeat(64);
        check("{}", Ok(0));
        check(&format!(r#"{{"keys":[{{"access_key_id":"a","secret_access_key":"b",{ALLOW}}}]}}"#), Ok(1));
        check(&format!(r#"{{"bearer_tokens":[{{"name":"a","sha256":"{hash}",{ALLOW}}}]}}"#), Ok(1));
        check(&format!(r#"{{"certificates":[{{"name":"a b",{ALLOW}}}]}}"#), Ok(1));
        check("", Err("a JSON object"));
        check("{", Err("EOF"));
        check("[]", Err("a JSON object"));
        check(r#"{"key":[]}"#, Err("unknown field `key`"));
        check(r#"{"keys":[{"access_key_id":"a","secret_access_key":"b"}]}"#, Err("missing field `allow`"));
        check(r#"{"keys":[{"access_key_id":"a","secret_access_key":"b","allow":{}}]}"#, Err("actions"));
        let entry = format!(r#"{{"access_key_id":"a","secret_access_key":"b",{ALLOW}}}"#);
        check(&format!(r#"{{"keys":[{entry},{entry}]}}"#), Err("keys[1]: expected a new name"));
        check(
            &format!(r#"{{"keys":[{}]}}"#, entry.replace("\"b\"", "\"\"")),
            Err("keys[0]: expected a secret"),
        );
        check(
            &format!(r#"{{"keys":[{}]}}"#, entry.replace("\"a\"", "\"a/b\"")),
            Err("keys[0]: expected a name"),
        );
        let fast =
            |rate: &str| entry.replace("\"allow\"", &format!("\"requests_per_second\":{rate},\"allow\""));
        check(&format!(r#"{{"keys":[{}]}}"#, fast("0.5")), Ok(1));
        check(&format!(r#"{{"keys":[{}]}}"#, fast("0")), Err("a rate above 0"));
        check(&format!(r#"{{"keys":[{}]}}"#, fast("2e6")), Err("a rate above 0"));
        check(&format!(r#"{{"keys":[{}]}}"#, fast("\"9\"")), Err("f64"));
        check(&format!(r#"{{"bearer_tokens":[{{"name":"a","sha256":"xy",{ALLOW}}}]}}"#), Err("sha256"));
        check(&" ".repeat(FILE_BYTES_MAX + 1), Err("at most"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let file = r#"{"keys":[{"access_key_id":"a","secret_access_key":"hidden","session_token":"veiled","allow":{"actions":[]}}]}"#;
        let shown = format!("{:?}", Credentials::parse(file.as_bytes(), None).unwrap());
        assert!(!shown.contains("hidden") && !shown.contains("veiled"), "{shown}");
        let wrong = file.replace("\"actions\":[]", "");
        let error = Credentials::parse(wrong.as_bytes(), None).unwrap_err().to_string();
        assert!(!error.contains("hidden") && !error.contains("veiled"), "{error}");
    }

    #[test]
    fn a_new_file_keeps_the_state_of_rates_that_stay() {
        let file = |rate: u32| {
            format!(
                r#"{{"keys":[{{"access_key_id":"a","secret_access_key":"b","requests_per_second":{rate},{ALLOW}}}]}}"#
            )
        };
        let now = Timestamp(1_700_000_000_000);
        let ask = |credentials: &Credentials| {
            Caller::proved(Arc::clone(&credentials.key("a").unwrap().principal), now).is_ok()
        };
        let before = Credentials::parse(file(1).as_bytes(), None).unwrap();
        assert!(ask(&before) && !ask(&before));
        let same = Credentials::parse(file(1).as_bytes(), Some(&before)).unwrap();
        assert!(!ask(&same), "still empty");
        let faster = Credentials::parse(file(2).as_bytes(), Some(&same)).unwrap();
        assert!(ask(&faster) && ask(&faster) && !ask(&faster));
    }
}
