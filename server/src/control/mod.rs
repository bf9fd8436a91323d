//! The control plane: what should be (durable records), what is (the data plane's snapshot), and the reconciler that
//! brings the second to the first.
//!
//! Answered means stored: a call returns after the commit. The data plane never looks here; it is published to.
//!
//! | module | is |
//! |---|---|
//! | [`database`] | the one writer of the state file |
//! | [`record`] | resources as documents, and lists of them |
//! | [`endpoint`] | an endpoint's durable state |

pub mod database;
pub mod endpoint;
pub mod record;

pub use database::{Database, StateError};
pub use record::{Kind, ListFilter, Page, Record};
