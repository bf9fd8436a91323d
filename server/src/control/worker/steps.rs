//! The changes, one step a turn: creation, deployment, adjustment, deletion.

use wire::Timestamp;

use super::actual::Standing;
use super::{Pause, Turn, Worker};
use crate::control::StateError;
use crate::control::deployment::machine::{self, Health, Next, Situation};
use crate::control::deployment::{Policy, traffic};
use crate::control::endpoint::{
    Change, ChangeKind, EndpointState, EndpointStatus, Fleet, Phase, Progress, VariantStatus,
};
use crate::control::table::Table;

/// How often the alarms of a deployment are looked at. Reason: alarms are evaluated every few seconds at best, and a look
/// is one short transaction.
const ALARM_LOOK_MS: i64 = 1000;

impl Worker {
    /// The first fleet: it serves, or the creation has failed.
    pub(super) async fn create(&mut self, turn: Turn) -> Result<Pause, StateError> {
        let Turn { record, state, attribute, .. } = turn;
        let fleet = state.pending().expect("a creation brings a fleet").clone();
        match self.actual.ensure(&fleet) {
            Standing::Loading => Ok(Pause::Event),
            Standing::Ready => {
                // Published first: whoever reads InService can invoke.
                self.actual.show(&Table::alone(&fleet), attribute.as_deref());
                let fleet = self.settled(fleet);
                let next = EndpointState {
                    status: EndpointStatus::InService,
                    failure_reason: None,
                    fleet: Some(fleet.clone()),
                    change: None,
                    ..state
                };
                self.store(record, next).await?;
                self.log_models(&fleet);
                self.log(&fleet, "in service");
                Ok(Pause::None)
            }
            Standing::Failed(reason) => {
                self.log(&fleet, &format!("creation failed: {reason}"));
                let next = EndpointState {
                    status: EndpointStatus::Failed,
                    failure_reason: Some(shortened(reason)),
                    fleet: Some(fleet),
                    change: None,
                    ..state
                };
                self.store(record, next).await?;
                Ok(Pause::None)
            }
        }
    }

    /// One step of a deployment.
    pub(super) async fn deploy(&mut self, turn: Turn) -> Result<Pause, StateError> {
        let Turn { record, state, alarm, attribute } = turn;
        let change = state.change.clone().expect("a deployment is under way");
        let ChangeKind::Deploy { fleet: green, deployment_config } = &change.kind else {
            unreachable!("it is a deployment")
        };
        let blue = state.fleet.clone().expect("a deployment replaces a fleet");
        // Checked when it was stored.
        let policy = Policy::parse(deployment_config.as_ref(), green).unwrap_or_else(|_| Policy::immediate());
        let table = Table::during(&policy, &blue, green, change.progress);
        let standing = match change.progress.phase {
            Phase::Rollback => Standing::Loading,
            _ => self.actual.ensure(green),
        };
        for fleet in table.fleets().into_iter().filter(|fleet| fleet.id == blue.id) {
            if let Standing::Failed(reason) = self.actual.ensure(fleet) {
                return self.lose_blue(record, state, reason).await;
            }
        }
        if !self.actual.show(&table, attribute.as_deref()) && !matches!(standing, Standing::Failed(_)) {
            return Ok(Pause::Event);
        }
        self.control.restored(&self.name);
        let now = Timestamp::now();
        let next = machine::next(&Situation {
            now,
            started: change.started,
            progress: change.progress,
            steps: traffic::steps(&policy, green),
            policy: &policy,
            green: health(standing),
            alarm: alarm.as_deref(),
            is_drained: self.is_drained_since(change.progress.since, now),
        });
        match next {
            Next::Wait(until) => Ok(self.pause(&policy, change.progress, until, now)),
            Next::Go(progress) => {
                if progress.phase == Phase::Shift && progress.step == 1 {
                    self.log_models(green);
                }
                self.log(green, &format!("deployment: {:?}, step {}", progress.phase, progress.step));
                self.store(record, state.with_progress(progress)).await?;
                Ok(Pause::None)
            }
            Next::TakeBack(reason) => {
                self.log(green, &format!("deployment taken back: {reason}"));
                let progress = Progress { phase: Phase::Rollback, step: 0, since: now };
                let mut next = state.with_progress(progress);
                next.status = EndpointStatus::RollingBack;
                next.failure_reason = Some(shortened(reason));
                self.store(record, next).await?;
                Ok(Pause::None)
            }
            Next::Finish => {
                let green = self.settled((**green).clone());
                self.log(&green, "in service");
                self.log_replaced(&blue);
                let last = deployment_config.clone().or(state.last_deployment_config);
                let next = EndpointState {
                    status: EndpointStatus::InService,
                    failure_reason: None,
                    fleet: Some(green),
                    change: None,
                    last_deployment_config: last,
                };
                self.store(record, next).await?;
                self.control.sweep().await;
                Ok(Pause::None)
            }
            Next::TakenBack => {
                self.log(&blue, "in service again");
                self.store(
                    record,
                    EndpointState { status: EndpointStatus::InService, change: None, ..state },
                )
                .await?;
                self.control.sweep().await;
                Ok(Pause::None)
            }
        }
    }

    /// The old fleet is gone: while the new one is not alone yet, that leaves nothing to go back to.
    async fn lose_blue(
        &mut self,
        record: crate::control::record::Record,
        state: EndpointState,
        reason: String,
    ) -> Result<Pause, StateError> {
        let reason = match &state.failure_reason {
            Some(first) => format!("{first}; and the old fleet cannot be restored: {reason}"),
            None => format!("the old fleet cannot be restored: {reason}"),
        };
        let next = EndpointState {
            status: EndpointStatus::UpdateRollbackFailed,
            failure_reason: Some(shortened(reason)),
            change: None,
            ..state
        };
        self.store(record, next).await?;
        Ok(Pause::None)
    }

