//! A host whose program runs, or has run.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use crate::host::Host;
use crate::job::Limits;
use crate::process::Leader;
use crate::watch::Watch;

/// A host whose program was started.
#[derive(Debug)]
pub(super) struct Live {
    /// Its place among the hosts, from 0.
    pub(super) index: usize,
    pub(super) leader: Leader,
    pub(super) watch: Watch,
    /// The tasks of its FIFOs.
    pub(super) pipes: Vec<AbortHandle>,
    /// The last line that is not blank.
    pub(super) last_line: Arc<Mutex<String>>,
    /// Whether it has ended.
    pub(super) has_ended: bool,
}

impl Live {
    pub(super) fn new(host: &Host, leader: Leader, limits: Limits, sees_processes: bool) -> Self {
        Self {
            index: host.number - 1,
            leader,
            watch: Watch::new(host, leader, limits, sees_processes),
            pipes: Vec::new(),
            last_line: Arc::default(),
            has_ended: false,
        }
    }

    /// The last line that is not blank.
    pub(super) fn last_line(&self) -> String {
        self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
