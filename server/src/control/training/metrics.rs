//! The metric definitions of training jobs: those that built-in algorithms bring, by the names that tuning and charts know, and
//! those of requests, read.
//!
//! The lines are those that SageMaker's own algorithms write. XGBoost's have a tab where its log service shows `#011`.

use regex::Regex;
use serde_json::{Map, Value, json};
use training::MetricDefinition;

use super::state::FinalMetric;

/// Definitions that a description lists. Reason: its shape's limit; an algorithm may have more, of which a job writes a few.
const SHOWN_MAX: usize = 40;

/// XGBoost's evaluation metrics, on either channel; the common ones first.
const XGBOOST: &[&str] = &[
    "rmse",
    "logloss",
    "error",
    "auc",
    "mlogloss",
    "merror",
    "mae",
    "accuracy",
    "f1",
    "aucpr",
    "map",
    "ndcg",
    "mse",
    "r2",
    "precision",
    "recall",
    "balanced_accuracy",
    "f1_binary",
    "f1_macro",
    "precision_macro",
    "precision_micro",
    "recall_macro",
    "recall_micro",
    "rmsle",
    "mape",
    "mphe",
    "poisson-nloglik",
    "gamma-nloglik",
    "gamma-deviance",
    "tweedie-nloglik",
    "cox-nloglik",
    "aft-nloglik",
    "interval-regression-accuracy",
    "quantile",
];

/// A linear learner's metrics on any channel, and their tokens in lines where those differ.
const LINEAR_LEARNER: &[(&str, &str)] = &[
    ("binary_classification_accuracy", ""),
    ("binary_balanced_accuracy", ""),
    ("binary_f_beta", r"binary_f_\S+"),
    ("binary_log_loss", ""),
    ("precision", ""),
    ("recall", ""),
    ("roc_auc_score", ""),
    ("multiclass_accuracy", ""),
    ("multiclass_balanced_accuracy", ""),
    ("multiclass_log_loss", ""),
    ("multiclass_top_k_accuracy", r"multiclass_top_k_accuracy_\S+"),
    ("macro_f_beta", r"macro_f_\S+"),
    ("macro_precision", ""),
    ("macro_recall", ""),
    ("dcg", ""),
    ("mse", ""),
    ("rmse", ""),
    ("mae", ""),
    ("absolute_loss", ""),
    ("r2", ""),
];

/// What factorization machines measure while they train.
const FACTORIZATION_MACHINES: &[(&str, &str)] = &[
    ("rmse", ""),
    ("mse", ""),
    ("absolute_loss", ""),
    ("binary_classification_accuracy", ""),
    ("binary_classification_cross_entropy", ""),
    ("binary_f_beta", r"binary_f_\S+"),
];

/// A definition: its name, and its pattern as it stands in descriptions.
pub(super) type Written = (String, String);

/// The definitions of a built-in algorithm.
pub(super) fn built_in(algorithm: &str) -> Vec<Written> {
    match algorithm {
        "xgboost" => xgboost(),
        "linear-learner" => linear_learner(),
        "factorization-machines" => factorization_machines(),
        "kmeans" => family(&[("test", "msd"), ("test", "ssd"), ("train", "msd")]),
        "pca" => family(&[("test", "reconstruction_mse"), ("test", "explained_variance")]),
        "knn" => family(&[("test", "accuracy"), ("test", "mse")]),
        "randomcutforest" => {
            family(&[("test", "f1"), ("test", "accuracy"), ("test", "precision"), ("test", "recall")])
        }
        "lda" => family(&[("test", "pwll")]),
        _ => Vec::new(),
    }
}

fn xgboost() -> Vec<Written> {
    let written = |channel: &str, metric: &str| {
        // A metric may have a parameter: ndcg@5.
        let pattern = format!(r"\[[0-9]+\].*(?:#011|\t){channel}-{metric}(?:@[^:\s]*)?:([^\s#]+)");
        (format!("{channel}:{metric}"), pattern)
    };
    XGBOOST
        .iter()
        .flat_map(|metric| ["train", "validation"].map(|channel| written(channel, metric)))
        .collect()
}

