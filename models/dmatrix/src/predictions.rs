//! Rows of named fields, held as flat f32 columns, and the layout that says how an answer shows them.

use std::borrow::Cow;

/// How many values a field has in each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldShape {
    /// One bare value.
    Scalar,
    /// A list of this many values, also when it is 1.
    Vector(usize),
}

impl FieldShape {
    /// Values a row.
    pub fn width(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Vector(width) => width,
        }
    }
}

/// How a field's numbers are written in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NumberStyle {
    /// Shortest decimal that reads back to the same f32, always with a point or an exponent: `1.0`.
    #[default]
    Float,
    /// A whole number: `1`.
    Integer,
}

/// How list-valued fields stand in CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CsvVectors {
    /// Flattened: `0.1,0.7,0.2`.
    #[default]
    Flatten,
    /// One quoted cell: `"[0.1, 0.7, 0.2]"` (selectable inference of SageMaker's XGBoost).
    QuotedList,
    /// One bare list a line: `[0.1, 0.7, 0.2]` (batch transform of SageMaker's XGBoost).
    BareList,
}

/// How rows are separated in CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CsvRows {
    /// Each row ends with a newline.
    #[default]
    Lines,
    /// All rows on one line, joined by commas, no newline (the oldest XGBoost image).
    OneLine,
}

/// How an answer is laid out, whatever its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseLayout {
    /// The key of the JSON envelope: `predictions`, `projections` or `scores`.
    pub envelope: &'static str,
    /// Lists in CSV.
    pub csv_vectors: CsvVectors,
    /// Rows in CSV.
    pub csv_rows: CsvRows,
}

impl Default for ResponseLayout {
    fn default() -> Self {
        Self { envelope: "predictions", csv_vectors: CsvVectors::default(), csv_rows: CsvRows::default() }
    }
}

/// One named column of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key in JSON and RecordIO.
    pub name: Cow<'static, str>,
    /// Values a row.
    pub shape: FieldShape,
    /// How the numbers are written.
    pub style: NumberStyle,
    /// Whether only an answer that was asked to be verbose shows it. Such fields are the last ones.
    pub is_verbose: bool,
    /// `rows × shape.width()` values, row by row.
    pub values: Vec<f32>,
}

impl Field {
    /// An empty field.
    pub fn new(name: impl Into<Cow<'static, str>>, shape: FieldShape, style: NumberStyle) -> Self {
        Self { name: name.into(), shape, style, is_verbose: false, values: Vec::new() }
    }

    /// The same, shown only where an answer is to be verbose.
    pub fn verbose(self) -> Self {
        Self { is_verbose: true, ..self }
    }

    /// The values of row `row`.
    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.shape.width();
        &self.values[row * width..(row + 1) * width]
    }
}

/// What a model answers: rows × named fields. Keeps its allocations when the same model fills it again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Predictions {
    rows: usize,
    fields: Vec<Field>,
    layout: ResponseLayout,
}

impl Predictions {
    /// No rows, no fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for `rows` rows of `fields` (their values are ignored) laid out as `layout`, all values 0.
    /// Nothing is allocated when the shape is that of the last use.
    pub fn reset(&mut self, rows: usize, fields: &[Field], layout: &ResponseLayout) {
        let same = self.fields.len() == fields.len()
            && self.fields.iter().zip(fields).all(|(a, b)| {
                (&a.name, a.shape, a.style, a.is_verbose) == (&b.name, b.shape, b.style, b.is_verbose)
            });
        if !same {
            self.fields = fields.iter().map(|field| Field { values: Vec::new(), ..field.clone() }).collect();
        }
        for field in &mut self.fields {
            field.values.clear();
            field.values.resize(rows * field.shape.width(), 0.0);
        }
        if self.layout != *layout {
            self.layout = layout.clone();
        }
        self.rows = rows;
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The fields, in the order of an answer.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The fields that an answer shows, in its order.
    pub fn shown(&self, is_verbose: bool) -> &[Field] {
        let plain = self.fields.iter().take_while(|field| !field.is_verbose).count();
        if is_verbose { &self.fields } else { &self.fields[..plain] }
    }

    /// The fields, to fill.
    pub fn fields_mut(&mut self) -> &mut [Field] {
        &mut self.fields
    }

    /// How an answer is laid out.
    pub fn layout(&self) -> &ResponseLayout {
        &self.layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_shape_reuses_its_buffers() {
        let fields = [Field::new("score", FieldShape::Vector(3), NumberStyle::Float)];
        let mut predictions = Predictions::new();
        predictions.reset(4, &fields, &ResponseLayout::default());
        let before = predictions.fields()[0].values.as_ptr();
        predictions.reset(2, &fields, &ResponseLayout::default());
        assert_eq!(predictions.fields()[0].values.as_ptr(), before);
        assert_eq!(predictions.fields()[0].row(1), [0.0; 3]);
    }

    #[test]
    fn verbose_fields_are_shown_when_asked_for() {
        let label = Field::new("predicted_label", FieldShape::Scalar, NumberStyle::Float);
        let distances = Field::new("distances", FieldShape::Vector(2), NumberStyle::Float).verbose();
        let mut predictions = Predictions::new();
        predictions.reset(1, &[label, distances], &ResponseLayout::default());
        assert_eq!((predictions.shown(false).len(), predictions.shown(true).len()), (1, 2));
    }
}
