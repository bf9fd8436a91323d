//! From a path to a model that is warm and timed: everything before publication, off the path of any request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use codecs::{ContentType, ContentTypeError, Format};
use dmatrix::{DMatrix, Predictions};
use models::{Artifact, Input, LoadError, LoadOptions, Model, PredictError};

use super::{AnswerType, LoadedModel};

/// How often a warm-up batch is scored. Reason: enough for the caches and for a steady median, and under a
/// millisecond for a usual model, since a start should take less than fifty.
const WARM_UP_RUNS: usize = 15;

/// The most time a warm-up takes. Reason: a model of seconds a row must not delay its own publication by a minute.
const WARM_UP_TIME_MAX: Duration = Duration::from_millis(200);

/// Rows of the larger of the two warm-up batches, from whose difference the cost of a further row is read.
const WARM_UP_BATCH_ROWS: usize = 17;

/// What scoring and encoding takes: a line through two measured batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Of a batch, whatever its size.
    pub fixed_ns: u64,
    /// Of each row.
    pub row_ns: u64,
}

impl Cost {
    /// The estimate for a batch of `rows` rows.
    pub fn of(self, rows: usize) -> Duration {
        Duration::from_nanos(self.fixed_ns.saturating_add(self.row_ns.saturating_mul(rows as u64)))
    }

    /// From the measured times of one row and of `rows` rows.
    fn through(one: Duration, many: Duration, rows: usize) -> Self {
        let row = many.saturating_sub(one) / (rows - 1) as u32;
        let fixed = one.saturating_sub(row);
        Self { fixed_ns: fixed.as_nanos() as u64, row_ns: row.as_nanos().max(1) as u64 }
    }
}

/// Opens, loads, warms and times artifacts.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Where artifacts are unpacked.
    pub scratch: PathBuf,
    /// How models load.
    pub options: LoadOptions,
    /// The answer's media type without Accept, when it is not the model's own.
    pub default_accept: Option<ContentType>,
}

impl Loader {
    /// What a default Accept of `text` stands for; where that leaves a choice, JSON.
    ///
    /// # Errors
    /// When it names nothing that is served.
    pub fn default_accept(text: Option<&str>) -> Result<Option<ContentType>, ContentTypeError> {
        let json = ContentType::new(Format::Json);
        text.map(|text| ContentType::from_accept(Some(text), json)).transpose()
    }

    /// Opens the artifact at `path`.
    ///
    /// # Errors
    /// When it is unsafe, damaged or over a limit.
    pub fn open(&self, path: &Path) -> Result<Artifact, LoadError> {
        guarded(path, || Artifact::open(path, &self.scratch))
    }

    /// Loads, warms and times the model of `artifact`.
    ///
    /// # Errors
    /// When the model file is refused, or its own warm-up rows are.
    pub fn load(&self, artifact: &Artifact) -> Result<LoadedModel, LoadError> {
        guarded(Path::new("model"), || {
            let model = artifact.load(&self.options)?;
            let answer_type = self.answer_type(model.as_ref())?;
            let cost = warm_up(model.as_ref(), &artifact.warm_up_rows(model.signature()), answer_type)?;
            let digest = Bytes::copy_from_slice(artifact.digest().as_bytes());
            Ok(LoadedModel { model, digest, cost, answer_type })
        })
    }

    fn answer_type(&self, model: &dyn Model) -> Result<AnswerType, LoadError> {
        let signature = model.signature();
        if self.options.batch && signature.algorithm == "xgboost" {
            return Ok(AnswerType::Fixed(ContentType::new(Format::Csv)));
        }
        if let Some(default) = self.default_accept {
            return Ok(AnswerType::Negotiated(default));
        }
        let default = ContentType::parse(signature.default_accept);
        default.map(AnswerType::Negotiated).map_err(|error| LoadError::Manifest(error.to_string()))
    }
}

/// Runs `load`; a panic over a hostile file is a refused artifact, not a dead server.
fn guarded<T>(path: &Path, load: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
        let file = path.display().to_string();
        Err(LoadError::Model { file, reason: "the loader failed; the server's log has the reason".into() })
    })
}

