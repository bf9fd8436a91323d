//! From a model's members to `model.tar.gz`: the same members are the same bytes.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::path;
use crate::LoadError;
use crate::digest::sha256;
use crate::manifest::{self, Manifest};

/// The most bytes of a name. Reason: what the oldest readers of tar know.
const NAME_BYTES_MAX: usize = 100;

/// Writes gzip-compressed ustar to `output`: `manifest.json` with the digests of `members` filled in, and the members,
/// all sorted by name, mode 0644, time 0. Gives `output` back.
///
/// # Errors
/// When a name is not plain, longer than 100 bytes or there twice, or `output` fails.
pub fn pack<W: Write>(manifest: &Manifest, members: &[(String, Vec<u8>)], output: W) -> Result<W, LoadError> {
    let mut manifest = manifest.clone();
    manifest.sha256 = members.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
    let text = manifest.to_json();
    let mut entries: Vec<(&str, &[u8])> = vec![(manifest::FILE_NAME, &text)];
    entries.extend(members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    entries.sort_unstable_by_key(|(name, _)| *name);
    check_names(&entries.iter().map(|(name, _)| *name).collect::<Vec<_>>(), Some(NAME_BYTES_MAX))?;
    write(&entries, output).map_err(|source| LoadError::Io { path: "model.tar.gz".into(), source })
}

/// Refuses names (sorted) that are not plain, longer than `bytes_max`, or there twice.
pub(super) fn check_names(names: &[&str], bytes_max: Option<usize>) -> Result<(), LoadError> {
    let refuse = |name: &str, reason| Err(LoadError::Archive { entry: name.to_owned(), reason });
    for name in names {
        let found = name.len();
        match (path::check(name.as_bytes(), false), bytes_max) {
            (Err(reason), _) => return refuse(name, reason),
            (Ok(plain), _) if plain != *name => {
                return refuse(name, format!("expected {plain:?}, the same name in plain form"));
            }
            (Ok(_), Some(most)) if found > most => {
                return refuse(name, format!("expected at most {most} bytes, found {found}"));
            }
            (Ok(_), _) => {}
        }
    }
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => refuse(pair[0], "expected each name once, found it twice".into()),
    }
}

/// What is said of every entry: a plain file, mode 0644, time 0, owner 0.
pub(super) fn header(size_bytes: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size_bytes);
    header
}

/// A tar in gzip, without a name or a time of its own.
pub(super) fn builder<W: Write>(output: W) -> Builder<GzEncoder<W>> {
    Builder::new(GzBuilder::new().mtime(0).write(output, Compression::default()))
}

fn write<W: Write>(entries: &[(&str, &[u8])], output: W) -> io::Result<W> {
    let mut archive = builder(output);
    for (name, bytes) in entries {
        archive.append_data(&mut header(bytes.len() as u64), name, *bytes)?;
    }
    archive.into_inner()?.finish()
}
