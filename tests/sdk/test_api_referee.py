"""botocore's public service models as the referee: every constraint of every operation that is served is held to, with the
path and the words of AWS; every answer has the members and types that its shape has, and no others."""

import datetime
import functools
import json
import pathlib
import re
import subprocess
import sys
import time

import botocore.config
import botocore.exceptions
import botocore.session
import pytest

import harness
import hosting

ROOT = harness.ROOT
sys.path.insert(0, str(ROOT / "tools"))

import operations
import shapes

# By botocore's name of the service: what clients put before an operation's name, and the code of a refused value.
SERVICES = {
    "sagemaker": ("SageMaker", "1.1", "ValidationException"),
    "application-autoscaling": ("AnyScaleFrontendService", "1.1", "ValidationException"),
    "logs": ("Logs_20140328", "1.1", "InvalidParameterException"),
    "cloudwatch": ("GraniteServiceVersion20100801", "1.0", "ValidationError"),
}

# Strings of which each pattern has one that fits and (almost) each one that does not.
GOOD = [
    "a", "1", "ml.m5.large", "s3://bucket/key", "/a", "xgboost", "000000000000", "a/a", "mig-1g.10gb",
    "arn:aws:iam::000000000000:role/clary", "arn:aws:sagemaker:us-east-1:000000000000:model/m",
    "arn:aws:sns:us-east-1:000000000000:topic", "arn:aws:sagemaker:us-east-1:000000000000:mlflow-tracking-server/m",
    "arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/a", "/opt/ml/model",
    "arn:aws:kms:us-east-1:000000000000:key/a", "arn:aws:lambda:us-east-1:000000000000:function:f",
    "fs-0123456789", "1K", *("arn:aws:sagemaker:us-east-1:000000000000:" + resource for resource in (
        "hub-content/h/DataSet/d", "hub-content/h/Model/m", "training-plan/p", "model-package-group/g", "model-package/g",
    )),
]
BAD = ["\n", " ", "é", "#", "a b", "-", ":a", "\u0001", "*", "x y\n"]

