"""XGBoost beside its own Python package, of the same library version: quality on three data sets, and models exchanged both
ways, through the artifact that `clary-train` writes and `clary transform` serves."""

import pathlib
import tempfile

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import roc_auc_score

import _common
import harness

# The library of the Python package, so that both sides of a comparison are the same version.
SAME_LIBRARY = pathlib.Path(xgboost.__file__).parent / "lib/libxgboost.so"
CANCER = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.2, "num_round": 50}
DIABETES = {"max_depth": 3, "eta": 0.1, "num_round": 100, "tree_method": "exact"}
DIGITS = {"objective": "multi:softprob", "num_class": 10, "max_depth": 6, "eta": 0.3, "num_round": 50}


def load(name):
    """The standard hold-out: train and test rows."""
    loader = {"breast_cancer": load_breast_cancer, "diabetes": load_diabetes, "digits": load_digits}[name]
    rows, labels = loader(return_X_y=True, **({"scaled": False} if name == "diabetes" else {}))
    rows, held = rows.astype(np.float32), np.arange(len(rows)) % 5 == 0
    return (rows[~held], labels[~held]), (rows[held], labels[held])


def standardised(x, held):
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    return (x - mean) / deviation, (held - mean) / deviation


def fit(folder, x, y, settings):
    """clary-train's artifact."""
    (folder / "train.csv").write_text(harness.to_csv(np.column_stack([y, x])))
    archive, _ = _common.train(
        "xgboost", folder / "out", "text/csv", {"train": folder / "train.csv"}, settings, "--xgboost-lib", SAME_LIBRARY
    )
    return archive


def answers(folder, artifact, rows):
    """What the artifact answers by batch transform."""
    (folder / "rows.csv").write_text(harness.to_csv(rows))
    lines = _common.answers(artifact, folder / "rows.csv")
    return np.array([[float(cell) for cell in line.split(",")] for line in lines]).squeeze()


def reference(x, y, settings):
    own = {name: value for name, value in settings.items() if name != "num_round"}
    return xgboost.train(own, xgboost.DMatrix(x, y), settings["num_round"])


def logloss(y, p):
    p = np.clip(p, 1e-16, 1 - 1e-16)
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def poisson(y, mean):
    from scipy.special import gammaln

    return np.mean(gammaln(y + 1) + mean - y * np.log(mean))


METRICS = {
    "logloss": logloss,
    "auc": roc_auc_score,
    "error": lambda y, p: np.mean((p > 0.5) != y),
    "rmse": lambda y, p: np.sqrt(np.mean((p - y) ** 2)),
    "poisson-nloglik": poisson,
    "merror": lambda y, p: np.mean(p.argmax(axis=1) != y),
    "mlogloss": lambda y, p: -np.mean(np.log(np.maximum(p[np.arange(len(y)), y.astype(int)], 1e-16))),
}

# The page's rows: data, settings, metrics, whether trees are expected to be the same ("exact") or near ("hist").
QUALITY = [
    ("breast_cancer", {**CANCER, "tree_method": "exact"}, ["logloss", "auc", "error"], "exact"),
    ("breast_cancer", {**CANCER, "tree_method": "hist"}, ["logloss", "auc", "error"], "hist"),
    ("breast_cancer", {**CANCER, "tree_method": "exact", "base_score": 0.5}, ["logloss"], "exact"),
    ("breast_cancer", {**CANCER, "booster": "dart", "rate_drop": 0.1}, ["logloss"], "hist"),
    ("breast_cancer", {**CANCER, "booster": "gblinear", "lambda": 1, "updater": "coord_descent"}, ["logloss"], "exact"),
    ("diabetes", {**DIABETES, "objective": "reg:squarederror"}, ["rmse"], "exact"),
    ("diabetes", {**DIABETES, "objective": "reg:squarederror", "base_score": 0.5}, ["rmse"], "exact"),
    ("diabetes", {**DIABETES, "objective": "count:poisson"}, ["rmse", "poisson-nloglik"], "exact"),
    ("diabetes", {**DIABETES, "objective": "reg:tweedie"}, ["rmse"], "exact"),
    ("digits", {**DIGITS, "tree_method": "exact"}, ["merror", "mlogloss"], "exact"),
    ("digits", {**DIGITS, "tree_method": "hist"}, ["merror", "mlogloss"], "hist"),
]

