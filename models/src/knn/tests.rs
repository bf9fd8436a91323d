//! The index as a whole: against a plain scan, hostile files, edited manifests.

use serde_json::json;

use super::*;
use crate::tensors;

fn manifest(details: serde_json::Value) -> Manifest {
    let serde_json::Value::Object(details) = details else { panic!("an object") };
    Manifest { details, ..Manifest::new(Algorithm::Knn) }
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.f32() - 0.5).collect()
}

fn flat(vectors: Vec<f32>, columns: usize) -> Parts {
    let labels = (0..vectors.len() / columns).map(|label| label as f32).collect();
    Parts { labels, columns, store: Store::Vectors(vectors), lists: None, reduction: None }
}

fn predict(model: &Knn, rows: &DMatrix) -> Vec<Vec<f32>> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions).expect("sound rows");
    predictions.fields().iter().map(|field| field.values.clone()).collect()
}

/// The nearest of brute force in double precision, and how near.
fn brute(vectors: &[f32], query: &[f32], k: usize, metric: &str) -> Vec<(f32, f32)> {
    let unit = |vector: &[f32]| {
        let mut vector = vector.to_vec();
        if metric == "COSINE" {
            Parts::normalise(&mut vector);
        }
        vector
    };
    let query = unit(query);
    let distance = |vector: &[f32]| -> f64 {
        let pairs = query.iter().zip(vector).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        if metric == "L2" {
            pairs.map(|(a, b)| (a - b).powi(2)).sum()
        } else {
            pairs.map(|(a, b)| -a * b).sum()
        }
    };
    let mut all: Vec<(f64, usize)> = vectors
        .chunks_exact(query.len())
        .enumerate()
        .map(|(index, vector)| (distance(&unit(vector)), index))
        .collect();
    all.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    all[..k].iter().map(|(distance, index)| (distance.abs() as f32, *index as f32)).collect()
}

#[test]
fn flat_is_brute_force() {
    for (columns, n, offset, scale) in
        [(1, 40, 0.0, 1.0), (7, 500, 100.0, 1.0), (33, 3000, 0.0, 1e-18), (64, 900, 0.0, 1e17)]
    {
        for metric in ["L2", "INNER_PRODUCT", "COSINE"] {
            let draw = |count, seed| -> Vec<f32> {
                random(count * columns, seed).iter().map(|value| (value + offset) * scale).collect()
            };
            let (vectors, queries) = (draw(n, 1), draw(20, 2));
            let mut held = vectors.clone();
            if metric == "COSINE" {
                held.chunks_exact_mut(columns).for_each(Parts::normalise);
            }
            let manifest = manifest(json!({"k": 6, "predictor_type": "classifier", "metric": metric}));
            let model = Knn::new(&manifest, flat(held, columns)).expect("sound parts");
            let found = predict(&model, &DMatrix::from_dense(queries.clone(), columns));
            for (row, query) in queries.chunks_exact(columns).enumerate() {
                let expected = brute(&vectors, query, 6, metric);
                let labels: Vec<f32> = expected.iter().map(|(_, label)| *label).collect();
                assert_eq!(found[2][row * 6..(row + 1) * 6], labels, "{metric}, {columns} columns");
                for (found, (expected, _)) in found[1][row * 6..(row + 1) * 6].iter().zip(&expected) {
                    assert!((found.abs() - expected).abs() <= 1e-5 * expected, "{found} is not {expected}");
                }
            }
        }
    }
}

#[test]
fn bits_depend_on_the_row_only() {
    let columns = 19;
    let manifest = manifest(json!({"k": 5, "predictor_type": "regressor"}));
    let model = Knn::new(&manifest, flat(random(400 * columns, 3), columns)).expect("sound parts");
    let rows = DMatrix::from_dense(random(50 * columns, 4), columns);
    let mut sparse = rows.clone();
    sparse.make_sparse();
    let together = predict(&model, &rows);
    assert_eq!(predict(&model, &sparse), together);
    for row in 0..50 {
        let dmatrix::Row::Dense(values) = rows.row(row) else { panic!("dense rows") };
        let alone = predict(&model, &DMatrix::from_dense(values.to_vec(), columns));
        assert_eq!(alone[0][0].to_bits(), together[0][row].to_bits());
        assert_eq!(alone[1], together[1][row * 5..(row + 1) * 5]);
    }
}

