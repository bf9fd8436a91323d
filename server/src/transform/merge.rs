//! What is left to do of a transform in shards when all of them are done: every input is looked up again, its output must stand,
//! and the shares of an object that was cut are put together in their order, by the same writer.

use std::time::{Instant, SystemTime};

use anyhow::bail;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStoreExt};
use transform::batch::Position;
use transform::input::{Found, InputObject, Listing, Outputs};
use transform::job::{Shard, Stop};
use transform::journal::{self, Finished, Journal};
use transform::read::{self, ReadOptions};
use transform::settings::Compression;
use transform::upload::{PartSizes, Target, Writer, retried};
use transform::{Failure, Listener, Outcome, Progress, Summary};

use super::command::Done;
use super::job_folder::{Agreed, JobFolder};
use super::objects::Opened;

/// Shards that are looked up at once. Reason: hides the store's latency.
const LOOK_UPS_AT_ONCE: usize = 16;

/// What the shards of `job` agreed on.
///
/// # Errors
/// When there are none.
pub(super) async fn agreed(folder: &JobFolder, job: &str) -> anyhow::Result<Agreed> {
    match folder.agreed().await? {
        Some(agreed) if agreed.shards.is_some() => Ok(agreed),
        Some(_) => bail!("job {job}: expected shards to merge, found a job that is done whole"),
        None => bail!(
            "job {job}: expected shards to merge, found none: its model, places and settings must be theirs"
        ),
    }
}

/// Merges.
///
/// # Errors
/// When not all shards are complete, or the store fails.
pub(super) async fn run(opened: Opened<'_>, agreed: &Agreed) -> anyhow::Result<Done> {
    let (started, began) = (Instant::now(), SystemTime::now());
    let count = agreed.shards.unwrap_or(1);
    let shards = completed(&opened, count).await?;
    let done = done(&opened, &shards).await?;
    let (journal, merged) =
        Journal::open(opened.folder.merge_journal()?, &opened.job, &opened.digest).await?;
    let mut merge = Merge { opened: &opened, shards, done, merged, journal, failures: Vec::new() };
    let is_stopped = !merge.all().await?;
    let Merge { failures, journal, .. } = merge;
    let outcome = match (is_stopped, failures.is_empty()) {
        (true, _) => Outcome::Stopped,
        (false, true) => Outcome::Completed,
        (false, false) => Outcome::Failed,
    };
    if outcome == Outcome::Completed {
        journal.remove().await?;
        opened.folder.remove().await?;
    }
    let request = opened.request(Some(format!("merge of {count}")));
    let counts = (&*opened.command.progress).into();
    let reason = failures.first().map(|failure| failure.reason.clone());
    let summary = Summary { outcome, reason, failures, counts, started: began, ended: SystemTime::now() };
    Ok(Done { job: Some(opened.job), request, summary, elapsed: started.elapsed() })
}

/// All shards, each of which must be complete.
async fn completed(opened: &Opened<'_>, count: u32) -> anyhow::Result<Vec<Shard>> {
    let shards: Vec<Shard> = (0..count).map(|index| Shard { index, count }).collect();
    let notes = stream::iter(shards.iter().map(|&shard| opened.folder.completed(shard)));
    let notes: Vec<_> = notes.buffered(LOOK_UPS_AT_ONCE).try_collect().await?;
    let missing: Vec<String> =
        (0..count).filter(|&index| notes[index as usize].is_none()).map(|index| index.to_string()).collect();
    if !missing.is_empty() {
        bail!(
            "job {}: expected all of {count} shards to be complete, found that these are not: {}",
            opened.job,
            missing.join(", ")
        );
    }
    if let Some(note) = notes.iter().flatten().find(|note| note.settings != opened.digest) {
        bail!(
            "job {}: expected shards of this model and these settings (digest {}), found shard {} of others (digest {})",
            opened.job,
            opened.digest,
            note.shard.index,
            note.settings
        );
    }
    Ok(shards)
}

