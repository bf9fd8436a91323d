//! Which records are the first centers.

use rayon::prelude::*;

use crate::assign::squared_distance;

/// Records of a task that measures distances. Reason: fixed, so that the sum's order does not depend on threads.
const TASK_ROWS: usize = 1024;

/// How first centers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeding {
    /// Any, equally likely.
    Random,
    /// One after the other, likely as the squared distance from those already chosen (Arthur and Vassilvitskii, 2007).
    PlusPlus,
}

impl Seeding {
    /// The one that the hyperparameter's word means.
    pub(crate) fn named(word: &str) -> Self {
        if word == "random" { Self::Random } else { Self::PlusPlus }
    }

    /// The places of `count` of `points`, each once. There must be as many.
    pub fn choose(
        self,
        points: &[f32],
        weights: &[f64],
        count: usize,
        random: &mut fastrand::Rng,
    ) -> Vec<usize> {
        match self {
            Self::Random => {
                let mut chosen = random.choose_multiple(0..weights.len(), count);
                chosen.sort_unstable();
                chosen
            }
            Self::PlusPlus => plus_plus(points, weights, count, random),
        }
    }
}

fn plus_plus(points: &[f32], weights: &[f64], count: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    let columns = points.len() / weights.len();
    let point = |row: usize| &points[row * columns..(row + 1) * columns];
    let mut chosen = Vec::with_capacity(count);
    let mut is_chosen = vec![false; weights.len()];
    let mut distances = vec![f64::INFINITY; weights.len()];
    let mut shares = weights.to_vec();
    while chosen.len() < count {
        let next = draw(&shares, random)
            .or_else(|| is_chosen.iter().position(|chosen| !chosen))
            .expect("there are as many points as centers");
        chosen.push(next);
        is_chosen[next] = true;
        let tasks = distances.par_chunks_mut(TASK_ROWS).zip(shares.par_chunks_mut(TASK_ROWS)).enumerate();
        tasks.for_each(|(task, (distances, shares))| {
            for (index, (distance, share)) in distances.iter_mut().zip(shares).enumerate() {
                let row = task * TASK_ROWS + index;
                *distance = distance.min(squared_distance(point(row), point(next)));
                *share = weights[row] * *distance;
            }
        });
        shares[next] = 0.0;
    }
    chosen
}

/// A place, likely as its share; none when no share is above 0.
fn draw(shares: &[f64], random: &mut fastrand::Rng) -> Option<usize> {
    let total: f64 = shares.iter().sum();
    let mut left = random.f64() * total;
    let mut last = None;
    for (row, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        if left < *share {
            return Some(row);
        }
        left -= share;
        last = Some(row);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_center_is_chosen_once() {
        let points: Vec<f32> = (0..20).map(|value| (value % 5) as f32).collect();
        for seeding in [Seeding::Random, Seeding::PlusPlus] {
            for count in [1, 5, 20] {
                let mut random = fastrand::Rng::with_seed(1);
                let mut chosen = seeding.choose(&points, &[1.0; 20], count, &mut random);
                chosen.sort_unstable();
                chosen.dedup();
                assert_eq!(chosen.len(), count);
            }
        }
    }

    #[test]
    fn plus_plus_takes_far_ones_first() {
        let points = [0.0, 0.1, 0.2, 100.0, 100.1, 200.0];
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut groups: Vec<i32> = Seeding::PlusPlus
                .choose(&points, &[1.0; 6], 3, &mut random)
                .into_iter()
                .map(|row| (points[row] / 100.0).round() as i32)
                .collect();
            groups.sort_unstable();
            assert_eq!(groups, [0, 1, 2]);
        }
    }

    #[test]
    fn shares_of_zero_are_not_drawn() {
        let mut random = fastrand::Rng::with_seed(2);
        assert!((0..100).all(|_| draw(&[0.0, 1.0, 0.0], &mut random) == Some(1)));
        assert_eq!(draw(&[0.0, 0.0], &mut random), None);
    }
}
