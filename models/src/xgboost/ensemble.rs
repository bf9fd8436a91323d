//! Several boosters, one answer: what SageMaker's container does with several model files. The mean of their
//! predictions; for objectives that answer a class, the most frequent one, the smallest of equals.

use std::ops::Range;

use dmatrix::DMatrix;

use super::objective::Objective;
use super::scorer::{Scorer, Scratch};

/// Boosters that agree in objective and outputs; at least one.
#[derive(Debug)]
pub(super) struct Ensemble {
    members: Vec<Scorer>,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct EnsembleScratch {
    scorer: Scratch,
    /// The predictions of each member, one after the other.
    ballots: Vec<f32>,
    combined: Vec<f32>,
}

impl Ensemble {
    /// # Errors
    /// When a member's objective or number of outputs is not the first one's; names the index of the member.
    pub(super) fn new(members: Vec<Scorer>) -> Result<Self, (usize, String)> {
        let first = &members[0];
        for (index, member) in members.iter().enumerate() {
            if !member.objective().is_same_kind(first.objective()) {
                let (expected, found) = (first.name(), member.name());
                return Err((
                    index,
                    format!("expected objective {expected} as in the first model, found {found}"),
                ));
            }
            if member.outputs() != first.outputs() {
                let (expected, found) = (first.outputs(), member.outputs());
                return Err((
                    index,
                    format!("expected {expected} outputs as in the first model, found {found}"),
                ));
            }
        }
        Ok(Self { members })
    }

    /// The first member.
    pub(super) fn first(&self) -> &Scorer {
        &self.members[0]
    }

    /// How many rows [`predict`](Self::predict) should be given at once.
    pub(super) fn rows_at_once(&self) -> usize {
        self.members.iter().map(Scorer::rows_at_once).min().unwrap_or(1)
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.members.iter().map(Scorer::memory_bytes).sum()
    }

    /// The predictions of some rows.
    pub(super) fn predict<'a>(
        &self,
        rows: &DMatrix,
        range: Range<usize>,
        scratch: &'a mut EnsembleScratch,
    ) -> &'a [f32] {
        let EnsembleScratch { scorer, ballots, combined } = scratch;
        if let [only] = self.members.as_slice() {
            return only.predict(rows, range, scorer);
        }
        ballots.clear();
        for member in &self.members {
            ballots.extend_from_slice(member.predict(rows, range.clone(), scorer));
        }
        combined.clear();
        combined.resize(ballots.len() / self.members.len(), 0.0);
        match self.first().objective() {
            Objective::Softmax | Objective::Hinge => vote(ballots, combined),
            _ => mean(ballots, combined, self.members.len()),
        }
        combined
    }
}

/// Single precision sums in the order of the members, as numpy's mean over the first axis.
fn mean(ballots: &[f32], combined: &mut [f32], members: usize) {
    for ballot in ballots.chunks_exact(combined.len().max(1)) {
        combined.iter_mut().zip(ballot).for_each(|(sum, value)| *sum += value);
    }
    combined.iter_mut().for_each(|sum| *sum /= members as f32);
}

fn vote(ballots: &[f32], combined: &mut [f32]) {
    let rows = combined.len();
    for (row, winner) in combined.iter_mut().enumerate() {
        let votes = || ballots[row..].iter().step_by(rows).copied();
        let mut best = (0, f32::INFINITY);
        for candidate in votes() {
            let count = votes().filter(|vote| *vote == candidate).count();
            if count > best.0 || (count == best.0 && candidate < best.1) {
                best = (count, candidate);
            }
        }
        *winner = best.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_class_wins_the_smallest_of_equals() {
        let mut combined = [0.0; 3];
        vote(&[2.0, 0.0, 5.0, 1.0, 1.0, 5.0, 2.0, 0.0, 1.0], &mut combined);
        assert_eq!(combined, [2.0, 0.0, 5.0]);
        let mut combined = [0.0; 2];
        vote(&[3.0, 0.0, 1.0, 1.0], &mut combined);
        assert_eq!(combined, [1.0, 0.0]);
    }

    #[test]
    fn the_mean_is_over_members() {
        let mut combined = [0.0; 2];
        mean(&[1.0, 10.0, 2.0, 20.0, 6.0, 30.0], &mut combined, 3);
        assert_eq!(combined, [3.0, 20.0]);
    }
}
