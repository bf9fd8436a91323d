//! Random boosters and rows, for the oracle tests and the benches.

use fastrand::Rng;
use models::xgboost::booster::{Boosted, Booster, Tree, Trees};

/// What a random forest is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) features: u32,
    pub(crate) trees: usize,
    pub(crate) depth: usize,
    /// Chance that a node above the last level is a leaf.
    pub(crate) leaf_chance: f64,
    /// Chance that a split is categorical.
    pub(crate) category_chance: f64,
    /// Outputs; trees take turns unless `vectors`.
    pub(crate) outputs: usize,
    pub(crate) vectors: bool,
    pub(crate) dart: bool,
    pub(crate) version: Option<[u32; 3]>,
}

impl Plan {
    /// Perfect trees with one output.
    pub(crate) fn perfect(features: u32, trees: usize, depth: usize) -> Self {
        Self {
            features,
            trees,
            depth,
            leaf_chance: 0.0,
            category_chance: 0.0,
            outputs: 1,
            vectors: false,
            dart: false,
            version: Some([3, 2, 0]),
        }
    }

    pub(crate) fn booster(&self, rng: &mut Rng) -> Booster {
        let trees: Vec<Tree> = (0..self.trees).map(|_| self.tree(rng)).collect();
        let groups = (0..self.trees)
            .map(|index| if self.vectors { 0 } else { (index % self.outputs) as u32 })
            .collect();
        let weight_drop = if self.dart { trees.iter().map(|_| rng.f32()).collect() } else { Vec::new() };
        Booster {
            version: self.version,
            num_feature: self.features,
            num_class: 0,
            num_target: self.outputs as u32,
            base_score: (0..self.outputs).map(|_| rng.f32()).collect(),
            base_score_is_margin: false,
            objective: "reg:squarederror".to_owned(),
            objective_params: Vec::new(),
            boosted: Boosted::Trees(Trees {
                trees,
                groups,
                weight_drop,
                num_parallel_tree: 1,
                iteration_indptr: Vec::new(),
            }),
            attributes: Vec::new(),
            feature_names: Vec::new(),
            feature_types: Vec::new(),
        }
    }

    fn tree(&self, rng: &mut Rng) -> Tree {
        let outputs = if self.vectors { self.outputs } else { 1 };
        let mut tree = Tree { outputs, ..Tree::default() };
        self.grow(&mut tree, 0, rng);
        if self.vectors {
            tree.leaf_values = (0..tree.left.len() * outputs).map(|_| rng.f32() - 0.5).collect();
        }
        tree.categories.sort();
        tree
    }

    /// Appends a subtree and returns its root.
    fn grow(&self, tree: &mut Tree, level: usize, rng: &mut Rng) -> usize {
        let index = tree.left.len();
        tree.left.push(-1);
        tree.right.push(-1);
        tree.feature.push(rng.u32(0..self.features));
        tree.condition.push(rng.f32() - 0.5);
        tree.default_left.push(rng.bool());
        if level == self.depth || rng.f64() < self.leaf_chance {
            return index;
        }
        if rng.f64() < self.category_chance {
            let largest = if rng.u8(0..4) == 0 { 5000 } else { 40 };
            let mut categories: Vec<u32> = (0..rng.usize(1..6)).map(|_| rng.u32(0..largest)).collect();
            categories.sort_unstable();
            categories.dedup();
            tree.categories.push((index as u32, categories));
        }
        tree.left[index] = self.grow(tree, level + 1, rng) as i32;
        tree.right[index] = self.grow(tree, level + 1, rng) as i32;
        index
    }

    /// Rows whose values fall on either side of the thresholds; each value is missing with chance `missing`.
    pub(crate) fn rows(&self, rows: usize, missing: f64, rng: &mut Rng) -> Vec<f32> {
        let mut value = || match rng.f64() {
            chance if chance < missing => f32::NAN,
            _ if self.category_chance > 0.0 && rng.bool() => {
                rng.i32(-2..70) as f32 + [0.0, 0.5][rng.usize(0..2)]
            }
            _ => rng.f32() - 0.5,
        };
        (0..rows * self.features as usize).map(|_| value()).collect()
    }
}
