//! What a server must answer, without a server: `encode ∘ predict ∘ decode` over one artifact.

use std::path::Path;

use codecs::ContentType;
use dmatrix::{DMatrix, Predictions};
use models::{Artifact, Input, LoadOptions, Model};

/// A loaded artifact.
#[derive(Debug)]
pub struct Oracle {
    digest: String,
    model: Box<dyn Model>,
}

impl Oracle {
    /// Of the bytes of a `model.tar.gz`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.tar.gz");
        std::fs::write(&path, bytes).unwrap();
        Self::of_path(&path)
    }

    /// Of an artifact on disk.
    pub fn of_path(path: &Path) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let artifact = Artifact::open(path, scratch.path()).unwrap();
        let model = artifact.load(&LoadOptions::default()).unwrap();
        Self { digest: artifact.digest().to_owned(), model }
    }

    /// The digest a server names in `X-Clary-Artifact`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The answer's body to `body` in `content_type`, in the format `accept`.
    pub fn answer(&self, content_type: &str, body: &[u8], accept: &str) -> Vec<u8> {
        let content_type = ContentType::parse(content_type).unwrap();
        let accept = ContentType::parse(accept).unwrap();
        let mut rows = DMatrix::new();
        codecs::decode(&content_type, &self.model.signature().rows, body, &mut rows).unwrap();
        let mut predictions = Predictions::new();
        self.model.predict(Input::Rows(&rows), &mut predictions).unwrap();
        let mut answer = Vec::new();
        codecs::encode(&accept, &predictions, rows.tags(), &mut answer);
        answer
    }
}

/// The answer of the artifact in `bytes` to `body`.
pub fn score(bytes: &[u8], content_type: &str, body: &[u8], accept: &str) -> Vec<u8> {
    Oracle::of_bytes(bytes).answer(content_type, body, accept)
}