fn linear_learner() -> Vec<Written> {
    let mut all = Vec::new();
    for channel in ["train", "validation"] {
        let objective = r"\S+_objective";
        all.push((format!("{channel}:objective_loss"), of_epoch(channel, objective)));
        all.push((format!("{channel}:objective_loss:final"), quality(channel, objective)));
    }
    all.push(("test:objective_loss".to_owned(), quality("test", r"\S+_objective")));
    for &(name, token) in LINEAR_LEARNER {
        let token = if token.is_empty() { name } else { token };
        all.extend(
            ["validation", "test", "train"]
                .map(|channel| (format!("{channel}:{name}"), quality(channel, token))),
        );
    }
    with_progress(all)
}

fn factorization_machines() -> Vec<Written> {
    let mut all = Vec::new();
    for &(name, token) in FACTORIZATION_MACHINES {
        let token = if token.is_empty() { name } else { token };
        all.push((format!("test:{name}"), quality("test", token)));
        all.push((format!("train:{name}:epoch"), of_epoch("train", token)));
        let of_batch = format!(r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train {token} {VALUE}");
        all.push((format!("train:{name}"), of_batch));
    }
    with_progress(all)
}

/// Metrics of channels that are called as they stand in lines.
fn family(metrics: &[(&str, &str)]) -> Vec<Written> {
    let written =
        |&(channel, metric): &(&str, &str)| (format!("{channel}:{metric}"), quality(channel, metric));
    with_progress(metrics.iter().map(written).collect())
}

fn with_progress(mut all: Vec<Written>) -> Vec<Written> {
    all.extend(
        [
            ("train:progress", r"#progress_metric: host=\S+, completed (\S+) %"),
            ("train:throughput", r"#throughput_metric: host=\S+, train throughput=(\S+) records/second"),
        ]
        .map(|(name, pattern)| (name.to_owned(), pattern.to_owned())),
    );
    all
}

/// How a value stands in a line.
const VALUE: &str = r"<(?:loss|score)>=(\S+)";

fn quality(channel: &str, token: &str) -> String {
    format!(r"#quality_metric: host=\S+, {channel} {token} {VALUE}")
}

fn of_epoch(channel: &str, token: &str) -> String {
    format!(r"#quality_metric: host=\S+, epoch=\S+, {channel} {token} {VALUE}")
}

/// The definitions that a request has.
pub(super) fn requested(request: &Map<String, Value>) -> Vec<Written> {
    let specification = request.get("AlgorithmSpecification");
    let listed = specification.and_then(|members| members.get("MetricDefinitions")).and_then(Value::as_array);
    let text = |definition: &Value, member: &str| definition.get(member)?.as_str().map(str::to_owned);
    let written = |definition: &Value| Some((text(definition, "Name")?, text(definition, "Regex")?));
    listed.into_iter().flatten().filter_map(written).collect()
}

/// A definition that lines can be read for.
///
/// # Errors
/// When its pattern is none of this engine, or has no group: why, for people.
pub(super) fn compiled((name, pattern): &Written) -> Result<MetricDefinition, String> {
    let regex = Regex::new(pattern).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        format!(
            "metric {name:?}: expected a regular expression without look-around and back-references (lines are searched in \
             linear time), found {pattern:?}: {reason}"
        )
    })?;
    if regex.captures_len() < 2 {
        return Err(format!(
            "metric {name:?}: expected a regular expression whose first group is the value, found {pattern:?}, which has no group"
        ));
    }
    Ok(MetricDefinition { name: name.clone(), regex })
}

/// `MetricDefinitions` of a description: what has values first, as far as the list goes.
pub(super) fn shown(mut all: Vec<Written>, values: &[FinalMetric]) -> Value {
    all.sort_by_key(|(name, _)| !values.iter().any(|value| value.name == *name));
    all.truncate(SHOWN_MAX);
    all.into_iter().map(|(name, pattern)| json!({"Name": name, "Regex": pattern})).collect()
}

#[cfg(test)]
mod tests {
    use wire::Timestamp;

    use super::*;

    /// What the definitions of an algorithm read off a line.
    fn read(algorithm: &str, line: &str) -> Vec<(String, String)> {
        let found = built_in(algorithm).into_iter().filter_map(|written| {
            let definition = compiled(&written).expect("a definition of ours");
            let captures = definition.regex.captures(line)?;
            Some((definition.name, captures[1].to_owned()))
        });
        found.collect()
    }

