//! `AddTags`, `ListTags`, `DeleteTags`: by the ARN of a resource that is there.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use wire::Arn;

use super::refusal::Refusal;
use super::{array, lists, required};
use crate::control::Kind;
use crate::control::record;
use crate::control::tags::{self, Tags};
use crate::faces::aws::Call;
use crate::platform::Platform;

/// The kinds that have tags here.
const KINDS: [Kind; 5] =
    [Kind::Model, Kind::EndpointConfig, Kind::Endpoint, Kind::TransformJob, Kind::TrainingJob];

pub(super) async fn add(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let added = Tags::parse(call.input.get("Tags"))?;
    let answer = in_resource(platform, call, move |connection, arn| {
        tags::put(connection, arn, &added)?;
        Ok(json!({"Tags": tags::of(connection, arn)?.to_json()}))
    });
    let answer = answer.await?;
    tell(platform, call);
    Ok(answer)
}

/// All of them: a resource has no more than a page takes.
pub(super) async fn list(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    lists::refuse_token(call)?;
    let arn = required(&call.input, "ResourceArn")?.to_owned();
    let of = move |connection: &rusqlite::Transaction<'_>| {
        Ok(json!({"Tags": tags::of(connection, &stored_arn(connection, &arn)?)?.to_json()}))
    };
    platform.database.read(of).await
}

pub(super) async fn delete(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let keys: Vec<String> =
        array(&call.input, "TagKeys").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let answer = in_resource(platform, call, move |connection, arn| {
        tags::remove(connection, arn, &keys)?;
        Ok(json!({}))
    });
    let answer = answer.await?;
    tell(platform, call);
    Ok(answer)
}

/// An endpoint's tags say how it assigns requests: it looks at them again.
fn tell(platform: &Arc<Platform>, call: &Call) {
    let arn = call.input.get("ResourceArn").and_then(Value::as_str).unwrap_or_default();
    if let Some((kind, name)) = Arn::sagemaker_parts(arn)
        && kind.eq_ignore_ascii_case(Kind::Endpoint.as_str())
    {
        platform.control.wake(name);
    }
}

/// Runs `work` in a transaction, with the ARN as the resource has it.
async fn in_resource(
    platform: &Arc<Platform>,
    call: &Call,
    work: impl FnOnce(&Connection, &str) -> Result<Value, Refusal> + Send + 'static,
) -> Result<Value, Refusal> {
    let arn = required(&call.input, "ResourceArn")?.to_owned();
    let work = move |connection: &rusqlite::Transaction<'_>| {
        let arn = stored_arn(connection, &arn)?;
        work(connection, &arn)
    };
    platform.database.transact(work).await
}

/// The ARN as it was given out; requests may write it in any case.
fn stored_arn(connection: &Connection, arn: &str) -> Result<String, Refusal> {
    let not_found = || Refusal::validation(format!("Could not find resource \"{arn}\"."));
    let (kind, name) = Arn::sagemaker_parts(arn).ok_or_else(not_found)?;
    let kind =
        KINDS.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(kind)).ok_or_else(not_found)?;
    let found = record::find(connection, kind, name)?.filter(|record| record.arn.eq_ignore_ascii_case(arn));
    Ok(found.ok_or_else(not_found)?.arn)
}
