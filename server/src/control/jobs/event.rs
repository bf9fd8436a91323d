//! What is told of a job, beside what is told of endpoints.

use std::sync::Arc;

use serde_json::{Map, Value};
use wire::Timestamp;

use crate::control::Control;
use crate::rt;

impl Control {
    /// Writes an event beside those of endpoints; the next one comes after it.
    pub(in crate::control) async fn tell(&self, event: Value) {
        let hosting = Arc::clone(&self.hosting);
        rt::blocking(move || hosting.journal.record(&event)).await;
    }
}

/// What an event says of a job: its `description`, with `times` in milliseconds.
pub(in crate::control) fn detail<const N: usize>(
    mut description: Map<String, Value>,
    times: [(&str, Option<Timestamp>); N],
) -> Map<String, Value> {
    for (member, time) in times {
        if let Some(time) = time {
            description.insert(member.to_owned(), time.0.into());
        }
    }
    // An environment may hold what is nobody else's business.
    description.remove("Environment");
    description
}
