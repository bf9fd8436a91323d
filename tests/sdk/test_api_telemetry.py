"""CloudWatch, Logs, STS and IAM of `clary up`, asked by boto3 itself: CloudWatch in both protocols that clients speak."""

import copy
import datetime
import functools
import time

import boto3
import botocore.session
import pytest
import requests
from botocore.exceptions import ClientError

import endpoints
import harness
import hosting

# By its code and its words, of whatever status.
refused = functools.partial(endpoints.refused, status=None)

MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with hosting.up(tmp_path_factory.mktemp("telemetry")) as server:
        yield server


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def older_session():
    """A session whose CloudWatch speaks Query, as all did before 2025."""
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def load_query(service, kind, api_version=None):
        model = load(service, kind, api_version)
        if (service, kind) == ("cloudwatch", "service-2"):
            model = copy.deepcopy(model)
            model["metadata"].update(protocol="query", protocols=["query"])
            model["metadata"].pop("awsQueryCompatible", None)
        return model

    loader.load_service_model = load_query
    return boto3.Session(botocore_session=session)


@pytest.fixture(params=["json", "query"])
def cloudwatch(request, server):
    session = boto3.Session() if request.param == "json" else older_session()
    client = session.client("cloudwatch", endpoint_url=server.url, region_name=hosting.REGION, **hosting.KEYS)
    assert client.meta.service_model.resolved_protocol == request.param
    return client


@pytest.fixture
def namespace(request):
    return "Test/" + "".join(c if c.isalnum() else "-" for c in request.node.name)


DIMENSIONS = [{"Name": "Endpoint", "Value": "e"}, {"Name": "Variant", "Value": "v & <w>"}]


def test_values_are_put_and_read_back(cloudwatch, namespace):
    at = now().replace(second=5, microsecond=0) - 3 * MINUTE
    datum = {"MetricName": "m", "Dimensions": DIMENSIONS, "Unit": "Count"}
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {**datum, "Timestamp": at, "Value": 2.5},
            {**datum, "Timestamp": at, "Values": [1.0, 3.0], "Counts": [3, 1]},
            {
                **datum,
                "Timestamp": at + MINUTE,
                "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4},
            },
        ],
    )
    asked = {
        "Namespace": namespace,
        "MetricName": "m",
        "StartTime": at - MINUTE,
        "EndTime": at + 2 * MINUTE,
        "Period": 60,
    }
    statistics = cloudwatch.get_metric_statistics(
        **asked,
        Dimensions=list(reversed(DIMENSIONS)),
        Statistics=["SampleCount", "Average", "Sum", "Minimum", "Maximum"],
    )
    points = sorted(statistics["Datapoints"], key=lambda point: point["Timestamp"])
    assert statistics["Label"] == "m"
    assert [point["Timestamp"] for point in points] == [at.replace(second=0), at.replace(second=0) + MINUTE]
    assert (points[0]["SampleCount"], points[0]["Sum"], points[0]["Minimum"], points[0]["Maximum"]) == (5, 8.5, 1, 3)
    assert points[1]["Average"] == 2.5 and points[1]["Unit"] == "Count"
    percentiles = cloudwatch.get_metric_statistics(**asked, Dimensions=DIMENSIONS, ExtendedStatistics=["p50", "p99.9"])
    first = min(percentiles["Datapoints"], key=lambda point: point["Timestamp"])
    assert first["ExtendedStatistics"]["p50"] == pytest.approx(1, rel=0.02)
    assert first["ExtendedStatistics"]["p99.9"] == pytest.approx(3, rel=0.02)
    # A part of the dimensions is another metric.
    assert not cloudwatch.get_metric_statistics(**asked, Dimensions=DIMENSIONS[:1], Statistics=["Sum"])["Datapoints"]


def test_data_come_in_pages(cloudwatch, namespace):
    at = now().replace(second=0, microsecond=0) - 10 * MINUTE
    data = [{"MetricName": name, "Timestamp": at + i * MINUTE, "Value": i} for i in range(5) for name in "ab"]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    queries = [
        {
            "Id": f"q_{name}",
            "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": name}, "Period": 60, "Stat": "Sum"},
        }
        for name in "ab"
    ]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries,
        StartTime=at,
        EndTime=at + 10 * MINUTE,
        ScanBy="TimestampAscending",
        MaxDatapoints=3,
    )
    found = {"q_a": [], "q_b": []}
    for page in pages:
        for result in page["MetricDataResults"]:
            found[result["Id"]] += zip(result["Timestamps"], result["Values"])
    expected = [(at + i * MINUTE, i) for i in range(5)]
    assert found == {"q_a": expected, "q_b": expected}


