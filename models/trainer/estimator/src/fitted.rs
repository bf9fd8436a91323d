//! What training gives: a manifest and members, written as `model.tar.gz` or into the model directory.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use dmatrix::{DMatrix, Row};
use models::manifest::FILE_NAME;
use models::{Manifest, archive};
use sha2::{Digest, Sha256};

use crate::TrainError;

/// The rows that a server scores before it publishes the model. Reason: enough to touch the usual paths of the trees.
const WARM_UP_ROWS_MAX: usize = 3;
/// The most values of all warm-up rows. Reason: a manifest is text that people read; very wide rows do not belong there.
const WARM_UP_VALUES_MAX: usize = 10_000;

/// A trained model.
#[derive(Debug)]
pub struct Fitted {
    /// What the artifact says of itself, but for the digests.
    pub manifest: Manifest,
    /// Names and bytes of the other members.
    pub members: Vec<(String, Vec<u8>)>,
    /// Names and bytes of files that tell of the training and are no part of the model.
    pub outputs: Vec<(String, Vec<u8>)>,
}

impl Fitted {
    /// Writes `folder/model.tar.gz`; it is there whole or not at all.
    pub fn write_archive(&self, folder: &Path) -> Result<std::path::PathBuf, TrainError> {
        fs::create_dir_all(folder).map_err(|error| TrainError::io(folder, &error))?;
        let path = folder.join("model.tar.gz");
        let partial = folder.join(".model.tar.gz.partial");
        let file = fs::File::create(&partial).map_err(|error| TrainError::io(&partial, &error))?;
        let fault = |error: models::LoadError| TrainError::Internal(error.to_string());
        let mut written =
            archive::pack(&self.manifest, &self.members, BufWriter::new(file)).map_err(fault)?;
        written.flush().map_err(|error| TrainError::io(&partial, &error))?;
        fs::rename(&partial, &path).map_err(|error| TrainError::io(&path, &error))?;
        Ok(path)
    }

    /// Writes the members into `folder`, the manifest last, each there whole or not at all.
    pub fn write_members(&self, folder: &Path) -> Result<(), TrainError> {
        fs::create_dir_all(folder).map_err(|error| TrainError::io(folder, &error))?;
        let mut manifest = self.manifest.clone();
        manifest.sha256 = self.members.iter().map(|(name, bytes)| (name.clone(), digest(bytes))).collect();
        let text = manifest.to_json();
        let members = self.members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        write_all(folder, members.chain([(FILE_NAME, text.as_slice())]))
    }

    /// Writes what is no part of the model into `folder`, each file there whole or not at all; no folder for no files.
    pub fn write_outputs(&self, folder: &Path) -> Result<(), TrainError> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(folder).map_err(|error| TrainError::io(folder, &error))?;
        write_all(folder, self.outputs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
    }
}

/// Writes each file under another name first.
fn write_all<'a>(folder: &Path, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<(), TrainError> {
    for (name, bytes) in files {
        let (path, partial) = (folder.join(name), folder.join(format!(".{name}.partial")));
        fs::write(&partial, bytes).map_err(|error| TrainError::io(&partial, &error))?;
        fs::rename(&partial, &path).map_err(|error| TrainError::io(&path, &error))?;
    }
    Ok(())
}

/// SHA-256, lower-case hexadecimal.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the manifest says wrote it.
pub fn created_by() -> Option<String> {
    Some(concat!("clary-train ", env!("CARGO_PKG_VERSION")).into())
}

/// The first rows, an absent or missing value as `None`.
pub fn warm_up_rows(rows: &DMatrix) -> Vec<Vec<Option<f32>>> {
    let count = rows.rows().min(WARM_UP_ROWS_MAX).min(WARM_UP_VALUES_MAX / rows.columns().max(1));
    let present = |value: f32| (!value.is_nan()).then_some(value);
    let row = |index| match rows.row(index) {
        Row::Dense(values) => values.iter().map(|value| present(*value)).collect(),
        Row::Sparse { indices, values } => {
            let mut row = vec![None; rows.columns()];
            for (index, value) in indices.iter().zip(values) {
                row[*index as usize] = present(*value);
            }
            row
        }
    };
    (0..count).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rows_are_the_first_and_not_too_wide() {
        let dense = DMatrix::from_dense(vec![1.0, f32::NAN, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 2);
        let expected = [vec![Some(1.0), None], vec![Some(3.0), Some(4.0)], vec![Some(5.0), Some(6.0)]];
        assert_eq!(warm_up_rows(&dense), expected);
        let wide = DMatrix::from_dense(vec![0.0; 2 * (WARM_UP_VALUES_MAX + 1)], WARM_UP_VALUES_MAX + 1);
        assert!(warm_up_rows(&wide).is_empty());
    }

    #[test]
    fn sparse_rows_are_spelled_out() {
        let mut rows = DMatrix::new();
        let parts = rows.begin_sparse();
        parts.indices.extend([1]);
        parts.values.extend([2.5]);
        parts.offsets.push(1);
        rows.finish_sparse(3);
        assert_eq!(warm_up_rows(&rows), [vec![None, Some(2.5), None]]);
    }

    #[test]
    fn members_carry_their_digests() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let manifest = Manifest::new(models::manifest::Algorithm::Xgboost);
        let fitted = Fitted {
            manifest,
            members: vec![("xgboost-model".into(), b"abc".to_vec())],
            outputs: vec![("p.csv".into(), b"1\n".to_vec())],
        };
        fitted.write_members(folder.path()).expect("a writable folder");
        let text = fs::read(folder.path().join(FILE_NAME)).expect("the manifest");
        let (manifest, unknown) = Manifest::from_json(&text).expect("a manifest");
        assert!(unknown.is_empty());
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(manifest.sha256["xgboost-model"], expected);
        let names = fs::read_dir(folder.path()).expect("the folder").count();
        assert_eq!(names, 2, "no partial file is left, and no output is a member");
        let outputs = folder.path().join("output/data");
        fitted.write_outputs(&outputs).expect("a writable folder");
        assert_eq!(fs::read(outputs.join("p.csv")).expect("the output"), b"1\n");
        assert_eq!(fs::read_dir(&outputs).expect("the folder").count(), 1);
    }
}
