//! linear_learner.
