//! Both channels, checked: equally wide, labels that the objective can learn from, query groups where it ranks.

use dmatrix::Missing;
use estimator::{Channel, Hyperparameters, Job, RowRules, TrainError};

use crate::collect::{Budget, Collected, Held, Layout};

/// Reads `train` and, if the job has it, `validation`.
///
/// # Errors
/// When a row, a label or a query is not what it should be, or the channels differ in width.
pub(crate) fn read(
    job: &Job,
    values: &Hyperparameters,
    budget: &Budget,
    layout: Layout,
) -> Result<(Collected, Option<Collected>), TrainError> {
    if values.given("early_stopping_rounds").is_some() && job.channel("validation").is_none() {
        return Err(TrainError::client(
            "hyperparameter early_stopping_rounds: needs the channel validation (or --holdout)",
        ));
    }
    let csv_weights = values.integer("csv_weights") == Some(1);
    let rules = RowRules { columns: None, missing: Missing::Allowed, csv_weights };
    let mut train = Collected::read(job.train()?, &rules, job, budget, layout, None)?;
    let read =
        |channel: &Channel| Collected::read(channel, &rules, job, budget, Layout::Whole, Some(&mut train));
    let mut validation = job.channel("validation").map(read).transpose()?;
    set_pages(budget, &mut train, validation.as_mut());
    if is_same_place(job) {
        job.log.warning(
            "the channels train and validation are the same files: validation says nothing of new rows",
        );
    }
    agree_on_width(job, &mut train, validation.as_mut())?;
    for rows in [Some(&mut train), validation.as_mut()].into_iter().flatten() {
        check_labels(rows.name, values, &rows.labels)?;
        if values.word("objective").starts_with("rank:") {
            number_queries(rows)?;
        }
        job.log.line(&format!("{}: {} rows of {} features", rows.name, rows.count, rows.columns));
    }
    Ok((train, validation))
}

/// Gives channels on the disk, in equal pages, what memory is left.
fn set_pages(budget: &Budget, train: &mut Collected, validation: Option<&mut Collected>) {
    let mut needed = train.needed_bytes(budget, budget.layout);
    // The base is counted twice, and the bins of both, since each channel has its own.
    needed += validation.as_ref().map_or(0, |rows| rows.needed_bytes(budget, Layout::Whole));
    let all = [Some(train), validation].into_iter().flatten();
    let spills = all.filter_map(|rows| match &mut rows.rows {
        Held::Spilled(spill) => Some(spill),
        Held::Parts(_) => None,
    });
    let spills: Vec<_> = spills.collect();
    let page_bytes = budget.page_bytes(needed, spills.len() as u64);
    spills.into_iter().for_each(|spill| spill.set_page_bytes(page_bytes));
}

/// Whether both channels name one place.
fn is_same_place(job: &Job) -> bool {
    match (job.channel("train"), job.channel("validation")) {
        (Some(train), Some(validation)) => {
            train.path == validation.path
                && train.selection.keeps(0) == validation.selection.keeps(0)
                && matches!(train.selection, estimator::Selection::All)
        }
        _ => false,
    }
}

/// Sparse channels get the width of the widest on any host (a feature may be absent from one of them); dense ones must
/// agree.
fn agree_on_width(
    job: &Job,
    train: &mut Collected,
    validation: Option<&mut Collected>,
) -> Result<(), TrainError> {
    let mut widest = [train.columns.max(validation.as_ref().map_or(0, |rows| rows.columns)) as f64];
    job.cluster.max(&mut widest)?;
    let columns = widest[0] as usize;
    if let Some(validation) = validation {
        // Train says how wide dense rows are, so that the message names the channel that differs from it.
        let is_dense = !train.is_sparse() && job.cluster.size() == 1;
        validation.set_columns(if is_dense { train.columns } else { columns })?;
    }
    train.set_columns(columns)
}

