//! Trainings of the real library through the seam that the program uses: restarts, several hosts, rows on the disk, earlier
//! models, folds. `CLARY_SKIP_NATIVE=1` leaves them out on machines without the library.

use std::fs;
use std::path::Path;

use estimator::{Channel, Checkpoints, Cluster, Fitted, Job, Labels};
use models::xgboost::booster::{Boosted, Booster};
use models::xgboost::reader;

/// Whether the library is said not to be there.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
fn is_skipped() -> bool {
    std::env::var_os("CLARY_SKIP_NATIVE").is_some_and(|value| value == "1")
}

/// Rows of a label and `features` features; the label is above 0 where the first two features are large.
fn csv(rows: usize, features: usize, seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut line = || {
        let values: Vec<f32> = (0..features).map(|_| random.f32()).collect();
        let label = f32::from(u8::from(values[0] + values[1] + 0.3 * random.f32() > 1.1));
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        format!("{label},{}\n", values.join(","))
    };
    (0..rows).map(|_| line()).collect()
}

fn channel(folder: &Path, name: &'static str, content_type: &str, text: &str) -> Channel {
    let path = folder.join(format!("{name}.data"));
    fs::write(&path, text).expect("a writable folder");
    Channel::for_tests(name, &path, content_type, Labels::Required).expect("a content type")
}

fn fit(job: &Job) -> Fitted {
    (fit_xgboost::ESTIMATOR.fit)(job).expect("a job that can be done")
}

#[track_caller]
fn refused(job: &Job, expected: &str) {
    let error = (fit_xgboost::ESTIMATOR.fit)(job).expect_err("a job that cannot be done").to_string();
    assert!(error.contains(expected), "{expected:?} is not in {error:?}");
}

fn booster(fitted: &Fitted) -> Booster {
    let (name, bytes) = &fitted.members[0];
    reader::read(name, bytes).expect("a model file")
}

fn trees(fitted: &Fitted) -> usize {
    let Boosted::Trees(trees) = booster(fitted).boosted else { panic!("a model of trees") };
    trees.trees.len()
}

const LOGISTIC: &[(&str, &str)] =
    &[("objective", "binary:logistic"), ("num_round", "12"), ("max_depth", "4")];

#[test]
fn going_on_from_a_checkpoint_gives_the_same_trees() {
    if is_skipped() {
        return;
    }
    let check = |more: &[(&str, &str)]| {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let lines = csv(400, 5, 1);
        let train = channel(folder.path(), "train", "text/csv", &lines[..300].concat());
        let validation = channel(folder.path(), "validation", "text/csv", &lines[300..].concat());
        let run = |rounds: &str, kept: &str| {
            let settings = [LOGISTIC, more].concat();
            let mut job = Job::for_tests(&settings, &[train.clone(), validation.clone()]);
            job.hyperparameters.insert("num_round".into(), rounds.into());
            job.checkpoints = Checkpoints::new(&folder.path().join(kept), "algo-1");
            let fitted = fit(&job);
            (booster(&fitted), fitted.manifest.metrics, job.log.curve().len())
        };
        let whole = run("12", "whole");
        run("5", "parts");
        let resumed = run("12", "parts");
        assert_eq!(resumed.0.boosted, whole.0.boosted, "{more:?}");
        assert_eq!(resumed.1, whole.1, "{more:?}");
        assert!(resumed.2 < whole.2, "{more:?}: the first rounds were trained again");
    };
    check(&[]);
    check(&[("tree_method", "exact")]);
    check(&[("subsample", "0.5")]);
    check(&[("booster", "dart"), ("rate_drop", "0.3")]);
    check(&[("booster", "gblinear"), ("updater", "coord_descent")]);
    check(&[("early_stopping_rounds", "50")]);
    check(&[("booster", "gblinear"), ("updater", "coord_descent"), ("early_stopping_rounds", "50")]);
}

#[test]
fn a_checkpoint_of_another_job_is_refused_by_name() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let train = channel(folder.path(), "train", "text/csv", &csv(50, 3, 1).concat());
    let job = |more: &[(&str, &str)]| {
        let mut job = Job::for_tests(&[LOGISTIC, more].concat(), std::slice::from_ref(&train));
        job.checkpoints = Checkpoints::new(folder.path(), "algo-1");
        job
    };
    fit(&job(&[]));
    refused(&job(&[("eta", "0.7")]), "expected hyperparameter eta 0.7 as in this job, found none");
    fs::write(&train.path, csv(60, 3, 1).concat()).expect("a writable folder");
    refused(&job(&[]), "expected rows of train 60 as in this job, found 50");
}

