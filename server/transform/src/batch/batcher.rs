//! The batcher: greedy packing of records into runs.

use std::collections::VecDeque;

use bytes::Bytes;
use codecs::framing::RecordEnds;

use super::pending::Pending;
use super::plan::Plan;
use super::{BatchError, Position, Run};
use crate::settings::Settings;

/// Cuts an object, which comes in chunks of any length, into runs.
///
/// [`feed`](Self::feed) a chunk, take [`next_run`](Self::next_run) until it gives `None`, feed the next; after the last,
/// [`finish`](Self::finish) and take the rest. A run is as long as its limit allows: the next record would not have fit. After
/// an error it gives that error again; the runs before the faulty record have been given.
#[derive(Debug)]
pub struct Batcher {
    plan: Plan,
    ends: RecordEnds,
    /// Chunks in which no end has been looked for.
    fed: VecDeque<Bytes>,
    /// All other bytes, from the next run's start on.
    pending: Pending,
    /// The last chunk of `pending`.
    chunk: Bytes,
    /// How many of its bytes have been looked at.
    looked_at: usize,
    /// The byte before it.
    byte_before: u8,
    next: Next,
    input: Input,
    failure: Option<BatchError>,
}

/// The run that is being filled.
#[derive(Debug, Default)]
struct Next {
    start: Position,
    /// Where its records end.
    ends: Vec<u32>,
    /// Bytes of its records.
    bytes: usize,
    /// Bytes of blank lines behind its last record.
    blank: usize,
    /// Whether blank lines lie before one of its records.
    has_blank_lines: bool,
    /// The length of a record that did not fit: the run is complete, and the one after it begins with that.
    overflow: Option<usize>,
}

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// More.
    Open,
    /// More, but not now.
    Paused,
    /// Nothing.
    Ended,
}

impl Batcher {
    /// A batcher for an object of which what lies before `start` is done: the object's start, or a run's end.
    pub fn new(settings: &Settings, start: Position) -> Self {
        let plan = Plan::new(settings);
        Self {
            ends: RecordEnds::at(plan.split_type, plan.record_bytes_max, start.byte, start.record),
            plan,
            fed: VecDeque::new(),
            pending: Pending::default(),
            chunk: Bytes::new(),
            looked_at: 0,
            byte_before: 0,
            next: Next { start, ..Next::default() },
            input: Input::Open,
            failure: None,
        }
    }

    /// Takes the next bytes of the object.
    ///
    /// # Panics
    /// When it has been finished.
    pub fn feed(&mut self, chunk: Bytes) {
        assert_ne!(self.input, Input::Ended, "nothing is fed behind the end");
        self.input = Input::Open;
        if !chunk.is_empty() {
            self.fed.push_back(chunk);
        }
    }

    /// Says that the input pauses: of an endless payload (`MaxPayloadInMB` 0), the whole records that are there are a run now.
    /// Runs of other payloads follow from the bytes alone, and wait.
    pub fn flush(&mut self) {
        if self.input == Input::Open && self.plan.is_endless {
            self.input = Input::Paused;
        }
    }

    /// Ends the object: what is left is a run, or an error.
    pub fn finish(&mut self) {
        self.input = Input::Ended;
    }

