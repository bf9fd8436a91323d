//! How a model is loaded: the flags of whatever command loads one.

use clap::Args;
use models::LoadOptions;

use super::values::boolean;

/// The flags that `clary serve` and `clary transform` share.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// The answer's media type when a request has no Accept; by default the model's.
    #[arg(long, value_name = "TYPE")]
    pub(super) default_accept: Option<String>,
    /// Selected answers of XGBoost, comma-separated: predicted_label, probabilities, …
    #[arg(long, value_name = "KEYS")]
    inference_output: Option<String>,
    /// Whether several XGBoost model files vote.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    inference_ensemble: bool,
    /// Answer as in SageMaker's batch transform.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    batch: bool,
    /// XGBoost: CSV answers on one comma-joined line, as the oldest image.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    xgboost_csv_legacy: bool,
    /// XGBoost: libsvm indices of requests start at 1.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    xgboost_libsvm_one_based: bool,
}

impl ModelArgs {
    /// What they mean to a loader.
    pub(super) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            inference_output: self.inference_output.clone(),
            ensemble_disabled: !self.inference_ensemble,
            batch: self.batch,
            xgboost_csv_legacy: self.xgboost_csv_legacy,
            xgboost_libsvm_one_based: self.xgboost_libsvm_one_based,
        }
    }
}
