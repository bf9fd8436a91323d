//! What a face of gRPC answers; the frames around it are HTTP's matter.

use tokio::sync::mpsc;

/// Why a call has no answer, in gRPC's closed set of codes (those that we use).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcCode {
    /// A message that is not what it should be.
    InvalidArgument,
    /// What it names is not here.
    NotFound,
    /// Too many calls or bytes.
    ResourceExhausted,
    /// No such method.
    Unimplemented,
    /// A fault of ours.
    Internal,
    /// The server is going away, or busy.
    Unavailable,
    /// Not in time.
    DeadlineExceeded,
}

impl GrpcCode {
    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::ResourceExhausted => 8,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
        }
    }
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gRPC status {}: {message}", code.number())]
pub struct GrpcError {
    /// What clients match.
    pub code: GrpcCode,
    /// What people read: expected, found, where.
    pub message: String,
}

impl GrpcError {
    /// An error of this code.
    pub fn new(code: GrpcCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a call is answered with.
#[derive(Debug)]
pub enum GrpcReply {
    /// One message.
    Message(Vec<u8>),
    /// Messages as they come. The receiver is dropped when the client leaves: its sender's `closed()` tells. It should have
    /// room for a few, and its sender wait when it is full.
    Stream(mpsc::Receiver<Result<Vec<u8>, GrpcError>>),
}
