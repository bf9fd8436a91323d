//! Trains kmeans: web-scale k-means (Sculley, WWW 2010) with more centers than asked for, shrunk by weighted Lloyd.
//!
//! Stage A streams mini-batches past K = k × `extra_center_factor` centers, each of which is the mean of what it was
//! nearest to, older records weighing less where a half-life is given (`online`). Stage B clusters the K centers,
//! weighted by what they stand for, into k ([`Lloyd`]). kNN's inverted lists are made by the same [`Lloyd`].
//!
//! Memory: `4·(mini_batch_size·feature_dim)` bytes of rows, twice while the first mini-batches are read, and
//! `28·K·feature_dim` of centers and sums; sparse rows are spread out in blocks of at most 1 MiB.
//!
//! Equal input and seed give equal bytes on any number of threads: every center's sum is taken by one task, in the order
//! of the rows. Several hosts give the centers of one host that has all their rows in batches as large as all of theirs
//! together, but for the choice of the first centers; the mean squared distance agrees within 1%.

mod assign;
mod fit;
mod initial;
mod lloyd;
mod online;
mod score;
mod seeding;
mod state;
mod table;

pub use assign::{Nearby, Nearest};
pub use lloyd::{Clustering, Lloyd};
pub use seeding::Seeding;

/// The algorithm, for the trainer's list.
pub const ESTIMATOR: estimator::Estimator = estimator::Estimator {
    name: "kmeans",
    table: table::TABLE,
    channels: table::CHANNELS,
    default_content_type: "application/x-recordio-protobuf",
    is_distributed: true,
    is_incremental: true,
    takes_parquet: false,
    fit: fit::fit,
};
