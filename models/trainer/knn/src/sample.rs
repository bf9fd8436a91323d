//! A uniform sample without replacement: Vitter's reservoir. A record that is not kept is not reduced either.

use dmatrix::{DMatrix, Row};
use estimator::{Cluster, Job, Order, RowRules, TrainError, warm_up_rows};
use models::knn::{Metric, Parts, Reduction};

use crate::table::Settings;

/// What was kept.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<f32>,
    /// Row-major, reduced, of length 1 where the metric asks.
    pub(crate) vectors: Vec<f32>,
    /// The first records, as they came.
    pub(crate) warm_up: Vec<Vec<Option<f32>>>,
    /// The records seen at this host.
    pub(crate) seen: u64,
}

/// Reads the channel once, and joins what all hosts kept, in the order of the hosts.
pub(crate) fn sample(
    job: &Job,
    settings: &Settings,
    reduction: Option<&Reduction>,
) -> Result<Sample, TrainError> {
    let (rank, size) = (job.cluster.rank(), job.cluster.size());
    let share = settings.sample_size / size + usize::from(rank < settings.sample_size % size);
    let seed = settings.seed.wrapping_add((rank as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut reservoir = Reservoir {
        share,
        random: fastrand::Rng::with_seed(seed),
        reduction,
        metric: settings.model.metric,
        row: Vec::new(),
        buffer: Vec::new(),
        vector: Vec::new(),
        kept: Sample::default(),
    };
    let rules = RowRules::finite(Some(settings.columns));
    let mut rows = job.train()?.open(&rules, settings.batch_rows, job)?;
    let mut pass = rows.pass(Order::AsRead)?;
    let mut batch = DMatrix::new();
    loop {
        let has_batch = match pass.next(&mut batch) {
            Err(TrainError::Stopped) => false,
            read => read?,
        };
        if has_batch {
            reservoir.take(&batch);
        }
        if job.stop.is_asked_for() {
            job.log.info("stopped: the index is made of what was read");
        }
        if !has_batch || job.stop.is_asked_for() {
            break;
        }
    }
    let mut kept = reservoir.kept;
    join(&job.cluster, &mut kept)?;
    match kept.labels.is_empty() {
        true if job.stop.is_asked_for() => Err(TrainError::Stopped),
        true => Err(TrainError::client("channel train: expected records, found none")),
        false => Ok(kept),
    }
}

/// The sample of all hosts.
fn join(cluster: &Cluster, kept: &mut Sample) -> Result<(), TrainError> {
    if cluster.size() == 1 {
        return Ok(());
    }
    let values =
        |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    for part in [&mut kept.labels, &mut kept.vectors] {
        let bytes = part.iter().flat_map(|value| value.to_le_bytes()).collect();
        let all: Vec<Vec<f32>> = cluster.gather(bytes)?.iter().map(|bytes| values(bytes)).collect();
        *part = all.concat();
    }
    Ok(())
}

/// This host's sample as it goes.
struct Reservoir<'a> {
    share: usize,
    random: fastrand::Rng,
    reduction: Option<&'a Reduction>,
    metric: Metric,
    row: Vec<f32>,
    buffer: Vec<f64>,
    vector: Vec<f32>,
    kept: Sample,
}

impl Reservoir<'_> {
    fn take(&mut self, batch: &DMatrix) {
        if self.kept.warm_up.is_empty() {
            self.kept.warm_up = warm_up_rows(batch);
            self.kept.warm_up.iter_mut().flatten().for_each(|value| *value = value.or(Some(0.0)));
        }
        for row in 0..batch.rows() {
            let place = match self.kept.labels.len() < self.share {
                true => self.kept.labels.len(),
                false => usize::try_from(self.random.u64(..=self.kept.seen)).unwrap_or(usize::MAX),
            };
            self.kept.seen += 1;
            if place < self.share {
                self.keep(place, batch.row(row), batch.columns(), batch.labels()[row]);
            }
        }
    }

    fn keep(&mut self, place: usize, row: Row<'_>, columns: usize, label: f32) {
        self.row.clear();
        match row {
            Row::Dense(values) => self.row.extend_from_slice(values),
            Row::Sparse { indices, values } => {
                self.row.resize(columns, 0.0);
                indices.iter().zip(values).for_each(|(index, value)| self.row[*index as usize] = *value);
            }
        }
        self.vector.clear();
        match self.reduction {
            None => self.vector.extend_from_slice(&self.row),
            Some(reduction) => reduction.apply(&self.row, &mut self.buffer, &mut self.vector),
        }
        if self.metric == Metric::Cosine {
            Parts::normalise(&mut self.vector);
        }
        let start = place * self.vector.len();
        if start == self.kept.vectors.len() {
            self.kept.vectors.extend_from_slice(&self.vector);
            self.kept.labels.push(label);
        } else {
            self.kept.vectors[start..start + self.vector.len()].copy_from_slice(&self.vector);
            self.kept.labels[place] = label;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_kept_as_likely() {
        let mut times = [0u32; 20];
        let rows = DMatrix::from_dense((0..20).map(|value| value as f32).collect(), 1);
        let mut rows_with_labels = rows.clone();
        rows_with_labels.labels_mut().extend((0..20).map(|value| value as f32));
        for seed in 0..4_000 {
            let mut reservoir = Reservoir {
                share: 5,
                random: fastrand::Rng::with_seed(seed),
                reduction: None,
                metric: Metric::L2,
                row: Vec::new(),
                buffer: Vec::new(),
                vector: Vec::new(),
                kept: Sample::default(),
            };
            reservoir.take(&rows_with_labels);
            assert_eq!(reservoir.kept.labels, reservoir.kept.vectors);
            let mut different = reservoir.kept.labels.clone();
            different.dedup();
            assert_eq!(different.len(), 5);
            reservoir.kept.labels.iter().for_each(|label| times[*label as usize] += 1);
        }
        // 1,000 expected; 27 is one standard deviation.
        assert!(times.iter().all(|times| (880..1_120).contains(times)), "{times:?}");
    }
}
