//! What is there before programs start: folders, configuration files, data, and checkpoints of an earlier run.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::channel::{Channel, InputMode, Source};
use crate::configuration;
use crate::container::is_below_base;
use crate::failure::Failure;
use crate::host::{CONTAINER_BASE, Host};
use crate::input::{Budget, Items, Object, download, items, order};
use crate::job::{HOSTS_MAX, Job, Program};
use crate::listener::Listener;
use crate::pipe::{Feed, Pipe};
use crate::stores::Stores;
use crate::training::{blocking, now_ms};

/// The variable of a job's environment by which FIFOs of lines get the line ends that objects lack.
const ENDS_LINES: &str = "CLARY_PIPE_LINE_ENDS";

/// Where checkpoints are.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointFolder {
    /// Here.
    pub(crate) path: PathBuf,
    /// As the program knows it.
    pub(crate) seen_as: String,
}

impl CheckpointFolder {
    /// Of a host of `job`.
    fn of(job: &Job, host: &Host) -> Result<Self, Failure> {
        let default = host.base.join("checkpoints");
        let wanted = job.checkpoints.as_ref().map(|checkpoints| checkpoints.local_path.as_str());
        let wanted = wanted.unwrap_or("/opt/ml/checkpoints");
        let is_container = matches!(job.program, Program::Container { .. });
        let path = match wanted.strip_prefix(CONTAINER_BASE).map(|rest| rest.trim_matches('/')) {
            Some(below) if is_below_base(wanted) && is_plain(below) => host.base.join(below),
            None if is_container && wanted.starts_with('/') => default,
            _ => {
                return Err(Failure::Client(format!(
                    "CheckpointConfig.LocalPath: expected a folder below {CONTAINER_BASE} that is not its input, found {wanted:?}"
                )));
            }
        };
        let seen_as = if is_container { wanted.to_owned() } else { path.display().to_string() };
        Ok(Self { path, seen_as })
    }
}

/// Whether a path leads down, and to none of our own folders.
fn is_plain(below: &str) -> bool {
    let leads_down = Path::new(below).components().all(|part| matches!(part, Component::Normal(_)));
    let first = below.split('/').next().unwrap_or_default();
    leads_down && !["", "input", "tmp"].contains(&first)
}

/// Makes folders and configuration files.
pub(crate) async fn folders(job: &Arc<Job>, hosts: &[Host]) -> Result<Vec<CheckpointFolder>, Failure> {
    check(job)?;
    let mut found = Vec::new();
    for host in hosts {
        let checkpoints = CheckpointFolder::of(job, host)?;
        found.push(checkpoints.clone());
        let (job, host) = (Arc::clone(job), host.clone());
        let folder = host.base.clone();
        let made = blocking(move || {
            host.prepare(&checkpoints.path)?;
            configuration::write(&job, &host, &checkpoints.seen_as)
        });
        made.await?.map_err(|error| Failure::Internal(format!("{}: {error}", folder.display())))?;
    }
    Ok(found)
}

/// What a request is held to where files are made of it.
fn check(job: &Job) -> Result<(), Failure> {
    if !(1..=HOSTS_MAX).contains(&job.hosts) {
        let found = job.hosts;
        return Err(Failure::Client(format!("InstanceCount: expected 1 to {HOSTS_MAX}, found {found}")));
    }
    for channel in &job.channels {
        let name = &channel.name;
        let is_name = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
                && !name.bytes().all(|byte| byte == b'.')
        };
        if !is_name(name) {
            return Err(Failure::Client(format!(
                "expected a ChannelName of letters, digits, . - _, found {name:?}"
            )));
        }
        if matches!(channel.source, Source::Augmented { .. }) && channel.mode != InputMode::Pipe {
            return Err(Failure::Client(format!(
                "channel {name}: expected Pipe mode for an AugmentedManifestFile, found {}",
                channel.mode.as_str()
            )));
        }
    }
    Ok(())
}

/// Fetches the channels of files, and makes the FIFOs of the others: those of each host.
pub(crate) async fn channels(
    job: &Job,
    hosts: &[Host],
    stores: &dyn Stores,
    listener: &Arc<dyn Listener>,
    budgets: &[Budget],
) -> Result<Vec<Vec<Pipe>>, Failure> {
    let mut pipes: Vec<Vec<Pipe>> = hosts.iter().map(|_| Vec::new()).collect();
    for channel in &job.channels {
        let items = Arc::new(items(stores, channel).await?);
        for (index, host) in hosts.iter().enumerate() {
            match (channel.mode, &*items) {
                (InputMode::File | InputMode::FastFile, Items::Objects(objects)) => {
                    files(channel, objects, (host, hosts.len()), &budgets[index]).await?;
                }
                _ => pipes[index].push(pipe(job, channel, &items, host, listener)?),
            }
        }
    }
    Ok(pipes)
}

/// The files of a channel on one host.
async fn files(
    channel: &Channel,
    objects: &[Object],
    (host, hosts): (&Host, usize),
    budget: &Budget,
) -> Result<(), Failure> {
    // In a folder there is no order to shuffle.
    let unshuffled = Channel { shuffle_seed: None, ..channel.clone() };
    let chosen = order(&unshuffled, objects.len(), host.number, hosts, 0);
    let chosen: Vec<Object> = chosen.into_iter().map(|index| objects[index].clone()).collect();
    let folder = host.data().join(&channel.name);
    let made = std::fs::create_dir_all(&folder);
    made.map_err(|error| Failure::Internal(format!("{}: {error}", folder.display())))?;
    download(&chosen, &folder, budget).await.map(drop)
}

fn pipe(
    job: &Job,
    channel: &Channel,
    items: &Arc<Items>,
    host: &Host,
    listener: &Arc<dyn Listener>,
) -> Result<Pipe, Failure> {
    let (number, name, listener) = (host.number, channel.name.clone(), Arc::clone(listener));
    let warn = Arc::new(move |text: &str| {
        let text = format!("warning: channel {name}: {text} ({ENDS_LINES}=1 ends such lines)");
        listener.line(number, now_ms(), &text);
    });
    let ends_lines =
        job.environment.get(ENDS_LINES).is_some_and(|value| ["1", "true"].contains(&value.as_str()));
    let feed = Feed::new(channel, Arc::clone(items), (number, job.hosts), ends_lines, warn);
    let folder = host.data();
    Pipe::new(&folder, feed).map_err(|error| Failure::Internal(format!("{}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_checkpoints_lead_down() {
        for below in ["checkpoints", "a/b", "model"] {
            assert!(is_plain(below), "{below}");
        }
        for below in ["", "..", "a/../..", "input/data", "tmp"] {
            assert!(!is_plain(below), "{below}");
        }
    }
}
