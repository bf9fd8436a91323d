//! CloudWatch's alarms: stored as records with their states, judged against the series every ten seconds. A deployment that
//! watches an alarm reads its record.

mod watch;

use std::sync::Arc;

use rusqlite::Connection;
use scaling::alarm::AlarmState;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use telemetry::{Telemetry, TelemetryError};
use wire::{Scope, Timestamp};

pub use watch::{Watch, is_period};

use super::{Database, Kind, Record, StateError, record};
use crate::rt;

/// Alarms. Reason: each is judged every ten seconds; the public service's quota of a region.
const ALARMS_MAX: usize = 5000;

/// Changes of state that an alarm remembers. Reason: its record is read and written whole.
const HISTORY_MAX: usize = 50;

/// Why an alarm was not found or changed.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// No alarm of this name.
    #[error("alarm {0:?} does not exist")]
    Unknown(String),
    /// Too many.
    #[error("expected at most {ALARMS_MAX} alarms, found more")]
    Full,
    /// The state could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// An alarm: the document of its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What `PutMetricAlarm` was given.
    pub input: Map<String, Value>,
    /// Whether its actions are taken.
    pub actions_enabled: bool,
    /// Where it stands.
    pub state: AlarmState,
    /// Why, in words.
    pub reason: String,
    /// Why, in JSON.
    pub reason_data: Option<String>,
    /// When its state was last settled anew.
    pub state_updated: Timestamp,
    /// When it was last put.
    pub configured: Timestamp,
    /// Its last changes, the newest last.
    pub history: Vec<Change>,
}

/// Something that happened to an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub time: Timestamp,
    /// `ConfigurationUpdate` or `StateUpdate`.
    pub kind: String,
    /// What, in words.
    pub summary: String,
}

/// What an alarm's state becomes, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct NewState {
    /// The state.
    pub state: AlarmState,
    /// Why, in words.
    pub reason: String,
    /// Why, in JSON.
    pub reason_data: Option<String>,
}

impl Alarm {
    fn settle(&mut self, new: NewState, now: Timestamp) {
        let summary = format!("Alarm updated from {} to {}", self.state.as_str(), new.state.as_str());
        self.remember("StateUpdate", summary, now);
        self.state = new.state;
        self.reason = new.reason;
        self.reason_data = new.reason_data;
        self.state_updated = now;
    }

    fn remember(&mut self, kind: &str, summary: String, time: Timestamp) {
        if self.history.len() == HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(Change { time, kind: kind.to_owned(), summary });
    }

    fn record(&self, created: Timestamp) -> Result<Record, StateError> {
        let document = record::document(self)?;
        let (name, arn, status) = (self.name.clone(), self.arn.clone(), self.state.as_str().to_owned());
        Ok(Record { name, arn, created, modified: self.state_updated, status, document })
    }
}

/// All alarms; see the module's head.
#[derive(Debug)]
pub struct Alarms {
    database: Database,
}

impl Alarms {
    /// Those that `database` holds.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// All, by name.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn all(&self) -> Result<Vec<Alarm>, AlarmError> {
        self.database.read(|connection| all(connection)).await
    }

    /// Makes or replaces an alarm; one that is replaced keeps its state and history.
    ///
    /// # Errors
    /// When there are too many, or the state cannot be written.
    pub async fn put(
        &self,
        scope: &Scope,
        name: String,
        input: Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), AlarmError> {
        let arn = arn(scope, &name);
        let put = move |connection: &rusqlite::Transaction<'_>| put(connection, name, arn, input, now);
        self.database.transact(put).await
    }

    /// Removes alarms; names without one are passed over.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn delete(&self, names: Vec<String>) -> Result<(), AlarmError> {
        self.database
            .transact(move |connection| {
                names.iter().try_for_each(|name| record::remove(connection, Kind::Alarm, name).map(drop))?;
                Ok(())
            })
            .await
    }

    /// Lets alarms take their actions, or not.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn enable_actions(&self, names: Vec<String>, is_enabled: bool) -> Result<(), AlarmError> {
        self.database
            .transact(move |connection| {
                for name in &names {
                    change(connection, name, |alarm| alarm.actions_enabled = is_enabled)?;
                }
                Ok(())
            })
            .await
    }

    /// Sets an alarm's state until it is next judged.
    ///
    /// # Errors
    /// When there is no such alarm, or the state cannot be written.
    pub async fn set_state(&self, name: &str, new: NewState, now: Timestamp) -> Result<(), AlarmError> {
        let owned = name.to_owned();
        let is_there = self
            .database
            .transact(move |connection| change(connection, &owned, |alarm| alarm.settle(new, now)))
            .await?;
        if is_there { Ok(()) } else { Err(AlarmError::Unknown(name.to_owned())) }
    }

    /// Judges every alarm at `now`.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn judge(&self, telemetry: &Arc<Telemetry>, now: Timestamp) -> Result<(), AlarmError> {
        let alarms = self.all().await?;
        if alarms.is_empty() {
            return Ok(());
        }
        let telemetry = Arc::clone(telemetry);
        let changes = rt::blocking(move || changes(&alarms, &telemetry, now)).await;
        for (name, until_now, new) in changes {
            self.settle(name, until_now, new, now).await?;
        }
        Ok(())
    }

    /// Unless somebody else settled the state, or removed the alarm, meanwhile.
    async fn settle(
        &self,
        name: String,
        until_now: AlarmState,
        new: NewState,
        now: Timestamp,
    ) -> Result<(), AlarmError> {
        tracing::info!(alarm = name, from = until_now.as_str(), to = new.state.as_str(), "an alarm changed");
        self.database
            .transact(move |connection| {
                change(connection, &name, |alarm| {
                    if alarm.state == until_now {
                        alarm.settle(new, now);
                    }
                })?;
                Ok(())
            })
            .await
    }
}

