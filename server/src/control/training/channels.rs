//! `InputDataConfig`, read and checked beyond its shape.

use serde_json::{Map, Value};
use training::{Channel, Distribution, InputMode, Place, Source};

use super::request::{at, refused, word};
use crate::control::ControlError;

/// The channels of a request.
///
/// # Errors
/// When one is not served, or contradicts itself or another.
pub(super) fn parse(request: &Map<String, Value>) -> Result<Vec<Channel>, ControlError> {
    let job_mode = word(request, "AlgorithmSpecification.TrainingInputMode").unwrap_or("File");
    let listed = request.get("InputDataConfig").and_then(Value::as_array);
    let mut channels: Vec<Channel> = Vec::new();
    for (index, member) in listed.into_iter().flatten().enumerate() {
        let member = member.as_object().ok_or_else(|| refused("InputDataConfig: expected objects"))?;
        let place = format!("InputDataConfig[{index}]");
        let channel = channel(member, &place, job_mode)?;
        if channels.iter().any(|other| other.name == channel.name) {
            return Err(refused(format!(
                "{place}.ChannelName: expected each name once, found {:?} twice",
                channel.name
            )));
        }
        channels.push(channel);
    }
    Ok(channels)
}

fn channel(member: &Map<String, Value>, place: &str, job_mode: &str) -> Result<Channel, ControlError> {
    let name = word(member, "ChannelName").unwrap_or_default();
    // It becomes a folder's name.
    if matches!(name, "." | "..") {
        return Err(refused(format!("{place}.ChannelName: expected a name, found {name:?}")));
    }
    let mode = match word(member, "InputMode").unwrap_or(job_mode) {
        "Pipe" => InputMode::Pipe,
        "FastFile" => InputMode::FastFile,
        _ => InputMode::File,
    };
    Ok(Channel {
        name: name.to_owned(),
        source: source(member, place, mode)?,
        distribution: match word(member, "DataSource.S3DataSource.S3DataDistributionType") {
            Some("ShardedByS3Key") => Distribution::ShardedByS3Key,
            _ => Distribution::FullyReplicated,
        },
        mode,
        gzip: mode == InputMode::Pipe && word(member, "CompressionType") == Some("Gzip"),
        record_wrapper: mode == InputMode::Pipe && word(member, "RecordWrapperType") == Some("RecordIO"),
        shuffle_seed: seed(member),
        content_type: word(member, "ContentType").filter(|text| !text.is_empty()).map(str::to_owned),
    })
}

/// Any whole number is a seed.
fn seed(member: &Map<String, Value>) -> Option<u64> {
    let seed = at(member, "ShuffleConfig.Seed")?;
    seed.as_u64().or_else(|| seed.as_i64().map(i64::cast_unsigned))
}

fn source(member: &Map<String, Value>, place: &str, mode: InputMode) -> Result<Source, ControlError> {
    for other in ["FileSystemDataSource", "DatasetSource"] {
        if at(member, &format!("DataSource.{other}")).is_some() {
            return Err(refused(format!(
                "{place}.DataSource: expected an S3DataSource, found a {other}, which is not served here"
            )));
        }
    }
    let place = format!("{place}.DataSource.S3DataSource");
    let s3 = at(member, "DataSource.S3DataSource").and_then(Value::as_object);
    let s3 = s3.ok_or_else(|| refused(format!("{place}: expected one, found none")))?;
    if s3.contains_key("InstanceGroupNames") {
        return Err(refused(format!(
            "{place}.InstanceGroupNames: expected none, as instance groups are not served here, found some"
        )));
    }
    let uri = word(s3, "S3Uri").unwrap_or_default().to_owned();
    let is_object = |uri: &str| Place::parse(uri).is_some_and(|place| !place.key.is_empty());
    let kind = word(s3, "S3DataType").unwrap_or_default();
    let expected = match kind {
        "S3Prefix" => "s3://bucket/prefix",
        _ => "s3://bucket/key of an object",
    };
    let is_place = if kind == "S3Prefix" { Place::parse(&uri).is_some() } else { is_object(&uri) };
    if !is_place {
        return Err(refused(format!("{place}.S3Uri: expected {expected}, found {uri:?}")));
    }
    let attributes = attributes(s3);
    if kind != "AugmentedManifestFile" && !attributes.is_empty() {
        return Err(refused(format!(
            "{place}.AttributeNames: expected none with S3DataType {kind}, found {}",
            attributes.len()
        )));
    }
    match kind {
        "S3Prefix" => Ok(Source::Prefix(uri)),
        "ManifestFile" => Ok(Source::Manifest(uri)),
        "AugmentedManifestFile" if mode != InputMode::Pipe => Err(refused(format!(
            "{place}.S3DataType: expected AugmentedManifestFile with input mode Pipe alone, found {}",
            mode.as_str()
        ))),
        "AugmentedManifestFile" if attributes.is_empty() => Err(refused(format!(
            "{place}.AttributeNames: expected those of an augmented manifest's lines that are data, found none"
        ))),
        "AugmentedManifestFile" => Ok(Source::Augmented { uri, attributes }),
        other => Err(refused(format!(
            "{place}.S3DataType: expected S3Prefix, ManifestFile or AugmentedManifestFile, found {other}"
        ))),
    }
}

