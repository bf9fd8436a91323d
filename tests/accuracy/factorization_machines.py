"""The bars of factorization machines: trained on RecordIO, scored by `clary transform`, on the standard hold-out (row i is a test
row when i mod 5 = 0). The reference is a PyTorch prototype of the same machine, whose figures are stated; logistic regression and
ridge regression, computed here, are what a machine without interactions comes to.
"""

import functools
import json
import pathlib
import tempfile

import _common
import numpy as np
from sagemaker.amazon.common import write_numpy_to_dense_tensor, write_spmatrix_to_sparse_tensor
from scipy.sparse import csr_matrix, issparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, log_loss

ALGORITHM = "factorization-machines"
line = functools.partial(_common.line, ALGORITHM)
RATES = {"bias_lr": 0.1, "linear_lr": 0.01, "factors_lr": 0.01, "mini_batch_size": 100}


def instance(row):
    """A row as JSON Lines have it."""
    if issparse(row):
        values = {"keys": row.indices.tolist(), "shape": [row.shape[1]], "values": row.data.tolist()}
        return json.dumps({"data": {"features": values}})
    return json.dumps({"features": row.tolist()})


def scores(folder, train, labels, rows, settings):
    """Trains; the score of each of `rows`."""
    folder = pathlib.Path(folder)
    with open(folder / "train.rec", "wb") as file:
        write = write_spmatrix_to_sparse_tensor if issparse(train) else write_numpy_to_dense_tensor
        write(file, train.astype(np.float32), labels.astype(np.float32))
    (folder / "rows.jsonl").write_text("".join(instance(row.astype(np.float32)) + "\n" for row in rows))
    settings = {"feature_dim": train.shape[1]} | settings
    channels = {"train": folder / "train.rec"}
    archive, _ = _common.train(
        ALGORITHM, folder / "model", "application/x-recordio-protobuf", channels, settings
    )
    lines = _common.answers(archive, folder / "rows.jsonl", "application/jsonlines", "application/jsonlines")
    found = [json.loads(line)["score"] for line in lines]
    return np.array(found)


def classified(folder, labels, settings):
    """Labels, scores and logistic regression's accuracy on the digits' test rows."""
    rows = load_digits().data / 16
    is_test = np.arange(len(rows)) % 5 == 0
    settings = {"predictor_type": "binary_classifier"} | RATES | settings
    found = scores(folder, rows[~is_test], labels[~is_test], rows[is_test], settings)
    floor = LogisticRegression(max_iter=2000).fit(rows[~is_test], labels[~is_test])
    return labels[is_test], found, floor.score(rows[is_test], labels[is_test])


def digits(folder):
    target = load_digits().target
    zero, found, _ = classified(folder, target == 0, {"num_factors": 10, "epochs": 20})
    accuracy = accuracy_score(zero, found >= 0.5)
    f1, loss = f1_score(zero, found >= 0.5), log_loss(zero, found)
    even, other, floor = classified(folder, target % 2 == 0, {"num_factors": 16, "epochs": 100})
    parity = accuracy_score(even, other >= 0.5)
    return [
        line("digits, 0 or not", "accuracy", accuracy, 1.0, "≥ 0.994", accuracy >= 0.994),
        line("digits, 0 or not", "F1", f1, 1.0, None),
        line("digits, 0 or not", "log loss", loss, 0.0043, None),
        line("digits, even or odd", "accuracy", parity, 0.989, "≥ 0.978", parity >= 0.978),
        line("digits, even or odd", "accuracy above a linear model's", parity, floor, "> reference", parity > floor),
    ]


def ratings(folder):
    """200 users and 100 items: biases and an interaction of rank 4."""
    random = np.random.default_rng(0)
    users, items = random.normal(scale=0.5, size=200), random.normal(scale=0.5, size=100)
    pairs = random.normal(scale=0.94, size=(200, 4)) @ random.normal(scale=0.94, size=(100, 4)).T
    cells = random.permutation(20_000)[:8000]
    user, item = cells // 100, cells % 100
    labels = 3 + users[user] + items[item] + pairs[user, item] + random.normal(scale=0.3, size=8000)
    places = np.column_stack([user, 200 + item]).ravel()
    rows = csr_matrix((np.ones(16_000), places, np.arange(0, 16_001, 2)), shape=(8000, 300))
    is_test = np.arange(8000) % 5 == 0
    settings = {"predictor_type": "regressor", "num_factors": 8, "epochs": 60, "factors_init_sigma": 0.1} | RATES
    found = scores(folder, rows[~is_test], labels[~is_test], rows[is_test], settings)
    rmse = np.sqrt(np.mean((found - labels[is_test]) ** 2))
    linear = Ridge().fit(rows[~is_test], labels[~is_test]).predict(rows[is_test])
    floor = np.sqrt(np.mean((linear - labels[is_test]) ** 2))
    return [
        line("made-up ratings", "rmse", rmse, 0.447, "≤ 0.50", rmse <= 0.50),
        line("made-up ratings", "rmse below a linear model's", rmse, floor, "< reference", rmse < floor),
    ]


def table():
    with tempfile.TemporaryDirectory() as folder:
        return digits(folder) + ratings(folder)
