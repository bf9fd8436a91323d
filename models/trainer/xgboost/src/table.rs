//! XGBoost's hyperparameters: names, types, permitted sets, and the rules between them, as SageMaker's container has
//! them.

use crate::metric;
use estimator::TrainError;
use estimator::{Hyperparameter, Hyperparameters, Interval, Kind, Role};

/// A whole number from `$low`, or in a closed range.
macro_rules! int {
    ($low:expr) => {
        Kind::Integer(Interval::at_least($low as f64))
    };
    ($low:expr, $high:expr) => {
        Kind::Integer(Interval::closed($low as f64, $high as f64))
    };
}

const FROM_0: Kind = Kind::Float(Interval::at_least(0.0));
const FROM_0_TO_1: Kind = Kind::Float(Interval::closed(0.0, 1.0));
const ABOVE_0_TO_1: Kind = Kind::Float(Interval::above_to(0.0, 1.0));

const OBJECTIVES: &[&str] = &[
    "reg:squarederror",
    "reg:linear",
    "reg:squaredlogerror",
    "reg:logistic",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:gamma",
    "reg:tweedie",
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "count:poisson",
    "multi:softmax",
    "multi:softprob",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "survival:cox",
    "survival:aft",
];

const UPDATERS: &[&str] = &[
    "grow_colmaker",
    "distcol",
    "grow_histmaker",
    "grow_skmaker",
    "sync",
    "refresh",
    "prune",
    "shotgun",
    "coord_descent",
    "grow_quantile_histmaker",
];