# Java's classes, which Python's engine does not know.
JAVA = [
    (r"\p{L}", "a-zA-Z"), (r"\p{Z}", " "), (r"\p{N}", "0-9"), (r"\p{Print}", r"[\x20-\x7e]"), (r"\p{Alnum}", "a-zA-Z0-9"),
    (r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff"),
]

# Longer than this no request is made to be too long. Reason: bodies of these services end at a few megabytes.
LONG_MAX = 20_000


@functools.cache
def model(service):
    """A service's model; reading that of SageMaker takes a second."""
    return botocore.session.get_session().get_service_model(service)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with hosting.up(tmp_path_factory.mktemp("data")) as server:
        yield server


def call(server, service, operation, body):
    """A request as any client could send it; gives the status, the code and the message."""
    prefix, version, _ = SERVICES[service]
    headers = {"X-Amz-Target": f"{prefix}.{operation}", "Content-Type": f"application/x-amz-json-{version}"}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = server.session.post(server.url + "/", data=data, headers=headers, timeout=harness.WAIT_S)
    said = answer.json()
    return answer.status_code, said.get("__type"), said.get("message", "")


# Values that fit and that do not, made from the shapes.


def is_match(pattern, text):
    for java, python in JAVA:
        pattern = pattern.replace(java, python)
    return re.fullmatch(pattern, text, re.ASCII) is not None


def fits(shape, text):
    limits = shape.metadata
    if not limits.get("min", 0) <= len(text) <= limits.get("max", LONG_MAX):
        return False
    return "pattern" not in limits or is_match(limits["pattern"], text)


def text_of(shape):
    if instance_type(shape):
        return "ml.m5.large"
    if shape.enum:
        return shape.enum[0]
    for text in [*GOOD, "a" * shape.metadata.get("min", 1)]:
        if fits(shape, text):
            return text
    raise AssertionError(f"no text fits {shape.name}: {shape.metadata}")


def instance_type(shape):
    return bool(shape.enum) and all(value.startswith("ml.") for value in shape.enum)


def sample(shape):
    """The smallest value that fits."""
    if shape.type_name == "structure":
        members = shape.required_members
        if getattr(shape, "is_tagged_union", False):
            members = list(shape.members)[:1]
        return {name: sample(shape.members[name]) for name in members}
    if shape.type_name == "list":
        return [sample(shape.member) for _ in range(shape.metadata.get("min", 0))]
    if shape.type_name == "map":
        return {text_of(shape.key): sample(shape.value)} if shape.metadata.get("min", 0) else {}
    if shape.type_name in ("integer", "long", "float", "double"):
        return shape.metadata.get("min", 1)
    return {"string": lambda: text_of(shape), "boolean": lambda: True, "timestamp": lambda: 1.5e9, "blob": lambda: "YQ=="}[
        shape.type_name
    ]()


def lower_camel(name):
    return name[0].lower() + name[1:]


def text_violations(shape):
    limits = shape.metadata
    if instance_type(shape):
        yield "m5.large", f"Member must satisfy regular expression pattern: {shapes.INSTANCE_TYPE['pattern']}"
        return
    if shape.enum:
        yield "no such value", f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    if limits.get("min", 0) > 0:
        yield "a" * (limits["min"] - 1), f"Member must have length greater than or equal to {limits['min']}"
    if limits.get("max", LONG_MAX) < LONG_MAX:
        yield "a" * (limits["max"] + 1), f"Member must have length less than or equal to {limits['max']}"
    if "pattern" in limits:
        bad = next((text for text in BAD if not is_match(limits["pattern"], text)), None)
        # These take any text at all.
        assert bad is not None or limits["pattern"] in (r"[\S\s]*", r"[\s\S]+"), limits["pattern"]
        if bad is not None:
            yield bad, f"Member must satisfy regular expression pattern: {limits['pattern']}"


def number_violations(shape):
    if "min" in shape.metadata:
        yield shape.metadata["min"] - 1, f"Member must have value greater than or equal to {shape.metadata['min']}"
    if "max" in shape.metadata and shape.metadata["max"] < 2**31 - 1:
        yield shape.metadata["max"] + 1, f"Member must have value less than or equal to {shape.metadata['max']}"


def size_violations(shape, make):
    limits = shape.metadata
    if limits.get("min", 0) > 0:
        yield make(limits["min"] - 1), f"Member must have length greater than or equal to {limits['min']}"
    if limits.get("max", LONG_MAX) < LONG_MAX:
        yield make(limits["max"] + 1), f"Member must have length less than or equal to {limits['max']}"


def violations(shape, seen=()):
    """Values that break one constraint, with its path and its words."""
    if shape.name in seen and shape.type_name in ("structure", "list", "map"):
        return
    seen = (*seen, shape.name)
    if shape.type_name == "string":
        yield from ((value, [], words) for value, words in text_violations(shape))
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from ((value, [], words) for value, words in number_violations(shape))
    elif shape.type_name == "list":
        yield from ((v, [], words) for v, words in size_violations(shape, lambda n: [sample(shape.member)] * n))
        for value, path, *words in violations(shape.member, seen):
            yield [value], ["1.member", *path], *words
    elif shape.type_name == "map":
        entries = lambda n: {f"a{i}": sample(shape.value) for i in range(n)}
        yield from ((v, [], words) for v, words in size_violations(shape, entries))
        for key, words in text_violations(shape.key):
            yield {key: sample(shape.value)}, [], "Map keys must satisfy constraint: [", words
        key = text_of(shape.key)
        for value, path, *words in violations(shape.value, seen):
            yield {key: value}, [key, *path], *words
    elif shape.type_name == "structure":
        yield from structure_violations(shape, seen)


def structure_violations(shape, seen):
    whole = sample(shape)
    for name in shape.required_members:
        yield {k: v for k, v in whole.items() if k != name}, [lower_camel(name)], "Member must not be null"
    is_union = getattr(shape, "is_tagged_union", False)
    for name, member in shape.members.items():
        for value, path, *words in violations(member, seen):
            yield {**({} if is_union else whole), name: value}, [lower_camel(name), *path], *words


def served(service):
    return sorted(shapes.SERVED[service].split())


CASES = [(service, operation) for service in SERVICES for operation in served(service)]


@pytest.mark.parametrize("service,operation", CASES, ids=[operation for _, operation in CASES])
def test_every_constraint_is_held_to(server, service, operation):
    shape = model(service).operation_model(operation).input_shape
    if shape is None:
        return
    code = SERVICES[service][2]
    for value, path, *words in violations(shape):
        status, found_code, message = call(server, service, operation, value)
        place = f" at '{'.'.join(path)}' failed to satisfy constraint: {words[0]}"
        assert (status, found_code) == (400, code), (value, message)
        assert place in message and words[-1] in message, (value, place, words, message)


@pytest.mark.parametrize("service,operation", CASES, ids=[operation for _, operation in CASES])
def test_every_member_has_its_type(server, service, operation):
    shape = model(service).operation_model(operation).input_shape
    if shape is None:
        return
    for name, member in shape.members.items():
        wrong = "text" if member.type_name not in ("string", "blob") else 7
        status, code, message = call(server, service, operation, {**sample(shape), name: wrong})
        assert (status, code) == (400, "SerializationException"), (name, message)
        assert f"at '{lower_camel(name)}'" in message, message


@pytest.mark.parametrize("service", SERVICES)
def test_an_operation_that_is_not_served_says_so(server, service):
    known = model(service).operation_names
    unknown = sorted(set(known) - set(served(service)))
    assert len(unknown) >= {"sagemaker": 390}.get(service, 1)
    for operation in [*unknown, "NoSuchOperation"]:
        status, code, message = call(server, service, operation, {})
        assert (status, code) == (400, "UnknownOperationException"), (operation, code, message)
        assert operation in message


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"{" * 500, b'{"MaxResults":1e999}'])
def test_a_body_that_is_no_object_is_refused(server, body):
    status, code, _ = call(server, "sagemaker", "ListModels", body)
    assert (status, code) == (400, "SerializationException")


