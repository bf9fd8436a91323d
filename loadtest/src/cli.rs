//! The command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};

use crate::engine::{CONNECTIONS_MAX, Load, Plan, THREADS_MAX};
use crate::ramp::{Objective, Ramp};
use crate::response::WATCHED_MAX;
use crate::schedule::{Arrivals, RATE_MAX};
use crate::target::{RequestShape, Target, Url, parse_header, read_header_lines, read_payload};
use crate::tls;
use crate::versus::SLICES_MAX;

/// The header that names the production variant of a request.
const VARIANT_HEADER: &str = "X-Amzn-SageMaker-Target-Variant";

/// Open-loop HTTP load with latency counted from the intended start of each request.
#[derive(Debug, Parser)]
#[command(name = "clary-loadtest", version, about)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Draw no progress.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Write the report as JSON to this file; `-` is stdout, in place of the table.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load one target and report.
    Run {
        /// Where to: http://host:port/path or https://….
        url: String,
        #[command(flatten)]
        pace: Pace,
        #[command(flatten)]
        common: Common,
    },
    /// Compare two targets in alternating slices of --duration.
    Ab {
        /// Target A.
        url_a: String,
        /// Target B.
        url_b: String,
        /// Slices of each target.
        #[arg(long, default_value_t = 10)]
        slices: usize,
        #[command(flatten)]
        pace: Pace,
        #[command(flatten)]
        common: Common,
    },
    /// Find the highest rate that keeps a p99, in steps of --duration.
    Ramp {
        /// Where to.
        url: String,
        /// The latency that 99 of 100 requests must keep, from the intended start.
        #[arg(long, value_parser = parse_duration, default_value = "5ms")]
        slo_p99: Duration,
        /// The share of requests that may fail.
        #[arg(long, default_value_t = 0.001)]
        slo_errors: f64,
        /// The first rate.
        #[arg(long, default_value_t = 100.0)]
        start_rate: f64,
        /// The highest rate to try.
        #[arg(long, default_value_t = RATE_MAX)]
        max_rate: f64,
        /// Even gaps in place of Poisson ones.
        #[arg(long)]
        constant: bool,
        /// Ramp each of these production variants by itself.
        #[arg(long, value_name = "NAME")]
        variant: Vec<String>,
        /// Where to write the target-tracking policy of what was found (TargetTrackingScalingPolicyConfiguration); of several
        /// variants, that of the slowest.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
}

/// How requests are paced.
#[derive(Debug, Args)]
pub(crate) struct Pace {
    /// Requests a second.
    #[arg(long, short, required_unless_present = "closed")]
    rate: Option<f64>,
    /// Spread requests as independent clients do, in place of even gaps.
    #[arg(long, conflicts_with = "closed")]
    poisson: bool,
    /// No rate: each connection sends when its last request is answered. Measures throughput; its latencies omit
    /// what clients would wait.
    #[arg(long, conflicts_with = "rate")]
    closed: bool,
}

/// What all commands take.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Counted time of a run, slice or step.
    #[arg(long, short, value_parser = parse_duration, default_value = "10s")]
    duration: Duration,
    /// Time before it that is sent but not counted.
    #[arg(long, value_parser = parse_duration, default_value = "500ms")]
    warm_up: Duration,
    /// Keep-alive connections.
    #[arg(long, short, default_value_t = 16)]
    connections: usize,
    /// Generator threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Limit of one request.
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    timeout: Duration,
    /// A payload: a file, or with a leading @ the text itself. Several are sent in turn.
    #[arg(long, value_name = "FILE|@TEXT")]
    data: Vec<String>,
    /// Content-Type of the payloads.
    #[arg(long)]
    content_type: Option<String>,
    /// Accept.
    #[arg(long)]
    accept: Option<String>,
    /// A further header.
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = parse_header)]
    header: Vec<(String, String)>,
    /// A file of further headers, a line a request, parted by tabs (`Name: value`); taken in turn. For requests that are
    /// signed one by one.
    #[arg(long, value_name = "FILE")]
    header_lines: Option<PathBuf>,
    /// Method, if not POST with a payload and GET without.
    #[arg(long, value_parser = parse_method)]
    method: Option<String>,
    /// Count the answers by the value of this header.
    #[arg(long, value_name = "NAME", default_values = ["x-clary-artifact", "x-amzn-invoked-production-variant"])]
    count_header: Vec<String>,
    /// Certificates to believe, in PEM; the system's when not given.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Seed of the Poisson gaps.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Pace {
    /// The load.
    ///
    /// # Errors
    /// When the rate is out of range.
    pub(crate) fn load(&self) -> anyhow::Result<Load> {
        let Some(rate) = self.rate else { return Ok(Load::Closed) };
        check_rate("--rate", rate)?;
        let arrivals = if self.poisson { Arrivals::Poisson } else { Arrivals::Constant };
        Ok(Load::Open { arrivals, rate })
    }
}

