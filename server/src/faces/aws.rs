//! Requests to the AWS services, buffered: which service and operation, and the frame of each protocol's answers.
//!
//! A face is an async function from [`Call`] to a value or an [`AwsError`]; this module alone knows how JSON 1.0, JSON 1.1
//! and Query write either.

use bytes::Bytes;
use serde_json::{Map, Value};
use wire::{AwsError, Scope};

/// A call of an operation of a JSON service, its body parsed.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation, without its service (`CreateModel`).
    pub operation: String,
    /// Its input: `null` members are already taken out.
    pub input: Map<String, Value>,
    /// Region (of the credential scope) and account.
    pub scope: Scope,
    /// The request's id.
    pub request_id: String,
}

/// What a JSON service answers.
pub type Reply = Result<Value, AwsError>;

/// A buffered answer: what HTTP sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// What there is to say.
    pub body: Bytes,
}
