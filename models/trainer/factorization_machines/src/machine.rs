//! The weights of a machine with Adam's moments, and ŷ of a row.

use fastrand::Rng;

use crate::table::{Group, Initial, Settings};

/// Weights of one group, each with its two moments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    pub(crate) values: Vec<f32>,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

/// A factorization machine in training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub(crate) factors: usize,
    /// One.
    pub(crate) bias: Weights,
    /// One a feature.
    pub(crate) linear: Weights,
    /// features × factors, row-major.
    pub(crate) pairs: Weights,
}

impl Weights {
    /// These, with moments of 0.
    pub(crate) fn of(values: Vec<f32>) -> Self {
        let zeros = vec![0.0; values.len()];
        Self { values, first: zeros.clone(), second: zeros }
    }

    fn drawn(count: usize, group: &Group, random: &mut Rng) -> Self {
        let mut draw = || match group.initial {
            Initial::Normal(sigma) => (sigma * normal(random)) as f32,
            Initial::Uniform(scale) => (scale * (2.0 * random.f64() - 1.0)) as f32,
            Initial::Constant(value) => value as f32,
        };
        Self::of((0..count).map(|_| draw()).collect())
    }
}

impl Machine {
    /// Where training starts.
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut random = Rng::with_seed(settings.seed);
        Self {
            factors: settings.factors,
            bias: Weights::drawn(1, &settings.bias, &mut random),
            linear: Weights::drawn(settings.columns, &settings.linear, &mut random),
            pairs: Weights::drawn(settings.columns * settings.factors, &settings.pairs, &mut random),
        }
    }

    /// ŷ of a row of entries that are not 0; Σᵢ vᵢ_f xᵢ of every factor is left in `sums`. `squares` is room for as many.
    pub(crate) fn margin(
        &self,
        indices: &[u32],
        values: &[f32],
        sums: &mut [f32],
        squares: &mut [f32],
    ) -> f64 {
        sums.fill(0.0);
        squares.fill(0.0);
        let mut margin = f64::from(self.bias.values[0]);
        for (&index, &value) in indices.iter().zip(values) {
            let index = index as usize;
            margin += f64::from(self.linear.values[index]) * f64::from(value);
            let row = &self.pairs.values[index * self.factors..(index + 1) * self.factors];
            for ((sum, square), factor) in sums.iter_mut().zip(squares.iter_mut()).zip(row) {
                let product = factor * value;
                *sum += product;
                *square += product * product;
            }
        }
        let pair = |(sum, square): (&f32, &f32)| f64::from(*sum) * f64::from(*sum) - f64::from(*square);
        margin + 0.5 * sums.iter().zip(squares.iter()).map(pair).sum::<f64>()
    }
}

/// A draw from N(0, 1), by the method of Box and Muller.
fn normal(random: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(initial: Initial) -> Vec<f32> {
        let group = Group { initial, learning_rate: 0.0, weight_decay: 0.0 };
        Weights::drawn(20_000, &group, &mut Rng::with_seed(1)).values
    }

    #[test]
    fn weights_start_as_the_method_says() {
        let deviation = |values: &[f32]| {
            (values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
        };
        assert!((deviation(&drawn(Initial::Normal(2.0))) - 2.0).abs() < 0.05);
        let uniform = drawn(Initial::Uniform(3.0));
        assert!(uniform.iter().all(|value| value.abs() <= 3.0));
        assert!((deviation(&uniform) - 3.0 / 3f64.sqrt()).abs() < 0.05);
        assert!(drawn(Initial::Constant(-0.5)).iter().all(|value| *value == -0.5));
    }
}