def test_null_members_are_absent_and_unknown_ones_ignored(server):
    body = {"NameContains": None, "Later": {"x": [1]}}
    assert call(server, "sagemaker", "ListModels", body) == (200, None, "")


def test_the_tables_are_those_of_this_botocore():
    subprocess.run([sys.executable, str(ROOT / "tools" / "shapes.py"), "--check"], check=True)


# Answers: what a client's parser is given has the shape that it expects.

# Members of ours beside those of AWS, which clients ignore.
OURS = {"ProductionVariantSummary": {"Artifact"}, "PendingProductionVariantSummary": {"Artifact"}}

JSON_TYPES = {
    "string": str, "integer": int, "long": int, "float": (int, float), "double": (int, float), "boolean": bool,
    "timestamp": (int, float),
}


def check_answer(shape, value, path):
    """Every member known, of its type, and required ones there."""
    if shape.type_name == "structure":
        assert isinstance(value, dict), f"{path}: {value!r}"
        unknown = set(value) - set(shape.members) - OURS.get(shape.name, set())
        assert not unknown, f"{path}: {unknown}"
        missing = set(shape.required_members) - set(value)
        assert not missing, f"{path}: {missing} missing"
        for name in set(value) & set(shape.members):
            check_answer(shape.members[name], value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        assert isinstance(value, list), f"{path}: {value!r}"
        for index, item in enumerate(value):
            check_answer(shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map":
        assert isinstance(value, dict), f"{path}: {value!r}"
        for key, item in value.items():
            check_answer(shape.value, item, f"{path}[{key!r}]")
    else:
        expected = JSON_TYPES[shape.type_name]
        assert isinstance(value, expected) and (shape.type_name == "boolean" or not isinstance(value, bool)), f"{path}: {value!r}"
        if getattr(shape, "enum", None):
            assert value in shape.enum, f"{path}: {value!r}"


def strict(client, seen=None):
    """A client that holds every answer to its operation's output shape before it parses it."""

    def check(operation_model, response_dict, **_):
        if response_dict["status_code"] == 200:
            body, shape = response_dict["body"], operation_model.output_shape
            if shape is not None:
                check_answer(shape, json.loads(body), operation_model.name)
            if seen is not None:
                seen.add(operation_model.name)

    client.meta.events.register("before-parse.*.*", check)
    return client


def names(items, member):
    return [item[member] for item in items]


def check_training_jobs(clients, tags):
    """A job that completes, and one that is told to stop."""
    sagemaker = clients.sagemaker
    rows = "".join(f"{number % 2},{number % 2},{number}\n" for number in range(50))
    clients.s3.put_object(Bucket=hosting.BUCKET, Key="referee/train/rows.csv", Body=rows)
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{hosting.BUCKET}/referee/train/"}
    request = {
        "RoleArn": hosting.ROLE,
        "AlgorithmSpecification": {"TrainingImage": hosting.XGBOOST_IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {"num_round": "2"},
        "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{hosting.BUCKET}/referee/trained"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    }
    made = sagemaker.create_training_job(TrainingJobName="shape", Tags=tags, **request)
    wait = sagemaker.get_waiter("training_job_completed_or_stopped").wait
    wait(TrainingJobName="shape", WaiterConfig=hosting.WAITER)
    described = sagemaker.describe_training_job(TrainingJobName="shape")
    assert described["TrainingJobStatus"] == "Completed" and described["TrainingJobArn"] == made["TrainingJobArn"]
    assert described["FinalMetricDataList"] and described["SecondaryStatusTransitions"][-1]["Status"] == "Completed"
    found = sagemaker.search(Resource="TrainingJob")["Results"][0]["TrainingJob"]
    assert found["TrainingJobName"] == "shape" and found["Tags"] == tags
    sagemaker.create_training_job(TrainingJobName="shape-2", **{**request, "HyperParameters": {"num_round": "1000000"}})
    sagemaker.update_training_job(TrainingJobName="shape-2", ProfilerConfig={"DisableProfiler": True})
    sagemaker.stop_training_job(TrainingJobName="shape-2")
    wait(TrainingJobName="shape-2", WaiterConfig=hosting.WAITER)
    assert names(sagemaker.list_training_jobs(StatusEquals="Stopped")["TrainingJobSummaries"], "TrainingJobName") == ["shape-2"]
    for name in ("shape", "shape-2"):
        sagemaker.delete_training_job(TrainingJobName=name)


def test_every_answer_has_its_shape(server, booster):
    """All served operations of the control plane, by a real client whose answers are held to their shapes."""
    seen = set()
    clients = hosting.Clients(server)
    sagemaker = clients.sagemaker = strict(clients.sagemaker, seen)
    url = clients.upload(booster, "referee/model.tar.gz")
    arn = f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:"

    tags = [{"Key": "team", "Value": "referees"}]
    container = {"Image": hosting.XGBOOST_IMAGE, "ModelDataUrl": url, "Environment": {"A": "b"}}
    made = sagemaker.create_model(ModelName="shape", PrimaryContainer=container, ExecutionRoleArn=hosting.ROLE, Tags=tags)
    assert made["ModelArn"] == arn + "model/shape"
    assert sagemaker.describe_model(ModelName="shape")["PrimaryContainer"] == container
    assert "shape" in names(sagemaker.list_models()["Models"], "ModelName")

    for config, weight in [("shape-1", 1.0), ("shape-2", 0.5)]:
        clients.create_config(config, {"A": ("shape", weight)}, Tags=tags)
        assert sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]["VariantName"] == "A"
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"]

    clients.create_endpoint("shape", "shape-1", Tags=tags)
    assert sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"]
    rates = [{"VariantName": "A", "DesiredWeight": 3}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="shape", DesiredWeightsAndCapacities=rates)
    clients.in_service("shape")
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    deployment = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    sagemaker.update_endpoint(EndpointName="shape", EndpointConfigName="shape-2", DeploymentConfig=deployment)
    described = clients.in_service("shape")
    assert described["EndpointConfigName"] == "shape-2"
    assert described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"
    assert described["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == hosting.XGBOOST_IMAGE

    row = harness.to_csv([[0.5] * booster.num_features()])
    clients.s3.put_object(Bucket=hosting.BUCKET, Key="referee/in/rows.csv", Body=row)
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{hosting.BUCKET}/referee/in/"}
    request = {
        "ModelName": "shape",
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": f"s3://{hosting.BUCKET}/referee/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "DataProcessing": {"JoinSource": "None"},
        "ModelClientConfig": {"InvocationsMaxRetries": 0},
        "Environment": {"A": "b"},
    }
    made = sagemaker.create_transform_job(TransformJobName="shape", Tags=tags, **request)
    assert made["TransformJobArn"] == arn + "transform-job/shape"
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="shape", WaiterConfig=hosting.WAITER)
    described = sagemaker.describe_transform_job(TransformJobName="shape")
    assert described["TransformJobStatus"] == "Completed" and request.items() <= described.items()
    assert names(sagemaker.list_transform_jobs(StatusEquals="Completed")["TransformJobSummaries"], "TransformJobName") == ["shape"]
    assert sagemaker.list_tags(ResourceArn=made["TransformJobArn"])["Tags"] == tags
    # An input that is not there: the job fails, and says so in its summary too.
    source["S3Uri"] = f"s3://{hosting.BUCKET}/referee/none/"
    sagemaker.create_transform_job(TransformJobName="shape-2", **request)
    with pytest.raises(botocore.exceptions.WaiterError):
        sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="shape-2", WaiterConfig=hosting.WAITER)
    failed = sagemaker.list_transform_jobs(StatusEquals="Failed")["TransformJobSummaries"][0]
    assert failed["FailureReason"].startswith("ClientError: no objects"), failed
    with pytest.raises(botocore.exceptions.ClientError, match="in status Failed"):
        sagemaker.stop_transform_job(TransformJobName="shape-2")
    # A call a row, one at a time: it runs still when it is told to stop.
    clients.s3.put_object(Bucket=hosting.BUCKET, Key="referee/long/rows.csv", Body=row * 20_000)
    source["S3Uri"] = f"s3://{hosting.BUCKET}/referee/long/"
    one = {"BatchStrategy": "SingleRecord", "MaxConcurrentTransforms": 1}
    sagemaker.create_transform_job(TransformJobName="shape-3", **request, **one)
    sagemaker.stop_transform_job(TransformJobName="shape-3")
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="shape-3", WaiterConfig=hosting.WAITER)
    assert sagemaker.describe_transform_job(TransformJobName="shape-3")["TransformJobStatus"] == "Stopped"

    resource = arn + "endpoint/shape"
    assert sagemaker.add_tags(ResourceArn=resource, Tags=[{"Key": "b", "Value": ""}])["Tags"] == [{"Key": "b", "Value": ""}, *tags]
    sagemaker.delete_tags(ResourceArn=resource, TagKeys=["b"])
    assert sagemaker.list_tags(ResourceArn=resource)["Tags"] == tags
    check_training_jobs(clients, tags)
    for kind in ["Endpoint", "Model", "ModelPackageGroup", "TrainingJob"]:
        sagemaker.search(Resource=kind)
    assert sagemaker.list_monitoring_schedules()["MonitoringScheduleSummaries"] == []
    assert sagemaker.list_aliases(ImageName="x")["SageMakerImageVersionAliases"] == []

    clients.delete_endpoint("shape")
    sagemaker.delete_endpoint_config(EndpointConfigName="shape-1")
    sagemaker.delete_endpoint_config(EndpointConfigName="shape-2")
    sagemaker.delete_model(ModelName="shape")
    # An answer without a body has no shape to be held to, and is counted all the same.
    assert seen == set(served("sagemaker"))


