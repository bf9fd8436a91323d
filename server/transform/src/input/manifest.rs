//! A manifest: a JSON array of `{"prefix": "s3://bucket/some/prefix/"}` and then keys relative to it.

use std::collections::HashSet;

use object_store::path::Path;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::error::Category;
use sha2::{Digest, Sha256};

use super::key::folder_of;

/// The largest manifest. Reason: a million keys of 256 bytes; it is read whole, once, before the first object.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// Keys of a manifest at most. Reason: a job over more is better asked for by prefix, which is listed page by page.
pub const ENTRIES_MAX: usize = 1_000_000;

/// A key at most, prefix included. Reason: S3's.
const KEY_BYTES_MAX: usize = 1024;

/// A manifest, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The bucket of all its objects.
    pub bucket: String,
    /// What the keys are relative to; may be empty, may end within a name.
    pub prefix: String,
    /// The keys without the prefix, in the order in which they are scheduled, each once.
    pub keys: Vec<String>,
    /// How many were there twice.
    pub duplicates: usize,
}

/// Why some bytes are no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest, line {line}, column {column}: {reason}")]
pub struct ManifestError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What was expected, and what was found.
    pub reason: String,
}

impl Manifest {
    /// A list of the object at `key` alone.
    pub(super) fn of_one(key: &Path) -> Self {
        let prefix = folder_of(key.as_ref()).to_owned();
        let keys = vec![key.as_ref()[prefix.len()..].to_owned()];
        Self { bucket: String::new(), prefix, keys, duplicates: 0 }
    }

    /// The manifest in `bytes`.
    ///
    /// # Errors
    /// When they are no such array, a key is no key, or there are too many.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let found = Self::deserialize(&mut reader);
        let manifest = found.and_then(|manifest| reader.end().map(|()| manifest));
        manifest.map_err(|error| ManifestError {
            line: error.line(),
            column: error.column(),
            reason: reason(&error),
        })
    }
}

impl Manifest {
    /// Where all keys begin with the slash that the prefix lacks, it is the prefix's: outputs are named without it.
    fn end_folder(&mut self) {
        if !self.keys.iter().all(|key| key.len() > 1 && key.starts_with('/')) {
            return;
        }
        // What follows the bucket's name begins behind a slash already.
        if !self.prefix.is_empty() {
            self.prefix.push('/');
        }
        self.keys.iter_mut().for_each(|key| _ = key.remove(0));
    }
}

/// The message without the place, which is told of apart.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    match error.classify() {
        Category::Eof => format!("expected the end of the array, found the end of the file ({text})"),
        _ => text.to_owned(),
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ManifestVisitor)
    }
}

struct ManifestVisitor;

impl<'de> Visitor<'de> for ManifestVisitor {
    type Value = Manifest;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of {\"prefix\": \"s3://bucket/prefix/\"} and then keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Manifest, A::Error> {
        let Some(Head { prefix: uri }) = items.next_element()? else {
            return Err(de::Error::custom(
                "expected {\"prefix\": \"s3://bucket/prefix/\"} first, found an empty array",
            ));
        };
        let (bucket, prefix) = split_uri(&uri).map_err(de::Error::custom)?;
        let mut keys = Keys::new(prefix.len());
        while let Some(key) = items.next_element::<String>()? {
            keys.add(key).map_err(de::Error::custom)?;
        }
        if keys.ordered.is_empty() {
            return Err(de::Error::custom("expected at least one key after the prefix, found none"));
        }
        let mut manifest = Manifest {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            keys: keys.ordered,
            duplicates: keys.duplicates,
        };
        if !uri.ends_with('/') {
            manifest.end_folder();
        }
        Ok(manifest)
    }
}

/// The first element.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    prefix: String,
}

/// Keys in their order, each once. The digests of those seen stand for them: 16 bytes a key instead of a second copy.
struct Keys {
    prefix_bytes: usize,
    ordered: Vec<String>,
    seen: HashSet<u128>,
    duplicates: usize,
}

impl Keys {
    fn new(prefix_bytes: usize) -> Self {
        Self { prefix_bytes, ordered: Vec::new(), seen: HashSet::new(), duplicates: 0 }
    }

    fn add(&mut self, key: String) -> Result<(), String> {
        if key.is_empty() {
            return Err("expected a key, found an empty string".to_owned());
        }
        let key_bytes = self.prefix_bytes + key.len();
        if key_bytes > KEY_BYTES_MAX {
            return Err(format!("expected a key of at most {KEY_BYTES_MAX} bytes, found one of {key_bytes}"));
        }
        if !self.seen.insert(digest(&key)) {
            self.duplicates += 1;
            return Ok(());
        }
        if self.ordered.len() == ENTRIES_MAX {
            return Err(format!("expected at most {ENTRIES_MAX} keys, found more"));
        }
        self.ordered.push(key);
        Ok(())
    }
}

