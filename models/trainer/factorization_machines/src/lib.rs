//! Trains factorization-machines.