def test_metrics_are_listed(cloudwatch, namespace):
    dimensions = [{"Name": "d", "Value": "1"}]
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": "m", "Value": 1, "Dimensions": dimensions},
            {"MetricName": "n", "Value": 1},
        ],
    )
    every = cloudwatch.list_metrics(Namespace=namespace)["Metrics"]
    assert [(metric["MetricName"], metric["Dimensions"]) for metric in every] == [("m", dimensions), ("n", [])]
    some = cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "d"}])["Metrics"]
    assert [metric["MetricName"] for metric in some] == ["m"]


def test_what_is_not_served_is_refused_by_name(cloudwatch, namespace):
    expression = [{"Id": "e", "Expression": "SUM(METRICS())"}]
    range = {"StartTime": now() - MINUTE, "EndTime": now()}
    refused(
        lambda: cloudwatch.get_metric_data(MetricDataQueries=expression, **range),
        "InvalidParameterValue",
        "Expression is not served",
    )
    asked = {"Namespace": namespace, "MetricName": "m", "Period": 60, **range}
    refused(
        lambda: cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["tm99"]),
        "InvalidParameterValue",
        "not served",
    )
    # The protocol decides which of two codes an unknown operation has.
    with pytest.raises(ClientError) as caught:
        cloudwatch.list_dashboards()
    assert caught.value.response["Error"]["Code"] in ("UnknownOperationException", "InvalidAction")
    refused(
        lambda: cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[{"MetricName": "m", "Value": 1}]),
        "InvalidParameterValue",
    )


def alarm(name, namespace, **changes):
    return {
        "AlarmName": name,
        "Namespace": namespace,
        "MetricName": "m",
        "Statistic": "Maximum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
        **changes,
    }


def test_alarms_are_put_described_set_and_deleted(cloudwatch, namespace):
    names = [f"{namespace}-{letter}" for letter in "ab"]
    for name in names:
        cloudwatch.put_metric_alarm(**alarm(name, namespace), AlarmDescription="d", ActionsEnabled=False)
    described = cloudwatch.describe_alarms(AlarmNamePrefix=namespace, MaxRecords=1)
    assert [found["AlarmName"] for found in described["MetricAlarms"]] == names[:1]
    described = cloudwatch.describe_alarms(AlarmNamePrefix=namespace, NextToken=described["NextToken"])
    (found,) = described["MetricAlarms"]
    assert found["AlarmName"] == names[1] and "NextToken" not in described
    assert (found["Threshold"], found["Period"], found["ActionsEnabled"]) == (5.0, 10, False)
    assert found["AlarmArn"] == f"arn:aws:cloudwatch:{hosting.REGION}:{hosting.ACCOUNT}:alarm:{names[1]}"
    assert found["StateValue"] == "INSUFFICIENT_DATA"
    assert isinstance(found["StateUpdatedTimestamp"], datetime.datetime)
    cloudwatch.set_alarm_state(AlarmName=names[0], StateValue="ALARM", StateReason="by hand")
    (raised,) = cloudwatch.describe_alarms(AlarmNamePrefix=namespace, StateValue="ALARM")["MetricAlarms"]
    assert (raised["AlarmName"], raised["StateReason"]) == (names[0], "by hand")
    kinds = [item["HistoryItemType"] for item in cloudwatch.describe_alarm_history(AlarmName=names[0])["AlarmHistoryItems"]]
    assert kinds == ["StateUpdate", "ConfigurationUpdate"]
    refused(
        lambda: cloudwatch.set_alarm_state(AlarmName="none", StateValue="OK", StateReason="r"),
        "ResourceNotFound",
    )
    contradiction = alarm(names[0], namespace, Period=7)
    refused(lambda: cloudwatch.put_metric_alarm(**contradiction), "ValidationError", "Period")
    cloudwatch.delete_alarms(AlarmNames=names)
    assert not cloudwatch.describe_alarms(AlarmNamePrefix=namespace)["MetricAlarms"]


