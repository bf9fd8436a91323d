//! What an XGBoost model answers: plain and selectable fields of each objective, ensembles, early stopping, the widths
//! of rows; and the models that are refused.

use dmatrix::{
    CsvRows, CsvVectors, DMatrix, Field, FieldShape, IndexBase, Missing, NarrowRows, NumberStyle,
    Predictions, RowSchema,
};
use models::xgboost::XgboostModel;
use models::xgboost::booster::{Boosted, Booster, Linear, Tree, Trees};
use models::{Input, LoadError, LoadOptions, Model, PredictError};

/// Two features; the first below 0.5 leads to `low`, else to `high`, a missing one to `low`.
fn stump(low: f32, high: f32) -> Tree {
    Tree {
        left: vec![1, -1, -1],
        right: vec![2, -1, -1],
        feature: vec![0, 0, 0],
        condition: vec![0.5, low, high],
        default_left: vec![true, false, false],
        outputs: 1,
        ..Tree::default()
    }
}

/// Stumps take turns in the outputs.
fn booster(objective: &str, outputs: u32, base_score: f32, stumps: &[(f32, f32)]) -> Booster {
    let is_multi = objective.starts_with("multi:");
    Booster {
        version: Some([3, 4, 0]),
        num_feature: 2,
        num_class: if is_multi { outputs } else { 0 },
        num_target: if is_multi { 1 } else { outputs },
        base_score: vec![base_score],
        base_score_is_margin: false,
        objective: objective.to_owned(),
        objective_params: Vec::new(),
        boosted: Boosted::Trees(Trees {
            trees: stumps.iter().map(|&(low, high)| stump(low, high)).collect(),
            groups: (0..stumps.len() as u32).map(|index| index % outputs).collect(),
            weight_drop: Vec::new(),
            num_parallel_tree: 1,
            iteration_indptr: Vec::new(),
        }),
        attributes: Vec::new(),
        feature_names: Vec::new(),
        feature_types: Vec::new(),
    }
}

fn trees(booster: &mut Booster) -> &mut Trees {
    match &mut booster.boosted {
        Boosted::Trees(trees) => trees,
        Boosted::Linear(_) => unreachable!("only trees are asked for"),
    }
}

fn named(boosters: &[Booster]) -> Vec<(String, Booster)> {
    boosters.iter().enumerate().map(|(index, booster)| (format!("model-{index}"), booster.clone())).collect()
}

fn load(boosters: &[Booster], options: &LoadOptions) -> Result<XgboostModel, LoadError> {
    XgboostModel::new(named(boosters), XgboostModel::default_rows(), options)
}

fn refused(boosters: &[Booster], options: &LoadOptions) -> String {
    load(boosters, options).expect_err("the model is refused").to_string()
}

/// A low row and a high one.
fn rows() -> DMatrix {
    DMatrix::from_dense(vec![0.0, 0.0, 1.0, 0.0], 2)
}

fn predict(model: &XgboostModel) -> Vec<Field> {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&rows()), &mut predictions).expect("the rows fit");
    predictions.fields().to_vec()
}

fn is_close(found: f32, expected: f32) -> bool {
    found == expected
        || (found - expected).abs() <= 1e-6 * expected.abs()
        || (found.is_nan() && expected.is_nan())
}

/// The plain answers of two rows.
fn check_plain(booster: &Booster, shape: FieldShape, expected: &[f32]) {
    let model = load(std::slice::from_ref(booster), &LoadOptions::default()).expect("the model loads");
    let fields = predict(&model);
    assert_eq!(
        (fields.len(), &*fields[0].name, fields[0].shape),
        (1, "score", shape),
        "{}",
        booster.objective
    );
    assert_eq!(fields[0].style, NumberStyle::Float);
    let found = &fields[0].values;
    let all_close =
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| is_close(*a, *b));
    assert!(all_close, "{}: found {found:?}, expected {expected:?}", booster.objective);
}

