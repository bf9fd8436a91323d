"""What users of endpoints rely on, by boto3: traffic, deployments, and what each kind of endpoint promises."""

import base64
import concurrent.futures
import contextlib
import datetime
import json
import math
import sqlite3
import uuid

import botocore.config
import botocore.exceptions
import numpy as np
import pytest
import xgboost

import harness
import hosting

ARN = f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:endpoint/"


def train(cancer, columns=30, depth=2, rounds=3):
    """A booster of the first columns of the cancer data; another for every setting."""
    rows, labels = cancer
    data = xgboost.DMatrix(rows[:, :columns], labels)
    return xgboost.train({"objective": "binary:logistic", "max_depth": depth, "nthread": 1}, data, rounds)


@pytest.fixture(scope="module")
def models(platform, model_url, cancer):
    """A good model, one whose answers are others, and one that refuses every row of thirty features."""
    other = platform.upload(train(cancer), "hosting/other.tar.gz")
    narrow = platform.upload(train(cancer, columns=3), "hosting/narrow.tar.gz")
    for name, url in {"good": model_url, "other": other, "narrow": narrow}.items():
        platform.create_model(f"hosting-{name}", url)
    return "hosting-good", "hosting-other", "hosting-narrow"


def variant(model, weight=1.0, count=1, **further):
    return {
        "ModelName": model,
        "InitialInstanceCount": count,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": weight,
        **further,
    }


def refused(call, code, *words, status=400, **arguments):
    """Calls; holds the refusal to its code, its status and its words, and gives it."""
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        call(**arguments)
    response = refusal.value.response
    error, metadata = response["Error"], response["ResponseMetadata"]
    assert error["Code"] == code, error
    assert metadata["HTTPStatusCode"] == status, response
    for words_expected in words:
        assert words_expected in error["Message"], error["Message"]
    return response


def invoke(platform, endpoint, body="", client=None, **further):
    """One call of the runtime, of CSV unless it says otherwise."""
    arguments = {"EndpointName": endpoint, "Body": body, "ContentType": "text/csv", **further}
    return (client or platform.runtime).invoke_endpoint(**arguments)


def describe(platform, name):
    """An endpoint's description; no member of it is null, which typed clients would refuse."""
    request = {"X-Amz-Target": "SageMaker.DescribeEndpoint", "Content-Type": "application/x-amz-json-1.1"}
    plain = platform.server.session.post(
        platform.server.url, data=json.dumps({"EndpointName": name}), headers=request, timeout=harness.WAIT_S
    )
    assert "null" not in plain.text, plain.text
    return platform.sagemaker.describe_endpoint(EndpointName=name)


def summaries(described, *members):
    """Of each production variant, these members."""
    return {
        summary["VariantName"]: tuple(summary[member] for member in members)
        for summary in described["ProductionVariants"]
    }


def counts(platform, endpoint, row, calls, **further):
    """How many of so many calls each variant answers."""
    found = {}
    for _ in range(calls):
        name = invoke(platform, endpoint, row, **further)["InvokedProductionVariant"]
        found[name] = found.get(name, 0) + 1
    return found


def check_share(found, calls, share):
    """Within four and a half standard deviations: one run in a hundred thousand is not."""
    assert abs(found - calls * share) <= 4.5 * math.sqrt(calls * share * (1 - share)), (found, calls, share)


def adjust(platform, name, **variants):
    """UpdateEndpointWeightsAndCapacities; `variants`: name -> what is desired of it."""
    desired = [{"VariantName": variant, **what} for variant, what in variants.items()]
    return platform.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=desired
    )


def policy(kind="ALL_AT_ONCE", wait_s=0, alarms=(), **routing):
    """A DeploymentConfig."""
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **routing}
    config = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}
    return config


@pytest.fixture(scope="module")
def row(cancer):
    return harness.to_csv(cancer[0][:1])


# Traffic.


