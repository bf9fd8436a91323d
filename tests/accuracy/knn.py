"""The bars of knn, beside scikit-learn's brute force on the same rows, and FAISS's figures for what is approximate.

Row i is a test row when i mod 5 = 0. Answers are those of the artifact, by `clary transform` with `verbose=true`; a model whose
labels are the numbers of its rows tells which neighbours it found.
"""

import json
import pathlib
import tempfile

import _common
import harness
import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import mean_squared_error
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

ALGORITHM = "knn"
# index, its settings, accuracy and recall of the 5 nearest, as faiss-cpu 1.15 gave them.
APPROXIMATE = [
    ("IVFFlat", {"faiss_index_nprobe": 1}, 0.947, 0.744),
    ("IVFFlat", {"faiss_index_nprobe": 5}, 0.986, 0.992),
    ("IVFFlat", {"faiss_index_nprobe": 37}, 0.986, 0.999),
    ("IVFPQ", {"faiss_index_pq_m": 8, "faiss_index_nprobe": 5}, 0.981, 0.815),
    ("IVFPQ", {"faiss_index_pq_m": 16, "faiss_index_nprobe": 5}, 0.986, 0.906),
    ("IVFPQ", {"faiss_index_pq_m": 32, "faiss_index_nprobe": 5}, 0.983, 0.951),
    ("IVFPQ", {"faiss_index_pq_m": 8, "faiss_index_nprobe": 1}, 0.947, 0.66),
    ("IVFPQ", {"faiss_index_pq_m": 16, "faiss_index_nprobe": 1}, 0.947, 0.71),
    ("IVFPQ", {"faiss_index_pq_m": 32, "faiss_index_nprobe": 1}, 0.947, 0.73),
]


class Data:
    """Rows with labels, parted as the module says."""

    def __init__(self, name, rows, labels):
        place = np.arange(len(rows)) % 5
        rows = rows.astype(np.float32)
        self.name = name
        self.train, self.test = rows[place != 0], rows[place == 0]
        self.train_labels, self.test_labels = labels[place != 0], labels[place == 0]
        self.numbers = np.arange(len(self.train))


def answers(folder, data, labels, settings):
    """Trains on the train rows with these labels; what is answered for the test rows."""
    folder = pathlib.Path(folder)
    (folder / "train.csv").write_text(harness.to_csv(np.column_stack([labels, data.train])))
    (folder / "rows.csv").write_text(harness.to_csv(data.test))
    settings = {"feature_dim": data.train.shape[1], "sample_size": len(data.train), "k": 5} | settings
    settings = {"predictor_type": "classifier"} | settings
    archive, _ = _common.train(ALGORITHM, folder / "model", "text/csv", {"train": folder / "train.csv"}, settings)
    lines = _common.answers(archive, folder / "rows.csv", accept="application/jsonlines; verbose=true")
    return [json.loads(line) for line in lines]


def predicted(found):
    return np.array([answer["predicted_label"] for answer in found])


def accuracy(folder, data, settings):
    return float(np.mean(predicted(answers(folder, data, data.train_labels, settings)) == data.test_labels))


def neighbours(folder, data, settings):
    found = answers(folder, data, data.numbers, settings)
    return np.array([answer["labels"] for answer in found]).astype(int)


def line(data, *rest):
    return _common.line(ALGORITHM, data.name, *rest)


def same_distance(data, found, exact):
    """The share of queries whose neighbours are as near as the exact ones, so that ties count as equal."""
    near = lambda places: np.sort(((data.train[places].astype(float) - data.test[:, None]) ** 2).sum(axis=2), axis=1)  # noqa: E731
    return float(np.mean((near(found) == near(exact)).all(axis=1)))


def recall(found, exact):
    return float(np.mean([len(set(ours) & set(theirs)) / len(theirs) for ours, theirs in zip(found, exact, strict=True)]))


def vote(labels):
    """The most frequent label, nearest first; of equally frequent ones that of the nearest, where scikit-learn takes the least."""
    labels = list(labels)
    return max(labels, key=lambda label: (labels.count(label), -labels.index(label)))


def flat(folder, data):
    lines = []
    for k in (1, 5, 10):
        exact = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(data.train.astype(float))
        exact = exact.kneighbors(data.test.astype(float), return_distance=False)
        votes = np.array([vote(labels) for labels in data.train_labels[exact]])
        reference = float(np.mean(votes == data.test_labels))
        ours = accuracy(folder, data, {"k": k})
        lines.append(line(data, f"Flat accuracy, k={k}", ours, reference, "= reference", ours == reference))
    exact = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(data.train.astype(float))
    exact = exact.kneighbors(data.test.astype(float), return_distance=False)
    share = same_distance(data, neighbours(folder, data, {}), exact)
    lines.append(line(data, "Flat, queries with the exact neighbours", share, 1, "= 1", share == 1))
    for index, settings, at_accuracy, at_recall in APPROXIMATE:
        settings = {"index_type": f"faiss.{index}", "faiss_index_ivf_nlists": 37} | settings
        said = ", ".join(f"{name.rsplit('_', 1)[1]}={value}" for name, value in settings.items() if name[-1] in "em" and "index_type" != name)
        ours = accuracy(folder, data, settings)
        bar = at_accuracy - 0.02
        lines.append(line(data, f"{index} accuracy, {said}", ours, at_accuracy, f"≥ {bar:.3f}", ours >= bar))
        ours = recall(neighbours(folder, data, settings), exact)
        bar = at_recall - 0.05
        lines.append(line(data, f"{index} recall@5, {said}", ours, at_recall, f"≥ {bar:.3f}", ours >= bar))
    return lines


def reduced(folder, data):
    lines = []
    for kind, target, least, most in [("sign", 32, 0.953, 0.972), ("sign", 16, 0.903, 0.942), ("fjlt", 32, 0.953, 0.972)]:
        settings = {"dimension_reduction_type": kind, "dimension_reduction_target": target}
        ours = min(accuracy(folder, data, settings | {"seed": seed}) for seed in range(3))
        bar = least - 0.02
        lines.append(
            line(data, f"{kind} 64→{target} accuracy, worst of 3 seeds", ours, least, f"≥ {bar:.3f}", ours >= bar)
        )
    return lines


def diabetes(folder):
    data = Data("diabetes", *load_diabetes(return_X_y=True, scaled=False))
    lines = []
    for k, figure in [(5, 4327.1), (10, 3856.7)]:
        reference = KNeighborsRegressor(k, algorithm="brute").fit(data.train, data.train_labels)
        reference = mean_squared_error(data.test_labels, reference.predict(data.test))
        settings = {"k": k, "predictor_type": "regressor"}
        found = predicted(answers(folder, data, data.train_labels, settings))
        ours = mean_squared_error(data.test_labels, found)
        passed = abs(ours / reference - 1) <= 1e-4
        lines.append(line(data, f"Flat mse, k={k}", ours, reference, f"= reference to 1e-4 ({figure})", passed))
    return lines


def table():
    digits = Data("digits", *load_digits(return_X_y=True))
    with tempfile.TemporaryDirectory() as folder:
        return flat(folder, digits) + reduced(folder, digits) + diabetes(folder)