#[test]
fn several_hosts_train_one_model() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let lines = csv(1_000, 4, 3);
    let settings = [LOGISTIC, &[("eval_metric", "logloss,accuracy"), ("nthread", "1")]].concat();
    let validation = channel(folder.path(), "validation", "text/csv", &csv(200, 4, 4).concat());
    let shard = |host: usize, rows: &[String]| {
        let place = folder.path().join(host.to_string());
        fs::create_dir_all(&place).expect("a writable folder");
        channel(&place, "train", "text/csv", &rows.concat())
    };
    let at = |cluster: Cluster, train: Channel| {
        let mut job = Job::for_tests(&settings, &[train, validation.clone()]);
        job.cluster = cluster;
        let fitted = fit(&job);
        (fitted.members, fitted.manifest.metrics)
    };
    let alone = at(Cluster::single(), shard(9, &lines));
    let hosts: Vec<_> = std::thread::scope(|scope| {
        let hosts: Vec<_> = Cluster::for_tests(2)
            .into_iter()
            .map(|cluster| {
                let rank = cluster.rank();
                let train = shard(rank, &lines[rank * 400..400 + rank * 600]);
                scope.spawn(move || at(cluster, train))
            })
            .collect();
        hosts.into_iter().map(|host| host.join().expect("no panic")).collect()
    });
    assert_eq!(hosts[0], hosts[1], "both end with the same model and the same metrics");
    for (name, found) in &hosts[0].1 {
        let (found, expected) =
            (found.as_f64().expect("a number"), alone.1[name].as_f64().expect("a number"));
        assert!((found - expected).abs() < 0.03, "{name}: {found} on two hosts, {expected} on one");
    }
}

#[test]
fn rows_on_the_disk_give_the_same_quality() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let lines = csv(10_000, 30, 5);
    let sparse = |line: &String| {
        let (label, rest) = line.trim().split_once(',').expect("a label");
        let entries: Vec<String> =
            rest.split(',').enumerate().map(|(index, value)| format!("{index}:{value}")).collect();
        format!("{label} {}\n", entries.join(" "))
    };
    for (content_type, text) in
        [("text/csv", lines.concat()), ("text/libsvm", lines.iter().map(sparse).collect::<String>())]
    {
        let train = channel(folder.path(), "train", content_type, &text);
        let settings = [LOGISTIC, &[("max_bin", "4")]].concat();
        let quality = |memory_bytes: u64| {
            let mut job = Job::for_tests(&settings, std::slice::from_ref(&train));
            job.resources.memory_bytes = memory_bytes;
            job.resources.scratch = folder.path().join("scratch");
            let fitted = fit(&job);
            let left = fs::read_dir(&job.resources.scratch).map_or(0, Iterator::count);
            assert_eq!(left, 0, "nothing is left on the disk");
            (fitted.manifest.metrics["train:logloss"].as_f64().expect("a number"), fitted.manifest.warm_up)
        };
        let (in_memory, on_disk) = (quality(1 << 30), quality((96 << 20) + 10_000 * 36 + 1_400_000));
        assert!((in_memory.0 - on_disk.0).abs() < 1e-3, "{content_type}: {in_memory:?} {on_disk:?}");
        assert_eq!(in_memory.1, on_disk.1);
    }
}

#[test]
fn what_does_not_fit_names_both_numbers() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let train = channel(folder.path(), "train", "text/csv", &csv(100, 3, 1).concat());
    for setting in [("tree_method", "exact"), ("_kfold", "2"), ("booster", "gblinear")] {
        let mut job = Job::for_tests(&[LOGISTIC, &[setting]].concat(), std::slice::from_ref(&train));
        job.resources.memory_bytes = 1000;
        let expected = if setting.0 == "_kfold" { "at most 500" } else { "at most 1000" };
        refused(&job, expected);
    }
}

