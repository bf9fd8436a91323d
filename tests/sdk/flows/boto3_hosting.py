"""boto3 alone, of any year: from a bucket to an endpoint, its metrics, logs and scaling, and back, waiters included."""

import datetime
import io
import json
import sys
import time

import boto3
import numpy as np
from botocore.exceptions import ClientError

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)
body = "\n".join(",".join(map(str, row)) for row in rows).encode()
name = "flow-boto3-" + boto3.__version__.replace(".", "-")
wait = {"Delay": 1, "MaxAttempts": 60}

s3 = boto3.client("s3")
try:
    s3.head_bucket(Bucket=name)
except ClientError as error:
    assert error.response["Error"]["Code"] == "404", error
    s3.create_bucket(Bucket=name)
s3.upload_file(archive, name, "model.tar.gz")
# Beyond eight mebibytes the transfer manager uploads in parts, and downloads in ranges.
large = np.random.default_rng(1).bytes(20 << 20)
s3.upload_fileobj(io.BytesIO(large), name, "large")
back = io.BytesIO()
s3.download_fileobj(name, "large", back)
assert back.getvalue() == large
s3.copy({"Bucket": name, "Key": "large"}, name, "copied")
keys = [found["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name) for found in page["Contents"]]

sagemaker = boto3.client("sagemaker")
image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
sagemaker.create_model(
    ModelName=name,
    PrimaryContainer={"Image": image, "ModelDataUrl": f"s3://{name}/model.tar.gz"},
    ExecutionRoleArn=role,
    Tags=[{"Key": "team", "Value": "flows"}],
)


def config(suffix, **weights):
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"{name}-{suffix}",
        ProductionVariants=[
            {
                "VariantName": variant,
                "ModelName": name,
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "InitialVariantWeight": weight,
            }
            for variant, weight in weights.items()
        ],
    )
    return f"{name}-{suffix}"


arn = sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config("one", a=1, b=0))["EndpointArn"]
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=wait)
runtime = boto3.client("sagemaker-runtime")


def invoke(**further):
    answer = runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType="text/csv", Accept="text/csv", **further)
    return answer["InvokedProductionVariant"], answer["Body"].read().decode()


first, scores = invoke()
named, _ = invoke(TargetVariant="b")
try:
    invoke(TargetVariant="absent")
    refused = None
except ClientError as error:
    refused = error.response["Error"]["Code"]
try:
    runtime.invoke_endpoint(EndpointName=name, Body=b"1,x", ContentType="text/csv")
    failed = None
except runtime.exceptions.ModelError as error:
    failed = error.response["OriginalStatusCode"]
sagemaker.update_endpoint_weights_and_capacities(
    EndpointName=name,
    DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0}, {"VariantName": "b", "DesiredWeight": 1}],
)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=wait)
shifted, _ = invoke()
sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config("two", c=1))
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=wait)
updated, _ = invoke()

scaling = boto3.client("application-autoscaling")
target = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{name}/variant/c",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
policy = scaling.put_scaling_policy(
    **target,
    PolicyName="track",
    PolicyType="TargetTrackingScaling",
    TargetTrackingScalingPolicyConfiguration={
        "TargetValue": 1000.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    },
)

watch = boto3.client("cloudwatch")
now = datetime.datetime.now(datetime.timezone.utc)
invocations = 0
for _ in range(200):
    points = watch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "a"}],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(hours=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    invocations = sum(point["Sum"] for point in points)
    if invocations:
        break
    time.sleep(0.1)
logs = boto3.client("logs")
streams = logs.describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{name}")["logStreams"]
lines = logs.get_log_events(
    logGroupName=f"/aws/sagemaker/Endpoints/{name}", logStreamName=streams[0]["logStreamName"], startFromHead=True
)["events"]
account = boto3.client("sts").get_caller_identity()["Account"]

sagemaker.delete_endpoint(EndpointName=name)
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=wait)
print(
    json.dumps(
        {
            "version": boto3.__version__,
            "keys": keys,
            "arn": arn,
            "account": account,
            "variants": [first, named, shifted, updated],
            "scores": scores,
            "refused": refused,
            "failed": failed,
            "alarms": len(policy["Alarms"]),
            "invocations": invocations,
            "lines": len(lines),
            "tags": sagemaker.list_tags(ResourceArn=sagemaker.describe_model(ModelName=name)["ModelArn"])["Tags"],
        }
    )
)
