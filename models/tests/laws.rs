//! K-means and the linear learner against naive twins in f64, and the laws of every model: a row's score is the same
//! bits dense or sparse, in any batch, beside any neighbour.

use dmatrix::{DMatrix, FieldShape, NumberStyle, Predictions};
use models::kmeans::Kmeans;
use models::linear_learner::LinearLearner;
use models::manifest::PredictorType;
use models::{Algorithm, Input, LoadError, Manifest, Model, PredictError};

const WIDTHS: [usize; 6] = [1, 3, 8, 9, 31, 200];

fn random(length: usize, scale: f32, random: &mut fastrand::Rng) -> Vec<f32> {
    (0..length).map(|_| if random.u8(..4) == 0 { 0.0 } else { (random.f32() - 0.5) * scale }).collect()
}

fn kmeans(k: usize, columns: usize, seed: u64) -> (Kmeans, Vec<f32>) {
    let centroids = random(k * columns, 20.0, &mut fastrand::Rng::with_seed(seed));
    (Kmeans::new(&Manifest::new(Algorithm::Kmeans), centroids.clone(), columns).expect("a model"), centroids)
}

fn described(predictor: PredictorType, loss: Option<&str>) -> Manifest {
    let mut manifest = Manifest::new(Algorithm::LinearLearner);
    manifest.predictor_type = Some(predictor);
    manifest.loss = loss.map(str::to_owned);
    manifest
}

struct Linear {
    model: LinearLearner,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

fn linear(predictor: PredictorType, loss: Option<&str>, outputs: usize, columns: usize) -> Linear {
    let mut generator = fastrand::Rng::with_seed(outputs as u64 * 1_000 + columns as u64);
    let weight = random(outputs * columns, 1.0, &mut generator);
    let bias = random(outputs, 1.0, &mut generator);
    let model =
        LinearLearner::new(&described(predictor, loss), weight.clone(), bias.clone()).expect("a model");
    Linear { model, weight, bias }
}

fn families(columns: usize) -> Vec<Box<dyn Model>> {
    vec![
        Box::new(kmeans(7, columns, 1).0),
        Box::new(linear(PredictorType::Regressor, None, 1, columns).model),
        Box::new(linear(PredictorType::BinaryClassifier, None, 1, columns).model),
        Box::new(linear(PredictorType::BinaryClassifier, Some("hinge_loss"), 1, columns).model),
        Box::new(linear(PredictorType::MulticlassClassifier, None, 5, columns).model),
    ]
}

fn predict(model: &dyn Model, rows: &DMatrix) -> Predictions {
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(rows), &mut predictions).expect("predictions");
    predictions
}

/// The bits of one row of an answer.
fn bits(predictions: &Predictions, row: usize) -> Vec<u32> {
    predictions.fields().iter().flat_map(|field| field.row(row).iter().map(|value| value.to_bits())).collect()
}

/// The CSR matrix that leaves zeros out.
fn sparse(values: &[f32], columns: usize) -> DMatrix {
    let mut matrix = DMatrix::new();
    let parts = matrix.begin_sparse();
    for row in values.chunks_exact(columns) {
        for (index, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            parts.indices.push(index as u32);
            parts.values.push(value);
        }
        parts.offsets.push(parts.indices.len());
    }
    matrix.finish_sparse(columns);
    matrix
}

#[track_caller]
fn assert_near(found: f32, expected: f64) {
    let tolerance = 1e-6 * expected.abs().max(1e-3);
    assert!((f64::from(found) - expected).abs() <= tolerance, "expected {expected}, found {found}");
}

#[test]
fn kmeans_is_its_naive_twin() {
    for columns in WIDTHS {
        let (model, centroids) = kmeans(7, columns, columns as u64);
        let values = random(50 * columns, 20.0, &mut fastrand::Rng::with_seed(9));
        let predictions = predict(&model, &DMatrix::from_dense(values.clone(), columns));
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let distances: Vec<f64> = centroids
                .chunks_exact(columns)
                .map(|centroid| {
                    let squares =
                        values.iter().zip(centroid).map(|(&x, &c)| (f64::from(x) - f64::from(c)).powi(2));
                    squares.sum::<f64>().sqrt()
                })
                .collect();
            let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
            assert_near(predictions.fields()[1].values[row], nearest);
            let closest = predictions.fields()[0].values[row] as usize;
            assert!(distances[closest] <= nearest * (1.0 + 1e-12), "the nearest");
        }
    }
}

