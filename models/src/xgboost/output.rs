//! Plain and selectable answers, as SageMaker's XGBoost container shapes them.
//!
//! Plain: one field `score`, a value or, for several outputs, a list. Selectable (`SAGEMAKER_INFERENCE_OUTPUT`): the
//! named fields in the order they were asked for; a key that means nothing for the objective is NaN in every row.

use dmatrix::{CsvRows, CsvVectors, Field, FieldShape, NumberStyle, ResponseLayout};

use super::objective::{Objective, argmax};
use crate::LoadOptions;

/// How a field comes from a prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Column {
    /// All values, as they are.
    All,
    /// 1 when the only value is above this.
    Above(f32),
    /// The index of the largest value.
    Argmax,
    /// The largest value.
    Largest,
    /// `[1 - value, value]`.
    Complement,
    /// `[0, 1, …]`.
    Labels,
    /// NaN.
    NotANumber,
}

/// The fields of an answer and how they are laid out.
#[derive(Debug)]
pub(super) struct Output {
    fields: Vec<Field>,
    columns: Vec<Column>,
    layout: ResponseLayout,
    unsupported: Option<String>,
}

impl Output {
    /// `width` is the number of values of a prediction, `outputs` the number of margins.
    pub(super) fn new(
        objective: Objective,
        name: &str,
        width: usize,
        outputs: usize,
        options: &LoadOptions,
    ) -> Self {
        let keys = options.inference_output.as_deref().map(keys).unwrap_or_default();
        if keys.is_empty() {
            Self::plain(width, objective, options)
        } else {
            selectable(&keys, objective, name, width, outputs)
        }
    }

    fn plain(width: usize, objective: Objective, options: &LoadOptions) -> Self {
        let is_list = width > 1 || objective == Objective::Softprob;
        let shape = if is_list { FieldShape::Vector(width) } else { FieldShape::Scalar };
        Self {
            fields: vec![Field::new("score", shape, NumberStyle::Float)],
            columns: vec![Column::All],
            layout: ResponseLayout {
                csv_vectors: if options.batch { CsvVectors::BareList } else { CsvVectors::Flatten },
                csv_rows: if options.xgboost_csv_legacy && !options.batch {
                    CsvRows::OneLine
                } else {
                    CsvRows::Lines
                },
                ..ResponseLayout::default()
            },
            unsupported: None,
        }
    }

    /// The fields, without values.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// How an answer is laid out.
    pub(super) fn layout(&self) -> &ResponseLayout {
        &self.layout
    }

    /// Why no row can be answered: the container fails every request for an objective that selectable inference does
    /// not know.
    pub(super) fn unsupported(&self) -> Option<&str> {
        self.unsupported.as_deref()
    }

    /// Writes rows of `width` values into `fields`, from row `first` on.
    pub(super) fn write(&self, predictions: &[f32], width: usize, first: usize, fields: &mut [Field]) {
        for (field, column) in fields.iter_mut().zip(&self.columns) {
            let field_width = field.shape.width();
            let values = &mut field.values[first * field_width..];
            if *column == Column::All {
                values[..predictions.len()].copy_from_slice(predictions);
                continue;
            }
            for (values, row) in values.chunks_exact_mut(field_width).zip(predictions.chunks_exact(width)) {
                column.write(row, values);
            }
        }
    }
}

impl Column {
    fn write(self, row: &[f32], values: &mut [f32]) {
        match self {
            Self::All => values.copy_from_slice(row),
            Self::Above(threshold) => values[0] = if row[0] > threshold { 1.0 } else { 0.0 },
            Self::Argmax => values[0] = argmax(row) as f32,
            Self::Largest => values[0] = row[argmax(row)],
            // In double precision, as Python subtracts.
            Self::Complement => values.copy_from_slice(&[(1.0 - f64::from(row[0])) as f32, row[0]]),
            Self::Labels => values.iter_mut().enumerate().for_each(|(label, value)| *value = label as f32),
            Self::NotANumber => values.fill(f32::NAN),
        }
    }
}

/// The keys of `SAGEMAKER_INFERENCE_OUTPUT`: blanks dropped, lower-cased, each once, in order.
fn keys(text: &str) -> Vec<String> {
    let text = text.replace(' ', "").to_lowercase();
    let mut keys: Vec<String> = Vec::new();
    for key in text.split(',').filter(|key| !key.is_empty()) {
        if !keys.iter().any(|seen| seen == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

fn selectable(keys: &[String], objective: Objective, name: &str, width: usize, outputs: usize) -> Output {
    let mut output = Output {
        fields: Vec::new(),
        columns: Vec::new(),
        layout: ResponseLayout { csv_vectors: CsvVectors::QuotedList, ..ResponseLayout::default() },
        unsupported: None,
    };
    if !is_selectable(objective) {
        output.unsupported =
            Some(format!("Objective `{name}` unsupported for selectable inference predictions."));
    } else if width > 1 && !objective.is_multi_class() {
        let reason = format!("Selectable inference predictions need one output, the model has {width}.");
        output.unsupported = Some(reason);
    }
    for key in keys {
        let (column, shape, style) = column(key, objective, outputs);
        output.fields.push(Field::new(key.clone(), shape, style));
        output.columns.push(column);
    }
    output
}

fn is_selectable(objective: Objective) -> bool {
    is_regression(objective) || is_classification(objective)
}

fn is_regression(objective: Objective) -> bool {
    use Objective::{AbsoluteError, Gamma, Logistic, SquaredError, Tweedie};
    matches!(objective, SquaredError | Logistic | Gamma | AbsoluteError | Tweedie)
}

fn is_classification(objective: Objective) -> bool {
    use Objective::{BinaryLogistic, Hinge, LogitRaw, Softmax, Softprob};
    matches!(objective, BinaryLogistic | Hinge | LogitRaw { .. } | Softmax | Softprob)
}

/// The column of a key, what it is shaped like and how its numbers are written.
fn column(key: &str, objective: Objective, outputs: usize) -> (Column, FieldShape, NumberStyle) {
    use FieldShape::{Scalar, Vector};
    use NumberStyle::{Float, Integer};
    let has_probability = matches!(objective, Objective::BinaryLogistic | Objective::Softprob);
    let classes = if objective.is_multi_class() { outputs } else { 2 };
    match key {
        "predicted_score" if is_regression(objective) => (Column::All, Scalar, Float),
        _ if !is_classification(objective) => (Column::NotANumber, Scalar, Float),
        "predicted_label" => match objective {
            Objective::BinaryLogistic => (Column::Above(0.5), Scalar, Integer),
            Objective::LogitRaw { .. } => (Column::Above(0.0), Scalar, Integer),
            Objective::Softprob => (Column::Argmax, Scalar, Integer),
            _ => (Column::All, Scalar, Float),
        },
        "labels" => (Column::Labels, Vector(classes), Integer),
        "probability" | "probabilities" if !has_probability => (Column::NotANumber, Scalar, Float),
        "probability" | "raw_score" => match objective {
            Objective::Softprob => (Column::Largest, Scalar, Float),
            _ => (Column::All, Scalar, Float),
        },
        "probabilities" | "raw_scores" => match objective {
            Objective::Softprob => (Column::All, Vector(outputs), Float),
            _ => (Column::Complement, Vector(2), Float),
        },
        _ => (Column::NotANumber, Scalar, Float),
    }
}
