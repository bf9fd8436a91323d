//! The maximum of the likelihood, the answers' laws, artifacts from which topics were taken, and files that are refused.

use serde_json::json;

use super::*;

fn manifest() -> Manifest {
    Manifest::new(Algorithm::Lda)
}

/// `topics` random topics over `words` words.
fn beta(topics: usize, words: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut beta: Vec<f32> = (0..topics * words).map(|_| random.f32().powi(4)).collect();
    for topic in beta.chunks_mut(words) {
        let sum: f32 = topic.iter().sum();
        topic.iter_mut().for_each(|value| *value /= sum);
    }
    beta
}

fn model(topics: usize, words: usize) -> Lda {
    Lda::new(&manifest(), vec![0.5; topics], &beta(topics, words)).expect("sound numbers")
}

fn documents(words: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(9);
    (0..6 * words).map(|_| if random.u8(..3) == 0 { f32::from(random.u8(1..9)) } else { 0.0 }).collect()
}

fn mixtures(model: &Lda, rows: &DMatrix) -> Vec<f32> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions).expect("counts");
    predictions.fields()[0].values.clone()
}

#[test]
fn no_neighbour_on_the_simplex_is_likelier() {
    let (model, counts) = (model(4, 30), documents(30));
    let found = mixtures(&model, &DMatrix::from_dense(counts.clone(), 30));
    for (document, mixture) in counts.chunks(30).zip(found.chunks(4)) {
        assert!((mixture.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let (best, words) = model.log_likelihood(Row::Dense(document), mixture);
        for (from, to) in (0..16).map(|pair| (pair / 4, pair % 4)).filter(|(from, to)| from != to) {
            let mut other = mixture.to_vec();
            let step = other[from].min(0.05);
            other[from] -= step;
            other[to] += step;
            let (likelihood, _) = model.log_likelihood(Row::Dense(document), &other);
            assert!(likelihood <= best + 1e-4 * words, "{mixture:?}: {likelihood} is above {best}");
        }
    }
}

#[test]
fn sparse_is_dense_to_the_bit_alone_and_in_a_batch() {
    let (model, counts) = (model(5, 40), documents(40));
    let mut sparse = DMatrix::new();
    let parts = sparse.begin_sparse();
    for row in counts.chunks(40) {
        for (word, count) in row.iter().enumerate().filter(|(word, count)| word % 7 == 0 || **count != 0.0) {
            parts.indices.push(word as u32);
            parts.values.push(*count);
        }
        parts.offsets.push(parts.indices.len());
    }
    sparse.finish_sparse(40);
    let together = mixtures(&model, &DMatrix::from_dense(counts.clone(), 40));
    assert_eq!(together, mixtures(&model, &sparse));
    for (row, expected) in counts.chunks(40).zip(together.chunks(5)) {
        assert_eq!(mixtures(&model, &DMatrix::from_dense(row.to_vec(), 40)), expected);
    }
}

#[test]
fn no_words_are_the_prior_and_certain_words_are_their_topic() {
    let build = |alpha: &[f32]| Lda::new(&manifest(), alpha.to_vec(), &[1.0, 0.0, 0.0, 1.0]).expect("sound");
    let check = |counts: &[f32], expected: [f32; 2]| {
        let found = mixtures(&build(&[1.0, 3.0]), &DMatrix::from_dense(counts.to_vec(), 2));
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{counts:?}: {found:?}");
    };
    check(&[0.0, 0.0], [0.25, 0.75]);
    check(&[7.0, 0.0], [1.0, 0.0]);
    check(&[1.0, 3.0], [0.25, 0.75]);
    check(&[f32::MAX, f32::MAX], [0.5, 0.5]);
    check(&[f32::MIN_POSITIVE, 0.0], [1.0, 0.0]);
}

#[test]
fn an_artifact_without_some_topics_serves() {
    let (beta, alpha) = (beta(4, 10), [0.4, 0.3, 0.2, 0.1]);
    let mut manifest = manifest();
    manifest.feature_dim = Some(10);
    manifest.details.extend([("alpha0".to_owned(), json!(1.0)), ("restarts".to_owned(), json!(10))]);
    let members = Lda::to_members(&alpha[..2], &beta[..20]);
    let model = Lda::from_safetensors(&members[0].0, &members[0].1, &manifest).expect("an edited artifact");
    assert_eq!(model.topics(), 2);
    assert_eq!(mixtures(&model, &DMatrix::from_dense(vec![1.0; 10], 10)).len(), 2);
}

#[test]
fn counts_are_finite_and_not_negative() {
    let check = |value: f32, expected: &str| {
        let rows = DMatrix::from_dense(vec![1.0, value], 2);
        let model = model(2, 2);
        let error =
            model.predict(Input::Rows(&rows), &mut Predictions::new()).expect_err("refused").to_string();
        assert_eq!(error, expected);
    };
    check(-1.0, "row 1, feature 2: expected a count of at least 0, found -1");
    check(f32::NAN, "row 1, feature 2: expected a count of at least 0, found NaN");
}

#[test]
fn hostile_files_are_refused() {
    let check = |alpha: &[f32], beta: &[f32], shape: [usize; 2], expected: &str| {
        let bytes = tensors::write(&[
            ("alpha", Dtype::F32, vec![alpha.len()], tensors::single_bytes(alpha)),
            ("beta", Dtype::F32, shape.to_vec(), tensors::single_bytes(beta)),
        ]);
        let found = Lda::from_safetensors("f", &bytes, &manifest()).expect_err("refused").to_string();
        assert!(found.contains(expected), "{found}");
    };
    check(&[1.0], &[0.5; 4], [2, 2], "tensor beta: expected 1 rows as alpha says, found 2");
    check(
        &[1.0, -1.0],
        &[0.5; 4],
        [2, 2],
        "tensor alpha: expected numbers of at least 0, found -1 at position 1",
    );
    check(&[0.0, 0.0], &[0.5; 4], [2, 2], "expected a number above 0");
    check(
        &[1.0, 1.0],
        &[0.5, 0.5, f32::NAN, 0.0],
        [2, 2],
        "expected finite numbers, found NaN at position 2",
    );
    check(&[1.0, 1.0], &[], [2, 0], "expected 2 sides, none of them 0");
    let mut stated = manifest();
    stated.details.insert("residual".to_owned(), json!("none"));
    let error = Lda::new(&stated, vec![1.0], &[1.0]).expect_err("refused").to_string();
    assert!(error.contains("residual: expected a number of at least 0"), "{error}");
    let whole = Lda::to_members(&[1.0], &[1.0]).remove(0).1;
    (0..whole.len()).for_each(|length| {
        Lda::from_safetensors("f", &whole[..length], &manifest()).expect_err("a torn file");
    });
}
