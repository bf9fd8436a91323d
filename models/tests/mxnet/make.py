"""Writes the fixtures of this folder with the real MXNet (1.9.1 from PyPI, NumPy below 1.24, any Python that has wheels):
the artifacts that SageMaker's own k-means, PCA, LDA, linear learner and factorization machines leave, as far as AWS's examples
show their layout, and `answers.json`, what NumPy computes from the same numbers.

    python -m venv v && v/bin/pip install mxnet==1.9.1 numpy==1.23.5 && v/bin/python make.py
"""

import json
import os
import pathlib
import tempfile
import zipfile

import mxnet as mx
import numpy as np

HERE = pathlib.Path(__file__).parent
random = np.random.RandomState(7)
ROWS = random.randn(3, 4).astype(np.float32)
COUNTS = np.array([[3, 0, 1, 2], [0, 4, 0, 0], [1, 1, 1, 1]], dtype=np.float32)


def folder(name):
    path = HERE / name
    path.mkdir(exist_ok=True)
    return path


def module(name, arguments, symbol):
    """What `mx.mod.Module.save_checkpoint` leaves, zipped as `model_algo-1`."""
    with tempfile.TemporaryDirectory() as place:
        stem = os.path.join(place, "mx-mod")
        mx.nd.save(stem + "-0000.params", {f"arg:{key}": value for key, value in arguments.items()})
        symbol.save(stem + "-symbol.json")
        with zipfile.ZipFile(folder(name) / "model_algo-1", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(os.listdir(place)):
                entry = zipfile.ZipInfo(file, date_time=(2020, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, (pathlib.Path(place) / file).read_bytes())


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def linear(name, classes, output):
    weight = random.randn(classes, 4).astype(np.float32)
    bias = random.randn(classes).astype(np.float32)
    data = mx.sym.Variable("data")
    layer = mx.sym.FullyConnected(data, name="fc0", num_hidden=classes)
    module(name, {"fc0_weight": mx.nd.array(weight), "fc0_bias": mx.nd.array(bias)}, output(layer))
    return ROWS @ weight.T + bias


def factorization(name, output, sparse):
    w0 = random.randn(1, 1).astype(np.float32)
    w1 = random.randn(4, 1).astype(np.float32)
    v = random.randn(4, 2).astype(np.float32)
    if sparse:
        # A feature that was never seen has no row.
        w1[2], v[2] = 0, 0
    arrays = {"w0_weight": mx.nd.array(w0), "w1_weight": mx.nd.array(w1), "v": mx.nd.array(v)}
    if sparse:
        arrays = {key: value.tostype("row_sparse") for key, value in arrays.items()}
    module(name, arrays, output(mx.sym.Variable("score")))
    pairs = 0.5 * ((ROWS @ v) ** 2 - (ROWS**2) @ (v**2)).sum(axis=1)
    return w0[0, 0] + (ROWS @ w1)[:, 0] + pairs


answers = {"rows": ROWS.tolist(), "counts": COUNTS.tolist()}

components, _ = np.linalg.qr(random.randn(4, 2))
mean = random.randn(1, 4).astype(np.float32)
arrays = {"mean": mean, "s": np.array([1.0, 3.0], np.float32), "v": components.astype(np.float32)}
mx.nd.save(str(folder("pca") / "model_algo-1"), {key: mx.nd.array(value) for key, value in arrays.items()})
answers["pca"] = ((ROWS - mean) @ components).tolist()

topics = random.dirichlet(np.ones(4), 2).astype(np.float32)
mx.nd.save(str(folder("lda") / "model_algo-1"), [mx.nd.array([0.4, 0.6]), mx.nd.array(topics)])
answers["lda_topics"] = topics.tolist()

answers["linear_binary"] = sigmoid(linear("linear_binary", 1, mx.sym.LogisticRegressionOutput)).tolist()
answers["linear_multiclass"] = softmax(linear("linear_multiclass", 3, mx.sym.SoftmaxOutput)).tolist()
answers["linear_regressor"] = linear("linear_regressor", 1, mx.sym.LinearRegressionOutput).tolist()
answers["fm_binary"] = sigmoid(factorization("fm_binary", mx.sym.LogisticRegressionOutput, True)).tolist()
answers["fm_regressor"] = factorization("fm_regressor", mx.sym.LinearRegressionOutput, False).tolist()

(HERE / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
