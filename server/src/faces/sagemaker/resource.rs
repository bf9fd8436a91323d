//! What all kinds of resources share: storing with tags, finding, deleting.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use wire::{AwsError, ErrorCode, Scope, Timestamp};

use super::refusal::Refusal;
use super::required;
use crate::control::record::{self, Kind, Record};
use crate::control::tags::{self, Tags};
use crate::faces::aws::Call;
use crate::platform::Platform;

/// Resources of one kind. Reason: ten times AWS's own quota, and as many as a search reads in a tenth of a second.
const RESOURCES_MAX: usize = 10_000;

/// The member that names a resource of this kind.
pub(super) const fn name_member(kind: Kind) -> &'static str {
    match kind {
        Kind::EndpointConfig => "EndpointConfigName",
        Kind::Endpoint => "EndpointName",
        Kind::TransformJob => "TransformJobName",
        Kind::TrainingJob => "TrainingJobName",
        _ => "ModelName",
    }
}

/// The member that carries the ARN of a resource of this kind.
pub(super) const fn arn_member(kind: Kind) -> &'static str {
    match kind {
        Kind::EndpointConfig => "EndpointConfigArn",
        Kind::Endpoint => "EndpointArn",
        Kind::TransformJob => "TransformJobArn",
        Kind::TrainingJob => "TrainingJobArn",
        _ => "ModelArn",
    }
}

/// Stores a resource and its tags in one transaction, in which `check` passed; answers its ARN.
pub(super) async fn create(
    platform: &Arc<Platform>,
    call: &Call,
    kind: Kind,
    check: impl FnOnce(&Connection, &Map<String, Value>) -> Result<(), Refusal> + Send + 'static,
) -> Result<Value, Refusal> {
    let mut document = call.input.clone();
    let tags = Tags::parse(document.remove("Tags").as_ref())?;
    let name = required(&document, name_member(kind))?.to_owned();
    let (arn, now) = (call.scope.sagemaker(kind.as_str(), &name).0, Timestamp::now());
    let record = Record { name, arn, created: now, modified: now, status: String::new(), document };
    let scope = call.scope.clone();
    let store = move |connection: &rusqlite::Transaction<'_>| {
        check(connection, &record.document)?;
        insert(connection, &scope, kind, &record)?;
        tags::put(connection, &record.arn, &tags)?;
        Ok::<_, Refusal>(record.arn)
    };
    let arn = platform.database.transact(store).await?;
    Ok(json!({arn_member(kind): arn}))
}

fn insert(connection: &Connection, scope: &Scope, kind: Kind, record: &Record) -> Result<(), Refusal> {
    if record::find(connection, kind, &record.name)?.is_some() {
        return Err(Refusal::taken(scope, kind, &record.name));
    }
    let found = record::count(connection, kind)?;
    if found >= RESOURCES_MAX {
        let message =
            format!("expected at most {RESOURCES_MAX} resources of kind {}, found {found}", kind.as_str());
        return Err(AwsError::new(ErrorCode::ResourceLimitExceeded, message).into());
    }
    record::insert(connection, kind, record)?;
    Ok(())
}

/// The record that `call` names.
pub(super) async fn find(platform: &Arc<Platform>, call: &Call, kind: Kind) -> Result<Record, Refusal> {
    let name = required(&call.input, name_member(kind))?.to_owned();
    let scope = call.scope.clone();
    let find = move |connection: &rusqlite::Transaction<'_>| {
        record::find(connection, kind, &name)?.ok_or_else(|| Refusal::not_found(&scope, kind, &name))
    };
    platform.database.read(find).await
}

/// Deletes the record that `call` names, with its tags. What serves it keeps what it took of it.
pub(super) async fn delete(platform: &Arc<Platform>, call: &Call, kind: Kind) -> Result<Value, Refusal> {
    let name = required(&call.input, name_member(kind))?.to_owned();
    let scope = call.scope.clone();
    let delete = move |connection: &rusqlite::Transaction<'_>| {
        let is_gone = record::remove(connection, kind, &name)?;
        if is_gone { Ok(()) } else { Err(Refusal::not_found(&scope, kind, &name)) }
    };
    platform.database.transact(delete).await?;
    Ok(json!({}))
}

/// What a record was given, its ARN and its time of creation.
pub(super) fn description(record: Record, kind: Kind) -> Map<String, Value> {
    let mut description = record.document;
    // The name as it was given first, whatever the case of the request.
    description.insert(name_member(kind).into(), record.name.into());
    description.insert(arn_member(kind).into(), record.arn.into());
    description.insert("CreationTime".into(), record.created.to_json());
    description
}
