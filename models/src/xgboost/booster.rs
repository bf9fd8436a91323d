//! What any XGBoost file says, in one form: the output of the readers, the input of the predictor.
//!
//! A [`Booster`] that passed [`Booster::validate`] is safe to walk: every child index lies in its tree, no node is
//! reached twice, depth and sizes are capped, feature indices are below `num_feature`, all numbers are finite.

/// A split's test or a leaf's place; plain arrays as the files have them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    /// Left child of each node, -1 in a leaf.
    pub left: Vec<i32>,
    /// Right child of each node, -1 in a leaf.
    pub right: Vec<i32>,
    /// Feature of each split.
    pub feature: Vec<u32>,
    /// Threshold of each numerical split (go left when value < threshold); in a leaf of a one-output tree, its value.
    pub condition: Vec<f32>,
    /// Where a missing value goes.
    pub default_left: Vec<bool>,
    /// Categorical splits: node → the categories that go RIGHT (XGBoost's rule), ascending by node.
    pub categories: Vec<(u32, Vec<u32>)>,
    /// Multi-output trees (`size_leaf_vector` > 1): `leaf_values[node * outputs ..]`; else empty.
    pub leaf_values: Vec<f32>,
    /// Outputs of each leaf: 1, or the size of the leaf vector.
    pub outputs: usize,
}

/// Trees, their group and their weight.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trees {
    /// In file order, which is the order of summation.
    pub trees: Vec<Tree>,
    /// The output group (class) of each tree.
    pub groups: Vec<u32>,
    /// DART: the weight of each tree; empty for gbtree.
    pub weight_drop: Vec<f32>,
    /// Trees of one boosting round and group (random forests).
    pub num_parallel_tree: u32,
    /// The first tree of each round, and the number of trees last; empty when the file does not say.
    pub iteration_indptr: Vec<u32>,
}

/// A linear booster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Linear {
    /// `num_feature × groups` weights, then `groups` biases.
    pub weights: Vec<f32>,
}

/// The three boosters.
#[derive(Debug, Clone, PartialEq)]
pub enum Boosted {
    /// gbtree, and dart (with `weight_drop`).
    Trees(Trees),
    /// gblinear.
    Linear(Linear),
}

/// A whole model file.
#[derive(Debug, Clone, PartialEq)]
pub struct Booster {
    /// The version that wrote it, when the file says (`[major, minor, patch]`).
    pub version: Option<[u32; 3]>,
    /// Features.
    pub num_feature: u32,
    /// 0 or 1 unless multi-class.
    pub num_class: u32,
    /// Targets of a multi-output model, at least 1.
    pub num_target: u32,
    /// One value, or one a group, as the file has it: in output space (a probability for logistic objectives), unless
    /// `base_score_is_margin`.
    pub base_score: Vec<f32>,
    /// The base score is already a margin and is added as it is: only in the binary files of XGBoost before 1.0, which
    /// stored the transformed value.
    pub base_score_is_margin: bool,
    /// The objective's name, such as `binary:logistic`.
    pub objective: String,
    /// The objective's parameters that matter to prediction, by name, as text (`aft_loss_distribution`, …).
    pub objective_params: Vec<(String, String)>,
    /// The trees or the linear model.
    pub boosted: Boosted,
    /// Attributes such as `best_iteration`, `best_score`.
    pub attributes: Vec<(String, String)>,
    /// Names of the features, empty when the file has none.
    pub feature_names: Vec<String>,
    /// Types of the features (`float`, `int`, `c`, `q`, `i`), empty when the file has none.
    pub feature_types: Vec<String>,
}

/// The feature of a pruned node: it keeps its place in the arrays, unreachable from the root.
pub(super) const NODE_DELETED: u32 = 0x7fff_ffff;
