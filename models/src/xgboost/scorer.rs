//! One booster, ready to score: what it adds up, from where it starts, and what its objective makes of the sum.

use std::ops::Range;

use dmatrix::DMatrix;

use super::booster::{Boosted, Booster, Trees};
use super::forest::{Forest, Leaves};
use super::linear::LinearScorer;
use super::objective::Objective;
use super::rules::Rules;

/// Rows scored at once. Reason: compact rows of 30 features fill 8 KiB, and a block of trees is fetched once for 64.
const ROWS_AT_ONCE: usize = 64;

/// Bytes of compact rows, and of margins, at once; a single row may have more. Reason: they share a second-level cache
/// with a block of trees.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// The most outputs of a model. Reason: XGBoost's own targets and classes are some thousands at most, and every row
/// takes this many values.
const OUTPUTS_MAX: usize = 1 << 16;

/// Buffers of one thread, reused by every model it scores with.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    compact: Vec<f32>,
    leaves: Vec<Leaves>,
    margins: Vec<f32>,
}

#[derive(Debug)]
enum Kind {
    Trees(Forest),
    Linear(LinearScorer),
}

/// A compiled booster.
#[derive(Debug)]
pub(super) struct Scorer {
    kind: Kind,
    /// The base score as a margin, one an output.
    base: Vec<f32>,
    /// Whether the base score is added after the trees.
    base_last: bool,
    objective: Objective,
    name: String,
}

impl Scorer {
    /// Compiles a booster.
    ///
    /// # Errors
    /// When its objective is not known or its parts contradict each other.
    pub(super) fn new(booster: &Booster) -> Result<Self, String> {
        let rules = Rules::of(booster);
        let objective = Objective::parse(&booster.objective, rules)
            .ok_or_else(|| format!("objective {:?} is not known", booster.objective))?;
        let outputs = outputs(booster, objective)?;
        let mut base = base_margins(booster, objective, outputs, rules)?;
        let (kind, base_last) = match &booster.boosted {
            Boosted::Trees(trees) => {
                let last =
                    if trees.weight_drop.is_empty() { rules.gbtree_base_last } else { rules.dart_base_last };
                (Kind::Trees(Forest::new(trees, tree_count(booster, trees, outputs)?, outputs, rules)?), last)
            }
            Boosted::Linear(linear) => {
                // XGBoost's gblinear reads the first value of a base score vector for every output.
                let first = base[0];
                base.fill(first);
                (Kind::Linear(LinearScorer::new(linear, booster.num_feature as usize, outputs)?), false)
            }
        };
        Ok(Self { kind, base, base_last, objective, name: booster.objective.clone() })
    }

    /// Its objective.
    pub(super) fn objective(&self) -> Objective {
        self.objective
    }

    /// Its objective as the file spells it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Margins of a row.
    pub(super) fn outputs(&self) -> usize {
        self.base.len()
    }

    /// Values of a row's prediction.
    pub(super) fn prediction_width(&self) -> usize {
        self.objective.prediction_width(self.outputs())
    }

    /// How many rows [`predict`](Self::predict) should be given at once.
    pub(super) fn rows_at_once(&self) -> usize {
        let values = match &self.kind {
            Kind::Trees(forest) => forest.features().stride().max(self.outputs()),
            Kind::Linear(_) => self.outputs(),
        };
        (BUFFER_BYTES_MAX / size_of::<f32>() / values).clamp(1, ROWS_AT_ONCE)
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Trees(forest) => forest.memory_bytes(),
            Kind::Linear(linear) => linear.memory_bytes(),
        };
        kind + self.base.capacity() * size_of::<f32>()
    }

    /// The predictions of some rows, [`prediction_width`](Self::prediction_width) values each.
    pub(super) fn predict<'a>(
        &self,
        rows: &DMatrix,
        range: Range<usize>,
        scratch: &'a mut Scratch,
    ) -> &'a [f32] {
        let values = range.len() * self.prediction_width();
        let outputs = self.outputs();
        let margins = self.margins(rows, range, scratch);
        self.objective.transform(margins, outputs);
        &margins[..values]
    }

    /// The margins of some rows, [`outputs`](Self::outputs) values each.
    pub(super) fn margins<'a>(
        &self,
        rows: &DMatrix,
        range: Range<usize>,
        scratch: &'a mut Scratch,
    ) -> &'a mut [f32] {
        let outputs = self.outputs();
        let Scratch { compact, leaves, margins } = scratch;
        margins.clear();
        if self.base_last {
            margins.resize(range.len() * outputs, 0.0);
        } else {
            range.clone().for_each(|_| margins.extend_from_slice(&self.base));
        }
        match &self.kind {
            Kind::Trees(forest) => {
                let features = forest.features();
                let stride = features.stride();
                grow(compact, range.len() * stride + Forest::SLACK);
                grow(leaves, range.len());
                for (row, compact) in range.clone().zip(compact.chunks_exact_mut(stride)) {
                    features.gather(rows.row(row), compact);
                }
                forest.add(compact, &mut leaves[..range.len()], margins);
            }
            Kind::Linear(linear) => {
                for (row, margins) in range.zip(margins.chunks_exact_mut(outputs)) {
                    linear.add(rows.row(row), margins);
                }
            }
        }
        if self.base_last {
            for margins in margins.chunks_exact_mut(outputs) {
                margins.iter_mut().zip(&self.base).for_each(|(margin, base)| *margin += base);
            }
        }
        margins
    }
}

