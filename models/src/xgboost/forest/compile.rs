//! From a booster's trees to blocks: every tree is brought into breadth-first order, features become slots of the
//! compact row, and each eight trees get the layout that suits them.

use super::super::booster::{Tree, Trees};
use super::super::categories::Categories;
use super::super::features::Features;
use super::super::rules::Rules;
use super::linked::Linked;
use super::perfect::{self, Perfect};
use super::{Block, CATEGORICAL, Forest, LANES, Layout, MISSING_RIGHT, PLACES};

/// Padding may make a block this many times as large. Reason: beyond it, trees are so lopsided that a walk of fixed
/// length wastes its steps, and a hostile file could make us hold far more than it says.
const PADDING_MAX: usize = 8;

/// A node of a [`Shape`].
#[derive(Debug, Clone, Copy)]
pub(super) struct ShapeNode {
    /// The threshold, or the bits of the index of a category set; NaN in a leaf.
    pub(super) condition: f32,
    /// The feature word; 0 in a leaf.
    pub(super) feature: u32,
    /// The left child's index; the right child follows it.
    pub(super) left: usize,
    /// What a leaf holds.
    pub(super) leaf: u32,
    /// Whether it is a leaf.
    pub(super) is_leaf: bool,
}

/// One tree in breadth-first order, siblings adjacent.
#[derive(Debug)]
pub(super) struct Shape {
    nodes: Vec<ShapeNode>,
    depth: usize,
    has_categories: bool,
}

impl Shape {
    pub(super) fn nodes(&self) -> &[ShapeNode] {
        &self.nodes
    }

    pub(super) fn node(&self, index: usize) -> ShapeNode {
        self.nodes[index]
    }

    /// Tests on the longest way down.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    fn new(
        tree: &Tree,
        features: &Features,
        categories: &mut Categories,
        leaf: &mut dyn FnMut(usize) -> u32,
    ) -> Result<Self, String> {
        let mut shape = Self { nodes: Vec::new(), depth: 0, has_categories: false };
        // The nodes of one level, as the file numbers them.
        let mut level = vec![0usize];
        while !level.is_empty() {
            let mut next = Vec::new();
            let first_child = shape.nodes.len() + level.len();
            for &index in &level {
                let children = children(tree, index)?;
                let mut node = ShapeNode { condition: f32::NAN, feature: 0, left: 0, leaf: 0, is_leaf: true };
                if let Some(children) = children {
                    node.is_leaf = false;
                    node.left = first_child + next.len();
                    (node.condition, node.feature) = split(tree, index, features, categories)?;
                    next.extend(children);
                } else {
                    node.leaf = leaf(index);
                }
                shape.has_categories |= node.feature & CATEGORICAL != 0;
                shape.nodes.push(node);
            }
            if shape.nodes.len() + next.len() > tree.left.len() {
                return Err("a node has two parents".to_owned());
            }
            shape.depth += usize::from(!next.is_empty());
            level = next;
        }
        Ok(shape)
    }
}

/// The children of node `index`, or `None` in a leaf.
fn children(tree: &Tree, index: usize) -> Result<Option<[usize; 2]>, String> {
    let (Some(&left), Some(&right)) = (tree.left.get(index), tree.right.get(index)) else {
        return Err(format!("expected a node below {}, found a link to node {index}", tree.left.len()));
    };
    if left == -1 {
        return Ok(None);
    }
    match (usize::try_from(left), usize::try_from(right)) {
        (Ok(left), Ok(right)) => Ok(Some([left, right])),
        _ => Err(format!("node {index}: expected two children or none, found {left} and {right}")),
    }
}

/// The condition and the feature word of the split at node `index`.
fn split(
    tree: &Tree,
    index: usize,
    features: &Features,
    categories: &mut Categories,
) -> Result<(f32, u32), String> {
    let incomplete = || format!("node {index}: the split has no feature, threshold or default direction");
    let feature = *tree.feature.get(index).ok_or_else(incomplete)?;
    let missing_right = !*tree.default_left.get(index).ok_or_else(incomplete)?;
    if let Ok(place) = tree.categories.binary_search_by_key(&(index as u32), |(node, _)| *node) {
        let set = f32::from_bits(categories.add(&tree.categories[place].1));
        let word = features.place(feature, false).ok_or_else(incomplete)? | CATEGORICAL;
        return Ok((set, if missing_right { word | MISSING_RIGHT } else { word }));
    }
    let condition = *tree.condition.get(index).ok_or_else(incomplete)?;
    if !condition.is_finite() {
        return Err(format!("node {index}: expected a finite threshold, found {condition}"));
    }
    Ok((condition, features.place(feature, missing_right).ok_or_else(incomplete)?))
}

