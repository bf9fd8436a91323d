//! Samples and trees, hosts against one, what a channel and a setting may not be.

use std::fs;
use std::path::Path;

use dmatrix::Predictions;
use estimator::{Channel, Cluster, Labels};
use models::Input;

use super::*;

fn csv(rows: &[Vec<f32>]) -> String {
    rows.iter().map(|row| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n").collect()
}

fn channel(folder: &Path, name: &'static str, text: &str, content_type: &str, labels: Labels) -> Channel {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file");
    Channel::for_tests(name, &path, content_type, labels).expect("a content type")
}

fn train(rows: &[Vec<f32>], given: &[(&str, &str)]) -> Result<Fitted, String> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let train = channel(folder.path(), "train", &csv(rows), "text/csv;label_size=0", Labels::Ignored);
    fit(&Job::for_tests(given, &[train])).map_err(|error| error.to_string())
}

fn model(fitted: &Fitted) -> RandomCutForest {
    let (file, bytes) = &fitted.members[0];
    RandomCutForest::from_safetensors(file, bytes, &fitted.manifest).expect("what was just written")
}

fn scores(fitted: &Fitted, rows: &[Vec<f32>]) -> Vec<f32> {
    let mut predictions = Predictions::new();
    let rows = DMatrix::from_dense(rows.concat(), rows[0].len());
    model(fitted).predict(Input::Rows(&rows), &mut predictions).expect("finite");
    predictions.fields()[0].values.clone()
}

fn normal(random: &mut Rng) -> f32 {
    let (radius, angle) = ((-2.0 * (1.0 - random.f64()).ln()).sqrt(), random.f64() * std::f64::consts::TAU);
    (radius * angle.cos()) as f32
}

/// The share of pairs (anomaly, normal row) that stand in the right order.
fn area(scores: &[f32], anomalies: &[bool]) -> f64 {
    let of =
        |wanted: bool| scores.iter().zip(anomalies).filter(move |(_, is)| **is == wanted).map(|(s, _)| *s);
    let mut wins = 0.0;
    for anomaly in of(true) {
        wins += of(false)
            .map(|other| f64::from(u8::from(anomaly > other)) + if anomaly == other { 0.5 } else { 0.0 })
            .sum::<f64>();
    }
    wins / (of(true).count() * of(false).count()) as f64
}

#[test]
fn spikes_in_a_wave_are_the_four_highest_scores() {
    const SPIKES: [usize; 4] = [500, 1500, 2500, 3500];
    let mut random = Rng::with_seed(1);
    let wave = |time: usize| {
        let spike = if SPIKES.contains(&time) { 40.0 } else { 0.0 };
        let angle = std::f32::consts::TAU * time as f32 / 48.0;
        vec![50.0 + 10.0 * angle.sin() + normal(&mut random) + spike]
    };
    let rows: Vec<Vec<f32>> = (0..4000).map(wave).collect();
    for seed in ["0", "1", "2", "3", "4"] {
        for sampling in ["partition", "independent"] {
            let given = [("feature_dim", "1"), ("num_trees", "50"), ("sampling", sampling), ("seed", seed)];
            let found = scores(&train(&rows, &given).expect("sound rows"), &rows);
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.sort_by(|left, right| found[*right].total_cmp(&found[*left]));
            order.truncate(4);
            order.sort_unstable();
            assert_eq!(order, SPIKES, "{sampling}, seed {seed}");
        }
    }
}

#[test]
fn points_between_two_clouds_are_found() {
    let mut random = Rng::with_seed(2);
    let (mut rows, mut anomalies) = (Vec::new(), Vec::new());
    for place in 0..4000 {
        let row = match place % 100 {
            0 => vec![random.f32() * 40.0 - 15.0, random.f32() * 40.0 - 15.0],
            place if place % 2 == 0 => vec![normal(&mut random), normal(&mut random)],
            _ => vec![10.0 + normal(&mut random), 10.0 + normal(&mut random)],
        };
        rows.push(row);
        anomalies.push(place % 100 == 0);
    }
    for sampling in ["partition", "independent"] {
        let given = [("feature_dim", "2"), ("sampling", sampling)];
        let found = area(&scores(&train(&rows, &given).expect("sound rows"), &rows), &anomalies);
        assert!(found >= 0.95, "{sampling}: {found}");
    }
}