#[test]
fn of_equally_near_centroids_the_first_is_closest() {
    let centroids = vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0];
    let model = Kmeans::new(&Manifest::new(Algorithm::Kmeans), centroids, 2).expect("a model");
    let predictions = predict(&model, &DMatrix::from_dense(vec![0.0, 0.0, -1.0, 1.0], 2));
    assert_eq!(predictions.fields()[0].values, [0.0, 1.0]);
    assert_eq!(predictions.fields()[1].values, [1.0, 1.0]);
}

/// The margins of every row and output, naively.
fn margins(twin: &Linear, values: &[f32], columns: usize) -> Vec<Vec<f64>> {
    let margin = |row: &[f32], weight: &[f32], bias: f32| {
        row.iter().zip(weight).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum::<f64>() + f64::from(bias)
    };
    let outputs = |row: &[f32]| {
        let outputs = twin.weight.chunks_exact(columns).zip(&twin.bias);
        outputs.map(|(weight, &bias)| margin(row, weight, bias)).collect()
    };
    values.chunks_exact(columns).map(outputs).collect()
}

#[test]
fn linear_learners_are_their_naive_twins() {
    for columns in WIDTHS {
        let values = random(50 * columns, 4.0, &mut fastrand::Rng::with_seed(10));
        let rows = DMatrix::from_dense(values.clone(), columns);
        let regressor = linear(PredictorType::Regressor, Some("huber_loss"), 1, columns);
        let found = predict(&regressor.model, &rows);
        for (row, margins) in margins(&regressor, &values, columns).iter().enumerate() {
            assert_near(found.fields()[0].values[row], margins[0]);
        }
        let hinge = linear(PredictorType::BinaryClassifier, Some("hinge_loss"), 1, columns);
        let found = predict(&hinge.model, &rows);
        for (row, margins) in margins(&hinge, &values, columns).iter().enumerate() {
            assert_near(found.fields()[0].values[row], margins[0]);
            assert_eq!(found.fields()[1].values[row], f32::from(u8::from(margins[0] > 0.0)));
        }
        let logistic = linear(PredictorType::BinaryClassifier, Some("logistic"), 1, columns);
        let found = predict(&logistic.model, &rows);
        for (row, margins) in margins(&logistic, &values, columns).iter().enumerate() {
            assert_near(found.fields()[0].values[row], 1.0 / (1.0 + (-margins[0]).exp()));
            assert_eq!(found.fields()[1].values[row], f32::from(u8::from(margins[0] > 0.0)));
        }
        let softmax = linear(PredictorType::MulticlassClassifier, None, 5, columns);
        let found = predict(&softmax.model, &rows);
        for (row, margins) in margins(&softmax, &values, columns).iter().enumerate() {
            let sum: f64 = margins.iter().map(|margin| margin.exp()).sum();
            for (&score, margin) in found.fields()[0].row(row).iter().zip(margins) {
                assert_near(score, margin.exp() / sum);
            }
            let greatest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let label = found.fields()[1].values[row] as usize;
            assert!(margins[label] >= greatest - 1e-12 * greatest.abs(), "the greatest");
        }
    }
}

#[test]
fn extreme_margins_stay_probabilities() {
    let manifest = described(PredictorType::BinaryClassifier, None);
    let model = LinearLearner::new(&manifest, vec![3e38], vec![0.0]).expect("a model");
    let found = predict(&model, &DMatrix::from_dense(vec![3e38, -3e38, 0.0], 1));
    assert_eq!(found.fields()[0].values, [1.0, 0.0, 0.5]);
    assert_eq!(found.fields()[1].values, [1.0, 0.0, 0.0], "above the threshold, not at it");
    let manifest = described(PredictorType::MulticlassClassifier, None);
    let model = LinearLearner::new(&manifest, vec![3e38, -3e38], vec![0.0, 0.0]).expect("a model");
    let found = predict(&model, &DMatrix::from_dense(vec![3e38, -3e38, 0.0], 1));
    assert_eq!(found.fields()[0].values, [1.0, 0.0, 0.0, 1.0, 0.5, 0.5]);
    assert_eq!(found.fields()[1].values, [0.0, 1.0, 0.0], "of equal classes the first");
}

#[test]
fn the_threshold_is_the_manifests() {
    let mut manifest = described(PredictorType::BinaryClassifier, Some("logistic"));
    manifest.threshold = Some(0.9);
    let model = LinearLearner::new(&manifest, vec![1.0], vec![0.0]).expect("a model");
    let found = predict(&model, &DMatrix::from_dense(vec![2.0, 3.0], 1));
    assert_eq!(found.fields()[1].values, [0.0, 1.0]);
}

