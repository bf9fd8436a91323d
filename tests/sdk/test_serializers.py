"""The SageMaker SDK's own serializers write the requests, and its own deserializers read the answers."""

import io

import numpy as np
import pytest
import xgboost
from sagemaker.amazon.common import RecordDeserializer, RecordSerializer, write_spmatrix_to_sparse_tensor
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer, JSONLinesDeserializer
from sagemaker.serializers import CSVSerializer, JSONLinesSerializer, JSONSerializer, LibSVMSerializer
from scipy.sparse import csr_matrix

import harness


@pytest.fixture(scope="module")
def rows(cancer):
    """Twenty rows with every value there: not every serializer has a way to say `missing`."""
    return np.nan_to_num(cancer[0][:20], nan=0.5)


@pytest.fixture(scope="module")
def expected(booster, rows):
    return booster.predict(xgboost.DMatrix(rows))


def check(found, expected):
    np.testing.assert_allclose(np.asarray(found, dtype=np.float32), expected, rtol=1e-6, atol=0)


def ask(server, serializer, payload, deserializer):
    """What the SDK's predictor does, without AWS between."""
    body = serializer.serialize(payload)
    answer = server.invoke(body, serializer.CONTENT_TYPE, ", ".join(deserializer.ACCEPT))
    assert answer.status_code == 200, answer.text
    return deserializer.deserialize(io.BytesIO(answer.content), answer.headers["Content-Type"])


def test_csv_to_csv(server, rows, expected):
    found = ask(server, CSVSerializer(), rows, CSVDeserializer())
    check(np.array(found, dtype=np.float32)[:, 0], expected)


def test_csv_from_lists_and_text(server, rows, expected):
    check(np.array(ask(server, CSVSerializer(), rows.tolist(), CSVDeserializer()), dtype=np.float32)[:, 0], expected)
    text = "\n".join(",".join(map(str, row)) for row in rows)
    check(np.array(ask(server, CSVSerializer(), text, CSVDeserializer()), dtype=np.float32)[:, 0], expected)


def test_one_csv_row(server, rows, expected):
    check(np.array(ask(server, CSVSerializer(), rows[0], CSVDeserializer()), dtype=np.float32)[:, 0], expected[:1])


def test_json_to_json(server, rows, expected):
    instances = {"instances": [{"features": row.tolist()} for row in rows]}
    answer = ask(server, JSONSerializer(), instances, JSONDeserializer())
    check([row["score"] for row in answer["predictions"]], expected)


def test_json_of_a_bare_array(server, rows, expected):
    answer = ask(server, JSONSerializer(), rows, JSONDeserializer())
    check([row["score"] for row in answer["predictions"]], expected)


def test_json_lines_to_json_lines(server, rows, expected):
    lines = [{"features": row.tolist()} for row in rows]
    answer = ask(server, JSONLinesSerializer(), lines, JSONLinesDeserializer())
    check([row["score"] for row in answer], expected)


def test_libsvm_to_json(server, rows, expected):
    answer = ask(server, LibSVMSerializer(), harness.to_libsvm(rows), JSONDeserializer())
    check([row["score"] for row in answer["predictions"]], expected)


def test_records_to_records(server, rows, expected):
    answer = ask(server, RecordSerializer(), rows, RecordDeserializer())
    check([record.label["score"].float32_tensor.values[0] for record in answer], expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_records_of_both_precisions(server, rows, expected, kind):
    answer = ask(server, RecordSerializer(), rows.astype(kind), JSONDeserializer())
    check([row["score"] for row in answer["predictions"]], expected)


def test_sparse_records(server, booster, cancer):
    rows = np.nan_to_num(cancer[0][:20], nan=0.0)
    buffer = io.BytesIO()
    write_spmatrix_to_sparse_tensor(buffer, csr_matrix(rows))
    answer = server.invoke(buffer.getvalue(), "application/x-recordio-protobuf")
    assert answer.status_code == 200, answer.text
    # What a sparse row leaves out is missing, as in XGBoost's own sparse matrices.
    check([row["score"] for row in answer.json()["predictions"]], booster.predict(xgboost.DMatrix(csr_matrix(rows))))
