//! Tree prediction, in rows a second: the compiled predictor behind the `Model` trait, beside a plain walk over arrays
//! of nodes, at several batch sizes. `cargo bench -p models --bench xgboost`.
//!
//! Every bench first checks that both give the same bits.

#[path = "../tests/sparse/mod.rs"]
mod csr;
#[path = "../tests/forests/mod.rs"]
mod forests;

use divan::Bencher;
use divan::counter::ItemsCount;
use dmatrix::{DMatrix, Predictions};
use fastrand::Rng;
use forests::Plan;
use models::xgboost::XgboostModel;
use models::xgboost::booster::Booster;
use models::xgboost::naive::Naive;
use models::{Input, LoadOptions, Model};

const FEATURES: u32 = 30;
const BATCHES: [usize; 4] = [1, 16, 1000, 100_000];

/// Trees × depth.
const FORESTS: [(usize, usize); 2] = [(100, 6), (500, 8)];

fn main() {
    divan::main();
}

struct Setup {
    booster: Booster,
    values: Vec<f32>,
}

fn setup(trees: usize, depth: usize, rows: usize, missing: f64) -> Setup {
    let plan = Plan::perfect(FEATURES, trees, depth);
    let mut rng = Rng::with_seed(7);
    let booster = plan.booster(&mut rng);
    let values = plan.rows(rows, missing, &mut rng);
    Setup { booster, values }
}

/// Benches `model` over batches of `batch` rows, a different one each time, so that branches cannot be learnt by heart.
fn bench_model(bencher: Bencher<'_, '_>, setup: &Setup, batch: usize, is_sparse: bool) {
    let model = XgboostModel::new(
        vec![("bench".to_owned(), setup.booster.clone())],
        XgboostModel::default_rows(),
        &LoadOptions::default(),
    )
    .expect("the model is a good one");
    let columns = FEATURES as usize;
    let batches: Vec<DMatrix> = setup
        .values
        .chunks_exact(batch * columns)
        .map(|values| match is_sparse {
            true => csr::csr(values, columns),
            false => DMatrix::from_dense(values.to_vec(), columns),
        })
        .collect();
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&batches[0]), &mut predictions).expect("the rows fit");
    let expected = Naive::new(&setup.booster).margins(&setup.values[..columns]);
    assert_eq!(predictions.fields()[0].row(0)[0].to_bits(), expected[0].to_bits());
    let mut next = batches.iter().cycle();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        let rows = next.next().expect("a cycle has no end");
        model.predict(Input::Rows(rows), &mut predictions).expect("the rows fit");
        predictions.fields()[0].row(0)[0]
    });
}

fn rows_for(batch: usize) -> usize {
    batch.max(4096 / batch * batch)
}

#[divan::bench(args = BATCHES, consts = [0, 1])]
fn dense<const FOREST: usize>(bencher: Bencher<'_, '_>, batch: usize) {
    let (trees, depth) = FORESTS[FOREST];
    bench_model(bencher, &setup(trees, depth, rows_for(batch), 0.0), batch, false);
}

#[divan::bench(args = BATCHES, consts = [0, 1])]
fn dense_with_missing<const FOREST: usize>(bencher: Bencher<'_, '_>, batch: usize) {
    let (trees, depth) = FORESTS[FOREST];
    bench_model(bencher, &setup(trees, depth, rows_for(batch), 0.1), batch, false);
}

#[divan::bench(args = BATCHES, consts = [0, 1])]
fn sparse<const FOREST: usize>(bencher: Bencher<'_, '_>, batch: usize) {
    let (trees, depth) = FORESTS[FOREST];
    bench_model(bencher, &setup(trees, depth, rows_for(batch), 0.5), batch, true);
}

#[divan::bench(args = BATCHES[..3].iter().copied(), consts = [0, 1])]
fn plain_walk<const FOREST: usize>(bencher: Bencher<'_, '_>, batch: usize) {
    let (trees, depth) = FORESTS[FOREST];
    let setup = setup(trees, depth, rows_for(batch), 0.0);
    let naive = Naive::new(&setup.booster);
    let mut batches = setup.values.chunks_exact(batch * FEATURES as usize).cycle();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        let rows = batches.next().expect("a cycle has no end").chunks_exact(FEATURES as usize);
        rows.map(|row| naive.margins(row)[0]).fold(0.0, f32::max)
    });
}
