//! `clary transform` as a program: its command line, and what it runs against.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::http::ANSWER_TIMEOUT;
use crate::programs::program;

/// Between two looks at a process that runs.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A command line.
#[derive(Debug)]
pub struct Transform {
    command: Command,
}

impl Transform {
    /// Through the model at `model`, a path or an `s3://` address.
    pub fn of(model: impl AsRef<std::ffi::OsStr>) -> Self {
        Self::by(Command::new(program("clary")), model)
    }

    /// [`of`](Self::of), as a member of a control group, which is killed when it has more memory than that.
    pub fn within(group: &MemoryGroup, model: impl AsRef<std::ffi::OsStr>) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&group.folder)
            .arg(program("clary"));
        Self::by(command, model)
    }

    fn by(mut command: Command, model: impl AsRef<std::ffi::OsStr>) -> Self {
        command.env_clear().arg("transform").arg("--model").arg(model);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds an option whose value is a path.
    #[must_use]
    pub fn path(mut self, option: &str, path: &Path) -> Self {
        self.command.arg(option).arg(path);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// With the S3 store at `url`, which takes any key.
    #[must_use]
    pub fn store(self, url: &str) -> Self {
        self.environment("AWS_ENDPOINT_URL", url)
            .environment("AWS_ALLOW_HTTP", "true")
            .environment("AWS_REGION", "us-east-1")
            .environment("AWS_ACCESS_KEY_ID", "test")
            .environment("AWS_SECRET_ACCESS_KEY", "test")
    }

    /// Runs it to its end.
    pub fn output(mut self) -> Output {
        self.command.output().unwrap()
    }

    /// Runs it to its end, which must be a good one: what it wrote to its standard error.
    ///
    /// # Panics
    /// When it fails.
    pub fn succeed(self) -> String {
        let what = format!("{:?}", self.command);
        let output = self.output();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{what}: {}\n{text}", output.status);
        text
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        // Nobody reads what it says until it has ended; a file takes all of it.
        let log = tempfile::NamedTempFile::new().unwrap();
        self.command.stderr(File::options().append(true).open(log.path()).unwrap()).stdout(Stdio::null());
        Running { child: self.command.spawn().unwrap(), log }
    }
}

/// A control group with a limit on resident memory; gone when dropped.
///
/// Reason: the kernel does not enforce `RLIMIT_RSS`, and what it enforces is not what is promised: `RLIMIT_AS` counts addresses,
/// of which the allocator reserves a gibibyte at a time and each thread a stack, whether or not anything is in them.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// One of `bytes`; none where the tester may not make any.
    pub fn new(bytes: u64) -> Option<Self> {
        let name = format!("clary-test-{}", std::process::id());
        // Version 1, then version 2 of the kernel's interface.
        let roots = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        roots.iter().find_map(|(root, limit)| {
            let folder = Path::new(root).join(&name);
            std::fs::create_dir(&folder).ok()?;
            let group = Self { folder };
            std::fs::write(group.folder.join(limit), bytes.to_string()).ok().map(|()| group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A member that has not ended keeps it.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// A transform that runs; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Running {
    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it ended, and then whether well.
    pub fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().unwrap().map(|status| status.success())
    }

    /// The status with which it ended; `None` while it runs, and when it was killed.
    pub fn code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill: {status}");
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end; `look` is called all the while.
    ///
    /// # Panics
    /// When it takes longer than `times` the usual wait.
    pub fn wait(&mut self, times: u32, mut look: impl FnMut(&Self)) -> bool {
        let deadline = Instant::now() + ANSWER_TIMEOUT * times;
        loop {
            if let Some(is_good) = self.ended() {
                return is_good;
            }
            assert!(Instant::now() < deadline, "the transform does not end\n{}", self.log());
            look(self);
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// What it wrote to its standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log.path()).unwrap()).into_owned()
    }

    /// Its resident memory; `None` when it has ended.
    pub fn memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
