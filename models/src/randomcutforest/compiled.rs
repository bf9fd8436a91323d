//! A forest made ready to score: 16 bytes a node for the way down, the way back up by parents, and the box of every inner
//! node.
//!
//! Per tree of m rows, a row walks down to a leaf at depth δ (the root's is 0). There it is worth
//! (1 − μ/2m) / (δ + log2(μ + 1)) if it is the leaf's point, of mass μ, and 1 / (δ + 1) otherwise. On the way back up, a node at depth δ
//! whose box would have to grow by e in all (the sum over the features) to a size of e + r makes of the worth w
//!
//! π · 1/(δ + 1) + (1 − π) · w, with π = e / (e + r),
//!
//! since π is the probability that a cut there parts the row from the box. In the first box that holds the row, e is 0, and so it
//! is in all above: it ends there. The worth times log2(m + 1) is the tree's score.
//!
//! Sums over the features are taken in eight lanes of doubles that are added in one fixed order.

use crate::LoadError;
use crate::tensors::refuse;

use super::forest::{Forest, LEAF};

/// The most bytes of boxes. Reason: they are 8 bytes a feature and inner node, and a file may let many leaves share one
/// point; 8 GiB are two million rows in trees over 512 features.
pub const BOX_BYTES_MAX: u64 = 8 << 30;

/// Lanes of a sum.
const LANES: usize = 8;
/// `feature` of a leaf.
const NO_FEATURE: u32 = u32::MAX;
/// The parent of a root.
const NO_PARENT: u32 = u32::MAX;

/// Bytes of the boxes of so many inner nodes.
pub fn box_bytes(inner_nodes: u64, columns: u64) -> u64 {
    inner_nodes.saturating_mul(columns).saturating_mul(2 * size_of::<f32>() as u64)
}

/// A node on the way down.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// At most this goes left: the greatest single not above the cut, which parts singles as the cut does.
    threshold: f32,
    feature: u32,
    /// Leaves: their point.
    left: u32,
    /// Leaves: their mass.
    right: u32,
}

/// A node on the way up.
#[derive(Debug, Clone, Copy)]
struct Up {
    parent: u32,
    /// Inner nodes: which box.
    boxed: u32,
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    mass: f64,
    /// log2(mass + 1).
    scale: f64,
}

/// The forest.
#[derive(Debug)]
pub(super) struct Compiled {
    columns: usize,
    trees: Vec<Tree>,
    nodes: Vec<Node>,
    ups: Vec<Up>,
    /// Low and high ends of each box, `columns` each.
    boxes: Vec<f32>,
    /// The sum of the sides of each box.
    sizes: Vec<f64>,
    points: Vec<f32>,
}

impl Compiled {
    pub(super) fn new(file: &str, forest: &Forest) -> Result<Self, LoadError> {
        forest.check(file)?;
        let inner = forest.cut_dim.iter().filter(|dim| **dim != LEAF).count();
        let bytes = box_bytes(inner as u64, forest.columns as u64);
        if bytes > BOX_BYTES_MAX {
            let reason = format!(
                "expected boxes of at most {BOX_BYTES_MAX} bytes, found {inner} of {} features, {bytes} bytes",
                forest.columns
            );
            return Err(refuse(file, reason));
        }
        let mut compiled = Self {
            columns: forest.columns,
            trees: (0..forest.trees()).map(|tree| tree_of(forest, tree)).collect(),
            nodes: Vec::with_capacity(forest.nodes()),
            ups: vec![Up { parent: NO_PARENT, boxed: 0 }; forest.nodes()],
            boxes: vec![0.0; inner * 2 * forest.columns],
            sizes: vec![0.0; inner],
            points: forest.points.clone(),
        };
        compiled.link(forest);
        compiled.build_boxes();
        Ok(compiled)
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn trees(&self) -> usize {
        self.trees.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self.trees.as_slice())
            + size_of_val(self.nodes.as_slice())
            + size_of_val(self.ups.as_slice())
            + size_of_val(self.boxes.as_slice())
            + size_of_val(self.sizes.as_slice())
            + size_of_val(self.points.as_slice())
    }

    /// Adds every tree's score of each dense row to its sum.
    pub(super) fn add_scores(&self, rows: &[f32], sums: &mut [f64]) {
        for tree in &self.trees {
            for (row, sum) in rows.chunks_exact(self.columns).zip(sums.iter_mut()) {
                *sum += self.score(tree, row);
            }
        }
    }

