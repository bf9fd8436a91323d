//! A directory of files: `object_store`'s, and uploads in parts that outlive the process.
//!
//! Parts have fixed sizes, so each is written at its offset into one hidden file beside the output, `.NAME.ID.part`, which is
//! renamed when it is complete. A write over a version that stood there looks, then renames: between the two, another process
//! could write. A write where nothing stood is a link, which fails if something does.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};

use super::{Standing, UnfinishedUpload, Uploads};
use crate::upload::PartSizes;

/// The most entries of folders that are looked at for unfinished uploads. Reason: a larger tree is not one of outputs.
const ENTRIES_MAX: usize = 10_000_000;

/// How deep they are looked for. Reason: keys have at most 1024 bytes, most of them few folders.
const DEPTH_MAX: usize = 512;

/// The files below a directory.
#[derive(Debug)]
pub(super) struct DirectoryStore {
    files: LocalFileSystem,
    root: PathBuf,
}

impl fmt::Display for DirectoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "directory {}", self.root.display())
    }
}

impl DirectoryStore {
    pub(super) fn open(root: &FilePath) -> Result<Self> {
        let files = LocalFileSystem::new_with_prefix(root)?.with_fsync(true).with_automatic_cleanup(true);
        let root = root.canonicalize().map_err(|source| failed(root, source))?;
        Ok(Self { files, root })
    }

    /// What stands at `path`.
    async fn standing(&self, path: &Path) -> Result<Standing> {
        match self.files.head(path).await {
            Ok(meta) => Ok(Standing::of(Some(&meta))),
            Err(Error::NotFound { .. }) => Ok(Standing::Nothing),
            Err(error) => Err(error),
        }
    }

    fn part_file(&self, path: &Path, id: &MultipartId) -> Result<PathBuf> {
        let file = self.files.path_to_filesystem(path)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // An id is part of a file's name: one of other characters is not ours.
        if !is_id(id) {
            return Err(unknown_upload(path, id));
        }
        Ok(file.with_file_name(format!(".{name}.{id}.part")))
    }

    /// Joins the parts, which stand at their places already, and makes the file visible if `standing` allows.
    async fn place(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: &[PartId],
        standing: Option<&Standing>,
    ) -> Result<PutResult> {
        if let Some(standing @ (Standing::Version(_) | Standing::Unversioned)) = standing {
            let found = self.standing(path).await?;
            if found != *standing {
                return Err(standing.refused(path, &found));
            }
        }
        let (from, to) = (self.part_file(path, id)?, self.files.path_to_filesystem(path)?);
        let bytes = total(path, first_bytes(id), parts)?;
        let is_creation = standing == Some(&Standing::Nothing);
        let (id, key) = (id.clone(), path.clone());
        blocking(move || {
            let file = open_part_file(&from, &key, &id)?;
            file.set_len(bytes).and_then(|()| file.sync_all()).map_err(|error| failed(&from, error))?;
            if is_creation {
                link(&from, &to, &key)?;
            } else {
                rename(&from, &to)?;
            }
            sync_folder(&to)
        })
        .await?;
        let e_tag = self.files.head(path).await?.e_tag;
        Ok(PutResult { e_tag, version: None, extensions: object_store::Extensions::new() })
    }
}

#[async_trait]
impl MultipartStore for DirectoryStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        let sizes: PartSizes = options.extensions.get().copied().unwrap_or_default();
        let id = new_id(sizes);
        let file = self.part_file(path, &id)?;
        blocking(move || {
            let folder = file.parent().unwrap_or(FilePath::new("/"));
            std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
            File::create_new(&file).map_err(|error| failed(&file, error))?;
            sync_folder(&file)
        })
        .await?;
        Ok(id)
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let file = self.part_file(path, id)?;
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let mut offset = PartSizes::from_first(first_bytes(id)).offset(number);
        let content_id = data.content_length().to_string();
        let (id, path) = (id.clone(), path.clone());
        blocking(move || {
            let part = open_part_file(&file, &path, &id)?;
            for bytes in &data {
                part.write_all_at(bytes, offset).map_err(|error| failed(&file, error))?;
                offset += bytes.len() as u64;
            }
            part.sync_data().map_err(|error| failed(&file, error))
        })
        .await?;
        Ok(PartId { content_id })
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.place(path, id, &parts, None).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let file = self.part_file(path, id)?;
        let (id, path) = (id.clone(), path.clone());
        blocking(move || match std::fs::remove_file(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown_upload(&path, &id)),
            result => result.map_err(|error| failed(&file, error)),
        })
        .await
    }
}

#[async_trait]
impl Uploads for DirectoryStore {
    async fn unfinished(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        blocking(move || {
            let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
            let mut walk = Walk { prefix: &prefix, found: Vec::new(), entries: 0 };
            walk.folder(&root.join(folder), folder, DEPTH_MAX)?;
            Ok(walk.found)
        })
        .await
    }

    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> Result<PutResult> {
        self.place(path, id, &parts, Some(standing)).await
    }
}