fn attributes(s3: &Map<String, Value>) -> Vec<String> {
    let listed = s3.get("AttributeNames").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "cases hand in literals")]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(channels: Value, mode: &str) -> Result<Vec<Channel>, String> {
        let request =
            json!({"AlgorithmSpecification": {"TrainingInputMode": mode}, "InputDataConfig": channels});
        let request = request.as_object().cloned().expect("an object");
        parse(&request).map_err(|error| error.to_string())
    }

    fn with(kind: &str, uri: &str, further: Value) -> Value {
        let mut channel = json!({
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}},
        });
        channel.as_object_mut().expect("an object").extend(further.as_object().cloned().expect("an object"));
        channel
    }

    #[test]
    fn every_member_is_read() {
        let bare = of(json!([with("S3Prefix", "s3://b/p", json!({}))]), "File").expect("a channel");
        let expected = Channel {
            name: "train".into(),
            source: Source::Prefix("s3://b/p".into()),
            distribution: Distribution::FullyReplicated,
            mode: InputMode::File,
            gzip: false,
            record_wrapper: false,
            shuffle_seed: None,
            content_type: None,
        };
        assert_eq!(bare, [expected]);
        let mut full = with(
            "ManifestFile",
            "s3://b/m",
            json!({"ContentType": "text/csv", "CompressionType": "Gzip",
            "RecordWrapperType": "RecordIO", "InputMode": "Pipe", "ShuffleConfig": {"Seed": -1}}),
        );
        full["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key".into();
        let [full]: [Channel; 1] = of(json!([full]), "File").expect("a channel").try_into().expect("one");
        assert_eq!((full.source, full.mode), (Source::Manifest("s3://b/m".into()), InputMode::Pipe));
        assert!(full.gzip && full.record_wrapper && full.distribution == Distribution::ShardedByS3Key);
        assert_eq!((full.shuffle_seed, full.content_type.as_deref()), (Some(u64::MAX), Some("text/csv")));
        // What is of pipes alone does nothing to files.
        let gzip =
            with("S3Prefix", "s3://b/p", json!({"CompressionType": "Gzip", "RecordWrapperType": "RecordIO"}));
        let files = of(json!([gzip]), "FastFile").expect("a channel");
        assert!(!files[0].gzip && !files[0].record_wrapper && files[0].mode == InputMode::FastFile);
        let mut augmented = with("AugmentedManifestFile", "s3://b/m", json!({}));
        augmented["DataSource"]["S3DataSource"]["AttributeNames"] = json!(["a-ref", "label"]);
        let found = of(json!([augmented]), "Pipe").expect("a channel");
        let attributes = vec!["a-ref".to_owned(), "label".to_owned()];
        assert_eq!(found[0].source, Source::Augmented { uri: "s3://b/m".into(), attributes });
        assert_eq!(of(Value::Null, "File"), Ok(Vec::new()));
    }

    #[test]
    fn what_could_not_be_read_is_refused() {
        let check = |channel: Value, expected: &str| {
            let error = of(json!([channel]), "File").expect_err(expected);
            assert!(error.contains(expected), "{error}");
        };
        check(with("S3Prefix", "https://b/p", json!({})), "InputDataConfig[0].DataSource.S3DataSource.S3Uri");
        check(with("ManifestFile", "s3://b/", json!({})), "of an object");
        check(with("Converse", "s3://b/p", json!({})), "found Converse");
        check(with("AugmentedManifestFile", "s3://b/p", json!({})), "input mode Pipe alone, found File");
        let pipe = json!({"InputMode": "Pipe"});
        check(with("AugmentedManifestFile", "s3://b/p", pipe), "AttributeNames");
        check(with("S3Prefix", "s3://b/p", json!({"ChannelName": ".."})), "expected a name");
        check(with("S3Prefix", "s3://b/p", json!({"DataSource": {}})), "expected one, found none");
        let files = json!({"DataSource": {"FileSystemDataSource": {}}});
        check(with("S3Prefix", "s3://b/p", files), "FileSystemDataSource");
        let mut wrong = with("S3Prefix", "s3://b/p", json!({}));
        wrong["DataSource"]["S3DataSource"]["AttributeNames"] = json!(["a"]);
        check(wrong, "AttributeNames: expected none");
        let mut wrong = with("S3Prefix", "s3://b/p", json!({}));
        wrong["DataSource"]["S3DataSource"]["InstanceGroupNames"] = json!(["a"]);
        check(wrong, "InstanceGroupNames");
        let twice = with("S3Prefix", "s3://b/p", json!({}));
        let error = of(json!([twice, twice]), "File").expect_err("twice");
        assert!(error.contains("\"train\" twice"), "{error}");
    }
}
