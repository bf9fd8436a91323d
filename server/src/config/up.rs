//! `clary up`: the flags of the platform, beside those of every server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::environment::Environment;
use super::server::{ServerArgs, ServerConfig};
use super::training::{TrainingArgs, TrainingConfig};
use super::values::{boolean, byte_count, seconds};
use super::{AwsVariables, LogFormat, LogLevel};

/// The port when `--listen` names only an address.
const PORT: u16 = 8080;

/// `clary up`, as given; [`UpConfig`] is what it means.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The address to listen on; port 0 picks a free one. Beyond loopback, --credentials is needed.
    #[arg(long, value_name = "IP[:PORT]", value_parser = address, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where all state is kept: resources, metrics, logs, buckets. One server a directory.
    #[arg(long, value_name = "DIR", default_value = "clary-data")]
    data: PathBuf,
    /// The region of requests that are not signed for one.
    #[arg(long, value_name = "REGION", value_parser = region, default_value = "us-east-1")]
    region: String,
    /// The account that owns everything here: twelve digits.
    #[arg(long, value_name = "ID", value_parser = account, default_value = "000000000000")]
    account_id: String,
    /// An S3 store elsewhere that holds the buckets, instead of the one built in.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    s3_endpoint: Option<String>,
    /// A name of this host: a request to bucket.NAME is one to the bucket. Below localhost it always is.
    #[arg(long, value_name = "NAME", value_parser = domain)]
    domain: Option<String>,
    /// The keys that may call and what each may do; read again when it changes. Without it, anybody may.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Speak TLS with a certificate made at the first start and kept in the data directory.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false", conflicts_with = "tls_cert")]
    tls_generate: bool,
    /// PEM certificates that vouch for clients: one that shows a certificate of theirs may invoke by its name, as the credentials
    /// file says.
    #[arg(long, value_name = "FILE", requires = "credentials")]
    tls_client_ca: Option<PathBuf>,
    /// How long a request waits for a model that is not loaded (multi-model, serverless) before it hears to come again.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "30")]
    cold_wait: Duration,
    /// How long a serverless variant's model stays in memory after its last request.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "300")]
    serverless_idle: Duration,
    /// The most memory that models may hold, both fleets of an update together; by default three quarters of what there is.
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    model_memory: Option<u64>,
    /// Serve an artifact whose object changed since its endpoint configuration was made, instead of refusing it.
    #[arg(long, value_parser = boolean, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    allow_changed_artifacts: bool,
    #[command(flatten)]
    pub(super) training: TrainingArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// What `clary up` is to do, resolved.
#[derive(Debug, Clone)]
pub struct UpConfig {
    /// Where to listen.
    pub address: SocketAddr,
    /// Where all state is kept.
    pub data: PathBuf,
    /// The region of requests that are not signed for one.
    pub region: String,
    /// The account that owns everything.
    pub account: String,
    /// An S3 store elsewhere.
    pub s3_endpoint: Option<String>,
    /// A name of this host, below which hosts are buckets.
    pub domain: Option<String>,
    /// The keys that may call.
    pub credentials: Option<PathBuf>,
    /// Make a certificate when there is none.
    pub generates_certificate: bool,
    /// Certificates that vouch for clients.
    pub client_ca: Option<PathBuf>,
    /// How long a request waits for a model to be loaded.
    pub cold_wait: Duration,
    /// How long an unused model of a serverless variant stays in memory.
    pub serverless_idle: Duration,
    /// The most memory that models may hold.
    pub model_memory_bytes: Option<u64>,
    /// Whether an artifact that changed since it was pinned is served.
    pub allows_changed_artifacts: bool,
    /// How training jobs are run.
    pub training: TrainingConfig,
    /// What every server takes.
    pub server: ServerConfig,
    /// The `AWS_*` variables, for an S3 store elsewhere.
    pub aws: AwsVariables,
}