#[test]
fn k_and_the_predictor_may_be_edited() {
    let parts = Parts { labels: vec![1.0, 4.0, 4.0], ..flat(vec![0.0, 1.0, 2.0], 1) };
    let check = |k: usize, predictor: &str, expected: f32| {
        let manifest = manifest(json!({"k": k, "predictor_type": predictor}));
        let model = Knn::new(&manifest, parts.clone()).expect("sound parts");
        let found = predict(&model, &DMatrix::from_dense(vec![0.2], 1));
        assert_eq!((found[0][0], found[1].len()), (expected, k.min(3)));
    };
    check(1, "classifier", 1.0);
    check(3, "classifier", 4.0);
    check(3, "regressor", 3.0);
    check(50, "regressor", 3.0);
}

/// Two lists, of the vectors below and from 5, and a reduction to one dimension.
fn whole() -> (Manifest, Parts) {
    let lists = Lists { centroids: vec![1.0, 8.0], offsets: vec![0, 2, 3], ids: vec![2, 0, 1] };
    let reduction = Reduction::Fjlt { signs: vec![1, 1], chosen: vec![0], input: 2 };
    let parts = Parts { lists: Some(lists), reduction: Some(reduction), ..flat(vec![0.0, 8.0, 2.0], 1) };
    let details = json!({
        "k": 1, "predictor_type": "classifier", "index": "faiss.IVFFlat", "nprobe": 1,
        "dimension_reduction": {"type": "fjlt", "seed": 1, "target_dim": 1, "input_dim": 2},
    });
    (manifest(details), parts)
}

#[test]
fn what_is_written_is_read_back() {
    let (manifest, parts) = whole();
    let rows = DMatrix::from_dense(vec![3.0, -0.5, 4.0, 4.5, 0.0, 0.1], 2);
    let expected = predict(&Knn::new(&manifest, parts.clone()).expect("sound parts"), &rows);
    assert_eq!(expected[2], [2.0, 1.0, 0.0]);
    let members = parts.to_members();
    let model = Knn::from_safetensors(tensors::FILE_NAME, &members[0].1, &manifest).expect("whole");
    assert_eq!(predict(&model, &rows), expected);
}

#[test]
fn lists_that_are_short_of_neighbours_let_others_in() {
    let (mut manifest, parts) = whole();
    manifest.details.insert("k".into(), json!(3));
    let model = Knn::new(&manifest, parts).expect("sound parts");
    assert_eq!(predict(&model, &DMatrix::from_dense(vec![8.0, 0.0], 2))[2], [1.0, 2.0, 0.0]);
}

#[test]
fn coded_vectors_are_as_far_as_their_codes_say() {
    let (m, columns, n) = (2, 4, 30);
    let codebooks = random(256 * columns, 5);
    let codes: Vec<u8> = (0..n * m).map(|index| (index * 37 % 256) as u8).collect();
    let centroids = random(2 * columns, 6);
    let lists =
        Lists { centroids: centroids.clone(), offsets: vec![0, 10, 30], ids: (0..30).rev().collect() };
    let store = Store::Codes { m, codebooks: codebooks.clone(), codes: codes.clone() };
    let parts = Parts { columns, store, lists: Some(lists), ..flat(vec![0.0; n], 1) };
    let details = json!({"k": 30, "predictor_type": "classifier", "index": "faiss.IVFPQ"});
    let manifest = Manifest { feature_dim: Some(3), ..manifest(details) };
    let model = Knn::new(&manifest, parts).expect("sound parts");
    let query = [0.3, -0.2, 0.9];
    let found = predict(&model, &DMatrix::from_dense(query.to_vec(), 3));
    for (distance, label) in found[1].iter().zip(&found[2]) {
        let id = *label as usize;
        let centroid = if id >= 20 { &centroids[..columns] } else { &centroids[columns..] };
        let squared = (0..columns).map(|column| {
            let (part, place) = (column / 2, column % 2);
            let word = codebooks[(part * 256 + usize::from(codes[id * m + part])) * 2 + place];
            (f64::from(query.get(column).copied().unwrap_or(0.0))
                - f64::from(centroid[column])
                - f64::from(word))
            .powi(2)
        });
        let expected: f64 = squared.sum();
        assert!((f64::from(*distance) - expected).abs() < 1e-6, "{distance} is not {expected}");
    }
}

