//! Names: which buckets and keys there may be, and what the file of an object is called.
//!
//! A file's name is for people: the index alone says which file an object has. So the name need not be reversible, only
//! unique, which the generation at its end makes it, on file systems that fold case too; and it must be harmless.

use std::fmt::Write;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// The most bytes of a key. Reason: S3's.
pub const KEY_BYTES_MAX: usize = 1024;

/// The most bytes of a key's segment that show in the name of its file. Reason: file systems take names of 255 bytes, and the
/// generation needs its 21.
const NAME_BYTES_MAX: usize = 200;

/// How many folders deep a file lies at most. Reason: a key of slashes alone must not make a thousand of them.
const DEPTH_MAX: usize = 24;

/// Holds `name` to S3's rules for buckets.
///
/// # Errors
/// When it is none.
pub fn check_bucket(name: &str) -> Result<()> {
    if s3s::path::check_bucket_name(name) { Ok(()) } else { Err(Error::BucketName(name.to_owned())) }
}

/// Holds `key` to S3's rule for keys.
///
/// # Errors
/// When it is empty or too long.
pub fn check_key(key: &str) -> Result<()> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(Error::KeyLength { limit: KEY_BYTES_MAX, found: key.len() })
}

/// Where the bytes of `key` lie below the store's root. Folders are the key's; `~` and the generation end the file's name, and
/// no folder has a `~`, so that `a` and `a/b` can both be objects.
pub(crate) fn place(bucket: &str, key: &str, generation: u64) -> PathBuf {
    let mut path = bucket_folder(bucket);
    let segments: Vec<_> = key.split('/').collect();
    let folders = segments.len() - 1;
    for segment in &segments[..folders.min(DEPTH_MAX)] {
        path.push(harmless(segment));
    }
    let last =
        if folders > DEPTH_MAX { segments[DEPTH_MAX..].join("/") } else { segments[folders].to_owned() };
    path.push(format!("{}~{generation}", harmless(&last)));
    path
}

/// The folder of a bucket's files, below the root.
pub(crate) fn bucket_folder(bucket: &str) -> PathBuf {
    PathBuf::from("buckets").join(bucket)
}

/// `segment` without what a file system or a shell would trip over, cut to a length that every file system takes.
fn harmless(segment: &str) -> String {
    if segment.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::with_capacity(segment.len());
    for (index, c) in segment.chars().enumerate() {
        let before = name.len();
        if c.is_control() || "%~/\\:*?\"<>|".contains(c) || (index == 0 && c == '.') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(name, "%{byte:02X}");
            }
        } else {
            name.push(c);
        }
        if name.len() > NAME_BYTES_MAX {
            name.truncate(before);
            break;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: &str) {
        assert_eq!(place("bucket", key, 7), PathBuf::from("buckets/bucket").join(expected), "{key:?}");
    }

    #[test]
    fn files_are_called_as_their_keys_where_that_is_harmless() {
        check("a", "a~7");
        check("models/xgb/model.tar.gz", "models/xgb/model.tar.gz~7");
        check("a/", "a/%~7");
        check("/a", "%/a~7");
        check("a//b", "a/%/b~7");
        check("../../etc/passwd", "%2E./%2E./etc/passwd~7");
        check("./.hidden", "%2E/%2Ehidden~7");
        check("mañana/模型", "mañana/模型~7");
        check("a~1", "a%7E1~7");
        check("a\0b\n", "a%00b%0A~7");
        check("50%", "50%25~7");
        check("C:\\x*?\"<>|", "C%3A%5Cx%2A%3F%22%3C%3E%7C~7");
    }

    #[test]
    fn every_name_fits_every_file_system() {
        for key in
            ["x".repeat(1024), "é".repeat(512), "\u{1}".repeat(1024), "/".repeat(1024), "a/".repeat(512)]
        {
            let place = place("bucket", &key, u64::MAX);
            assert!(place.components().count() <= DEPTH_MAX + 3);
            for part in place.components() {
                assert!(part.as_os_str().len() <= 255, "{part:?}");
            }
        }
    }

    #[test]
    fn keys_have_a_length() {
        assert!(check_key("").is_err());
        assert!(check_key(&"x".repeat(1024)).is_ok());
        assert!(check_key(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn buckets_have_names() {
        for name in ["abc", "sagemaker-us-east-1-000000000000", "a.b-c", &"a".repeat(63)] {
            assert!(check_bucket(name).is_ok(), "{name}");
        }
        for name in ["", "ab", "Abc", "a_b", "-ab", "ab-", "a..b", "127.0.0.1", "..", "a/b", &"a".repeat(64)]
        {
            assert!(check_bucket(name).is_err(), "{name}");
        }
    }
}
