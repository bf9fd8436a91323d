//! Records that the model refused, put aside: lines of JSON in an object beside the output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

use super::error::RecordError;

/// What replaces an output's `.out`.
const SUFFIX: &str = ".rejected.jsonl";

/// A record that the model refused.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Why.
    pub error: RecordError,
    /// The record as it stands in the object.
    pub record: Bytes,
}

/// A line of the file: one of `text` and `base64` is there.
#[derive(Serialize)]
struct RejectedLine<'a> {
    object: &'a str,
    byte: u64,
    record: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    attempts: u32,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Rejected {
    /// Its line, with the newline. `object` is the object's name.
    pub fn line(&self, object: &str) -> Vec<u8> {
        let text = std::str::from_utf8(&self.record).ok();
        let line = RejectedLine {
            object,
            byte: self.error.at.byte,
            record: self.error.at.record + 1,
            status: self.error.status,
            attempts: self.error.attempts,
            reason: &self.error.reason,
            text,
            base64: text.is_none().then(|| STANDARD.encode(&self.record)),
        };
        let mut bytes = serde_json::to_vec(&line).expect("strings and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// The key of the file beside the output at `output`.
pub fn rejected_key(output: &str) -> String {
    let stem = output.strip_suffix(crate::input::OUTPUT_SUFFIX).unwrap_or(output);
    format!("{stem}{SUFFIX}")
}
