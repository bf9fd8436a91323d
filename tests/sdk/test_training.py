"""`clary-train` against XGBoost's own Python package: the same data in any format is the same model, and as good a one."""

import io
import json
import pathlib
import re
import subprocess

import numpy as np
import pytest
import xgboost
from sagemaker.amazon.common import write_numpy_to_dense_tensor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import harness


def write(path, rows, labels, content_type):
    """A training file, by the SageMaker SDK where it has a writer."""
    if content_type == "text/csv":
        path.write_text(harness.to_csv(np.column_stack([labels, rows])))
    elif content_type == "text/libsvm":
        lines = harness.to_libsvm(rows).splitlines()
        path.write_text("".join(f"{label}{line[1:]}\n" for label, line in zip(labels, lines, strict=True)))
    else:
        buffer = io.BytesIO()
        write_numpy_to_dense_tensor(buffer, rows, np.asarray(labels, dtype=np.float32))
        path.write_bytes(buffer.getvalue())
    return path


# The library of the Python package, so that both sides of a comparison are the same version.
SAME_LIBRARY = pathlib.Path(xgboost.__file__).parent / "lib/libxgboost.so"


def train(folder, train_file, settings, content_type="text/csv", validation=None):
    """Runs clary-train by hand; gives its metrics by line, and the folder of the unpacked model."""
    command = [harness.program("clary-train"), "xgboost", "--train", train_file, "--content-type", content_type]
    command += ["--out", folder / "out", "--xgboost-lib", SAME_LIBRARY]
    if validation is not None:
        command += ["--validation", validation]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    unpacked = folder / "unpacked"
    unpacked.mkdir(exist_ok=True)
    subprocess.run(["tar", "xzf", folder / "out/model.tar.gz", "-C", unpacked], check=True)
    lines = [line for line in done.stdout.splitlines() if re.match(r"\[\d+\]\t", line)]
    return lines, unpacked


def split(rows, labels):
    """Every fifth row is held out."""
    held = np.arange(len(rows)) % 5 == 0
    return (rows[~held], labels[~held]), (rows[held], labels[held])


def last(lines, metric):
    """The value of a metric in the last line."""
    return float(lines[-1].split(f"validation-{metric}:")[1].split("\t")[0])


def test_the_same_rows_in_any_format_are_the_same_model(cancer, tmp_path):
    rows = np.nan_to_num(cancer[0], nan=0.5)
    models = {}
    for content_type in ("text/csv", "text/libsvm", "application/x-recordio-protobuf"):
        folder = tmp_path / content_type.replace("/", "-")
        folder.mkdir()
        path = write(folder / "data", rows, cancer[1], content_type)
        _, unpacked = train(folder, path, {"num_round": 10, "objective": "binary:logistic"}, content_type)
        models[content_type] = (unpacked / "xgboost-model").read_bytes()
    assert len(set(models.values())) == 1


def test_an_absent_libsvm_value_is_missing(cancer, tmp_path):
    rows, labels = cancer
    settings = {"num_round": 10, "objective": "binary:logistic"}
    models = []
    for content_type in ("text/csv", "text/libsvm"):
        folder = tmp_path / content_type.replace("/", "-")
        folder.mkdir()
        _, unpacked = train(folder, write(folder / "data", rows, labels, content_type), settings, content_type)
        booster = xgboost.Booster(model_file=unpacked / "xgboost-model")
        models.append(booster.predict(xgboost.DMatrix(rows)))
    np.testing.assert_array_equal(models[0], models[1])


CANCER = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.2, "num_round": 50}
DIABETES = {"objective": "reg:squarederror", "max_depth": 3, "eta": 0.1, "num_round": 100}
DIGITS = {"objective": "multi:softprob", "num_class": 10, "num_round": 20}


@pytest.mark.parametrize(
    ("load", "settings", "metric"),
    [
        (load_breast_cancer, {**CANCER, "tree_method": "exact"}, "logloss"),
        (load_breast_cancer, {**CANCER, "tree_method": "hist"}, "logloss"),
        (load_breast_cancer, {**CANCER, "booster": "gblinear", "updater": "coord_descent", "lambda": 1}, "logloss"),
        (load_diabetes, {**DIABETES, "tree_method": "exact"}, "rmse"),
        (load_diabetes, {**DIABETES, "objective": "count:poisson", "tree_method": "exact"}, "poisson-nloglik"),
        (load_digits, {**DIGITS, "tree_method": "exact"}, "mlogloss"),
    ],
)
def test_training_is_as_good_as_xgboosts_own(load, settings, metric, tmp_path):
    arguments = {"scaled": False} if load is load_diabetes else {}
    rows, labels = load(return_X_y=True, **arguments)
    (x, y), (held_x, held_y) = split(rows.astype(np.float32), labels)
    if settings.get("booster") == "gblinear":
        # A linear model wants features of one scale.
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        x, held_x = (x - mean) / deviation, (held_x - mean) / deviation
    data, held = write(tmp_path / "t.csv", x, y, "text/csv"), write(tmp_path / "v.csv", held_x, held_y, "text/csv")
    lines, unpacked = train(tmp_path, data, settings, validation=held)
    rounds = settings["num_round"]
    own = {name: value for name, value in settings.items() if name != "num_round"}
    watched = {}
    matrix, watch = xgboost.DMatrix(x, y), xgboost.DMatrix(held_x, held_y)
    xgboost.train(
        own, matrix, rounds, evals=[(watch, "validation")], evals_result=watched, verbose_eval=False
    )
    assert len(lines) == rounds
    np.testing.assert_allclose(last(lines, metric), watched["validation"][metric][-1], rtol=1e-4)
    manifest = json.loads((unpacked / "manifest.json").read_text())
    np.testing.assert_allclose(manifest["metrics"][f"validation:{metric}"], last(lines, metric), atol=1e-5)


