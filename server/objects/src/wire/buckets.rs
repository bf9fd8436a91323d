//! Buckets on the wire.

use s3s::dto::*;
use s3s::{S3Request, S3Result};

use super::convert::timestamp;
use super::face::Face;
use crate::error::Error;

/// The region whose name S3 leaves out.
const FIRST_REGION: &str = "us-east-1";

impl Face {
    /// The region that a bucket's answer names.
    fn region(&self, location: &str) -> String {
        if location.is_empty() { self.options.region.clone() } else { location.to_owned() }
    }

    pub(super) async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<ListBucketsOutput> {
        let ListBucketsInput { prefix, continuation_token, max_buckets, bucket_region } = request.input;
        let after = continuation_token.unwrap_or_default();
        let mut buckets = self.store.list_buckets().await?;
        let begins = prefix.clone().unwrap_or_default();
        buckets.retain(|bucket| bucket.name.starts_with(&begins) && bucket.name > after);
        if let Some(region) = bucket_region {
            buckets.retain(|bucket| self.region(&bucket.location) == region);
        }
        let limit = max_buckets.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let is_cut = buckets.len() > limit;
        buckets.truncate(limit);
        let next = buckets.last().map(|bucket| bucket.name.clone()).filter(|_| is_cut);
        let bucket = |bucket: crate::BucketRecord| Bucket {
            bucket_region: Some(self.region(&bucket.location)),
            creation_date: Some(timestamp(bucket.created_ms)),
            name: Some(bucket.name),
        };
        Ok(ListBucketsOutput {
            buckets: Some(buckets.into_iter().map(bucket).collect()),
            continuation_token: next,
            owner: Some(self.owner()),
            prefix,
        })
    }

    pub(super) async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<CreateBucketOutput> {
        let input = request.input;
        let asked =
            input.create_bucket_configuration.and_then(|configuration| configuration.location_constraint);
        let asked = asked.map(|constraint| constraint.as_str().to_owned()).unwrap_or_default();
        let location = if asked == FIRST_REGION { String::new() } else { asked };
        match self.store.create_bucket(&input.bucket, &location).await {
            // S3 in its first region: whoever makes a bucket again has it.
            Err(Error::BucketTaken(_)) if self.region(&location) == FIRST_REGION => {}
            made => made?,
        }
        Ok(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) })
    }

    pub(super) async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<HeadBucketOutput> {
        let bucket = self.store.find_bucket(&request.input.bucket).await?;
        Ok(HeadBucketOutput {
            bucket_region: Some(self.region(&bucket.location)),
            ..HeadBucketOutput::default()
        })
    }

    pub(super) async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<DeleteBucketOutput> {
        self.store.delete_bucket(&request.input.bucket).await?;
        Ok(DeleteBucketOutput {})
    }

    pub(super) async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<GetBucketLocationOutput> {
        let bucket = self.store.find_bucket(&request.input.bucket).await?;
        let region = self.region(&bucket.location);
        let constraint = if region == FIRST_REGION { String::new() } else { region };
        Ok(GetBucketLocationOutput { location_constraint: Some(BucketLocationConstraint::from(constraint)) })
    }
}
