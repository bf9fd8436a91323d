"""Writes OPERATIONS.md: every operation of the services that `clary up` speaks, and whether it is served.

The names come from botocore's public models, the notes on those that are served from the tables below; the tests compare
the page with what the server answers. `tools/operations.py` writes the page anew.
"""

import pathlib
import re
import textwrap

import botocore.session

PAGE = pathlib.Path(__file__).resolve().parents[1] / "OPERATIONS.md"

# By botocore's name of the service, in the order of the page: how it is titled and reached.
SERVICES = {
    "sagemaker": ("SageMaker", "JSON 1.1, `X-Amz-Target: SageMaker.<Operation>`"),
    "sagemaker-runtime": ("SageMaker Runtime", "`POST /endpoints/<name>/…`"),
    "application-autoscaling": ("Application Auto Scaling", "JSON 1.1, `X-Amz-Target: AnyScaleFrontendService.<Operation>`"),
    "cloudwatch": ("CloudWatch", "JSON 1.0, `X-Amz-Target: GraniteServiceVersion20100801.<Operation>`, and Query"),
    "logs": ("CloudWatch Logs", "JSON 1.1, `X-Amz-Target: Logs_20140328.<Operation>`"),
    "s3": ("S3", "REST-XML: whatever is none of the others"),
    "sts": ("STS", "Query, `Version=2011-06-15`"),
    "iam": ("IAM", "Query, `Version=2010-05-08`"),
}

SAME, STRICTER, PARTLY = "same", "stricter", "partly"

NOTES = {
    "sagemaker": {
        "CreateModel": (STRICTER, "`Image` by its repository's name alone; model packages and several artifacts of one container are refused; the artifact must exist (not under `Mode=MultiModel`)."),
        "DescribeModel": (SAME, "Echoes what was given."),
        "DeleteModel": (SAME, "Endpoints that serve it keep serving."),
        "ListModels": (SAME, "Pages of 100 by default, behind a position in a total order."),
        "CreateEndpointConfig": (STRICTER, "Models must exist; not all weights may be 0; `ExplainerConfig` and variants without a model (inference components) are refused; instance types by their form, not by a list."),
        "DescribeEndpointConfig": (SAME, "Echoes what was given, newer members too."),
        "DeleteEndpointConfig": (SAME, "Allowed while an endpoint uses it: the endpoint keeps its own copy."),
        "ListEndpointConfigs": (SAME, ""),
        "CreateEndpoint": (STRICTER, "Images that are not served end in `Failed` with a reason that names them."),
        "DescribeEndpoint": (SAME, "With the artifact's URL, ETag and SHA-256 of each variant in a member of our own, `Artifact`."),
        "UpdateEndpoint": (SAME, "All at once, canary, linear and rolling, with baking, alarms and rollback."),
        "UpdateEndpointWeightsAndCapacities": (STRICTER, "One swap of a table; all weights 0 is refused."),
        "DeleteEndpoint": (SAME, "Refused while the endpoint is created."),
        "ListEndpoints": (SAME, ""),
        "CreateTransformJob": (STRICTER, "Models as endpoints serve them; multi-model ones, `AugmentedManifestFile`, an output below its input, and filters or joins that could not be done are refused at once. `MaxPayloadInMB` of 0 is an endless stream."),
        "DescribeTransformJob": (SAME, "Echoes what was given."),
        "ListTransformJobs": (SAME, ""),
        "StopTransformJob": (SAME, "Objects that are finished keep their outputs."),
        "CreateTrainingJob": (STRICTER, "Built-in algorithms by `clary-train`, other images by a container engine where there is one, programs of the machine (`process:`) where they are allowed. Spot, warm pools, instance groups, training plans, serverless jobs and file systems are refused; metric patterns without look-around and back-references. Debugger, profiler, experiments and the like are stored and have no effect."),
        "DescribeTrainingJob": (SAME, "Echoes what was given, newer members too; the definitions of a built-in algorithm's metrics, at most 40 of them, those with values first."),
        "ListTrainingJobs": (SAME, ""),
        "StopTrainingJob": (SAME, "SIGTERM, 120 seconds, SIGKILL; what there is of a model is uploaded."),
        "UpdateTrainingJob": (PARTLY, "Of a job that runs: profiling and debugging members are stored, and have no effect; `ResourceConfig` is refused."),
        "DeleteTrainingJob": (SAME, "Of a job that has ended, whose name is free then; what it wrote stays."),
        "AddTags": (SAME, "Of models, endpoint configurations, endpoints, transform and training jobs; at most 50 each, none that begins with `aws:`."),
        "ListTags": (SAME, ""),
        "DeleteTags": (SAME, ""),
        "Search": (PARTLY, "`Endpoint`, `Model` and `TrainingJob` (with `HyperParameters.*` and `Metrics.*`); the other resources are found empty. At most 100 conditions."),
        "ListMonitoringSchedules": (PARTLY, "Always empty: clients ask on their way to something else."),
        "ListAliases": (PARTLY, "Always empty."),
    },
    "sagemaker-runtime": {
        "InvokeEndpoint": (SAME, "Weights, `TargetVariant`, `TargetModel`; beyond AWS, `X-Clary-Assignment-Key` keeps a user on a variant."),
        "InvokeEndpointWithResponseStream": (SAME, "The answer in event-stream frames."),
        "InvokeEndpointAsync": (SAME, "From a durable queue into S3."),
    },
    "application-autoscaling": {
        "RegisterScalableTarget": (PARTLY, "Namespace `sagemaker`, variants of endpoints."),
        "DescribeScalableTargets": (SAME, ""),
        "DeregisterScalableTarget": (SAME, ""),
        "PutScalingPolicy": (PARTLY, "Target tracking and step scaling."),
        "DescribeScalingPolicies": (SAME, ""),
        "DeleteScalingPolicy": (SAME, ""),
        "DescribeScalingActivities": (SAME, ""),
        "PutScheduledAction": (SAME, "`at`, `rate` and `cron`, in any time zone."),
        "DescribeScheduledActions": (SAME, ""),
        "DeleteScheduledAction": (SAME, ""),
        "TagResource": (SAME, ""),
        "UntagResource": (SAME, ""),
        "ListTagsForResource": (SAME, ""),
    },
    "cloudwatch": {
        "GetMetricStatistics": (SAME, "The `AWS/SageMaker` metrics of endpoints, those of training jobs, and what clients put."),
        "GetMetricData": (PARTLY, "Metrics by `MetricStat`; no metric math."),
        "ListMetrics": (SAME, ""),
        "PutMetricData": (SAME, ""),
        "PutMetricAlarm": (PARTLY, "Alarms over one metric; they act on deployments and scaling."),
        "DescribeAlarms": (SAME, ""),
        "DescribeAlarmsForMetric": (SAME, ""),
        "DescribeAlarmHistory": (PARTLY, "The last changes of state."),
        "DeleteAlarms": (SAME, ""),
        "SetAlarmState": (SAME, ""),
        "EnableAlarmActions": (SAME, ""),
        "DisableAlarmActions": (SAME, ""),
    },
    "logs": {
        "DescribeLogGroups": (SAME, ""),
        "DescribeLogStreams": (SAME, ""),
        "GetLogEvents": (SAME, ""),
        "FilterLogEvents": (PARTLY, "Patterns of terms."),
        "CreateLogGroup": (SAME, ""),
        "DeleteLogGroup": (SAME, ""),
        "CreateLogStream": (SAME, ""),
        "DeleteLogStream": (SAME, ""),
        "PutLogEvents": (SAME, ""),
        "PutRetentionPolicy": (SAME, ""),
        "DeleteRetentionPolicy": (SAME, ""),
    },
    "s3": {
        "ListBuckets": (SAME, ""),
        "CreateBucket": (SAME, ""),
        "HeadBucket": (SAME, ""),
        "DeleteBucket": (SAME, ""),
        "GetBucketLocation": (SAME, ""),
        "PutObject": (SAME, "Conditional, with checksums; encryption headers are accepted."),
        "GetObject": (SAME, "Ranges and conditions."),
        "HeadObject": (SAME, ""),
        "GetObjectAttributes": (SAME, ""),
        "DeleteObject": (SAME, ""),
        "DeleteObjects": (SAME, ""),
        "CopyObject": (SAME, ""),
        "ListObjects": (SAME, ""),
        "ListObjectsV2": (SAME, ""),
        "ListObjectVersions": (PARTLY, "One version of each object."),
        "CreateMultipartUpload": (SAME, ""),
        "UploadPart": (SAME, ""),
        "UploadPartCopy": (SAME, ""),
        "CompleteMultipartUpload": (SAME, ""),
        "AbortMultipartUpload": (SAME, ""),
        "ListParts": (SAME, ""),
        "ListMultipartUploads": (SAME, ""),
        "GetObjectTagging": (SAME, ""),
        "PutObjectTagging": (SAME, ""),
        "DeleteObjectTagging": (SAME, ""),
    },
    "sts": {
        "GetCallerIdentity": (SAME, ""),
        "AssumeRole": (PARTLY, "Any role; the credentials are those of the caller."),
        "GetSessionToken": (PARTLY, "As `AssumeRole`."),
    },
    "iam": {
        "GetRole": (PARTLY, "Any name is a role that SageMaker may assume."),
        "SimulatePrincipalPolicy": (PARTLY, "Every action is allowed."),
    },
}

