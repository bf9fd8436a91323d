"""The SageMaker Python SDK, second and third line: scripts as users write them, in a process of their own that knows
nothing but the environment variables. Only the naps of the SDKs' polling loops are shortened (flows/quick)."""

import sys

import numpy as np
import pytest

import harness
import hosting


@pytest.fixture(scope="module")
def files(booster, cancer, tmp_path_factory):
    """An archive, and the rows of a request with the scores that they should have."""
    folder = tmp_path_factory.mktemp("flows")
    archive = harness.archive(harness.save(booster, folder / "model"), folder / "model.tar.gz")
    rows = np.nan_to_num(cancer[0][:20])
    np.save(folder / "rows.npy", rows)
    import xgboost

    return folder, archive, booster.predict(xgboost.DMatrix(rows))


@pytest.fixture
def flow(platform, files):
    """Runs a script; gives the last line that it printed, parsed."""

    def run(name, python=sys.executable):
        folder, archive, _ = files
        arguments = [archive, folder / "rows.npy", hosting.ROLE]
        return hosting.run_flow(platform.server, folder, name, *arguments, python=python)

    return run


def environment_of(name):
    """The interpreter of a virtual environment of its own."""
    python = harness.ROOT / f".venv-{name}" / "bin" / "python"
    assert python.exists(), f"{python} is not there: run `make setup`"
    return python


@pytest.fixture
def v3():
    return environment_of("v3")


def scores(answer):
    """The numbers of a CSV answer, as text or as the rows that CSVDeserializer makes of it."""
    if isinstance(answer, str):
        return [float(line) for line in answer.split()]
    return [float(value) for row in answer for value in row]


def same(answer, files):
    np.testing.assert_allclose(scores(answer), files[2], rtol=1e-5)


def test_v2_deploys_predicts_updates_and_cleans_up(flow, files):
    result = flow("v2_deploy")
    same(result["scores"], files)
    same(result["again"], files)
    same(result["streamed"], files)
    assert result["instances"] == 2
    assert result["monitors"] == 0 and result["left"] == []


def test_v2_splits_traffic_and_shifts_it(flow, files):
    result = flow("v2_variants")
    # Binomial(300, 0.9): six standard deviations around 270.
    assert 238 <= result["before"]["a"] <= 300 and sum(result["before"].values()) == 300
    assert result["after"] == {"b": 50}
    np.testing.assert_allclose(result["named"]["predictions"][0]["score"], files[2][0], rtol=1e-5)


def test_v2_serves_many_models_behind_one_endpoint(flow, files):
    result = flow("v2_multi_model")
    assert result["listed"] == ["copied.tar.gz", "local.tar.gz"]
    same(result["local"], files)
    same(result["copied"], files)
    assert "Failed to download model data" in result["refused"]


def test_v2_infers_asynchronously(flow, files):
    result = flow("v2_async")
    same(result["scores"], files)
    assert result["output"].startswith("s3://flow-v2-async/out/") and result["output"].endswith(".out")
    assert result["failure"].startswith("AsyncInferenceModelError")


def test_v2_serves_without_instances_and_captures(flow, files):
    result = flow("v2_serverless_capture")
    same(result["cold"], files)
    same(result["warm"], files)
    assert result["described"] == "Started"
    (line,) = result["lines"]
    assert line["eventMetadata"]["inferenceId"] == "id-1"
    assert line["eventMetadata"]["customAttributes"] == ["k=v"]
    same(line["captureData"]["endpointOutput"]["data"], files)
    assert line["captureData"]["endpointInput"]["encoding"] == "CSV"
    (file,) = result["files"]
    assert file.startswith("s3://flow-v2-capture/captured/flow-v2-capture/AllTraffic/") and file.endswith(".jsonl")


def test_v3_resources_create_invoke_shift_and_delete(flow, v3, files):
    result = flow("v3_resources", v3)
    same(result["scores"], files)
    assert (result["first"], result["second"]) == ("a", "b")
    assert result["weights"] == {"a": 3.0, "b": 1.0}
    assert result["listed"] == ["flow-v3-resources"] and result["status"] == "InService" and result["gone"]