def test_traffic_follows_the_weights(platform, models, row):
    good, other, _ = models
    platform.create_config("split", {"A": variant(good, 9), "B": variant(other, 1), "C": variant(good, 0)})
    platform.create_endpoint("split", "split")
    found = counts(platform, "split", row, 800)
    assert sum(found.values()) == 800 and "C" not in found
    check_share(found["B"], 800, 0.1)
    # An override wins, whatever its weight, and streams say who answers too.
    for name in "ABC":
        assert counts(platform, "split", row, 3, TargetVariant=name) == {name: 3}
    streamed = platform.runtime.invoke_endpoint_with_response_stream(
        EndpointName="split", Body=row, ContentType="text/csv", TargetVariant="C"
    )
    assert streamed["InvokedProductionVariant"] == "C"
    assert b"".join(event["PayloadPart"]["Bytes"] for event in streamed["Body"]) == invoke(
        platform, "split", row, TargetVariant="C"
    )["Body"].read()
    gone = f"Variant D not found for Endpoint split of account {hosting.ACCOUNT}."
    refused(lambda: invoke(platform, "split", row, TargetVariant="D"), "ValidationError", gone)
    refused(lambda: invoke(platform, "split", row, TargetVariant="a"), "ValidationError", "Variant a not found")
    # Who failed is told as well.
    failed = refused(lambda: invoke(platform, "split", "x\n", TargetVariant="B"), "ModelError", status=424)
    assert failed["ResponseMetadata"]["HTTPHeaders"]["x-amzn-invoked-production-variant"] == "B"
    platform.delete_endpoint("split")


def test_weights_and_counts_change_together(platform, models, row):
    good, other, _ = models
    platform.create_config("adjust", {"A": variant(good), "B": variant(other), "C": variant(good)})
    platform.create_endpoint("adjust", "adjust")
    told = adjust(platform, "adjust", A={"DesiredWeight": 0}, B={"DesiredWeight": 3, "DesiredInstanceCount": 2})
    assert told["EndpointArn"] == ARN + "adjust"
    described = platform.in_service("adjust")
    members = ("CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")
    assert summaries(described, *members) == {"A": (0, 0, 1, 1), "B": (3, 3, 2, 2), "C": (1, 1, 1, 1)}
    found = counts(platform, "adjust", row, 300)
    assert set(found) == {"B", "C"}
    check_share(found["B"], 300, 0.75)
    # All or nothing.
    words = "Variant X not found"
    refused(lambda: adjust(platform, "adjust", B={"DesiredWeight": 9}, X={"DesiredWeight": 1}), "ValidationException", words)
    nothing = {"B": {"DesiredWeight": 0}, "C": {"DesiredWeight": 0}}
    refused(lambda: adjust(platform, "adjust", **nothing), "ValidationException", "above 0")
    words = "expected at least 1 instance, found 0"
    refused(lambda: adjust(platform, "adjust", B={"DesiredInstanceCount": 0}), "ValidationException", words)
    words = "it has instances"
    refused(lambda: adjust(platform, "adjust", B={"ServerlessUpdateConfig": {"MaxConcurrency": 2}}), "ValidationException", words)
    assert summaries(describe(platform, "adjust"), *members) == {"A": (0, 0, 1, 1), "B": (3, 3, 2, 2), "C": (1, 1, 1, 1)}
    platform.delete_endpoint("adjust")


