//! A channel's files: below its folder, in sorted order, without those that are hidden.

use std::fs;
use std::path::{Path, PathBuf};

use crate::TrainError;

/// The deepest folder below a channel. Reason: SageMaker's container reads three levels.
const FOLDER_DEPTH_MAX: usize = 3;
/// The most files of a channel. Reason: each is opened and decoded on its own; more is a mistaken path.
const FILES_MAX: usize = 100_000;

/// The files of the channel `name` at `path`, a file or a folder, in sorted order; names that start with a dot or an
/// underscore are passed over.
pub(super) fn list(name: &str, path: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let mut files = Vec::new();
    if path.is_file() {
        files.push(path.to_path_buf());
    } else {
        collect(name, path, 0, &mut files)?;
    }
    files.sort();
    if files.is_empty() {
        let path = path.display();
        return Err(TrainError::client(format!("channel {name}: expected files in {path}, found none")));
    }
    Ok(files)
}

fn collect(channel: &str, folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), TrainError> {
    let fault = |error: std::io::Error| {
        TrainError::client(format!("channel {channel}: {}: {error}", folder.display()))
    };
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) {
            continue;
        }
        match path.is_dir() {
            true if depth == FOLDER_DEPTH_MAX => {
                return Err(TrainError::client(format!(
                    "channel {channel}: expected at most {FOLDER_DEPTH_MAX} folder levels, found more at {}",
                    path.display()
                )));
            }
            true => collect(channel, &path, depth + 1, files)?,
            false => files.push(path),
        }
        if files.len() > FILES_MAX {
            return Err(TrainError::client(format!("channel {channel}: more than {FILES_MAX} files")));
        }
    }
    Ok(())
}
