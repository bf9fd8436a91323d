//! A channel's rows, gathered in one pass: in memory while they fit, else on the disk.
//!
//! Memory, in bytes a value unless said: gathered rows take 4 (dense) or 8 (sparse). Training by histograms from the start
//! needs only bins beside them, 1 (2 above 256 bins; 4 sparse), and drops the rows then; everything else needs XGBoost's
//! own sparse rows, 8, and then up to 8 for sorted columns. A row takes 24 bytes and 12 an output for its label, weight,
//! margins and gradients. The program and its library take [`BASE_BYTES`]. When the sum is more than the job may use,
//! training by histograms goes on with rows on the disk ([`Layout::Paged`]): then, beside the base,
//!
//! `rows × (24 + 12 × outputs) + bins × (1024 + 16 × nodes) + 16 × page`
//!
//! where bins are `max_bin` a feature, at most one a value, and nodes those whose histograms are kept (2 to the power of
//! `max_depth`). The page is what is left of the limit, from 64 KiB to 32 MiB; when not even the least is, and with other
//! methods, which cannot page, the job is refused with both numbers.
//!
//! Measured with XGBoost 3.2, 1,000,000 × 30 dense rows, two threads: 247 MiB as bins in memory (the formula says 273), 141 MiB
//! on the disk under a limit of 200 MiB.

use dmatrix::{DMatrix, Storage};
use estimator::{Channel, Job, RowRules, TrainError, warm_up_rows};

use crate::ffi::{Batches, LibraryError};
use crate::spill::{Spill, SpillWriter};

/// The least and the most bytes of a page. Reason: smaller ones are mostly overhead, larger ones are worth no more.
const PAGE_BYTES: (u64, u64) = (64 << 10, 32 << 20);
/// Rows are gathered in parts of this share of the memory, within the bounds of a page. Reason: what is not yet counted stays
/// small beside the bound.
const PARTS_IN_MEMORY: u64 = 64;
/// What a page takes for each of its bytes: XGBoost holds four at once at 16 bytes a value, since it reads ahead of the one
/// that it works on and writes the one before.
const PAGE_COPIES: u64 = 16;
/// What a bin takes while quantiles are sketched.
const SKETCH_BYTES: u64 = 1024;
/// What a bin takes in the histogram of a node: two sums of f64.
const HISTOGRAM_BYTES: u64 = 16;
/// The program, its library and what they allocate whatever the rows.
const BASE_BYTES: u64 = 96 << 20;

/// How rows are held during training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As bins: training by histograms from the start.
    Quantiles,
    /// As XGBoost's sparse rows.
    Whole,
    /// On the disk.
    Paged,
}

/// What memory a training may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Bytes for all.
    pub(crate) memory_bytes: u64,
    /// How the channel `train` is held while it fits in memory.
    pub(crate) layout: Layout,
    /// Values for each row: classes, or 1.
    pub(crate) outputs: u64,
    /// Bins of a feature.
    pub(crate) max_bin: i64,
    /// Nodes of a tree whose histograms are kept.
    pub(crate) nodes: u64,
    /// Whether rows may be on the disk.
    pub(crate) may_page: bool,
}

impl Budget {
    /// Bytes that rows take at their peak; on the disk, with the least pages.
    pub(crate) fn needed_bytes(&self, shape: &Shape, layout: Layout) -> u64 {
        let gathered = if shape.is_sparse { 8 } else { 4 };
        let value_bytes = match layout {
            Layout::Quantiles if shape.is_sparse => gathered + 4,
            Layout::Quantiles => gathered + if self.max_bin <= 256 { 1 } else { 2 },
            Layout::Whole => (gathered + 8).max(16),
            Layout::Paged => 0,
        };
        let rest =
            if layout == Layout::Paged { PAGE_BYTES.0 * PAGE_COPIES + self.bins_bytes(shape) } else { 0 };
        BASE_BYTES + shape.rows * (24 + 12 * self.outputs) + shape.values * value_bytes + rest
    }

    /// Sketches and histograms of all features.
    fn bins_bytes(&self, shape: &Shape) -> u64 {
        let bins = shape.columns.saturating_mul(self.max_bin.max(0) as u64).min(shape.values);
        bins.saturating_mul(SKETCH_BYTES + HISTOGRAM_BYTES * self.nodes)
    }

