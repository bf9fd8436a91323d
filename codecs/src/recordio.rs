//! recordio.
