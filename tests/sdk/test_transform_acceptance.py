"""Batch transform against a second implementation of it, over random objects of odd shapes, whose model is asked by
InvokeEndpoint. And what clients are told of a job, to the letter."""

import gzip
import hashlib
import json
import os
import random
import re

import botocore.exceptions
import pytest

import harness
import hosting
from endpoints import refused
from transform_reference import NAMES, OBJECTS, odd_tfrecord, output_of, settings_of

BUCKET = "transform-acceptance"
MODEL = "transform-acceptance"
LINES = {"ContentType": "text/csv", "Accept": "text/csv", "SplitType": "Line", "AssembleWith": "Line"}


@pytest.fixture(scope="module")
def online(store):
    """The endpoint's answer, None where it refuses; each body is asked once."""
    known = {}

    def online(body, content_type, accept):
        asked = (body, content_type, accept)
        if asked not in known:
            headers = {"ContentType": content_type, "Accept": accept}
            headers = {name: value for name, value in headers.items() if value is not None}
            try:
                known[asked] = store.runtime.invoke_endpoint(EndpointName=MODEL, Body=body, **headers)["Body"].read()
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error
                known[asked] = None
        return known[asked]

    return online


def ask_transform(name, members):
    """The request of a job with these members; `limit`, in bytes, is beyond what MaxPayloadInMB can say."""
    members = {key: value for key, value in members.items() if value is not None}
    limit = {"Environment": {"CLARY_TRANSFORM_MAX_PAYLOAD_BYTES": str(members.pop("limit"))}}
    return hosting.transform_request(name, MODEL, f"s3://{BUCKET}/{name}/in/", f"s3://{BUCKET}/{name}/out", **members, **limit)


@pytest.mark.parametrize("seed", range(int(os.environ.get("CLARY_TRANSFORM_SEEDS", "20"))))
def test_random_jobs_are_what_the_second_implementation_says(store, online, cancer, seed):
    chance = random.Random(seed)
    rows = cancer[0]
    members = settings_of(chance)
    name = f"random-{seed}"
    write = odd_tfrecord if members["SplitType"] == "TFRecord" else OBJECTS[members["ContentType"]]
    objects = {}
    for key in NAMES:
        body = write(rows, chance)
        if members["CompressionType"] == "Gzip":
            cut = chance.randrange(len(body) + 1)
            body = gzip.compress(body[:cut]) + gzip.compress(body[cut:])
            body = chance.choice([body, body, body, body[:-3]])
        objects[key] = body
        store.s3.put_object(Bucket=BUCKET, Key=f"{name}/in/{key}", Body=body)
    store.sagemaker.create_transform_job(**ask_transform(name, members))
    expected = {key: output_of(body, online, members) for key, body in objects.items()}
    described = store.transformed(name, "Failed" if None in expected.values() else "Completed")
    found = store.outputs(BUCKET, name)
    is_json = members["ContentType"] == "application/jsonlines" and "OutputFilter" in members
    for key, body in expected.items():
        out = found.get(f"{key}.out")
        if is_json and None not in (out, body):
            assert list(map(json.loads, out.splitlines())) == list(map(json.loads, body.splitlines())), (members, key, objects[key])
        else:
            assert out == body, (members, key, objects[key], described.get("FailureReason"))
    assert found.keys() == {f"{key}.out" for key, body in expected.items() if body is not None}
    if None in expected.values():
        assert "See job logs for more information" in described["FailureReason"]


# What clients are told.


def attempt(store, name, source=None, expected="Completed", **members):
    """A job of one bucket; its description and outputs."""
    return store.transform_folder(BUCKET, name, MODEL, source, expected, **{**LINES, **members})


@pytest.fixture(scope="module")
def lines(store, cancer):
    """Three rows as CSV, in `<job>/in/a.csv` of whatever job asks."""
    body = harness.to_csv(cancer[0][:3])

    def lines(name):
        store.s3.put_object(Bucket=BUCKET, Key=f"{name}/in/a.csv", Body=body)
        return body

    return lines


@pytest.fixture(scope="module")
def answer(online, lines):
    return online(lines("answer"), "text/csv", "text/csv")


