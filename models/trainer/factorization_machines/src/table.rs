//! The hyperparameters, and what they make of each group of weights.

use estimator::{Hyperparameter, Hyperparameters, Interval, Job, Kind, TrainError};
use models::manifest::PredictorType;

const METHODS: &[&str] = &["uniform", "normal", "constant"];
const NOT_NEGATIVE: Kind = Kind::Float(Interval::at_least(0.0));
const POSITIVE: Kind = Kind::Float(Interval::above(0.0));
const ANY: Kind = Kind::Float(Interval::open(f64::NEG_INFINITY, f64::INFINITY));

/// Half the width of `uniform` when no scale is given, and the constant of `constant` when no value is.
const SCALE: f64 = 0.07;
const VALUE: f64 = 0.0;

/// What Adam divides by at the least, unless `eps` says.
const EPSILON: f64 = 1e-8;

pub(crate) const TABLE: &[Hyperparameter] = &[
    Hyperparameter::FEATURE_DIM,
    Hyperparameter::new("num_factors", Kind::COUNT).required(),
    Hyperparameter::new("predictor_type", Kind::Choice(&["binary_classifier", "regressor"])).required(),
    Hyperparameter::new("bias_init_method", Kind::Choice(METHODS)).or("normal"),
    Hyperparameter::new("bias_init_scale", NOT_NEGATIVE),
    Hyperparameter::new("bias_init_sigma", NOT_NEGATIVE).or("0.01"),
    Hyperparameter::new("bias_init_value", ANY),
    Hyperparameter::new("bias_lr", NOT_NEGATIVE).or("0.1"),
    Hyperparameter::new("bias_wd", NOT_NEGATIVE).or("0.01"),
    Hyperparameter::new("linear_init_method", Kind::Choice(METHODS)).or("normal"),
    Hyperparameter::new("linear_init_scale", NOT_NEGATIVE),
    Hyperparameter::new("linear_init_sigma", NOT_NEGATIVE).or("0.01"),
    Hyperparameter::new("linear_init_value", ANY),
    Hyperparameter::new("linear_lr", NOT_NEGATIVE).or("0.001"),
    Hyperparameter::new("linear_wd", NOT_NEGATIVE).or("0.001"),
    Hyperparameter::new("factors_init_method", Kind::Choice(METHODS)).or("normal"),
    Hyperparameter::new("factors_init_scale", NOT_NEGATIVE),
    Hyperparameter::new("factors_init_sigma", NOT_NEGATIVE).or("0.001"),
    Hyperparameter::new("factors_init_value", ANY),
    Hyperparameter::new("factors_lr", NOT_NEGATIVE).or("0.0001"),
    Hyperparameter::new("factors_wd", NOT_NEGATIVE).or("0.00001"),
    Hyperparameter::new("clip_gradient", POSITIVE),
    Hyperparameter::EPOCHS.or("1"),
    Hyperparameter::new("eps", POSITIVE),
    Hyperparameter::MINI_BATCH_SIZE.or("1000"),
    Hyperparameter::new("rescale_grad", ANY),
    Hyperparameter::SEED,
];

/// The names of one group's hyperparameters.
struct Names {
    method: &'static str,
    scale: &'static str,
    sigma: &'static str,
    value: &'static str,
    rate: &'static str,
    decay: &'static str,
}

macro_rules! names {
    ($group:literal) => {
        Names {
            method: concat!($group, "_init_method"),
            scale: concat!($group, "_init_scale"),
            sigma: concat!($group, "_init_sigma"),
            value: concat!($group, "_init_value"),
            rate: concat!($group, "_lr"),
            decay: concat!($group, "_wd"),
        }
    };
}

/// Where weights start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Initial {
    /// N(0, sigma²).
    Normal(f64),
    /// U(−scale, scale).
    Uniform(f64),
    /// All the same.
    Constant(f64),
}

/// How one group of weights starts and learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Group {
    pub(crate) initial: Initial,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
}

/// The table's values, as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) values: Hyperparameters,
    pub(crate) columns: usize,
    pub(crate) factors: usize,
    pub(crate) predictor: PredictorType,
    pub(crate) bias: Group,
    pub(crate) linear: Group,
    pub(crate) pairs: Group,
    pub(crate) clip: Option<f64>,
    pub(crate) rescale: f64,
    pub(crate) epsilon: f64,
    pub(crate) epochs: u32,
    pub(crate) batch_rows: usize,
    pub(crate) seed: u64,
}

impl Settings {
    /// Checks the job's hyperparameters, and that its memory holds the weights.
    pub(crate) fn of(job: &Job) -> Result<Self, TrainError> {
        let values = Hyperparameters::resolve(TABLE, &job.hyperparameters)?;
        let predictor = match values.word("predictor_type") {
            "binary_classifier" => PredictorType::BinaryClassifier,
            _ => PredictorType::Regressor,
        };
        let settings = Self {
            columns: values.count("feature_dim"),
            factors: values.count("num_factors"),
            predictor,
            bias: group(job, &values, &names!("bias")),
            linear: group(job, &values, &names!("linear")),
            pairs: group(job, &values, &names!("factors")),
            clip: values.float("clip_gradient"),
            rescale: values.float("rescale_grad").unwrap_or(1.0),
            epsilon: values.float("eps").unwrap_or(EPSILON),
            epochs: u32::try_from(values.count("epochs")).unwrap_or(u32::MAX),
            batch_rows: values.count("mini_batch_size"),
            seed: values.count("seed") as u64,
            values,
        };
        settings.check_memory(job.resources.memory_bytes)?;
        Ok(settings)
    }

