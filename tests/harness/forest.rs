//! Tree ensembles in XGBoost's JSON format, drawn from a seed: no Python, no training, any shape.

use serde_json::{Value, json};

/// The shape of an ensemble.
#[derive(Debug, Clone, Copy)]
pub struct Forest {
    /// How many trees.
    pub trees: usize,
    /// Levels of splits above the leaves; every tree is complete.
    pub depth: u32,
    /// Features of a row.
    pub features: usize,
    /// Where everything is drawn from; another seed, another model.
    pub seed: u64,
}

impl Forest {
    /// The one that benches serve: 100 trees of depth 6 over 30 features.
    pub const BENCH: Self = Self { trees: 100, depth: 6, features: 30, seed: 1 };

    /// A small one, for tests of other things.
    pub const SMALL: Self = Self { trees: 3, depth: 3, features: 4, seed: 1 };

    /// The bytes of its model file, as XGBoost 2 writes it.
    pub fn to_json(self) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let trees: Vec<Value> = (0..self.trees).map(|id| self.tree(id, &mut random)).collect();
        let rounds: Vec<usize> = (0..=self.trees).collect();
        let document = json!({
            "version": [2, 1, 4],
            "learner": {
                "attributes": {},
                "feature_names": [],
                "feature_types": [],
                "gradient_booster": {
                    "name": "gbtree",
                    "model": {
                        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": self.trees.to_string()},
                        "iteration_indptr": rounds,
                        "tree_info": vec![0; self.trees],
                        "trees": trees,
                    },
                },
                "learner_model_param": {
                    "base_score": "5E-1", "boost_from_average": "1", "num_class": "0",
                    "num_feature": self.features.to_string(), "num_target": "1",
                },
                "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
            },
        });
        serde_json::to_vec(&document).unwrap()
    }

    /// One complete tree; node `i` has the children `2i + 1` and `2i + 2`.
    fn tree(self, id: usize, random: &mut fastrand::Rng) -> Value {
        let splits = (1usize << self.depth) - 1;
        let nodes = 2 * splits + 1;
        let is_leaf = |node: usize| node >= splits;
        let per_node = |value: &mut dyn FnMut(usize) -> Value| (0..nodes).map(value).collect::<Vec<Value>>();
        json!({
            "id": id,
            "left_children": per_node(&mut |node| json!(if is_leaf(node) { -1 } else { 2 * node as i64 + 1 })),
            "right_children": per_node(&mut |node| json!(if is_leaf(node) { -1 } else { 2 * node as i64 + 2 })),
            "parents": per_node(&mut |node| json!(if node == 0 { 2_147_483_647 } else { (node as i64 - 1) / 2 })),
            "split_indices": per_node(&mut |node| json!(if is_leaf(node) { 0 } else { random.usize(..self.features) })),
            // A leaf's value stands where a split's threshold does. Rows are drawn from 0..1, so splits matter.
            "split_conditions": per_node(&mut |node| {
                let value = random.f32();
                json!(if is_leaf(node) { value - 0.5 } else { value })
            }),
            "default_left": per_node(&mut |_| json!(u8::from(random.bool()))),
            "split_type": vec![0; nodes],
            "base_weights": vec![0.0; nodes],
            "loss_changes": vec![0.0; nodes],
            "sum_hessian": vec![1.0; nodes],
            "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [],
            "tree_param": {
                "num_deleted": "0", "num_feature": self.features.to_string(), "num_nodes": nodes.to_string(),
                "size_leaf_vector": "1",
            },
        })
    }
}
