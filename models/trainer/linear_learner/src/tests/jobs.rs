//! What a job may ask for, and how it ends: stop, checkpoints, earlier models, early stopping, bad input.

use estimator::{Checkpoints, Cluster, Job};

use super::{Files, binary, blobs, channel, fit, model, regression, scores};

const REGRESSOR: (&str, &str) = ("predictor_type", "regressor");

#[test]
fn a_killed_training_goes_on_with_the_same_bits() {
    let files = Files::new();
    let train = channel("train", &files.write("train.csv", &binary(500, 1)));
    let run = |epochs: &str, folder: Option<&str>| {
        let given = [
            ("predictor_type", "binary_classifier"),
            ("epochs", epochs),
            ("mini_batch_size", "64"),
            ("early_stopping_patience", "100"),
        ];
        let mut job = Job::for_tests(&given, std::slice::from_ref(&train));
        if let Some(folder) = folder {
            job.checkpoints = Checkpoints::new(&files.folder().join(folder), "algo-1");
        }
        let fitted = fit(&job).expect("good data");
        (fitted.members, fitted.manifest.threshold)
    };
    let whole = run("6", None);
    let part = run("3", Some("kept"));
    assert_ne!(whole, part);
    assert_eq!(run("6", Some("kept")), whole);
    // All epochs are done: the same again.
    assert_eq!(run("6", Some("kept")), whole);
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let files = Files::new();
    let run = |wd: &str, rows: &[(f32, Vec<f32>)]| {
        let train = channel("train", &files.write("train.csv", rows));
        let mut job = Job::for_tests(&[REGRESSOR, ("wd", wd), ("epochs", "2")], &[train]);
        job.checkpoints = Checkpoints::new(&files.folder().join("kept"), "algo-1");
        fit(&job).map_err(|error| error.to_string())
    };
    let rows = regression(50, 1.0, 1);
    run("0.1", &rows).expect("good data");
    let error = run("0.2", &rows).expect_err("another wd");
    assert!(error.contains("wd=0.2") && error.contains("wd=0.1"), "{error}");
    let error = run("0.1", &regression(50, 1.0, 2)).expect_err("other rows");
    assert!(error.contains("expected one of the same data"), "{error}");
}

#[test]
fn a_stop_in_training_ends_with_a_model() {
    let files = Files::new();
    let rows = regression(400, 1.0, 1);
    let train = channel("train", &files.write("train.csv", &rows));
    let job = Job::for_tests(&[REGRESSOR, ("mini_batch_size", "50"), ("epochs", "100000")], &[train]);
    let stop = job.stop.clone();
    // Opening a channel that is asked to stop gives no model; a flag that comes later does.
    stop.ask();
    assert_eq!(fit(&job).expect_err("no batch is done").exit_code(), 143);
    let given =
        [REGRESSOR, ("mini_batch_size", "10"), ("epochs", "100000"), ("early_stopping_patience", "100000")];
    let job = Job::for_tests(&given, &[channel("train", &files.folder().join("train.csv"))]);
    let (stop, log) = (job.stop.clone(), job.log.clone());
    let fitted = std::thread::scope(|scope| {
        let training = scope.spawn(|| fit(&job));
        // The curve has a point once an epoch is over.
        while log.curve().is_empty() && !training.is_finished() {
            std::thread::yield_now();
        }
        stop.ask();
        training.join().expect("no panic")
    });
    let fitted = fitted.expect("a model of the epochs before");
    assert_eq!(model(&fitted).weight().len(), 4);
    assert!(fitted.manifest.metrics.contains_key("train:mse"));
}

#[test]
fn early_stopping_ends_before_the_last_epoch() {
    let files = Files::new();
    let train = channel("train", &files.write("train.csv", &regression(400, 1.0, 1)));
    let run = |patience: &str| {
        let given =
            [REGRESSOR, ("epochs", "200"), ("early_stopping_patience", patience), ("mini_batch_size", "50")];
        let job = Job::for_tests(&given, std::slice::from_ref(&train));
        fit(&job).expect("good data");
        job.log.curve().len()
    };
    let (hasty, patient) = (run("2"), run("40"));
    assert!(hasty < patient && hasty < 100, "{hasty} {patient}");
}

