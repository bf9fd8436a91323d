//! What there is, in pages of at most fifty, in the order in which it was made; activities the newest first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use wire::{AwsError, ErrorCode, Scope, Timestamp};

use super::input::Input;
use super::{Reply, known_arn, own_alarms};
use crate::control::autoscaling::activity::{self, Activity, NotScaled};
use crate::control::autoscaling::key::{Dimension, SERVICE_NAMESPACE};
use crate::control::autoscaling::{
    AutoscalingError, PolicyConfiguration, ScalableTarget, ScalingPolicy, ScheduledAction, TargetKey, action,
    policy, target,
};
use crate::control::record::{self, Kind, Record};
use crate::control::tags;

/// Items of one page. Reason: the service's own maximum and default.
const PAGE_MAX: usize = 50;

pub(super) fn targets(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    let filter = Filter::of(input, "ResourceIds", None)?;
    let all = target::all(connection)?;
    let shown = all.iter().filter(|(_, target)| filter.shows(&target.key, None));
    filter.page("ScalableTargets", shown.map(|(record, target)| (record, scalable_target(record, target))))
}

fn scalable_target(record: &Record, target: &ScalableTarget) -> Map<String, Value> {
    let mut shown = of_key(&target.key);
    shown.insert("MinCapacity".into(), target.limits.min.into());
    shown.insert("MaxCapacity".into(), target.limits.max.into());
    shown.insert("RoleARN".into(), target.role_arn.as_str().into());
    shown.insert("CreationTime".into(), record.created.to_json());
    shown.insert("SuspendedState".into(), serde_json::to_value(target.suspended).unwrap_or_default());
    shown.insert("ScalableTargetARN".into(), record.arn.as_str().into());
    shown
}

pub(super) fn policies(connection: &Connection, scope: &Scope, input: &Input) -> Reply {
    let filter = Filter::of(input, "ResourceId", Some("PolicyNames"))?;
    let all = policy::all(connection)?;
    let alarms = record::all(connection, Kind::Alarm).map_err(AutoscalingError::State)?;
    let shown = all.iter().filter(|(_, policy)| filter.shows(&policy.key, Some(&policy.name)));
    filter.page(
        "ScalingPolicies",
        shown.map(|(record, policy)| (record, scaling_policy(scope, record, policy, &alarms))),
    )
}

fn scaling_policy(
    scope: &Scope,
    record: &Record,
    policy: &ScalingPolicy,
    alarms: &[Record],
) -> Map<String, Value> {
    let mut shown = of_key(&policy.key);
    shown.insert("PolicyARN".into(), record.arn.as_str().into());
    shown.insert("PolicyName".into(), policy.name.as_str().into());
    shown.insert("CreationTime".into(), record.created.to_json());
    let (kind, member, configuration, alarms) = match &policy.configuration {
        PolicyConfiguration::TargetTracking(tracking) => (
            "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration",
            serde_json::to_value(tracking),
            own_alarms(scope, policy),
        ),
        PolicyConfiguration::Step(step) => (
            "StepScaling",
            "StepScalingPolicyConfiguration",
            serde_json::to_value(step),
            user_alarms(&record.arn, alarms),
        ),
    };
    shown.insert("PolicyType".into(), kind.into());
    shown.insert(member.into(), configuration.unwrap_or_default());
    shown.insert("Alarms".into(), alarms.into());
    shown
}

/// The alarms that name a policy among their actions.
fn user_alarms(policy_arn: &str, alarms: &[Record]) -> Vec<Value> {
    let names_it = |alarm: &&Record| {
        let actions = alarm.document.get("input").and_then(|input| input.get("AlarmActions")?.as_array());
        actions.is_some_and(|actions| actions.iter().any(|action| action == policy_arn))
    };
    let shown = |alarm: &Record| json!({"AlarmName": alarm.name, "AlarmARN": alarm.arn});
    alarms.iter().filter(names_it).map(shown).collect()
}

pub(super) fn actions(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    let filter = Filter::of(input, "ResourceId", Some("ScheduledActionNames"))?;
    let all = action::all(connection)?;
    let shown = all.iter().filter(|(_, action)| filter.shows(&action.key, Some(&action.name)));
    filter.page("ScheduledActions", shown.map(|(record, action)| (record, scheduled_action(record, action))))
}

fn scheduled_action(record: &Record, action: &ScheduledAction) -> Map<String, Value> {
    let mut shown = of_key(&action.key);
    shown.insert("ScheduledActionName".into(), action.name.as_str().into());
    shown.insert("ScheduledActionARN".into(), record.arn.as_str().into());
    shown.insert("Schedule".into(), action.schedule.as_str().into());
    shown.insert("CreationTime".into(), record.created.to_json());
    let mut limits = Map::new();
    limits.extend(action.min.map(|min| ("MinCapacity".into(), min.into())));
    limits.extend(action.max.map(|max| ("MaxCapacity".into(), max.into())));
    shown.insert("ScalableTargetAction".into(), limits.into());
    shown.extend(action.zone.as_deref().map(|zone| ("Timezone".into(), zone.into())));
    shown.extend(action.start.map(|start| ("StartTime".into(), start.to_json())));
    shown.extend(action.end.map(|end| ("EndTime".into(), end.to_json())));
    shown
}

