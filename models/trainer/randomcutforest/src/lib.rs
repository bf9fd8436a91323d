//! Trains a random cut forest over a channel that is read once.
//!
//! | file | is |
//! |---|---|
//! | `table` | hyperparameters, channels, what they must fit in |
//! | `fit` | a job from channels to an artifact |
//! | `sample` | a uniform sample of the rows of all hosts |
//! | `tree` | one tree of random cuts |
//! | `score` | the channel `test`, by the rule of three sigmas |
//!
//! **Memory**: the sample, 4·d bytes for each of at most `num_trees` × `num_samples_per_tree` rows (twice while hosts put theirs
//! together), and the finished forest with its boxes, 8·d bytes an inner node. It does not grow with the channel; the channel
//! `test` takes 8 bytes a row.
//!
//! **Determinism**: a row is in the sample if its random key, by (seed, host, place), is among the smallest; a tree's cuts
//! belong to (seed, tree). So the bytes of a model depend neither on the threads nor on `mini_batch_size`.
//!
//! **Several hosts** put their samples together: the forest is as likely as one host's, but another one, since the keys have the
//! host in them.
//!
//! **Stopped or killed**: asked to stop, it ends with a forest over the rows seen so far. A training that was killed begins
//! again: there is one pass to lose.

mod fit;
mod sample;
mod score;
mod table;
mod tree;

use estimator::Estimator;

/// Random cut forest.
pub const ESTIMATOR: Estimator = Estimator {
    name: "randomcutforest",
    table: table::TABLE,
    channels: table::CHANNELS,
    default_content_type: "application/x-recordio-protobuf",
    is_distributed: true,
    is_incremental: false,
    takes_parquet: false,
    fit: fit::fit,
};
