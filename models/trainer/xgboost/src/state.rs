//! What a training that was killed goes on from: the booster's file, how many rounds it has, and how early stopping stands.
//!
//! Going on gives the trees that an uninterrupted training gives: the margins of the file are those that training had, and
//! where checkpoints are kept XGBoost draws its random numbers anew each round (`seed_per_iteration`). Only sampling of
//! columns is drawn over rounds, and goes on with other draws.

use std::collections::BTreeMap;

use estimator::TrainError;
use serde_json::{Value, json};

use crate::booster::Metric;
use crate::rounds::Best;

/// The most bytes of the description before the files. Reason: a few dozen metrics and hyperparameters.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// A training between two rounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct State {
    /// What it was trained of: hyperparameters, and the shape of the data. Others cannot go on from it.
    pub(crate) made_of: BTreeMap<String, String>,
    pub(crate) rounds_done: u32,
    pub(crate) best: Option<Best>,
    /// The metrics of the best round, or of the last.
    pub(crate) kept: Vec<Metric>,
    pub(crate) file: Vec<u8>,
    /// gblinear with early stopping: the file of the best round.
    pub(crate) best_file: Option<Vec<u8>>,
}

impl State {
    /// As bytes: the length of the description, the description, the files.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Bits, since a text would not bring NaN back.
        let kept: Vec<Value> = self
            .kept
            .iter()
            .map(|metric| json!([metric.channel, metric.name, metric.value.to_bits()]))
            .collect();
        let head = json!({
            "made_of": self.made_of,
            "rounds_done": self.rounds_done,
            "best": self.best.as_ref().map(|best| json!([best.round, best.value.to_bits()])),
            "kept": kept,
            "file_bytes": self.file.len(),
            "has_best_file": self.best_file.is_some(),
        })
        .to_string();
        let length = (head.len() as u64).to_le_bytes();
        let best_file = self.best_file.as_deref().unwrap_or_default();
        [length.as_slice(), head.as_bytes(), &self.file, best_file].concat()
    }

    /// The inverse.
    ///
    /// # Errors
    /// When they are something else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        Self::parse(bytes).ok_or_else(|| {
            TrainError::client(
                "checkpoint state: expected one of XGBoost, found another; remove it to train from the start",
            )
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length =
            usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= HEAD_BYTES_MAX)?;
        let (head, files) = rest.split_at_checked(length)?;
        let head: Value = serde_json::from_str(std::str::from_utf8(head).ok()?).ok()?;
        let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let metric = |metric: &Value| {
            let text = |index: usize| metric.get(index)?.as_str().map(str::to_owned);
            let value = f64::from_bits(metric.get(2)?.as_u64()?);
            Some(Metric { channel: text(0)?, name: text(1)?, value })
        };
        let best = |best: &Value| {
            let round = u32::try_from(best.get(0)?.as_u64()?).ok()?;
            Some(Best { round, value: f64::from_bits(best.get(1)?.as_u64()?) })
        };
        let (file, best_file) =
            files.split_at_checked(usize::try_from(head["file_bytes"].as_u64()?).ok()?)?;
        Some(Self {
            made_of: head["made_of"].as_object()?.iter().map(pair).collect::<Option<_>>()?,
            rounds_done: u32::try_from(head["rounds_done"].as_u64()?).ok()?,
            best: if head["best"].is_null() { None } else { Some(best(&head["best"])?) },
            kept: head["kept"].as_array()?.iter().map(metric).collect::<Option<_>>()?,
            file: file.to_vec(),
            best_file: head["has_best_file"].as_bool()?.then(|| best_file.to_vec()),
        })
    }

    /// Refuses to go on from what was made of something else, and names it.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn check_made_of(&self, expected: &BTreeMap<String, String>) -> Result<(), TrainError> {
        let names = self.made_of.keys().chain(expected.keys());
        let differs = |name: &&String| self.made_of.get(*name) != expected.get(*name);
        let Some(name) = names.into_iter().find(differs) else { return Ok(()) };
        let shown = |of: &BTreeMap<String, String>| of.get(name).cloned().unwrap_or_else(|| "none".into());
        Err(TrainError::client(format!(
            "checkpoint state: expected {name} {} as in this job, found {}; remove it to train from the start",
            shown(expected),
            shown(&self.made_of)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let metric = |value| Metric { channel: "train".into(), name: "rmse".into(), value };
        State {
            made_of: [("eta".to_owned(), "0.1".to_owned())].into(),
            rounds_done: 7,
            best: Some(Best { round: 3, value: 0.1 + 0.2 }),
            kept: vec![metric(f64::INFINITY), metric(1.0 / 3.0)],
            file: b"model".to_vec(),
            best_file: Some(Vec::new()),
        }
    }

    #[test]
    fn a_state_comes_back() {
        let check = |state: State| assert_eq!(State::from_bytes(&state.to_bytes()).expect("ours"), state);
        check(state());
        check(State { best: None, best_file: None, kept: Vec::new(), ..state() });
    }

    #[test]
    fn torn_and_foreign_bytes_are_refused() {
        let bytes = state().to_bytes();
        let head = bytes.len() - 5;
        for length in (0..head).step_by(7) {
            State::from_bytes(&bytes[..length]).expect_err("torn");
        }
        State::from_bytes(&[255; 64]).expect_err("foreign");
    }

    #[test]
    fn another_jobs_state_is_refused_by_name() {
        let other = [("eta".to_owned(), "0.2".to_owned())].into();
        let error = state().check_made_of(&other).expect_err("another eta").to_string();
        assert!(error.contains("expected eta 0.2 as in this job, found 0.1"), "{error}");
        let wider = [("eta".to_owned(), "0.1".to_owned()), ("features".to_owned(), "3".to_owned())].into();
        let error = state().check_made_of(&wider).expect_err("wider").to_string();
        assert!(error.contains("expected features 3 as in this job, found none"), "{error}");
    }
}
