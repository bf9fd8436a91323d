//! Objects on the wire.

use bytes::Bytes;
use futures_util::StreamExt;
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::*;
use s3s::{Body, S3Error, S3Request, S3Result, s3_error};

use super::convert::*;
use super::face::Face;
use super::tagging;
use crate::condition::{Conditions, Tag};
use crate::digest::{Checksums, check_md5};
use crate::error::Error;
use crate::object::PUT_BYTES_MAX;
use crate::reader::Span;
use crate::record::{Attributes, ObjectRecord};
use crate::trailers::Trailers;
use crate::writer::Announced;

/// The most keys in one deletion. Reason: S3's.
const DELETIONS_MAX: usize = 1000;

/// The most bytes of `x-amz-meta-*`. Reason: S3's.
const METADATA_BYTES_MAX: usize = 2048;

/// The type of an object that came without. Reason: S3's.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// What an input says about an object; the inputs of three operations have the same fields.
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::wire::objects::checked(Attributes {
            content_type: $input.content_type,
            content_encoding: $input.content_encoding,
            content_language: $input.content_language,
            content_disposition: $input.content_disposition,
            cache_control: $input.cache_control,
            expires: $input.expires.as_ref().and_then(http_date),
            website_redirect_location: $input.website_redirect_location,
            tagging: $input.tagging,
            metadata: $input.metadata.unwrap_or_default().into_iter().collect(),
        })
    };
}
pub(super) use attributes_of;

/// Attributes that are within S3's limits.
pub(super) fn checked(attributes: Attributes) -> S3Result<Attributes> {
    let bytes: usize = attributes.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return Err(Error::TooLarge { what: "metadata", limit: METADATA_BYTES_MAX as u64 }.into());
    }
    tagging::parse(attributes.tagging.as_deref().unwrap_or_default())?;
    Ok(attributes)
}

/// What an input says about the bytes that come with it.
pub(super) fn announced<T>(
    request: &S3Request<T>,
    length: Option<i64>,
    md5: Option<&String>,
    checksums: Checksums,
    algorithm: Option<&ChecksumAlgorithm>,
) -> S3Result<Announced> {
    if let Some(md5) = md5 {
        check_md5(md5)?;
    }
    Ok(Announced {
        limit: PUT_BYTES_MAX,
        length: length.and_then(|length| u64::try_from(length).ok()),
        md5: md5.cloned(),
        checksums,
        algorithm: algorithm.map(|name| self::algorithm(name.as_str())).transpose()?,
        trailers: request.extensions.get::<Trailers>().cloned(),
    })
}

/// The attributes of an object in an output's fields; the outputs of two operations have the same.
macro_rules! describe {
    ($output:expr, $record:expr, $with_checksums:expr) => {{
        let record: &ObjectRecord = $record;
        let attributes = record.details.attributes.clone();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = attributes.cache_control;
        $output.content_disposition = attributes.content_disposition;
        $output.content_encoding = attributes.content_encoding;
        $output.content_language = attributes.content_language;
        $output.content_type = Some(attributes.content_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned()));
        $output.e_tag = Some(etag(&record.etag));
        $output.expires = attributes.expires.as_deref().and_then(from_http_date);
        $output.last_modified = Some(timestamp(record.modified_ms));
        $output.metadata = Some(attributes.metadata.into_iter().collect());
        $output.website_redirect_location = attributes.website_redirect_location;
        if $with_checksums {
            with_checksums!($output, &record.details.checksums);
            $output.checksum_type = checksum_type(&record.details.checksums);
        }
    }};
}

impl Face {
    pub(super) async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<PutObjectOutput> {
        let body = request.input.body.take().unwrap_or_else(|| Body::empty().into());
        let input = &request.input;
        let checksums = declared_checksums!(input)?;
        let md5 = input.content_md5.as_ref();
        let announced =
            announced(&request, input.content_length, md5, checksums, input.checksum_algorithm.as_ref())?;
        let input = request.input;
        let conditions = conditions(input.if_match, input.if_none_match, None, None);
        let at = (input.bucket.as_str(), input.key.as_str());
        let attributes = attributes_of!(input)?;
        let record = self.store.put(at, body, announced, attributes, conditions).await?;
        let mut output = PutObjectOutput { e_tag: Some(etag(&record.etag)), ..PutObjectOutput::default() };
        with_checksums!(output, &record.details.checksums);
        output.checksum_type = checksum_type(&record.details.checksums);
        Ok(output)
    }

