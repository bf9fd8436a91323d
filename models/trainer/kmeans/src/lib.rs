//! Trains kmeans.
