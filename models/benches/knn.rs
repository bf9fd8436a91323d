//! What one row costs k-NN, and a row of many.

use divan::{Bencher, black_box};
use dmatrix::{DMatrix, Predictions};
use models::knn::{Knn, Lists, Parts, Store};
use models::{Algorithm, Input, Manifest, Model};
use serde_json::json;

const COLUMNS: usize = 30;

fn main() {
    divan::main();
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.f32()).collect()
}

/// A model of `n` vectors; `index` is `faiss.Flat`, or one of `√n` lists of equal length, an eighth of which are visited.
fn model(n: usize, index: &str) -> Knn {
    let nlist = n.isqrt();
    let lists = (index != "faiss.Flat").then(|| Lists {
        centroids: random(nlist * COLUMNS, 2),
        offsets: (0..=nlist).map(|list| (list * n / nlist) as u64).collect(),
        ids: (0..n as u32).collect(),
    });
    let store = match index {
        "faiss.IVFPQ" => Store::Codes {
            m: 3,
            codebooks: random(256 * COLUMNS, 3),
            codes: random(n * 3, 4).iter().map(|value| (value * 255.0) as u8).collect(),
        },
        _ => Store::Vectors(random(n * COLUMNS, 1)),
    };
    let labels = (0..n).map(|label| (label % 10) as f32).collect();
    let parts = Parts { labels, columns: COLUMNS, store, lists, reduction: None };
    let details = json!({"k": 5, "predictor_type": "classifier", "index": index});
    let details = details.as_object().cloned().expect("an object");
    Knn::new(&Manifest { details, ..Manifest::new(Algorithm::Knn) }, parts).expect("sound parts")
}

#[divan::bench(args = [1_000, 10_000, 100_000], consts = [1, 64])]
fn flat<const ROWS: usize>(bencher: Bencher<'_, '_>, n: usize) {
    measure(bencher, &model(n, "faiss.Flat"), ROWS);
}

#[divan::bench(args = [10_000, 100_000])]
fn lists(bencher: Bencher<'_, '_>, n: usize) {
    measure(bencher, &model(n, "faiss.IVFFlat"), 1);
}

#[divan::bench(args = [10_000, 100_000])]
fn codes(bencher: Bencher<'_, '_>, n: usize) {
    measure(bencher, &model(n, "faiss.IVFPQ"), 1);
}

fn measure(bencher: Bencher<'_, '_>, model: &Knn, rows: usize) {
    let rows = DMatrix::from_dense(random(rows * COLUMNS, 5), COLUMNS);
    let mut predictions = Predictions::new();
    bencher.bench_local(|| {
        model.predict(Input::Rows(black_box(&rows)), &mut predictions).expect("sound rows");
        predictions.fields()[0].values[0]
    });
}
