//! A run of records answered: sent, processed, put together, and the refused ones singled out. It is one task.

use std::ops::Range;

use bytes::Bytes;
use codecs::ContentType;
use codecs::framing::SplitType;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::call::{call, is_overload};
use super::error::RecordError;
use super::named::named_record;
use super::rejected::Rejected;
use super::work::Work;
use crate::batch::Run;
use crate::model::Model;
use crate::process::{ObjectId, Processing, count_lines};
use crate::progress::Progress;
use crate::settings::{Answers, AssembleWith, BatchStrategy, ErrorPolicy, Settings};

/// What is written of a run.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) bytes: Vec<u8>,
    /// Records that the model refused, in their order, where they are put aside.
    pub(super) rejected: Vec<Rejected>,
}

/// A run on its way through the model.
struct Answering<'a, M> {
    work: &'a Work<M>,
    object: &'a ObjectId,
    run: &'a Run,
    answered: Answered,
}

/// What is written of `run`.
///
/// # Errors
/// When a record is refused and the policy is to fail, or a refusal is no record's fault.
pub(super) async fn answer<M: Model>(
    work: &Work<M>,
    object: &ObjectId,
    run: &Run,
) -> Result<Answered, RecordError> {
    let mut answering = Answering { work, object, run, answered: Answered::default() };
    match run.strategy {
        BatchStrategy::MultiRecord => answering.together(0..run.records()).await?,
        BatchStrategy::SingleRecord => answering.answered = one_by_one(work, object, run).await?,
    }
    answering.separate_from_before();
    Ok(answering.answered)
}

/// What is written of `run`, each record of which is a call; as many calls as may be are under way at once.
async fn one_by_one<M: Model>(work: &Work<M>, object: &ObjectId, run: &Run) -> Result<Answered, RecordError> {
    let calls = stream::iter((0..run.records()).map(|index| single(work, object, run, index)));
    let mut answers = calls.buffered(work.settings.concurrency);
    let mut all = Answered::default();
    while let Some(answered) = answers.try_next().await? {
        all.bytes.extend_from_slice(&answered.bytes);
        all.rejected.extend(answered.rejected);
    }
    Ok(all)
}

/// What is written of the record at `index`.
async fn single<M: Model>(
    work: &Work<M>,
    object: &ObjectId,
    run: &Run,
    index: usize,
) -> Result<Answered, RecordError> {
    let mut answering = Answering { work, object, run, answered: Answered::default() };
    answering.together(index..index + 1).await?;
    Ok(answering.answered)
}

