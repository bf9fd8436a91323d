//! The oracle: a booster scored one row, one tree, one node at a time, straight from the file's own arrays. Tests hold
//! the compiled predictor to its bits, and benches show what compiling is worth. Shares nothing with it but the
//! versions' `Rules` and the objectives.

use super::booster::{Boosted, Booster, Tree, Trees};
use super::objective::Objective;
use super::rules::{InvalidCategory, Rules};

/// A booster and what its version does.
#[derive(Debug)]
pub struct Naive<'a> {
    booster: &'a Booster,
    rules: Rules,
    base: Vec<f32>,
}

impl<'a> Naive<'a> {
    /// # Panics
    /// When the objective is not known: an oracle is given good models.
    pub fn new(booster: &'a Booster) -> Self {
        let rules = Rules::of(booster);
        let outputs = booster.num_class.max(booster.num_target).max(1) as usize;
        let mut base = booster.base_score.clone();
        if base.len() == 1 {
            base = vec![base[0]; outputs];
        }
        if !booster.base_score_is_margin {
            let objective = Objective::parse(&booster.objective, rules).expect("the objective is known");
            objective.link(&mut base, rules);
        }
        Self { booster, rules, base }
    }

    /// The margins of `row`: one value a feature, NaN where it is missing. Every tree is summed.
    pub fn margins(&self, row: &[f32]) -> Vec<f32> {
        match &self.booster.boosted {
            Boosted::Trees(trees) => self.tree_margins(trees, row),
            Boosted::Linear(linear) => {
                let (outputs, features) = (self.base.len(), self.booster.num_feature as usize);
                let margin = |output: usize| {
                    let mut sum = linear.weights[features * outputs + output] + self.base[0];
                    for feature in (0..features).filter(|&feature| !row[feature].is_nan()) {
                        sum += row[feature] * linear.weights[feature * outputs + output];
                    }
                    sum
                };
                (0..outputs).map(margin).collect()
            }
        }
    }

    fn tree_margins(&self, trees: &Trees, row: &[f32]) -> Vec<f32> {
        let is_dart = !trees.weight_drop.is_empty();
        let base_last = if is_dart { self.rules.dart_base_last } else { self.rules.gbtree_base_last };
        let mut sums = if base_last { vec![0.0; self.base.len()] } else { self.base.clone() };
        for (index, tree) in trees.trees.iter().enumerate() {
            let leaf = self.leaf(tree, row);
            if tree.outputs > 1 {
                for (output, sum) in sums.iter_mut().enumerate() {
                    *sum += tree.leaf_values[leaf * tree.outputs + output];
                }
                continue;
            }
            let value = tree.condition[leaf];
            let weighted = if is_dart { (0.0 + value) * trees.weight_drop[index] } else { value };
            sums[trees.groups[index] as usize] += weighted;
        }
        if base_last {
            sums.iter_mut().zip(&self.base).for_each(|(sum, base)| *sum += base);
        }
        sums
    }

    fn leaf(&self, tree: &Tree, row: &[f32]) -> usize {
        let mut node = 0;
        while tree.left[node] != -1 {
            let value = row[tree.feature[node] as usize];
            let goes_left = if value.is_nan() {
                tree.default_left[node]
            } else {
                match tree.categories.iter().find(|(split, _)| *split as usize == node) {
                    Some((_, categories)) => {
                        self.category_goes_left(categories, value, tree.default_left[node])
                    }
                    None => value < tree.condition[node],
                }
            };
            node = if goes_left { tree.left[node] } else { tree.right[node] } as usize;
        }
        node
    }

    fn category_goes_left(&self, right: &[u32], value: f32, default_left: bool) -> bool {
        let largest = right.iter().max();
        let is_invalid = !(0.0..16_777_216.0).contains(&value);
        match self.rules.invalid_category {
            InvalidCategory::Truncated => !right.iter().any(|&category| i64::from(category) == value as i64),
            InvalidCategory::Default
                if is_invalid || value >= largest.map_or(0, |largest| largest / 32 * 32 + 32) as f32 =>
            {
                default_left
            }
            _ => is_invalid || !right.contains(&(value as u32)),
        }
    }
}
