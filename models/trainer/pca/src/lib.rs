//! Trains PCA over a channel that is read once (regular, and the documented randomized form) or three times.
//!
//! | file | is |
//! |---|---|
//! | `table` | hyperparameters, channels, the rules between them |
//! | `fit` | a job from channels to an artifact |
//! | `pass` | one pass over a channel: blocks of rows, as the two modes add them up |
//! | `regular` | the covariance, and its eigenvectors |
//! | `randomized` | a random sketch (Halko, Martinsson, Tropp 2011), subspace iterations, the components in the end |
//! | `decompose` | what both take from linear algebra |
//! | `score` | the channel `test` |
//!
//! **Memory** beside a block of rows (at most `pass::BLOCK_VALUES_MAX` values, or one mini-batch of sparse rows): regular,
//! 8·d²·L bytes with L = 4 up to 256 features and 1 above, and twice 8·d² for the eigenvectors; randomized, 4·8·d·ℓ bytes
//! with ℓ = `num_components` + `extra_components`. It does not grow with the channel.
//!
//! **Determinism**: sums are of doubles, over blocks of fixed size in a fixed order; the signs of the sketch belong to (seed,
//! host, place of the row). So the bytes of a model depend neither on the threads nor on `mini_batch_size`.
//!
//! **Several hosts** add up their sums: regular mode gives the components of one host to 1e-5; the sketch of randomized
//! mode has other signs on other hosts, so that components agree as far as the randomized form is exact.
//!
//! **Stopped or killed**: asked to stop in the first pass, it ends with the rows seen so far; in a later one, with the passes
//! before. A training that was killed begins again: there is at most one pass to lose, or three.

mod decompose;
mod fit;
mod pass;
mod randomized;
mod regular;
mod score;
mod table;

use estimator::Estimator;

/// PCA.
pub const ESTIMATOR: Estimator = Estimator {
    name: "pca",
    table: table::TABLE,
    channels: table::CHANNELS,
    default_content_type: "application/x-recordio-protobuf",
    is_distributed: true,
    is_incremental: false,
    takes_parquet: false,
    fit: fit::fit,
};