    /// New weights and counts: one store in the data plane. Threads that work for instances that go finish what they do.
    pub(super) async fn adjust(&mut self, turn: Turn) -> Result<Pause, StateError> {
        let Turn { record, state, attribute, .. } = turn;
        let fleet = state.fleet.clone().expect("an adjusted endpoint has a fleet");
        self.actual.retain(&[fleet.id]);
        match self.actual.ensure(&fleet) {
            Standing::Loading => Ok(Pause::Event),
            Standing::Ready => {
                if let Some(loaded) = self.actual.loaded(fleet.id) {
                    loaded.set_serverless(&fleet);
                }
                self.actual.show(&Table::alone(&fleet), attribute.as_deref());
                self.control.restored(&self.name);
                let fleet = self.settled(fleet);
                self.log(&fleet, "weights and capacities updated");
                let next = EndpointState {
                    status: EndpointStatus::InService,
                    failure_reason: None,
                    fleet: Some(fleet),
                    change: None,
                    ..state
                };
                self.store(record, next).await?;
                Ok(Pause::None)
            }
            Standing::Failed(reason) => {
                // Only after a restart: what it should become is kept, and tried again with the restoring.
                let status = EndpointStatus::OutOfService;
                let fleet = Some(fleet.settled());
                let next = EndpointState {
                    status,
                    failure_reason: Some(shortened(reason)),
                    fleet,
                    change: None,
                    ..state
                };
                self.store(record, next).await?;
                Ok(Pause::None)
            }
        }
    }

    /// Out of the data plane, then out of the state.
    pub(super) async fn delete(&mut self, turn: Turn) -> Result<Pause, StateError> {
        let since = turn.state.change.as_ref().map_or_else(Timestamp::now, |change| change.started);
        self.actual.leave();
        self.control.restored(&self.name);
        let now = Timestamp::now();
        if !self.is_drained_since(since, now) {
            return Ok(Pause::Until(since.plus_millis(self.drain_limit_ms())));
        }
        if let Some(fleet) = &turn.state.fleet {
            self.log(fleet, "deleted");
        }
        self.remove(turn).await?;
        self.control.sweep().await;
        Ok(Pause::None)
    }

    /// Whether all requests of replaced snapshots are over, or have had their time since `since`.
    fn is_drained_since(&mut self, since: Timestamp, now: Timestamp) -> bool {
        self.actual.is_drained() || now >= since.plus_millis(self.drain_limit_ms())
    }

    fn drain_limit_ms(&self) -> i64 {
        i64::try_from(self.control.hosting.drain_limit.as_millis()).unwrap_or(i64::MAX)
    }

    fn pause(&self, policy: &Policy, progress: Progress, until: Option<Timestamp>, now: Timestamp) -> Pause {
        let watches = progress.phase == Phase::Bake && !policy.alarms.is_empty();
        let drains = matches!(progress.phase, Phase::Drain | Phase::Rollback);
        let moments = [
            until,
            watches.then(|| now.plus_millis(ALARM_LOOK_MS)),
            drains.then(|| progress.since.plus_millis(self.drain_limit_ms())),
        ];
        moments.into_iter().flatten().min().map_or(Pause::Event, Pause::Until)
    }

    /// `fleet` as it stands when its change is done, held to what was loaded.
    fn settled(&self, fleet: Fleet) -> Fleet {
        let mut fleet = fleet.settled();
        for variant in &mut fleet.variants {
            let loaded = self.actual.loaded(fleet.id).and_then(|loaded| loaded.variant(&variant.name));
            if let Some(pin) = loaded.and_then(|loaded| loaded.pin.clone()) {
                variant.artifact = Some(pin);
            }
        }
        fleet
    }
}

fn health(standing: Standing) -> Health {
    match standing {
        Standing::Loading => Health::Loading,
        Standing::Ready => Health::Ready,
        Standing::Failed(reason) => Health::Failed(reason),
    }
}

/// The longest `FailureReason`. Reason: the wire's limit.
const FAILURE_REASON_CHARS_MAX: usize = 1024;

/// `reason` within that limit.
pub(in crate::control) fn shortened(reason: String) -> String {
    match reason.char_indices().nth(FAILURE_REASON_CHARS_MAX - 1) {
        Some((end, _)) if end + 1 < reason.len() => format!("{}…", &reason[..end]),
        _ => reason,
    }
}

impl Fleet {
    /// With its change done.
    fn settled(mut self) -> Self {
        for variant in &mut self.variants {
            variant.current_weight = variant.desired_weight;
            variant.current_instance_count = variant.desired_instance_count;
            variant.current_serverless.clone_from(&variant.desired_serverless);
            variant.status.clear();
        }
        self
    }
}

impl EndpointState {
    /// With the change so far, and the new fleet's variants saying so.
    fn with_progress(&self, progress: Progress) -> Self {
        let mut next = self.clone();
        let Some(Change { kind: ChangeKind::Deploy { fleet, .. }, progress: current, .. }) = &mut next.change
        else {
            return next;
        };
        *current = progress;
        let status = match progress.phase {
            Phase::Provision => "Creating",
            Phase::Shift => "ActivatingTraffic",
            Phase::Bake => "Baking",
            Phase::TerminationWait | Phase::Drain => "Updating",
            Phase::Rollback => "Deleting",
        };
        for variant in &mut fleet.variants {
            let message = None;
            variant.status =
                vec![VariantStatus { status: status.to_owned(), message, started: progress.since }];
        }
        next
    }
}