#[test]
fn rounds_are_added_to_an_earlier_model() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let train = channel(folder.path(), "train", "text/csv", &csv(300, 4, 1).concat());
    let job = |more: &[(&str, &str)], model: bool| {
        let mut job = Job::for_tests(&[LOGISTIC, more].concat(), std::slice::from_ref(&train));
        job.model = model.then(|| folder.path().to_path_buf());
        job.resources.scratch = folder.path().join("scratch");
        job
    };
    let set = |job: &mut Job, name: &str, value: &str| {
        job.hyperparameters.insert(name.to_owned(), value.to_owned());
    };
    let whole = fit(&job(&[("tree_method", "exact")], false));
    let mut first = job(&[("tree_method", "exact")], false);
    set(&mut first, "num_round", "5");
    let first = fit(&first);
    first.write_archive(folder.path()).expect("a writable folder");
    let mut rest = job(&[("tree_method", "exact")], true);
    set(&mut rest, "num_round", "7");
    let both = fit(&rest);
    assert_eq!(booster(&both).boosted, booster(&whole).boosted);
    // With the leaves refreshed on the same rows, the model stays what it is, as far as f32 sums go.
    let mut update = job(&[("process_type", "update"), ("eval_metric", "logloss")], true);
    set(&mut update, "num_round", "5");
    let updated = fit(&update);
    assert_eq!(trees(&updated), 5);
    let loss = |fitted: &Fitted| fitted.manifest.metrics["train:logloss"].as_f64().expect("a number");
    assert!((loss(&updated) - loss(&first)).abs() < 1e-4, "{} {}", loss(&updated), loss(&first));
    let refuse = |name: &str, value: &str, expected: &str| {
        let mut other = job(&[], true);
        set(&mut other, name, value);
        refused(&other, expected);
    };
    refuse(
        "objective",
        "reg:squarederror",
        "expected objective reg:squarederror as in this job, found binary:logistic",
    );
    refuse("booster", "dart", "expected booster dart as in this job, found gbtree");
    fs::write(&train.path, csv(50, 3, 1).concat()).expect("a writable folder");
    refuse("eta", "0.1", "expected number of features 3 as in this job, found 4");
    refused(&job(&[("process_type", "update")], false), "update needs the channel model");
}

#[test]
fn folds_give_a_model_each_and_answers_for_every_row() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let lines = csv(200, 4, 1);
    let train = channel(folder.path(), "train", "text/csv", &lines[..150].concat());
    let validation = channel(folder.path(), "validation", "text/csv", &lines[150..].concat());
    let settings = [LOGISTIC, &[("_kfold", "4"), ("_num_cv_round", "2")]].concat();
    let fitted = fit(&Job::for_tests(&settings, &[train, validation]));
    let names: Vec<&str> = fitted.members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 8, "what was predicted is no part of the model");
    assert_eq!((names[0], names[7]), ("xgboost-model-0", "xgboost-model-7"));
    assert_eq!(fitted.outputs[0].0, "predictions.csv");
    let predictions = String::from_utf8(fitted.outputs[0].1.clone()).expect("text");
    assert_eq!(predictions.lines().count(), 200);
    let is_right = |line: &&str| {
        let cells: Vec<&str> = line.split(',').collect();
        cells[0] == cells[2]
    };
    assert!(predictions.lines().filter(is_right).count() > 170, "{predictions}");
    assert!(fitted.manifest.metrics["validation:logloss"].as_f64().expect("a number") < 0.5);
    // The artifact serves, as the mean of all.
    let path = fitted.write_archive(folder.path()).expect("a writable folder");
    let artifact = models::Artifact::open(&path, &folder.path().join("scratch")).expect("an artifact");
    artifact.load(&models::LoadOptions::default()).expect("a model");
}

#[test]
fn a_stop_request_saves_unless_it_is_told_not_to() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let train = channel(folder.path(), "train", "text/csv", &csv(2_000, 4, 1).concat());
    for (asked, is_saved) in [(None, true), (Some("true"), true), (Some("false"), false)] {
        let mut job = Job::for_tests(LOGISTIC, std::slice::from_ref(&train));
        job.hyperparameters.insert("num_round".into(), "1000000".into());
        if let Some(asked) = asked {
            job.hyperparameters.insert("save_model_on_termination".into(), asked.into());
        }
        let (stop, log) = (job.stop.clone(), job.log.clone());
        let outcome = std::thread::scope(|scope| {
            let training = scope.spawn(|| (fit_xgboost::ESTIMATOR.fit)(&job));
            while log.curve().is_empty() && !training.is_finished() {
                std::thread::yield_now();
            }
            stop.ask();
            training.join().expect("no panic")
        });
        assert_eq!(outcome.is_ok(), is_saved, "{asked:?}");
    }
}
