//! The files of a folder that a program wrote: plain ones alone, by names that an archive and a store can have.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Files of a folder. Reason: their names are held in memory; an uncompressed model is as many requests.
const FILES_MAX: usize = 100_000;

/// A file.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its path below the folder, with `/` between folders.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) metadata: Metadata,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Plain files, sorted by name.
    pub(crate) files: Vec<Found>,
    /// What is left out, and why: links above all, which may lead anywhere.
    pub(crate) refused: Vec<String>,
}

/// Lists `folder` and all below; one that is not there is empty. What goes away meanwhile is not there. Blocks.
pub(crate) fn list(folder: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
                listing.refused.push(format!("{prefix}{:?}: expected a name in UTF-8", entry.file_name()));
                continue;
            };
            // Of the entry itself, not of what it leads to.
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if metadata.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else if metadata.is_file() {
                listing.files.push(Found { name, path: entry.path(), metadata });
            } else {
                listing.refused.push(format!("{name}: expected a plain file, found {}", kind(&metadata)));
            }
            if listing.files.len() > FILES_MAX {
                let folder = folder.display();
                return Err(io::Error::other(format!(
                    "{folder}: expected at most {FILES_MAX} files, found more"
                )));
            }
        }
    }
    listing.files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(listing)
}

fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_symlink() { "a symbolic link" } else { "a socket, FIFO or device" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_files_are_found_and_links_are_not() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        fs::create_dir_all(folder.join("a/b")).unwrap();
        for name in ["z", "a/b/x", "a/y"] {
            fs::write(folder.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc", folder.join("etc")).unwrap();
        std::os::unix::fs::symlink("z", folder.join("a/link")).unwrap();
        let found = list(folder).unwrap();
        let names: Vec<_> = found.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a/b/x", "a/y", "z"]);
        let mut refused = found.refused;
        refused.sort();
        assert_eq!(refused.len(), 2);
        assert_eq!(refused[0], "a/link: expected a plain file, found a symbolic link");
        assert!(list(&folder.join("absent")).unwrap().files.is_empty());
    }
}