    fn score(&self, tree: &Tree, row: &[f32]) -> f64 {
        let (mut node, mut depth) = (tree.root as usize, 0.0);
        let leaf = loop {
            let at = self.nodes[node];
            if at.feature == NO_FEATURE {
                break at;
            }
            node = if row[at.feature as usize] <= at.threshold { at.left } else { at.right } as usize;
            depth += 1.0;
        };
        let start = leaf.left as usize * self.columns;
        if row == &self.points[start..start + self.columns] {
            let mass = f64::from(leaf.right);
            return (1.0 - mass / (2.0 * tree.mass)) / (depth + (mass + 1.0).log2()) * tree.scale;
        }
        let mut worth = 1.0 / (depth + 1.0);
        while self.ups[node].parent != NO_PARENT {
            node = self.ups[node].parent as usize;
            depth -= 1.0;
            let boxed = self.ups[node].boxed as usize;
            let growth = self.growth(boxed, row);
            if growth == 0.0 {
                break;
            }
            let probability = growth / (growth + self.sizes[boxed]);
            worth = probability / (depth + 1.0) + (1.0 - probability) * worth;
        }
        worth * tree.scale
    }

    /// By how much the sides of a box would have to grow in all to hold the row.
    fn growth(&self, boxed: usize, row: &[f32]) -> f64 {
        let (low, high) = self.ends(boxed);
        let term = |value: f32, low: f32, high: f32| {
            let (value, low, high) = (f64::from(value), f64::from(low), f64::from(high));
            positive(value - high) + positive(low - value)
        };
        let (row, row_rest) = row.as_chunks::<LANES>();
        let (low, low_rest) = low.as_chunks::<LANES>();
        let (high, high_rest) = high.as_chunks::<LANES>();
        let mut lanes = [0.0; LANES];
        for ((row, low), high) in row.iter().zip(low).zip(high) {
            for lane in 0..LANES {
                lanes[lane] += term(row[lane], low[lane], high[lane]);
            }
        }
        for (lane, ((row, low), high)) in lanes.iter_mut().zip(row_rest.iter().zip(low_rest).zip(high_rest)) {
            *lane += term(*row, *low, *high);
        }
        total(lanes)
    }

    fn ends(&self, boxed: usize) -> (&[f32], &[f32]) {
        self.boxes[boxed * 2 * self.columns..(boxed + 1) * 2 * self.columns].split_at(self.columns)
    }

    /// Fills in the nodes and the ways up; the arrays are those of trees.
    fn link(&mut self, forest: &Forest) {
        let mut inner = 0;
        for tree in 0..forest.trees() {
            let nodes = forest.range(tree);
            for node in nodes.clone() {
                if forest.cut_dim[node] == LEAF {
                    let (left, right) = (forest.point[node], forest.mass[node]);
                    self.nodes.push(Node { threshold: 0.0, feature: NO_FEATURE, left, right });
                    continue;
                }
                let [left, right] =
                    [forest.left[node], forest.right[node]].map(|child| nodes.start as u32 + child as u32);
                let threshold = single_below(forest.cut_value[node]);
                self.nodes.push(Node { threshold, feature: forest.cut_dim[node] as u32, left, right });
                self.ups[node].boxed = inner;
                inner += 1;
                for child in [left, right] {
                    self.ups[child as usize].parent = node as u32;
                }
            }
        }
    }

    /// From the last node to the first: children stand behind their parents.
    fn build_boxes(&mut self) {
        let columns = self.columns;
        let width = 2 * columns;
        for node in (0..self.nodes.len()).rev() {
            let Node { feature, left, right, .. } = self.nodes[node];
            if feature == NO_FEATURE {
                continue;
            }
            let boxed = self.ups[node].boxed as usize;
            // The boxes of the children have higher numbers.
            let (before, behind) = self.boxes.split_at_mut((boxed + 1) * width);
            let (low, high) = before[boxed * width..].split_at_mut(columns);
            low.fill(f32::INFINITY);
            high.fill(f32::NEG_INFINITY);
            for child in [left as usize, right as usize] {
                let Node { feature, left: point, .. } = self.nodes[child];
                let (child_low, child_high) = if feature == NO_FEATURE {
                    let start = point as usize * columns;
                    let point = &self.points[start..start + columns];
                    (point, point)
                } else {
                    let start = (self.ups[child].boxed as usize - boxed - 1) * width;
                    behind[start..start + width].split_at(columns)
                };
                low.iter_mut().zip(child_low).for_each(|(low, child)| *low = low.min(*child));
                high.iter_mut().zip(child_high).for_each(|(high, child)| *high = high.max(*child));
            }
            let sides = low.iter().zip(&*high).map(|(low, high)| f64::from(*high) - f64::from(*low));
            self.sizes[boxed] = sides.sum();
        }
    }
}

fn tree_of(forest: &Forest, tree: usize) -> Tree {
    let root = forest.range(tree).start;
    let mass = f64::from(forest.mass[root]);
    Tree { root: root as u32, mass, scale: (mass + 1.0).log2() }
}

/// The value, or 0 if it is below: a plain vector instruction.
fn positive(value: f64) -> f64 {
    if value > 0.0 { value } else { 0.0 }
}

/// The greatest single that is not above `value`.
pub(super) fn single_below(value: f64) -> f32 {
    let single = value as f32;
    if f64::from(single) > value { single.next_down() } else { single }
}

fn total(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
