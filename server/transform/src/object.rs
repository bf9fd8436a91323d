//! One object through the pipeline.
