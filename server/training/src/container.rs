//! A host's program as a container of the machine's engine, by the command line that docker, podman and nerdctl share.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment;
use crate::failure::Failure;
use crate::host::{CONTAINER_BASE, Host};
use crate::job::{Job, Program};
use crate::process::{Launch, is_done};

/// The container's share of CPU beside others. Reason: half the usual, as programs without a container are put behind the server.
const CPU_SHARES: &str = "512";

/// Characters of a job's name in its containers' names. Reason: what follows keeps them apart.
const NAME_CHARACTERS_MAX: usize = 40;

/// The containers of a job.
#[derive(Debug, Clone)]
pub(crate) struct Containers {
    pub(crate) engine: PathBuf,
    /// What their names begin with, which no other job of this machine has.
    stem: String,
    hosts: usize,
    is_isolated: bool,
}

impl Containers {
    /// Those of `job`, if it has any.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        let Program::Container { engine, is_isolated, .. } = &job.program else { return None };
        let name: String = job.name.chars().take(NAME_CHARACTERS_MAX).collect();
        // Servers beside each other may have jobs of one name, never in one folder.
        let stem = format!("clary-{name}-{:016x}", digest(&job.folder.to_string_lossy()));
        Some(Self { engine: engine.clone(), stem, hosts: job.hosts, is_isolated: *is_isolated })
    }

    /// The container of a host.
    pub(crate) fn name(&self, host: &Host) -> String {
        format!("{}-{}", self.stem, host.name)
    }

    /// The network of several hosts.
    pub(crate) fn network(&self) -> Option<&str> {
        (self.hosts > 1).then_some(self.stem.as_str())
    }

    /// Makes the network. Blocks.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        let Some(network) = self.network() else { return Ok(()) };
        let mut arguments = vec!["network", "create"];
        arguments.extend(self.is_isolated.then_some("--internal"));
        arguments.push(network);
        if is_done(&self.engine, &arguments) {
            return Ok(());
        }
        let engine = self.engine.display();
        Err(Failure::Internal(format!("{engine} cannot make a network for {} hosts", self.hosts)))
    }

    /// Asks a host's container to end. Blocks.
    pub(crate) fn terminate(&self, host: &Host) {
        is_done(&self.engine, &["kill", "--signal", "TERM", &self.name(host)]);
    }

    /// Ends a host's container. Blocks.
    pub(crate) fn end(&self, host: &Host) {
        is_done(&self.engine, &["rm", "--force", &self.name(host)]);
    }

    /// What a host's container uses, in percent of one core and of its memory, as the engine says. Blocks for seconds.
    pub(crate) fn usage(&self, host: &Host) -> Option<(f64, f64)> {
        let mut command = Command::new(&self.engine);
        command.args(["stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemPerc}}", &self.name(host)]);
        let output = command.stdin(Stdio::null()).output().ok()?;
        parse_usage(&String::from_utf8_lossy(&output.stdout))
    }

    /// How a host's container is started. Blocks: its variables are written to a file, since command lines are everyone's to
    /// read.
    pub(crate) fn launch(&self, job: &Job, host: &Host, checkpoints: &Path) -> Result<Launch, Failure> {
        let Program::Container { image, entrypoint, arguments, .. } = &job.program else {
            return Err(Failure::Internal("expected a container".to_owned()));
        };
        let variables = job.folder.join(format!("{}.environment", host.name));
        write_variables(&variables, &environment::of_container(job, host))?;
        let mut line = self.options(job, host);
        line.extend(["--env-file".to_owned(), variables.display().to_string()]);
        line.extend(["--volume".to_owned(), format!("{}:{CONTAINER_BASE}", host.base.display())]);
        if let Some(wanted) = &job.checkpoints
            && !is_below_base(&wanted.local_path)
        {
            line.extend(["--volume".to_owned(), format!("{}:{}", checkpoints.display(), wanted.local_path)]);
        }
        if let Some(program) = entrypoint.first() {
            line.extend(["--entrypoint".to_owned(), program.clone()]);
        }
        line.push(image.clone());
        line.extend(entrypoint.iter().skip(1).cloned());
        line.extend(words(entrypoint, arguments));
        let mut environment = job.inherited.clone();
        // The mark by which the command is found if we are killed.
        environment.insert("SAGEMAKER_BASE_DIR".to_owned(), host.base.display().to_string());
        Ok(Launch { program: self.engine.clone(), arguments: line, environment, folder: job.folder.clone() })
    }

    fn options(&self, job: &Job, host: &Host) -> Vec<String> {
        let memory = job.limits.memory_bytes.to_string();
        let shared_memory = (job.limits.memory_bytes / 2).to_string();
        let (name, cpus) = (self.name(host), job.limits.cpus.to_string());
        let mut line: Vec<String> = ["run", "--rm", "--name", &name, "--hostname", &host.name]
            .into_iter()
            .chain(["--memory", &memory, "--memory-swap", &memory, "--shm-size", &shared_memory])
            .chain(["--cpus", &cpus, "--cpu-shares", CPU_SHARES])
            .map(str::to_owned)
            .collect();
        if let Some(network) = self.network() {
            line.extend(["--network", network, "--network-alias", &host.name].map(str::to_owned));
        } else if self.is_isolated {
            line.extend(["--network", "none"].map(str::to_owned));
        }
        line
    }
}

