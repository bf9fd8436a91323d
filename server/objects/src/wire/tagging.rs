//! Tags of objects on the wire. They are stored as the query string that `x-amz-tagging` is.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Result, s3_error};

use super::convert::check_version;
use super::face::Face;
use crate::condition::Conditions;

/// The most tags of an object. Reason: S3's.
const TAGS_MAX: usize = 10;

impl Face {
    pub(super) async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<GetObjectTaggingOutput> {
        let input = request.input;
        check_version(input.version_id.as_deref())?;
        let record = self.store.head(&input.bucket, &input.key, Conditions::default()).await?;
        let tagging = record.details.attributes.tagging.unwrap_or_default();
        Ok(GetObjectTaggingOutput { tag_set: parse(&tagging)?, version_id: None })
    }

    pub(super) async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<PutObjectTaggingOutput> {
        let input = request.input;
        check_version(input.version_id.as_deref())?;
        let tagging = write(&input.tagging.tag_set)?;
        let change = move |attributes: &mut crate::Attributes| attributes.tagging = tagging;
        self.store.annotate(&input.bucket, &input.key, change).await?;
        Ok(PutObjectTaggingOutput::default())
    }

    pub(super) async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<DeleteObjectTaggingOutput> {
        let input = request.input;
        check_version(input.version_id.as_deref())?;
        self.store.annotate(&input.bucket, &input.key, |attributes| attributes.tagging = None).await?;
        Ok(DeleteObjectTaggingOutput::default())
    }
}

/// Tags as a query string; none if there are none.
fn write(tags: &[Tag]) -> S3Result<Option<String>> {
    if tags.len() > TAGS_MAX {
        return Err(s3_error!(InvalidTag, "tags: expected at most {TAGS_MAX}, found {}", tags.len()));
    }
    let encoded = |text: &Option<String>| {
        utf8_percent_encode(text.as_deref().unwrap_or_default(), NON_ALPHANUMERIC).to_string()
    };
    let pairs: Vec<_> =
        tags.iter().map(|tag| format!("{}={}", encoded(&tag.key), encoded(&tag.value))).collect();
    Ok((!pairs.is_empty()).then(|| pairs.join("&")))
}

/// The tags of a query string.
pub(super) fn parse(tagging: &str) -> S3Result<Vec<Tag>> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let pairs: Vec<_> = tagging.split('&').filter(|pair| !pair.is_empty()).collect();
    let tags: Option<Vec<_>> = pairs
        .iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some(Tag { key: Some(decoded(key)?), value: Some(decoded(value)?) })
        })
        .collect();
    match tags {
        Some(tags) if tags.len() <= TAGS_MAX => Ok(tags),
        _ => Err(s3s::S3Error::with_message(
            S3ErrorCode::InvalidTag,
            format!("x-amz-tagging: expected at most {TAGS_MAX} tags as a query string, found {tagging:?}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_they_are_read() {
        let tag = |key: &str, value: &str| Tag { key: Some(key.into()), value: Some(value.into()) };
        let tags = vec![tag("a b", "c&d=e"), tag("é", "")];
        assert_eq!(parse(&write(&tags).unwrap().unwrap()).unwrap(), tags);
        assert_eq!(write(&[]).unwrap(), None);
        assert_eq!(parse("a=b+c&d").unwrap(), vec![tag("a", "b c"), tag("d", "")]);
        assert!(parse("%ff=1").is_err());
        assert!(write(&vec![tag("a", "b"); 11]).is_err());
    }
}
