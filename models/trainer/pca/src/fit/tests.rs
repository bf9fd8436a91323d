//! Components against a plain decomposition, hosts against one, what a channel and a setting may not be.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use estimator::{Channel, Cluster, Labels};
use models::Model;

use super::*;

const COLUMNS: usize = 12;
const RECORDS: usize = 400;

/// Rows about (10, 10, …) with clearly different spreads along mixed directions; every third entry of a row is 0 when sparse.
fn rows(is_sparse: bool) -> Vec<Vec<f32>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mix: Vec<f32> = (0..COLUMNS * COLUMNS).map(|_| random.f32() - 0.5).collect();
    let row = |_| {
        let hidden: Vec<f32> =
            (0..COLUMNS).map(|place| (random.f32() - 0.5) * 20.0 / (1 << place) as f32).collect();
        let entry = |place: usize| {
            let mixed: f32 = (0..COLUMNS).map(|other| mix[place * COLUMNS + other] * hidden[other]).sum();
            if is_sparse && random.u32(..3) == 0 { 0.0 } else { 10.0 + mixed }
        };
        (0..COLUMNS).map(entry).collect()
    };
    (0..RECORDS).map(row).collect()
}

fn csv(rows: &[Vec<f32>]) -> String {
    let line = |row: &Vec<f32>| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    rows.iter().map(line).collect()
}

fn libsvm(rows: &[Vec<f32>]) -> String {
    let mut text = String::new();
    for row in rows {
        text.push('0');
        for (index, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            write!(text, " {index}:{value}").expect("text grows");
        }
        text.push('\n');
    }
    text
}

fn channel(folder: &Path, name: &'static str, text: &str, content_type: &str) -> Channel {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file");
    Channel::for_tests(name, &path, content_type, Labels::Ignored).expect("a content type")
}

/// The job of these hyperparameters beside the required ones.
fn job(channels: &[Channel], given: &[(&str, &str)]) -> Job {
    let required = [("feature_dim", "12"), ("mini_batch_size", "64"), ("num_components", "4")];
    let required = required.iter().filter(|(name, _)| !given.iter().any(|(given, _)| given == name)).copied();
    Job::for_tests(&required.chain(given.iter().copied()).collect::<Vec<_>>(), channels)
}

fn train(text: &str, content_type: &str, given: &[(&str, &str)]) -> Result<Fitted, String> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    fit(&job(&[channel(folder.path(), "train", text, content_type)], given))
        .map_err(|error| error.to_string())
}

fn model(fitted: &Fitted) -> Pca {
    let (file, bytes) = &fitted.members[0];
    Pca::from_safetensors(file, bytes, &fitted.manifest).expect("what was just written")
}

fn trained(given: &[(&str, &str)]) -> Components {
    let fitted = train(&csv(&rows(false)), "text/csv;label_size=0", given).expect("sound rows");
    model(&fitted).components().clone()
}

#[track_caller]
fn check_close(found: &Components, expected: &Components, tolerance: f32) {
    let pairs = [
        (&found.mean, &expected.mean),
        (&found.singular_values, &expected.singular_values),
        (&found.vectors, &expected.vectors),
    ];
    for (found, expected) in pairs {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance * scale, "{found} {expected}");
        }
    }
}

/// The singular values of the centred rows by power iteration with deflation: slow, and plain to see.
fn naive_singular_values(rows: &[Vec<f32>], count: usize) -> Vec<f64> {
    let n = rows.len() as f64;
    let mean: Vec<f64> =
        (0..COLUMNS).map(|column| rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / n).collect();
    let mut centred: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect())
        .collect();
    let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
    (0..count)
        .map(|_| {
            let mut vector = vec![1.0; COLUMNS];
            for _ in 0..2000 {
                let mut next = vec![0.0; COLUMNS];
                for row in &centred {
                    let factor = dot(row, &vector);
                    next.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
                }
                let norm = dot(&next, &next).sqrt();
                vector = next.iter().map(|value| value / norm).collect();
            }
            let energy: f64 = centred.iter().map(|row| dot(row, &vector).powi(2)).sum();
            for row in &mut centred {
                let factor = dot(row, &vector);
                row.iter_mut().zip(&vector).for_each(|(value, entry)| *value -= factor * entry);
            }
            energy.sqrt()
        })
        .collect()
}

