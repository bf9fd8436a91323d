//! The phase in which programs run: started, watched, asked to end, and ended.

mod ending;
mod hosts;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::container::Containers;
use crate::environment;
use crate::failure::Failure;
use crate::host::Host;
use crate::job::{Job, Program};
use crate::lines;
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::outcome::Stop;
use crate::pipe::Pipe;
use crate::process::{Launch, Ledger, Process};
use crate::watch::LOOK_PAUSE;
pub(crate) use ending::End;
use ending::Ending;
use hosts::Live;

/// How long the other hosts have once one has failed. Reason: they have nothing to save, and a job fails within five seconds.
const FAILURE_GRACE: Duration = Duration::from_secs(4);

/// How long programs have once the server ends. Reason: whoever ends it gives it some thirty seconds in all; what is not saved by
/// then is trained again from the last checkpoint.
const SUSPEND_GRACE: Duration = Duration::from_secs(20);

/// How long the pipes of a program that has ended are read. Reason: what it wrote is there; a pipe that stays open is held by a
/// process that left the job.
const DRAIN: Duration = Duration::from_secs(2);

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
        let mut running = Running {
            training: self,
            live: Vec::new(),
            waits: JoinSet::new(),
            pipes: JoinSet::new(),
            lines: JoinSet::new(),
            ledger: self.ledger(),
            ending: Ending::default(),
            may_linger: Arc::default(),
        };
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
    fn cannot_start(&self, program: &std::path::Path, error: &std::io::Error) -> Failure {
        let text = format!("cannot run {}: {error}", program.display());
        match self.job.program {
            Program::Process { .. } => Failure::Client(text),
            _ => Failure::Internal(text),
        }
    }
}

/// Programs that run.
struct Running<'a> {
    training: &'a Training<'a>,
    /// Hosts by number, less one.
    live: Vec<Live>,
    waits: JoinSet<(usize, std::io::Result<i32>)>,
    pipes: JoinSet<Failure>,
    lines: JoinSet<()>,
    ledger: Ledger,
    ending: Ending,
    /// Whether what a program's first process leaves behind is waited for.
    may_linger: Arc<AtomicBool>,
}

