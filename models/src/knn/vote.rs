//! What the labels of neighbours become.

/// Counts labels; keeps its buffer.
#[derive(Debug, Default)]
pub(super) struct Vote {
    ranked: Vec<(f32, usize)>,
}

impl Vote {
    /// The most frequent label; of equally frequent ones, that of the nearest neighbour. Labels come nearest first.
    pub(super) fn most_frequent(&mut self, labels: &[f32]) -> f32 {
        self.ranked.clear();
        self.ranked.extend(labels.iter().enumerate().map(|(rank, label)| (*label, rank)));
        self.ranked.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        let groups = self.ranked.chunk_by(|left, right| left.0 == right.0);
        let best = groups.max_by(|left, right| left.len().cmp(&right.len()).then(right[0].1.cmp(&left[0].1)));
        best.map_or(0.0, |group| group[0].0)
    }
}

/// The arithmetic mean.
pub(super) fn mean(labels: &[f32]) -> f32 {
    (labels.iter().map(|label| f64::from(*label)).sum::<f64>() / labels.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_nearest() {
        let check = |labels: &[f32], expected: f32| {
            assert_eq!(Vote::default().most_frequent(labels), expected, "{labels:?}");
        };
        check(&[3.0], 3.0);
        check(&[2.0, 1.0, 1.0], 1.0);
        check(&[2.0, 1.0, 1.0, 2.0], 2.0);
        check(&[1.0, 2.0, 3.0], 1.0);
        check(&[0.0, -0.5, -0.5], -0.5);
    }

    #[test]
    fn the_mean_is_arithmetic() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
    }
}
