//! XGBoost predictions: the compiled predictor against the naive oracle, bit for bit, over every kind of forest, row
//! storage, batch size, order and thread; the answers of every objective; and what is refused.

mod forests;
mod sparse;

use dmatrix::{DMatrix, Predictions};
use fastrand::Rng;
use forests::Plan;
use models::xgboost::XgboostModel;
use models::xgboost::booster::{Boosted, Booster, Linear, Tree};
use models::xgboost::naive::Naive;
use models::{Input, LoadOptions, Model};
use proptest::prelude::*;

fn load(booster: &Booster) -> XgboostModel {
    let file = vec![("xgboost-model".to_owned(), booster.clone())];
    XgboostModel::new(file, XgboostModel::default_rows(), &LoadOptions::default()).expect("the model loads")
}

/// The bits of every score of every row.
fn scores(model: &XgboostModel, rows: &DMatrix) -> Vec<u32> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions).expect("the rows fit");
    assert_eq!(predictions.rows(), rows.rows());
    predictions.fields()[0].values.iter().map(|value| value.to_bits()).collect()
}

fn oracle(booster: &Booster, values: &[f32]) -> Vec<u32> {
    let naive = Naive::new(booster);
    let rows = values.chunks_exact(booster.num_feature as usize);
    rows.flat_map(|row| naive.margins(row)).map(f32::to_bits).collect()
}

/// Holds the compiled model to the oracle over storages and batch sizes.
fn check(booster: &Booster, values: &[f32], batch: usize) {
    let columns = booster.num_feature as usize;
    let model = load(booster);
    let expected = oracle(booster, values);
    assert_eq!(scores(&model, &DMatrix::from_dense(values.to_vec(), columns)), expected, "dense");
    assert_eq!(scores(&model, &sparse::csr(values, columns)), expected, "sparse");
    let batches = values.chunks(batch * columns);
    let split: Vec<u32> =
        batches.flat_map(|rows| scores(&model, &DMatrix::from_dense(rows.to_vec(), columns))).collect();
    assert_eq!(split, expected, "batches of {batch}");
}

fn any_version() -> impl Strategy<Value = Option<[u32; 3]>> {
    prop::sample::select(vec![
        None,
        Some([1, 2, 0]),
        Some([1, 3, 1]),
        Some([1, 5, 2]),
        Some([1, 6, 2]),
        Some([1, 7, 6]),
        Some([3, 2, 0]),
    ])
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let shape = (1u32..40, 0usize..40, 0usize..12, prop::sample::select(vec![0.0, 0.1, 0.4]));
    let kind = (prop::sample::select(vec![0.0, 0.3]), 1usize..5, any::<bool>(), any::<bool>(), any_version());
    (shape, kind).prop_map(|((features, trees, depth, leaf_chance), kind)| {
        let (category_chance, outputs, vectors, dart, version) = kind;
        // Perfect trees double with each level; deep ones are thinned out.
        let leaf_chance = if depth > 8 { f64::max(leaf_chance, 0.4) } else { leaf_chance };
        let vectors = vectors && outputs > 1;
        let dart = dart && !vectors && trees > 0;
        Plan { features, trees, depth, leaf_chance, category_chance, outputs, vectors, dart, version }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn compiled_trees_equal_the_oracle(
        plan in any_plan(),
        seed in any::<u64>(),
        rows in 0usize..150,
        missing in prop::sample::select(vec![0.0, 0.02, 0.5]),
        batch in prop::sample::select(vec![1usize, 2, 7, 63, 64, 65, 128]),
    ) {
        let mut rng = Rng::with_seed(seed);
        let booster = plan.booster(&mut rng);
        check(&booster, &plan.rows(rows, missing, &mut rng), batch);
    }

    #[test]
    fn linear_models_equal_the_oracle(
        features in 1u32..40,
        outputs in 1u32..4,
        seed in any::<u64>(),
        rows in 0usize..80,
        missing in prop::sample::select(vec![0.0, 0.3]),
    ) {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan { outputs: outputs as usize, ..Plan::perfect(features, 0, 0) };
        let mut booster = plan.booster(&mut rng);
        let weights = (0..(features + 1) * outputs).map(|_| rng.f32() - 0.5).collect();
        booster.boosted = Boosted::Linear(Linear { weights });
        check(&booster, &plan.rows(rows, missing, &mut rng), 16);
    }
}

/// Breaks one array of one tree.
fn damage(tree: &mut Tree, rng: &mut Rng) {
    let node = rng.usize(0..tree.left.len());
    match rng.u8(0..9) {
        0 => tree.left[node] = rng.i32(-2..40),
        1 => tree.right[node] = rng.i32(-2..40),
        2 => tree.feature[node] = rng.u32(..),
        3 => tree.condition[node] = [f32::NAN, f32::INFINITY][rng.usize(0..2)],
        4 => tree.condition.truncate(node),
        5 => tree.default_left.truncate(node),
        6 => tree.right.truncate(node),
        7 => tree.categories.push((node as u32, vec![rng.u32(..)])),
        _ => tree.outputs = rng.usize(0..4),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Readers validate what they read; compiling holds without that.
    #[test]
    fn a_damaged_tree_is_refused_or_scored(seed in any::<u64>(), leaf_chance in prop::sample::select(vec![0.0, 0.3])) {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan { leaf_chance, category_chance: 0.1, outputs: 2, ..Plan::perfect(5, 9, 4) };
        let mut booster = plan.booster(&mut rng);
        if let Boosted::Trees(trees) = &mut booster.boosted {
            damage(&mut trees.trees[rng.usize(0..9)], &mut rng);
        }
        let file = vec![("xgboost-model".to_owned(), booster)];
        match XgboostModel::new(file, XgboostModel::default_rows(), &LoadOptions::default()) {
            Ok(model) => prop_assert_eq!(scores(&model, &DMatrix::from_dense(plan.rows(9, 0.1, &mut rng), 5)).len(), 18),
            Err(error) => prop_assert!(error.to_string().contains("tree "), "{}", error),
        }
    }
}

#[test]
fn a_row_scores_the_same_in_any_batch_order_and_thread() {
    let mut rng = Rng::with_seed(3);
    let plan = Plan { category_chance: 0.05, outputs: 3, ..Plan::perfect(17, 60, 5) };
    let booster = plan.booster(&mut rng);
    let model = load(&booster);
    let values = plan.rows(4096, 0.01, &mut rng);
    let expected = oracle(&booster, &values);
    let mut order: Vec<usize> = (0..4096).collect();
    rng.shuffle(&mut order);
    let shuffled: Vec<f32> = order.iter().flat_map(|&row| &values[row * 17..][..17]).copied().collect();
    for batch in [1, 2, 3, 63, 64, 65, 1000, 4096] {
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (model, order, expected) = (&model, &order, &expected);
                let batches =
                    shuffled.chunks(batch * 17).enumerate().filter(move |(index, _)| index % 3 == thread);
                scope.spawn(move || {
                    for (index, rows) in batches {
                        let found = scores(model, &DMatrix::from_dense(rows.to_vec(), 17));
                        for (row, found) in order[index * batch..].iter().zip(found.chunks_exact(3)) {
                            assert_eq!(found, &expected[row * 3..][..3], "row {row} in a batch of {batch}");
                        }
                    }
                });
            }
        });
    }
}
