"""What users of batch transform rely on, by boto3: which objects are read, where their outputs go, that answers are those of an
endpoint of the same model, and what becomes of what is wrong."""

import datetime
import gzip
import json
import re

import numpy as np
import pytest

import harness
import hosting
from endpoints import invoke, refused

BUCKET = "transforms"
MODEL = "transform"
ARN = f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:transform-job/"
LINES = {"ContentType": "text/csv", "SplitType": "Line", "AssembleWith": "Line"}
SEE_LOGS = "See job logs for more information"


def put(platform, **objects):
    """Objects by key, `__` in place of a slash and `_csv` in place of `.csv`."""
    for key, body in objects.items():
        platform.s3.put_object(Bucket=BUCKET, Key=key.replace("__", "/").replace("_csv", ".csv"), Body=body)


def online(platform, body, content_type="text/csv", accept="text/csv"):
    """What the endpoint answers."""
    return invoke(platform, MODEL, body, ContentType=content_type, Accept=accept)["Body"].read()


def transform(platform, name, source=None, expected="Completed", **members):
    """A job from `<name>/in/` to `<name>/out`; gives its description and its outputs by their names."""
    return platform.transform_folder(BUCKET, name, MODEL, source, expected, **members)


def data_log(platform, name):
    """The lines of a job's data log."""
    return next(messages for stream, messages in platform.transform_logs(name).items() if stream.endswith("/data-log"))


# Answers.


def test_answers_are_those_of_the_endpoint(store, cancer):
    rows = cancer[0][:60]
    for content_type, split in [
        ("text/csv", "Line"), ("text/libsvm", "Line"), ("application/jsonlines", "Line"),
        ("application/x-recordio-protobuf", "RecordIO"), ("text/csv", "None"), ("application/json", "None"),
    ]:  # fmt: skip
        for accept in ("text/csv", "application/jsonlines", "application/json"):
            name = f"kinds-{content_type.split('/')[1]}-{accept.split('/')[1]}-{split}".lower()
            body = harness.FORMATS[content_type](rows)
            store.s3.put_object(Bucket=BUCKET, Key=f"{name}/in/data", Body=body)
            _, out = transform(store, name, ContentType=content_type, Accept=accept, SplitType=split)
            assert out == {"data.out": online(store, body, content_type, accept)}, name


def test_one_call_a_record_gives_the_same_lines(store, cancer):
    body = harness.to_csv(cancer[0][:60])
    put(store, single__in__a_csv=body)
    _, out = transform(store, "single", BatchStrategy="SingleRecord", MaxConcurrentTransforms=8, Accept="text/csv", **LINES)
    assert out == {"a.csv.out": online(store, body)}


def test_many_batches_at_once_keep_the_order(store, cancer):
    rows = cancer[0]
    lines = harness.to_csv(rows).splitlines(keepends=True)
    count = 20_000
    body = "".join(f"{number},{lines[number % len(rows)]}" for number in range(count))
    put(store, order__in__a_csv=body)
    members = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]", "MaxPayloadInMB": 1}
    _, out = transform(store, "order", MaxConcurrentTransforms=8, Accept="text/csv", **members, **LINES)
    scores = online(store, harness.to_csv(rows)).decode().splitlines()
    expected = "".join(f"{number},{scores[number % len(rows)]}\n" for number in range(count))
    assert out["a.csv.out"].decode() == expected


def test_an_endless_payload_is_answered_as_any(store, cancer):
    body = harness.to_csv(cancer[0])
    put(store, endless__in__a_csv=body)
    _, out = transform(store, "endless", MaxPayloadInMB=0, Accept="text/csv", **LINES)
    assert out == {"a.csv.out": online(store, body)}


def test_a_jobs_environment_lies_over_the_models(store, cancer):
    body = harness.to_csv(cancer[0][:3])
    put(store, environment__in__a_csv=body)
    keys = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probability"}
    _, out = transform(store, "environment", Environment=keys, Accept="text/csv", **LINES)
    scores = online(store, body).decode().splitlines()
    expected = "".join(f"{int(float(score) > 0.5)},{score}\n" for score in scores)
    assert out["a.csv.out"].decode() == expected


# Inputs.


