//! Metrics, read off lines: every point goes to `metrics.jsonl`, and the last of each is the job's result.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::job::MetricDefinition;
use crate::outcome::FinalMetric;

/// The name of the file of all points.
pub(crate) const FILE_NAME: &str = "metrics.jsonl";

/// Points that are written. Reason: some hundred bytes each; who writes more has set a metric on every line of a debug log.
const POINTS_MAX: u64 = 5_000_000;

/// The metrics of a job that runs.
#[derive(Debug)]
pub(crate) struct Metrics {
    definitions: Vec<MetricDefinition>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: BufWriter<File>,
    last: Vec<Option<(f64, i64)>>,
    points: u64,
    refused: u64,
}

impl Metrics {
    /// None yet, in the job's folder, where points of an earlier run of the job stay. Blocks.
    pub(crate) fn new(definitions: &[MetricDefinition], folder: &Path) -> io::Result<Self> {
        let file = BufWriter::new(open(&folder.join(FILE_NAME))?);
        let state = State { file, last: vec![None; definitions.len()], points: 0, refused: 0 };
        Ok(Self { definitions: definitions.to_vec(), state: Mutex::new(state) })
    }

    /// Reads a line of `host`: the names and values that it holds, the first match of each definition.
    pub(crate) fn read(&self, host: &str, at_ms: i64, line: &str) -> Vec<(&str, f64)> {
        let mut found = Vec::new();
        for (index, definition) in self.definitions.iter().enumerate() {
            let Some(groups) = definition.regex.captures(line) else { continue };
            let Some(Ok(value)) = groups.get(1).map(|group| group.as_str().trim().parse::<f64>()) else {
                continue;
            };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if value.is_finite() {
                state.add(index, &definition.name, host, (value, at_ms));
                found.push((definition.name.as_str(), value));
            } else {
                state.refused += 1;
            }
        }
        found
    }

    /// The last value of each, and how many values were no finite numbers. What is held back is written. Blocks.
    pub(crate) fn last(&self) -> (Vec<FinalMetric>, u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = state.file.flush() {
            tracing::warn!(%error, "metrics.jsonl cannot be written");
        }
        let last = self.definitions.iter().zip(&state.last).filter_map(|(definition, last)| {
            let (value, at_ms) = (*last)?;
            Some(FinalMetric { name: definition.name.clone(), value, at_ms })
        });
        (last.collect(), state.refused)
    }
}

impl State {
    fn add(&mut self, index: usize, name: &str, host: &str, (value, at_ms): (f64, i64)) {
        self.last[index] = Some((value, at_ms));
        self.points += 1;
        if self.points > POINTS_MAX {
            return;
        }
        // To memory, and a few kilobytes at a time to the system's: no wait for a disk.
        let point = json!({"name": name, "value": value, "at_ms": at_ms, "host": host});
        if let Err(error) = writeln!(self.file, "{point}") {
            tracing::warn!(%error, "metrics.jsonl cannot be written");
        }
    }
}

/// The file at `path`, to add to, without the half of a line that a killed server left.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    // No point is nearly as long.
    let from = size.saturating_sub(4096);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let whole = end.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at as u64 + 1);
    file.set_len(from + whole)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn metrics(folder: &Path, definitions: &[(&str, &str)]) -> Metrics {
        let definition = |(name, regex): &(&str, &str)| MetricDefinition {
            name: (*name).to_owned(),
            regex: Regex::new(regex).unwrap(),
        };
        Metrics::new(&definitions.iter().map(definition).collect::<Vec<_>>(), folder).unwrap()
    }

    #[test]
    fn values_of_lines() {
        let check = |regex: &str, line: &str, expected: &[f64]| {
            let scratch = tempfile::tempdir().unwrap();
            let metrics = metrics(scratch.path(), &[("m", regex)]);
            let found: Vec<_> = metrics.read("algo-1", 7, line).into_iter().map(|(_, value)| value).collect();
            assert_eq!(found, expected, "{regex} on {line}");
        };
        let xgboost = r".*\[[0-9]+\].*#011train-rmse:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*";
        check(xgboost, "[12]#011train-rmse:0.123#011validation-rmse:0.145", &[0.123]);
        check(r"loss>=(\S+)", "train msd <loss>=0.0640", &[0.064]);
        check(r"m=(\S+)", "m=1 m=2", &[1.0]);
        check(r"m=(\S+)", "m=abc", &[]);
        check(r"m=(\S+)", "nothing", &[]);
        check(r"m=\S+", "m=1", &[]);
        for line in ["m=nan", "m=inf", "m=-Infinity", "m=1e999"] {
            check(r"m=(\S+)", line, &[]);
        }
    }

    #[test]
    fn the_last_of_each_is_kept_and_all_are_written() {
        let scratch = tempfile::tempdir().unwrap();
        let metrics = metrics(scratch.path(), &[("a", r"a=(\S+)"), ("none", "z=(.)"), ("b", r"b=(\S+)")]);
        for (at_ms, line) in [(1, "a=0.1 b=5"), (2, "a=nan"), (3, "a=0.30000000000000004")] {
            metrics.read("algo-1", at_ms, line);
        }
        let (last, refused) = metrics.last();
        let names: Vec<_> =
            last.iter().map(|metric| (metric.name.as_str(), metric.value, metric.at_ms)).collect();
        assert_eq!((names, refused), (vec![("a", 0.300_000_000_000_000_04, 3), ("b", 5.0, 1)], 1));
        let text = std::fs::read_to_string(scratch.path().join(FILE_NAME)).unwrap();
        let values: Vec<f64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["value"].as_f64().unwrap())
            .collect();
        assert_eq!(values.len(), 3);
        assert!((values[2] - 0.300_000_000_000_000_04).abs() < 1e-12);
    }

    #[test]
    fn points_of_an_earlier_run_stay_without_half_a_line() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(FILE_NAME);
        std::fs::write(&path, "{\"value\":1}\n{\"val").unwrap();
        let metrics = metrics(scratch.path(), &[("a", r"a=(\S+)")]);
        metrics.read("algo-1", 5, "a=2");
        metrics.last();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("{\"value\":1}\n{\"at_ms\":5"), "{text}");
    }
}
