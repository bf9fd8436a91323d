//! XGBoost: readers of every file format it has written, one checked representation, and a predictor whose margins
//! equal XGBoost's own CPU predictor bit for bit.
//!
//! `booster` is the seam: the readers (`json`, `ubjson`, `binary`, `pickle`) produce a [`booster::Booster`], which is
//! validated once; the predictor consumes it.
//!
//! | module | is |
//! |---|---|
//! | `reader` | any model file to a [`booster::Booster`]: recognises the format by its first bytes |
//! | `json`, `ubjson`, `syntax` | the two notations, as serde data formats |
//! | `document`, `tree_document` | the model document that both notations write |
//! | `binary` | the binary format of 0.7 to 3.0 |
//! | `pickle` | a pickled Booster, read as data by a restricted reader |
//! | `validate` | what makes a booster safe to walk |
//! | `model` | [`XgboostModel`]: one or several boosters behind the [`Model`](crate::Model) trait |
//! | `rules` | what the versions of XGBoost do differently with the same file |
//! | `objective` | base score to margin, margin to prediction |
//! | `forest` | trees compiled for speed: eight walked at once, rows in blocks |
//! | `features` | the features a booster reads, and how a row becomes a compact one |
//! | `categories` | the sets of categorical splits |
//! | `linear` | gblinear |
//! | `output` | plain and selectable answers |
//! | `ensemble` | several boosters, one answer |
//! | `naive` | the oracle of the tests and the benches: one node after the other |

pub mod booster;
#[doc(hidden)]
pub mod naive;
pub mod reader;

mod binary;
mod categories;
mod document;
mod ensemble;
mod features;
mod forest;
mod json;
mod linear;
mod model;
mod objective;
mod output;
mod pickle;
mod rules;
mod scorer;
mod syntax;
mod tree_document;
mod ubjson;
mod validate;

pub use model::XgboostModel;
