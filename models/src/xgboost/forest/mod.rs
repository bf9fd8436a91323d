//! Trees compiled for speed.
//!
//! A walk down a tree is a chain of loads, each waiting for the last; the processor has time for several. So trees are
//! kept in blocks of eight (in file order, which is the order of summation), and all eight are walked at once, level by
//! level, for one row. A block has one of two layouts:
//!
//! * [`perfect`]: shallow numerical trees, padded to perfect ones of equal depth. Children are found by arithmetic, a
//!   node is 8 bytes, a walk is exactly `depth` steps without a branch;
//! * [`linked`]: anything else (deep, lopsided or categorical). A node is 16 bytes, children are adjacent, leaves point
//!   at themselves, and a walk ends when none of the eight moves.
//!
//! A batch goes through in blocks of rows: every block of trees is fetched once for all of them. The order in which
//! leaves are added to a row does not depend on any of this, so neither do its bits.

mod compile;
mod linked;
mod perfect;

use self::linked::Linked;
use self::perfect::Perfect;
use super::categories::Categories;
use super::features::Features;

/// Trees that are walked at once. Reason: eight walks fit the registers of x86-64 and hide the latency of L1.
pub(super) const LANES: usize = 8;

/// In the feature word of a categorical split: missing goes right.
const MISSING_RIGHT: u32 = 1 << 31;
/// In the feature word of a split, beside the place of its value in a compact row: the split is categorical.
const CATEGORICAL: u32 = 1 << 30;
/// The place alone.
const PLACE: u32 = CATEGORICAL - 1;

/// Places that a node of 8 bytes can name.
const PLACES: usize = 1 << 16;

/// The leaves of eight trees for one row: the bits of a value, or the index of a leaf vector.
pub(super) type Leaves = [u32; LANES];

#[derive(Debug)]
enum Layout {
    Perfect(Perfect),
    Linked(Linked),
}

#[derive(Debug)]
struct Block {
    layout: Layout,
    /// The output of each tree.
    groups: [u32; LANES],
}

/// Compiled trees.
#[derive(Debug)]
pub(super) struct Forest {
    features: Features,
    blocks: Vec<Block>,
    categories: Categories,
    /// Multi-output trees: `outputs` values a leaf; else empty.
    vectors: Vec<f32>,
    outputs: usize,
}

impl Forest {
    /// The features it reads.
    pub(super) fn features(&self) -> &Features {
        &self.features
    }

    /// Values that must follow the last row of the compact rows given to [`add`](Self::add): a row is seen as an array
    /// of every place that a node can name.
    pub(super) const SLACK: usize = PLACES;

    /// Adds the leaves of every row to its margins, in the order of the trees.
    ///
    /// `compact` has one row each [`stride`](Features::stride) values and [`SLACK`](Self::SLACK) values behind them,
    /// `leaves` has one entry a row, `margins` has `outputs` values a row.
    pub(super) fn add(&self, compact: &[f32], leaves: &mut [Leaves], margins: &mut [f32]) {
        let stride = self.features.stride();
        for block in &self.blocks {
            match &block.layout {
                Layout::Perfect(trees) => trees.walk(compact, stride, leaves),
                Layout::Linked(trees) => trees.walk(compact, stride, &self.categories, leaves),
            }
            if self.outputs == 1 {
                add_values(leaves, margins);
            } else if self.vectors.is_empty() {
                add_to_groups(leaves, &block.groups, margins, self.outputs);
            } else {
                add_vectors(leaves, &self.vectors, margins, self.outputs);
            }
        }
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| match &block.layout {
            Layout::Perfect(trees) => trees.memory_bytes(),
            Layout::Linked(trees) => trees.memory_bytes(),
        });
        blocks.sum::<usize>()
            + self.blocks.capacity() * size_of::<Block>()
            + self.vectors.capacity() * size_of::<f32>()
            + self.categories.memory_bytes()
            + self.features.memory_bytes()
    }
}

/// One output: all eight leaves, in order. Lanes without a tree hold -0.0, which changes no sum.
fn add_values(leaves: &[Leaves], margins: &mut [f32]) {
    for (margin, leaves) in margins.iter_mut().zip(leaves) {
        for &leaf in leaves {
            *margin += f32::from_bits(leaf);
        }
    }
}

fn add_to_groups(leaves: &[Leaves], groups: &[u32; LANES], margins: &mut [f32], outputs: usize) {
    for (margins, leaves) in margins.chunks_exact_mut(outputs).zip(leaves) {
        for (&leaf, &group) in leaves.iter().zip(groups) {
            margins[group as usize] += f32::from_bits(leaf);
        }
    }
}

fn add_vectors(leaves: &[Leaves], vectors: &[f32], margins: &mut [f32], outputs: usize) {
    for (margins, leaves) in margins.chunks_exact_mut(outputs).zip(leaves) {
        for &leaf in leaves {
            let vector = &vectors[leaf as usize * outputs..][..outputs];
            for (margin, value) in margins.iter_mut().zip(vector) {
                *margin += value;
            }
        }
    }
}
