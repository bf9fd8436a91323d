//! The jobs' folders: one a job, below `DATA/training`. What a killed server left in one is ended before anything else begins.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Makes the folder of all jobs, ends what an earlier server left running, and removes the folders of jobs that are not `kept`.
///
/// # Errors
/// When the folder cannot be made or read.
pub(super) fn clean(folder: &Path, kept: &HashSet<String>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)?.flatten() {
        let is_kept = entry.file_name().to_str().is_some_and(|name| kept.contains(name));
        if is_kept {
            sweep(&entry.path());
        } else {
            remove(&entry.path());
        }
    }
    Ok(())
}

/// Removes a job's folder, if there is one, and ends what runs in it.
pub(super) fn remove(folder: &Path) {
    if !folder.exists() {
        return;
    }
    sweep(folder);
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(path = %folder.display(), %error, "a job's folder cannot be removed; the next start tries again");
        }
        _ => {}
    }
}

fn sweep(folder: &Path) {
    match training::sweep(folder) {
        Ok(0) => {}
        Ok(count) => tracing::info!(path = %folder.display(), count, "ended processes of an earlier server"),
        Err(error) => {
            tracing::warn!(path = %folder.display(), %error, "processes of an earlier server may still run");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_jobs_that_ended_are_removed() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = data.path().join("training");
        for id in ["kept", "ended"] {
            fs::create_dir_all(folder.join(id).join("algo-1")).expect("a folder");
        }
        clean(&folder, &HashSet::from(["kept".to_owned()])).expect("cleaned");
        let left: Vec<_> =
            fs::read_dir(&folder).expect("a folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["kept"]);
        remove(&folder.join("kept"));
        remove(&folder.join("absent"));
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
    }
}