    pub(super) async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
        let input = request.input;
        check_version(input.version_id.as_deref())?;
        let span = span(input.range, input.part_number)?;
        let since = (input.if_modified_since.as_ref(), input.if_unmodified_since.as_ref());
        let conditions = conditions(input.if_match, input.if_none_match, since.0, since.1);
        let reading = self.store.read(&input.bucket, &input.key, conditions, span).await?;
        let (record, range) = (reading.record.clone(), reading.range.clone());
        let bytes = reading.into_stream().map(|bytes: crate::Result<Bytes>| bytes.map(Frame::data));
        let is_whole = range.end - range.start == record.size;
        let mut output = GetObjectOutput {
            body: Some(Body::http_body_unsync(StreamBody::new(bytes)).into()),
            content_length: Some(length(range.end - range.start)),
            content_range: content_range(span, &range, record.size),
            parts_count: parts_count(span, &record),
            tag_count: tag_count(&record),
            ..GetObjectOutput::default()
        };
        describe!(output, &record, is_whole && input.checksum_mode.is_some());
        Ok(output)
    }

    pub(super) async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<HeadObjectOutput> {
        let input = request.input;
        check_version(input.version_id.as_deref())?;
        let span = span(input.range, input.part_number)?;
        let since = (input.if_modified_since.as_ref(), input.if_unmodified_since.as_ref());
        let conditions = conditions(input.if_match, input.if_none_match, since.0, since.1);
        let record = self.store.head(&input.bucket, &input.key, conditions).await?;
        let range = span.of(&record)?;
        let is_whole = range.end - range.start == record.size;
        let mut output = HeadObjectOutput {
            content_length: Some(length(range.end - range.start)),
            content_range: content_range(span, &range, record.size),
            parts_count: parts_count(span, &record),
            ..HeadObjectOutput::default()
        };
        describe!(output, &record, is_whole && input.checksum_mode.is_some());
        output.cache_control = input.response_cache_control.or(output.cache_control);
        output.content_disposition = input.response_content_disposition.or(output.content_disposition);
        output.content_encoding = input.response_content_encoding.or(output.content_encoding);
        output.content_language = input.response_content_language.or(output.content_language);
        output.content_type = input.response_content_type.or(output.content_type);
        output.expires = input.response_expires.or(output.expires);
        Ok(output)
    }

    pub(super) async fn get_object_attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<GetObjectAttributesOutput> {
        let input = request.input;
        check_version(input.version_id.as_deref())?;
        let record = self.store.head(&input.bucket, &input.key, Conditions::default()).await?;
        // They come in one header, with commas, or in several.
        let asked: Vec<_> = input
            .object_attributes
            .iter()
            .flat_map(|names| names.as_str().split(',').map(str::trim))
            .collect();
        let asks = |name: &str| asked.contains(&name);
        let mut output = GetObjectAttributesOutput {
            last_modified: Some(timestamp(record.modified_ms)),
            ..GetObjectAttributesOutput::default()
        };
        output.e_tag = asks(ObjectAttributes::ETAG).then(|| etag(&record.etag));
        output.object_size = asks(ObjectAttributes::OBJECT_SIZE).then(|| length(record.size));
        output.storage_class =
            asks(ObjectAttributes::STORAGE_CLASS).then(|| StorageClass::from_static(StorageClass::STANDARD));
        if asks(ObjectAttributes::CHECKSUM) && !record.details.checksums.values.is_empty() {
            let mut checksum = Checksum::default();
            with_checksums!(checksum, &record.details.checksums);
            checksum.checksum_type = checksum_type(&record.details.checksums);
            output.checksum = Some(checksum);
        }
        if asks(ObjectAttributes::OBJECT_PARTS) && !record.details.parts.is_empty() {
            let limit = limit("x-amz-max-parts", input.max_parts)?;
            output.object_parts = Some(object_parts(&record, input.part_number_marker.unwrap_or(0), limit));
        }
        Ok(output)
    }

    pub(super) async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<DeleteObjectOutput> {
        let input = request.input;
        check_version(input.version_id.as_deref())?;
        let conditions = conditions(input.if_match, None, None, None);
        self.store.delete(&input.bucket, &input.key, conditions).await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<DeleteObjectsOutput> {
        let input = request.input;
        let (objects, is_quiet) = (input.delete.objects, input.delete.quiet.unwrap_or(false));
        if objects.is_empty() || objects.len() > DELETIONS_MAX {
            let found = objects.len();
            return Err(s3_error!(MalformedXML, "objects: expected 1 to {DELETIONS_MAX}, found {found}"));
        }
        let keys = objects.iter().map(|object| {
            let tag = object.e_tag.clone().map(|etag| Tag::Is(etag.into_value()));
            (object.key.clone(), Conditions { if_match: tag, ..Conditions::default() })
        });
        let deleted = self.store.delete_all(input.bucket, keys.collect()).await?;
        let (mut done, mut errors) = (Vec::new(), Vec::new());
        for (object, deleted) in objects.into_iter().zip(deleted) {
            let version = check_version(object.version_id.as_deref());
            match version.and_then(|()| deleted.map_err(S3Error::from)) {
                Ok(_) => done.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                Err(error) => errors.push(s3s::dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: object.version_id,
                }),
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(done),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        })
    }

    pub(super) async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<CopyObjectOutput> {
        let input = request.input;
        let from = source(input.copy_source)?;
        let is_replaced = input
            .metadata_directive
            .as_ref()
            .is_some_and(|given| given.as_str() == MetadataDirective::REPLACE);
        let is_retagged =
            input.tagging_directive.as_ref().is_some_and(|given| given.as_str() == TaggingDirective::REPLACE);
        let is_itself = from.0 == input.bucket && from.1 == input.key;
        let is_changed = is_replaced || is_retagged || input.storage_class.is_some();
        if is_itself && !is_changed && input.server_side_encryption.is_none() {
            return Err(s3_error!(
                InvalidRequest,
                "copy: expected another key, or x-amz-metadata-directive REPLACE, found the object itself"
            ));
        }
        let since = (input.copy_source_if_modified_since, input.copy_source_if_unmodified_since);
        let of_source = conditions(
            input.copy_source_if_match,
            input.copy_source_if_none_match,
            since.0.as_ref(),
            since.1.as_ref(),
        );
        let at = (input.bucket.as_str(), input.key.as_str());
        let given = attributes_of!(input)?;
        let attributes = move |found: Attributes| {
            let tagging = if is_retagged { given.tagging.clone() } else { found.tagging.clone() };
            Attributes { tagging, ..if is_replaced { given } else { found } }
        };
        let from = (from.0.as_str(), from.1.as_str());
        let record = self.store.copy(from, at, of_source, Conditions::default(), attributes).await?;
        let mut result = CopyObjectResult {
            e_tag: Some(etag(&record.etag)),
            last_modified: Some(timestamp(record.modified_ms)),
            ..CopyObjectResult::default()
        };
        with_checksums!(result, &record.details.checksums);
        result.checksum_type = checksum_type(&record.details.checksums);
        Ok(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() })
    }
}

