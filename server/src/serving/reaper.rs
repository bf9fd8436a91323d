//! Frees retired snapshots on a thread of its own: no request pays for dropping a model.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Endpoint, Endpoints};
use crate::rt;

/// Retired snapshots that may wait for the reaper. Reason: a publication a second for an hour would not fill it; who
/// publishes faster than models are freed waits here instead of using up memory.
const RETIRED_MAX: usize = 1024;

/// How often the reaper looks whether the last request of a retired snapshot has ended. Reason: short beside the 30 s
/// that an unload may wait, long beside the cost of looking.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Something to free.
struct Retired {
    /// Frees it if nobody else holds it, and says whether it is freed.
    free: Box<dyn FnMut() -> bool + Send>,
    /// Told when it is.
    freed: Option<oneshot::Sender<()>>,
}

/// The thread's inbox; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Reaper(SyncSender<Retired>);

impl Reaper {
    /// Starts the thread; it ends when this is dropped and all that was retired is freed.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, inbox) = sync_channel(RETIRED_MAX);
        rt::spawn_thread("reaper", move || reap(&inbox))?;
        Ok(Self(sender))
    }

    /// Hands over what a publication replaced: the map, and the endpoint that left it. The answer comes when both are
    /// freed.
    pub(super) fn retire(
        &self,
        snapshot: Arc<Endpoints>,
        endpoint: Option<Arc<Endpoint>>,
    ) -> oneshot::Receiver<()> {
        let (mut snapshot, mut endpoint) = (Some(snapshot), endpoint);
        self.retire_by(move || {
            snapshot.take_if(|snapshot| Arc::strong_count(snapshot) == 1);
            endpoint.take_if(|endpoint| Arc::strong_count(endpoint) == 1);
            snapshot.is_none() && endpoint.is_none()
        })
    }

    /// Hands over `value`; the answer comes when nobody else holds it and it is freed.
    pub(super) fn retire_one<T: Send + Sync + 'static>(&self, value: Arc<T>) -> oneshot::Receiver<()> {
        let mut value = Some(value);
        self.retire_by(move || {
            value.take_if(|value| Arc::strong_count(value) == 1);
            value.is_none()
        })
    }

    fn retire_by(&self, free: impl FnMut() -> bool + Send + 'static) -> oneshot::Receiver<()> {
        let (freed, is_freed) = oneshot::channel();
        let retired = Retired { free: Box::new(free), freed: Some(freed) };
        self.0.send(retired).expect("the reaper outlives whoever can reach it");
        is_freed
    }
}

fn reap(inbox: &Receiver<Retired>) {
    let mut waiting: Vec<Retired> = Vec::new();
    loop {
        let arrived = if waiting.is_empty() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(LOOK_INTERVAL)
        };
        match arrived {
            Ok(retired) => waiting.push(retired),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Until nothing more goes: a map, which may come after an endpoint, keeps all of its endpoints.
        let mut before = usize::MAX;
        while waiting.len() < before {
            before = waiting.len();
            waiting.retain_mut(|retired| !retired.is_freed());
        }
    }
}

impl Retired {
    fn is_freed(&mut self) -> bool {
        let is_freed = (self.free)();
        if is_freed && let Some(freed) = self.freed.take() {
            // Nobody may be waiting.
            let _ = freed.send(());
        }
        is_freed
    }
}

#[cfg(test)]
mod tests {
    use super::super::Models;
    use super::super::session::tests::variant;
    use super::*;

    #[test]
    fn an_endpoint_is_freed_when_its_last_request_ends() {
        let reaper = Reaper::start().unwrap();
        let endpoint = Arc::new(Endpoint::new(vec![variant("a")]).unwrap());
        let Models::One(model) = &endpoint.choose(0).models else { panic!("it has one") };
        let model = Arc::downgrade(model);
        let (with, _) = Endpoints::default().with("a", Some(Arc::clone(&endpoint)));
        let request = Arc::clone(&endpoint);
        let mut is_freed = reaper.retire(Arc::new(with), Some(endpoint));
        assert!(is_freed.try_recv().is_err() && model.upgrade().is_some());
        drop(request);
        is_freed.blocking_recv().unwrap();
        assert!(model.upgrade().is_none());
    }
}