#[test]
fn each_objective_transforms_its_margins() {
    let sigmoid = |margin: f32| 1.0 / (1.0 + (-margin).exp());
    let stumps = [(-1.0, 2.0)];
    for identity in [
        "reg:squarederror",
        "reg:linear",
        "reg:squaredlogerror",
        "reg:pseudohubererror",
        "reg:absoluteerror",
        "reg:quantileerror",
        "reg:expectileerror",
        "binary:logitraw",
        "rank:pairwise",
        "rank:ndcg",
        "rank:map",
    ] {
        check_plain(&booster(identity, 1, 0.25, &stumps), FieldShape::Scalar, &[-0.75, 2.25]);
    }
    for logistic in ["reg:logistic", "binary:logistic", "gpu:binary:logistic"] {
        check_plain(&booster(logistic, 1, 0.5, &stumps), FieldShape::Scalar, &[sigmoid(-1.0), sigmoid(2.0)]);
    }
    for exponential in ["count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"] {
        let expected = [3.0 * (-1.0f32).exp(), 3.0 * 2.0f32.exp()];
        check_plain(&booster(exponential, 1, 3.0, &stumps), FieldShape::Scalar, &expected);
    }
    check_plain(&booster("binary:hinge", 1, 0.5, &stumps), FieldShape::Scalar, &[0.0, 1.0]);
}

#[test]
fn several_outputs_are_a_list() {
    let stumps = [(0.0, 3.0), (1.0, 2.0), (1.0, 1.0)];
    check_plain(&booster("multi:softmax", 3, 0.5, &stumps), FieldShape::Scalar, &[1.0, 0.0]);
    let softmax = |margins: [f32; 3]| {
        let sum: f32 = margins.iter().map(|margin| margin.exp()).sum();
        margins.map(|margin| margin.exp() / sum)
    };
    let expected = [softmax([0.0, 1.0, 1.0]), softmax([3.0, 2.0, 1.0])].concat();
    check_plain(&booster("multi:softprob", 3, 0.5, &stumps), FieldShape::Vector(3), &expected);
    let targets = booster("reg:squarederror", 3, 0.0, &stumps);
    check_plain(&targets, FieldShape::Vector(3), &[0.0, 1.0, 1.0, 3.0, 2.0, 1.0]);
}

#[test]
fn quantiles_are_sorted_since_3_4() {
    let mut quantiles = booster("reg:quantileerror", 3, 0.0, &[(0.0, 3.0), (1.0, 2.0), (1.0, 1.0)]);
    check_plain(&quantiles, FieldShape::Vector(3), &[0.0, 1.0, 1.0, 1.0, 2.0, 3.0]);
    quantiles.version = Some([3, 3, 0]);
    check_plain(&quantiles, FieldShape::Vector(3), &[0.0, 1.0, 1.0, 3.0, 2.0, 1.0]);
}

#[test]
fn plain_answers_are_laid_out_as_the_environment_says() {
    let layout = |options: &LoadOptions| {
        let model = load(&[booster("multi:softprob", 3, 0.5, &[])], options).expect("the model loads");
        (model.signature().layout.csv_vectors, model.signature().layout.csv_rows)
    };
    let legacy = LoadOptions { xgboost_csv_legacy: true, ..LoadOptions::default() };
    let batch = LoadOptions { batch: true, ..legacy.clone() };
    assert_eq!(layout(&LoadOptions::default()), (CsvVectors::Flatten, CsvRows::Lines));
    assert_eq!(layout(&legacy), (CsvVectors::Flatten, CsvRows::OneLine));
    assert_eq!(layout(&batch), (CsvVectors::BareList, CsvRows::Lines));
}

fn selecting(keys: &str) -> LoadOptions {
    LoadOptions { inference_output: Some(keys.to_owned()), ..LoadOptions::default() }
}

