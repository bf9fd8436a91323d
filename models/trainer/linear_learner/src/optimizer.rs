//! One step of all models: Adam, SGD with momentum or RMSprop, with weight decay in the gradient and L1 as a proximal step.
//!
//! With g the mean derivative plus `wd`·w, and η the scheduled rate:
//!
//! | rule | step | source |
//! |---|---|---|
//! | adam | m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - η·√(1-β₂ᵗ)/(1-β₁ᵗ) · m/(√v + 1e-8) | Kingma and Ba, 2015 |
//! | sgd | m ← μm - ηg, w ← w + m | |
//! | rmsprop | v ← 0.9v + 0.1g², w ← w - ηg/√(v + 1e-8) | Tieleman and Hinton, 2012 |
//!
//! Then w ← sign(w)·max(0, abs(w) - h·l1) with h what the step multiplied the gradient with, a weight: the proximal step in
//! the metric of the rule, which leaves exact zeros at the minimum of the penalised loss.

use rayon::prelude::*;

use crate::grid::Candidate;
use crate::network::Sums;
use crate::settings::{Rule, StepSettings};
use crate::weights::{Weights, narrowed, widen};

/// Keeps roots from 0.
const EPSILON: f32 = 1e-8;
/// The share of the old in RMSprop's mean of squares.
const RMS_DECAY: f32 = 0.9;
/// The least length of the inner loops: per-column numbers are repeated to it, so that few models are stepped as fast as many.
const TILE_MIN: usize = 64;
/// Weights that one thread steps at a time. Reason: some 50 µs.
const BLOCK: usize = 1 << 16;

/// The state of all models' steps.
#[derive(Debug, Clone)]
pub(crate) struct Optimizer {
    settings: StepSettings,
    /// One a column.
    rates: Vec<f64>,
    decays: Vec<f32>,
    l1s: Vec<f32>,
    /// Steps taken.
    pub(crate) steps: u64,
    /// Means of gradients (or the momentum) and of squares, weights then biases.
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

/// What a step needs of every column, repeated to a tile.
struct Tile {
    rates: Vec<f32>,
    decays: Vec<f32>,
    l1s: Vec<f32>,
}

impl Optimizer {
    /// Before the first step of `candidates`, each of `outputs` columns, over `columns` features.
    pub(crate) fn new(
        settings: StepSettings,
        candidates: &[Candidate],
        outputs: usize,
        columns: usize,
    ) -> Self {
        let spread = |value: fn(&Candidate) -> f64| {
            let models = candidates.iter().flat_map(move |model| std::iter::repeat_n(value(model), outputs));
            models.collect::<Vec<f64>>()
        };
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        let length = (columns + 1) * candidates.len() * outputs;
        Self {
            settings,
            rates: spread(|model| model.learning_rate),
            decays: single(spread(|model| model.wd)),
            l1s: single(spread(|model| model.l1)),
            steps: 0,
            first: vec![0.0; length],
            second: vec![0.0; length],
        }
    }

    /// That of some columns alone.
    pub(crate) fn narrowed(&self, columns: &[usize]) -> Self {
        let width = self.rates.len();
        Self {
            settings: self.settings,
            rates: columns.iter().map(|column| self.rates[*column]).collect(),
            decays: narrowed(&self.decays, width, columns),
            l1s: narrowed(&self.l1s, width, columns),
            steps: self.steps,
            first: narrowed(&self.first, width, columns),
            second: narrowed(&self.second, width, columns),
        }
    }

    /// Takes over the moments of those columns, and the steps taken.
    pub(crate) fn widen(&mut self, narrow: &Self, columns: &[usize]) {
        let width = self.rates.len();
        self.steps = narrow.steps;
        widen(&mut self.first, width, &narrow.first, columns);
        widen(&mut self.second, width, &narrow.second, columns);
    }