HEAD = """\
# Operations

Every operation of the services that `clary up` speaks on its one port, by the names of botocore's service models.

| Verdict | Means |
|---|---|
| same | as AWS, for what the operation takes here |
| stricter | some of what AWS takes is refused, with an error that says what was expected and found |
| partly | a part of it is served; the rest is refused or empty, as the note says |
| not served | JSON services answer `UnknownOperationException`, Query services `InvalidAction`, S3 `NotImplemented` or what a bucket without that feature answers |

This page is written by `tools/operations.py`, and tests/sdk/test_api_referee.py holds it against the server.
"""

# What an operation does, before what it does it to.
VERB = re.compile(r"^(Batch)?[A-Z][a-z]+")
WIDTH = 118


def groups(names):
    """The operations that are not served, by the first word of what they are about."""
    found = {}
    for name in names:
        noun = VERB.sub("", name) or name
        first = re.match(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", noun)
        word = first.group() if first else noun
        found.setdefault(word.removesuffix("s"), []).append(name)
    return sorted(found.items())


def section(service, session):
    title, way = SERVICES[service]
    names = session.get_service_model(service).operation_names
    notes = NOTES[service]
    missing = [name for name in names if name not in notes]
    lines = [f"## {title}", "", f"{way}. Served: {len(notes)} of {len(names)}.", "", "| Operation | Verdict | Note |", "|---|---|---|"]
    lines += [f"| {name} | {verdict} | {note} |" for name, (verdict, note) in notes.items()]
    if missing:
        lines += ["", "Not served:", ""]
        for word, members in groups(missing):
            lines += textwrap.wrap(f"- {word}: {', '.join(members)}", WIDTH, subsequent_indent="  ", break_long_words=False)
    return "\n".join(lines) + "\n"


def text():
    """The whole page."""
    session = botocore.session.get_session()
    return "\n".join([HEAD, *(section(service, session) for service in SERVICES)])


if __name__ == "__main__":
    PAGE.write_text(text())