BARS = {
    "exact": ("within 0.1 % of XGBoost", lambda ours, theirs: abs(ours - theirs) <= 1e-3 * abs(theirs)),
    "hist": ("within 5 % of XGBoost", lambda ours, theirs: abs(ours - theirs) <= 0.05 * abs(theirs)),
    "share": ("within 0.02 of XGBoost", lambda ours, theirs: abs(ours - theirs) <= 0.02),
}


def line(data, metric, ours, theirs, kind):
    bar, is_met = BARS[kind]
    return _common.line("xgboost", data, metric, ours, theirs, bar, is_met(ours, theirs))


def said(settings):
    """What tells a line from its neighbours."""
    names = ("objective", "tree_method", "booster", "base_score")
    return " ".join(str(settings[name]) for name in names if name in settings)


def quality(folder, data, settings, metrics, kind):
    (x, y), (held_x, held_y) = load(data)
    if settings.get("booster") == "gblinear":
        # A linear model wants features of one scale.
        x, held_x = standardised(x, held_x)
    ours = answers(folder, fit(folder, x, y, settings), held_x)
    theirs = reference(x, y, settings).predict(xgboost.DMatrix(held_x))
    for metric in metrics:
        found, expected = (METRICS[metric](held_y, np.asarray(scores, np.float64)) for scores in (ours, theirs))
        is_share = kind == "hist" and metric in ("error", "merror", "auc")
        yield line(f"{data}, {said(settings)}", metric, found, expected, "share" if is_share else kind)


# Boosters and objectives that are exchanged, with missing values in the rows.
EXCHANGED = [
    ("breast_cancer", {**CANCER, "num_round": 20}),
    ("breast_cancer", {**CANCER, "num_round": 20, "booster": "dart", "rate_drop": 0.2}),
    ("breast_cancer", {**CANCER, "num_round": 20, "booster": "gblinear"}),
    ("diabetes", {**DIABETES, "num_round": 20, "objective": "reg:squarederror"}),
    ("diabetes", {**DIABETES, "num_round": 20, "objective": "count:poisson"}),
    ("digits", {**DIGITS, "num_round": 10}),
    ("digits", {**DIGITS, "num_round": 10, "booster": "dart", "rate_drop": 0.2}),
]


def exchange(folder, data, settings, form):
    """A model of ours that XGBoost loads, and one of XGBoost's that we load: the greatest difference of any answer."""
    (x, y), (held_x, _) = load(data)
    if settings.get("booster") == "gblinear":
        x, held_x = standardised(x, held_x)
    random = np.random.default_rng(0)
    x, held_x = (np.where(random.random(part.shape) < 0.1, np.nan, part).astype(np.float32) for part in (x, held_x))
    artifact = fit(folder, x, y, {**settings, "model_format": form})
    loaded = xgboost.Booster()
    loaded.load_model(bytearray(_common.member(artifact, "xgboost-model", folder).read_bytes()))
    matrix = xgboost.DMatrix(held_x)
    difference = relative(answers(folder, artifact, held_x), loaded.predict(matrix))
    yield exchanged(data, f"{said(settings)}, our {form} in XGBoost", difference)
    theirs = reference(x, y, settings)
    difference = relative(answers(folder, harness.save(theirs, folder / "theirs", form), held_x), theirs.predict(matrix))
    yield exchanged(data, f"{said(settings)}, XGBoost's {form} here", difference)


def relative(ours, theirs):
    """The greatest difference, in units of the answer where that is above 1."""
    return np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1))


def exchanged(data, what, difference):
    bar = "at most 1e-6"
    return _common.line("xgboost", f"{data}, {what}", "greatest difference", difference, 0.0, bar, difference <= 1e-6)


def table():
    lines = []
    for case in QUALITY:
        with tempfile.TemporaryDirectory() as folder:
            lines += quality(pathlib.Path(folder), *case)
    for data, settings in EXCHANGED:
        for form in ("ubj", "json"):
            with tempfile.TemporaryDirectory() as folder:
                lines += exchange(pathlib.Path(folder), data, settings, form)
    return lines