#[test]
fn singular_values_are_those_of_the_naive_way() {
    let found = trained(&[]);
    for (found, expected) in found.singular_values.iter().zip(naive_singular_values(&rows(false), 4)) {
        assert!((f64::from(*found) / expected - 1.0).abs() < 1e-5, "{found} {expected}");
    }
    assert!(found.vectors.chunks(COLUMNS).all(|vector| {
        let length: f32 = vector.iter().map(|value| value * value).sum();
        let largest = vector.iter().fold(0.0f32, |a, b| if b.abs() > a.abs() { *b } else { a });
        (length - 1.0).abs() < 1e-5 && largest > 0.0
    }));
}

#[test]
fn randomized_finds_what_regular_finds() {
    let regular = trained(&[]);
    check_close(&trained(&[("algorithm_mode", "randomized")]), &regular, 1e-5);
    // A sketch wider than the rows.
    let wide = [("algorithm_mode", "randomized"), ("extra_components", "1000")];
    check_close(&trained(&wide), &regular, 1e-4);
    let narrow = [("algorithm_mode", "randomized"), ("extra_components", "2")];
    check_close(&trained(&narrow), &regular, 1e-2);
    let once = trained(&[("algorithm_mode", "randomized"), ("randomized_passes", "1")]);
    let first = |components: &Components| components.singular_values[0];
    assert!((first(&once) / first(&regular) - 1.0).abs() < 0.5, "{once:?}");
    assert_eq!(once.mean, regular.mean);
}

#[test]
fn without_the_mean_the_first_component_is_where_the_rows_are() {
    let check = |mode: &str| {
        let found = trained(&[("subtract_mean", "false"), ("algorithm_mode", mode)]);
        assert!(found.mean.iter().all(|mean| *mean == 0.0));
        // All features are about 10: the direction (1, 1, …), and √(n·d)·10 along it.
        let entry = 1.0 / (COLUMNS as f32).sqrt();
        assert!(found.vectors[..COLUMNS].iter().all(|value| (value - entry).abs() < 0.1), "{found:?}");
        assert!((found.singular_values[0] / (10.0 * ((RECORDS * COLUMNS) as f32).sqrt()) - 1.0).abs() < 0.1);
    };
    check("regular");
    check("randomized");
}

#[test]
fn ascending_is_the_other_way_round() {
    let (descending, ascending) = (trained(&[]), trained(&[("component_order", "ascending")]));
    let reversed: Vec<f32> = descending.singular_values.iter().rev().copied().collect();
    assert_eq!(ascending.singular_values, reversed);
    assert_eq!(ascending.vectors[3 * COLUMNS..], descending.vectors[..COLUMNS]);
}

#[test]
fn sparse_rows_are_dense_rows() {
    let rows = rows(true);
    let check = |mode: &str| {
        let given = [("algorithm_mode", mode)];
        let dense = train(&csv(&rows), "text/csv;label_size=0", &given).expect("dense rows");
        let sparse = train(&libsvm(&rows), "text/libsvm", &given).expect("sparse rows");
        check_close(model(&sparse).components(), model(&dense).components(), 1e-6);
        assert_eq!(sparse.manifest.warm_up, dense.manifest.warm_up);
    };
    check("regular");
    check("randomized");
}