fn content_range(span: Span, range: &std::ops::Range<u64>, size: u64) -> Option<String> {
    let is_shown = span != Span::Whole && range.start < range.end;
    is_shown.then(|| format!("bytes {}-{}/{size}", range.start, range.end - 1))
}

fn parts_count(span: Span, record: &ObjectRecord) -> Option<i32> {
    let is_shown = matches!(span, Span::Part(_)) && !record.details.parts.is_empty();
    is_shown.then(|| count(record.details.parts.len()))
}

fn tag_count(record: &ObjectRecord) -> Option<i32> {
    let tags = tagging::parse(record.details.attributes.tagging.as_deref()?).ok()?;
    Some(count(tags.len()))
}

fn object_parts(record: &ObjectRecord, after: i32, limit: usize) -> GetObjectAttributesParts {
    let parts = &record.details.parts;
    let shown = parts.iter().filter(|part| i64::from(part.number) > i64::from(after));
    let left = shown.clone().count();
    let shown: Vec<_> = shown
        .take(limit)
        .map(|part| {
            let mut shown = ObjectPart {
                part_number: i32::try_from(part.number).ok(),
                size: Some(length(part.size)),
                ..ObjectPart::default()
            };
            with_checksums!(shown, &part.checksums);
            shown
        })
        .collect();
    GetObjectAttributesParts {
        is_truncated: Some(left > limit),
        max_parts: Some(count(limit)),
        next_part_number_marker: shown.last().and_then(|part| part.part_number),
        part_number_marker: Some(after),
        parts: Some(shown),
        total_parts_count: Some(count(parts.len())),
    }
}
