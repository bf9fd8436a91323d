//! A mini-batch: its entries that are not 0, by row and by feature, and what they make of a machine.
//!
//! Forward goes by row: Σᵢ vᵢ_f xᵢ of every factor. Backward goes by feature, ∂ŷ/∂vᵢ_f = xᵢ(Σⱼ vⱼ_f xⱼ − vᵢ_f xᵢ): one task has
//! a feature's whole sum, in the order of the rows, so that threads change nothing.

use dmatrix::{DMatrix, Row};
use rayon::prelude::*;

use crate::exchange::Gradient;
use crate::machine::Machine;

/// Rows or features of one task. Reason: tens of microseconds at 30 entries a row and 64 factors.
const CHUNK: usize = 16;
/// The least products of entries and factors for which tasks pay. Reason: a fraction of a millisecond of work.
const PARALLEL_PRODUCTS_MIN: usize = 1 << 17;
/// The place of a feature that no row has.
const NOWHERE: u32 = u32::MAX;

/// Buffers that are filled mini-batch after mini-batch.
#[derive(Debug)]
pub(crate) struct Batch {
    /// By row: where each ends, features, values.
    row_ends: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    /// By feature: which there are, where each ends, rows, values.
    features: Vec<u32>,
    feature_ends: Vec<usize>,
    rows: Vec<u32>,
    by_feature: Vec<f32>,
    /// The place of every feature in `features`.
    places: Vec<u32>,
    /// rows × factors: Σᵢ vᵢ_f xᵢ.
    sums: Vec<f32>,
}

