//! A store that fails, loses its answer, or whose caller dies, at the n-th operation; and that looks, after each operation,
//! whether a partial object can be seen.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;
use transform::store::{Standing, UnfinishedUpload};
use transform::{Store, Uploads};

/// What happens at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and fails.
    Fails,
    /// It is done, and fails.
    LosesAnswer,
    /// It is not done, and the process is gone.
    KilledBefore,
    /// It is done, and the process is gone before it learns so.
    KilledAfter,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Faulty(Arc<Inner>);

struct Inner {
    store: Store,
    operations: AtomicUsize,
    /// From which operation on, for how many, what happens.
    plan: Mutex<Option<(usize, usize, Fault)>>,
    killed: Notify,
    /// The key that is looked at, and all that may be seen there.
    watched: (Path, Vec<Bytes>),
}

impl Faulty {
    pub(crate) fn new(store: Store, watched: Path, allowed: Vec<Bytes>) -> Self {
        let (operations, plan, killed) = (AtomicUsize::new(0), Mutex::new(None), Notify::new());
        Self(Arc::new(Inner { store, operations, plan, killed, watched: (watched, allowed) }))
    }

    pub(crate) fn store(&self) -> Store {
        let faulty = Arc::new(self.clone());
        Store {
            objects: Arc::clone(&faulty) as Arc<dyn ObjectStore>,
            parts: Arc::clone(&faulty) as Arc<dyn MultipartStore>,
            uploads: faulty,
        }
    }

    /// From operation `first` on, `count` operations meet `fault`.
    pub(crate) fn plan(&self, first: usize, count: usize, fault: Fault) {
        self.0.operations.store(0, Ordering::SeqCst);
        *self.0.plan.lock().unwrap() = Some((first, count, fault));
    }

    pub(crate) fn no_plan(&self) {
        *self.0.plan.lock().unwrap() = None;
    }

    /// Operations since the plan was made.
    pub(crate) fn operations(&self) -> usize {
        self.0.operations.load(Ordering::SeqCst)
    }

    /// Returns when the process is gone.
    pub(crate) async fn killed(&self) {
        self.0.killed.notified().await;
    }

    async fn operation<T: Send>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let number = self.0.operations.fetch_add(1, Ordering::SeqCst);
        let plan = *self.0.plan.lock().unwrap();
        let fault = plan.filter(|(first, count, _)| (*first..first + count).contains(&number));
        let fault = fault.map(|(_, _, fault)| fault);
        let failure = || Error::Generic { store: "faulty", source: "injected".into() };
        match fault {
            Some(Fault::Fails) => return Err(failure()),
            Some(Fault::KilledBefore) => self.die().await,
            _ => {}
        }
        let result = work.await;
        self.look().await;
        match fault {
            Some(Fault::LosesAnswer) => Err(failure()),
            Some(Fault::KilledAfter) => {
                self.die().await;
                result
            }
            _ => result,
        }
    }

    async fn die(&self) {
        self.0.killed.notify_one();
        std::future::pending::<()>().await;
    }

    async fn look(&self) {
        let (path, allowed) = &self.0.watched;
        match self.0.store.objects.get(path).await {
            Ok(found) => {
                let seen = found.bytes().await.unwrap();
                assert!(allowed.contains(&seen), "{path}: {} bytes of a partial object are seen", seen.len());
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.0.store.objects)
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait]
impl MultipartStore for Faulty {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.operation(self.0.store.parts.create_multipart(path)).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        self.operation(self.0.store.parts.create_multipart_opts(path, options)).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.operation(self.0.store.parts.put_part(path, id, index, data)).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.operation(self.0.store.parts.complete_multipart(path, id, parts)).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.operation(self.0.store.parts.abort_multipart(path, id)).await
    }
}

#[async_trait]
impl Uploads for Faulty {
    async fn unfinished(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        self.operation(self.0.store.uploads.unfinished(prefix)).await
    }

    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> Result<PutResult> {
        self.operation(self.0.store.uploads.complete_if(path, id, parts, standing)).await
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.operation(self.0.store.objects.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.operation(self.0.store.objects.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.operation(self.0.store.objects.get_opts(path, options)).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.operation(self.0.store.objects.get_ranges(path, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.store.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (faulty, listed) = (self.clone(), self.0.store.objects.list(prefix));
        let first = async move { faulty.operation(std::future::ready(Ok(listed))).await };
        stream::once(first)
            .flat_map(|listed| match listed {
                Ok(listed) => listed,
                Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.operation(self.0.store.objects.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.operation(self.0.store.objects.copy_opts(from, to, options)).await
    }
}