#[test]
fn an_earlier_model_is_gone_on_from() {
    let files = Files::new();
    let train = channel("train", &files.write("train.csv", &regression(500, 1.0, 1)));
    let given = [REGRESSOR, ("mini_batch_size", "50"), ("epochs", "30")];
    let first = fit(&Job::for_tests(&given, std::slice::from_ref(&train))).expect("good data");
    let folder = files.folder().join("model");
    first.write_archive(&folder).expect("a writable folder");
    // No step worth the name: what is written is what was read.
    let still =
        [REGRESSOR, ("epochs", "1"), ("learning_rate", "1e-12"), ("lr_scheduler_minimum_lr", "1e-12")];
    let mut job = Job::for_tests(&still, std::slice::from_ref(&train));
    for path in [folder.clone(), folder.join("model.tar.gz")] {
        job.model = Some(path);
        let second = fit(&job).expect("an earlier model");
        for (found, expected) in model(&second).weight().iter().zip(model(&first).weight()) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }
    let refused = |given: &[(&str, &str)], rows: &[(f32, Vec<f32>)], expected: &str| {
        let mut job = Job::for_tests(given, &[channel("train", &files.write("other.csv", rows))]);
        job.model = Some(folder.clone());
        let error = fit(&job).expect_err("another model").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let binary = binary(50, 1);
    refused(
        &[("predictor_type", "binary_classifier")],
        &binary,
        "expected binary_classifier, found regressor",
    );
    refused(&[REGRESSOR, ("loss", "huber_loss")], &binary, "loss: expected huber_loss, found squared_loss");
    refused(&[REGRESSOR], &blobs(50, 1), "feature_dim: expected 2, found 4");
}

#[test]
fn validation_and_test_are_scored() {
    let files = Files::new();
    let rows = binary(600, 1);
    let channels = [
        channel("train", &files.write("train.csv", &rows[..300])),
        channel("validation", &files.write("validation.csv", &rows[300..450])),
        channel("test", &files.write("test.csv", &rows[450..])),
    ];
    let job =
        Job::for_tests(&[("predictor_type", "binary_classifier"), ("mini_batch_size", "50")], &channels);
    let fitted = fit(&job).expect("good data");
    let recorded = job.log.recorded();
    for channel in ["train", "validation", "test"] {
        for name in [
            "binary_classification_cross_entropy_objective",
            "binary_classification_accuracy",
            "precision",
            "recall",
            "binary_f_1.000",
            "binary_balanced_accuracy",
            "binary_log_loss",
            "roc_auc_score",
        ] {
            let name = format!("{channel}:{name}");
            let value = recorded.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            assert!(value.is_some_and(|value| (0.0..=1.0).contains(&value)), "{name}: {value:?}");
            assert_eq!(fitted.manifest.metrics[&name].as_f64(), value, "{name}");
        }
    }
    assert!(fitted.manifest.details["best_hyperparameters"]["learning_rate"].as_f64().is_some());
    let (read, unknown) =
        models::Manifest::from_json(&fitted.manifest.to_json()).expect("what is written is read");
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(read.threshold, fitted.manifest.threshold);
}

#[test]
fn what_is_wrong_is_named() {
    let files = Files::new();
    let check = |given: &[(&str, &str)], rows: &[(f32, Vec<f32>)], expected: &str| {
        let job = Job::for_tests(given, &[channel("train", &files.write("train.csv", rows))]);
        let error = fit(&job).expect_err("something is wrong");
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let rows = regression(20, 1.0, 1);
    let classes = blobs(30, 1);
    let binary = ("predictor_type", "binary_classifier");
    let multiclass = ("predictor_type", "multiclass_classifier");
    check(&[], &rows, "hyperparameter predictor_type is required");
    check(&[("predictor_type", "ranker")], &rows, "expected one of binary_classifier");
    check(&[REGRESSOR, ("loss", "logistic")], &rows, "hyperparameter loss: expected auto, squared_loss");
    check(&[binary, ("loss", "softmax_loss")], &rows, "expected auto, logistic or hinge_loss");
    check(&[multiclass], &classes, "hyperparameter num_classes is required");
    check(
        &[multiclass, ("num_classes", "2")],
        &classes,
        "num_classes: expected a whole number in [3, 1000000]",
    );
    check(&[binary], &classes, "whole numbers from 0 to 1 with predictor_type binary_classifier, found 2");
    check(&[multiclass, ("num_classes", "3")], &rows, "whole numbers from 0 to 2");
    check(&[REGRESSOR, ("positive_example_weight_mult", "balanced")], &rows, "positive_example_weight_mult");
    check(&[REGRESSOR, ("feature_dim", "7")], &rows, "train.csv");
    check(&[REGRESSOR, ("quantile", "1")], &rows, "quantile: expected a number in (0, 1)");
    check(&[REGRESSOR, ("epoch", "1")], &rows, "unknown hyperparameter \"epoch\"");
    check(&[REGRESSOR], &[(1.0, vec![f32::NAN, 1.0])], "row 1");
    check(&[REGRESSOR], &[(f32::NAN, vec![1.0, 1.0])], "row 1");
}

/// Two hosts with unequal parts of the rows end with the same model, as good as that of one host with all of them.
#[test]
fn two_hosts_are_as_good_as_one() {
    let files = Files::new();
    let rows = binary(1200, 1);
    let given = [("predictor_type", "binary_classifier"), ("epochs", "8"), ("num_models", "8")];
    let single = [&given[..], &[("mini_batch_size", "100")]].concat();
    let one = fit(&Job::for_tests(&single, &[channel("train", &files.write("all.csv", &rows))]))
        .expect("good data");
    let shared = [&given[..], &[("mini_batch_size", "50")]].concat();
    let parts = [files.write("a.csv", &rows[..500]), files.write("b.csv", &rows[500..])];
    let jobs = Cluster::for_tests(2).into_iter().zip(&parts).map(|(cluster, path)| {
        let mut job = Job::for_tests(&shared, &[channel("train", path)]);
        job.cluster = cluster;
        job
    });
    let running: Vec<_> = jobs.map(|job| std::thread::spawn(move || fit(&job))).collect();
    let mut both = running.into_iter().map(|host| host.join().expect("no panic").expect("good data"));
    let (first, second) = (both.next().expect("a host"), both.next().expect("a host"));
    assert_eq!(first.members, second.members);
    assert_eq!(first.manifest.threshold, second.manifest.threshold);
    for (found, expected) in scores(&model(&first), &rows).iter().zip(scores(&model(&one), &rows)) {
        assert!((found - expected).abs() < 0.05, "{found} is not {expected}");
    }
}