def test_every_answer_of_autoscaling_has_its_shape(server, booster):
    seen = set()
    clients = hosting.Clients(server)
    scaling = strict(hosting.client(server, "application-autoscaling"), seen)
    clients.deploy("scaled", clients.upload(booster, "referee/scaled.tar.gz"))
    key = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/scaled/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    arn = scaling.register_scalable_target(**key, MinCapacity=1, MaxCapacity=2)["ScalableTargetARN"]
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"][0]["MaxCapacity"] == 2
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    tracking = {"TargetValue": 100.0, "PredefinedMetricSpecification": metric, "ScaleInCooldown": 60}
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
    }
    policies = {
        "tracking": {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": tracking},
        "steps": {"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": steps},
    }
    for name, policy in policies.items():
        assert scaling.put_scaling_policy(PolicyName=name, **key, **policy)["PolicyARN"]
    described = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert {policy["PolicyName"] for policy in described} == set(policies)
    action = {"ScheduledActionName": "night", "Schedule": "cron(0 22 * * ? *)", "ScalableTargetAction": {"MaxCapacity": 1}}
    scaling.put_scheduled_action(**key, **action)
    assert scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"][0]["Schedule"]
    scaling.describe_scaling_activities(ServiceNamespace="sagemaker")
    scaling.tag_resource(ResourceARN=arn, Tags={"a": "b"})
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "b"}
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    scaling.delete_scheduled_action(ScheduledActionName="night", **key)
    for name in policies:
        scaling.delete_scaling_policy(PolicyName=name, **key)
    scaling.deregister_scalable_target(**key)
    clients.delete_endpoint("scaled")
    assert seen == set(served("application-autoscaling"))


