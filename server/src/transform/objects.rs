//! Objects to objects: a whole transform, or one shard of it, that goes on where the last run of the same job was.

use std::sync::Arc;
use std::time::Instant;

use transform::job::Shard;
use transform::journal::Journal;
use transform::upload::PartSizes;
use transform::{Job, Outcome, Settings};
use wire::Timestamp;

use super::command::{Command, Done, settings};
use super::job_folder::{Agreed, JobFolder, ShardDone};
use super::places::{self, Input, Output};
use super::report::Request;
use super::{merge, model};
use crate::config::transform::{ObjectsConfig, Part};

/// Digits of the digest in a job's name. Reason: enough that two jobs of one output never meet.
const NAME_DIGITS: usize = 16;

/// A transform of objects whose places are open and whose settings are settled.
pub(super) struct Opened<'a> {
    pub(super) command: &'a Command<'a>,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) job: String,
    pub(super) folder: JobFolder,
    pub(super) settings: Settings,
    /// The digest of the settings and the model: what journals must be of.
    pub(super) digest: String,
}

/// Transforms what `config` says.
///
/// # Errors
/// When it cannot be begun, or what is kept of it cannot be written.
pub(super) async fn run(command: &Command<'_>, config: &ObjectsConfig) -> anyhow::Result<Done> {
    let (input, output) =
        places::open(&config.input, config.is_manifest, &config.output, &command.config.aws)?;
    let model_digest = command.model_digest();
    let job = match &config.job {
        Some(job) => job.clone(),
        // Without the start, which only inference ids know.
        None => name(&settings(command.config, None)?.settings, &model_digest, &input, &output),
    };
    // The job is named after the manifest, whatever that lists.
    let input = input.with_manifest(&command.config.aws).await?;
    let folder = JobFolder::new(&output, &job, config.journal.clone());
    let shard = match config.part {
        Part::Shard(shard) => Some(shard),
        Part::Whole | Part::Merge => None,
    };
    if config.begins_anew {
        match config.part {
            Part::Shard(shard) => folder.forget_shard(shard).await?,
            Part::Whole => folder.remove().await?,
            // What is already put together is put together again.
            Part::Merge => {}
        }
    }
    let agreed = match config.part {
        Part::Merge => merge::agreed(&folder, &job).await?,
        Part::Whole | Part::Shard(_) => {
            let started = Timestamp::now().iso8601();
            let shards = shard.map(|shard| shard.count);
            folder.agree(Agreed { started, shards, range_bytes: config.range_bytes }).await?
        }
    };
    let mut settings = command.settings(&agreed.started)?.settings;
    settings.cut_bytes = agreed.range_bytes;
    let digest = settings.digest(&job, &model_digest);
    let opened = Opened { command, input, output, job, folder, settings, digest };
    match config.part {
        Part::Merge => merge::run(opened, &agreed).await,
        Part::Whole | Part::Shard(_) => opened.run(shard).await,
    }
}

impl Opened<'_> {
    async fn run(self, shard: Option<Shard>) -> anyhow::Result<Done> {
        let (command, started) = (self.command, Instant::now());
        let place = self.folder.journal(shard)?;
        let (journal, done) = Journal::open(place, &self.job, &self.digest).await?;
        let request = self.request(shard.map(|shard| format!("{}/{}", shard.index, shard.count)));
        let model = model::publish(command.config, Arc::clone(&command.model), &self.settings)?;
        let job = Job {
            id: self.job.clone(),
            settings: self.settings.clone(),
            input: self.input.store.clone(),
            input_name: self.input.name.clone(),
            source: self.input.source.clone(),
            output: self.output.store.clone(),
            output_name: self.output.name.clone(),
            output_prefix: self.output.prefix.clone(),
            part_sizes: PartSizes::default(),
            shard,
            capture: None,
            journal: journal.clone(),
            done,
            model: Arc::new(model),
            model_digest: command.model_digest(),
            progress: Arc::clone(&command.progress),
            listener: Arc::clone(&command.teller) as Arc<dyn transform::Listener>,
            stop: command.stop.clone(),
        };
        let summary = job.run().await;
        let elapsed = started.elapsed();
        match (summary.outcome, shard) {
            (Outcome::Completed, None) => {
                journal.remove().await?;
                self.folder.remove().await?;
            }
            (Outcome::Completed, Some(shard)) => {
                let (settings, records) = (self.digest.clone(), summary.counts.records);
                self.folder.complete(&ShardDone { shard, settings, records }).await?;
            }
            (Outcome::Failed | Outcome::Stopped, _) => {}
        }
        Ok(Done { job: Some(self.job), request, summary, elapsed })
    }

    /// What was asked for, for the report.
    pub(super) fn request(&self, shard: Option<String>) -> Request {
        let command = self.command;
        Request {
            model: command.config.model.clone(),
            model_digest: command.model_digest(),
            input: self.input.identity.clone(),
            output: self.output.identity.clone(),
            shard,
            ..Request::of(&self.settings)
        }
    }
}

/// The name of a job that has none: the same for the same model, input, output and settings, and else another.
fn name(settings: &Settings, model_digest: &str, input: &Input, output: &Output) -> String {
    let settings = settings.digest("", model_digest);
    let text = format!("{settings}\n{:?}\n{:?}\n{:?}", input.identity, input.source, output.identity);
    let digest = access::digest::hex(&access::digest::sha256(text.as_bytes()));
    format!("transform-{}", &digest[..NAME_DIGITS])
}