def test_a_key_keeps_its_variant(platform, models, row):
    good, other, _ = models
    platform.create_config("keys", {"A": variant(good, 9), "B": variant(other, 1)})
    platform.create_endpoint("keys", "keys", Tags=[{"Key": "clary:assignment-attribute", "Value": "user"}])
    users = [f"user-{number}" for number in range(150)]

    def by_header(user):
        url = f"{platform.server.url}/endpoints/keys/invocations"
        headers = {"X-Clary-Assignment-Key": user, "Content-Type": "text/csv"}
        answer = platform.server.session.post(url, data=row, headers=headers, timeout=harness.WAIT_S)
        return answer.headers["x-amzn-invoked-production-variant"]

    def by_attribute(user, name="user"):
        return invoke(platform, "keys", row, CustomAttributes=f"a=1,{name}={user}")["InvokedProductionVariant"]

    before = [by_header(user) for user in users]
    assert before == [by_header(user) for user in users] == [by_attribute(user) for user in users]
    adjust(platform, "keys", A={"DesiredWeight": 5}, B={"DesiredWeight": 5})
    platform.in_service("keys")
    after = [by_attribute(user) for user in users]
    moved = [(old, new) for old, new in zip(before, after) if old != new]
    assert set(moved) == {("A", "B")}, "nobody moves back"
    check_share(len(moved), len(users), 0.4)
    # The attribute is changed by its tag, while the endpoint serves.
    platform.sagemaker.add_tags(ResourceArn=ARN + "keys", Tags=[{"Key": "clary:assignment-attribute", "Value": "session"}])
    platform.server.wait_until(lambda: [by_attribute(user, "session") for user in users] == after)
    platform.sagemaker.delete_tags(ResourceArn=ARN + "keys", TagKeys=["clary:assignment-attribute"])
    platform.server.wait_until(lambda: {by_attribute("user-1", "session") for _ in range(20)} == {"A", "B"})
    platform.delete_endpoint("keys")


