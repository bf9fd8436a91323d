//! Trains pca.
