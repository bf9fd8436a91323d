//! Who calls, and what they may: signatures, keys, tokens and certificates, allow lists, replays, rates. Pure: a request's
//! head and the moment come in, a [`Caller`] or a [`Refusal`] goes out; nothing here waits or reads a clock.
//!
//! A request is judged in two steps, because the hash of its body comes late: [`Access::begin`] looks at the head alone,
//! [`Pending::finish`] at the signature. Then [`Caller::may`] says whether the caller is allowed to do it.
//!
//! | module | is |
//! |---|---|
//! | [`access`] | the two steps |
//! | [`credentials`] | the file of keys, tokens and certificates |
//! | [`claim`] | what a request says of itself: the parser of `Authorization` and of presigned queries |
//! | [`canonical`] | the text that a Signature Version 4 signs |
//! | [`presigned_v2`] | the older presigned URLs of S3, which boto3 still makes by default |
//! | [`payload`] | bodies that prove themselves while they come, `aws-chunked` among them |
//! | [`replay`], [`rate`], [`allow`] | what was seen, how often, and what is allowed |
//! | [`refusal`] | the closed set of reasons to say no |

pub mod access;
pub mod allow;
pub mod canonical;
pub mod chunked;
pub mod claim;
pub mod credentials;
pub mod date;
pub mod digest;
pub mod payload;
pub mod presigned_v2;
pub mod principal;
pub mod rate;
pub mod refusal;
pub mod replay;
pub mod signing_key;
mod split;

pub use access::{Access, Head, Pending};
pub use allow::Resource;
pub use credentials::{Credentials, CredentialsError};
pub use payload::PayloadReader;
pub use principal::Caller;
pub use refusal::{Protocol, Refusal};
