//! How good trained models are: closed forms, known optima, thresholds.

use nalgebra::{DMatrix, DVector};

use super::{binary, regression, scores, trained};

/// Least squares in closed form: weights, then the bias.
fn closed_form(rows: &[(f32, Vec<f32>)]) -> Vec<f64> {
    let columns = rows[0].1.len();
    let design = DMatrix::from_fn(rows.len(), columns + 1, |row, column| {
        rows[row].1.get(column).map_or(1.0, |value| f64::from(*value))
    });
    let labels = DVector::from_iterator(rows.len(), rows.iter().map(|(label, _)| f64::from(*label)));
    let normal = design.transpose() * &design;
    let solution = normal.cholesky().expect("features are independent").solve(&(design.transpose() * labels));
    solution.iter().copied().collect()
}

fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    let square =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = found.iter().zip(expected).map(|(found, expected)| f64::from(*found) - expected);
    square(&mut { difference }) / square(&mut expected.iter().copied())
}

#[test]
fn squared_loss_ends_at_the_closed_form() {
    let rows = regression(1000, 2.0, 11);
    let expected = closed_form(&rows);
    for (optimizer, learning_rate) in [("adam", "0.005"), ("sgd", "0.01"), ("rmsprop", "0.001")] {
        let given = [
            ("predictor_type", "regressor"),
            ("l1", "0"),
            ("wd", "0"),
            ("num_models", "1"),
            ("epochs", "500"),
            ("mini_batch_size", "100"),
            ("early_stopping_patience", "500"),
            ("optimizer", optimizer),
            ("learning_rate", learning_rate),
            ("bias_lr_mult", "1"),
        ];
        let (_, model) = trained(&given, &rows);
        let error = relative_error(model.weight(), &expected[..4]);
        assert!(error <= 0.01, "{optimizer}: {error}");
        assert!((f64::from(model.bias()[0]) - expected[4]).abs() < 0.2, "{optimizer}");
    }
}

#[test]
fn quantiles_cover_their_share() {
    let rows = regression(2000, 2.0, 12);
    for quantile in ["0.1", "0.5", "0.9"] {
        let given = [("predictor_type", "regressor"), ("loss", "quantile_loss"), ("quantile", quantile)];
        let given = [&given[..], &[("mini_batch_size", "100"), ("epochs", "40")]].concat();
        let (_, model) = trained(&given, &rows);
        let below = scores(&model, &rows).iter().zip(&rows).filter(|(score, row)| row.0 <= **score).count();
        let expected: f64 = quantile.parse().expect("a number");
        let coverage = below as f64 / rows.len() as f64;
        assert!((coverage - expected).abs() < 0.03, "{quantile}: {coverage}");
    }
}

#[test]
fn every_regression_loss_finds_the_line() {
    let rows = regression(1000, 0.5, 13);
    for loss in [
        "squared_loss",
        "absolute_loss",
        "quantile_loss",
        "huber_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
    ] {
        let given = [("predictor_type", "regressor"), ("loss", loss), ("mini_batch_size", "50")];
        let (fitted, _) = trained(&given, &rows);
        let r2 = fitted.manifest.metrics["train:r2"].as_f64().expect("a number");
        assert!(r2 > 0.99, "{loss}: {r2}");
    }
}

#[test]
fn l1_leaves_exact_zeros() {
    let mut rows = regression(1000, 0.5, 14);
    let mut random = fastrand::Rng::with_seed(1);
    rows.iter_mut().for_each(|(_, values)| values.extend([random.f32(), random.f32()]));
    let given = [
        ("predictor_type", "regressor"),
        ("l1", "0.1"),
        ("wd", "0"),
        ("mini_batch_size", "100"),
        ("epochs", "50"),
        ("early_stopping_patience", "50"),
        ("num_models", "1"),
    ];
    let (_, model) = trained(&given, &rows);
    let weights = model.weight();
    assert!(weights[4..].iter().all(|weight| *weight == 0.0), "{weights:?}");
    assert!(weights[..4].iter().all(|weight| *weight != 0.0), "{weights:?}");
}

#[test]
fn probabilities_are_calibrated() {
    let rows = binary(4000, 15);
    for loss in ["logistic", "hinge_loss"] {
        let given = [("predictor_type", "binary_classifier"), ("loss", loss), ("mini_batch_size", "100")];
        let (fitted, _) = trained(&given, &rows);
        let metric = |name: &str| fitted.manifest.metrics[name].as_f64().expect("a number");
        // What the function that labels were drawn from reaches: 0.846, and 0.92 of the area.
        assert!(metric("train:binary_classification_accuracy") > 0.83, "{loss}");
        assert!(metric("train:roc_auc_score") > 0.9, "{loss}");
    }
}

#[test]
fn thresholds_meet_their_targets() {
    let rows = binary(1500, 16);
    let mut before = f64::INFINITY;
    for target in ["0.3", "0.6", "0.8", "0.95"] {
        let given = [
            ("predictor_type", "binary_classifier"),
            ("binary_classifier_model_selection_criteria", "precision_at_target_recall"),
            ("target_recall", target),
            ("epochs", "5"),
            ("num_models", "1"),
            ("mini_batch_size", "100"),
            ("early_stopping_patience", "5"),
        ];
        let (fitted, model) = trained(&given, &rows);
        let threshold = fitted.manifest.threshold.expect("a binary classifier has one");
        let found = scores(&model, &rows);
        let positives = rows.iter().filter(|row| row.0 == 1.0).count() as f64;
        let hits =
            found.iter().zip(&rows).filter(|(score, row)| row.0 == 1.0 && f64::from(**score) > threshold);
        let recall = hits.count() as f64 / positives;
        assert!(recall >= target.parse().expect("a number"), "{target}: {recall}");
        assert_eq!(fitted.manifest.metrics["train:recall"].as_f64(), Some(recall));
        assert!(threshold <= before, "{target}");
        before = threshold;
    }
}

#[test]
fn positive_rows_weigh_what_is_asked() {
    let rows: Vec<(f32, Vec<f32>)> = binary(3000, 17)
        .into_iter()
        .enumerate()
        .filter(|(i, row)| row.0 == 0.0 || i % 10 == 0)
        .map(|r| r.1)
        .collect();
    let recall = |weight: &str| {
        let given = [
            ("predictor_type", "binary_classifier"),
            ("positive_example_weight_mult", weight),
            ("binary_classifier_model_selection_criteria", "loss_function"),
            ("mini_batch_size", "100"),
        ];
        trained(&given, &rows).0.manifest.metrics["train:recall"].as_f64().expect("a number")
    };
    let (plain, balanced) = (recall("1.0"), recall("balanced"));
    assert!(balanced > plain + 0.2, "{balanced} is not above {plain}");
    assert!(recall("auto") >= 0.0);
}
