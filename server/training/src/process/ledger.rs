//! `processes.json`: which processes and containers a job has, so that a server that is started after one was killed can end
//! what it left, and only that.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::table::{self, Stat};

/// The file's name, in the job's folder.
const FILE_NAME: &str = "processes.json";

/// What a job started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// The start of the system in which that was.
    boot: String,
    /// Leaders of groups.
    processes: Vec<Leader>,
    /// The container engine, if there are containers.
    engine: Option<PathBuf>,
    /// The containers' names.
    containers: Vec<String>,
    /// Their network.
    network: Option<String>,
}

/// The first process of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leader {
    /// Its id, which is its group's.
    pub(crate) pid: i32,
    /// When it was started.
    pub(crate) started: u64,
}

impl Ledger {
    /// Nothing yet; of containers, what they will be, since one that is being started must be found too.
    pub(crate) fn new(engine: Option<&Path>, containers: Vec<String>, network: Option<String>) -> Self {
        let engine = engine.map(Path::to_path_buf);
        Self { boot: table::boot(), processes: Vec::new(), engine, containers, network }
    }

    /// Adds a process.
    pub(crate) fn add(&mut self, leader: Leader) {
        self.processes.push(leader);
    }

    /// Writes it, whole or not at all. Blocks.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let partial = folder.join(format!("{FILE_NAME}.partial"));
        fs::write(&partial, serde_json::to_vec(self)?)?;
        fs::rename(partial, folder.join(FILE_NAME))
    }

    /// Ends all that is in it and whatever is marked as the job's, and forgets it. Blocks; gives how many there were.
    pub(crate) fn end(&self, folder: &Path) -> io::Result<usize> {
        let mut ended = 0;
        if self.boot == table::boot() {
            ended += self
                .processes
                .iter()
                .filter(|leader| is_there(leader))
                .map(|leader| end_group(*leader))
                .sum::<usize>();
        }
        ended += end_marked(folder);
        if let Some(engine) = &self.engine {
            ended += self.containers.iter().filter(|name| is_done(engine, &["rm", "--force", name])).count();
            if let Some(network) = &self.network {
                is_done(engine, &["network", "rm", network]);
            }
        }
        match fs::remove_file(folder.join(FILE_NAME)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(ended),
        }
    }
}

/// Ends the processes and containers that a run of the job in `folder` left behind when its server was killed, and no others.
/// Gives how many there were. Blocks.
///
/// # Errors
/// When what it left cannot be read.
pub fn sweep(folder: &Path) -> io::Result<usize> {
    let folder = &std::path::absolute(folder)?;
    let ledger = match fs::read_to_string(folder.join(FILE_NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ledger::default(),
        text => serde_json::from_str(&text?)?,
    };
    ledger.end(folder)
}

/// Ends a group and what descends from it, of which the leader runs or has ended just now.
pub(crate) fn end_group(leader: Leader) -> usize {
    let found = Stat::of(leader.pid);
    let (Some(group), false) =
        (Pid::from_raw(leader.pid), found.is_some_and(|stat| stat.started != leader.started))
    else {
        return 0;
    };
    let members = table::members(&table::all(), leader.pid, leader.started);
    if !members.is_empty() {
        // At once, so that none of them makes another meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    }
    members.iter().filter(|stat| kill(stat)).count()
}

/// Whether the leader is still the process that was started. If it is not, its number may be another's: what is left of its
/// group is known by its mark alone.
fn is_there(leader: &Leader) -> bool {
    Stat::of(leader.pid).is_some_and(|stat| stat.started == leader.started)
}

/// Ends what says of itself that it is of the job in `folder`, until nothing does.
pub(crate) fn end_marked(folder: &Path) -> usize {
    /// How often they are looked for. Reason: each time, those that were made meanwhile are found; what still makes new ones
    /// then does it faster than it can be ended.
    const ROUNDS_MAX: usize = 10;
    let mut ended = 0;
    for _ in 0..ROUNDS_MAX {
        let marked = table::marked(folder);
        if marked.is_empty() {
            break;
        }
        ended += marked.iter().filter(|stat| kill(stat)).count();
    }
    ended
}

/// Ends one process, if it is still the one that was seen.
fn kill(stat: &Stat) -> bool {
    let is_same = Stat::of(stat.pid).is_some_and(|found| found.started == stat.started);
    let pid = Pid::from_raw(stat.pid).filter(|_| is_same);
    pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

/// Runs a command of the engine and says whether it went well.
pub(crate) fn is_done(engine: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(engine);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
