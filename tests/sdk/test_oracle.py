"""XGBoost itself is the oracle: every objective and booster, trained here and now, answers as `Booster.predict` does,
whatever the payload's format."""

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_digits

import harness

# Above what float32 arithmetic of another order may differ by.
RELATIVE = 1e-6

# The objective, its other parameters, and how labels are made from a number in (0, 1).
CASES = [
    ("reg:squarederror", {}, None),
    ("reg:squarederror", {"num_parallel_tree": 3, "subsample": 0.8}, None),
    ("reg:squarederror", {"booster": "dart", "rate_drop": 0.3}, None),
    ("reg:squarederror", {"booster": "gblinear"}, None),
    ("reg:squarederror", {"base_score": 3.5}, None),
    ("reg:squaredlogerror", {}, None),
    ("reg:logistic", {}, None),
    ("reg:pseudohubererror", {}, None),
    ("reg:absoluteerror", {}, None),
    ("reg:gamma", {}, None),
    ("reg:tweedie", {"tweedie_variance_power": 1.2}, None),
    ("count:poisson", {}, lambda y: np.floor(y * 5)),
    ("binary:logistic", {}, lambda y: y > 0.5),
    ("binary:logistic", {"booster": "dart", "rate_drop": 0.3}, lambda y: y > 0.5),
    ("binary:logistic", {"booster": "gblinear"}, lambda y: y > 0.5),
    ("binary:logistic", {"scale_pos_weight": 3.0, "base_score": 0.2}, lambda y: y > 0.5),
    ("binary:logitraw", {}, lambda y: y > 0.5),
    ("binary:hinge", {}, lambda y: y > 0.5),
    ("multi:softmax", {"num_class": 4}, lambda y: np.floor(y * 4)),
    ("multi:softprob", {"num_class": 4}, lambda y: np.floor(y * 4)),
    ("multi:softprob", {"num_class": 3, "booster": "dart", "rate_drop": 0.3}, lambda y: np.floor(y * 3)),
    ("multi:softprob", {"num_class": 3, "booster": "gblinear"}, lambda y: np.floor(y * 3)),
    ("rank:ndcg", {}, lambda y: np.floor(y * 4)),
    ("rank:pairwise", {}, lambda y: np.floor(y * 4)),
    ("survival:cox", {}, None),
    ("survival:aft", {"aft_loss_distribution": "logistic"}, None),
]


def data(objective, labelling, seed=3):
    """Rows with missing values, and labels that depend on them."""
    random = np.random.default_rng(seed)
    rows = random.random((200, 6), dtype=np.float32)
    labels = np.clip(0.7 * rows[:, 0] + 0.3 * random.random(200), 0.01, 0.99).astype(np.float32)
    if labelling is not None:
        labels = labelling(labels).astype(np.float32)
    rows[random.random(rows.shape) < 0.15] = np.nan
    matrix = xgboost.DMatrix(rows, labels)
    if objective.startswith("rank:"):
        matrix.set_group([50] * 4)
    if objective == "survival:aft":
        matrix.set_float_info("label_lower_bound", labels)
        matrix.set_float_info("label_upper_bound", labels)
    return rows, matrix


@pytest.mark.parametrize("form", ["ubj", "json"])
@pytest.mark.parametrize(("objective", "parameters", "labelling"), CASES)
def test_scores_are_xgboosts(objective, parameters, labelling, form, tmp_path):
    rows, matrix = data(objective, labelling)
    parameters = {"objective": objective, "max_depth": 4, "seed": 1, "nthread": 2, **parameters}
    booster = xgboost.train(parameters, matrix, num_boost_round=12)
    expected = booster.predict(xgboost.DMatrix(rows[:40]))
    with harness.serve(harness.save(booster, tmp_path, form)) as server:
        server.ready()
        found = {name: server.scores(write(rows[:40]), name) for name, write in harness.FORMATS.items()}
    first = next(iter(found.values()))
    for name, scores in found.items():
        assert scores.tobytes() == first.tobytes(), f"{name} is not bit-equal"
    np.testing.assert_allclose(first, expected, rtol=RELATIVE, atol=0)


