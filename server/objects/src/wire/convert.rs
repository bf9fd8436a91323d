//! Between `s3s`'s types and the store's.

use std::time::SystemTime;

use s3s::dto::{ChecksumType, CopySource, ETag, ETagCondition, Range, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::condition::{Conditions, Tag};
use crate::digest::{Algorithm, Checksums};
use crate::error::Error;
use crate::reader::Span;
use crate::record::system_time;

/// Puts checksums into an output's fields.
macro_rules! with_checksums {
    ($output:expr, $checksums:expr) => {{
        let checksums: &$crate::digest::Checksums = $checksums;
        let value = |algorithm| checksums.get(algorithm).map(str::to_owned);
        $output.checksum_crc32 = value($crate::digest::Algorithm::Crc32);
        $output.checksum_crc32c = value($crate::digest::Algorithm::Crc32c);
        $output.checksum_crc64nvme = value($crate::digest::Algorithm::Crc64nvme);
        $output.checksum_sha1 = value($crate::digest::Algorithm::Sha1);
        $output.checksum_sha256 = value($crate::digest::Algorithm::Sha256);
    }};
}

/// The checksums of an input's fields.
macro_rules! declared_checksums {
    ($input:expr) => {
        $crate::digest::Checksums::declared(
            [
                ($crate::digest::Algorithm::Crc32, &$input.checksum_crc32),
                ($crate::digest::Algorithm::Crc32c, &$input.checksum_crc32c),
                ($crate::digest::Algorithm::Crc64nvme, &$input.checksum_crc64nvme),
                ($crate::digest::Algorithm::Sha1, &$input.checksum_sha1),
                ($crate::digest::Algorithm::Sha256, &$input.checksum_sha256),
            ]
            .into_iter()
            .filter_map(|(algorithm, value)| Some((algorithm, value.clone()?))),
        )
    };
}

pub(super) use {declared_checksums, with_checksums};

pub(super) fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from(system_time(ms))
}

/// Milliseconds since 1970 of a time that a client gave.
pub(super) fn ms(timestamp: &Timestamp) -> i64 {
    let mut text = Vec::new();
    // The one way out of the type without naming the crate behind it.
    let seconds = timestamp.format(TimestampFormat::EpochSeconds, &mut text).ok();
    let seconds = seconds.and_then(|()| std::str::from_utf8(&text).ok()?.parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, reason = "times of this age are far below the limits of both")]
    seconds.map_or(0, |seconds| (seconds * 1000.0) as i64)
}

/// A time as HTTP writes it.
pub(super) fn http_date(timestamp: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    timestamp.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// The same back.
pub(super) fn from_http_date(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}

pub(super) fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

fn tag(condition: ETagCondition) -> Tag {
    match condition {
        ETagCondition::Any => Tag::Any,
        ETagCondition::ETag(etag) => Tag::Is(etag.into_value()),
    }
}

/// Conditions of a request.
pub(super) fn conditions(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> Conditions {
    // A time to come says nothing about the past: S3 ignores it.
    let now = Timestamp::from(SystemTime::now());
    Conditions {
        if_match: if_match.map(tag),
        if_none_match: if_none_match.map(tag),
        if_modified_since: if_modified_since.filter(|since| **since <= now).map(ms),
        if_unmodified_since: if_unmodified_since.map(ms),
    }
}

pub(super) fn span(range: Option<Range>, part: Option<i32>) -> S3Result<Span> {
    match (range, part) {
        (Some(_), Some(_)) => {
            Err(s3_error!(InvalidRequest, "Range and partNumber: expected one of them, found both"))
        }
        (None, None) => Ok(Span::Whole),
        (None, Some(number)) => Ok(Span::Part(part_number(number)?)),
        (Some(Range::Int { first, last: None }), None) => Ok(Span::From(first)),
        (Some(Range::Int { first, last: Some(last) }), None) => Ok(Span::Within(first, last)),
        (Some(Range::Suffix { length }), None) => Ok(Span::Last(length)),
    }
}

pub(super) fn part_number(number: i32) -> S3Result<u32> {
    let limit = crate::multipart::PARTS_MAX;
    let found = u32::try_from(number).ok().filter(|number| (1..=limit).contains(number));
    Ok(found.ok_or(Error::PartNumber { limit, found: i64::from(number) })?)
}

/// Bucket and key of a copy's source.
pub(super) fn source(source: CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => {
            check_version(version_id.as_deref())?;
            Ok((bucket.into(), key.into()))
        }
        _ => Err(s3_error!(NotImplemented, "x-amz-copy-source: expected bucket/key, found an ARN")),
    }
}

/// There is one version of an object, and its id is `null`.
pub(super) fn check_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("" | "null") => Ok(()),
        Some(found) => {
            let message =
                format!("versionId: expected none, or null, since objects have one version, found {found:?}");
            Err(S3Error::with_message(S3ErrorCode::NoSuchVersion, message))
        }
    }
}

/// A limit of a list: what is asked, within S3's thousand.
pub(super) fn limit(name: &'static str, asked: Option<i32>) -> S3Result<usize> {
    const LIMIT: usize = 1000;
    match asked.map(usize::try_from) {
        None => Ok(LIMIT),
        Some(Ok(asked)) => Ok(asked.min(LIMIT)),
        Some(Err(_)) => {
            let found = asked.unwrap_or_default().to_string();
            Err(Error::Argument { name, expected: "0 or more", found }.into())
        }
    }
}

pub(super) fn count(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(super) fn length(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn checksum_type(checksums: &Checksums) -> Option<ChecksumType> {
    let name = if checksums.is_composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    (!checksums.values.is_empty()).then(|| ChecksumType::from_static(name))
}

/// A checksum's algorithm by S3's name of it.
pub(super) fn algorithm(name: &str) -> S3Result<Algorithm> {
    Algorithm::parse(name).ok_or_else(|| {
        let expected = "CRC32, CRC32C, CRC64NVME, SHA1 or SHA256";
        Error::Argument { name: "checksum algorithm", expected, found: name.to_owned() }.into()
    })
}
