//! A training between two epochs as bytes, so that one that was killed goes on with the same bits.
//!
//! All little-endian: the job's fingerprint, the scaler, then what training has come to. The fingerprint holds all
//! hyperparameters but `epochs`; it and the scaler must be the same in the job that goes on.

use estimator::TrainError;

use crate::scaler::Scaler;
use crate::training::Progress;
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
    out.weights(&progress.weights);
    out.weights(&progress.mean);
    out.singles(&progress.first);
    out.singles(&progress.second);
    out.weights(&progress.best.weights);
    for numbers in [&progress.best.values, &progress.best.losses, &progress.references] {
        numbers.iter().for_each(|number| out.word(number.to_bits()));
    }
    progress.stale_epochs.iter().for_each(|epochs| out.word(u64::from(*epochs)));
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
    let (width, columns) = (progress.weights.width, progress.weights.weight.len() / progress.weights.width);
    progress.weights = input.weights(width, columns)?;
    progress.mean = input.weights(width, columns)?;
    progress.first = input.singles((columns + 1) * width)?;
    progress.second = input.singles((columns + 1) * width)?;
    progress.best.weights = input.weights(width, columns)?;
    let best = &mut progress.best;
    for numbers in [&mut best.values, &mut best.losses, &mut progress.references] {
        for number in numbers {
            *number = f64::from_bits(input.word()?);
        }
    }
    for epochs in &mut progress.stale_epochs {
        *epochs = u32::try_from(input.word()?).map_err(|_| damaged())?;
    }
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
