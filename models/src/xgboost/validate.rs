//! What makes a [`Booster`] safe to walk and its size bounded. A model file is hostile input: nothing in it is believed
//! before it passed here.
//!
//! Only what the root reaches is held to the rules: pruned nodes stay in the arrays and are never visited.

use super::booster::{Boosted, Booster, Linear, Tree, Trees};

/// Most trees of a model: ten times the largest that are of use (4,000 rounds of tens of classes).
pub(super) const TREES_MAX: usize = 1 << 20;
/// Most nodes of a tree: more than 2^23 leaves would outnumber the rows that trained them.
pub(super) const TREE_NODES_MAX: usize = 1 << 24;
/// Deepest leaf. XGBoost grows depth-wise to 31 at most; loss-guided trees may be deeper, and a row pays for each level.
pub(super) const DEPTH_MAX: usize = 1 << 10;
/// Most features: one dense row of so many already takes 64 MiB.
pub(super) const FEATURES_MAX: u32 = 1 << 24;
/// Most outputs (classes or targets): an answer has a number for each.
pub(super) const OUTPUTS_MAX: u32 = 1 << 16;
/// Categories are below 2^24, where f32 stops telling whole numbers apart; XGBoost's own limit.
pub(super) const CATEGORY_LIMIT: u32 = 1 << 24;
/// Most attributes, names and parameters, and most bytes in all of them.
const STRINGS_BYTES_MAX: usize = 1 << 28;

impl Booster {
    /// The outputs of a row: classes, or targets, or 1.
    pub fn output_count(&self) -> u32 {
        self.num_class.max(self.num_target).max(1)
    }

    /// Checks that the booster is whole and safe: sizes are capped and agree, every node that a root reaches is reached
    /// once, at a capped depth, with its feature and its children in range; thresholds are numbers (infinite ones too:
    /// XGBoost puts a cut beyond the largest value it saw, which may overflow), leaves and weights are finite,
    /// categories ascend.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), String> {
        self.check_sizes()?;
        self.check_base_score()?;
        self.check_strings()?;
        match &self.boosted {
            Boosted::Trees(trees) => self.check_trees(trees),
            Boosted::Linear(linear) => self.check_linear(linear),
        }
    }

    fn check_sizes(&self) -> Result<(), String> {
        if !(1..=FEATURES_MAX).contains(&self.num_feature) {
            return Err(format!("num_feature: expected 1 to {FEATURES_MAX}, found {}", self.num_feature));
        }
        if self.num_class > 1 && self.num_target > 1 {
            let (classes, targets) = (self.num_class, self.num_target);
            return Err(format!(
                "expected several classes or several targets, found {classes} and {targets}"
            ));
        }
        if self.output_count() > OUTPUTS_MAX {
            return Err(format!("expected at most {OUTPUTS_MAX} outputs, found {}", self.output_count()));
        }
        Ok(())
    }

    fn check_base_score(&self) -> Result<(), String> {
        let (count, outputs) = (self.base_score.len(), self.output_count() as usize);
        if count != 1 && count != outputs {
            return Err(format!("base_score: expected one number or {outputs}, found {count}"));
        }
        match self.base_score.iter().find(|score| !score.is_finite()) {
            Some(score) => Err(format!("base_score: expected a finite number, found {score}")),
            None => Ok(()),
        }
    }

    fn check_strings(&self) -> Result<(), String> {
        for (name, list) in [("feature_names", &self.feature_names), ("feature_types", &self.feature_types)] {
            if !list.is_empty() && list.len() != self.num_feature as usize {
                return Err(format!(
                    "{name}: expected {} for num_feature, found {}",
                    self.num_feature,
                    list.len()
                ));
            }
        }
        let pairs = self.attributes.iter().chain(&self.objective_params);
        let bytes: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        if bytes > STRINGS_BYTES_MAX {
            return Err(format!("expected at most {STRINGS_BYTES_MAX} bytes of attributes, found {bytes}"));
        }
        match self.objective.is_empty() {
            true => Err("objective: expected a name, found none".into()),
            false => Ok(()),
        }
    }

    fn check_linear(&self, linear: &Linear) -> Result<(), String> {
        let expected = (self.num_feature as usize + 1) * self.output_count() as usize;
        if linear.weights.len() != expected {
            let found = linear.weights.len();
            return Err(format!(
                "weights: expected {expected}, one a feature and output and the biases, found {found}"
            ));
        }
        all_finite("weight", &linear.weights)
    }

    fn check_trees(&self, trees: &Trees) -> Result<(), String> {
        let count = trees.trees.len();
        if count > TREES_MAX {
            return Err(format!("expected at most {TREES_MAX} trees, found {count}"));
        }
        if trees.groups.len() != count {
            return Err(format!("tree_info: expected {count}, one a tree, found {}", trees.groups.len()));
        }
        if !trees.weight_drop.is_empty() && trees.weight_drop.len() != count {
            return Err(format!(
                "weight_drop: expected {count}, one a tree, found {}",
                trees.weight_drop.len()
            ));
        }
        all_finite("weight_drop", &trees.weight_drop)?;
        if trees.num_parallel_tree == 0 || trees.num_parallel_tree as usize > TREES_MAX {
            return Err(format!(
                "num_parallel_tree: expected 1 to {TREES_MAX}, found {}",
                trees.num_parallel_tree
            ));
        }
        check_indptr(&trees.iteration_indptr, count)?;
        let outputs = self.output_count();
        let first_outputs = trees.trees.first().map_or(1, |tree| tree.outputs);
        for (index, (tree, group)) in trees.trees.iter().zip(&trees.groups).enumerate() {
            if *group >= outputs {
                return Err(format!(
                    "tree_info: tree {index}: expected a group below {outputs}, found {group}"
                ));
            }
            if tree.outputs != first_outputs || (tree.outputs != 1 && tree.outputs != outputs as usize) {
                let found = tree.outputs;
                return Err(format!(
                    "tree {index}: expected leaves of {first_outputs} outputs of {outputs}, found {found}"
                ));
            }
            tree.validate(self.num_feature).map_err(|reason| format!("tree {index}: {reason}"))?;
        }
        Ok(())
    }
}

