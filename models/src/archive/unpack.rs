//! From an archive to a fresh directory.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::reader::{Entry, Reader};
use super::stream::Stream;
use super::{Limits, path};
use crate::digest::hexadecimal;
use crate::{LoadError, Member};

/// The most names tried for a fresh directory. Reason: only directories that earlier processes of the same number left
/// behind are in the way.
const ATTEMPTS_MAX: u32 = 10_000;

/// What an archive held. Removes it when it is dropped.
#[derive(Debug)]
pub struct Unpacked {
    directory: PathBuf,
    members: Vec<Member>,
    digest: String,
}

impl Unpacked {
    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The files, in the order of the archive.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The SHA-256 of the archive's bytes, lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and the next process does not depend on it.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Unpacks `archive` into a fresh directory under `scratch`, within the default limits.
///
/// # Errors
/// As [`unpack_within`].
pub fn unpack(archive: &Path, scratch: &Path) -> Result<Unpacked, LoadError> {
    unpack_within(archive, scratch, Limits::default())
}

/// Unpacks `archive` into a fresh directory under `scratch`. After an error nothing is left there.
///
/// # Errors
/// When the archive is unsafe, damaged or over a limit, or a file cannot be read or written.
pub fn unpack_within(archive: &Path, scratch: &Path, limits: Limits) -> Result<Unpacked, LoadError> {
    let file = File::open(archive).map_err(|source| LoadError::Io { path: archive.to_owned(), source })?;
    let place = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stream = Stream::new(file, limits)
        .map_err(|error| LoadError::Archive { entry: place.clone(), reason: error.to_string() })?;
    let mut reader = Reader::new(stream, place.clone(), limits.entries_max);
    let mut unpacked =
        Unpacked { directory: fresh_directory(scratch)?, members: Vec::new(), digest: String::new() };
    let mut names = Names { taken: HashMap::new(), names_max: limits.entries_max };
    while let Some(entry) = reader.next()? {
        let name = path::check(&entry.name, entry.is_directory)
            .and_then(|name| names.claim(name, entry.is_directory));
        let name = name.map_err(|reason| reader.refuse(&reason))?;
        write(&mut reader, &entry, name, &mut unpacked)?;
    }
    let stream = reader.finish()?;
    unpacked.digest =
        stream.finish().map_err(|error| LoadError::Archive { entry: place, reason: error.to_string() })?;
    Ok(unpacked)
}

/// The names so far, so that no two entries are one file. Folders that only stand in names count, too: each is made.
#[derive(Debug)]
struct Names {
    taken: HashMap<String, Taken>,
    names_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    File,
    /// A folder that has an entry.
    Directory,
    /// A folder that only stands in names.
    Parent,
}

impl Names {
    /// Takes a name that nothing before contradicts.
    fn claim(&mut self, name: String, is_directory: bool) -> Result<String, String> {
        for (slash, _) in name.match_indices('/') {
            let parent = &name[..slash];
            match self.taken.get(parent) {
                Some(Taken::File) => {
                    return Err(format!("expected {parent:?} to be a directory, found it is a file"));
                }
                Some(_) => {}
                None => {
                    self.taken.insert(parent.to_owned(), Taken::Parent);
                }
            }
        }
        if self.taken.len() >= self.names_max {
            return Err(format!("expected at most {} files and folders, found more", self.names_max));
        }
        match self.taken.entry(name.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(if is_directory { Taken::Directory } else { Taken::File });
                Ok(name)
            }
            Slot::Occupied(mut slot) if is_directory && *slot.get() == Taken::Parent => {
                slot.insert(Taken::Directory);
                Ok(name)
            }
            Slot::Occupied(_) => Err("expected each name once, found it twice".into()),
        }
    }
}

fn write(
    reader: &mut Reader<Stream>,
    entry: &Entry,
    name: String,
    unpacked: &mut Unpacked,
) -> Result<(), LoadError> {
    let target = unpacked.directory.join(&name);
    let failed = |source| LoadError::Io { path: target.clone(), source };
    if entry.is_directory {
        return fs::create_dir_all(&target).map_err(failed);
    }
    let parent = target.parent().expect("the target is in the fresh directory");
    fs::create_dir_all(parent).map_err(failed)?;
    let mut output = HashingFile { file: create(&target).map_err(failed)?, hash: Sha256::new() };
    reader.data(entry, &mut output)?;
    let sha256 = hexadecimal(output.hash.finalize().as_slice());
    unpacked.members.push(Member { name, size_bytes: entry.size, sha256 });
    Ok(())
}

/// A new file that its owner may write and all may read, whatever the archive says.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    options.open(path)
}

/// A file that is hashed as it is written.
struct HashingFile {
    file: File,
    hash: Sha256,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A directory that did not exist before, for its owner only.
fn fresh_directory(scratch: &Path) -> Result<PathBuf, LoadError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let failed = |source| LoadError::Io { path: scratch.to_owned(), source };
    fs::create_dir_all(scratch).map_err(failed)?;
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    for _ in 0..ATTEMPTS_MAX {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = scratch.join(format!("artifact-{}-{number}", std::process::id()));
        match builder.create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(io::Error::other("expected a free name for a directory, found none")))
}
