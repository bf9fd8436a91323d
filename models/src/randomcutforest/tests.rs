//! Answers against the plain formula, dense against sparse, and files that are refused.

use serde_json::json;

use super::*;

/// One tree over 0, 1 (twice) and 5, cut at 3 and 0.5.
fn forest() -> Forest {
    Forest {
        tree_offsets: vec![0, 5],
        cut_dim: vec![0, 0, LEAF, LEAF, LEAF],
        cut_value: vec![3.0, 0.5, 0.0, 0.0, 0.0],
        left: vec![1, 2, LEAF, LEAF, LEAF],
        right: vec![4, 3, LEAF, LEAF, LEAF],
        mass: vec![4, 3, 1, 2, 1],
        point: vec![0, 0, 0, 1, 2],
        points: vec![0.0, 1.0, 5.0],
        columns: 1,
    }
}

fn manifest() -> Manifest {
    Manifest::new(Algorithm::RandomCutForest)
}

fn scores(model: &RandomCutForest, rows: &DMatrix) -> Result<Vec<f32>, PredictError> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions)?;
    Ok(predictions.fields()[0].values.clone())
}

fn score(model: &RandomCutForest, row: &[f32]) -> f64 {
    f64::from(scores(model, &DMatrix::from_dense(row.to_vec(), row.len())).expect("finite")[0])
}

#[test]
fn scores_are_the_formula_by_hand() {
    let model = RandomCutForest::new(&manifest(), &forest()).expect("a tree");
    let scale = 5f64.log2();
    let check = |value: f32, worth: f64| {
        let found = score(&model, &[value]);
        assert!((found - worth * scale).abs() < 1e-6, "{value}: {found} {}", worth * scale);
    };
    // Points of the sample: (1 - m/2M) / (depth + log2(m + 1)).
    check(0.0, (1.0 - 1.0 / 8.0) / (2.0 + 1.0));
    check(1.0, (1.0 - 2.0 / 8.0) / (2.0 + 3f64.log2()));
    check(5.0, (1.0 - 1.0 / 8.0) / (1.0 + 1.0));
    // Inside the lower box: the leaf's height.
    check(0.25, 1.0 / 3.0);
    // Outside of the lower box by 1 of 2, inside the root's.
    check(2.0, 0.5 * 0.5 + 0.5 / 3.0);
    // Outside of all: below 0 by 1, of 2 and of 6.
    let lower = 0.5 * 0.5 + 0.5 / 3.0;
    check(-1.0, 1.0 / 6.0 + 5.0 / 6.0 * lower);
}

#[test]
fn far_away_the_score_tends_to_its_bound() {
    let model = RandomCutForest::new(&manifest(), &forest()).expect("a tree");
    assert!((score(&model, &[1e12]) - 5f64.log2()).abs() < 1e-5);
    assert!((score(&model, &[f32::MIN]) - 5f64.log2()).abs() < 1e-5);
}

#[test]
fn a_tree_may_be_one_leaf() {
    let one = Forest {
        tree_offsets: vec![0, 1],
        cut_dim: vec![LEAF],
        cut_value: vec![0.0],
        left: vec![LEAF],
        right: vec![LEAF],
        mass: vec![3],
        point: vec![0],
        points: vec![1.0, 2.0],
        columns: 2,
    };
    let model = RandomCutForest::new(&manifest(), &one).expect("a leaf");
    assert!((score(&model, &[1.0, 2.0]) - 0.5).abs() < 1e-6);
    assert!((score(&model, &[1.0, 3.0]) - 2.0).abs() < 1e-6);
}

#[test]
fn an_artifact_is_read_back() {
    let [(file, bytes)] = forest().to_members().try_into().expect("one member");
    assert_eq!(Forest::read(&file, &bytes).expect("its own file"), forest());
    let mut manifest = manifest();
    let details = json!({"num_trees": 1, "num_samples_per_tree": 4, "seed": 0, "sampling": "partition"});
    manifest.details = details.as_object().expect("an object").clone();
    let model = RandomCutForest::from_safetensors(&file, &bytes, &manifest).expect("its own file");
    assert_eq!(model.signature().layout.envelope, "scores");
}

/// Two features, cut at random; the leaves' points lie where the cuts lead.
fn random_forest() -> Forest {
    let mut forest = Forest { columns: 3, tree_offsets: vec![0], ..Forest::default() };
    let mut random = fastrand::Rng::with_seed(9);
    forest.points = (0..30).map(|_| random.f32()).collect();
    for _ in 0..5 {
        // A chain: every inner node parts one point from the rest.
        for place in 0..9 {
            let node = 2 * place;
            forest.cut_dim.extend([random.i32(0..3), LEAF]);
            forest.cut_value.extend([f64::from(random.f32()), 0.0]);
            forest.left.extend([node + 1, LEAF]);
            forest.right.extend([node + 2, LEAF]);
            forest.mass.extend([10 - place as u32, 1]);
            forest.point.extend([0, random.u32(0..10)]);
        }
        forest.cut_dim.push(LEAF);
        forest.cut_value.push(0.0);
        forest.left.push(LEAF);
        forest.right.push(LEAF);
        forest.mass.push(1);
        forest.point.push(0);
        forest.tree_offsets.push(forest.cut_dim.len() as u64);
    }
    forest
}

