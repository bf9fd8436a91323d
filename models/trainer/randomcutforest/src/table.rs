//! The hyperparameters and channels of randomcutforest, as SageMaker's documentation has them; `sampling` and `seed` are ours.

use codecs::Format;
use estimator::{
    ChannelRule, DistributionRule, Hyperparameter, Hyperparameters, Interval, Job, Kind, Labels, TrainError,
};
use models::randomcutforest::{BOX_BYTES_MAX, box_bytes};

pub(crate) const TABLE: &[Hyperparameter] = &[
    Hyperparameter::new("feature_dim", Kind::Integer(Interval::closed(1.0, 10_000.0))).required(),
    Hyperparameter::new("eval_metrics", Kind::JsonWords(&["accuracy", "precision_recall_fscore"]))
        .or("accuracy,precision_recall_fscore"),
    Hyperparameter::new("num_samples_per_tree", Kind::Integer(Interval::closed(1.0, 2048.0))).or("256"),
    Hyperparameter::new("num_trees", Kind::Integer(Interval::closed(50.0, 1000.0))).or("100"),
    Hyperparameter::MINI_BATCH_SIZE.or("1000"),
    Hyperparameter::EPOCHS.or("1"),
    Hyperparameter::new("sampling", Kind::Choice(&["partition", "independent"])).or("partition"),
    Hyperparameter::SEED,
];

pub(crate) const CHANNELS: &[ChannelRule] = &[
    channel("train", Labels::Ignored).required().distribution(DistributionRule::ShardedByS3Key),
    channel("test", Labels::Required).distribution(DistributionRule::FullyReplicated),
];

const fn channel(name: &'static str, labels: Labels) -> ChannelRule {
    ChannelRule::new(name, labels, &[Format::RecordIo, Format::Csv]).by_pipe()
}

/// The table's values, as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) values: Hyperparameters,
    pub(crate) columns: usize,
    pub(crate) batch_rows: usize,
    pub(crate) trees: usize,
    pub(crate) rows_per_tree: usize,
    pub(crate) is_independent: bool,
    pub(crate) seed: u64,
}

impl Settings {
    /// Checks the job's hyperparameters.
    pub(crate) fn of(job: &Job) -> Result<Self, TrainError> {
        let values = Hyperparameters::resolve(TABLE, &job.hyperparameters)?;
        let settings = Self {
            columns: values.count("feature_dim"),
            batch_rows: values.count("mini_batch_size"),
            trees: values.count("num_trees"),
            rows_per_tree: values.count("num_samples_per_tree"),
            is_independent: values.word("sampling") == "independent",
            seed: values.count("seed") as u64,
            values,
        };
        Ok(settings)
    }

    /// The most rows of the sample.
    pub(crate) fn sample_rows(&self) -> usize {
        self.trees * self.rows_per_tree
    }

    /// The rows of each tree, out of a sample of so many; refused when trees of them could not be scored.
    pub(crate) fn rows_of_a_tree(&self, sampled: usize, memory_bytes: u64) -> Result<usize, TrainError> {
        let rows = match self.is_independent {
            true => sampled.min(self.rows_per_tree),
            false => sampled.min(self.sample_rows()) / self.trees,
        };
        if rows < 2 {
            let needed = if self.is_independent { 2 } else { 2 * self.trees };
            return Err(TrainError::client(format!(
                "expected at least two records a tree, found {rows}: the channel train has {sampled} records and \
                 num_samples_per_tree is {}; with num_trees {} it takes {needed} records and num_samples_per_tree of \
                 at least 2",
                self.rows_per_tree, self.trees
            )));
        }
        let bytes = box_bytes((self.trees * (rows - 1)) as u64, self.columns as u64);
        let limit = BOX_BYTES_MAX.min(memory_bytes);
        if bytes > limit {
            return Err(TrainError::client(format!(
                "hyperparameters num_trees, num_samples_per_tree, feature_dim: expected a forest of at most {limit} bytes, found \
                 {} trees of {rows} records of {} features, {bytes} bytes",
                self.trees, self.columns
            )));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<Settings, String> {
        let given = [&[("feature_dim", "3")], given].concat();
        Settings::of(&Job::for_tests(&given, &[])).map_err(|error| error.to_string())
    }

    #[test]
    fn the_sample_is_parted_or_drawn_from() {
        let check = |given: &[(&str, &str)], sampled, expected| {
            let found = settings(given).expect("sound").rows_of_a_tree(sampled, u64::MAX);
            assert_eq!(found.map_err(|_| ()), expected);
        };
        // The figures of a real log: 4032 records, 50 trees.
        check(&[("num_trees", "50"), ("num_samples_per_tree", "512")], 4032, Ok(80));
        check(&[], 1_000_000, Ok(256));
        check(&[], 199, Err(()));
        check(&[("sampling", "independent")], 199, Ok(199));
        check(&[("sampling", "independent")], 1, Err(()));
        check(&[("num_samples_per_tree", "1")], 1000, Err(()));
    }

    #[test]
    fn what_is_outside_is_refused_by_name() {
        let check = |name: &str, value: &str, expected: &str| {
            let given = [("feature_dim", "3"), (name, value)]
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>();
            let given: Vec<_> = given.into_iter().collect();
            let error = Settings::of(&Job::for_tests(&given, &[])).expect_err("outside").to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        };
        check("num_trees", "49", "in [50, 1000]");
        check("num_samples_per_tree", "2049", "in [1, 2048]");
        check("feature_dim", "10001", "in [1, 10000]");
        check("eval_metrics", "[\"auc\"]", "accuracy, precision_recall_fscore");
        check("sampling", "all", "partition, independent");
        let wide = settings(&[("num_trees", "1000"), ("num_samples_per_tree", "2048")]).expect("sound");
        let wide = Settings { columns: 10_000, ..wide };
        let error = wide.rows_of_a_tree(10_000_000, u64::MAX).expect_err("too large").to_string();
        assert!(error.contains("expected a forest of at most"), "{error}");
    }
}
