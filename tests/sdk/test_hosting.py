"""What users of endpoints rely on, by boto3: traffic, deployments, and what each kind of endpoint promises."""

import concurrent.futures
import datetime
import json
import math

import botocore.config
import botocore.exceptions
import numpy as np
import pytest
import xgboost

import harness
import hosting

ARN = f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:endpoint/"
NOT_NULL = object()


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
