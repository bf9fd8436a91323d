"""The bars of linear-learner, beside scikit-learn on the same rows.

Row i is a test row when i mod 5 = 0; the train rows with i mod 5 = 1 are the validation channel too. Scores are those of the
artifact, by `clary transform`.
"""

import functools
import json
import pathlib
import tempfile

import _common
import harness
import numpy as np
from safetensors.numpy import load_file
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression, QuantileRegressor, SGDClassifier
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_pinball_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ALGORITHM = "linear-learner"
line = functools.partial(_common.line, ALGORITHM)


class Data:
    """Rows with labels, parted as the module says."""

    def __init__(self, name, rows, labels):
        self.name = name
        self.rows = rows.astype(np.float32)
        self.labels = np.asarray(labels)
        place = np.arange(len(rows)) % 5
        self.test, self.train, self.validation = place == 0, place != 0, place == 1

    def write(self, path, part, with_labels=True):
        rows = np.column_stack([self.labels[part], self.rows[part]]) if with_labels else self.rows[part]
        path.write_text(harness.to_csv(rows))
        return path


class Model:
    """What `clary-train` made of the train rows."""

    def __init__(self, folder, data, settings, validation=True):
        self.folder, self.data = pathlib.Path(folder), data
        channels = {"train": data.write(self.folder / "train.csv", data.train)}
        if validation:
            channels["validation"] = data.write(self.folder / "validation.csv", data.validation)
        self.archive, _ = _common.train(ALGORITHM, self.folder / "model", "text/csv", channels, settings)

    def answers(self, part):
        """The columns of the answers to these rows."""
        source = self.data.write(self.folder / "rows.csv", part, with_labels=False)
        return np.loadtxt(_common.answers(self.archive, source), delimiter=",", ndmin=2)

    def manifest(self):
        return json.loads(self.member("manifest.json").read_text())

    def member(self, name):
        return _common.member(self.archive, name, self.folder)


def at_least(data, metric, ours, reference, bar):
    return line(data, metric, ours, reference, f"≥ {bar}", ours >= bar)


def at_most(data, metric, ours, reference, bar):
    return line(data, metric, ours, reference, f"≤ {bar}", ours <= bar)


def breast_cancer(folder):
    data = Data("breast_cancer", *load_breast_cancer(return_X_y=True))
    model = Model(folder, data, {"predictor_type": "binary_classifier", "epochs": 100, "mini_batch_size": 32})
    scores, classes = model.answers(data.test).T
    labels = data.labels[data.test]
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    reference.fit(data.rows[data.train], data.labels[data.train])
    probabilities = reference.predict_proba(data.rows[data.test])[:, 1]
    area, loss = roc_auc_score(labels, probabilities), log_loss(labels, probabilities)
    accuracy = accuracy_score(labels, probabilities > 0.5)
    return [
        at_least(data.name, "AUC", roc_auc_score(labels, scores), area, 0.985),
        at_most(data.name, "log loss", log_loss(labels, scores), loss, 0.13),
        at_least(data.name, "accuracy", accuracy_score(labels, classes), accuracy, 0.947),
    ]


def hinge(folder):
    data = Data("breast_cancer", *load_breast_cancer(return_X_y=True))
    settings = {"predictor_type": "binary_classifier", "loss": "hinge_loss", "epochs": 100, "mini_batch_size": 32}
    ours = accuracy_score(data.labels[data.test], Model(folder, data, settings).answers(data.test)[:, 1])
    reference = make_pipeline(StandardScaler(), SGDClassifier(loss="hinge", random_state=0))
    reference.fit(data.rows[data.train], data.labels[data.train])
    theirs = reference.score(data.rows[data.test], data.labels[data.test])
    return [at_least(data.name + ", hinge_loss", "accuracy", ours, theirs, 0.947)]


def diabetes(folder):
    data = Data("diabetes", *load_diabetes(return_X_y=True, scaled=False))
    # All 200 epochs: early stopping ends at a train mse of 2947, which is as good on the test rows.
    settings = {"predictor_type": "regressor", "epochs": 200, "early_stopping_patience": 200, "mini_batch_size": 32}
    model = Model(folder, data, settings)
    reference = LinearRegression().fit(data.rows[data.train], data.labels[data.train])
    lines = []
    for name, part, bar in (("test", data.test, 2830), ("train", data.train, 2925)):
        ours = np.mean((model.answers(part)[:, 0] - data.labels[part]) ** 2)
        theirs = np.mean((reference.predict(data.rows[part]) - data.labels[part]) ** 2)
        lines.append(at_most(data.name, f"{name} mse", ours, theirs, bar))
    ours = mean_absolute_error(data.labels[data.test], model.answers(data.test)[:, 0])
    theirs = mean_absolute_error(data.labels[data.test], reference.predict(data.rows[data.test]))
    lines.append(line(data.name, "test mae", ours, theirs, None))
    return lines