def test_every_answer_of_logs_has_its_shape(server):
    seen = set()
    logs = strict(hosting.client(server, "logs"), seen)
    group, stream = {"logGroupName": "/referee"}, {"logGroupName": "/referee", "logStreamName": "s"}
    logs.create_log_group(**group)
    logs.put_retention_policy(**group, retentionInDays=1)
    logs.delete_retention_policy(**group)
    logs.create_log_stream(**stream)
    now = int(time.time() * 1000)
    logs.put_log_events(**stream, logEvents=[{"timestamp": now, "message": "one line"}])
    assert logs.describe_log_groups(logGroupNamePrefix="/referee")["logGroups"][0]["arn"]
    assert names(logs.describe_log_streams(**group)["logStreams"], "logStreamName") == ["s"]
    assert names(logs.get_log_events(**stream, startFromHead=True)["events"], "message") == ["one line"]
    assert names(logs.filter_log_events(**group)["events"], "timestamp") == [now]
    logs.delete_log_stream(**stream)
    logs.delete_log_group(**group)
    assert seen == set(served("logs"))


def test_every_answer_of_cloudwatch_has_its_shape(server):
    seen = set()
    cloudwatch = strict(hosting.client(server, "cloudwatch"), seen)
    metric = {"Namespace": "Referee", "MetricName": "Calls"}
    now = datetime.datetime.now(datetime.timezone.utc)
    span = {"StartTime": now - datetime.timedelta(hours=1), "EndTime": now + datetime.timedelta(minutes=1)}
    cloudwatch.put_metric_data(Namespace="Referee", MetricData=[{"MetricName": "Calls", "Value": 2.5, "Unit": "Count"}])
    found = cloudwatch.get_metric_statistics(**metric, **span, Period=60, Statistics=["Sum"], ExtendedStatistics=["p99"])
    assert found["Datapoints"][0]["Sum"] == 2.5
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
    results = cloudwatch.get_metric_data(**span, MetricDataQueries=[query])["MetricDataResults"]
    assert results[0]["Values"] == [2.5]
    assert names(cloudwatch.list_metrics(Namespace="Referee")["Metrics"], "MetricName") == ["Calls"]
    rule = {"Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    cloudwatch.put_metric_alarm(AlarmName="referee", ComparisonOperator="GreaterThanThreshold", **metric, **rule)
    assert names(cloudwatch.describe_alarms(AlarmNames=["referee"])["MetricAlarms"], "AlarmName") == ["referee"]
    cloudwatch.describe_alarms_for_metric(**metric)
    cloudwatch.set_alarm_state(AlarmName="referee", StateValue="ALARM", StateReason="a test")
    assert cloudwatch.describe_alarm_history(AlarmName="referee")["AlarmHistoryItems"]
    cloudwatch.disable_alarm_actions(AlarmNames=["referee"])
    cloudwatch.enable_alarm_actions(AlarmNames=["referee"])
    cloudwatch.delete_alarms(AlarmNames=["referee"])
    assert seen == set(served("cloudwatch"))


# The table of operations, against the model and against the server.


def test_the_table_of_operations_is_up_to_date():
    expected = operations.text()
    assert pathlib.Path(ROOT / "OPERATIONS.md").read_text() == expected, "run tools/operations.py"
    for service in operations.SERVICES:
        assert set(operations.NOTES[service]) <= set(model(service).operation_names), service
        for operation in model(service).operation_names:
            assert re.search(rf"\b{operation}\b", expected), f"{service} {operation}"


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_table_calls_served_is_what_has_a_shape(service):
    assert set(operations.NOTES[service]) == set(served(service))


@pytest.mark.parametrize("service,version", [("sts", "2011-06-15"), ("iam", "2010-05-08"), ("cloudwatch", "2010-08-01")])
def test_query_services_serve_what_the_table_says(server, service, version):
    for operation in model(service).operation_names:
        form = {"Action": operation, "Version": version}
        answer = server.session.post(server.url + "/", data=form, timeout=harness.WAIT_S)
        is_unknown = "<Code>InvalidAction</Code>" in answer.text
        assert is_unknown == (operation not in operations.NOTES[service]), (operation, answer.text)


def test_s3_leaves_alone_what_it_does_not_serve(server):
    """An operation on a part of an object or bucket is never taken for one on the whole."""
    config = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1})
    s3 = hosting.client(server, "s3", config=config)
    s3.create_bucket(Bucket="whole")
    s3.put_object(Bucket="whole", Key="object", Body=b"as it was")
    # That one has a host of its own.
    unserved = set(model("s3").operation_names) - set(operations.NOTES["s3"]) - {"WriteGetObjectResponse"}
    assert len(unserved) > 60
    for operation in sorted(unserved):
        shape = model("s3").operation_model(operation).input_shape
        places = {"Bucket": "whole", "Key": "object"}
        parameters = {name: places.get(name) or sample(shape.members[name]) for name in shape.required_members}
        try:
            status = s3._make_api_call(operation, parameters)["ResponseMetadata"]["HTTPStatusCode"]
            assert status in (200, 204), operation
        except botocore.exceptions.ClientError as error:
            status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
            assert (status, code) == (501, "NotImplemented") or (status, code[:6]) == (404, "NoSuch") or (
                status == 404 and code.endswith("NotFoundError")
            ), (operation, error.response)
        assert s3.get_object(Bucket="whole", Key="object")["Body"].read() == b"as it was", operation
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="whole")["Contents"]] == ["object"]
