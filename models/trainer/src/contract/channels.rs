//! The channels of a job: `inputdataconfig.json` and what lies below `input/data`, held to what the algorithm says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use codecs::{ContentType, Format};
use serde_json::{Map, Value};

use estimator::{
    Channel, ChannelRule, DistributionRule, Estimator, InputMode, Selection, TrainError, TrainingContent,
    training_content_type,
};

/// The channel of an earlier artifact to go on from.
pub(super) const MODEL_CHANNEL: &str = "model";
/// The content type of that channel, if it has one.
const MODEL_CONTENT_TYPE: &str = "application/x-sagemaker-model";

/// The channels that are below `data`, by name, as `described` says; as one of so many hosts.
pub(super) fn read(
    data: &Path,
    described: &Map<String, Value>,
    estimator: &Estimator,
    hosts: usize,
) -> Result<BTreeMap<String, Channel>, TrainError> {
    for name in described.keys().cloned().chain(names(data, described)) {
        check_known(&name, described, estimator)?;
    }
    let mut channels = BTreeMap::new();
    for rule in estimator.channels {
        let path = data.join(rule.name);
        let settings = described.get(rule.name);
        if settings.is_some() || path.exists() {
            check_distribution(rule, setting(settings, "S3DistributionType"), hosts)?;
            channels.insert(rule.name.to_owned(), channel(rule, path, settings, estimator)?);
        } else if rule.is_required {
            return Err(TrainError::client(format!(
                "channel {} is required: expected files in {}",
                rule.name,
                path.display()
            )));
        }
    }
    Ok(channels)
}

/// The names of the folders and pipes below `data`, a pipe without its epoch; none when it is not there.
fn names(data: &Path, described: &Map<String, Value>) -> Vec<String> {
    let entries = fs::read_dir(data).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let channel = |name: String| match name.rsplit_once('_') {
        Some((channel, epoch)) if epoch.parse::<u32>().is_ok() && described.contains_key(channel) => {
            channel.to_owned()
        }
        _ => name,
    };
    names.filter(|name| !name.starts_with('.')).map(channel).collect()
}

fn check_known(name: &str, described: &Map<String, Value>, estimator: &Estimator) -> Result<(), TrainError> {
    if estimator.channel(name).is_some() {
        return Ok(());
    }
    if name != MODEL_CHANNEL || !estimator.is_incremental {
        let known: Vec<&str> = estimator.channels.iter().map(|rule| rule.name).collect();
        return Err(TrainError::client(format!(
            "unknown channel {name:?}: expected {} with {}",
            known.join(", "),
            estimator.name
        )));
    }
    let setting = |key| setting(described.get(name), key);
    match (setting("ContentType"), setting("TrainingInputMode")) {
        (Some(found), _) if found != MODEL_CONTENT_TYPE => Err(TrainError::client(format!(
            "channel {name}: expected the content type {MODEL_CONTENT_TYPE} or none, found {found:?}"
        ))),
        (_, Some(mode)) if mode != "File" => Err(TrainError::client(format!(
            "channel {name}: expected TrainingInputMode File, found {mode:?}"
        ))),
        _ => Ok(()),
    }
}

/// A member of a channel's settings; every one is optional, and `"None"` is as good as absent.
fn setting<'a>(settings: Option<&'a Value>, key: &str) -> Option<&'a str> {
    let value = settings.and_then(|settings| settings.get(key)).and_then(Value::as_str);
    value.filter(|value| !value.is_empty() && *value != "None")
}

/// A channel as its settings describe it.
fn channel(
    rule: &'static ChannelRule,
    path: PathBuf,
    settings: Option<&Value>,
    estimator: &Estimator,
) -> Result<Channel, TrainError> {
    let name = rule.name;
    let setting = |key| setting(settings, key);
    let mode = match setting("TrainingInputMode") {
        None | Some("File" | "FastFile") => InputMode::File,
        Some("Pipe") if rule.takes_pipe => InputMode::Pipe,
        Some(mode) => {
            let pipe = if rule.takes_pipe { ", FastFile or Pipe" } else { " or FastFile" };
            return Err(TrainError::client(format!(
                "channel {name}: expected TrainingInputMode File{pipe} with {}, found {mode:?}",
                estimator.name
            )));
        }
    };
    let content_type = setting("ContentType").unwrap_or(estimator.default_content_type);
    let content_type = content_type_of(estimator, rule, content_type)?;
    Ok(Channel { name, path, content_type, labels: rule.labels, mode, selection: Selection::All })
}

/// The content type of that name, if the rule has its format.
pub(crate) fn content_type_of(
    estimator: &Estimator,
    rule: &ChannelRule,
    content_type: &str,
) -> Result<TrainingContent, TrainError> {
    let name = rule.name;
    let parsed = training_content_type(content_type, rule.labels)
        .map_err(|error| TrainError::client(format!("channel {name}: {error}")))?;
    let is_known = match parsed {
        TrainingContent::Records(content_type) => rule.formats.contains(&content_type.format),
        TrainingContent::Parquet => estimator.takes_parquet,
    };
    if is_known {
        return Ok(parsed);
    }
    let mut known: Vec<&str> = rule.formats.iter().map(|format| media_type(*format)).collect();
    known.extend(estimator.takes_parquet.then_some("application/x-parquet"));
    Err(TrainError::client(format!(
        "channel {name}: expected a content type of {}, found {content_type:?}",
        known.join(", ")
    )))
}