def test_a_shadow_is_never_seen(platform, models, row):
    good, _, narrow = models
    shadows = [{"VariantName": "S", **variant(narrow, 2)}]
    platform.create_config("shadow", {"A": variant(good, 4)}, ShadowProductionVariants=shadows)
    described = platform.create_endpoint("shadow", "shadow")
    assert [summary["VariantName"] for summary in described["ShadowProductionVariants"]] == ["S"]
    assert [summary["VariantName"] for summary in describe(platform, "shadow")["ProductionVariants"]] == ["A"]
    expected = invoke(platform, "shadow", row)["Body"].read()
    for _ in range(200):
        answer = invoke(platform, "shadow", row)
        assert (answer["Body"].read(), answer["InvokedProductionVariant"]) == (expected, "A")
    refused(lambda: invoke(platform, "shadow", row, TargetVariant="S"), "ValidationError", "Variant S not found")

    def answered(name, code):
        page = platform.server.session.get(platform.server.url + "/metrics", timeout=harness.WAIT_S).text
        of_variant = f'clary_invocations_total{{endpoint="shadow",variant="{name}"'
        lines = [line for line in page.splitlines() if line.startswith(of_variant) and f'code="{code}"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    platform.server.wait_until(lambda: answered("S", "200") + answered("S", "400") > 50)
    assert answered("A", "200") == 201 and answered("S", "200") == 0
    check_share(answered("S", "400"), 201, 0.5)
    platform.delete_endpoint("shadow")


# Deployments.


def test_a_deployment_is_described_at_each_moment(platform, models, row):
    good, other, _ = models
    platform.create_config("moments-1", {"A": variant(good, count=4)})
    platform.create_config("moments-2", {"A": variant(other, 2, count=4)})
    first = policy("ALL_AT_ONCE")
    platform.create_endpoint("moments", "moments-1", DeploymentConfig=first)
    described = describe(platform, "moments")
    (image,) = described["ProductionVariants"][0]["DeployedImages"]
    assert image["SpecifiedImage"] == hosting.XGBOOST_IMAGE and image["ResolvedImage"] and image["ResolutionTime"]
    assert "PendingDeploymentSummary" not in described and "FailureReason" not in described
    assert "VariantStatus" not in described["ProductionVariants"][0]
    canary = policy("CANARY", 3600, CanarySize={"Type": "CAPACITY_PERCENT", "Value": 25})
    platform.sagemaker.update_endpoint(EndpointName="moments", EndpointConfigName="moments-2", DeploymentConfig=canary)
    assert describe(platform, "moments")["EndpointStatus"] == "Updating"

    def is_baking():
        pending = describe(platform, "moments")["PendingDeploymentSummary"]
        (summary,) = pending["ProductionVariants"]
        return summary.get("VariantStatus", [{}])[0].get("Status") == "Baking"

    platform.server.wait_until(is_baking)
    described = describe(platform, "moments")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", "moments-1")
    members = ("CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")
    assert summaries(described, *members) == {"A": (1, 1, 4, 4)}
    pending = described["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "moments-2" and pending["StartTime"] >= described["CreationTime"]
    (summary,) = pending["ProductionVariants"]
    assert summary["DesiredInstanceCount"] == 4 and summary["DeployedImages"] and summary["DesiredWeight"] == 2
    # A quarter of the capacity, a quarter of the answers.
    of_old = invoke(platform, "moments", row, Accept="application/json")["Body"].read()
    answers = [invoke(platform, "moments", row, Accept="application/json")["Body"].read() for _ in range(300)]
    shares = sorted(answers.count(answer) for answer in set(answers))
    assert len(shares) == 2 and of_old in answers
    check_share(shares[0], 300, 0.25)
    # One change at a time; but a deployment may be given up with its endpoint.
    words = f'Cannot update in-progress endpoint "{ARN}moments".'
    refused(lambda: adjust(platform, "moments", A={"DesiredWeight": 1}), "ValidationException", words)
    again = {"EndpointName": "moments", "EndpointConfigName": "moments-1"}
    refused(platform.sagemaker.update_endpoint, "ValidationException", words, **again)
    platform.delete_endpoint("moments")
    refused(lambda: invoke(platform, "moments", row), "ValidationError", "Endpoint moments of account")
    # The name is free at once, and nothing of the first is left.
    described = platform.create_endpoint("moments", "moments-2")
    assert (described["EndpointConfigName"], "LastDeploymentConfig" in described) == ("moments-2", False)
    # Taken, in any case.
    words = f'Cannot create already existing endpoint "{ARN}MOMENTS".'
    again = {"EndpointName": "MOMENTS", "EndpointConfigName": "moments-1"}
    refused(platform.sagemaker.create_endpoint, "ValidationException", words, **again)
    platform.delete_endpoint("moments")


def test_what_an_update_keeps(platform, models):
    good, other, _ = models
    one = policy("LINEAR", LinearStepSize={"Type": "INSTANCE_COUNT", "Value": 1})
    platform.create_config("keep-1", {"A": variant(good), "B": variant(good)})
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 30,
        "DestinationS3Uri": "s3://models/kept",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    platform.create_config("keep-2", {"A": variant(other, 5, 2), "C": variant(good, 4, 3)}, DataCaptureConfig=capture)
    platform.create_endpoint("keep", "keep-1", DeploymentConfig=one)
    assert describe(platform, "keep")["LastDeploymentConfig"] == one

    def after(exclude=(), **further):
        """What stands after an update to keep-2 of what stood at weight 7, with three instances."""
        platform.sagemaker.update_endpoint(EndpointName="keep", EndpointConfigName="keep-1")
        platform.in_service("keep")
        adjust(platform, "keep", A={"DesiredWeight": 7, "DesiredInstanceCount": 3})
        platform.in_service("keep")
        excluded = [{"VariantPropertyType": kind} for kind in exclude]
        further = {"RetainAllVariantProperties": True, **further}
        if excluded:
            further["ExcludeRetainedVariantProperties"] = excluded
        platform.sagemaker.update_endpoint(EndpointName="keep", EndpointConfigName="keep-2", **further)
        described = platform.in_service("keep")
        assert described["EndpointConfigName"] == "keep-2"
        assert described["DataCaptureConfig"]["CurrentSamplingPercentage"] == 30
        found = summaries(described, "CurrentWeight", "CurrentInstanceCount")
        assert found == summaries(described, "DesiredWeight", "DesiredInstanceCount")
        assert found.pop("C") == (4, 3)
        return found

    # A linear deployment that is retained runs as it did.
    assert after(RetainDeploymentConfig=True) == {"A": (7, 3)}
    assert describe(platform, "keep")["LastDeploymentConfig"] == one
    assert after(["DesiredWeight"]) == {"A": (5, 3)}
    assert after(["DesiredInstanceCount"]) == {"A": (7, 2)}
    assert after(["DesiredWeight", "DesiredInstanceCount", "DataCaptureConfig"]) == {"A": (5, 2)}
    assert after(RetainAllVariantProperties=False) == {"A": (5, 2)}
    both = {"DeploymentConfig": one, "RetainDeploymentConfig": True}
    again = {"EndpointName": "keep", "EndpointConfigName": "keep-1", **both}
    refused(platform.sagemaker.update_endpoint, "ValidationException", "found both", **again)
    # The same configuration once more is a deployment like any other: it takes back what was adjusted.
    adjust(platform, "keep", A={"DesiredWeight": 1})
    platform.in_service("keep")
    platform.sagemaker.update_endpoint(EndpointName="keep", EndpointConfigName="keep-2")
    assert summaries(platform.in_service("keep"), "CurrentWeight")["A"] == (5,)
    platform.delete_endpoint("keep")


def test_a_bad_canary_is_taken_back_by_its_alarm(platform, models, row):
    good, _, narrow = models
    cloudwatch = hosting.client(platform.server, "cloudwatch")
    platform.create_config("canary-good", {"A": variant(good, count=4)})
    platform.create_config("canary-bad", {"A": variant(narrow, count=4)})
    platform.create_endpoint("canary", "canary-good")

    def put(name, metric, config):
        dimensions = {"EndpointName": "canary", "VariantName": "A", "EndpointConfigName": config}
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": dimension, "Value": value} for dimension, value in dimensions.items()],
            Statistic="Average",
            Period=10,
            EvaluationPeriods=1,
            Threshold=0.5,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )
        return name

    # That of the new fleet alone goes off; that of the old one has no reason to.
    alarms = [put("canary-new", "Invocation4XXErrors", "canary-bad"), put("canary-old", "InvocationModelErrors", "canary-good")]
    canary = policy("CANARY", 3600, alarms, CanarySize={"Type": "INSTANCE_COUNT", "Value": 1})
    update = {"EndpointName": "canary", "EndpointConfigName": "canary-bad", "DeploymentConfig": canary}
    missing = {**canary, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "canary-none"}]}}
    refused(platform.sagemaker.update_endpoint, "ValidationException", "canary-none", **{**update, "DeploymentConfig": missing})
    platform.sagemaker.update_endpoint(**update)
    statuses = {200: 0, 424: 0}
    url = f"{platform.server.url}/endpoints/canary/invocations"
    started = datetime.datetime.now()
    described = describe(platform, "canary")
    while described["EndpointStatus"] in ("Updating", "RollingBack"):
        for _ in range(20):
            answer = platform.server.session.post(url, data=row, headers={"Content-Type": "text/csv"}, timeout=harness.WAIT_S)
            statuses[answer.status_code] += 1
        described = describe(platform, "canary")
        assert (datetime.datetime.now() - started).total_seconds() < harness.WAIT_S, described
    assert statuses[424] > 0 and statuses[200] > statuses[424], statuses
    # One period that shows it, at most one that had begun before, one look.
    assert (datetime.datetime.now() - started).total_seconds() < 25
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "canary-good")
    assert "canary-new was in ALARM" in described["FailureReason"], described["FailureReason"]
    assert "PendingDeploymentSummary" not in described and "VariantStatus" not in described["ProductionVariants"][0]
    assert set(counts(platform, "canary", row, 50)) == {"A"}
    # An alarm that is off at the start lets no request near the new fleet.
    cloudwatch.set_alarm_state(AlarmName="canary-old", StateValue="ALARM", StateReason="by hand")
    again = policy("CANARY", 3600, ["canary-old"], CanarySize={"Type": "INSTANCE_COUNT", "Value": 1})
    platform.sagemaker.update_endpoint(**{**update, "DeploymentConfig": again})
    assert set(counts(platform, "canary", row, 20)) == {"A"}
    described = platform.in_service("canary")
    assert described["EndpointConfigName"] == "canary-good"
    assert "canary-old was in ALARM before traffic moved" in described["FailureReason"]
    # The next one that succeeds leaves no reason behind.
    platform.sagemaker.update_endpoint(EndpointName="canary", EndpointConfigName="canary-good")
    assert "FailureReason" not in platform.in_service("canary")
    platform.delete_endpoint("canary")
    cloudwatch.delete_alarms(AlarmNames=alarms)


