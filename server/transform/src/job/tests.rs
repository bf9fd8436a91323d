//! Transforms of a fake model over stores in memory.
