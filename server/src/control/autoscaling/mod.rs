//! Autoscaling: what is scaled and how, durable; and the loop that looks every ten seconds, decides by the pure functions
//! of [`scaling`], and acts through the same call as `UpdateEndpointWeightsAndCapacities`.
//!
//! | module | is |
//! |---|---|
//! | [`key`] | which variant's number is scaled |
//! | [`target`] | scalable targets |
//! | [`policy`] | scaling policies and the alarms that they show |
//! | [`action`] | scheduled actions |
//! | [`activity`] | what was done, and why |
//! | [`capacity`] | a variant's number, read from its endpoint's state |
//! | [`scaler`] | the loop |
//! | [`recommended`] | what scalers outside are told |

pub mod action;
pub mod activity;
pub mod capacity;
pub mod error;
pub mod key;
pub mod policy;
pub mod recommended;
pub mod scaler;
pub mod target;
mod wishes;

pub use action::ScheduledAction;
pub use activity::{Activity, ActivityStatus};
pub use error::AutoscalingError;
pub use key::{Dimension, TargetKey};
pub use policy::{PolicyConfiguration, ScalingPolicy};
pub use scaler::Scaler;
pub use target::ScalableTarget;
