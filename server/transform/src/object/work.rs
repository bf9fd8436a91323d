//! What all objects of a transform share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::job::Stop;
use crate::progress::{Listener, Progress};
use crate::settings::Settings;

/// How long calls under way may take when a transform is stopped. Reason: what is left of a pod's usual time to end.
pub const STOP_GRACE: Duration = Duration::from_secs(30);

/// What all objects of a transform share.
pub struct Work<M> {
    /// The transform's identity, of which inference ids are made.
    pub job_id: String,
    /// What is done with records.
    pub settings: Settings,
    /// The model.
    pub model: Arc<M>,
    /// Calls at once, of all objects together.
    pub calls: Semaphore,
    /// Counters.
    pub progress: Arc<Progress>,
    /// Who is told.
    pub listener: Arc<dyn Listener>,
    /// Set to end early.
    pub stop: watch::Receiver<Stop>,
}

impl<M> Work<M> {
    /// The shared part of a transform.
    pub fn new(
        job_id: String,
        settings: Settings,
        model: Arc<M>,
        progress: Arc<Progress>,
        listener: Arc<dyn Listener>,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let calls = Semaphore::new(settings.concurrency);
        Self { job_id, settings, model, calls, progress, listener, stop }
    }

    /// How it was stopped, if it was.
    pub fn stopped(&self) -> Option<Stop> {
        Some(*self.stop.borrow()).filter(|stop| *stop != Stop::Run)
    }

    /// Waits until it is stopped.
    pub fn until_stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.clone();
        async move {
            if stop.wait_for(|stop| *stop != Stop::Run).await.is_err() {
                // Who could stop it is gone.
                std::future::pending::<()>().await;
            }
        }
    }
}
