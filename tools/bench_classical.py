"""What training k-means, KNN, PCA, random cut forests, factorization machines and LDA costs: `clary-train` as a training
container beside scikit-learn, each a process of its own over the same rows, in turn; medians of time and of peak memory.

    cargo build --release -p trainer && .venv/bin/python tools/bench_classical.py kmeans pca --rows 100000 1000000

Ours is timed from start to model, reading, scoring the channel `test` and starting included, from RecordIO and from CSV. The
reference is timed inside its process, without the imports: reading (`.npy`, and CSV by pandas), fitting with scoring the same
test rows. Both compute on two threads.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile

import numpy as np
from bench_training import PROGRAM, timed

COLUMNS = 30
THREADS = 2
TEST_ROWS = 20_000
# Queries of KNN are fewer where there is more to look through: what is timed is the fit and these.
KNN_QUERIES = {100_000: 10_000, 1_000_000: 1_000}

# A family: how its rows are made, our hyperparameters, our quality in the log, and references by name: what makes
# `model`, source that makes `quality` of it.
Family = collections.namedtuple("Family", "data settings quality references")


def blobs(rows, random):
    """Ten groups that overlap; the label is the group."""
    centers = np.random.default_rng(1).normal(0, 1.2, (10, COLUMNS))
    groups = random.integers(0, 10, rows)
    return groups, centers[groups] + random.standard_normal((rows, COLUMNS))


def anomalies(rows, random):
    """The groups, and one row of a hundred from a wide box, which the label says."""
    _, x = blobs(rows, random)
    odd = random.random(rows) < 0.01
    x[odd] = random.uniform(-6, 6, (int(odd.sum()), COLUMNS))
    return odd, x


def pairs(rows, random):
    """Labels by a line and by products of features, not quite."""
    x = random.standard_normal((rows, COLUMNS))
    margin = x[:, 0] - 0.5 * x[:, 1] + x[:, 2] * x[:, 3] + x[:, 4] * x[:, 5] + 0.5 * random.standard_normal(rows)
    return margin > 0, x


def documents(rows, random):
    """Counts of 30 words, 60 a document, by five topics."""
    topics = np.random.default_rng(1).dirichlet(np.full(COLUMNS, 0.2), 5)
    shares = random.dirichlet(np.full(5, 0.2), rows)
    return np.zeros(rows), random.multinomial(60, shares @ topics)


def loss(metric, channel="test"):
    return rf"{channel} {metric} <(?:loss|score)>=([-0-9.e]+)"


CLASSES = {"predictor_type": "binary_classifier", "num_factors": 8, "mini_batch_size": 1000, "epochs": 3}
CLASSES |= {"factors_lr": 0.01, "linear_lr": 0.01, "bias_lr": 0.01}
RIGHT = "quality = (model.predict(xt) == yt).mean()"
MSD = "quality = model.transform(xt).min(axis=1).astype(float).__pow__(2).mean()"
KEPT = "z = xt - model.mean_; kept = z @ model.components_.T; quality = (kept**2).sum() / (z**2).sum()"
F1 = "s = -model.score_samples(xt); quality = f1_score(yt, s > s.mean() + 3 * s.std())"
WORD = """
beta = model.components_ / model.components_.sum(1, keepdims=True)
quality = (xt * np.log(model.transform(xt) @ beta)).sum() / xt.sum()
"""

FAMILIES = {
    "kmeans": Family(
        blobs,
        {"k": 10},
        loss("msd"),
        {
            "KMeans": ("model = KMeans(10, random_state=0).fit(x)", MSD),
            "MiniBatchKMeans": (
                "model = MiniBatchKMeans(10, random_state=0).fit(x)",
                MSD,
            ),
        },
    ),
    "pca": Family(
        blobs,
        {"num_components": 10, "mini_batch_size": 5000},
        loss("explained_variance"),
        {"PCA": ("model = PCA(10).fit(x)", KEPT)},
    ),
    "pca-randomized": Family(
        blobs,
        {"num_components": 10, "mini_batch_size": 5000, "algorithm_mode": "randomized"},
        loss("explained_variance"),
        {
            "PCA randomized": (
                "model = PCA(10, svd_solver='randomized', random_state=0).fit(x)",
                KEPT,
            )
        },
    ),
    "knn": Family(
        blobs,
        {"k": 10, "predictor_type": "classifier"},
        loss("accuracy"),
        {
            "KNeighborsClassifier": (
                "model = KNeighborsClassifier(10).fit(x, y)",
                RIGHT,
            )
        },
    ),
    "randomcutforest": Family(
        anomalies,
        {"num_trees": 100, "num_samples_per_tree": 256},
        loss("f1"),
        {
            "IsolationForest": (
                "model = IsolationForest(n_jobs=2, random_state=0).fit(x)",
                F1,
            )
        },
    ),
    "factorization-machines": Family(
        pairs,
        CLASSES,
        loss("binary_classification_accuracy"),
        {
            "SGDClassifier (linear)": (
                "model = SGDClassifier(loss='log_loss', max_iter=3, tol=None, random_state=0).fit(x, y)",
                RIGHT,
            )
        },
    ),
    "lda": Family(
        documents,
        {"num_topics": 5, "alpha0": 1.0},
        loss("pwll"),
        {
            "LatentDirichletAllocation": (
                "model = LatentDirichletAllocation(5, learning_method='online', n_jobs=2, random_state=0).fit(x)",
                WORD,
            )
        },
    ),
}

REFERENCE = """
import time
import numpy as np, pandas
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA, LatentDirichletAllocation
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
t0 = time.perf_counter()
data = np.load(path + '.npy')
npy = time.perf_counter() - t0
if {reads_csv}:
    del data
    t0 = time.perf_counter()
    data = pandas.read_csv(path + '.csv', header=None, dtype=np.float32).to_numpy()