def test_an_alarm_goes_off_by_its_metric(server, namespace):
    cloudwatch = hosting.client(server, "cloudwatch")
    cloudwatch.put_metric_alarm(**alarm(namespace, namespace))

    def is_raised():
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": 9}])
        (found,) = cloudwatch.describe_alarms(AlarmNames=[namespace])["MetricAlarms"]
        return found["StateValue"] == "ALARM"

    server.wait_until(is_raised)
    cloudwatch.delete_alarms(AlarmNames=[namespace])


def test_what_is_stored_is_there_after_a_kill(tmp_path):
    with hosting.up(tmp_path) as server:
        cloudwatch, logs = hosting.client(server, "cloudwatch"), hosting.client(server, "logs")
        cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 3}])
        cloudwatch.put_metric_alarm(**alarm("a", "N"))
        logs.create_log_group(logGroupName="g")
    # The context ends with a kill.
    with hosting.up(tmp_path) as server:
        cloudwatch, logs = hosting.client(server, "cloudwatch"), hosting.client(server, "logs")
        assert [found["MetricName"] for found in cloudwatch.list_metrics(Namespace="N")["Metrics"]] == ["m"]
        assert [found["AlarmName"] for found in cloudwatch.describe_alarms()["MetricAlarms"]] == ["a"]
        assert [found["logGroupName"] for found in logs.describe_log_groups()["logGroups"]] == ["g"]


@pytest.fixture
def logs(server):
    return hosting.client(server, "logs")


def milliseconds():
    return int(time.time() * 1000)


def test_lines_are_put_and_read_back(logs):
    group, stream, base = "/test/lines", "variant/i-1", milliseconds() - 10_000
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": base + i, "message": f"line {i}"} for i in range(5)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    asked = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
    first = logs.get_log_events(**asked, limit=3)
    assert [event["message"] for event in first["events"]] == ["line 0", "line 1", "line 2"]
    rest = logs.get_log_events(**asked, nextToken=first["nextForwardToken"])
    assert [event["message"] for event in rest["events"]] == ["line 3", "line 4"]
    end = logs.get_log_events(**asked, nextToken=rest["nextForwardToken"])
    assert end["events"] == [] and end["nextForwardToken"] == rest["nextForwardToken"]
    # A start counts from its very millisecond on.
    later = logs.get_log_events(**asked, startTime=base + 3)
    assert [event["timestamp"] for event in later["events"]] == [base + 3, base + 4]
    newest = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=1)
    assert newest["events"][0]["message"] == "line 4"
    (described,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="variant/")["logStreams"]
    assert described["firstEventTimestamp"] == base and described["lastEventTimestamp"] == base + 4
    assert described["arn"].endswith(f":log-group:{group}:log-stream:{stream}")
    logs.delete_log_group(logGroupName=group)


def test_lines_are_found_by_a_pattern(logs):
    group, base = "/test/filter", milliseconds() - 10_000
    logs.create_log_group(logGroupName=group)
    for number, message in enumerate(["ERROR one", "fine", "ERROR two"]):
        stream = f"s/{number}"
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": base + number, "message": message}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern="ERROR", logStreamNamePrefix="s/", limit=1
    )
    found = [(event["logStreamName"], event["message"]) for page in pages for event in page["events"]]
    assert found == [("s/0", "ERROR one"), ("s/2", "ERROR two")]
    refused(
        lambda: logs.filter_log_events(logGroupName=group, filterPattern="{ $.a = 1 }"),
        "InvalidParameterException",
        "not served",
    )


def test_streams_that_fit_have_no_token(logs):
    group = "/test/streams"
    logs.create_log_group(logGroupName=group)
    for number in range(50):
        logs.create_log_stream(logGroupName=group, logStreamName=f"job/{number:02}")
    whole = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="job/", orderBy="LogStreamName", limit=50)
    assert len(whole["logStreams"]) == 50 and "nextToken" not in whole
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, PaginationConfig={"PageSize": 20}
    )
    names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    assert names == [f"job/{number:02}" for number in range(50)]
    assert logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="other/")["logStreams"] == []


def test_a_missing_group_and_a_missing_stream_are_told_apart(logs):
    code = "ResourceNotFoundException"
    refused(lambda: logs.describe_log_streams(logGroupName="none"), code, "The specified log group does not exist.")
    refused(lambda: logs.filter_log_events(logGroupName="none"), code, "The specified log group does not exist.")
    logs.create_log_group(logGroupName="/test/there")
    asked = {"logGroupName": "/test/there", "logStreamName": "none"}
    refused(lambda: logs.get_log_events(**asked), code, "The specified log stream does not exist.")
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName="/test/there")


