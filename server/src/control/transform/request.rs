//! What `CreateTransformJob` asks, read and checked beyond its shape: rules that no shape says, so that a job which could not
//! run is refused instead of made.

use codecs::framing::SplitType;
use object_store::path::Path;
use serde_json::{Map, Value};
use transform::input::Source;
use transform::settings::{AssembleWith, Extensions, InferenceIds, Requested};
use transform::{BatchStrategy, Compression};
use wire::Timestamp;

use crate::buckets::{Buckets, key_path};
use crate::control::ControlError;

/// What a job reads, writes and does.
#[derive(Debug, Clone)]
pub(super) struct TransformRequest {
    /// `ModelName`.
    pub model_name: String,
    /// The bucket of [`source`](Self::source).
    pub input_bucket: String,
    /// Which objects.
    pub source: Source,
    /// The bucket of outputs.
    pub output_bucket: String,
    /// What their keys begin with: a folder.
    pub output_prefix: Path,
    /// `TransformResources.InstanceCount`.
    pub instance_count: u64,
    /// What is done with records.
    pub requested: Requested,
    /// `DataCaptureConfig.DestinationS3Uri`: bucket and folder.
    pub capture: Option<(String, Path)>,
}

impl TransformRequest {
    /// Of a request that has its shape. Records' inference ids say that the job began at `started`.
    ///
    /// # Errors
    /// When what is asked is not served, or contradicts itself: expected, found, where.
    pub(super) fn parse(request: &Map<String, Value>, started: Timestamp) -> Result<Self, ControlError> {
        let (input_bucket, source) = source(request)?;
        let output_member = "TransformOutput.S3OutputPath";
        let (output_bucket, output_prefix) = folder(request, output_member)?;
        let this = Self {
            model_name: text(request, "ModelName").unwrap_or_default(),
            instance_count: number(request, "TransformResources.InstanceCount").unwrap_or(1).max(1),
            requested: requested(request, started)?,
            capture: capture(request)?,
            input_bucket,
            source,
            output_bucket,
            output_prefix,
        };
        this.check_apart(output_member, &this.output_bucket, &this.output_prefix)?;
        if let Some((bucket, prefix)) = &this.capture {
            this.check_apart("DataCaptureConfig.DestinationS3Uri", bucket, prefix)?;
        }
        Ok(this)
    }

    /// What is written must not be found by the prefix that is read: the job would read its own outputs.
    fn check_apart(&self, member: &str, bucket: &str, folder: &Path) -> Result<(), ControlError> {
        let Source::Prefix(prefix) = &self.source else { return Ok(()) };
        let below = if folder.as_ref().is_empty() { String::new() } else { format!("{folder}/") };
        if bucket != self.input_bucket || !below.starts_with(prefix.as_str()) {
            return Ok(());
        }
        Err(refused(format!(
            "{member}: expected a place that does not begin with the input's s3://{bucket}/{prefix}, found \
             s3://{bucket}/{below}: the job would read its own outputs"
        )))
    }
}

/// The value at a path of members.
fn at<'a>(request: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = request.get(first)?;
    match rest {
        None => Some(value),
        Some(rest) => at(value.as_object()?, rest),
    }
}

fn word<'a>(request: &'a Map<String, Value>, path: &str) -> Option<&'a str> {
    at(request, path)?.as_str()
}

fn text(request: &Map<String, Value>, path: &str) -> Option<String> {
    word(request, path).map(str::to_owned)
}

fn number(request: &Map<String, Value>, path: &str) -> Option<u64> {
    at(request, path)?.as_u64()
}

fn refused(message: impl Into<String>) -> ControlError {
    ControlError::Refused(message.into())
}

/// Which objects, and their bucket.
fn source(request: &Map<String, Value>) -> Result<(String, Source), ControlError> {
    let member = "TransformInput.DataSource.S3DataSource";
    let (bucket, key) = url(request, &format!("{member}.S3Uri"))?;
    match word(request, &format!("{member}.S3DataType")) {
        Some("S3Prefix") => Ok((bucket, Source::Prefix(key))),
        Some("ManifestFile") => {
            let path = key_path(&key).filter(|path| path.as_ref() == key && !key.is_empty());
            let path = path.ok_or_else(|| {
                refused(format!(
                    "{member}.S3Uri: expected the address of a manifest, found s3://{bucket}/{key}"
                ))
            })?;
            Ok((bucket, Source::Manifest(path)))
        }
        found => {
            let found = found.unwrap_or("none");
            Err(refused(format!("{member}.S3DataType: expected S3Prefix or ManifestFile, found {found}")))
        }
    }
}

/// A folder's bucket and key.
fn folder(request: &Map<String, Value>, member: &str) -> Result<(String, Path), ControlError> {
    let (bucket, key) = url(request, member)?;
    // A slash in front would be taken for none.
    let path = key_path(key.trim_end_matches('/')).filter(|_| !key.starts_with('/'));
    let path = path.ok_or_else(|| {
        refused(format!(
            "{member}: expected s3://bucket/prefix whose folders have names, found s3://{bucket}/{key}"
        ))
    })?;
    Ok((bucket, path))
}

