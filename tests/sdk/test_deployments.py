"""Deployments by boto3: what is described, kept, taken back and left alone."""

import datetime

import harness
import hosting
from endpoints import ARN, adjust, check_share, counts, describe, invoke, refused, summaries, train
from hosting import variant


def policy(kind="ALL_AT_ONCE", wait_s=0, alarms=(), **routing):
    """A DeploymentConfig."""
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **routing}
    config = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}
    return config


def test_a_deployment_is_described_at_each_moment(platform, hosted_models, row):
    good, other, _ = hosted_models
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


def test_what_an_update_keeps(platform, hosted_models):
    good, other, _ = hosted_models
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


def test_a_bad_canary_is_taken_back_by_its_alarm(platform, hosted_models, row):
    good, _, narrow = hosted_models
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


def test_a_fleet_that_cannot_be_had_changes_nothing(platform, hosted_models, row):
    good, _, _ = hosted_models
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
