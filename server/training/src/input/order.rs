//! Which of a channel's items a host gets, and in which order.

use crate::channel::{Channel, Distribution};

/// What spreads epochs over seeds: two epochs of one seed have nothing in common.
const EPOCH_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The indices of host `number` of `hosts` in `epoch`. Items are shuffled before they are shared, so that a host may see others
/// in the next epoch; all hosts draw the same order.
pub(crate) fn order(channel: &Channel, items: usize, number: usize, hosts: usize, epoch: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..items).collect();
    if let Some(seed) = channel.shuffle_seed {
        let seed = seed.wrapping_add(epoch.wrapping_add(1).wrapping_mul(EPOCH_STEP));
        fastrand::Rng::with_seed(seed).shuffle(&mut indices);
    }
    match channel.distribution {
        Distribution::FullyReplicated => indices,
        Distribution::ShardedByS3Key => indices.into_iter().skip(number - 1).step_by(hosts).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{InputMode, Source};

    fn channel(distribution: Distribution, shuffle_seed: Option<u64>) -> Channel {
        Channel {
            name: "train".into(),
            source: Source::Prefix("s3://b/p".into()),
            distribution,
            mode: InputMode::Pipe,
            gzip: false,
            record_wrapper: false,
            shuffle_seed,
            content_type: None,
        }
    }

    #[test]
    fn without_a_seed_keys_are_in_order() {
        let all = channel(Distribution::FullyReplicated, None);
        assert_eq!(order(&all, 3, 2, 2, 5), [0, 1, 2]);
        let shards = channel(Distribution::ShardedByS3Key, None);
        assert_eq!(order(&shards, 5, 1, 2, 0), [0, 2, 4]);
        assert_eq!(order(&shards, 5, 2, 2, 0), [1, 3]);
        assert_eq!(order(&shards, 1, 2, 2, 0), [0; 0]);
    }

    #[test]
    fn shards_of_a_shuffled_epoch_are_all_items_and_epochs_differ() {
        let shards = channel(Distribution::ShardedByS3Key, Some(7));
        let of = |epoch| -> Vec<Vec<usize>> { (1..=3).map(|n| order(&shards, 100, n, 3, epoch)).collect() };
        let mut all = of(0).concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(of(4), of(4));
        assert_ne!(of(0), of(1));
    }
}
