//! One tree of a model document: parallel arrays, one entry a node, turned into a [`Tree`] as soon as they are read.

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::booster::{NODE_DELETED, Tree};
use super::document::number;

#[derive(Deserialize)]
struct TreeDocument {
    id: Option<usize>,
    tree_param: TreeParam,
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<u32>,
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories: Vec<i64>,
    #[serde(default)]
    categories_nodes: Vec<u32>,
    #[serde(default)]
    categories_segments: Vec<usize>,
    #[serde(default)]
    categories_sizes: Vec<usize>,
    /// Multi-output trees up to 3.1: the leaf vectors are here, one for each node.
    #[serde(default)]
    base_weights: Vec<f32>,
    /// Multi-output trees since 3.2: one vector for each leaf, whose right child is its index.
    leaf_weights: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct TreeParam {
    num_nodes: String,
    num_deleted: Option<String>,
    size_leaf_vector: Option<String>,
}

/// The trees of a document, in order.
pub(super) struct TreeList(pub(super) Vec<Tree>);

impl<'de> Deserialize<'de> for TreeList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = TreeList;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an array of trees")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<TreeList, A::Error> {
                let mut trees = Vec::new();
                loop {
                    let index = trees.len();
                    let place =
                        |reason: &dyn std::fmt::Display| A::Error::custom(format!("tree {index}: {reason}"));
                    let Some(document) =
                        sequence.next_element::<TreeDocument>().map_err(|error| place(&error))?
                    else {
                        return Ok(TreeList(trees));
                    };
                    trees.push(document.into_tree(index).map_err(|reason| place(&reason))?);
                }
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

impl TreeDocument {
    fn into_tree(mut self, index: usize) -> Result<Tree, String> {
        if let Some(id) = self.id.filter(|id| *id != index) {
            return Err(format!("expected the id {index}, found {id}"));
        }
        self.check_lengths()?;
        let categories = self.take_categories()?;
        let outputs = self.tree_param.size_leaf_vector.as_ref();
        let outputs: usize =
            outputs.map_or(Ok(1), |text| number("tree_param", "size_leaf_vector", text))?.max(1);
        let leaf_values = if outputs == 1 { Vec::new() } else { self.leaf_values(outputs)? };
        if outputs == 1 {
            self.check_deleted()?;
        }
        for (node, _) in self.left_children.iter().enumerate().filter(|(_, left)| **left == -1) {
            // Some updaters leave a mark in the right child of a leaf.
            self.right_children[node] = -1;
            if outputs > 1 {
                self.split_conditions[node] = 0.0;
            }
        }
        Ok(Tree {
            left: self.left_children,
            right: self.right_children,
            feature: self.split_indices,
            condition: self.split_conditions,
            default_left: self.default_left.into_iter().map(|flag| flag.0).collect(),
            categories,
            leaf_values,
            outputs,
        })
    }

    fn check_lengths(&self) -> Result<(), String> {
        let nodes: usize = number("tree_param", "num_nodes", &self.tree_param.num_nodes)?;
        let check = |name: &str, found: usize| match found == nodes {
            true => Ok(()),
            false => Err(format!("tree_param.num_nodes says {nodes} nodes, {name} has {found}")),
        };
        check("left_children", self.left_children.len())?;
        check("right_children", self.right_children.len())?;
        check("split_indices", self.split_indices.len())?;
        check("split_conditions", self.split_conditions.len())?;
        check("default_left", self.default_left.len())?;
        if !self.split_type.is_empty() {
            check("split_type", self.split_type.len())?;
        }
        Ok(())
    }

    /// A pruned node keeps its place and is marked; the count of them is stated.
    fn check_deleted(&self) -> Result<(), String> {
        let Some(stated) = &self.tree_param.num_deleted else { return Ok(()) };
        let stated: usize = number("tree_param", "num_deleted", stated)?;
        let marked = self.split_indices.iter().zip(&self.default_left).skip(1);
        let found = marked.filter(|(feature, left)| **feature == NODE_DELETED && left.0).count();
        match found == stated {
            true => Ok(()),
            false => Err(format!("tree_param.num_deleted says {stated} deleted nodes, found {found}")),
        }
    }