    /// Bytes of a page when `spills` channels are on the disk, and all need `needed` bytes with the least pages.
    pub(crate) fn page_bytes(&self, needed: u64, spills: u64) -> u64 {
        let more = self.memory_bytes.saturating_sub(needed) / (PAGE_COPIES * spills.max(1));
        (PAGE_BYTES.0 + more).min(PAGE_BYTES.1)
    }

    fn part_bytes(&self) -> u64 {
        (self.memory_bytes / PARTS_IN_MEMORY).clamp(PAGE_BYTES.0, PAGE_BYTES.1)
    }
}

/// How many rows there are, and of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    pub(crate) values: u64,
    pub(crate) is_sparse: bool,
}

/// Bytes of rows as pages count them: a row is one value more, since sparse rows have offsets.
pub(crate) fn counted_bytes(rows: usize, values: usize) -> u64 {
    (rows + values) as u64 * size_of::<f32>() as u64
}

/// The rows of a channel.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) name: &'static str,
    pub(crate) rows: Held,
    pub(crate) count: usize,
    pub(crate) columns: usize,
    pub(crate) labels: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    pub(crate) queries: Vec<u32>,
    pub(crate) warm_up: Vec<Vec<Option<f32>>>,
    /// Values of all rows.
    pub(crate) values: u64,
}

/// Where rows are.
#[derive(Debug)]
pub(crate) enum Held {
    /// In memory, in parts, all dense or all sparse.
    Parts(Vec<DMatrix>),
    /// On the disk.
    Spilled(Box<Spill>),
}

impl Collected {
    /// Reads `channel`.
    ///
    /// # Errors
    /// When a row is not as it should be, or the rows fit nowhere, not even with those of the channel `earlier` on the disk.
    pub(crate) fn read(
        channel: &Channel,
        rules: &RowRules,
        job: &Job,
        budget: &Budget,
        layout: Layout,
        earlier: Option<&mut Collected>,
    ) -> Result<Self, TrainError> {
        let mut gathering = Gathering::new(channel.name, budget, layout, earlier);
        channel.each_block(rules, job, |block| gathering.push(block, job))?;
        gathering.close(job)?;
        gathering.finish()
    }

    /// Bytes that they take.
    pub(crate) fn needed_bytes(&self, budget: &Budget, layout: Layout) -> u64 {
        let layout = if matches!(self.rows, Held::Spilled(_)) { Layout::Paged } else { layout };
        let (rows, columns) = (self.count as u64, self.columns as u64);
        budget
            .needed_bytes(&Shape { rows, columns, values: self.values, is_sparse: self.is_sparse() }, layout)
    }

    /// Moves rows in memory to the disk.
    fn spill(&mut self, job: &Job) -> Result<(), TrainError> {
        let (is_sparse, columns) = (self.is_sparse(), self.columns);
        if let Held::Parts(parts) = &mut self.rows {
            let written = spilled(parts, self.name, job)?.finish(columns, is_sparse);
            let spill = written.map_err(|error| TrainError::io(&job.resources.scratch, &error))?;
            self.rows = Held::Spilled(Box::new(spill));
        }
        Ok(())
    }

    /// Lets sparse rows be of `columns` features; dense ones must be.
    ///
    /// # Errors
    /// When dense rows have another width.
    pub(crate) fn set_columns(&mut self, columns: usize) -> Result<(), TrainError> {
        if columns == self.columns {
            return Ok(());
        }
        let (name, found) = (self.name, self.columns);
        let refused = || {
            TrainError::client(format!(
                "channel {name}: expected {columns} features as in the other channels and on the other hosts, found {found}"
            ))
        };
        match &mut self.rows {
            Held::Parts(parts) if parts.iter().all(|part| part.storage() == Storage::Sparse) => {
                parts.iter_mut().for_each(|part| part.widen(columns));
            }
            Held::Spilled(spill) if spill.is_sparse() => spill.widen(columns),
            _ => return Err(refused()),
        }
        self.warm_up.iter_mut().for_each(|row| row.resize(columns, None));
        self.columns = columns;
        Ok(())
    }

    /// Whether features may be absent from rows.
    pub(crate) fn is_sparse(&self) -> bool {
        match &self.rows {
            Held::Parts(parts) => parts.first().is_some_and(|part| part.storage() == Storage::Sparse),
            Held::Spilled(spill) => spill.is_sparse(),
        }
    }
}