impl Common {
    /// A plan for `url`.
    ///
    /// # Errors
    /// When an argument is out of range, a payload cannot be read or the host cannot be resolved.
    pub(crate) fn plan(&self, url: &str, load: Load, variant: Option<&str>) -> anyhow::Result<Plan> {
        let range = |name: &str, value: usize, most: usize| {
            ensure!((1..=most).contains(&value), "{name}: expected 1 to {most}, found {value}");
            Ok(())
        };
        range("--connections", self.connections, CONNECTIONS_MAX)?;
        range("--threads", self.threads, THREADS_MAX)?;
        ensure!(!self.duration.is_zero(), "--duration: expected more than 0");
        ensure!(!self.timeout.is_zero(), "--timeout: expected more than 0");
        let watched: Vec<String> = self.count_header.iter().map(|name| name.to_ascii_lowercase()).collect();
        ensure!(
            watched.len() <= WATCHED_MAX,
            "--count-header: expected at most {WATCHED_MAX}, found {}",
            watched.len()
        );
        let payloads = self.data.iter().map(|data| read_payload(data)).collect::<anyhow::Result<Vec<_>>>()?;
        let url = Url::parse(url).with_context(|| format!("URL {url:?}"))?;
        let tls = url.is_tls.then(|| tls::connect_to(&url.host, self.ca_cert.as_deref())).transpose()?;
        let target = Target::new(&url, &self.shape(variant)?, &payloads)?;
        Ok(Plan {
            target: Arc::new(target),
            tls,
            load,
            connections: self.connections,
            threads: self.threads,
            duration: self.duration,
            warm_up: self.warm_up,
            timeout: self.timeout,
            seed: self.seed,
            watched: watched.into(),
        })
    }

    fn shape(&self, variant: Option<&str>) -> anyhow::Result<RequestShape> {
        let variant = variant.map(|name| (VARIANT_HEADER.to_owned(), name.to_owned()));
        Ok(RequestShape {
            method: self.method.clone(),
            content_type: self.content_type.clone(),
            accept: self.accept.clone(),
            headers: self.header.iter().cloned().chain(variant).collect(),
            header_lines: self
                .header_lines
                .as_deref()
                .map(read_header_lines)
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// The ramp of its arguments.
///
/// # Errors
/// When one is out of range.
pub(crate) fn ramp_of(
    p99: Duration,
    errors: f64,
    start: f64,
    highest: f64,
    constant: bool,
) -> anyhow::Result<Ramp> {
    check_rate("--start-rate", start)?;
    check_rate("--max-rate", highest)?;
    ensure!((0.0..1.0).contains(&errors), "--slo-errors: expected a share from 0 to below 1, found {errors}");
    let arrivals = if constant { Arrivals::Constant } else { Arrivals::Poisson };
    Ok(Ramp { start, highest, objective: Objective { p99, error_share: errors }, arrivals })
}

/// Checks the number of slices.
///
/// # Errors
/// When it is out of range.
pub(crate) fn check_slices(slices: usize) -> anyhow::Result<()> {
    ensure!((1..=SLICES_MAX).contains(&slices), "--slices: expected 1 to {SLICES_MAX}, found {slices}");
    Ok(())
}

fn check_rate(name: &str, rate: f64) -> anyhow::Result<()> {
    ensure!(rate > 0.0 && rate <= RATE_MAX, "{name}: expected above 0 and at most {RATE_MAX}, found {rate}");
    Ok(())
}

/// Reads `250us`, `5ms`, `1.5s` or `2m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or("expected a unit: us, ms, s or m")?;
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("expected the unit us, ms, s or m, found {unit:?}")),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("expected a number, found {number:?}"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

fn parse_method(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(format!("expected a method, found {text:?}"));
    }
    Ok(text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, micros) in
            [("250us", 250), ("5ms", 5_000), ("1.5s", 1_500_000), ("2m", 120_000_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in ["5", "ms", "-1s", "1h", "1 s s", "nans"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_or_closed_is_needed() {
        let parse = |arguments: &str| Cli::try_parse_from(format!("x {arguments}").split(' '));
        assert!(parse("run http://h").is_err());
        assert!(parse("run http://h --rate 5 --poisson --data @1,2 --content-type text/csv").is_ok());
        assert!(parse("run http://h --closed --json -").is_ok());
        assert!(parse("run http://h --closed --rate 5").is_err());
        assert!(parse("ab http://a http://b --closed --slices 3 -d 500ms").is_ok());
        assert!(parse("ramp http://h --slo-p99 2ms --variant a --variant b").is_ok());
    }

    #[test]
    fn limits_are_named() {
        let parse = |arguments: &str| {
            let cli =
                Cli::try_parse_from(format!("x run http://127.0.0.1:1/ {arguments}").split(' ')).unwrap();
            let Command::Run { url, pace, common } = cli.command else { unreachable!() };
            pace.load().and_then(|load| common.plan(&url, load, None)).map(drop).unwrap_err().to_string()
        };
        for (arguments, message) in [
            ("--rate 0", "--rate: expected above 0"),
            ("--rate 1e9", "at most 1000000"),
            ("--closed -c 20000", "--connections: expected 1 to 10000, found 20000"),
            ("--closed --threads 0", "--threads: expected 1 to 64, found 0"),
            ("--closed --data /nonexistent", "payload /nonexistent"),
        ] {
            let error = parse(arguments);
            assert!(error.contains(message), "{arguments}: {error}");
        }
    }
}