/// Whole numbers, so that a shift is exact.
fn lattice(rows: usize, columns: usize) -> Vec<Vec<f32>> {
    let mut random = Rng::with_seed(5);
    (0..rows).map(|_| (0..columns).map(|_| random.i32(-1000..1000) as f32).collect()).collect()
}

#[test]
fn a_shift_changes_no_score() {
    let rows = lattice(500, 3);
    let shifted: Vec<Vec<f32>> =
        rows.iter().map(|row| row.iter().map(|value| value + 4096.0).collect()).collect();
    let given = [("feature_dim", "3"), ("num_trees", "50")];
    let here = scores(&train(&rows, &given).expect("sound rows"), &rows);
    let there = scores(&train(&shifted, &given).expect("sound rows"), &shifted);
    for (here, there) in here.iter().zip(there) {
        assert!((here - there).abs() < 1e-6, "{here} {there}");
    }
}

#[test]
fn duplicates_score_lower() {
    let mut rows = lattice(200, 2);
    let lone = rows[0].clone();
    rows.extend(vec![rows[1].clone(); 50]);
    let given = [("feature_dim", "2"), ("num_trees", "50"), ("sampling", "independent")];
    let found = scores(&train(&rows, &given).expect("sound rows"), &[lone, rows[1].clone()]);
    assert!(found[1] < 0.7 * found[0], "{found:?}");
}

#[test]
fn bytes_depend_neither_on_threads_nor_on_the_batch() {
    let rows = lattice(3000, 4);
    let bytes = |threads: usize, batch: &str, seed: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let given = [
            ("feature_dim", "4"),
            ("num_samples_per_tree", "20"),
            ("mini_batch_size", batch),
            ("seed", seed),
        ];
        pool.install(|| train(&rows, &given)).expect("sound rows").members
    };
    assert_eq!(bytes(1, "7", "0"), bytes(3, "1000", "0"));
    assert_ne!(bytes(1, "7", "0"), bytes(1, "7", "1"));
}

#[test]
fn sparse_rows_are_dense_rows() {
    let mut rows = lattice(300, 4);
    rows.iter_mut().for_each(|row| row[1] = 0.0);
    let text: String = rows.iter().map(|row| format!("0 0:{} 2:{} 3:{}\n", row[0], row[2], row[3])).collect();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let sparse = channel(folder.path(), "train", &text, "text/libsvm", Labels::Ignored);
    let given = [("feature_dim", "4"), ("num_trees", "50")];
    let found = fit(&Job::for_tests(&given, &[sparse])).expect("sparse rows");
    assert_eq!(found.members, train(&rows, &given).expect("dense rows").members);
}

