//! The bars on made-up ratings, and what interrupts, splits or spoils a training.

use std::fmt::Write;
use std::path::Path;

use estimator::{Checkpoints, Cluster, Labels};
use models::{Artifact, Input, LoadOptions};

use super::*;

const USERS: usize = 200;
const ITEMS: usize = 100;

fn normal(random: &mut Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// Ratings of items by users: 3 + both's biases + an interaction of rank 4 + noise; (user, item, rating).
fn ratings(count: usize) -> Vec<(usize, usize, f64)> {
    let mut random = Rng::with_seed(5);
    let mut draw = |count: usize, deviation: f64| -> Vec<f64> {
        (0..count).map(|_| deviation * normal(&mut random)).collect()
    };
    let (users, items) = (draw(USERS, 0.5), draw(ITEMS, 0.5));
    let (left, right, noise) = (draw(4 * USERS, 0.94), draw(4 * ITEMS, 0.94), draw(count, 0.3));
    let mut cells: Vec<usize> = (0..USERS * ITEMS).collect();
    random.shuffle(&mut cells);
    let rating = |(cell, noise): (&usize, &f64)| {
        let (user, item) = (cell / ITEMS, cell % ITEMS);
        let pairs = left[4 * user..4 * user + 4].iter().zip(&right[4 * item..4 * item + 4]);
        let product: f64 = pairs.map(|(a, b)| a * b).sum();
        (user, item, 3.0 + users[user] + items[item] + product + noise)
    };
    cells.iter().zip(&noise).map(rating).collect()
}

/// libsvm text, one line a rating that is kept.
fn text(ratings: &[(usize, usize, f64)], keeps: impl Fn(usize) -> bool) -> String {
    let mut text = String::new();
    for (_, (user, item, rating)) in ratings.iter().enumerate().filter(|(row, _)| keeps(*row)) {
        writeln!(text, "{rating} {user}:1 {}:1", USERS + item).expect("text grows");
    }
    text
}

fn channel(folder: &Path, name: &'static str, text: &str) -> Channel {
    let path = folder.join(format!("{name}.libsvm"));
    std::fs::write(&path, text).expect("a writable folder");
    Channel::for_tests(name, &path, "text/libsvm", Labels::Required).expect("a content type")
}

const COMMON: &[(&str, &str)] = &[
    ("feature_dim", "300"),
    ("predictor_type", "regressor"),
    ("factors_init_sigma", "0.1"),
    ("linear_lr", "0.01"),
    ("factors_lr", "0.01"),
    ("mini_batch_size", "100"),
];

fn job(given: &[(&str, &str)], channels: &[Channel]) -> Job {
    Job::for_tests(&[COMMON, given].concat(), channels)
}

fn trained(job: &Job) -> Vec<u8> {
    fit(job).expect("a model").members.remove(0).1
}

fn recorded(job: &Job, name: &str) -> f64 {
    job.log.recorded().into_iter().find(|(known, _)| known == name).expect("it was recorded").1
}

/// Train and test rows of the standard hold-out: every fifth row is for the test.
fn channels(folder: &Path, count: usize) -> [Channel; 2] {
    let ratings = ratings(count);
    let train = channel(folder, "train", &text(&ratings, |row| row % 5 != 0));
    [train, channel(folder, "test", &text(&ratings, |row| row % 5 == 0))]
}

#[test]
fn interactions_of_ratings_are_learned_and_served() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let channels = channels(folder.path(), 8000);
    let job = job(&[("num_factors", "8"), ("epochs", "60")], &channels);
    let fitted = fit(&job).expect("a model");
    let found = recorded(&job, "test:rmse");
    assert!(found <= 0.50, "test rmse {found} is above the bar");
    fitted.write_members(&folder.path().join("model")).expect("a writable folder");
    let artifact = Artifact::open(&folder.path().join("model"), folder.path()).expect("an artifact");
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    let rules = RowRules::finite(Some(USERS + ITEMS));
    let mut all = channels[1].open(&rules, 8000, &job).expect("rows");
    let mut rows = DMatrix::new();
    assert!(all.pass(Order::AsRead).expect("files").next(&mut rows).expect("rows"));
    let mut predictions = dmatrix::Predictions::new();
    model.predict(Input::Rows(&rows), &mut predictions).expect("answers");
    let squares =
        predictions.fields()[0].values.iter().zip(rows.labels()).map(|(a, b)| f64::from(a - b).powi(2));
    let served = (squares.sum::<f64>() / rows.rows() as f64).sqrt();
    assert!((served - found).abs() < 1e-5, "{served} is not {found}");
}

#[test]
fn defaults_run_and_do_not_diverge() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let given = [("feature_dim", "300"), ("predictor_type", "regressor"), ("num_factors", "64")];
    let job = Job::for_tests(&given, &channels(folder.path(), 3000));
    fit(&job).expect("a model");
    let found = recorded(&job, "test:rmse");
    assert!(found < 4.5, "{found}");
}

#[test]
fn equal_input_is_equal_bytes_at_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let channels = channels(folder.path(), 1000);
    let run = |threads: usize, seed: &'static str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let given = [("num_factors", "150"), ("mini_batch_size", "800"), ("seed", seed)];
        let job = Job::for_tests(&[&COMMON[..5], &given].concat(), &channels);
        pool.install(|| trained(&job))
    };
    let expected = run(1, "1");
    assert_eq!(run(3, "1"), expected);
    assert_ne!(run(1, "2"), expected);
}

