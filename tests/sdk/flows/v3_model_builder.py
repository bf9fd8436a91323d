"""SageMaker SDK v3: ModelBuilder builds and deploys an artifact that is in S3 already; it asks IAM first."""

import json
import sys

import boto3
import numpy as np
from sagemaker.serve import ModelBuilder

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)
body = "\n".join(",".join(map(str, row)) for row in rows).encode()

s3 = boto3.client("s3")
s3.create_bucket(Bucket="flow-v3-builder")
s3.upload_file(archive, "flow-v3-builder", "model.tar.gz")
builder = ModelBuilder(
    image_uri="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
    s3_model_data_url="s3://flow-v3-builder/model.tar.gz",
    role_arn=role,
    instance_type="ml.m5.large",
)
model = builder.build(model_name="flow-v3-builder")
endpoint = builder.deploy(endpoint_name="flow-v3-builder", initial_instance_count=1, instance_type="ml.m5.large")
answer = endpoint.invoke(body=body, content_type="text/csv", accept="text/csv")
print(json.dumps({"model": model.model_name, "scores": answer.body.read().decode(), "status": endpoint.endpoint_status}))