/// `1.5% 20%`.
fn parse_usage(text: &str) -> Option<(f64, f64)> {
    let (cpu, memory) = text.trim().split_once(char::is_whitespace)?;
    let percent = |text: &str| text.trim().strip_suffix('%')?.parse::<f64>().ok();
    Some((percent(cpu)?, percent(memory)?))
}

/// What follows the entry point: `ContainerArguments`, else the word `train` where the entry point is the image's own.
pub(crate) fn words(entrypoint: &[String], arguments: &[String]) -> Vec<String> {
    match (entrypoint, arguments) {
        ([], []) => vec!["train".to_owned()],
        (_, arguments) => arguments.to_vec(),
    }
}

/// Whether a path in a container is in the folder that it has from us anyway.
pub(crate) fn is_below_base(path: &str) -> bool {
    path.strip_prefix(CONTAINER_BASE).is_some_and(|rest| rest.starts_with('/'))
}

fn write_variables(path: &Path, variables: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut text = String::new();
    for (name, value) in variables {
        if name.contains(['\n', '=']) || value.contains(['\n', '\r']) {
            return Err(Failure::Client(format!(
                "Environment {name:?}: expected a value of one line, since a container engine takes no other"
            )));
        }
        let _ = writeln!(text, "{name}={value}");
    }
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    write().map_err(|error| Failure::Internal(format!("{}: {error}", path.display())))
}

/// FNV-1a: the same in every run of the program.
fn digest(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_an_entry_point() {
        let check = |entrypoint: &[&str], arguments: &[&str], expected: &[&str]| {
            let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
            assert_eq!(words(&own(entrypoint), &own(arguments)), own(expected));
        };
        check(&[], &[], &["train"]);
        check(&[], &["fit", "-v"], &["fit", "-v"]);
        check(&["python", "x.py"], &[], &[]);
        check(&["python"], &["x.py"], &["x.py"]);
    }

    #[test]
    fn what_engines_say_of_usage() {
        assert_eq!(parse_usage("1.50% 20.25%\n"), Some((1.5, 20.25)));
        assert_eq!(parse_usage("150%   0.1%"), Some((150.0, 0.1)));
        for text in ["", "1.5%", "-- --", "no such container"] {
            assert_eq!(parse_usage(text), None, "{text}");
        }
    }

    #[test]
    fn variables_are_one_a_line_and_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("e");
        let of = |value: &str| BTreeMap::from([("A".to_owned(), value.to_owned())]);
        write_variables(&path, &of("b c=d")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=b c=d\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = write_variables(&path, &of("b\nSECRET=1")).unwrap_err();
        assert!(refused.reason().contains("one line"), "{}", refused.reason());
    }
}
