//! What the versions of XGBoost do differently with the same file. A model is scored as the version that wrote it
//! scores it: sums are in single precision, so that even their order shows in the last bit.
//!
//! Read off `cpu_predictor.cc`, `gbtree.cc`, `categorical.h` and `objective/` of every release from 0.90 to 3.4.

use super::booster::Booster;

/// What a categorical split does with a value that is no category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidCategory {
    /// To 1.5: the value is cut to a whole number first, then goes left when it is not in the set.
    Truncated,
    /// 1.6.0 to 1.7.2: a negative value, or one beyond the set's last word, goes where a missing value goes.
    Default,
    /// From 1.7.3: a negative or huge value goes left.
    Left,
}

/// The rules of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Trees are summed from 0 and the base score comes last (gbtree before 1.3, dart before 1.4); later versions
    /// start from the base score.
    pub(super) gbtree_base_last: bool,
    /// As `gbtree_base_last`, for dart.
    pub(super) dart_base_last: bool,
    /// `binary:logitraw` stores a probability as its base score, later a margin (from 1.3.1). Binary files do not tell
    /// 1.3.0 from its corrections, which replaced it within days: it counts as one of them.
    pub(super) logitraw_base_is_probability: bool,
    /// The base score of logistic objectives is kept off 0 and 1 (from 3.2).
    pub(super) logistic_base_is_bounded: bool,
    /// Quantiles of one row are put in ascending order (from 3.4).
    pub(super) quantiles_are_sorted: bool,
    /// What is done with values that are no category.
    pub(super) invalid_category: InvalidCategory,
}

impl Rules {
    /// The rules of the version that wrote `booster`; a file that names none is older than 1.0.
    pub(super) fn of(booster: &Booster) -> Self {
        let version = booster.version.unwrap_or([0, 90, 0]);
        Self {
            gbtree_base_last: version < [1, 3, 0],
            dart_base_last: version < [1, 4, 0],
            logitraw_base_is_probability: version < [1, 3, 0],
            logistic_base_is_bounded: version >= [3, 2, 0],
            quantiles_are_sorted: version >= [3, 4, 0],
            invalid_category: match version {
                v if v < [1, 6, 0] => InvalidCategory::Truncated,
                v if v < [1, 7, 3] => InvalidCategory::Default,
                _ => InvalidCategory::Left,
            },
        }
    }
}