/// The selected fields of two rows: name, width, style and values.
fn check_selected(booster: &Booster, keys: &str, expected: &[(&str, FieldShape, NumberStyle, &[f32])]) {
    let model = load(std::slice::from_ref(booster), &selecting(keys)).expect("the model loads");
    assert_eq!(model.signature().layout.csv_vectors, CsvVectors::QuotedList);
    let fields = predict(&model);
    assert_eq!(fields.len(), expected.len());
    for (field, (name, shape, style, values)) in fields.iter().zip(expected) {
        let place = format!("{} {name}", booster.objective);
        assert_eq!((&*field.name, field.shape, field.style), (*name, *shape, *style), "{place}");
        assert_eq!(field.values.len(), values.len(), "{place}");
        let all_close = field.values.iter().zip(*values).all(|(a, b)| is_close(*a, *b));
        assert!(all_close, "{place}: found {:?}, expected {values:?}", field.values);
    }
}

#[test]
fn selected_answers_of_each_objective() {
    use FieldShape::{Scalar, Vector};
    use NumberStyle::{Float, Integer};
    const NAN: f32 = f32::NAN;
    const ALL: &str =
        "predicted_label, labels,PROBABILITY,probabilities,raw_score,raw_scores,predicted_score";
    let (low, high) = (1.0 / (1.0 + 1f32.exp()), 1.0 / (1.0 + (-2f32).exp()));
    check_selected(
        &booster("binary:logistic", 1, 0.5, &[(-1.0, 2.0)]),
        ALL,
        &[
            ("predicted_label", Scalar, Integer, &[0.0, 1.0]),
            ("labels", Vector(2), Integer, &[0.0, 1.0, 0.0, 1.0]),
            ("probability", Scalar, Float, &[low, high]),
            ("probabilities", Vector(2), Float, &[1.0 - low, low, 1.0 - high, high]),
            ("raw_score", Scalar, Float, &[low, high]),
            ("raw_scores", Vector(2), Float, &[1.0 - low, low, 1.0 - high, high]),
            ("predicted_score", Scalar, Float, &[NAN, NAN]),
        ],
    );
    check_selected(
        &booster("binary:logitraw", 1, 0.0, &[(-1.0, 2.0)]),
        ALL,
        &[
            ("predicted_label", Scalar, Integer, &[0.0, 1.0]),
            ("labels", Vector(2), Integer, &[0.0, 1.0, 0.0, 1.0]),
            ("probability", Scalar, Float, &[NAN, NAN]),
            ("probabilities", Scalar, Float, &[NAN, NAN]),
            ("raw_score", Scalar, Float, &[-1.0, 2.0]),
            ("raw_scores", Vector(2), Float, &[2.0, -1.0, -1.0, 2.0]),
            ("predicted_score", Scalar, Float, &[NAN, NAN]),
        ],
    );
    check_selected(
        &booster("binary:hinge", 1, 0.0, &[(-1.0, 2.0)]),
        "raw_scores,predicted_label,predicted_label",
        &[
            ("raw_scores", Vector(2), Float, &[1.0, 0.0, 0.0, 1.0]),
            ("predicted_label", Scalar, Float, &[0.0, 1.0]),
        ],
    );
    check_selected(
        &booster("multi:softmax", 3, 0.5, &[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]),
        "predicted_label,labels,raw_score,raw_scores,probability",
        &[
            ("predicted_label", Scalar, Float, &[1.0, 2.0]),
            ("labels", Vector(3), Integer, &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]),
            ("raw_score", Scalar, Float, &[1.0, 2.0]),
            ("raw_scores", Vector(2), Float, &[0.0, 1.0, -1.0, 2.0]),
            ("probability", Scalar, Float, &[NAN, NAN]),
        ],
    );
    let (win, lose) = (1f32.exp() / (2.0 + 1f32.exp()), 1.0 / (2.0 + 1f32.exp()));
    check_selected(
        &booster("multi:softprob", 3, 0.5, &[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]),
        "predicted_label,probability,raw_score,probabilities,raw_scores,colour",
        &[
            ("predicted_label", Scalar, Integer, &[1.0, 2.0]),
            ("probability", Scalar, Float, &[win, win]),
            ("raw_score", Scalar, Float, &[win, win]),
            ("probabilities", Vector(3), Float, &[lose, win, lose, lose, lose, win]),
            ("raw_scores", Vector(3), Float, &[lose, win, lose, lose, lose, win]),
            ("colour", Scalar, Float, &[NAN, NAN]),
        ],
    );
    for regression in ["reg:squarederror", "reg:absoluteerror"] {
        check_selected(
            &booster(regression, 1, 0.0, &[(-1.0, 2.0)]),
            "labels,predicted_score",
            &[("labels", Scalar, Float, &[NAN, NAN]), ("predicted_score", Scalar, Float, &[-1.0, 2.0])],
        );
    }
}