    /// The next run; `None` when it needs more bytes, or there are no more.
    ///
    /// # Errors
    /// When the bytes are not of the framing, or a record is larger than the limit.
    pub fn next_run(&mut self) -> Result<Option<Run>, BatchError> {
        if self.failure.is_none() {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(failure) => self.failure = Some(failure),
            }
        }
        let run = self.take();
        match (&self.failure, run) {
            (_, Some(run)) => Ok(Some(run)),
            (Some(failure), None) => Err(failure.clone()),
            (None, None) => unreachable!("a run that is complete has records, or one that is refused"),
        }
    }

    /// Where the next run starts.
    pub fn position(&self) -> Position {
        self.next.start
    }

    /// Adds records to the next run until it is complete; whether it is.
    fn fill(&mut self) -> Result<bool, BatchError> {
        loop {
            if self.is_complete(self.ends.open_bytes()) || self.add_from_chunk()? {
                return Ok(true);
            }
            if let Some(chunk) = self.fed.pop_front() {
                self.byte_before = self.chunk.last().copied().unwrap_or(self.byte_before);
                self.pending.push(chunk.clone());
                (self.chunk, self.looked_at) = (chunk, 0);
                continue;
            }
            let open = self.ends.open_bytes();
            return match self.input {
                Input::Open => Ok(false),
                Input::Ended if self.ends.finish().map_err(|error| self.plan.refusal(error))? => {
                    Ok(self.add(open) || !self.next.ends.is_empty())
                }
                Input::Paused | Input::Ended => Ok(!self.next.ends.is_empty()),
            };
        }
    }

    /// Adds the records that end in `chunk`, until the run is complete (true) or the chunk is used up.
    fn add_from_chunk(&mut self) -> Result<bool, BatchError> {
        while self.looked_at < self.chunk.len() {
            let open = self.ends.open_bytes();
            let rest = &self.chunk[self.looked_at..];
            let found = self.ends.next_end(rest).map_err(|error| self.plan.refusal(error))?;
            let Some(end) = found else {
                self.looked_at = self.chunk.len();
                return Ok(self.is_complete(self.ends.open_bytes()));
            };
            let first = if open == 0 { rest[0] } else { self.byte_before };
            self.looked_at += end;
            let length = open + end;
            let is_complete = match self.plan.skip_blank_lines && is_blank_line(first, length) {
                true => self.pass_over(length),
                false => self.add(length),
            };
            if is_complete {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a record; whether the run is complete, with it or without.
    #[inline]
    fn add(&mut self, length: usize) -> bool {
        let next = &mut self.next;
        let end = next.bytes + next.blank + length;
        if !next.ends.is_empty() && end > self.plan.run_bytes_max {
            next.overflow = Some(length);
            return true;
        }
        next.has_blank_lines |= next.blank > 0;
        (next.bytes, next.blank) = (end, 0);
        next.ends.push(u32::try_from(end).expect("the limits of runs are far below 4 GiB"));
        end >= self.plan.run_bytes_max || next.ends.len() >= self.plan.run_records_max
    }

    /// Passes over a blank line; whether the run is complete, since no record would fit behind it.
    fn pass_over(&mut self, length: usize) -> bool {
        self.next.blank += length;
        if self.next.ends.is_empty() {
            self.drop_blank_lines();
        }
        self.is_complete(0)
    }

    /// Whether a record of at least `open` bytes does not fit the run any more.
    fn is_complete(&self, open: usize) -> bool {
        let (next, plan) = (&self.next, &self.plan);
        let is_full = next.bytes >= plan.run_bytes_max || next.ends.len() >= plan.run_records_max;
        let fits = next.bytes + next.blank + open <= plan.run_bytes_max;
        next.overflow.is_some() || !next.ends.is_empty() && (is_full || !fits)
    }

    /// Takes the records of the next run, and begins the one after it.
    fn take(&mut self) -> Option<Run> {
        if self.next.ends.is_empty() {
            return None;
        }
        let (next, plan) = (&mut self.next, &self.plan);
        let room = Vec::with_capacity(next.ends.len() + 1);
        let run = Run {
            bytes: self.pending.take(std::mem::take(&mut next.bytes)),
            ends: std::mem::replace(&mut next.ends, room),
            start: next.start,
            split_type: plan.split_type,
            strategy: plan.strategy,
            has_blank_lines: std::mem::take(&mut next.has_blank_lines),
        };
        next.start = run.end();
        self.drop_blank_lines();
        if let Some(length) = self.next.overflow.take() {
            self.add(length);
        }
        self.checked(run)
    }

    /// Drops the blank lines that stand before the next run: they are not to be held.
    fn drop_blank_lines(&mut self) {
        let blank = std::mem::take(&mut self.next.blank);
        drop(self.pending.take(blank));
        self.next.start.byte += blank as u64;
    }

    /// Holds what is sent of each record alone to the limit, which counts no frames; a run ends before one that is larger.
    fn checked(&mut self, run: Run) -> Option<Run> {
        let limit = self.plan.payload_bytes_max;
        if self.plan.record_bytes_max == limit {
            return Some(run);
        }
        let is_too_large =
            |&index: &usize| run.record_bytes(index) > limit && run.content(index).len() > limit;
        let Some(index) = (0..run.records()).find(is_too_large) else {
            return Some(run);
        };
        let place = run.position(index);
        self.failure = Some(self.plan.too_large(place.record + 1, place.byte, None));
        self.next = Next { start: place, ..Next::default() };
        (index > 0).then(|| run.part(0..index))
    }
}

/// Whether a line of `length` bytes that starts with `first` is a newline, or a carriage return and a newline.
fn is_blank_line(first: u8, length: usize) -> bool {
    matches!((first, length), (b'\n', 1) | (b'\r', 2))
}