fn media_type(format: Format) -> &'static str {
    ContentType::new(format).as_str()
}

/// One host has all objects either way, and the SDK's record sets always say that they are sharded.
fn check_distribution(rule: &ChannelRule, stated: Option<&str>, hosts: usize) -> Result<(), TrainError> {
    let expected = match rule.distribution {
        DistributionRule::Any => return Ok(()),
        DistributionRule::ShardedByS3Key => "ShardedByS3Key",
        DistributionRule::FullyReplicated => "FullyReplicated",
    };
    match stated {
        Some("ShardedByS3Key") if hosts == 1 => Ok(()),
        Some(found) if found != expected => Err(TrainError::client(format!(
            "channel {}: expected S3DataDistributionType {expected}, found {found:?}",
            rule.name
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use estimator::{Fitted, Job, Labels};

    fn rule(name: &'static str) -> ChannelRule {
        ChannelRule::new(name, Labels::Required, &[Format::Csv, Format::RecordIo])
    }

    fn fit(_: &Job) -> Result<Fitted, TrainError> {
        Err(TrainError::Stopped)
    }

    fn estimator(name: &'static str) -> Estimator {
        let rules = vec![
            rule("train").required().by_pipe(),
            rule("validation").distribution(DistributionRule::FullyReplicated),
        ];
        Estimator {
            name,
            table: &[],
            channels: rules.leak(),
            default_content_type: "recordio-protobuf",
            is_distributed: true,
            is_incremental: name != "pca",
            takes_parquet: false,
            fit,
        }
    }

    /// The channels of a job whose `inputdataconfig.json` is `config` and that has these `files`.
    fn read_with(
        name: &'static str,
        config: &str,
        files: &[&str],
    ) -> Result<BTreeMap<String, Channel>, TrainError> {
        let folder = tempfile::tempdir().expect("a scratch folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, "1,2\n").expect("a file");
        }
        let Value::Object(described) = serde_json::from_str(config).expect("JSON") else {
            panic!("an object")
        };
        read(folder.path(), &described, &estimator(name), 2)
    }

    #[test]
    fn channels_are_as_their_settings_say() {
        let config = r#"{"train": {"TrainingInputMode": "Pipe", "ContentType": "text/csv", "CompressionType": "None"},
            "validation": {"TrainingInputMode": "FastFile", "ContentType": "None", "S3DistributionType": "FullyReplicated"},
            "model": {"ContentType": "application/x-sagemaker-model", "TrainingInputMode": "File"}}"#;
        let files = ["train_0", "train_1", "validation/a", "model/model.tar.gz"];
        let channels = read_with("kmeans", config, &files).expect("sound");
        let of = |name: &str| (channels[name].mode, channels[name].content_type);
        let content = |name| training_content_type(name, Labels::Optional).expect("known");
        assert_eq!(of("train"), (InputMode::Pipe, content("text/csv")));
        assert_eq!(of("validation"), (InputMode::File, content("application/x-recordio-protobuf")));
        assert!(!channels.contains_key("model"));
        let channels = read_with("kmeans", "{}", &["train/a"]).expect("the folder says");
        assert_eq!(channels.keys().collect::<Vec<_>>(), ["train"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |config: &str, file: &str, expected: &str| {
            let error = read_with("pca", config, &[file]).expect_err("something is wrong");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("{}", "test/a", "unknown channel \"test\": expected train, validation");
        check(
            r#"{"model": {}}"#,
            "train/a",
            "unknown channel \"model\": expected train, validation with pca",
        );
        check("{}", "train_0/a", "unknown channel \"train_0\"");
        check("{}", "validation/a", "channel train is required");
        check(
            r#"{"train": {"ContentType": "image/png"}}"#,
            "train/a",
            "channel train: content type \"image/png\"",
        );
        check(
            r#"{"train": {"ContentType": "text/libsvm"}}"#,
            "train/a",
            "channel train: expected a content type of text/csv, application/x-recordio-protobuf, found \"text/libsvm\"",
        );
        let config = r#"{"validation": {"TrainingInputMode": "Pipe"}}"#;
        check(config, "train/a", "expected TrainingInputMode File or FastFile with pca, found \"Pipe\"");
        let config = r#"{"train": {"TrainingInputMode": "Fast"}}"#;
        check(
            config,
            "train/a",
            "expected TrainingInputMode File, FastFile or Pipe with pca, found \"Fast\"",
        );
        let config = r#"{"validation": {"S3DistributionType": "ShardedByS3Key"}}"#;
        check(config, "train/a", "expected S3DataDistributionType FullyReplicated, found \"ShardedByS3Key\"");
        let error = read_with("kmeans", r#"{"model": {"ContentType": "text/csv"}}"#, &["train/a"]);
        let error = error.expect_err("another content type").to_string();
        assert!(error.contains("expected the content type application/x-sagemaker-model"), "{error}");
    }
}