#[test]
fn sparse_is_dense_in_any_batch_to_the_bit() {
    let model = RandomCutForest::new(&manifest(), &random_forest()).expect("trees");
    let mut random = fastrand::Rng::with_seed(4);
    let mut values: Vec<f32> = (0..200 * 3).map(|_| random.f32() * 2.0 - 0.5).collect();
    values.iter_mut().step_by(4).for_each(|value| *value = 0.0);
    let whole = scores(&model, &DMatrix::from_dense(values.clone(), 3)).expect("finite");
    let mut sparse = DMatrix::new();
    let parts = sparse.begin_sparse();
    for row in values.chunks_exact(3) {
        for (index, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            parts.indices.push(index as u32);
            parts.values.push(*value);
        }
        parts.offsets.push(parts.indices.len());
    }
    sparse.finish_sparse(3);
    assert_eq!(scores(&model, &sparse).expect("finite"), whole);
    for (row, expected) in values.chunks_exact(3).zip(whole) {
        assert_eq!(score(&model, row), f64::from(expected));
    }
}

#[test]
fn bad_rows_are_refused() {
    let model = RandomCutForest::new(&manifest(), &forest()).expect("a tree");
    let check = |values: Vec<f32>, columns, expected: &str| {
        let error = scores(&model, &DMatrix::from_dense(values, columns)).expect_err("bad").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(vec![1.0, 2.0], 2, "expected rows of 1 features, found 2");
    check(vec![1.0, f32::INFINITY], 1, "row 2, feature 1: expected a finite number, found inf");
}

#[test]
fn what_is_no_tree_is_refused() {
    let check = |change: fn(&mut Forest), expected: &str| {
        let mut forest = forest();
        change(&mut forest);
        let error = RandomCutForest::new(&manifest(), &forest).expect_err("no tree").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(|it| it.tree_offsets = vec![0, 4], "tree_offsets: expected numbers that grow from 0 to 5");
    check(|it| it.tree_offsets = vec![0, 0, 5], "tree_offsets");
    check(|it| it.tree_offsets.clear(), "tree_offsets");
    check(|it| it.left[0] = 0, "tree 0, node 0: expected children behind it, each of one parent, found 0");
    check(|it| it.left[1] = 4, "node 1: expected children behind it");
    check(|it| it.right[0] = 5, "found 5");
    check(|it| it.right[0] = -7, "found -7");
    check(|it| it.cut_dim[1] = 1, "node 1: expected a feature below 1, found 1");
    check(|it| it.cut_dim[1] = -2, "found -2");
    check(|it| it.cut_dim[1] = LEAF, "node 1: expected a leaf without children, found 2 and 3");
    check(|it| it.cut_value[0] = f64::NAN, "node 0: expected a finite cut");
    check(|it| it.mass[2] = 0, "node 1: expected the mass of its children, 2, found 3");
    check(|it| it.mass.fill(0), "node 0: expected a mass of at least 1, found 0");
    check(|it| it.mass[0] = 9, "node 0: expected the mass of its children, 4, found 9");
    check(|it| it.point[2] = 3, "node 2: expected a point below 3, found 3");
    check(|it| it.points[0] = f32::NAN, "tensor points: expected finite numbers");
    check(|it| it.mass.truncate(2), "tensor mass: expected 5 nodes as in cut_dim, found 2");
    check(|it| it.columns = 2, "tensor points: expected rows of 2 features, found 3 values");
}

#[test]
fn a_manifest_that_says_otherwise_is_refused() {
    let check = |key: &str, value: serde_json::Value, expected: &str| {
        let mut manifest = manifest();
        manifest.details.insert(key.into(), value);
        let error = RandomCutForest::new(&manifest, &forest()).expect_err("another").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("num_trees", json!(2), "num_trees: expected 1 as in the model file, found 2");
    check(
        "num_samples_per_tree",
        json!(256),
        "num_samples_per_tree: expected 4 as in the model file, found 256",
    );
    check("sampling", json!("all"), "sampling: expected \"partition\" or \"independent\", found \"all\"");
    check("seed", json!(-1), "seed: expected a whole number, found -1");
}

#[test]
fn damaged_files_never_panic() {
    let bytes = random_forest().to_members().remove(0).1;
    let load = |bytes: &[u8]| RandomCutForest::from_safetensors("m", bytes, &manifest());
    load(&bytes).expect("whole");
    for length in 0..bytes.len() {
        assert!(load(&bytes[..length]).is_err(), "cut at {length}");
    }
    let rows = DMatrix::from_dense(vec![0.5; 3], 3);
    for place in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = bytes.clone();
            bytes[place] ^= flip;
            if let Ok(model) = load(&bytes) {
                drop(scores(&model, &rows));
            }
        }
    }
}

#[test]
fn cuts_between_singles_part_them() {
    let next = 1f32.next_up();
    let between = f64::midpoint(1.0, f64::from(next));
    assert_eq!(compiled::single_below(between), 1.0);
    assert_eq!(compiled::single_below(1e300), f32::MAX);
    assert_eq!(compiled::single_below(f64::from(next)), next);
}