def test_v3_model_builder_builds_and_deploys(flow, v3, files):
    result = flow("v3_model_builder", v3)
    same(result["scores"], files)
    assert result["model"] == "flow-v3-builder" and result["status"] == "InService"


@pytest.mark.parametrize("year", ["now", "2023"])
def test_boto3_hosts_scales_and_watches(flow, files, year):
    result = flow("boto3_hosting", sys.executable if year == "now" else environment_of("2023"))
    assert result["version"].startswith("1.28." if year == "2023" else "1.44.")
    assert result["keys"] == ["copied", "large", "model.tar.gz"]
    assert result["variants"] == ["a", "b", "b", "c"]
    same(result["scores"], files)
    # Refused by the service, and failed by the model.
    assert result["refused"] == "ValidationError" and result["failed"] == 415
    assert result["alarms"] == 2 and result["invocations"] >= 1 and result["lines"] >= 1
    assert result["account"] == hosting.ACCOUNT and f":{hosting.ACCOUNT}:" in result["arn"]
    assert result["tags"] == [{"Key": "team", "Value": "flows"}]


# Batch transform.


def joined(text):
    """The number and the score of each line of two columns."""
    numbers, found = zip(*(line.split(",") for line in text.splitlines()))
    return list(map(int, numbers)), "\n".join(found)


def test_v2_transforms(flow, files):
    result = flow("v2_transform")
    same(result["plain"], files)
    numbers, found = joined(result["joined"])
    assert numbers == list(range(20))
    same(found, files)
    # What ran, in the words that people look for.
    assert "MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=MULTI_RECORD" in result["logs"], result["logs"]
    assert {"Key": "team", "Value": "flows"} in result["tags"]
    assert result["attached"] == ["MultiRecord", "Line", 1, "text/csv"]
    assert any("/captured/input/" in uri for uri in result["captured"]), result["captured"]
    assert any("/captured/output/" in uri for uri in result["captured"]), result["captured"]
    assert "Failed" in result["failure"] and "See job logs for more information" in result["failure"]
    assert "flow-v2-transform/bad/a.csv" in result["failing_logs"], result["failing_logs"]
    assert result["stopped"] == "Stopped" and result["left"] == []


def test_v3_transforms(flow, v3, files):
    result = flow("v3_transform", v3)
    same(result["scores"], files)
    same(result["by_resource"], files)
    assert result["status"] == "Completed" and result["stopped"] == "Stopped"
    assert result["attached"] == ["MultiRecord", "Line", 1, "text/csv"]
    assert result["listed"] == [f"flow-v3-transform-{job}" for job in ("all", "resource", "slow")]


@pytest.mark.parametrize("year", ["now", "2023"])
def test_boto3_transforms(flow, files, year):
    result = flow("boto3_transform", sys.executable if year == "now" else environment_of("2023"))
    assert result["version"].startswith("1.28." if year == "2023" else "1.44.")
    name = "flow-transform-" + result["version"].replace(".", "-")
    assert result["arn"] == f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:transform-job/{name}-good"
    same(result["scores"], files)
    assert result["times"] and result["taken"] == "ResourceInUse" and result["stopped"] == "Stopped"
    assert "See job logs for more information" in result["failed"]
    states = {"bad": "Failed", "good": "Completed", "slow": "Stopped"}
    assert result["listed"] == [[f"{name}-{job}", state] for job, state in states.items()]
    assert any(stream.endswith("/data-log") for stream in result["streams"]), result["streams"]
    assert any(f"{name}/bad/rows.csv" in line for line in result["lines"]), result["lines"]
    assert result["tags"] == [{"Key": "team", "Value": "flows"}]
    # No partial output, and nothing else that nobody asked for.
    assert result["keys"] == ["bad/rows.csv", "in/rows.csv", "many/rows.csv", "model.tar.gz", "out/good/rows.csv.out"]
