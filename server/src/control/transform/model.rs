//! The model of a transform job: the stored definition with the job's variables laid over it, fetched, verified and loaded as
//! endpoints' models are.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::state::TransformJobState;
use crate::control::endpoint::PinnedArtifact;
use crate::control::images::{Container, ImageError, ModelData};
use crate::control::shared_models::{LoadLimits, ProvisionError, SharedModel, SharedModels};

/// How long a download, or a start, may take. Reason: the longest that an endpoint can ask for; a job is not in a hurry, and a
/// transform cannot say.
const LOAD_TIME_MAX: Duration = Duration::from_secs(3600);

/// A model that can be transformed with: one container with one artifact.
#[derive(Debug)]
pub(super) struct Servable {
    container: Container,
    url: String,
}

/// Why a model cannot be transformed with.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotServable {
    /// Its container is not served.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It is many.
    #[error("expected one artifact, found the prefix of many ({0}): Mode MultiModel is not transformed with")]
    Many(String),
}

impl Servable {
    /// The model of a job.
    pub(super) fn of(state: &TransformJobState) -> Result<Self, NotServable> {
        let mut model = state.model.clone();
        overlay(&mut model, state.request.get("Environment"));
        let container = Container::of_model(&model)?;
        match &container.model_data {
            ModelData::One(url) => Ok(Self { url: url.clone(), container }),
            ModelData::Many(url) => Err(NotServable::Many(url.clone())),
        }
    }

    /// The model in memory, and what the job is held to from now on.
    pub(super) async fn load(
        &self,
        models: &SharedModels,
        pin: Option<&PinnedArtifact>,
    ) -> Result<(Arc<SharedModel>, PinnedArtifact), ProvisionError> {
        let limits = LoadLimits { download: LOAD_TIME_MAX, startup: LOAD_TIME_MAX };
        models.load(&self.container, &self.url, pin, None, limits).await
    }
}

/// The job's variables go before the container's.
fn overlay(model: &mut Value, environment: Option<&Value>) {
    let Some(environment) = environment.and_then(Value::as_object) else { return };
    let container = match model.get("PrimaryContainer") {
        Some(_) => model.get_mut("PrimaryContainer"),
        None => model.pointer_mut("/Containers/0"),
    };
    let Some(container) = container.and_then(Value::as_object_mut) else { return };
    let variables = container.entry("Environment").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(variables) = variables.as_object_mut() {
        variables.extend(environment.clone());
    }
}

/// Why a job whose model did not load has failed, and whose fault that is.
pub(super) fn failure_reason(error: &ProvisionError) -> String {
    match error {
        ProvisionError::Artifact(error) => format!("ClientError: Failed to download the model data: {error}"),
        error => format!(
            "AlgorithmError: The primary container did not pass the ping health check. Please check CloudWatch logs \
             for this job. Cause: {error}"
        ),
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "cases hand in literals")]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(model: Value, environment: Value, expected: Result<bool, &str>) {
        let request = json!({"Environment": environment}).as_object().unwrap().clone();
        let found = Servable::of(&TransformJobState::new("id".into(), request, model));
        match (found, expected) {
            (Ok(found), Ok(is_batch)) => assert_eq!(found.container.options.batch, is_batch),
            (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
            (found, expected) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    fn container(environment: Value) -> Value {
        json!({"Image": "xgboost:1", "ModelDataUrl": "s3://b/k", "Environment": environment})
    }

    #[test]
    fn a_jobs_variables_lie_over_the_models() {
        let primary = |environment| json!({"PrimaryContainer": container(environment)});
        check(primary(json!({})), json!({}), Ok(false));
        check(primary(json!({"SAGEMAKER_BATCH": "true"})), json!({}), Ok(true));
        check(primary(json!({"SAGEMAKER_BATCH": "true"})), json!({"SAGEMAKER_BATCH": "false"}), Ok(false));
        check(primary(json!({})), json!({"SAGEMAKER_BATCH": "true"}), Ok(true));
        check(json!({"Containers": [container(json!({}))]}), json!({"SAGEMAKER_BATCH": "true"}), Ok(true));
        check(primary(json!({})), json!({"CLARY_TRANSFORM_ERROR_POLICY": "fail"}), Ok(false));
        let bare = json!({"PrimaryContainer": {"Image": "xgboost:1", "ModelDataUrl": "s3://b/k"}});
        check(bare, json!({"SAGEMAKER_BATCH": "true"}), Ok(true));
    }

    #[test]
    fn what_cannot_be_transformed_with_says_so() {
        check(
            json!({"PrimaryContainer": container(json!({}))}),
            json!({"SAGEMAKER_BATCH": "perhaps"}),
            Err("perhaps"),
        );
        let many = json!({"PrimaryContainer": {"Image": "xgboost:1", "Mode": "MultiModel", "ModelDataUrl": "s3://b/m/"}});
        check(many, json!({}), Err("the prefix of many (s3://b/m/)"));
        let pipeline = json!({"Containers": [container(json!({})), container(json!({}))]});
        check(pipeline, json!({}), Err("found 2"));
        check(
            json!({"PrimaryContainer": {"Image": "pytorch:2", "ModelDataUrl": "s3://b/k"}}),
            json!({}),
            Err("pytorch"),
        );
    }
}