impl UpArgs {
    /// What the arguments mean on this machine.
    pub fn resolve(self, environment: &Environment) -> UpConfig {
        UpConfig {
            address: self.listen,
            data: self.data,
            region: self.region,
            account: self.account_id,
            s3_endpoint: self.s3_endpoint,
            domain: self.domain,
            credentials: self.credentials,
            generates_certificate: self.tls_generate,
            client_ca: self.tls_client_ca,
            cold_wait: self.cold_wait,
            serverless_idle: self.serverless_idle,
            model_memory_bytes: self.model_memory,
            allows_changed_artifacts: self.allow_changed_artifacts,
            training: self.training.resolve(
                environment,
                super::own_path().as_deref(),
                std::path::Path::is_file,
            ),
            server: self.server.resolve(),
            aws: AwsVariables(environment.aws()),
        }
    }
}

impl UpConfig {
    /// How the program logs.
    pub fn logging(&self) -> (LogLevel, LogFormat) {
        (self.server.log_level, self.server.log_format)
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let of_ip = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    let of_port = || text.strip_prefix(':')?.parse().ok().map(|port| (Ipv4Addr::LOCALHOST, port).into());
    let found = text.parse().or_else(|_| of_ip()).ok().or_else(of_port);
    found.ok_or_else(|| {
        format!("expected an address such as 127.0.0.1:8080, [::1]:0 or 0.0.0.0, found {text:?}")
    })
}

fn region(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!("expected a region such as us-east-1, found {text:?}"))
}

fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(format!("expected twelve digits, found {text:?}"))
}

fn domain(text: &str) -> Result<String, String> {
    objects::Domains::with(Some(text)).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn endpoint(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest.map(|rest| rest.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && !host.contains('/') => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(format!("expected a URL such as http://127.0.0.1:9000, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Command, parse};
    use super::*;

    fn up(arguments: &[&str], variables: &[(&str, &str)]) -> Result<UpConfig, String> {
        let environment = Environment::new(variables);
        let line = ["clary", "up"].iter().chain(arguments).map(|&word| OsString::from(word));
        match parse(line, &environment).map_err(|error| error.message)? {
            Command::Up(arguments) => Ok(arguments.resolve(&environment)),
            other => panic!("expected up, found {other:?}"),
        }
    }

    #[test]
    fn an_address_has_a_port_or_gets_the_usual_one() {
        let check = |text: &str, expected: &str| {
            assert_eq!(up(&["--listen", text], &[]).unwrap().address.to_string(), expected);
        };
        check("127.0.0.1:0", "127.0.0.1:0");
        check("0.0.0.0", "0.0.0.0:8080");
        check("[::1]:1", "[::1]:1");
        check("::1", "[::1]:8080");
        check(":9", "127.0.0.1:9");
        up(&["--listen", "localhost:1"], &[]).expect_err("a name is not an address");
    }

    #[test]
    fn values_are_checked_where_they_are_given() {
        for wrong in [
            ["--account-id", "12"],
            ["--account-id", "12345678901x"],
            ["--region", "US"],
            ["--region", ""],
            ["--domain", "127.0.0.1"],
            ["--domain", "s3.example.com:8080"],
            ["--s3-endpoint", "minio:9000"],
            ["--s3-endpoint", "http://host/path"],
        ] {
            let error = up(&wrong, &[]).expect_err(wrong[1]);
            assert!(error.contains("expected"), "{error}");
        }
        up(&["--tls-generate", "--tls-cert", "c", "--tls-key", "k"], &[]).expect_err("one certificate");
    }

    #[test]
    fn every_flag_has_its_variable() {
        let variables = [
            ("CLARY_DATA", "/d"),
            ("CLARY_REGION", "eu-west-1"),
            ("CLARY_ACCOUNT_ID", "123456789012"),
            ("CLARY_DOMAIN", "s3.example.com"),
            ("CLARY_TLS_GENERATE", "true"),
            ("CLARY_WORKERS", "3"),
            ("CLARY_LISTEN", "0.0.0.0"),
        ];
        let config = up(&[], &variables).unwrap();
        assert_eq!((config.data, config.region.as_str()), (PathBuf::from("/d"), "eu-west-1"));
        assert_eq!((config.account.as_str(), config.server.workers), ("123456789012", 3));
        assert_eq!(config.domain.as_deref(), Some("s3.example.com"));
        assert!(config.generates_certificate && config.address.ip().is_unspecified());
    }
}
