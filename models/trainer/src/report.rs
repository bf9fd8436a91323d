//! What a training by hand tells: a table on standard output, `metrics.json`, `report.svg`, and the predictions of the held rows.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use estimator::{Log, TrainError};
use serde_json::{Map, Value, json};

use crate::chart::{self, Chart};
use crate::measures::{self, Metrics};
use crate::scored::{Scored, Task};

/// The most classes of a confusion matrix that is drawn. Reason: more is a picture without numbers.
const CLASSES_MAX: usize = 20;

/// The measured parts of a training.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Names and metrics: `train`, `validation`, `fold 0`, ….
    pub(crate) parts: Vec<(String, Metrics)>,
    /// What else is told, for the JSON.
    pub(crate) facts: Map<String, Value>,
}

/// A row of the held predictions: its place in the channel, its run, and where it stands in what was scored.
pub(crate) struct HeldRow {
    pub(crate) place: usize,
    pub(crate) fold: usize,
    pub(crate) at: usize,
}

impl Report {
    /// Adds a measured part.
    pub(crate) fn add(&mut self, name: &str, metrics: Metrics) {
        self.parts.push((name.to_owned(), metrics));
    }

    /// Adds mean and standard deviation of the parts whose name starts with `fold`.
    pub(crate) fn summarise_folds(&mut self) {
        let folds: Vec<&Metrics> = self
            .parts
            .iter()
            .filter(|(name, _)| name.starts_with("fold"))
            .map(|(_, metrics)| metrics)
            .collect();
        let Some(first) = folds.first() else { return };
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for (place, (name, _)) in first.iter().enumerate() {
            let values: Vec<f64> =
                folds.iter().filter_map(|fold| fold.get(place)).map(|metric| metric.1).collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            means.push((*name, mean));
            deviations.push((*name, (squares / (count - 1.0).max(1.0)).sqrt()));
        }
        self.parts.extend([("mean".to_owned(), means), ("sd".to_owned(), deviations)]);
    }

    /// A line a metric, a column a part.
    pub(crate) fn table(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.parts.iter().flat_map(|(_, metrics)| metrics) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return String::new();
        }
        let mut table = format!("{:<18}", "metric");
        self.parts.iter().for_each(|(part, _)| write!(table, "{part:>12}").expect("text takes text"));
        for name in names {
            write!(table, "\n{name:<18}").expect("text takes text");
            for (_, metrics) in &self.parts {
                let value = metrics.iter().find(|(known, _)| *known == name);
                let shown = value.map_or_else(|| "-".to_owned(), |(_, value)| format!("{value:.5}"));
                write!(table, "{shown:>12}").expect("text takes text");
            }
        }
        table
    }

    /// Writes `metrics.json`.
    pub(crate) fn write(&self, folder: &Path, log: &Log) -> Result<(), TrainError> {
        let object = |metrics: &Metrics| -> Value {
            metrics
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect::<Map<_, _>>()
                .into()
        };
        let parts: Map<String, Value> =
            self.parts.iter().map(|(name, metrics)| (name.clone(), object(metrics))).collect();
        let mut whole = self.facts.clone();
        whole.insert("metrics".into(), parts.into());
        let told: Map<String, Value> =
            log.recorded().into_iter().map(|(name, value)| (name, json!(value))).collect();
        whole.insert("training".into(), told.into());
        let mut text =
            serde_json::to_string_pretty(&Value::Object(whole)).expect("a JSON value is always writable");
        text.push('\n');
        write(&folder.join("metrics.json"), text.as_bytes())
    }
}

/// The charts that fit: the learning curve, and how the held rows were answered.
pub(crate) fn write_charts(
    folder: &Path,
    log: &Log,
    held: Option<(&Scored, Task)>,
) -> Result<(), TrainError> {
    let mut charts = Vec::new();
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for (name, epoch, value) in log.curve() {
        let point = (f64::from(epoch), value);
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push(point),
            None => lines.push((name, vec![point])),
        }
    }
    if !lines.is_empty() {
        charts.push(Chart::Lines {
            title: "learning curve".into(),
            x: "epoch".into(),
            y: "metric".into(),
            lines,
        });
    }
    charts.extend(held.and_then(|(scored, task)| answers(scored, task)));
    if charts.is_empty() {
        return Ok(());
    }
    write(&folder.join("report.svg"), chart::document(&charts).as_bytes())
}

