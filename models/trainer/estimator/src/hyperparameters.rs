//! Hyperparameters arrive as text; a table of names, types and permitted sets turns them into checked values.
//!
//! The one idea: a name that is not in the table, or a value outside the set that the table prints, stops the job with
//! a sentence that names both. Nothing is passed on unread.

use std::collections::BTreeMap;
use std::fmt;

use crate::TrainError;

/// The word that leaves a value to the algorithm.
const AUTO: &str = "auto";

/// Names that SageMaker's own containers take and this program has no use for.
const PASSED_OVER: &[&str] = &[
    "_kvstore",
    "_num_gpus",
    "_num_kv_servers",
    "_log_level",
    "_enable_profiler",
    "_disable_wait_to_read",
    "_num_slices",
    "_ftp_port",
    "force_dense",
    "_data_format",
];

/// The numbers a value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    low: f64,
    high: f64,
    low_is_in: bool,
    high_is_in: bool,
}

impl Interval {
    /// `[low, high]`.
    pub const fn closed(low: f64, high: f64) -> Self {
        Self { low, high, low_is_in: true, high_is_in: true }
    }

    /// `(low, high)`.
    pub const fn open(low: f64, high: f64) -> Self {
        Self { low, high, low_is_in: false, high_is_in: false }
    }

    /// `(low, high]`.
    pub const fn above_to(low: f64, high: f64) -> Self {
        Self { low, high, low_is_in: false, high_is_in: true }
    }

    /// `[low, ∞)`.
    pub const fn at_least(low: f64) -> Self {
        Self { low, high: f64::INFINITY, low_is_in: true, high_is_in: false }
    }

    /// `(low, ∞)`.
    pub const fn above(low: f64) -> Self {
        Self { low, high: f64::INFINITY, low_is_in: false, high_is_in: false }
    }