#[test]
fn a_checkpoint_goes_on_to_the_same_model() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let channels = channels(folder.path(), 1000);
    let given = [("num_factors", "4"), ("epochs", "5")];
    let expected = trained(&job(&given, &channels));
    let mut job = job(&given, &channels);
    job.checkpoints = Checkpoints::new(folder.path(), "algo-1");
    let settings = Settings::of(&job).expect("sound");
    let state = State::begin(&job, &settings).expect("the start");
    let batch = Batch::new(settings.columns);
    let mut training = Training { job: &job, settings: &settings, state, batch };
    let mut rows = channels[0].open(&RowRules::finite(Some(300)), 100, &job).expect("rows");
    for epoch in 0..2 {
        let (tally, _) = training.epoch(epoch, &mut rows).expect("an epoch");
        training.check_rows(tally.rows as u64).expect("the same rows");
        training.state.epochs = epoch + 1;
    }
    training.state.save(&job, &settings).expect("a writable folder");
    assert_eq!(trained(&job), expected);
    // The checkpoint of all epochs is there now: over fewer rows it is another training's, but nothing is left to do.
    training.state.save(&job, &settings).expect("a writable folder");
    job.channels.insert("train".to_owned(), channel(folder.path(), "train", "1 0:1\n2 3:1\n"));
    let error = fit(&job).expect_err("other rows").to_string();
    assert!(error.contains("expected 800 rows") && error.contains("found 2"), "{error}");
    job.hyperparameters.insert("linear_wd".to_owned(), "0.5".to_owned());
    let error = fit(&job).expect_err("other hyperparameters").to_string();
    assert!(error.contains("linear_wd=0.5"), "{error}");
}

#[test]
fn a_stop_leaves_the_model_so_far_and_none_before_the_first_mini_batch() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let channels = channels(folder.path(), 1000);
    let job = job(&[("num_factors", "4"), ("epochs", "1000000")], &channels[..1]);
    let settings = Settings::of(&job).expect("sound");
    let state = State::begin(&job, &settings).expect("the start");
    let batch = Batch::new(settings.columns);
    let mut training = Training { job: &job, settings: &settings, state, batch };
    let mut rows = channels[0].open(&RowRules::finite(Some(300)), 100, &job).expect("rows");
    job.stop.ask();
    let (tally, is_stopped) = training.epoch(0, &mut rows).expect("an epoch");
    assert!(is_stopped && training.state.is_model);
    assert_eq!((tally.rows, training.state.steps), (100.0, 1), "the mini-batch is finished");
    assert!(matches!(fit(&job), Err(TrainError::Stopped)));
}

#[test]
fn an_earlier_model_is_gone_on_from() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let channels = channels(folder.path(), 4000);
    let first = job(&[("num_factors", "8"), ("epochs", "30")], &channels);
    fit(&first).expect("a model").write_members(&folder.path().join("model")).expect("a writable folder");
    let mut second = job(&[("num_factors", "8"), ("epochs", "1")], &channels);
    second.model = Some(folder.path().join("model"));
    fit(&second).expect("a model");
    let (before, after) = (recorded(&first, "test:rmse"), recorded(&second, "test:rmse"));
    assert!(after < 1.05 * before, "{after} against {before}");
    second.hyperparameters.insert("num_factors".to_owned(), "9".to_owned());
    let error = fit(&second).expect_err("another shape").to_string();
    assert_eq!(error, "channel model: expected num_factors 9, found 8");
}

#[test]
fn two_hosts_are_as_good_as_one_and_end_with_the_same_model() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let ratings = ratings(8000);
    let test = channel(folder.path(), "test", &text(&ratings, |row| row % 5 == 0));
    let given = [("num_factors", "8"), ("epochs", "60")];
    let run = |cluster: Cluster, keeps: &dyn Fn(usize) -> bool, place: &Path| {
        std::fs::create_dir_all(place).expect("a writable folder");
        let train = channel(place, "train", &text(&ratings, |row| row % 5 != 0 && keeps(row)));
        let mut job = job(&given, &[train, test.clone()]);
        job.cluster = cluster;
        let bytes = trained(&job);
        (bytes, recorded(&job, "test:rmse"))
    };
    let (_, alone) = run(Cluster::single(), &|_| true, &folder.path().join("one"));
    let clusters = Cluster::for_tests(2);
    // The second host has fewer rows, so it runs out of mini-batches before the first.
    let share = |rank: usize| move |row: usize| (row % 7 < 3) == (rank == 1);
    let found = std::thread::scope(|scope| {
        let (run, folder) = (&run, &folder);
        let threads: Vec<_> = clusters
            .into_iter()
            .map(|cluster| {
                let rank = cluster.rank();
                scope.spawn(move || run(cluster, &share(rank), &folder.path().join(format!("{rank}"))))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(found[0], found[1]);
    assert!((found[0].1 - alone).abs() <= 0.05 * alone, "{} against {alone}", found[0].1);
}

#[test]
fn what_is_wrong_with_the_data_is_named() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let check = |predictor: &str, text: &str, expected: &str| {
        let given = [("feature_dim", "3"), ("num_factors", "2"), ("predictor_type", predictor)];
        let job = Job::for_tests(&given, &[channel(folder.path(), "train", text)]);
        let error = fit(&job).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        "binary_classifier",
        "1 0:1\n2 1:1\n",
        "expected the label 0 or 1 with predictor_type binary_classifier",
    );
    check("regressor", "1 3:1\n", "train.libsvm");
    check("regressor", "1 0:inf\n", "train.libsvm");
    check("regressor", "", "train");
    check("regressor", "3e38 0:3e38\n-3e38 1:3e38\n", "training diverged");
}
