//! Trains lda.
