//! Who is told what happens.

/// A part of a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Folders and configuration files are made.
    Starting,
    /// Channels and checkpoints are fetched. A job without channels of files skips it.
    Downloading,
    /// Programs run.
    Training,
    /// What they left is uploaded.
    Uploading,
}

/// Who is told. Called as it happens, from the job's own tasks: nothing here may block. Hosts are counted from 1 and times are
/// milliseconds since 1970.
pub trait Listener: Send + Sync + 'static {
    /// A phase begins.
    fn phase(&self, phase: Phase, message: &str) {
        let _ = (phase, message);
    }

    /// A host wrote a line, to stdout or stderr; without its line end.
    fn line(&self, host: usize, at_ms: i64, text: &str) {
        let _ = (host, at_ms, text);
    }

    /// A line held a metric's value, which is finite.
    fn metric(&self, name: &str, value: f64, at_ms: i64) {
        let _ = (name, value, at_ms);
    }

    /// What a host used since the last time: CPU in percent of one core, memory and disk in percent of the host's limits. Every
    /// ten seconds and at the end.
    fn usage(&self, host: usize, cpu_percent: f64, memory_percent: f64, disk_percent: f64, at_ms: i64) {
        let _ = (host, cpu_percent, memory_percent, disk_percent, at_ms);
    }
}