/// Enough of a digest that two of a million keys have the same one with a chance of 1 in 10^26.
fn digest(key: &str) -> u128 {
    let digest = Sha256::digest(key.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(half)
}

/// The bucket and the key prefix of `s3://bucket/prefix`.
fn split_uri(uri: &str) -> Result<(&str, &str), String> {
    let rest = uri.strip_prefix("s3://");
    let split = rest.map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    split
        .filter(|(bucket, _)| !bucket.is_empty())
        .ok_or_else(|| format!("expected a prefix like s3://bucket/prefix/, found {uri:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: (&str, &str, &[&str], usize)) {
        let found = Manifest::parse(text.as_bytes()).unwrap();
        let keys: Vec<&str> = found.keys.iter().map(String::as_str).collect();
        assert_eq!((found.bucket.as_str(), found.prefix.as_str(), &keys[..], found.duplicates), expected);
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn manifests() {
        check(r#"[{"prefix": "s3://b/p/"}, "x.csv"]"#, ("b", "p/", &["x.csv"], 0));
        check(r#"[{"prefix":"s3://b/p/q"},"2","1"]"#, ("b", "p/q", &["2", "1"], 0));
        check(r#"[{"prefix":"s3://b"},"x"]"#, ("b", "", &["x"], 0));
        check(r#"[{"prefix":"s3://b/"},"a/x","a/x","y","a/x"]"#, ("b", "", &["a/x", "y"], 2));
        check(r#"[{"prefix":"s3://b/"},"a+b c%20\u00fc"]"#, ("b", "", &["a+b c%20ü"], 0));
        check(r#"[{"prefix":"s3://b/p"},"/x","/a/y"]"#, ("b", "p/", &["x", "a/y"], 0));
        check(r#"[{"prefix":"s3://b"},"/p/x"]"#, ("b", "", &["p/x"], 0));
        check(r#"[{"prefix":"s3://b/p"},"/x","q"]"#, ("b", "p", &["/x", "q"], 0));
        check(r#"[{"prefix":"s3://b/p/"},"/x"]"#, ("b", "p/", &["/x"], 0));
    }

    #[test]
    fn what_is_no_manifest_and_where() {
        check_refused(
            "{}",
            "manifest, line 1, column 0: invalid type: map, expected an array of {\"prefix\": \"s3://bucket/prefix/\"} and then keys",
        );
        check_refused(
            "[]",
            "manifest, line 1, column 2: expected {\"prefix\": \"s3://bucket/prefix/\"} first, found an empty array",
        );
        check_refused(
            "[{\"prefix\":\"s3://b/\"}]",
            "manifest, line 1, column 22: expected at least one key after the prefix, found none",
        );
        check_refused(
            "[{\"prefix\":\"/b/\"},\"x\"]",
            "manifest, line 1, column 18: expected a prefix like s3://bucket/prefix/, found \"/b/\"",
        );
        check_refused(
            "[{\"prefix\":\"s3:///b\"},\"x\"]",
            "manifest, line 1, column 22: expected a prefix like s3://bucket/prefix/, found \"s3:///b\"",
        );
        check_refused(
            "[{\"prefix\":\"s3://b/\"},\n\"\"]",
            "manifest, line 2, column 3: expected a key, found an empty string",
        );
        check_refused(
            "[{\"prefix\":\"s3://b/\"},\n7]",
            "manifest, line 2, column 1: invalid type: integer `7`, expected a string",
        );
    }

    #[test]
    fn keys_are_bounded() {
        let long = "k".repeat(1023);
        check(&format!("[{{\"prefix\":\"s3://b/p\"}},\"{long}\"]"), ("b", "p", &[&long], 0));
        let error =
            Manifest::parse(format!("[{{\"prefix\":\"s3://b/pp\"}},\"{long}\"]").as_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("expected a key of at most 1024 bytes, found one of 1025"),
            "{error}"
        );
    }

    #[test]
    fn foreign_bytes_are_refused_never_a_panic() {
        let manifest = br#"[{"prefix": "s3://b/p/"}, "x.csv", "y", "\u00fc"]"#;
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let mut bytes = manifest.to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            if let Ok(found) = Manifest::parse(&bytes) {
                assert!(!found.keys.is_empty() && !found.bucket.is_empty());
            }
        }
    }
}
