//! Which rows are trained on and which are held out: a share of them, or fold by fold; by chance, by strata, by groups or by
//! time. A row's side is one mark; no row is held in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmatrix::{DMatrix, Missing, Row};
use estimator::{Channel, Job, RowRules, Selection, TrainError};
use sha2::{Digest, Sha256};

/// A column of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// The label.
    Label,
    /// A feature, from 0.
    Feature(usize),
}

/// What decides where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Chance alone.
    Chance,
    /// Chance, each value of the column in equal shares.
    Strata(Column),
    /// Rows of equal value stay together.
    Groups(Column),
    /// What is held out is later than what is trained on.
    Time(Column),
}

/// How much is held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    /// A share, in (0, 1), once.
    Share(f64),
    /// A part out of this many, each once.
    Folds(usize),
}

/// How rows are split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Split {
    pub(crate) amount: Amount,
    pub(crate) by: By,
    pub(crate) seed: u64,
}

/// What one run trains on and what it is held against.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) train: Channel,
    pub(crate) held: Channel,
    /// SHA-256 of the places of the held rows, each as eight bytes.
    pub(crate) held_sha256: String,
    /// The places themselves are marked.
    pub(crate) held_marks: Arc<[bool]>,
}

impl Split {
    /// The parts of `channel`, a run each.
    ///
    /// # Errors
    /// When a side would be empty, or a row cannot be read.
    pub(crate) fn parts(&self, channel: &Channel, job: &Job) -> Result<Vec<Parts>, TrainError> {
        let keys = self.keys(channel, job)?;
        let runs = self.marks(&keys)?;
        Ok(runs.into_iter().map(|sides| parts(channel, &sides)).collect())
    }

    /// A number for every row: the value of the column that decides, or 0.
    fn keys(&self, channel: &Channel, job: &Job) -> Result<Vec<f32>, TrainError> {
        let rules = RowRules { columns: None, missing: Missing::Allowed, csv_weights: false };
        let column = match self.by {
            By::Chance => None,
            By::Strata(column) | By::Groups(column) | By::Time(column) => Some(column),
        };
        let (mut keys, mut columns) = (Vec::new(), 0);
        channel.each_block(&rules, job, |block| {
            if column == Some(Column::Label) && block.labels().is_empty() {
                return Err(TrainError::client("column label: expected labelled rows, found none"));
            }
            columns = columns.max(block.columns());
            keys.extend((0..block.rows()).map(|row| match column {
                None => 0.0,
                Some(Column::Label) => block.labels()[row],
                Some(Column::Feature(feature)) => value(block, row, feature),
            }));
            Ok(())
        })?;
        if let Some(Column::Feature(feature)) = column
            && feature >= columns
        {
            return Err(TrainError::client(format!("column {feature}: expected a feature below {columns}")));
        }
        match keys.iter().position(|key| key.is_nan()) {
            Some(row) => {
                let row = row + 1;
                Err(TrainError::client(format!("row {row}: expected a value to split by, found none")))
            }
            None => Ok(keys),
        }
    }

    /// For every run the side of every row.
    fn marks(&self, keys: &[f32]) -> Result<Vec<Vec<Side>>, TrainError> {
        let runs = match (self.amount, self.by) {
            (Amount::Share(share), By::Time(_)) => vec![last(keys, share)],
            (Amount::Folds(folds), By::Time(_)) => forward(keys, folds),
            (Amount::Share(share), _) => vec![self.share(keys, share)],
            (Amount::Folds(folds), _) => {
                let assigned = self.assign(keys, folds);
                let side = |fold| move |of: &usize| if *of == fold { Side::Held } else { Side::Train };
                (0..folds).map(|fold| assigned.iter().map(side(fold)).collect()).collect()
            }
        };
        for sides in &runs {
            let count = |side| sides.iter().filter(|found| **found == side).count();
            if count(Side::Train) == 0 || count(Side::Held) == 0 {
                let (amount, rows) = (self.amount, keys.len());
                return Err(TrainError::client(format!("{amount} out of {rows} rows leaves one side empty")));
            }
        }
        Ok(runs)
    }

