//! What a transform is asked to do: every member of a request that concerns records, resolved (request, then the model's own
//! execution parameters, then the defaults) and checked.

use std::time::Duration;

use codecs::framing::SplitType;
use serde::{Deserialize, Serialize};

mod answers;
mod digest;
mod extensions;
mod requested;

use crate::process::{ProcessError, Processing};
pub use answers::Answers;
pub use extensions::{ENVIRONMENT_PREFIX, Extensions};
pub use requested::{
    CONCURRENCY_MAX, ExecutionParameters, PAYLOAD_MB_MAX, RETRIES_MAX, Requested, Resolved,
    TIMEOUT_SECONDS_MAX,
};

/// A mebibyte, in which payloads are counted.
pub const MIB: usize = 1 << 20;

/// `MaxPayloadInMB` where nobody says. Reason: the API's default.
pub const PAYLOAD_MB_DEFAULT: usize = 6;

/// `InvocationsTimeoutInSeconds` where nobody says. Reason: the API's default.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(600);

/// `InvocationsMaxRetries` where nobody says. Reason: the API's default.
pub const RETRIES_DEFAULT: u32 = 3;

/// The largest answer of one call. Reason: the largest payload (100 MiB), which a model that echoes gives back.
pub const RESPONSE_BYTES_MAX: usize = 100 * MIB;

/// Whether inputs are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Compression {
    /// They are as they are.
    #[default]
    None,
    /// gzip, of one or more members.
    Gzip,
}

/// How many records a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BatchStrategy {
    /// As many as fit the payload.
    #[default]
    MultiRecord,
    /// One.
    SingleRecord,
}

/// The largest payload of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadLimit {
    /// So many bytes, exactly: a batch may be as large.
    Bytes(usize),
    /// None (`MaxPayloadInMB` = 0): an object is one endless payload, answered while it is read.
    Endless,
}

/// What stands between the answers of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AssembleWith {
    /// Nothing.
    #[default]
    None,
    /// Each ends with exactly one newline: one is added where it has none.
    Line,
}

/// What becomes of an object that holds a record which the model refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorPolicy {
    /// It fails, as SageMaker's do; other objects go on.
    #[default]
    Fail,
    /// `ERROR` stands for the record's answer.
    Placeholder,
    /// The record has no answer; it is told of in a file beside the output.
    Quarantine,
}

/// `GenerateInferenceId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferenceIds {
    /// When the job began, ISO 8601 in UTC: the second thing that each record gets, after its id.
    pub started: String,
}

/// What a transform does with records.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The media type of payloads, which says how filters and joins read records; `None`: as endpoints, CSV.
    pub content_type: Option<String>,
    /// The media type of answers.
    pub accept: Option<String>,
    /// How inputs are packed.
    pub compression: Compression,
    /// What separates records.
    pub split_type: SplitType,
    /// Whether blank lines are no records (`Line` alone): they are not sent, and nothing answers them.
    pub skip_blank_lines: bool,
    /// How many records a call has.
    pub strategy: BatchStrategy,
    /// The largest payload.
    pub payload_limit: PayloadLimit,
    /// Calls at once.
    pub concurrency: usize,
    /// What stands between answers.
    pub assemble_with: AssembleWith,
    /// Filters, joins and inference ids; `None`: answers are written as they come.
    pub processing: Option<Processing>,
    /// How often a call is tried again.
    pub retries: u32,
    /// How long a call may take.
    pub timeout: Duration,
    /// What becomes of refused records.
    pub error_policy: ErrorPolicy,
    /// The largest answer of one call.
    pub response_bytes_max: usize,
    /// What the model answers to several records at once. Who knows the model says so, by [`Self::answered`].
    pub answers: Answers,
    /// From how many bytes on an object of lines is shared among several runners.
    pub cut_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            content_type: None,
            accept: None,
            compression: Compression::None,
            split_type: SplitType::None,
            skip_blank_lines: false,
            strategy: BatchStrategy::MultiRecord,
            payload_limit: PayloadLimit::Bytes(PAYLOAD_MB_DEFAULT * MIB),
            concurrency: 1,
            assemble_with: AssembleWith::None,
            processing: None,
            retries: RETRIES_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            error_policy: ErrorPolicy::Fail,
            response_bytes_max: RESPONSE_BYTES_MAX,
            answers: Answers::Unknown,
            cut_bytes: crate::job::CUT_BYTES,
        }
    }
}

/// Why a request is no transform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A number is out of its range.
    #[error("{member}: expected {min} to {max}, found {found}")]
    OutOfRange {
        /// The member of the request.
        member: &'static str,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// What the request says.
        found: u64,
    },
    /// Two members go together no further.
    #[error(
        "MaxConcurrentTransforms times MaxPayloadInMB: expected at most {PAYLOAD_MB_MAX}, found {concurrency} times {payload_mb}"
    )]
    Product {
        /// `MaxPayloadInMB`.
        payload_mb: u64,
        /// `MaxConcurrentTransforms`.
        concurrency: u64,
    },
    /// An extension in the environment is not what it may be.
    #[error("Environment {name}: expected {expected}, found {found:?}")]
    Extension {
        /// Its name.
        name: String,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Members that do not go together: the output would not be what is asked for.
    #[error("{member}: expected {expected}, found {found}")]
    Pairing {
        /// The member that is wrong.
        member: &'static str,
        /// What the others ask of it.
        expected: String,
        /// What it is.
        found: String,
    },
    /// `DataProcessing` is not what it may be, or does not go with the rest.
    #[error(transparent)]
    Process(#[from] ProcessError),
}
