"""The bars of pca on the digits, beside scikit-learn on the same rows: what share of the variance ten components keep."""

import functools
import pathlib
import tempfile

import _common
import harness
import numpy as np
from sagemaker.amazon.common import write_numpy_to_dense_tensor
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

K = 10
SEEDS = range(5)
line = functools.partial(_common.line, "pca", f"digits, k = {K}")
# Of the one-pass sketch: extra_components, and the least share that its ten components keep, on the mean of the seeds.
SKETCHES = [("-1", 0.602, 0.58), ("54", 0.678, 0.66), ("200", 0.718, 0.71), ("1000", 0.735, 0.73)]


def train(folder, source, content_type, **settings):
    """The tensors of what `clary-train` makes of a file."""
    settings = {"feature_dim": 64, "mini_batch_size": 500, "num_components": K} | settings
    archive, _ = _common.train("pca", folder / "model", content_type, {"train": source}, settings)
    return load_file(_common.member(archive, "model.safetensors", folder))


def record_io(path, rows):
    with path.open("wb") as file:
        write_numpy_to_dense_tensor(file, rows)
    return path


def share(rows, vectors):
    """Of the rows' variance, what the components keep."""
    centred = rows - rows.mean(axis=0)
    return float(((centred @ vectors.astype(np.float64)) ** 2).sum() / (centred**2).sum())


def regular(folder, source, rows):
    found = train(folder, source, "text/csv;label_size=0")
    exact = PCA(K, svd_solver="full").fit(rows)
    kept, expected = share(rows, found["v"]), float(exact.explained_variance_ratio_.sum())
    apart = np.abs(found["s"] / exact.singular_values_ - 1).max()
    cosine = np.abs((found["v"] * exact.components_.T).sum(axis=0)).min()
    yield line("regular: variance kept", kept, expected, ">= 0.73822", kept >= 0.73822)
    yield line("regular: singular values, apart", apart, "PCA full", "<= 0.0001", apart <= 1e-4)
    yield line("regular: least |cosine|", cosine, "PCA full", ">= 0.9999", cosine >= 0.9999)


def widths(folder, rows):
    """The same numbers as Float32 and as Float64 records."""
    rows = rows / 3.0
    single = train(folder, record_io(folder / "single", rows.astype(np.float32)), "application/x-recordio-protobuf")
    double = train(folder, record_io(folder / "double", rows), "application/x-recordio-protobuf")
    apart = max(np.abs(single[name] - double[name]).max() / np.abs(double[name]).max() for name in double)
    yield line("regular: Float32 and Float64 records, apart", apart, "ours", "<= 0.0001", apart <= 1e-4)


def randomized(folder, source, rows):
    def kept(seeds, **settings):
        settings = {"algorithm_mode": "randomized"} | settings
        shares = [
            share(rows, train(folder, source, "text/csv;label_size=0", seed=seed, **settings)["v"]) for seed in seeds
        ]
        return float(np.mean(shares))

    for extra, figure, bar in SKETCHES:
        found = kept(SEEDS, extra_components=extra, randomized_passes=1)
        reference = f"{figure} (a prototype)"
        yield line(f"randomized, one pass, extra {extra}: variance kept", found, reference, f">= {bar}", found >= bar)
    found = kept(SEEDS)
    reference = PCA(K, svd_solver="randomized", random_state=0).fit(rows)
    expected = float(reference.explained_variance_ratio_.sum())
    yield line("randomized, two iterations: variance kept", found, expected, ">= 0.737", found >= 0.737)


def table():
    rows = load_digits().data
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        source = folder / "rows.csv"
        source.write_text(harness.to_csv(rows))
        return [*regular(folder, source, rows), *widths(folder, rows), *randomized(folder, source, rows)]