/// The table.
pub(crate) const TABLE: &[Hyperparameter] = &[
    line("num_round", int!(1), None, Role::Trainer),
    line("num_class", int!(2), None, Role::Library),
    named("alpha", "reg_alpha", FROM_0, Some("0")),
    line(
        "aft_loss_distribution",
        Kind::Choice(&["normal", "logistic", "extreme"]),
        Some("normal"),
        Role::Library,
    ),
    line("aft_loss_distribution_scale", FROM_0, Some("1"), Role::Library),
    line("base_score", FROM_0, None, Role::Library),
    line("booster", Kind::Choice(&["gbtree", "gblinear", "dart"]), Some("gbtree"), Role::Library),
    line("colsample_bylevel", ABOVE_0_TO_1, Some("1"), Role::Library),
    line("colsample_bynode", ABOVE_0_TO_1, Some("1"), Role::Library),
    line("colsample_bytree", ABOVE_0_TO_1, Some("1"), Role::Library),
    line("csv_weights", int!(0, 1), Some("0"), Role::Trainer),
    line("deterministic_histogram", Kind::Flag, Some("true"), Role::WithoutEffect),
    line("dsplit", Kind::Choice(&["row", "col"]), Some("row"), Role::WithoutEffect),
    line("early_stopping_rounds", int!(1), None, Role::Trainer),
    named("eta", "learning_rate", FROM_0_TO_1, Some("0.3")),
    line("eval_metric", Kind::Form("metrics joined by commas"), None, Role::Trainer),
    named("gamma", "min_split_loss", FROM_0, Some("0")),
    line("grow_policy", Kind::Choice(&["depthwise", "lossguide"]), Some("depthwise"), Role::Library),
    line(
        "interaction_constraints",
        Kind::Form("lists of features, as [[0, 1], [2, 3]]"),
        None,
        Role::Library,
    ),
    named("lambda", "reg_lambda", FROM_0, Some("1")),
    line("lambda_bias", FROM_0_TO_1, Some("0"), Role::Library),
    line("max_bin", int!(0), Some("256"), Role::Library),
    // No default here: it is 0, but 0.7 for count:poisson.
    line("max_delta_step", FROM_0, None, Role::Library),
    line("max_depth", int!(0), Some("6"), Role::Library),
    line("max_leaves", int!(0), Some("0"), Role::Library),
    line("min_child_weight", FROM_0, Some("1"), Role::Library),
    line("model_format", Kind::Choice(&["ubj", "json"]), Some("ubj"), Role::Trainer),
    line(
        "monotone_constraints",
        Kind::Form("-1, 0 or 1 for each feature, as (1, 0, -1)"),
        None,
        Role::Library,
    ),
    line("normalize_type", Kind::Choice(&["tree", "forest"]), Some("tree"), Role::Library),
    // No default here: as many threads as the job may use.
    line("nthread", int!(1), None, Role::Trainer),
    line("num_parallel_tree", int!(1), Some("1"), Role::Library),
    line("objective", Kind::Choice(OBJECTIVES), Some("reg:squarederror"), Role::Trainer),
    line("one_drop", int!(0, 1), Some("0"), Role::Library),
    line(
        "predictor",
        Kind::Choice(&["auto", "cpu_predictor", "gpu_predictor"]),
        Some("auto"),
        Role::WithoutEffect,
    ),
    line("prob_buffer_row", Kind::Float(Interval::above(1.0)), None, Role::WithoutEffect),
    line("process_type", Kind::Choice(&["default", "update"]), Some("default"), Role::Trainer),
    line("rate_drop", FROM_0_TO_1, Some("0"), Role::Library),
    line("refresh_leaf", int!(0, 1), Some("1"), Role::Trainer),
    line("sample_type", Kind::Choice(&["uniform", "weighted"]), Some("uniform"), Role::Library),
    line("sampling_method", Kind::Choice(&["uniform", "gradient_based"]), Some("uniform"), Role::Library),
    // No default here: a model is saved on termination, as the container contract asks, unless this says false.
    line("save_model_on_termination", Kind::Flag, None, Role::Trainer),
    line("scale_pos_weight", Kind::Float(Interval::above(0.0)), Some("1"), Role::Library),
    line("seed", int!(-2_147_483_647_i64, 2_147_483_646_i64), Some("0"), Role::Library),
    line("single_precision_histogram", Kind::Flag, Some("false"), Role::WithoutEffect),
    line("sketch_eps", Kind::Float(Interval::open(0.0, 1.0)), None, Role::WithoutEffect),
    line("skip_drop", FROM_0_TO_1, Some("0"), Role::Library),
    line("subsample", ABOVE_0_TO_1, Some("1"), Role::Library),
    line(
        "tree_method",
        Kind::Choice(&["auto", "exact", "approx", "hist", "gpu_hist"]),
        Some("auto"),
        Role::Trainer,
    ),
    line("tweedie_variance_power", Kind::Float(Interval::open(1.0, 2.0)), Some("1.5"), Role::Library),
    line("updater", Kind::Words(UPDATERS), None, Role::Trainer),
    line("use_dask_gpu_training", Kind::Flag, Some("false"), Role::Trainer),
    line("verbosity", int!(0, 3), Some("1"), Role::Library),
    line("_kfold", int!(2), None, Role::Trainer),
    line("_num_cv_round", int!(1), Some("1"), Role::Trainer),
    line("_tuning_objective_metric", Kind::Form("validation:<metric>"), None, Role::Trainer),
];

const fn line(name: &'static str, kind: Kind, default: Option<&'static str>, role: Role) -> Hyperparameter {
    Hyperparameter { default, role, ..Hyperparameter::new(name, kind) }
}

const fn named(
    name: &'static str,
    alias: &'static str,
    kind: Kind,
    default: Option<&'static str>,
) -> Hyperparameter {
    Hyperparameter { default, role: Role::Library, ..Hyperparameter::new(name, kind).alias(alias) }
}

/// The rules between hyperparameters.
///
/// # Errors
/// The first rule that is broken.
pub(crate) fn check(values: &Hyperparameters) -> Result<(), TrainError> {
    if values.given("num_round").is_none() {
        return Err(TrainError::client(
            "hyperparameter num_round is required: expected a whole number of at least 1",
        ));
    }
    check_run(values)?;
    check_objective(values)?;
    check_constraints(values)?;
    check_updater(values)
}

