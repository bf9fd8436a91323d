"""Batch transform over an S3 store of somebody else (moto's server): as jobs of `clary up --s3-endpoint`, and by `clary transform`,
which needs no server; beyond the size from which outputs go up in parts."""

import json
import os
import subprocess

import boto3
import pytest
from moto.server import ThreadedMotoServer

import harness
import hosting

BUCKET = "elsewhere"
LINES = ["--content-type", "text/csv", "--accept", "text/csv", "--split-type", "Line", "--assemble-with", "Line"]
# Outputs above this go up in parts.
PART_BYTES = 8 << 20


@pytest.fixture(scope="module")
def elsewhere():
    """The variables that point at another store, and its client."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name=hosting.REGION, **hosting.KEYS)
    client.create_bucket(Bucket=BUCKET)
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": hosting.REGION,
    }
    yield variables, client
    moto.stop()


@pytest.fixture(scope="module")
def archive(model, elsewhere, tmp_path_factory):
    """The model's archive, in a file and in the store."""
    path = harness.archive(model, tmp_path_factory.mktemp("archive") / "model.tar.gz")
    elsewhere[1].upload_file(str(path), BUCKET, "model.tar.gz")
    return path


@pytest.fixture(scope="module")
def lines(cancer):
    """The rows as CSV lines."""
    return harness.to_csv(cancer[0]).splitlines(keepends=True)


@pytest.fixture(scope="module")
def answers(server, lines):
    """What an endpoint answers to each: the oracle."""
    found = server.invoke("".join(lines), "text/csv", "text/csv")
    assert found.status_code == 200, found.text
    return found.text.splitlines(keepends=True)


def transform(*arguments, variables=None, code=0, body=None):
    """`clary transform`, to its end; gives what it wrote to stdout."""
    done = subprocess.run(
        [str(harness.program("clary")), "transform", *map(str, arguments)],
        env={"PATH": os.environ["PATH"], **(variables or {})},
        input=body,
        capture_output=True,
        timeout=10 * harness.WAIT_S,
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


def large(lines, answers):
    """A body whose joined output is larger than a part, and that output."""
    copies = PART_BYTES * 3 // 2 // len("".join(lines)) + 1
    joined = [line.rstrip("\n") + "," + answer for line, answer in zip(lines, answers, strict=True)]
    return "".join(lines) * copies, "".join(joined) * copies


def read(client, key):
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def keys(client, prefix):
    return [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def test_jobs_over_another_store(elsewhere, archive, lines, answers, tmp_path):
    variables, client = elsewhere
    body, expected = large(lines, answers)
    client.put_object(Bucket=BUCKET, Key="job/in/large.csv", Body=body)
    client.put_object(Bucket=BUCKET, Key="job/in/small one+ü.csv", Body="".join(lines))
    with hosting.up(tmp_path, "--s3-endpoint", variables["AWS_ENDPOINT_URL"], environment=variables) as server:
        platform = hosting.Clients(server.ready())
        platform.create_model("elsewhere", f"s3://{BUCKET}/model.tar.gz")
        members = {"ContentType": "text/csv", "Accept": "text/csv", "SplitType": "Line", "AssembleWith": "Line"}
        place = (f"s3://{BUCKET}/job/in/", f"s3://{BUCKET}/job/out")
        platform.transform("elsewhere", "elsewhere", *place, JoinSource="Input", MaxConcurrentTransforms=4, **members)
    small = "".join(line.rstrip("\n") + "," + answer for line, answer in zip(lines, answers, strict=True))
    assert keys(client, "job/out/") == ["job/out/large.csv.out", "job/out/small one+ü.csv.out"]
    assert read(client, "job/out/large.csv.out") == expected
    assert read(client, "job/out/small one+ü.csv.out") == small
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET)


def test_the_command_over_another_store(elsewhere, archive, lines, answers, tmp_path):
    variables, client = elsewhere
    body, expected = large(lines, answers)
    client.put_object(Bucket=BUCKET, Key="command/in/large.csv", Body=body)
    for number in range(20):
        client.put_object(Bucket=BUCKET, Key=f"command/in/{number:02}.csv", Body="".join(lines[number:]))
    report = tmp_path / "report.json"
    transform(
        "--model", f"s3://{BUCKET}/model.tar.gz", "--input", f"s3://{BUCKET}/command/in/", "--output", f"s3://{BUCKET}/command/out",
        *LINES, "--join-source", "Input", "--report", report, variables=variables,
    )  # fmt: skip
    names = [f"command/out/{number:02}.csv.out" for number in range(20)]
    assert keys(client, "command/out/") == [*names, "command/out/large.csv.out"]
    assert read(client, "command/out/large.csv.out") == expected
    for number in range(20):
        assert read(client, names[number]).splitlines()[-1] == lines[-1].rstrip("\n") + "," + answers[-1].rstrip("\n")
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET)
    told = json.loads(report.read_text())
    assert told["objects"]["done"] == 21 and told["objects"]["failed"] == 0, told
    assert told["records"] == body.count("\n") + sum(len(lines) - number for number in range(20)), told