impl<M: Model> Answering<'_, M> {
    /// Sends `records` in one call. If it is refused and the policy is to go on, they are halved until it is known which is to
    /// blame: 2 × log2 calls for each bad record.
    async fn together(&mut self, records: Range<usize>) -> Result<(), RecordError> {
        let mut open = vec![records];
        while let Some(records) = open.pop() {
            let written = self.answered.bytes.len();
            let Err(error) = self.send(&records).await else { continue };
            self.answered.bytes.truncate(written);
            let is_no_records_fault = error.status.is_some_and(is_overload);
            if self.work.settings.error_policy == ErrorPolicy::Fail || is_no_records_fault {
                return Err(error);
            }
            if records.len() == 1 {
                self.reject(records.start, error);
            } else {
                let middle = records.start + records.len() / 2;
                open.extend([middle..records.end, records.start..middle]);
            }
        }
        Ok(())
    }

    /// Appends what is written of `records`.
    async fn send(&mut self, records: &Range<usize>) -> Result<(), RecordError> {
        let body = self.body(records)?;
        let answer = call(self.work, body).await.map_err(|refused| {
            let named = named_record(&refused.refusal.message, records.len()).map(|row| row - 1);
            let single = (records.len() == 1).then_some(0);
            let index = named.or(single);
            RecordError {
                at: self.run.position(records.start + index.unwrap_or(0)),
                is_exact: index.is_some(),
                status: Some(refused.refusal.status),
                attempts: refused.attempts,
                reason: refused.refusal.message,
            }
        })?;
        if let Some(missing) = self.missing(records, &answer) {
            return Err(missing);
        }
        let written = self.answered.bytes.len();
        self.separate(records);
        let before = self.answered.bytes.len();
        match self.work.settings.processing.as_ref().filter(|processing| !processing.writes_answers_whole()) {
            Some(processing) => self.process(processing, records, &answer)?,
            None => self.answered.bytes.extend_from_slice(&answer),
        }
        if self.answered.bytes.len() == before {
            // An empty answer contributes nothing, no newline either.
            self.answered.bytes.truncate(written);
        } else {
            self.end_line();
        }
        Ok(())
    }

    /// Where the policy is to go on, each line has an answer or is refused. A model may pass over lines, blank ones mostly: then
    /// the answers behind would stand in the wrong lines.
    fn missing(&self, records: &Range<usize>, answer: &[u8]) -> Option<RecordError> {
        let settings = &self.work.settings;
        let is_held = settings.error_policy != ErrorPolicy::Fail
            && settings.split_type == SplitType::Line
            && settings.answers.are_lines();
        if !is_held {
            return None;
        }
        let (expected, found) = (records.len(), count_lines(answer));
        (found < expected).then(|| {
            let reason = format!("expected an answer of {expected} lines, one a record, found {found}");
            RecordError { is_exact: expected == 1, ..self.blame(records.start, reason) }
        })
    }

    /// What is sent of `records`.
    fn body(&self, records: &Range<usize>) -> Result<Bytes, RecordError> {
        let processing = self.work.settings.processing.as_ref();
        let Some(processing) = processing.filter(|processing| !processing.sends_records_whole()) else {
            return Ok(self.whole(records));
        };
        let mut body = Vec::new();
        for index in records.clone() {
            let record = self.run.record(index);
            processing.request(&record, &mut body).map_err(|error| self.blame(index, error))?;
        }
        Ok(Bytes::from(body))
    }

    /// `records` as they are sent when nothing filters them.
    fn whole(&self, records: &Range<usize>) -> Bytes {
        match self.run.strategy {
            BatchStrategy::SingleRecord => self.run.content(records.start),
            BatchStrategy::MultiRecord if records.len() == self.run.records() => self.run.payload(),
            BatchStrategy::MultiRecord => self.run.part(records.clone()).payload(),
        }
    }

    /// Appends what is written of `records`, whose answers are in `answer`.
    fn process(
        &mut self,
        processing: &Processing,
        records: &Range<usize>,
        answer: &[u8],
    ) -> Result<(), RecordError> {
        let answers = processing.split_answer(answer, records.len()).map_err(|error| {
            let is_exact = records.len() == 1;
            RecordError { is_exact, ..self.blame(records.start, error) }
        })?;
        for (index, answer) in records.clone().zip(answers) {
            let record = self.run.record(index);
            let id = self.object.record(self.run.start.record + index as u64);
            let written = processing.response(&record, answer, id, &mut self.answered.bytes);
            written.map_err(|error| self.blame(index, error))?;
        }
        Ok(())
    }

    /// Puts a placeholder for the record at `index`, or puts it aside.
    fn reject(&mut self, index: usize, error: RecordError) {
        Progress::add(&self.work.progress.records_refused, 1);
        let record = self.run.record(index);
        if self.work.settings.error_policy == ErrorPolicy::Placeholder {
            self.separate(&(index..index + 1));
            self.placeholder(index, &record, &error.reason);
            self.end_line();
        }
        self.answered.rejected.push(Rejected { error, record });
    }

    /// `ERROR` in the answer's format: processed like an answer where that is possible, so that a joined line has its input.
    fn placeholder(&mut self, index: usize, record: &[u8], reason: &str) {
        let text = placeholder_text(&self.work.settings, reason);
        let written = self.answered.bytes.len();
        if let Some(processing) = &self.work.settings.processing {
            let id = self.object.record(self.run.start.record + index as u64);
            if processing.response(record, text.as_bytes(), id, &mut self.answered.bytes).is_ok() {
                return;
            }
            self.answered.bytes.truncate(written);
        }
        self.answered.bytes.extend_from_slice(text.as_bytes());
    }

    /// A newline before what is written of `records` where lines of text would run together although the records were, or could
    /// have been, sent in one call: between the halves of a refused batch, and between the pieces of an endless payload.
    fn separate(&mut self, records: &Range<usize>) {
        let is_half = self.run.strategy == BatchStrategy::MultiRecord && records.start > 0;
        if is_half
            && self.has_lines()
            && !self.answered.bytes.is_empty()
            && !self.answered.bytes.ends_with(b"\n")
        {
            self.answered.bytes.push(b'\n');
        }
    }

    /// A newline before the whole run where it is a piece of an endless payload and not the first. Whether the piece before ends
    /// with one is not known here; the answers of one model all do, or none does.
    fn separate_from_before(&mut self) {
        let is_later_piece = self.work.settings.is_endless() && self.run.start.byte > 0;
        // Records that are sent alone have what AssembleWith says between them, wherever runs of them are cut.
        let is_separate =
            is_later_piece && self.run.strategy == BatchStrategy::MultiRecord && self.has_lines();
        let bytes = &mut self.answered.bytes;
        if is_separate && !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.insert(0, b'\n');
        }
    }

    /// Whether answers are text. Frames of bytes follow each other without anything between.
    fn has_lines(&self) -> bool {
        self.work.settings.answers != Answers::RecordIo
    }

    /// The newline of `AssembleWith`.
    fn end_line(&mut self) {
        if self.work.settings.assemble_with == AssembleWith::Line && !self.answered.bytes.ends_with(b"\n") {
            self.answered.bytes.push(b'\n');
        }
    }

    fn blame(&self, index: usize, error: impl std::fmt::Display) -> RecordError {
        RecordError {
            at: self.run.position(index),
            is_exact: true,
            status: None,
            attempts: 0,
            reason: error.to_string(),
        }
    }
}

/// What stands for an answer that there is not.
fn placeholder_text(settings: &Settings, reason: &str) -> String {
    let is_json = match settings.answers {
        Answers::JsonLines | Answers::JsonDocument => true,
        Answers::CsvLines | Answers::CsvLine | Answers::RecordIo => false,
        Answers::Unknown => settings.content_type.as_deref().is_some_and(is_json),
    };
    if is_json { serde_json::json!({ "error": reason }).to_string() } else { "ERROR".to_owned() }
}

fn is_json(media_type: &str) -> bool {
    let answers = ContentType::parse(media_type).map_or(Answers::Unknown, Answers::of);
    matches!(answers, Answers::JsonLines | Answers::JsonDocument)
}
