//! One tree: cuts at random, a feature by its share of the box's sides, a place uniform in its side, until only equal points
//! are left together.

use fastrand::Rng;
use models::randomcutforest::{Forest, LEAF};

/// The most draws of a cut. Reason: a draw that parts nothing is a matter of rounding, one in billions.
const DRAWS_MAX: usize = 64;

/// The arrays of one tree, as [`Forest`] has them, its points by their row of the sample.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    cut_dim: Vec<i32>,
    cut_value: Vec<f64>,
    left: Vec<i32>,
    right: Vec<i32>,
    mass: Vec<u32>,
    point: Vec<u32>,
    depth: usize,
}

/// A node that is still to be made.
struct Waiting {
    /// Its rows, among those of the tree.
    start: usize,
    end: usize,
    /// The parent, and whether this is the right child.
    parent: Option<(usize, bool)>,
    depth: usize,
}

/// What is drawn from: low and high ends.
struct Ends {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Tree {
    /// Over `rows` of the sample `points`.
    pub(crate) fn new(points: &[f32], columns: usize, mut rows: Vec<u32>, random: &mut Rng) -> Self {
        let mut tree = Self::default();
        let mut ends = Ends { low: vec![0.0; columns], high: vec![0.0; columns] };
        let point = |row: u32| &points[row as usize * columns..(row as usize + 1) * columns];
        let mut waiting = vec![Waiting { start: 0, end: rows.len(), parent: None, depth: 0 }];
        while let Some(next) = waiting.pop() {
            let node = tree.add(&next, rows[next.start]);
            let below = &mut rows[next.start..next.end];
            let Some((feature, cut)) = ends.draw(below, point, random) else { continue };
            let split = next.start + part(below, |row| f64::from(point(row)[feature]) <= cut);
            (tree.cut_dim[node], tree.cut_value[node], tree.point[node]) = (feature as i32, cut, 0);
            let depth = next.depth + 1;
            // The left one is on top, and so comes first.
            waiting.push(Waiting { start: split, end: next.end, parent: Some((node, true)), depth });
            waiting.push(Waiting { start: next.start, end: split, parent: Some((node, false)), depth });
        }
        tree
    }

    pub(crate) fn nodes(&self) -> usize {
        self.cut_dim.len()
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Puts the tree behind those of `forest`.
    pub(crate) fn append_to(self, forest: &mut Forest) {
        forest.cut_dim.extend(self.cut_dim);
        forest.cut_value.extend(self.cut_value);
        forest.left.extend(self.left);
        forest.right.extend(self.right);
        forest.mass.extend(self.mass);
        forest.point.extend(self.point);
        forest.tree_offsets.push(forest.cut_dim.len() as u64);
    }

    /// A leaf at first; its number.
    fn add(&mut self, waiting: &Waiting, point: u32) -> usize {
        let node = self.nodes();
        self.cut_dim.push(LEAF);
        self.cut_value.push(0.0);
        self.left.push(LEAF);
        self.right.push(LEAF);
        self.mass.push((waiting.end - waiting.start) as u32);
        self.point.push(point);
        self.depth = self.depth.max(waiting.depth);
        match waiting.parent {
            Some((parent, true)) => self.right[parent] = node as i32,
            Some((parent, false)) => self.left[parent] = node as i32,
            None => {}
        }
        node
    }
}

impl Ends {
    /// A feature and a cut that parts `rows`; `None` when they are all equal.
    fn draw<'a>(
        &mut self,
        rows: &[u32],
        point: impl Fn(u32) -> &'a [f32],
        random: &mut Rng,
    ) -> Option<(usize, f64)> {
        self.low.copy_from_slice(point(rows[0]));
        self.high.copy_from_slice(point(rows[0]));
        for row in &rows[1..] {
            for ((low, high), value) in self.low.iter_mut().zip(&mut self.high).zip(point(*row)) {
                *low = if *value < *low { *value } else { *low };
                *high = if *value > *high { *value } else { *high };
            }
        }
        let side = |feature: usize| f64::from(self.high[feature]) - f64::from(self.low[feature]);
        let size: f64 = (0..self.low.len()).map(side).sum();
        if size <= 0.0 {
            return None;
        }
        let mut last = None;
        for _ in 0..DRAWS_MAX {
            let mut left = random.f64() * size;
            let found = (0..self.low.len()).find(|feature| {
                left -= side(*feature);
                left < 0.0
            });
            // Rounding may leave none: then it is the last that has a side.
            let feature = found.or_else(|| (0..self.low.len()).rfind(|feature| side(*feature) > 0.0))?;
            let cut = f64::from(self.low[feature]) + random.f64() * side(feature);
            if cut < f64::from(self.high[feature]) {
                return Some((feature, cut));
            }
            last = Some((feature, f64::from(self.low[feature])));
        }
        last
    }
}

/// Puts the rows that are on the left first, each side in its order so far; how many they are.
fn part(rows: &mut [u32], is_left: impl Fn(u32) -> bool) -> usize {
    let (left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|row| is_left(**row));
    rows[..left.len()].copy_from_slice(&left);
    rows[left.len()..].copy_from_slice(&right);
    left.len()
}
