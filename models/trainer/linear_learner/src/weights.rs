//! The weights of all models, as columns of one matrix, and how they are had in raw units.

use crate::scaler::Scaler;
use crate::settings::{Initial, Spread};

/// How far the mean of weights goes back. Reason: enough to still the noise of small batches, and a fraction of an epoch where
/// data are many.
const MEAN_STEPS: f32 = 64.0;

/// Features × width, row-major, and one bias a column; the columns of a model stand together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    /// Models times outputs.
    pub(crate) width: usize,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// One model in raw units: outputs × features, row-major, and one bias an output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawModel {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl Weights {
    /// First weights of `models` models, each with its own draw.
    pub(crate) fn drawn(columns: usize, models: usize, outputs: usize, initial: Initial, seed: u64) -> Self {
        let width = models * outputs;
        let mut weight = vec![0.0; columns * width];
        for model in 0..models {
            let mut random = fastrand::Rng::with_seed(seed.wrapping_add((model as u64) << 32));
            for row in weight.chunks_exact_mut(width) {
                for value in &mut row[model * outputs..(model + 1) * outputs] {
                    *value = initial.spread.draw(&mut random);
                }
            }
        }
        Self { width, weight, bias: vec![initial.bias as f32; width] }
    }

    /// Every model as `raw`, in the units that training sees.
    pub(crate) fn of_raw(raw: &RawModel, models: usize, scaler: &Scaler) -> Self {
        let outputs = raw.bias.len();
        let columns = raw.weight.len() / outputs;
        let width = models * outputs;
        let mut weights = Self { width, weight: vec![0.0; columns * width], bias: vec![0.0; width] };
        for output in 0..outputs {
            let row = &raw.weight[output * columns..(output + 1) * columns];
            let mut bias = f64::from(raw.bias[output]) - scaler.label_shift;
            for (column, value) in row.iter().enumerate() {
                let value = f64::from(*value);
                bias += value * scaler.shift.get(column).map_or(0.0, |shift| f64::from(*shift));
                let scaled = (value / f64::from(scaler.factor[column]) / scaler.label_scale) as f32;
                for model in 0..models {
                    weights.weight[column * width + model * outputs + output] = scaled;
                }
            }
            for model in 0..models {
                weights.bias[model * outputs + output] = (bias / scaler.label_scale) as f32;
            }
        }
        weights
    }

    /// Moves this mean towards `weights`, which step `step` (from 1) led to. First the weight of a step grows with its number,
    /// so that the beginning is forgotten; later the mean goes back some [`MEAN_STEPS`] steps. A weight that L1 holds at 0
    /// is 0 here too.
    pub(crate) fn follow(&mut self, weights: &Self, step: u64) {
        let share = (2.0 / (step as f32 + 1.0)).max(1.0 / MEAN_STEPS);
        let each = |(mean, weight): (&mut f32, &f32)| {
            *mean = if *weight == 0.0 { 0.0 } else { *mean + share * (*weight - *mean) };
        };
        self.weight.iter_mut().zip(&weights.weight).for_each(each);
        self.bias.iter_mut().zip(&weights.bias).for_each(each);
    }

    /// Takes over one model of `other`, which is as wide.
    pub(crate) fn take(&mut self, other: &Self, model: usize, outputs: usize) {
        let columns = model * outputs..(model + 1) * outputs;
        let rows = self.weight.chunks_exact_mut(self.width).zip(other.weight.chunks_exact(self.width));
        rows.for_each(|(row, other)| row[columns.clone()].copy_from_slice(&other[columns.clone()]));
        self.bias[columns.clone()].copy_from_slice(&other.bias[columns]);
    }

    /// Some columns alone.
    pub(crate) fn narrowed(&self, columns: &[usize]) -> Self {
        Self {
            width: columns.len(),
            weight: narrowed(&self.weight, self.width, columns),
            bias: narrowed(&self.bias, self.width, columns),
        }
    }

    /// Takes over those columns from `narrow`, which has them alone.
    pub(crate) fn widen(&mut self, narrow: &Self, columns: &[usize]) {
        widen(&mut self.weight, self.width, &narrow.weight, columns);
        widen(&mut self.bias, self.width, &narrow.bias, columns);
    }

    /// One model alone.
    pub(crate) fn model(&self, model: usize, outputs: usize) -> Self {
        let columns = model * outputs..(model + 1) * outputs;
        let rows = self.weight.chunks_exact(self.width);
        Self {
            width: outputs,
            weight: rows.flat_map(|row| &row[columns.clone()]).copied().collect(),
            bias: self.bias[columns].to_vec(),
        }
    }

    /// The one model in raw units.
    pub(crate) fn to_raw(&self, scaler: &Scaler) -> RawModel {
        let outputs = self.width;
        let columns = self.weight.len() / outputs;
        let mut raw = RawModel { weight: vec![0.0; outputs * columns], bias: Vec::with_capacity(outputs) };
        for output in 0..outputs {
            let mut bias = f64::from(self.bias[output]) * scaler.label_scale + scaler.label_shift;
            for column in 0..columns {
                let value = f64::from(self.weight[column * outputs + output])
                    * f64::from(scaler.factor[column])
                    * scaler.label_scale;
                // The weight as it is kept, so that the bias makes up for its rounding too.
                raw.weight[output * columns + column] = value as f32;
                let shift = scaler.shift.get(column).map_or(0.0, |shift| f64::from(*shift));
                bias -= f64::from(value as f32) * shift;
            }
            raw.bias.push(bias as f32);
        }
        raw
    }
}

