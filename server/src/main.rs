//! `clary`: parse, build, run, drain.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use server::config::environment::Environment;
use server::config::{self, Command, ServeArgs, TransformArgs, UpArgs};
use server::shutdown::Signals;
use server::{Ended, Server, check, logging, transform, up};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (command, environment) = match config::from_process() {
        Ok(parsed) => parsed,
        Err(usage) => {
            say(&usage.message, usage.exit_code == 0);
            return usage.exit_code.into();
        }
    };
    let done = match command {
        Command::Serve(arguments) => serve(*arguments, &environment),
        Command::Up(arguments) => platform(*arguments, &environment),
        Command::Transform(arguments) => batch(*arguments, &environment),
        Command::Check(arguments) => {
            check::check(&arguments, &mut std::io::stdout().lock()).map(|()| ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        say(&format!("clary: {error:#}\n"), false);
        ExitCode::FAILURE
    })
}

fn serve(arguments: ServeArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let config = arguments.resolve(environment, Path::exists);
    logging::start(config.server.log_level, config.server.log_format);
    tracing::info!(config = ?config, "resolved configuration");
    let server = Server::start(&config)?;
    let is_tls = config.server.tls.is_some();
    if !is_tls && !server.address().ip().is_loopback() {
        tracing::warn!("reachable from outside without TLS or credentials, as a SageMaker container is");
    }
    run(server, is_tls)
}

fn platform(arguments: UpArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let config = arguments.resolve(environment);
    let (level, format) = config.logging();
    logging::start(level, format);
    tracing::info!(config = ?config, "resolved configuration");
    let is_tls = config.server.tls.is_some() || config.generates_certificate;
    run(up::start(&config)?, is_tls)
}

fn batch(arguments: TransformArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let config = match arguments.resolve(environment) {
        Ok(config) => config,
        Err(usage) => {
            say(&usage.message, false);
            return Ok(usage.exit_code.into());
        }
    };
    logging::start(config.log_level, config.log_format);
    tracing::info!(config = ?config, "resolved configuration");
    transform::command::run(&config)
}

/// Serves until a signal ends it.
fn run(server: Server, is_tls: bool) -> anyhow::Result<ExitCode> {
    let mut signals = {
        let _entered = server.control().enter();
        Signals::listen()?
    };
    tracing::info!(address = %server.address(), tls = is_tls, "listening");
    let (second, at_once) = tokio::sync::oneshot::channel();
    let end = async {
        let signal = signals.next().await;
        tracing::info!(signal, "draining");
        tokio::spawn(async move {
            signals.next().await;
            // The drain may be over already.
            let _ = second.send(());
        });
    };
    let ended = server.run(end, async { drop(at_once.await) });
    match ended {
        Ended::Drained => tracing::info!("ended"),
        Ended::Cut(connections) => tracing::warn!(connections, "ended; the drain's time was over"),
        Ended::AtOnce => tracing::warn!("ended at once, by a second signal"),
    }
    Ok(if ended == Ended::AtOnce { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// To standard output or standard error; a closed one is no reason to fail.
fn say(message: &str, is_asked_for: bool) {
    let message = message.as_bytes();
    let _ = if is_asked_for {
        std::io::stdout().write_all(message)
    } else {
        std::io::stderr().write_all(message)
    };
}
