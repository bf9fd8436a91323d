//! Eight trees of any shape: nodes in breadth-first order, siblings adjacent, a leaf's children are the leaf itself.

use super::super::categories::Categories;
use super::compile::Shape;
use super::{CATEGORICAL, LANES, Leaves, MISSING_RIGHT, PLACE};

/// A test, or a leaf. Sixteen bytes, aligned so that none straddles a cache line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(16))]
struct Node {
    /// Go right when value >= condition; NaN in a leaf, so that nothing goes right; the bits of the index of a set in
    /// a categorical split.
    condition: f32,
    /// Where the value is in a compact row, [`MISSING_RIGHT`] and [`CATEGORICAL`].
    feature: u32,
    /// The left child; the right one follows it. In a leaf: the leaf.
    left: u32,
    /// What a leaf holds.
    leaf: u32,
}

/// Eight trees.
#[derive(Debug)]
pub(super) struct Linked {
    roots: [u32; LANES],
    /// A power of two of them, so that a mask stands for every bounds check.
    nodes: Vec<Node>,
    has_categories: bool,
}

impl Linked {
    /// Bytes of trees of so many nodes.
    pub(super) fn bytes(nodes: usize) -> usize {
        nodes.max(1).next_power_of_two() * size_of::<Node>()
    }

    /// Lays out up to eight trees; lanes without a tree lead to `filler`.
    pub(super) fn new(shapes: &[Shape], filler: u32) -> Self {
        let mut trees = Self { roots: [0; LANES], nodes: Vec::new(), has_categories: false };
        for (root, shape) in trees.roots.iter_mut().zip(shapes) {
            let first = trees.nodes.len() as u32;
            *root = first;
            for (index, node) in shape.nodes().iter().enumerate() {
                trees.has_categories |= node.feature & CATEGORICAL != 0;
                let left = first + if node.is_leaf { index } else { node.left } as u32;
                trees.nodes.push(Node {
                    condition: node.condition,
                    feature: node.feature,
                    left,
                    leaf: node.leaf,
                });
            }
        }
        let last = trees.nodes.len() as u32;
        trees.roots[shapes.len()..].fill(last);
        trees.nodes.push(Node { condition: f32::NAN, feature: 0, left: last, leaf: filler });
        trees.nodes.resize(trees.nodes.len().next_power_of_two(), Node::default());
        trees
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }

    /// The leaves that the rows of `compact`, one each `stride` values, come to.
    pub(super) fn walk(
        &self,
        compact: &[f32],
        stride: usize,
        categories: &Categories,
        leaves: &mut [Leaves],
    ) {
        for (row, leaves) in compact.chunks_exact(stride).zip(leaves) {
            *leaves = if self.has_categories {
                self.walk_row(|node| {
                    let value = row[(node.feature & PLACE) as usize];
                    if node.feature & CATEGORICAL == 0 {
                        return value >= node.condition;
                    }
                    categories.goes_right(node.condition.to_bits(), value, node.feature & MISSING_RIGHT != 0)
                })
            } else {
                self.walk_row(|node| row[node.feature as usize] >= node.condition)
            };
        }
    }

    #[inline(always)]
    fn walk_row(&self, is_right: impl Fn(Node) -> bool) -> Leaves {
        let nodes = self.nodes.as_slice();
        if nodes.is_empty() {
            return [0; LANES];
        }
        // A power of two: the mask leaves an index as it is and no bounds check to do.
        let mask = nodes.len() - 1;
        let mut at = self.roots;
        loop {
            let mut moved = 0;
            for at in &mut at {
                let node = nodes[*at as usize & mask];
                let next = node.left + u32::from(is_right(node));
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at.map(|at| nodes[at as usize & mask].leaf);
            }
        }
    }
}
