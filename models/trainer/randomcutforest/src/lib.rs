//! Trains randomcutforest.
