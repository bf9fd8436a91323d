//! The bars on made-up corpora of bars: topics are the rows, then the columns, of 5 × 5 words.

use std::fmt::Write;
use std::path::Path;

use estimator::Labels;
use fastrand::Rng;
use models::{Artifact, LoadOptions};

use super::*;

const SIDE: usize = 5;
const WORDS: usize = SIDE * SIDE;
/// The mean length of a document.
const LENGTH: f64 = 150.0;

/// Documents and the mixtures that made them.
struct Corpus {
    documents: Vec<[u32; WORDS]>,
    mixtures: Vec<Vec<f64>>,
}

/// Topic `topic`: 0.2 on each word of a row, then of a column.
fn topic(topic: usize) -> [f64; WORDS] {
    let is_in = |word: usize| if topic < SIDE { word / SIDE == topic } else { word % SIDE == topic - SIDE };
    std::array::from_fn(|word| if is_in(word) { 0.2 } else { 0.0 })
}

/// A draw from Gamma(shape, 1), by the method of Marsaglia and Tsang.
fn gamma(shape: f64, random: &mut Rng) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, random) * random.f64().powf(1.0 / shape);
    }
    let (d, c) = (shape - 1.0 / 3.0, 1.0 / (9.0 * (shape - 1.0 / 3.0)).sqrt());
    loop {
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * random.f64()).cos();
        let cube = (1.0 + c * normal).powi(3);
        if cube > 0.0 && random.f64().ln() < 0.5 * normal * normal + d - d * cube + d * cube.ln() {
            return d * cube;
        }
    }
}

/// A draw from Poisson(mean), by counting arrivals.
fn poisson(mean: f64, random: &mut Rng) -> u32 {
    let (mut time, mut count) = (0.0, 0);
    loop {
        time -= (1.0 - random.f64()).ln();
        if time > mean {
            return count;
        }
        count += 1;
    }
}

/// G(topics, count, seed).
fn corpus(topics: usize, count: usize, seed: u64) -> Corpus {
    let mut random = Rng::with_seed(seed);
    let mut found = Corpus { documents: Vec::new(), mixtures: Vec::new() };
    for _ in 0..count {
        let draws: Vec<f64> = (0..topics).map(|_| gamma(1.0 / topics as f64, &mut random)).collect();
        let total: f64 = draws.iter().sum();
        let mixture: Vec<f64> = draws.iter().map(|draw| draw / total).collect();
        let mut document = [0; WORDS];
        for _ in 0..poisson(LENGTH, &mut random) {
            let mut point = random.f64();
            let chosen = mixture.iter().position(|share| {
                point -= share;
                point < 0.0
            });
            let (chosen, place) = (chosen.unwrap_or(topics - 1), random.usize(..SIDE));
            let word = if chosen < SIDE { chosen * SIDE + place } else { place * SIDE + chosen - SIDE };
            document[word] += 1;
        }
        found.documents.push(document);
        found.mixtures.push(mixture);
    }
    found
}

