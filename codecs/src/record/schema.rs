//! The messages of SageMaker's `aialgs.data` schema (proto2), for writers and as the reference of the fast reader.
//! Maps are ordered, so that the same message is always the same bytes.

use std::collections::BTreeMap;

/// Single-precision numbers; sparse when there are keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Float32Tensor {
    /// The numbers.
    #[prost(float, repeated, tag = "1")]
    pub values: Vec<f32>,
    /// The flat index of each number; empty when dense.
    #[prost(uint64, repeated, tag = "2")]
    pub keys: Vec<u64>,
    /// The dimensions.
    #[prost(uint64, repeated, tag = "3")]
    pub shape: Vec<u64>,
}

/// Double-precision numbers; sparse when there are keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Float64Tensor {
    /// The numbers.
    #[prost(double, repeated, tag = "1")]
    pub values: Vec<f64>,
    /// The flat index of each number; empty when dense.
    #[prost(uint64, repeated, tag = "2")]
    pub keys: Vec<u64>,
    /// The dimensions.
    #[prost(uint64, repeated, tag = "3")]
    pub shape: Vec<u64>,
}

/// Whole numbers; sparse when there are keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Int32Tensor {
    /// The numbers.
    #[prost(int32, repeated, tag = "1")]
    pub values: Vec<i32>,
    /// The flat index of each number; empty when dense.
    #[prost(uint64, repeated, tag = "2")]
    pub keys: Vec<u64>,
    /// The dimensions.
    #[prost(uint64, repeated, tag = "3")]
    pub shape: Vec<u64>,
}

/// Opaque bytes, such as images. Row models do not take them.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Bytes {
    /// The bytes.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub value: Vec<Vec<u8>>,
    /// What they are.
    #[prost(string, optional, tag = "2")]
    pub content_type: Option<String>,
}

/// A feature or a label.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// One of four kinds.
    #[prost(oneof = "Kind", tags = "2, 3, 7, 9")]
    pub value: Option<Kind>,
}

/// The kinds of a [`Value`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// Single precision.
    #[prost(message, tag = "2")]
    Float32Tensor(Float32Tensor),
    /// Double precision.
    #[prost(message, tag = "3")]
    Float64Tensor(Float64Tensor),
    /// Whole numbers.
    #[prost(message, tag = "7")]
    Int32Tensor(Int32Tensor),
    /// Opaque bytes.
    #[prost(message, tag = "9")]
    Bytes(Bytes),
}

/// One row of a request, or of an answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// Features by name: a row's are under [`VALUES`](super::VALUES).
    #[prost(btree_map = "string, message", tag = "1")]
    pub features: BTreeMap<String, Value>,
    /// Labels by name: of a request under [`VALUES`](super::VALUES), of an answer under its field names.
    #[prost(btree_map = "string, message", tag = "2")]
    pub label: BTreeMap<String, Value>,
    /// The row's own identifier, echoed in the answer.
    #[prost(string, optional, tag = "3")]
    pub uid: Option<String>,
    /// What the row says of itself, echoed in the answer.
    #[prost(string, optional, tag = "4")]
    pub metadata: Option<String>,
    /// JSON text; passed over.
    #[prost(string, optional, tag = "5")]
    pub configuration: Option<String>,
}
