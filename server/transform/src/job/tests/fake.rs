//! A model that reverses lines.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::model::{Model, Refusal};

/// Reverses the bytes of each line, and does what some lines say:
///
/// - `bad`: the payload is refused (400) and the message names the row; `vague`: it is refused and the message names none;
/// - `once`: the first call with it fails (503); `busy`: every call with it fails (503); `broken`: every call fails (500);
/// - `silent`: the answer is empty; `panic`: the model panics.
#[derive(Debug)]
pub(super) struct Fake {
    /// Calls take up to as many milliseconds, at random.
    pub(super) delay_ms: u64,
    /// Answers have a newline at their end, as their payload has.
    pub(super) keeps_last_newline: bool,
    /// The answer is one document for all lines.
    pub(super) answers_as_document: bool,
    /// What [`Fake::held`] calls wait for.
    pub(super) gate: Option<Semaphore>,
    pub(super) calls: AtomicUsize,
    pub(super) running: AtomicUsize,
    pub(super) running_max: AtomicUsize,
    pub(super) seen: Mutex<HashMap<Vec<u8>, usize>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            delay_ms: 0,
            keeps_last_newline: true,
            answers_as_document: false,
            gate: None,
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            running_max: AtomicUsize::new(0),
            seen: Mutex::default(),
        }
    }
}

impl Fake {
    /// One whose calls wait until the gate has a permit for each.
    pub(super) fn held() -> Self {
        Self { gate: Some(Semaphore::new(0)), ..Self::default() }
    }

    fn refuse(status: u16, message: impl Into<String>) -> Result<Bytes, Refusal> {
        Err(Refusal { status, message: message.into(), retry_after: None })
    }

    fn answer(&self, body: &[u8]) -> Result<Bytes, Refusal> {
        let mut lines: Vec<&[u8]> = body.split(|&byte| byte == b'\n').collect();
        if lines.last() == Some(&&b""[..]) {
            lines.pop();
        }
        let has = |word: &[u8]| lines.iter().position(|line| *line == word);
        let times = {
            let mut seen = self.seen.lock().unwrap();
            let times = seen.entry(body.to_vec()).or_default();
            *times += 1;
            *times
        };
        if let Some(row) = has(b"bad") {
            return Self::refuse(400, format!("row {}: expected a number, found bad", row + 1));
        }
        if has(b"vague").is_some() {
            return Self::refuse(400, "expected something else");
        }
        if has(b"busy").is_some() || (has(b"once").is_some() && times == 1) {
            return Self::refuse(503, "too many calls");
        }
        if has(b"broken").is_some() {
            return Self::refuse(500, "the model failed");
        }
        if has(b"silent").is_some() {
            return Ok(Bytes::new());
        }
        assert!(has(b"panic").is_none(), "a line says so");
        if self.answers_as_document {
            return Ok([b"[", &lines.concat()[..], b"]"].concat().into());
        }
        let mut answer = Vec::new();
        for line in &lines {
            let start = answer.len();
            answer.extend_from_slice(line);
            answer[start..].reverse();
            answer.push(b'\n');
        }
        if !self.keeps_last_newline || !body.ends_with(b"\n") {
            answer.pop();
        }
        Ok(answer.into())
    }
}

impl Model for Fake {
    async fn invoke(&self, body: Bytes, _: Duration) -> Result<Bytes, Refusal> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.running_max.fetch_max(running, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("it is never closed").forget();
        }
        if self.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..self.delay_ms))).await;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.answer(&body)
    }
}
