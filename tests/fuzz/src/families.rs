//! Artifacts of the families that are tensors: a manifest and `model.safetensors`, or `model_algo-1` of MXNet.

use std::fs;

use dmatrix::{DMatrix, Predictions};
use models::{Artifact, Input, LoadOptions};

/// The most features a row is made for. Reason: as for XGBoost, a hostile model may say a billion.
const COLUMNS_MAX: usize = 10_000;

/// The first line is the manifest and the rest `model.safetensors`; without a manifest the rest is `model_algo-1`. A model that is
/// accepted must answer any row of its width or refuse it, and the same twice.
pub fn family(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (manifest, member) = (&bytes[..line], bytes.get(line + 1..).unwrap_or_default());
    let folder = tempfile::tempdir().expect("a scratch folder");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("a file");
    if manifest.is_empty() {
        write("model_algo-1", member);
    } else {
        write("manifest.json", manifest);
        write("model.safetensors", member);
    }
    let Ok(artifact) = Artifact::open(folder.path(), &std::env::temp_dir()) else { return };
    let Ok(model) = artifact.load(&LoadOptions::default()) else { return };
    let columns = model.signature().rows.columns.unwrap_or(1);
    if columns == 0 || columns > COLUMNS_MAX {
        return;
    }
    for scale in [1.0, 1e30] {
        let values = (0..3 * columns).map(|n| (n % 5) as f32 * scale).collect();
        let rows = DMatrix::from_dense(values, columns);
        let predict = || {
            let mut predictions = Predictions::new();
            let result = model.predict(Input::Rows(&rows), &mut predictions);
            let fields = predictions
                .fields()
                .iter()
                .flat_map(|field| field.values.iter().map(|value| value.to_bits()));
            result.map(|()| fields.collect::<Vec<u32>>())
        };
        assert_eq!(predict(), predict(), "an answer is a function of its row");
    }
}