/// Refuses labels that the objective cannot learn from, and names the row: XGBoost would only say that there is one.
fn check_labels(channel: &str, values: &Hyperparameters, labels: &[f32]) -> Result<(), TrainError> {
    let objective = values.word("objective");
    let classes = values.integer("num_class").unwrap_or(0) as f32;
    let (expected, is_fit): (String, Box<dyn Fn(f32) -> bool>) = match objective {
        "binary:logistic" | "binary:logitraw" | "reg:logistic" => {
            ("a label in [0, 1]".into(), Box::new(|label| (0.0..=1.0).contains(&label)))
        }
        "binary:hinge" => ("the label 0 or 1".into(), Box::new(|label| label == 0.0 || label == 1.0)),
        "multi:softmax" | "multi:softprob" => (
            format!("a class from 0 to {}", classes - 1.0),
            Box::new(move |label| label >= 0.0 && label < classes && label.fract() == 0.0),
        ),
        "reg:squaredlogerror" => ("a label above -1".into(), Box::new(|label| label > -1.0)),
        "count:poisson" | "reg:tweedie" => ("a label of at least 0".into(), Box::new(|label| label >= 0.0)),
        "reg:gamma" | "survival:aft" => ("a label above 0".into(), Box::new(|label| label > 0.0)),
        "rank:map" => ("the label 0 or 1".into(), Box::new(|label| label == 0.0 || label == 1.0)),
        "rank:pairwise" | "rank:ndcg" => ("a relevance of at least 0".into(), Box::new(|label| label >= 0.0)),
        _ => return Ok(()),
    };
    match labels.iter().position(|label| !is_fit(*label)) {
        Some(row) => Err(TrainError::client(format!(
            "channel {channel}, row {}: expected {expected} with objective {objective}, found {}",
            row + 1,
            labels[row]
        ))),
        None => Ok(()),
    }
}

/// Numbers the queries in the order they come, as XGBoost wants them, and keeps one weight a query.
fn number_queries(rows: &mut Collected) -> Result<(), TrainError> {
    let name = rows.name;
    if rows.queries.len() != rows.count {
        return Err(TrainError::client(format!(
            "channel {name}: expected query groups to rank within (text/libsvm rows as `label qid:1 0:0.5`), found them in \
             {} of {} rows",
            rows.queries.len(),
            rows.count
        )));
    }
    let mut seen = std::collections::HashSet::new();
    let (mut numbers, mut weights) = (Vec::with_capacity(rows.count), Vec::new());
    for (row, query) in rows.queries.iter().enumerate() {
        let is_new = row == 0 || rows.queries[row - 1] != *query;
        if is_new && !seen.insert(*query) {
            return Err(TrainError::client(format!(
                "channel {name}, row {}: expected the rows of query {query} together, found it again after another",
                row + 1
            )));
        }
        if let Some(weight) = rows.weights.get(row) {
            match weights.last() {
                Some(last) if !is_new && last != weight => {
                    return Err(TrainError::client(format!(
                        "channel {name}, row {}: expected one weight for query {query}, found {last} and {weight}",
                        row + 1
                    )));
                }
                _ if is_new => weights.push(*weight),
                _ => {}
            }
        }
        numbers.push(seen.len() as u32 - 1);
    }
    (rows.queries, rows.weights) = (numbers, weights);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(queries: &[u32], weights: &[f32]) -> Result<(Vec<u32>, Vec<f32>), String> {
        let mut rows = Collected {
            name: "train",
            rows: Held::Parts(Vec::new()),
            count: 4,
            columns: 1,
            labels: vec![0.0; 4],
            weights: weights.to_vec(),
            queries: queries.to_vec(),
            warm_up: Vec::new(),
            values: 4,
        };
        number_queries(&mut rows).map_err(|error| error.to_string())?;
        Ok((rows.queries, rows.weights))
    }

    #[test]
    fn queries_are_numbered_as_they_come() {
        assert_eq!(ranked(&[7, 7, 2, 9], &[]), Ok((vec![0, 0, 1, 2], vec![])));
        assert_eq!(ranked(&[7, 7, 2, 2], &[0.5, 0.5, 2.0, 2.0]), Ok((vec![0, 0, 1, 1], vec![0.5, 2.0])));
    }

    #[test]
    fn queries_that_are_none_are_named() {
        let check = |queries: &[u32], weights: &[f32], expected: &str| {
            let error = ranked(queries, weights).expect_err("something is wrong");
            assert!(error.contains(expected), "{error}");
        };
        check(&[], &[], "found them in 0 of 4 rows");
        check(&[1, 2, 1, 1], &[], "row 3: expected the rows of query 1 together");
        check(&[1, 1, 2, 2], &[1.0, 2.0, 1.0, 1.0], "row 2: expected one weight for query 1, found 1 and 2");
    }
}
