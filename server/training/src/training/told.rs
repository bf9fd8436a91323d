//! Who is told of a program's lines.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncRead;

use super::{Training, now_ms};
use crate::host::Host;
use crate::lines;
use crate::listener::Listener;
use crate::metrics::Metrics;

/// What there is to tell, and to whom.
#[derive(Clone)]
pub(super) struct Told {
    number: usize,
    name: String,
    listener: Arc<dyn Listener>,
    metrics: Arc<Metrics>,
    last: Arc<Mutex<String>>,
}

impl Told {
    /// Of a host of `training`, whose last line is kept in `last`.
    pub(super) fn new(training: &Training<'_>, host: &Host, last: Arc<Mutex<String>>) -> Self {
        Self {
            number: host.number,
            name: host.name.clone(),
            listener: Arc::clone(&training.listener),
            metrics: Arc::clone(&training.metrics),
            last,
        }
    }

    /// Reads `source` to its end.
    pub(super) async fn read(self, source: impl AsyncRead + Unpin) {
        let read = lines::read(source, |line| {
            let at_ms = now_ms();
            self.listener.line(self.number, at_ms, line);
            for (name, value) in self.metrics.read(&self.name, at_ms, line) {
                self.listener.metric(name, value, at_ms);
            }
            if !line.trim().is_empty() {
                line.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        if let Err(error) = read.await {
            tracing::warn!(host = self.name, %error, "a program's lines cannot be read");
        }
    }
}
