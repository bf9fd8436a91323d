//! A uniform sample without replacement of the rows of all hosts, in one pass: every row draws a random key, and those with
//! the smallest are kept. Samples of hosts are put together by the same rule, whatever the sizes of their shards (the
//! reservoir sampling of Park, Ostrouchov, Samatova and Geist 2004 serves the same end by weights).

use std::collections::BinaryHeap;

use dmatrix::{DMatrix, Row};
use estimator::{Job, TrainError};

/// The rows with the smallest keys so far.
#[derive(Debug)]
pub(crate) struct Sample {
    columns: usize,
    rows_max: usize,
    seed: u64,
    host: u64,
    /// Rows seen.
    seen: u64,
    /// (key, which row of `values`), the largest key on top.
    kept: BinaryHeap<(u64, usize)>,
    /// Row-major, in no order.
    values: Vec<f32>,
}

impl Sample {
    pub(crate) fn new(columns: usize, rows_max: usize, seed: u64, host: usize) -> Self {
        let (kept, values) = (BinaryHeap::new(), Vec::new());
        Self { columns, rows_max, seed, host: host as u64, seen: 0, kept, values }
    }

    /// Rows seen.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Shows it the next rows.
    ///
    /// # Errors
    /// When the sample has outgrown `memory_bytes`.
    pub(crate) fn add(&mut self, batch: &DMatrix, memory_bytes: u64) -> Result<(), TrainError> {
        for row in 0..batch.rows() {
            let key = key(self.seed, self.host, self.seen);
            self.seen += 1;
            let slot = match self.kept.peek() {
                Some((largest, _)) if self.kept.len() == self.rows_max && key >= *largest => continue,
                Some((_, slot)) if self.kept.len() == self.rows_max => {
                    let slot = *slot;
                    self.kept.pop();
                    slot
                }
                _ => {
                    self.values.resize(self.values.len() + self.columns, 0.0);
                    self.kept.len()
                }
            };
            self.kept.push((key, slot));
            let values = &mut self.values[slot * self.columns..(slot + 1) * self.columns];
            match batch.row(row) {
                Row::Dense(row) => values.copy_from_slice(row),
                Row::Sparse { indices, values: entries } => {
                    values.fill(0.0);
                    indices.iter().zip(entries).for_each(|(index, value)| values[*index as usize] = *value);
                }
            }
        }
        let bytes = size_of_val(self.values.as_slice()) as u64;
        if bytes > memory_bytes {
            return Err(TrainError::client(format!(
                "hyperparameters num_trees and num_samples_per_tree: expected a sample of at most {memory_bytes} bytes of memory, \
                 found {} records of {} features, {bytes} bytes",
                self.kept.len(),
                self.columns
            )));
        }
        Ok(())
    }

    /// The sample of all hosts, row-major, in the order of the keys, which is a random one.
    pub(crate) fn finish(self, job: &Job) -> Result<Vec<f32>, TrainError> {
        let (columns, rows_max) = (self.columns, self.rows_max);
        let (kept, values) = (self.kept.into_sorted_vec(), self.values);
        let own: Vec<u8> = kept.iter().flat_map(|(key, _)| key.to_le_bytes()).collect();
        let keys: Vec<Vec<u64>> = job.cluster.gather(own)?.iter().map(|bytes| words(bytes)).collect();
        let mut all: Vec<(u64, usize, usize)> = Vec::new();
        for (host, keys) in keys.iter().enumerate() {
            all.extend(keys.iter().enumerate().map(|(place, key)| (*key, host, place)));
        }
        all.sort_unstable();
        all.truncate(rows_max);
        // Only the rows that all agree on travel.
        let chosen = all.iter().filter(|(_, host, _)| *host == job.cluster.rank()).count();
        let rows = kept[..chosen].iter().flat_map(|(_, slot)| &values[slot * columns..(slot + 1) * columns]);
        let parts = job.cluster.gather(rows.flat_map(|value| value.to_le_bytes()).collect())?;
        drop(values);
        let mut sample = Vec::with_capacity(all.len() * columns);
        for (_, host, place) in all {
            let row = parts[host].get(place * columns * 4..(place + 1) * columns * 4).ok_or_else(|| {
                TrainError::Internal(format!("host {host} sent fewer rows of the sample than it has keys"))
            })?;
            let (chunks, _) = row.as_chunks::<4>();
            sample.extend(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok(sample)
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
}

/// Spreads (seed, host, place) over all of u64. Each step is one to one, so that one host's keys of up to 2^40 rows never meet.
fn key(seed: u64, host: u64, place: u64) -> u64 {
    spread(spread(seed) ^ spread((host << 40) | place))
}

/// The finisher of SplitMix64 (Steele, Lea, Flood 2014).
fn spread(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: usize, rows_max: usize, batch: usize, seed: u64) -> Vec<f32> {
        let mut sample = Sample::new(1, rows_max, seed, 0);
        let all: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        for part in all.chunks(batch) {
            sample.add(&DMatrix::from_dense(part.to_vec(), 1), u64::MAX).expect("small");
        }
        assert_eq!(sample.seen(), rows as u64);
        sample.finish(&Job::for_tests(&[], &[])).expect("one host")
    }

    #[test]
    fn every_row_is_there_once_while_there_is_room() {
        let mut found = sample(50, 100, 7, 0);
        found.sort_by(f32::total_cmp);
        assert_eq!(found, (0..50).map(|row| row as f32).collect::<Vec<_>>());
    }

    #[test]
    fn every_row_is_as_likely() {
        let (rows, kept, seeds) = (100, 20, 500);
        let mut counts = vec![0; rows];
        for seed in 0..seeds {
            let found = sample(rows, kept, 9, seed);
            assert_eq!(found.len(), kept);
            found.iter().for_each(|row| counts[*row as usize] += 1);
        }
        // 100 expected, standard deviation 9.
        assert!(counts.iter().all(|count| (55..=145).contains(count)), "{counts:?}");
    }

    #[test]
    fn batches_do_not_matter_and_seeds_do() {
        assert_eq!(sample(300, 40, 1, 3), sample(300, 40, 300, 3));
        assert_ne!(sample(300, 40, 1, 3), sample(300, 40, 1, 4));
    }

    #[test]
    fn a_sample_beyond_the_memory_is_refused() {
        let mut sample = Sample::new(1, 10, 0, 0);
        let error = sample.add(&DMatrix::from_dense(vec![1.0; 10], 1), 39).expect_err("40 bytes").to_string();
        assert!(error.contains("at most 39 bytes") && error.contains("40 bytes"), "{error}");
    }
}
