//! `clary serve`: the parts put together, started and drained. What `clary up` puts together is started and drained alike.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::config::{ServeConfig, ServerConfig};
use crate::control::sampler;
use crate::faces::Face;
use crate::faces::container::{Container, ENDPOINT};
use crate::faces::multi_model::MultiModel;
use crate::http::{Acceptor, Certificates, Listener};
use crate::metrics::Metrics;
use crate::platform::Platform;
use crate::rt;
use crate::serving::memory::MemoryBudget;
use crate::serving::reload::Reloader;
use crate::serving::{Health, Loader, ModelServer, ModelServerOptions};
use crate::store::Source;

/// A server that listens; its model may still be loading.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    acceptor: Acceptor,
    /// What has to be written out at the end.
    platform: Option<Arc<Platform>>,
    runtime: Runtime,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered.
    Drained,
    /// So many connections were cut.
    Cut(usize),
    /// A second signal came.
    AtOnce,
}

impl Server {
    /// Binds, starts all threads, and begins to load the model.
    ///
    /// # Errors
    /// When the address is taken, the certificates cannot be used, or the configuration contradicts itself.
    pub fn start(config: &ServeConfig) -> anyhow::Result<Self> {
        // First of all, so that a platform's first ping waits instead of being refused.
        let listener =
            Listener::bind(config.address).with_context(|| format!("cannot listen on {}", config.address))?;
        let address = listener.address()?;
        let certificates = config.server.tls.clone().map(Certificates::load).transpose()?;
        let runtime = rt::control()?;
        let container = Arc::new(container(config, &runtime)?);
        runtime.spawn(sampler::tick_page(Arc::clone(&container.metrics)));
        if config.multi_model.is_none() {
            runtime.spawn(reloader(config, &container)?.run());
        }
        Self::open(listener, address, Face::Container(container), &config.server, certificates, runtime)
    }

    /// Starts the threads that serve `face` behind `listener`.
    pub(crate) fn open(
        listener: Listener,
        address: SocketAddr,
        face: Face,
        config: &ServerConfig,
        certificates: Option<Arc<Certificates>>,
        runtime: Runtime,
    ) -> anyhow::Result<Self> {
        if let Some(certificates) = &certificates {
            runtime.spawn(Arc::clone(certificates).watch());
        }
        let platform = match &face {
            Face::Container(_) => None,
            Face::Platform(platform) => Some(Arc::clone(platform)),
        };
        let entered = runtime.enter();
        let acceptor =
            Acceptor::start(listener, config.io_threads, face, config.limits.clone(), certificates)?;
        drop(entered);
        Ok(Self { address, acceptor, platform, runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `end` comes; then drains, unless `at_once` comes too.
    pub fn run(self, end: impl Future<Output = ()>, at_once: impl Future<Output = ()>) -> Ended {
        let Self { acceptor, platform, runtime, .. } = self;
        let ended = runtime.block_on(async {
            let draining = acceptor.run(end).await;
            let drained = async {
                let cut = draining.finish().await;
                if let Some(platform) = platform {
                    platform.finish().await;
                }
                if cut == 0 { Ended::Drained } else { Ended::Cut(cut) }
            };
            tokio::select! {
                ended = drained => ended,
                () = at_once => Ended::AtOnce,
            }
        });
        // A load in progress is of no use any more.
        runtime.shutdown_background();
        ended
    }

    /// The control runtime, to listen for signals in.
    pub fn control(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }
}

fn container(config: &ServeConfig, runtime: &Runtime) -> anyhow::Result<Container> {
    let metrics = Arc::new(Metrics::default());
    let limits = &config.server.limits;
    let options = ModelServerOptions::online(config.server.workers, limits.queue_length, limits.body_bytes);
    let server = Arc::new(ModelServer::start(options, Arc::clone(&metrics))?);
    let health = Arc::new(Health::default());
    let models = match &config.multi_model {
        None => None,
        Some(root) => {
            let budget = config.model_memory_bytes.map_or_else(MemoryBudget::of_machine, MemoryBudget::new);
            // There is no model to wait for.
            health.ready();
            let (root, control) = (root.clone(), runtime.handle().clone());
            let (server, metrics) = (Arc::clone(&server), Arc::clone(&metrics));
            Some(MultiModel::new(root, loader(config)?, server, metrics, budget, control))
        }
    };
    Ok(Container {
        server,
        health,
        metrics,
        models,
        workers: config.server.workers,
        body_bytes_max: config.server.limits.body_bytes,
        request_timeout: config.server.limits.request_timeout,
    })
}

fn loader(config: &ServeConfig) -> anyhow::Result<Loader> {
    let default_accept = Loader::default_accept(config.default_accept.as_deref());
    let default_accept = default_accept.context("the default Accept")?;
    Ok(Loader { scratch: config.scratch.clone(), options: config.load.clone(), default_accept })
}

fn reloader(config: &ServeConfig, container: &Container) -> anyhow::Result<Reloader> {
    Ok(Reloader {
        source: Source::parse(&config.model, &config.aws.0)?,
        loader: loader(config)?,
        endpoint: ENDPOINT.to_owned(),
        server: Arc::clone(&container.server),
        health: Arc::clone(&container.health),
        metrics: Arc::clone(&container.metrics),
        interval: config.server.reload_interval,
    })
}
