//! Lists of objects on the wire.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::convert::{count, etag, length, limit, timestamp};
use super::face::Face;
use crate::index::listing::{ListQuery, ListedObject, Page};

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// How names stand in an answer.
#[derive(Debug, Clone)]
struct Names {
    encoding: Option<EncodingType>,
}

impl Names {
    fn new(encoding: Option<EncodingType>) -> S3Result<Self> {
        match &encoding {
            Some(given) if given.as_str() != EncodingType::URL => {
                let message = format!("encoding-type: expected url, found {:?}", given.as_str());
                Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message))
            }
            _ => Ok(Self { encoding }),
        }
    }

    fn write(&self, name: &str) -> String {
        match self.encoding {
            Some(_) => utf8_percent_encode(name, PLAIN).to_string(),
            None => name.to_owned(),
        }
    }

    fn write_some(&self, name: Option<&String>) -> Option<String> {
        name.filter(|name| !name.is_empty()).map(|name| self.write(name))
    }
}

impl Face {
    fn contents(&self, names: &Names, objects: Vec<ListedObject>, with_owner: bool) -> Vec<Object> {
        let object = |object: ListedObject| Object {
            e_tag: Some(etag(&object.etag)),
            key: Some(names.write(&object.key)),
            last_modified: Some(timestamp(object.modified_ms)),
            owner: with_owner.then(|| self.owner()),
            size: Some(length(object.size)),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Object::default()
        };
        objects.into_iter().map(object).collect()
    }

    pub(super) async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<ListObjectsOutput> {
        let input = request.input;
        let names = Names::new(input.encoding_type)?;
        let limit = limit("max-keys", input.max_keys)?;
        let query = query(input.prefix.as_ref(), input.delimiter.as_ref(), input.marker.clone(), limit);
        let page = self.store.list(&input.bucket, query).await?;
        // Where nothing is rolled up, the last key says where to go on.
        let next =
            page.next.as_ref().filter(|_| input.delimiter.as_ref().is_some_and(|text| !text.is_empty()));
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(names.write(input.prefix.as_deref().unwrap_or_default())),
            marker: Some(names.write(input.marker.as_deref().unwrap_or_default())),
            max_keys: Some(count(limit)),
            is_truncated: Some(page.next.is_some()),
            next_marker: next.map(|next| names.write(next)),
            common_prefixes: prefixes(&names, &page),
            contents: Some(self.contents(&names, page.objects, true)),
            delimiter: names.write_some(input.delimiter.as_ref()),
            encoding_type: names.encoding,
            ..ListObjectsOutput::default()
        })
    }

    pub(super) async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<ListObjectsV2Output> {
        let input = request.input;
        let names = Names::new(input.encoding_type)?;
        let limit = limit("max-keys", input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => Some(position(token)?),
            None => input.start_after.clone(),
        };
        let query = query(input.prefix.as_ref(), input.delimiter.as_ref(), after, limit);
        let page = self.store.list(&input.bucket, query).await?;
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(names.write(input.prefix.as_deref().unwrap_or_default())),
            max_keys: Some(count(limit)),
            key_count: Some(count(page.objects.len() + page.prefixes.len())),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_ref().map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
            common_prefixes: prefixes(&names, &page),
            contents: Some(self.contents(&names, page.objects, input.fetch_owner.unwrap_or(false))),
            delimiter: names.write_some(input.delimiter.as_ref()),
            start_after: names.write_some(input.start_after.as_ref()),
            encoding_type: names.encoding,
            ..ListObjectsV2Output::default()
        })
    }

    /// Objects have one version each, the latest, whose id is `null`.
    pub(super) async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<ListObjectVersionsOutput> {
        let input = request.input;
        let names = Names::new(input.encoding_type)?;
        let limit = limit("max-keys", input.max_keys)?;
        let query = query(input.prefix.as_ref(), input.delimiter.as_ref(), input.key_marker.clone(), limit);
        let page = self.store.list(&input.bucket, query).await?;
        let version = |object: &ListedObject| ObjectVersion {
            e_tag: Some(etag(&object.etag)),
            is_latest: Some(true),
            key: Some(names.write(&object.key)),
            last_modified: Some(timestamp(object.modified_ms)),
            owner: Some(self.owner()),
            size: Some(length(object.size)),
            storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
            version_id: Some("null".to_owned()),
            ..ObjectVersion::default()
        };
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(names.write(input.prefix.as_deref().unwrap_or_default())),
            key_marker: Some(names.write(input.key_marker.as_deref().unwrap_or_default())),
            version_id_marker: input.version_id_marker,
            next_key_marker: page.next.as_ref().map(|next| names.write(next)),
            next_version_id_marker: page.next.as_ref().map(|_| "null".to_owned()),
            max_keys: Some(count(limit)),
            is_truncated: Some(page.next.is_some()),
            common_prefixes: prefixes(&names, &page),
            versions: Some(page.objects.iter().map(version).collect()),
            delimiter: names.write_some(input.delimiter.as_ref()),
            encoding_type: names.encoding,
            ..ListObjectVersionsOutput::default()
        })
    }
}

fn query(
    prefix: Option<&String>,
    delimiter: Option<&String>,
    after: Option<String>,
    limit: usize,
) -> ListQuery {
    ListQuery {
        prefix: prefix.cloned().unwrap_or_default(),
        delimiter: delimiter.cloned().unwrap_or_default(),
        after: after.filter(|after| !after.is_empty()),
        limit,
    }
}

fn prefixes(names: &Names, page: &Page) -> Option<Vec<CommonPrefix>> {
    let prefix = |prefix: &String| CommonPrefix { prefix: Some(names.write(prefix)) };
    (!page.prefixes.is_empty()).then(|| page.prefixes.iter().map(prefix).collect())
}

/// The position that a token of ours holds.
fn position(token: &str) -> S3Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        let message = format!("continuation-token: expected one that a list gave, found {token:?}");
        S3Error::with_message(S3ErrorCode::InvalidArgument, message)
    })
}
