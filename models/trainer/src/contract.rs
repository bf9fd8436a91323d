//! SageMaker's training-container contract: configuration and channels below `/opt/ml/input`, the model into
//! `/opt/ml/model`, the reason of a failure into `/opt/ml/output/failure`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use estimator::{Channel, ChannelRule, Estimator, InputMode, Selection, TrainError, training_content_type};

/// The most bytes of a configuration file. Reason: 100 hyperparameters of 2,500 characters are 250 kB.
const CONFIGURATION_BYTES_MAX: u64 = 1 << 20;
/// The most hyperparameters, the platform's own limit.
const HYPERPARAMETERS_MAX: usize = 100;

/// The folders of the contract.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    base: PathBuf,
}

impl Contract {
    /// Below `base`: `/opt/ml`, or what `SAGEMAKER_BASE_DIR` says.
    pub(crate) fn new(base: &Path) -> Self {
        Self { base: base.to_path_buf() }
    }

    /// Where the model goes.
    pub(crate) fn model_folder(&self) -> PathBuf {
        self.base.join("model")
    }

    /// Writes the reason of a failure where the platform reads it.
    pub(crate) fn write_failure(&self, error: &TrainError) -> std::io::Result<()> {
        let folder = self.base.join("output");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("failure"), error.failure_text())
    }

    /// `hyperparameters.json`: text to text. A value that is itself a JSON string is unquoted, as the SDK quotes some.
    pub(crate) fn hyperparameters(&self) -> Result<BTreeMap<String, String>, TrainError> {
        let Some(object) = self.configuration("hyperparameters.json")? else { return Ok(BTreeMap::new()) };
        if object.len() > HYPERPARAMETERS_MAX {
            return Err(TrainError::client(format!(
                "hyperparameters.json: expected at most {HYPERPARAMETERS_MAX} entries, found {}",
                object.len()
            )));
        }
        let text = |(name, value): (String, Value)| match value {
            Value::String(value) => Ok((name, serde_json::from_str::<String>(&value).unwrap_or(value))),
            other => Err(TrainError::client(format!(
                "hyperparameters.json: {name}: expected a string, found {other}"
            ))),
        };
        object.into_iter().map(text).collect()
    }

    /// Refuses what needs several machines.
    pub(crate) fn check_resources(&self) -> Result<(), TrainError> {
        let Some(object) = self.configuration("resourceconfig.json")? else { return Ok(()) };
        match object.get("hosts").and_then(Value::as_array).map_or(1, Vec::len) {
            0 | 1 => Ok(()),
            count => Err(TrainError::client(format!(
                "expected one instance, found {count} hosts in resourceconfig.json"
            ))),
        }
    }

    /// The channels that are there, by name; `inputdataconfig.json` may be absent, and then the folders say.
    pub(crate) fn channels(&self, estimator: &Estimator) -> Result<BTreeMap<String, Channel>, TrainError> {
        let described = self.configuration("inputdataconfig.json")?.unwrap_or_default();
        let data = self.base.join("input/data");
        for name in described.keys().cloned().chain(folders(&data)) {
            if estimator.channel(&name).is_none() {
                let known: Vec<&str> = estimator.channels.iter().map(|rule| rule.name).collect();
                return Err(TrainError::client(format!(
                    "unknown channel {name:?}: expected {}",
                    known.join(", ")
                )));
            }
        }
        let mut channels = BTreeMap::new();
        for rule in estimator.channels {
            let path = data.join(rule.name);
            let settings = described.get(rule.name);
            if settings.is_some() || path.exists() {
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

    /// A configuration file's object, `None` when there is no such file.
    fn configuration(&self, name: &str) -> Result<Option<Map<String, Value>>, TrainError> {
        let path = self.base.join("input/config").join(name);
        let fault = |reason: String| TrainError::client(format!("{name}: {reason}"));
        match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::io(&path, &error)),
            Ok(metadata) if metadata.len() > CONFIGURATION_BYTES_MAX => {
                let found = metadata.len();
                return Err(fault(format!(
                    "expected at most {CONFIGURATION_BYTES_MAX} bytes, found {found}"
                )));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(|error| fault(error.to_string()))?;
        let value = serde_json::from_str(&text)
            .map_err(|error| fault(format!("expected a JSON object, found {error}")))?;
        match value {
            Value::Object(object) => Ok(Some(object)),
            _ => Err(fault("expected a JSON object".into())),
        }
    }
}

/// The names of the folders and pipes below `data`; none when it is not there.
fn folders(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// A channel as its settings describe it; every member is optional, and `"None"` is as good as absent.
fn channel(
    rule: &'static ChannelRule,
    path: PathBuf,
    settings: Option<&Value>,
    estimator: &Estimator,
) -> Result<Channel, TrainError> {
    let name = rule.name;
    let setting = |key: &str| {
        let value = settings.and_then(|settings| settings.get(key)).and_then(Value::as_str);
        value.filter(|value| !value.is_empty() && *value != "None")
    };
    match setting("TrainingInputMode") {
        None | Some("File" | "FastFile") => {}
        Some(mode) => {
            return Err(TrainError::client(format!(
                "channel {name}: expected TrainingInputMode File or FastFile, found {mode:?}"
            )));
        }
    }
    let content_type = setting("ContentType").unwrap_or(estimator.default_content_type);
    let content_type = training_content_type(content_type, rule.labels)
        .map_err(|error| TrainError::client(format!("channel {name}: {error}")))?;
    Ok(Channel {
        name,
        path,
        content_type,
        labels: rule.labels,
        mode: InputMode::File,
        selection: Selection::All,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A base folder with the given files.
    fn base(files: &[(&str, &str)]) -> (tempfile::TempDir, Contract) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("below the base")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let contract = Contract::new(folder.path());
        (folder, contract)
    }

    #[test]
    fn hyperparameters_are_text() {
        let check = |json: &str, expected: Result<&[(&str, &str)], &str>| {
            let (_folder, contract) = base(&[("input/config/hyperparameters.json", json)]);
            match (contract.hyperparameters(), expected) {
                (Ok(found), Ok(expected)) => {
                    let found: Vec<(&str, &str)> =
                        found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                    assert_eq!(found, expected);
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, expected) => panic!("expected {expected:?}, found {found:?}"),
            }
        };
        check(
            r#"{"eta": "0.1", "objective": "\"reg:squarederror\""}"#,
            Ok(&[("eta", "0.1"), ("objective", "reg:squarederror")]),
        );
        check(r#"{"eta": 0.1}"#, Err("eta: expected a string, found 0.1"));
        check("[]", Err("expected a JSON object"));
        check("{", Err("hyperparameters.json"));
        let many: Vec<String> = (0..101).map(|i| format!("\"a{i}\": \"1\"")).collect();
        check(&format!("{{{}}}", many.join(",")), Err("at most 100 entries, found 101"));
    }

    #[test]
    fn all_configuration_may_be_absent() {
        let (_folder, contract) = base(&[("input/data/train/a.libsvm", "1 0:1\n")]);
        assert!(contract.hyperparameters().expect("absent is empty").is_empty());
        contract.check_resources().expect("one host");
        let channels = contract.channels(&fit_xgboost::ESTIMATOR).expect("the folder says");
        assert_eq!(channels["train"].content_type.format, codecs::Format::LibSvm);
        assert!(!channels.contains_key("validation"));
    }

    #[test]
    fn channels_are_checked() {
        let check = |config: &str, data: &str, expected: &str| {
            let (_folder, contract) = base(&[("input/config/inputdataconfig.json", config), (data, "1,2\n")]);
            let error = contract.channels(&fit_xgboost::ESTIMATOR).expect_err("something is wrong");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("{}", "input/data/test/a", "unknown channel \"test\": expected train, validation");
        check("{\"model\": {}}", "input/data/train/a", "unknown channel \"model\"");
        check("{}", "input/data/validation/a", "channel train is required");
        check(
            r#"{"train": {"ContentType": "image/png"}}"#,
            "input/data/train/a",
            "channel train: content type \"image/png\"",
        );
        check(
            r#"{"train": {"TrainingInputMode": "Pipe"}}"#,
            "input/data/train/a",
            "expected TrainingInputMode File",
        );
    }

    #[test]
    fn settings_that_say_none_are_absent() {
        let config = r#"{"train": {"ContentType": "text/csv", "CompressionType": "None", "RecordWrapperType": "None"},
                         "validation": {"TrainingInputMode": "File", "ContentType": "None"}}"#;
        let (_folder, contract) = base(&[("input/config/inputdataconfig.json", config)]);
        let channels = contract.channels(&fit_xgboost::ESTIMATOR).expect("both are described");
        assert_eq!(channels["train"].content_type.format, codecs::Format::Csv);
        assert_eq!(channels["validation"].content_type.format, codecs::Format::LibSvm);
    }

    #[test]
    fn several_hosts_are_refused() {
        let (_folder, contract) =
            base(&[("input/config/resourceconfig.json", r#"{"hosts": ["algo-1", "algo-2"]}"#)]);
        let error = contract.check_resources().expect_err("two hosts");
        assert!(error.to_string().contains("expected one instance, found 2 hosts"), "{error}");
    }

    #[test]
    fn the_reason_of_a_failure_is_left_for_the_platform() {
        let (folder, contract) = base(&[]);
        contract.write_failure(&TrainError::client("eta is 7")).expect("a writable folder");
        let text = fs::read_to_string(folder.path().join("output/failure")).expect("the file");
        assert_eq!(text, "ClientError: eta is 7");
    }
}
