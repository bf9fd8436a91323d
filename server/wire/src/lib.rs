//! The AWS wire as values: shapes and their constraints, errors, XML, queries, event streams. Pure: bytes in, values
//! out; nothing here waits, and nothing knows a socket.
//!
//! | module | is |
//! |---|---|
//! | [`error`] | the closed set of error codes, their statuses, and [`AwsError`] |
//! | [`time`] | [`Timestamp`]: milliseconds since 1970, and how each protocol writes it |
//! | [`arn`] | the names of resources |
//! | [`shape`] | what the input of an operation must look like, and the one function that holds it to that |
//! | [`query`] | form bodies of the Query protocol |
//! | [`xml`] | XML answers |
//! | [`event_stream`] | messages of streamed answers |

pub mod arn;
pub mod error;
pub mod event_stream;
pub mod query;
pub mod shape;
pub mod time;
pub mod xml;

pub use arn::{Arn, Scope};
pub use error::{AwsError, ErrorCode};
pub use time::Timestamp;
