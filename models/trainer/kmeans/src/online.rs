//! Stage A: centers as running means of the records nearest to them.
//!
//! A batch that brings center j the weight `b` of records with mean `m` makes its weight `n ← n·λ^rows + b` and moves it to
//! `(1-p)·c + p·m` with `p = b/n`. λ is below 1 where records have a half-life.

use dmatrix::{DMatrix, Row};
use estimator::{Cluster, TrainError};

use crate::assign::{Nearest, add_by_center};

/// Records of one step, with their weights where they are not 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch<'a> {
    /// A mini-batch as it was read.
    Read(&'a DMatrix),
    /// Row-major records, each as often as its weight says.
    Counted(&'a [f32], &'a [f64]),
    /// This host has no more.
    None,
}

/// What a step did, over all hosts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// Whether any host had records.
    pub(crate) had_records: bool,
    /// Whether any host is to stop.
    pub(crate) is_last: bool,
    /// The records seen.
    pub(crate) records: f64,
    /// The sum of their squared distances before the centers moved.
    pub(crate) squared: f64,
}

/// The centers of stage A.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Online {
    pub(crate) columns: usize,
    /// In double precision, so that many small steps add up.
    pub(crate) centers: Vec<f64>,
    /// The weight of what each center is the mean of.
    pub(crate) counts: Vec<f64>,
}

impl Online {
    /// Centers that stand for nothing yet.
    pub(crate) fn new(centers: &[f32], columns: usize) -> Self {
        let counts = vec![0.0; centers.len() / columns];
        Self { columns, centers: centers.iter().map(|value| f64::from(*value)).collect(), counts }
    }

    /// The number of centers.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The centers as they are compared with and written.
    pub(crate) fn singles(&self) -> Vec<f32> {
        self.centers.iter().map(|value| *value as f32).collect()
    }

    /// Takes one batch of every host in.
    ///
    /// # Errors
    /// When a host is gone.
    pub(crate) fn step(
        &mut self,
        batch: Batch<'_>,
        decay: f64,
        stops: bool,
        cluster: &Cluster,
    ) -> Result<Step, TrainError> {
        let (values, centers) = (self.centers.len(), self.len());
        let mut all = vec![0.0; values + centers + 4];
        let (sums, rest) = all.split_at_mut(values);
        let (counts, told) = rest.split_at_mut(centers);
        let (had_records, records, squared) = self.measure(batch, sums, counts);
        told.copy_from_slice(&[
            f64::from(u8::from(had_records)),
            f64::from(u8::from(stops)),
            records,
            squared,
        ]);
        cluster.sum(&mut all)?;
        let (sums, rest) = all.split_at(values);
        let (counts, told) = rest.split_at(centers);
        self.move_centers(sums, counts, decay.powf(told[2]));
        Ok(Step { had_records: told[0] > 0.0, is_last: told[1] > 0.0, records: told[2], squared: told[3] })
    }

    /// This host's sums: whether there are records, how many, and their squared distances.
    fn measure(&self, batch: Batch<'_>, sums: &mut [f64], counts: &mut [f64]) -> (bool, f64, f64) {
        let (columns, singles) = (self.columns, self.singles());
        let nearest = Nearest::new(&singles, columns);
        match batch {
            Batch::None => (false, 0.0, 0.0),
            Batch::Read(rows) => {
                let nearby = nearest.of_matrix(rows);
                add_by_center(&nearby, |row| rows.row(row), None, sums, counts);
                (true, rows.rows() as f64, nearby.iter().map(|nearby| nearby.squared).sum())
            }
            Batch::Counted(points, weights) => {
                let nearby = nearest.of_points(points);
                let row = |row: usize| Row::Dense(&points[row * columns..(row + 1) * columns]);
                add_by_center(&nearby, row, Some(weights), sums, counts);
                let squared =
                    nearby.iter().zip(weights).map(|(nearby, weight)| weight * nearby.squared).sum();
                (true, weights.iter().sum(), squared)
            }
        }
    }

    fn move_centers(&mut self, sums: &[f64], counts: &[f64], decay: f64) {
        let moved = self.centers.chunks_exact_mut(self.columns).zip(sums.chunks_exact(self.columns));
        for ((center, sums), (weight, count)) in moved.zip(self.counts.iter_mut().zip(counts)) {
            *weight = *weight * decay + count;
            if *count > 0.0 {
                let share = count / *weight;
                for (value, sum) in center.iter_mut().zip(sums) {
                    *value += share * (sum / count - *value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn online(center: f64, count: f64) -> Online {
        Online { columns: 1, centers: vec![center], counts: vec![count] }
    }

    fn step(online: &mut Online, values: &[f32], decay: f64) -> Step {
        let rows = DMatrix::from_dense(values.to_vec(), 1);
        online.step(Batch::Read(&rows), decay, false, &Cluster::single()).expect("one host")
    }

    #[test]
    fn new_records_weigh_by_their_share() {
        let mut online = online(0.0, 100.0);
        let step = step(&mut online, &[1.0; 25], 1.0);
        assert_eq!(step, Step { had_records: true, is_last: false, records: 25.0, squared: 25.0 });
        assert_eq!((online.centers[0], online.counts[0]), (0.2, 125.0));
    }

    #[test]
    fn old_records_weigh_half_after_the_half_life() {
        let mut online = online(0.0, 100.0);
        step(&mut online, &[1.0; 50], (-1.0f64 / 50.0).exp2());
        assert!((online.counts[0] - 100.0).abs() < 1e-9 && (online.centers[0] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn counted_records_are_as_many() {
        let (mut once, mut counted) = (online(1.0, 2.0), online(1.0, 2.0));
        let found = step(&mut once, &[3.0, 3.0, 3.0, 5.0], 0.9);
        let batch = Batch::Counted(&[3.0, 5.0], &[3.0, 1.0]);
        assert_eq!(counted.step(batch, 0.9, false, &Cluster::single()).expect("one host"), found);
        assert_eq!(once, counted);
    }

    #[test]
    fn a_half_life_follows_a_drift() {
        let drift: Vec<f32> = (0..2000).map(|row| row as f32 / 100.0).collect();
        let end = |decay: f64| {
            let mut online = online(0.0, 0.0);
            drift.chunks(50).for_each(|values| {
                step(&mut online, values, decay);
            });
            (online.centers[0] - 20.0).abs()
        };
        assert!(end((-1.0f64 / 100.0).exp2()) < 0.2 * end(1.0));
    }
}
