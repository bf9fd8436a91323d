//! Adam (Kingma and Ba, 2015), lazily: only weights whose feature is in the mini-batch move, decay and keep moments; the
//! correction of the moments counts all steps.
//!
//! A gradient is scaled, clipped, and only then has the weight's decay added.

use rayon::prelude::*;

use crate::exchange::Gradient;
use crate::machine::{Machine, Weights};
use crate::table::{Group, Settings};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;

/// Features whose weights one task moves. Reason: some hundred kilobytes of weights, against a microsecond of a task.
const CHUNK_FEATURES: usize = 256;
/// The least weights to move for which tasks pay.
const PARALLEL_WEIGHTS_MIN: usize = 1 << 14;

/// One step of one group of weights.
#[derive(Debug, Clone, Copy)]
struct Rule {
    learning_rate: f32,
    weight_decay: f32,
    clip: f32,
    epsilon: f32,
    /// What the sum of gradients is multiplied by: 1 over rows, and `rescale_grad`.
    scale: f64,
    correction_1: f32,
    correction_2: f32,
}

impl Rule {
    fn new(group: &Group, settings: &Settings, rows: f64, step: u64) -> Self {
        let power = |beta: f64| 1.0 - beta.powf(step as f64);
        Self {
            learning_rate: group.learning_rate as f32,
            weight_decay: group.weight_decay as f32,
            clip: settings.clip.map_or(f32::INFINITY, |clip| clip as f32),
            epsilon: settings.epsilon as f32,
            scale: settings.rescale / rows,
            correction_1: (1.0 / power(BETA_1)) as f32,
            correction_2: (1.0 / power(BETA_2)) as f32,
        }
    }

    /// Moves some weights against their summed gradients.
    fn apply(&self, gradient: &[f64], values: &mut [f32], first: &mut [f32], second: &mut [f32]) {
        let (beta_1, beta_2) = (BETA_1 as f32, BETA_2 as f32);
        for (((sum, value), first), second) in gradient.iter().zip(values).zip(first).zip(second) {
            let clipped = ((sum * self.scale) as f32).clamp(-self.clip, self.clip);
            let slope = clipped + self.weight_decay * *value;
            *first = beta_1 * *first + (1.0 - beta_1) * slope;
            *second = beta_2 * *second + (1.0 - beta_2) * slope * slope;
            let length = (*second * self.correction_2).sqrt() + self.epsilon;
            *value -= self.learning_rate * *first * self.correction_1 / length;
        }
    }
}

/// Moves all weights whose feature the gradient has; `step` counts from 1.
pub(crate) fn step(machine: &mut Machine, gradient: &Gradient, settings: &Settings, step: u64) {
    let rule = |group: &Group| Rule::new(group, settings, gradient.rows, step);
    let (linear, pairs) = (rule(&settings.linear), rule(&settings.pairs));
    let Weights { values, first, second } = &mut machine.bias;
    rule(&settings.bias).apply(&[gradient.bias], values, first, second);
    let factors = machine.factors;
    let width = factors + 1;
    let chunk = |(chunk, (line, pair)): (usize, (Parts<'_>, Parts<'_>))| {
        let base = chunk * CHUNK_FEATURES;
        let from = gradient.features.partition_point(|feature| (*feature as usize) < base);
        let to = gradient.features.partition_point(|feature| (*feature as usize) < base + CHUNK_FEATURES);
        for (slot, &feature) in gradient.features[from..to].iter().enumerate() {
            let place = feature as usize - base;
            let slopes = &gradient.values[(from + slot) * width..(from + slot + 1) * width];
            let one = place..place + 1;
            linear.apply(&slopes[..1], &mut line.0[one.clone()], &mut line.1[one.clone()], &mut line.2[one]);
            let row = place * factors..(place + 1) * factors;
            pairs.apply(&slopes[1..], &mut pair.0[row.clone()], &mut pair.1[row.clone()], &mut pair.2[row]);
        }
    };
    if gradient.values.len() < PARALLEL_WEIGHTS_MIN {
        let lines = chunks(&mut machine.linear, CHUNK_FEATURES);
        lines.zip(chunks(&mut machine.pairs, CHUNK_FEATURES * factors)).enumerate().for_each(chunk);
    } else {
        let lines = parallel_chunks(&mut machine.linear, CHUNK_FEATURES);
        lines.zip(parallel_chunks(&mut machine.pairs, CHUNK_FEATURES * factors)).enumerate().for_each(chunk);
    }
}

