"""What the kinds of endpoints promise, by boto3: serverless ones, asynchronous ones, and those whose data is captured."""

import base64
import concurrent.futures
import contextlib
import datetime
import json
import sqlite3
import uuid

import botocore.config
import botocore.exceptions
import numpy as np
import pytest

import harness
import hosting
from endpoints import adjust, check_share, invoke, refused, summaries
from hosting import variant


# No instances: serverless.


def serverless(model, **further):
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 1, **further}
    return {"ModelName": model, "InitialVariantWeight": 1, "ServerlessConfig": config}


def test_a_serverless_variant_comes_and_goes(booster, cancer, row, tmp_path):
    with hosting.up(tmp_path, "--serverless-idle", "10") as server:
        clients = hosting.Clients(server.ready())
        url = clients.upload(booster)
        clients.create_model("less", url)
        clients.create_config("less", {"A": serverless("less")})
        described = clients.create_endpoint("less", "less")
        (summary,) = described["ProductionVariants"]
        assert summary["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
        assert "CurrentInstanceCount" not in summary
        clients.deploy("instances", url)
        expected = invoke(clients, "instances", row)["Body"].read()
        # Cold: it waits, whoever came first; the cap holds all others off.
        assert invoke(clients, "less", row)["Body"].read() == expected
        config = botocore.config.Config(max_pool_connections=8, retries={"total_max_attempts": 1})
        client = hosting.client(server, "sagemaker-runtime", config=config)
        many = harness.to_csv(np.tile(cancer[0], (25, 1)))

        def outcome(_):
            try:
                invoke(clients, "less", many, client=client)
            except botocore.exceptions.ClientError as refusal:
                error = refusal.response["Error"]
                return (refusal.response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"])
            return 200

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            outcomes = set(pool.map(outcome, range(24)))
        assert outcomes == {200, (400, "ThrottlingException", "Rate exceeded")}
        # More at once, in place.
        update = {"MaxConcurrency": 50, "ProvisionedConcurrency": 1}
        adjust(clients, "less", A={"ServerlessUpdateConfig": update})
        (summary,) = clients.in_service("less")["ProductionVariants"]
        assert summary["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, **update}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert set(pool.map(outcome, range(24))) == {200}
        words = "ProvisionedConcurrency of at most MaxConcurrency (50), found 60"
        more = {"ServerlessUpdateConfig": {"ProvisionedConcurrency": 60}}
        refused(lambda: adjust(clients, "less", A=more), "ValidationException", words)
        refused(lambda: adjust(clients, "less", A={"DesiredInstanceCount": 2}), "ValidationException", "serverless")
        # Larger than it takes, though not than others take.
        large = "1" * (4 << 20) + "\n"
        answer = refused(lambda: invoke(clients, "less", large), "ValidationError", "has oversize body.")
        identifier = answer["ResponseMetadata"]["RequestId"]
        assert answer["Error"]["Message"] == f"Request {identifier} has oversize body."
        refused(lambda: invoke(clients, "instances", large), "ModelError", status=424)
        # From there to instances, and not back.
        clients.create_config("real", {"A": variant("less")})
        clients.sagemaker.update_endpoint(EndpointName="less", EndpointConfigName="real")
        (summary,) = clients.in_service("less")["ProductionVariants"]
        assert summary["CurrentInstanceCount"] == 1 and "CurrentServerlessConfig" not in summary
        assert invoke(clients, "less", row)["Body"].read() == expected
        words = "a variant with instances cannot become serverless"
        again = {"EndpointName": "less", "EndpointConfigName": "less"}
        refused(clients.sagemaker.update_endpoint, "ValidationException", words, **again)


def test_an_idle_model_goes_unless_it_is_provisioned(booster, row, tmp_path):
    with hosting.up(tmp_path, "--serverless-idle", "300ms") as server:
        clients = hosting.Clients(server.ready())
        clients.create_model("idle", clients.upload(booster))
        clients.create_config("kept", {"A": serverless("idle", ProvisionedConcurrency=1)})
        clients.create_config("left", {"A": serverless("idle")})
        clients.create_endpoint("kept", "kept")
        clients.create_endpoint("left", "left")
        ask = lambda endpoint: invoke(clients, endpoint, row)["Body"].read()
        expected = ask("kept")
        is_unloaded = lambda line: '"model unloaded"' in line
        loads = lambda: sum('"model loaded"' in line for line in list(server.log))
        server.wait_for_log(is_unloaded)
        before = loads()
        assert ask("left") == ask("left") == expected
        server.wait_until(lambda: loads() == before + 1)
        server.wait_for_log(is_unloaded)
        # The one that is kept has been idle for longer, and is not loaded again.
        assert ask("kept") == ask("left") == expected
        server.wait_until(lambda: loads() == before + 2)


def test_a_cold_model_is_not_waited_for_too_long(booster, row, tmp_path):
    with hosting.up(tmp_path, "--cold-wait", "1ms", "--serverless-idle", "100ms") as server:
        clients = hosting.Clients(server.ready())
        clients.create_model("cold", clients.upload(booster))
        clients.create_config("cold", {"A": serverless("cold")})
        clients.create_endpoint("cold", "cold")
        server.wait_for_log(lambda line: '"model unloaded"' in line)
        answer = refused(lambda: invoke(clients, "cold", row), "ModelNotReadyException", status=429)
        assert int(answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) >= 1
        # It goes on loading, and a client that comes again is served.
        patient = hosting.client(server, "sagemaker-runtime", config=botocore.config.Config(retries={"total_max_attempts": 5}))
        assert invoke(clients, "cold", row, client=patient)["InvokedProductionVariant"] == "A"


# Answers later: asynchronous endpoints.

ASYNC = {
    "OutputConfig": {"S3OutputPath": f"s3://{hosting.BUCKET}/async/out/", "S3FailurePath": f"s3://{hosting.BUCKET}/async/failed"},
    "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
}


def fetch(clients, location):
    """The object at an address, once it is there."""
    bucket, key = location.removeprefix("s3://").split("/", 1)

    def found():
        try:
            return clients.s3.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "404", error
            return None

    clients.server.wait_until(found)
    return clients.s3.get_object(Bucket=bucket, Key=key)


def enqueue(clients, endpoint, **further):
    answer = clients.runtime.invoke_endpoint_async(EndpointName=endpoint, **further)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    return answer


def test_an_asynchronous_endpoint_answers_to_the_store(platform, hosted_models, row):
    good, _, _ = hosted_models
    platform.create_config("later", {"A": variant(good)}, AsyncInferenceConfig=ASYNC)
    assert platform.create_endpoint("later", "later")["AsyncInferenceConfig"] == ASYNC
    platform.create_config("now", {"A": variant(good)})
    platform.create_endpoint("now", "now")
    expected = invoke(platform, "now", row)["Body"].read()
    # By reference, and with the request itself.
    platform.s3.put_object(Bucket=hosting.BUCKET, Key="async/in.csv", Body=row.encode())
    location = f"s3://{hosting.BUCKET}/async/in.csv"
    answers = [
        enqueue(platform, "later", InputLocation=location, ContentType="text/csv"),
        enqueue(platform, "later", Body=row.encode(), ContentType="text/csv", InferenceId="my id"),
    ]
    for answer in answers:
        found = fetch(platform, answer["OutputLocation"])
        assert (found["Body"].read(), found["ContentType"]) == (expected, "text/csv")
        assert answer["FailureLocation"].startswith(f"s3://{hosting.BUCKET}/async/failed/")
    identifier = answers[0]["InferenceId"]
    assert answers[0]["OutputLocation"] == f"s3://{hosting.BUCKET}/async/out/{identifier}.out"
    assert answers[0]["FailureLocation"] == f"s3://{hosting.BUCKET}/async/failed/{identifier}-error.out"
    assert answers[1]["InferenceId"] == "my id"
    named = enqueue(platform, "later", InputLocation=location, Accept="application/json", S3OutputPathExtension="a/b", Filename="c.json")
    assert named["OutputLocation"] == f"s3://{hosting.BUCKET}/async/out/a/b/c.json"
    found = fetch(platform, named["OutputLocation"])
    assert found["ContentType"] == "application/json" and "predictions" in json.loads(found["Body"].read())
    # What fails says why, where failures go.
    absent = f"s3://{hosting.BUCKET}/async/none.csv"
    for asked, words in [
        ({"InputLocation": absent}, "failed to download " + absent),
        ({"Body": b"x\n", "ContentType": "text/csv"}, "payload"),
        ({"Body": row.encode(), "ContentType": "image/png"}, "image/png"),
    ]:
        answer = enqueue(platform, "later", **asked)
        reason = fetch(platform, answer["FailureLocation"])["Body"].read().decode()
        assert words in reason, reason
        key = answer["OutputLocation"].removeprefix(f"s3://{hosting.BUCKET}/")
        with pytest.raises(botocore.exceptions.ClientError, match="404"):
            platform.s3.head_object(Bucket=hosting.BUCKET, Key=key)
    ask = lambda *words, **asked: refused(lambda: platform.runtime.invoke_endpoint_async(EndpointName="later", **asked), "ValidationError", *words)
    ask("found neither")
    ask("found both", InputLocation=location, Body=b"1")
    ask("s3://bucket/key", InputLocation="https://models/async/in.csv")
    ask("128000", Body=b"1" * 128_001)
    ask("from 60 to 21600", InputLocation=location, RequestTTLSeconds=21601)
    ask("from 1 to 3600", InputLocation=location, InvocationTimeoutSeconds=3601)
    ask("at most 64", InputLocation=location, InferenceId="i" * 65)
    ask("Filename", InputLocation=location, Filename="f" * 33)
    only = "is an asynchronous endpoint; use InvokeEndpointAsync"
    refused(lambda: invoke(platform, "later", row), "ValidationError", only)
    only = "is not an asynchronous endpoint; use InvokeEndpoint"
    refused(lambda: enqueue(platform, "now", InputLocation=location), "ValidationError", only)
    gone = f"Endpoint none of account {hosting.ACCOUNT} not found."
    refused(lambda: enqueue(platform, "none", InputLocation=location), "ValidationError", gone)
    platform.delete_endpoint("later")
    platform.delete_endpoint("now")
    platform.create_model("later-many", f"s3://{hosting.BUCKET}/many/", Mode="MultiModel")
    words = "expected a model of Mode SingleModel for an AsyncInferenceConfig"
    many = lambda: platform.create_config("later-many", {"A": variant("later-many")}, AsyncInferenceConfig=ASYNC)
    refused(many, "ValidationException", words)


def test_what_is_asked_later_is_captured_too_and_goes_with_its_endpoint(platform, hosted_models, row):
    good, _, _ = hosted_models
    platform.create_config("later-on", {"A": variant(good)}, AsyncInferenceConfig=ASYNC, DataCaptureConfig=capture("later"))
    platform.create_endpoint("later-on", "later-on")
    answer = enqueue(platform, "later-on", Body=row.encode(), ContentType="text/csv", InferenceId="captured")
    answered = fetch(platform, answer["OutputLocation"])["Body"].read()
    adjust(platform, "later-on", A={"DesiredInstanceCount": 0})
    platform.in_service("later-on")
    enqueue(platform, "later-on", Body=row.encode(), InferenceId="left")
    platform.delete_endpoint("later-on")
    platform.create_endpoint("later-on", "later-on")
    # The next one begins with an empty queue.
    fetch(platform, enqueue(platform, "later-on", Body=row.encode(), InferenceId="next")["OutputLocation"])
    left = platform.s3.list_objects_v2(Bucket=hosting.BUCKET, Prefix="async/out/left")
    assert left["KeyCount"] == 0, left
    platform.delete_endpoint("later-on")
    records = lambda: [record for file in captured(platform, "later/later-on/A/").values() for record in file]
    platform.server.wait_until(lambda: len(records()) == 2)
    first, _ = sorted(records(), key=lambda record: record["eventMetadata"]["inferenceId"])
    sides = [base64.b64decode(first["captureData"][side]["data"]) for side in ("endpointInput", "endpointOutput")]
    assert (sides, first["eventMetadata"]["inferenceId"]) == ([row.encode(), answered], "captured")


def test_queued_requests_survive_a_kill(booster, row, tmp_path):
    with hosting.up(tmp_path) as server:
        clients = hosting.Clients(server.ready())
        clients.create_model("queue", clients.upload(booster))
        clients.create_config("queue", {"A": variant("queue")}, AsyncInferenceConfig=ASYNC)
        for name in ("queue", "other"):
            clients.create_endpoint(name, "queue")
        adjust(clients, "queue", A={"DesiredInstanceCount": 0})
        assert summaries(clients.in_service("queue"), "CurrentInstanceCount", "CurrentWeight") == {"A": (0, 1)}
        waiting = [enqueue(clients, "queue", Body=row.encode(), ContentType="text/csv", InferenceId=f"i-{n}") for n in range(40)]
        # The same once more is the same.
        again = enqueue(clients, "queue", Body=row.encode(), ContentType="text/csv", InferenceId="i-7")
        assert again["OutputLocation"] == waiting[7]["OutputLocation"]
        # Others go on; those without an instance wait.
        expected = fetch(clients, enqueue(clients, "other", Body=row.encode())["OutputLocation"])["Body"].read()
        listed = lambda: clients.s3.list_objects_v2(Bucket=hosting.BUCKET, Prefix="async/out/i-").get("KeyCount")
        assert listed() == 0
        adjust(clients, "queue", A={"DesiredInstanceCount": 1})
        # Somewhere in the middle.
        server.wait_until(lambda: listed() > 0)
        adjust(clients, "other", A={"DesiredInstanceCount": 0})
        clients.in_service("other")
        late = enqueue(clients, "other", Body=row.encode(), RequestTTLSeconds=60)
        server.process.kill()
        server.process.wait()
    # What an hour does.
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as state, state:
        state.execute(
            "UPDATE async_requests SET expires = 1, request = json_set(request, '$.expires', 1) WHERE endpoint = 'other'"
        )
    with hosting.up(tmp_path) as server:
        clients = hosting.Clients(server.ready())
        for answer in waiting:
            assert fetch(clients, answer["OutputLocation"])["Body"].read() == expected
        # It has waited too long, without an instance, and hears it all the same. Nothing else failed.
        assert b"RequestTTLSeconds" in fetch(clients, late["FailureLocation"])["Body"].read()
        failed = clients.s3.list_objects_v2(Bucket=hosting.BUCKET, Prefix="async/failed/")
        assert failed["KeyCount"] == 1, failed


# What was asked and answered: data capture.


def capture(destination, percentage=100, modes=("Input", "Output"), **types):
    config = {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://{hosting.BUCKET}/{destination}",
        "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
    }
    return {**config, "CaptureContentTypeHeader": types} if types else config


def captured(clients, prefix):
    """Key -> records, of the objects below a prefix."""
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=hosting.BUCKET, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    read = lambda key: clients.s3.get_object(Bucket=hosting.BUCKET, Key=key)["Body"].read().decode()
    return {key: [json.loads(line) for line in read(key).splitlines()] for key in keys}


def test_what_is_captured_is_what_was_sent(platform, hosted_models, cancer, row):
    good, other, _ = hosted_models
    types = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}
    config = capture("captured", **types)
    platform.create_config("capture", {"A": variant(good), "B": variant(other, 0)}, DataCaptureConfig=config)
    described = platform.create_endpoint("capture", "capture")["DataCaptureConfig"]
    assert described == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{hosting.BUCKET}/captured",
        "KmsKeyId": "",
    }
    recordio = harness.to_recordio(cancer[0][:2])
    as_json = harness.to_json(cancer[0][:2])
    sent = [
        (row, "text/csv", {"CustomAttributes": "user=7,plan=b", "InferenceId": "id-1"}),
        (row, "text/csv; charset=utf-8", {"Accept": "application/json"}),
        (as_json, "application/json", {}),
        (recordio, "application/x-recordio-protobuf", {"Accept": "application/x-recordio-protobuf"}),
    ]
    answers = [invoke(platform, "capture", body, ContentType=kind, **further) for body, kind, further in sent]
    bodies = [answer["Body"].read() for answer in answers]
    invoke(platform, "capture", row, TargetVariant="B")
    # What fails is not captured.
    refused(lambda: invoke(platform, "capture", "x\n"), "ModelError", status=424)
    platform.delete_endpoint("capture")
    platform.server.wait_until(lambda: len(captured(platform, "captured/capture/")) == 2)
    files = captured(platform, "captured/capture/")
    now = datetime.datetime.now(datetime.timezone.utc)
    hours = {(now - datetime.timedelta(minutes=minutes)).strftime("%Y/%m/%d/%H") for minutes in (0, 5)}
    for key in files:
        destination, endpoint, name, *date, file = key.split("/")
        assert (destination, endpoint) == ("captured", "capture") and name in "AB" and "/".join(date) in hours
        minute, second, milliseconds, rest = file.split("-", 3)
        assert int(minute) < 60 and int(second) < 60 and int(milliseconds) < 1000 and len(rest) == 36 + len(".jsonl")
    (of_b,) = [records for key, records in files.items() if "/B/" in key]
    (records,) = [records for key, records in files.items() if "/A/" in key]
    assert len(of_b) == 1 and len(records) == 4
    for record, (body, kind, further), answer, answered in zip(records, sent, answers, bodies):
        for side, mode, content_type, payload in [
            ("endpointInput", "INPUT", kind, body if isinstance(body, bytes) else body.encode()),
            ("endpointOutput", "OUTPUT", answer["ContentType"], answered),
        ]:
            found = record["captureData"][side]
            encoding = {"text/csv": "CSV", "application/json": "JSON"}.get(content_type.split(";")[0], "BASE64")
            assert (found["observedContentType"], found["mode"], found["encoding"]) == (content_type, mode, encoding)
            data = base64.b64decode(found["data"]) if encoding == "BASE64" else found["data"].encode()
            assert data == payload
        metadata = record["eventMetadata"]
        assert record["eventVersion"] == "0" and uuid.UUID(metadata["eventId"])
        time = datetime.datetime.strptime(metadata["inferenceTime"], "%Y-%m-%dT%H:%M:%SZ")
        assert abs(now.replace(tzinfo=None) - time) < datetime.timedelta(minutes=5)
        assert metadata.get("inferenceId") == further.get("InferenceId")
        attributes = further.get("CustomAttributes")
        assert metadata.get("customAttributes") == (None if attributes is None else [attributes])


def test_sides_and_samples(platform, hosted_models, row):
    good, _, _ = hosted_models
    for name, percentage, modes in [("input", 100, ["Input"]), ("output", 100, ["Output"]), ("none", 0, ["InputAndOutput"]), ("half", 50, ["InputAndOutput"])]:
        config = capture("sampled", percentage, modes)
        platform.create_config(f"capture-{name}", {"A": variant(good)}, DataCaptureConfig=config)
        platform.create_endpoint(f"capture-{name}", f"capture-{name}")
    calls = {"input": 1, "output": 1, "none": 20, "half": 200}
    for name, times in calls.items():
        for _ in range(times):
            invoke(platform, f"capture-{name}", row)
        platform.delete_endpoint(f"capture-{name}")
    records = lambda name: [record for file in captured(platform, f"sampled/capture-{name}/").values() for record in file]
    # Flushed in the order of the deletions.
    platform.server.wait_until(lambda: records("half"))
    assert [list(record["captureData"]) for record in records("input")] == [["endpointInput"]]
    assert [list(record["captureData"]) for record in records("output")] == [["endpointOutput"]]
    assert records("none") == []
    check_share(len(records("half")), 200, 0.5)
    # Without a list of types, all is base64.
    data = records("input")[0]["captureData"]["endpointInput"]
    assert data["encoding"] == "BASE64" and base64.b64decode(data["data"]) == row.encode()


def test_what_was_captured_is_stored_when_the_server_ends(booster, row, tmp_path):
    with hosting.up(tmp_path) as server:
        clients = hosting.Clients(server.ready())
        clients.create_model("end", clients.upload(booster))
        clients.create_config("end", {"A": variant("end")}, DataCaptureConfig=capture("end"))
        clients.create_endpoint("end", "end")
        for _ in range(10):
            invoke(clients, "end", row)
        assert server.stop() == 0
    with hosting.up(tmp_path) as server:
        clients = hosting.Clients(server.ready())
        assert [len(records) for records in captured(clients, "end/end/A/").values()] == [10]
