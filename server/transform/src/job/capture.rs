//! `DataCaptureConfig`: which objects were read and which were written, as manifests; payloads are not copied.

use object_store::path::Path;

use crate::store::Store;

/// Where the manifests go, and what they say of where objects are.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The store of the manifests.
    pub store: Store,
    /// The folder of the manifests, `input/` and `output/` below it.
    pub prefix: Path,
    /// The hour in which the job began, `yyyy/mm/dd/hh` in UTC: the folder below those.
    pub hour: String,
    /// What makes an input's key its URI: `s3://bucket/`.
    pub input_uri: String,
    /// What makes an output's key its URI.
    pub output_uri: String,
}
