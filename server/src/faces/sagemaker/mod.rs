//! SageMaker's control plane: models, endpoint configurations, endpoints, transform and training jobs, their tags, and the lists
//! of all of them.
//!
//! A request that comes here has the shape that its operation takes; what is left to check is what no shape says.
//!
//! | module | is |
//! |---|---|
//! | `models`, `endpoint_configs`, `endpoints`, `transform_jobs`, `training_jobs` | the operations on each kind |
//! | `container`, `variant` | what a container and a variant may be |
//! | `description` | how an endpoint's state is described |
//! | `lists`, `search`, `expression` | pages of resources |
//! | `tagging` | tags, by ARN |
//! | `resource` | what all kinds share: storing, finding, deleting |
//! | `refusal` | why an operation is not done, in AWS's words |

mod container;
mod description;
mod endpoint_configs;
mod endpoints;
mod expression;
mod lists;
mod models;
mod refusal;
mod resource;
mod search;
mod tagging;
mod training_jobs;
mod transform_jobs;
mod variant;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wire::AwsError;

use crate::control::Kind;
use crate::faces::aws::{Call, Reply};
use crate::platform::Platform;
use refusal::Refusal;

/// Answers `call`.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(platform: &Arc<Platform>, call: Call) -> Reply {
    let call = &call;
    wire::shape::validate("sagemaker", &call.operation, &call.input)?;
    let answered = match call.operation.as_str() {
        "CreateModel" => models::create(platform, call).await,
        "DescribeModel" => models::describe(platform, call).await,
        "DeleteModel" => resource::delete(platform, call, Kind::Model).await,
        "ListModels" => lists::list(platform, call, Kind::Model).await,
        "CreateEndpointConfig" => endpoint_configs::create(platform, call).await,
        "DescribeEndpointConfig" => endpoint_configs::describe(platform, call).await,
        "DeleteEndpointConfig" => resource::delete(platform, call, Kind::EndpointConfig).await,
        "ListEndpointConfigs" => lists::list(platform, call, Kind::EndpointConfig).await,
        "CreateEndpoint" => endpoints::create(platform, call).await,
        "DescribeEndpoint" => endpoints::describe(platform, call).await,
        "UpdateEndpoint" => endpoints::update(platform, call).await,
        "UpdateEndpointWeightsAndCapacities" => endpoints::update_weights(platform, call).await,
        "DeleteEndpoint" => endpoints::delete(platform, call).await,
        "ListEndpoints" => lists::list(platform, call, Kind::Endpoint).await,
        "CreateTransformJob" => transform_jobs::create(platform, call).await,
        "DescribeTransformJob" => transform_jobs::describe(platform, call).await,
        "StopTransformJob" => transform_jobs::stop(platform, call).await,
        "ListTransformJobs" => lists::list(platform, call, Kind::TransformJob).await,
        "CreateTrainingJob" => training_jobs::create(platform, call).await,
        "DescribeTrainingJob" => training_jobs::describe(platform, call).await,
        "StopTrainingJob" => training_jobs::stop(platform, call).await,
        "UpdateTrainingJob" => training_jobs::update(platform, call).await,
        "DeleteTrainingJob" => training_jobs::delete(platform, call).await,
        "ListTrainingJobs" => lists::list_training_jobs(platform, call).await,
        "AddTags" => tagging::add(platform, call).await,
        "ListTags" => tagging::list(platform, call).await,
        "DeleteTags" => tagging::delete(platform, call).await,
        "Search" => search::search(platform, call).await,
        // Clients ask for these on their way to something else. There are none of either.
        "ListMonitoringSchedules" => empty(call, "MonitoringScheduleSummaries"),
        "ListAliases" => empty(call, "SageMakerImageVersionAliases"),
        unknown => Err(AwsError::unknown_operation("SageMaker", unknown).into()),
    };
    answered.map_err(|Refusal(error)| error)
}

/// A list of a kind of which there are none.
fn empty(call: &Call, member: &str) -> Result<Value, Refusal> {
    lists::refuse_token(call)?;
    Ok(json!({member: []}))
}

/// A string that the shape requires.
fn required<'a>(input: &'a Map<String, Value>, member: &str) -> Result<&'a str, Refusal> {
    let text = input.get(member).and_then(Value::as_str);
    text.ok_or_else(|| Refusal::validation(format!("{member}: expected a string, found none")))
}

/// The array of this name; empty when there is none.
fn array<'a>(input: &'a Map<String, Value>, member: &str) -> &'a [Value] {
    input.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