/// What the journals of the shards say is done.
async fn done(opened: &Opened<'_>, shards: &[Shard]) -> anyhow::Result<Vec<journal::Done>> {
    let mut found = Vec::with_capacity(shards.len());
    for &shard in shards {
        let place = opened.folder.journal(Some(shard))?;
        let (_, done) = Journal::open(place, &opened.job, &opened.digest).await?;
        found.push(done);
    }
    Ok(found)
}

struct Merge<'a> {
    opened: &'a Opened<'a>,
    shards: Vec<Shard>,
    /// By shard.
    done: Vec<journal::Done>,
    /// What an earlier merge did.
    merged: journal::Done,
    journal: Journal,
    failures: Vec<Failure>,
}

impl Merge<'_> {
    /// Looks at every input; `false` when it was stopped.
    async fn all(&mut self) -> anyhow::Result<bool> {
        let opened = self.opened;
        let (input, output) = (&opened.input, &opened.output);
        let outputs = Outputs { prefix: output.prefix.clone(), are_beside_inputs: input.name == output.name };
        let mut listing = Listing::begin(&input.store, &input.name, &input.source, outputs).await?;
        let mut whole = Vec::with_capacity(LOOK_UPS_AT_ONCE);
        while let Some(found) = listing.next().await? {
            if self.is_stopped() {
                return Ok(false);
            }
            match found {
                Found::Object(object) => {
                    let progress = &opened.command.progress;
                    Progress::add(&progress.objects_found, 1);
                    Progress::add(&progress.bytes_found, object.size);
                    if self.shards[0].cuts(&object, &opened.settings) {
                        let ended = self.join(&object).await;
                        self.ended(&object, ended);
                    } else {
                        whole.push(object);
                    }
                    if whole.len() == LOOK_UPS_AT_ONCE {
                        self.look_up(std::mem::take(&mut whole)).await;
                    }
                }
                Found::Unusable { key, reason } => self.fail(&key, reason),
                // Each shard has told of it.
                Found::Warning(_) => {}
            }
        }
        self.look_up(whole).await;
        Ok(!self.is_stopped())
    }

    fn is_stopped(&self) -> bool {
        *self.opened.command.stop.borrow() != Stop::Run
    }

    /// Looks whether the outputs of `objects`, none of which was cut, stand.
    async fn look_up(&mut self, objects: Vec<InputObject>) {
        let looks = stream::iter(&objects).map(|object| self.stands(object));
        let looked: Vec<_> = looks.buffered(LOOK_UPS_AT_ONCE).collect().await;
        for (object, found) in objects.iter().zip(looked) {
            self.ended(object, found.map(|()| true));
        }
    }

    /// Counts what became of `object`: `false` where that was stopped.
    fn ended(&mut self, object: &InputObject, ended: Result<bool, String>) {
        match ended {
            Ok(true) => Progress::add(&self.opened.command.progress.objects_done, 1),
            Ok(false) => {}
            Err(reason) => self.fail(object.path.as_ref(), reason),
        }
    }

    /// That a shard finished `object` in the version that it has now, and what it wrote is there.
    async fn stands(&self, object: &InputObject) -> Result<(), String> {
        let finished = self.done.iter().find_map(|done| done.finished(object)).ok_or(
            "expected a shard to have finished it in its present version, found none: it is new, or has changed",
        )?;
        self.written(&object.output, finished, "the output").await.map(drop)
    }

    /// What a shard wrote to `key`, as it noted it.
    async fn written(&self, key: &Path, finished: &Finished, what: &str) -> Result<ObjectMeta, String> {
        let found = retried(0, || self.opened.output.store.objects.head(key)).await;
        let found = found.map_err(|error| match error {
            Error::NotFound { .. } => format!("expected {what} {key}, found none: run the shards again"),
            error => error.to_string(),
        })?;
        if found.size != finished.bytes {
            let (found, expected) = (found.size, finished.bytes);
            return Err(format!("{key}: expected {expected} bytes, found {found}: run the shards again"));
        }
        Ok(found)
    }

    /// Puts the shares of `object` together; `false` when that was stopped.
    async fn join(&mut self, object: &InputObject) -> Result<bool, String> {
        if self.merged.finished(object).is_some() {
            Progress::add(&self.opened.command.progress.objects_skipped, 1);
            return Ok(true);
        }
        let shares = self.shares(object).await?;
        let target = Target {
            store: self.opened.output.store.clone(),
            journal: self.journal.clone(),
            object: object.clone(),
            content_type: self.opened.settings.accept.clone(),
            part_sizes: PartSizes::default(),
        };
        let text = |error: transform::upload::WriteError| error.to_string();
        let mut writer = Writer::begin(target, self.merged.resume(object)).await.map_err(text)?;
        match self.copy(&shares, &mut writer).await {
            Ok(Some(end)) => writer.finish(end).await.map(|_| true).map_err(text),
            Ok(None) => {
                let is_kept = *self.opened.command.stop.borrow() == Stop::Suspend;
                let ended = if is_kept { writer.suspend().await } else { writer.abort().await };
                ended.map(|()| false).map_err(text)
            }
            Err(reason) => {
                writer.abort().await.map_err(|error| format!("{reason}; {error}"))?;
                Err(reason)
            }
        }
    }

    /// The shares of `object`, with how many records each answers.
    async fn shares(&self, object: &InputObject) -> Result<Vec<(InputObject, Finished)>, String> {
        let mut shares = Vec::with_capacity(self.shards.len());
        for (shard, done) in self.shards.iter().zip(&self.done) {
            let key = shard.share_key(&self.opened.output.prefix, &self.opened.job, &object.output);
            let output = key.map_err(|error| error.to_string())?;
            let share = InputObject { output, ..object.clone() };
            let finished = done.finished(&share).cloned().ok_or_else(|| {
                format!("expected shard {} to have finished its share, found that it has not: the object has changed", shard.index)
            })?;
            let found = self.written(&share.output, &finished, "the share").await?;
            shares.push((written(found, object), finished));
        }
        Ok(shares)
    }

    /// Copies shares into `writer` from where it is; where they end, or `None` when it was stopped.
    async fn copy(
        &self,
        shares: &[(InputObject, Finished)],
        writer: &mut Writer,
    ) -> Result<Option<Position>, String> {
        let progress = &self.opened.command.progress;
        let mut at = Position::default();
        for (share, finished) in shares {
            let end = Position { byte: at.byte + share.size, record: at.record + finished.records };
            let from = writer.position().byte;
            if !writer.is_whole() && from < end.byte {
                let (store, options) = (&self.opened.output.store.objects, ReadOptions::default());
                let skipped = from.saturating_sub(at.byte);
                let mut pieces = read::open(store, share, Compression::None, skipped, &options);
                let mut byte = at.byte + skipped;
                while let Some(piece) = pieces.next().await {
                    if self.is_stopped() {
                        return Ok(None);
                    }
                    let piece: Bytes = piece.map_err(|error| error.to_string())?;
                    let length = piece.len() as u64;
                    writer
                        .write(piece, Position { byte, record: 0 })
                        .await
                        .map_err(|error| error.to_string())?;
                    Progress::add(&progress.bytes_written, length);
                    byte += length;
                }
            }
            at = end;
        }
        Progress::add(&progress.records, at.record);
        Ok(Some(at))
    }

    fn fail(&mut self, key: &str, reason: String) {
        let command = self.opened.command;
        Progress::add(&command.progress.objects_failed, 1);
        let object = format!("{}/{key}", self.opened.input.name);
        let failure = Failure { object, byte: None, record: None, status: None, attempts: 0, reason };
        command.teller.failed(&failure);
        if self.failures.len() < transform::job::FAILURES_KEPT {
            self.failures.push(failure);
        }
    }
}

/// An output, to be read.
fn written(meta: ObjectMeta, object: &InputObject) -> InputObject {
    InputObject {
        path: meta.location,
        size: meta.size,
        e_tag: meta.e_tag,
        modified: Some(meta.last_modified.into()),
        output: object.output.clone(),
    }
}
