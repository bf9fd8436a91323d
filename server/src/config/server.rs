//! What every server of ours takes, whatever it serves: TLS files, threads, limits, logs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{LogFormat, LogLevel, byte_count, log_level, millis, seconds};
use super::{Limits, TlsFiles};

/// The flags that `clary serve` and `clary up` share.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// PEM certificate chain; with --tls-key, the server speaks TLS. Read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM private key of --tls-cert.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Threads that predict what is too long for a connection's thread; by default one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Threads that serve connections; by default one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    io_threads: Option<u16>,
    /// Predictions that may wait for a worker before more are refused with Retry-After.
    #[arg(long, value_name = "N", default_value_t = 256)]
    queue_length: usize,
    /// Connections served at once; more wait in the kernel's backlog.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    connections: usize,
    /// The largest body of an invocation, also unpacked.
    #[arg(long, value_name = "BYTES", value_parser = byte_count, default_value = "6MiB")]
    body_limit: u64,
    /// The largest request head (HTTP/1.1: the read buffer; HTTP/2: the header list).
    #[arg(long, value_name = "BYTES", value_parser = byte_count, default_value = "32KiB")]
    head_limit: u64,
    /// The most header fields of a request.
    #[arg(long, value_name = "N", default_value_t = 64)]
    headers: usize,
    /// From a request's first byte to the end of its head.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10")]
    head_timeout: Duration,
    /// The longest pause inside a request body.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10")]
    body_timeout: Duration,
    /// From a request's head to its answer.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "60")]
    request_timeout: Duration,
    /// How long a connection may idle.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "75")]
    idle_timeout: Duration,
    /// How long requests in flight may take to finish after SIGTERM; the platform kills at 30 s.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "25")]
    drain_timeout: Duration,
    /// How often models and configuration files are looked at for changes; 0 turns reloading off.
    #[arg(long, value_name = "TIME", value_parser = millis, default_value = "1s")]
    reload_interval: Duration,
    /// error, warn, info, debug or trace.
    #[arg(long, value_parser = log_level, default_value = "info")]
    log_level: LogLevel,
    /// json or text.
    #[arg(long, value_enum, default_value = "json")]
    log_format: LogFormat,
}

/// What the shared flags mean.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// TLS, when asked for.
    pub tls: Option<TlsFiles>,
    /// Threads of the compute pool.
    pub workers: usize,
    /// Threads that serve connections.
    pub io_threads: usize,
    /// All limits.
    pub limits: Limits,
    /// How often files are looked at; zero is never.
    pub reload_interval: Duration,
    /// The least level that is logged.
    pub log_level: LogLevel,
    /// How it is written.
    pub log_format: LogFormat,
}

impl ServerArgs {
    /// What the arguments mean on this machine.
    pub(super) fn resolve(self) -> ServerConfig {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        ServerConfig {
            limits: self.limits(),
            tls: self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles {
                certificate,
                key,
                client_ca: None,
            }),
            workers: self.workers.map_or(cores, usize::from),
            io_threads: self.io_threads.map_or(cores, usize::from),
            reload_interval: self.reload_interval,
            log_level: self.log_level,
            log_format: self.log_format,
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            connections: self.connections.max(1),
            body_bytes: usize::try_from(self.body_limit).unwrap_or(usize::MAX),
            head_bytes: usize::try_from(self.head_limit).unwrap_or(usize::MAX).max(HEAD_BYTES_MIN),
            headers: self.headers,
            head_timeout: self.head_timeout,
            body_timeout: self.body_timeout,
            request_timeout: self.request_timeout,
            idle_timeout: self.idle_timeout,
            drain_timeout: self.drain_timeout,
            queue_length: self.queue_length.max(1),
        }
    }
}

/// The least head limit. Reason: hyper's HTTP/1.1 buffer cannot be smaller.
const HEAD_BYTES_MIN: usize = 8192;