def test_outputs_have_the_media_type_that_was_asked_for(store, lines):
    for number, (accept, assemble) in enumerate(
        [("text/csv", "Line"), ("application/json", "None"), ("application/jsonlines", "Line"), ("text/csv; charset=utf-8", "Line"),
         ("application/x-recordio-protobuf", "None")]  # fmt: skip
    ):
        name = f"typed-{number}"
        lines(name)
        attempt(store, name, Accept=accept, AssembleWith=assemble, KmsKeyId="alias/any")
        head = store.s3.head_object(Bucket=BUCKET, Key=f"{name}/out/a.csv.out")
        assert (head["ContentType"], head["Metadata"]) == (accept, {})


@pytest.mark.parametrize("output", ["placed", "placed/", "placed/a b+ü%20/", "placed//"])
def test_an_output_path_may_end_in_a_slash(store, lines, answer, output):
    name = f"placed-{len(output)}"
    lines(name)
    store.transform(name, MODEL, f"s3://{BUCKET}/{name}/in/a", f"s3://{BUCKET}/{name}/{output}", **LINES)
    assert store.objects(BUCKET, f"{name}/placed") == {f"{name}/{output.rstrip('/')}/a.csv.out": answer}


def test_the_root_of_a_bucket_is_a_place(store, lines, answer):
    store.s3.create_bucket(Bucket=f"{BUCKET}-root")
    store.s3.put_object(Bucket=f"{BUCKET}-root", Key="in/x.csv", Body=lines("root"))
    store.transform("root", MODEL, f"s3://{BUCKET}-root/in/x.csv", f"s3://{BUCKET}-root", **LINES)
    store.transform("root-of-root", MODEL, f"s3://{BUCKET}-root", f"s3://{BUCKET}/root-of-root", **LINES)
    assert store.objects(BUCKET, "root-of-root/").keys() >= {"root-of-root/in/x.csv.out"}
    assert store.objects(f"{BUCKET}-root", "x")["x.csv.out"] == answer


def manifest(store, name, entries):
    body = entries if isinstance(entries, (str, bytes)) else json.dumps(entries)
    store.s3.put_object(Bucket=BUCKET, Key=f"{name}/list", Body=body)
    return {"source": f"s3://{BUCKET}/{name}/list", "kind": "ManifestFile"}


@pytest.mark.parametrize(
    ("prefix", "key", "output"),
    [
        ("/in/", "a.csv", "a.csv.out"), ("/in", "/a.csv", "a.csv.out"), ("/", "in/a.csv", "in/a.csv.out"),
        ("", "/in/a.csv", "in/a.csv.out"), ("/in/a", ".csv", ".csv.out"),
    ],
)  # fmt: skip
def test_a_manifests_prefix_may_end_anywhere(store, lines, answer, prefix, key, output):
    name = f"ended-{len(prefix)}-{len(key)}"
    lines(name)
    _, out = attempt(store, name, **manifest(store, name, [{"prefix": f"s3://{BUCKET}/{name}{prefix}"}, key]))
    assert out == {output: answer}


def test_a_manifest_may_list_another_bucket(store, lines, answer):
    store.s3.create_bucket(Bucket=f"{BUCKET}-other")
    body = lines("elsewhere")
    for key in ("rows/b.csv", "rows/sub/c.csv"):
        store.s3.put_object(Bucket=f"{BUCKET}-other", Key=key, Body=body)
    entries = [{"prefix": f"s3://{BUCKET}-other/rows/"}, "b.csv", "sub/c.csv"]
    capture = {"DestinationS3Uri": f"s3://{BUCKET}/elsewhere/captured"}
    _, out = attempt(store, "elsewhere", DataCaptureConfig=capture, **manifest(store, "elsewhere", entries))
    assert out == {"b.csv.out": answer, "sub/c.csv.out": answer}
    (captured,) = store.objects(BUCKET, "elsewhere/captured/input/").values()
    prefix, *keys = json.loads(captured)
    assert {prefix["prefix"] + key for key in keys} == {f"s3://{BUCKET}-other/rows/b.csv", f"s3://{BUCKET}-other/rows/sub/c.csv"}
    entries = [{"prefix": "s3://no-such-bucket-here/"}, "b.csv"]
    described, _ = attempt(store, "nowhere", expected="Failed", **manifest(store, "nowhere", entries))
    assert described["FailureReason"].startswith("ClientError: ")


