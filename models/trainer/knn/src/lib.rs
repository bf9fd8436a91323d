//! Trains knn.
