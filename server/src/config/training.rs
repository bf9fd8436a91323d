//! The flags of training jobs, beside those of `clary up`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::environment::Environment;
use super::values::boolean;

/// The trainer of built-in algorithms.
const TRAINER: &str = "clary-train";

/// Container engines that are looked for, in this order: all take docker's command line.
const ENGINES: [&str; 3] = ["docker", "podman", "nerdctl"];

/// What names no container engine.
const NO_ENGINE: &str = "none";

/// The flags, as given; [`TrainingConfig`] is what they mean.
#[derive(Debug, Args)]
pub struct TrainingArgs {
    /// Training jobs that run at once; more wait for their turn.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64), default_value = "2")]
    training_jobs: u16,
    /// The most memory of each instance of a training job, in MiB; by default four fifths of the machine's, shared by all that
    /// may run at once.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(64..=(1 << 24)))]
    training_memory_mb: Option<u64>,
    /// The program that trains built-in algorithms; by default the clary-train beside this program, else on the PATH.
    #[arg(long, value_name = "PATH")]
    clary_train: Option<PathBuf>,
    /// The container engine that runs other images, or none; by default the first of docker, podman and nerdctl on the PATH.
    #[arg(long, value_name = "PATH|none")]
    container_engine: Option<PathBuf>,
    /// Let training jobs name a program of this machine as their image (process:/path/to/program): then whoever may create jobs
    /// runs programs as this server's user.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    allow_process_images: bool,
}

/// What the flags mean on this machine.
#[derive(Debug, Clone, Default)]
pub struct TrainingConfig {
    /// Training jobs that run at once.
    pub jobs_at_once: usize,
    /// The most memory of each host.
    pub host_memory_bytes: Option<u64>,
    /// `clary-train`, when it was found.
    pub clary_train: Option<PathBuf>,
    /// A container engine, when one was found.
    pub container_engine: Option<PathBuf>,
    /// Whether programs of this machine may be images.
    pub allows_process_images: bool,
    /// What of the environment programs get.
    pub inherited: BTreeMap<String, String>,
}

impl TrainingArgs {
    /// What the flags mean; `own` is the path of this program, and `exists` answers whether a file is there.
    pub(super) fn resolve(
        self,
        environment: &Environment,
        own: Option<&Path>,
        exists: impl Fn(&Path) -> bool,
    ) -> TrainingConfig {
        let folders: Vec<_> =
            environment.get("PATH").unwrap_or_default().split(':').map(PathBuf::from).collect();
        let on_path = |name: &str| {
            let candidates =
                folders.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
            candidates.into_iter().find(|path| exists(path))
        };
        let beside =
            own.and_then(Path::parent).map(|folder| folder.join(TRAINER)).filter(|path| exists(path));
        let container_engine = match self.container_engine {
            Some(name) if name == Path::new(NO_ENGINE) => None,
            // A name alone is one on the PATH.
            Some(name) if name.components().count() == 1 => name.to_str().and_then(&on_path).or(Some(name)),
            Some(path) => Some(path),
            None => ENGINES.into_iter().find_map(&on_path),
        };
        let inherited = training::INHERITED.iter().copied();
        TrainingConfig {
            jobs_at_once: self.training_jobs.into(),
            host_memory_bytes: self.training_memory_mb.map(|count| count << 20),
            clary_train: self.clary_train.or(beside).or_else(|| on_path(TRAINER)),
            container_engine,
            allows_process_images: self.allow_process_images,
            inherited: inherited
                .filter_map(|name| Some((name.to_owned(), environment.get(name)?.to_owned())))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Command, parse};
    use super::*;

    /// What the flags mean where these files are.
    fn resolved(arguments: &[&str], variables: &[(&str, &str)], files: &[&str]) -> TrainingConfig {
        let environment = Environment::new(variables);
        let line = ["clary", "up"].iter().chain(arguments).map(|&word| OsString::from(word));
        let Ok(Command::Up(up)) = parse(line, &environment) else { panic!("expected up") };
        let exists = |path: &Path| files.iter().any(|file| path == Path::new(file));
        up.training.resolve(&environment, Some(Path::new("/opt/clary/clary")), exists)
    }

    #[test]
    fn programs_are_found() {
        let path = [("PATH", "/usr/bin:relative:/bin")];
        let check = |arguments: &[&str], files: &[&str], trainer: Option<&str>, engine: Option<&str>| {
            let found = resolved(arguments, &path, files);
            assert_eq!(found.clary_train.as_deref(), trainer.map(Path::new), "{arguments:?} {files:?}");
            assert_eq!(found.container_engine.as_deref(), engine.map(Path::new), "{arguments:?} {files:?}");
        };
        check(&[], &[], None, None);
        check(&[], &["relative/docker", "relative/clary-train"], None, None);
        let all = ["/opt/clary/clary-train", "/bin/clary-train", "/bin/docker", "/usr/bin/podman"];
        check(&[], &all, Some("/opt/clary/clary-train"), Some("/bin/docker"));
        check(
            &[],
            &["/bin/clary-train", "/usr/bin/podman"],
            Some("/bin/clary-train"),
            Some("/usr/bin/podman"),
        );
        check(&["--container-engine", "none"], &all, Some("/opt/clary/clary-train"), None);
        check(
            &["--container-engine", "podman", "--clary-train", "/t"],
            &all,
            Some("/t"),
            Some("/usr/bin/podman"),
        );
        check(&["--container-engine", "/e"], &[], None, Some("/e"));
    }

    #[test]
    fn flags_have_defaults_and_variables() {
        let bare = resolved(&[], &[("HOME", "/root"), ("AWS_SECRET_ACCESS_KEY", "s")], &[]);
        assert_eq!((bare.jobs_at_once, bare.host_memory_bytes, bare.allows_process_images), (2, None, false));
        assert_eq!(bare.inherited, BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]));
        let variables = [("CLARY_TRAINING_JOBS", "5"), ("CLARY_ALLOW_PROCESS_IMAGES", "true")];
        let told = resolved(&["--training-memory-mb", "100"], &variables, &[]);
        assert_eq!((told.jobs_at_once, told.host_memory_bytes), (5, Some(100 << 20)));
        assert!(told.allows_process_images);
    }
}
