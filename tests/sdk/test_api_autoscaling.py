"""Application Auto Scaling by boto3, the signals, and KEDA's external scaler by gRPC."""

import datetime
import functools
import threading

import grpc
import pytest

import endpoints
import harness
import hosting
from external_scaler import ExternalScaler

# By its code and its words, of whatever status.
refused = functools.partial(endpoints.refused, status=None)

COUNT = "sagemaker:variant:DesiredInstanceCount"
PER_INSTANCE = {"PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}


def key(endpoint, variant="AllTraffic"):
    """What names a scalable target."""
    resource = f"endpoint/{endpoint}/variant/{variant}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": COUNT}


@pytest.fixture(scope="module")
def scaling(platform):
    """The client."""
    return hosting.client(platform.server, "application-autoscaling")


@pytest.fixture
def endpoint(platform, model_url, request):
    """An endpoint of the test's own, gone after it."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:50].rstrip("-")
    platform.deploy(name, model_url)
    yield name
    if platform.sagemaker.list_endpoints(NameContains=name)["Endpoints"]:
        platform.in_service(name)
        platform.delete_endpoint(name)


def register(scaling, endpoint, **limits):
    return scaling.register_scalable_target(**key(endpoint), **limits)["ScalableTargetARN"]


def counts(platform, endpoint):
    """The instances there are, and those there should be."""
    (variant,) = platform.sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]


def activities(scaling, endpoint, **further):
    return scaling.describe_scaling_activities(**key(endpoint), **further)["ScalingActivities"]


def test_a_target_is_registered_changed_and_deregistered(scaling, endpoint):
    arn = register(scaling, endpoint, MinCapacity=1, MaxCapacity=4)
    suspended = {"DynamicScalingInSuspended": True}
    assert register(scaling, endpoint, MaxCapacity=5) == arn
    assert scaling.register_scalable_target(**key(endpoint), SuspendedState=suspended)["ScalableTargetARN"] == arn
    (target,) = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[key(endpoint)["ResourceId"]]
    )["ScalableTargets"]
    assert target.items() >= {**key(endpoint), "MinCapacity": 1, "MaxCapacity": 5, "ScalableTargetARN": arn}.items()
    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False,
    }
    assert target["RoleARN"].startswith("arn:aws:iam::") and target["CreationTime"].tzinfo
    scaling.tag_resource(ResourceARN=arn, Tags={"team": "a", "stage": "test"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["stage"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "a"}
    scaling.deregister_scalable_target(**key(endpoint))
    refused(scaling.deregister_scalable_target, "ObjectNotFoundException", "No scalable target", **key(endpoint))
    refused(scaling.list_tags_for_resource, "ResourceNotFoundException", arn, ResourceARN=arn)


def test_a_raised_minimum_scales_out_at_once_and_is_told_of(platform, scaling, endpoint):
    register(scaling, endpoint, MinCapacity=3, MaxCapacity=5)
    platform.server.wait_until(lambda: counts(platform, endpoint) == (3, 3))
    platform.in_service(endpoint)
    (activity,) = activities(scaling, endpoint)
    assert activity["Description"] == "Setting desired instance count to 3."
    assert activity["Cause"] == "minimum capacity was set to 3"
    assert activity["StatusCode"] == "Successful" and activity["EndTime"] >= activity["StartTime"]
    register(scaling, endpoint, MinCapacity=1, MaxCapacity=2)
    platform.server.wait_until(lambda: counts(platform, endpoint) == (2, 2))
    platform.in_service(endpoint)
    first = activities(scaling, endpoint, MaxResults=1)
    assert [activity["Cause"] for activity in first] == ["maximum capacity was set to 2"]
    pages = scaling.get_paginator("describe_scaling_activities").paginate(
        **key(endpoint), PaginationConfig={"PageSize": 1}
    )
    assert [len(page["ScalingActivities"]) for page in pages] == [1, 1]


def test_policies_and_their_alarms(platform, scaling, endpoint):
    cloudwatch = hosting.client(platform.server, "cloudwatch")
    tracking = {"TargetValue": 70.0, "ScaleInCooldown": 60, **PER_INSTANCE}
    policy = {
        **key(endpoint), "PolicyName": "track", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    refused(scaling.put_scaling_policy, "ObjectNotFoundException", "No scalable target registered", **policy)
    register(scaling, endpoint, MinCapacity=1, MaxCapacity=4)
    made = scaling.put_scaling_policy(**policy)
    high, low = [alarm["AlarmName"] for alarm in made["Alarms"]]
    assert high.startswith(f"TargetTracking-endpoint/{endpoint}/variant/AllTraffic-AlarmHigh-")
    assert low.startswith(f"TargetTracking-endpoint/{endpoint}/variant/AllTraffic-AlarmLow-")
    shown = {alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms(AlarmNames=[high, low])["MetricAlarms"]}
    assert shown[high]["Threshold"] == 70.0 and shown[high]["ComparisonOperator"] == "GreaterThanThreshold"
    assert shown[low]["Threshold"] == 63.0 and shown[low]["EvaluationPeriods"] == 15
    assert shown[high]["AlarmActions"] == [made["PolicyARN"]]
    (described,) = scaling.describe_scaling_policies(**key(endpoint))["ScalingPolicies"]
    assert described["TargetTrackingScalingPolicyConfiguration"] == tracking
    assert described["Alarms"] == made["Alarms"] and described["PolicyARN"] == made["PolicyARN"]
    again = scaling.put_scaling_policy(**policy)
    assert again["PolicyARN"] == made["PolicyARN"]

    step = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}]}
    stepping = {**key(endpoint), "PolicyName": "step", "PolicyType": "StepScaling"}
    arn = scaling.put_scaling_policy(**stepping, StepScalingPolicyConfiguration=step)["PolicyARN"]
    names = [found["PolicyName"] for found in scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]]
    assert {"track", "step"} <= set(names) and arn.endswith("policyName/step")
    pages = scaling.get_paginator("describe_scaling_policies").paginate(**key(endpoint), PaginationConfig={"PageSize": 1})
    assert [policy["PolicyName"] for page in pages for policy in page["ScalingPolicies"]] == ["track", "step"]
    scaling.delete_scaling_policy(**key(endpoint), PolicyName="track")
    assert cloudwatch.describe_alarms(AlarmNames=[high, low])["MetricAlarms"] == []
    refused(scaling.delete_scaling_policy, "ObjectNotFoundException", "policy name: track", **key(endpoint), PolicyName="track")


@pytest.mark.parametrize(
    "change, text",
    [
        ({"ServiceNamespace": "ecs"}, "expected sagemaker"),
        ({"ResourceId": "endpoint/x"}, "endpoint/<endpoint>/variant/<variant>"),
        ({"ResourceId": "endpoint/nobody/variant/v"}, "Could not find endpoint"),
        ({"ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"}, "is not served"),
        ({"MinCapacity": -1}, "whole number from 0 on"),
        ({"MinCapacity": 9}, "less than minimum"),
        ({"MaxCapacity": None}, "Both MinCapacity and MaxCapacity"),
    ],
)
def test_targets_that_cannot_be_are_refused(scaling, platform, model_url, change, text):
    if not platform.sagemaker.list_endpoints(NameContains="refusing")["Endpoints"]:
        platform.deploy("refusing", model_url)
    arguments = {**key("refusing"), "MinCapacity": 1, "MaxCapacity": 4, **change}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    refused(scaling.register_scalable_target, "ValidationException", text, **arguments)


def test_policies_that_cannot_be_are_refused(scaling, endpoint):
    register(scaling, endpoint, MinCapacity=1, MaxCapacity=4)
    track = lambda **configuration: {
        "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": configuration,
    }
    step = lambda *steps: {
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {"AdjustmentType": "ExactCapacity", "StepAdjustments": list(steps)},
    }
    predefined = lambda kind: {"PredefinedMetricSpecification": {"PredefinedMetricType": kind}}
    for policy, text in [
        (track(TargetValue=0.0, **PER_INSTANCE), "TargetValue: expected a number above 0"),
        (track(TargetValue=1.0), "exactly one of PredefinedMetricSpecification"),
        (track(TargetValue=1.0, **predefined("ALBRequestCountPerTarget")), "is not served"),
        (track(TargetValue=1.0, CustomizedMetricSpecification={"Metrics": [{"Id": "a", "Expression": "1"}]}), "not served"),
        (step(), "1 to 20 steps"),
        (step({"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 1.0, "ScalingAdjustment": 1}), "outermost"),
        ({"PolicyType": "StepScaling", **{k: v for k, v in track(TargetValue=1.0).items() if k != "PolicyType"}}, "alone"),
        ({"PolicyType": "PredictiveScaling"}, "not served"),
    ]:
        refused(scaling.put_scaling_policy, "ValidationException", text, **key(endpoint), PolicyName="p", **policy)
    refused(scaling.describe_scalable_targets, "ValidationException", "MaxResults", ServiceNamespace="sagemaker", MaxResults=51)
    refused(scaling.describe_scalable_targets, "InvalidNextTokenException", "NextToken", ServiceNamespace="sagemaker", NextToken="x")


def test_a_scheduled_action_moves_the_limits(platform, scaling, endpoint):
    register(scaling, endpoint, MinCapacity=1, MaxCapacity=4)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    action = {**key(endpoint), "ScheduledActionName": "soon"}
    scaling.put_scheduled_action(
        **action, Schedule=f"at({soon:%Y-%m-%dT%H:%M:%S})", ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 3}
    )
    (shown,) = scaling.describe_scheduled_actions(**key(endpoint))["ScheduledActions"]
    assert shown["ScalableTargetAction"] == {"MinCapacity": 2, "MaxCapacity": 3}
    assert shown["ScheduledActionARN"].endswith(":scheduledActionName/soon")
    platform.server.wait_until(lambda: counts(platform, endpoint) == (2, 2))
    causes = [activity["Cause"] for activity in activities(scaling, endpoint)]
    assert "scheduled action name soon was triggered" in causes and "minimum capacity was set to 2" in causes
    past = {"Schedule": "at(2020-01-01T00:00:00)", "ScalableTargetAction": {"MinCapacity": 1}}
    refused(scaling.put_scheduled_action, "ValidationException", "a time to come", **{**action, "ScheduledActionName": "p"}, **past)
    crooked = {"Schedule": "cron(0 8 * * *)", "ScalableTargetAction": {"MinCapacity": 1}}
    refused(scaling.put_scheduled_action, "ValidationException", "6 fields", **{**action, "ScheduledActionName": "c"}, **crooked)
    scaling.delete_scheduled_action(**action)
    refused(scaling.delete_scheduled_action, "ObjectNotFoundException", "scheduled action name: soon", **action)


def test_with_the_endpoint_its_targets_go(platform, scaling, endpoint):
    register(scaling, endpoint, MinCapacity=1, MaxCapacity=4)
    platform.delete_endpoint(endpoint)
    shown = lambda: scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[key(endpoint)["ResourceId"]]
    )["ScalableTargets"]
    platform.server.wait_until(lambda: shown() == [])


def test_signals_tell_of_each_variant(platform, scaling, endpoint, cancer):
    register(scaling, endpoint, MinCapacity=2, MaxCapacity=4)
    platform.server.wait_until(lambda: counts(platform, endpoint) == (2, 2))
    platform.in_service(endpoint)
    platform.predict(endpoint, cancer[0][:1])
    answer = platform.server.session.get(platform.server.url + "/autoscaling/v1/signals", timeout=harness.WAIT_S)
    (signals,) = [found for found in answer.json()["variants"] if found["endpoint"] == endpoint]
    assert signals["variant"] == "AllTraffic" and (signals["ready"], signals["desired"]) == (2, 2)
    assert signals["queue_depth"] == 0 and signals["recommended"] == 2
    assert {"inflight", "concurrency_10s", "concurrency_60s", "rps_60s"} <= signals.keys()


def test_keda_asks_for_the_metric(platform, endpoint):
    with ExternalScaler(platform.server) as scaler:
        assert scaler.is_active(endpoint=endpoint) is False
        spec = scaler.spec(endpoint=endpoint, target="7.5")
        assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("clary-concurrency", 8, 7.5)
        value = scaler.value(endpoint=endpoint, variant="AllTraffic")
        assert (value.metricName, value.metricValue, value.metricValueFloat) == ("clary-concurrency", 0, 0.0)
        assert scaler.value(endpoint=endpoint, metric="backlog").metricName == "clary-backlog"
        for call, arguments, code in [
            (scaler.is_active, {}, grpc.StatusCode.INVALID_ARGUMENT),
            (scaler.is_active, {"endpoint": "nobody"}, grpc.StatusCode.NOT_FOUND),
            (scaler.spec, {"endpoint": endpoint}, grpc.StatusCode.INVALID_ARGUMENT),
            (scaler.spec, {"endpoint": endpoint, "target": "-1"}, grpc.StatusCode.INVALID_ARGUMENT),
            (scaler.value, {"endpoint": endpoint, "metric": "cpu"}, grpc.StatusCode.INVALID_ARGUMENT),
        ]:
            with pytest.raises(grpc.RpcError) as caught:
                call(**arguments)
            assert caught.value.code() == code, caught.value.details()


def test_keda_is_told_of_the_first_request_of_a_variant_at_zero(platform, model_url, cancer):
    platform.create_model("at-zero", model_url)
    serverless = {"ModelName": "at-zero", "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}
    platform.create_config("at-zero", {"AllTraffic": serverless})
    platform.create_endpoint("at-zero", "at-zero")
    with ExternalScaler(platform.server) as scaler:
        pushed = iter(scaler.stream_is_active(endpoint="at-zero", variant="AllTraffic"))
        assert next(pushed).result is False
        scores = []
        asking = threading.Thread(target=lambda: scores.extend(platform.predict("at-zero", cancer[0][:1])[0]))
        asking.start()
        assert next(pushed).result is True
        asking.join(harness.WAIT_S)
        # The request was answered, not dropped.
        assert len(scores) == 1
