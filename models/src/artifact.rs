//! An artifact: what `model.tar.gz`, a directory or a bare model file holds, checked and ready to load.

use std::path::Path;

use crate::{LoadError, LoadOptions, Manifest, Model};

/// A checked, unpacked artifact. Removes what it unpacked when it is dropped.
#[derive(Debug)]
pub struct Artifact {
    manifest: Manifest,
    digest: String,
}

impl Artifact {
    /// Opens `path`: a `.tar.gz` (unpacked under `scratch`, capped and path-safe), a directory, or a bare model file.
    ///
    /// # Errors
    /// When it is unsafe, damaged, over a limit, or its manifest is not one.
    pub fn open(_path: &Path, _scratch: &Path) -> Result<Self, LoadError> {
        todo!()
    }

    /// What the artifact says of itself; documented defaults where it says nothing.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256, lower-case hex: of the archive's bytes, of the bare file's, or of a directory's sorted members.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What was assumed because the artifact does not say; one sentence each, for `clary check`.
    pub fn assumptions(&self) -> &[String] {
        todo!()
    }

    /// Parses the model.
    ///
    /// # Errors
    /// When the model file is damaged, hostile, or of a kind that is not served.
    pub fn load(&self, _options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        todo!()
    }
}
