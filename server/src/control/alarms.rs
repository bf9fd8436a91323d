//! CloudWatch's alarms: stored as records, judged against the series every ten seconds, their states at hand for those
//! who wait for them (deployments, step scaling).

mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        let document = match serde_json::to_value(self)? {
            Value::Object(document) => document,
            _ => Map::new(),
        };
        let (name, arn, status) = (self.name.clone(), self.arn.clone(), self.state.as_str().to_owned());
        Ok(Record { name, arn, created, modified: self.state_updated, status, document })
    }
}

/// All alarms; see the module's head.
#[derive(Debug)]
pub struct Alarms {
    database: Database,
    states: Mutex<BTreeMap<String, AlarmState>>,
}

impl Alarms {
    /// Those that `database` holds; [`load`](Self::load) reads their states.
    pub fn new(database: Database) -> Self {
        Self { database, states: Mutex::default() }
    }

    /// Reads the states that were stored.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn load(&self) -> Result<(), AlarmError> {
        let all = self.all().await?;
        *self.states() = all.into_iter().map(|alarm| (alarm.name, alarm.state)).collect();
        Ok(())
    }

    /// The state of the alarm of this name; `None` when there is none.
    pub fn state(&self, name: &str) -> Option<AlarmState> {
        self.states().get(name).copied()
    }

    /// Those of these names that are in alarm.
    pub fn raised<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let states = self.states();
        let is_raised = |name: &&str| states.get(*name) == Some(&AlarmState::Alarm);
        names.into_iter().filter(is_raised).map(str::to_owned).collect()
    }

    /// All, by name.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn all(&self) -> Result<Vec<Alarm>, AlarmError> {
        self.database.transact(|connection| all(connection)).await
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
        let Scope { region, account } = scope;
        let arn = format!("arn:aws:cloudwatch:{region}:{account}:alarm:{name}");
        let put = move |connection: &rusqlite::Transaction<'_>| put(connection, name, arn, input, now);
        let (name, state) = self.database.transact(put).await?;
        self.states().insert(name, state);
        Ok(())
    }

    /// Removes alarms; names without one are passed over.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn delete(&self, names: Vec<String>) -> Result<(), AlarmError> {
        let removed = names.clone();
        self.database
            .transact(move |connection| {
                removed
                    .iter()
                    .try_for_each(|name| record::remove(connection, Kind::Alarm, name).map(drop))?;
                Ok::<_, AlarmError>(())
            })
            .await?;
        let mut states = self.states();
        for name in &names {
            states.remove(name);
        }
        Ok(())
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
        let (owned, state) = (name.to_owned(), new.state);
        let is_there = self
            .database
            .transact(move |connection| change(connection, &owned, |alarm| alarm.settle(new, now)))
            .await?;
        if !is_there {
            return Err(AlarmError::Unknown(name.to_owned()));
        }
        self.states().insert(name.to_owned(), state);
        Ok(())
    }

    /// Judges every alarm at `now`.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn judge(&self, telemetry: &Arc<Telemetry>, now: Timestamp) -> Result<(), AlarmError> {
        let alarms = self.all().await?;
        // Some come with other records, in one transaction: their states are first seen here.
        for alarm in &alarms {
            self.states().entry(alarm.name.clone()).or_insert(alarm.state);
        }
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
        let (owned, state) = (name.clone(), new.state);
        let mut is_settled = false;
        let is_settled = self
            .database
            .transact(move |connection| {
                change(connection, &owned, |alarm| {
                    if alarm.state == until_now {
                        alarm.settle(new, now);
                        is_settled = true;
                    }
                })?;
                Ok::<_, AlarmError>(is_settled)
            })
            .await?;
        if is_settled {
            self.states().insert(name, state);
        }
        Ok(())
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, AlarmState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
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
    let mut alarms = Vec::new();
    for record in record::all(connection, Kind::Alarm)? {
        alarms.push(read(record)?);
    }
    alarms.sort_by(|a: &Alarm, b| a.name.cmp(&b.name));
    Ok(alarms)
}

fn read(record: Record) -> Result<Alarm, StateError> {
    Ok(serde_json::from_value(Value::Object(record.document))?)
}

/// Makes or replaces an alarm; its name as stored, and its state.
pub(super) fn put(
    connection: &Connection,
    name: String,
    arn: String,
    input: Map<String, Value>,
    now: Timestamp,
) -> Result<(String, AlarmState), AlarmError> {
    let actions_enabled = input.get("ActionsEnabled").and_then(Value::as_bool).unwrap_or(true);
    if let Some(found) = record::find(connection, Kind::Alarm, &name)? {
        let created = found.created;
        let mut alarm = read(found)?;
        (alarm.input, alarm.actions_enabled, alarm.configured) = (input, actions_enabled, now);
        alarm.remember("ConfigurationUpdate", format!("Alarm {name:?} updated"), now);
        record::update(connection, Kind::Alarm, &alarm.record(created)?)?;
        return Ok((alarm.name, alarm.state));
    }
    if record::all(connection, Kind::Alarm)?.len() >= ALARMS_MAX {
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
    Ok((alarm.name, alarm.state))
}

/// Whether there is such an alarm.
fn change(connection: &Connection, name: &str, by: impl FnOnce(&mut Alarm)) -> Result<bool, AlarmError> {
    let Some(found) = record::find(connection, Kind::Alarm, name)? else { return Ok(false) };
    let created = found.created;
    let mut alarm = read(found)?;
    by(&mut alarm);
    Ok(record::update(connection, Kind::Alarm, &alarm.record(created)?)?)
}

#[cfg(test)]
mod tests;
