//! Eight perfect trees of equal depth. Node 1 is a root, node `n` has children `2n` and `2n + 1`; the trees lie one
//! after the other in one array whose length is a power of two, so that a mask stands for every bounds check.

use super::compile::Shape;
use super::{LANES, Leaves, MISSING_RIGHT, SLOT};

/// Deeper trees are not padded. Reason: at depth 8 a tree takes 3 KiB, eight of them most of a 32 KiB first-level cache.
pub(super) const DEPTH_MAX: usize = 8;

/// A test: go right when value >= condition.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    condition: f32,
    /// The slot of the feature, and [`MISSING_RIGHT`].
    feature: u32,
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
        self.nodes[first + at] = Node { condition: node.condition, feature: node.feature };
        self.place(lane, shape, children[0], 2 * at, level + 1);
        self.place(lane, shape, children[1], 2 * at + 1, level + 1);
    }

    /// The leaves that `rows` (compact, of `width` values) come to. Unless `MISSING`, no value is NaN.
    pub(super) fn walk<const MISSING: bool>(&self, rows: &[f32], width: usize, leaves: &mut [Leaves]) {
        match self.depth {
            1 => self.walk_depth::<MISSING, 1, { LANES << 1 }>(rows, width, leaves),
            2 => self.walk_depth::<MISSING, 2, { LANES << 2 }>(rows, width, leaves),
            3 => self.walk_depth::<MISSING, 3, { LANES << 3 }>(rows, width, leaves),
            4 => self.walk_depth::<MISSING, 4, { LANES << 4 }>(rows, width, leaves),
            5 => self.walk_depth::<MISSING, 5, { LANES << 5 }>(rows, width, leaves),
            6 => self.walk_depth::<MISSING, 6, { LANES << 6 }>(rows, width, leaves),
            7 => self.walk_depth::<MISSING, 7, { LANES << 7 }>(rows, width, leaves),
            _ => self.walk_depth::<MISSING, 8, { LANES << 8 }>(rows, width, leaves),
        }
    }

    fn walk_depth<const MISSING: bool, const DEPTH: usize, const NODES: usize>(
        &self,
        rows: &[f32],
        width: usize,
        leaves: &mut [Leaves],
    ) {
        let nodes: &[Node; NODES] = self.nodes.as_slice().try_into().expect("there are LANES << depth nodes");
        let values: &[u32; NODES] =
            self.leaves.as_slice().try_into().expect("there are LANES << depth leaves");
        for (row, leaves) in rows.chunks_exact(width).zip(leaves) {
            *leaves = walk_row::<MISSING, DEPTH, NODES>(nodes, values, row);
        }
    }
}

#[inline(always)]
fn walk_row<const MISSING: bool, const DEPTH: usize, const NODES: usize>(
    nodes: &[Node; NODES],
    values: &[u32; NODES],
    row: &[f32],
) -> Leaves {
    // The width of a compact row is a power of two: the mask keeps a slot as it is, and drops the flag above it.
    let mask = row.len().wrapping_sub(1) & SLOT as usize;
    let mut at = [1usize; LANES];
    for _ in 0..DEPTH {
        for (lane, at) in at.iter_mut().enumerate() {
            let node = nodes[((lane << DEPTH) + *at) & (NODES - 1)];
            let value = row[node.feature as usize & mask];
            let right = if MISSING {
                (value >= node.condition) | (value.is_nan() & (node.feature & MISSING_RIGHT != 0))
            } else {
                value >= node.condition
            };
            *at = 2 * *at + usize::from(right);
        }
    }
    let mut leaves = [0; LANES];
    for (lane, leaf) in leaves.iter_mut().enumerate() {
        *leaf = values[((lane << DEPTH) + (at[lane] & ((1 << DEPTH) - 1))) & (NODES - 1)];
    }
    leaves
}