fn check_indptr(indptr: &[u32], trees: usize) -> Result<(), String> {
    let (Some(first), Some(last)) = (indptr.first(), indptr.last()) else { return Ok(()) };
    if *first != 0 || *last as usize != trees || !indptr.is_sorted() {
        return Err(format!(
            "iteration_indptr: expected an ascent from 0 to {trees}, found {first} to {last}"
        ));
    }
    Ok(())
}

fn all_finite(name: &str, values: &[f32]) -> Result<(), String> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(format!("{name} {place}: expected a finite number, found {}", values[place])),
        None => Ok(()),
    }
}

impl Tree {
    fn validate(&self, num_feature: u32) -> Result<(), String> {
        self.check_lengths()?;
        self.check_categories()?;
        self.walk(num_feature)
    }

    fn check_lengths(&self) -> Result<(), String> {
        let nodes = self.left.len();
        if nodes == 0 || nodes > TREE_NODES_MAX {
            return Err(format!("expected 1 to {TREE_NODES_MAX} nodes, found {nodes}"));
        }
        let arrays = [self.right.len(), self.feature.len(), self.condition.len(), self.default_left.len()];
        if arrays.iter().any(|length| *length != nodes) {
            return Err(format!("expected arrays of {nodes} nodes, found {arrays:?}"));
        }
        let expected = if self.outputs > 1 { nodes.checked_mul(self.outputs) } else { Some(0) };
        if expected != Some(self.leaf_values.len()) {
            return Err(format!(
                "expected {} leaf values a node, found {} in all",
                self.outputs,
                self.leaf_values.len()
            ));
        }
        Ok(())
    }

    fn check_categories(&self) -> Result<(), String> {
        if !self.categories.is_sorted_by(|one, next| one.0 < next.0) {
            return Err("categorical splits do not ascend by node".into());
        }
        for (node, categories) in &self.categories {
            if *node as usize >= self.left.len() {
                return Err(format!("a categorical split names node {node} of {}", self.left.len()));
            }
            if categories.is_empty() || !categories.is_sorted_by(|one, next| one < next) {
                return Err(format!("node {node}: expected ascending categories, at least one"));
            }
            if categories.last().is_some_and(|last| *last >= CATEGORY_LIMIT) {
                return Err(format!("node {node}: expected categories below {CATEGORY_LIMIT}"));
            }
        }
        Ok(())
    }

    /// Visits every node the root reaches, without recursion.
    fn walk(&self, num_feature: u32) -> Result<(), String> {
        let mut visited = vec![false; self.left.len()];
        let mut pending = vec![(0usize, 0usize)];
        while let Some((node, depth)) = pending.pop() {
            if std::mem::replace(&mut visited[node], true) {
                return Err(format!("node {node} is reached twice"));
            }
            if depth > DEPTH_MAX {
                return Err(format!("node {node} is deeper than {DEPTH_MAX}"));
            }
            if self.left[node] == -1 {
                self.check_leaf(node)?;
                continue;
            }
            self.check_split(node, num_feature)?;
            for child in [self.right[node], self.left[node]] {
                let place = usize::try_from(child).ok().filter(|place| *place < self.left.len());
                let place = place
                    .ok_or_else(|| format!("node {node} has the child {child} of {}", self.left.len()))?;
                pending.push((place, depth + 1));
            }
        }
        Ok(())
    }

    fn check_leaf(&self, node: usize) -> Result<(), String> {
        if self.outputs > 1 {
            let values = &self.leaf_values[node * self.outputs..][..self.outputs];
            return all_finite("leaf value", values).map_err(|reason| format!("leaf {node}: {reason}"));
        }
        match self.condition[node].is_finite() {
            true => Ok(()),
            false => Err(format!("leaf {node}: expected a finite value, found {}", self.condition[node])),
        }
    }

    fn check_split(&self, node: usize, num_feature: u32) -> Result<(), String> {
        if self.feature[node] >= num_feature {
            let found = self.feature[node];
            return Err(format!("node {node} splits on feature {found}, expected below {num_feature}"));
        }
        match self.condition[node].is_nan() {
            true => Err(format!("node {node}: expected a threshold, found NaN")),
            false => Ok(()),
        }
    }
}