    /// A share of the rows, of every stratum, or of groups until there are as many rows.
    fn share(&self, keys: &[f32], share: f64) -> Vec<Side> {
        let mut sides = vec![Side::Train; keys.len()];
        match self.by {
            By::Groups(_) => {
                let wanted = (keys.len() as f64 * share).round() as usize;
                let mut held = 0;
                for group in self.shuffled_classes(keys) {
                    if held >= wanted {
                        break;
                    }
                    held += group.len();
                    group.iter().for_each(|row| sides[*row] = Side::Held);
                }
            }
            _ => {
                for mut rows in self.classes(keys) {
                    self.random(rows.first().copied()).shuffle(&mut rows);
                    let count = (rows.len() as f64 * share).round() as usize;
                    rows[..count].iter().for_each(|row| sides[*row] = Side::Held);
                }
            }
        }
        sides
    }

    /// The fold of every row.
    fn assign(&self, keys: &[f32], folds: usize) -> Vec<usize> {
        let mut assigned = vec![0; keys.len()];
        let mut sizes = vec![0; folds];
        match self.by {
            By::Groups(_) => {
                for group in self.shuffled_classes(keys) {
                    let fold = (0..folds).min_by_key(|fold| sizes[*fold]).expect("there are folds");
                    sizes[fold] += group.len();
                    group.iter().for_each(|row| assigned[*row] = fold);
                }
            }
            _ => {
                let mut next = 0;
                for mut rows in self.classes(keys) {
                    self.random(rows.first().copied()).shuffle(&mut rows);
                    for row in rows {
                        assigned[row] = next % folds;
                        next += 1;
                    }
                }
            }
        }
        assigned
    }

    /// The rows of every value, in the order of the values.
    fn classes(&self, keys: &[f32]) -> Vec<Vec<usize>> {
        let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (row, key) in keys.iter().enumerate() {
            // 0 and -0 are the same value.
            classes.entry((key + 0.0).to_bits()).or_default().push(row);
        }
        classes.into_values().collect()
    }

    fn shuffled_classes(&self, keys: &[f32]) -> Vec<Vec<usize>> {
        let mut classes = self.classes(keys);
        self.random(None).shuffle(&mut classes);
        classes
    }

    /// Chance, another for every class (by its first row).
    fn random(&self, class: Option<usize>) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed ^ (class.unwrap_or(0) as u64) << 32)
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Share(share) => write!(f, "a hold-out of {share}"),
            Self::Folds(folds) => write!(f, "{folds} folds"),
        }
    }
}

/// Where a row goes in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Train,
    Held,
    /// Later than what is held: not looked at yet.
    Neither,
}

/// The latest share is held; rows of one time are never on both sides.
fn last(keys: &[f32], share: f64) -> Vec<Side> {
    let border = border(keys, 1.0 - share);
    keys.iter().map(|key| if *key >= border { Side::Held } else { Side::Train }).collect()
}

/// Run after run the time goes on: all before a part is trained on, the part is held, what follows is not looked at.
fn forward(keys: &[f32], folds: usize) -> Vec<Vec<Side>> {
    let border = |part: usize| match part > folds {
        true => f32::INFINITY,
        false => border(keys, part as f64 / (folds + 1) as f64),
    };
    let run = |part: usize| {
        let (from, to) = (border(part), border(part + 1));
        let side = |key: &f32| match *key {
            key if key < from => Side::Train,
            key if key < to => Side::Held,
            _ => Side::Neither,
        };
        keys.iter().map(side).collect()
    };
    (1..=folds).map(run).collect()
}

/// The time of the row that stands at `share` of all in their order.
fn border(keys: &[f32], share: f64) -> f32 {
    let mut sorted = keys.to_vec();
    sorted.sort_by(f32::total_cmp);
    let place = (sorted.len() as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f32::INFINITY)
}