    /// Steps along `sums` over `rows` rows.
    pub(crate) fn step(&mut self, weights: &mut Weights, sums: &Sums, rows: u64) {
        let settings = self.settings;
        let scheduled: Vec<f64> = self
            .rates
            .iter()
            .map(|rate| settings.schedule.map_or(*rate, |schedule| schedule.rate(*rate, self.steps)))
            .collect();
        self.steps += 1;
        let share = 1.0 / rows as f32;
        let split = weights.weight.len();
        let (first, first_bias) = self.first.split_at_mut(split);
        let (second, second_bias) = self.second.split_at_mut(split);
        let correction = correction(settings, self.steps);
        let rates: Vec<f32> = scheduled.iter().map(|rate| (rate * correction) as f32).collect();
        let tile = Tile::new(&rates, &self.decays, &self.l1s);
        let length = tile.rates.len();
        let block = BLOCK.div_ceil(length) * length;
        let step = |(((weights, sums), first), second): Part<'_>| {
            tile.step(settings, weights, sums, share, first, second);
        };
        if split <= block {
            step((((&mut weights.weight, &sums.weight), first), second));
        } else {
            let parts = weights.weight.par_chunks_mut(block).zip(sums.weight.par_chunks(block));
            parts.zip(first.par_chunks_mut(block)).zip(second.par_chunks_mut(block)).for_each(step);
        }
        if settings.use_bias {
            let times = |values: &[f32], by: f64| values.iter().map(|v| v * by as f32).collect::<Vec<_>>();
            let rates = times(&rates, settings.bias_lr_mult);
            let decays = times(&self.decays, settings.bias_wd_mult);
            let tile = Tile::new(&rates, &decays, &vec![0.0; rates.len()]);
            tile.step(settings, &mut weights.bias, &sums.bias, share, first_bias, second_bias);
        }
    }
}

/// Weights, sums, first and second moments of a block.
type Part<'a> = (((&'a mut [f32], &'a [f32]), &'a mut [f32]), &'a mut [f32]);

/// What Adam's rate is multiplied with, since its means begin at 0.
fn correction(settings: StepSettings, step: u64) -> f64 {
    if settings.rule != Rule::Adam {
        return 1.0;
    }
    let power = i32::try_from(step).unwrap_or(i32::MAX);
    (1.0 - settings.beta_2.powi(power)).sqrt() / (1.0 - settings.beta_1.powi(power))
}

impl Tile {
    fn new(rates: &[f32], decays: &[f32], l1s: &[f32]) -> Self {
        let times = TILE_MIN.div_ceil(rates.len()).max(1);
        Self { rates: rates.repeat(times), decays: decays.repeat(times), l1s: l1s.repeat(times) }
    }

    fn step(
        &self,
        settings: StepSettings,
        weights: &mut [f32],
        sums: &[f32],
        share: f32,
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let (beta_1, beta_2) = (settings.beta_1 as f32, settings.beta_2 as f32);
        let momentum = settings.momentum as f32;
        match settings.rule {
            Rule::Adam => self.each(weights, sums, share, first, second, |g, m, v, rate| {
                *m = beta_1 * *m + (1.0 - beta_1) * g;
                *v = beta_2 * *v + (1.0 - beta_2) * g * g;
                let metric = rate / (v.sqrt() + EPSILON);
                (-metric * *m, metric)
            }),
            Rule::Sgd => self.each(weights, sums, share, first, second, |g, m, _, rate| {
                *m = momentum * *m - rate * g;
                (*m, rate)
            }),
            Rule::RmsProp => self.each(weights, sums, share, first, second, |g, _, v, rate| {
                *v = RMS_DECAY * *v + (1.0 - RMS_DECAY) * g * g;
                let metric = rate / (*v + EPSILON).sqrt();
                (-metric * g, metric)
            }),
        }
    }

    /// Steps every weight by what `rule` says of gradient, moments and rate: the step, and the metric of it.
    #[inline(always)]
    fn each(
        &self,
        weights: &mut [f32],
        sums: &[f32],
        share: f32,
        first: &mut [f32],
        second: &mut [f32],
        rule: impl Fn(f32, &mut f32, &mut f32, f32) -> (f32, f32),
    ) {
        let length = self.rates.len();
        let moments = first.chunks_mut(length).zip(second.chunks_mut(length));
        for ((weights, sums), (first, second)) in
            weights.chunks_mut(length).zip(sums.chunks(length)).zip(moments)
        {
            let count = weights.len();
            let (sums, first, second) = (&sums[..count], &mut first[..count], &mut second[..count]);
            let (rates, decays, l1s) = (&self.rates[..count], &self.decays[..count], &self.l1s[..count]);
            for i in 0..count {
                let gradient = sums[i] * share + decays[i] * weights[i];
                let (step, metric) = rule(gradient, &mut first[i], &mut second[i], rates[i]);
                let moved = weights[i] + step;
                weights[i] = (moved.abs() - metric * l1s[i]).max(0.0).copysign(moved);
            }
        }
    }
}
