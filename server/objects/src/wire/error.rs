//! The one table from what went wrong to S3's error codes.

use http::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode};

use crate::error::Error;
use crate::record::system_time;

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        let code = code(&error);
        if code == S3ErrorCode::InternalError {
            tracing::error!(%error, "the store failed");
            return Self::with_message(code, "the store failed; the server's log has the reason");
        }
        let mut answer = Self::with_message(code, error.to_string());
        let mut headers = HeaderMap::new();
        match error {
            Error::NotModified { etag, modified_ms } => {
                headers.extend(HeaderValue::from_str(&format!("\"{etag}\"")).ok().map(|value| (ETAG, value)));
                let mut date = Vec::new();
                let modified = Timestamp::from(system_time(modified_ms));
                if modified.format(TimestampFormat::HttpDate, &mut date).is_ok() {
                    headers.extend(HeaderValue::from_bytes(&date).ok().map(|value| (LAST_MODIFIED, value)));
                }
            }
            Error::Range { size } => {
                let unsatisfied = HeaderValue::from_str(&format!("bytes */{size}"));
                headers.extend(unsatisfied.ok().map(|value| (CONTENT_RANGE, value)));
            }
            _ => return answer,
        }
        answer.set_headers(headers);
        answer
    }
}

fn code(error: &Error) -> S3ErrorCode {
    match error {
        Error::NoBucket(_) => S3ErrorCode::NoSuchBucket,
        Error::BucketTaken(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
        Error::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
        Error::BucketName(_) => S3ErrorCode::InvalidBucketName,
        Error::TooManyBuckets { .. } => S3ErrorCode::TooManyBuckets,
        Error::NoKey(_) => S3ErrorCode::NoSuchKey,
        Error::KeyLength { .. } => S3ErrorCode::KeyTooLongError,
        Error::NoUpload(_) => S3ErrorCode::NoSuchUpload,
        Error::TooManyUploads { .. } => S3ErrorCode::SlowDown,
        Error::PartNumber { .. } => S3ErrorCode::InvalidArgument,
        Error::Part { .. } => S3ErrorCode::InvalidPart,
        Error::PartOrder(_) => S3ErrorCode::InvalidPartOrder,
        Error::NoParts => S3ErrorCode::MalformedXML,
        Error::Precondition(_) => S3ErrorCode::PreconditionFailed,
        Error::NotModified { .. } => S3ErrorCode::NotModified,
        Error::Range { .. } => S3ErrorCode::InvalidRange,
        Error::Digest { .. } => S3ErrorCode::BadDigest,
        Error::Length { .. } | Error::Body(_) => S3ErrorCode::IncompleteBody,
        Error::TooLarge { what: "metadata", .. } => S3ErrorCode::MetadataTooLarge,
        Error::TooLarge { .. } => S3ErrorCode::EntityTooLarge,
        Error::Argument { name: "Content-MD5", .. } => S3ErrorCode::InvalidDigest,
        Error::Argument { .. } => S3ErrorCode::InvalidArgument,
        Error::Stopping => S3ErrorCode::ServiceUnavailable,
        Error::Io { .. } | Error::Commit(_) | Error::Index(_) | Error::Details(_) => {
            S3ErrorCode::InternalError
        }
    }
}
