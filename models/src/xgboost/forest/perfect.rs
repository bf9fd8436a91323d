//! Eight perfect trees of equal depth. Node 1 is a root, node `n` has children `2n` and `2n + 1`.
//!
//! The walk is compiled for each depth, over arrays of known size and a row seen as an array of as many values as a
//! `u16` can index: no step has a bounds check, a mask or a branch.

use super::compile::Shape;
use super::{LANES, Leaves, PLACES};

/// Deeper trees are not padded. Reason: at depth 8 a tree takes 3 KiB, eight of them most of a 32 KiB first-level cache.
pub(super) const DEPTH_MAX: usize = 8;

/// A test: go right when value >= condition.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    condition: f32,
    /// Where the value is in a compact row.
    place: u16,
}

/// Eight trees of `depth` levels of tests.
#[derive(Debug)]
pub(super) struct Perfect {
    depth: usize,
    /// `LANES << depth` nodes; the first of each tree is not used.
    nodes: Vec<Node>,
    /// `LANES << depth` leaves.
    leaves: Vec<u32>,
}

impl Perfect {
    /// Bytes of eight trees of this depth.
    pub(super) fn bytes(depth: usize) -> usize {
        (LANES << depth) * (size_of::<Node>() + size_of::<u32>())
    }

    /// Pads up to eight trees to perfect ones; lanes without a tree lead to `filler`.
    pub(super) fn new(shapes: &[Shape], filler: u32) -> Self {
        let depth = shapes.iter().map(Shape::depth).max().unwrap_or(0).clamp(1, DEPTH_MAX);
        let mut trees = Self {
            depth,
            nodes: vec![Node::default(); LANES << depth],
            leaves: vec![filler; LANES << depth],
        };
        for (lane, shape) in shapes.iter().enumerate() {
            trees.place(lane, shape, 0, 1, 0);
        }
        trees
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.leaves.capacity() * size_of::<u32>()
    }

    /// Places the subtree at `from` of `shape` at node `at`, `level` steps below the root. A leaf above the last level
    /// is repeated: whichever way its padding turns, it is reached.
    fn place(&mut self, lane: usize, shape: &Shape, from: usize, at: usize, level: usize) {
        let first = lane << self.depth;
        if level == self.depth {
            self.leaves[first + at - (1 << self.depth)] = shape.node(from).leaf;
            return;
        }
        let node = shape.node(from);
        let children = if node.is_leaf { [from, from] } else { [node.left, node.left + 1] };
        self.nodes[first + at] = Node { condition: node.condition, place: node.feature as u16 };
        self.place(lane, shape, children[0], 2 * at, level + 1);
        self.place(lane, shape, children[1], 2 * at + 1, level + 1);
    }

    /// The leaves that the rows of `compact`, one each `stride` values, come to.
    pub(super) fn walk(&self, compact: &[f32], stride: usize, leaves: &mut [Leaves]) {
        match self.depth {
            1 => self.walk_depth::<1, { 1 << 1 }>(compact, stride, leaves),
            2 => self.walk_depth::<2, { 1 << 2 }>(compact, stride, leaves),
            3 => self.walk_depth::<3, { 1 << 3 }>(compact, stride, leaves),
            4 => self.walk_depth::<4, { 1 << 4 }>(compact, stride, leaves),
            5 => self.walk_depth::<5, { 1 << 5 }>(compact, stride, leaves),
            6 => self.walk_depth::<6, { 1 << 6 }>(compact, stride, leaves),
            7 => self.walk_depth::<7, { 1 << 7 }>(compact, stride, leaves),
            _ => self.walk_depth::<8, { 1 << 8 }>(compact, stride, leaves),
        }
    }

    fn walk_depth<const DEPTH: usize, const SIZE: usize>(
        &self,
        compact: &[f32],
        stride: usize,
        leaves: &mut [Leaves],
    ) {
        let (nodes, _) = self.nodes.as_chunks::<SIZE>();
        let (values, _) = self.leaves.as_chunks::<SIZE>();
        let nodes: &[[Node; SIZE]; LANES] = nodes.try_into().expect("there are LANES << depth nodes");
        let values: &[[u32; SIZE]; LANES] = values.try_into().expect("there are LANES << depth leaves");
        let mut rest = compact;
        for leaves in leaves {
            let row = rest.first_chunk().expect("a view of places is left behind every row");
            *leaves = walk_row::<DEPTH, SIZE>(nodes, values, row);
            rest = &rest[stride..];
        }
    }
}

#[inline(always)]
fn walk_row<const DEPTH: usize, const SIZE: usize>(
    nodes: &[[Node; SIZE]; LANES],
    values: &[[u32; SIZE]; LANES],
    row: &[f32; PLACES],
) -> Leaves {
    let mut at = [1usize; LANES];
    for _ in 0..DEPTH {
        for (at, tree) in at.iter_mut().zip(nodes) {
            let node = tree[*at & (SIZE - 1)];
            // NaN, a missing value in the first half, goes left.
            let is_right = row[usize::from(node.place)] >= node.condition;
            *at = 2 * *at + usize::from(is_right);
        }
    }
    let mut leaves = [0; LANES];
    for ((leaf, at), tree) in leaves.iter_mut().zip(at).zip(values) {
        *leaf = tree[at & (SIZE - 1)];
    }
    leaves
}
