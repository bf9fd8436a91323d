//! The phase in which programs run: started, watched, asked to end, and ended.

mod ending;
mod hosts;
mod running;
mod told;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::container::Containers;
use crate::environment;
use crate::failure::Failure;
use crate::host::Host;
use crate::job::{Job, Program};
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::outcome::Stop;
use crate::pipe::Pipe;
use crate::process::{Launch, Ledger};
pub(crate) use ending::End;
use running::Running;

/// A job whose programs are to run.
pub(crate) struct Training<'a> {
    pub(crate) job: &'a Job,
    pub(crate) hosts: &'a [Host],
    /// Where each host finds its checkpoints.
    pub(crate) checkpoints: &'a [PathBuf],
    pub(crate) listener: Arc<dyn Listener>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) containers: Option<Containers>,
    /// When they are to be asked to end.
    pub(crate) deadline: Instant,
}

impl Training<'_> {
    /// Runs the programs, with the FIFOs of each host, until all have ended. Nothing of them is left then.
    pub(crate) async fn run(&self, pipes: Vec<Vec<Pipe>>, stop: &mut watch::Receiver<Stop>) -> End {
        let mut running = Running::new(self);
        let end = match running.start(pipes).await {
            Ok(()) => running.watch(stop).await,
            Err(failure) => End::Failed(failure),
        };
        running.clear().await;
        end
    }

    fn ledger(&self) -> Ledger {
        let Some(containers) = &self.containers else { return Ledger::new(None, Vec::new(), None) };
        let names = self.hosts.iter().map(|host| containers.name(host)).collect();
        Ledger::new(Some(&containers.engine), names, containers.network().map(str::to_owned))
    }

    /// Where host 1 listens for the others, if there are others here.
    fn collective(&self) -> Result<Option<String>, Failure> {
        if self.hosts.len() == 1 || self.containers.is_some() {
            return Ok(None);
        }
        // Free when it was asked for; nobody else is given it while the system has others.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address =
            address.map_err(|error| Failure::Internal(format!("there is no free port: {error}")))?;
        Ok(Some(address.to_string()))
    }

    fn launch(&self, host: &Host, collective: Option<&str>) -> Result<Launch, Failure> {
        let (program, arguments, folder) = match &self.job.program {
            Program::Builtin { clary_train, .. } => {
                (clary_train.clone(), vec!["train".to_owned()], host.base.clone())
            }
            Program::Process { command, folder, entrypoint, arguments } => {
                let mut line = if entrypoint.is_empty() { command } else { entrypoint }.clone();
                line.extend(crate::container::words(entrypoint, arguments));
                if line.is_empty() {
                    return Err(Failure::Client("expected a program, found none".to_owned()));
                }
                let program = PathBuf::from(line.remove(0));
                (program, line, folder.clone().unwrap_or_else(|| host.base.clone()))
            }
            Program::Container { .. } => {
                let containers = self.containers.as_ref().expect("a job of containers has them");
                return containers.launch(self.job, host, &self.checkpoints[host.number - 1]);
            }
        };
        let environment = environment::of_process(self.job, host, collective);
        Ok(Launch { program, arguments, environment, folder })
    }

    /// What is said of a program that cannot be started.
    fn cannot_start(&self, program: &Path, error: &std::io::Error) -> Failure {
        let text = format!("cannot run {}: {error}", program.display());
        match self.job.program {
            Program::Process { .. } => Failure::Client(text),
            _ => Failure::Internal(text),
        }
    }
}

/// What `work` gives, done where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::Internal(format!("a task of the server failed: {error}")))
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
