//! The losses of a row: value and derivative by the margin, for all models at once.
//!
//! With f the margin, y the label, e = f - y:
//!
//! | loss | value | derivative that is stepped along |
//! |---|---|---|
//! | logistic | -p·y·ln σ(f) - (1-y)·ln(1-σ(f)) | its derivative |
//! | hinge | p^y · max(0, margin - t·f), t = 2y - 1 | its derivative |
//! | softmax | -c_y · ln softmax(f)_y | its derivative |
//! | squared | e² | e: half of it |
//! | absolute | abs(e) | its derivative |
//! | quantile | q·max(0, -e) + (1-q)·max(0, e) | its derivative |
//! | Huber | ½e² up to abs(e) = δ, then δ(abs(e) - ½δ) | its derivative |
//! | ε-insensitive, squared | max(0, abs(e) - ε)² | half of it |
//! | ε-insensitive, absolute | max(0, abs(e) - ε) | its derivative |
//!
//! Squares are stepped along by half, so that `wd` is the ridge of ½e² as in the textbooks. The values are reported whole.

use crate::arithmetic::{exp, softplus_and_sigmoid};

/// Rows whose losses are summed in single precision. Reason: the sum of so few is good to 1e-6, and adding it to one of
/// double precision then costs a thirtieth of the row.
const LOSS_ROWS: usize = 32;

/// What is minimised; lengths (δ, ε) are in the units of the labels that training sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Loss {
    Logistic,
    Hinge { margin: f32 },
    Softmax,
    Squared,
    Absolute,
    Quantile { quantile: f32 },
    Huber { delta: f32 },
    InsensitiveSquared { epsilon: f32 },
    InsensitiveAbsolute { epsilon: f32 },
}

impl Loss {
    /// The name, as the hyperparameter spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Logistic => "logistic",
            Self::Hinge { .. } => "hinge_loss",
            Self::Softmax => "softmax_loss",
            Self::Squared => "squared_loss",
            Self::Absolute => "absolute_loss",
            Self::Quantile { .. } => "quantile_loss",
            Self::Huber { .. } => "huber_loss",
            Self::InsensitiveSquared { .. } => "eps_insensitive_squared_loss",
            Self::InsensitiveAbsolute { .. } => "eps_insensitive_absolute_loss",
        }
    }

    /// The name of its mean in metric lines.
    pub(crate) fn objective(self) -> &'static str {
        match self {
            Self::Logistic => "binary_classification_cross_entropy_objective",
            Self::Hinge { .. } => "hinge_loss_objective",
            Self::Softmax => "multiclass_cross_entropy_objective",
            Self::Squared => "mse_objective",
            Self::Absolute => "absolute_loss_objective",
            Self::Quantile { .. } => "quantile_loss_objective",
            Self::Huber { .. } => "huber_loss_objective",
            Self::InsensitiveSquared { .. } => "eps_insensitive_squared_loss_objective",
            Self::InsensitiveAbsolute { .. } => "eps_insensitive_absolute_loss_objective",
        }
    }

    /// The same loss where labels are `scale` times as large.
    pub(crate) fn scaled(self, scale: f32) -> Self {
        match self {
            Self::Huber { delta } => Self::Huber { delta: delta * scale },
            Self::InsensitiveSquared { epsilon } => Self::InsensitiveSquared { epsilon: epsilon * scale },
            Self::InsensitiveAbsolute { epsilon } => Self::InsensitiveAbsolute { epsilon: epsilon * scale },
            other => other,
        }
    }

    /// How its value grows when labels and margins are `scale` times as large.
    pub(crate) fn growth(self, scale: f64) -> f64 {
        match self {
            Self::Logistic | Self::Hinge { .. } | Self::Softmax => 1.0,
            Self::Squared | Self::Huber { .. } | Self::InsensitiveSquared { .. } => scale * scale,
            Self::Absolute | Self::Quantile { .. } | Self::InsensitiveAbsolute { .. } => scale,
        }
    }

    /// Value and derivative of a regressor's loss, of the error `e`.
    #[inline(always)]
    pub(crate) fn of_error(self, e: f32) -> (f32, f32) {
        match self {
            Self::Squared => (e * e, e),
            Self::Absolute => (e.abs(), sign(e)),
            Self::Quantile { quantile } => {
                let slope = if e < 0.0 { -quantile } else { 1.0 - quantile };
                (slope * e, if e == 0.0 { 0.0 } else { slope })
            }
            Self::Huber { delta } if e.abs() <= delta => (0.5 * e * e, e),
            Self::Huber { delta } => (delta * (e.abs() - 0.5 * delta), delta * sign(e)),
            Self::InsensitiveSquared { epsilon } => {
                let beyond = (e.abs() - epsilon).max(0.0);
                (beyond * beyond, beyond * sign(e))
            }
            Self::InsensitiveAbsolute { epsilon } => {
                let beyond = (e.abs() - epsilon).max(0.0);
                (beyond, if beyond > 0.0 { sign(e) } else { 0.0 })
            }
            Self::Logistic | Self::Hinge { .. } | Self::Softmax => unreachable!("no regressor has it"),
        }
    }
}