def test_weights_are_the_second_column(cancer, tmp_path):
    rows, labels = cancer
    weights = np.random.default_rng(4).random(len(rows)).astype(np.float32)
    path = tmp_path / "data.csv"
    path.write_text(harness.to_csv(np.column_stack([labels, weights, rows])))
    settings = {"objective": "binary:logistic", "num_round": 5, "csv_weights": 1, "tree_method": "exact"}
    _, unpacked = train(tmp_path, path, settings)
    own = xgboost.train(
        {"objective": "binary:logistic", "tree_method": "exact"}, xgboost.DMatrix(rows, labels, weight=weights), 5
    )
    found = xgboost.Booster(model_file=unpacked / "xgboost-model").predict(xgboost.DMatrix(rows))
    np.testing.assert_allclose(found, own.predict(xgboost.DMatrix(rows)), rtol=1e-3)


def test_a_ranking_is_learnt_within_its_queries(tmp_path):
    random = np.random.default_rng(7)
    rows = random.random((240, 5)).astype(np.float32)
    queries = np.repeat(np.arange(40) + 3, 6)
    relevance = np.clip(np.floor(rows[:, 0] * 3 + rows[:, 1]), 0, 3).astype(int)

    def libsvm(part):
        lines = harness.to_libsvm(rows[part]).splitlines()
        heads = zip(relevance[part], queries[part], lines, strict=True)
        return "".join(f"{label} qid:{query}{line[1:]}\n" for label, query, line in heads)

    learnt, held = slice(0, 180), slice(180, 240)
    for path, part in ((tmp_path / "t.libsvm", learnt), (tmp_path / "v.libsvm", held)):
        path.write_text(libsvm(part))
    for objective in ("rank:pairwise", "rank:ndcg"):
        settings = {"objective": objective, "num_round": 20, "eval_metric": "ndcg@3", "tree_method": "hist"}
        lines, unpacked = train(tmp_path, tmp_path / "t.libsvm", settings, "text/libsvm", tmp_path / "v.libsvm")
        watched = {}
        matrix, watch = (xgboost.DMatrix(rows[part], relevance[part], qid=queries[part]) for part in (learnt, held))
        own = xgboost.train(
            {"objective": objective, "eval_metric": "ndcg@3", "tree_method": "hist"},
            *(matrix, 20),
            evals=[(watch, "validation")],
            evals_result=watched,
            verbose_eval=False,
        )
        np.testing.assert_allclose(last(lines, "ndcg@3"), watched["validation"]["ndcg@3"][-1], rtol=1e-4)
        found = xgboost.Booster(model_file=unpacked / "xgboost-model").predict(watch)
        np.testing.assert_allclose(found, own.predict(watch), rtol=1e-5, atol=1e-6)


def test_rows_without_queries_cannot_be_ranked(cancer, tmp_path):
    path = write(tmp_path / "t.csv", *cancer, "text/csv")
    done = subprocess.run(
        [
            *(harness.program("clary-train"), "xgboost", "--train", path, "--content-type", "text/csv"),
            *("--out", tmp_path / "out", "--xgboost-lib", SAME_LIBRARY),
            *("--set", "objective=rank:ndcg", "--set", "num_round=1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "expected query groups to rank within" in done.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "binary:logistic", "tree_method": "hist", "max_leaves": 8, "grow_policy": "lossguide"},
        {"objective": "binary:logistic", "tree_method": "hist", "monotone_constraints": "(1,-1,0,0)"},
        {"objective": "binary:logistic", "tree_method": "exact", "interaction_constraints": "[[0,1],[2,3]]"},
        {"objective": "binary:logistic", "tree_method": "approx", "subsample": 0.5, "colsample_bytree": 0.5, "seed": 5},
        {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3, "normalize_type": "forest", "one_drop": 1},
        {"objective": "binary:logistic", "num_parallel_tree": 3, "subsample": 0.7, "tree_method": "hist", "max_bin": 16},
        {"objective": "survival:aft", "aft_loss_distribution": "logistic", "aft_loss_distribution_scale": 1.2},
        {"objective": "reg:tweedie", "tweedie_variance_power": 1.2, "max_delta_step": 0.5},
        {"objective": "reg:absoluteerror", "base_score": 0.3, "tree_method": "hist"},
        {"objective": "binary:logistic", "booster": "gblinear", "updater": "coord_descent", "lambda_bias": 0.5},
    ],
    ids=lambda settings: "-".join(map(str, list(settings.values())[:3])),
)
def test_every_setting_does_what_it_does_in_xgboost(settings, tmp_path):
    random = np.random.default_rng(11)
    rows = random.random((300, 4)).astype(np.float32)
    labels = (rows[:, 0] + rows[:, 1] > 1).astype(np.float32)
    if settings["objective"] == "survival:aft":
        labels = labels * 3 + 1
    _, unpacked = train(tmp_path, write(tmp_path / "t.csv", rows, labels, "text/csv"), {**settings, "num_round": 10})
    matrix = xgboost.DMatrix(rows, labels)
    if settings["objective"] == "survival:aft":
        matrix.set_float_info("label_lower_bound", labels)
        matrix.set_float_info("label_upper_bound", labels)
    own = xgboost.train({**settings, "nthread": 2}, matrix, 10)
    found = xgboost.Booster(model_file=unpacked / "xgboost-model").predict(xgboost.DMatrix(rows))
    np.testing.assert_allclose(found, own.predict(matrix), rtol=1e-5, atol=1e-6)