    /// Whether `value` is in it; NaN and infinities never are.
    fn contains(self, value: f64) -> bool {
        let above = if self.low_is_in { value >= self.low } else { value > self.low };
        let below = if self.high_is_in { value <= self.high } else { value < self.high };
        value.is_finite() && above && below
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.low_is_in { '[' } else { '(' };
        let close = if self.high_is_in { ']' } else { ')' };
        match self.high.is_finite() {
            true => write!(f, "in {open}{}, {}{close}", self.low, self.high),
            false if self.low_is_in => write!(f, "of at least {}", self.low),
            false => write!(f, "above {}", self.low),
        }
    }
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A whole number.
    Integer(Interval),
    /// A number.
    Float(Interval),
    /// A whole number, or the word `auto`.
    IntegerOrAuto(Interval),
    /// A number, or the word `auto`.
    FloatOrAuto(Interval),
    /// A number, or one of these words.
    FloatOr(Interval, &'static [&'static str]),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true`, `false`, `True`, `False`, `1`, `0`; passed on as `true` or `false`.
    Flag,
    /// As `Flag`, or the word `auto`.
    FlagOrAuto,
    /// A JSON list of some of these words, `["msd"]`; passed on as words joined by commas.
    JsonWords(&'static [&'static str]),
    /// Words joined by commas, each one of these.
    Words(&'static [&'static str]),
    /// Text whose form the algorithm checks; the phrase says which.
    Form(&'static str),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(interval) => write!(f, "a whole number {interval}"),
            Self::Float(interval) => write!(f, "a number {interval}"),
            Self::IntegerOrAuto(interval) => write!(f, "a whole number {interval}, or auto"),
            Self::FloatOrAuto(interval) => write!(f, "a number {interval}, or auto"),
            Self::FloatOr(interval, words) => {
                write!(f, "a number {interval}, or one of {}", words.join(", "))
            }
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Flag => f.write_str("true or false"),
            Self::FlagOrAuto => f.write_str("true, false or auto"),
            Self::JsonWords(words) => write!(f, "a JSON list of some of {}", words.join(", ")),
            Self::Words(words) => write!(f, "words joined by commas out of {}", words.join(", ")),
            Self::Form(phrase) => f.write_str(phrase),
        }
    }
}

impl Kind {
    /// A whole number of at least 1.
    pub const COUNT: Self = Self::Integer(Interval::at_least(1.0));

    /// The value in the form that is passed on, or `None` when it is not of this kind.
    fn normalise(self, value: &str) -> Option<String> {
        let value = value.trim();
        match self {
            Self::Integer(interval) => {
                let number: i64 = value.parse().ok()?;
                interval.contains(number as f64).then(|| number.to_string())
            }
            Self::Float(interval) => {
                let number: f64 = value.parse().ok()?;
                interval.contains(number).then(|| value.to_string())
            }
            Self::IntegerOrAuto(_) | Self::FloatOrAuto(_) | Self::FlagOrAuto if value == AUTO => {
                Some(AUTO.into())
            }
            Self::IntegerOrAuto(interval) => Self::Integer(interval).normalise(value),
            Self::FloatOrAuto(interval) => Self::Float(interval).normalise(value),
            Self::FlagOrAuto => Self::Flag.normalise(value),
            Self::FloatOr(_, words) if words.contains(&value) => Some(value.to_string()),
            Self::FloatOr(interval, _) => Self::Float(interval).normalise(value),
            Self::JsonWords(words) => {
                let list: Vec<String> = serde_json::from_str(value).ok()?;
                let known = list.iter().all(|word| words.contains(&word.as_str()));
                (known && !list.is_empty()).then(|| list.join(","))
            }
            Self::Choice(words) => words.contains(&value).then(|| value.to_string()),
            Self::Flag => match value {
                "true" | "True" | "1" => Some("true".into()),
                "false" | "False" | "0" => Some("false".into()),
                _ => None,
            },
            Self::Words(words) => {
                let parts: Vec<&str> = value.split(',').map(str::trim).collect();
                parts.iter().all(|part| words.contains(part)).then(|| parts.join(","))
            }
            Self::Form(_) => (!value.is_empty()).then(|| value.to_string()),
        }
    }
}

/// Who acts upon a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The algorithm's library, under the same name.
    Library,
    /// This program.
    Trainer,
    /// Nobody: understood, checked, and without effect here, as the table's reader is told.
    WithoutEffect,
}

/// One line of a table.
#[derive(Debug, Clone, Copy)]
pub struct Hyperparameter {
    /// Its name.
    pub name: &'static str,
    /// Its other name, if it has one.
    pub alias: Option<&'static str>,
    /// What it may be.
    pub kind: Kind,
    /// What it is when nobody says, where that is a constant.
    pub default: Option<&'static str>,
    /// Who acts upon it.
    pub role: Role,
    /// Whether it must be given.
    pub is_required: bool,
}

/// The lines that most tables have. What differs is said at the table, as in `EPOCHS.or("15")`.
impl Hyperparameter {
    /// The number of features.
    pub const FEATURE_DIM: Self = Self::new("feature_dim", Kind::COUNT).required();
    /// Rows of a mini-batch.
    pub const MINI_BATCH_SIZE: Self = Self::new("mini_batch_size", Kind::COUNT);
    /// Passes over the channel `train`.
    pub const EPOCHS: Self = Self::new("epochs", Kind::COUNT);
    /// Where random numbers start.
    pub const SEED: Self = Self::new("seed", Kind::Integer(Interval::at_least(0.0))).or("0");
}

impl Hyperparameter {
    /// One that may be left out, has no default and is for this program.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, alias: None, kind, default: None, role: Role::Trainer, is_required: false }
    }

    /// The same, which must be given.
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// The same, with a default.
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same, with another name beside its own.
    pub const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// The same, for another.
    pub const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }
}

/// Checked values of one table.
#[derive(Debug, Clone)]
pub struct Hyperparameters {
    table: &'static [Hyperparameter],
    given: BTreeMap<&'static str, String>,
}

impl Hyperparameters {
    /// Checks `given` against `table`. Names that the platform adds (`sagemaker_…`, `_tuning_…`) are passed over
    /// where the table does not know them.
    pub fn resolve(
        table: &'static [Hyperparameter],
        given: &BTreeMap<String, String>,
    ) -> Result<Self, TrainError> {
        let mut values = BTreeMap::new();
        for (name, value) in given {
            let known = |line: &&Hyperparameter| line.name == name || line.alias == Some(name.as_str());
            let Some(line) = table.iter().find(known) else {
                if name.starts_with("sagemaker_")
                    || name.starts_with("_tuning_")
                    || PASSED_OVER.contains(&name.as_str())
                {
                    continue;
                }
                return Err(unknown(table, name));
            };
            let value = line.kind.normalise(value).ok_or_else(|| {
                TrainError::client(format!("hyperparameter {name}: expected {}, found {value:?}", line.kind))
            })?;
            if values.insert(line.name, value).is_some() {
                let alias = line.alias.unwrap_or(line.name);
                let name = line.name;
                return Err(TrainError::client(format!(
                    "hyperparameters {name} and {alias} are the same: give one"
                )));
            }
        }
        let missing = table.iter().find(|line| line.is_required && !values.contains_key(line.name));
        match missing {
            Some(line) => Err(TrainError::client(format!(
                "hyperparameter {} is required: expected {}, found none",
                line.name, line.kind
            ))),
            None => Ok(Self { table, given: values }),
        }
    }

    /// The value given, else the table's default.
    pub fn text(&self, name: &str) -> Option<&str> {
        let line = self.table.iter().find(|line| line.name == name).expect("the name stands in the table");
        self.given(name).or(line.default)
    }

    /// The value given.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// A whole number, given or by default.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.text(name).map(|value| value.parse().expect("the table checked that it is a whole number"))
    }

    /// A whole number, given or by default; `None` for `auto` too.
    pub fn whole(&self, name: &str) -> Option<usize> {
        let text = self.text(name).filter(|text| *text != AUTO)?;
        let number: i64 = text.parse().expect("the table checked that it is a whole number");
        Some(usize::try_from(number).expect("the table's interval has no negative number"))
    }

    /// A whole number that is required or has a default.
    pub fn count(&self, name: &str) -> usize {
        self.whole(name).expect("the table has a default, or requires it")
    }

    /// A number that is required or has a default.
    pub fn number(&self, name: &str) -> f64 {
        self.float(name).expect("the table has a default, or requires it")
    }

    /// A number, given or by default; `None` for `auto` and other words too.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// A flag, given or by default; `None` for `auto` too.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// A choice that has a default or is required.
    pub fn word(&self, name: &str) -> &str {
        self.text(name).expect("the table has a default, or requires it")
    }

    /// What is for the library, in the order of the table.
    pub fn for_library(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let library = self.table.iter().filter(|line| line.role == Role::Library);
        library.filter_map(|line| Some((line.name, self.given(line.name)?)))
    }

    /// What was given, for the manifest.
    pub fn all_given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.given.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// What was given and what holds by default, for the log.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.table.iter().filter_map(|line| Some((line.name, self.text(line.name)?)))
    }
}

/// Names the stranger and everyone who is known.
fn unknown(table: &[Hyperparameter], name: &str) -> TrainError {
    let names: Vec<&str> = table.iter().map(|line| line.name).collect();
    TrainError::client(format!("unknown hyperparameter {name:?}: expected one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Hyperparameter] = &[
        line("rounds", Kind::Integer(Interval::at_least(1.0)), None),
        line("share", Kind::Float(Interval::above_to(0.0, 1.0)), Some("1")),
        line("power", Kind::Float(Interval::open(1.0, 2.0)), None),
        line("booster", Kind::Choice(&["tree", "line"]), None),
        line("exact", Kind::Flag, None),
        line("metrics", Kind::Words(&["a", "b"]), None),
    ];

    const fn line(name: &'static str, kind: Kind, default: Option<&'static str>) -> Hyperparameter {
        Hyperparameter { name, alias: None, kind, default, role: Role::Library, is_required: false }
    }

    fn resolve(name: &str, value: &str) -> Result<String, String> {
        let given = BTreeMap::from([(name.to_string(), value.to_string())]);
        let values = Hyperparameters::resolve(TABLE, &given).map_err(|error| error.to_string())?;
        Ok(values.given(name).unwrap_or("passed over").to_string())
    }

    #[test]
    fn values_in_the_set_pass() {
        let check = |name, value, expected: &str| assert_eq!(resolve(name, value).as_deref(), Ok(expected));
        check("rounds", "1", "1");
        check("rounds", " 20 ", "20");
        check("share", "1", "1");
        check("share", "5e-1", "5e-1");
        check("booster", "line", "line");
        check("exact", "True", "true");
        check("exact", "0", "false");
        check("metrics", "b, a", "b,a");
        check("sagemaker_program", "\"x.py\"", "passed over");
        check("_tuning_objective_metric", "x", "passed over");
    }

    #[test]
    fn values_outside_are_refused_with_the_set() {
        let check = |name, value, expected: &str| assert_eq!(resolve(name, value), Err(expected.to_string()));
        check("rounds", "0", "hyperparameter rounds: expected a whole number of at least 1, found \"0\"");
        check("rounds", "1.5", "hyperparameter rounds: expected a whole number of at least 1, found \"1.5\"");
        check("rounds", "", "hyperparameter rounds: expected a whole number of at least 1, found \"\"");
        check("share", "0", "hyperparameter share: expected a number in (0, 1], found \"0\"");
        check("share", "nan", "hyperparameter share: expected a number in (0, 1], found \"nan\"");
        check("power", "2", "hyperparameter power: expected a number in (1, 2), found \"2\"");
        check("booster", "TREE", "hyperparameter booster: expected one of tree, line, found \"TREE\"");
        check("exact", "yes", "hyperparameter exact: expected true or false, found \"yes\"");
        check(
            "metrics",
            "a,c",
            "hyperparameter metrics: expected words joined by commas out of a, b, found \"a,c\"",
        );
        check(
            "silent",
            "1",
            "unknown hyperparameter \"silent\": expected one of rounds, share, power, booster, exact, metrics",
        );
    }

    #[test]
    fn defaults_show_but_are_not_passed_on() {
        let given = BTreeMap::from([("rounds".to_string(), "3".to_string())]);
        let values = Hyperparameters::resolve(TABLE, &given).expect("all permitted");
        assert_eq!(values.text("share"), Some("1"));
        assert_eq!(values.for_library().collect::<Vec<_>>(), [("rounds", "3")]);
        assert_eq!(values.all().collect::<Vec<_>>(), [("rounds", "3"), ("share", "1")]);
        assert_eq!(values.integer("rounds"), Some(3));
    }
}
