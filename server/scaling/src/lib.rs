//! Autoscaling as pure functions of (policy, samples, now).
