//! The closed set of objectives: how each turns a base score into a margin, and margins into a prediction.

use super::rules::Rules;

/// XGBoost's `kRtEps`: how far a logistic base score is kept off 0 and 1, and how far apart expectiles are.
const EPSILON: f32 = 1e-6;

/// An objective, by what it does to a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    /// `reg:squarederror`, and `reg:linear`, its old name.
    SquaredError,
    /// `reg:squaredlogerror`.
    SquaredLogError,
    /// `reg:logistic`.
    Logistic,
    /// `reg:pseudohubererror`.
    PseudoHuber,
    /// `reg:absoluteerror`.
    AbsoluteError,
    /// `reg:quantileerror`; ascending within a row since 3.4.
    Quantile {
        /// Whether the values of a row are sorted.
        sorted: bool,
    },
    /// `reg:expectileerror` (3.4): a first value, then increments.
    Expectile,
    /// `reg:gamma`.
    Gamma,
    /// `reg:tweedie`.
    Tweedie,
    /// `count:poisson`.
    Poisson,
    /// `binary:logistic`.
    BinaryLogistic,
    /// `binary:logitraw`; its base score was a probability before 1.3.
    LogitRaw {
        /// Whether the base score is a probability.
        base_is_probability: bool,
    },
    /// `binary:hinge`.
    Hinge,
    /// `multi:softmax`: the class.
    Softmax,
    /// `multi:softprob`: the probability of every class.
    Softprob,
    /// `rank:pairwise`, `rank:ndcg`, `rank:map`.
    Rank,
    /// `survival:cox`.
    Cox,
    /// `survival:aft`.
    Aft,
}

impl Objective {
    /// The objective of this name, or `None`. The `gpu:` names are those of versions before 1.0.
    pub(super) fn parse(name: &str, rules: Rules) -> Option<Self> {
        Some(match name {
            "reg:squarederror" | "reg:linear" | "gpu:reg:linear" => Self::SquaredError,
            "reg:squaredlogerror" => Self::SquaredLogError,
            "reg:logistic" | "gpu:reg:logistic" => Self::Logistic,
            "reg:pseudohubererror" => Self::PseudoHuber,
            "reg:absoluteerror" => Self::AbsoluteError,
            "reg:quantileerror" => Self::Quantile { sorted: rules.quantiles_are_sorted },
            "reg:expectileerror" => Self::Expectile,
            "reg:gamma" => Self::Gamma,
            "reg:tweedie" => Self::Tweedie,
            "count:poisson" => Self::Poisson,
            "binary:logistic" | "gpu:binary:logistic" => Self::BinaryLogistic,
            "binary:logitraw" | "gpu:binary:logitraw" => {
                Self::LogitRaw { base_is_probability: rules.logitraw_base_is_probability }
            }
            "binary:hinge" => Self::Hinge,
            "multi:softmax" => Self::Softmax,
            "multi:softprob" => Self::Softprob,
            "rank:pairwise" | "rank:ndcg" | "rank:map" => Self::Rank,
            "survival:cox" => Self::Cox,
            "survival:aft" => Self::Aft,
            _ => return None,
        })
    }

    /// Whether it is the other one, whatever the versions that wrote the two do differently.
    pub(super) fn is_same_kind(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Whether the classes of a row are alternatives, one output each.
    pub(super) fn is_multi_class(self) -> bool {
        matches!(self, Self::Softmax | Self::Softprob)
    }

    /// Values of a prediction, from the outputs of the booster.
    pub(super) fn prediction_width(self, outputs: usize) -> usize {
        if self == Self::Softmax { 1 } else { outputs }
    }

    /// Turns base scores, in output space, into margins.
    pub(super) fn link(self, base: &mut [f32], rules: Rules) {
        match self {
            Self::Logistic | Self::BinaryLogistic => {
                for value in base {
                    let bounded = if rules.logistic_base_is_bounded {
                        value.clamp(EPSILON, 1.0 - EPSILON)
                    } else {
                        *value
                    };
                    *value = logit(bounded);
                }
            }
            Self::LogitRaw { base_is_probability: true } => {
                base.iter_mut().for_each(|value| *value = logit(*value));
            }
            Self::Gamma | Self::Tweedie | Self::Poisson | Self::Cox | Self::Aft => {
                base.iter_mut().for_each(|value| *value = value.ln());
            }
            Self::Expectile => {
                for index in (1..base.len()).rev() {
                    base[index] = soft_plus_inverse(base[index] - base[index - 1] - EPSILON);
                }
            }
            _ => {}
        }
    }

    /// Turns rows of `outputs` margins into predictions, in place; [`prediction_width`](Self::prediction_width)
    /// values of each row remain, at the front of `margins`.
    pub(super) fn transform(self, margins: &mut [f32], outputs: usize) {
        match self {
            Self::Logistic | Self::BinaryLogistic => {
                margins.iter_mut().for_each(|value| *value = sigmoid(*value));
            }
            Self::Gamma | Self::Tweedie | Self::Poisson | Self::Cox | Self::Aft => {
                margins.iter_mut().for_each(|value| *value = value.exp());
            }
            Self::Hinge => {
                margins.iter_mut().for_each(|value| *value = if *value > 0.0 { 1.0 } else { 0.0 });
            }
            Self::Softprob => margins.chunks_exact_mut(outputs).for_each(softmax),
            Self::Softmax => {
                for row in 0..margins.len() / outputs {
                    margins[row] = argmax(&margins[row * outputs..(row + 1) * outputs]) as f32;
                }
            }
            Self::Quantile { sorted: true } => {
                margins.chunks_exact_mut(outputs).for_each(|row| row.sort_unstable_by(f32::total_cmp));
            }
            Self::Expectile => margins.chunks_exact_mut(outputs).for_each(accumulate_expectiles),
            Self::SquaredError
            | Self::SquaredLogError
            | Self::PseudoHuber
            | Self::AbsoluteError
            | Self::Quantile { sorted: false }
            | Self::LogitRaw { .. }
            | Self::Rank => {}
        }
    }
}

/// The index of the largest value, the first of equals.
pub(super) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

fn logit(probability: f32) -> f32 {
    -(1.0 / probability - 1.0).ln()
}

/// As XGBoost has it: the exponent is capped so that `exp` stays finite.
fn sigmoid(margin: f32) -> f32 {
    let exponent = (-margin).min(88.7);
    1.0 / (exponent.exp() + 1.0 + 1e-16)
}

/// As XGBoost has it: the sum is in double precision, the division in single.
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0f64;
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
        sum += f64::from(*value);
    }
    let sum = sum as f32;
    row.iter_mut().for_each(|value| *value /= sum);
}

fn accumulate_expectiles(row: &mut [f32]) {
    for index in 1..row.len() {
        row[index] = row[index - 1] + (EPSILON + soft_plus(row[index]));
    }
}

fn soft_plus(value: f32) -> f32 {
    if value > 0.0 { value + (-value).exp().ln_1p() } else { value.exp().ln_1p() }
}

fn soft_plus_inverse(value: f32) -> f32 {
    let value = value.max(EPSILON);
    value + (-(-value).exp_m1()).ln()
}