def test_a_prefix_is_a_string(store, cancer):
    row = harness.to_csv(cancer[0][:1])
    put(store, p__test=row, p__test_small__x_csv=row, p__test__a_csv=row, p__tes=row, p__other_csv=row)
    answer = online(store, row)
    store.transform("prefix", MODEL, f"s3://{BUCKET}/p/test", f"s3://{BUCKET}/p-out/", Accept="text/csv", **LINES)
    expected = {"test.out", "test_small/x.csv.out", "test/a.csv.out"}
    assert store.objects(BUCKET, "p-out/") == {f"p-out/{name}": answer for name in expected}
    # One object, by its whole name.
    store.transform("prefix-one", MODEL, f"s3://{BUCKET}/p/other.csv", f"s3://{BUCKET}/p-one", Accept="text/csv", **LINES)
    assert store.objects(BUCKET, "p-one/") == {"p-one/other.csv.out": answer}


def test_keys_are_kept_to_the_byte(store, cancer):
    row = harness.to_csv(cancer[0][:1])
    names = ["a b.csv", "a+b.csv", "a%20b.csv", "a%2Fb.csv", "é.csv", "日本/語.csv", "x=1&y=2.csv", "it's.csv", "(1)!*.csv", "#1?.csv"]
    for name in names:
        store.s3.put_object(Bucket=BUCKET, Key=f"keys/in/{name}", Body=row)
    _, out = transform(store, "keys", Accept="text/csv", **LINES)
    assert out == {f"{name}.out": online(store, row) for name in names}


def test_empty_objects_and_folder_markers(store, cancer):
    row = harness.to_csv(cancer[0][:1])
    put(store, empty__in__none_csv=b"", empty__in__sub__=b"", empty__in__one_csv=row)
    _, out = transform(store, "empty", Accept="text/csv", **LINES)
    assert out == {"none.csv.out": b"", "one.csv.out": online(store, row)}


def test_a_last_line_needs_no_end(store, cancer):
    body = harness.to_csv(cancer[0][:3])
    put(store, tail__in__a_csv=body.rstrip("\n"), tail__in__b_csv=body.replace("\n", "\r\n"))
    _, out = transform(store, "tail", Accept="text/csv", **LINES)
    assert out == {"a.csv.out": online(store, body), "b.csv.out": online(store, body)}


def test_gzip_of_several_members(store, cancer):
    first, second = harness.to_csv(cancer[0][:30]), harness.to_csv(cancer[0][30:60])
    members = gzip.compress(first[:1000].encode()) + gzip.compress((first[1000:] + second).encode()) + gzip.compress(b"")
    put(store, gzip__in__a_csv=members)
    _, out = transform(store, "gzip", CompressionType="Gzip", Accept="text/csv", **LINES)
    # The name is kept as it is, and the output is not packed.
    assert out == {"a.csv.out": online(store, first + second)}


def test_damaged_gzip_fails_its_object_alone(store, cancer):
    body = harness.to_csv(cancer[0][:30])
    packed = gzip.compress(body.encode())
    put(store, damaged__in__good_csv=packed, damaged__in__cut_csv=packed[:-20], damaged__in__plain_csv=body)
    described, out = transform(store, "damaged", expected="Failed", CompressionType="Gzip", Accept="text/csv", **LINES)
    assert out == {"good.csv.out": online(store, body)}
    assert SEE_LOGS in described["FailureReason"]


def test_a_manifest_names_objects(store, cancer):
    rows = [harness.to_csv(cancer[0][number : number + 1]) for number in range(3)]
    put(store, m__data__sub__a_csv=rows[0], m__data__b_csv=rows[1], m__data__unnamed_csv=rows[2])
    manifest = [{"prefix": f"s3://{BUCKET}/m/data/"}, "sub/a.csv", "b.csv", "b.csv"]
    put(store, m__manifest=json.dumps(manifest))
    source = {"source": f"s3://{BUCKET}/m/manifest", "kind": "ManifestFile", "Accept": "text/csv", **LINES}
    _, out = transform(store, "manifest", **source)
    assert out == {"sub/a.csv.out": online(store, rows[0]), "b.csv.out": online(store, rows[1])}
    # A key that stands there twice is told of.
    assert any("more than once" in line for line in data_log(store, "manifest"))
    # A key that is not there fails, and nothing else.
    put(store, m__manifest=json.dumps([*manifest, "absent.csv"]))
    described, out = transform(store, "manifest-absent", expected="Failed", **source)
    assert out == {"sub/a.csv.out": online(store, rows[0]), "b.csv.out": online(store, rows[1])}
    assert any("absent.csv" in line for line in data_log(store, "manifest-absent"))
    for number, wrong in enumerate(["{", "[]", '["a.csv"]', '[{"prefix": "no address"}, "a.csv"]', '[{"prefix": "s3://b/"}, 1]']):
        put(store, m__manifest=wrong)
        described, out = transform(store, f"manifest-wrong-{number}", expected="Failed", **source)
        assert described["FailureReason"].startswith("ClientError") and out == {}, described