def test_a_failed_job_is_told_of_in_full(store, lines, answer, online):
    body = lines("told")
    store.s3.put_object(Bucket=BUCKET, Key="told/in/bad.csv", Body=body + "x\n")
    store.s3.put_object(Bucket=BUCKET, Key="told/in/long.csv", Body=body + "1" * ((1 << 20) + 1))
    store.s3.put_object(Bucket=BUCKET, Key="told/in//unnamed.csv", Body=body)
    described, out = attempt(store, "told", expected="Failed", MaxPayloadInMB=1, BatchStrategy="MultiRecord", MaxConcurrentTransforms=3)
    assert out == {"a.csv.out": answer}
    assert described["FailureReason"].startswith("ClientError: See job logs for more information")
    assert len(described["FailureReason"]) <= 1024
    (model, model_log), (data, data_log) = store.transform_logs("told").items()
    epoch = int(described["CreationTime"].timestamp())
    assert re.fullmatch(rf"told/i-[0-9a-f]{{17}}-{epoch}", model) and data == model + "/data-log"
    assert any("1 of 4 objects done, 3 failed" in line for line in model_log), model_log
    first, *rest = data_log
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}:\[sagemaker logs\]: "
    assert re.fullmatch(stamp + "MaxConcurrentTransforms=3, MaxPayloadInMB=1, BatchStrategy=MULTI_RECORD", first)
    said = [re.sub("^" + stamp, "", line) for line in rest if re.match(stamp, line)]
    assert len(said) == len(rest)
    bad = [line.removeprefix(f"{BUCKET}/told/in/bad.csv: ") for line in said if "bad.csv" in line]
    assert bad[0].startswith("Bad HTTP status received from algorithm: 415") and "record 4" in bad[0]
    assert bad[1].startswith("Message: ") and bad[2] == "ClientError: 415" and len(bad) == 3
    (long,) = [line for line in said if "long.csv" in line]
    assert long.startswith(f"{BUCKET}/told/in/long.csv: ClientError: ") and "record 4" in long
    (unnamed,) = [line for line in said if "unnamed.csv" in line]
    assert unnamed.startswith(f"{BUCKET}/told/in//unnamed.csv: ClientError: ")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"MaxPayloadInMB": 101}, ["MaxPayloadInMB", "100"]), ({"MaxConcurrentTransforms": 101}, ["MaxConcurrentTransforms", "100"]),
        ({"MaxConcurrentTransforms": 51, "MaxPayloadInMB": 2}, ["MaxConcurrentTransforms", "MaxPayloadInMB", "51", "2"]),
        ({"InvocationsMaxRetries": 4}, ["invocationsMaxRetries"]), ({"InvocationsTimeoutInSeconds": 3601}, ["invocationsTimeoutInSeconds"]),
        ({"SplitType": "Lines"}, ["splitType", "TFRecord"]), ({"CompressionType": "gzip"}, ["compressionType"]),
        ({"JoinSource": "Output"}, ["joinSource"]), ({"InputFilter": "$" + "[0]" * 21}, ["inputFilter", "63"]),
        ({"Environment": {f"A{number}": "" for number in range(17)}}, ["environment", "16"]),
        ({"Environment": {"1A": "x"}}, ["environment"]), ({"Environment": {"A": "x" * 10_241}}, ["environment", "10240"]),
        ({"Tags": [{"Key": "aws:a", "Value": ""}]}, ["aws:"]),
        ({"TransformJobName": "under_score"}, ["transformJobName"]),
        ({"TransformResources": {"InstanceType": "large", "InstanceCount": 1}}, ["instanceType"]),
        ({"ModelName": "absent"}, [f'Could not find model "arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:model/absent".']),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_service_refuses_is_refused(store, members, words):
    plain = {**LINES, **{key: value for key, value in members.items() if key not in ("TransformJobName", "ModelName")}}
    asked = hosting.transform_request("refused", MODEL, f"s3://{BUCKET}/refused/in/", f"s3://{BUCKET}/refused/out", **plain)
    asked.update({key: members[key] for key in ("TransformJobName", "ModelName") if key in members})
    refused(store.sagemaker.create_transform_job, "ValidationException", *words, **asked)


