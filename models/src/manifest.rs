//! `manifest.json`: what an artifact says of itself.

/// What an artifact says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// Rows to score before the model is published; `None` is a missing value.
    pub warm_up: Vec<Vec<Option<f32>>>,
}