def test_categorical_splits(tmp_path):
    random = np.random.default_rng(5)
    rows = np.column_stack([random.integers(0, 12, 400), random.random(400)]).astype(np.float32)
    labels = (np.isin(rows[:, 0], [1, 4, 5, 9]) ^ (rows[:, 1] > 0.5)).astype(np.float32)
    matrix = xgboost.DMatrix(rows, labels, feature_types=["c", "float"], enable_categorical=True)
    parameters = {"objective": "binary:logistic", "tree_method": "hist", "max_cat_to_onehot": 2, "nthread": 2}
    booster = xgboost.train(parameters, matrix, num_boost_round=10)
    with harness.serve(harness.save(booster, tmp_path)) as server:
        found = server.ready().scores(harness.to_csv(rows[:50]), "text/csv")
    np.testing.assert_allclose(found, booster.predict(matrix)[:50], rtol=RELATIVE, atol=0)


def test_multi_output_trees(tmp_path):
    random = np.random.default_rng(6)
    rows = random.random((200, 4), dtype=np.float32)
    labels = np.column_stack([rows[:, 0] + rows[:, 1], rows[:, 2] - rows[:, 3]])
    parameters = {"tree_method": "hist", "multi_strategy": "multi_output_tree", "max_depth": 3, "nthread": 2}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), num_boost_round=8)
    with harness.serve(harness.save(booster, tmp_path)) as server:
        found = server.ready().scores(harness.to_csv(rows[:50]), "text/csv")
    np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(rows[:50])), rtol=RELATIVE, atol=0)


def test_early_stopping_answers_with_the_best_rounds(cancer, tmp_path):
    rows, labels = cancer
    train, watch = xgboost.DMatrix(rows[::2], labels[::2]), xgboost.DMatrix(rows[1::2], labels[1::2])
    parameters = {"objective": "binary:logistic", "eta": 0.9, "nthread": 2}
    booster = xgboost.train(
        parameters, train, 200, evals=[(watch, "watch")], early_stopping_rounds=5, verbose_eval=False
    )
    assert booster.num_boosted_rounds() > booster.best_iteration + 1
    expected = booster.predict(watch, iteration_range=(0, booster.best_iteration + 1))
    with harness.serve(harness.save(booster, tmp_path)) as server:
        found = server.ready().scores(harness.to_csv(rows[1::2]), "text/csv")
    np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=0)


def test_batch_and_neighbours_do_not_matter(server, booster, cancer):
    rows, _ = cancer
    expected = booster.predict(xgboost.DMatrix(rows))
    whole = server.scores(harness.to_csv(rows), "text/csv")
    np.testing.assert_allclose(whole, expected, rtol=RELATIVE, atol=0)
    order = np.random.default_rng(1).permutation(len(rows))
    for size in (1, 7, 64):
        chunk = order[:size]
        found = server.scores(harness.to_libsvm(rows[chunk]), "text/libsvm")
        assert found.tobytes() == whole[chunk].tobytes()


def test_many_classes(tmp_path):
    rows, labels = load_digits(return_X_y=True)
    rows = rows.astype(np.float32)
    parameters = {"objective": "multi:softprob", "num_class": 10, "max_depth": 5, "nthread": 2}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), num_boost_round=8)
    with harness.serve(harness.save(booster, tmp_path)) as server:
        server.ready()
        found = server.scores(harness.to_recordio(rows[:100]), "application/x-recordio-protobuf")
        csv = server.invoke(harness.to_csv(rows[:100]), "text/csv", "text/csv").text
    np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(rows[:100])), rtol=RELATIVE, atol=1e-12)
    from_csv = np.array([line.split(",") for line in csv.splitlines()], dtype=np.float32)
    assert from_csv.tobytes() == found.tobytes()