#[inline(always)]
fn sign(e: f32) -> f32 {
    if e == 0.0 { 0.0 } else { e.signum() }
}

/// A loss with what weighs rows.
#[derive(Debug, Clone)]
pub(crate) struct Objective {
    pub(crate) loss: Loss,
    /// Margins of a model: classes, or 1.
    pub(crate) outputs: usize,
    /// Binary: the weight of a positive row, a model.
    pub(crate) positive: Vec<f32>,
    /// Multi-class: the weight of a class; empty when all weigh 1.
    pub(crate) class_weights: Vec<f32>,
}

impl Objective {
    /// The same for many rows of margins; losses are summed in single precision over [`LOSS_ROWS`] rows at a time, in
    /// `partial`, so that the inner loops are of one width.
    pub(crate) fn rows(
        &self,
        labels: impl Iterator<Item = f32>,
        margins: &mut [f32],
        losses: &mut [f64],
        partial: &mut Vec<f32>,
    ) {
        let width = losses.len() * self.outputs;
        partial.clear();
        partial.resize(losses.len(), 0.0);
        let mut labels = labels;
        for block in margins.chunks_mut(width * LOSS_ROWS) {
            for (margins, label) in block.chunks_exact_mut(width).zip(&mut labels) {
                self.row(label, margins, partial);
            }
            for (sum, part) in losses.iter_mut().zip(partial.iter_mut()) {
                *sum += f64::from(std::mem::take(part));
            }
        }
    }

    /// Turns one row's margins (models × outputs) into derivatives, and adds each model's loss to `losses`.
    pub(crate) fn row(&self, label: f32, margins: &mut [f32], losses: &mut [f32]) {
        match self.loss {
            Loss::Logistic => self.logistic(label, margins, losses),
            Loss::Hinge { margin } => self.hinge(margin, label, margins, losses),
            Loss::Softmax => self.softmax(label, margins, losses),
            Loss::Squared => of_errors(Loss::Squared, label, margins, losses),
            loss => of_errors(loss, label, margins, losses),
        }
    }

    /// A loop for each class: one with a choice in it, or with sums in double precision, is not turned into vector code.
    fn logistic(&self, label: f32, margins: &mut [f32], losses: &mut [f32]) {
        if label > 0.5 {
            for ((margin, loss), weight) in margins.iter_mut().zip(losses).zip(&self.positive) {
                let (softplus, sigmoid) = softplus_and_sigmoid(-*margin);
                *margin = -(weight * sigmoid);
                *loss += weight * softplus;
            }
        } else {
            for (margin, loss) in margins.iter_mut().zip(losses) {
                let (softplus, sigmoid) = softplus_and_sigmoid(*margin);
                *margin = sigmoid;
                *loss += softplus;
            }
        }
    }

    fn hinge(&self, edge: f32, label: f32, margins: &mut [f32], losses: &mut [f32]) {
        let (sign, is_positive) = if label > 0.5 { (1.0, true) } else { (-1.0, false) };
        for ((margin, loss), positive) in margins.iter_mut().zip(losses).zip(&self.positive) {
            let weight = if is_positive { *positive } else { 1.0 };
            let missing = edge - sign * *margin;
            *margin = if missing > 0.0 { -weight * sign } else { 0.0 };
            *loss += weight * missing.max(0.0);
        }
    }

    fn softmax(&self, label: f32, margins: &mut [f32], losses: &mut [f32]) {
        let class = label as usize;
        let weight = self.class_weights.get(class).copied().unwrap_or(1.0);
        for (margins, loss) in margins.chunks_exact_mut(self.outputs).zip(losses) {
            let greatest = margins.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let chosen = margins[class] - greatest;
            let mut sum = 0.0;
            for margin in margins.iter_mut() {
                *margin = exp(*margin - greatest);
                sum += *margin;
            }
            *loss += (f64::from(weight) * (f64::from(sum).ln() - f64::from(chosen))) as f32;
            let scale = weight / sum;
            for margin in margins.iter_mut() {
                *margin *= scale;
            }
            margins[class] -= weight;
        }
    }
}