#[async_trait]
impl ObjectStore for DirectoryStore {
    /// As an upload of one part, so that what a killed process leaves is hidden, and found.
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if let PutMode::Update(version) = &options.mode {
            let expected = version.e_tag.clone().map_or(Standing::Unversioned, Standing::Version);
            let found = self.standing(path).await?;
            if found != expected {
                return Err(expected.refused(path, &found));
            }
        }
        let is_creation = options.mode == PutMode::Create;
        let id = new_id(PartSizes::from_first(payload.content_length().max(1) as u64));
        let (from, to, key) =
            (self.part_file(path, &id)?, self.files.path_to_filesystem(path)?, path.clone());
        blocking(move || {
            let written = write_whole(&from, &payload).and_then(|()| {
                if is_creation {
                    link(&from, &to, &key)?;
                } else {
                    rename(&from, &to)?;
                }
                sync_folder(&to)
            });
            if written.is_err() {
                // What cannot be removed either is found by a sweep.
                let _ = std::fs::remove_file(&from);
            }
            written
        })
        .await?;
        let e_tag = self.files.head(path).await?.e_tag;
        Ok(PutResult { e_tag, version: None, extensions: object_store::Extensions::new() })
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let options = PutMultipartOptions { attributes: Attributes::new(), ..options };
        self.files.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix).try_filter(|meta| std::future::ready(is_visible(meta))).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.files.list_with_offset(prefix, offset);
        listed.try_filter(|meta| std::future::ready(is_visible(meta))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listed = self.files.list_with_delimiter(prefix).await?;
        listed.objects.retain(is_visible);
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.files.rename_opts(from, to, options).await
    }
}

/// Files of parts are no objects.
fn is_visible(meta: &ObjectMeta) -> bool {
    meta.location.filename().and_then(upload_of).is_none()
}

/// Looks for files of parts.
struct Walk<'a> {
    prefix: &'a str,
    found: Vec<UnfinishedUpload>,
    entries: usize,
}

impl Walk<'_> {
    /// Looks into `folder`, whose key is `key`.
    fn folder(&mut self, folder: &FilePath, key: &str, depth: usize) -> Result<()> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| failed(folder, error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed(folder, error))?;
            self.entries += 1;
            if self.entries > ENTRIES_MAX || depth == 0 {
                let limit =
                    "expected fewer entries and folders to look for unfinished uploads in, found more";
                return Err(failed(folder, io::Error::other(limit)));
            }
            // A name that is no text is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}/{name}") };
            if let Some((target, id)) = upload_of(&name) {
                let target = below(target);
                if let (true, Ok(path)) = (target.starts_with(self.prefix), Path::parse(&target)) {
                    self.found.push(UnfinishedUpload { path, id: id.to_owned() });
                }
            } else if below(&name).starts_with(self.prefix)
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                self.folder(&entry.path(), &below(&name), depth - 1)?;
            }
        }
        Ok(())
    }
}

/// The file and the id that a file of parts is named after.
fn upload_of(name: &str) -> Option<(&str, &str)> {
    let (target, id) = name.strip_prefix('.')?.strip_suffix(".part")?.rsplit_once('.')?;
    (is_id(id) && !target.is_empty()).then_some((target, id))
}

/// An id that no other upload has, and that tells the sizes of its parts.
fn new_id(sizes: PartSizes) -> String {
    format!("{:016x}-{:x}", fastrand::u64(..), sizes.first())
}

fn is_id(id: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    id.split_once('-').is_some_and(|(random, first)| random.len() == 16 && is_hex(random) && is_hex(first))
}

/// The bytes of an upload's first parts.
fn first_bytes(id: &str) -> u64 {
    let first = id.split_once('-').and_then(|(_, first)| u64::from_str_radix(first, 16).ok());
    first.unwrap_or(PartSizes::FIRST_BYTES)
}

/// The bytes of all `parts`, of which each but the last must have those of its number.
fn total(path: &Path, first: u64, parts: &[PartId]) -> Result<u64> {
    let sizes = PartSizes::from_first(first);
    let mut bytes = 0;
    for (number, part) in (1..).zip(parts) {
        let (expected, is_last) = (sizes.bytes(number), number as usize == parts.len());
        let length = part.content_id.parse().ok();
        let fits = |length: &u64| *length == expected || (is_last && *length < expected);
        bytes += length.filter(fits).ok_or_else(|| {
            let found = &part.content_id;
            let message = format!("{path}: part {number}: expected {expected} bytes, found {found:?}");
            Error::Generic { store: "directory", source: message.into() }
        })?;
    }
    Ok(bytes)
}

fn open_part_file(file: &FilePath, path: &Path, id: &MultipartId) -> Result<File> {
    OpenOptions::new().write(true).open(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unknown_upload(path, id),
        _ => failed(file, error),
    })
}

/// Writes a file that is not there yet, durably.
fn write_whole(file: &FilePath, payload: &PutPayload) -> Result<()> {
    let folder = file.parent().unwrap_or(FilePath::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut written = File::create_new(file).map_err(|error| failed(file, error))?;
    let mut write = || {
        payload.iter().try_for_each(|bytes| written.write_all(bytes))?;
        written.sync_all()
    };
    write().map_err(|error| failed(file, error))
}

/// Gives the file its name if nothing has it.
fn link(from: &FilePath, to: &FilePath, key: &Path) -> Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A process that was killed between the link and the removal of the other name.
            let inode = |path| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
            if inode(from).ok() != inode(to).ok() {
                return Err(Error::AlreadyExists { path: key.to_string(), source: error.into() });
            }
        }
        Err(error) => return Err(failed(to, error)),
    }
    std::fs::remove_file(from).map_err(|error| failed(from, error))
}

fn rename(from: &FilePath, to: &FilePath) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| failed(to, error))
}

/// Makes the names in the folder of `file` durable.
fn sync_folder(file: &FilePath) -> Result<()> {
    let folder = file.parent().unwrap_or(FilePath::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, error))
}

fn unknown_upload(path: &Path, id: &str) -> Error {
    let source = format!("upload {id}: expected one that is under way, found none").into();
    Error::NotFound { path: path.to_string(), source }
}

fn failed(place: &FilePath, source: io::Error) -> Error {
    let path = place.display().to_string();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path, source: source.into() },
        kind => {
            let source = io::Error::new(kind, format!("{path}: {source}"));
            Error::Generic { store: "directory", source: source.into() }
        }
    }
}

/// File work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::JoinError { source: error }),
        },
    }
}
