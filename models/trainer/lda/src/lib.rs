//! Trains LDA by the spectral method of Anandkumar, Ge, Hsu, Kakade and Telgarsky (Tensor Decompositions for Learning Latent
//! Variable Models, JMLR 15, 2014).
//!
//! `sweep` streams the documents, `second` makes of them the second moment's action on a block of vectors, `whitening` its
//! leading eigenvectors, `third` the whitened third moment, `decomposition` its rank-one parts by alternating least squares,
//! `topics` what those say of topics, `fit` does one after the other.
//!
//! Memory, of V words, K' = ⌈1.25·num_topics⌉ and a block of b = min(V, 2K' + 10) vectors (V where V ≤ 300): 32·V·(b + K') bytes
//! of sums in four parts, 24·V·b of vectors, 7·K'³ of the tensor's parts, 8·K'³ of the tensor and as much for each restart that
//! runs at once, and 16 MiB of documents: nothing grows with their number. They are read twice, and up to ten times more where
//! V is above 300.
//!
//! Equal input and seed give equal bytes at any number of threads: documents are dealt to a fixed number of sums, and each
//! restart has random numbers of its own. One host trains. What is interrupted begins again; a stop in the decomposition takes
//! the best one so far, and a stop before it leaves no model.

mod decomposition;
mod fit;
mod second;
mod sweep;
mod table;
mod third;
mod topics;
mod whitening;

use codecs::Format;
use estimator::{ChannelRule, DistributionRule, Estimator, Labels};

/// LDA.
pub const ESTIMATOR: Estimator = Estimator {
    name: "lda",
    table: table::TABLE,
    channels: &[channel("train").required(), channel("test")],
    default_content_type: "application/x-recordio-protobuf",
    is_distributed: false,
    is_incremental: false,
    takes_parquet: false,
    fit: fit::fit,
};

const fn channel(name: &'static str) -> ChannelRule {
    let rule = ChannelRule::new(name, Labels::Ignored, &[Format::RecordIo, Format::Csv]);
    rule.distribution(DistributionRule::FullyReplicated).by_pipe()
}