fn url(request: &Map<String, Value>, member: &str) -> Result<(String, String), ControlError> {
    let url = word(request, member).unwrap_or_default();
    Buckets::parse_url(url)
        .map_err(|_| refused(format!("{member}: expected an s3://bucket/key address, found {url:?}")))
}

/// Where lists of what was read and written go.
fn capture(request: &Map<String, Value>) -> Result<Option<(String, Path)>, ControlError> {
    let member = "DataCaptureConfig.DestinationS3Uri";
    at(request, member).map(|_| folder(request, member)).transpose()
}

/// What is done with records.
fn requested(request: &Map<String, Value>, started: Timestamp) -> Result<Requested, ControlError> {
    let word = |member: &str| word(request, member);
    let text = |member: &str| text(request, member);
    let number = |member: &str| number(request, member);
    let generates_ids = at(request, "DataCaptureConfig.GenerateInferenceId").and_then(Value::as_bool);
    let environment = request.get("Environment").and_then(Value::as_object).into_iter().flatten();
    let pairs = environment.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    Ok(Requested {
        content_type: text("TransformInput.ContentType"),
        accept: text("TransformOutput.Accept"),
        compression: word("TransformInput.CompressionType").map(|word| match word {
            "Gzip" => Compression::Gzip,
            _ => Compression::None,
        }),
        split_type: word("TransformInput.SplitType").map(split_type),
        strategy: word("BatchStrategy").map(|word| match word {
            "SingleRecord" => BatchStrategy::SingleRecord,
            _ => BatchStrategy::MultiRecord,
        }),
        payload_mb: number("MaxPayloadInMB"),
        concurrency: number("MaxConcurrentTransforms"),
        assemble_with: word("TransformOutput.AssembleWith").map(|word| match word {
            "Line" => AssembleWith::Line,
            _ => AssembleWith::None,
        }),
        input_filter: text("DataProcessing.InputFilter"),
        join: word("DataProcessing.JoinSource") == Some("Input"),
        output_filter: text("DataProcessing.OutputFilter"),
        ids: generates_ids.unwrap_or(false).then(|| InferenceIds { started: started.iso8601() }),
        retries: number("ModelClientConfig.InvocationsMaxRetries"),
        timeout_seconds: number("ModelClientConfig.InvocationsTimeoutInSeconds"),
        extensions: Extensions::parse(pairs).map_err(|error| refused(error.to_string()))?,
    })
}

