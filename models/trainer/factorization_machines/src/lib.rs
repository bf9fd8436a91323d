//! Trains factorization machines (Rendle, ICDM 2010) by mini-batches and lazy Adam.
//!
//! `table` checks hyperparameters, `machine` holds the weights, `batch` is a mini-batch and its gradient, `exchange` adds the
//! gradients of several hosts, `adam` steps, `tally` measures, `state` keeps and takes up, `fit` runs the epochs.
//!
//! Features that are 0 cost nothing, in dense rows too, and weights of features that a mini-batch does not have are neither
//! decayed nor moved. Memory: 12·(1 + d + d·k) bytes of weights and their moments and 4·d of places, and for a mini-batch of B
//! rows and n entries, U ≤ min(d, n) of them of different features, 4·B·k + 8·U·(k+1) + 20·n: nothing grows with the data.
//!
//! Every sum is taken in an order that the data alone gives, so equal input and seed are equal bytes at any number of threads.
//! Several hosts share a mini-batch: each takes its part of `mini_batch_size` rows, the features that any of them has are
//! gathered, and the gradients of those (sparse as they are) are added in the order of the hosts. All hosts take the same
//! steps; against one host over the same mini-batches a gradient differs by the order of addition alone, 10⁻⁶ of its size.

mod adam;
mod batch;
mod exchange;
mod fit;
mod machine;
mod state;
mod table;
mod tally;

use codecs::Format;
use estimator::{ChannelRule, DistributionRule, Estimator, Labels};

/// Factorization machines.
pub const ESTIMATOR: Estimator = Estimator {
    name: "factorization-machines",
    table: table::TABLE,
    channels: &[channel("train").required(), channel("test").distribution(DistributionRule::FullyReplicated)],
    default_content_type: "application/x-recordio-protobuf",
    is_distributed: true,
    is_incremental: true,
    takes_parquet: false,
    fit: fit::fit,
};

const fn channel(name: &'static str) -> ChannelRule {
    ChannelRule::new(name, Labels::Required, &[Format::RecordIo]).by_pipe()
}
