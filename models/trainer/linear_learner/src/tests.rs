//! Training as a whole, on data that the tests make.

mod jobs;
mod laws;
mod quality;

use std::path::{Path, PathBuf};

use dmatrix::{DMatrix, Predictions};
use estimator::{Channel, Fitted, Job, Labels, TrainError};
use models::linear_learner::LinearLearner;
use models::{Input, Model};

/// A folder with CSV files of rows, label first.
pub(super) struct Files(tempfile::TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch folder"))
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, rows: &[(f32, Vec<f32>)]) -> PathBuf {
        let line = |(label, values): &(f32, Vec<f32>)| {
            let cells: Vec<String> = values.iter().map(f32::to_string).collect();
            format!("{label},{}\n", cells.join(","))
        };
        let path = self.folder().join(name);
        std::fs::write(&path, rows.iter().map(line).collect::<String>()).expect("a file");
        path
    }
}

pub(super) fn channel(name: &'static str, path: &Path) -> Channel {
    Channel::for_tests(name, path, "text/csv", Labels::Required).expect("a known content type")
}

pub(super) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    (crate::ESTIMATOR.fit)(job)
}

/// A model trained on `rows`.
pub(super) fn trained(given: &[(&str, &str)], rows: &[(f32, Vec<f32>)]) -> (Fitted, LinearLearner) {
    let files = Files::new();
    let job = Job::for_tests(given, &[channel("train", &files.write("train.csv", rows))]);
    let fitted = fit(&job).expect("good data");
    let model = model(&fitted);
    (fitted, model)
}

pub(super) fn model(fitted: &Fitted) -> LinearLearner {
    let (name, bytes) = &fitted.members[0];
    LinearLearner::from_safetensors(name, bytes, &fitted.manifest).expect("what was written is read")
}

/// Scores of rows, one value each, or the values of a row one after the other.
pub(super) fn scores(model: &LinearLearner, rows: &[(f32, Vec<f32>)]) -> Vec<f32> {
    let values = rows.iter().flat_map(|(_, values)| values.clone()).collect();
    let mut predictions = Predictions::new();
    let matrix = DMatrix::from_dense(values, rows[0].1.len());
    model.predict(Input::Rows(&matrix), &mut predictions).expect("rows of the right width");
    predictions.fields()[0].values.clone()
}

/// A normal number.
pub(super) fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// Rows of `columns` features of different means and deviations, and the linear function of them that labels are made of.
pub(super) fn linear_rows(count: usize, columns: usize, seed: u64) -> Vec<(f64, Vec<f32>)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let row = |random: &mut fastrand::Rng| {
        let values: Vec<f32> = (0..columns)
            .map(|column| (normal(random) * (column + 1) as f64 + 3.0 * column as f64) as f32)
            .collect();
        let signal: f64 = values
            .iter()
            .enumerate()
            .map(|(column, value)| {
                let coefficient = if column % 2 == 0 { 1.0 } else { -0.5 };
                coefficient * (f64::from(*value) - 3.0 * column as f64) / (column + 1) as f64
            })
            .sum();
        (signal, values)
    };
    (0..count).map(|_| row(&mut random)).collect()
}

/// Regression rows: 10 + 4·signal + noise.
pub(super) fn regression(count: usize, noise: f64, seed: u64) -> Vec<(f32, Vec<f32>)> {
    let mut random = fastrand::Rng::with_seed(seed + 1000);
    let rows = linear_rows(count, 4, seed).into_iter();
    rows.map(|(signal, values)| ((10.0 + 4.0 * signal + noise * normal(&mut random)) as f32, values))
        .collect()
}

/// Rows of two classes, class 1 with the probability σ(2·signal - 1).
pub(super) fn binary(count: usize, seed: u64) -> Vec<(f32, Vec<f32>)> {
    let mut random = fastrand::Rng::with_seed(seed + 2000);
    let rows = linear_rows(count, 4, seed).into_iter();
    rows.map(|(signal, values)| {
        let probability = 1.0 / (1.0 + (1.0 - 2.0 * signal).exp());
        (if random.f64() < probability { 1.0 } else { 0.0 }, values)
    })
    .collect()
}

/// Rows of three classes around three centres.
pub(super) fn blobs(count: usize, seed: u64) -> Vec<(f32, Vec<f32>)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let centres = [[0.0, 4.0], [4.0, 0.0], [-4.0, -4.0]];
    let row = |class: usize| {
        let values = centres[class].iter().map(|centre| (centre + normal(&mut random)) as f32).collect();
        (class as f32, values)
    };
    (0..count).map(|index| index % 3).map(row).collect()
}