#[test]
fn an_empty_selection_is_plain() {
    for keys in ["", " , "] {
        let model = load(&[booster("binary:hinge", 1, 0.5, &[])], &selecting(keys)).expect("the model loads");
        assert_eq!(model.signature().fields[0].name, "score");
    }
}

#[test]
fn an_objective_that_cannot_be_selected_fails_every_request() {
    let mut predictions = Predictions::new();
    let mut reason = |booster: &Booster| {
        let model =
            load(std::slice::from_ref(booster), &selecting("predicted_score")).expect("the model loads");
        model.predict(Input::Rows(&rows()), &mut predictions).expect_err("no row can be answered")
    };
    let text = "Objective `count:poisson` unsupported for selectable inference predictions.";
    assert_eq!(reason(&booster("count:poisson", 1, 1.0, &[])), PredictError::Unsupported(text.to_owned()));
    let text = "Selectable inference predictions need one output, the model has 2.";
    assert_eq!(reason(&booster("reg:squarederror", 2, 1.0, &[])), PredictError::Unsupported(text.to_owned()));
}

#[test]
fn several_models_answer_by_mean_or_by_vote() {
    let answer = |objective: &str, stumps: [(f32, f32); 3]| {
        let boosters = stumps.map(|stump| booster(objective, 1, 0.0, &[stump]));
        predict(&load(&boosters, &LoadOptions::default()).expect("the models load"))[0].values.clone()
    };
    assert_eq!(answer("reg:squarederror", [(1.0, 10.0), (2.0, 20.0), (6.0, 60.0)]), [3.0, 30.0]);
    assert_eq!(answer("binary:hinge", [(1.0, -1.0), (-1.0, -1.0), (1.0, 1.0)]), [1.0, 0.0]);
}

#[test]
fn an_ensemble_is_summed_in_the_order_of_its_file_names() {
    let boosters: Vec<Booster> =
        [1e8, 1.0, -1e8].iter().map(|&leaf| booster("reg:squarederror", 1, 0.0, &[(leaf, leaf)])).collect();
    let forwards = named(&boosters);
    let backwards: Vec<(String, Booster)> = forwards.iter().rev().cloned().collect();
    let answer = |files| {
        let model = XgboostModel::new(files, XgboostModel::default_rows(), &LoadOptions::default());
        predict(&model.expect("the models load"))[0].values.clone()
    };
    assert_eq!(answer(forwards), answer(backwards));
}

/// `binary:logitraw` stored a probability as its base score before 1.3, later a margin.
#[test]
fn models_of_different_versions_answer_together() {
    let new = booster("binary:logitraw", 1, 0.5, &[(1.0, 1.0)]);
    let old = Booster { version: Some([1, 2, 0]), ..new.clone() };
    let model = load(&[old, new], &LoadOptions::default()).expect("the models load");
    assert_eq!(predict(&model)[0].values, [1.25, 1.25]);
}

