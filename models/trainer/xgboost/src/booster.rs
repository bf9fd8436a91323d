//! A booster in training: parameters in, rounds, metrics and a model file out. Safe, over the binding in `ffi`.

use std::ffi::CStr;
use std::path::Path;
use std::sync::Arc;

use crate::collect::{Collected, Held, Layout, Parts, joined};
use crate::ffi::{Handle, Library, LibraryError, Matrix};

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metric {
    /// `train` or `validation`.
    pub(crate) channel: String,
    /// `rmse`, `error@0.7`, …
    pub(crate) name: String,
    /// The value, NaN where the metric has none.
    pub(crate) value: f64,
}

/// Rows the library holds, and their labels for the metrics that we compute.
#[derive(Debug)]
pub(crate) struct Watched {
    channel: &'static CStr,
    matrix: Matrix,
    labels: Vec<f32>,
}

/// How XGBoost is to hold rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holding<'a> {
    pub(crate) layout: Layout,
    pub(crate) max_bin: i64,
    pub(crate) threads: usize,
    /// Where pages go.
    pub(crate) scratch: &'a Path,
    /// Whether labels are times of events (accelerated failure time); each is exact, uncensored.
    pub(crate) are_times: bool,
}

impl Watched {
    /// Hands rows with their labels, weights and queries to the library.
    pub(crate) fn new(
        library: &Arc<Library>,
        channel: &'static CStr,
        rows: Collected,
        holding: &Holding<'_>,
    ) -> Result<Self, LibraryError> {
        let Collected { rows, labels, weights, queries, .. } = rows;
        let threads = holding.threads;
        let matrix = match (rows, holding.layout) {
            (Held::Parts(parts), Layout::Quantiles) => {
                let parts = Box::new(Parts::new(parts, &weights));
                Matrix::quantiles(library, parts, holding.max_bin, threads)?
            }
            (Held::Parts(parts), _) => Matrix::new(library, &joined(parts), threads)?,
            (Held::Spilled(spill), _) => {
                let name = format!(
                    "xgboost-{}-{}-{:x}",
                    channel.to_string_lossy(),
                    std::process::id(),
                    fastrand::u64(..)
                );
                let cache = holding.scratch.join(name);
                Matrix::paged(library, spill, &cache.to_string_lossy(), threads)?
            }
        };
        matrix.set(c"label", &labels)?;
        if !queries.is_empty() {
            matrix.set_queries(&queries)?;
        }
        if !weights.is_empty() {
            matrix.set(c"weight", &weights)?;
        }
        if holding.are_times {
            matrix.set(c"label_lower_bound", &labels)?;
            matrix.set(c"label_upper_bound", &labels)?;
        }
        Ok(Self { channel, matrix, labels })
    }

    /// Some of its rows, as another channel.
    pub(crate) fn slice(&self, channel: &'static CStr, rows: &[i32]) -> Result<Self, LibraryError> {
        let labels = rows.iter().map(|row| self.labels[*row as usize]).collect();
        Ok(Self { channel, matrix: self.matrix.slice(rows)?, labels })
    }

    /// The name of its channel.
    pub(crate) fn channel(&self) -> &'static str {
        self.channel.to_str().expect("channel names are ASCII")
    }

    /// The labels, row by row.
    pub(crate) fn labels(&self) -> &[f32] {
        &self.labels
    }
}

/// A booster in training.
#[derive(Debug)]
pub(crate) struct Booster {
    handle: Handle,
}

impl Booster {
    /// A booster without trees that will be trained and watched on `watched`.
    pub(crate) fn new(library: &Arc<Library>, watched: &[Watched]) -> Result<Self, LibraryError> {
        let matrices: Vec<&Matrix> = watched.iter().map(|watched| &watched.matrix).collect();
        Ok(Self { handle: Handle::new(library, &matrices)? })
    }

    /// Sets a training parameter; `eval_metric` may be set several times.
    pub(crate) fn set_parameter(&mut self, name: &str, value: &str) -> Result<(), LibraryError> {
        self.handle.set_parameter(name, value)
    }

    /// Sets an attribute that is saved with the model.
    pub(crate) fn set_attribute(&mut self, name: &str, value: &str) -> Result<(), LibraryError> {
        self.handle.set_attribute(name, value)
    }

    /// One round over `train`.
    pub(crate) fn update(&mut self, round: u32, train: &Watched) -> Result<(), LibraryError> {
        self.handle.update(round as i32, &train.matrix)
    }

    /// The library's metrics after `round`, channel by channel.
    pub(crate) fn evaluate(&mut self, round: u32, watched: &[Watched]) -> Result<Vec<Metric>, LibraryError> {
        let named: Vec<(&CStr, &Matrix)> =
            watched.iter().map(|watched| (watched.channel, &watched.matrix)).collect();
        let line = self.handle.evaluate(round as i32, &named)?;
        parse_metrics(&line)
            .ok_or_else(|| LibraryError::Refused(format!("a metric line that is none: {line:?}")))
    }

    /// The margins of `watched`.
    pub(crate) fn margins(&self, watched: &Watched) -> Result<Vec<f32>, LibraryError> {
        self.handle.predict(&watched.matrix, true)
    }

    /// What the model answers for `watched`.
    pub(crate) fn predict(&self, watched: &Watched) -> Result<Vec<f32>, LibraryError> {
        self.handle.predict(&watched.matrix, false)
    }

    /// A copy with only the first `rounds` rounds.
    pub(crate) fn first_rounds(&self, rounds: u32) -> Result<Self, LibraryError> {
        Ok(Self { handle: self.handle.first_rounds(rounds as i32)? })
    }

    /// The model file in `format` (`ubj` or `json`).
    pub(crate) fn save(&self, format: &str) -> Result<Vec<u8>, LibraryError> {
        self.handle.save(format)
    }

    /// Replaces the model by the one in `file`.
    pub(crate) fn load(&mut self, file: &[u8]) -> Result<(), LibraryError> {
        self.handle.load(file)
    }
}

/// Reads `[0]\ttrain-rmse:0.5\tvalidation-rmse:0.6`.
fn parse_metrics(line: &str) -> Option<Vec<Metric>> {
    let metric = |text: &str| {
        let (name, value) = text.rsplit_once(':')?;
        let (channel, name) = name.split_once('-')?;
        Some(Metric { channel: channel.into(), name: name.into(), value: value.trim().parse().ok()? })
    };
    line.split('\t').skip(1).map(metric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_line_is_read() {
        let check = |line, expected: Option<&[(&str, &str, f64)]>| {
            let found = parse_metrics(line);
            let found: Option<Vec<_>> = found
                .as_ref()
                .map(|all| all.iter().map(|m| (m.channel.as_str(), m.name.as_str(), m.value)).collect());
            assert_eq!(found.as_deref(), expected, "{line}");
        };
        check(
            "[3]\ttrain-tweedie-nloglik@1.5:0.25\tvalidation-rmse:1e-3",
            Some(&[("train", "tweedie-nloglik@1.5", 0.25), ("validation", "rmse", 1e-3)]),
        );
        check("[0]", Some(&[]));
        check("[0]\ttrain-rmse", None);
        check("[0]\ttrain-rmse:x", None);
    }
}