/// The alarms whose state is not what the series say: name, state until now, new state.
fn changes(alarms: &[Alarm], telemetry: &Telemetry, now: Timestamp) -> Vec<(String, AlarmState, NewState)> {
    let judged = alarms.iter().filter_map(|alarm| match judge(alarm, telemetry, now) {
        Ok(new) => new.map(|new| (alarm.name.clone(), alarm.state, new)),
        Err(error) => {
            tracing::warn!(alarm = alarm.name, %error, "an alarm cannot be judged");
            None
        }
    });
    judged.collect()
}

fn judge(alarm: &Alarm, telemetry: &Telemetry, now: Timestamp) -> Result<Option<NewState>, TelemetryError> {
    // What was put was read then; a later version may know more, an earlier one not.
    let Ok(watch) = Watch::read(&alarm.input) else { return Ok(None) };
    let points = watch.points(telemetry, now)?;
    let evaluation = watch.rule.evaluate(&points, alarm.state);
    if evaluation.state == alarm.state {
        return Ok(None);
    }
    let reason_data = serde_json::json!({
        "version": "1.0",
        "queryDate": now.iso8601_millis(),
        "statistic": watch.statistic_name,
        "period": watch.rule.period_seconds,
        "recentDatapoints": evaluation.datapoints,
        "threshold": watch.rule.threshold,
    });
    let (state, reason) = (evaluation.state, watch.rule.reason(&evaluation));
    Ok(Some(NewState { state, reason, reason_data: Some(reason_data.to_string()) }))
}

/// All, by name.
pub(super) fn all(connection: &Connection) -> Result<Vec<Alarm>, AlarmError> {
    let mut alarms: Vec<Alarm> =
        record::all_read(connection, Kind::Alarm)?.into_iter().map(|(_, alarm)| alarm).collect();
    alarms.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(alarms)
}

/// The ARN of an alarm.
pub fn arn(Scope { region, account }: &Scope, name: &str) -> String {
    format!("arn:aws:cloudwatch:{region}:{account}:alarm:{name}")
}

/// Makes or replaces an alarm.
pub(super) fn put(
    connection: &Connection,
    name: String,
    arn: String,
    input: Map<String, Value>,
    now: Timestamp,
) -> Result<(), AlarmError> {
    let actions_enabled = input.get("ActionsEnabled").and_then(Value::as_bool).unwrap_or(true);
    if let Some(found) = record::find(connection, Kind::Alarm, &name)? {
        let created = found.created;
        let mut alarm: Alarm = found.read()?;
        (alarm.input, alarm.actions_enabled, alarm.configured) = (input, actions_enabled, now);
        alarm.remember("ConfigurationUpdate", format!("Alarm {name:?} updated"), now);
        record::update(connection, Kind::Alarm, &alarm.record(created)?)?;
        return Ok(());
    }
    if record::count(connection, Kind::Alarm)? >= ALARMS_MAX {
        return Err(AlarmError::Full);
    }
    let mut alarm = Alarm {
        name,
        arn,
        input,
        actions_enabled,
        state: AlarmState::InsufficientData,
        reason: "Unchecked: Initial alarm creation".into(),
        reason_data: None,
        state_updated: now,
        configured: now,
        history: Vec::new(),
    };
    alarm.remember("ConfigurationUpdate", format!("Alarm {:?} created", alarm.name), now);
    record::insert(connection, Kind::Alarm, &alarm.record(now)?)?;
    Ok(())
}

/// Whether there is such an alarm.
fn change(connection: &Connection, name: &str, by: impl FnOnce(&mut Alarm)) -> Result<bool, AlarmError> {
    let Some(found) = record::find(connection, Kind::Alarm, name)? else { return Ok(false) };
    let created = found.created;
    let mut alarm: Alarm = found.read()?;
    by(&mut alarm);
    Ok(record::update(connection, Kind::Alarm, &alarm.record(created)?)?)
}

#[cfg(test)]
mod tests;