#[test]
fn models_that_do_not_agree_are_refused() {
    let plain = booster("reg:squarederror", 1, 0.0, &[]);
    let check = |other: Booster, reason: &str| {
        assert_eq!(refused(&[plain.clone(), other], &LoadOptions::default()), format!("model-1: {reason}"));
    };
    check(Booster { num_feature: 3, ..plain.clone() }, "expected 2 features, as model-0 has, found 3");
    check(
        Booster { objective: "reg:gamma".to_owned(), base_score: vec![1.0], ..plain.clone() },
        "expected objective reg:squarederror as in the first model, found reg:gamma",
    );
    check(Booster { num_target: 2, ..plain.clone() }, "expected 1 outputs as in the first model, found 2");
    let disabled = LoadOptions { ensemble_disabled: true, ..LoadOptions::default() };
    let reason = "model-1: expected one model file, since ensembles are switched off, found 2";
    assert_eq!(refused(&[plain.clone(), plain.clone()], &disabled), reason);
    assert!(load(&[plain], &disabled).is_ok());
    let none = refused(&[], &LoadOptions::default());
    assert_eq!(none, "no model found: the artifact holds no XGBoost model file");
}

/// How many trees count: each adds 1.
fn check_best(attributes: &[(&str, &str)], parallel: u32, indptr: &[u32], outputs: u32, expected: f32) {
    let mut booster = booster("reg:squarederror", outputs, 0.0, &[(1.0, 1.0); 12]);
    let set = trees(&mut booster);
    set.num_parallel_tree = parallel;
    set.iteration_indptr = indptr.to_vec();
    booster.attributes =
        attributes.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let model = load(&[booster], &LoadOptions::default()).expect("the model loads");
    assert_eq!(predict(&model)[0].values[0], expected, "{attributes:?} {parallel} {indptr:?} {outputs}");
}

#[test]
fn early_stopping_leaves_out_later_trees() {
    check_best(&[], 1, &[], 1, 12.0);
    check_best(&[("best_iteration", "3")], 1, &[], 1, 4.0);
    check_best(&[("best_iteration", "1")], 2, &[], 1, 4.0);
    check_best(&[("best_iteration", "1")], 2, &[], 3, 4.0);
    check_best(&[("best_iteration", "1")], 1, &[0, 5, 7, 12], 1, 7.0);
    check_best(&[("best_iteration", "2")], 1, &[0, 5, 7, 12], 1, 12.0);
    check_best(&[("best_iteration", "70")], 1, &[0, 5, 7, 12], 1, 12.0);
    check_best(&[("best_ntree_limit", "6")], 2, &[], 1, 6.0);
    check_best(&[("best_ntree_limit", "4"), ("best_iteration", "9")], 1, &[], 1, 4.0);
    check_best(&[("best_ntree_limit", "0"), ("best_iteration", "0")], 1, &[], 1, 1.0);
    check_best(&[("best_iteration", "-1")], 1, &[], 1, 12.0);
    check_best(&[("best_score", "0.1"), ("note", "x")], 1, &[], 1, 12.0);
}

#[test]
fn rows_are_as_wide_as_the_signature_says() {
    let files = || named(&[booster("reg:squarederror", 1, 0.0, &[(1.0, 2.0)])]);
    let model = XgboostModel::new(files(), XgboostModel::default_rows(), &LoadOptions::default())
        .expect("the model loads");
    let schema = &model.signature().rows;
    assert_eq!(
        (schema.columns, schema.narrow_rows, schema.missing),
        (Some(2), NarrowRows::FillMissing, Missing::Allowed)
    );
    assert_eq!((model.signature().default_accept, model.signature().algorithm), ("text/csv", "xgboost"));
    assert!(model.signature().undecodable_is_unsupported);
    assert!(model.memory_bytes() > size_of::<XgboostModel>());
    let mut predictions = Predictions::new();
    let mut predict = |model: &XgboostModel, columns: usize| {
        model.predict(Input::Rows(&DMatrix::from_dense(vec![1.0; columns], columns)), &mut predictions)?;
        Ok(predictions.fields()[0].values.clone())
    };
    assert_eq!(predict(&model, 2), Ok(vec![2.0]));
    assert_eq!(predict(&model, 1), Ok(vec![2.0]));
    assert_eq!(predict(&model, 0), Ok(vec![]));
    assert_eq!(predict(&model, 3), Err(PredictError::Width { expected: 2, found: 3 }));
    let strict = RowSchema { missing: Missing::Refused, ..RowSchema::exactly(2) };
    let options = LoadOptions { xgboost_libsvm_one_based: true, ..LoadOptions::default() };
    let model = XgboostModel::new(files(), strict, &options).expect("the model loads");
    assert_eq!(model.signature().rows.libsvm_index_base, IndexBase::One);
    assert_eq!(predict(&model, 1), Err(PredictError::Width { expected: 2, found: 1 }));
    let error =
        XgboostModel::new(files(), RowSchema::exactly(9), &options).expect_err("the manifest contradicts");
    assert_eq!(error.to_string(), "model-0: expected 9 features, as the manifest says, found 2");
}

