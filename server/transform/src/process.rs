//! `DataProcessing` and inference ids: what is sent of a record, and what is written of it and its answer. Pure.

/// Filters, joins and inference ids of a transform, parsed and checked.
#[derive(Debug, Clone)]
pub struct Processing {}