def test_a_fleet_that_cannot_be_had_changes_nothing(platform, models, row):
    good, _, _ = models
    platform.s3.put_object(Bucket=hosting.BUCKET, Key="hosting/broken.tar.gz", Body=b"no archive")
    broken = platform.create_model("hosting-broken", f"s3://{hosting.BUCKET}/hosting/broken.tar.gz")
    platform.create_config("broken-good", {"A": variant(good)})
    platform.create_config("broken-bad", {"A": variant(broken), "B": variant(good)})
    platform.create_endpoint("broken", "broken-good")
    platform.sagemaker.update_endpoint(EndpointName="broken", EndpointConfigName="broken-bad")
    described = platform.in_service("broken")
    assert described["EndpointConfigName"] == "broken-good" and "broken.tar.gz" in described["FailureReason"]
    assert counts(platform, "broken", row, 5) == {"A": 5}
    platform.delete_endpoint("broken")
    # The first of its name: it failed, and only going is left.
    platform.sagemaker.create_endpoint(EndpointName="broken", EndpointConfigName="broken-bad")
    platform.server.wait_until(lambda: describe(platform, "broken")["EndpointStatus"] == "Failed")
    reason = describe(platform, "broken")["FailureReason"]
    expected = "The primary container for production variant A did not pass the ping health check."
    assert reason.startswith(expected) and "broken.tar.gz" in reason, reason
    refused(lambda: invoke(platform, "broken", row), "ValidationError", "Endpoint broken of account")
    update = {"EndpointName": "broken", "EndpointConfigName": "broken-good"}
    refused(platform.sagemaker.update_endpoint, "ValidationException", "status Failed", **update)
    refused(lambda: adjust(platform, "broken", A={"DesiredWeight": 1}), "ValidationException", "status Failed")
    refused(platform.sagemaker.create_endpoint, "ValidationException", "already existing", **update)
    platform.delete_endpoint("broken")