/// Makes `buffer` at least `length` long; what it holds is overwritten by its user. A new one comes zeroed from the
/// system, so that pages nobody writes to cost nothing.
fn grow<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    if buffer.len() < length {
        *buffer = vec![T::default(); length];
    }
}

/// Outputs of a row: classes, or targets.
fn outputs(booster: &Booster, objective: Objective) -> Result<usize, String> {
    let outputs = booster.num_class.max(booster.num_target).max(1) as usize;
    if outputs > OUTPUTS_MAX {
        return Err(format!("expected at most {OUTPUTS_MAX} outputs, found {outputs}"));
    }
    if objective.is_multi_class() && booster.num_class == 0 {
        return Err(format!("objective {:?} needs num_class, found 0", booster.objective));
    }
    Ok(outputs)
}

fn base_margins(
    booster: &Booster,
    objective: Objective,
    outputs: usize,
    rules: Rules,
) -> Result<Vec<f32>, String> {
    let mut base = match booster.base_score.as_slice() {
        [one] => vec![*one; outputs],
        several if several.len() == outputs => several.to_vec(),
        several => return Err(format!("expected 1 or {outputs} base scores, found {}", several.len())),
    };
    if !booster.base_score_is_margin {
        objective.link(&mut base, rules);
    }
    if base.iter().all(|value| value.is_finite()) {
        return Ok(base);
    }
    let (scores, name) = (&booster.base_score, &booster.objective);
    Err(format!("base_score {scores:?} has no finite margin under objective {name:?}"))
}

/// How many trees are summed: those of the best iteration, when training stopped early and said so, else all.
///
/// As SageMaker's container does with `best_ntree_limit`, and XGBoost's scikit-learn interface with `best_iteration`.
fn tree_count(booster: &Booster, trees: &Trees, outputs: usize) -> Result<usize, String> {
    let parallel = trees.num_parallel_tree.max(1) as usize;
    let limit =
        attribute(booster, "best_ntree_limit")?.map(|limit| limit / parallel).filter(|&rounds| rounds > 0);
    let rounds = match limit {
        Some(rounds) => rounds,
        None => match attribute(booster, "best_iteration")? {
            Some(best) => best.saturating_add(1),
            None => return Ok(trees.trees.len()),
        },
    };
    let has_vectors = trees.trees.iter().any(|tree| tree.outputs > 1);
    let round_trees = if has_vectors { parallel } else { parallel * outputs };
    let count = match trees.iteration_indptr.as_slice() {
        [] => rounds.saturating_mul(round_trees),
        ends => ends.get(rounds).map_or(usize::MAX, |&end| end as usize),
    };
    Ok(count.min(trees.trees.len()))
}

fn attribute(booster: &Booster, name: &str) -> Result<Option<usize>, String> {
    let Some((_, text)) = booster.attributes.iter().find(|(key, _)| key == name) else { return Ok(None) };
    let number: i64 =
        text.parse().map_err(|_| format!("attribute {name}: expected a whole number, found {text:?}"))?;
    // XGBoost writes -1 when no round was boosted.
    Ok(usize::try_from(number).ok())
}