def quantile(folder):
    data = Data("diabetes", *load_diabetes(return_X_y=True, scaled=False))
    settings = {"predictor_type": "regressor", "loss": "quantile_loss", "quantile": 0.9}
    model = Model(folder, data, {**settings, "epochs": 200, "mini_batch_size": 32})
    reference = make_pipeline(StandardScaler(), QuantileRegressor(quantile=0.9, alpha=0))
    reference.fit(data.rows[data.train], data.labels[data.train])
    labels = data.labels[data.test]
    ours, theirs = model.answers(data.test)[:, 0], reference.predict(data.rows[data.test])
    coverage = np.mean(labels <= ours)
    pinball = mean_pinball_loss(labels, ours, alpha=0.9)
    lost = mean_pinball_loss(labels, theirs, alpha=0.9)
    name = data.name + ", quantile 0.9"
    return [
        line(name, "coverage", coverage, np.mean(labels <= theirs), "0.85 … 0.95", 0.85 <= coverage <= 0.95),
        at_most(name, "pinball", pinball, lost, 9.4),
    ]


def digits(folder):
    data = Data("digits", *load_digits(return_X_y=True))
    settings = {"predictor_type": "multiclass_classifier", "num_classes": 10, "epochs": 60, "mini_batch_size": 100}
    answers = Model(folder, data, settings).answers(data.test)
    labels = data.labels[data.test]
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    reference.fit(data.rows[data.train], data.labels[data.train])
    theirs = reference.predict_proba(data.rows[data.test])
    ours = answers[:, :10] / answers[:, :10].sum(axis=1, keepdims=True)
    accuracy = accuracy_score(labels, theirs.argmax(axis=1))
    return [
        at_least(data.name, "accuracy", accuracy_score(labels, answers[:, 10]), accuracy, 0.953),
        at_most(data.name, "log loss", log_loss(labels, ours), log_loss(labels, theirs), 0.16),
    ]


def threshold(folder):
    """On the rows that it was calibrated on, recall is at least the target, and falls only when the target does."""
    data = Data("breast_cancer", *load_breast_cancer(return_X_y=True))
    targets, least, thresholds = (0.5, 0.8, 0.9, 0.99), 1.0, []
    for target in targets:
        settings = {
            "predictor_type": "binary_classifier",
            "binary_classifier_model_selection_criteria": "precision_at_target_recall",
            "target_recall": target,
            "epochs": 5,
            "num_models": 1,
            "mini_batch_size": 32,
            "early_stopping_patience": 5,
        }
        place = pathlib.Path(folder) / str(target)
        place.mkdir()
        model = Model(place, data, settings)
        classes = model.answers(data.validation)[:, 1]
        recall = np.mean(classes[data.labels[data.validation] == 1])
        least = min(least, recall - target)
        thresholds.append(model.manifest()["threshold"])
    is_monotone = all(low >= high for low, high in zip(thresholds, thresholds[1:], strict=False))
    name = "breast_cancer, precision_at_target_recall"
    return [
        at_least(name, "recall minus target, the least of four", least, "exact", 0.0),
        line(name, "thresholds fall as targets rise", float(is_monotone), "exact", "1", is_monotone),
    ]


def convex(folder):
    random = np.random.default_rng(0)
    rows = random.normal(size=(1000, 8)) * np.arange(1, 9) + 5
    labels = rows @ np.linspace(-2, 2, 8) + 3 + random.normal(size=1000)
    data = Data("1000 × 8 synthetic", rows, labels)
    settings = {"predictor_type": "regressor", "l1": 0, "wd": 0, "num_models": 1, "epochs": 500}
    model = Model(folder, data, {**settings, "early_stopping_patience": 500, "mini_batch_size": 100})
    weight = load_file(model.member("model.safetensors"))["weight"][0]
    exact = LinearRegression().fit(data.rows[data.train], data.labels[data.train].astype(np.float32)).coef_
    error = np.linalg.norm(weight - exact) / np.linalg.norm(exact)
    return [at_most(data.name, "relative error of the weights", error, "closed form", 0.01)]


def table():
    lines = []
    for part in (breast_cancer, diabetes, quantile, digits, hinge, threshold, convex):
        with tempfile.TemporaryDirectory() as folder:
            lines += part(folder)
    return lines