def test_a_prefix_without_objects_fails(store):
    described, out = transform(store, "nothing", expected="Failed", **LINES)
    assert described["FailureReason"].startswith("ClientError: no objects") and out == {}


# Errors.


def test_a_bad_object_fails_and_the_others_stay(store, cancer):
    body = harness.to_csv(cancer[0][:5])
    lines = body.splitlines(keepends=True)
    put(store, bad__in__a_csv=body, bad__in__b_csv="".join([*lines[:2], "x,y\n", *lines[2:]]), bad__in__c_csv=body)
    # An output of another day stays as it is.
    put(store, bad__out__b_csv=b"", **{"bad__out__b_csv.out": b"of another day"})
    described, out = transform(store, "bad", expected="Failed", MaxConcurrentTransforms=4, Accept="text/csv", **LINES)
    answer = online(store, body)
    assert out == {"a.csv.out": answer, "b.csv": b"", "b.csv.out": b"of another day", "c.csv.out": answer}
    assert SEE_LOGS in described["FailureReason"]
    lines = data_log(store, "bad")
    assert any(f"{BUCKET}/bad/in/b.csv" in line for line in lines), lines
    assert any("row 3" in line or "record 3" in line for line in lines), lines
    assert not any("a.csv" in line for line in lines), lines


def test_a_placeholder_stands_for_a_bad_record(store, cancer):
    lines = harness.to_csv(cancer[0][:6]).splitlines(keepends=True)
    put(store, placeholder__in__a_csv="".join([*lines[:2], "x\n", *lines[2:], "y\n"]))
    policy = {"CLARY_TRANSFORM_ERROR_POLICY": "placeholder"}
    for strategy in ("MultiRecord", "SingleRecord"):
        name = "placeholder"
        store.transform(
            f"{name}-{strategy}", MODEL, f"s3://{BUCKET}/{name}/in/", f"s3://{BUCKET}/{name}/{strategy}",
            BatchStrategy=strategy, Environment=policy, Accept="text/csv", **LINES,
        )  # fmt: skip
        answers = online(store, "".join(lines)).decode().splitlines(keepends=True)
        expected = "".join([*answers[:2], "ERROR\n", *answers[2:], "ERROR\n"])
        assert store.objects(BUCKET, f"{name}/{strategy}/")[f"{name}/{strategy}/a.csv.out"].decode() == expected


def test_a_placeholder_is_joined_as_an_answer_is(store, cancer):
    lines = harness.to_csv(cancer[0][:2]).splitlines(keepends=True)
    put(store, joined__in__a_csv="7," + lines[0] + "8,x\n" + "9," + lines[1])
    members = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]", **LINES}
    policy = {"CLARY_TRANSFORM_ERROR_POLICY": "placeholder"}
    _, out = transform(store, "joined", Environment=policy, Accept="text/csv", **members)
    first, second = online(store, "".join(lines)).decode().splitlines()
    assert out["a.csv.out"].decode() == f"7,{first}\n8,ERROR\n9,{second}\n"


def test_json_lines_have_their_own_placeholder(store, cancer):
    lines = harness.to_json_lines(np.nan_to_num(cancer[0][:2])).splitlines(keepends=True)
    put(store, **{"placeholder-lines__in__a": lines[0] + '{"features": "none"}\n' + lines[1]})
    members = {"ContentType": "application/jsonlines", "SplitType": "Line", "AssembleWith": "Line"}
    policy = {"CLARY_TRANSFORM_ERROR_POLICY": "placeholder"}
    _, out = transform(store, "placeholder-lines", Environment=policy, Accept="application/jsonlines", **members)
    first, error, second = map(json.loads, out["a.out"].decode().splitlines())
    assert "score" in first and list(error) == ["error"] and "score" in second


