//! A row's score is a pure function of (artifact, row): one hash of all scores, whatever the codec, the batch size, the
//! order of the rows and the number of threads.

use dmatrix::{DMatrix, Predictions};
use harness::forest::Forest;
use harness::payload::{CONTENT_TYPES, Rows};
use harness::{Client, Oracle, Request, artifacts};
use models::Input;
use sha2::{Digest, Sha256};

use crate::serve;

/// Rows of the data set. Reason: the largest batch of the promise.
const ROWS: usize = 4096;

/// Sizes of batches: one, two, around the blocks of the predictors (powers of two and their neighbours), and all.
const BATCHES: [usize; 9] = [1, 2, 3, 8, 9, 31, 64, 65, ROWS];

/// The most batches of one size. Reason: small batches meet every block after a few, and the test stays in seconds.
const BATCHES_MAX: usize = 32;

/// The bits of every value of every field, row by row.
type Scores = Vec<Vec<u32>>;

fn hash(scores: &[Vec<u32>]) -> String {
    let mut hash = Sha256::new();
    for bits in scores.iter().flatten() {
        hash.update(bits.to_le_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Scores one payload with `oracle`.
fn score(oracle: &Oracle, content_type: &str, body: &[u8]) -> Scores {
    let content_type = codecs::ContentType::parse(content_type).unwrap();
    let mut rows = DMatrix::new();
    codecs::decode(&content_type, &oracle.model().signature().rows, body, &mut rows).unwrap();
    let mut predictions = Predictions::new();
    oracle.model().predict(Input::Rows(&rows), &mut predictions).unwrap();
    let row = |row| {
        predictions.fields().iter().flat_map(|field| field.row(row)).map(|value| value.to_bits()).collect()
    };
    (0..rows.rows()).map(row).collect()
}

/// The models, by family.
fn models() -> [(&'static str, Vec<u8>); 3] {
    let forest = Forest { trees: 60, depth: 5, features: 6, seed: 9 };
    let centroids = Rows::draw(7, 6, 4).values;
    [
        ("xgboost", artifacts::xgboost(forest)),
        ("kmeans", artifacts::kmeans(&centroids, 6)),
        ("linear-learner", artifacts::regressor(&[0.3, -1.7, 11.0, 0.0, 1e-3, 2.5], -0.75)),
    ]
}

/// Scores `rows` in batches of `size` on `threads` threads, and puts the scores back in order.
fn in_batches(oracle: &Oracle, rows: &Rows, content_type: &str, size: usize, threads: usize) -> Scores {
    let places: Vec<usize> = (0..rows.len()).collect();
    let batches: Vec<&[usize]> = places.chunks(size).collect();
    let share = batches.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let parts: Vec<_> = batches
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let scores = part
                        .iter()
                        .flat_map(|batch| score(oracle, content_type, &rows.pick(batch).write(content_type)));
                    scores.collect::<Scores>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

#[test]
fn codecs_batches_and_threads_do_not_change_a_bit() {
    let rows = Rows::draw(ROWS, 6, 21);
    for (name, artifact) in models() {
        let oracle = Oracle::of_bytes(&artifact);
        let all = score(&oracle, "text/csv", &rows.write("text/csv"));
        for (index, size) in BATCHES.into_iter().enumerate() {
            let count = ROWS.min(size * BATCHES_MAX);
            let (rows, expected) = (rows.pick(&(0..count).collect::<Vec<_>>()), hash(&all[..count]));
            for (shift, content_type) in CONTENT_TYPES.into_iter().enumerate() {
                // Every size meets every codec; thread counts take turns among the pairs.
                let threads = [1, 2, 3, 8][(index + shift) % 4];
                let found = hash(&in_batches(&oracle, &rows, content_type, size, threads));
                assert_eq!(found, expected, "{name}: {content_type}, batches of {size}, {threads} threads");
            }
        }
    }
}

#[test]
fn neighbours_do_not_change_a_bit() {
    let rows = Rows::draw(ROWS, 6, 22);
    let mut random = fastrand::Rng::with_seed(5);
    for (name, artifact) in models() {
        let oracle = Oracle::of_bytes(&artifact);
        let expected = score(&oracle, "text/csv", &rows.write("text/csv"));
        for content_type in CONTENT_TYPES {
            let mut places: Vec<usize> = (0..rows.len()).collect();
            random.shuffle(&mut places);
            let shuffled = score(&oracle, content_type, &rows.pick(&places).write(content_type));
            let mut found = vec![Vec::new(); rows.len()];
            for (place, scores) in places.into_iter().zip(shuffled) {
                found[place] = scores;
            }
            assert_eq!(hash(&found), hash(&expected), "{name}: {content_type}, shuffled");
        }
    }
}

#[test]
fn a_server_gives_the_same_hash_on_any_number_of_threads() {
    let rows = Rows::draw(ROWS, 6, 23);
    let (_, artifact) = models().into_iter().next().unwrap();
    let expected = hash(&score(&Oracle::of_bytes(&artifact), "text/csv", &rows.write("text/csv")));
    for arguments in [["--io-threads", "1", "--workers", "1"], ["--io-threads", "3", "--workers", "4"]] {
        let served = serve(&artifact, &arguments);
        let address = served.server.address();
        for (content_type, size) in CONTENT_TYPES.into_iter().zip([ROWS, 1000, 64, 9, 512, 4095, 300]) {
            let places: Vec<usize> = (0..rows.len()).collect();
            let batches: Vec<&[usize]> = places.chunks(size).collect();
            let share = batches.len().div_ceil(3);
            let scores: Scores = std::thread::scope(|scope| {
                let parts: Vec<_> = batches
                    .chunks(share)
                    .map(|part| scope.spawn(|| ask(address, content_type, part, &rows)))
                    .collect();
                parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
            });
            assert_eq!(hash(&scores), expected, "{content_type}, batches of {size}, {arguments:?}");
        }
    }
}

/// The server's scores of `batches`: a decimal in CSV reads back to the same bits.
fn ask(address: std::net::SocketAddr, content_type: &str, batches: &[&[usize]], rows: &Rows) -> Scores {
    let mut client = Client::connect(address);
    let mut scores = Scores::new();
    for batch in batches {
        let request =
            Request::invoke(content_type, rows.pick(batch).write(content_type)).header("Accept", "text/csv");
        let answer = client.call(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let row = |line: &str| line.split(',').map(|cell| cell.parse::<f32>().unwrap().to_bits()).collect();
        scores.extend(text.lines().map(row));
    }
    scores
}