@pytest.mark.parametrize(
    "members",
    [
        {"MaxConcurrentTransforms": 0}, {"MaxPayloadInMB": 0}, {"MaxPayloadInMB": 0, "MaxConcurrentTransforms": 100},
        {"MaxPayloadInMB": 1, "MaxConcurrentTransforms": 100}, {"MaxPayloadInMB": 100, "MaxConcurrentTransforms": 1},
        {"MaxConcurrentTransforms": 100}, {"Environment": {"A": "x" * 10_240}}, {"ContentType": "text/csv; charset=utf-8"},
        {"InvocationsTimeoutInSeconds": 3600, "InvocationsMaxRetries": 3}, {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"},
        {"TransformResources": {"InstanceType": "ml.new1.96xlarge", "InstanceCount": 9, "VolumeKmsKeyId": "alias/a"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_service_takes_is_taken(store, lines, answer, members):
    name = "taken-" + hashlib.sha256(str(members).encode()).hexdigest()[:8]
    lines(name)
    described, out = attempt(store, name, **members)
    assert out == {"a.csv.out": answer}
    for member in ("MaxConcurrentTransforms", "MaxPayloadInMB", "Environment", "TransformResources"):
        if member in members:
            assert described[member] == members[member]
        elif member != "TransformResources":
            assert member not in described


def test_waiters_know_how_a_job_ended(store, lines):
    lines("waited")
    attempt(store, "waited")
    attempt(store, "waited-in-vain", f"s3://{BUCKET}/nothing/here/", "Failed")
    waiter = store.sagemaker.get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName="waited", WaiterConfig=hosting.WAITER)
    for name, reason in {"waited-in-vain": "Failed", "waited-for-nobody": "ValidationException"}.items():
        with pytest.raises(botocore.exceptions.WaiterError, match=reason):
            waiter.wait(TransformJobName=name, WaiterConfig=hosting.WAITER)


def test_lists_are_sorted_filtered_and_paged(store, lines):
    lines("all")
    for letter in "cabd":
        place = f"s3://{BUCKET}/all/{'none' if letter == 'b' else 'in'}/"
        store.transform(f"sorted-{letter}", MODEL, place, f"s3://{BUCKET}/all/{letter}", "Failed" if letter == "b" else "Completed", **LINES)
    ended = store.sagemaker.describe_transform_job(TransformJobName="sorted-a")["TransformEndTime"]

    def listed(**further):
        pages = store.sagemaker.get_paginator("list_transform_jobs").paginate(NameContains="sorted-", **further)
        return ["".join(job["TransformJobName"][-1] for job in page["TransformJobSummaries"]) for page in pages]

    assert listed() == ["dbac"] and listed(SortBy="Name") == ["dcba"] and listed(SortOrder="Ascending") == ["cabd"]
    assert listed(SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 3}) == ["abc", "d"]
    assert "".join(listed(SortBy="Status", SortOrder="Ascending", PaginationConfig={"PageSize": 1}))[-1] == "b"
    assert listed(StatusEquals="Failed") == ["b"] and listed(StatusEquals="Stopping") == [""]
    assert listed(LastModifiedTimeAfter=ended) == ["db"] and listed(LastModifiedTimeBefore=ended) == ["c"]
    summaries = store.sagemaker.list_transform_jobs(NameContains="sorted-b")["TransformJobSummaries"]
    described = store.sagemaker.describe_transform_job(TransformJobName="sorted-b")
    members = {"TransformJobName", "TransformJobArn", "CreationTime", "TransformEndTime", "TransformJobStatus", "FailureReason"}
    assert [{**summary, "LastModifiedTime": None} for summary in summaries] == [
        {**{member: described[member] for member in members}, "LastModifiedTime": None}
    ]
    refused(store.sagemaker.list_transform_jobs, "ValidationException", "maxResults", MaxResults=101)
    refused(store.sagemaker.list_transform_jobs, "ValidationException", "NextToken", NextToken="x")