def test_an_artifact_that_is_replaced_disturbs_nobody(booster, cancer, row, tmp_path):
    with hosting.up(tmp_path) as server:
        clients = hosting.Clients(server.ready())
        clients.deploy("pinned", clients.upload(booster, "pinned.tar.gz"))
        first = invoke(clients, "pinned", row)["Body"].read()
        clients.upload(train(cancer), "pinned.tar.gz")
        assert invoke(clients, "pinned", row)["Body"].read() == first
        # The configuration knows which bytes it was made for.
        clients.sagemaker.update_endpoint(EndpointName="pinned", EndpointConfigName="pinned")
        reason = clients.in_service("pinned")["FailureReason"]
        assert "pinned.tar.gz" in reason and "ETag" in reason, reason
        assert invoke(clients, "pinned", row)["Body"].read() == first
        server.process.kill()
        server.process.wait()
    with hosting.up(tmp_path) as server:
        clients = hosting.Clients(server.ready())
        clients.in_service("pinned")
        assert invoke(clients, "pinned", row)["Body"].read() == first
        # A configuration of today takes today's.
        clients.create_config("pinned-2", {"AllTraffic": variant("pinned")})
        clients.sagemaker.update_endpoint(EndpointName="pinned", EndpointConfigName="pinned-2")
        assert "FailureReason" not in clients.in_service("pinned")
        assert invoke(clients, "pinned", row)["Body"].read() != first


# Many models behind one endpoint.


