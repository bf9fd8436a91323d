"""Both SageMaker Python SDKs train, deploy, predict and transform with every built-in algorithm: scripts as users write them
(flows/), in processes that know only the environment."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import harness
import hosting

# Scripts that run at once. Reason: half of each is waiting and half is imports.
SCRIPTS_AT_ONCE = 3
NAMES = [
    "xgboost",
    "linear-learner",
    "kmeans",
    "pca",
    "knn",
    "factorization-machines",
    "randomcutforest",
    "lda",
]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """All scripts, some at once against one platform: what each printed last, as a future."""
    folder = tmp_path_factory.mktemp("estimators")
    with hosting.up(folder / "data") as server, ThreadPoolExecutor(SCRIPTS_AT_ONCE) as pool:
        server.ready()

        def submit(name, *arguments, python=sys.executable):
            return pool.submit(hosting.run_flow, server, folder, name, *arguments, hosting.ROLE, python=python)

        futures = {name: submit("v2_estimators", name) for name in NAMES}
        futures["v3"] = submit("v3_trainer", python=harness.ROOT / ".venv-v3" / "bin" / "python")
        yield futures
        for future in futures.values():
            future.cancel()


def accuracy(result):
    answers = np.array(result["answers"])[:, 0]
    return (answers == np.array(result["labels"])).mean()


def purity(result):
    """The share of rows whose cluster's commonest digit is theirs."""
    clusters, labels = np.array(result["answers"])[:, 0], np.array(result["labels"])
    return sum(np.bincount(labels[clusters == k].astype(int)).max() for k in set(clusters)) / len(labels)


@pytest.mark.parametrize(
    ("name", "line", "metric"),
    [
        ("xgboost", "validation-mlogloss", "validation:mlogloss"),
        ("linear-learner", "#quality_metric", "train:objective_loss"),
        ("kmeans", "train msd <loss>", "train:msd"),
        ("pca", "#throughput_metric", "train:throughput"),
        ("knn", "#throughput_metric", "train:throughput"),
        ("factorization-machines", "train binary_classification_cross_entropy <loss>", None),
        ("randomcutforest", "ForestInfo{num_trees: 50", None),
        ("lda", "#progress_metric", "train:progress"),
    ],
)
def test_v2_fits_deploys_predicts_and_transforms(scripts, name, line, metric):
    result = scripts[name].result()
    assert line in result["logs"]
    if metric:
        assert metric in result["metrics"], result["metrics"]
    assert result["model"].startswith(f"s3://flow-v2-{name}/out/") and result["model"].endswith("/output/model.tar.gz")
    np.testing.assert_array_equal(
        np.float32(result["answers"]), np.float32(result["transformed"]), "online and batch answers are one"
    )
    answers = np.array(result["answers"])
    assert len(answers) == 360 and np.isfinite(answers).all()
    match name:
        case "xgboost" | "linear-learner":
            assert accuracy(result) > 0.9
        case "knn":
            assert accuracy(result) > 0.98
        case "factorization-machines":
            assert accuracy(result) > 0.98
        case "kmeans":
            assert purity(result) > 0.7
        case "pca":
            # Components by falling variance.
            assert (np.diff(answers.var(axis=0)) < 0).all()
        case "lda":
            np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
        case "randomcutforest":
            assert (answers > 0).all() and answers.std() > 0


def test_v3_model_trainer_trains_and_its_model_is_deployed(scripts):
    result = scripts["v3"].result()
    assert (result["status"], result["kmeans"]) == ("Completed", "Completed")
    answers = np.array([float(line) for line in result["answers"].split()])
    assert (answers == np.array(result["labels"])).mean() > 0.9
    assert result["transformed"].split() == result["answers"].split()
    assert 0 < result["metrics"]["validation:mlogloss"] < 1
