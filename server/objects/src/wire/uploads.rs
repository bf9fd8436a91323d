//! Uploads in parts on the wire.

use s3s::dto::*;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Result};

use super::convert::*;
use super::face::Face;
use super::objects::{announced, attributes_of};
use crate::condition::Conditions;
use crate::index::uploads::{UploadDetails, UploadedPart};
use crate::multipart::{Completion, NamedPart};
use crate::object::PUT_BYTES_MAX;
use crate::reader::Span;
use crate::record::Attributes;
use crate::writer::Announced;

impl Face {
    pub(super) async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let input = request.input;
        let algorithm = input.checksum_algorithm.as_ref().map(|name| algorithm(name.as_str())).transpose()?;
        let is_full_object =
            input.checksum_type.as_ref().is_some_and(|given| given.as_str() == ChecksumType::FULL_OBJECT);
        let attributes = attributes_of!(input)?;
        let details = UploadDetails { attributes, algorithm, is_full_object };
        let id = self.store.create_upload(&input.bucket, &input.key, details).await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(super) async fn upload_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let body = request.input.body.take().unwrap_or_else(|| Body::empty().into());
        let input = &request.input;
        let number = part_number(input.part_number)?;
        let checksums = declared_checksums!(input)?;
        let md5 = input.content_md5.as_ref();
        let announced =
            announced(&request, input.content_length, md5, checksums, input.checksum_algorithm.as_ref())?;
        let at = (input.bucket.as_str(), input.key.as_str());
        let part = self.store.put_part(at, &input.upload_id, number, body, announced).await?;
        let mut output = UploadPartOutput { e_tag: Some(etag(&part.md5)), ..UploadPartOutput::default() };
        with_checksums!(output, &part.checksums);
        Ok(output)
    }

    pub(super) async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        let input = request.input;
        let number = part_number(input.part_number)?;
        let from = source(input.copy_source)?;
        let span = input.copy_source_range.as_deref().map(source_span).transpose()?.unwrap_or_default();
        let since = (input.copy_source_if_modified_since, input.copy_source_if_unmodified_since);
        let conditions = conditions(
            input.copy_source_if_match,
            input.copy_source_if_none_match,
            since.0.as_ref(),
            since.1.as_ref(),
        );
        let source = self.store.head(&from.0, &from.1, Conditions::default()).await?;
        conditions.check_source(&source)?;
        // Whatever replaces it meanwhile is not what was asked for.
        let same = Conditions::matching(&source.etag);
        let reading = self.store.read(&from.0, &from.1, same, span).await?;
        let announced = Announced { limit: PUT_BYTES_MAX, ..Announced::default() };
        let at = (input.bucket.as_str(), input.key.as_str());
        let part =
            self.store.put_part(at, &input.upload_id, number, reading.into_stream(), announced).await?;
        let mut result = CopyPartResult {
            e_tag: Some(etag(&part.md5)),
            last_modified: Some(timestamp(part.modified_ms)),
            ..CopyPartResult::default()
        };
        with_checksums!(result, &part.checksums);
        Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() })
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let input = request.input;
        let checksums = declared_checksums!(input)?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let completion = Completion {
            parts: parts.into_iter().map(named).collect::<S3Result<_>>()?,
            checksums,
            size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
            conditions: conditions(input.if_match, input.if_none_match, None, None),
        };
        let (store, bucket, key, id) = (self.store.clone(), input.bucket, input.key, input.upload_id);
        // What has begun is finished, also when the client leaves: it will ask again, and get this answer.
        let completed = tokio::spawn(async move {
            let record = store.complete_upload((&bucket, &key), &id, completion).await?;
            let mut output = CompleteMultipartUploadOutput {
                location: Some(format!("/{bucket}/{key}")),
                bucket: Some(bucket),
                key: Some(key),
                e_tag: Some(etag(&record.etag)),
                ..CompleteMultipartUploadOutput::default()
            };
            with_checksums!(output, &record.details.checksums);
            output.checksum_type = checksum_type(&record.details.checksums);
            Ok::<_, S3Error>(output)
        });
        completed.await.map_err(|_| S3Error::from(S3ErrorCode::InternalError))?
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<AbortMultipartUploadOutput> {
        let input = request.input;
        self.store.abort_upload(&input.bucket, &input.key, &input.upload_id).await?;
        Ok(AbortMultipartUploadOutput::default())
    }

    pub(super) async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<ListPartsOutput> {
        let input = request.input;
        let limit = limit("max-parts", input.max_parts)?;
        let after = input.part_number_marker.unwrap_or(0);
        let at = (input.bucket.as_str(), input.key.as_str());
        let number = u32::try_from(after).unwrap_or(0);
        let (upload, mut parts) = self.store.list_parts(at, &input.upload_id, number, limit + 1).await?;
        let is_truncated = parts.len() > limit;
        parts.truncate(limit);
        let next = parts.last().map_or(after, |part| count(part.number as usize));
        let algorithm =
            upload.details.algorithm.map(|algorithm| ChecksumAlgorithm::from_static(algorithm.as_str()));
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(count(limit)),
            part_number_marker: Some(after),
            next_part_number_marker: Some(next),
            is_truncated: Some(is_truncated),
            parts: Some(parts.iter().map(listed).collect()),
            checksum_algorithm: algorithm,
            owner: Some(self.owner()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..ListPartsOutput::default()
        })
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let input = request.input;
        let limit = limit("max-uploads", input.max_uploads)?;
        if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
            let message =
                "delimiter: expected none in a list of uploads, which are not rolled up here, found one";
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        }
        let key = input.key_marker.clone().unwrap_or_default();
        // Without an id, what is asked for begins after all uploads of the key.
        let id = input
            .upload_id_marker
            .clone()
            .unwrap_or_else(|| if key.is_empty() { "" } else { "~" }.to_owned());
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut uploads = self.store.list_uploads(&input.bucket, &prefix, (&key, &id), limit + 1).await?;
        let is_truncated = uploads.len() > limit;
        uploads.truncate(limit);
        let last = uploads.last().filter(|_| is_truncated);
        let (next_key, next_id) = (last.map(|last| last.key.clone()), last.map(|last| last.id.clone()));
        let upload = |upload: crate::index::uploads::UploadRecord| MultipartUpload {
            initiated: Some(timestamp(upload.created_ms)),
            key: Some(upload.key),
            owner: Some(self.owner()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            upload_id: Some(upload.id),
            ..MultipartUpload::default()
        };
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: Some(key),
            upload_id_marker: input.upload_id_marker,
            next_key_marker: next_key,
            next_upload_id_marker: next_id,
            max_uploads: Some(count(limit)),
            is_truncated: Some(is_truncated),
            uploads: Some(uploads.into_iter().map(upload).collect()),
            ..ListMultipartUploadsOutput::default()
        })
    }
}

/// The bytes of a copy's source: `bytes=first-last`, nothing else.
fn source_span(range: &str) -> S3Result<Span> {
    match Range::parse(range) {
        Ok(Range::Int { first, last: Some(last) }) => Ok(Span::Within(first, last)),
        _ => {
            let message = format!("x-amz-copy-source-range: expected bytes=first-last, found {range:?}");
            Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message))
        }
    }
}

fn named(part: CompletedPart) -> S3Result<NamedPart> {
    let checksums = declared_checksums!(part)?;
    Ok(NamedPart {
        number: part_number(part.part_number.unwrap_or(0))?,
        etag: part.e_tag.map(ETag::into_value),
        checksums,
    })
}

fn listed(part: &UploadedPart) -> Part {
    let mut shown = Part {
        e_tag: Some(etag(&part.md5)),
        last_modified: Some(timestamp(part.modified_ms)),
        part_number: i32::try_from(part.number).ok(),
        size: Some(length(part.size)),
        ..Part::default()
    };
    with_checksums!(shown, &part.checksums);
    shown
}
