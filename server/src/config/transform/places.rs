//! Where records come from and go, whose share of them a run takes, and what a job may be called.

use std::fmt;
use std::path::PathBuf;

/// The most shards of a job. Reason: beyond any array of machines; each has a marker that a merge reads.
const SHARDS_MAX: u32 = 10_000;

/// The longest name of a job. Reason: the API's limit of a transform job's name.
const JOB_CHARS_MAX: usize = 63;

/// Where records come from, or answers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Standard input or output.
    Stream,
    /// A file or a directory of this machine.
    Path(PathBuf),
    /// Keys of S3 that begin alike.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys begin with; may be empty.
        prefix: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("-"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

pub(super) fn place(text: &str) -> Result<Place, String> {
    const EXPECTED: &str = "s3://bucket/prefix, a path, file:///path or -";
    let refused = || format!("expected {EXPECTED}, found {text:?}");
    if text == "-" {
        return Ok(Place::Stream);
    }
    match text.split_once("://") {
        Some(("s3", address)) => {
            let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
            let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
            if bucket.is_empty() { Err(refused()) } else { Ok(Place::S3 { bucket, prefix }) }
        }
        Some(("file", path)) if path.starts_with('/') => Ok(Place::Path(path.into())),
        None if !text.is_empty() => Ok(Place::Path(text.into())),
        _ => Err(refused()),
    }
}

/// A share, whose index the environment may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShardFlag {
    pub(super) index: Option<u32>,
    pub(super) count: u32,
}

pub(super) fn shard(text: &str) -> Result<ShardFlag, String> {
    let parsed = text.split_once('/').and_then(|(index, count)| {
        let index = if index == "auto" { None } else { Some(index.parse::<u32>().ok()?) };
        Some(ShardFlag { index, count: count.parse().ok()? })
    });
    let fits = |shard: &ShardFlag| {
        (1..=SHARDS_MAX).contains(&shard.count) && shard.index.is_none_or(|index| index < shard.count)
    };
    parsed.filter(fits).ok_or_else(|| {
        format!("expected i/n with i from 0 to n - 1 and n from 1 to {SHARDS_MAX}, or auto/n, found {text:?}")
    })
}

pub(super) fn job(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_name = (1..=JOB_CHARS_MAX).contains(&text.len())
        && text.chars().all(is_plain)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name {
        return Ok(text.to_owned());
    }
    Err(format!("expected 1 to {JOB_CHARS_MAX} letters, digits and inner hyphens, found {text:?}"))
}
