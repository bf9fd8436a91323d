"""Fixtures: data that a public package ships, a booster trained on it, a served model."""

import os
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")

import xgboost
from sklearn.datasets import load_breast_cancer

import harness
import hosting

# Before it is imported, so that what it asserts says as much as what the tests do.
pytest.register_assert_rewrite("endpoints", "training")

import endpoints


@pytest.fixture(scope="session")
def cancer():
    """569 rows of 30 features, every tenth value missing."""
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = rows.astype(np.float32)
    rows[np.random.default_rng(7).random(rows.shape) < 0.1] = np.nan
    return rows, labels.astype(np.float32)


@pytest.fixture(scope="session")
def booster(cancer):
    """A binary classifier of the cancer data."""
    rows, labels = cancer
    parameters = {"objective": "binary:logistic", "max_depth": 4, "nthread": 2}
    return xgboost.train(parameters, xgboost.DMatrix(rows, labels), num_boost_round=20)


@pytest.fixture(scope="session")
def model(booster, tmp_path_factory):
    """Its folder."""
    return harness.save(booster, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def server(model):
    """A server of it, shared by the tests that only ask."""
    with harness.serve(model) as server:
        yield server.ready()


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    """A `clary up`, shared by the tests that name what they make differently."""
    with hosting.up(tmp_path_factory.mktemp("platform")) as server:
        yield hosting.Clients(server.ready())


@pytest.fixture(scope="session")
def model_url(platform, booster):
    """The booster in the platform's own store."""
    return platform.upload(booster)


@pytest.fixture(scope="session")
def hosted_models(platform, model_url, cancer):
    """A good model, one whose answers are others, and one that refuses every row of thirty features."""
    other = platform.upload(endpoints.train(cancer), "hosting/other.tar.gz")
    narrow = platform.upload(endpoints.train(cancer, columns=3), "hosting/narrow.tar.gz")
    for name, url in {"good": model_url, "other": other, "narrow": narrow}.items():
        platform.create_model(f"hosting-{name}", url)
    return "hosting-good", "hosting-other", "hosting-narrow"


@pytest.fixture(scope="module")
def store(request, platform, model_url):
    """The platform, with the bucket and the model that a module of transforms names, and an endpoint of the same model: the oracle."""
    bucket, model = request.module.BUCKET, request.module.MODEL
    platform.s3.create_bucket(Bucket=bucket)
    platform.deploy(model, model_url)
    yield platform
    platform.delete_endpoint(model)


@pytest.fixture(scope="session")
def row(cancer):
    """The first row, as CSV."""
    return harness.to_csv(cancer[0][:1])
