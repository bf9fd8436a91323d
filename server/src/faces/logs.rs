//! CloudWatch Logs: what endpoints wrote, as the SDKs read it. JSON 1.1; moments are milliseconds both ways.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use telemetry::logs::{Event, EventQuery, FilterQuery, MESSAGE_BYTES_MAX, Pattern, StreamOrder, StreamQuery};
use telemetry::{Logs, TelemetryError};
use wire::{AwsError, ErrorCode, Scope, Timestamp};

use super::aws::{Call, Reply};
use crate::platform::Platform;
use crate::rt;

/// Groups or streams of a page, where the request does not say. Reason: the public service's.
const NAMES_MAX: usize = 50;

/// Events of a page. Reason: the public service's.
const EVENTS_MAX: usize = 10_000;

/// How old an event may be that is put. Reason: the public service's.
const EVENT_AGE_MAX_MS: i64 = 14 * 24 * 3600 * 1000;

/// How far ahead of the clock an event may be that is put. Reason: the public service's.
const EVENT_AHEAD_MAX_MS: i64 = 2 * 3600 * 1000;

/// Answers `call`.
///
/// # Errors
/// When it is not what the operation takes, or there is no such operation here.
pub async fn answer(platform: &Arc<Platform>, call: Call) -> Reply {
    let Call { operation, input, scope, .. } = call;
    wire::shape::validate("logs", &operation, &input)?;
    let logs = OnLogs { platform, scope };
    match operation.as_str() {
        "DescribeLogGroups" => logs.describe_groups(read(input)?).await,
        "DescribeLogStreams" => logs.describe_streams(read(input)?).await,
        "GetLogEvents" => logs.get_events(read(input)?).await,
        "FilterLogEvents" => logs.filter_events(read(input)?).await,
        "CreateLogGroup" => logs.create_group(read(input)?).await,
        "CreateLogStream" => logs.create_stream(read(input)?).await,
        "PutLogEvents" => logs.put_events(read(input)?).await,
        "DeleteLogGroup" => logs.delete_group(read(input)?).await,
        "DeleteLogStream" => logs.delete_stream(read(input)?).await,
        "PutRetentionPolicy" => logs.put_retention(read(input)?).await,
        "DeleteRetentionPolicy" => logs.delete_retention(read(input)?).await,
        _ => Err(AwsError::unknown_operation("CloudWatch Logs", &operation)),
    }
}

