//! A forest as its file has it: flat arrays over the nodes of all trees.
//!
//! | tensor | type | is |
//! |---|---|---|
//! | `tree_offsets` | `u64 [trees + 1]` | where each tree's nodes begin; the root is the first |
//! | `cut_dim` | `i32 [nodes]` | the feature that is compared; -1 is a leaf |
//! | `cut_value` | `f64 [nodes]` | at most this goes left |
//! | `left`, `right` | `i32 [nodes]` | the children, counted from the root; -1 at leaves |
//! | `mass` | `u32 [nodes]` | rows of the sample below the node, equal ones counted each |
//! | `point` | `u32 [nodes]` | leaves: which row of `points` |
//! | `points` | `f32 [rows, features]` | the sample |
//!
//! A child stands behind its parent. The boxes of the nodes are not stored: they follow from the points.

use safetensors::Dtype;

use crate::LoadError;
use crate::tensors::{self, Tensors, refuse};

/// `cut_dim`, `left` and `right` of a leaf.
pub const LEAF: i32 = -1;

/// The most nodes. Reason: they are counted in 32 bits; a thousand trees of 2048 rows have four million.
const NODES_MAX: usize = 1 << 31;

/// The arrays; see the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forest {
    /// Where each tree's nodes begin, and the end.
    pub tree_offsets: Vec<u64>,
    /// The feature that is compared, or [`LEAF`].
    pub cut_dim: Vec<i32>,
    /// At most this goes left.
    pub cut_value: Vec<f64>,
    /// A child, counted from the root.
    pub left: Vec<i32>,
    /// The other child.
    pub right: Vec<i32>,
    /// Rows below the node.
    pub mass: Vec<u32>,
    /// Leaves: their row of `points`.
    pub point: Vec<u32>,
    /// Row-major.
    pub points: Vec<f32>,
    /// Features of a point.
    pub columns: usize,
}

impl Forest {
    /// The number of trees.
    pub fn trees(&self) -> usize {
        self.tree_offsets.len().saturating_sub(1)
    }

    /// The number of nodes of all trees.
    pub fn nodes(&self) -> usize {
        self.cut_dim.len()
    }

    /// Rows of the largest tree. The offsets are those of trees.
    pub(super) fn largest_mass(&self) -> u32 {
        let roots = &self.tree_offsets[..self.trees()];
        roots.iter().map(|root| self.mass[*root as usize]).max().unwrap_or_default()
    }

    /// The nodes of a tree.
    pub(super) fn range(&self, tree: usize) -> std::ops::Range<usize> {
        self.tree_offsets[tree] as usize..self.tree_offsets[tree + 1] as usize
    }

    pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let known =
            ["tree_offsets", "cut_dim", "cut_value", "left", "right", "mass", "point", "points"].as_slice();
        let tensors = Tensors::read(file, bytes, known)?;
        let [offsets] = tensors.sides::<1>("tree_offsets", Dtype::U64)?;
        let nodes = tensors.sides::<1>("cut_dim", Dtype::I32)?;
        let integers = |name: &str| tensors.plain(name, nodes, Dtype::I32, i32::from_le_bytes);
        let counts = |name: &str| tensors.plain(name, nodes, Dtype::U32, u32::from_le_bytes);
        let ([_, columns], points) = tensors.single::<2>("points")?;
        Ok(Self {
            tree_offsets: tensors.plain("tree_offsets", [offsets], Dtype::U64, u64::from_le_bytes)?,
            cut_dim: integers("cut_dim")?,
            cut_value: tensors.plain("cut_value", nodes, Dtype::F64, f64::from_le_bytes)?,
            left: integers("left")?,
            right: integers("right")?,
            mass: counts("mass")?,
            point: counts("point")?,
            points,
            columns,
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        fn bytes<T: Copy, const N: usize>(values: &[T], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
            values.iter().flat_map(|value| bytes(*value)).collect()
        }
        let (nodes, rows) = (vec![self.nodes()], self.points.len() / self.columns);
        let integers = |values: &[i32]| bytes(values, i32::to_le_bytes);
        let counts = |values: &[u32]| bytes(values, u32::to_le_bytes);
        tensors::write(&[
            ("cut_dim", Dtype::I32, nodes.clone(), integers(&self.cut_dim)),
            ("cut_value", Dtype::F64, nodes.clone(), bytes(&self.cut_value, f64::to_le_bytes)),
            ("left", Dtype::I32, nodes.clone(), integers(&self.left)),
            ("mass", Dtype::U32, nodes.clone(), counts(&self.mass)),
            ("point", Dtype::U32, nodes.clone(), counts(&self.point)),
            ("points", Dtype::F32, vec![rows, self.columns], tensors::single_bytes(&self.points)),
            ("right", Dtype::I32, nodes, integers(&self.right)),
            (
                "tree_offsets",
                Dtype::U64,
                vec![self.tree_offsets.len()],
                bytes(&self.tree_offsets, u64::to_le_bytes),
            ),
        ])
    }

    /// Holds the arrays to be those of trees, so that nothing that walks them can go astray.
    pub(super) fn check(&self, file: &str) -> Result<(), LoadError> {
        self.check_sizes().and_then(|()| self.check_nodes()).map_err(|reason| refuse(file, reason))?;
        tensors::check_finite(file, "points", &self.points)
    }

    fn check_sizes(&self) -> Result<(), String> {
        let (nodes, columns) = (self.nodes(), self.columns);
        if columns == 0 || self.points.is_empty() || !self.points.len().is_multiple_of(columns) {
            let found = self.points.len();
            return Err(format!("tensor points: expected rows of {columns} features, found {found} values"));
        }
        let lengths = [
            ("cut_value", self.cut_value.len()),
            ("left", self.left.len()),
            ("right", self.right.len()),
            ("mass", self.mass.len()),
            ("point", self.point.len()),
        ];
        if let Some((name, found)) = lengths.into_iter().find(|(_, length)| *length != nodes) {
            return Err(format!("tensor {name}: expected {nodes} nodes as in cut_dim, found {found}"));
        }
        if nodes > NODES_MAX {
            return Err(format!("expected at most {NODES_MAX} nodes, found {nodes}"));
        }
        let grow = self.tree_offsets.windows(2).all(|pair| pair[0] < pair[1]);
        let ends = (self.tree_offsets.first(), self.tree_offsets.last());
        if self.trees() == 0 || !grow || ends != (Some(&0), Some(&(nodes as u64))) {
            return Err(format!(
                "tensor tree_offsets: expected numbers that grow from 0 to {nodes}, found others"
            ));
        }
        Ok(())
    }

    fn check_nodes(&self) -> Result<(), String> {
        let mut has_parent = vec![false; self.nodes()];
        for tree in 0..self.trees() {
            let nodes = self.range(tree);
            has_parent[nodes.start] = true;
            for node in nodes.clone() {
                let fault = |expected: &str, found: String| {
                    let place = node - nodes.start;
                    Err(format!("tree {tree}, node {place}: expected {expected}, found {found}"))
                };
                if !has_parent[node] {
                    return fault("a parent before it", "none".into());
                }
                if self.mass[node] == 0 {
                    return fault("a mass of at least 1", "0".into());
                }
                let (left, right) = (self.left[node], self.right[node]);
                if self.cut_dim[node] == LEAF {
                    let rows = self.points.len() / self.columns;
                    match self.point[node] as usize {
                        point if point >= rows => {
                            return fault(&format!("a point below {rows}"), point.to_string());
                        }
                        _ if (left, right) != (LEAF, LEAF) => {
                            return fault("a leaf without children", format!("{left} and {right}"));
                        }
                        _ => continue,
                    }
                }
                if usize::try_from(self.cut_dim[node]).is_ok_and(|dim| dim < self.columns) {
                    if !self.cut_value[node].is_finite() {
                        return fault("a finite cut", self.cut_value[node].to_string());
                    }
                } else {
                    return fault(
                        &format!("a feature below {}", self.columns),
                        self.cut_dim[node].to_string(),
                    );
                }
                let mut mass = 0;
                for child in [left, right] {
                    let place = usize::try_from(child).ok().map(|child| nodes.start + child);
                    match place.filter(|place| *place > node && *place < nodes.end && !has_parent[*place]) {
                        None => return fault("children behind it, each of one parent", child.to_string()),
                        Some(place) => {
                            has_parent[place] = true;
                            mass += u64::from(self.mass[place]);
                        }
                    }
                }
                if mass != u64::from(self.mass[node]) {
                    return fault(&format!("the mass of its children, {mass}"), self.mass[node].to_string());
                }
            }
        }
        Ok(())
    }
}
