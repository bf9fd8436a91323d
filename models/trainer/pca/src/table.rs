//! The hyperparameters and channels of pca, as SageMaker's documentation has them; `component_order`, `randomized_passes` and
//! `seed` are ours.

use codecs::Format;
use estimator::{
    Channel, ChannelRule, Hyperparameter, Hyperparameters, InputMode, Interval, Job, Kind, Labels, TrainError,
};

pub(crate) const TABLE: &[Hyperparameter] = &[
    Hyperparameter::FEATURE_DIM,
    Hyperparameter::MINI_BATCH_SIZE.required(),
    Hyperparameter::new("num_components", Kind::COUNT).required(),
    Hyperparameter::new("algorithm_mode", Kind::Choice(&["regular", "randomized"])).or("regular"),
    Hyperparameter::new("extra_components", Kind::Integer(Interval::at_least(-1.0))).or("-1"),
    Hyperparameter::new("subtract_mean", Kind::Flag).or("true"),
    Hyperparameter::EPOCHS.or("1"),
    Hyperparameter::new("component_order", Kind::Choice(&["descending", "ascending"])).or("descending"),
    Hyperparameter::new("randomized_passes", Kind::Integer(Interval::closed(1.0, PASSES_MAX as f64))),
    Hyperparameter::SEED,
];

pub(crate) const CHANNELS: &[ChannelRule] = &[channel("train").required(), channel("test")];

const fn channel(name: &'static str) -> ChannelRule {
    ChannelRule::new(name, Labels::Ignored, &[Format::RecordIo, Format::Csv]).by_pipe()
}

/// The passes of randomized mode over files: the sketch and two subspace iterations, which are as good as exact.
const PASSES: usize = 3;
/// The most passes. Reason: each multiplies the gaps between singular values; more than this changes nothing.
const PASSES_MAX: usize = 20;
/// The sketch's least number of extra components when nobody says.
const EXTRA_COMPONENTS_MIN: usize = 10;

/// How components are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From the covariance.
    Regular,
    /// From a sketch.
    Randomized {
        /// ℓ, its rows.
        sketch_rows: usize,
        /// Over the data; the first makes the sketch.
        passes: usize,
    },
}

/// The table's values, as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) values: Hyperparameters,
    pub(crate) columns: usize,
    pub(crate) k: usize,
    pub(crate) mode: Mode,
    pub(crate) subtracts_mean: bool,
    pub(crate) is_ascending: bool,
    pub(crate) seed: u64,
}

impl Settings {
    /// Checks the job's hyperparameters.
    pub(crate) fn of(job: &Job) -> Result<Self, TrainError> {
        let values = Hyperparameters::resolve(TABLE, &job.hyperparameters)?;
        let (columns, k) = (values.count("feature_dim"), values.count("num_components"));
        if k > columns {
            return Err(TrainError::client(format!(
                "hyperparameter num_components: expected at most feature_dim, {columns}, found {k}"
            )));
        }
        let settings = Self {
            columns,
            k,
            mode: mode(&values, job.train()?, k)?,
            subtracts_mean: values.flag("subtract_mean").expect("it has a default"),
            is_ascending: values.word("component_order") == "ascending",
            seed: values.count("seed") as u64,
            values,
        };
        settings.check_memory(job.resources.memory_bytes)?;
        Ok(settings)
    }

    /// Refuses what cannot fit before a row is read.
    fn check_memory(&self, memory_bytes: u64) -> Result<(), TrainError> {
        let bytes_each = size_of::<f64>() as u64;
        let columns = self.columns as u64;
        let (bytes, advice) = match self.mode {
            Mode::Regular => {
                let advice = "algorithm_mode randomized needs less";
                (columns.saturating_mul(columns).saturating_mul(3 * bytes_each), advice)
            }
            Mode::Randomized { sketch_rows, .. } => {
                let advice = "fewer components need less";
                (columns.saturating_mul(sketch_rows as u64).saturating_mul(4 * bytes_each), advice)
            }
        };
        if bytes <= memory_bytes {
            return Ok(());
        }
        let (columns, mode) = (self.columns, self.values.word("algorithm_mode"));
        Err(TrainError::client(format!(
            "hyperparameter feature_dim: algorithm_mode {mode} with {columns} features needs {bytes} bytes of memory, found \
             {memory_bytes}; {advice}"
        )))
    }
}

fn mode(values: &Hyperparameters, train: &Channel, k: usize) -> Result<Mode, TrainError> {
    let given = values.whole("randomized_passes");
    if values.word("algorithm_mode") == "regular" {
        return Ok(Mode::Regular);
    }
    let extra = values.integer("extra_components").expect("it has a default");
    let extra = usize::try_from(extra).unwrap_or(EXTRA_COMPONENTS_MIN.max(k));
    let passes = match (train.mode, given) {
        (InputMode::Pipe, None | Some(1)) => 1,
        (InputMode::Pipe, Some(passes)) => {
            return Err(TrainError::client(format!(
                "hyperparameter randomized_passes: expected 1, since a pipe is read once, found {passes}"
            )));
        }
        (InputMode::File, given) => given.unwrap_or(PASSES),
    };
    Ok(Mode::Randomized { sketch_rows: k.saturating_add(extra), passes })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(given: &[(&str, &str)], input: InputMode) -> Result<Settings, String> {
        let channel =
            Channel::for_tests("train", Path::new("rows"), "text/csv;label_size=0", Labels::Ignored);
        let channel = Channel { mode: input, ..channel.expect("a content type") };
        let common = [("feature_dim", "40"), ("mini_batch_size", "5"), ("num_components", "4")];
        let common = common.iter().filter(|(name, _)| !given.iter().any(|(given, _)| given == name)).copied();
        let given: Vec<_> = common.chain(given.iter().copied()).collect();
        Settings::of(&Job::for_tests(&given, &[channel])).map_err(|error| error.to_string())
    }

    #[test]
    fn the_mode_says_rows_and_passes() {
        let check = |given: &[(&str, &str)], input, expected| {
            let given = [&[("algorithm_mode", "randomized")], given].concat();
            assert_eq!(settings(&given, input).expect("sound").mode, expected);
        };
        let randomized = |sketch_rows, passes| Mode::Randomized { sketch_rows, passes };
        assert_eq!(settings(&[], InputMode::File).expect("sound").mode, Mode::Regular);
        check(&[], InputMode::File, randomized(14, 3));
        check(&[], InputMode::Pipe, randomized(14, 1));
        check(&[("num_components", "15")], InputMode::File, randomized(30, 3));
        check(&[("extra_components", "0"), ("randomized_passes", "1")], InputMode::File, randomized(4, 1));
    }

    #[test]
    fn what_is_outside_is_refused_by_name() {
        let check = |given: &[(&str, &str)], input, expected: &str| {
            let error = settings(given, input).expect_err("outside");
            assert!(error.contains(expected), "{error}");
        };
        let file = InputMode::File;
        check(
            &[("num_components", "41")],
            file,
            "num_components: expected at most feature_dim, 40, found 41",
        );
        check(&[("extra_components", "-2")], file, "extra_components");
        check(&[("component_order", "up")], file, "descending, ascending");
        check(&[("feature_dim", "100000")], file, "algorithm_mode randomized needs less");
        let piped = [("algorithm_mode", "randomized"), ("randomized_passes", "3")];
        check(&piped, InputMode::Pipe, "randomized_passes: expected 1, since a pipe is read once, found 3");
    }
}