impl Batch {
    /// Room for rows of `columns` features.
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            row_ends: Vec::new(),
            indices: Vec::new(),
            values: Vec::new(),
            features: Vec::new(),
            feature_ends: Vec::new(),
            rows: Vec::new(),
            by_feature: Vec::new(),
            places: vec![NOWHERE; columns],
            sums: Vec::new(),
        }
    }

    /// Takes rows over.
    pub(crate) fn fill(&mut self, rows: &DMatrix) {
        self.row_ends.clear();
        self.indices.clear();
        self.values.clear();
        for row in 0..rows.rows() {
            match rows.row(row) {
                Row::Dense(values) => {
                    for (index, value) in values.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                        self.indices.push(index as u32);
                        self.values.push(*value);
                    }
                }
                Row::Sparse { indices, values } => {
                    for (index, value) in indices.iter().zip(values).filter(|(_, value)| **value != 0.0) {
                        self.indices.push(*index);
                        self.values.push(*value);
                    }
                }
            }
            self.row_ends.push(self.indices.len());
        }
    }

    /// ŷ of every row; what [`gradient`](Self::gradient) needs is kept.
    pub(crate) fn margins(&mut self, machine: &Machine) -> Vec<f64> {
        let (factors, count) = (machine.factors, self.row_ends.len());
        let is_large = self.is_large(factors);
        let Self { row_ends, indices, values, sums, .. } = self;
        sums.resize(count * factors, 0.0);
        let mut margins = vec![0.0; count];
        let chunk = |(chunk, (margins, sums)): (usize, (&mut [f64], &mut [f32]))| {
            let mut squares = vec![0.0; factors];
            let first = chunk * CHUNK;
            for (place, (margin, sums)) in margins.iter_mut().zip(sums.chunks_mut(factors)).enumerate() {
                let row = first + place;
                let entries = start(row_ends, row)..row_ends[row];
                *margin = machine.margin(&indices[entries.clone()], &values[entries], sums, &mut squares);
            }
        };
        if is_large {
            let sums = sums.par_chunks_mut(CHUNK * factors);
            margins.par_chunks_mut(CHUNK).zip(sums).enumerate().for_each(chunk);
        } else {
            margins.chunks_mut(CHUNK).zip(sums.chunks_mut(CHUNK * factors)).enumerate().for_each(chunk);
        }
        margins
    }

    /// The summed gradient; `slopes` are the derivatives of each row's loss with respect to its ŷ.
    pub(crate) fn gradient(&mut self, machine: &Machine, slopes: &[f64]) -> Gradient {
        self.turn();
        let width = machine.factors + 1;
        let mut values = vec![0.0; self.features.len() * width];
        let chunk = |(chunk, values): (usize, &mut [f64])| {
            for (place, values) in values.chunks_mut(width).enumerate() {
                self.derive(machine, slopes, chunk * CHUNK + place, values);
            }
        };
        if self.is_large(machine.factors) {
            values.par_chunks_mut(CHUNK * width).enumerate().for_each(chunk);
        } else {
            values.chunks_mut(CHUNK * width).enumerate().for_each(chunk);
        }
        Gradient {
            features: self.features.clone(),
            values,
            bias: slopes.iter().sum(),
            rows: slopes.len() as f64,
        }
    }

    /// The derivatives of the feature at `place`: linear, then factors.
    fn derive(&self, machine: &Machine, slopes: &[f64], place: usize, values: &mut [f64]) {
        let factors = machine.factors;
        let (linear, pairs) = values.split_first_mut().expect("a feature has a linear weight");
        let mut own = 0.0;
        let entries = start(&self.feature_ends, place)..self.feature_ends[place];
        for (&row, &value) in self.rows[entries.clone()].iter().zip(&self.by_feature[entries]) {
            let row = row as usize;
            let slope = slopes[row] * f64::from(value);
            *linear += slope;
            own += slope * f64::from(value);
            for (sum, total) in pairs.iter_mut().zip(&self.sums[row * factors..(row + 1) * factors]) {
                *sum += slope * f64::from(*total);
            }
        }
        let feature = self.features[place] as usize;
        let weights = &machine.pairs.values[feature * factors..(feature + 1) * factors];
        for (sum, weight) in pairs.iter_mut().zip(weights) {
            *sum -= own * f64::from(*weight);
        }
    }

    /// Orders the entries by feature.
    fn turn(&mut self) {
        self.features.clear();
        for &index in &self.indices {
            if self.places[index as usize] == NOWHERE {
                self.places[index as usize] = 0;
                self.features.push(index);
            }
        }
        self.features.sort_unstable();
        for (place, feature) in self.features.iter().enumerate() {
            self.places[*feature as usize] = place as u32;
        }
        // Counts, then where each begins; filling moves each to its end.
        self.feature_ends.clear();
        self.feature_ends.resize(self.features.len(), 0);
        for &index in &self.indices {
            self.feature_ends[self.places[index as usize] as usize] += 1;
        }
        let mut before = 0;
        for end in &mut self.feature_ends {
            (*end, before) = (before, before + *end);
        }
        self.rows.resize(self.indices.len(), 0);
        self.by_feature.resize(self.indices.len(), 0.0);
        for row in 0..self.row_ends.len() {
            for entry in start(&self.row_ends, row)..self.row_ends[row] {
                let next = &mut self.feature_ends[self.places[self.indices[entry] as usize] as usize];
                self.rows[*next] = row as u32;
                self.by_feature[*next] = self.values[entry];
                *next += 1;
            }
        }
        for feature in &self.features {
            self.places[*feature as usize] = NOWHERE;
        }
    }

    fn is_large(&self, factors: usize) -> bool {
        self.indices.len() * factors >= PARALLEL_PRODUCTS_MIN
    }
}

/// Where what ends at `ends[place]` begins.
fn start(ends: &[usize], place: usize) -> usize {
    if place == 0 { 0 } else { ends[place - 1] }
}

#[cfg(test)]
mod tests {
    use estimator::Job;
    use fastrand::Rng;

    use super::*;
    use crate::table::Settings;

    fn machine(columns: &str, factors: &str) -> Machine {
        let given = [
            ("feature_dim", columns),
            ("num_factors", factors),
            ("predictor_type", "regressor"),
            ("factors_init_sigma", "0.4"),
            ("linear_init_sigma", "0.4"),
        ];
        Machine::new(&Settings::of(&Job::for_tests(&given, &[])).expect("sound"))
    }

    /// Values of rows, two thirds of them 0.
    fn rows(count: usize, columns: usize) -> Vec<f32> {
        let mut random = Rng::with_seed(4);
        (0..count * columns)
            .map(|_| if random.u8(..3) == 0 { random.f32() * 2.0 - 1.0 } else { 0.0 })
            .collect()
    }