impl Running<'_> {
    async fn start(&mut self, pipes: Vec<Vec<Pipe>>) -> Result<(), Failure> {
        self.note().await?;
        if let Some(containers) = self.training.containers.clone() {
            blocking(move || containers.prepare()).await??;
        }
        let collective = self.training.collective()?;
        for (host, pipes) in self.training.hosts.iter().zip(pipes) {
            let launch = self.training.launch(host, collective.as_deref())?;
            let program = launch.program.clone();
            let started = launch.start().await;
            let process = started.map_err(|error| self.training.cannot_start(&program, &error))?;
            self.ledger.add(process.leader);
            self.take(host, process, pipes);
            self.note().await?;
        }
        Ok(())
    }

    /// Writes down what there is to end if we are killed.
    async fn note(&self) -> Result<(), Failure> {
        let (ledger, folder) = (self.ledger.clone(), self.training.job.folder.clone());
        let written = blocking(move || ledger.write(&folder)).await?;
        written.map_err(|error| Failure::Internal(format!("processes.json: {error}")))
    }

    /// Sees to a program that was started: its pipes, its FIFOs and its end.
    fn take(&mut self, host: &Host, mut process: Process, pipes: Vec<Pipe>) {
        let training = self.training;
        let mut live = Live::new(host, process.leader, training.job.limits, training.containers.is_none());
        let (stdout, stderr) = (process.child.stdout.take(), process.child.stderr.take());
        let told = Told {
            number: host.number,
            name: host.name.clone(),
            listener: Arc::clone(&training.listener),
            metrics: Arc::clone(&training.metrics),
            last: Arc::clone(&live.last_line),
        };
        if let Some(stdout) = stdout {
            self.lines.spawn(told.clone().read(stdout));
        }
        if let Some(stderr) = stderr {
            self.lines.spawn(told.read(stderr));
        }
        for pipe in pipes {
            let served = async move {
                let Err(failure) = pipe.serve().await;
                failure
            };
            live.pipes.push(self.pipes.spawn(served));
        }
        let (index, may_linger) = (host.number - 1, Arc::clone(&self.may_linger));
        self.waits.spawn(async move { (index, process.wait(&may_linger).await) });
        self.live.push(live);
    }

    /// Until all programs have ended.
    async fn watch(&mut self, stop: &mut watch::Receiver<Stop>) -> End {
        let mut looks_at = Instant::now() + LOOK_PAUSE;
        self.heed(*stop.borrow_and_update());
        loop {
            tokio::select! {
                biased;
                ended = self.waits.join_next() => match ended {
                    Some(Ok((index, code))) => self.ended(index, code).await,
                    Some(Err(error)) => self.fail(Failure::Internal(format!("a program was lost: {error}"))),
                    None => return self.ending.end(),
                },
                Ok(()) = stop.changed() => {
                    let asked = *stop.borrow_and_update();
                    self.heed(asked);
                }
                Some(Ok(failure)) = self.pipes.join_next() => self.fail(failure),
                () = sleep_until(self.ending.next(self.training.deadline)) => self.on_time().await,
                () = sleep_until(looks_at) => {
                    self.look().await;
                    looks_at = Instant::now() + LOOK_PAUSE;
                }
            }
        }
    }

    /// Does what is asked for.
    fn heed(&mut self, asked: Stop) {
        let grace = self.training.job.limits.grace;
        match asked {
            Stop::Run => {}
            Stop::Stop => self.ask(End::Stopped, grace),
            Stop::Suspend => self.ask(End::Suspended, grace.min(SUSPEND_GRACE)),
        }
    }

    /// The time that programs were given is over: for their work, or for their end.
    async fn on_time(&mut self) {
        if self.ending.is_asked() {
            return self.kill().await;
        }
        self.ask(End::MaxRuntime, self.training.job.limits.grace);
    }

    /// Asks all programs to end, and to save what they have.
    fn ask(&mut self, end: End, grace: Duration) {
        if !self.ending.ask(end, Instant::now() + grace) {
            return;
        }
        self.may_linger.store(true, Ordering::Relaxed);
        self.terminate();
    }

    /// Asks all programs to end, as there is nothing to save.
    fn fail(&mut self, failure: Failure) {
        if self.ending.ask(End::Failed(failure), Instant::now() + FAILURE_GRACE) {
            self.terminate();
        }
    }

    fn terminate(&mut self) {
        for live in self.live.iter().filter(|live| !live.has_ended) {
            let Some(containers) = self.training.containers.clone() else {
                live.leader.signal(rustix::process::Signal::TERM);
                continue;
            };
            let host = self.training.hosts[live.index].clone();
            tokio::task::spawn_blocking(move || containers.terminate(&host));
        }
    }

    /// Ends all programs.
    async fn kill(&mut self) {
        self.ending.killed();
        self.may_linger.store(false, Ordering::Relaxed);
        for live in self.live.iter().filter(|live| !live.has_ended) {
            if let Some(containers) = self.training.containers.clone() {
                let host = self.training.hosts[live.index].clone();
                let _ = blocking(move || containers.end(&host)).await;
            }
            live.leader.end().await;
        }
    }

    /// A program has ended.
    async fn ended(&mut self, index: usize, code: std::io::Result<i32>) {
        let live = &mut self.live[index];
        live.pipes.drain(..).for_each(|pipe| pipe.abort());
        let usage = live.watch.report();
        self.tell(index, usage);
        self.live[index].has_ended = true;
        match code {
            Ok(0) => {}
            Ok(code) => {
                let failure = self.reason(index, code).await;
                self.fail(failure);
            }
            Err(error) => self.fail(Failure::Internal(format!("a program's end was not seen: {error}"))),
        }
    }

    /// Why a program that ended with `code` failed.
    async fn reason(&self, index: usize, code: i32) -> Failure {
        let host = self.training.hosts[index].clone();
        let text = blocking(move || host.failure_text()).await.ok().flatten();
        if let (Program::Container { image, engine, .. }, 125, None) =
            (&self.training.job.program, code, &text)
        {
            let (engine, said) = (engine.display(), self.live[index].last_line());
            return Failure::Client(format!("{engine} cannot run the image {image}: {said}"));
        }
        let failure = crate::failure::of_exit(code, text.as_deref());
        match failure {
            Failure::Algorithm(reason) if self.live.len() > 1 && text.is_none() => {
                Failure::Algorithm(format!("{reason} (host algo-{})", index + 1))
            }
            failure => failure,
        }
    }

    /// Looks at what programs use.
    async fn look(&mut self) {
        let Ok(all) = blocking(crate::process::all).await else { return };
        for index in 0..self.live.len() {
            let live = &mut self.live[index];
            if live.has_ended {
                continue;
            }
            let over = live.watch.look(&all).await;
            if let Some(usage) = live.watch.due() {
                self.tell(index, usage);
            }
            if let Some(failure) = over {
                // At once: what is over a limit is not asked.
                self.ending.ask(End::Failed(failure), Instant::now());
                self.kill().await;
                return;
            }
        }
    }

    fn tell(&self, index: usize, usage: crate::watch::Usage) {
        let listener = &self.training.listener;
        let (cpu, memory, disk) = (usage.cpu_percent, usage.memory_percent, usage.disk_percent);
        listener.usage(index + 1, cpu, memory, disk, now_ms());
    }

    /// Leaves nothing behind.
    async fn clear(mut self) {
        if !self.waits.is_empty() {
            self.kill().await;
        }
        self.waits.shutdown().await;
        self.pipes.shutdown().await;
        let (ledger, folder) = (self.ledger.clone(), self.training.job.folder.clone());
        match blocking(move || ledger.end(&folder)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what a job left cannot be ended"),
            Err(failure) => tracing::warn!(%failure, "what a job left cannot be ended"),
        }
        let drained = async { while self.lines.join_next().await.is_some() {} };
        if timeout(DRAIN, drained).await.is_err() {
            self.lines.shutdown().await;
        }
    }
}

/// Who is told of a program's lines.
#[derive(Clone)]
struct Told {
    number: usize,
    name: String,
    listener: Arc<dyn Listener>,
    metrics: Arc<Metrics>,
    last: Arc<std::sync::Mutex<String>>,
}

impl Told {
    async fn read(self, source: impl tokio::io::AsyncRead + Unpin) {
        let read = lines::read(source, |line| {
            let at_ms = now_ms();
            self.listener.line(self.number, at_ms, line);
            for (name, value) in self.metrics.read(&self.name, at_ms, line) {
                self.listener.metric(name, value, at_ms);
            }
            if !line.trim().is_empty() {
                line.clone_into(&mut self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
            }
        });
        if let Err(error) = read.await {
            tracing::warn!(host = self.name, %error, "a program's lines cannot be read");
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
