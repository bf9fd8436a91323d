"""Writes the tables of the shapes that requests of the AWS services must have: server/wire/shapes/<service>.json.

The source is botocore's public service model, as the virtual environment has it. Taken are facts only: the names of
members, their types, and the constraints on their values, of the operations that are served and of no others; no word of
documentation. `tools/shapes.py` writes the tables anew; `tools/shapes.py --check` says whether they are up to date.
"""

import json
import pathlib
import sys

import botocore.loaders
import botocore.session

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLES = ROOT / "server" / "wire" / "shapes"

# What is served, by botocore's name of the service.
SERVED = {
    "sagemaker": """
        CreateModel DescribeModel DeleteModel ListModels
        CreateEndpointConfig DescribeEndpointConfig DeleteEndpointConfig ListEndpointConfigs
        CreateEndpoint DescribeEndpoint UpdateEndpoint DeleteEndpoint ListEndpoints UpdateEndpointWeightsAndCapacities
        CreateTransformJob DescribeTransformJob ListTransformJobs StopTransformJob
        CreateTrainingJob DescribeTrainingJob ListTrainingJobs StopTrainingJob UpdateTrainingJob DeleteTrainingJob
        AddTags ListTags DeleteTags Search ListMonitoringSchedules ListAliases
    """,
    "application-autoscaling": """
        RegisterScalableTarget DescribeScalableTargets DeregisterScalableTarget
        PutScalingPolicy DescribeScalingPolicies DeleteScalingPolicy DescribeScalingActivities
        PutScheduledAction DescribeScheduledActions DeleteScheduledAction
        TagResource UntagResource ListTagsForResource
    """,
    "logs": """
        DescribeLogGroups DescribeLogStreams GetLogEvents FilterLogEvents
        CreateLogGroup DeleteLogGroup CreateLogStream DeleteLogStream PutLogEvents
        PutRetentionPolicy DeleteRetentionPolicy
    """,
    "cloudwatch": """
        GetMetricStatistics GetMetricData ListMetrics PutMetricData
        PutMetricAlarm DescribeAlarms DescribeAlarmsForMetric DescribeAlarmHistory DeleteAlarms SetAlarmState
        EnableAlarmActions DisableAlarmActions
    """,
}

# New instance types appear every month, and here each of them is a number of slots: the form alone is held to.
INSTANCE_TYPE = {"type": "string", "pattern": r"ml\.[a-z0-9-]+\.[a-z0-9]+"}

# What is kept of a shape, beside what it is made of.
CONSTRAINTS = ("min", "max", "pattern", "enum", "required", "union")


def model(service):
    """The raw service model: what botocore ships, without the additions that it makes when it loads one."""
    loader = botocore.session.get_session().get_component("data_loader")
    return loader.load_service_model(service, "service-2")


def is_instance_type(shape):
    """Whether it lists SageMaker's instance types."""
    return "enum" in shape and all(value.startswith("ml.") for value in shape["enum"])


def facts(shape):
    """What a table keeps of a shape."""
    if is_instance_type(shape):
        return INSTANCE_TYPE
    kept = {"type": shape["type"]}
    if shape["type"] == "structure":
        kept["members"] = {name: member["shape"] for name, member in shape["members"].items()}
    for part in ("member", "key", "value"):
        if part in shape:
            kept[part] = shape[part]["shape"]
    kept.update({name: shape[name] for name in CONSTRAINTS if name in shape})
    # A lower bound of nothing at all says nothing.
    if kept["type"] in ("string", "list", "map", "blob") and kept.get("min") == 0:
        del kept["min"]
    return kept


def parts(shape):
    """The names of the shapes that a shape is made of."""
    return [*shape.get("members", {}).values(), *(shape[part] for part in ("member", "key", "value") if part in shape)]


def table(service):
    """The shapes that the inputs of the served operations are made of."""
    raw = model(service)
    operations, shapes, open_names = {}, {}, []
    for name in sorted(SERVED[service].split()):
        given = raw["operations"][name].get("input")
        operations[name] = given["shape"] if given else None
        open_names += [given["shape"]] if given else []
    while open_names:
        name = open_names.pop()
        if name not in shapes:
            shapes[name] = facts(raw["shapes"][name])
            open_names += parts(shapes[name])
    return operations, dict(sorted(shapes.items()))


def text(service):
    """A table as JSON, one shape a line: so a change of one is a change of one line."""
    operations, shapes = table(service)
    compact = lambda value: json.dumps(value, separators=(",", ":"))
    lines = lambda entries: ",\n".join(f"{compact(name)}:{compact(value)}" for name, value in entries.items())
    return f'{{"operations":{{\n{lines(operations)}\n}},\n"shapes":{{\n{lines(shapes)}\n}}}}\n'


def main(arguments):
    stale = []
    for service in SERVED:
        path = TABLES / f"{service}.json"
        if path.exists() and path.read_text() == text(service):
            continue
        stale.append(path.name)
        if "--check" not in arguments:
            path.write_text(text(service))
    if stale and "--check" in arguments:
        sys.exit(f"expected the tables of this botocore, found others: {', '.join(stale)}; run tools/shapes.py")


if __name__ == "__main__":
    main(sys.argv[1:])