    #[track_caller]
    fn check(algorithm: &str, line: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(read(algorithm, line), expected, "{line}");
    }

    #[test]
    fn the_lines_of_each_algorithm_are_read() {
        let both = [("train:rmse", "0.123"), ("validation:rmse", "1e-05")];
        check("xgboost", "[12]\ttrain-rmse:0.123\tvalidation-rmse:1e-05", &both);
        check("xgboost", "[0]#011train-rmse:0.123#011validation-rmse:1e-05", &both);
        check("xgboost", "[3]\ttrain-ndcg@5:0.5", &[("train:ndcg", "0.5")]);
        check("xgboost", "[3]\ttrain-mlogloss:0.5", &[("train:mlogloss", "0.5")]);
        check("xgboost", "train-rmse:0.1", &[]);
        let quality =
            |rest: &str| format!("[11/24/2026 10:00:00 INFO 1] #quality_metric: host=algo-1, {rest}");
        check("kmeans", &quality("train msd <loss>=0.0640"), &[("train:msd", "0.0640")]);
        check("kmeans", &quality("test ssd <loss>=12"), &[("test:ssd", "12")]);
        check(
            "kmeans",
            "#progress_metric: host=algo-1, completed 50.0 % of epochs",
            &[("train:progress", "50.0")],
        );
        let throughput = "#throughput_metric: host=algo-1, train throughput=4000.5 records/second";
        check("pca", throughput, &[("train:throughput", "4000.5")]);
        check("pca", &quality("test explained_variance <score>=0.9"), &[("test:explained_variance", "0.9")]);
        check("knn", &quality("test accuracy <score>=0.9867"), &[("test:accuracy", "0.9867")]);
        check("lda", &quality("test pwll <score>=-2.31"), &[("test:pwll", "-2.31")]);
        check("randomcutforest", &quality("test f1 <score>=0.61"), &[("test:f1", "0.61")]);
        let machines = "factorization-machines";
        check(machines, &quality("test binary_f_1.000 <score>=0.9"), &[("test:binary_f_beta", "0.9")]);
        check(machines, &quality("epoch=3, train rmse <loss>=0.19"), &[("train:rmse:epoch", "0.19")]);
        check(machines, &quality("epoch=3, batch=0 train rmse <loss>=0.2"), &[("train:rmse", "0.2")]);
        let linear = "linear-learner";
        let objective = "validation multiclass_cross_entropy_objective <loss>=0.41";
        check(linear, &quality(objective), &[("validation:objective_loss:final", "0.41")]);
        check(linear, &quality(&format!("epoch=3, {objective}")), &[("validation:objective_loss", "0.41")]);
        check(linear, &quality("test macro_f_1.000 <score>=0.9"), &[("test:macro_f_beta", "0.9")]);
        check(linear, &quality("train r2 <loss>=0.5"), &[("train:r2", "0.5")]);
        assert!(built_in("blazingtext").is_empty());
    }

    #[test]
    fn a_pattern_that_cannot_be_searched_for_says_why() {
        let check = |pattern: &str, expected: Option<&str>| {
            let found = compiled(&("m".to_owned(), pattern.to_owned())).err();
            match (found, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => panic!("{pattern}: expected {expected:?}, found {found:?}"),
            }
        };
        check(r"loss = (\d+\.\d+);", None);
        check(r"(?P<value>[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)", None);
        check(r"(?i)LOSS\s*=\s*(\S+)\b", None);
        check("loss=(?=x)(.)", Some("look-around"));
        check(r"(a)\1", Some("backreferences are not supported"));
        check("loss=([0-9", Some("unclosed"));
        check("loss=[0-9]+", Some("which has no group"));
    }

    #[test]
    fn a_description_lists_what_has_values_first() {
        let value = FinalMetric { name: "validation:aft-nloglik".into(), value: 1.0, time: Timestamp(0) };
        let shown = shown(built_in("xgboost"), &[value]);
        let shown = shown.as_array().expect("a list");
        assert_eq!(shown.len(), SHOWN_MAX);
        assert_eq!(shown[0]["Name"], "validation:aft-nloglik");
        assert_eq!(shown[1]["Name"], "train:rmse");
    }
}
