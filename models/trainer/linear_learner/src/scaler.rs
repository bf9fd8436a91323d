//! What a first pass over a sample finds: means and deviations of features and label, and how frequent classes are.
//!
//! Sums are taken about the first dense row, in double precision, so that a large mean does not eat the deviation. Hosts
//! pool their sums: first of counts and means, then of squares about the common mean.

use dmatrix::{DMatrix, Row, Storage};
use estimator::{Cluster, TrainError};

use crate::settings::Settings;

/// How values are shifted and divided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scaler {
    /// What is taken from each feature; empty when nothing is.
    pub(crate) shift: Vec<f32>,
    /// What each feature is then multiplied with.
    pub(crate) factor: Vec<f32>,
    pub(crate) label_shift: f64,
    /// What labels are divided by.
    pub(crate) label_scale: f64,
    /// Rows of each class in the sample: two for a binary classifier, none for a regressor.
    pub(crate) class_rows: Vec<f64>,
}

/// The sums of one host.
#[derive(Debug)]
pub(crate) struct Moments {
    /// Features, then the label.
    origin: Vec<f64>,
    sums: Vec<f64>,
    squares: Vec<f64>,
    rows: u64,
    class_rows: Vec<f64>,
    is_dense: bool,
}

impl Moments {
    /// Nothing seen, of rows of `columns` features and labels of `classes` classes.
    pub(crate) fn new(columns: usize, classes: usize) -> Self {
        let zeros = vec![0.0; columns + 1];
        Self {
            origin: zeros.clone(),
            sums: zeros.clone(),
            squares: zeros,
            rows: 0,
            class_rows: vec![0.0; classes],
            is_dense: true,
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the first `count` rows of `batch`.
    pub(crate) fn add(&mut self, batch: &DMatrix, count: usize) {
        let label_at = self.sums.len() - 1;
        if self.rows == 0 {
            self.is_dense = batch.storage() == Storage::Dense;
            if let (Row::Dense(values), true) = (batch.row(0), count > 0) {
                self.origin.iter_mut().zip(values).for_each(|(origin, value)| *origin = f64::from(*value));
            }
        }
        for index in 0..count {
            match batch.row(index) {
                Row::Dense(values) => {
                    let sums = self.sums.iter_mut().zip(&mut self.squares).zip(&self.origin);
                    for (((sum, square), origin), value) in sums.zip(values) {
                        let centred = f64::from(*value) - origin;
                        *sum += centred;
                        *square += centred * centred;
                    }
                }
                Row::Sparse { indices, values } => {
                    for (index, value) in indices.iter().zip(values) {
                        let value = f64::from(*value);
                        self.sums[*index as usize] += value;
                        self.squares[*index as usize] += value * value;
                    }
                }
            }
            let label = f64::from(batch.labels()[index]);
            self.sums[label_at] += label;
            self.squares[label_at] += label * label;
            if let Some(rows) = self.class_rows.get_mut(label as usize) {
                *rows += 1.0;
            }
        }
        self.rows += count as u64;
    }

    /// What all hosts' sums come to.
    ///
    /// # Errors
    /// When a host is gone, or none has a row.
    pub(crate) fn finish(mut self, settings: &Settings, cluster: &Cluster) -> Result<Scaler, TrainError> {
        let rows = self.rows as f64;
        let means = |(origin, sum): (&f64, &f64)| origin * rows + sum;
        let mut totals: Vec<f64> = self.origin.iter().zip(&self.sums).map(means).collect();
        totals.push(rows);
        totals.append(&mut self.class_rows);
        cluster.sum(&mut totals)?;
        let class_rows = totals.split_off(self.sums.len() + 1);
        let all_rows = totals.pop().expect("the rows were pushed");
        if all_rows == 0.0 {
            return Err(TrainError::client("channel train: expected rows, found none"));
        }
        let means: Vec<f64> = totals.iter().map(|total| total / all_rows).collect();
        // Σ(x - mean)² of this host from its sums about its origin.
        let mut squares: Vec<f64> = (0..means.len())
            .map(|column| {
                let offset = means[column] - self.origin[column];
                self.squares[column] - 2.0 * offset * self.sums[column] + rows * offset * offset
            })
            .collect();
        cluster.sum(&mut squares)?;
        let deviations = squares.iter().zip(&means).map(|(square, mean)| {
            let deviation = (square.max(0.0) / all_rows).sqrt();
            // A constant's deviation is what rounding left.
            if deviation > 1e-9 * mean.abs() { deviation } else { 1.0 }
        });
        Ok(Self::scaler(settings, &means, &deviations.collect::<Vec<_>>(), class_rows, self.is_dense))
    }

    fn scaler(
        settings: &Settings,
        means: &[f64],
        deviations: &[f64],
        class_rows: Vec<f64>,
        is_dense: bool,
    ) -> Scaler {
        let columns = means.len() - 1;
        let scaling = &settings.scaling;
        let shifts = scaling.unbias_data.unwrap_or(is_dense);
        let factor = |deviation: &f64| if scaling.normalize_data { (1.0 / deviation) as f32 } else { 1.0 };
        Scaler {
            shift: if shifts {
                means[..columns].iter().map(|mean| *mean as f32).collect()
            } else {
                Vec::new()
            },
            factor: deviations[..columns].iter().map(factor).collect(),
            label_shift: if scaling.unbias_label { means[columns] } else { 0.0 },
            label_scale: if scaling.normalize_label { deviations[columns] } else { 1.0 },
            class_rows,
        }
    }
}

impl Scaler {
    /// Negatives by positives; 1 when the sample lacks one of them.
    pub(crate) fn balance(&self) -> f64 {
        match self.class_rows[..] {
            [negatives, positives] if negatives > 0.0 && positives > 0.0 => negatives / positives,
            _ => 1.0,
        }
    }

    /// Weights of classes by the inverse of their share of the sample; a class that it lacks weighs a million.
    pub(crate) fn class_weights(&self) -> Vec<f32> {
        const ABSENT: f32 = 1e6;
        let rows: f64 = self.class_rows.iter().sum();
        let weight = |count: &f64| if *count > 0.0 { (rows / count) as f32 } else { ABSENT };
        self.class_rows.iter().map(weight).collect()
    }

    /// The label as training sees it.
    pub(crate) fn label(&self, label: f32) -> f32 {
        ((f64::from(label) - self.label_shift) / self.label_scale) as f32
    }
}