#[inline(always)]
fn of_errors(loss: Loss, label: f32, margins: &mut [f32], losses: &mut [f32]) {
    for (margin, sum) in margins.iter_mut().zip(losses) {
        let (value, derivative) = loss.of_error(*margin - label);
        *margin = derivative;
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(loss: Loss, outputs: usize) -> Objective {
        let class_weights = if outputs > 1 { vec![0.5, 2.0, 1.5] } else { Vec::new() };
        Objective { loss, outputs, positive: vec![3.0], class_weights }
    }

    fn value(objective: &Objective, label: f32, margins: &[f32]) -> f64 {
        let mut sums = [0.0];
        objective.row(label, &mut margins.to_vec(), &mut sums);
        f64::from(sums[0])
    }

    /// Central differences against the derivative; `share` is what part of it is stepped along.
    fn check(loss: Loss, labels: &[f32], share: f64) {
        let outputs = if loss == Loss::Softmax { 3 } else { 1 };
        let objective = objective(loss, outputs);
        for &label in labels {
            for step in -24..=24 {
                // Off the corners of the losses, which lie at multiples of 0.25.
                let margins: Vec<f32> = (0..outputs).map(|k| step as f32 / 8.0 + 0.06 + k as f32).collect();
                let mut derivatives = margins.clone();
                objective.row(label, &mut derivatives, &mut [0.0]);
                for output in 0..outputs {
                    let shifted = |by: f32| {
                        let mut moved = margins.clone();
                        moved[output] += by;
                        value(&objective, label, &moved)
                    };
                    let slope = share * (shifted(0.015_625) - shifted(-0.015_625)) / 0.031_25;
                    let found = f64::from(derivatives[output]);
                    assert!((slope - found).abs() < 2e-3, "{loss:?} {label} {margins:?}: {slope} {found}");
                }
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_finite_differences() {
        check(Loss::Logistic, &[0.0, 1.0], 1.0);
        check(Loss::Hinge { margin: 1.0 }, &[0.0, 1.0], 1.0);
        check(Loss::Softmax, &[0.0, 1.0, 2.0], 1.0);
        check(Loss::Squared, &[-1.0, 0.5], 0.5);
        check(Loss::Absolute, &[-1.0, 0.5], 1.0);
        check(Loss::Quantile { quantile: 0.9 }, &[-1.0, 0.5], 1.0);
        check(Loss::Huber { delta: 0.75 }, &[-1.0, 0.5], 1.0);
        check(Loss::InsensitiveSquared { epsilon: 0.25 }, &[-1.0, 0.5], 0.5);
        check(Loss::InsensitiveAbsolute { epsilon: 0.25 }, &[-1.0, 0.5], 1.0);
    }

    #[test]
    fn values_are_the_formulas() {
        let check = |loss, label, margin, expected: f64| {
            let found = value(&objective(loss, 1), label, &[margin]);
            assert!((found - expected).abs() < 1e-6, "{loss:?}: {found} is not {expected}");
        };
        check(Loss::Logistic, 1.0, 0.0, 3.0 * std::f64::consts::LN_2);
        check(Loss::Logistic, 0.0, 0.0, std::f64::consts::LN_2);
        check(Loss::Hinge { margin: 2.0 }, 1.0, 0.5, 4.5);
        check(Loss::Hinge { margin: 2.0 }, 0.0, -3.0, 0.0);
        check(Loss::Squared, 1.0, 3.0, 4.0);
        check(Loss::Absolute, 1.0, 3.0, 2.0);
        check(Loss::Quantile { quantile: 0.75 }, 3.0, 1.0, 1.5);
        check(Loss::Quantile { quantile: 0.75 }, 1.0, 3.0, 0.5);
        check(Loss::Huber { delta: 1.0 }, 0.0, 0.5, 0.125);
        check(Loss::Huber { delta: 1.0 }, 0.0, -3.0, 2.5);
        check(Loss::InsensitiveSquared { epsilon: 0.5 }, 0.0, 2.0, 2.25);
        check(Loss::InsensitiveAbsolute { epsilon: 0.5 }, 0.0, -2.0, 1.5);
        let softmax = value(&objective(Loss::Softmax, 3), 1.0, &[0.0, 0.0, 0.0]);
        assert!((softmax - 2.0 * 3f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn scaling_labels_scales_the_value() {
        for loss in [
            Loss::Squared,
            Loss::Absolute,
            Loss::Quantile { quantile: 0.3 },
            Loss::Huber { delta: 1.0 },
            Loss::InsensitiveSquared { epsilon: 0.5 },
            Loss::InsensitiveAbsolute { epsilon: 0.5 },
        ] {
            for error in [-3.0_f32, -0.4, 0.7, 2.0] {
                let plain = value(&objective(loss, 1), 0.0, &[error]);
                let scaled = value(&objective(loss.scaled(0.25), 1), 0.0, &[error * 0.25]);
                assert!((plain - scaled * loss.growth(4.0)).abs() < 1e-5, "{loss:?} {error}");
            }
        }
    }
}