/// Trains on `hosts` threads, the rows spread over them.
fn on_hosts(hosts: usize, given: &[(&str, &str)]) -> Vec<Components> {
    let rows = rows(false);
    let part = |host: usize| rows.iter().skip(host).step_by(hosts).cloned().collect::<Vec<_>>();
    let train = |(host, cluster): (usize, Cluster)| {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let train = channel(folder.path(), "train", &csv(&part(host)), "text/csv;label_size=0");
        let fitted = fit(&Job { cluster, ..job(&[train], given) }).expect("sound rows");
        model(&fitted).components().clone()
    };
    std::thread::scope(|scope| {
        let hosts: Vec<_> = Cluster::for_tests(hosts).into_iter().enumerate().collect();
        let threads: Vec<_> = hosts.into_iter().map(|host| scope.spawn(move || train(host))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a host")).collect()
    })
}

#[test]
fn two_hosts_are_one() {
    let check = |given: &[(&str, &str)]| {
        let found = on_hosts(2, given);
        assert_eq!(found[0], found[1]);
        check_close(&found[0], &trained(given), 1e-5);
    };
    check(&[]);
    check(&[("algorithm_mode", "randomized")]);
}

#[test]
fn bytes_depend_neither_on_threads_nor_on_the_batch() {
    let check = |mode: &str| {
        let bytes = |threads: usize, batch: &str| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let given = [("algorithm_mode", mode), ("mini_batch_size", batch)];
            pool.install(|| train(&csv(&rows(false)), "text/csv;label_size=0", &given))
                .expect("sound")
                .members
        };
        assert_eq!(bytes(1, "1"), bytes(3, "500"), "{mode}");
    };
    check("regular");
    check("randomized");
}

#[test]
fn the_test_channel_is_scored() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let text = csv(&rows(false));
    let [train, test] =
        ["train", "test"].map(|name| channel(folder.path(), name, &text, "text/csv;label_size=0"));
    let job = job(&[train, test], &[]);
    let metrics = fit(&job).expect("sound rows").manifest.metrics;
    let metric = |name: &str| metrics[name].as_f64().expect("a number");
    let values = naive_singular_values(&rows(false), COLUMNS);
    let energy = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let share = energy(&values[..4]) / energy(&values);
    assert!((metric("test:explained_variance") - share).abs() < 1e-5, "{metrics:?} {share}");
    let error = energy(&values[4..]) / (RECORDS * COLUMNS) as f64;
    assert!((metric("test:reconstruction_mse") / error - 1.0).abs() < 1e-3, "{metrics:?} {error}");
    assert_eq!(job.log.recorded().len(), 2);
}

#[test]
fn the_artifact_says_how_it_was_made() {
    let fitted = train(&csv(&rows(false)), "text/csv;label_size=0", &[]).expect("sound rows");
    let details = &fitted.manifest.details;
    assert_eq!((&details["order"], &details["n"]), (&json!("descending"), &json!(RECORDS)));
    assert_eq!(model(&fitted).signature().fields[0].shape.width(), 4);
    assert_eq!(fitted.manifest.warm_up.len(), 3);
}

#[test]
fn constant_rows_have_components_too() {
    let text = csv(&vec![vec![2.0; COLUMNS]; 10]);
    for mode in ["regular", "randomized"] {
        let fitted = train(&text, "text/csv;label_size=0", &[("algorithm_mode", mode)]).expect("sound rows");
        assert!(model(&fitted).components().singular_values.iter().all(|value| *value < 1e-3), "{mode}");
    }
}

#[test]
fn a_stop_ends_with_what_there_is() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let stopped = |text: &str, given: &[(&str, &str)]| {
        let job = job(&[channel(folder.path(), "train", text, "text/csv;label_size=0")], given);
        job.stop.ask();
        fit(&job)
    };
    assert!(matches!(stopped(&csv(&rows(false)[..3]), &[]), Err(TrainError::Stopped)));
}

#[test]
fn what_is_wrong_is_named() {
    let check = |text: &str, given: &[(&str, &str)], expected: &str| {
        let error = train(text, "text/csv;label_size=0", given).expect_err("something is wrong");
        assert!(error.contains(expected), "{error}");
    };
    let few = csv(&rows(false)[..3]);
    check(&few, &[], "num_components: expected at most the number of records, 3, found 4");
    check("1,2,3\n", &[], "expected 12");
    check(&few.replacen("1", "nan", 1), &[], "row 1");
    check("", &[], "found none");
}
