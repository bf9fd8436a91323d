//! Sums over the features of a row that give the same bits however the row is held.
//!
//! Feature `i` is added to lane `i mod 8`, in ascending order, in double precision; the lanes are then added in one
//! fixed tree. The lanes let the compiler use vectors. A feature that is absent from a sparse row counts as 0: its
//! product is a zero, and adding a zero to a sum that began at +0 leaves every bit as it was, so that the sparse sum may
//! pass over it. A product of two f32 is exact in f64.

/// Lanes of a sum. Reason: two AVX-512 or four SSE2 registers of f64, enough to hide the latency of an addition.
const LANES: usize = 8;

/// The lanes, added in a fixed order.
fn total(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Adds `term(x, y)` of every feature to its lane.
fn sum_by_lane(left: &[f32], right: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            lanes[lane] += term(f64::from(left[lane]), f64::from(right[lane]));
        }
    }
    for (lane, (left, right)) in lanes.iter_mut().zip(left_rest.iter().zip(right_rest)) {
        *lane += term(f64::from(*left), f64::from(*right));
    }
    total(lanes)
}

/// The dot product of a dense row.
pub(crate) fn dot(row: &[f32], weights: &[f32]) -> f64 {
    sum_by_lane(row, weights, |value, weight| value * weight)
}

/// The dot product of a sparse row, to the bit that of the dense row with zeros.
pub(crate) fn dot_sparse(indices: &[u32], values: &[f32], weights: &[f32]) -> f64 {
    let mut lanes = [0.0; LANES];
    for (&index, &value) in indices.iter().zip(values) {
        let index = index as usize;
        lanes[index % LANES] += f64::from(value) * f64::from(weights[index]);
    }
    total(lanes)
}

/// The squared Euclidean distance of two dense rows.
pub(crate) fn squared_distance(left: &[f32], right: &[f32]) -> f64 {
    sum_by_lane(left, right, |left, right| (left - right) * (left - right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(length: usize, seed: u64) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..length).map(|_| (random.f32() - 0.5) * 1e3).collect()
    }

    #[test]
    fn sums_are_those_of_the_naive_loop() {
        for length in [1, 7, 8, 9, 64, 1_001] {
            let (left, right) = (random(length, 1), random(length, 2));
            let pairs = || left.iter().zip(&right).map(|(&a, &b)| (f64::from(a), f64::from(b)));
            let naive: f64 = pairs().map(|(a, b)| a * b).sum();
            let scale: f64 = pairs().map(|(a, b)| (a * b).abs()).sum();
            assert!((dot(&left, &right) - naive).abs() <= 1e-12 * scale);
            let naive: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
            assert!((squared_distance(&left, &right) - naive).abs() <= 1e-12 * naive);
        }
    }

    #[test]
    fn sparse_is_dense_to_the_bit() {
        let weights = random(100, 3);
        let mut row = random(100, 4);
        for index in (0..100).filter(|index| index % 3 != 0) {
            row[index] = if index % 2 == 0 { 0.0 } else { -0.0 };
        }
        let indices: Vec<u32> = (0..100).filter(|index| index % 3 == 0).collect();
        let values: Vec<f32> = indices.iter().map(|&index| row[index as usize]).collect();
        assert_eq!(dot(&row, &weights).to_bits(), dot_sparse(&indices, &values, &weights).to_bits());
        assert_eq!(dot(&[-0.0], &[1.0]).to_bits(), dot_sparse(&[], &[], &[1.0]).to_bits());
    }
}
