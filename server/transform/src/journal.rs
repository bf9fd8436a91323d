//! What is done, durably: finished objects, and the parts of large ones, so that a transform that was killed goes on.

/// What is done.
#[derive(Debug)]
pub struct Journal {}
