//! Trains knn: a uniform sample of the records, in fewer dimensions where asked for, and an index of it.
//!
//! One pass keeps `sample_size` records, as many of each host; they are all that is held, `4·sample_size·(t+1)` bytes for t
//! dimensions after the reduction, twice while an index is made and once more where several hosts join theirs. Inverted
//! lists and the codes of product quantization come of the k-means of `fit-kmeans`.
//!
//! A stop ends the pass: the index is made of what was read. There is no checkpoint: one pass begins again. Equal input
//! and seed give equal bytes at any number of threads; several hosts give another sample than one host does, and the
//! same where `sample_size` is not below the number of records.

mod build;
mod fit;
mod reduce;
mod sample;
mod score;
mod table;

/// The algorithm, for the trainer's list.
pub const ESTIMATOR: estimator::Estimator = estimator::Estimator {
    name: "knn",
    table: table::TABLE,
    channels: table::CHANNELS,
    default_content_type: "application/x-recordio-protobuf",
    is_distributed: true,
    is_incremental: false,
    takes_parquet: false,
    fit: fit::fit,
};
