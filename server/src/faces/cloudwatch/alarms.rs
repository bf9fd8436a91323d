//! Alarms on the wire.

use scaling::alarm::AlarmState;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wire::{AwsError, ErrorCode, Scope, Timestamp};

use super::{Dimension, Reply, metric, value};
use crate::control::Alarms;
use crate::control::alarms::{Alarm, AlarmError, NewState, Watch};

/// Alarms of a page. Reason: the public service's.
const ALARMS_MAX: usize = 100;

/// `PutMetricAlarm`.
pub(super) async fn put(
    alarms: &Alarms,
    scope: &Scope,
    mut input: Map<String, Value>,
    now: Timestamp,
) -> Reply {
    Watch::read(&input)?;
    input.remove("Tags");
    let name = input.get("AlarmName").and_then(Value::as_str).unwrap_or_default().to_owned();
    alarms.put(scope, name, input, now).await.map_err(error)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeInput {
    #[serde(default)]
    alarm_names: Vec<String>,
    alarm_name_prefix: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    state_value: Option<AlarmState>,
    action_prefix: Option<String>,
    max_records: Option<usize>,
    next_token: Option<String>,
}

/// `DescribeAlarms`.
pub(super) async fn describe(alarms: &Alarms, input: DescribeInput) -> Reply {
    if !input.alarm_names.is_empty() && input.alarm_name_prefix.is_some() {
        return Err(value("expected AlarmNames or AlarmNamePrefix, found both"));
    }
    let is_shown = |alarm: &Alarm| {
        let is_named = input.alarm_names.is_empty() || input.alarm_names.contains(&alarm.name);
        let has_prefix = input.alarm_name_prefix.as_ref().is_none_or(|prefix| alarm.name.starts_with(prefix));
        let has_type =
            input.alarm_types.is_empty() || input.alarm_types.iter().any(|kind| kind == "MetricAlarm");
        let has_state = input.state_value.is_none_or(|state| state == alarm.state);
        let has_action = input.action_prefix.as_ref().is_none_or(|prefix| acts(alarm, prefix));
        let is_after = input.next_token.as_ref().is_none_or(|after| alarm.name > *after);
        is_named && has_prefix && has_type && has_state && has_action && is_after
    };
    let mut all = alarms.all().await.map_err(error)?;
    all.retain(is_shown);
    let limit = input.max_records.unwrap_or(ALARMS_MAX).clamp(1, ALARMS_MAX);
    let next = (all.len() > limit).then(|| all[limit - 1].name.clone());
    all.truncate(limit);
    let mut reply =
        json!({ "MetricAlarms": all.iter().map(shown).collect::<Vec<_>>(), "CompositeAlarms": [] });
    if let Some(next) = next {
        reply["NextToken"] = next.into();
    }
    Ok(reply)
}

fn acts(alarm: &Alarm, prefix: &str) -> bool {
    let actions = alarm.input.get("AlarmActions").and_then(Value::as_array);
    actions.is_some_and(|actions| {
        actions.iter().filter_map(Value::as_str).any(|action| action.starts_with(prefix))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ForMetricInput {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

/// `DescribeAlarmsForMetric`.
pub(super) async fn describe_for_metric(alarms: &Alarms, input: ForMetricInput) -> Reply {
    let metric = metric(input.namespace, input.metric_name, input.dimensions);
    let all = alarms.all().await.map_err(error)?;
    let watches = |alarm: &&Alarm| Watch::read(&alarm.input).is_ok_and(|watch| watch.metric == metric);
    Ok(json!({ "MetricAlarms": all.iter().filter(watches).map(shown).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HistoryInput {
    alarm_name: Option<String>,
    history_item_type: Option<String>,
    start_date: Option<f64>,
    end_date: Option<f64>,
    max_records: Option<usize>,
    scan_by: Option<String>,
}

/// `DescribeAlarmHistory`: one page, the newest first.
pub(super) async fn history(alarms: &Alarms, input: HistoryInput) -> Reply {
    let all = alarms.all().await.map_err(error)?;
    let (start, end) = (input.start_date.unwrap_or(f64::MIN), input.end_date.unwrap_or(f64::MAX));
    let mut items: Vec<_> = all
        .iter()
        .filter(|alarm| input.alarm_name.as_ref().is_none_or(|name| *name == alarm.name))
        .flat_map(|alarm| alarm.history.iter().map(move |change| (alarm, change)))
        .filter(|(_, change)| input.history_item_type.as_ref().is_none_or(|kind| *kind == change.kind))
        .filter(|(_, change)| (start..=end).contains(&change.time.seconds()))
        .collect();
    items.sort_by_key(|(_, change)| change.time);
    if input.scan_by.as_deref() != Some("TimestampAscending") {
        items.reverse();
    }
    items.truncate(input.max_records.unwrap_or(ALARMS_MAX).clamp(1, ALARMS_MAX));
    let items = items.iter().map(|(alarm, change)| {
        json!({
            "AlarmName": alarm.name, "AlarmType": "MetricAlarm", "Timestamp": change.time.to_json(),
            "HistoryItemType": change.kind, "HistorySummary": change.summary,
        })
    });
    Ok(json!({ "AlarmHistoryItems": items.collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamesInput {
    #[serde(default)]
    alarm_names: Vec<String>,
}

/// `DeleteAlarms`.
pub(super) async fn delete(alarms: &Alarms, input: NamesInput) -> Reply {
    alarms.delete(input.alarm_names).await.map_err(error)?;
    Ok(json!({}))
}

/// `EnableAlarmActions` and `DisableAlarmActions`.
pub(super) async fn enable(alarms: &Alarms, input: NamesInput, is_enabled: bool) -> Reply {
    alarms.enable_actions(input.alarm_names, is_enabled).await.map_err(error)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StateInput {
    alarm_name: String,
    state_value: AlarmState,
    state_reason: String,
    state_reason_data: Option<String>,
}

/// `SetAlarmState`.
pub(super) async fn set_state(alarms: &Alarms, input: StateInput, now: Timestamp) -> Reply {
    let StateInput { state_value: state, state_reason: reason, state_reason_data: reason_data, .. } = input;
    alarms.set_state(&input.alarm_name, NewState { state, reason, reason_data }, now).await.map_err(error)?;
    Ok(json!({}))
}

fn shown(alarm: &Alarm) -> Value {
    let mut shown = alarm.input.clone();
    for actions in ["OKActions", "AlarmActions", "InsufficientDataActions", "Dimensions"] {
        shown.entry(actions).or_insert_with(|| json!([]));
    }
    let state = json!({
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn,
        "ActionsEnabled": alarm.actions_enabled,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.state_updated.to_json(),
        "StateTransitionedTimestamp": alarm.state_updated.to_json(),
        "AlarmConfigurationUpdatedTimestamp": alarm.configured.to_json(),
    });
    if let Value::Object(state) = state {
        shown.extend(state);
    }
    shown.extend(alarm.reason_data.iter().map(|data| ("StateReasonData".to_owned(), data.as_str().into())));
    shown.into()
}

fn error(error: AlarmError) -> AwsError {
    match error {
        AlarmError::Unknown(_) => AwsError::new(ErrorCode::ResourceNotFound, error.to_string()),
        AlarmError::Full => AwsError::new(ErrorCode::LimitExceededException, error.to_string()),
        AlarmError::State(error) => {
            tracing::error!(%error, "alarms cannot be read or written");
            AwsError::internal()
        }
    }
}