#[test]
fn fields_are_named_and_styled_as_documented() {
    let shapes = |model: &dyn Model| {
        let fields = &model.signature().fields;
        fields.iter().map(|field| (field.name.to_string(), field.shape, field.style)).collect::<Vec<_>>()
    };
    let (scalar, float, integer) = (FieldShape::Scalar, NumberStyle::Float, NumberStyle::Integer);
    let [kmeans, regressor, logistic, hinge, softmax] = families(3).try_into().expect("five families");
    let closest = ("closest_cluster".to_owned(), scalar, float);
    assert_eq!(shapes(&*kmeans), [closest, ("distance_to_cluster".to_owned(), scalar, float)]);
    assert_eq!(shapes(&*regressor), [("score".to_owned(), scalar, float)]);
    let binary = [("score".to_owned(), scalar, float), ("predicted_label".to_owned(), scalar, integer)];
    assert_eq!(shapes(&*logistic), binary);
    assert_eq!(shapes(&*hinge), binary);
    let score = ("score".to_owned(), FieldShape::Vector(5), float);
    assert_eq!(shapes(&*softmax), [score, ("predicted_label".to_owned(), scalar, integer)]);
    for model in [kmeans, regressor, logistic, hinge, softmax] {
        assert_eq!(model.signature().default_accept, "application/json");
        assert_eq!(model.signature().rows.columns, Some(3));
    }
}

#[test]
fn sparse_is_dense_to_the_bit() {
    for columns in WIDTHS {
        let values = random(64 * columns, 20.0, &mut fastrand::Rng::with_seed(11));
        let (dense, sparse) = (DMatrix::from_dense(values.clone(), columns), sparse(&values, columns));
        let mut explicit = dense.clone();
        explicit.make_sparse();
        for model in families(columns) {
            let expected = predict(&*model, &dense);
            for other in [predict(&*model, &sparse), predict(&*model, &explicit)] {
                for row in 0..64 {
                    assert_eq!(
                        bits(&other, row),
                        bits(&expected, row),
                        "{} row {row}",
                        model.signature().algorithm
                    );
                }
            }
        }
    }
}

#[test]
fn neighbours_order_and_threads_change_no_bit() {
    const ROWS: usize = 4_096;
    let columns = 9;
    let mut generator = fastrand::Rng::with_seed(12);
    let values = random(ROWS * columns, 20.0, &mut generator);
    let mut order: Vec<usize> = (0..ROWS).collect();
    generator.shuffle(&mut order);
    for model in families(columns) {
        let expected = predict(&*model, &DMatrix::from_dense(values.clone(), columns));
        for batch in [1, 3, 64, ROWS] {
            let check = |rows: &[usize]| {
                let gathered = rows
                    .iter()
                    .flat_map(|&row| values[row * columns..(row + 1) * columns].to_vec())
                    .collect();
                let found = predict(&*model, &DMatrix::from_dense(gathered, columns));
                for (place, &row) in rows.iter().enumerate() {
                    assert_eq!(bits(&found, place), bits(&expected, row), "row {row} in batches of {batch}");
                }
            };
            std::thread::scope(|scope| {
                for half in order.chunks(ROWS / 2) {
                    scope.spawn(|| half.chunks(batch).for_each(&check));
                }
            });
        }
    }
}

#[test]
fn wrong_widths_and_values_are_refused_with_their_place() {
    for model in families(3) {
        let mut predictions = Predictions::new();
        let mut refusal =
            |rows: &DMatrix| model.predict(Input::Rows(rows), &mut predictions).expect_err("a refusal");
        let narrow = refusal(&DMatrix::from_dense(vec![0.0; 4], 2));
        assert_eq!(narrow, PredictError::Width { expected: 3, found: 2 });
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let rows = DMatrix::from_dense(vec![0.0, 0.0, 0.0, 0.0, 0.0, value], 3);
            let expected = format!("row 2, feature 3: expected a finite number, found {value}");
            assert_eq!(refusal(&rows).to_string(), expected);
            assert_eq!(refusal(&sparse(rows.values(), 3)).to_string(), expected);
        }
        model.predict(Input::Rows(&DMatrix::new()), &mut predictions).expect("no rows are no error");
        assert_eq!(predictions.rows(), 0);
    }
}

#[test]
fn scores_beyond_single_precision_are_refused() {
    let regressor = LinearLearner::new(&described(PredictorType::Regressor, None), vec![3e38], vec![0.0]);
    let far = Kmeans::new(&Manifest::new(Algorithm::Kmeans), vec![3e38], 1);
    let models: [Box<dyn Model>; 2] =
        [Box::new(regressor.expect("a model")), Box::new(far.expect("a model"))];
    for model in models {
        let rows = DMatrix::from_dense(vec![0.0, -3e38], 1);
        let error = model.predict(Input::Rows(&rows), &mut Predictions::new()).expect_err("a refusal");
        assert_eq!(error, PredictError::Overflow { row: 2 });
    }
}

