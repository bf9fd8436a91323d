//! `clary up`: the platform's parts put together. What stands on disk is brought to life before the first request is let in.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use objects::{Domains, S3Wire, WireOptions};
use telemetry::Telemetry;
use wire::{Scope, Timestamp};

use crate::buckets::Buckets;
use crate::config::{TlsFiles, UpConfig};
use crate::control::async_inference::{Dispatcher, Events, Runner};
use crate::control::autoscaling::Scaler;
use crate::control::capture::CaptureWriter;
use crate::control::sampler::{Live, Sampler};
use crate::control::training::{Executors, MachineLimits, TrainingJobs, TrainingParts};
use crate::control::transform::{TransformJobs, TransformParts};
use crate::control::{Alarms, Control, Database, HostingParts, warming};
use crate::faces::Face;
use crate::http::{Certificates, Listener, self_signed};
use crate::metrics::Metrics;
use crate::platform::Platform;
use crate::serve::Server;
use crate::serving::capture::CaptureQueue;
use crate::serving::memory::{MemoryBudget, group_bytes};
use crate::serving::{Health, ModelMemory, ModelServer, ModelServerOptions};
use crate::transform::BatchServer;
use crate::{credentials, rt};

/// Binds, opens the data directory and starts all threads.
///
/// # Errors
/// When the address or the directory is taken, or the state cannot be read.
pub fn start(config: &UpConfig) -> anyhow::Result<Server> {
    refuse_open_doors(config)?;
    // First of all, so that a platform's first health check waits instead of being refused.
    let listener =
        Listener::bind(config.address).with_context(|| format!("cannot listen on {}", config.address))?;
    let address = listener.address()?;
    let lock = lock(&config.data)?;
    let certificates = certificates(config)?;
    let access = credentials::open(config.credentials.as_deref())?;
    let runtime = rt::control()?;
    let metrics = Arc::new(Metrics::default());
    let limits = &config.server.limits;
    let options = ModelServerOptions::online(config.server.workers, limits.queue_length, limits.body_bytes);
    let health = Arc::new(Health::default());
    let database = Database::open(&config.data.join("state.sqlite"))?;
    let telemetry = Arc::new(Telemetry::open(&config.data.join("telemetry.sqlite"))?);
    let alarms = Arc::new(Alarms::new(database.clone()));
    let live = Arc::new(Live::new(Arc::clone(&metrics), Timestamp::now()));
    let sampler =
        Sampler::new(Arc::clone(&live), Arc::clone(&telemetry), Arc::clone(&alarms), config.data.clone());
    runtime.spawn(sampler.run());
    let server = Arc::new(ModelServer::start(options, Arc::clone(&metrics))?);
    let buckets = Buckets::open(config.s3_endpoint.as_deref(), &config.aws, &config.data, runtime.handle());
    let buckets = Arc::new(buckets.context("the buckets")?);
    let memory = ModelMemory::new(
        config.model_memory_bytes.map_or_else(MemoryBudget::of_machine, MemoryBudget::new),
        &server,
    );
    runtime.spawn(warming::renew(Arc::clone(&memory)));
    runtime.spawn(warming::unload_idle(Arc::clone(&memory), config.serverless_idle));
    let (capture, captured) = CaptureQueue::new();
    runtime.spawn(CaptureWriter::new(Arc::clone(&buckets), Arc::clone(&metrics)).run(captured));
    let parts = HostingParts {
        data: config.data.clone(),
        buckets: Arc::clone(&buckets),
        server: Arc::clone(&server),
        memory,
        metrics: Arc::clone(&metrics),
        telemetry: Arc::clone(&telemetry),
        capture: capture.clone(),
        threads: u32::try_from(config.server.workers).unwrap_or(u32::MAX),
        drain_limit: config.server.limits.request_timeout,
        is_artifact_change_allowed: config.allows_changed_artifacts,
    };
    let starting = Control::start(database.clone(), parts, runtime.handle().clone());
    let control = runtime.block_on(starting).context("the control plane")?;
    let scaler = Scaler::new(database.clone(), Arc::clone(&control), Arc::clone(&telemetry));
    runtime.spawn(Arc::clone(&scaler).run());
    let parts = TransformParts {
        data: config.data.clone(),
        buckets: Arc::clone(&buckets),
        batch: BatchServer::start(config.server.workers, config.server.limits.queue_length)?,
        metrics: Arc::clone(&metrics),
        runtime: rt::jobs()?,
    };
    let starting = TransformJobs::start(Arc::clone(&control), parts);
    let transforms = runtime.block_on(starting).context("the transform jobs")?;
    let parts = training_parts(config, &buckets, &telemetry, &metrics)?;
    let starting = TrainingJobs::start(Arc::clone(&control), parts);
    let trainings = runtime.block_on(starting).context("the training jobs")?;
    let async_queue = Dispatcher::new(database.clone());
    let events = Arc::clone(&control);
    let events: Events = Arc::new(move |event| events.record_event(event));
    let runner = Runner::new(
        Arc::clone(&server),
        Arc::clone(&buckets),
        Arc::clone(&metrics),
        database.clone(),
        events,
    );
    runtime.spawn(Arc::clone(&async_queue).run(runner));
    let domains = Domains::with(config.domain.as_deref())?;
    let s3 = s3_wire(config, &buckets, &domains);
    let platform = Arc::new(Platform {
        scope: Scope { region: config.region.clone(), account: config.account.clone() },
        server,
        buckets,
        s3,
        domains,
        control,
        scaler,
        async_queue,
        transforms,
        trainings,
        capture,
        database,
        telemetry,
        live,
        alarms,
        access: Arc::clone(&access),
        health: Arc::clone(&health),
        request_timeout: config.server.limits.request_timeout,
        cold_wait: config.cold_wait,
        metrics,
        runtime: runtime.handle().clone(),
        lock,
    });
    if let Some(path) = config.credentials.clone() {
        runtime.spawn(credentials::watch(access, path, config.server.reload_interval));
    }
    health.ready();
    Server::open(listener, address, Face::Platform(platform), &config.server, certificates, runtime)
}