fn answers(scored: &Scored, task: Task) -> Option<Chart> {
    if scored.labels.is_empty() {
        return None;
    }
    match task {
        Task::Binary => {
            let curve = measures::roc(&scored.labels, scored.scores()?);
            let lines = vec![("held rows".to_owned(), curve)];
            let (x, y) = ("false positive rate".into(), "true positive rate".into());
            Some(Chart::Lines { title: "receiver operating characteristic".into(), x, y, lines })
        }
        Task::Regression => {
            let pairs = scored.labels.iter().zip(scored.scores()?);
            let points = pairs.map(|(label, score)| (f64::from(*label), f64::from(*score))).collect();
            Some(Chart::Points {
                title: "held rows".into(),
                x: "label".into(),
                y: "prediction".into(),
                points,
            })
        }
        Task::Multiclass => {
            let said = scored.classes()?;
            let mut classes: Vec<f32> = scored.labels.iter().chain(&said).copied().collect();
            classes.sort_by(f32::total_cmp);
            classes.dedup();
            if classes.len() > CLASSES_MAX {
                return None;
            }
            let place = |class: &f32| classes.iter().position(|known| known == class);
            let mut counts = vec![vec![0; classes.len()]; classes.len()];
            for (label, said) in scored.labels.iter().zip(&said) {
                counts[place(label)?][place(said)?] += 1;
            }
            let classes = classes.iter().map(f32::to_string).collect();
            Some(Chart::Counts { title: "held rows by class".into(), classes, counts })
        }
        Task::Clusters | Task::Nothing => None,
    }
}

/// Writes `predictions.csv`: row, fold, label and every answered value of the held rows, in the order of the rows.
pub(crate) fn write_predictions(folder: &Path, held: &[(Scored, Vec<HeldRow>)]) -> Result<(), TrainError> {
    let Some((first, _)) = held.first() else { return Ok(()) };
    let mut text = "row,fold,label".to_owned();
    for (name, width, _) in &first.fields {
        match width {
            1 => write!(text, ",{name}").expect("text takes text"),
            width => (0..*width).for_each(|at| write!(text, ",{name}_{at}").expect("text takes text")),
        }
    }
    text.push('\n');
    let mut rows: Vec<(&Scored, &HeldRow)> =
        held.iter().flat_map(|(scored, rows)| rows.iter().map(move |row| (scored, row))).collect();
    rows.sort_by_key(|(_, row)| (row.place, row.fold));
    for (scored, row) in rows {
        let label = scored.labels.get(row.at).map_or_else(String::new, f32::to_string);
        write!(text, "{},{},{label}", row.place, row.fold).expect("text takes text");
        for (_, width, values) in &scored.fields {
            for value in &values[row.at * width..(row.at + 1) * width] {
                write!(text, ",{value}").expect("text takes text");
            }
        }
        text.push('\n');
    }
    write(&folder.join("predictions.csv"), text.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    fs::write(path, bytes).map_err(|error| TrainError::io(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_summarised_and_tabulated() {
        let mut report = Report::default();
        report.add("fold 0", vec![("rmse", 1.0), ("r2", 0.5)]);
        report.add("fold 1", vec![("rmse", 3.0), ("r2", 0.7)]);
        report.summarise_folds();
        assert_eq!(report.parts[2], ("mean".to_owned(), vec![("rmse", 2.0), ("r2", 0.6)]));
        assert!((report.parts[3].1[0].1 - 2.0_f64.sqrt()).abs() < 1e-12);
        let table = report.table();
        assert!(table.starts_with("metric") && table.contains("\nrmse "), "{table}");
        assert!(table.contains("     2.00000     1.41421"), "{table}");
        assert_eq!(Report::default().table(), "");
    }
}