#[test]
fn hosts_end_with_one_forest_over_all_rows() {
    let rows = lattice(600, 2);
    let train = |(host, cluster): (usize, Cluster)| {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let part: Vec<Vec<f32>> = if host == 0 { rows[..100].to_vec() } else { rows[100..].to_vec() };
        let train = channel(folder.path(), "train", &csv(&part), "text/csv;label_size=0", Labels::Ignored);
        let given = [("feature_dim", "2"), ("num_trees", "50"), ("num_samples_per_tree", "10")];
        fit(&Job { cluster, ..Job::for_tests(&given, &[train]) }).expect("sound rows")
    };
    let found: Vec<Fitted> = std::thread::scope(|scope| {
        let hosts: Vec<_> = Cluster::for_tests(2).into_iter().enumerate().collect();
        let train = &train;
        let threads: Vec<_> = hosts.into_iter().map(|host| scope.spawn(move || train(host))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a host")).collect()
    });
    assert_eq!(found[0].members, found[1].members);
    assert_eq!(found[0].manifest.details["num_samples_per_tree"], json!(10));
    // 500 of 600 rows are in the forest; a row of the sample is worth less than a stranger beside it.
    let mean = |values: Vec<f32>| values.iter().sum::<f32>() / values.len() as f32;
    let far: Vec<Vec<f32>> = rows.iter().map(|row| vec![row[0] + 5000.0, row[1]]).collect();
    assert!(mean(scores(&found[0], &rows)) < 0.5 * mean(scores(&found[0], &far)));
}

#[test]
fn the_test_channel_is_scored() {
    let mut rows: Vec<Vec<f32>> = lattice(400, 2);
    let given = [("feature_dim", "2"), ("num_trees", "50")];
    let folder = tempfile::tempdir().expect("a scratch folder");
    let train = channel(folder.path(), "train", &csv(&rows), "text/csv;label_size=0", Labels::Ignored);
    rows.push(vec![90_000.0, -90_000.0]);
    let label =
        |(place, row): (usize, &Vec<f32>)| [vec![f32::from(u8::from(place == 400))], row.clone()].concat();
    let labelled: Vec<Vec<f32>> = rows.iter().enumerate().map(label).collect();
    let test = |text: &str| channel(folder.path(), "test", text, "text/csv;label_size=1", Labels::Required);
    let job = Job::for_tests(&given, &[train.clone(), test(&csv(&labelled))]);
    let metrics = fit(&job).expect("sound rows").manifest.metrics;
    assert_eq!(metrics["test:recall"], json!(1.0), "{metrics:?}");
    assert!(metrics["test:accuracy"].as_f64().expect("a number") > 0.9, "{metrics:?}");
    assert_eq!(job.log.recorded().len(), 4);
    let error =
        fit(&Job::for_tests(&given, &[train, test("0,1,2\n2,1,1\n")])).expect_err("no label").to_string();
    assert_eq!(error, "channel test, row 2: expected the label 0 (normal) or 1 (anomaly), found 2");
}

#[test]
fn the_forest_is_described() {
    let settings =
        Settings::of(&Job::for_tests(&[("feature_dim", "1"), ("num_trees", "50")], &[])).expect("sound");
    let found = forest_info(&settings, 80, &[(3, 1), (5, 2)], 99);
    let expected = "ForestInfo{num_trees: 50, num_samples_in_forest: 4000, num_samples_per_tree: 80, sample_dim: 1, \
                    shingle_size: 1, trees_num_nodes: [3, 5], trees_depth: [1, 2], max_num_nodes: 5, min_num_nodes: 3, \
                    avg_num_nodes: 4, max_tree_depth: 2, min_tree_depth: 1, avg_tree_depth: 1, mem_size: 99}";
    assert_eq!(found, expected);
}

#[test]
fn a_stop_ends_with_what_there_is() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let train =
        channel(folder.path(), "train", &csv(&lattice(300, 2)), "text/csv;label_size=0", Labels::Ignored);
    let stopped = |batch: &str| {
        let given = [("feature_dim", "2"), ("num_trees", "50"), ("mini_batch_size", batch)];
        let job = Job::for_tests(&given, std::slice::from_ref(&train));
        let rows = Settings::of(&job).map(|settings| settings.batch_rows).expect("sound");
        assert_eq!(rows.to_string(), batch);
        job.stop.ask();
        fit(&job)
    };
    assert!(matches!(stopped("10"), Err(TrainError::Stopped)));
}

#[test]
fn what_is_wrong_is_named() {
    let check = |rows: &[Vec<f32>], given: &[(&str, &str)], expected: &str| {
        let error = train(rows, given).expect_err("something is wrong");
        assert!(error.contains(expected), "{error}");
    };
    check(
        &lattice(99, 1),
        &[("feature_dim", "1"), ("num_trees", "50")],
        "expected at least two records a tree, found 1",
    );
    check(&lattice(200, 2), &[("feature_dim", "3")], "expected 3");
    check(&[vec![f32::NAN]], &[("feature_dim", "1")], "row 1");
}
