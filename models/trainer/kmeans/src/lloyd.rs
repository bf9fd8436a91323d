//! Weighted Lloyd over points in memory: assign, move every center to the mean of its points, until the loss stands.

use dmatrix::Row;

use crate::assign::{Nearby, Nearest, add_by_center};
use crate::seeding::Seeding;

/// How points are clustered.
#[derive(Debug, Clone, Copy)]
pub struct Lloyd {
    /// The number of centers.
    pub k: usize,
    /// How they are first chosen.
    pub seeding: Seeding,
    /// How often it begins anew; the best is kept.
    pub trials: usize,
    /// The most rounds of a trial.
    pub iterations_max: usize,
    /// A trial ends when a round lessens the loss by less than this part of it.
    pub tolerance: f64,
    /// What decides the choices.
    pub seed: u64,
}

/// What clustering gives.
#[derive(Debug, Clone)]
pub struct Clustering {
    /// k centers, row-major.
    pub centers: Vec<f32>,
    /// The weight of each center's points.
    pub counts: Vec<f64>,
    /// The weighted mean of the squared distances.
    pub loss: f64,
}

impl Lloyd {
    /// Clusters `points`, row-major, as many as `weights` and at least k. Told of every trial's loss; where `each` answers
    /// false, no further trial begins.
    ///
    /// # Panics
    /// When there are fewer points than centers, or no trial is asked for.
    pub fn run(
        &self,
        points: &[f32],
        weights: &[f64],
        mut each: impl FnMut(usize, f64) -> bool,
    ) -> Clustering {
        assert!(self.k <= weights.len(), "there are as many points as centers");
        let mut best: Option<Clustering> = None;
        for trial in 0..self.trials {
            let mut random = fastrand::Rng::with_seed(self.seed ^ (trial as u64).wrapping_mul(0x9E37_79B9));
            let found = self.trial(points, weights, &mut random);
            let goes_on = each(trial, found.loss);
            if best.as_ref().is_none_or(|best| found.loss < best.loss) {
                best = Some(found);
            }
            if !goes_on {
                break;
            }
        }
        best.expect("there is a trial")
    }

    fn trial(&self, points: &[f32], weights: &[f64], random: &mut fastrand::Rng) -> Clustering {
        let columns = points.len() / weights.len();
        let chosen = self.seeding.choose(points, weights, self.k, random);
        let mut centers: Vec<f32> =
            chosen.iter().flat_map(|&row| &points[row * columns..(row + 1) * columns]).copied().collect();
        let mut nearby = Nearest::new(&centers, columns).of_points(points);
        let mut loss = weighted_loss(&nearby, weights);
        let mut counts;
        let mut iteration = 0;
        loop {
            counts = self.move_centers(points, weights, &mut nearby, &mut centers);
            nearby = Nearest::new(&centers, columns).of_points(points);
            let last = std::mem::replace(&mut loss, weighted_loss(&nearby, weights));
            iteration += 1;
            if iteration >= self.iterations_max || last - loss <= self.tolerance * last {
                break;
            }
        }
        Clustering { centers, counts, loss }
    }

    /// Every center to the mean of its points; one without points to the point that is worst off.
    fn move_centers(
        &self,
        points: &[f32],
        weights: &[f64],
        nearby: &mut [Nearby],
        centers: &mut [f32],
    ) -> Vec<f64> {
        let columns = points.len() / weights.len();
        let row = |row: usize| Row::Dense(&points[row * columns..(row + 1) * columns]);
        fill_empty(nearby, weights, self.k);
        let (mut sums, mut counts) = (vec![0.0; self.k * columns], vec![0.0; self.k]);
        add_by_center(nearby, row, Some(weights), &mut sums, &mut counts);
        for ((center, sums), count) in
            centers.chunks_exact_mut(columns).zip(sums.chunks_exact(columns)).zip(&counts)
        {
            if *count > 0.0 {
                center.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum / count) as f32);
            }
        }
        counts
    }
}

/// Gives every center without points the point whose weighted distance is the largest.
fn fill_empty(nearby: &mut [Nearby], weights: &[f64], k: usize) {
    let mut members = vec![0usize; k];
    nearby.iter().for_each(|nearby| members[nearby.center as usize] += 1);
    for empty in (0..k).filter(|center| members[*center] == 0).collect::<Vec<_>>() {
        let pain = |row: usize| weights[row] * nearby[row].squared;
        let candidates = (0..nearby.len()).filter(|row| members[nearby[*row].center as usize] > 1);
        let Some(worst) = candidates.max_by(|left, right| pain(*left).total_cmp(&pain(*right))) else {
            return;
        };
        members[nearby[worst].center as usize] -= 1;
        members[empty] = 1;
        nearby[worst] = Nearby { center: empty as u32, squared: 0.0 };
    }
}

fn weighted_loss(nearby: &[Nearby], weights: &[f64]) -> f64 {
    let loss: f64 = nearby.iter().zip(weights).map(|(nearby, weight)| weight * nearby.squared).sum();
    let total: f64 = weights.iter().sum();
    if total > 0.0 { loss / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLOYD: Lloyd =
        Lloyd { k: 2, seeding: Seeding::PlusPlus, trials: 3, iterations_max: 100, tolerance: 1e-4, seed: 0 };

    #[test]
    fn weights_move_centers() {
        let found = LLOYD.run(&[0.0, 1.0, 10.0], &[3.0, 1.0, 2.0], |_, _| true);
        let mut centers = found.centers.clone();
        centers.sort_by(f32::total_cmp);
        assert_eq!(centers, [0.25, 10.0]);
        assert!((found.loss - (3.0 * 0.0625 + 0.5625) / 6.0).abs() < 1e-9);
        assert_eq!(found.counts.iter().sum::<f64>(), 6.0);
    }

    #[test]
    fn a_center_without_points_takes_the_worst_off() {
        let mut nearby = [(0, 1.0), (0, 9.0), (0, 4.0)].map(|(center, squared)| Nearby { center, squared });
        fill_empty(&mut nearby, &[1.0, 1.0, 3.0], 2);
        assert_eq!(nearby.map(|nearby| nearby.center), [0, 0, 1]);
    }

    #[test]
    fn as_many_centers_as_points_lose_nothing() {
        let points = [1.0, 5.0, 9.0, 9.0];
        let found = Lloyd { k: 4, ..LLOYD }.run(&points, &[1.0; 4], |_, _| true);
        assert_eq!(found.loss, 0.0);
    }

    #[test]
    fn trials_end_when_told() {
        let mut told = Vec::new();
        LLOYD.run(&[0.0, 1.0, 10.0], &[1.0; 3], |trial, _| {
            told.push(trial);
            false
        });
        assert_eq!(told, [0]);
    }
}