#[test]
fn reductions_keep_lengths_in_expectation() {
    let mut random_signs = fastrand::Rng::with_seed(8);
    let mut draw =
        |count: usize| (0..count).map(|_| if random_signs.bool() { 1 } else { -1 }).collect::<Vec<i8>>();
    let row = random(40, 9);
    let squared = |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    for name in ["sign", "fjlt"] {
        let mean = (0..400)
            .map(|trial| {
                let reduction = match name {
                    "sign" => Reduction::Sign { signs: draw(40 * 8), input: 40, target: 8 },
                    _ => {
                        let chosen = fastrand::Rng::with_seed(trial).choose_multiple(0..64, 8);
                        Reduction::Fjlt { signs: draw(64), chosen, input: 40 }
                    }
                };
                let mut out = Vec::new();
                reduction.apply(&row, &mut Vec::new(), &mut out);
                squared(&out) / 400.0
            })
            .sum::<f64>();
        assert!((mean / squared(&row) - 1.0).abs() < 0.1, "{name}: {mean}");
    }
}

#[test]
fn hostile_files_are_refused() {
    let check = |change: &dyn Fn(&mut Manifest, &mut Parts), expected: &str| {
        let (mut manifest, mut parts) = whole();
        change(&mut manifest, &mut parts);
        let error = Knn::new(&manifest, parts).expect_err("hostile").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let lists = |change: &dyn Fn(&mut Lists), expected: &str| {
        check(&|_, parts| change(parts.lists.as_mut().expect("lists")), expected);
    };
    lists(&|lists| lists.ids[0] = 9, "ivf.ids");
    lists(&|lists| lists.ids[0] = 1, "ivf.ids");
    lists(&|lists| lists.offsets[1] = 4, "ivf.offsets");
    lists(&|lists| lists.offsets = vec![0], "ivf.centroids");
    lists(&|lists| lists.centroids[0] = f32::NAN, "ivf.centroids");
    check(&|_, parts| parts.labels[0] = f32::INFINITY, "labels");
    check(&|_, parts| parts.labels.clear(), "vectors");
    check(&|_, parts| parts.store = Store::Vectors(vec![0.0; 2]), "vectors");
    check(&|_, parts| parts.lists = None, "inverted lists");
    check(
        &|_, parts| parts.reduction = Some(Reduction::Fjlt { signs: vec![1, 1], chosen: vec![2], input: 2 }),
        "reduction.perm",
    );
    check(
        &|_, parts| parts.reduction = Some(Reduction::Fjlt { signs: vec![1, 0], chosen: vec![0], input: 2 }),
        "reduction.signs",
    );
    let key = |key: &str, value: serde_json::Value, expected: &str| {
        check(&|manifest, _| drop(manifest.details.insert(key.into(), value.clone())), expected);
    };
    key("k", json!(0), "k: expected a whole number from 1");
    key("predictor_type", json!("median"), "predictor_type: expected one of classifier, regressor");
    key("metric", json!("L1"), "metric: expected one of L2");
    key("index", json!("faiss.HNSW"), "index: expected one of");
    key("normalize", json!(true), "normalize: expected false");
    key("nprobe", json!(-1), "nprobe");
}

#[test]
fn bytes_of_any_length_are_no_panic() {
    let (manifest, parts) = whole();
    let bytes = parts.to_members().remove(0).1;
    for length in 0..bytes.len() {
        assert!(Knn::from_safetensors("m", &bytes[..length], &manifest).is_err());
    }
    let mut random = fastrand::Rng::with_seed(10);
    for _ in 0..2_000 {
        let mut changed = bytes.clone();
        let place = random.usize(..changed.len());
        changed[place] = random.u8(..);
        if let Ok(model) = Knn::from_safetensors("m", &changed, &manifest) {
            let columns = model.signature.rows.columns.unwrap();
            let rows = DMatrix::from_dense(vec![1.0; columns], columns);
            drop(model.predict(Input::Rows(&rows), &mut Predictions::new()));
        }
    }
}
