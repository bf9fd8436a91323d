//! What a linear learner predicts: from margins to the fields of an answer.

use dmatrix::{Field, FieldShape, NumberStyle};

use crate::LoadError;
use crate::manifest::{Manifest, PredictorType};

/// The most classes, as the hyperparameter `num_classes` has it.
const CLASSES_MAX: usize = 1_000_000;

/// The losses of a regressor; its score is the value whichever it was.
const REGRESSOR_LOSSES: [&str; 6] = [
    "squared_loss",
    "absolute_loss",
    "quantile_loss",
    "huber_loss",
    "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss",
];

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// The probability of class 1, and the class.
    Logistic { threshold: f64 },
    /// The margin, and the class.
    Hinge { threshold: f64 },
    /// A probability a class, and the class.
    Softmax { classes: usize },
    /// The value.
    Regressor,
}

impl Kind {
    /// What the manifest describes, for a model file of `outputs` outputs.
    pub(super) fn of(manifest: &Manifest, outputs: usize) -> Result<Self, LoadError> {
        let refuse = |text: String| Err(LoadError::Manifest(text));
        let Some(predictor) = manifest.predictor_type else {
            let names = PredictorType::ALL.map(|kind| format!("{:?}", kind.name())).join(" or ");
            return refuse(format!("predictor_type: expected {names}, found no such key"));
        };
        let loss = manifest.loss.as_deref().filter(|loss| *loss != "auto");
        let kind = match (predictor, loss) {
            (PredictorType::BinaryClassifier, None | Some("logistic")) => {
                Self::Logistic { threshold: manifest.threshold.unwrap_or(0.5) }
            }
            (PredictorType::BinaryClassifier, Some("hinge_loss")) => {
                Self::Hinge { threshold: manifest.threshold.unwrap_or(0.0) }
            }
            (PredictorType::MulticlassClassifier, None | Some("softmax_loss")) => {
                Self::Softmax { classes: outputs }
            }
            (PredictorType::Regressor, None) => Self::Regressor,
            (PredictorType::Regressor, Some(loss)) if REGRESSOR_LOSSES.contains(&loss) => Self::Regressor,
            (predictor, Some(loss)) => {
                let losses = match predictor {
                    PredictorType::BinaryClassifier => "\"logistic\" or \"hinge_loss\"".to_owned(),
                    PredictorType::MulticlassClassifier => "\"softmax_loss\"".to_owned(),
                    PredictorType::Regressor => REGRESSOR_LOSSES.map(|loss| format!("{loss:?}")).join(" or "),
                };
                return refuse(format!("loss: expected {losses} for {}, found {loss:?}", predictor.name()));
            }
        };
        kind.check(manifest, outputs)
    }

    fn check(self, manifest: &Manifest, outputs: usize) -> Result<Self, LoadError> {
        let predictor = manifest.predictor_type.map_or("none", PredictorType::name);
        let is_binary = matches!(self, Self::Logistic { .. } | Self::Hinge { .. });
        let classes = match self {
            Self::Logistic { .. } | Self::Hinge { .. } => 2,
            Self::Softmax { classes } => classes,
            Self::Regressor => 1,
        };
        let reason = if matches!(self, Self::Softmax { .. }) && !(2..=CLASSES_MAX).contains(&outputs) {
            format!(
                "predictor_type: expected 2 to {CLASSES_MAX} classes for a multiclass_classifier, found {outputs}"
            )
        } else if !matches!(self, Self::Softmax { .. }) && outputs != 1 {
            format!(
                "predictor_type: expected multiclass_classifier for a model of {outputs} outputs, found {predictor}"
            )
        } else if let Some(stated) = manifest.num_classes.filter(|&stated| stated != classes) {
            format!("num_classes: expected {classes} as in the model file, found {stated}")
        } else if !is_binary && let Some(threshold) = manifest.threshold {
            format!("threshold: expected one for a binary_classifier only, found {threshold}")
        } else {
            return Ok(self);
        };
        Err(LoadError::Manifest(reason))
    }

    /// The fields of an answer.
    pub(super) fn fields(self) -> Vec<Field> {
        let label = || Field::new("predicted_label", FieldShape::Scalar, NumberStyle::Integer);
        let score = |shape| Field::new("score", shape, NumberStyle::Float);
        match self {
            Self::Logistic { .. } | Self::Hinge { .. } => vec![score(FieldShape::Scalar), label()],
            Self::Softmax { classes } => vec![score(FieldShape::Vector(classes)), label()],
            Self::Regressor => vec![score(FieldShape::Scalar)],
        }
    }

    /// Writes row `row` of the fields; `margins` is used up. False when a score is beyond single precision.
    pub(super) fn answer(self, row: usize, margins: &mut [f64], fields: &mut [Field]) -> bool {
        match self {
            Self::Logistic { threshold } => {
                let score = (1.0 / (1.0 + (-margins[0]).exp())) as f32;
                fields[0].values[row] = score;
                fields[1].values[row] = label(score, threshold);
                true
            }
            Self::Hinge { threshold } => {
                let score = margins[0] as f32;
                fields[0].values[row] = score;
                fields[1].values[row] = label(score, threshold);
                score.is_finite()
            }
            Self::Softmax { classes } => {
                fields[1].values[row] = softmax(margins) as f32;
                let scores = &mut fields[0].values[row * classes..(row + 1) * classes];
                for (score, probability) in scores.iter_mut().zip(margins) {
                    *score = *probability as f32;
                }
                true
            }
            Self::Regressor => {
                fields[0].values[row] = margins[0] as f32;
                fields[0].values[row].is_finite()
            }
        }
    }
}

/// The class, from the score as it is answered, so that a client who compares gets the same.
fn label(score: f32, threshold: f64) -> f32 {
    if f64::from(score) > threshold { 1.0 } else { 0.0 }
}

/// Turns margins into probabilities, and gives the first class of the greatest margin.
fn softmax(margins: &mut [f64]) -> usize {
    let mut greatest = 0;
    for class in 1..margins.len() {
        if margins[class] > margins[greatest] {
            greatest = class;
        }
    }
    let shift = margins[greatest];
    let mut sum = 0.0;
    for margin in margins.iter_mut() {
        *margin = (*margin - shift).exp();
        sum += *margin;
    }
    for margin in margins.iter_mut() {
        *margin /= sum;
    }
    greatest
}
