//! Programs that run: what happens to them, in one loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::ending::{End, Ending};
use super::hosts::Live;
use super::told::Told;
use super::{Training, blocking, now_ms};
use crate::failure::{Failure, of_exit};
use crate::host::Host;
use crate::job::Program;
use crate::outcome::Stop;
use crate::pipe::Pipe;
use crate::process::{Ledger, Process};
use crate::watch::{LOOK_PAUSE, Usage};

/// How long the other hosts have once one has failed, if the job's own grace is not shorter. Reason: they have nothing to save, and
/// a job fails within five seconds.
const FAILURE_GRACE: Duration = Duration::from_secs(4);

/// How long programs have once the server ends. Reason: whoever ends it gives it some thirty seconds in all; what is not saved by
/// then is trained again from the last checkpoint.
const SUSPEND_GRACE: Duration = Duration::from_secs(20);

/// How long the pipes of a program that has ended are read. Reason: what it wrote is there; a pipe that stays open is held by a
/// process that left the job.
const DRAIN: Duration = Duration::from_secs(2);

/// Programs that run.
pub(super) struct Running<'a> {
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

impl<'a> Running<'a> {
    /// None yet.
    pub(super) fn new(training: &'a Training<'a>) -> Self {
        Self {
            training,
            live: Vec::new(),
            waits: JoinSet::new(),
            pipes: JoinSet::new(),
            lines: JoinSet::new(),
            ledger: training.ledger(),
            ending: Ending::default(),
            may_linger: Arc::default(),
        }
    }

    /// Starts the programs, with the FIFOs of each host.
    pub(super) async fn start(&mut self, pipes: Vec<Vec<Pipe>>) -> Result<(), Failure> {
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
        let told = Told::new(training, host, Arc::clone(&live.last_line));
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
        self.ask_engine(index);
    }

    /// Until all programs have ended.
    pub(super) async fn watch(&mut self, stop: &mut watch::Receiver<Stop>) -> End {
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
        let grace = self.training.job.limits.grace.min(FAILURE_GRACE);
        if self.ending.ask(End::Failed(failure), Instant::now() + grace) {
            self.terminate();
        }
    }

    fn terminate(&mut self) {
        for live in self.live.iter().filter(|live| !live.has_ended) {
            let Some(containers) = self.training.containers.clone() else {
                live.leader.signal(Signal::TERM);
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
        let failure = of_exit(code, text.as_deref());
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
                self.ask_engine(index);
            }
            if let Some(failure) = over {
                // At once: what is over a limit is not asked.
                self.ending.ask(End::Failed(failure), Instant::now());
                self.kill().await;
                return;
            }
        }
    }

    /// Asks the engine what a host's container uses, for the next time that it is told.
    fn ask_engine(&mut self, index: usize) {
        if let Some(containers) = self.training.containers.clone() {
            let host = self.training.hosts[index].clone();
            self.live[index].watch.engine =
                Some(tokio::task::spawn_blocking(move || containers.usage(&host)));
        }
    }

    fn tell(&self, index: usize, usage: Usage) {
        let listener = &self.training.listener;
        let (cpu, memory, disk) = (usage.cpu_percent, usage.memory_percent, usage.disk_percent);
        listener.usage(index + 1, cpu, memory, disk, now_ms());
    }

    /// Leaves nothing behind.
    pub(super) async fn clear(mut self) {
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