    fn sparse(values: &[f32], columns: usize) -> DMatrix {
        let mut matrix = DMatrix::new();
        let parts = matrix.begin_sparse();
        for row in values.chunks(columns) {
            for (index, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                parts.indices.push(index as u32);
                parts.values.push(*value);
            }
            parts.offsets.push(parts.indices.len());
        }
        matrix.finish_sparse(columns);
        matrix
    }

    fn gradient(machine: &Machine, rows: &DMatrix) -> (Vec<f64>, Gradient) {
        let mut batch = Batch::new(rows.columns());
        batch.fill(rows);
        let margins = batch.margins(machine);
        let slopes: Vec<f64> = (0..margins.len()).map(|row| (row as f64 - 3.0) / 7.0).collect();
        let gradient = batch.gradient(machine, &slopes);
        (margins, gradient)
    }

    /// Σ_b slope_b ŷ_b by the sum over all pairs, in doubles.
    fn naive(machine: &Machine, values: &[f32], columns: usize) -> f64 {
        let weight = |i: usize, f: usize| f64::from(machine.pairs.values[i * machine.factors + f]);
        let row = |row: &[f32]| {
            let mut margin = f64::from(machine.bias.values[0]);
            for i in 0..columns {
                margin += f64::from(machine.linear.values[i]) * f64::from(row[i]);
                for j in i + 1..columns {
                    let product: f64 = (0..machine.factors).map(|f| weight(i, f) * weight(j, f)).sum();
                    margin += product * f64::from(row[i]) * f64::from(row[j]);
                }
            }
            margin
        };
        values.chunks(columns).enumerate().map(|(b, values)| (b as f64 - 3.0) / 7.0 * row(values)).sum()
    }

    #[test]
    fn gradients_are_finite_differences() {
        let values = rows(11, 9);
        let machine = machine("9", "5");
        let (_, found) = gradient(&machine, &sparse(&values, 9));
        let slope = |change: &dyn Fn(&mut Machine, f32)| {
            let side = |step: f32| {
                let mut other = machine.clone();
                change(&mut other, step);
                naive(&other, &values, 9)
            };
            (side(0.01) - side(-0.01)) / 0.02
        };
        let close = |found: f64, expected: f64| {
            assert!((found - expected).abs() <= 1e-3 * expected.abs().max(0.1), "{found} is not {expected}");
        };
        close(found.bias, slope(&|machine, step| machine.bias.values[0] += step));
        for (place, feature) in found.features.iter().map(|feature| *feature as usize).enumerate() {
            close(found.values[place * 6], slope(&|machine, step| machine.linear.values[feature] += step));
            for factor in 0..5 {
                let expected = slope(&|machine, step| machine.pairs.values[feature * 5 + factor] += step);
                close(found.values[place * 6 + 1 + factor], expected);
            }
        }
    }

    #[test]
    fn sparse_is_dense_at_any_number_of_threads() {
        let values = rows(300, 200);
        let machine = machine("200", "16");
        let run = |threads: usize, rows: &DMatrix| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| gradient(&machine, rows))
        };
        let dense = DMatrix::from_dense(values.clone(), 200);
        let expected = run(1, &dense);
        assert_eq!(run(3, &dense), expected);
        assert_eq!(run(2, &sparse(&values, 200)), expected);
    }

    #[test]
    fn buffers_that_were_used_leave_nothing_behind() {
        let machine = machine("30", "4");
        let (first, second) = (rows(20, 30), rows(3, 30));
        let mut batch = Batch::new(30);
        batch.fill(&sparse(&first, 30));
        batch.margins(&machine);
        batch.gradient(&machine, &[1.0; 20]);
        batch.fill(&sparse(&second, 30));
        let margins = batch.margins(&machine);
        let slopes: Vec<f64> = (0..3).map(|row| (f64::from(row) - 3.0) / 7.0).collect();
        assert_eq!((margins, batch.gradient(&machine, &slopes)), gradient(&machine, &sparse(&second, 30)));
    }
}
