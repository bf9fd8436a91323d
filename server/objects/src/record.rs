//! What the store knows of an object besides its bytes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::digest::Checksums;
use crate::error::{Error, Result};

/// The most bytes of the details of an object: its attributes, checksums and parts, as JSON. Reason: S3 takes 2 KiB of metadata;
/// ten thousand parts of a multipart object are the rest.
pub(crate) const DETAILS_BYTES_MAX: usize = 1 << 20;

/// What a client says about an object, and gets back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Expires`, as HTTP writes dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_redirect_location: Option<String>,
    /// `x-amz-tagging`: tags as a query string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tagging: Option<String>,
    /// `x-amz-meta-*`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A part of an object that was uploaded in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its number.
    pub number: u32,
    /// Its bytes.
    pub size: u64,
    /// Its checksums.
    #[serde(default)]
    pub checksums: Checksums,
}

/// An object, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Which version of the bytes: the name of the file ends in it.
    pub generation: u64,
    /// How many bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: i64,
    /// The entity tag, without quotes.
    pub etag: String,
    /// The rest.
    pub details: Details,
}

/// What of an object no list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// What the client says about it.
    pub attributes: Attributes,
    /// Checksums of its bytes.
    pub checksums: Checksums,
    /// Its parts, if it came in parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartRecord>,
    /// The upload that made it, so that a repeated completion gets the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
}

impl Details {
    pub(crate) fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string(self)?;
        if json.len() > DETAILS_BYTES_MAX {
            return Err(Error::TooLarge { what: "metadata", limit: DETAILS_BYTES_MAX as u64 });
        }
        Ok(json)
    }
}

/// `ms` after 1970 as the system's time.
pub(crate) fn system_time(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// The system's time in milliseconds after 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