fn read<T: DeserializeOwned>(input: Map<String, Value>) -> Result<T, AwsError> {
    serde_json::from_value(Value::Object(input))
        .map_err(|error| AwsError::new(ErrorCode::SerializationException, error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Input {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_stream_name: Option<String>,
    log_stream_name_prefix: Option<String>,
    log_stream_names: Vec<String>,
    log_events: Vec<PutEvent>,
    order_by: Option<String>,
    descending: bool,
    start_from_head: bool,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
    retention_in_days: Option<u32>,
}

#[derive(Deserialize)]
struct PutEvent {
    timestamp: i64,
    message: String,
}

impl Input {
    /// By name, or by an ARN that ends with it.
    fn group(&self) -> Result<String, AwsError> {
        let given = self.log_group_name.as_ref().or(self.log_group_identifier.as_ref());
        let given = given.ok_or_else(|| refused("expected logGroupName, found none"))?;
        let name = given.split_once(":log-group:").map_or(given.as_str(), |(_, name)| name);
        Ok(name.strip_suffix(":*").unwrap_or(name).to_owned())
    }

    fn stream(&self) -> Result<String, AwsError> {
        self.log_stream_name.clone().ok_or_else(|| refused("expected logStreamName, found none"))
    }

    fn limit(&self, most: usize) -> usize {
        self.limit.unwrap_or(most).clamp(1, most)
    }
}

fn refused(message: impl Into<String>) -> AwsError {
    AwsError::new(ErrorCode::InvalidParameterException, message)
}

struct OnLogs<'a> {
    platform: &'a Arc<Platform>,
    scope: Scope,
}

impl OnLogs<'_> {
    /// Lines that wait are written first, so that a reader sees what was said before it asked.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Logs, Timestamp) -> Result<T, TelemetryError> + Send + 'static,
    ) -> Result<T, AwsError> {
        let telemetry = Arc::clone(&self.platform.telemetry);
        let now = Timestamp::now();
        let result = rt::blocking(move || {
            telemetry.logs.flush(now)?;
            work(&telemetry.logs, now)
        });
        result.await.map_err(|error| refusal(&error))
    }

    fn arn(&self, group: &str) -> String {
        let Scope { region, account } = &self.scope;
        format!("arn:aws:logs:{region}:{account}:log-group:{group}")
    }

    async fn describe_groups(&self, input: Input) -> Reply {
        let limit = input.limit(NAMES_MAX);
        let prefix = input.log_group_name_prefix.unwrap_or_default();
        let part = input.log_group_name_pattern.unwrap_or_default();
        let after = input.next_token;
        let page = self.run(move |logs, _| logs.groups(&prefix, &part, after.as_deref(), limit)).await?;
        let groups = page.groups.iter().map(|group| {
            let arn = self.arn(&group.name);
            let mut shown = json!({
                "logGroupName": group.name, "creationTime": group.created.0, "storedBytes": group.bytes,
                "metricFilterCount": 0, "arn": format!("{arn}:*"), "logGroupArn": arn,
            });
            if let Some(days) = group.retention_days {
                shown["retentionInDays"] = days.into();
            }
            shown
        });
        let mut reply = json!({ "logGroups": groups.collect::<Vec<_>>() });
        put(&mut reply, "nextToken", page.next);
        Ok(reply)
    }

    async fn describe_streams(&self, input: Input) -> Reply {
        let group = input.group()?;
        let order = match input.order_by.as_deref() {
            Some("LastEventTime") => StreamOrder::LastEventTime,
            _ => StreamOrder::LogStreamName,
        };
        if order == StreamOrder::LastEventTime && input.log_stream_name_prefix.is_some() {
            return Err(refused("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        let query = StreamQuery {
            order,
            is_descending: input.descending,
            limit: input.limit(NAMES_MAX),
            prefix: input.log_stream_name_prefix.unwrap_or_default(),
            token: input.next_token,
        };
        let arn = self.arn(&group);
        let page = self.run(move |logs, _| logs.streams(&group, &query)).await?;
        let streams = page.streams.iter().map(|stream| {
            let mut shown = json!({
                "logStreamName": stream.name, "creationTime": stream.created.0, "storedBytes": stream.bytes,
                "arn": format!("{arn}:log-stream:{}", stream.name),
            });
            let time = |time: Option<Timestamp>| time.map(|time| time.0);
            put(&mut shown, "firstEventTimestamp", time(stream.first_event));
            put(&mut shown, "lastEventTimestamp", time(stream.last_event));
            put(&mut shown, "lastIngestionTime", time(stream.last_ingestion));
            shown
        });
        let mut reply = json!({ "logStreams": streams.collect::<Vec<_>>() });
        put(&mut reply, "nextToken", page.token);
        Ok(reply)
    }

    async fn get_events(&self, input: Input) -> Reply {
        let (group, stream) = (input.group()?, input.stream()?);
        let query = EventQuery {
            start: input.start_time.map(Timestamp),
            end: input.end_time.map(Timestamp),
            is_from_head: input.start_from_head,
            limit: input.limit(EVENTS_MAX),
            token: input.next_token,
        };
        let page = self.run(move |logs, _| logs.events(&group, &stream, &query)).await?;
        let events: Vec<_> = page.events.iter().map(shown).collect();
        Ok(json!({ "events": events, "nextForwardToken": page.forward, "nextBackwardToken": page.backward }))
    }

    async fn filter_events(&self, input: Input) -> Reply {
        let group = input.group()?;
        if !input.log_stream_names.is_empty() && input.log_stream_name_prefix.is_some() {
            return Err(refused("expected logStreamNames or logStreamNamePrefix, found both"));
        }
        let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default());
        let query = FilterQuery {
            pattern: pattern.map_err(|reason| refused(format!("filterPattern: {reason}")))?,
            start: input.start_time.map(Timestamp),
            end: input.end_time.map(Timestamp),
            limit: input.limit(EVENTS_MAX),
            streams: input.log_stream_names,
            prefix: input.log_stream_name_prefix.unwrap_or_default(),
            token: input.next_token,
        };
        let page = self.run(move |logs, _| logs.filter(&group, &query)).await?;
        let events = page.events.iter().map(|event| {
            let mut shown = shown(event);
            shown["logStreamName"] = event.stream.as_str().into();
            shown["eventId"] = format!("{:056}", event.id).into();
            shown
        });
        let mut reply = json!({ "events": events.collect::<Vec<_>>(), "searchedLogStreams": [] });
        put(&mut reply, "nextToken", page.token);
        Ok(reply)
    }

    async fn create_group(&self, input: Input) -> Reply {
        let group = input.group()?;
        self.run(move |logs, now| logs.create_group(&group, now)).await.map(|()| json!({}))
    }

    async fn create_stream(&self, input: Input) -> Reply {
        let (group, stream) = (input.group()?, input.stream()?);
        self.run(move |logs, now| logs.create_stream(&group, &stream, now)).await.map(|()| json!({}))
    }

    async fn delete_group(&self, input: Input) -> Reply {
        let group = input.group()?;
        self.run(move |logs, _| logs.delete_group(&group)).await.map(|()| json!({}))
    }

    async fn delete_stream(&self, input: Input) -> Reply {
        let (group, stream) = (input.group()?, input.stream()?);
        self.run(move |logs, _| logs.delete_stream(&group, &stream)).await.map(|()| json!({}))
    }

    async fn put_retention(&self, input: Input) -> Reply {
        let group = input.group()?;
        let days = input.retention_in_days.filter(|days| *days > 0);
        let days = days.ok_or_else(|| refused("expected retentionInDays above 0, found none"))?;
        self.run(move |logs, _| logs.set_retention(&group, Some(days))).await.map(|()| json!({}))
    }

    async fn delete_retention(&self, input: Input) -> Reply {
        let group = input.group()?;
        self.run(move |logs, _| logs.set_retention(&group, None)).await.map(|()| json!({}))
    }

    async fn put_events(&self, input: Input) -> Reply {
        let (group, stream) = (input.group()?, input.stream()?);
        let accepted = accepted(input.log_events, Timestamp::now())?;
        self.run(move |logs, now| logs.put(&group, &stream, &accepted.events, now)).await?;
        let mut reply = json!({ "nextSequenceToken": "0" });
        if accepted.rejected != Value::Null {
            reply["rejectedLogEventsInfo"] = accepted.rejected;
        }
        Ok(reply)
    }
}

struct Accepted {
    events: Vec<(Timestamp, String)>,
    rejected: Value,
}

/// The events that are neither too old nor too new, and which are.
fn accepted(events: Vec<PutEvent>, now: Timestamp) -> Result<Accepted, AwsError> {
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(refused("Log events in a single PutLogEvents request must be in chronological order."));
    }
    if let Some(long) = events.iter().find(|event| event.message.len() > MESSAGE_BYTES_MAX) {
        let found = long.message.len();
        return Err(refused(format!(
            "Log event too large: {found} bytes exceeds limit of {MESSAGE_BYTES_MAX}"
        )));
    }
    let old = events.partition_point(|event| event.timestamp < now.0 - EVENT_AGE_MAX_MS);
    let new = events.partition_point(|event| event.timestamp <= now.0 + EVENT_AHEAD_MAX_MS);
    let mut rejected = Value::Null;
    if old > 0 {
        rejected["tooOldLogEventEndIndex"] = old.into();
    }
    if new < events.len() {
        rejected["tooNewLogEventStartIndex"] = new.into();
    }
    let kept = events.into_iter().take(new).skip(old);
    Ok(Accepted { events: kept.map(|event| (Timestamp(event.timestamp), event.message)).collect(), rejected })
}