#[test]
fn a_narrow_row_is_one_with_its_end_missing() {
    let mut booster = booster("reg:squarederror", 1, 0.0, &[(1.0, 2.0)]);
    trees(&mut booster).trees[0].feature[0] = 1;
    for (default_left, expected) in [(true, 1.0), (false, 2.0)] {
        trees(&mut booster).trees[0].default_left[0] = default_left;
        let model = load(std::slice::from_ref(&booster), &LoadOptions::default()).expect("the model loads");
        let margins = |values: Vec<f32>| {
            let columns = values.len();
            model.margins(&DMatrix::from_dense(values, columns)).expect("the row fits")
        };
        assert_eq!(margins(vec![9.0]), [expected]);
        assert_eq!(margins(vec![9.0, f32::NAN]), [expected]);
    }
}

/// A booster that one change makes a bad one.
fn check_refused(change: impl FnOnce(&mut Booster), reason: &str) {
    let mut booster = booster("reg:squarederror", 1, 0.0, &[(1.0, 2.0), (3.0, 4.0)]);
    change(&mut booster);
    assert_eq!(refused(&[booster], &LoadOptions::default()), format!("model-0: {reason}"));
}

#[test]
fn what_cannot_be_scored_is_refused_by_name() {
    check_refused(|b| b.objective = "reg:magic".to_owned(), "objective \"reg:magic\" is not known");
    check_refused(|b| b.base_score = vec![0.1, 0.2], "expected 1 or 1 base scores, found 2");
    check_refused(|b| b.num_target = 1 << 20, "expected at most 65536 outputs, found 1048576");
    check_refused(
        |b| b.objective = "multi:softprob".to_owned(),
        "objective \"multi:softprob\" needs num_class, found 0",
    );
    check_refused(
        |b| b.objective = "count:poisson".to_owned(),
        "base_score [0.0] has no finite margin under objective \"count:poisson\"",
    );
    check_refused(
        |b| b.attributes = vec![("best_iteration".to_owned(), "last".to_owned())],
        "attribute best_iteration: expected a whole number, found \"last\"",
    );
    check_refused(|b| trees(b).groups.truncate(1), "tree 1: expected an output, found none");
    check_refused(|b| trees(b).groups[1] = 1, "tree 1: expected an output below 1, found 1");
    check_refused(|b| trees(b).trees[1].outputs = 2, "tree 1: expected leaves of 1 values, found 2");
    check_refused(|b| trees(b).trees[0].left[0] = 0, "tree 0: a node has two parents");
    check_refused(
        |b| trees(b).trees[0].right[0] = 7,
        "tree 0: expected a node below 3, found a link to node 7",
    );
    check_refused(
        |b| trees(b).trees[0].right[0] = -1,
        "tree 0: node 0: expected two children or none, found 1 and -1",
    );
    check_refused(
        |b| trees(b).trees[1].condition[0] = f32::INFINITY,
        "tree 1: node 0: expected a finite threshold, found inf",
    );
    check_refused(
        |b| b.boosted = Boosted::Linear(Linear { weights: vec![0.0; 4] }),
        "expected 3 weights (2 features and a bias, 1 outputs), found 4",
    );
}
