//! `clary-loadtest`: open-loop load over HTTP/1.1. Latency counts from the moment a request was meant to start, so a
//! stalled server cannot hide the requests it kept waiting.
//!
//! Depends on no other crate of the project: it speaks to whatever listens.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::progress::Progress;

mod cli;
mod clock;
mod connection;
mod engine;
mod progress;
mod ramp;
mod report;
mod response;
mod schedule;
mod tally;
mod target;
mod tls;
mod versus;
mod worker;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Both forms of a report, and whether every request was answered with 2xx.
struct Report {
    table: String,
    json: serde_json::Value,
    is_clean: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match measure(&cli).and_then(|report| write_report(&cli, &report).map(|()| report.is_clean)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "clary-loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(cli: &Cli) -> anyhow::Result<Report> {
    let mut progress = Progress::new(cli.quiet);
    match &cli.command {
        Command::Run { url, pace, common } => {
            let plan = common.plan(url, pace.load()?, None)?;
            let outcome = engine::run(&plan, &mut progress)?;
            Ok(Report {
                table: format!("{url}\n{}", report::Table { outcome: &outcome, watched: &plan.watched }),
                json: report::to_json(&outcome, &plan.watched),
                is_clean: outcome.tally.errors() == 0,
            })
        }
        Command::Ab { url_a, url_b, slices, pace, common } => {
            cli::check_slices(*slices)?;
            let load = pace.load()?;
            let (a, b) = (common.plan(url_a, load, None)?, common.plan(url_b, load, None)?);
            let versus = versus::compare([&a, &b], *slices, &mut progress)?;
            Ok(Report {
                table: format!("A {url_a}\nB {url_b}\n{}", versus.table(&a.watched)),
                json: versus.to_json(&a.watched),
                is_clean: !versus.has_errors(),
            })
        }
        Command::Ramp {
            url,
            slo_p99,
            slo_errors,
            start_rate,
            max_rate,
            constant,
            variant,
            policy,
            common,
        } => {
            let ramp = cli::ramp_of(*slo_p99, *slo_errors, *start_rate, *max_rate, *constant)?;
            let variants = variant.iter().map(|name| Some(name.as_str()));
            let variants: Vec<_> = if variant.is_empty() { vec![None] } else { variants.collect() };
            let report = measure_ramps(url, &ramp, &variants, common, &mut progress)?;
            if let Some(path) = policy {
                let policy = ramp::policy(&report.json).context("--policy: no rate keeps the objective")?;
                std::fs::write(path, format!("{policy:#}\n")).with_context(|| path.display().to_string())?;
            }
            Ok(report)
        }
    }
}

/// One ramp a variant (or one for the whole target).
fn measure_ramps(
    url: &str,
    ramp: &ramp::Ramp,
    variants: &[Option<&str>],
    common: &cli::Common,
    progress: &mut Progress,
) -> anyhow::Result<Report> {
    let mut report = Report { table: format!("{url}\n"), json: serde_json::json!([]), is_clean: true };
    let mut results = Vec::new();
    for variant in variants {
        let plan = common.plan(url, engine::Load::Closed, *variant)?;
        let found = ramp::ramp(&plan, ramp, progress)?;
        if let Some(variant) = variant {
            report.table += &format!("variant {variant}\n");
        }
        report.table += &found.table();
        if let Some((_, outcome)) = &found.best {
            report.table += &report::Table { outcome, watched: &plan.watched }.to_string();
        }
        report.is_clean &= found.best.is_some();
        let mut json = found.to_json(&plan.watched);
        json["variant"] = (*variant).into();
        results.push(json);
    }
    report.json = results.into();
    Ok(report)
}

fn write_report(cli: &Cli, report: &Report) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match &cli.json {
        Some(path) if path.as_os_str() == "-" => writeln!(stdout, "{:#}", report.json)?,
        Some(path) => {
            std::fs::write(path, format!("{:#}\n", report.json))
                .with_context(|| path.display().to_string())?;
            stdout.write_all(report.table.as_bytes())?;
        }
        None => stdout.write_all(report.table.as_bytes())?,
    }
    Ok(())
}
