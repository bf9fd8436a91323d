//! An endpoint's worker: the one task that brings what is (fleets in memory, the table of draws) to what should be (the
//! stored state).
//!
//! A turn reads the state, does the next thing, and says what to wait for. Every step is stored before it is taken, and
//! taking it twice is the same as taking it once: so a turn after a kill is a turn like any other. Endpoints do not wait
//! for each other; within one there is at most one change, because calls refuse a second.

mod actual;
mod steps;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use wire::Timestamp;

use super::endpoint::{ChangeKind, EndpointState, EndpointStatus};
use super::record::Record;
use super::{Control, StateError};
use actual::Actual;

pub(super) use steps::shortened;

/// The pause before the state is read again when it could not be read or written. Reason: a full disk or a busy writer
/// passes; a tight loop would make it worse.
const STATE_PAUSE: Duration = Duration::from_secs(1);

/// The first pause before a fleet that served and cannot be restored is tried again; each further is twice as long.
const RESTORE_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause. Reason: a store that comes back should be noticed in a minute.
const RESTORE_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a worker waits for after a turn; something that was begun, and a change of the state, always end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Nothing: there is more to do.
    None,
    /// Whatever happens next.
    Event,
    /// That, or this moment.
    Until(Timestamp),
    /// The endpoint is gone.
    Gone,
}

/// The worker of one endpoint.
pub(super) struct Worker {
    control: Arc<Control>,
    /// The endpoint's name, as it was created.
    name: String,
    wake: Arc<Notify>,
    actual: Actual,
    restore_pause: Duration,
}

/// What a turn is about.
struct Turn {
    record: Record,
    state: EndpointState,
    /// An alarm of the deployment under way that is in `ALARM`.
    alarm: Option<String>,
    /// The attribute that requests are assigned by.
    attribute: Option<String>,
}

impl Worker {
    /// A worker that is woken by `wake`.
    pub(super) fn new(control: Arc<Control>, name: String, wake: Arc<Notify>) -> Self {
        let actual = Actual::new(Arc::clone(&control.hosting), name.clone());
        Self { control, name, wake, actual, restore_pause: RESTORE_PAUSE }
    }

    /// Takes turns until the endpoint is gone.
    pub(super) async fn run(mut self) {
        loop {
            let pause = match self.turn().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(endpoint = self.name, %error, "the endpoint's state cannot be had; trying again");
                    later(STATE_PAUSE)
                }
            };
            match pause {
                Pause::None => {}
                Pause::Gone => return,
                Pause::Event => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = self.actual.event() => {}
                    }
                }
                Pause::Until(moment) => {
                    let pause = u64::try_from(moment.0 - Timestamp::now().0).unwrap_or(0);
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = self.actual.event() => {}
                        () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                    }
                }
            }
        }
    }

    /// Does the next thing.
    async fn turn(&mut self) -> Result<Pause, StateError> {
        let Some(turn) = self.read().await? else {
            self.actual.leave();
            return Ok(Pause::Gone);
        };
        self.name.clone_from(&turn.record.name);
        match turn.state.change.as_ref().map(|change| &change.kind) {
            None => self.keep_serving(turn).await,
            Some(ChangeKind::Deploy { .. }) if turn.state.fleet.is_none() => self.create(turn).await,
            Some(ChangeKind::Deploy { .. }) => self.deploy(turn).await,
            Some(ChangeKind::Adjust) => self.adjust(turn).await,
            Some(ChangeKind::Delete) => self.delete(turn).await,
        }
    }

    /// Without a change: the fleet serves, also after a restart.
    async fn keep_serving(&mut self, turn: Turn) -> Result<Pause, StateError> {
        let Turn { record, state, attribute, .. } = turn;
        let Some(fleet) = state.fleet.clone().filter(|_| state.status != EndpointStatus::Failed) else {
            self.actual.leave();
            self.control.restored(&self.name);
            return Ok(Pause::Event);
        };
        self.actual.retain(&[fleet.id]);
        match self.actual.ensure(&fleet) {
            actual::Standing::Loading => Ok(Pause::Event),
            actual::Standing::Ready => {
                self.actual.show(&super::table::Table::alone(&fleet), attribute.as_deref());
                self.control.restored(&self.name);
                self.restore_pause = RESTORE_PAUSE;
                if state.status == EndpointStatus::OutOfService {
                    let next =
                        EndpointState { status: EndpointStatus::InService, failure_reason: None, ..state };
                    self.store(record, next).await?;
                    self.log(&fleet, "restored");
                }
                Ok(Pause::Event)
            }
            actual::Standing::Failed(reason) => {
                self.log(&fleet, &format!("cannot be restored: {reason}"));
                if state.status != EndpointStatus::OutOfService {
                    let status = EndpointStatus::OutOfService;
                    let failure_reason = Some(shortened(reason));
                    self.store(record, EndpointState { status, failure_reason, ..state }).await?;
                }
                self.actual.forget_failure(fleet.id);
                let pause = self.restore_pause;
                self.restore_pause = (pause * 2).min(RESTORE_PAUSE_MAX);
                Ok(later(pause))
            }
        }
    }
}

/// This long from now.
fn later(pause: Duration) -> Pause {
    Pause::Until(Timestamp::now().plus_millis(pause.as_millis() as i64))
}
