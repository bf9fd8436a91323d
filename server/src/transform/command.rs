//! `clary transform`: one transform, from its start to its report and its exit code.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use codecs::ContentType;
use tokio::sync::{oneshot, watch};
use transform::job::Stop;
use transform::settings::{InferenceIds, Resolved, SettingsError};
use transform::{Listener, Outcome, Progress, Summary};

use super::console::Console;
use super::failures::Teller;
use super::fit::fit;
use super::report::{Report, Request};
use super::{model, objects, stream};
use crate::config::transform::Task;
use crate::config::{EX_USAGE, TransformConfig};
use crate::rt;
use crate::serving::LoadedModel;
use crate::shutdown::Signals;

/// What shells add to the number of the signal that ended a program.
const EXIT_SIGNALLED: u8 = 128;

/// Runs the transform that `config` describes.
///
/// # Errors
/// When it cannot be begun.
pub fn run(config: &TransformConfig) -> anyhow::Result<ExitCode> {
    let runtime = rt::transform()?;
    let ended = runtime.block_on(transform(config));
    // A read of standard input may wait for ever.
    runtime.shutdown_background();
    ended
}

/// What all kinds of transforms are given.
pub(super) struct Command<'a> {
    pub(super) config: &'a TransformConfig,
    pub(super) model: Arc<LoadedModel>,
    pub(super) progress: Arc<Progress>,
    pub(super) console: Arc<Console>,
    pub(super) teller: Arc<Teller>,
    pub(super) stop: watch::Receiver<Stop>,
}

/// What one did.
pub(super) struct Done {
    pub(super) job: Option<String>,
    pub(super) request: Request,
    pub(super) summary: Summary,
    /// Without the load of the model.
    pub(super) elapsed: Duration,
}

async fn transform(config: &TransformConfig) -> anyhow::Result<ExitCode> {
    let console = Arc::new(Console::start(config.progress));
    let (signals, stop, mut at_once) = Signalled::listen(config.keeps_uploads)?;
    // What is wrong with the settings is known before the model is loaded.
    let asked = match settings(config, None) {
        Ok(asked) => asked.settings,
        Err(error) => return Ok(usage(&console, &error)),
    };
    if let Some(Err(error)) = config.requested.content_type.as_deref().map(ContentType::parse) {
        return Ok(usage(&console, &format!("--content-type: {error}")));
    }
    if let Some(path) = &config.report {
        Report::try_path(path)?;
    }
    let doing = async {
        let model = model::load(config).await?;
        if let Err(error) = model.answer_type.settle(config.requested.accept.as_deref()) {
            return Ok(Err(usage(&console, &format!("--accept: {error}"))));
        }
        if let Err(error) = fit(asked, &model) {
            return Ok(Err(usage(&console, &error)));
        }
        let teller = Arc::new(Teller::new(Arc::clone(&console), config.failures.as_deref())?);
        let progress = Arc::new(Progress::default());
        let (console, stop) = (Arc::clone(&console), stop.clone());
        let command = Command { config, model, progress, console, teller, stop };
        command.run().await.map(Ok)
    };
    let ended: anyhow::Result<Result<Outcome, ExitCode>> = tokio::select! {
        ended = doing => ended,
        _ = &mut at_once => Ok(Ok(Outcome::Stopped)),
    };
    console.finish();
    Ok(match ended? {
        Err(code) => code,
        Ok(Outcome::Completed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Ok(Outcome::Stopped) => signals.exit_code(),
    })
}

impl Command<'_> {
    async fn run(&self) -> anyhow::Result<Outcome> {
        let showing = tokio::spawn(Arc::clone(&self.console).show(Arc::clone(&self.progress)));
        let done = match &self.config.task {
            Task::Stream { input } => stream::run(self, input.as_deref()).await,
            Task::Objects(config) => objects::run(self, config).await,
        };
        showing.abort();
        self.console.finish();
        let done = done?;
        let outcome = done.summary.outcome;
        let report = Report::new(done.job, done.request, done.summary, done.elapsed);
        self.console.say(&report.line());
        if let Some(path) = &self.config.report {
            report.write(path)?;
        }
        Ok(outcome)
    }

    /// SHA-256 of the model's artifact, in hex.
    pub(super) fn model_digest(&self) -> String {
        String::from_utf8_lossy(&self.model.digest).into_owned()
    }

    /// The settings of a transform that began at `started`.
    ///
    /// # Errors
    /// When they are refused.
    pub(super) fn settings(&self, started: &str) -> Result<Resolved, SettingsError> {
        let mut resolved = settings(self.config, Some(started))?;
        resolved.settings = fit(resolved.settings, &self.model)?;
        if let Some(notice) = &resolved.notice {
            self.teller.warned(notice);
        }
        Ok(resolved)
    }
}

/// The settings; those of inference ids without a start are only good to be checked, or to make a job's name of.
pub(super) fn settings(config: &TransformConfig, started: Option<&str>) -> Result<Resolved, SettingsError> {
    let mut requested = config.requested.clone();
    let started = started.unwrap_or_default().to_owned();
    requested.ids = config.generates_inference_ids.then_some(InferenceIds { started });
    requested.resolve(model::execution_parameters(config.workers))
}

fn usage(console: &Console, error: &impl std::fmt::Display) -> ExitCode {
    console.say(&format!("clary transform: {error} (see `clary transform --help`)"));
    EX_USAGE.into()
}

/// The signal that stopped a transform.
struct Signalled(Arc<OnceLock<&'static str>>);

impl Signalled {
    /// The first signal stops the transform, the second ends the program at once.
    fn listen(keeps_uploads: bool) -> anyhow::Result<(Self, watch::Receiver<Stop>, oneshot::Receiver<()>)> {
        let mut signals = Signals::listen()?;
        let (stopping, stop) = watch::channel(Stop::Run);
        let (second, at_once) = oneshot::channel();
        let signal = Arc::new(OnceLock::new());
        let of_task = Arc::clone(&signal);
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "stopping");
            // It is set once, here.
            let _ = of_task.set(name);
            stopping.send_replace(if keeps_uploads { Stop::Suspend } else { Stop::Abort });
            signals.next().await;
            // The transform may have ended.
            let _ = second.send(());
            // Held until then: a receiver whose sender is gone could not be waited on.
            drop(stopping);
        });
        Ok((Self(signal), stop, at_once))
    }

    /// As shells have it: 143 after SIGTERM, 130 after SIGINT; 0 where nobody reads the answers any more.
    fn exit_code(&self) -> ExitCode {
        match self.0.get() {
            Some(&"SIGTERM") => (EXIT_SIGNALLED + 15).into(),
            Some(_) => (EXIT_SIGNALLED + 2).into(),
            None => ExitCode::SUCCESS,
        }
    }
}