/// The features of the splits that the first `count` trees reach.
fn features_read(trees: &[Tree]) -> Features {
    let splits = trees.iter().flat_map(|tree| {
        let is_split = tree.left.iter().map(|&left| left != -1);
        tree.feature.iter().zip(is_split).filter(|(_, is_split)| *is_split).map(|(&feature, _)| feature)
    });
    Features::new(splits.collect())
}

impl Forest {
    /// Compiles the first `count` trees for `outputs` outputs.
    ///
    /// # Errors
    /// When a tree is not one; the reason names the tree and the node.
    pub(in super::super) fn new(
        trees: &Trees,
        count: usize,
        outputs: usize,
        rules: Rules,
    ) -> Result<Self, String> {
        let selected = &trees.trees[..count.min(trees.trees.len())];
        let mut forest = Self {
            features: features_read(selected),
            blocks: Vec::with_capacity(selected.len().div_ceil(LANES)),
            categories: Categories::new(rules.invalid_category),
            vectors: Vec::new(),
            outputs,
        };
        // A vector leaf that changes nothing, for lanes without a tree.
        if selected.iter().any(|tree| tree.outputs != 1) {
            forest.vectors.resize(outputs, -0.0);
        }
        let filler = if forest.vectors.is_empty() { (-0.0f32).to_bits() } else { 0 };
        for (block, members) in selected.chunks(LANES).enumerate() {
            let mut shapes = Vec::with_capacity(LANES);
            let mut groups = [0; LANES];
            for (lane, tree) in members.iter().enumerate() {
                let index = block * LANES + lane;
                groups[lane] =
                    forest.group(trees, index).map_err(|reason| format!("tree {index}: {reason}"))?;
                let weight = trees.weight_drop.get(index).copied();
                shapes.push(forest.shape(tree, weight).map_err(|reason| format!("tree {index}: {reason}"))?);
            }
            forest.blocks.push(Block { layout: layout(&shapes, forest.features.stride(), filler), groups });
        }
        Ok(forest)
    }

    fn group(&self, trees: &Trees, index: usize) -> Result<u32, String> {
        if !self.vectors.is_empty() {
            return Ok(0);
        }
        let group = *trees.groups.get(index).ok_or("expected an output, found none")?;
        if (group as usize) < self.outputs {
            return Ok(group);
        }
        Err(format!("expected an output below {}, found {group}", self.outputs))
    }

    fn shape(&mut self, tree: &Tree, weight: Option<f32>) -> Result<Shape, String> {
        let outputs = if self.vectors.is_empty() { 1 } else { self.outputs };
        if tree.outputs != outputs {
            return Err(format!("expected leaves of {outputs} values, found {}", tree.outputs));
        }
        let vectors = &mut self.vectors;
        let mut short = false;
        let mut leaf = |index: usize| {
            if outputs == 1 {
                short |= index >= tree.condition.len();
                let value = tree.condition.get(index).copied().unwrap_or(0.0);
                // As XGBoost's dart: a tree's output, started from 0, times its weight.
                return weight.map_or(value, |weight| (0.0 + value) * weight).to_bits();
            }
            let vector = tree.leaf_values.get(index * outputs..(index + 1) * outputs);
            short |= vector.is_none();
            vectors.extend_from_slice(vector.unwrap_or_default());
            (vectors.len() / outputs - 1) as u32
        };
        let shape = Shape::new(tree, &self.features, &mut self.categories, &mut leaf)?;
        if short { Err("a leaf has no value".to_owned()) } else { Ok(shape) }
    }
}

fn layout(shapes: &[Shape], stride: usize, filler: u32) -> Layout {
    let depth = shapes.iter().map(Shape::depth).max().unwrap_or(0);
    let nodes = shapes.iter().map(|shape| shape.nodes.len()).sum();
    let is_simple = stride <= PLACES && shapes.iter().all(|shape| !shape.has_categories);
    if is_simple && depth <= perfect::DEPTH_MAX && Perfect::bytes(depth) <= PADDING_MAX * Linked::bytes(nodes)
    {
        Layout::Perfect(Perfect::new(shapes, filler))
    } else {
        Layout::Linked(Linked::new(shapes, filler))
    }
}