def test_a_request_names_its_model(platform, models, booster, cancer, row):
    platform.create_model("many", f"s3://{hosting.BUCKET}/many/", Mode="MultiModel")
    platform.create_config("many", {"A": variant("many")})
    platform.create_endpoint("many", "many")
    ask = lambda model, **further: invoke(platform, "many", row, TargetModel=model, **further)
    gone = f"Failed to download model data(bucket: {hosting.BUCKET}, key: many/a.tar.gz)."
    refused(lambda: ask("a.tar.gz"), "ValidationError", gone)
    refused(lambda: invoke(platform, "many", row), "ValidationError", "is a multi-model endpoint and requires target model")
    for foreign in ("../model.tar.gz", "/a.tar.gz", "x/../../model.tar.gz"):
        refused(lambda: ask(foreign), "ValidationError")
    platform.upload(booster, "many/a.tar.gz")
    first = ask("a.tar.gz")
    assert first["InvokedProductionVariant"] == "A"
    first = first["Body"].read()
    platform.upload(train(cancer), "many/sub/b.tar.gz")
    assert ask("sub/b.tar.gz", TargetVariant="A")["Body"].read() != first
    # One that is replaced serves on until the new one, which is looked for now and then, is there.
    platform.upload(train(cancer), "many/replaced.tar.gz")
    second = ask("replaced.tar.gz")["Body"].read()
    platform.upload(booster, "many/replaced.tar.gz")
    # Of many who ask for a cold one, all are answered.
    for number in range(4):
        platform.upload(train(cancer, rounds=number + 1), f"many/c{number}.tar.gz")
    client = hosting.client(platform.server, "sagemaker-runtime", config=botocore.config.Config(max_pool_connections=8))
    names = [f"c{number % 4}.tar.gz" for number in range(32)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: invoke(platform, "many", row, client=client, TargetModel=name)["Body"].read(), names))
    assert len(set(answers)) == 4 and answers[:4] * 8 == answers
    # A model that is no model is its own fault alone.
    platform.s3.put_object(Bucket=hosting.BUCKET, Key="many/broken.tar.gz", Body=b"no archive")
    refused(lambda: ask("broken.tar.gz"), "ModelError", "broken.tar.gz", status=424)
    assert ask("a.tar.gz")["Body"].read() == first

    def is_renewed():
        answer = ask("replaced.tar.gz")["Body"].read()
        assert answer in (first, second)
        return answer == first

    platform.server.wait_until(is_renewed)
    single = "is not a multi-model endpoint and does not support target model header."
    platform.create_config("single", {"A": variant(models[0])})
    platform.create_endpoint("single", "single")
    refused(lambda: invoke(platform, "single", row, TargetModel="a.tar.gz"), "ValidationError", single)
    platform.delete_endpoint("single")
    platform.delete_endpoint("many")


def test_models_take_turns_in_little_memory(booster, row, tmp_path):
    with hosting.up(tmp_path, "--model-memory", "400KiB") as server:
        clients = hosting.Clients(server.ready())
        for number in range(12):
            clients.upload(booster, f"many/{number}.tar.gz")
        clients.create_model("many", f"s3://{hosting.BUCKET}/many/", Mode="MultiModel")
        clients.create_config("many", {"A": variant("many")})
        clients.create_endpoint("many", "many")
        runtime = hosting.client(server, "sagemaker-runtime", config=botocore.config.Config(max_pool_connections=4))
        names = [f"{number % 12}.tar.gz" for number in range(48)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda name: invoke(clients, "many", row, client=runtime, TargetModel=name)["Body"].read(), names))
        assert len(set(answers)) == 1
        # Not all of them fit, so some came more than once.
        count = lambda words: sum(words in line for line in list(server.log))
        server.wait_until(lambda: count('"model loaded"') > 12 and count('"model unloaded"') > 0)


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


def test_an_asynchronous_endpoint_answers_to_the_store(platform, models, row):
    good, _, _ = models
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


def test_what_is_asked_later_is_captured_too_and_goes_with_its_endpoint(platform, models, row):
    good, _, _ = models
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