/// What training jobs are run with.
fn training_parts(
    config: &UpConfig,
    buckets: &Arc<Buckets>,
    telemetry: &Arc<Telemetry>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<TrainingParts> {
    let training = &config.training;
    Ok(TrainingParts {
        data: config.data.clone(),
        buckets: Arc::clone(buckets),
        telemetry: Arc::clone(telemetry),
        metrics: Arc::clone(metrics),
        executors: Executors {
            clary_train: training.clary_train.clone(),
            container_engine: training.container_engine.clone(),
            allows_processes: training.allows_process_images,
        },
        limits: MachineLimits {
            jobs_at_once: training.jobs_at_once,
            memory_bytes: group_bytes(),
            host_memory_bytes: training.host_memory_bytes,
            cores: config.server.workers,
        },
        inherited: training.inherited.clone(),
        runtime: rt::training()?,
    })
}

/// The HTTP interface of the buckets on this machine; those of another store have their own.
fn s3_wire(config: &UpConfig, buckets: &Buckets, domains: &Domains) -> Option<Arc<S3Wire>> {
    let Buckets::Embedded(directory) = buckets else { return None };
    let (account, region) = (config.account.clone(), config.region.clone());
    let options = WireOptions { account, region, domains: domains.clone() };
    Some(Arc::new(S3Wire::new(Arc::clone(directory), options)))
}

/// The certificates of TLS: given, or of our own making; `None` without TLS.
fn certificates(config: &UpConfig) -> anyhow::Result<Option<Arc<Certificates>>> {
    let files = match &config.server.tls {
        None if config.generates_certificate => Some(self_signed(&config.data, config.address.ip())?),
        files => files.clone(),
    };
    let files = files.map(|files| TlsFiles { client_ca: config.client_ca.clone(), ..files });
    if files.is_none() && config.client_ca.is_some() {
        bail!("--tls-client-ca: expected --tls-cert or --tls-generate beside it, found neither");
    }
    Ok(files.map(Certificates::load).transpose()?)
}

/// Without credentials anybody may do anything: then only this machine is let in.
fn refuse_open_doors(config: &UpConfig) -> anyhow::Result<()> {
    if config.credentials.is_none() && !config.address.ip().is_loopback() {
        bail!(
            "expected --credentials to listen beyond this machine on {}, found none: anybody could do anything",
            config.address
        );
    }
    Ok(())
}

/// Makes the data directory and takes its lock: two servers of one directory would undo each other's work.
fn lock(data: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data directory {}", data.display()))?;
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("data directory {}: expected no other server on it, found one running", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