read = time.perf_counter() - t0
test = np.load(path + '-test.npy')
xt, yt = np.ascontiguousarray(test[:, 1:]), test[:, 0]
t0 = time.perf_counter()
x, y = np.ascontiguousarray(data[:, 1:]), data[:, 0]
del data
{fit}
fit = time.perf_counter() - t0
{score}
total = time.perf_counter() - t0
print('RESULT', read, fit, total, quality)
"""


def record_io(data):
    """The framed protobuf records of rows of a label and float32 features, all of one length."""
    rows, width = len(data), data.shape[1] - 1

    def field(number, payload):
        size, head = len(payload), bytes([number << 3 | 2])
        return head + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + payload

    def entry(number, count):
        return field(number, field(1, b"values") + field(2, field(2, field(1, bytes(4 * count)))))

    features, label = entry(1, width), entry(2, 1)
    payload = features + label
    padded = -len(payload) % 4
    head = np.array([0xCED7230A, len(payload)], "<u4").tobytes()
    whole = np.tile(np.frombuffer(head + payload + bytes(padded), np.uint8), (rows, 1))
    end = len(head) + len(features)
    whole[:, end - 4 * width : end] = data[:, 1:].astype("<f4").view(np.uint8)
    end += len(label)
    whole[:, end - 4 : end] = data[:, :1].astype("<f4").copy().view(np.uint8)
    return whole.tobytes()


def write(family, rows, folder):
    """Rows as RecordIO, CSV and .npy: what is trained on, and what is scored."""
    import pandas

    for name, count, seed in (("train", rows, 2), ("test", TEST_ROWS, 3)):
        label, x = family.data(count, np.random.default_rng(seed))
        data = np.column_stack([label, x]).astype(np.float32)
        if name == "test" and family is FAMILIES["knn"]:
            data = data[: KNN_QUERIES.get(rows, 1_000)]
        np.save(folder / ("rows.npy" if name == "train" else "rows-test.npy"), data)
        for kind in ("recordio", "csv"):
            place = folder / kind / "input/data" / name
            place.mkdir(parents=True)
            if kind == "recordio":
                (place / "part").write_bytes(record_io(data))
            else:
                pandas.DataFrame(data).to_csv(place / "part", header=False, index=False, float_format="%.6g")
    (folder / "rows.csv").symlink_to(folder / "csv/input/data/train/part")


def configure(name, family, rows, folder):
    """The contract's files beside the data."""
    settings = {"feature_dim": COLUMNS, **family.settings}
    if name == "lda":
        settings["mini_batch_size"] = rows
    if name == "knn":
        settings["sample_size"] = rows
    for kind, content_type in (("recordio", "application/x-recordio-protobuf"), ("csv", "text/csv;label_size=1")):
        place = folder / kind / "input/config"
        place.mkdir(parents=True)
        text = {key: str(value) for key, value in settings.items()}
        (place / "hyperparameters.json").write_text(json.dumps(text))
        channels = {channel: {"ContentType": content_type} for channel in ("train", "test")}
        (place / "inputdataconfig.json").write_text(json.dumps(channels))


def ours(name, family, base):
    algorithm = "pca" if name.startswith("pca") else name
    command = [PROGRAM, "train", "--algorithm", algorithm, "--base-dir", base, "--threads", THREADS]
    wall, peak, text = timed(command)
    return {"wall": wall, "peak": peak, "quality": float(re.findall(family.quality, text)[-1])}


def theirs(source, folder, reads_csv):
    fit, score = source
    code = f"path = {str(folder / 'rows')!r}\n" + REFERENCE.format(fit=fit, score=score, reads_csv=reads_csv)
    _, peak, text = timed([sys.executable, "-c", code])
    read, fit, total, quality = map(float, re.search(r"RESULT (\S+) (\S+) (\S+) (\S+)", text).groups())
    return {"wall": read + total, "read": read, "fit": fit, "peak": peak, "quality": quality}


def compare(name, rows, rounds, folder):
    """Everything in turn; a line of medians each."""
    family = FAMILIES[name]
    write(family, rows, folder)
    configure(name, family, rows, folder)
    runs = collections.defaultdict(list)
    for _ in range(rounds):
        # Factorization machines are not trained from CSV.
        for kind in ("recordio",) if name == "factorization-machines" else ("recordio", "csv"):
            runs[f"ours, {kind}"].append(ours(name, family, folder / kind))
        for reference, source in family.references.items():
            for kind, reads_csv in (("npy", False), ("csv", True)):
                runs[f"{reference}, {kind}"].append(theirs(source, folder, reads_csv))
    for what, of in runs.items():
        medians = {key: statistics.median(run[key] for run in of) for key in of[0]}
        spread = max(run["wall"] for run in of) - min(run["wall"] for run in of)
        parts = "".join(f"  {key} {medians[key]:.2f} s" for key in ("read", "fit") if key in medians)
        print(
            f"{name:24} {rows:8} {what:36} wall {medians['wall']:7.2f} s (spread {spread:.2f})  "
            f"peak {medians['peak']:5.0f} MiB  quality {medians['quality']:.5f}{parts}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"all of {', '.join(FAMILIES)}, unless some are named")
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn")
    arguments = parser.parse_args()
    # What the reference computes with, which reads it when it starts.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(THREADS))
    for name in arguments.families or FAMILIES:
        for rows in arguments.rows:
            with tempfile.TemporaryDirectory() as folder:
                compare(name, rows, arguments.rounds, pathlib.Path(folder))


if __name__ == "__main__":
    main()
