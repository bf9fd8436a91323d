//! One pass over the documents: each is dealt to one of a fixed number of sums, which threads fill side by side.

use dmatrix::{DMatrix, Row};
use estimator::{Job, Order, Rows, TrainError, warm_up_rows};
use rayon::prelude::*;

/// Sums that documents are dealt to. Reason: keeps as many threads busy, and each costs memory.
pub(crate) const PARTS: usize = 4;
/// The most values of a batch of dense documents: 16 MiB.
const BATCH_VALUES_MAX: usize = 4 << 20;
/// The most documents of a batch.
const BATCH_DOCUMENTS_MAX: usize = 4096;

/// Documents with fewer words say nothing of how words go together in threes.
const WORDS_MIN: f64 = 3.0;

/// A document: its words that occur, how often, and how many there are together.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) counts: Vec<(usize, f64)>,
    pub(crate) length: f64,
}

/// What a pass saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    /// The first documents, for a server to score before it takes requests.
    pub(crate) first: Vec<Vec<Option<f32>>>,
    pub(crate) documents: u64,
    /// Of these, those that are too short to count.
    pub(crate) dropped: u64,
}

/// Documents that are read together.
pub(crate) fn batch_documents(words: usize) -> usize {
    (BATCH_VALUES_MAX / words).clamp(1, BATCH_DOCUMENTS_MAX)
}

/// Reads all documents; those of at least three words are added to one of `sums`, of which there are [`PARTS`].
///
/// # Errors
/// When a count is not one, or a stop is asked for.
pub(crate) fn sweep<S: Send>(
    job: &Job,
    rows: &mut Rows,
    sums: &mut [S],
    add: impl Fn(&mut S, &Document) + Sync,
) -> Result<Seen, TrainError> {
    let mut pass = rows.pass(Order::AsRead)?;
    let (mut batch, mut seen) = (DMatrix::new(), Seen::default());
    while pass.next(&mut batch)? {
        if job.stop.is_asked_for() {
            return Err(TrainError::Stopped);
        }
        if seen.documents == 0 {
            seen.first = warm_up_rows(&batch);
            // An absent word is 0, not missing.
            seen.first.iter_mut().flatten().for_each(|count| *count = count.or(Some(0.0)));
        }
        let share = batch.rows().div_ceil(PARTS);
        let part = |(part, sums): (usize, &mut S)| {
            let (mut document, mut dropped) = (Document::default(), 0);
            for row in part * share..((part + 1) * share).min(batch.rows()) {
                document.read(batch.row(row)).map_err(|reason| {
                    let place = seen.documents + row as u64 + 1;
                    TrainError::client(format!("channel train, row {place}: {reason}"))
                })?;
                if document.length < WORDS_MIN {
                    dropped += 1;
                } else {
                    add(sums, &document);
                }
            }
            Ok(dropped)
        };
        let dropped: Result<Vec<u64>, TrainError> = sums.par_iter_mut().enumerate().map(part).collect();
        seen.dropped += dropped?.iter().sum::<u64>();
        seen.documents += batch.rows() as u64;
    }
    Ok(seen)
}

impl Document {
    /// Takes a row over; words that do not occur are passed over.
    fn read(&mut self, row: Row<'_>) -> Result<(), String> {
        self.counts.clear();
        let mut push = |word: usize, count: f32| {
            if count < 0.0 {
                return Err(format!("column {}: expected a count of at least 0, found {count}", word + 1));
            }
            if count > 0.0 {
                self.counts.push((word, f64::from(count)));
            }
            Ok(())
        };
        match row {
            Row::Dense(values) => {
                values.iter().enumerate().try_for_each(|(word, count)| push(word, *count))?;
            }
            Row::Sparse { indices, values } => {
                indices.iter().zip(values).try_for_each(|(word, count)| push(*word as usize, *count))?;
            }
        }
        self.length = self.counts.iter().map(|(_, count)| count).sum();
        Ok(())
    }
}
