//! The hyperparameters and channels of kmeans, as SageMaker's documentation has them.

use codecs::Format;
use estimator::{ChannelRule, Hyperparameter, Hyperparameters, Interval, Job, Kind, Labels, TrainError};
use models::Algorithm;

use crate::seeding::Seeding;

/// Both ways to choose first centers; the documentation's prose has a third spelling.
const SEEDINGS: &[&str] = &["random", "kmeans++", "k-means++"];

pub(crate) const TABLE: &[Hyperparameter] = &[
    Hyperparameter::FEATURE_DIM,
    Hyperparameter::new("k", Kind::Integer(Interval::closed(1.0, (1 << 24) as f64))).required(),
    Hyperparameter::EPOCHS.or("1"),
    Hyperparameter::new("eval_metrics", Kind::JsonWords(&["msd", "ssd"])).or("msd"),
    Hyperparameter::new("extra_center_factor", Kind::IntegerOrAuto(Interval::at_least(1.0))).or("auto"),
    Hyperparameter::new("half_life_time_size", Kind::Integer(Interval::at_least(0.0))).or("0"),
    Hyperparameter::new("init_method", Kind::Choice(SEEDINGS)).or("random"),
    Hyperparameter::new("local_lloyd_init_method", Kind::Choice(SEEDINGS)).or("kmeans++"),
    Hyperparameter::new("local_lloyd_max_iter", Kind::COUNT).or("300"),
    Hyperparameter::new("local_lloyd_num_trials", Kind::IntegerOrAuto(Interval::at_least(1.0))).or("auto"),
    Hyperparameter::new("local_lloyd_tol", Kind::Float(Interval::closed(0.0, 1.0))).or("0.0001"),
    Hyperparameter::MINI_BATCH_SIZE.or("5000"),
    Hyperparameter::new("force_dense", Kind::Flag).or("true"),
    Hyperparameter::SEED,
];

pub(crate) const CHANNELS: &[ChannelRule] = &[channel("train").required(), channel("test")];

const fn channel(name: &'static str) -> ChannelRule {
    ChannelRule::new(name, Labels::Ignored, &[Format::RecordIo, Format::Csv]).by_pipe()
}

/// Trials of local Lloyd when nobody says.
const TRIALS: usize = 10;

/// The most centers of stage A, times the number of features. Reason: their sums are 28 bytes each, 3.5 GiB.
const CENTER_VALUES_MAX: usize = 1 << 27;

/// The table's values, as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) values: Hyperparameters,
    pub(crate) columns: usize,
    pub(crate) k: usize,
    pub(crate) factor: usize,
    pub(crate) epochs: u32,
    pub(crate) batch_rows: usize,
    /// What a record's weight is multiplied by when one more is observed.
    pub(crate) decay: f64,
    pub(crate) seeding: Seeding,
    pub(crate) lloyd_seeding: Seeding,
    pub(crate) lloyd_iterations_max: usize,
    pub(crate) lloyd_trials: usize,
    pub(crate) lloyd_tolerance: f64,
    pub(crate) seed: u64,
}

impl Settings {
    /// Checks the job's hyperparameters.
    pub(crate) fn of(job: &Job) -> Result<Self, TrainError> {
        let values = Hyperparameters::resolve(TABLE, &job.hyperparameters)?;
        let (columns, k) = (values.count("feature_dim"), values.count("k"));
        let factor = values.whole("extra_center_factor").unwrap_or(automatic_factor(k));
        let half_life_rows = values.count("half_life_time_size");
        let centers = k.saturating_mul(factor);
        if centers.saturating_mul(columns) > CENTER_VALUES_MAX {
            return Err(TrainError::client(format!(
                "hyperparameters k, extra_center_factor and feature_dim: expected a product of at most \
                 {CENTER_VALUES_MAX}, found {k} × {factor} × {columns}"
            )));
        }
        Ok(Self {
            columns,
            k,
            factor,
            epochs: u32::try_from(values.count("epochs")).unwrap_or(u32::MAX),
            batch_rows: values.count("mini_batch_size"),
            decay: if half_life_rows == 0 { 1.0 } else { (-1.0 / half_life_rows as f64).exp2() },
            seeding: Seeding::named(values.word("init_method")),
            lloyd_seeding: Seeding::named(values.word("local_lloyd_init_method")),
            lloyd_iterations_max: values.count("local_lloyd_max_iter"),
            lloyd_trials: values.whole("local_lloyd_num_trials").unwrap_or(TRIALS),
            lloyd_tolerance: values.number("local_lloyd_tol"),
            seed: values.count("seed") as u64,
            values,
        })
    }

    /// The centers of stage A.
    pub(crate) fn centers(&self) -> usize {
        self.k * self.factor
    }

    /// Whether `metric` is to be shown.
    pub(crate) fn evaluates(&self, metric: &str) -> bool {
        self.values.word("eval_metrics").split(',').any(|name| name == metric)
    }

    /// What a checkpoint of the same training has been made with.
    pub(crate) fn fingerprint(&self) -> String {
        let all: Vec<String> = self.values.all().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {}", Algorithm::Kmeans.name(), all.join(" "))
    }
}

/// `auto`: ten for few centers, as SageMaker's logs show it; less for many, whose batch would not have enough records.
fn automatic_factor(k: usize) -> usize {
    if k <= 50 { 10 } else { 500usize.div_ceil(k).clamp(1, 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<Settings, String> {
        let common = [("feature_dim", "4"), ("k", "8")];
        let job = Job::for_tests(&[&common[..], given].concat(), &[]);
        Settings::of(&job).map_err(|error| error.to_string())
    }

    #[test]
    fn words_become_numbers() {
        let settings =
            settings(&[("half_life_time_size", "100"), ("init_method", "k-means++")]).expect("sound");
        assert_eq!((settings.centers(), settings.lloyd_trials, settings.epochs), (80, 10, 1));
        assert_eq!(settings.seeding, Seeding::PlusPlus);
        assert!((settings.decay.powi(100) - 0.5).abs() < 1e-12);
        assert!(settings.evaluates("msd") && !settings.evaluates("ssd"));
    }

    #[test]
    fn auto_has_fewer_centers_for_many() {
        for (k, expected) in [(1, 10), (50, 10), (51, 10), (100, 5), (499, 2), (500, 1), (10_000, 1)] {
            assert_eq!(automatic_factor(k), expected, "k = {k}");
        }
    }

    #[test]
    fn what_is_outside_is_refused_by_name() {
        let check = |name: &str, value: &str, expected: &str| {
            let error = settings(&[(name, value)]).expect_err("outside");
            assert!(error.contains(name) && error.contains(expected), "{error}");
        };
        check("extra_center_factor", "0", "a whole number of at least 1, or auto");
        check("eval_metrics", "[\"mse\"]", "msd, ssd");
        check("local_lloyd_tol", "1.5", "in [0, 1]");
        check("extra_center_factor", "100000000", "a product of at most");
        check("init_method", "best", "random, kmeans++");
    }
}
