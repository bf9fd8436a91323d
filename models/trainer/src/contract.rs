//! SageMaker's training-container contract: configuration and channels below `/opt/ml/input`, the model into
//! `/opt/ml/model`, the reason of a failure into `/opt/ml/output/failure`.

mod channels;
mod hosts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use estimator::{Channel, Checkpoints, Estimator, TrainError};

use self::channels::MODEL_CHANNEL;
pub(crate) use self::channels::content_type_of;
pub(crate) use self::hosts::Hosts;

/// What the base folder is unless `SAGEMAKER_BASE_DIR` says.
const STANDARD_BASE: &str = "/opt/ml";
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

    /// Where files go that are no part of the model.
    pub(crate) fn output_folder(&self) -> PathBuf {
        self.base.join("output/data")
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

    /// The hosts of `resourceconfig.json`; one alone when there is no such file.
    pub(crate) fn hosts(&self) -> Result<Hosts, TrainError> {
        Hosts::read(&self.configuration("resourceconfig.json")?.unwrap_or_default())
    }

    /// The channels that are there, by name; `inputdataconfig.json` may be absent, and then the folders say.
    pub(crate) fn channels(&self, estimator: &Estimator) -> Result<BTreeMap<String, Channel>, TrainError> {
        let described = self.configuration("inputdataconfig.json")?.unwrap_or_default();
        let hosts = self.hosts()?.names.len();
        channels::read(&self.base.join("input/data"), &described, estimator, hosts)
    }

    /// The earlier artifact of the channel `model`, packed as it came or unpacked.
    pub(crate) fn earlier_model(&self) -> Option<PathBuf> {
        let folder = self.base.join("input/data").join(MODEL_CHANNEL);
        let packed = folder.join("model.tar.gz");
        [packed, folder].into_iter().find(|path| path.exists())
    }

    /// Where checkpoints are kept: where `checkpointconfig.json` says, or in the usual folder if it is there.
    pub(crate) fn checkpoints(&self, host: &str) -> Result<Checkpoints, TrainError> {
        let usual = self.base.join("checkpoints");
        let Some(object) = self.configuration("checkpointconfig.json")? else {
            return Ok(if usual.is_dir() { Checkpoints::new(&usual, host) } else { Checkpoints::none() });
        };
        let stated = object.get("LocalPath").and_then(Value::as_str).filter(|path| !path.is_empty());
        // What stands for /opt/ml stands for it here too.
        let folder = stated.map_or(usual, |path| match Path::new(path).strip_prefix(STANDARD_BASE) {
            Ok(below) => self.base.join(below),
            Err(_) => path.into(),
        });
        Ok(Checkpoints::new(&folder, host))
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
        assert_eq!(contract.hosts().expect("one host").names, ["algo-1"]);
        let channels = contract.channels(&fit_xgboost::ESTIMATOR).expect("the folder says");
        let expected = estimator::training_content_type("text/libsvm", estimator::Labels::Required);
        assert_eq!(Ok(channels["train"].content_type), expected.map_err(|error| error.to_string()));
        assert!(!channels.contains_key("validation"));
    }

    #[test]
    fn an_earlier_model_comes_packed_or_unpacked() {
        let (folder, contract) = base(&[("input/data/model/model.tar.gz", "")]);
        assert_eq!(contract.earlier_model(), Some(folder.path().join("input/data/model/model.tar.gz")));
        let (folder, contract) = base(&[("input/data/model/manifest.json", "{}")]);
        assert_eq!(contract.earlier_model(), Some(folder.path().join("input/data/model")));
        assert_eq!(base(&[]).1.earlier_model(), None);
    }

    #[test]
    fn checkpoints_are_kept_where_the_job_says() {
        let kept = |files: &[(&str, &str)], expected: &str| {
            let (folder, contract) = base(files);
            let checkpoints = contract.checkpoints("algo-2").expect("sound");
            checkpoints.save("state", b"x").expect("a writable folder");
            assert_eq!(folder.path().join(expected).is_file(), checkpoints.are_kept());
            checkpoints.are_kept()
        };
        assert!(!kept(&[], "checkpoints/algo-2-state.checkpoint"));
        assert!(kept(&[("checkpoints/other", "")], "checkpoints/algo-2-state.checkpoint"));
        let stated = r#"{"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/checkpoints/deep/"}"#;
        let config = ("input/config/checkpointconfig.json", stated);
        assert!(kept(&[config], "checkpoints/deep/algo-2-state.checkpoint"));
        let config = ("input/config/checkpointconfig.json", r#"{"S3Uri": "s3://b/c"}"#);
        assert!(kept(&[config], "checkpoints/algo-2-state.checkpoint"));
    }

    #[test]
    fn the_reason_of_a_failure_is_left_for_the_platform() {
        let (folder, contract) = base(&[]);
        contract.write_failure(&TrainError::client("eta is 7")).expect("a writable folder");
        let text = fs::read_to_string(folder.path().join("output/failure")).expect("the file");
        assert_eq!(text, "ClientError: eta is 7");
    }
}