def test_what_is_captured_is_what_was_sent(platform, models, cancer, row):
    good, other, _ = models
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


def test_sides_and_samples(platform, models, row):
    good, _, _ = models
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


# Refusals of the runtime.


def test_every_refusal_has_its_code(platform, models, row):
    good, _, _ = models
    platform.create_config("codes", {"A": variant(good)})
    platform.create_endpoint("codes", "codes")
    account = hosting.ACCOUNT
    check = lambda call, code, *words, **further: refused(call, code, *words, **further)["ResponseMetadata"]["HTTPHeaders"]
    told = [
        check(lambda: invoke(platform, "none", row), "ValidationError", f"Endpoint none of account {account} not found."),
        # Stored case is needed.
        check(lambda: invoke(platform, "CODES", row), "ValidationError", f"Endpoint CODES of account {account} not found."),
        check(lambda: invoke(platform, "codes", row, TargetContainerHostname="b"), "ValidationError", "multi-container"),
        check(lambda: invoke(platform, "codes", row, InferenceId="i" * 65), "ValidationError", "'inferenceId'"),
        check(lambda: invoke(platform, "codes", row, TargetModel="m"), "ValidationError", "not a multi-model endpoint"),
        check(lambda: invoke(platform, "codes", row, CustomAttributes="a" * 1025), "ValidationError"),
        check(lambda: invoke(platform, "codes", row, ContentType="image/png"), "ModelError", status=424),
    ]
    for headers in told[:-1]:
        assert headers["x-amzn-errortype"] == "ValidationError" and headers["x-amzn-requestid"]
    assert told[-1]["x-amzn-errortype"] == "ModelError"
    for asked, status, words in [
        ({"body": "x\n"}, 415, "payload"),
        ({"body": row.strip() + ",1\n"}, 400, "30"),
        ({"body": row, "ContentType": "image/png"}, 415, "image/png"),
        ({"body": row, "Accept": "image/png"}, 406, "image/png"),
    ]:
        answer = refused(lambda: invoke(platform, "codes", **asked), "ModelError", status=424)
        assert answer["OriginalStatusCode"] == status and words in answer["OriginalMessage"], answer
        assert answer["LogStreamArn"].startswith(f"arn:aws:logs:{hosting.REGION}:{account}:log-group:/aws/sagemaker/Endpoints/codes")
        message = answer["Error"]["Message"]
        assert message.startswith(f'Received client error ({status}) from primary with message "{answer["OriginalMessage"]}". See https://')
        assert message.endswith(f"group=/aws/sagemaker/Endpoints/codes in account {account} for more information.")
    refused(lambda: invoke(platform, "codes", "1" * (6 * 2**20 + 1)), "413", status=413)
    url = f"{platform.server.url}/endpoints/codes/invocations"
    plain = platform.server.session.post(url, data="1" * (6 * 2**20 + 1), timeout=harness.WAIT_S)
    assert (plain.status_code, plain.text) == (413, "HTTP content length exceeded 6291456 bytes.")
    # Largest that fits: the model's own opinion.
    refused(lambda: invoke(platform, "codes", "1" * (6 * 2**20)), "ModelError", status=424)
    # A stream that cannot begin is refused as a whole.
    streamed = {"EndpointName": "none", "Body": row}
    refused(platform.runtime.invoke_endpoint_with_response_stream, "ValidationError", "Endpoint none of account", **streamed)
    platform.delete_endpoint("codes")


def test_a_model_that_takes_too_long_is_told(booster, cancer, tmp_path):
    with hosting.up(tmp_path, "--request-timeout", "50ms") as server:
        clients = hosting.Clients(server.ready())
        clients.deploy("slow", clients.upload(booster))
        many = harness.to_csv(np.tile(cancer[0], (25, 1)))
        words = "Your invocation timed out while waiting for a response from container primary."
        answer = refused(lambda: invoke(clients, "slow", many), "ModelError", words, status=424)
        assert answer["OriginalStatusCode"] == 0