pub(super) fn activities(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    let filter = Filter::of(input, "ResourceId", None)?;
    let with_not_scaled = input.0.get("IncludeNotScaledActivities").and_then(Value::as_bool).unwrap_or(false);
    let resource = filter.resources.first().map(String::as_str);
    let dimension = filter.dimension.map(Dimension::as_str);
    let after = filter.after.as_ref().map(|(started, id)| (*started, id.as_str()));
    let found = activity::list(connection, resource, dimension, with_not_scaled, after, filter.limit + 1)?;
    let shown = found.iter().take(filter.limit).map(scaling_activity).collect::<Vec<_>>();
    let mut reply = json!({"ScalingActivities": shown});
    if found.len() > filter.limit {
        let last = &found[filter.limit - 1];
        reply["NextToken"] = token(last.started, &last.id).into();
    }
    Ok(reply)
}

fn scaling_activity(activity: &Activity) -> Map<String, Value> {
    let mut shown = of_key(&activity.key);
    shown.insert("ActivityId".into(), activity.id.as_str().into());
    shown.insert("Description".into(), activity.description.as_str().into());
    shown.insert("Cause".into(), activity.cause.as_str().into());
    shown.insert("StartTime".into(), activity.started.to_json());
    shown.extend(activity.ended.map(|ended| ("EndTime".into(), ended.to_json())));
    shown.insert("StatusCode".into(), serde_json::to_value(activity.status).unwrap_or_default());
    shown.insert("StatusMessage".into(), activity.message.as_str().into());
    let reason = match activity.not_scaled {
        None => return shown,
        Some(NotScaled::AlreadyAtMaxCapacity(max)) => {
            json!({"Code": "AlreadyAtMaxCapacity", "MaxCapacity": max, "CurrentCapacity": max})
        }
        Some(NotScaled::AlreadyAtMinCapacity(min)) => {
            json!({"Code": "AlreadyAtMinCapacity", "MinCapacity": min, "CurrentCapacity": min})
        }
    };
    shown.insert("NotScaledReasons".into(), vec![reason].into());
    shown
}

pub(super) fn tags(connection: &Connection, _scope: &Scope, input: &Input) -> Reply {
    let tags = tags::of(connection, known_arn(connection, input)?).map_err(AutoscalingError::State)?;
    Ok(json!({"Tags": tags.0}))
}

fn of_key(key: &TargetKey) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("ServiceNamespace".into(), SERVICE_NAMESPACE.into());
    shown.insert("ResourceId".into(), key.resource_id().into());
    shown.insert("ScalableDimension".into(), key.dimension.as_str().into());
    shown
}

/// What a description shows, and from where on.
struct Filter {
    resources: Vec<String>,
    dimension: Option<Dimension>,
    names: Vec<String>,
    limit: usize,
    after: Option<(i64, String)>,
}

impl Filter {
    /// `resources` and `names` are the members that name them.
    fn of(input: &Input, resources: &str, names: Option<&str>) -> Result<Self, AwsError> {
        let mut of_resources = input.texts(resources);
        of_resources.extend(input.text(resources).map(str::to_owned));
        let dimension = input.text("ScalableDimension").map(Dimension::parse).transpose()?;
        if dimension.is_some() && of_resources.is_empty() {
            let message = format!("ScalableDimension: expected only together with {resources}, found alone");
            return Err(AwsError::validation(message));
        }
        let limit = match input.0.get("MaxResults") {
            None => PAGE_MAX,
            Some(value) => value
                .as_u64()
                .and_then(|value| usize::try_from(value).ok())
                .filter(|value| (1..=PAGE_MAX).contains(value))
                .ok_or_else(|| {
                    AwsError::validation(format!("MaxResults: expected 1 to {PAGE_MAX}, found {value}"))
                })?,
        };
        Ok(Self {
            resources: of_resources,
            dimension,
            names: names.map(|names| input.texts(names)).unwrap_or_default(),
            limit,
            after: input.text("NextToken").map(position).transpose()?,
        })
    }

    fn shows(&self, key: &TargetKey, name: Option<&str>) -> bool {
        (self.resources.is_empty() || self.resources.contains(&key.resource_id()))
            && self.dimension.is_none_or(|dimension| dimension == key.dimension)
            && (self.names.is_empty() || name.is_some_and(|name| self.names.iter().any(|of| of == name)))
    }

    /// One page of `items`, which are in the order of their records.
    fn page<'a>(&self, member: &str, items: impl Iterator<Item = (&'a Record, Map<String, Value>)>) -> Reply {
        let is_behind = |record: &Record| {
            let position = (record.created.0, record.name.as_str());
            self.after.as_ref().is_none_or(|(created, name)| position > (*created, name.as_str()))
        };
        let mut items = items.filter(|(record, _)| is_behind(record)).peekable();
        let (mut shown, mut last) = (Vec::new(), None);
        while shown.len() < self.limit {
            let Some((record, item)) = items.next() else { break };
            shown.push(item);
            last = Some(record);
        }
        let mut reply = json!({ member: shown });
        if let (Some(last), true) = (last, items.peek().is_some()) {
            reply["NextToken"] = token(last.created, &last.name).into();
        }
        Ok(reply)
    }
}

/// A position in a list, as a client gives it back.
fn token(time: Timestamp, name: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {name}", time.0))
}

fn position(token: &str) -> Result<(i64, String), AwsError> {
    let parsed = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let parsed = parsed.and_then(|text| {
        let (time, name) = text.split_once(' ')?;
        Some((time.parse().ok()?, name.to_owned()))
    });
    let error =
        || AwsError::new(ErrorCode::InvalidNextTokenException, "NextToken: expected one of this list");
    parsed.ok_or_else(error)
}
