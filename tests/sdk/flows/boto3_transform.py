"""boto3 alone, of any year: batch transform from a bucket to a bucket; described, listed, waited for, stopped, its logs read."""

import json
import sys

import boto3
import numpy as np
from botocore.exceptions import ClientError, WaiterError

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)
name = "flow-transform-" + boto3.__version__.replace(".", "-")
wait = {"Delay": 1, "MaxAttempts": 120}

s3 = boto3.client("s3")
s3.create_bucket(Bucket=name)
s3.upload_file(archive, name, "model.tar.gz")
sagemaker = boto3.client("sagemaker")
image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
sagemaker.create_model(
    ModelName=name,
    PrimaryContainer={"Image": image, "ModelDataUrl": f"s3://{name}/model.tar.gz"},
    ExecutionRoleArn=role,
)
body = "".join(",".join(map(str, row)) + "\n" for row in rows).encode()
s3.put_object(Bucket=name, Key="in/rows.csv", Body=body)
s3.put_object(Bucket=name, Key="bad/rows.csv", Body=b"1,2\nnot a number\n")
s3.put_object(Bucket=name, Key="many/rows.csv", Body=body * 5000)


def create(job, prefix, **further):
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{name}/{prefix}/"}}
    return sagemaker.create_transform_job(
        TransformJobName=f"{name}-{job}",
        ModelName=name,
        TransformInput={"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": f"s3://{name}/out/{job}", "AssembleWith": "Line", "Accept": "text/csv"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **further,
    )["TransformJobArn"]


def wait_for(job):
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=f"{name}-{job}", WaiterConfig=wait)
    return sagemaker.describe_transform_job(TransformJobName=f"{name}-{job}")


arn = create("good", "in", BatchStrategy="MultiRecord", MaxPayloadInMB=1, Tags=[{"Key": "team", "Value": "flows"}])
good = wait_for("good")
try:
    create("good", "in")
    taken = None
except ClientError as error:
    taken = error.response["Error"]["Code"]
create("bad", "bad")
try:
    wait_for("bad")
    failed = None
except WaiterError as error:
    failed = error.last_response["FailureReason"]
create("slow", "many", BatchStrategy="SingleRecord", MaxConcurrentTransforms=1)
sagemaker.stop_transform_job(TransformJobName=f"{name}-slow")
slow = wait_for("slow")
pages = sagemaker.get_paginator("list_transform_jobs").paginate(NameContains=name, MaxResults=1, SortBy="Name", SortOrder="Ascending")
logs = boto3.client("logs")
group = "/aws/sagemaker/TransformJobs"
streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}-bad/")["logStreams"]
lines = [
    event["message"]
    for stream in streams
    for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]
]
print(
    json.dumps(
        {
            "version": boto3.__version__,
            "arn": arn,
            "scores": s3.get_object(Bucket=name, Key="out/good/rows.csv.out")["Body"].read().decode(),
            "times": good["CreationTime"] <= good["TransformStartTime"] <= good["TransformEndTime"],
            "taken": taken,
            "failed": failed,
            "stopped": slow["TransformJobStatus"],
            "listed": [(job["TransformJobName"], job["TransformJobStatus"]) for page in pages for job in page["TransformJobSummaries"]],
            "streams": [stream["logStreamName"] for stream in streams],
            "lines": lines,
            "tags": sagemaker.list_tags(ResourceArn=arn)["Tags"],
            "keys": [item["Key"] for item in s3.list_objects_v2(Bucket=name)["Contents"]],
        }
    )
)
