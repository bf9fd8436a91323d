//! The environment as a value: which variable stands behind which flag.
//!
//! Every flag `--some-name` has `CLARY_SOME_NAME`; some have SageMaker's own variable behind that.

use std::ffi::OsString;

use clap::Command;

/// One of SageMaker's variables.
struct Variable {
    /// The id of the flag that it stands behind.
    flag: &'static str,
    name: &'static str,
    /// From its text to the flag's.
    convert: fn(&str) -> String,
}

const fn same(flag: &'static str, name: &'static str) -> Variable {
    Variable { flag, name, convert: str::to_owned }
}

/// SageMaker's variables. Where a flag has several, the first that is set counts.
const SAGEMAKER: &[Variable] = &[
    same("model_dir", "SM_MODEL_DIR"),
    same("base_dir", "SAGEMAKER_BASE_DIR"),
    same("port", "SAGEMAKER_BIND_TO_PORT"),
    same("multi_model", "SAGEMAKER_MULTI_MODEL"),
    same("batch", "SAGEMAKER_BATCH"),
    same("default_accept", "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"),
    same("inference_output", "SAGEMAKER_INFERENCE_OUTPUT"),
    same("inference_ensemble", "SAGEMAKER_INFERENCE_ENSEMBLE"),
    same("workers", "SAGEMAKER_MODEL_SERVER_WORKERS"),
    same("request_timeout", "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS"),
    same("request_timeout", "SAGEMAKER_MODEL_SERVER_TIMEOUT"),
    same("body_limit", "MAX_CONTENT_LENGTH"),
    Variable {
        flag: "body_limit",
        name: "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        convert: |text| format!("{text}MiB"),
    },
    same("log_level", "SAGEMAKER_CONTAINER_LOG_LEVEL"),
    same("xgboost_csv_legacy", "XGBOOST_CSV_LEGACY"),
    same("xgboost_libsvm_one_based", "XGBOOST_LIBSVM_ONE_BASED"),
    same("scratch", "TMPDIR"),
];

/// Variables and their values.
#[derive(Debug, Clone, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// A process's; what is not UTF-8 is passed over.
    pub(super) fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self(variables.filter_map(text).collect())
    }

    /// These.
    pub fn new(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A variable's value; an empty one counts as unset, as in a container definition that blanks it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(candidate, value)| candidate == name && !value.is_empty())?;
        Some(value)
    }

    /// The value of a flag by its id.
    fn of_flag(&self, id: &str) -> Option<String> {
        if let Some(value) = self.get(&clary_name(id)) {
            return Some(value.to_owned());
        }
        let behind = SAGEMAKER.iter().filter(|variable| variable.flag == id);
        behind.filter_map(|variable| self.get(variable.name).map(variable.convert)).next()
    }

    /// `command` with the environment as the defaults of its flags, and the variables named in its help.
    pub(super) fn as_defaults(&self, command: Command) -> Command {
        command.mut_args(|flag| {
            let id = flag.get_id().as_str();
            if flag.get_long().is_none() || id == "help" || id == "version" {
                return flag;
            }
            let value = self.of_flag(id);
            let mut names = vec![clary_name(id)];
            let behind = SAGEMAKER.iter().filter(|variable| variable.flag == id);
            names.extend(behind.map(|variable| variable.name.to_owned()));
            let help =
                format!("{} [env: {}]", flag.get_help().cloned().unwrap_or_default(), names.join(", "));
            let flag = flag.help(help);
            match value {
                Some(value) => flag.default_value(clap::builder::OsStr::from(value)),
                None => flag,
            }
        })
    }

    /// The variables of the AWS clients, in lower case as `object_store` names its options.
    pub(super) fn aws(&self) -> Vec<(String, String)> {
        let aws = self.0.iter().filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        aws.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
    }
}

fn clary_name(id: &str) -> String {
    format!("CLARY_{}", id.to_ascii_uppercase())
}
