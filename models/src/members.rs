//! The files of an artifact, wherever they lie: names, sizes and digests taken once, and held to when they are read.
//!
//! A file that is replaced between the opening of the artifact and the reading of its model is refused, since the
//! digest that answers carry would otherwise name bytes that were never scored.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::LoadError;
use crate::archive::{ENTRIES_MAX, PATH_DEPTH_MAX, Unpacked};
use crate::digest::{Hashing, sha256};

/// The most bytes of a file that is read into memory. Reason: ten times the largest tree ensembles in use, and a model
/// takes several times its file in memory.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path within the artifact, with `/` between folders.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// The files of one artifact, sorted by name.
#[derive(Debug)]
pub(crate) struct Members {
    root: PathBuf,
    list: Vec<Member>,
    digest: String,
    /// Held so that what was unpacked is removed with the artifact.
    _unpacked: Option<Unpacked>,
}

impl Members {
    /// One bare file: the artifact's digest is the file's.
    pub(crate) fn of_file(path: &Path) -> Result<Self, LoadError> {
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = name.ok_or_else(|| {
            LoadError::Unrecognised(format!("expected a file name in UTF-8, found {}", path.display()))
        })?;
        let member = measure(path, name)?;
        let root = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { root, digest: member.sha256.clone(), list: vec![member], _unpacked: None })
    }

    /// A directory's files. Names that start with a dot are passed over (`.DS_Store`, the `..data` of a mounted volume);
    /// links to files are followed, since whoever owns the directory put them there.
    ///
    /// The digest is the SHA-256 of one line a file, sorted by name, as `sha256sum` and `wc` would give them:
    /// the file's SHA-256, a blank, its bytes, a blank, its name.
    pub(crate) fn of_directory(root: &Path) -> Result<Self, LoadError> {
        let mut names = Vec::new();
        list(root, "", 1, &mut names)?;
        names.sort_unstable();
        let list =
            names.into_iter().map(|name| measure(&root.join(&name), name)).collect::<Result<Vec<_>, _>>()?;
        let lines: String = list
            .iter()
            .map(|member| format!("{} {} {}\n", member.sha256, member.size_bytes, member.name))
            .collect();
        Ok(Self { root: root.to_owned(), list, digest: sha256(lines.as_bytes()), _unpacked: None })
    }

    /// What an archive held: the artifact's digest is that of the archive's bytes.
    pub(crate) fn of_archive(unpacked: Unpacked) -> Self {
        let mut list = unpacked.members().to_vec();
        list.sort_by(|left, right| left.name.cmp(&right.name));
        Self {
            root: unpacked.directory().to_owned(),
            list,
            digest: unpacked.digest().to_owned(),
            _unpacked: Some(unpacked),
        }
    }

    /// All of them, sorted by name.
    pub(crate) fn list(&self) -> &[Member] {
        &self.list
    }

    /// The artifact's digest.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// The member of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Member> {
        self.list
            .binary_search_by(|member| member.name.as_str().cmp(name))
            .ok()
            .map(|index| &self.list[index])
    }

    /// Reads a member whole, and holds it to the digest it had when the artifact was opened.
    pub(crate) fn read(&self, member: &Member, bytes_max: u64) -> Result<Vec<u8>, LoadError> {
        let refuse = |reason| LoadError::Model { file: member.name.clone(), reason };
        let bytes_max = bytes_max.min(FILE_BYTES_MAX);
        if member.size_bytes > bytes_max {
            return Err(refuse(format!("expected at most {bytes_max} bytes, found {}", member.size_bytes)));
        }
        let path = self.root.join(&member.name);
        let mut bytes = Vec::with_capacity(member.size_bytes as usize);
        let file = open(&path)?;
        file.take(member.size_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| LoadError::Io { path, source })?;
        let found = sha256(&bytes);
        if found != member.sha256 {
            let expected = &member.sha256;
            return Err(refuse(format!(
                "changed after it was opened: expected sha256 {expected}, found {found}"
            )));
        }
        Ok(bytes)
    }

    /// The first bytes of a member, fewer where it is shorter.
    pub(crate) fn peek<const N: usize>(&self, member: &Member) -> Result<Vec<u8>, LoadError> {
        peek::<N>(&self.root.join(&member.name))
    }
}

/// The first bytes of a file, fewer where it is shorter.
pub(crate) fn peek<const N: usize>(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::with_capacity(N);
    let file = open(path)?;
    file.take(N as u64)
        .read_to_end(&mut bytes)
        .map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<File, LoadError> {
    File::open(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })
}

fn measure(path: &Path, name: String) -> Result<Member, LoadError> {
    let failed = |source| LoadError::Io { path: path.to_owned(), source };
    let kind = fs::metadata(path).map_err(failed)?;
    if !kind.is_file() {
        return Err(LoadError::Model {
            file: name,
            reason: "expected a plain file, found a special one".into(),
        });
    }
    if kind.len() > FILE_BYTES_MAX {
        let reason = format!("expected at most {FILE_BYTES_MAX} bytes, found {}", kind.len());
        return Err(LoadError::Model { file: name, reason });
    }
    let mut reader = Hashing::new(open(path)?.take(FILE_BYTES_MAX));
    io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
    Ok(Member { name, size_bytes: reader.count(), sha256: reader.finish() })
}

/// Collects the names of all files under `folder`, relative to the root.
fn list(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<(), LoadError> {
    let failed = |source| LoadError::Io { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let shown = entry.file_name().to_string_lossy().into_owned();
        let refuse = |reason: String| Err(LoadError::Model { file: format!("{prefix}{shown}"), reason });
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            return refuse("expected a name in UTF-8".into());
        };
        if name.starts_with('.') {
            continue;
        }
        if names.len() == ENTRIES_MAX {
            return refuse(format!("expected at most {ENTRIES_MAX} files"));
        }
        let kind = entry.file_type().map_err(failed)?;
        if !kind.is_dir() {
            names.push(format!("{prefix}{name}"));
        } else if depth == PATH_DEPTH_MAX {
            return refuse(format!("expected at most {PATH_DEPTH_MAX} folders deep"));
        } else {
            list(&entry.path(), &format!("{prefix}{name}/"), depth + 1, names)?;
        }
    }
    Ok(())
}