fn shown(event: &Event) -> Value {
    json!({ "timestamp": event.time.0, "message": event.message, "ingestionTime": event.ingested.0 })
}

fn put(reply: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        reply[name] = value.into();
    }
}

/// What a client hears of a fault.
fn refusal(error: &TelemetryError) -> AwsError {
    let code = match error {
        TelemetryError::NoGroup | TelemetryError::NoStream => ErrorCode::ResourceNotFoundException,
        TelemetryError::GroupExists | TelemetryError::StreamExists => {
            ErrorCode::ResourceAlreadyExistsException
        }
        TelemetryError::Token => ErrorCode::InvalidParameterException,
        TelemetryError::Full { .. } => ErrorCode::LimitExceededException,
        _ => {
            tracing::error!(%error, "logs cannot be read or written");
            return AwsError::internal();
        }
    };
    AwsError::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[i64], kept: usize, rejected: &Value) {
        let now = Timestamp(100 * 24 * 3600 * 1000);
        let events = times.iter().map(|time| PutEvent { timestamp: now.0 + time, message: "x".into() });
        let found = accepted(events.collect(), now).unwrap();
        assert_eq!((found.events.len(), &found.rejected), (kept, rejected), "{times:?}");
    }

    #[test]
    fn events_out_of_time_are_left_out_and_named() {
        const DAY: i64 = 24 * 3600 * 1000;
        check(&[], 0, &Value::Null);
        check(&[-1, 0, 1], 3, &Value::Null);
        check(&[-15 * DAY, -14 * DAY, 0], 2, &json!({"tooOldLogEventEndIndex": 1}));
        check(&[0, DAY, 2 * DAY], 1, &json!({"tooNewLogEventStartIndex": 1}));
        let unsorted = [2, 1].map(|timestamp| PutEvent { timestamp, message: "x".into() });
        assert!(accepted(unsorted.into(), Timestamp(0)).is_err());
    }

    #[test]
    fn a_group_is_named_or_given_by_its_arn() {
        let check = |input: Value, expected: &str| {
            let Value::Object(members) = input else { panic!("an object") };
            assert_eq!(read::<Input>(members).unwrap().group().unwrap(), expected);
        };
        check(json!({"logGroupName": "/a/b"}), "/a/b");
        check(json!({"logGroupIdentifier": "/a/b"}), "/a/b");
        check(json!({"logGroupIdentifier": "arn:aws:logs:r:1:log-group:/a/b:*"}), "/a/b");
        check(json!({"logGroupIdentifier": "arn:aws:logs:r:1:log-group:/a/b"}), "/a/b");
    }
}
