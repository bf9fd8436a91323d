//! The first centers: chosen from the records of the first mini-batches, no two of which are equal.
//!
//! Records are kept once with their number until there are as many different ones as centers; so memory is bounded by one
//! batch and K records, whatever the data repeats. The counted records are then the first step of stage A.

use std::collections::HashMap;

use dmatrix::DMatrix;
use estimator::{Cluster, TrainError};

use crate::assign::spread_row;
use crate::table::Settings;

/// Different records and how often each was seen.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) points: Vec<f32>,
    pub(crate) counts: Vec<f64>,
    /// By the hash of a record's bits: the places of those that have it.
    places: HashMap<u64, Vec<u32>>,
}

impl Pool {
    /// Takes the rows of a batch in.
    pub(crate) fn add(&mut self, rows: &DMatrix) {
        let mut point = vec![0.0; rows.columns()];
        for row in 0..rows.rows() {
            spread_row(rows.row(row), &mut point);
            self.add_point(&mut point);
        }
    }

    fn add_point(&mut self, point: &mut [f32]) {
        // FNV-1a. -0 and 0 are equal, so they are made the same.
        let mut hash = 0xCBF2_9CE4_8422_2325u64;
        for value in point.iter_mut() {
            *value += 0.0;
            hash = (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01B3);
        }
        let columns = point.len();
        let places = self.places.entry(hash).or_default();
        let known = places.iter().find(|place| {
            let start = **place as usize * columns;
            self.points[start..start + columns] == *point
        });
        match known {
            Some(place) => self.counts[*place as usize] += 1.0,
            None => {
                places.push(self.counts.len() as u32);
                self.points.extend_from_slice(point);
                self.counts.push(1.0);
            }
        }
    }

    /// The number of different records.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// At most `count` of them, by the job's method.
    fn choose(&self, settings: &Settings, count: usize, seed: u64) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        let chosen = settings.seeding.choose(&self.points, &self.counts, count.min(self.len()), &mut random);
        let columns = settings.columns;
        chosen.iter().flat_map(|&row| &self.points[row * columns..(row + 1) * columns]).copied().collect()
    }

    /// The first centers, the same at all hosts: K of them, fewer where there are not as many different records, at
    /// least k.
    ///
    /// # Errors
    /// When there are fewer records than k, or a host is gone.
    pub(crate) fn centers(
        &self,
        settings: &Settings,
        cluster: &Cluster,
        warn: impl FnOnce(&str),
    ) -> Result<Vec<f32>, TrainError> {
        let (k, columns) = (settings.k, settings.columns);
        let mut records = [self.counts.iter().sum::<f64>()];
        cluster.sum(&mut records)?;
        if records[0] < k as f64 {
            return Err(TrainError::client(format!(
                "channel train: expected at least k = {k} records, found {}",
                records[0]
            )));
        }
        let seed = settings.seed.wrapping_add((cluster.rank() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut centers = self.choose(settings, settings.centers(), seed);
        if cluster.size() > 1 {
            let bytes = centers.iter().flat_map(|value| value.to_le_bytes()).collect();
            let mut all = Self::default();
            for host in cluster.gather(bytes)? {
                let (values, _) = host.as_chunks::<4>();
                let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                all.add(&DMatrix::from_dense(values, columns));
            }
            centers = all.choose(settings, settings.centers(), settings.seed);
        }
        let different = centers.len() / columns;
        if different < k {
            warn(&format!(
                "expected at least k = {k} different records, found {different}: some centers are the same"
            ));
            centers = centers.into_iter().cycle().take(k * columns).collect();
        }
        Ok(centers)
    }
}

#[cfg(test)]
mod tests {
    use estimator::Job;

    use super::*;

    fn pool(values: &[f32]) -> Pool {
        let mut pool = Pool::default();
        pool.add(&DMatrix::from_dense(values.to_vec(), 2));
        pool
    }

    fn centers(pool: &Pool, k: &str) -> Result<Vec<f32>, String> {
        let job = Job::for_tests(&[("feature_dim", "2"), ("k", k)], &[]);
        let settings = Settings::of(&job).expect("sound");
        pool.centers(&settings, &Cluster::single(), |_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn equal_records_are_counted_once() {
        let pool = pool(&[1.0, 0.0, 2.0, 0.0, 1.0, -0.0]);
        assert_eq!(
            (pool.points.as_slice(), pool.counts.as_slice()),
            (&[1.0, 0.0, 2.0, 0.0][..], &[2.0, 1.0][..])
        );
    }

    #[test]
    fn few_different_records_give_fewer_centers_but_k() {
        let pool = pool(&[1.0, 0.0, 2.0, 0.0, 1.0, 0.0]);
        assert_eq!(centers(&pool, "1"), Ok(vec![1.0, 0.0, 2.0, 0.0]));
        assert_eq!(centers(&pool, "3"), Ok(vec![1.0, 0.0, 2.0, 0.0, 1.0, 0.0]));
        let error = centers(&pool, "4").expect_err("three records");
        assert_eq!(error, "channel train: expected at least k = 4 records, found 3");
    }
}