def test_who_calls_and_which_roles_there_are(server):
    sts, iam = hosting.client(server, "sts"), hosting.client(server, "iam")
    identity = sts.get_caller_identity()
    assert identity["Account"] == hosting.ACCOUNT
    name = identity["Arn"].rsplit("/", 1)[1]
    role = iam.get_role(RoleName=name)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{hosting.ACCOUNT}:role/{name}"
    trust = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
    assert trust == "sagemaker.amazonaws.com"
    assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session", DurationSeconds=900)
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{hosting.ACCOUNT}:assumed-role/{name}/session"
    left = assumed["Credentials"]["Expiration"] - now()
    assert datetime.timedelta(minutes=14) < left <= datetime.timedelta(minutes=15)
    assert sts.get_session_token()["Credentials"]["SessionToken"]
    simulated = iam.simulate_principal_policy(
        PolicySourceArn=role["Arn"], ActionNames=["sagemaker:CreateModel", "s3:GetObject"], ResourceArns=["*"]
    )
    decisions = [(found["EvalActionName"], found["EvalDecision"]) for found in simulated["EvaluationResults"]]
    assert decisions == [("sagemaker:CreateModel", "allowed"), ("s3:GetObject", "allowed")]
    refused(lambda: iam.list_users(), "InvalidAction")


def test_cbor_is_refused_clearly(server):
    answer = requests.post(
        server.url + "/service/GraniteServiceVersion20100801/operation/ListMetrics",
        data=b"\xa0",
        headers={"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"},
        timeout=harness.WAIT_S,
    )
    assert answer.status_code == 400
    assert "cbor" in answer.text.lower(), answer.text


def test_invocations_are_told_under_the_public_names(server, booster, cancer):
    clients = hosting.Clients(server)
    cloudwatch, logs = hosting.client(server, "cloudwatch"), hosting.client(server, "logs")
    started = now().replace(second=0, microsecond=0)
    clients.deploy("told", clients.upload(booster))
    for _ in range(20):
        clients.predict("told", cancer[0][:3])
    with pytest.raises(ClientError):
        clients.runtime.invoke_endpoint(EndpointName="told", Body=b"x,y\n", ContentType="text/csv")

    def statistic(metric, name, **further):
        dimensions = {"EndpointName": "told", "VariantName": "AllTraffic", **further}
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=started,
            EndTime=now() + MINUTE,
            Period=3600,
            Statistics=[name],
        )["Datapoints"]
        # An hour may end while this runs.
        return sum(point[name] for point in points)

    # At once: the period of ten seconds that is under way is seen before it ends.
    assert statistic("Invocations", "Sum") == 21
    assert statistic("Invocations", "Sum", EndpointConfigName="told") == 21
    assert statistic("InvocationsPerInstance", "Sum") == 21
    assert statistic("Invocation4XXErrors", "Sum") == 1
    assert statistic("Invocation5XXErrors", "Sum") == 0
    assert statistic("ModelLatency", "SampleCount") == statistic("OverheadLatency", "SampleCount") == 20
    # Microseconds: a debug build scores three rows in some of them, and not in a second.
    assert 1 < statistic("ModelLatency", "Minimum") < 1_000_000

    def names():
        told = cloudwatch.list_metrics(Dimensions=[{"Name": "EndpointName", "Value": "told"}])["Metrics"]
        return {metric["MetricName"] for metric in told}

    assert {"Invocations", "ModelLatency", "ConcurrentRequestsPerModel"} <= names()
    # What the machine is busy with is told when the period ends, and nothing is counted twice then.
    server.wait_until(lambda: {"CPUUtilization", "MemoryUtilization", "DiskUtilization"} <= names())
    assert statistic("Invocations", "Sum") == 21
    assert statistic("ModelLatency", "SampleCount") == 20
    group = "/aws/sagemaker/Endpoints/told"
    (stream, *_) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    lines = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    assert lines["events"], "an endpoint says what became of it"
    page = server.session.get(server.url + "/metrics", timeout=harness.WAIT_S).text
    assert 'clary_concurrent_requests_avg10s{endpoint="told",variant="AllTraffic",config="told"}' in page
    clients.delete_endpoint("told")
