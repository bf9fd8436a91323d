//! One training job, however it was asked for: by hand or by the container contract.

use std::collections::BTreeMap;

use crate::channel::Channel;
use crate::error::TrainError;
use crate::fitted::Fitted;
use crate::log::Log;
use crate::split::Holdout;
use crate::stop::Stop;
use crate::xgboost::{self, LibrarySearch};

/// The algorithms that can be trained: a closed set, one module each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Gradient-boosted trees and linear models.
    Xgboost,
}

impl Algorithm {
    /// All of them.
    pub(crate) const ALL: &'static [Self] = &[Self::Xgboost];

    /// The name, as in image URIs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xgboost => "xgboost",
        }
    }

    /// The algorithm of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.name() == name)
    }

    /// What its channels hold unless the job says.
    pub(crate) fn default_content_type(self) -> &'static str {
        match self {
            Self::Xgboost => "text/libsvm",
        }
    }

    /// Trains.
    ///
    /// # Errors
    /// As [`TrainError`] has them.
    pub(crate) fn fit(self, job: &Job) -> Result<Fitted, TrainError> {
        match self {
            Self::Xgboost => xgboost::fit(job),
        }
    }
}

/// What `fit` needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// As they came, all text.
    pub(crate) hyperparameters: BTreeMap<String, String>,
    /// Rows to learn from.
    pub(crate) train: Channel,
    /// Rows to watch.
    pub(crate) validation: Option<Channel>,
    /// Without a validation channel: a share of the training rows to watch instead.
    pub(crate) holdout: Option<Holdout>,
    /// Where XGBoost's library is.
    pub(crate) xgboost_library: LibrarySearch,
    /// Whether to stop.
    pub(crate) stop: Stop,
    /// Where lines go.
    pub(crate) log: Log,
}
