//! XGBoost: readers of every file format it has written, one checked representation, and a predictor whose margins
//! equal XGBoost's own CPU predictor bit for bit.
//!
//! `booster` is the seam: the readers (`json`, `ubjson`, `binary`, `pickle`) produce a [`booster::Booster`], which is
//! validated once; the predictor consumes it.

pub mod booster;
