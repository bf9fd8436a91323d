"""The bars of kmeans, beside scikit-learn on the same rows: the mean squared distance of rows to the centroids of the artifact,
by `clary transform`.
"""

import functools
import pathlib
import statistics
import tempfile

import _common
import harness
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

ALGORITHM = "kmeans"
SEEDS = range(5)
line = functools.partial(_common.line, ALGORITHM)


def distances(folder, train, rows, settings):
    """Trains on `train`; the nearest centroid of each of `rows`, and how far it is."""
    folder = pathlib.Path(folder)
    (folder / "train.csv").write_text(harness.to_csv(train))
    (folder / "rows.csv").write_text(harness.to_csv(rows))
    settings = {"feature_dim": train.shape[1]} | settings
    archive, _ = _common.train(
        ALGORITHM, folder / "model", "text/csv;label_size=0", {"train": folder / "train.csv"}, settings
    )
    nearest, distance = np.loadtxt(_common.answers(archive, folder / "rows.csv"), delimiter=",", ndmin=2).T
    return nearest, distance


def digits(folder):
    rows = load_digits().data.astype(np.float32)
    reference = statistics.median(
        KMeans(10, n_init=10, random_state=seed).fit(rows).inertia_ / len(rows) for seed in SEEDS
    )
    settings = {"k": 10, "epochs": 1, "init_method": "kmeans++", "extra_center_factor": 10}

    def errors(batch):
        found = [distances(folder, rows, rows, settings | {"mini_batch_size": batch, "seed": seed}) for seed in SEEDS]
        return [float(np.mean(distance**2)) for _, distance in found]

    small, whole = errors(500), errors(5000)
    median, worst = statistics.median(small), max(small)
    default = statistics.median(whole)
    return [
        line("digits", "msd, median of 5 seeds, batches of 500", median, reference, "≤ 655", median <= 655),
        line("digits", "msd, worst of 5 seeds, batches of 500", worst, reference, "≤ 668", worst <= 668),
        line("digits", "msd, median of 5 seeds, batches of 5000", default, reference, "≤ 661", default <= 661),
    ]


def blobs(folder):
    """Centers ten deviations apart are found again."""
    random = np.random.default_rng(1)
    centers = 10 * np.array([[x, y, (x + y) % 2] for x in range(3) for y in range(3)], dtype=np.float32)
    rows = np.repeat(centers, 4000, axis=0) + random.normal(size=(36_000, 3))
    random.shuffle(rows)
    nearest, distance = distances(folder, rows.astype(np.float32), centers, {"k": 9, "init_method": "kmeans++"})
    passed = len(set(nearest)) == 9 and distance.max() <= 0.05
    reference = KMeans(9, n_init=10, random_state=0).fit(rows)
    farthest = reference.transform(centers).min(axis=1).max()
    return [line("9 blobs", "farthest center, in deviations", distance.max(), farthest, "≤ 0.05", passed)]


def drift(folder):
    """Blobs that wander: with a half-life the centers are where the last records are."""
    random = np.random.default_rng(2)
    place = np.linspace(0, 50, 20_000)[:, None]
    rows = np.tile([[0.0, 0.0], [100.0, 0.0]], (10_000, 1)) + place + random.normal(size=(20_000, 2))
    last = rows[-1000:].astype(np.float32)
    settings = {"k": 2, "init_method": "kmeans++", "mini_batch_size": 500}

    def error(half_life):
        _, distance = distances(
            folder, rows.astype(np.float32), last, settings | {"half_life_time_size": half_life}
        )
        return float(np.mean(distance**2))

    ours, without = error(1000), error(0)
    return [line("drift", "msd of the last rows, half-life 1000", ours, without, "< without half-life", ours < without)]


def table():
    with tempfile.TemporaryDirectory() as folder:
        return digits(folder) + blobs(folder) + drift(folder)