/// How the run goes: folds, updates, machines.
fn check_run(values: &Hyperparameters) -> Result<(), TrainError> {
    let refused =
        |name: &str, reason: &str| Err(TrainError::client(format!("hyperparameter {name}: {reason}")));
    if values.given("_num_cv_round").is_some() && values.given("_kfold").is_none() {
        return refused("_num_cv_round", "expected with _kfold, found it alone");
    }
    let is_update = values.word("process_type") == "update";
    if is_update && values.word("booster") == "gblinear" {
        return refused(
            "process_type",
            "expected default with booster gblinear, which has no trees to update",
        );
    }
    if is_update && values.given("_kfold").is_some() {
        return refused("process_type", "expected default with _kfold, which trains each model anew");
    }
    if values.flag("use_dask_gpu_training") == Some(true) {
        return refused("use_dask_gpu_training", "expected false: training runs on the CPU");
    }
    Ok(())
}

fn check_objective(values: &Hyperparameters) -> Result<(), TrainError> {
    let objective = values.text("objective").expect("it has a default");
    if objective.starts_with("rank:") && values.given("_kfold").is_some() {
        return Err(TrainError::client(format!(
            "hyperparameter _kfold: expected an objective without query groups, found {objective}"
        )));
    }
    match (objective.starts_with("multi:"), values.given("num_class")) {
        (true, None) => {
            return Err(TrainError::client(format!(
                "hyperparameter num_class is required with objective {objective}"
            )));
        }
        (false, Some(_)) => {
            return Err(TrainError::client(format!(
                "hyperparameter num_class: expected only with multi:softmax or multi:softprob, found objective {objective}"
            )));
        }
        _ => {}
    }
    for name in metric::names(values) {
        metric::check(name, objective)?;
    }
    Ok(())
}

fn check_constraints(values: &Hyperparameters) -> Result<(), TrainError> {
    const RULES: &[(&str, &[&str])] = &[
        ("monotone_constraints", &["exact", "hist"]),
        ("interaction_constraints", &["exact", "hist", "approx"]),
    ];
    let method = values.text("tree_method").expect("it has a default");
    for (name, methods) in RULES {
        if values.given(name).is_some() && !methods.contains(&method) {
            return Err(TrainError::client(format!(
                "hyperparameter {name}: expected tree_method {}, found {method}",
                methods.join(" or ")
            )));
        }
    }
    Ok(())
}

/// Names that XGBoost no longer has: what they did, its tree methods do.
const RETIRED_UPDATERS: &[(&str, &str)] =
    &[("distcol", "grow_colmaker"), ("grow_skmaker", "grow_histmaker"), ("sync", "no word")];