def test_from_a_store_to_a_folder_and_back(elsewhere, archive, lines, answers, tmp_path):
    variables, client = elsewhere
    client.put_object(Bucket=BUCKET, Key="mixed/in/a.csv", Body="".join(lines))
    transform("--model", archive, "--input", f"s3://{BUCKET}/mixed/in/", "--output", tmp_path / "out", *LINES, variables=variables)
    assert (tmp_path / "out" / "a.csv.out").read_text() == "".join(answers)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.csv").write_text("".join(lines))
    transform("--model", archive, "--input", tmp_path / "in", "--output", f"s3://{BUCKET}/mixed/out", *LINES, variables=variables)
    assert read(client, "mixed/out/b.csv.out") == "".join(answers)


def test_a_manifest_lists_another_bucket(elsewhere, archive, lines, answers):
    variables, client = elsewhere
    client.create_bucket(Bucket="rows")
    client.put_object(Bucket="rows", Key="in/a.csv", Body="".join(lines))
    client.put_object(Bucket="rows", Key="in/unlisted.csv", Body="".join(lines))
    client.put_object(Bucket=BUCKET, Key="manifest.json", Body=json.dumps([{"prefix": "s3://rows/in"}, "/a.csv"]))
    place = ["--manifest", "--input", f"s3://{BUCKET}/manifest.json", "--output", f"s3://{BUCKET}/listed/out"]
    transform("--model", archive, *place, *LINES, variables=variables)
    assert keys(client, "listed/") == ["listed/out/a.csv.out"]
    assert read(client, "listed/out/a.csv.out") == "".join(answers)


def test_a_bad_object_in_another_store(elsewhere, archive, lines, answers, tmp_path):
    variables, client = elsewhere
    client.put_object(Bucket=BUCKET, Key="bad/in/a.csv", Body="".join(lines))
    client.put_object(Bucket=BUCKET, Key="bad/in/b.csv", Body="".join([*lines[:3], "x\n"]))
    report = tmp_path / "report.json"
    place = ["--input", f"s3://{BUCKET}/bad/in/", "--output", f"s3://{BUCKET}/bad/out"]
    transform("--model", archive, *place, *LINES, "--report", report, variables=variables, code=1)
    assert [key for key in keys(client, "bad/out/") if not key.startswith("bad/out/_clary/")] == ["bad/out/a.csv.out"]
    told = json.loads(report.read_text())
    assert told["objects"]["failed"] == 1
    (failure,) = told["failures"]
    assert failure["object"].endswith("bad/in/b.csv") and failure["record"] == 4, failure


def test_shards_are_one_transform(elsewhere, archive, lines, answers):
    variables, client = elsewhere
    for number in range(12):
        client.put_object(Bucket=BUCKET, Key=f"shards/in/{number}.csv", Body="".join(lines[number:]))
    place = ["--model", archive, "--input", f"s3://{BUCKET}/shards/in/", "--output", f"s3://{BUCKET}/shards/out", *LINES]
    for shard in range(3):
        transform(*place, "--shard", f"{shard}/3", variables=variables)
    transform(*place, "--merge", variables=variables)
    expected = {f"shards/out/{number}.csv.out": "".join(answers[number:]) for number in range(12)}
    assert {key: read(client, key) for key in keys(client, "shards/out/")} == expected


def test_records_through_a_pipe(archive, lines, answers):
    """As Spark's `pipe`, Ray or GNU parallel call it."""
    body = "".join(lines).encode()
    answer = transform("--model", archive, "--input", "-", "--output", "-", *LINES, body=body)
    assert answer.decode() == "".join(answers)
    assert transform("--model", archive, "--input", "-", "--output", "-", *LINES, body=b"") == b""
