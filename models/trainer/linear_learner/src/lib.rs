//! Trains linear-learner.
