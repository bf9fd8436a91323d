"""The container contracts, with the words and variables that the platform uses: `train` writes what `serve` serves."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import requests
import xgboost

import harness


def lay_out(base, rows, labels, hyperparameters):
    """What the platform puts below /opt/ml before training."""
    base = pathlib.Path(base)
    config, train = base / "input/config", base / "input/data/train"
    config.mkdir(parents=True)
    train.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"ContentType": "text/csv"}}))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
    (train / "part-0.csv").write_text(harness.to_csv(np.column_stack([labels, rows])))
    return base


def train(base, word="train"):
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    return subprocess.run(
        [str(harness.program("clary-train")), word], env=environment, capture_output=True, text=True, check=False
    )


def container(base, environment=None):
    """`docker run IMAGE serve`, as far as the process can tell."""
    given = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": "0", **(environment or {})}
    return harness.Server(["serve"], given)


@pytest.fixture(scope="module")
def trained(cancer, tmp_path_factory):
    """A base folder whose model was trained by `clary-train train`."""
    rows, labels = cancer
    hyperparameters = {"num_round": "15", "objective": "binary:logistic", "max_depth": "3", "eval_metric": "auc,error"}
    base = lay_out(tmp_path_factory.mktemp("ml"), rows, labels, hyperparameters)
    done = train(base)
    assert done.returncode == 0, done.stderr
    assert "\ttrain-auc:" in done.stdout
    return base


def test_what_was_trained_is_loaded_by_xgboost_and_served(trained, cancer):
    rows, labels = cancer
    booster = xgboost.Booster(model_file=trained / "model/xgboost-model")
    expected = booster.predict(xgboost.DMatrix(rows))
    assert ((expected > 0.5) == labels).mean() > 0.95
    with container(trained) as server:
        server.ready()
        for name, write in harness.FORMATS.items():
            np.testing.assert_allclose(server.scores(write(rows), name), expected, rtol=1e-6, atol=0)


def test_the_manifest_refuses_narrow_rows(trained):
    with container(trained) as server:
        answer = server.ready().invoke("1,2,3\n", "text/csv")
    assert answer.status_code == 400
    assert "30" in answer.text and "3" in answer.text


def test_sigterm_ends_with_0(trained):
    with container(trained) as server:
        server.ready()
        assert server.stop() == 0


def test_an_unknown_word_is_64():
    for name in ("clary", "clary-train"):
        done = subprocess.run([str(harness.program(name)), "dance"], capture_output=True, text=True, check=False)
        assert done.returncode == 64, name
        assert len(done.stderr.strip().splitlines()) >= 1


def test_a_failure_leaves_its_reason(cancer, tmp_path):
    rows, labels = cancer
    base = lay_out(tmp_path / "ml", rows, labels, {"num_round": "1", "eta": "2"})
    done = train(base)
    assert done.returncode == 2
    failure = (base / "output/failure").read_text()
    assert failure.startswith("ClientError: ") and "eta" in failure


def test_ping_is_503_without_a_model(tmp_path):
    with container(tmp_path) as server:
        server.wait_until(lambda: requests.get(server.url + "/ping", timeout=harness.WAIT_S).status_code == 503)
        assert server.invoke("1", "text/csv").status_code >= 500


def test_custom_attributes_are_not_invented(trained, cancer):
    with container(trained) as server:
        answer = server.ready().invoke(harness.to_csv(cancer[0][:1]), "text/csv")
    assert answer.status_code == 200
    assert len(answer.headers["X-Clary-Artifact"]) == 64


@pytest.fixture
def many(booster, cancer, tmp_path):
    """A multi-model container and two unpacked models."""
    rows, labels = cancer
    other = xgboost.train({"objective": "binary:logistic", "max_depth": 1}, xgboost.DMatrix(rows, labels), 3)
    boosters = {"a": booster, "b": other}
    for name, member in boosters.items():
        harness.save(member, tmp_path / "models" / name / "model")
    with container(tmp_path, {"SAGEMAKER_MULTI_MODEL": "true"}) as server:
        yield server.ready(), tmp_path, boosters


def test_multi_model_flow(many, cancer):
    server, base, boosters = many
    session, rows = server.session, cancer[0][:5]
    models = server.url + "/models"
    load = lambda name: session.post(models, json={"model_name": name, "url": str(base / "models" / name / "model")})
    invoke = lambda name: server.invoke(harness.to_csv(rows), "text/csv", path=f"/models/{name}/invoke")

    assert session.get(models).json()["models"] == []
    assert invoke("a").status_code == 404
    assert load("a").status_code == 200
    assert load("a").status_code == 409
    assert load("b").status_code == 200
    listed = session.get(models).json()["models"]
    assert sorted(entry["modelName"] for entry in listed) == ["a", "b"]
    assert session.get(f"{models}/a").json()["modelUrl"].endswith("/a/model")
    for name, booster in boosters.items():
        found = [row["score"] for row in invoke(name).json()["predictions"]]
        np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(rows)), rtol=1e-6, atol=0)
    assert session.delete(f"{models}/a").status_code == 200
    assert session.delete(f"{models}/a").status_code == 404
    assert session.get(f"{models}/a").status_code == 404
    assert invoke("a").status_code == 404
    assert invoke("b").status_code == 200
