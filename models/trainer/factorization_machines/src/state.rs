//! Where a training stands, and where it may go on: a checkpoint at an epoch's end, or an earlier model.
//!
//! Of several hosts, host 0's checkpoint counts: it alone keeps one, and all take it over.

use estimator::{Job, TrainError};
use models::factorization_machines::FactorizationMachines;
use models::{Algorithm, Artifact};
use serde_json::{Value, json};

use crate::machine::{Machine, Weights};
use crate::table::Settings;

/// The checkpoint's name.
const NAME: &str = "state";

/// Rows of an artifact that a server scores before it takes requests.
pub(crate) type WarmUp = Vec<Vec<Option<f32>>>;

/// A training between two mini-batches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) machine: Machine,
    /// Epochs that are done.
    pub(crate) epochs: u32,
    /// Mini-batches that are done.
    pub(crate) steps: u64,
    /// Rows of an epoch, of all hosts.
    pub(crate) rows: u64,
    pub(crate) warm_up: WarmUp,
    /// Whether the machine is more than what it was drawn as.
    pub(crate) is_model: bool,
}

impl State {
    /// Where the job goes on: its checkpoint, else its earlier model, else freshly drawn weights.
    ///
    /// # Errors
    /// When the checkpoint or the model is another training's, or damaged.
    pub(crate) fn begin(job: &Job, settings: &Settings) -> Result<Self, TrainError> {
        let kept = if job.cluster.is_root() { job.checkpoints.load(NAME)? } else { None };
        let bytes = job.cluster.broadcast(kept.unwrap_or_default())?;
        if !bytes.is_empty() {
            let state = Self::from_bytes(&bytes, settings, job.cluster.size())?;
            job.log.info(&format!("going on after {} epochs of a checkpoint", state.epochs));
            return Ok(state);
        }
        let earlier = earlier(job, settings)?;
        let is_model = earlier.is_some();
        let machine = earlier.unwrap_or_else(|| Machine::new(settings));
        Ok(Self { machine, epochs: 0, steps: 0, rows: 0, warm_up: WarmUp::new(), is_model })
    }

    /// Keeps the state, at host 0.
    ///
    /// # Errors
    /// When the checkpoint cannot be written.
    pub(crate) fn save(&self, job: &Job, settings: &Settings) -> Result<(), TrainError> {
        if !job.checkpoints.are_kept() || !job.cluster.is_root() {
            return Ok(());
        }
        job.checkpoints.save(NAME, &self.to_bytes(settings, job.cluster.size()))
    }

