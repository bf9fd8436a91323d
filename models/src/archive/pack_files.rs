//! From files on the disk to a gzip-compressed tar, at constant memory: the same files are the same bytes.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::PathBuf;

use tar::Builder;

use super::pack;
use crate::LoadError;

/// Writes gzip-compressed ustar to `output`: `files` by the names that they are given, sorted, mode 0644, time 0, owner 0. Gives
/// `output` back. A name of more than 255 bytes gets an extra entry, as GNU's tar writes it.
///
/// # Errors
/// When a name is not plain or there twice, a file cannot be read or changes its size meanwhile, or `output` fails.
pub fn pack_files<W: Write>(files: &[(String, PathBuf)], output: W) -> Result<W, LoadError> {
    let mut files: Vec<&(String, PathBuf)> = files.iter().collect();
    files.sort_unstable_by_key(|(name, _)| name);
    pack::check_names(&files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), None)?;
    let archive_failed = |source| LoadError::Io { path: "model.tar.gz".into(), source };
    let mut archive = pack::builder(output);
    for (name, path) in files {
        append(&mut archive, name, path).map_err(|source| LoadError::Io { path: path.clone(), source })?;
    }
    archive.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(archive_failed)
}

fn append<W: Write>(archive: &mut Builder<W>, name: &str, path: &PathBuf) -> io::Result<()> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Counted { inner: file.take(size), count: 0 };
    archive.append_data(&mut pack::header(size), name, &mut bytes)?;
    match bytes.count == size {
        true => Ok(()),
        false => Err(io::Error::other(format!("expected {size} bytes, found {}", bytes.count))),
    }
}

/// A reader that counts.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::archive::unpack;

    fn files(folder: &std::path::Path, names: &[&str]) -> Vec<(String, PathBuf)> {
        names
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let path = folder.join(index.to_string());
                fs::write(&path, name).unwrap();
                ((*name).to_owned(), path)
            })
            .collect()
    }

    #[test]
    fn the_same_files_are_the_same_bytes_in_any_order_and_come_out_again() {
        let scratch = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(150), "f".repeat(120));
        let mut given = files(scratch.path(), &["b", "a/x", "a.txt", &long]);
        let once = pack_files(&given, Vec::new()).unwrap();
        given.reverse();
        assert_eq!(pack_files(&given, Vec::new()).unwrap(), once);
        let archive = scratch.path().join("m.tar.gz");
        fs::write(&archive, &once).unwrap();
        let unpacked = unpack(&archive, scratch.path()).unwrap();
        let names: Vec<_> = unpacked.members().iter().map(|member| member.name.clone()).collect();
        assert_eq!(names, ["a.txt", "a/x", "b", &long]);
        assert_eq!(fs::read_to_string(unpacked.directory().join("a/x")).unwrap(), "a/x");
    }

    #[test]
    fn names_that_are_not_plain_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        for names in [&["../x"][..], &["/x"], &["a//b"], &["x", "x"]] {
            let error = pack_files(&files(scratch.path(), names), Vec::new()).unwrap_err();
            assert!(matches!(error, LoadError::Archive { .. }), "{error}");
        }
    }
}
