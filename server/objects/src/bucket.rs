//! One bucket as an `object_store`, for use in this process.
//!
//! What `object_store` cannot name (keys with empty segments or dots) it cannot reach, here as with S3.

mod uploads;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, CopyMode, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, UploadPart,
};

use crate::condition::Conditions;
use crate::directory::Directory;
use crate::error::Error;
use crate::index::listing::{ListQuery, Page};
use crate::index::uploads::UploadDetails;
use crate::multipart::{Completion, NamedPart};
use crate::object::PUT_BYTES_MAX;
use crate::reader::Span;
use crate::record::{Attributes, ObjectRecord, system_time};
use crate::writer::Announced;

/// How many keys a page of a list has.
const PAGE_KEYS: usize = 1000;

/// How many deletions are in one transaction.
const DELETIONS: usize = 100;

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Arc<Directory>,
    name: String,
}

impl Directory {
    /// A bucket as an `object_store`; what is asked of one that is not there fails as not found.
    pub fn bucket(self: &Arc<Self>, name: &str) -> Arc<dyn ObjectStore> {
        Arc::new(Bucket::new(self, name))
    }
}

impl Bucket {
    /// A bucket of `store`; what is asked of one that is not there fails as not found.
    pub fn new(store: &Arc<Directory>, name: &str) -> Self {
        Self { store: Arc::clone(store), name: name.to_owned() }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "embedded S3 bucket {}", self.name)
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let conditions = match &options.mode {
            PutMode::Overwrite => Conditions::default(),
            PutMode::Create => Conditions::absent(),
            PutMode::Update(version) => {
                Conditions::matching(unquoted(version.e_tag.as_deref().unwrap_or_default()))
            }
        };
        let is_creation = matches!(options.mode, PutMode::Create);
        let attributes = attributes(&options.attributes, options.tags.encoded());
        let announced = Announced { limit: PUT_BYTES_MAX, ..Announced::default() };
        let body = stream::iter(payload.into_iter().map(Ok::<Bytes, Error>));
        let at = (self.name.as_str(), location.as_ref());
        let put = self.store.put(at, body, announced, attributes, conditions).await;
        put.map(|record| put_result(&record)).map_err(|error| match error {
            // An update of nothing is an update of what is not as expected.
            Error::NoKey(_) => failed(location, false)(Error::Precondition("If-Match")),
            error => failed(location, is_creation)(error),
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let attributes = attributes(&options.attributes, options.tags.encoded());
        let details = UploadDetails { attributes, ..UploadDetails::default() };
        let id = self.store.create_upload(&self.name, location.as_ref(), details).await;
        let id = id.map_err(failed(location, false))?;
        Ok(Box::new(Upload { bucket: self.clone(), location: location.clone(), id, parts: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let span = options.range.as_ref().map_or(Ok(Span::Whole), span).map_err(failed(location, false))?;
        let key = location.as_ref();
        if options.head {
            let record = self.store.head(&self.name, key, Conditions::default()).await;
            let record = record.map_err(failed(location, false))?;
            let range = span.of(&record).map_err(failed(location, false))?;
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            return got(location.clone(), &record, range, payload, &options);
        }
        let reading = self.store.read(&self.name, key, Conditions::default(), span).await;
        let reading = reading.map_err(failed(location, false))?;
        let (record, range) = (reading.record.clone(), reading.range.clone());
        let at = location.clone();
        let bytes = reading.into_stream().map_err(move |error| failed(&at, false)(error)).boxed();
        got(location.clone(), &record, range, GetResultPayload::Stream(bytes), &options)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let bucket = self.clone();
        locations
            .try_chunks(DELETIONS)
            .map_err(|error| error.1)
            .and_then(move |locations| {
                let bucket = bucket.clone();
                async move {
                    let keys = locations.iter().map(|location| (location.to_string(), Conditions::default()));
                    let deleted = bucket.store.delete_all(bucket.name.clone(), keys.collect()).await;
                    let deleted = deleted.map_err(failed(&Path::default(), false))?;
                    let each = locations.into_iter().zip(deleted);
                    Ok(stream::iter(each.map(|(location, deleted)| match deleted {
                        Ok(_) => Ok(location),
                        Err(error) => Err(failed(&location, false)(error)),
                    })))
                }
            })
            .try_flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.listed(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.listed(prefix, Some(offset.to_string()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let delimiter = "/".to_owned();
        let mut query = ListQuery { prefix: folder(prefix), delimiter, after: None, limit: PAGE_KEYS };
        let (mut objects, mut common_prefixes) = (Vec::new(), Vec::new());
        loop {
            let page = self.page(&query).await?;
            for prefix in &page.prefixes {
                common_prefixes.push(Path::parse(prefix)?);
            }
            for meta in metas(&query.prefix, &page) {
                objects.push(meta?);
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(ListResult { common_prefixes, objects, extensions: http::Extensions::default() });
            }
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        let is_creation = matches!(options.mode, CopyMode::Create);
        let conditions = if is_creation { Conditions::absent() } else { Conditions::default() };
        let bucket = self.name.as_str();
        let (source, target) = ((bucket, from.as_ref()), (bucket, to.as_ref()));
        let copied = self.store.copy(source, target, Conditions::default(), conditions, |same| same).await;
        copied.map(drop).map_err(|error| match error {
            Error::NoKey(_) => failed(from, false)(error),
            error => failed(to, is_creation)(error),
        })
    }
}

impl Bucket {
    async fn page(&self, query: &ListQuery) -> object_store::Result<Page> {
        self.store.list(&self.name, query.clone()).await.map_err(failed(&Path::default(), false))
    }

    fn listed(
        &self,
        prefix: Option<&Path>,
        after: Option<String>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let query = ListQuery { prefix: folder(prefix), delimiter: String::new(), after, limit: PAGE_KEYS };
        let bucket = self.clone();
        let pages = stream::try_unfold(Some(query), move |query| {
            let bucket = bucket.clone();
            async move {
                let Some(mut query) = query else { return Ok::<_, object_store::Error>(None) };
                let page = bucket.page(&query).await?;
                let metas = metas(&query.prefix, &page);
                query.after = page.next;
                let next = query.after.is_some().then_some(query);
                Ok(Some((stream::iter(metas), next)))
            }
        });
        pages.try_flatten().boxed()
    }
}

/// An upload in parts.
#[derive(Debug)]
struct Upload {
    bucket: Bucket,
    location: Path,
    id: String,
    parts: u32,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts += 1;
        let (bucket, location, id, number) =
            (self.bucket.clone(), self.location.clone(), self.id.clone(), self.parts);
        Box::pin(async move {
            let body = stream::iter(data.into_iter().map(Ok::<Bytes, Error>));
            let announced = Announced { limit: PUT_BYTES_MAX, ..Announced::default() };
            let at = (bucket.name.as_str(), location.as_ref());
            let put = bucket.store.put_part(at, &id, number, body, announced).await;
            put.map(drop).map_err(failed(&location, false))
        })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        if self.parts == 0 {
            self.put_part(PutPayload::new()).await?;
        }
        let parts = (1..=self.parts).map(|number| NamedPart { number, ..NamedPart::default() }).collect();
        let completion = Completion { parts, ..Completion::default() };
        let at = (self.bucket.name.as_str(), self.location.as_ref());
        let completed = self.bucket.store.complete_upload(at, &self.id, completion).await;
        completed.map(|record| put_result(&record)).map_err(failed(&self.location, false))
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        let aborted =
            self.bucket.store.abort_upload(&self.bucket.name, self.location.as_ref(), &self.id).await;
        aborted.map_err(failed(&self.location, false))
    }
}

/// What keys below `prefix` begin with: `object_store`'s prefixes are whole folders.
fn folder(prefix: Option<&Path>) -> String {
    match prefix.map(Path::as_ref).unwrap_or_default() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

/// The objects of a page; the marker of the folder itself is none.
fn metas(folder: &str, page: &Page) -> Vec<object_store::Result<ObjectMeta>> {
    let objects = page.objects.iter().filter(|object| object.key != folder);
    let meta = |object: &crate::ListedObject| {
        Ok(ObjectMeta {
            location: Path::parse(&object.key)?,
            last_modified: system_time(object.modified_ms).into(),
            size: object.size,
            e_tag: Some(quoted(&object.etag)),
            version: None,
        })
    };
    objects.map(meta).collect()
}

fn got(
    location: Path,
    record: &ObjectRecord,
    range: std::ops::Range<u64>,
    payload: GetResultPayload,
    options: &GetOptions,
) -> object_store::Result<GetResult> {
    let meta = ObjectMeta {
        location,
        last_modified: system_time(record.modified_ms).into(),
        size: record.size,
        e_tag: Some(quoted(&record.etag)),
        version: None,
    };
    options.check_preconditions(&meta)?;
    let attributes = given_attributes(&record.details.attributes);
    Ok(GetResult { payload, meta, range, attributes, extensions: http::Extensions::default() })
}

fn span(range: &GetRange) -> crate::Result<Span> {
    match range {
        GetRange::Bounded(range) if range.start < range.end => Ok(Span::Within(range.start, range.end - 1)),
        GetRange::Bounded(range) => {
            let (expected, found) = ("at least one byte", format!("{}..{}", range.start, range.end));
            Err(Error::Argument { name: "range", expected, found })
        }
        GetRange::Offset(first) => Ok(Span::From(*first)),
        GetRange::Suffix(count) => Ok(Span::Last(*count)),
    }
}

fn put_result(record: &ObjectRecord) -> PutResult {
    PutResult { e_tag: Some(quoted(&record.etag)), version: None, extensions: http::Extensions::default() }
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

fn attributes(given: &object_store::Attributes, tagging: &str) -> Attributes {
    let text = |attribute| given.get(&attribute).map(|value| value.to_string());
    let metadata = given.iter().filter_map(|(attribute, value)| match attribute {
        Attribute::Metadata(name) => Some((name.to_string(), value.to_string())),
        _ => None,
    });
    Attributes {
        content_type: text(Attribute::ContentType),
        content_encoding: text(Attribute::ContentEncoding),
        content_language: text(Attribute::ContentLanguage),
        content_disposition: text(Attribute::ContentDisposition),
        cache_control: text(Attribute::CacheControl),
        tagging: (!tagging.is_empty()).then(|| tagging.to_owned()),
        metadata: metadata.collect(),
        ..Attributes::default()
    }
}

fn given_attributes(attributes: &Attributes) -> object_store::Attributes {
    let mut given = object_store::Attributes::new();
    let fixed = [
        (Attribute::ContentType, &attributes.content_type),
        (Attribute::ContentEncoding, &attributes.content_encoding),
        (Attribute::ContentLanguage, &attributes.content_language),
        (Attribute::ContentDisposition, &attributes.content_disposition),
        (Attribute::CacheControl, &attributes.cache_control),
    ];
    for (attribute, value) in fixed {
        if let Some(value) = value {
            given.insert(attribute, value.clone().into());
        }
    }
    for (name, value) in &attributes.metadata {
        given.insert(Attribute::Metadata(name.clone().into()), value.clone().into());
    }
    given
}

/// Our errors as `object_store`'s.
fn failed(location: &Path, is_creation: bool) -> impl FnOnce(Error) -> object_store::Error + use<> {
    let path = location.to_string();
    move |error| match error {
        Error::NoBucket(_) | Error::NoKey(_) | Error::NoUpload(_) => {
            object_store::Error::NotFound { path, source: error.into() }
        }
        Error::Precondition(_) if is_creation => {
            object_store::Error::AlreadyExists { path, source: error.into() }
        }
        Error::Precondition(_) => object_store::Error::Precondition { path, source: error.into() },
        Error::NotModified { .. } => object_store::Error::NotModified { path, source: error.into() },
        error => object_store::Error::Generic { store: "embedded S3", source: error.into() },
    }
}
