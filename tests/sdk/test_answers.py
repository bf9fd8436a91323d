"""What SageMaker's XGBoost container answers: layouts, selected keys, status codes."""

import io
import json

import numpy as np
import pytest
import xgboost
from sagemaker.amazon.common import read_records

import harness


def one_row(cancer):
    return harness.to_csv(cancer[0][:1])


def test_plain_layouts(server, cancer):
    csv = server.invoke(one_row(cancer), "text/csv", "text/csv")
    assert csv.headers["Content-Type"].startswith("text/csv")
    assert csv.text.endswith("\n") and csv.text.count("\n") == 1
    score = np.float32(csv.text)
    body = server.invoke(one_row(cancer), "text/csv", "application/json").json()
    assert list(body) == ["predictions"] and list(body["predictions"][0]) == ["score"]
    assert np.float32(body["predictions"][0]["score"]) == score
    lines = server.invoke(one_row(cancer), "text/csv", "application/jsonlines").text
    assert np.float32(json.loads(lines)["score"]) == score


def test_the_default_answer_is_csv(server, cancer):
    for accept in (None, "*/*"):
        assert server.invoke(one_row(cancer), "text/csv", accept).headers["Content-Type"].startswith("text/csv")


def test_the_default_answer_can_be_set(model, cancer):
    with harness.serve(model, {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json"}) as server:
        assert "predictions" in server.ready().invoke(one_row(cancer), "text/csv", "*/*").json()


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "said"),
    [
        (b"", "text/csv", "text/csv", 204, ""),
        (b"1,2\n3,x\n", "text/csv", "text/csv", 415, "row 2, column 2"),
        (b"{", "application/json", "text/csv", 415, ""),
        (b"1", "image/png", "text/csv", 415, "image/png"),
        (b",".join([b"1"] * 31), "text/csv", "text/csv", 400, "31"),
        (b"0 30:1", "text/libsvm", "text/csv", 400, "row 1"),
        (b"1,2", "text/csv", "image/png", 406, ""),
    ],
)
def test_mistakes_have_their_status(server, body, content_type, accept, status, said):
    answer = server.invoke(body, content_type, accept)
    assert answer.status_code == status, answer.text
    assert said in answer.text


def test_narrow_rows_are_missing_at_their_end(server, booster, cancer):
    rows = cancer[0][:5].copy()
    rows[:, 20:] = np.nan
    found = server.scores(harness.to_csv(rows[:, :20]), "text/csv")
    np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(rows)), rtol=1e-6, atol=0)


def test_execution_parameters(server):
    answer = server.session.get(server.url + "/execution-parameters", timeout=harness.WAIT_S).json()
    assert answer["BatchStrategy"] == "MULTI_RECORD"
    assert answer["MaxConcurrentTransforms"] >= 1
    assert answer["MaxPayloadInMB"] == 6


KEYS = "predicted_label,labels,probability,probabilities,raw_score,raw_scores"


@pytest.fixture(scope="module")
def selected(model):
    with harness.serve(model, {"SAGEMAKER_INFERENCE_OUTPUT": KEYS}) as server:
        yield server.ready()


def test_selected_keys_in_json(selected, booster, cancer):
    rows = cancer[0][:10]
    answer = selected.invoke(harness.to_csv(rows), "text/csv", "application/json").json()
    for row, p in zip(answer["predictions"], booster.predict(xgboost.DMatrix(rows)), strict=True):
        assert list(row) == KEYS.split(",")
        assert row["predicted_label"] == int(p > 0.5)
        assert row["labels"] == [0, 1]
        np.testing.assert_allclose(row["probability"], p, rtol=1e-6)
        np.testing.assert_allclose(row["probabilities"], [1 - p, p], rtol=1e-5)
        assert np.float32(row["raw_score"]) == np.float32(row["probability"])
        assert row["raw_scores"] == row["probabilities"]


def test_selected_keys_in_csv_and_records(selected, cancer):
    rows = cancer[0][:2]
    as_json = selected.invoke(harness.to_csv(rows), "text/csv", "application/json").json()["predictions"]
    line = selected.invoke(harness.to_csv(rows), "text/csv", "text/csv").text.splitlines()[0]
    label, labels, rest = line.split(",", 1)[0], '"[0, 1]"', line.split(",", 1)[1]
    assert label == str(as_json[0]["predicted_label"])
    assert rest.startswith(labels), line
    content = selected.invoke(harness.to_csv(rows), "text/csv", "application/x-recordio-protobuf").content
    records = read_records(io.BytesIO(content))
    assert len(records) == 2
    for record, row in zip(records, as_json, strict=True):
        assert set(record.label) == set(KEYS.split(","))
        found = np.array(record.label["probabilities"].float32_tensor.values, dtype=np.float32)
        assert found.tolist() == np.array(row["probabilities"], dtype=np.float32).tolist()


def test_a_key_that_the_objective_does_not_have_is_nan(model, cancer):
    with harness.serve(model, {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_score, probability"}) as server:
        text = server.ready().invoke(one_row(cancer), "text/csv", "application/json").text
    assert '"predicted_score": NaN' in text or '"predicted_score":NaN' in text, text
    assert json.loads(text)["predictions"][0]["probability"] > 0


def test_an_objective_without_selected_keys_fails_each_request(cancer, tmp_path):
    counts = xgboost.train({"objective": "count:poisson"}, xgboost.DMatrix(*cancer), num_boost_round=2)
    with harness.serve(harness.save(counts, tmp_path), {"SAGEMAKER_INFERENCE_OUTPUT": KEYS}) as server:
        answer = server.ready().invoke(one_row(cancer), "text/csv")
    assert answer.status_code == 500
    assert "Objective `count:poisson` unsupported for selectable inference predictions." in answer.text


def test_classes_have_selected_keys(tmp_path):
    random = np.random.default_rng(2)
    rows = random.random((150, 4), dtype=np.float32)
    labels = np.floor(rows[:, 0] * 3)
    parameters = {"objective": "multi:softprob", "num_class": 3, "nthread": 2}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), num_boost_round=5)
    environment = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probability,probabilities"}
    with harness.serve(harness.save(booster, tmp_path), environment) as server:
        answer = server.ready().invoke(harness.to_csv(rows[:9]), "text/csv", "application/json").json()
    for row, p in zip(answer["predictions"], booster.predict(xgboost.DMatrix(rows[:9])), strict=True):
        assert row["predicted_label"] == int(p.argmax())
        np.testing.assert_allclose(row["probability"], p.max(), rtol=1e-6)
        np.testing.assert_allclose(row["probabilities"], p, rtol=1e-6)


def test_several_models_vote(booster, cancer, tmp_path):
    rows, labels = cancer
    other = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, xgboost.DMatrix(rows, labels), 5)
    for index, member in enumerate([booster, other]):
        (tmp_path / f"xgboost-model-{index}").write_bytes(bytes(member.save_raw("ubj")))
    matrix = xgboost.DMatrix(rows[:20])
    expected = (booster.predict(matrix) + other.predict(matrix)) / 2
    with harness.serve(tmp_path) as server:
        found = server.ready().scores(harness.to_csv(rows[:20]), "text/csv")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)
