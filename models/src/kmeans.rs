//! kmeans.