fn parts(channel: &Channel, sides: &[Side]) -> Parts {
    let marks = |side| sides.iter().map(|found| *found == side).collect::<Arc<[bool]>>();
    let view = |marks| Channel { selection: Selection::Marked(marks), ..channel.clone() };
    let mut digest = Sha256::new();
    for (row, _) in sides.iter().enumerate().filter(|(_, side)| **side == Side::Held) {
        digest.update((row as u64).to_le_bytes());
    }
    let held_sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let held_marks = marks(Side::Held);
    Parts { train: view(marks(Side::Train)), held: view(Arc::clone(&held_marks)), held_sha256, held_marks }
}

/// A feature of a row; an absent one is 0, and so is one beyond the columns.
fn value(rows: &DMatrix, row: usize, feature: usize) -> f32 {
    match rows.row(row) {
        Row::Dense(values) => values.get(feature).copied().unwrap_or_default(),
        Row::Sparse { indices, values } => {
            indices.binary_search(&(feature as u32)).map_or(0.0, |place| values[place])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(amount: Amount, by: By, seed: u64) -> Split {
        Split { amount, by, seed }
    }

    fn held(runs: &[Vec<Side>]) -> Vec<Vec<usize>> {
        let places =
            |sides: &Vec<Side>| (0..sides.len()).filter(|row| sides[*row] == Side::Held).collect::<Vec<_>>();
        runs.iter().map(places).collect()
    }

    const LABEL: Column = Column::Label;

    #[test]
    fn the_seed_decides_which_rows() {
        let keys = [0.0; 10];
        let marks =
            |seed| held(&split(Amount::Share(0.3), By::Chance, seed).marks(&keys).expect("both sides"));
        assert_eq!(marks(7)[0].len(), 3);
        assert_eq!(marks(1), marks(1));
        assert_ne!(marks(1), marks(2));
    }

    #[test]
    fn folds_hold_every_row_once() {
        let keys: Vec<f32> = (0..103).map(|row| (row % 7) as f32).collect();
        for by in [By::Chance, By::Strata(LABEL), By::Groups(LABEL)] {
            let folds = held(&split(Amount::Folds(5), by, 3).marks(&keys).expect("sides"));
            let mut all = folds.concat();
            all.sort_unstable();
            assert_eq!(all, (0..103).collect::<Vec<_>>());
        }
    }

    #[test]
    fn strata_are_held_in_equal_shares_and_groups_are_not_torn() {
        let keys: Vec<f32> = (0..100).map(|row| f32::from(row % 10 == 0)).collect();
        for run in held(&split(Amount::Folds(5), By::Strata(LABEL), 0).marks(&keys).expect("sides")) {
            assert_eq!(run.iter().filter(|row| keys[**row] == 1.0).count(), 2);
        }
        let keys: Vec<f32> = (0..100).map(|row| (row / 9) as f32).collect();
        for amount in [Amount::Folds(3), Amount::Share(0.3)] {
            for run in split(amount, By::Groups(LABEL), 0).marks(&keys).expect("sides") {
                for (row, side) in run.iter().enumerate() {
                    let mate = keys.iter().position(|key| *key == keys[row]).expect("itself");
                    assert_eq!(*side, run[mate], "row {row} and its group");
                }
            }
        }
    }

    #[test]
    fn time_never_looks_ahead() {
        let keys: Vec<f32> = (0..60).map(|row| ((row * 37) % 20) as f32).collect();
        for amount in [Amount::Share(0.25), Amount::Folds(4)] {
            let runs = split(amount, By::Time(LABEL), 0).marks(&keys).expect("sides");
            for run in runs {
                let times = |side| {
                    run.iter().zip(&keys).filter(move |(found, _)| **found == side).map(|pair| *pair.1)
                };
                let latest = times(Side::Train).fold(f32::MIN, f32::max);
                assert!(times(Side::Held).all(|time| time > latest));
            }
        }
    }

    #[test]
    fn an_empty_side_is_refused() {
        for amount in [Amount::Share(0.01), Amount::Share(0.99), Amount::Folds(11)] {
            let error = split(amount, By::Chance, 0).marks(&[0.0; 10]).expect_err("one side is empty");
            assert!(error.to_string().contains("out of 10 rows leaves one side empty"), "{error}");
        }
    }
}
