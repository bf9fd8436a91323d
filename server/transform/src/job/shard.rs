//! A share of a transform: which objects, and which bytes of large ones, are one runner's of several.

use serde::{Deserialize, Serialize};

/// A share of a transform: `index` of `count`, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}
