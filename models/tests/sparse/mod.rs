//! Dense rows as sparse ones.

use dmatrix::DMatrix;

/// The same rows as CSR, missing values left out.
pub(crate) fn csr(values: &[f32], columns: usize) -> DMatrix {
    let mut matrix = DMatrix::new();
    let parts = matrix.begin_sparse();
    for row in values.chunks_exact(columns) {
        for (index, value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            parts.indices.push(index as u32);
            parts.values.push(*value);
        }
        parts.offsets.push(parts.indices.len());
    }
    matrix.finish_sparse(columns);
    matrix
}