/// A file of all `parts`, which are freed one by one.
fn spilled(parts: &mut Vec<DMatrix>, name: &str, job: &Job) -> Result<SpillWriter, TrainError> {
    let mut spill = SpillWriter::new(&job.resources.scratch, name)?;
    for part in parts.drain(..) {
        spill.push(&part).map_err(|error| TrainError::io(&job.resources.scratch, &error))?;
    }
    Ok(spill)
}

/// Rows while they are read.
struct Gathering<'a> {
    collected: Collected,
    budget: &'a Budget,
    layout: Layout,
    /// The channel read before, for the layout of the budget.
    earlier: Option<&'a mut Collected>,
    open: Part,
    parts: Vec<DMatrix>,
    spill: Option<SpillWriter>,
    is_sparse: bool,
}

impl<'a> Gathering<'a> {
    fn new(
        name: &'static str,
        budget: &'a Budget,
        layout: Layout,
        earlier: Option<&'a mut Collected>,
    ) -> Self {
        let collected = Collected {
            name,
            rows: Held::Parts(Vec::new()),
            count: 0,
            columns: 0,
            labels: Vec::new(),
            weights: Vec::new(),
            queries: Vec::new(),
            warm_up: Vec::new(),
            values: 0,
        };
        let (open, parts) = (Part::default(), Vec::new());
        Self { collected, budget, layout, earlier, open, parts, spill: None, is_sparse: false }
    }

    fn push(&mut self, batch: &DMatrix, job: &Job) -> Result<(), TrainError> {
        let collected = &mut self.collected;
        if collected.warm_up.is_empty() {
            collected.warm_up = warm_up_rows(batch);
        }
        collected.count += batch.rows();
        collected.columns = collected.columns.max(batch.columns());
        collected.values += batch.values().len() as u64;
        collected.labels.extend_from_slice(batch.labels());
        collected.weights.extend_from_slice(batch.weights());
        collected.queries.extend_from_slice(batch.queries());
        let is_sparse = batch.storage() == Storage::Sparse;
        self.is_sparse |= is_sparse;
        if !self.open.takes(batch) {
            self.close(job)?;
        }
        self.open.append(batch);
        if self.open.counted_bytes() >= self.budget.part_bytes() { self.close(job) } else { Ok(()) }
    }

    /// Ends the open part, and moves all to the disk once memory is short.
    fn close(&mut self, job: &Job) -> Result<(), TrainError> {
        let Some(part) = std::mem::take(&mut self.open).finish() else { return Ok(()) };
        match &mut self.spill {
            Some(spill) => {
                spill.push(&part).map_err(|error| TrainError::io(&job.resources.scratch, &error))?;
            }
            None => self.parts.push(part),
        }
        let limit = self.budget.memory_bytes;
        let needed = self.needed(if self.spill.is_some() { Layout::Paged } else { self.layout });
        if needed <= limit {
            return Ok(());
        }
        if !self.budget.may_page {
            return Err(self.too_large(needed));
        }
        let (name, count) = (self.collected.name, self.collected.count);
        if self.spill.is_none() {
            job.log.info(&format!(
                "channel {name}: {count} rows need {needed} bytes of memory, more than the {limit} there are: rows go to the disk"
            ));
            self.spill = Some(spilled(&mut self.parts, name, job)?);
        }
        if self.needed(Layout::Paged) > limit
            && let Some(earlier) = &mut self.earlier
        {
            earlier.spill(job)?;
        }
        match self.needed(Layout::Paged) {
            needed if needed > limit => Err(TrainError::client(format!(
                "channel {name}: {count} rows and more need {needed} bytes of memory even on the disk, expected at most {limit}"
            ))),
            _ => Ok(()),
        }
    }

    /// What the rows so far need, beside those of the channel before.
    fn needed(&self, layout: Layout) -> u64 {
        let (rows, columns) = (self.collected.count as u64, self.collected.columns as u64);
        let shape = Shape { rows, columns, values: self.collected.values, is_sparse: self.is_sparse };
        let before = self
            .earlier
            .as_ref()
            .map_or(0, |earlier| earlier.needed_bytes(self.budget, self.budget.layout) - BASE_BYTES);
        before + self.budget.needed_bytes(&shape, layout)
    }

