//! The control plane: what should be (durable records), what is (the data plane's snapshot), and the reconciler that
//! brings the second to the first.
//!
//! Answered means stored: a call returns after the commit. The data plane never looks here; it is published to.
//!
//! | module | is |
//! |---|---|
//! | [`database`] | the one writer of the state file |
//! | [`record`] | resources as documents, and lists of them |
//! | [`tags`] | their tags |
//! | [`alarms`] | alarms, their states, and how they are judged |
//! | [`sampler`] | what was counted, every ten seconds into the series |
//! | [`endpoint`], [`fleet`] | an endpoint's durable state, and how a fleet is read from a configuration |
//! | [`calls`], `transitions` | the durable calls, and what each does to that state |
//! | [`deployment`] | what comes next in a deployment, as pure functions |
//! | [`handle`] | [`Control`], which faces hold |
//! | [`autoscaling`] | scalable targets, their policies, and the loop |
//! | [`async_inference`] | the durable queue of InvokeEndpointAsync |
//! | [`images`] | which images are served, and how their models load |

pub mod alarms;
pub mod async_inference;
pub mod autoscaling;
pub mod calls;
pub mod database;
pub mod deployment;
pub mod endpoint;
pub mod error;
pub mod fleet;
pub mod handle;
pub mod ids;
pub mod images;
pub mod record;
pub mod sampler;
pub mod tags;
mod transitions;

pub use alarms::Alarms;
pub use calls::{CreateEndpoint, UpdateEndpoint};
pub use database::{Database, StateError};
pub use error::ControlError;
pub use fleet::VariantProperty;
pub use handle::Control;
pub use record::{Kind, ListFilter, Page, Record};
pub use transitions::DesiredWeightAndCapacity;