/// Values and both moments of some weights.
type Parts<'a> = (&'a mut [f32], &'a mut [f32], &'a mut [f32]);

fn chunks(weights: &mut Weights, length: usize) -> impl Iterator<Item = Parts<'_>> {
    let Weights { values, first, second } = weights;
    let moments = first.chunks_mut(length).zip(second.chunks_mut(length));
    values.chunks_mut(length).zip(moments).map(|(values, (first, second))| (values, first, second))
}

fn parallel_chunks(weights: &mut Weights, length: usize) -> impl IndexedParallelIterator<Item = Parts<'_>> {
    let Weights { values, first, second } = weights;
    let moments = first.par_chunks_mut(length).zip(second.par_chunks_mut(length));
    values.par_chunks_mut(length).zip(moments).map(|(values, (first, second))| (values, first, second))
}

#[cfg(test)]
mod tests {
    use estimator::Job;

    use super::*;

    fn settings(given: &[(&str, &str)]) -> Settings {
        let common = [("feature_dim", "1000"), ("num_factors", "20"), ("predictor_type", "regressor")];
        Settings::of(&Job::for_tests(&[&common[..], given].concat(), &[])).expect("sound")
    }

    #[test]
    fn a_first_step_is_the_learning_rate_against_the_slope() {
        let settings = settings(&[("linear_lr", "0.5"), ("linear_wd", "0")]);
        let rule = Rule::new(&settings.linear, &settings, 4.0, 1);
        let (mut values, mut first, mut second) = ([1.0, 1.0, 1.0], [0.0; 3], [0.0; 3]);
        rule.apply(&[8.0, -0.004, 0.0], &mut values, &mut first, &mut second);
        assert!((values[0] - 0.5).abs() < 1e-5 && (values[1] - 1.5).abs() < 1e-4, "{values:?}");
        assert_eq!(values[2], 1.0);
        assert!((first[0] - 0.2).abs() < 1e-6 && (second[0] - 0.004).abs() < 1e-6);
    }

    #[test]
    fn scaling_comes_before_clipping_and_decay_after_both() {
        let settings = settings(&[("rescale_grad", "10"), ("clip_gradient", "3"), ("linear_wd", "2")]);
        let rule = Rule::new(&settings.linear, &settings, 1.0, 1);
        let slope = |gradient: f64| {
            let (mut values, mut first, mut second) = ([1.0], [0.0], [0.0]);
            rule.apply(&[gradient], &mut values, &mut first, &mut second);
            first[0] / 0.1
        };
        assert!((slope(0.1) - 3.0).abs() < 1e-5, "1 + 2");
        assert!((slope(5.0) - 5.0).abs() < 1e-5, "3 + 2");
        assert!((slope(-5.0) + 1.0).abs() < 1e-5, "-3 + 2");
    }

    #[test]
    fn features_that_are_not_there_stay_and_tasks_change_nothing() {
        let settings = settings(&[]);
        let start = Machine::new(&settings);
        let features: Vec<u32> = (0..1000).filter(|feature| feature % 2 == 1).collect();
        let values = (0..features.len() * 21).map(|place| place as f64 / 1000.0 - 3.0).collect();
        let gradient = Gradient { features, values, bias: 1.0, rows: 10.0 };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mut machine = start.clone();
            pool.install(|| step(&mut machine, &gradient, &settings, 1));
            machine
        };
        let (one, three) = (run(1), run(3));
        assert_eq!(one, three);
        for feature in 0..1000 {
            let moved = one.linear.values[feature] != start.linear.values[feature];
            assert_eq!(moved, feature % 2 == 1, "feature {feature}");
            let row = feature * 20..feature * 20 + 20;
            assert_eq!(one.pairs.values[row.clone()] != start.pairs.values[row], feature % 2 == 1);
        }
    }
}
