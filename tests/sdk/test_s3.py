"""A model in S3, written by boto3 into moto's server: loaded, and loaded anew when its ETag changes."""

import boto3
import numpy as np
import pytest
import xgboost
from moto.server import ThreadedMotoServer

import harness

BUCKET = "models"


@pytest.fixture(scope="module")
def store():
    """The endpoint of an S3 store, and its client."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=BUCKET)
    yield endpoint, client
    moto.stop()


def environment(endpoint):
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }


def upload(client, booster, key, folder):
    path = harness.archive(harness.save(booster, folder / "m"), folder / "model.tar.gz")
    client.upload_file(str(path), BUCKET, key)


def test_a_model_in_s3_is_served_and_replaced(store, booster, cancer, tmp_path):
    endpoint, client = store
    rows, labels = cancer
    upload(client, booster, "a/model.tar.gz", tmp_path)
    body = harness.to_csv(rows[:20])
    with harness.serve(f"s3://{BUCKET}/a/model.tar.gz", environment(endpoint)) as server:
        server.ready()
        found = server.scores(body, "text/csv")
        np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(rows[:20])), rtol=1e-6, atol=0)
        before = server.invoke(body, "text/csv").headers["X-Clary-Artifact"]

        other = xgboost.train({"objective": "binary:logistic", "max_depth": 1}, xgboost.DMatrix(rows, labels), 3)
        upload(client, other, "a/model.tar.gz", tmp_path)
        digest = lambda: server.invoke(body, "text/csv").headers["X-Clary-Artifact"]
        server.wait_until(lambda: digest() != before)
        found = server.scores(body, "text/csv")
        np.testing.assert_allclose(found, other.predict(xgboost.DMatrix(rows[:20])), rtol=1e-6, atol=0)

        client.put_object(Bucket=BUCKET, Key="a/model.tar.gz", Body=b"not an archive")
        server.wait_for_log(lambda line: "archive" in line and ("ERROR" in line or "WARN" in line))
        assert server.scores(body, "text/csv").tobytes() == found.tobytes()
        assert server.session.get(server.url + "/ping", timeout=harness.WAIT_S).status_code == 200


def test_an_object_that_is_not_there_is_waited_for(store, booster, cancer, tmp_path):
    endpoint, client = store
    with harness.serve(f"s3://{BUCKET}/late/model.tar.gz", environment(endpoint)) as server:
        assert server.session.get(server.url + "/ping", timeout=harness.WAIT_S).status_code == 503
        upload(client, booster, "late/model.tar.gz", tmp_path)
        server.ready()
        assert server.scores(harness.to_csv(cancer[0][:1]), "text/csv").shape == (1,)
