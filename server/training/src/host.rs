//! A host's folder, which stands for `/opt/ml`.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::outcome::REASON_CHARACTERS_MAX;

/// Where programs in containers find a host's folder.
pub(crate) const CONTAINER_BASE: &str = "/opt/ml";

/// Bytes of a failure file that are read. Reason: a reason has 1024 characters of at most four bytes.
const FAILURE_BYTES_MAX: u64 = 4 * REASON_CHARACTERS_MAX as u64;

/// A host of a job.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// From 1.
    pub(crate) number: usize,
    /// `algo-1` and so on.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) base: PathBuf,
}

impl Host {
    /// The host of this number, in the job's folder.
    pub(crate) fn new(folder: &Path, number: usize) -> Self {
        let name = format!("algo-{number}");
        Self { number, base: folder.join(&name), name }
    }

    /// The names of the hosts of a job, sorted as strings.
    pub(crate) fn names(hosts: usize) -> Vec<String> {
        let mut names: Vec<_> = (1..=hosts).map(|number| format!("algo-{number}")).collect();
        names.sort();
        names
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.base.join("input/config")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.base.join("input/data")
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.base.join("model")
    }

    pub(crate) fn output_data(&self) -> PathBuf {
        self.base.join("output/data")
    }

    pub(crate) fn intermediate(&self) -> PathBuf {
        self.base.join("output/intermediate")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.base.join("tmp")
    }

    pub(crate) fn failure_file(&self) -> PathBuf {
        self.base.join("output/failure")
    }

    /// Makes the folders, empty: what an earlier run left is removed, but for its checkpoints, from which this one goes on.
    /// Blocks.
    pub(crate) fn prepare(&self, checkpoints: &Path) -> io::Result<()> {
        for folder in ["input", "model", "output", "tmp"] {
            remove_all(&self.base.join(folder))?;
        }
        fs::create_dir_all(self.base.join("code"))?;
        for folder in [
            self.configuration(),
            self.data(),
            self.model(),
            self.output_data(),
            self.intermediate(),
            self.scratch(),
            checkpoints.to_path_buf(),
        ] {
            fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// The start of the failure file, if the program wrote one, with paths as they stand in a container: where they are on this
    /// machine is of no use to who reads them, and not theirs to know. Blocks.
    pub(crate) fn failure_text(&self) -> Option<String> {
        let path = self.failure_file();
        // A link would have us read what the program may not.
        if !fs::symlink_metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        fs::File::open(path).ok()?.take(FAILURE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes).replace(&*self.base.to_string_lossy(), CONTAINER_BASE);
        Some(text.chars().take(REASON_CHARACTERS_MAX).collect())
    }
}

/// Removes a folder and all below it, if it is there. Blocks.
pub(crate) fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_empty_and_checkpoints_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let host = Host::new(scratch.path(), 2);
        let checkpoints = host.base.join("checkpoints");
        host.prepare(&checkpoints).unwrap();
        for path in [host.model().join("old"), host.failure_file(), checkpoints.join("step-7")] {
            fs::write(path, "x").unwrap();
        }
        host.prepare(&checkpoints).unwrap();
        assert!(!host.model().join("old").exists() && !host.failure_file().exists());
        assert!(checkpoints.join("step-7").exists());
    }

    #[test]
    fn a_failure_file_is_read_and_a_link_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let host = Host::new(scratch.path(), 1);
        host.prepare(&host.base.join("checkpoints")).unwrap();
        assert_eq!(host.failure_text(), None);
        fs::write(host.failure_file(), "x".repeat(9000)).unwrap();
        assert_eq!(host.failure_text().map(|text| text.len()), Some(REASON_CHARACTERS_MAX));
        let rows = host.data().join("train/rows");
        fs::write(host.failure_file(), format!("ClientError: {}: row 8", rows.display())).unwrap();
        assert_eq!(host.failure_text().as_deref(), Some("ClientError: /opt/ml/input/data/train/rows: row 8"));
        fs::remove_file(host.failure_file()).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", host.failure_file()).unwrap();
        assert_eq!(host.failure_text(), None);
    }
}
