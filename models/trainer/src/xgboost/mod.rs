//! XGBoost: trained by the real library, loaded at run time.
//!
//! `table` checks hyperparameters, `library` finds the shared object, `ffi` binds it, `booster` makes it safe, `metric`
//! knows the metrics, `fit` runs the rounds.

mod booster;
mod ffi;
mod fit;
mod library;
mod metric;
mod rounds;
mod table;

pub(crate) use fit::fit;
pub(crate) use library::LibrarySearch;