/// Some columns of a row-major matrix of `width`.
pub(crate) fn narrowed(values: &[f32], width: usize, columns: &[usize]) -> Vec<f32> {
    values.chunks_exact(width).flat_map(|row| columns.iter().map(|column| row[*column])).collect()
}

/// Puts columns back where [`narrowed`] had them from.
pub(crate) fn widen(values: &mut [f32], width: usize, narrow: &[f32], columns: &[usize]) {
    for (row, narrow) in values.chunks_exact_mut(width).zip(narrow.chunks_exact(columns.len())) {
        columns.iter().zip(narrow).for_each(|(column, value)| row[*column] = *value);
    }
}

impl Spread {
    fn draw(self, random: &mut fastrand::Rng) -> f32 {
        match self {
            Self::Uniform(scale) => ((random.f64() * 2.0 - 1.0) * scale) as f32,
            Self::Normal(sigma) => {
                // Box and Muller; the logarithm's argument is above 0.
                let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
                (sigma * radius * (std::f64::consts::TAU * random.f64()).cos()) as f32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler() -> Scaler {
        Scaler {
            shift: vec![2.0, -30.0],
            factor: vec![0.5, 0.1],
            label_shift: 100.0,
            label_scale: 20.0,
            class_rows: Vec::new(),
        }
    }

    #[test]
    fn raw_weights_give_the_same_values() {
        let weights = Weights { width: 1, weight: vec![0.3, -0.7], bias: vec![0.25] };
        let raw = weights.to_raw(&scaler());
        let row = [5.0_f32, -17.0];
        let scaled = [(row[0] - 2.0) * 0.5, (row[1] + 30.0) * 0.1];
        let expected = (0.3 * scaled[0] - 0.7 * scaled[1] + 0.25) * 20.0 + 100.0;
        let found = raw.weight[0] * row[0] + raw.weight[1] * row[1] + raw.bias[0];
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
    }

    #[test]
    fn there_and_back() {
        let weights = Weights { width: 2, weight: vec![0.3, -0.7, 1.5, 0.1], bias: vec![0.25, -1.0] };
        let plain = Scaler { label_shift: 0.0, label_scale: 1.0, ..scaler() };
        let back = Weights::of_raw(&weights.to_raw(&plain), 3, &plain);
        for model in 0..3 {
            let model = back.model(model, 2);
            let pairs =
                model.weight.iter().chain(&model.bias).zip(weights.weight.iter().chain(&weights.bias));
            pairs.for_each(|(found, expected)| assert!((found - expected).abs() < 1e-5));
        }
    }

    #[test]
    fn columns_go_and_come_back() {
        let whole =
            Weights { width: 3, weight: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], bias: vec![7.0, 8.0, 9.0] };
        let mut narrow = whole.narrowed(&[0, 2]);
        assert_eq!(narrow, Weights { width: 2, weight: vec![1.0, 3.0, 4.0, 6.0], bias: vec![7.0, 9.0] });
        narrow.weight[3] = -6.0;
        narrow.bias[0] = -7.0;
        let mut back = whole.clone();
        back.widen(&narrow, &[0, 2]);
        assert_eq!(back.weight, [1.0, 2.0, 3.0, 4.0, 5.0, -6.0]);
        assert_eq!(back.bias, [-7.0, 8.0, 9.0]);
    }

    #[test]
    fn draws_are_spread_as_asked() {
        let spread = |spread| {
            let initial = Initial { bias: 0.5, spread };
            let drawn = Weights::drawn(5_000, 2, 1, initial, 7);
            assert_eq!(drawn.bias, [0.5, 0.5]);
            assert_ne!(drawn.model(0, 1).weight, drawn.model(1, 1).weight);
            let mean =
                |power| drawn.weight.iter().map(|value| f64::from(*value).powi(power)).sum::<f64>() / 1e4;
            let greatest = drawn.weight.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(mean(1).abs() < 0.003);
            (mean(2).sqrt(), greatest)
        };
        let (deviation, greatest) = spread(Spread::Uniform(0.07));
        assert!((deviation - 0.07 / 3f64.sqrt()).abs() < 0.001 && greatest <= 0.07);
        let (deviation, greatest) = spread(Spread::Normal(0.01));
        assert!((deviation - 0.01).abs() < 5e-4 && greatest > 0.03);
    }
}
