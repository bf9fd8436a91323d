//! Whole trainings of kmeans: what is recovered, what is refused, where it goes on.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;

use dmatrix::{DMatrix, Predictions};
use estimator::{Channel, Checkpoints, Cluster, Fitted, Job, Labels};
use models::{Artifact, Input, LoadOptions};

/// The standard deviation of the blobs.
const SIGMA: f64 = 0.5;
const CENTERS: [[f64; 2]; 4] = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]];

/// Normal numbers by Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (random.f64() * std::f64::consts::TAU).cos()
}

/// Blobs around the centers, in turn.
fn blobs(rows: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = String::new();
    for row in 0..rows {
        let [x, y] = CENTERS[row % CENTERS.len()].map(|center| center + SIGMA * normal(&mut random));
        writeln!(text, "{x},{y}").expect("a string");
    }
    text
}

fn job(folder: &Path, rows: &str, given: &[(&str, &str)]) -> Job {
    let file = folder.join("rows.csv");
    fs::write(&file, rows).expect("a writable folder");
    let channel =
        |name| Channel::for_tests(name, &file, "text/csv;label_size=0", Labels::Ignored).expect("CSV");
    let common = [("feature_dim", "2"), ("k", "4"), ("init_method", "kmeans++")];
    Job::for_tests(&[&common[..], given].concat(), &[channel("train"), channel("test")])
}

fn train(rows: &str, given: &[(&str, &str)]) -> (Fitted, Vec<(String, f64)>) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let job = job(folder.path(), rows, given);
    let fitted = (fit_kmeans::ESTIMATOR.fit)(&job).expect("sound");
    (fitted, job.log.recorded())
}

/// What the trained artifact answers: the nearest centers and their distances.
fn predict(fitted: &Fitted, rows: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = fitted.write_archive(folder.path()).expect("a writable folder");
    let artifact = Artifact::open(&path, folder.path()).expect("an artifact");
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&DMatrix::from_dense(rows, 2)), &mut predictions).expect("sound rows");
    (predictions.fields()[0].values.clone(), predictions.fields()[1].values.clone())
}

fn refused(rows: &str, given: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a scratch folder");
    (fit_kmeans::ESTIMATOR.fit)(&job(folder.path(), rows, given)).expect_err("unsound").to_string()
}

#[test]
fn centers_of_blobs_are_found_again() {
    let (fitted, metrics) =
        train(&blobs(40_000, 1), &[("mini_batch_size", "1000"), ("eval_metrics", "[\"msd\",\"ssd\"]")]);
    let (nearest, distances) =
        predict(&fitted, CENTERS.as_flattened().iter().map(|value| *value as f32).collect());
    let mut different = nearest.clone();
    different.sort_by(f32::total_cmp);
    assert_eq!(different, [0.0, 1.0, 2.0, 3.0]);
    assert!(distances.iter().all(|distance| f64::from(*distance) < 0.05 * SIGMA), "{distances:?}");
    let metric = |name: &str| metrics.iter().find(|(known, _)| known == name).expect("told of").1;
    assert!((metric("test:msd") - 2.0 * SIGMA * SIGMA).abs() < 0.02, "{metrics:?}");
    assert!((metric("test:ssd") - 40_000.0 * metric("test:msd")).abs() < 1e-6 * metric("test:ssd"));
}

#[test]
fn equal_seeds_give_equal_bytes_on_any_number_of_threads() {
    let rows = blobs(3_000, 2);
    let train = |threads: usize, seed: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| train(&rows, &[("mini_batch_size", "700"), ("seed", seed)]).0.members)
    };
    assert_eq!(train(1, "5"), train(3, "5"));
    assert_ne!(train(1, "5"), train(1, "6"));
}

#[test]
fn one_cluster_is_the_mean() {
    let (fitted, _) = train("1,2\n3,4\n5,9\n", &[("k", "1"), ("extra_center_factor", "1")]);
    assert_eq!(predict(&fitted, vec![3.0, 5.0]), (vec![0.0], vec![0.0]));
}

#[test]
fn records_that_are_all_the_same_are_answered() {
    let (fitted, metrics) = train(&"1,2\n".repeat(8), &[]);
    assert_eq!(predict(&fitted, vec![1.0, 2.0]), (vec![0.0], vec![0.0]), "of equal centers the first");
    assert!(metrics.contains(&("test:msd".into(), 0.0)));
}

#[test]
fn what_is_not_sound_is_refused() {
    let check = |rows: &str, given: &[(&str, &str)], expected: &str| {
        let found = refused(rows, given);
        assert!(found.contains(expected), "{found}");
    };
    check("1,2\n3,4\n", &[], "expected at least k = 4 records, found 2");
    check("1,2\n1,2,3\n", &[], "rows.csv");
    check("1,nan\n", &[], "rows.csv");
    check("", &[], "expected rows");
    check("1,2\n", &[("feature_dim", "3")], "3");
}

