//! Which objects a transform reads, and where the output of each goes.

mod key;
mod listing;
mod manifest;
mod pages;

use std::sync::Arc;

use object_store::path::Path;

pub(crate) use key::below;
pub use key::{OUTPUT_SUFFIX, output_path};
pub use listing::{Found, InputError, Listing, read_manifest};
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

/// Where outputs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// What their keys begin with: a folder.
    pub prefix: Path,
    /// Whether that is in the store of the inputs, so that keys of the one may be keys of the other.
    pub are_beside_inputs: bool,
}

impl Outputs {
    /// The key of what may be an output, without what all outputs have in common.
    fn relative<'a>(&self, key: &'a str) -> Option<&'a str> {
        let below = key.strip_prefix(self.prefix.as_ref()).filter(|_| self.are_beside_inputs)?;
        if self.prefix.as_ref().is_empty() { Some(below) } else { below.strip_prefix('/') }
    }
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
    /// Those of a manifest that was read: it may lie in another bucket than they.
    Listed {
        /// Where it lies, for people.
        place: String,
        /// What it lists.
        manifest: Arc<Manifest>,
    },
}
