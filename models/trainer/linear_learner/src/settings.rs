//! Hyperparameters that fit together, as values of their own types.

use estimator::{Hyperparameters, TrainError};
use models::manifest::PredictorType;

use crate::criteria::Criterion;
use crate::loss::Loss;

/// How a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Adam,
    Sgd,
    RmsProp,
}

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Sgd => "sgd",
            Self::RmsProp => "rmsprop",
        }
    }
}

/// What positive rows weigh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PositiveWeight {
    Fixed(f64),
    /// Negatives by positives.
    Balanced,
    /// 1, balanced and its root are tried.
    Auto,
}

/// All that a job says; what it leaves `auto` and the grid decides is `None`.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) predictor: PredictorType,
    /// In raw units of the label.
    pub(crate) loss: Loss,
    /// Margins of a model: classes, or 1.
    pub(crate) outputs: usize,
    pub(crate) feature_dim: Option<usize>,
    pub(crate) epochs: u32,
    pub(crate) batch_rows: usize,
    pub(crate) seed: u64,
    pub(crate) models: Option<usize>,
    pub(crate) learning_rate: Option<f64>,
    pub(crate) wd: Option<f64>,
    pub(crate) l1: Option<f64>,
    pub(crate) positive_weight: PositiveWeight,
    pub(crate) step: StepSettings,
    pub(crate) scaling: Scaling,
    pub(crate) initial: Initial,
    pub(crate) patience: u32,
    pub(crate) tolerance: f64,
    pub(crate) criterion: Criterion,
    pub(crate) calibration_rows: u64,
    pub(crate) balances_classes: bool,
    pub(crate) f_beta: f64,
    pub(crate) top_k: usize,
}

/// What steps are like, whichever the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepSettings {
    pub(crate) rule: Rule,
    pub(crate) beta_1: f64,
    pub(crate) beta_2: f64,
    pub(crate) momentum: f64,
    pub(crate) bias_lr_mult: f64,
    pub(crate) bias_wd_mult: f64,
    pub(crate) use_bias: bool,
    pub(crate) schedule: Option<Schedule>,
}

/// The decay of learning rates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) steps: u64,
    pub(crate) factor: f64,
    pub(crate) minimum: f64,
}

impl Schedule {
    /// The rate of step `step`, which begins at `rate`; never raised.
    pub(crate) fn rate(self, rate: f64, step: u64) -> f64 {
        let decays = i32::try_from(step / self.steps).unwrap_or(i32::MAX);
        (rate * self.factor.powi(decays)).max(self.minimum.min(rate))
    }
}

/// What is done to values before training; `None` is auto.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling {
    pub(crate) sample_rows: u64,
    pub(crate) normalize_data: bool,
    pub(crate) unbias_data: Option<bool>,
    pub(crate) normalize_label: bool,
    pub(crate) unbias_label: bool,
}

/// Where weights begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Initial {
    pub(crate) bias: f64,
    pub(crate) spread: Spread,
}

/// How first weights are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spread {
    /// Evenly from minus to plus.
    Uniform(f64),
    /// Of that standard deviation.
    Normal(f64),
}

impl Settings {
    /// Reads checked values.
    ///
    /// # Errors
    /// When two of them contradict each other.
    pub(crate) fn new(values: &Hyperparameters) -> Result<Self, TrainError> {
        let word = values.word("predictor_type");
        let predictor = PredictorType::ALL.into_iter().find(|kind| kind.name() == word);
        let predictor = predictor.expect("the table lists them");
        let is_tuned = values.given("_tuning_objective_metric").is_some();
        let loss = loss(predictor, values)?;
        Ok(Self {
            predictor,
            loss,
            outputs: outputs(predictor, values)?,
            feature_dim: values.whole("feature_dim"),
            epochs: u32::try_from(values.count("epochs")).unwrap_or(u32::MAX),
            batch_rows: values.count("mini_batch_size"),
            seed: values.count("seed") as u64,
            models: if is_tuned { Some(1) } else { values.whole("num_models") },
            learning_rate: values.float("learning_rate"),
            wd: values.float("wd"),
            l1: values.float("l1"),
            positive_weight: positive_weight(predictor, values)?,
            step: StepSettings::new(values),
            scaling: Scaling::new(predictor, values),
            initial: Initial::new(values),
            patience: u32::try_from(values.count("early_stopping_patience")).unwrap_or(u32::MAX),
            tolerance: values.number("early_stopping_tolerance"),
            criterion: criterion(predictor, values),
            calibration_rows: values.whole("num_calibration_samples").unwrap_or(10_000_000) as u64,
            balances_classes: values.flag("balance_multiclass_weights").unwrap_or(false),
            f_beta: values.number("f_beta"),
            top_k: values.count("accuracy_top_k"),
        })
    }

    /// Whether the classes are two.
    pub(crate) fn is_binary(&self) -> bool {
        self.predictor == PredictorType::BinaryClassifier
    }

    /// The threshold of a model that is not calibrated.
    pub(crate) fn neutral_threshold(&self) -> f64 {
        if self.loss == Loss::Logistic { 0.5 } else { 0.0 }
    }
}

impl StepSettings {
    fn new(values: &Hyperparameters) -> Self {
        let or = |name, auto| values.float(name).unwrap_or(auto);
        let schedule = Schedule {
            steps: values.whole("lr_scheduler_step").unwrap_or(100) as u64,
            factor: or("lr_scheduler_factor", 0.99),
            minimum: or("lr_scheduler_minimum_lr", 1e-5),
        };
        Self {
            rule: match values.word("optimizer") {
                "sgd" => Rule::Sgd,
                "rmsprop" => Rule::RmsProp,
                _ => Rule::Adam,
            },
            beta_1: or("beta_1", 0.9),
            beta_2: or("beta_2", 0.999),
            momentum: or("momentum", 0.0),
            bias_lr_mult: or("bias_lr_mult", 10.0),
            bias_wd_mult: or("bias_wd_mult", 0.0),
            use_bias: values.flag("use_bias").unwrap_or(true),
            schedule: values.flag("use_lr_scheduler").unwrap_or(true).then_some(schedule),
        }
    }
}

