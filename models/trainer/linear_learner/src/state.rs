//! A training between two epochs as bytes, so that one that was killed goes on with the same bits.
//!
//! All little-endian: the job's fingerprint, the scaler, then what training has come to. The fingerprint holds all
//! hyperparameters but `epochs`; it and the scaler must be the same in the job that goes on.

use estimator::TrainError;

use crate::scaler::Scaler;
use crate::training::{Best, Progress};
use crate::weights::Weights;

const MAGIC: u64 = u64::from_le_bytes(*b"CLARYLL1");

/// Writes what [`read`] reads.
pub(crate) fn write(fingerprint: &str, scaler: &Scaler, progress: &Progress) -> Vec<u8> {
    let mut out = Writer::default();
    out.word(MAGIC);
    out.bytes(fingerprint.as_bytes());
    out.bytes(&scaler_bytes(scaler));
    out.word(u64::from(progress.epochs_done));
    out.word(progress.steps);
    out.word(progress.reference.map_or(u64::MAX, f64::to_bits));
    out.word(u64::from(progress.stale_epochs));
    out.weights(&progress.weights);
    out.singles(&progress.first);
    out.singles(&progress.second);
    out.word(u64::from(progress.best.is_some()));
    if let Some(best) = &progress.best {
        out.word(best.model as u64);
        out.word(u64::from(best.epoch));
        out.word(best.value.to_bits());
        out.word(best.loss.to_bits());
        out.weights(&best.weights);
    }
    out.0
}

/// Reads a checkpoint into `progress`, which says what sizes are expected.
///
/// # Errors
/// When it is of other hyperparameters or other data, or not a checkpoint.
pub(crate) fn read(
    bytes: &[u8],
    fingerprint: &str,
    scaler: &Scaler,
    progress: &mut Progress,
) -> Result<(), TrainError> {
    let mut input = Reader(bytes);
    if input.word()? != MAGIC {
        return Err(damaged());
    }
    let found = String::from_utf8_lossy(input.bytes()?);
    if found != fingerprint {
        return Err(TrainError::client(format!(
            "checkpoint: expected one of hyperparameters {fingerprint}, found one of {found}; remove it to train from \
             the start"
        )));
    }
    if input.bytes()? != scaler_bytes(scaler) {
        return Err(TrainError::client(
            "checkpoint: expected one of the same data, found one of a channel train with other means or deviations; \
             remove it to train from the start",
        ));
    }
    progress.epochs_done = u32::try_from(input.word()?).map_err(|_| damaged())?;
    progress.steps = input.word()?;
    let reference = input.word()?;
    progress.reference = (reference != u64::MAX).then(|| f64::from_bits(reference));
    progress.stale_epochs = u32::try_from(input.word()?).map_err(|_| damaged())?;
    let (width, columns) = (progress.weights.width, progress.weights.weight.len() / progress.weights.width);
    let outputs = progress.outputs;
    progress.weights = input.weights(width, columns)?;
    progress.first = input.singles((columns + 1) * width)?;
    progress.second = input.singles((columns + 1) * width)?;
    progress.best = match input.word()? {
        0 => None,
        _ => Some(Best {
            model: usize::try_from(input.word()?).ok().filter(|model| *model < width).ok_or_else(damaged)?,
            epoch: u32::try_from(input.word()?).map_err(|_| damaged())?,
            value: f64::from_bits(input.word()?),
            loss: f64::from_bits(input.word()?),
            weights: input.weights(outputs, columns)?,
        }),
    };
    if input.0.is_empty() { Ok(()) } else { Err(damaged()) }
}

fn damaged() -> TrainError {
    TrainError::client(
        "checkpoint: expected one of linear-learner, found other bytes; remove it to train from the start",
    )
}

fn scaler_bytes(scaler: &Scaler) -> Vec<u8> {
    let mut out = Writer::default();
    out.singles(&scaler.shift);
    out.singles(&scaler.factor);
    out.word(scaler.label_shift.to_bits());
    out.word(scaler.label_scale.to_bits());
    scaler.class_rows.iter().for_each(|rows| out.word(rows.to_bits()));
    out.0
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn word(&mut self, word: u64) {
        self.0.extend(word.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn singles(&mut self, values: &[f32]) {
        self.word(values.len() as u64);
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    fn weights(&mut self, weights: &Weights) {
        self.singles(&weights.weight);
        self.singles(&weights.bias);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn word(&mut self) -> Result<u64, TrainError> {
        let (head, rest) = self.0.split_first_chunk::<8>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*head))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], TrainError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(head)
    }

    fn bytes(&mut self) -> Result<&'a [u8], TrainError> {
        let length = usize::try_from(self.word()?).map_err(|_| damaged())?;
        self.take(length)
    }

    fn singles(&mut self, length: usize) -> Result<Vec<f32>, TrainError> {
        if self.word()? != length as u64 {
            return Err(damaged());
        }
        let (chunks, _) = self.take(length * 4)?.as_chunks::<4>();
        Ok(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn weights(&mut self, width: usize, columns: usize) -> Result<Weights, TrainError> {
        Ok(Weights { width, weight: self.singles(width * columns)?, bias: self.singles(width)? })
    }
}