    /// A header (`u64` length, JSON) and all weights and moments, f32.
    fn to_bytes(&self, settings: &Settings, hosts: usize) -> Vec<u8> {
        let header = json!({
            "training": settings.fingerprint(hosts),
            "epochs": self.epochs,
            "steps": self.steps,
            "rows": self.rows,
            "warm_up": self.warm_up,
        });
        let header = header.to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        let Machine { bias, linear, pairs, .. } = &self.machine;
        for Weights { values, first, second } in [bias, linear, pairs] {
            for part in [values, first, second] {
                bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8], settings: &Settings, hosts: usize) -> Result<Self, TrainError> {
        let (header, weights) = split(bytes).ok_or_else(|| other(settings, hosts, "one without a header"))?;
        let training = header["training"].as_str().unwrap_or_default();
        if training != settings.fingerprint(hosts) {
            return Err(other(settings, hosts, &format!("one of ({training})")));
        }
        let (mut singles, columns) = (weights, settings.columns);
        let mut take = |count: usize| {
            let (part, rest) = singles.split_at_checked(4 * count)?;
            singles = rest;
            Some(part.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        };
        let mut group =
            |count| Some(Weights { values: take(count)?, first: take(count)?, second: take(count)? });
        let machine = (|| {
            let (bias, linear, pairs) = (group(1)?, group(columns)?, group(columns * settings.factors)?);
            Some(Machine { factors: settings.factors, bias, linear, pairs })
        })();
        let number = |key: &str| header[key].as_u64();
        let state = (|| {
            Some(Self {
                machine: machine?,
                epochs: u32::try_from(number("epochs")?).ok()?,
                steps: number("steps")?,
                rows: number("rows")?,
                warm_up: serde_json::from_value(header["warm_up"].clone()).ok()?,
                is_model: true,
            })
        })();
        state.ok_or_else(|| other(settings, hosts, "one that is cut or has other keys"))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a checkpoint is held to its digest: these are bytes of our own"
)]
fn split(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (header, weights) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some((serde_json::from_slice(header).ok()?, weights))
}

/// A checkpoint that is not this training's.
fn other(settings: &Settings, hosts: usize, found: &str) -> TrainError {
    TrainError::client(format!(
        "checkpoint: expected one of the same training ({}), found {found}; remove it to train from the start",
        settings.fingerprint(hosts)
    ))
}

/// The weights of an earlier model, with moments of 0.
fn earlier(job: &Job, settings: &Settings) -> Result<Option<Machine>, TrainError> {
    let Some(path) = &job.model else { return Ok(None) };
    let refuse = |reason: String| TrainError::client(format!("channel model: {reason}"));
    let artifact = Artifact::open(path, &job.resources.scratch).map_err(|error| refuse(error.to_string()))?;
    let (expected, found) = (Algorithm::FactorizationMachines, artifact.manifest().algorithm);
    if found != expected {
        let (expected, found) = (expected.name(), found.name());
        return Err(refuse(format!("expected a model of {expected}, found one of {found}")));
    }
    let (file, bytes) = artifact.read_only_file().map_err(|error| refuse(error.to_string()))?;
    let model = FactorizationMachines::from_member(file, &bytes, artifact.manifest())
        .map_err(|error| refuse(error.to_string()))?;
    let differs = [
        ("feature_dim", settings.columns.to_string(), model.columns().to_string()),
        ("num_factors", settings.factors.to_string(), model.num_factors().to_string()),
        ("predictor_type", settings.predictor.name().into(), model.predictor_type().name().into()),
    ];
    if let Some((name, expected, found)) = differs.iter().find(|(_, expected, found)| expected != found) {
        return Err(refuse(format!("expected {name} {expected}, found {found}")));
    }
    let (bias, linear, pairs) = model.into_parts();
    Ok(Some(Machine {
        factors: settings.factors,
        bias: Weights::of(vec![bias]),
        linear: Weights::of(linear),
        pairs: Weights::of(pairs),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rate: &str) -> Settings {
        let given = [
            ("feature_dim", "5"),
            ("num_factors", "3"),
            ("predictor_type", "regressor"),
            ("linear_lr", rate),
        ];
        Settings::of(&Job::for_tests(&given, &[])).expect("sound")
    }

    #[test]
    fn what_is_kept_is_taken_up_by_the_same_training_only() {
        let settings_1 = settings("0.1");
        let warm_up = vec![vec![Some(1.5), Some(0.0)]];
        let machine = Machine::new(&settings_1);
        let state = State { machine, epochs: 3, steps: 70, rows: 900, warm_up, is_model: true };
        let bytes = state.to_bytes(&settings_1, 2);
        assert_eq!(State::from_bytes(&bytes, &settings_1, 2).expect("its own"), state);
        let error = State::from_bytes(&bytes, &settings("0.2"), 2).expect_err("another's").to_string();
        assert!(error.contains("linear_lr=0.2") && error.contains("linear_lr=0.1"), "{error}");
        State::from_bytes(&bytes, &settings_1, 1).expect_err("of other hosts");
        for length in [0, 7, 30, bytes.len() - 1] {
            State::from_bytes(&bytes[..length], &settings_1, 2).expect_err("cut");
        }
    }
}
