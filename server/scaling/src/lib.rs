//! Autoscaling as pure functions of (policy, samples, now): no clock, no store, nothing that waits.
//!
//! | module | is |
//! |---|---|
//! | [`alarm`] | M of N periods beyond a threshold, with rules for periods without data |
//! | [`metric`] | which metric a policy follows |
//! | [`target_tracking`] | keeps a metric at a value |
//! | [`step`] | larger steps the further a metric is beyond a threshold |
//! | [`target`] | limits, the capacity over time, cooldowns |
//! | [`decide`] | what several policies come to |
//! | [`schedule`] | when scheduled actions act |
//! | [`mod@recommend`] | the proportional formula alone, for scripts |

pub mod alarm;
pub mod decide;
pub mod metric;
pub mod recommend;
pub mod schedule;
pub mod step;
pub mod target;
pub mod target_tracking;

pub use alarm::{AlarmRule, AlarmState, Comparison, Evaluation, TreatMissingData, Window};
pub use decide::{Action, Target, Wish, WishKind};
pub use metric::{Dimension, MetricQuery, PredefinedMetricType, Statistic};
pub use recommend::recommend;
pub use schedule::{Schedule, ScheduleError};
pub use step::{StepError, StepScaling};
pub use target::{Cooldowns, Limits, Suspended, Timeline};
pub use target_tracking::{Ask, Samples, TargetTracking, Tracked, TrackingError};
