//! A store in memory whose answers to GETs fail as they are told to.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use crate::input::InputObject;

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// It ends after so many bytes.
    Short(u64),
    /// The connection breaks after so many bytes.
    Breaks(u64),
    /// It stops after so many bytes, and does not end.
    Stalls(u64),
    /// There is none.
    Fails,
    /// The caller may not.
    Denied,
    /// It has a byte too many.
    Overlong,
    /// The object is gone.
    Gone,
}

/// A store with one object, in memory.
#[derive(Debug)]
pub(super) struct FaultyStore {
    inner: InMemory,
    faults: Mutex<VecDeque<Fault>>,
    gets: Mutex<Vec<Range<u64>>>,
    /// Whether it passes over `If-Match` and the like, as some do.
    ignores_conditions: bool,
    /// Whether it gives ETags.
    has_e_tags: bool,
}

impl Default for FaultyStore {
    fn default() -> Self {
        let (inner, faults, gets) = (InMemory::new(), Mutex::default(), Mutex::default());
        Self { inner, faults, gets, ignores_conditions: false, has_e_tags: true }
    }
}

impl FaultyStore {
    pub(super) fn new(has_e_tags: bool, ignores_conditions: bool) -> Self {
        Self { has_e_tags, ignores_conditions, ..Self::default() }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty store")
    }
}

/// An object as a listing has it.
pub(super) fn listed(meta: &ObjectMeta) -> InputObject {
    InputObject {
        path: meta.location.clone(),
        size: meta.size,
        e_tag: meta.e_tag.clone(),
        modified: Some(meta.last_modified.into()),
        output: Path::from("out/a.csv.out"),
    }
}

impl FaultyStore {
    /// Writes the object; as it is listed then.
    pub(super) async fn write(&self, bytes: &[u8]) -> InputObject {
        let path = Path::from("in/a.csv");
        self.inner.put(&path, bytes.to_vec().into()).await.unwrap();
        let mut object = listed(&self.inner.head(&path).await.unwrap());
        object.e_tag = object.e_tag.filter(|_| self.has_e_tags);
        object
    }

    /// What the next answers are like.
    pub(super) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// The ranges that were asked for since the last time.
    pub(super) fn gets(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.gets.lock().unwrap())
    }

    pub(super) fn gets_so_far(&self) -> usize {
        self.gets.lock().unwrap().len()
    }
}

fn generic(message: &str) -> Error {
    Error::Generic { store: "faulty", source: message.into() }
}

/// The answer's bytes, `fault` taken into account, in pieces of a few bytes.
fn spoiled(bytes: &Bytes, fault: Fault) -> BoxStream<'static, Result<Bytes>> {
    let (bytes, failure) = match fault {
        Fault::Short(kept) => (bytes.slice(..bytes.len().min(kept as usize)), None),
        Fault::Breaks(kept) => {
            (bytes.slice(..bytes.len().min(kept as usize)), Some(Err(generic("the connection was reset"))))
        }
        Fault::Stalls(kept) => {
            let bytes = bytes.slice(..bytes.len().min(kept as usize));
            return stream::iter([Ok(bytes)]).chain(stream::pending()).boxed();
        }
        Fault::Overlong => ([bytes.as_ref(), b"?"].concat().into(), None),
        _ => (bytes.clone(), None),
    };
    let pieces: Vec<Result<Bytes>> =
        bytes.chunks(3.max(bytes.len() / 20)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces.into_iter().chain(failure)).boxed()
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn get_opts(&self, path: &Path, mut options: GetOptions) -> Result<GetResult> {
        if let Some(GetRange::Bounded(range)) = &options.range {
            self.gets.lock().unwrap().push(range.clone());
        }
        let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::Fails => return Err(generic("the service is busy")),
            Fault::Denied => {
                return Err(Error::PermissionDenied { path: path.to_string(), source: "denied".into() });
            }
            Fault::Gone => return Err(Error::NotFound { path: path.to_string(), source: "gone".into() }),
            _ => {}
        }
        if self.ignores_conditions {
            (options.if_match, options.if_unmodified_since) = (None, None);
        }
        let mut result = self.inner.get_opts(path, options).await?;
        result.meta.e_tag = result.meta.e_tag.filter(|_| self.has_e_tags);
        let (meta, range, attributes) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let extensions = std::mem::take(&mut result.extensions);
        let payload = GetResultPayload::Stream(spoiled(&result.bytes().await?, fault));
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
