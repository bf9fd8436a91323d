//! What a host uses, held to its limits. Control groups would hold it to them at once, and need rights that a server seldom has:
//! here its processes are looked at a few times a second.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::host::Host;
use crate::job::Limits;
use crate::process::{Leader, Stat, folder_bytes, members, ticks_per_second};

/// How often processes are looked at. Reason: memory is filled with some gigabytes a second at most, so that a host is stopped
/// within about one of its limit.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// How often usage is told of.
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// How often files are counted at most. Reason: it takes a while where there are many; see [`MEASURE_SHARE`].
const MEASURE_PAUSE: Duration = Duration::from_secs(1);

/// How much longer than a count the pause behind it is.
const MEASURE_SHARE: u32 = 20;

/// What a host used since the last report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_percent: f64,
    pub(crate) memory_percent: f64,
    pub(crate) disk_percent: f64,
}

/// A host that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    name: String,
    folder: PathBuf,
    leader: Leader,
    limits: Limits,
    /// Whether its processes are here to be seen: a container's are the engine's.
    sees_processes: bool,
    reported_at: Instant,
    ticks_reported: u64,
    ticks: u64,
    resident_bytes: u64,
    disk_bytes: u64,
    measures_at: Instant,
    measuring: Option<JoinHandle<(u64, Duration)>>,
    /// What the engine says of a container, CPU and memory in percent, once it does.
    pub(crate) engine: Option<JoinHandle<Option<(f64, f64)>>>,
    said: (f64, f64),
}

impl Watch {
    /// Of a host whose program was started now.
    pub(crate) fn new(host: &Host, leader: Leader, limits: Limits, sees_processes: bool) -> Self {
        let now = Instant::now();
        Self {
            name: host.name.clone(),
            folder: host.base.clone(),
            leader,
            limits,
            sees_processes,
            reported_at: now,
            ticks_reported: 0,
            ticks: 0,
            resident_bytes: 0,
            disk_bytes: 0,
            measures_at: now,
            measuring: None,
            engine: None,
            said: (0.0, 0.0),
        }
    }

    /// Looks at the host, whose processes are among `all`; gives the limit that it is over.
    pub(crate) async fn look(&mut self, all: &[Stat]) -> Option<Failure> {
        if self.sees_processes {
            let members = members(all, self.leader.pid, self.leader.started);
            self.ticks = self.ticks.max(members.iter().map(|stat| stat.cpu_ticks).sum());
            self.resident_bytes = members.iter().map(|stat| stat.resident_bytes).sum();
            if self.resident_bytes > self.limits.memory_bytes {
                self.resident_bytes = shared_once(members).await;
            }
        }
        if let Some(said) = self.engine.take_if(|said| said.is_finished()) {
            self.said = said.await.ok().flatten().unwrap_or(self.said);
        }
        self.measure().await;
        let (name, limits) = (&self.name, &self.limits);
        if self.resident_bytes > limits.memory_bytes {
            return Some(Failure::Algorithm(format!(
                "{name} was ended for its memory: expected at most {} bytes, found {}",
                limits.memory_bytes, self.resident_bytes
            )));
        }
        (self.disk_bytes > limits.volume_bytes).then(|| {
            Failure::Algorithm(format!(
                "{name} was ended for its files: expected at most {} bytes (VolumeSizeInGB), found {}",
                limits.volume_bytes, self.disk_bytes
            ))
        })
    }

    /// Takes the number of bytes of the host's files, if they are counted, and has them counted again.
    async fn measure(&mut self) {
        if let Some(counted) = self.measuring.take_if(|counted| counted.is_finished())
            && let Ok((bytes, took)) = counted.await
        {
            self.disk_bytes = bytes;
            self.measures_at = Instant::now() + MEASURE_PAUSE.max(took * MEASURE_SHARE);
        }
        if self.measuring.is_none() && Instant::now() >= self.measures_at {
            let folder = self.folder.clone();
            self.measuring = Some(tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                (folder_bytes(&folder), began.elapsed())
            }));
        }
    }

    /// What to tell, when it is time.
    pub(crate) fn due(&mut self) -> Option<Usage> {
        (self.reported_at.elapsed() >= REPORT_PAUSE).then(|| self.report())
    }

    /// What it used since the last report.
    pub(crate) fn report(&mut self) -> Usage {
        let seconds = self.reported_at.elapsed().as_secs_f64().max(1e-3);
        let ticks = self.ticks - self.ticks_reported;
        (self.reported_at, self.ticks_reported) = (Instant::now(), self.ticks);
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let own = (
            100.0 * ticks as f64 / ticks_per_second() / seconds,
            percent(self.resident_bytes, self.limits.memory_bytes),
        );
        let (cpu_percent, memory_percent) = if self.sees_processes { own } else { self.said };
        let disk_percent = percent(self.disk_bytes, self.limits.volume_bytes);
        Usage { cpu_percent, memory_percent, disk_percent }
    }
}

/// The memory of processes, where what they have in common counts once. It takes a while, and is only asked for when the simple
/// sum is over a limit.
async fn shared_once(members: Vec<Stat>) -> u64 {
    let sum = move || {
        let bytes = |stat: &Stat| stat.proportional_bytes().unwrap_or(stat.resident_bytes);
        members.iter().map(bytes).sum()
    };
    tokio::task::spawn_blocking(sum).await.unwrap_or_default()
}
