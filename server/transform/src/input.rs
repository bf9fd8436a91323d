//! Which objects a transform reads, and where the output of each goes.

mod key;
mod listing;
mod manifest;

use object_store::path::Path;

pub use key::{OUTPUT_SUFFIX, output_path};
pub use listing::{Found, InputError, Listing};
pub use manifest::{ENTRIES_MAX, MANIFEST_BYTES_MAX, Manifest, ManifestError};

/// An object to transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputObject {
    /// Its key.
    pub path: Path,
    /// Its bytes, as they are stored.
    pub size: u64,
    /// Its version: what is read is held to it.
    pub e_tag: Option<String>,
    /// When it was written, which stands for its version where a store gives no `e_tag`.
    pub modified: Option<std::time::SystemTime>,
    /// The key of its output.
    pub output: Path,
}

/// Where the inputs are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// All objects whose keys begin with this string.
    Prefix(String),
    /// This one alone.
    Object(Path),
    /// Those that the manifest at this key lists.
    Manifest(Path),
}
