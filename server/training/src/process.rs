//! A host's program as a process: started behind the server in priority and in a group of its own, so that all that it starts is
//! asked to end, and ended, together.

mod ledger;
mod table;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use ledger::end_group;
pub use ledger::sweep;
pub(crate) use ledger::{Leader, Ledger, is_done};
pub(crate) use table::{Stat, all, members, ticks_per_second};

/// What is added to the nice value of programs. Reason: beside a busy data plane, a third of its share, and all of a core that
/// nobody else wants.
const NICENESS: i32 = 5;

/// How willingly the system ends a program when memory runs out, from -1000 to 1000. Reason: before the server, whatever their
/// sizes.
const OOM_SCORE: &str = "800";

/// How often a group without a leader is looked at.
const LINGER_PAUSE: Duration = Duration::from_millis(20);

/// What is to be started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// All of its environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it is run.
    pub(crate) folder: PathBuf,
}

/// A program that runs. Dropped, it and its group are ended.
#[derive(Debug)]
pub(crate) struct Process {
    /// The process, whose pipes are the caller's to take.
    pub(crate) child: Child,
    /// Its identity.
    pub(crate) leader: Leader,
    has_ended: bool,
}

impl Process {
    /// Its exit code. What it leaves of its group is ended; while `may_linger`, it is waited for instead: a shell that was asked
    /// to end may be gone before the program that it runs has saved its model.
    pub(crate) async fn wait(mut self, may_linger: &AtomicBool) -> io::Result<i32> {
        let status = self.child.wait().await?;
        self.has_ended = true;
        let leader = self.leader;
        while may_linger.load(Ordering::Relaxed) {
            let left = move || members(&all(), leader.pid, leader.started).len();
            if tokio::task::spawn_blocking(left).await? == 0 {
                break;
            }
            tokio::time::sleep(LINGER_PAUSE).await;
        }
        leader.end().await;
        Ok(code_of(status))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended {
            self.leader.signal(Signal::KILL);
        }
    }
}

impl Launch {
    /// Starts it. The calling thread waits for it for the moment that a start takes.
    pub(crate) async fn start(self) -> io::Result<Process> {
        let runtime = Handle::current();
        let (told, hears) = tokio::sync::oneshot::channel();
        // A nice value is a thread's, and is inherited: the thread that starts the program takes it, and ends.
        std::thread::Builder::new().name("clary-start".to_owned()).spawn(move || {
            let _ = rustix::process::nice(NICENESS);
            let _guard = runtime.enter();
            let _ = told.send(self.spawn());
        })?;
        hears.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts programs failed")))
    }

    fn spawn(self) -> io::Result<Process> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE);
        // It is there as long as nobody has waited for it.
        let started = Stat::of(pid).map_or(0, |stat| stat.started);
        Ok(Process { child, leader: Leader { pid, started }, has_ended: false })
    }
}

impl Leader {
    /// Ends the group and what descends from it.
    pub(crate) async fn end(self) {
        let _ = tokio::task::spawn_blocking(move || end_group(self)).await;
    }

    /// Tells the group of an unwaited leader to end.
    pub(crate) fn signal(self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(group, signal);
        }
    }
}

/// A program's exit code; of one that a signal ended, 128 and the signal's number, as shells and container engines say.
fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Bytes that the files below `folder` take on the disk. Blocks.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;

    /// What a block is, wherever blocks of files are counted.
    const BLOCK_BYTES: u64 = 512;
    let mut bytes = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Of the entry itself: links lead nowhere.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += metadata.blocks() * BLOCK_BYTES;
            }
        }
    }
    bytes
}
