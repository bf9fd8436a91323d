//! What both modes take from linear algebra: eigenvectors of a symmetric matrix, an orthonormal basis of columns.

use estimator::TrainError;
use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn, SymmetricEigen};

/// The most sweeps of the eigenvalue iteration. Reason: it needs about two for every value; what takes this many has gone
/// astray.
const SWEEPS_PER_VALUE_MAX: usize = 100;

/// Components, the strongest first.
#[derive(Debug)]
pub(crate) struct Found {
    /// Descending; at least 0.
    pub(crate) singular_values: Vec<f64>,
    /// One unit vector (of one value a feature) a singular value.
    pub(crate) vectors: Vec<Vec<f64>>,
}

impl Found {
    /// The first `k`, each with its largest entry positive: a component's sign is anybody's choice.
    pub(crate) fn strongest(mut self, k: usize) -> Self {
        self.singular_values.truncate(k);
        self.vectors.truncate(k);
        for vector in &mut self.vectors {
            let largest = vector.iter().copied().reduce(|a, b| if b.abs() > a.abs() { b } else { a });
            if largest.is_some_and(|largest| largest < 0.0) {
                vector.iter_mut().for_each(|value| *value = -*value);
            }
        }
        self
    }
}

/// The eigenvectors of a symmetric matrix without negative eigenvalues, `size` × `size`; what is below 0 by rounding is 0.
pub(crate) fn symmetric(values: Vec<f64>, size: usize) -> Result<Found, TrainError> {
    let (eigenvalues, vectors) = eigen(DMatrix::from_vec(size, size, values))?;
    let vectors = vectors.column_iter().map(|column| column.iter().copied().collect()).collect();
    Ok(Found { singular_values: eigenvalues.iter().map(|value| value.max(0.0).sqrt()).collect(), vectors })
}

/// Eigenvalues, descending, and eigenvectors in columns.
pub(crate) fn eigen(matrix: DMatrix<f64>) -> Result<(Vec<f64>, DMatrix<f64>), TrainError> {
    if !matrix.iter().all(|value| value.is_finite()) {
        return Err(TrainError::Algorithm(
            "the values are so large that their products are beyond double precision".into(),
        ));
    }
    let sweeps = SWEEPS_PER_VALUE_MAX * matrix.nrows();
    let found = SymmetricEigen::try_new(matrix, f64::EPSILON, sweeps)
        .ok_or_else(|| TrainError::Algorithm("the eigenvalues of the covariance were not found".into()))?;
    let mut order: Vec<usize> = (0..found.eigenvalues.len()).collect();
    order.sort_by(|left, right| found.eigenvalues[*right].total_cmp(&found.eigenvalues[*left]));
    let values = order.iter().map(|place| found.eigenvalues[*place]).collect();
    Ok((values, found.eigenvectors.select_columns(&order)))
}

/// An orthonormal basis Q of the columns of `matrix`, and R with matrix = Q·R. Q has as many columns as the smaller side.
pub(crate) fn orthonormal(matrix: DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>) {
    matrix.qr().unpack()
}

/// The least side of a matrix that nalgebra 0.34 multiplies in blocks. Reason: below, it goes column by column, and there it
/// indexes a row-major view out of its bounds.
const BLOCKED_SIDE_MIN: usize = 6;

/// `sums` += `left`·`right`.
pub(crate) fn add_product(
    mut sums: DMatrixViewMut<'_, f64, Dyn, Dyn>,
    left: &DMatrixView<'_, f64, Dyn, Dyn>,
    right: &DMatrixView<'_, f64, Dyn, Dyn>,
) {
    let (height, inner) = left.shape();
    let width = right.ncols();
    if height.min(inner).min(width) >= BLOCKED_SIDE_MIN {
        sums.gemm(1.0, left, right, 1.0);
        return;
    }
    for row in 0..height {
        for column in 0..width {
            let products = (0..inner).map(|place| left[(row, place)] * right[(place, column)]);
            sums[(row, column)] += products.sum::<f64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row-major matrices of every small size, where a library's fast path may end.
    #[test]
    fn products_of_small_row_major_matrices_are_right() {
        let view = |values, rows: usize, columns: usize| {
            DMatrixView::from_slice_with_strides_generic(
                values,
                Dyn(rows),
                Dyn(columns),
                Dyn(columns),
                Dyn(1),
            )
        };
        let numbers: Vec<f64> = (0..64).map(|number| f64::from(number % 7) - 3.0).collect();
        for (height, inner, width) in (0..512).map(|size| (size % 8 + 1, size / 8 % 8 + 1, size / 64 + 1)) {
            let mut sums = vec![1.0; height * width];
            let out = DMatrixViewMut::from_slice_with_strides_generic(
                &mut sums,
                Dyn(height),
                Dyn(width),
                Dyn(width),
                Dyn(1),
            );
            add_product(out, &view(&numbers, height, inner), &view(&numbers, inner, width));
            for (place, found) in sums.iter().enumerate() {
                let (row, column) = (place / width, place % width);
                let products = (0..inner).map(|k| numbers[row * inner + k] * numbers[k * width + column]);
                assert_eq!(*found, 1.0 + products.sum::<f64>(), "{height} {inner} {width}");
            }
        }
    }

    #[test]
    fn eigenvectors_are_sorted_and_signed() {
        let found = symmetric(vec![2.0, -1.0, -1.0, 2.0], 2).expect("finite").strongest(2);
        let root = 0.5f64.sqrt();
        assert!((found.singular_values[0] - 3f64.sqrt()).abs() < 1e-14);
        assert!((found.singular_values[1] - 1.0).abs() < 1e-14);
        for vector in &found.vectors {
            assert!(vector.iter().all(|value| (value.abs() - root).abs() < 1e-14), "{vector:?}");
            assert!(vector.iter().any(|value| *value > 0.0), "{vector:?}");
        }
    }

    #[test]
    fn what_overflows_is_an_error() {
        let error = symmetric(vec![f64::INFINITY], 1).expect_err("not finite");
        assert!(error.to_string().contains("beyond double precision"), "{error}");
    }
}