def test_a_bad_record_is_put_aside(store, cancer):
    lines = harness.to_csv(cancer[0][:6]).splitlines(keepends=True)
    put(store, aside__in__a_csv="".join([*lines[:2], "x\n", *lines[2:]]), aside__in__good_csv=lines[0])
    policy = {"CLARY_TRANSFORM_ERROR_POLICY": "quarantine"}
    _, out = transform(store, "aside", Environment=policy, Accept="text/csv", **LINES)
    assert set(out) == {"a.csv.out", "a.csv.rejected.jsonl", "good.csv.out"}
    assert out["a.csv.out"] == online(store, "".join(lines))
    (rejected,) = map(json.loads, out["a.csv.rejected.jsonl"].decode().splitlines())
    assert rejected["object"] == f"{BUCKET}/aside/in/a.csv"
    assert (rejected["record"], rejected["byte"], rejected["status"]) == (3, len("".join(lines[:2])), 415), rejected
    assert "x" in json.dumps(rejected) and rejected["reason"]


def test_what_is_larger_than_a_payload_fails(store, cancer):
    row = harness.to_csv(cancer[0][:1])
    long = "1" * (1 << 20) + "\n"
    put(store, large__in__a_csv=row, large__in__line_csv=row + long)
    _, out = transform(store, "large", expected="Failed", MaxPayloadInMB=1, Accept="text/csv", **LINES)
    assert out == {"a.csv.out": online(store, row)}
    # A whole object, by one byte.
    put(store, whole__in__a_csv="1" * ((1 << 20) + 1))
    described, out = transform(store, "whole", expected="Failed", MaxPayloadInMB=1, ContentType="text/csv")
    assert out == {} and SEE_LOGS in described["FailureReason"]


def test_a_model_that_does_not_load_fails_the_job(store, cancer):
    for name in ("broken", "absent"):
        store.s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=b"no archive")
        store.create_model(f"transform-{name}", f"s3://{BUCKET}/{name}.tar.gz")
    store.s3.delete_object(Bucket=BUCKET, Key="absent.tar.gz")
    put(store, broken__in__a_csv=harness.to_csv(cancer[0][:1]))
    for model in ("transform-broken", "transform-absent"):
        described = store.transform(model, model, f"s3://{BUCKET}/broken/in/", f"s3://{BUCKET}/broken/out", "Failed", **LINES)
        assert described["FailureReason"]
    assert store.objects(BUCKET, "broken/out/") == {}


# Capture and inference ids.


def test_capture_names_what_was_read_and_written(store, cancer):
    row = harness.to_csv(cancer[0][:1])
    put(store, capture__in__a_csv=row, capture__in__sub__b_csv=row)
    capture = {"DestinationS3Uri": f"s3://{BUCKET}/captured/here"}
    described, out = transform(store, "capture", DataCaptureConfig=capture, Accept="text/csv", **LINES)
    assert described["DataCaptureConfig"] == capture and set(out) == {"a.csv.out", "sub/b.csv.out"}
    hour = described["TransformStartTime"].astimezone(datetime.timezone.utc).strftime("%Y/%m/%d/%H")
    found = {}
    for key, body in store.objects(BUCKET, "captured/here/").items():
        side, rest = key.removeprefix("captured/here/").split("/", 1)
        assert rest.startswith(hour + "/"), key
        prefix, *keys = json.loads(body)
        found.setdefault(side, set()).update(prefix["prefix"] + name for name in keys)
    root = f"s3://{BUCKET}/capture"
    assert found == {
        "input": {f"{root}/in/a.csv", f"{root}/in/sub/b.csv"},
        "output": {f"{root}/out/a.csv.out", f"{root}/out/sub/b.csv.out"},
    }


UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# ISO 8601, in UTC.
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def test_inference_ids_follow_each_record(store, cancer):
    capture = {"DestinationS3Uri": f"s3://{BUCKET}/captured/ids", "GenerateInferenceId": True}
    body = harness.to_csv(cancer[0][:5])
    put(store, ids__in__a_csv=body)
    _, out = transform(store, "ids", DataCaptureConfig=capture, Accept="text/csv", **LINES)
    columns = [line.split(",") for line in out["a.csv.out"].decode().splitlines()]
    assert [score for score, _, _ in columns] == online(store, body).decode().splitlines()
    assert all(UUID.fullmatch(id) and MOMENT.fullmatch(moment) for _, id, moment in columns), columns
    assert len({id for _, id, _ in columns}) == 5 and len({moment for _, _, moment in columns}) == 1
    lines = harness.to_json_lines(np.nan_to_num(cancer[0][:3]))
    put(store, **{"ids-lines__in__a": lines})
    members = {"ContentType": "application/jsonlines", "SplitType": "Line", "AssembleWith": "Line"}
    _, out = transform(store, "ids-lines", DataCaptureConfig=capture, Accept="application/jsonlines", **members)
    records = list(map(json.loads, out["a.out"].decode().splitlines()))
    assert len({record["SageMakerInferenceId"] for record in records}) == 3
    assert all(MOMENT.fullmatch(record["SageMakerInferenceTime"]) for record in records), records


# The resource.


def test_what_was_asked_is_described(store, cancer):
    put(store, described__in__a_csv=harness.to_csv(cancer[0][:1]))
    members = {
        "BatchStrategy": "MultiRecord", "MaxConcurrentTransforms": 2, "MaxPayloadInMB": 3, "Environment": {"LANG": "C"},
        "InvocationsTimeoutInSeconds": 9, "InvocationsMaxRetries": 0, "InputFilter": "$", "OutputFilter": "$", "JoinSource": "Input",
        "Accept": "text/csv", "CompressionType": "None", "KmsKeyId": "alias/a", **LINES,
        "ExperimentConfig": {"TrialComponentDisplayName": "x"},
    }  # fmt: skip
    source, output = f"s3://{BUCKET}/described/in/", f"s3://{BUCKET}/described/out"
    tags = [{"Key": "team", "Value": "transforms"}]
    asked = hosting.transform_request("described", MODEL, source, output, **members)
    made = store.sagemaker.create_transform_job(**asked, Tags=tags)
    assert made["TransformJobArn"] == ARN + "described"
    described = store.transformed("described")
    assert {name: described[name] for name in asked} == asked
    assert described["CreationTime"] <= described["TransformStartTime"] <= described["TransformEndTime"]
    assert "FailureReason" not in described and described["TransformJobArn"] == ARN + "described"
    assert store.sagemaker.list_tags(ResourceArn=ARN + "described")["Tags"] == tags
    store.sagemaker.add_tags(ResourceArn=ARN + "described", Tags=[{"Key": "b", "Value": "c"}])
    store.sagemaker.delete_tags(ResourceArn=ARN + "described", TagKeys=["team"])
    assert store.sagemaker.list_tags(ResourceArn=ARN + "described")["Tags"] == [{"Key": "b", "Value": "c"}]


def test_members_left_out_stay_out(store, cancer):
    put(store, least__in__a_csv=harness.to_csv(cancer[0][:1]))
    described, _ = transform(store, "least", ContentType="text/csv")
    left_out = {"Environment", "DataCaptureConfig", "ModelClientConfig", "ExperimentConfig", "FailureReason"}
    assert left_out.isdisjoint(described), described


def test_jobs_are_listed(store, cancer):
    put(store, listed__in__a_csv=harness.to_csv(cancer[0][:1]))
    for letter in "bac":
        store.transform(f"listed-{letter}", MODEL, f"s3://{BUCKET}/listed/in/", f"s3://{BUCKET}/listed/{letter}", **LINES)

    def listed(**further):
        pages = store.sagemaker.get_paginator("list_transform_jobs").paginate(NameContains="listed-", **further)
        return "".join(job["TransformJobName"][-1] for page in pages for job in page["TransformJobSummaries"])

    assert listed() == "cab" and listed(SortOrder="Ascending") == "bac"
    assert listed(SortBy="Name", SortOrder="Ascending", MaxResults=1) == "abc"
    assert listed(StatusEquals="Completed") == "cab" and listed(StatusEquals="Failed") == ""
    middle = store.sagemaker.describe_transform_job(TransformJobName="listed-a")["CreationTime"]
    assert listed(CreationTimeAfter=middle) in ("c", "ca") and listed(CreationTimeBefore=middle) in ("b", "ab")