/// The shape holds it to these.
fn split_type(word: &str) -> SplitType {
    match word {
        "Line" => SplitType::Line,
        "RecordIO" => SplitType::RecordIo,
        "TFRecord" => SplitType::TfRecord,
        _ => SplitType::None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use transform::ErrorPolicy;

    use super::*;

    fn request() -> Value {
        json!({
            "TransformJobName": "j",
            "ModelName": "m",
            "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in/"}}},
            "TransformOutput": {"S3OutputPath": "s3://b/out/"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 3},
        })
    }

    /// The request with another value at a JSON pointer.
    fn parsed(changes: &[(&str, Value)]) -> Result<TransformRequest, String> {
        let mut request = request();
        for (pointer, value) in changes {
            let (parent, member) = pointer.rsplit_once('/').unwrap();
            let parent = request.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            parent.insert(member.to_owned(), value.clone());
        }
        let parsed = TransformRequest::parse(request.as_object().unwrap(), Timestamp(0));
        let resolved = parsed.and_then(|parsed| parsed.resolve(2).map(|_| parsed));
        resolved.map_err(|error| error.to_string())
    }

    #[test]
    fn every_member_is_read() {
        let bare = parsed(&[]).unwrap();
        assert_eq!((bare.input_bucket.as_str(), bare.source), ("b", Source::Prefix("in/".into())));
        assert_eq!((bare.output_bucket.as_str(), bare.output_prefix.as_ref()), ("b", "out"));
        assert_eq!((bare.model_name.as_str(), bare.instance_count, bare.capture), ("m", 3, None));
        let full = parsed(&[
            ("/TransformInput/DataSource/S3DataSource/S3DataType", json!("ManifestFile")),
            ("/TransformInput/DataSource/S3DataSource/S3Uri", json!("s3://b/in/list.json")),
            ("/TransformInput/ContentType", json!("text/csv")),
            ("/TransformInput/CompressionType", json!("Gzip")),
            ("/TransformInput/SplitType", json!("Line")),
            ("/TransformOutput/Accept", json!("text/csv")),
            ("/TransformOutput/AssembleWith", json!("Line")),
            ("/BatchStrategy", json!("SingleRecord")),
            ("/MaxPayloadInMB", json!(2)),
            ("/MaxConcurrentTransforms", json!(5)),
            ("/ModelClientConfig", json!({"InvocationsTimeoutInSeconds": 7, "InvocationsMaxRetries": 1})),
            (
                "/DataProcessing",
                json!({"InputFilter": "$[1:]", "OutputFilter": "$[0]", "JoinSource": "Input"}),
            ),
            ("/DataCaptureConfig", json!({"DestinationS3Uri": "s3://c/d/", "GenerateInferenceId": true})),
            ("/Environment", json!({"CLARY_TRANSFORM_ERROR_POLICY": "placeholder", "OTHER": "x"})),
        ]);
        let full = full.unwrap();
        assert_eq!(full.source, Source::Manifest(Path::from("in/list.json")));
        assert_eq!(full.capture, Some(("c".into(), Path::from("d"))));
        let Requested { compression, split_type, strategy, assemble_with, retries, .. } = full.requested;
        assert_eq!((compression, split_type), (Some(Compression::Gzip), Some(SplitType::Line)));
        assert_eq!((strategy, assemble_with), (Some(BatchStrategy::SingleRecord), Some(AssembleWith::Line)));
        assert_eq!((retries, full.requested.timeout_seconds), (Some(1), Some(7)));
        assert_eq!((full.requested.payload_mb, full.requested.concurrency), (Some(2), Some(5)));
        assert_eq!(full.requested.ids, Some(InferenceIds { started: "1970-01-01T00:00:00Z".into() }));
        assert_eq!(full.requested.extensions.error_policy, ErrorPolicy::Placeholder);
        assert!(full.requested.join && full.requested.input_filter.as_deref() == Some("$[1:]"));
    }

    #[track_caller]
    fn check_refused(changes: &[(&str, Value)], expected: &str) {
        let error = parsed(changes).expect_err(expected);
        assert!(error.contains(expected), "expected {expected}, found {error}");
    }

    #[test]
    fn what_could_not_run_is_refused() {
        const SOURCE: &str = "/TransformInput/DataSource/S3DataSource";
        let kind = |kind: &str, url: &str| {
            [(format!("{SOURCE}/S3DataType"), json!(kind)), (format!("{SOURCE}/S3Uri"), json!(url))]
        };
        let source = |word: &str, url: &str, expected: &str| {
            let changes = kind(word, url);
            let changes: Vec<_> = changes.iter().map(|(at, value)| (at.as_str(), value.clone())).collect();
            check_refused(&changes, expected);
        };
        source(
            "AugmentedManifestFile",
            "s3://b/in/",
            "expected S3Prefix or ManifestFile, found AugmentedManifestFile",
        );
        source("Converse", "s3://b/in/", "found Converse");
        source("S3Prefix", "https://b/in/", "expected an s3://bucket/key address");
        source("ManifestFile", "s3://b/in/", "expected the address of a manifest");
        source("ManifestFile", "s3://b", "expected the address of a manifest");
        let output = |url: &str| [("/TransformOutput/S3OutputPath", json!(url))];
        check_refused(&output("s3://b/in/out"), "the job would read its own outputs");
        check_refused(&output("s3://b/in"), "the job would read its own outputs");
        check_refused(&output("s3://b//out"), "whose folders have names");
        check_refused(&output("https://b/out"), "expected an s3://bucket/key address");
        let capture = json!({"DestinationS3Uri": "s3://b/in/captured"});
        check_refused(&[("/DataCaptureConfig", capture)], "DataCaptureConfig.DestinationS3Uri");
        check_refused(&[("/MaxPayloadInMB", json!(101))], "MaxPayloadInMB: expected 0 to 100, found 101");
        check_refused(&[("/Environment", json!({"CLARY_TRANSFORM_X": "1"}))], "CLARY_TRANSFORM_X");
        let filter = |filter: &str| {
            [
                ("/DataProcessing", json!({"InputFilter": filter})),
                ("/TransformInput/SplitType", json!("Line")),
                ("/TransformOutput/AssembleWith", json!("Line")),
            ]
        };
        check_refused(&filter("$["), "InputFilter");
    }

    #[test]
    fn a_prefix_is_a_string_and_no_folder() {
        let with = |prefix: &str, output: &str| {
            parsed(&[
                ("/TransformInput/DataSource/S3DataSource/S3Uri", json!(prefix)),
                ("/TransformOutput/S3OutputPath", json!(output)),
            ])
        };
        with("s3://b/test", "s3://b/test_output").expect_err("the prefix matches it");
        with("s3://b/", "s3://b/out").expect_err("it is everything");
        with("s3://b", "s3://b").expect_err("it is everything");
        with("s3://b/test/", "s3://b/test_output").unwrap();
        with("s3://b/test", "s3://c/test").unwrap();
        with("s3://b/in/x.csv", "s3://b/in/").unwrap();
    }
}
