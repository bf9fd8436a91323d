//! Autoscaling as pure functions of (policy, samples, now): no clock, no store, nothing that waits.
//!
//! | module | is |
//! |---|---|
//! | [`alarm`] | M of N periods beyond a threshold, with rules for periods without data |

pub mod alarm;

pub use alarm::{AlarmRule, AlarmState, Comparison, Evaluation, TreatMissingData, Window};