def test_a_job_is_stopped_and_leaves_nothing_half_done(store, cancer):
    store.s3.put_object(Bucket=BUCKET, Key="stop/in/a.csv", Body=harness.to_csv(np.tile(cancer[0], (150, 1))))
    asked = hosting.transform_request(
        "stop", MODEL, f"s3://{BUCKET}/stop/in/", f"s3://{BUCKET}/stop/out", BatchStrategy="SingleRecord", **LINES
    )
    store.sagemaker.create_transform_job(**asked)
    store.sagemaker.stop_transform_job(TransformJobName="stop")
    assert store.sagemaker.describe_transform_job(TransformJobName="stop")["TransformJobStatus"] in ("Stopping", "Stopped")
    store.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="stop", WaiterConfig=hosting.WAITER)
    described = store.transformed("stop", "Stopped")
    assert "FailureReason" not in described and described["TransformEndTime"]
    assert store.objects(BUCKET, "stop/out/") == {}
    assert "Uploads" not in store.s3.list_multipart_uploads(Bucket=BUCKET)
    refused(store.sagemaker.stop_transform_job, "ValidationException", TransformJobName="stop")


# Refusals.


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, ["MaxConcurrentTransforms", "MaxPayloadInMB", "100"]),
        ({"InputFilter": "$.a"}, ["InputFilter"]),
        ({"OutputFilter": "$[0"}, ["OutputFilter"]),
        ({"OutputFilter": "$..a"}, ["OutputFilter"]),
        ({"JoinSource": "Input", "Accept": "application/json"}, ["Accept"]),
        ({"JoinSource": "Input", "AssembleWith": "None"}, ["AssembleWith"]),
        ({"JoinSource": "Input", "ContentType": "text/libsvm", "Accept": "text/libsvm"}, ["ContentType"]),
        ({"kind": "AugmentedManifestFile"}, ["AugmentedManifestFile"]),
        ({"output": f"s3://{BUCKET}/refused/in/below"}, ["S3OutputPath"]),
        ({"source": "https://example.com/a"}, ["S3Uri"]),
        ({"JoinSource": "Input", "SplitType": "None"}, ["SplitType"]),
        ({"Environment": {"CLARY_TRANSFORM_EROR_POLICY": "fail"}}, ["CLARY_TRANSFORM_EROR_POLICY"]),
        ({"Environment": {"CLARY_TRANSFORM_ERROR_POLICY": "guess"}}, ["CLARY_TRANSFORM_ERROR_POLICY", "guess"]),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_at_once(store, members, words):
    members = {"source": f"s3://{BUCKET}/refused/in/", "output": f"s3://{BUCKET}/refused-out", "Accept": "text/csv", **LINES, **members}
    asked = hosting.transform_request("refused", MODEL, **members)
    refused(store.sagemaker.create_transform_job, "ValidationException", *words, **asked)
    refused(store.sagemaker.describe_transform_job, "ValidationException", TransformJobName="refused")


def test_names_are_held_to(store, cancer):
    place = (f"s3://{BUCKET}/named/in/", f"s3://{BUCKET}/named/out")
    asked = hosting.transform_request("named", "no-such-model", *place)
    refused(store.sagemaker.create_transform_job, "ValidationException", "Could not find model", **asked)
    put(store, named__in__a_csv=harness.to_csv(cancer[0][:1]))
    store.transform("named", MODEL, *place, **LINES)
    asked = hosting.transform_request("named", MODEL, *place)
    refused(store.sagemaker.create_transform_job, "ResourceInUse", "named", **asked)
    for call in (store.sagemaker.describe_transform_job, store.sagemaker.stop_transform_job):
        refused(call, "ValidationException", TransformJobName="never-made")


def test_a_model_in_use_may_be_deleted(store, cancer):
    """A job holds the bytes it began with."""
    rows = harness.to_csv(np.tile(cancer[0], (20, 1)))
    store.create_model("transform-gone", f"s3://{hosting.BUCKET}/model.tar.gz")
    put(store, gone__in__a_csv=rows)
    asked = hosting.transform_request("gone", "transform-gone", f"s3://{BUCKET}/gone/in/", f"s3://{BUCKET}/gone/out", **LINES)
    store.sagemaker.create_transform_job(**asked)
    store.server.wait_until(lambda: "TransformStartTime" in store.sagemaker.describe_transform_job(TransformJobName="gone"))
    store.sagemaker.delete_model(ModelName="transform-gone")
    store.transformed("gone")
    assert store.objects(BUCKET, "gone/out/")["gone/out/a.csv.out"] == online(store, rows)
