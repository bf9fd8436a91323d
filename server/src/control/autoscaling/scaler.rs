//! The loop: every ten seconds, or when poked, it reads what is, decides, and acts. Each look is [`Scaler::tick`], a
//! function of the moment, so that tests have their own clock.
//!
//! An action is stored as an activity in progress before it is asked for, together with the cooldown that it begins; a
//! later look finds out how it ended. So a restart at any moment neither forgets a cooldown nor leaves an activity open.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use scaling::{Action, Target};
use telemetry::Telemetry;
use tokio::sync::Notify;
use wire::Timestamp;

use super::activity::{self, Activity, ActivityStatus, NotScaled};
use super::capacity::{self, Found, VariantCapacity};
use super::policy::{self, PolicyConfiguration};
use super::target::{self, ScalableTarget};
use super::wishes::{Evaluated, Reasoned, UserAlarm};
use super::{AutoscalingError, TargetKey, action};
use crate::control::alarms::{self, Alarm};
use crate::control::record::Record;
use crate::control::{Control, ControlError, Database, DesiredWeightAndCapacity, ids};
use crate::rt;

/// Between two looks. Reason: the shortest period of an alarm.
const TICK_SECONDS: i64 = 10;

/// How long after a period's end its values are waited for. Reason: they are collected and written right after it; a look
/// in between would take a part for the whole.
const SETTLE_MS: i64 = 3_000;

/// Asks for a change of a variant of the named endpoint.
type Adjust = Box<
    dyn Fn(
            String,
            DesiredWeightAndCapacity,
        ) -> Pin<Box<dyn Future<Output = Result<String, ControlError>> + Send>>
        + Send
        + Sync,
>;

/// The loop's parts.
pub struct Scaler {
    database: Database,
    adjust: Adjust,
    telemetry: Arc<Telemetry>,
    poked: Notify,
    /// The last look, for steps that are taken once a period.
    last: Mutex<Timestamp>,
    /// Held from an activity's begin until it was asked for: nobody may look at its end before.
    acting: tokio::sync::Mutex<()>,
}

/// A target as a look found it.
struct Sight {
    record: Record,
    target: ScalableTarget,
    capacity: VariantCapacity,
    policies: Vec<Evaluated>,
}

/// What a look decided for a target.
struct Decision {
    record: Record,
    target: ScalableTarget,
    from: u32,
    capacity: u32,
    cause: String,
}

impl Scaler {
    /// Over what is stored, what is measured, and whom to ask.
    pub fn new(database: Database, control: Arc<Control>, telemetry: Arc<Telemetry>) -> Arc<Self> {
        let adjust = move |endpoint: String, desired| -> Pin<Box<dyn Future<Output = _> + Send>> {
            let control = Arc::clone(&control);
            Box::pin(async move { control.update_weights_and_capacities(&endpoint, vec![desired]).await })
        };
        Self::with(database, Box::new(adjust), telemetry)
    }

    fn with(database: Database, adjust: Adjust, telemetry: Arc<Telemetry>) -> Arc<Self> {
        let last = Mutex::new(Timestamp(i64::MIN));
        Arc::new(Self {
            database,
            adjust,
            telemetry,
            poked: Notify::new(),
            last,
            acting: tokio::sync::Mutex::default(),
        })
    }

    /// Looks at once: something was registered or changed.
    pub fn poke(&self) {
        self.poked.notify_one();
    }