fn check_updater(values: &Hyperparameters) -> Result<(), TrainError> {
    const LINEAR: &[&str] = &["shotgun", "coord_descent"];
    const REFRESHING: &[&str] = &["refresh", "prune"];
    let Some(updaters) = values.given("updater") else { return Ok(()) };
    let updaters: Vec<&str> = updaters.split(',').collect();
    let is_update = values.word("process_type") == "update";
    let retired = RETIRED_UPDATERS.iter().find(|(name, _)| updaters.contains(name));
    let expected = match values.text("booster") {
        Some("gblinear") if updaters.len() == 1 && LINEAR.contains(&updaters[0]) => None,
        Some("gblinear") => Some("one of shotgun, coord_descent with booster gblinear".to_owned()),
        _ if updaters.iter().any(|updater| LINEAR.contains(updater)) => {
            Some("booster gblinear with shotgun, coord_descent".to_owned())
        }
        _ if is_update && updaters.iter().any(|updater| !REFRESHING.contains(updater)) => {
            Some("refresh, prune with process_type update".to_owned())
        }
        _ if !is_update && updaters.contains(&"refresh") => {
            Some("process_type update with refresh".to_owned())
        }
        _ => retired.map(|(name, now)| format!("{now} in place of {name}, which XGBoost no longer has")),
    };
    match expected {
        Some(expected) => Err(TrainError::client(format!(
            "hyperparameter updater: expected {expected}, found {}",
            updaters.join(",")
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn outcome(pairs: &[(&str, &str)]) -> Result<(), String> {
        let mut given: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        given.entry("num_round".into()).or_insert_with(|| "1".into());
        let values = Hyperparameters::resolve(TABLE, &given).map_err(|error| error.to_string())?;
        check(&values).map_err(|error| error.to_string())
    }

    #[test]
    fn permitted_sets_pass() {
        let check = |pairs: &[(&str, &str)]| assert_eq!(outcome(pairs), Ok(()), "{pairs:?}");
        check(&[]);
        check(&[("learning_rate", "0.1"), ("reg_alpha", "1"), ("reg_lambda", "2"), ("min_split_loss", "0")]);
        check(&[("objective", "multi:softprob"), ("num_class", "3"), ("eval_metric", "mlogloss,merror")]);
        check(&[("objective", "binary:logistic"), ("eval_metric", "auc,error@0.7")]);
        check(&[("monotone_constraints", "(1,-1)"), ("tree_method", "hist")]);
        check(&[("booster", "gblinear"), ("updater", "shotgun")]);
        check(&[("process_type", "update"), ("updater", "refresh,prune"), ("refresh_leaf", "0")]);
        check(&[("updater", "grow_colmaker,prune")]);
        check(&[("_kfold", "5"), ("_num_cv_round", "2")]);
        check(&[("objective", "rank:map"), ("eval_metric", "ndcg@5-,map,auc")]);
        check(&[("seed", "-2147483647"), ("_tuning_objective_metric", "validation:rmse")]);
    }

    #[test]
    fn broken_rules_are_named() {
        let check = |pairs: &[(&str, &str)], expected: &str| {
            let error = outcome(pairs).expect_err("a rule is broken");
            assert!(error.contains(expected), "{pairs:?}: {error}");
        };
        check(&[("num_round", "0")], "num_round: expected a whole number of at least 1");
        check(&[("silent", "1")], "unknown hyperparameter \"silent\"");
        check(&[("eta", "0.1"), ("learning_rate", "0.1")], "eta and learning_rate are the same");
        check(&[("eta", "1.5")], "eta: expected a number in [0, 1]");
        check(&[("objective", "multi:softmax")], "num_class is required");
        check(&[("num_class", "3")], "num_class: expected only with multi:");
        check(&[("objective", "rank:ndcg"), ("_kfold", "2")], "without query groups, found rank:ndcg");
        check(&[("eval_metric", "ndcg@5")], "an objective rank:* with ndcg");
        check(&[("eval_metric", "auc")], "auc");
        check(&[("eval_metric", "aft-nloglik")], "survival:aft");
        check(&[("eval_metric", "nonsense")], "nonsense");
        check(&[("monotone_constraints", "(1)")], "expected tree_method exact or hist, found auto");
        check(
            &[("interaction_constraints", "[[1,2]]")],
            "expected tree_method exact or hist or approx, found auto",
        );
        check(&[("updater", "shotgun")], "booster gblinear");
        check(&[("updater", "refresh")], "process_type update");
        check(
            &[("process_type", "update"), ("updater", "grow_colmaker")],
            "refresh, prune with process_type",
        );
        check(&[("process_type", "update"), ("_kfold", "2")], "trains each model anew");
        check(&[("process_type", "update"), ("booster", "gblinear")], "no trees to update");
        check(&[("updater", "distcol,prune")], "expected grow_colmaker in place of distcol");
        check(&[("use_dask_gpu_training", "true")], "runs on the CPU");
        check(&[("_kfold", "1")], "_kfold: expected a whole number of at least 2");
        check(&[("_num_cv_round", "2")], "expected with _kfold");
        check(&[("seed", "-2147483648")], "seed: expected a whole number");
    }

    #[test]
    fn num_round_is_required() {
        let values = Hyperparameters::resolve(TABLE, &BTreeMap::new()).expect("nothing is wrong yet");
        assert!(check(&values).expect_err("required").to_string().contains("num_round is required"));
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<&str> =
            TABLE.iter().flat_map(|line| [Some(line.name), line.alias]).flatten().collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
