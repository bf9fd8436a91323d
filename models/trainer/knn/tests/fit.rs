//! Whole trainings of knn: what is answered, what is refused, what hosts make together.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;

use dmatrix::{DMatrix, Predictions};
use estimator::{Channel, Cluster, Fitted, Job, Labels};
use models::{Artifact, Input, LoadOptions};

/// Classes around points of a grid, so that neighbours are of one class.
fn classes(rows: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = String::new();
    for row in 0..rows {
        let label = row % 4;
        let center = [(label % 2) as f32 * 4.0, (label / 2) as f32 * 4.0, 1.0, label as f32];
        let values = center.map(|center| center + random.f32());
        writeln!(text, "{label},{},{},{},{}", values[0], values[1], values[2], values[3]).expect("a string");
    }
    text
}

fn job(folder: &Path, rows: &str, given: &[(&str, &str)]) -> Job {
    let channel = |name, text: &str| {
        let file = folder.join(format!("{name}.csv"));
        fs::write(&file, text).expect("a writable folder");
        Channel::for_tests(name, &file, "text/csv", Labels::Required).expect("CSV")
    };
    let common =
        [("feature_dim", "4"), ("k", "5"), ("predictor_type", "classifier"), ("sample_size", "100000")];
    let mut job = Job::for_tests(&common, &[channel("train", rows), channel("test", &classes(200, 99))]);
    job.hyperparameters.extend(given.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    job
}

fn train(rows: &str, given: &[(&str, &str)]) -> (Fitted, f64) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let job = job(folder.path(), rows, given);
    let fitted = (fit_knn::ESTIMATOR.fit)(&job).expect("sound");
    (fitted, job.log.recorded()[0].1)
}

fn predict(fitted: &Fitted, rows: Vec<f32>) -> Vec<Vec<f32>> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = fitted.write_archive(folder.path()).expect("a writable folder");
    let artifact = Artifact::open(&path, folder.path()).expect("an artifact");
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&DMatrix::from_dense(rows, 4)), &mut predictions).expect("sound rows");
    predictions.fields().iter().map(|field| field.values.clone()).collect()
}

#[test]
fn every_index_and_reduction_knows_the_classes() {
    let rows = classes(1_000, 1);
    let check = |given: &[(&str, &str)]| {
        let (fitted, accuracy) = train(&rows, given);
        assert!(accuracy > 0.99, "{given:?}: {accuracy}");
        assert_eq!(predict(&fitted, vec![4.5, 0.5, 1.5, 1.5])[0], [1.0], "{given:?}");
    };
    check(&[]);
    check(&[("index_metric", "COSINE"), ("k", "1")]);
    check(&[("index_type", "faiss.IVFFlat")]);
    check(&[("index_type", "faiss.IVFFlat"), ("index_metric", "COSINE"), ("k", "1")]);
    for m in ["1", "2", "3", "4", "8"] {
        check(&[("index_type", "faiss.IVFPQ"), ("faiss_index_pq_m", m)]);
    }
}

#[test]
fn reductions_are_those_of_the_model() {
    let rows = classes(1_000, 2);
    for kind in ["sign", "fjlt"] {
        for index in ["faiss.Flat", "faiss.IVFFlat"] {
            let given = [
                ("dimension_reduction_type", kind),
                ("dimension_reduction_target", "3"),
                ("index_type", index),
                ("seed", "4"),
            ];
            let (fitted, accuracy) = train(&rows, &given);
            let first: Vec<f32> = rows
                .lines()
                .next()
                .expect("a row")
                .split(',')
                .skip(1)
                .map(|cell| cell.parse().expect("a number"))
                .collect();
            assert_eq!(predict(&fitted, first)[1][0], 0.0, "a record is its own neighbour");
            assert!(accuracy > 0.6, "{kind}: {accuracy}");
        }
    }
}

#[test]
fn a_sample_is_of_the_size_that_is_asked_for() {
    let given = [("sample_size", "50"), ("k", "1000")];
    let (fitted, _) = train(&classes(1_000, 3), &given);
    assert_eq!(predict(&fitted, vec![0.0; 4])[2].len(), 50);
}

#[test]
fn a_regressor_answers_the_mean() {
    let rows = "1,0,0,0,0\n2,0,0,0,1\n9,5,5,5,5\n";
    let (fitted, _) = train(rows, &[("k", "2"), ("predictor_type", "regressor")]);
    assert_eq!(
        predict(&fitted, vec![0.0, 0.0, 0.0, 0.25]),
        [vec![1.5], vec![0.0625, 0.5625], vec![1.0, 2.0]]
    );
}

#[test]
fn equal_seeds_give_equal_bytes_on_any_number_of_threads() {
    let rows = classes(600, 4);
    let train = |threads: usize, seed: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let given = [
            ("index_type", "faiss.IVFPQ"),
            ("faiss_index_pq_m", "2"),
            ("seed", seed),
            ("sample_size", "400"),
        ];
        pool.install(|| train(&rows, &given).0.members)
    };
    assert_eq!(train(1, "5"), train(3, "5"));
    assert_ne!(train(1, "5"), train(1, "6"));
}

#[test]
fn two_hosts_hold_what_one_holds() {
    let (first, second) = (classes(300, 5), classes(200, 6));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let fit = |name: &str, rows: &str, cluster: Cluster| {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).expect("a writable folder");
        let job = Job { cluster, ..job(&folder, rows, &[("index_type", "faiss.IVFFlat")]) };
        (fit_knn::ESTIMATOR.fit)(&job).expect("sound").members
    };
    let alone = fit("alone", &format!("{first}{second}"), Cluster::single());
    let mut hosts = Cluster::for_tests(2);
    let (other, root) = (hosts.pop().expect("two"), hosts.pop().expect("two"));
    let together = thread::scope(|scope| {
        let other = scope.spawn(|| fit("other", &second, other));
        (fit("root", &first, root), other.join().expect("no panic"))
    });
    assert_eq!(together, (alone.clone(), alone));
}

#[test]
fn what_is_not_sound_is_refused() {
    let check = |rows: &str, expected: &str| {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let error =
            (fit_knn::ESTIMATOR.fit)(&job(folder.path(), rows, &[])).expect_err("unsound").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("1,2,3,4\n", "train.csv");
    check("nan,1,2,3,4\n", "train.csv");
    check("1,1,2,nan,4\n", "train.csv");
    check("", "found none");
}