    /// Looks for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            if let Err(error) = self.tick(Timestamp::now()).await {
                tracing::error!(%error, "autoscaling could not look; it looks again");
            }
            let wait = Duration::from_millis(next_look_ms(Timestamp::now()));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.poked.notified() => {}
            }
        }
    }

    /// One look at `now`.
    ///
    /// # Errors
    /// When the state or the series cannot be read or written.
    pub async fn tick(&self, now: Timestamp) -> Result<(), AutoscalingError> {
        self.settle(now).await?;
        let sights = self.database.transact(move |connection| prepare(connection, now)).await?;
        let since = std::mem::replace(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner), now);
        let telemetry = Arc::clone(&self.telemetry);
        // The series are on disk, and so is what they are read for.
        let decided = rt::blocking(move || decide_all(&telemetry, sights, since, now)).await;
        for (decision, not_scaled) in decided {
            match decision {
                Some(decision) => self.act(decision, now).await?,
                None => {
                    if let Some(activity) = not_scaled {
                        self.database.transact(move |c| note_not_scaled(c, &activity)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds out how activities under way have ended.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn settle(&self, now: Timestamp) -> Result<(), AutoscalingError> {
        let _nobody_acts = self.acting.lock().await;
        self.database
            .transact(move |connection| {
                for mut open in activity::open(connection)? {
                    let found = capacity::find(connection, &open.key)?;
                    if end(&mut open, found, now) {
                        activity::store(connection, &open)?;
                    }
                }
                Ok(())
            })
            .await
    }

    async fn act(&self, decision: Decision, now: Timestamp) -> Result<(), AutoscalingError> {
        let Decision { mut record, target, from, capacity, cause } = decision;
        let key = target.key.clone();
        let noun = key.dimension.noun();
        let mut activity = Activity {
            id: ids::uuid(),
            key: key.clone(),
            description: format!("Setting {noun} to {capacity}."),
            cause,
            started: now,
            ended: None,
            status: ActivityStatus::InProgress,
            message: format!(
                "Successfully set {noun} to {capacity}. Waiting for change to be fulfilled by sagemaker."
            ),
            capacity: Some(capacity),
            not_scaled: None,
        };
        let _acting = self.acting.lock().await;
        let stored = activity.clone();
        self.database
            .transact(move |connection| {
                target::store(connection, &mut record, &target, now)?;
                activity::store(connection, &stored)
            })
            .await?;
        let result = (self.adjust)(key.endpoint.clone(), capacity::change(&key, capacity)).await;
        tracing::info!(endpoint = %key.endpoint, variant = %key.variant, from, capacity, cause = %activity.cause,
            is_ok = result.is_ok(), "autoscaling");
        let Err(error) = result else { return Ok(()) };
        (activity.status, activity.ended) = (ActivityStatus::Failed, Some(now));
        activity.message = format!("Failed to set {noun} to {capacity}. Reason: {error}");
        self.database.transact(move |connection| activity::store(connection, &activity)).await?;
        match error {
            // The rest of the targets is none of this one's business.
            ControlError::State(error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scaler").field("last", &self.last).finish_non_exhaustive()
    }
}

/// Until the next whole tick has settled.
fn next_look_ms(now: Timestamp) -> u64 {
    let tick_ms = TICK_SECONDS * 1000;
    let into = (now.0 - SETTLE_MS).rem_euclid(tick_ms);
    u64::try_from(tick_ms - into).unwrap_or(1)
}

/// Removes the targets of endpoints that are gone, lets due actions act, and takes note of the units in service; what is
/// left to be decided.
fn prepare(connection: &Connection, now: Timestamp) -> Result<Vec<Sight>, AutoscalingError> {
    let (mut policies, mut actions) = (policy::all(connection)?, action::all(connection)?);
    let alarms = alarms::all(connection)?;
    let mut sights = Vec::new();
    for (mut record, mut target) in target::all(connection)? {
        let capacity = match capacity::find(connection, &target.key)? {
            Found::Variant(capacity) => capacity,
            Found::NoVariant => continue,
            Found::NoEndpoint => {
                target::deregister(connection, &target.key)?;
                continue;
            }
        };
        let has_acted = act_by_schedule(connection, &mut actions, &mut target, now)?;
        let has_changed = target.timeline.note(now, capacity.current);
        if has_acted || has_changed {
            target::store(connection, &mut record, &target, now)?;
        }
        // While an update runs, scaling waits.
        if capacity.is_settled {
            let of_target = policies.extract_if(.., |(_, policy)| policy.key == target.key);
            let policies =
                of_target.map(|(record, policy)| evaluated(&record.arn, policy, &alarms)).collect();
            sights.push(Sight { record, target, capacity, policies });
        }
    }
    Ok(sights)
}

fn evaluated(arn: &str, policy: policy::ScalingPolicy, alarms: &[Alarm]) -> Evaluated {
    let is_step = matches!(policy.configuration, PolicyConfiguration::Step(_));
    let alarms = alarms.iter().filter(|_| is_step);
    let alarms = alarms.filter_map(|alarm| UserAlarm::of(alarm, arn)).collect();
    Evaluated { policy, alarms }
}

/// Lets the due actions of a target, among all `actions`, act in the order of their times; whether there was any.
fn act_by_schedule(
    connection: &Connection,
    actions: &mut Vec<(Record, action::ScheduledAction)>,
    target: &mut ScalableTarget,
    now: Timestamp,
) -> Result<bool, AutoscalingError> {
    let of_target = actions.extract_if(.., |(_, action)| action.key == target.key);
    let mut due: Vec<_> =
        of_target.filter(|(_, action)| action.next.is_some_and(|next| next <= now)).collect();
    due.sort_by_key(|(_, action)| action.next);
    let mut has_acted = false;
    for (mut record, mut action) in due {
        // One that was missed while nobody looked acts once.
        action.next = action.parsed()?.next_after(now);
        action::store(connection, &mut record, &action, now)?;
        if target.suspended.scheduled_scaling_suspended {
            continue;
        }
        has_acted = true;
        activity::store(connection, &scheduled(target, &action, now))?;
    }
    Ok(has_acted)
}

/// Takes the limits of `action`; the activity that tells of it.
fn scheduled(target: &mut ScalableTarget, action: &action::ScheduledAction, now: Timestamp) -> Activity {
    let old = target.limits;
    let (mut min, mut max) = (action.min.unwrap_or(old.min), action.max.unwrap_or(old.max));
    // Only one of them was given, and the other is in its way.
    if min > max {
        if action.min.is_some() { max = min } else { min = max }
    }
    target.limits = scaling::Limits { min, max };
    let description = match (action.min, action.max) {
        (Some(_), None) => format!("Setting min capacity to {min}"),
        (None, Some(_)) => format!("Setting max capacity to {max}"),
        _ => format!("Setting min capacity to {min} and max capacity to {max}"),
    };
    Activity {
        id: ids::uuid(),
        key: target.key.clone(),
        message: description.replace("Setting", "Successfully set"),
        description,
        cause: format!("scheduled action name {} was triggered", action.name),
        started: now,
        ended: Some(now),
        status: ActivityStatus::Successful,
        capacity: None,
        not_scaled: None,
    }
}

/// What each target comes to: an action, or a reason why a policy that wanted one gets none.
fn decide_all(
    telemetry: &Telemetry,
    sights: Vec<Sight>,
    since: Timestamp,
    now: Timestamp,
) -> Vec<(Option<Decision>, Option<Activity>)> {
    sights.into_iter().map(|sight| decide(telemetry, sight, since, now)).collect()
}

fn decide(
    telemetry: &Telemetry,
    sight: Sight,
    since: Timestamp,
    now: Timestamp,
) -> (Option<Decision>, Option<Activity>) {
    let Sight { record, mut target, capacity, policies } = sight;
    let pure = Target {
        limits: target.limits,
        suspended: target.suspended,
        requested: capacity.desired,
        cooldowns: target.cooldowns,
    };
    // Up to here all values are in.
    let (measured, measured_before) = (now.plus_millis(-SETTLE_MS), since.plus_millis(-SETTLE_MS));
    let has_ended = |period_seconds: u32| {
        let period_ms = i64::from(period_seconds.max(1)) * 1000;
        measured.0.div_euclid(period_ms) != measured_before.0.div_euclid(period_ms)
    };
    let mut reasoned: Vec<Reasoned<'_>> = Vec::new();
    for policy in &policies {
        match policy.wish(telemetry, &pure, &target.timeline, measured, has_ended) {
            Ok(wish) => reasoned.extend(wish),
            // Nothing is scaled in because a store did not answer.
            Err(error) => {
                tracing::error!(%error, policy = %policy.policy.name, "autoscaling could not read a metric");
                return (None, None);
            }
        }
    }
    let wishes: Vec<_> = reasoned.iter().map(|reasoned| reasoned.wish).collect();
    let Some(action) = pure.decide(&wishes, now) else {
        return (None, not_scaled(&target.key, &pure, &reasoned, now));
    };
    let cause = cause(&action, &pure, &reasoned);
    let from = capacity.desired;
    if action.policy.is_some() && action.capacity > from {
        target.cooldowns.scaled_out(now, from, action.cooldown_seconds);
    } else if action.policy.is_some() {
        target.cooldowns.scaled_in(now, action.cooldown_seconds);
    }
    (Some(Decision { record, target, from, capacity: action.capacity, cause }), None)
}

fn cause(action: &Action<'_>, target: &Target, reasoned: &[Reasoned<'_>]) -> String {
    match action.policy {
        None if action.capacity == target.limits.min => {
            format!("minimum capacity was set to {}", action.capacity)
        }
        None => format!("maximum capacity was set to {}", action.capacity),
        Some(policy) => {
            let found = reasoned.iter().find(|reasoned| reasoned.wish.policy == policy);
            let alarm = found.map_or("", |reasoned| reasoned.alarm);
            format!("monitor alarm {alarm} in state ALARM triggered policy {policy}")
        }
    }
}

/// A policy wanted to scale, and a limit stood in its way.
fn not_scaled(
    key: &TargetKey,
    target: &Target,
    reasoned: &[Reasoned<'_>],
    now: Timestamp,
) -> Option<Activity> {
    use scaling::{Ask, WishKind};
    let at_max = target.requested == target.limits.max;
    let at_min = target.requested == target.limits.min;
    let (found, reason) = reasoned.iter().find_map(|reasoned| match reasoned.wish.kind {
        WishKind::Tracking { ask: Ask::Out(_), .. } if at_max => {
            Some((reasoned, NotScaled::AlreadyAtMaxCapacity(target.limits.max)))
        }
        WishKind::Tracking { ask: Ask::In(_), .. } if at_min => {
            Some((reasoned, NotScaled::AlreadyAtMinCapacity(target.limits.min)))
        }
        _ => None,
    })?;
    let (alarm, policy) = (found.alarm, found.wish.policy);
    Some(Activity {
        id: ids::uuid(),
        key: key.clone(),
        description: "Attempting to scale due to alarm triggered".to_owned(),
        cause: format!("monitor alarm {alarm} in state ALARM triggered policy {policy}"),
        started: now,
        ended: Some(now),
        status: ActivityStatus::Failed,
        message: "The capacity is at its limit".to_owned(),
        capacity: None,
        not_scaled: Some(reason),
    })
}

/// Stores it unless it is what was said last: an alarm that stays on is no news every ten seconds.
fn note_not_scaled(connection: &Connection, activity: &Activity) -> Result<(), AutoscalingError> {
    let is_news = activity::newest(connection, &activity.key)?
        .is_none_or(|last| last.not_scaled != activity.not_scaled || last.cause != activity.cause);
    if is_news { activity::store(connection, activity) } else { Ok(()) }
}

/// Ends an activity under way by what is found of its variant; whether it has ended.
fn end(activity: &mut Activity, found: Found, now: Timestamp) -> bool {
    let (noun, asked) = (activity.key.dimension.noun(), activity.capacity);
    let set = asked.map_or_else(String::new, |capacity| format!("set {noun} to {capacity}"));
    let (status, message) = match found {
        Found::Variant(capacity) if Some(capacity.desired) != asked && capacity.is_settled => (
            ActivityStatus::Overridden,
            format!("Successfully {set}. Another change set it to {}.", capacity.desired),
        ),
        Found::Variant(capacity) if Some(capacity.current) == asked => (
            ActivityStatus::Successful,
            format!("Successfully {set}. Change successfully fulfilled by sagemaker."),
        ),
        Found::Variant(_) => return false,
        Found::NoVariant | Found::NoEndpoint => {
            (ActivityStatus::Failed, format!("Failed to {set}. Reason: the variant is gone"))
        }
    };
    (activity.status, activity.message, activity.ended) = (status, message, Some(now));
    true
}

#[cfg(test)]
mod tests;