    /// This host's part of a mini-batch.
    pub(crate) fn batch_rows_of(&self, rank: usize, hosts: usize) -> usize {
        (self.batch_rows / hosts + usize::from(rank < self.batch_rows % hosts)).max(1)
    }

    /// What a checkpoint of the same training has been made with.
    pub(crate) fn fingerprint(&self, hosts: usize) -> String {
        let all: Vec<String> = self.values.all().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} hosts={hosts}", all.join(" "))
    }

    fn check_memory(&self, bytes_max: u64) -> Result<(), TrainError> {
        let (columns, factors) = (self.columns as u128, self.factors as u128);
        let needed = 12 * (1 + columns + columns * factors) + 4 * columns;
        if columns > u128::from(u32::MAX) || needed > u128::from(bytes_max) {
            return Err(TrainError::client(format!(
                "hyperparameters feature_dim and num_factors: {columns} × {factors} weights and their moments are {needed} \
                 bytes, expected at most the {bytes_max} bytes of memory"
            )));
        }
        Ok(())
    }
}

fn group(job: &Job, values: &Hyperparameters, names: &Names) -> Group {
    let or_warn = |name: &'static str, method: &str, other: f64| {
        values.float(name).unwrap_or_else(|| {
            job.log.warning(&format!("hyperparameter {name} is not given with {method}: it is {other}"));
            other
        })
    };
    let initial = match values.word(names.method) {
        "uniform" => Initial::Uniform(or_warn(names.scale, "uniform", SCALE)),
        "constant" => Initial::Constant(or_warn(names.value, "constant", VALUE)),
        _ => Initial::Normal(values.number(names.sigma)),
    };
    Group { initial, learning_rate: values.number(names.rate), weight_decay: values.number(names.decay) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<Settings, String> {
        let common = [("feature_dim", "4"), ("num_factors", "8"), ("predictor_type", "regressor")];
        let kept = common.into_iter().filter(|(name, _)| given.iter().all(|(other, _)| other != name));
        let job = Job::for_tests(&kept.chain(given.iter().copied()).collect::<Vec<_>>(), &[]);
        Settings::of(&job).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = settings(&[]).expect("sound");
        let group = |sigma, learning_rate, weight_decay| Group {
            initial: Initial::Normal(sigma),
            learning_rate,
            weight_decay,
        };
        assert_eq!(settings.bias, group(0.01, 0.1, 0.01));
        assert_eq!(settings.linear, group(0.01, 0.001, 0.001));
        assert_eq!(settings.pairs, group(0.001, 0.0001, 0.00001));
        assert_eq!((settings.epochs, settings.batch_rows, settings.seed), (1, 1000, 0));
        assert_eq!((settings.clip, settings.rescale, settings.epsilon), (None, 1.0, 1e-8));
    }

    #[test]
    fn every_way_to_start() {
        let check = |given: &[(&str, &str)], expected: Initial| {
            assert_eq!(settings(given).expect("sound").pairs.initial, expected);
        };
        check(&[("factors_init_method", "uniform")], Initial::Uniform(0.07));
        check(&[("factors_init_method", "uniform"), ("factors_init_scale", "2")], Initial::Uniform(2.0));
        check(&[("factors_init_method", "constant")], Initial::Constant(0.0));
        check(&[("factors_init_method", "constant"), ("factors_init_value", "-1")], Initial::Constant(-1.0));
        check(&[("factors_init_sigma", "0.5")], Initial::Normal(0.5));
    }

    #[test]
    fn a_mini_batch_is_shared_by_the_hosts() {
        let settings = settings(&[("mini_batch_size", "10")]).expect("sound");
        let shares = |hosts: usize| -> Vec<usize> {
            (0..hosts).map(|rank| settings.batch_rows_of(rank, hosts)).collect()
        };
        assert_eq!(shares(1), [10]);
        assert_eq!(shares(3), [4, 3, 3]);
        assert_eq!(shares(11), [1; 11]);
    }

    #[test]
    fn what_is_outside_is_refused_by_name() {
        let check = |name: &str, value: &str, expected: &str| {
            let error = settings(&[(name, value)]).expect_err("outside");
            assert!(error.contains(name) && error.contains(expected), "{error}");
        };
        check("predictor_type", "multiclass_classifier", "one of binary_classifier, regressor");
        check("clip_gradient", "0", "a number above 0");
        check("bias_lr", "-1", "a number of at least 0");
        check("linear_init_method", "zero", "one of uniform, normal, constant");
        check("num_factors", "0", "a whole number of at least 1");
        check("feature_dim", "1000000000", "bytes of memory");
    }
}
