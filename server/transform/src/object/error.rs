//! Why an object has no output.

use crate::batch::{BatchError, Position};
use crate::progress::Failure;

/// Why an object has no output.
#[derive(Debug)]
pub enum ObjectError {
    /// A record, or the calls that were made for some, failed.
    Records(RecordError),
    /// It cannot be read, split or written, or has changed.
    Object(String),
    /// The transform was stopped.
    Stopped,
}

/// What is wrong with a record, or with several that were sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Where the first of them is.
    pub at: Position,
    /// Whether it is known to be that one.
    pub is_exact: bool,
    /// What the model answered; `None` where it was not the model.
    pub status: Option<u16>,
    /// Calls that were made.
    pub attempts: u32,
    /// What was expected, found, and where.
    pub reason: String,
}

impl RecordError {
    /// As it is told of. `object` is its name.
    pub fn failure(&self, object: &str) -> Failure {
        Failure {
            object: object.to_owned(),
            byte: Some(self.at.byte),
            record: self.is_exact.then_some(self.at.record + 1),
            status: self.status,
            attempts: self.attempts,
            reason: self.reason.clone(),
        }
    }
}

impl ObjectError {
    /// An error of reading, splitting or writing.
    pub fn object(error: impl std::fmt::Display) -> Self {
        Self::Object(error.to_string())
    }

    /// As it is told of; `None` where nothing failed. `object` is its name.
    pub fn failure(&self, object: &str) -> Option<Failure> {
        match self {
            Self::Records(error) => Some(error.failure(object)),
            Self::Object(reason) => Some(Failure {
                object: object.to_owned(),
                byte: None,
                record: None,
                status: None,
                attempts: 0,
                reason: reason.clone(),
            }),
            Self::Stopped => None,
        }
    }
}

impl From<BatchError> for ObjectError {
    fn from(error: BatchError) -> Self {
        let Some((record, byte)) = error.place() else { return Self::object(error) };
        Self::Records(RecordError {
            at: Position { byte, record: record - 1 },
            is_exact: true,
            status: None,
            attempts: 0,
            reason: error.to_string(),
        })
    }
}
