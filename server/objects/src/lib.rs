//! The embedded S3: buckets and objects over a directory.
//!
//! [`Directory`] is the store; [`Bucket`] is one bucket of it as an `object_store`, for use in this process; [`S3Wire`] answers
//! S3's HTTP requests.

mod bucket;
mod condition;
mod digest;
mod directory;
mod domains;
mod error;
mod group;
mod index;
mod multipart;
mod names;
mod object;
mod reader;
mod record;
mod trailers;
mod wire;
mod writer;

pub use bucket::Bucket;
pub use condition::{Conditions, Tag};
pub use digest::{Algorithm, Checksums};
pub use directory::Directory;
pub use domains::Domains;
pub use error::{Error, Result};
pub use index::buckets::BucketRecord;
pub use index::listing::{ListQuery, ListedObject, Page};
pub use names::{KEY_BYTES_MAX, check_bucket, check_key};
pub use reader::{Reading, Span};
pub use record::{Attributes, Details, ObjectRecord, PartRecord};
/// A request's or an answer's body: a stream of bytes, made of bytes, of a stream or of any `http_body::Body`.
pub use s3s::Body;
pub use trailers::Trailers;
pub use wire::{S3Wire, WireOptions};