impl Scaling {
    fn new(predictor: PredictorType, values: &Hyperparameters) -> Self {
        let is_regressor = predictor == PredictorType::Regressor;
        let use_bias = values.flag("use_bias").unwrap_or(true);
        Self {
            sample_rows: values.whole("num_point_for_scaler").unwrap_or(10_000) as u64,
            normalize_data: values.flag("normalize_data").unwrap_or(true),
            // Without a bias nothing could make up for the shift.
            unbias_data: values.flag("unbias_data").or((!use_bias).then_some(false)),
            normalize_label: is_regressor && values.flag("normalize_label").unwrap_or(true),
            unbias_label: is_regressor && values.flag("unbias_label").unwrap_or(use_bias),
        }
    }
}

impl Initial {
    fn new(values: &Hyperparameters) -> Self {
        let spread = match values.word("init_method") {
            "normal" => Spread::Normal(values.number("init_sigma")),
            _ => Spread::Uniform(values.number("init_scale")),
        };
        Self { bias: values.number("init_bias"), spread }
    }
}

fn loss(predictor: PredictorType, values: &Hyperparameters) -> Result<Loss, TrainError> {
    let number = |name| values.number(name) as f32;
    let epsilon = number("loss_insensitivity");
    match (predictor, values.word("loss")) {
        (PredictorType::BinaryClassifier, "auto" | "logistic") => Ok(Loss::Logistic),
        (PredictorType::BinaryClassifier, "hinge_loss") => Ok(Loss::Hinge { margin: number("margin") }),
        (PredictorType::MulticlassClassifier, "auto" | "softmax_loss") => Ok(Loss::Softmax),
        (PredictorType::Regressor, "auto" | "squared_loss") => Ok(Loss::Squared),
        (PredictorType::Regressor, "absolute_loss") => Ok(Loss::Absolute),
        (PredictorType::Regressor, "quantile_loss") => Ok(Loss::Quantile { quantile: number("quantile") }),
        (PredictorType::Regressor, "huber_loss") => Ok(Loss::Huber { delta: number("huber_delta") }),
        (PredictorType::Regressor, "eps_insensitive_squared_loss") => {
            Ok(Loss::InsensitiveSquared { epsilon })
        }
        (PredictorType::Regressor, "eps_insensitive_absolute_loss") => {
            Ok(Loss::InsensitiveAbsolute { epsilon })
        }
        (predictor, found) => {
            let expected = match predictor {
                PredictorType::BinaryClassifier => "auto, logistic or hinge_loss",
                PredictorType::MulticlassClassifier => "auto or softmax_loss",
                PredictorType::Regressor => {
                    "auto, squared_loss, absolute_loss, quantile_loss, huber_loss, \
                     eps_insensitive_squared_loss or eps_insensitive_absolute_loss"
                }
            };
            let predictor = predictor.name();
            Err(TrainError::client(format!(
                "hyperparameter loss: expected {expected} with predictor_type {predictor}, found {found:?}"
            )))
        }
    }
}

fn outputs(predictor: PredictorType, values: &Hyperparameters) -> Result<usize, TrainError> {
    let classes = values.given("num_classes").and_then(|text| text.parse().ok());
    match (predictor, classes) {
        (PredictorType::MulticlassClassifier, Some(classes)) => Ok(classes),
        (PredictorType::MulticlassClassifier, None) => Err(TrainError::client(
            "hyperparameter num_classes is required with predictor_type multiclass_classifier: expected a whole \
             number in [3, 1000000], found none",
        )),
        // The same container takes it from clients that always send it.
        (PredictorType::BinaryClassifier | PredictorType::Regressor, _) => Ok(1),
    }
}

fn positive_weight(predictor: PredictorType, values: &Hyperparameters) -> Result<PositiveWeight, TrainError> {
    let given = values.word("positive_example_weight_mult");
    let weight = match given {
        "balanced" => PositiveWeight::Balanced,
        "auto" => PositiveWeight::Auto,
        text => PositiveWeight::Fixed(text.parse().expect("the table checked that it is a number")),
    };
    let is_plain = weight == PositiveWeight::Fixed(1.0);
    if predictor == PredictorType::BinaryClassifier || is_plain {
        return Ok(weight);
    }
    let predictor = predictor.name();
    Err(TrainError::client(format!(
        "hyperparameter positive_example_weight_mult: expected 1.0 with predictor_type {predictor}, found {given:?}"
    )))
}

fn criterion(predictor: PredictorType, values: &Hyperparameters) -> Criterion {
    if predictor != PredictorType::BinaryClassifier {
        return Criterion::Loss;
    }
    match values.word("binary_classifier_model_selection_criteria") {
        "f1" => Criterion::FBeta(1.0),
        "f_beta" => Criterion::FBeta(values.number("f_beta")),
        "precision_at_target_recall" => Criterion::PrecisionAtRecall(values.number("target_recall")),
        "recall_at_target_precision" => Criterion::RecallAtPrecision(values.number("target_precision")),
        "cross_entropy_loss" => Criterion::CrossEntropy,
        "loss_function" => Criterion::Loss,
        _ => Criterion::Accuracy,
    }
}
