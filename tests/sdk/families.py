"""The built-in algorithms on the digits: the rows, what each is trained on, and settings that end within a second or two."""

import io

import numpy as np
from sagemaker.amazon.common import write_numpy_to_dense_tensor
from sklearn.datasets import load_digits

import harness

ROWS, LABELS = load_digits(return_X_y=True)
ROWS = (ROWS / 16).astype(np.float32)
FEATURES = ROWS.shape[1]
HELD = np.arange(len(ROWS)) % 5 == 0
KNOWN = ~HELD
IS_ZERO = (LABELS == 0).astype(np.float32)
RECORDS, CSV = "application/x-recordio-protobuf", "text/csv"
SUPERVISED = {"xgboost", "linear-learner", "knn", "factorization-machines"}

SETTINGS = {
    "xgboost": {"objective": "binary:logistic", "num_round": 20, "max_depth": 3},
    "linear-learner": {
        "predictor_type": "binary_classifier",
        "epochs": 5,
        "mini_batch_size": 100,
        "num_models": 2,
    },
    "kmeans": {"k": 10, "init_method": "kmeans++", "mini_batch_size": 500},
    "pca": {"num_components": 5, "mini_batch_size": 200},
    "knn": {"k": 5, "predictor_type": "classifier", "sample_size": 2000},
    "factorization-machines": {
        "predictor_type": "binary_classifier",
        "num_factors": 4,
        "epochs": 10,
        "mini_batch_size": 100,
        "bias_lr": 0.1,
        "linear_lr": 0.01,
        "factors_lr": 0.01,
    },
    "randomcutforest": {"num_trees": 50, "num_samples_per_tree": 20},
    "lda": {"num_topics": 4, "mini_batch_size": 1437},
}
# What makes those of many passes last until they are stopped.
LASTING = {
    "xgboost": {"num_round": 1000000},
    "linear-learner": {"epochs": 1000000, "early_stopping_patience": 1000000},
    "kmeans": {"epochs": 1000000},
    "factorization-machines": {"epochs": 1000000},
}


def records(rows, labels=None):
    """RecordIO-protobuf, as the SDK writes it."""
    file = io.BytesIO()
    write_numpy_to_dense_tensor(file, rows.astype(np.float32), labels)
    return file.getvalue()


def labelled(rows, labels):
    """CSV, the label first."""
    return harness.to_csv(np.column_stack([labels, rows])).encode()


def body(name, chosen):
    """Rows of the digits as an algorithm trains on them, and their content type."""
    if name == "xgboost":
        return labelled(ROWS[chosen], IS_ZERO[chosen]), CSV
    return records(ROWS[chosen], IS_ZERO[chosen] if name in SUPERVISED else None), RECORDS
