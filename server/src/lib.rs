//! The serving runtime.
