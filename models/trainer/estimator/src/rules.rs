//! What an algorithm is, to whoever starts it: a name, its hyperparameters, its channels, and the function that trains.

use codecs::Format;

use crate::{Fitted, Hyperparameter, Job, TrainError};

/// One algorithm that can be trained. Each algorithm's crate has one, a constant.
#[derive(Debug, Clone, Copy)]
pub struct Estimator {
    /// The name, as in image URIs.
    pub name: &'static str,
    /// Its hyperparameters.
    pub table: &'static [Hyperparameter],
    /// Its channels.
    pub channels: &'static [ChannelRule],
    /// What its channels hold unless the job says.
    pub default_content_type: &'static str,
    /// Whether several hosts may train together.
    pub is_distributed: bool,
    /// Whether it goes on from an earlier model: the channel `model`.
    pub is_incremental: bool,
    /// Whether its channels may be Parquet files.
    pub takes_parquet: bool,
    /// Trains.
    pub fit: fn(&Job) -> Result<Fitted, TrainError>,
}

/// What an algorithm says of one of its channels.
#[derive(Debug, Clone, Copy)]
pub struct ChannelRule {
    /// Its name.
    pub name: &'static str,
    /// Whether training needs it.
    pub is_required: bool,
    /// Whether its rows have labels.
    pub labels: Labels,
    /// The formats it may have.
    pub formats: &'static [Format],
    /// How its objects may be spread over the hosts.
    pub distribution: DistributionRule,
    /// Whether it may come by pipe.
    pub takes_pipe: bool,
}

impl ChannelRule {
    /// A channel that may be left out, comes as files, and is spread as the job likes.
    pub const fn new(name: &'static str, labels: Labels, formats: &'static [Format]) -> Self {
        let distribution = DistributionRule::Any;
        Self { name, is_required: false, labels, formats, distribution, takes_pipe: false }
    }

    /// The same, which training needs.
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// The same, spread as `distribution` says.
    pub const fn distribution(self, distribution: DistributionRule) -> Self {
        Self { distribution, ..self }
    }

    /// The same, which may come by pipe too.
    pub const fn by_pipe(self) -> Self {
        Self { takes_pipe: true, ..self }
    }
}

/// Whether rows have labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Each has one; in CSV it is the first column, whatever `label_size` says but more than one.
    Required,
    /// What is there is passed over; in CSV there is none unless `label_size` says.
    Ignored,
    /// Each row has one or none has; in CSV `label_size` says, and without it there is one.
    Optional,
}

/// How the objects of a channel may be spread over the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistributionRule {
    /// As the job likes.
    Any,
    /// `ShardedByS3Key` only.
    ShardedByS3Key,
    /// `FullyReplicated` only.
    FullyReplicated,
}

impl Estimator {
    /// The rule of the channel of that name.
    pub fn channel(&self, name: &str) -> Option<&'static ChannelRule> {
        self.channels.iter().find(|rule| rule.name == name)
    }
}