/// Scores the artifact's warm-up rows, then batches of the first of them, which the cost is read from.
fn warm_up(model: &dyn Model, rows: &DMatrix, answer_type: AnswerType) -> Result<Cost, LoadError> {
    let accept = match answer_type {
        AnswerType::Negotiated(accept) | AnswerType::Fixed(accept) => accept,
    };
    let unknown = Cost { fixed_ns: 0, row_ns: ROW_NS_UNKNOWN };
    if rows.is_empty() {
        return Ok(unknown);
    }
    match model.predict(Input::Rows(rows), &mut Predictions::new()) {
        Ok(()) => {}
        // The model is sound; it is each request that hears what it cannot be asked.
        Err(PredictError::Unsupported(_)) => return Ok(unknown),
        Err(error) => return Err(refuse(&error)),
    }
    let first = &rows.values()[..rows.columns()];
    let batch = |count: usize| DMatrix::from_dense(first.repeat(count), first.len());
    let one = median_time(model, &batch(1), accept)?;
    let many = median_time(model, &batch(WARM_UP_BATCH_ROWS), accept)?;
    Ok(Cost::through(one, many, WARM_UP_BATCH_ROWS))
}

/// What a row is taken to cost where there is none to measure. Reason: dearer than a usual model's, so that only
/// small batches are predicted on a connection's thread.
const ROW_NS_UNKNOWN: u64 = 10_000;

fn refuse(error: &PredictError) -> LoadError {
    LoadError::Manifest(format!("warm_up: {error}"))
}

fn median_time(model: &dyn Model, rows: &DMatrix, accept: ContentType) -> Result<Duration, LoadError> {
    let (mut predictions, mut encoded) = (Predictions::new(), Vec::new());
    let mut times = Vec::with_capacity(WARM_UP_RUNS);
    let begun = Instant::now();
    while times.len() < WARM_UP_RUNS && (times.is_empty() || begun.elapsed() < WARM_UP_TIME_MAX / 2) {
        let started = Instant::now();
        let scored = model.predict(Input::Rows(rows), &mut predictions);
        scored.map_err(|error| refuse(&error))?;
        encoded.clear();
        codecs::encode(&accept, &predictions, &[], &mut encoded);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::SumModel;
    use super::*;

    fn check(one_ns: u64, many_ns: u64, cost: Cost) {
        let found = Cost::through(Duration::from_nanos(one_ns), Duration::from_nanos(many_ns), 17);
        assert_eq!(found, cost);
    }

    #[test]
    fn the_cost_is_a_line_through_two_batches() {
        check(5_000, 21_000, Cost { fixed_ns: 4_000, row_ns: 1_000 });
        check(5_000, 4_000, Cost { fixed_ns: 5_000, row_ns: 1 });
        assert_eq!(Cost { fixed_ns: 4_000, row_ns: 1_000 }.of(96), Duration::from_micros(100));
        assert_eq!(Cost { fixed_ns: 1, row_ns: u64::MAX }.of(2), Duration::from_nanos(u64::MAX));
    }

    const CSV: AnswerType = AnswerType::Negotiated(ContentType::new(Format::Csv));

    #[test]
    fn rows_that_the_model_refuses_refuse_the_artifact() {
        let error =
            warm_up(&SumModel::new(2), &DMatrix::from_dense(vec![1.0; 3], 3), CSV).expect_err("refused");
        assert_eq!(error.to_string(), "manifest.json: warm_up: expected rows of 2 features, found 3");
    }

    #[test]
    fn without_a_row_the_cost_is_taken_to_be_high() {
        let cost = warm_up(&SumModel::new(2), &DMatrix::new(), CSV).expect("a cost");
        assert_eq!(cost, Cost { fixed_ns: 0, row_ns: ROW_NS_UNKNOWN });
    }

    #[test]
    fn a_panic_of_a_loader_is_a_refused_artifact() {
        let error = guarded::<()>(Path::new("m"), || panic!("a hostile file")).expect_err("refused");
        assert!(error.to_string().starts_with("m: the loader failed"));
    }
}
