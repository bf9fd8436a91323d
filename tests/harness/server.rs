//! A running `clary serve` or `clary up`: started on a free port, watched through its log, stopped when dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::http::{ANSWER_TIMEOUT, Answer, Client, Request, call};
use crate::programs::program;

/// Log lines that may wait for a test to read them. Reason: the server never logs a request above debug, so a test
/// sees dozens; beyond this the reader waits, and the pipe after it.
const LOG_LINES_MAX: usize = 4096;

/// The longest wait between two looks at what a test waits for, when the log stays silent.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A command line of `clary serve`.
pub struct Serve {
    command: Command,
    scratch: tempfile::TempDir,
}

impl Serve {
    /// Of the model at `path`.
    pub fn model(path: &Path) -> Self {
        let mut serve = Self::new();
        serve.command.arg("--model").arg(path);
        serve
    }

    /// Of the models that the platform loads under `base`/models.
    pub fn multi_model(base: &Path) -> Self {
        let mut serve = Self::new();
        serve.command.arg("--multi-model").arg("--base-dir").arg(base).args(["--listen", "127.0.0.1"]);
        serve
    }

    fn new() -> Self {
        let mut command = clary();
        let scratch = scratch();
        command.args(["serve", "--port", "0", "--scratch"]).arg(scratch.path());
        Self { command, scratch }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Starts the server and waits until it listens; its model may still be loading.
    pub fn listen(self) -> Server {
        Server::spawn(self.command, Some(self.scratch))
    }

    /// Starts the server and waits until `/ping` is 200.
    pub fn start(self) -> Server {
        let mut server = self.listen();
        server.wait_until_ready();
        server
    }
}

/// `clary`, with nothing of the tester's environment.
fn clary() -> Command {
    let mut command = Command::new(program("clary"));
    command.env_clear();
    // By the environment, so that a test's own flag goes before it.
    command.env("CLARY_RELOAD_INTERVAL", "20ms");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A command line of `clary up`.
pub struct Up {
    command: Command,
    scratch: Option<tempfile::TempDir>,
}

impl Up {
    /// On a data directory of its own, which goes with it.
    pub fn new() -> Self {
        let scratch = scratch();
        let up = Self::on(scratch.path());
        Self { scratch: Some(scratch), ..up }
    }

    /// On this data directory, which stays.
    pub fn on(data: &Path) -> Self {
        let mut command = clary();
        command.env("CLARY_LISTEN", "127.0.0.1:0").args(["up", "--data"]).arg(data);
        Self { command, scratch: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts the server and waits until `/ping` is 200.
    pub fn start(self) -> Server {
        let mut server = Server::spawn(self.command, self.scratch);
        server.wait_until_ready();
        server
    }

    /// Runs it to its end, which must come by itself: how it ended, and what it wrote.
    pub fn output(mut self) -> std::process::Output {
        self.command.output().unwrap()
    }
}

impl Default for Up {
    fn default() -> Self {
        Self::new()
    }
}

/// A running server.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    address: Option<SocketAddr>,
    started: Instant,
    _scratch: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts `command` and waits until it listens.
    fn spawn(mut command: Command, scratch: Option<tempfile::TempDir>) -> Self {
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let (sender, lines) = sync_channel(LOG_LINES_MAX);
        let log = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let (sender, log) = (sender.clone(), Arc::clone(&log));
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                    drop(log);
                    // The test may be over, or not interested in the log: the copy above is kept either way.
                    let _ = sender.try_send(line);
                }
            });
        }
        let mut server = Server { child, lines, log, address: None, started, _scratch: scratch };
        server.wait_for("the port", Server::find_address);
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("known since it listens")
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// When the process was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// One request on a connection of its own.
    pub fn call(&self, request: &Request) -> Answer {
        call(self.address(), request)
    }

    /// All it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until `/ping` is 200.
    pub fn wait_until_ready(&mut self) {
        self.wait_for("/ping to be 200", |server| server.call(&Request::get("/ping")).status == 200);
    }

    /// Looks at `is_so` after every log line, and every few milliseconds, until it is.
    ///
    /// # Panics
    /// When it is not so in [`ANSWER_TIMEOUT`], or the server has exited; with its log.
    pub fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while !is_so(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("waiting for {what}: the server ended with {status}\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "waited for {what} in vain\n{}", self.log());
            match self.lines.recv_timeout(LOOK_AGAIN) {
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                // The pipes are closed: the next look at the process says why.
                Err(RecvTimeoutError::Disconnected) => std::thread::yield_now(),
            }
        }
    }

    /// Reads the address from the first log line that has one.
    fn find_address(&mut self) -> bool {
        self.address = self.log().lines().find_map(|line| {
            let at = line.find("127.0.0.1:")?;
            let digits = line[at + 10..].split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok().filter(|port| *port != 0).map(|port: u16| ([127, 0, 0, 1], port).into())
        });
        self.address.is_some()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill: {status}");
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + ANSWER_TIMEOUT * 2;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end\n{}", self.log());
            // Ends at once when the process closes its pipes.
            let _ = self.lines.recv_timeout(LOOK_AGAIN);
        }
    }

    /// Resident memory.
    pub fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // Shown by the test runner below the failure.
            #[expect(clippy::print_stdout, reason = "the log of a failed test")]
            {
                println!("--- the server's log\n{}", self.log());
            }
        }
    }
}

/// A folder of a test: in memory where the machine has such a place. What is tested is what happens to a process; a disk
/// that is busy with other tests takes seconds to say that a write is safe.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}
