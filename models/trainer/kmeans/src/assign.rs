//! The nearest center of many records at once: `‖x-c‖² = ‖x‖² - 2x·c + ‖c‖²`, whose products are one blocked matrix
//! multiplication.
//!
//! Records and centers are moved by the mean of the centers first, so that what the subtraction cancels is small. The
//! choice is made in single precision; the distance told of is that of the chosen center in double precision.

use dmatrix::{DMatrix, Row};
use nalgebra::{DMatrixView, DMatrixViewMut};
use rayon::prelude::*;

/// The most values of a block's buffers. Reason: 1 MiB fits the second-level cache beside the centers.
const BLOCK_VALUES_MAX: usize = 1 << 18;
/// The most and fewest records of a block. Reason: enough for the matrix product to reuse what it loads.
const BLOCK_ROWS: (usize, usize) = (8, 256);
/// Lanes of sums and minima. Reason: two registers of single precision.
const LANES: usize = 8;

/// The nearest center, and the squared distance to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearby {
    /// The center; of equally near ones, the first.
    pub center: u32,
    /// The squared Euclidean distance.
    pub squared: f64,
}

/// Centers, ready to be compared with.
#[derive(Debug)]
pub struct Nearest<'a> {
    centers: &'a [f32],
    columns: usize,
    origin: Vec<f32>,
    /// The centers minus the origin, column by column.
    moved: Vec<f32>,
    /// Half the squared norms of the moved centers.
    half_norms: Vec<f32>,
}

impl<'a> Nearest<'a> {
    /// Over row-major `centers` of `columns` features.
    pub fn new(centers: &'a [f32], columns: usize) -> Self {
        let k = centers.len() / columns;
        let mut mean = vec![0.0f64; columns];
        for center in centers.chunks_exact(columns) {
            mean.iter_mut().zip(center).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let origin: Vec<f32> = mean.iter().map(|sum| (sum / k.max(1) as f64) as f32).collect();
        let mut moved = vec![0.0f32; k * columns];
        let mut half_norms = Vec::with_capacity(k);
        for (index, center) in centers.chunks_exact(columns).enumerate() {
            let mut squared = 0.0f64;
            for (column, (value, origin)) in center.iter().zip(&origin).enumerate() {
                moved[column * k + index] = value - origin;
                squared += f64::from(value - origin).powi(2);
            }
            half_norms.push((0.5 * squared) as f32);
        }
        Self { centers, columns, origin, moved, half_norms }
    }

    /// Over the same centers, of which the one with the largest inner product counts as the nearest.
    pub fn by_product(centers: &'a [f32], columns: usize) -> Self {
        let k = centers.len() / columns;
        let mut moved = vec![0.0; centers.len()];
        for (index, center) in centers.chunks_exact(columns).enumerate() {
            center.iter().enumerate().for_each(|(column, value)| moved[column * k + index] = *value);
        }
        Self { centers, columns, origin: vec![0.0; columns], moved, half_norms: vec![0.0; k] }
    }

    /// For each row of `rows`, dense or sparse with the same bits.
    pub fn of_matrix(&self, rows: &DMatrix) -> Vec<Nearby> {
        self.of_rows(rows.rows(), |row| rows.row(row))
    }

    /// For each row of `points`, row-major.
    pub fn of_points(&self, points: &[f32]) -> Vec<Nearby> {
        let row = |row: usize| Row::Dense(&points[row * self.columns..(row + 1) * self.columns]);
        self.of_rows(points.len() / self.columns, row)
    }

    fn of_rows<'r>(&self, count: usize, row: impl Fn(usize) -> Row<'r> + Sync) -> Vec<Nearby> {
        let block =
            (BLOCK_VALUES_MAX / self.columns.max(self.half_norms.len())).clamp(BLOCK_ROWS.0, BLOCK_ROWS.1);
        let one = |start: usize| self.of_block(start, block.min(count - start), &row);
        let blocks: Vec<Vec<Nearby>> =
            (0..count.div_ceil(block)).into_par_iter().map(|b| one(b * block)).collect();
        blocks.concat()
    }

    fn of_block<'r>(&self, start: usize, rows: usize, row: &impl Fn(usize) -> Row<'r>) -> Vec<Nearby> {
        let (columns, k) = (self.columns, self.half_norms.len());
        let mut spread = vec![0.0f32; rows * columns];
        for (index, values) in spread.chunks_exact_mut(columns).enumerate() {
            spread_row(row(start + index), values);
        }
        let mut moved = spread.clone();
        for values in moved.chunks_exact_mut(columns) {
            values.iter_mut().zip(&self.origin).for_each(|(value, origin)| *value -= origin);
        }
        let mut products = vec![0.0f32; rows * k];
        self.multiply(&moved, &mut products, rows);
        let choose = |(values, products): (&[f32], &mut [f32])| {
            let center = least(&self.half_norms, products);
            let chosen = &self.centers[center * columns..(center + 1) * columns];
            Nearby { center: center as u32, squared: squared_distance(values, chosen) }
        };
        spread.chunks_exact(columns).zip(products.chunks_exact_mut(k)).map(choose).collect()
    }

    /// The product of every center with every record; a record's products lie together.
    fn multiply(&self, records: &[f32], products: &mut [f32], rows: usize) {
        let (columns, k) = (self.columns, self.half_norms.len());
        // Row-major records are a matrix of a record a column.
        let centers = DMatrixView::from_slice(&self.moved, k, columns);
        let records = DMatrixView::from_slice(records, columns, rows);
        DMatrixViewMut::from_slice(products, k, rows).gemm(1.0, &centers, &records, 0.0);
    }
}