    fn too_large(&self, needed: u64) -> TrainError {
        TrainError::client(format!(
            "channel {}: {} rows and more need {needed} bytes of memory, expected at most {}; with booster gbtree or dart, \
             tree_method hist, no k-folds and no process_type update, rows are kept on the disk",
            self.collected.name, self.collected.count, self.budget.memory_bytes
        ))
    }

    /// All rows, once the last part is closed.
    fn finish(mut self) -> Result<Collected, TrainError> {
        let failed = |error: std::io::Error| TrainError::Internal(format!("rows kept on the disk: {error}"));
        let mut collected = self.collected;
        collected.warm_up.iter_mut().for_each(|row| row.resize(collected.columns, None));
        collected.rows = match self.spill {
            Some(spill) => {
                Held::Spilled(Box::new(spill.finish(collected.columns, self.is_sparse).map_err(failed)?))
            }
            None => {
                if self.is_sparse {
                    self.parts.iter_mut().for_each(|part| {
                        part.make_sparse();
                        part.widen(collected.columns);
                    });
                }
                Held::Parts(self.parts)
            }
        };
        Ok(collected)
    }
}

/// Rows of one storage, one after the other.
#[derive(Debug, Default)]
struct Part {
    storage: Storage,
    columns: usize,
    values: Vec<f32>,
    indices: Vec<u32>,
    offsets: Vec<usize>,
}

impl Part {
    fn takes(&self, batch: &DMatrix) -> bool {
        self.values.is_empty() && self.offsets.is_empty()
            || self.storage == batch.storage()
                && (self.storage == Storage::Sparse || self.columns == batch.columns())
    }

    fn append(&mut self, batch: &DMatrix) {
        self.storage = batch.storage();
        self.columns = self.columns.max(batch.columns());
        let before = self.values.len();
        self.values.extend_from_slice(batch.values());
        if self.storage == Storage::Sparse {
            if self.offsets.is_empty() {
                self.offsets.push(0);
            }
            self.indices.extend_from_slice(batch.indices());
            self.offsets.extend(batch.offsets()[1..].iter().map(|offset| before + offset));
        }
    }

    fn counted_bytes(&self) -> u64 {
        counted_bytes(self.offsets.len(), self.values.len())
    }

    /// The rows, or `None` when there are none.
    fn finish(self) -> Option<DMatrix> {
        if self.storage == Storage::Dense {
            return (!self.values.is_empty()).then(|| DMatrix::from_dense(self.values, self.columns));
        }
        let mut rows = DMatrix::new();
        let parts = rows.begin_sparse();
        (*parts.indices, *parts.values, *parts.offsets) = (self.indices, self.values, self.offsets);
        rows.finish_sparse(self.columns);
        Some(rows)
    }
}

/// All parts as one; each is freed as soon as it is copied.
pub(crate) fn joined(parts: Vec<DMatrix>) -> DMatrix {
    if parts.len() < 2 {
        return parts.into_iter().next().unwrap_or_default();
    }
    let mut whole = Part::default();
    whole.values.reserve_exact(parts.iter().map(|part| part.values().len()).sum());
    whole.indices.reserve_exact(parts.iter().map(|part| part.indices().len()).sum());
    for part in parts {
        whole.append(&part);
    }
    whole.finish().unwrap_or_default()
}

/// Parts with the weights of their rows, for a matrix of quantiles.
#[derive(Debug)]
pub(crate) struct Parts {
    parts: Vec<DMatrix>,
    next: usize,
}

impl Parts {
    /// `weights` may be empty.
    pub(crate) fn new(mut parts: Vec<DMatrix>, mut weights: &[f32]) -> Self {
        if !weights.is_empty() {
            for part in &mut parts {
                let (own, rest) = weights.split_at(part.rows());
                part.weights_mut().clear();
                part.weights_mut().extend_from_slice(own);
                weights = rest;
            }
        }
        Self { parts, next: 0 }
    }
}

impl Batches for Parts {
    fn restart(&mut self) -> Result<(), LibraryError> {
        self.next = 0;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<&DMatrix>, LibraryError> {
        let part = self.parts.get(self.next);
        self.next += 1;
        Ok(part)
    }
}
