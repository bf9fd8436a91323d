//! A channel's rows, gathered in one pass: in memory while they fit, else on the disk.
//!
//! Memory, in bytes a value unless said: gathered rows take 4 (dense) or 8 (sparse). Training by histograms from the start
//! needs only bins beside them, 1 (2 above 256 bins; 4 sparse), and drops the rows then; everything else needs XGBoost's
//! own sparse rows, 8, and then up to 8 for sorted columns. A row takes 24 bytes and 12 an output for its label, weight,
//! margins and gradients. The program and its library take [`BASE_BYTES`]. When the sum is more than the job may use,
//! training by histograms goes on with rows on the disk ([`Layout::Paged`]): then a row takes those 24 + 12 bytes, and
//! values only [`PAGES`] pages of [`PART_BYTES`] at 16 bytes a value. Other methods cannot do that, and are refused with
//! both numbers.

use dmatrix::{DMatrix, Storage};
use estimator::{Channel, Job, RowRules, TrainError, warm_up_rows};

use crate::ffi::{Batches, LibraryError};
use crate::spill::{Spill, SpillWriter};

/// Bytes of values of one part, which is a page when rows are on the disk. Reason: large enough that a page is worth a
/// read, small enough that several fit in memory.
pub(crate) const PART_BYTES: usize = 32 << 20;
/// Pages that XGBoost holds at once: it reads ahead of the one that it works on.
const PAGES: u64 = 4;
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
    /// Values for each row: classes, or 1.
    pub(crate) outputs: u64,
    /// Bins of a feature.
    pub(crate) max_bin: i64,
    /// Whether rows may be on the disk.
    pub(crate) may_page: bool,
}

impl Budget {
    /// Bytes that rows of `values` values take at their peak.
    pub(crate) fn needed_bytes(&self, rows: u64, values: u64, is_sparse: bool, layout: Layout) -> u64 {
        let gathered = if is_sparse { 8 } else { 4 };
        let value_bytes = match layout {
            Layout::Quantiles if is_sparse => gathered + 4,
            Layout::Quantiles => gathered + if self.max_bin <= 256 { 1 } else { 2 },
            Layout::Whole => (gathered + 8).max(16),
            Layout::Paged => 0,
        };
        let pages = if layout == Layout::Paged { PAGES * PART_BYTES as u64 * 4 } else { 0 };
        BASE_BYTES + rows * (24 + 12 * self.outputs) + values * value_bytes + pages
    }
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
    /// When a row is not as it should be, or the rows fit nowhere.
    pub(crate) fn read(
        channel: &Channel,
        rules: &RowRules,
        job: &Job,
        budget: &Budget,
        layout: Layout,
    ) -> Result<Self, TrainError> {
        let mut gathering = Gathering::new(channel.name, budget, layout);
        channel.each_block(rules, job, |block| gathering.push(block, job))?;
        gathering.close(job)?;
        gathering.finish()
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

/// Rows while they are read.
struct Gathering<'a> {
    collected: Collected,
    budget: &'a Budget,
    layout: Layout,
    open: Part,
    parts: Vec<DMatrix>,
    spill: Option<SpillWriter>,
    is_sparse: bool,
}

impl<'a> Gathering<'a> {
    fn new(name: &'static str, budget: &'a Budget, layout: Layout) -> Self {
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
        Self { collected, budget, layout, open, parts, spill: None, is_sparse: false }
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
        if self.open.is_full() { self.close(job) } else { Ok(()) }
    }

    /// Ends the open part, and moves all to the disk once memory is short.
    fn close(&mut self, job: &Job) -> Result<(), TrainError> {
        let Some(part) = std::mem::take(&mut self.open).finish() else { return Ok(()) };
        if let Some(spill) = &mut self.spill {
            return spill.push(&part).map_err(|error| TrainError::io(&job.resources.scratch, &error));
        }
        self.parts.push(part);
        let (count, values) = (self.collected.count as u64, self.collected.values);
        let needed = self.budget.needed_bytes(count, values, self.is_sparse, self.layout);
        if needed <= self.budget.memory_bytes {
            return Ok(());
        }
        if !self.budget.may_page {
            return Err(self.too_large(needed));
        }
        let name = self.collected.name;
        job.log.info(&format!(
            "channel {name}: {count} rows need {needed} bytes of memory, more than the {} there are: rows go to the disk",
            self.budget.memory_bytes
        ));
        let mut spill = SpillWriter::new(&job.resources.scratch, name)?;
        for part in self.parts.drain(..) {
            spill.push(&part).map_err(|error| TrainError::io(&job.resources.scratch, &error))?;
        }
        self.spill = Some(spill);
        Ok(())
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

    fn is_full(&self) -> bool {
        self.values.len() * size_of::<f32>() >= PART_BYTES
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
