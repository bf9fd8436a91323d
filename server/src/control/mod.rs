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
//! | `worker` | an endpoint's task: what should be, step by step |
//! | `table` | from the state to the snapshot that requests read |
//! | `provision`, `shared_models`, `artifacts`, `sources` | from a definition to models in memory, held to their digests |
//! | [`jobs`] | what jobs of both kinds have in common |
//! | `journal` | logs and events of endpoints |
//! | [`autoscaling`] | scalable targets, their policies, and the loop |
//! | [`capture`] | the writer of captured requests |
//! | [`async_inference`] | the durable queue of InvokeEndpointAsync |
//! | [`transform`] | transform jobs |
//! | [`training`] | training jobs |
//! | [`warming`] | scale to zero of serverless variants |
//! | [`images`] | which images are known, and how their models load |

pub mod alarms;
pub mod artifacts;
pub mod async_inference;
pub mod autoscaling;
pub mod calls;
pub mod capture;
pub mod database;
pub mod deployment;
mod e_tags;
pub mod endpoint;
pub mod error;
pub mod fleet;
pub mod handle;
pub mod hosting;
pub mod ids;
pub mod images;
pub mod instance;
pub mod jobs;
mod journal;
mod provision;
pub mod record;
pub mod sampler;
pub mod shared_models;
mod sources;
mod table;
pub mod tags;
pub mod training;
pub mod transform;
mod transitions;
mod upload;
pub mod warming;
mod worker;

pub use alarms::Alarms;
pub use calls::{CreateEndpoint, UpdateEndpoint};
pub use database::{Database, StateError};
pub use error::ControlError;
pub use fleet::VariantProperty;
pub use handle::Control;
pub use hosting::HostingParts;
pub use record::{Kind, ListFilter, Page, Record};
pub use transitions::DesiredWeightAndCapacity;