    /// The categories of each categorical split. Their thresholds mean nothing (XGBoost writes NaN): they become 0.
    fn take_categories(&mut self) -> Result<Vec<(u32, Vec<u32>)>, String> {
        let nodes = &self.categories_nodes;
        let (segments, sizes) = (self.categories_segments.len(), self.categories_sizes.len());
        if segments != nodes.len() || sizes != nodes.len() {
            let nodes = nodes.len();
            return Err(format!(
                "{nodes} categories_nodes, {segments} categories_segments, {sizes} categories_sizes"
            ));
        }
        if !nodes.is_sorted_by(|one, next| one < next) {
            return Err("categories_nodes do not ascend".into());
        }
        let mut taken = Vec::with_capacity(nodes.len());
        let mut taken_end = 0;
        for (entry, &node) in nodes.iter().enumerate() {
            if self.split_type.get(node as usize) != Some(&1) {
                return Err(format!(
                    "categories_nodes names node {node}, which split_type does not call categorical"
                ));
            }
            let (start, size) = (self.categories_segments[entry], self.categories_sizes[entry]);
            let end =
                start.checked_add(size).filter(|end| start >= taken_end && *end <= self.categories.len());
            let end =
                end.ok_or_else(|| format!("the categories of node {node} overlap or end past the array"))?;
            taken_end = end;
            taken.push((node, whole_categories(node, &self.categories[start..end])?));
        }
        for (node, kind) in self.split_type.iter().enumerate() {
            let is_named = || u32::try_from(node).is_ok_and(|node| nodes.binary_search(&node).is_ok());
            match kind {
                0 => {}
                1 if self.left_children[node] == -1 || is_named() => {}
                1 => return Err(format!("node {node} is a categorical split without categories")),
                other => return Err(format!("split_type of node {node}: expected 0 or 1, found {other}")),
            }
            if *kind == 1 && self.left_children[node] != -1 {
                self.split_conditions[node] = 0.0;
            }
        }
        Ok(taken)
    }

    /// `leaf_values[node * outputs ..]` of every leaf, zeros elsewhere. The result is at most twice the array it comes
    /// from, whatever the numbers say.
    fn leaf_values(&self, outputs: usize) -> Result<Vec<f32>, String> {
        let nodes = self.left_children.len();
        let is_leaf = |node: &usize| self.left_children[*node] == -1;
        let leaves = (0..nodes).filter(is_leaf).count();
        let (name, source, vectors) = match &self.leaf_weights {
            Some(weights) => ("leaf_weights", weights, leaves),
            None => ("base_weights", &self.base_weights, nodes),
        };
        if vectors.checked_mul(outputs) != Some(source.len()) {
            return Err(format!(
                "expected {vectors} vectors of {outputs} {name}, found {} numbers",
                source.len()
            ));
        }
        if nodes >= 2 * leaves {
            return Err(format!("{nodes} nodes with {leaves} leaves are not one binary tree"));
        }
        let mut values = vec![0.0; nodes * outputs];
        for node in (0..nodes).filter(is_leaf) {
            let place = match &self.leaf_weights {
                Some(_) => usize::try_from(self.right_children[node]).ok().filter(|place| *place < leaves),
                None => Some(node),
            };
            let place =
                place.ok_or_else(|| format!("the vector of leaf {node} lies outside leaf_weights"))?;
            values[node * outputs..][..outputs].copy_from_slice(&source[place * outputs..][..outputs]);
        }
        Ok(values)
    }
}

fn whole_categories(node: u32, categories: &[i64]) -> Result<Vec<u32>, String> {
    let whole = |category: &i64| {
        u32::try_from(*category).map_err(|_| format!("node {node}: {category} is no category"))
    };
    let mut categories = categories.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    categories.sort_unstable();
    categories.dedup();
    Ok(categories)
}

/// `true`, `false`, 1 or 0: XGBoost has written both.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("true, false, 1 or 0")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Flag, E> {
                match value {
                    0 | 1 => Ok(Flag(value == 1)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Signed(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}
