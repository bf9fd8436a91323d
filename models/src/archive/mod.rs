//! `model.tar.gz`: unpacked safely, packed reproducibly.
//!
//! An archive is hostile input. The one idea: what an entry is called and what it is are settled before anything is
//! written, and whatever two readers of tar could understand differently (an override, a repeated name, bytes after the
//! end) is refused with the entry named. Only plain files and directories come out; they come out in a directory
//! that did not exist before, each file created new.

mod extended;
mod header;
mod pack;
mod pack_files;
mod path;
mod reader;
mod stream;
mod unpack;

use std::path::Path;

pub use pack::pack;
pub use pack_files::pack_files;
pub use unpack::{Unpacked, unpack, unpack_within};

/// The most headers of an archive, and the most files of a directory. Reason: a model is a handful of files; source
/// code packed beside it, a few hundred.
pub const ENTRIES_MAX: usize = 10_000;

/// The most folders above a file. Reason: no tool nests a model so deep, and recursion stays shallow.
pub const PATH_DEPTH_MAX: usize = 16;

/// The most bytes of an entry's name. Reason: far below the systems' limit of 4,096, scratch folder included.
pub const PATH_BYTES_MAX: usize = 1_024;

/// The most bytes of one part of a name. Reason: the limit of every file system in use.
pub const PATH_PART_BYTES_MAX: usize = 255;

/// What an archive may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive itself. Default 5 GiB. Reason: an object put into S3 by one request is no larger.
    pub compressed_bytes_max: u64,
    /// Bytes of the tar stream, headers included. Default 16 GiB. Reason: the largest model file is 4 GiB, some tools
    /// leave checkpoints beside it, and a disk is not much larger.
    pub unpacked_bytes_max: u64,
    /// Bytes out for each byte in, once `ratio_free_bytes` came out. Default 200. Reason: verbose JSON trees shrink 10 to
    /// 30 times; deflate's limit is 1,032, and only bombs are near it.
    pub ratio_max: u64,
    /// Bytes that may come out whatever the ratio. Default 64 MiB. Reason: harmless, and sparse weights may be zeros.
    pub ratio_free_bytes: u64,
    /// Headers, extended ones included.
    pub entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes_max: 5 << 30,
            unpacked_bytes_max: 16 << 30,
            ratio_max: 200,
            ratio_free_bytes: 64 << 20,
            entries_max: ENTRIES_MAX,
        }
    }
}

/// Whether a file's name says it is an archive, so that a damaged one is not taken for a model file.
pub(crate) fn is_archive_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    [".tar.gz", ".tgz", ".tar"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a file's first 512 bytes are those of an archive: gzip's, or a tar header of a version that says so.
pub(crate) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(&stream::GZIP_MAGIC) || bytes.get(257..262) == Some(b"ustar")
}