#[test]
fn a_stop_before_the_first_records_leaves_no_model() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let job = job(folder.path(), &blobs(100, 3), &[]);
    job.stop.ask();
    assert_eq!((fit_kmeans::ESTIMATOR.fit)(&job).expect_err("no model").exit_code(), 143);
}

#[test]
fn a_stop_ends_with_the_model_so_far() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let given = [("mini_batch_size", "100"), ("epochs", "100000000")];
    let job = job(folder.path(), &blobs(3_000, 3), &given);
    let (stop, log) = (job.stop.clone(), job.log.clone());
    let asker = thread::spawn(move || {
        while log.curve().is_empty() {
            thread::yield_now();
        }
        stop.ask();
    });
    let fitted = (fit_kmeans::ESTIMATOR.fit)(&job).expect("the model so far");
    asker.join().expect("it ends once an epoch is done");
    assert!(f64::from(predict(&fitted, vec![10.0, 10.0]).1[0]) < SIGMA);
}

#[test]
fn a_training_goes_on_from_its_checkpoint() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let rows = blobs(2_000, 4);
    let fit = |epochs: &str, k: &str| {
        let mut job = job(folder.path(), &rows, &[("mini_batch_size", "500"), ("epochs", epochs)]);
        job.hyperparameters.insert("k".into(), k.into());
        job.checkpoints = Checkpoints::new(folder.path(), "algo-1");
        let fitted = (fit_kmeans::ESTIMATOR.fit)(&job);
        (fitted, job.log.curve())
    };
    let (whole, curve) = fit("3", "4");
    assert_eq!(curve.len(), 3);
    let (again, curve) = fit("3", "4");
    assert_eq!(curve.len(), 0, "all epochs are done");
    let center = |fitted: &Fitted| predict(fitted, vec![10.0, 10.0]).1;
    assert_eq!(center(&whole.expect("sound")), center(&again.expect("sound")));
    let error = fit("3", "5").0.expect_err("another training's").to_string();
    assert!(error.contains("k=4") && error.contains("k=5"), "{error}");
}

#[test]
fn a_training_goes_on_from_a_model() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let given = [("mini_batch_size", "500")];
    let first = job(folder.path(), &blobs(2_000, 5), &given);
    let path =
        (fit_kmeans::ESTIMATOR.fit)(&first).expect("sound").write_archive(folder.path()).expect("writable");
    let mut next = job(folder.path(), &blobs(20_000, 6), &given);
    next.model = Some(path.clone());
    let fitted = (fit_kmeans::ESTIMATOR.fit)(&next).expect("sound");
    let (_, distances) = predict(&fitted, vec![10.0, 10.0]);
    assert!(f64::from(distances[0]) < 0.05 * SIGMA, "{distances:?}");
    next.hyperparameters.insert("k".into(), "3".into());
    let error = (fit_kmeans::ESTIMATOR.fit)(&next).expect_err("another k").to_string();
    assert_eq!(error, "channel model: expected k = 3 centroids, found 4");
}

#[test]
fn two_hosts_are_as_good_as_one() {
    let (first, second) = (blobs(10_000, 7), blobs(6_000, 8));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let fit = |name: &str, rows: &str, batch: &str, cluster: Cluster| {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).expect("a writable folder");
        let job = Job { cluster, ..job(&folder, rows, &[("mini_batch_size", batch), ("epochs", "2")]) };
        (fit_kmeans::ESTIMATOR.fit)(&job).expect("sound")
    };
    let mut hosts = Cluster::for_tests(2);
    let (other, root) = (hosts.pop().expect("two"), hosts.pop().expect("two"));
    let (at_root, at_other) = thread::scope(|scope| {
        let other = scope.spawn(|| fit("other", &second, "500", other));
        (fit("root", &first, "500", root), other.join().expect("no panic"))
    });
    assert_eq!(at_root.members, at_other.members);
    let rows = format!("{first}{second}");
    let alone = fit("alone", &rows, "1000", Cluster::single());
    let values: Vec<f32> = rows.split([',', '\n']).filter_map(|cell| cell.parse().ok()).collect();
    let msd = |fitted: &Fitted| {
        let distances = predict(fitted, values.clone()).1;
        distances.iter().map(|distance| f64::from(*distance).powi(2)).sum::<f64>() / distances.len() as f64
    };
    let (together, alone) = (msd(&at_root), msd(&alone));
    assert!((together / alone - 1.0).abs() < 0.01, "{together} is not {alone}");
}