/// Asserts the words with which a linear learner is refused.
#[track_caller]
fn check_linear(manifest: &Manifest, outputs: usize, expected: &str) {
    let refused = LinearLearner::new(manifest, vec![1.0; outputs * 2], vec![0.0; outputs]);
    assert_eq!(refused.expect_err("a refusal").to_string(), expected);
}

#[test]
fn linear_learners_that_contradict_themselves_are_refused() {
    use PredictorType::{BinaryClassifier, MulticlassClassifier, Regressor};
    check_linear(
        &Manifest::new(Algorithm::LinearLearner),
        1,
        "manifest.json: predictor_type: expected \"binary_classifier\" or \"multiclass_classifier\" or \"regressor\", \
         found no such key",
    );
    check_linear(
        &described(BinaryClassifier, Some("squared_loss")),
        1,
        "manifest.json: loss: expected \"logistic\" or \"hinge_loss\" for binary_classifier, found \"squared_loss\"",
    );
    check_linear(
        &described(MulticlassClassifier, Some("logistic")),
        3,
        "manifest.json: loss: expected \"softmax_loss\" for multiclass_classifier, found \"logistic\"",
    );
    check_linear(
        &described(BinaryClassifier, None),
        2,
        "manifest.json: predictor_type: expected multiclass_classifier for a model of 2 outputs, found binary_classifier",
    );
    check_linear(
        &described(MulticlassClassifier, None),
        1,
        "manifest.json: predictor_type: expected 2 to 1000000 classes for a multiclass_classifier, found 1",
    );
    let mut manifest = described(MulticlassClassifier, None);
    manifest.num_classes = Some(4);
    check_linear(&manifest, 3, "manifest.json: num_classes: expected 3 as in the model file, found 4");
    let mut manifest = described(Regressor, None);
    manifest.threshold = Some(0.5);
    check_linear(
        &manifest,
        1,
        "manifest.json: threshold: expected one for a binary_classifier only, found 0.5",
    );
    let mut manifest = described(Regressor, None);
    manifest.feature_dim = Some(3);
    check_linear(
        &manifest,
        1,
        "manifest.json: feature_dim: expected 2 features as in the model file, found 3",
    );
}

#[test]
fn tensors_that_are_no_model_are_refused() {
    let regressor = described(PredictorType::Regressor, None);
    let reason = |result: Result<LinearLearner, LoadError>| result.expect_err("a refusal").to_string();
    assert!(reason(LinearLearner::new(&regressor, vec![], vec![0.0])).contains("found 0 values"));
    assert!(reason(LinearLearner::new(&regressor, vec![1.0], vec![])).contains("for 0 biases"));
    assert!(
        reason(LinearLearner::new(&regressor, vec![1.0; 3], vec![0.0; 2])).contains("whole rows of weights")
    );
    assert!(
        reason(LinearLearner::new(&regressor, vec![f32::NAN], vec![0.0])).contains("found NaN at position 0")
    );
    assert!(reason(LinearLearner::new(&regressor, vec![1.0], vec![f32::INFINITY])).contains("tensor bias"));
    let manifest = Manifest::new(Algorithm::Kmeans);
    let reason = |result: Result<Kmeans, LoadError>| result.expect_err("a refusal").to_string();
    assert!(reason(Kmeans::new(&manifest, vec![], 2)).contains("found 0 values"));
    assert!(reason(Kmeans::new(&manifest, vec![1.0; 3], 2)).contains("whole centroids of 2 features"));
    assert!(reason(Kmeans::new(&manifest, vec![1.0; 3], 0)).contains("whole centroids of 0 features"));
}

#[test]
fn members_are_read_back_as_they_were() {
    let twin = linear(PredictorType::MulticlassClassifier, None, 4, 9);
    let manifest = described(PredictorType::MulticlassClassifier, None);
    let members = twin.model.to_members();
    let read = LinearLearner::from_safetensors(&members[0].0, &members[0].1, &manifest).expect("a model");
    assert_eq!(read.to_members(), members);
    let (model, _) = kmeans(3, 5, 1);
    let members = model.to_members(&[1.0, 2.0, 3.0]);
    let manifest = Manifest::new(Algorithm::Kmeans);
    let read = Kmeans::from_safetensors(&members[0].0, &members[0].1, &manifest).expect("a model");
    assert_eq!((read.k(), read.to_members(&[1.0, 2.0, 3.0])), (3, members));
}
