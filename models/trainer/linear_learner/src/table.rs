//! The hyperparameters of linear-learner.

use estimator::{Hyperparameter, Interval, Kind};

const POSITIVE: Interval = Interval::above(0.0);
const SHARE: Interval = Interval::open(0.0, 1.0);
const ONE_OR_MORE: Interval = Interval::at_least(1.0);
/// `[0, 1)`, as far as numbers of double precision go.
const DECAY: Interval = Interval::closed(0.0, 1.0 - f64::EPSILON);

/// The losses a job may name.
const LOSSES: &[&str] = &[
    "auto",
    "logistic",
    "squared_loss",
    "absolute_loss",
    "hinge_loss",
    "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss",
    "quantile_loss",
    "huber_loss",
    "softmax_loss",
];

const CRITERIA: &[&str] = &[
    "accuracy",
    "f1",
    "f_beta",
    "precision_at_target_recall",
    "recall_at_target_precision",
    "cross_entropy_loss",
    "loss_function",
];

/// Names, sets and defaults.
pub(crate) const TABLE: &[Hyperparameter] = &[
    line("predictor_type", Kind::Choice(&["binary_classifier", "multiclass_classifier", "regressor"]))
        .required(),
    line("num_classes", Kind::Integer(Interval::closed(3.0, 1e6))),
    line("feature_dim", Kind::IntegerOrAuto(ONE_OR_MORE)).or("auto"),
    line("accuracy_top_k", Kind::COUNT).or("3"),
    line("balance_multiclass_weights", Kind::Flag).or("false"),
    line("beta_1", Kind::FloatOrAuto(DECAY)).or("auto"),
    line("beta_2", Kind::FloatOrAuto(DECAY)).or("auto"),
    line("bias_lr_mult", Kind::FloatOrAuto(POSITIVE)).or("auto"),
    line("bias_wd_mult", Kind::FloatOrAuto(Interval::at_least(0.0))).or("auto"),
    line("binary_classifier_model_selection_criteria", Kind::Choice(CRITERIA)).or("accuracy"),
    line("early_stopping_patience", Kind::COUNT).or("3"),
    line("early_stopping_tolerance", Kind::Float(POSITIVE)).or("0.001"),
    Hyperparameter::EPOCHS.or("15"),
    line("f_beta", Kind::Float(POSITIVE)).or("1.0"),
    line("huber_delta", Kind::Float(POSITIVE)).or("1.0"),
    line("init_bias", Kind::Float(Interval::closed(f64::MIN, f64::MAX))).or("0"),
    line("init_method", Kind::Choice(&["uniform", "normal"])).or("uniform"),
    line("init_scale", Kind::Float(POSITIVE)).or("0.07"),
    line("init_sigma", Kind::Float(POSITIVE)).or("0.01"),
    line("l1", Kind::FloatOrAuto(Interval::at_least(0.0))).or("auto"),
    line("learning_rate", Kind::FloatOrAuto(POSITIVE)).or("auto"),
    line("loss", Kind::Choice(LOSSES)).or("auto"),
    line("loss_insensitivity", Kind::Float(POSITIVE)).or("0.01"),
    line("lr_scheduler_factor", Kind::FloatOrAuto(SHARE)).or("auto"),
    line("lr_scheduler_minimum_lr", Kind::FloatOrAuto(POSITIVE)).or("auto"),
    line("lr_scheduler_step", Kind::IntegerOrAuto(ONE_OR_MORE)).or("auto"),
    line("margin", Kind::Float(POSITIVE)).or("1.0"),
    Hyperparameter::MINI_BATCH_SIZE.or("1000"),
    line("momentum", Kind::FloatOrAuto(DECAY)).or("auto"),
    line("normalize_data", Kind::FlagOrAuto).or("true"),
    line("normalize_label", Kind::FlagOrAuto).or("auto"),
    line("num_calibration_samples", Kind::IntegerOrAuto(ONE_OR_MORE)).or("auto"),
    line("num_models", Kind::IntegerOrAuto(ONE_OR_MORE)).or("auto"),
    line("num_point_for_scaler", Kind::COUNT).or("10000"),
    line("optimizer", Kind::Choice(&["auto", "adam", "sgd", "rmsprop"])).or("auto"),
    line("positive_example_weight_mult", Kind::FloatOr(POSITIVE, &["balanced", "auto"])).or("1.0"),
    line("quantile", Kind::Float(SHARE)).or("0.5"),
    Hyperparameter::SEED,
    line("target_precision", Kind::Float(SHARE)).or("0.8"),
    line("target_recall", Kind::Float(SHARE)).or("0.8"),
    line("unbias_data", Kind::FlagOrAuto).or("auto"),
    line("unbias_label", Kind::FlagOrAuto).or("auto"),
    line("use_bias", Kind::Flag).or("true"),
    line("use_lr_scheduler", Kind::Flag).or("true"),
    line("wd", Kind::FloatOrAuto(Interval::at_least(0.0))).or("auto"),
    // The tuner's: with it one model is trained, whose hyperparameters are the tuner's.
    line("_tuning_objective_metric", Kind::Form("a metric's name")),
];

const fn line(name: &'static str, kind: Kind) -> Hyperparameter {
    Hyperparameter::new(name, kind)
}
