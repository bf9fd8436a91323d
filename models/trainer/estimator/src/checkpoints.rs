//! Where a training that was killed goes on: one file a name and host, there whole or not at all, and known to be whole by
//! its digest.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::TrainError;

/// Bytes of the digest at a file's start.
const DIGEST_BYTES: usize = 32;

/// The checkpoints of one host's training.
#[derive(Debug, Clone, Default)]
pub struct Checkpoints {
    folder: Option<PathBuf>,
    host: String,
}

impl Checkpoints {
    /// Below `folder`. The host's name is in the files' names: all hosts of a job share one place.
    pub fn new(folder: &Path, host: &str) -> Self {
        Self { folder: Some(folder.to_path_buf()), host: host.to_owned() }
    }

    /// Nothing is kept.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether anything is kept; what is costly to write need not be written otherwise.
    pub fn are_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Keeps `bytes` under `name` in place of what was kept there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let Some(path) = self.path(name) else { return Ok(()) };
        let folder = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).map_err(|error| TrainError::io(folder, &error))?;
        let partial = path.with_extension("partial");
        let digest = Sha256::digest(bytes);
        fs::write(&partial, [digest.as_slice(), bytes].concat())
            .map_err(|error| TrainError::io(&partial, &error))?;
        fs::rename(&partial, &path).map_err(|error| TrainError::io(&path, &error))
    }

    /// What is kept under `name`, if anything is.
    ///
    /// # Errors
    /// When the file cannot be read, or is not what was written.
    pub fn load(&self, name: &str) -> Result<Option<Vec<u8>>, TrainError> {
        let Some(path) = self.path(name) else { return Ok(None) };
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::io(&path, &error)),
        };
        let is_whole = bytes.len() >= DIGEST_BYTES
            && Sha256::digest(&bytes[DIGEST_BYTES..])[..] == bytes[..DIGEST_BYTES];
        if !is_whole {
            return Err(TrainError::client(format!(
                "checkpoint {}: expected a file whose digest is that of its content, found another; remove it to \
                 train from the start",
                path.display()
            )));
        }
        Ok(Some(bytes.split_off(DIGEST_BYTES)))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}-{name}.checkpoint", self.host)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_loaded_by_the_same_host_only() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let checkpoints = Checkpoints::new(folder.path(), "algo-1");
        assert_eq!(checkpoints.load("state").expect("nothing there"), None);
        checkpoints.save("state", b"one").expect("a writable folder");
        checkpoints.save("state", b"two").expect("a writable folder");
        assert_eq!(checkpoints.load("state").expect("whole"), Some(b"two".to_vec()));
        assert_eq!(Checkpoints::new(folder.path(), "algo-2").load("state").expect("another's"), None);
        assert_eq!(Checkpoints::none().load("state").expect("none kept"), None);
    }

    #[test]
    fn a_torn_file_is_refused() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let checkpoints = Checkpoints::new(folder.path(), "algo-1");
        checkpoints.save("state", b"something").expect("a writable folder");
        let path = folder.path().join("algo-1-state.checkpoint");
        let bytes = fs::read(&path).expect("written");
        for length in [0, 10, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).expect("a writable folder");
            let error = checkpoints.load("state").expect_err("torn").to_string();
            assert!(error.contains("algo-1-state.checkpoint"), "{error}");
        }
    }
}