fn csv(documents: &[[u32; WORDS]]) -> String {
    let line = |document: &[u32; WORDS]| document.map(|count| count.to_string()).join(",");
    documents.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn libsvm(documents: &[[u32; WORDS]]) -> String {
    let mut text = String::new();
    for document in documents {
        text.push('0');
        for (word, count) in document.iter().enumerate().filter(|(_, count)| **count > 0) {
            write!(text, " {word}:{count}").expect("text grows");
        }
        text.push('\n');
    }
    text
}

fn channel(folder: &Path, name: &'static str, kind: &str, text: &str) -> Channel {
    let path = folder.join(format!("{name}.{kind}"));
    std::fs::write(&path, text).expect("a writable folder");
    Channel::for_tests(name, &path, &format!("text/{kind}"), Labels::Ignored).expect("a content type")
}

fn job(topics: &str, given: &[(&str, &str)], channels: &[Channel]) -> Job {
    let common = [("num_topics", topics), ("feature_dim", "25"), ("mini_batch_size", "6000")];
    Job::for_tests(&[&common[..], given].concat(), channels)
}

/// Topics that training finds in a corpus.
fn learned(topics: &str, documents: &[[u32; WORDS]]) -> Topics {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let job = job(topics, &[], &[channel(folder.path(), "train", "csv", &csv(documents))]);
    let settings = Settings::of(&job).expect("sound");
    let mut rows =
        job.train().expect("a channel").open(&RowRules::finite(Some(WORDS)), 4096, &job).expect("rows");
    learn(&job, &mut rows, &settings).expect("topics").0
}

/// ‖β̂ − β‖₁ of every true topic and the one that is its, where the sum over all is least: the best assignment, by sets of
/// those that are taken.
fn errors(found: &Topics) -> (Vec<f64>, Vec<usize>) {
    let count = found.alpha.len();
    let distance = |ours: usize, theirs: usize| -> f64 {
        let words = found.beta[ours * WORDS..(ours + 1) * WORDS].iter().zip(topic(theirs));
        words.map(|(a, b)| (f64::from(*a) - b).abs()).sum()
    };
    let mut best: Vec<Option<(f64, Vec<usize>)>> = vec![None; 1 << count];
    best[0] = Some((0.0, Vec::new()));
    for taken in 0..1_usize << count {
        let Some((sum, chosen)) = best[taken].clone() else { continue };
        let theirs = chosen.len();
        for ours in (0..count).filter(|ours| taken & (1 << ours) == 0) {
            let (sum, next) = (sum + distance(ours, theirs), taken | 1 << ours);
            if best[next].as_ref().is_none_or(|(known, _)| sum < *known) {
                best[next] = Some((sum, [&chosen[..], &[ours]].concat()));
            }
        }
    }
    let chosen = best.pop().flatten().expect("all are assigned").1;
    (chosen.iter().enumerate().map(|(theirs, ours)| distance(*ours, theirs)).collect(), chosen)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn five_topics_and_their_weights_are_recovered() {
    let found = learned("5", &corpus(5, 6000, 1).documents);
    let (errors, _) = errors(&found);
    let worst = errors.iter().copied().fold(0.0, f64::max);
    assert!(mean(&errors) <= 0.03 && worst <= 0.05, "{errors:?}");
    assert!(found.alpha.iter().all(|alpha| (alpha - 0.2).abs() <= 0.02), "{:?}", found.alpha);
    assert!(found.alpha.is_sorted_by(|left, right| left >= right));
    assert!((found.alpha.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn ten_topics_of_rank_nine_are_recovered() {
    let found = learned("10", &corpus(10, 10_000, 2).documents);
    let (errors, _) = errors(&found);
    assert!(mean(&errors) <= 0.05, "{errors:?}");
}

#[test]
fn a_small_corpus_is_enough_for_five() {
    for seed in [3, 4] {
        let (errors, _) = errors(&learned("5", &corpus(5, 600, seed).documents));
        assert!(mean(&errors) <= 0.06, "{errors:?}");
    }
}

#[test]
fn a_vocabulary_that_is_not_formed_whole_gives_the_same_topics() {
    /// Words that stand for each of the small vocabulary's.
    const SYNONYMS: usize = 16;
    let mut random = Rng::with_seed(8);
    let mut text = String::new();
    for document in corpus(5, 3000, 8).documents {
        let mut counts = vec![0; WORDS * SYNONYMS];
        for (word, count) in document.iter().enumerate() {
            (0..*count).for_each(|_| counts[word * SYNONYMS + random.usize(..SYNONYMS)] += 1);
        }
        text.push('0');
        for (word, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            write!(text, " {word}:{count}").expect("text grows");
        }
        text.push('\n');
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let given = [("num_topics", "5"), ("feature_dim", "400"), ("mini_batch_size", "3000")];
    let job = Job::for_tests(&given, &[channel(folder.path(), "train", "libsvm", &text)]);
    let settings = Settings::of(&job).expect("sound");
    assert!(settings.block() < settings.words);
    let mut rows =
        job.train().expect("a channel").open(&RowRules::finite(Some(400)), 4096, &job).expect("rows");
    let (mut found, _) = learn(&job, &mut rows, &settings).expect("topics");
    found.beta = found.beta.chunks(SYNONYMS).map(|words| words.iter().sum()).collect();
    let (errors, _) = errors(&found);
    assert!(mean(&errors) <= 0.05, "{errors:?}");
}

#[test]
fn mixtures_of_documents_that_were_not_seen_are_inferred() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let corpus = corpus(5, 6000, 5);
    let (train, test) = corpus.documents.split_at(5400);
    let channels = [
        channel(folder.path(), "train", "csv", &csv(train)),
        channel(folder.path(), "test", "csv", &csv(test)),
    ];
    let job = job("5", &[], &channels);
    fit(&job).expect("a model").write_members(&folder.path().join("model")).expect("a writable folder");
    let likelihood = job.log.recorded().into_iter().find(|(name, _)| name == "test:pwll").expect("scored").1;
    assert!((-2.36..=-2.30).contains(&likelihood), "{likelihood}");
    let artifact = Artifact::open(&folder.path().join("model"), folder.path()).expect("an artifact");
    let model = artifact.load(&LoadOptions::default()).expect("a model");
    let counts = test.iter().flatten().map(|count| *count as f32).collect();
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&DMatrix::from_dense(counts, WORDS)), &mut predictions).expect("mixtures");
    let rules = RowRules::finite(Some(WORDS));
    let mut rows = channels[0].open(&rules, 4096, &job).expect("rows");
    let settings = Settings::of(&job).expect("sound");
    let (_, ours) = errors(&learn(&job, &mut rows, &settings).expect("topics").0);
    let error = |(document, mixture): (usize, &Vec<f64>)| -> f64 {
        let found = predictions.fields()[0].row(document);
        mixture.iter().zip(&ours).map(|(share, ours)| (f64::from(found[*ours]) - share).abs()).sum()
    };
    let found: Vec<f64> = corpus.mixtures[5400..].iter().enumerate().map(error).collect();
    assert!(mean(&found) <= 0.10, "{}", mean(&found));
}

#[test]
fn equal_input_is_equal_bytes_at_any_number_of_threads_sparse_or_dense() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let corpus = corpus(5, 500, 6);
    let dense = channel(folder.path(), "train", "csv", &csv(&corpus.documents));
    let sparse = channel(folder.path(), "train", "libsvm", &libsvm(&corpus.documents));
    let run = |threads: usize, channel: &Channel| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let job = job("5", &[], std::slice::from_ref(channel));
        pool.install(|| fit(&job)).expect("a model").members
    };
    let expected = run(1, &dense);
    assert_eq!(run(3, &dense), expected);
    assert_eq!(run(2, &sparse), expected);
}

#[test]
fn a_stop_in_the_decomposition_leaves_a_model_and_one_before_none() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let text = csv(&corpus(5, 300, 7).documents);
    let job = job("5", &[("max_restarts", "100000")], &[channel(folder.path(), "train", "csv", &text)]);
    let settings = Settings::of(&job).expect("sound");
    let mut rows =
        job.train().expect("a channel").open(&RowRules::finite(Some(WORDS)), 4096, &job).expect("rows");
    let whitening = Whitening::of(&job, &mut rows, &settings).expect("directions");
    let tensor = third_moment(&job, &mut rows, &whitening, settings.alpha0).expect("a tensor");
    job.stop.ask();
    let found = decompose(&tensor, &settings, &job.stop);
    assert!(found.restarts < 100_000 && found.residual.is_finite());
    Topics::of(&tensor, &found, &whitening, &settings).expect("a model");
    assert!(matches!(fit(&job), Err(TrainError::Stopped)));
}

#[test]
fn what_is_wrong_with_the_data_is_named() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let check = |text: &str, expected: &str| {
        let given = [("num_topics", "2"), ("feature_dim", "3"), ("mini_batch_size", "4")];
        let job = Job::for_tests(&given, &[channel(folder.path(), "train", "csv", text)]);
        let error = fit(&job).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("1,2,3\n4,-1,2\n", "channel train, row 2: column 2: expected a count of at least 0, found -1");
    check("1,2\n", "train.csv");
    check("1,2,nan\n", "train.csv");
    check("", "train");
    check("1,1,0\n0,0,2\n", "expected documents of at least 3 words, found none among 2");
    check("5,5,5\n5,5,5\n5,5,5\n", "ask for fewer topics");
}