/// Writes a row out in full.
pub(crate) fn spread_row(row: Row<'_>, values: &mut [f32]) {
    match row {
        Row::Dense(dense) => values.copy_from_slice(dense),
        Row::Sparse { indices, values: entries } => {
            values.fill(0.0);
            indices.iter().zip(entries).for_each(|(index, value)| values[*index as usize] = *value);
        }
    }
}

/// The first place where half norm minus product is least. The products are overwritten.
fn least(half_norms: &[f32], products: &mut [f32]) -> usize {
    let mut lanes = [f32::INFINITY; LANES];
    let (norm_blocks, norm_rest) = half_norms.as_chunks::<LANES>();
    let (product_blocks, product_rest) = products.as_chunks_mut::<LANES>();
    for (norms, values) in norm_blocks.iter().zip(product_blocks) {
        for lane in 0..LANES {
            values[lane] = norms[lane] - values[lane];
            lanes[lane] = if values[lane] < lanes[lane] { values[lane] } else { lanes[lane] };
        }
    }
    for (lane, (norm, value)) in lanes.iter_mut().zip(norm_rest.iter().zip(product_rest)) {
        *value = norm - *value;
        *lane = if *value < *lane { *value } else { *lane };
    }
    let least = lanes.into_iter().fold(f32::INFINITY, f32::min);
    products.iter().position(|value| *value == least).unwrap_or_default()
}

/// The squared Euclidean distance, summed in double precision in lanes.
pub(crate) fn squared_distance(left: &[f32], right: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            lanes[lane] += (f64::from(left[lane]) - f64::from(right[lane])).powi(2);
        }
    }
    for (lane, (left, right)) in lanes.iter_mut().zip(left_rest.iter().zip(right_rest)) {
        *lane += (f64::from(*left) - f64::from(*right)).powi(2);
    }
    lanes.into_iter().sum()
}

/// Adds every row, times its weight, to the sum of its center, and the weight to the center's. Each center's sum is taken
/// by one task in the order of the rows, so that its bits do not depend on how many tasks there are.
pub(crate) fn add_by_center<'r>(
    nearby: &[Nearby],
    row: impl Fn(usize) -> Row<'r> + Sync,
    weights: Option<&[f64]>,
    sums: &mut [f64],
    counts: &mut [f64],
) {
    let columns = sums.len() / counts.len();
    let centers = counts.len().div_ceil(rayon::current_num_threads());
    let tasks = sums.par_chunks_mut(centers * columns).zip(counts.par_chunks_mut(centers)).enumerate();
    tasks.for_each(|(task, (sums, counts))| {
        for (index, nearby) in nearby.iter().enumerate() {
            let Some(center) = (nearby.center as usize).checked_sub(task * centers) else { continue };
            let Some(count) = counts.get_mut(center) else { continue };
            let weight = weights.map_or(1.0, |weights| weights[index]);
            *count += weight;
            let sums = &mut sums[center * columns..(center + 1) * columns];
            match row(index) {
                Row::Dense(values) => {
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * f64::from(*value));
                }
                Row::Sparse { indices, values } => {
                    let entries = indices.iter().zip(values);
                    entries.for_each(|(place, value)| sums[*place as usize] += weight * f64::from(*value));
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_that_of_the_naive_loop() {
        let mut random = fastrand::Rng::with_seed(3);
        for (k, columns, rows, offset) in
            [(1, 1, 3, 0.0), (7, 3, 300, 1e4), (100, 30, 777, 0.0), (9, 64, 20, -5.0)]
        {
            let mut draw = |count: usize| (0..count).map(|_| random.f32() + offset).collect::<Vec<f32>>();
            let (centers, points) = (draw(k * columns), draw(rows * columns));
            let found = Nearest::new(&centers, columns).of_points(&points);
            for (point, found) in points.chunks_exact(columns).zip(&found) {
                let all: Vec<f64> =
                    centers.chunks_exact(columns).map(|center| squared_distance(point, center)).collect();
                let least = all.iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!(found.squared, all[found.center as usize]);
                assert!(found.squared <= least * (1.0 + 1e-3), "{} is not {least}", found.squared);
            }
        }
    }

    #[test]
    fn of_equal_centers_the_first_is_nearest() {
        let centers = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
        let found = Nearest::new(&centers, 2).of_points(&[0.1, 0.0, 0.9, 1.0]);
        assert_eq!(found.iter().map(|nearby| nearby.center).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn by_product_the_largest_is_nearest() {
        let found = Nearest::by_product(&[1.0, 0.0, 0.0, 5.0], 2).of_points(&[1.0, 0.1, 1.0, 0.3]);
        assert_eq!(found.iter().map(|nearby| nearby.center).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn sparse_is_dense() {
        let dense = DMatrix::from_dense(vec![0.0, 2.0, 0.0, 3.0, 0.0, 0.5], 3);
        let mut sparse = dense.clone();
        sparse.make_sparse();
        let centers = [0.0, 1.0, 0.0, 3.0, 0.0, 0.0];
        let nearest = Nearest::new(&centers, 3);
        let found = nearest.of_matrix(&sparse);
        assert_eq!(nearest.of_matrix(&dense), found);
        let sums = |rows: &DMatrix| {
            let (mut sums, mut counts) = (vec![0.0; 6], vec![0.0; 2]);
            add_by_center(&found, |row| rows.row(row), None, &mut sums, &mut counts);
            (sums, counts)
        };
        assert_eq!(sums(&dense), sums(&sparse));
        assert_eq!(sums(&dense), (vec![0.0, 2.0, 0.0, 3.0, 0.0, 0.5], vec![1.0, 1.0]));
    }
}
