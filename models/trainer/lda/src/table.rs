//! The hyperparameters of LDA.

use estimator::{Hyperparameter, Hyperparameters, Interval, Job, Kind, TrainError};

use crate::sweep::PARTS;

const POSITIVE: Kind = Kind::Float(Interval::above(0.0));

pub(crate) const TABLE: &[Hyperparameter] = &[
    Hyperparameter::new("num_topics", Kind::COUNT).required(),
    Hyperparameter::FEATURE_DIM,
    Hyperparameter::MINI_BATCH_SIZE.required(),
    Hyperparameter::new("alpha0", POSITIVE).or("1.0"),
    Hyperparameter::new("max_restarts", Kind::COUNT).or("10"),
    Hyperparameter::new("max_iterations", Kind::COUNT).or("1000"),
    Hyperparameter::new("tol", POSITIVE).or("1e-8"),
    // Taken as by every algorithm; the documents are read as often as the method needs.
    Hyperparameter::EPOCHS,
    Hyperparameter::SEED,
];

/// Words up to which the second moment is formed whole.
const WORDS_FORMED_MAX: usize = 300;
/// Vectors of the block beyond twice the topics that are looked for. Reason: the usual oversampling of random projections.
pub(crate) const OVERSAMPLING: usize = 10;

/// The table's values, as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) values: Hyperparameters,
    pub(crate) topics: usize,
    pub(crate) words: usize,
    pub(crate) documents: usize,
    pub(crate) alpha0: f64,
    pub(crate) restarts: usize,
    pub(crate) iterations_max: usize,
    pub(crate) tolerance: f64,
    pub(crate) seed: u64,
}

impl Settings {
    /// Checks the job's hyperparameters, and that its memory holds the sums.
    pub(crate) fn of(job: &Job) -> Result<Self, TrainError> {
        let values = Hyperparameters::resolve(TABLE, &job.hyperparameters)?;
        let settings = Self {
            topics: values.count("num_topics"),
            words: values.count("feature_dim"),
            documents: values.count("mini_batch_size"),
            alpha0: values.number("alpha0"),
            restarts: values.count("max_restarts"),
            iterations_max: values.count("max_iterations"),
            tolerance: values.number("tol"),
            seed: values.count("seed") as u64,
            values,
        };
        if settings.topics > settings.words {
            let (topics, words) = (settings.topics, settings.words);
            return Err(TrainError::client(format!(
                "hyperparameter num_topics: expected at most feature_dim = {words}, found {topics}"
            )));
        }
        settings.check_memory(job.resources.memory_bytes)?;
        Ok(settings)
    }

    /// The topics that are looked for: a quarter more than asked for.
    pub(crate) fn candidates(&self) -> usize {
        (self.topics + self.topics.div_ceil(4)).min(self.words)
    }

    /// Vectors that the second moment is applied to at once; as many as words where it is formed whole.
    pub(crate) fn block(&self) -> usize {
        let block = 2 * self.candidates() + OVERSAMPLING;
        if self.words <= WORDS_FORMED_MAX { self.words } else { block.min(self.words) }
    }

    fn check_memory(&self, bytes_max: u64) -> Result<(), TrainError> {
        let wide = |number: usize| number as u128;
        let (words, block, candidates) = (wide(self.words), wide(self.block()), wide(self.candidates()));
        let sums = 8 * wide(PARTS) * words * (block + candidates) + 24 * words * block;
        let needed = sums + 40 * candidates.pow(3);
        if needed > u128::from(bytes_max) {
            return Err(TrainError::client(format!(
                "hyperparameters num_topics and feature_dim: {} topics of {} words need {needed} bytes, expected at most the \
                 {bytes_max} bytes of memory",
                self.topics, self.words
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(topics: &str, words: &str) -> Result<Settings, String> {
        let given = [("num_topics", topics), ("feature_dim", words), ("mini_batch_size", "10")];
        Settings::of(&Job::for_tests(&given, &[])).map_err(|error| error.to_string())
    }

    #[test]
    fn a_quarter_more_topics_are_looked_for() {
        for (topics, expected) in [("1", 2), ("4", 5), ("5", 7), ("10", 13), ("25", 25)] {
            assert_eq!(settings(topics, "25").expect("sound").candidates(), expected, "{topics}");
        }
        assert_eq!(settings("5", "25").expect("sound").block(), 25);
        assert_eq!(settings("5", "301").expect("sound").block(), 24);
    }

    #[test]
    fn what_is_outside_is_refused_by_name() {
        let error = settings("26", "25").expect_err("more topics than words");
        assert_eq!(error, "hyperparameter num_topics: expected at most feature_dim = 25, found 26");
        let error = settings("0", "25").expect_err("no topics");
        assert!(error.contains("num_topics: expected a whole number of at least 1"), "{error}");
        let error = settings("1000", "10000000").expect_err("too large");
        assert!(error.contains("bytes of memory"), "{error}");
    }
}
