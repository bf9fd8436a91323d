//! `fit`: one pass for the sample, the trees side by side, the channel `test`, an artifact.

use dmatrix::DMatrix;
use estimator::{Fitted, Job, Order, RowRules, TrainError, created_by, now_s, warm_up_rows};
use fastrand::Rng;
use models::randomcutforest::{Forest, RandomCutForest};
use models::{Algorithm, Manifest, Model};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::sample::Sample;
use crate::score;
use crate::table::Settings;
use crate::tree::Tree;

/// What this algorithm calls itself in its metrics.
const METRICS_NAME: &str = "RandomCutForest";

/// Trains as `job` asks.
///
/// # Errors
/// When a hyperparameter, a channel or a record is not what it should be, there are too few records, or a host is gone.
pub(crate) fn fit(job: &Job) -> Result<Fitted, TrainError> {
    let settings = Settings::of(job)?;
    job.log.configuration(&settings.values);
    let started_s = now_s();
    let (points, seen, warm_up) = sample(job, &settings)?;
    job.log.info("Master node: building Random Cut Forest...");
    let Built { forest, rows_per_tree, trees } = forest(job, &settings, points)?;
    let mut manifest = manifest(&settings, rows_per_tree, warm_up);
    let model =
        RandomCutForest::new(&manifest, &forest).map_err(|error| TrainError::Algorithm(error.to_string()))?;
    let info = forest_info(&settings, rows_per_tree, &trees, model.memory_bytes());
    job.log.info(&format!("Random Cut Forest built: \n\n{info}"));
    job.log.completed(100.0);
    job.log.throughput(seen, now_s() - started_s);
    let numbers = [("epochs", 1.0), ("Total Records Seen", seen as f64)];
    job.log.metrics(METRICS_NAME, "training", started_s, &numbers);
    match job.channel("test") {
        Some(channel) => {
            let metrics = score::score(job, &settings, channel, &model)?;
            manifest.metrics.extend(metrics.into_iter().map(|(name, value)| (name, json!(value))));
        }
        None => job.log.info("Test data is not provided."),
    }
    Ok(Fitted { members: forest.to_members(), manifest, outputs: Vec::new() })
}

/// A forest, and what is told of it.
struct Built {
    forest: Forest,
    rows_per_tree: usize,
    /// Nodes and depth of each.
    trees: Vec<(usize, usize)>,
}

/// What a manifest scores before the model is published.
type WarmUp = Vec<Vec<Option<f32>>>;

/// The sample of all hosts, the rows that this host has seen, and the first of them.
fn sample(job: &Job, settings: &Settings) -> Result<(Vec<f32>, u64, WarmUp), TrainError> {
    job.log.info("Sampling training data...");
    let rules = RowRules::finite(Some(settings.columns));
    let mut rows = job.train()?.open(&rules, settings.batch_rows, job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let mut sample = Sample::new(settings.columns, settings.sample_rows(), settings.seed, job.cluster.rank());
    let (mut batch, mut warm_up) = (DMatrix::new(), Vec::new());
    while pass.next(&mut batch)? {
        if warm_up.is_empty() {
            warm_up = warm_up_rows(&batch);
            // An absent feature is 0, not missing.
            warm_up.iter_mut().flatten().for_each(|value| *value = value.or(Some(0.0)));
        }
        sample.add(&batch, job.resources.memory_bytes)?;
        if job.stop.is_asked_for() {
            break;
        }
    }
    let seen = sample.seen();
    job.log.info("Gathering samples...");
    let points = sample.finish(job)?;
    job.log.info(&format!("{} samples gathered", points.len() / settings.columns));
    Ok((points, seen, warm_up))
}

/// Samples to trees.
fn forest(job: &Job, settings: &Settings, points: Vec<f32>) -> Result<Built, TrainError> {
    let sampled = points.len() / settings.columns;
    let rows_per_tree = settings
        .rows_of_a_tree(sampled, job.resources.memory_bytes)
        .map_err(|error| if job.stop.is_asked_for() { TrainError::Stopped } else { error })?;
    let build = |tree: usize| {
        let mut random = Rng::with_seed(Rng::with_seed(settings.seed).u64(..) ^ tree as u64);
        // The first numbers of generators of close seeds are close.
        let mut random = random.fork();
        let rows = match settings.is_independent {
            false => (tree * rows_per_tree..(tree + 1) * rows_per_tree).map(|row| row as u32).collect(),
            true => draw(sampled, rows_per_tree, &mut random),
        };
        Tree::new(&points, settings.columns, rows, &mut random)
    };
    let trees: Vec<Tree> = (0..settings.trees).into_par_iter().map(build).collect();
    let shapes = trees.iter().map(|tree| (tree.nodes(), tree.depth())).collect();
    let mut forest = Forest { columns: settings.columns, tree_offsets: vec![0], ..Forest::default() };
    trees.into_iter().for_each(|tree| tree.append_to(&mut forest));
    forest.points = points;
    if !settings.is_independent {
        forest.points.truncate(settings.trees * rows_per_tree * settings.columns);
    }
    Ok(Built { forest, rows_per_tree, trees: shapes })
}

/// `count` different rows out of `rows`.
fn draw(rows: usize, count: usize, random: &mut Rng) -> Vec<u32> {
    let mut all: Vec<u32> = (0..rows as u32).collect();
    for place in 0..count {
        all.swap(place, random.usize(place..rows));
    }
    all.truncate(count);
    all
}

fn manifest(settings: &Settings, rows_per_tree: usize, warm_up: WarmUp) -> Manifest {
    let values = &settings.values;
    let details: [(&str, Value); 4] = [
        ("num_trees", json!(settings.trees)),
        ("num_samples_per_tree", json!(rows_per_tree)),
        ("seed", json!(settings.seed)),
        ("sampling", json!(values.word("sampling"))),
    ];
    Manifest {
        feature_dim: Some(settings.columns),
        hyperparameters: values.all_given().map(|(name, value)| (name.to_owned(), json!(value))).collect(),
        created_by: created_by(),
        warm_up,
        details: details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
        ..Manifest::new(Algorithm::RandomCutForest)
    }
}

/// The line that SageMaker's container says of its forest.
fn forest_info(settings: &Settings, rows: usize, trees: &[(usize, usize)], bytes: usize) -> String {
    let of = |pick: fn(&(usize, usize)) -> usize| trees.iter().map(pick).collect::<Vec<usize>>();
    let (nodes, depths) = (of(|tree| tree.0), of(|tree| tree.1));
    let least = |values: &[usize]| values.iter().copied().min().unwrap_or_default();
    let most = |values: &[usize]| values.iter().copied().max().unwrap_or_default();
    let average = |values: &[usize]| values.iter().sum::<usize>() / values.len().max(1);
    format!(
        "ForestInfo{{num_trees: {}, num_samples_in_forest: {}, num_samples_per_tree: {rows}, sample_dim: {}, \
         shingle_size: 1, trees_num_nodes: {nodes:?}, trees_depth: {depths:?}, max_num_nodes: {}, min_num_nodes: {}, \
         avg_num_nodes: {}, max_tree_depth: {}, min_tree_depth: {}, avg_tree_depth: {}, mem_size: {bytes}}}",
        settings.trees,
        settings.trees * rows,
        settings.columns,
        most(&nodes),
        least(&nodes),
        average(&nodes),
        most(&depths),
        least(&depths),
        average(&depths),
    )
}

#[cfg(test)]
mod tests;
