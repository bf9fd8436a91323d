"""SageMaker SDK v3: batch transform by ModelBuilder and Transformer, by the resource classes, and stopped."""

import json
import sys

import boto3
import numpy as np
from sagemaker.core.resources import TransformJob
from sagemaker.core.shapes import (
    DataProcessing,
    ModelClientConfig,
    TransformDataSource,
    TransformInput,
    TransformOutput,
    TransformResources,
    TransformS3DataSource,
)
from sagemaker.core.transformer import Transformer
from sagemaker.serve import ModelBuilder

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)
bucket = name = "flow-v3-transform"

s3 = boto3.client("s3")
s3.create_bucket(Bucket=bucket)
s3.upload_file(archive, bucket, "model.tar.gz")


def csv(rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def read(key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


s3.put_object(Bucket=bucket, Key="in/rows.csv", Body=csv(rows))
s3.put_object(Bucket=bucket, Key="many/rows.csv", Body=csv(np.tile(rows, (5000, 1))))
builder = ModelBuilder(
    image_uri="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
    s3_model_data_url=f"s3://{bucket}/model.tar.gz",
    role_arn=role,
    instance_type="ml.m5.large",
)
builder.build(model_name=name)
transformer = builder.transformer(
    instance_count=1,
    instance_type="ml.m5.large",
    strategy="MultiRecord",
    assemble_with="Line",
    output_path=f"s3://{bucket}/out",
    accept="text/csv",
    max_concurrent_transforms=2,
    max_payload=1,
    tags=[{"Key": "team", "Value": "flows"}],
)
transformer.transform(
    f"s3://{bucket}/in/", content_type="text/csv", split_type="Line", job_name=f"{name}-all", wait=True, logs=True
)
attached = Transformer.attach(f"{name}-all")


def create(job, prefix, output, strategy):
    location = TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=f"s3://{bucket}/{prefix}/")
    source = TransformDataSource(s3_data_source=location)
    return TransformJob.create(
        transform_job_name=job,
        model_name=name,
        transform_input=TransformInput(data_source=source, content_type="text/csv", split_type="Line"),
        transform_output=TransformOutput(
            s3_output_path=f"s3://{bucket}/{output}", accept="text/csv", assemble_with="Line"
        ),
        transform_resources=TransformResources(instance_type="ml.m5.large", instance_count=1),
        batch_strategy=strategy,
        max_concurrent_transforms=1,
        model_client_config=ModelClientConfig(invocations_timeout_in_seconds=60, invocations_max_retries=0),
        data_processing=DataProcessing(join_source="Input", output_filter="$[-1]"),
    )


resource = create(f"{name}-resource", "in", "resource", "SingleRecord")
resource.wait(logs=True)
slow = create(f"{name}-slow", "many", "slow", "SingleRecord")
slow.stop()
slow.wait()
print()
print(
    json.dumps(
        {
            "scores": read("out/rows.csv.out"),
            "by_resource": read("resource/rows.csv.out"),
            "status": resource.transform_job_status,
            "attached": [attached.strategy, attached.assemble_with, attached.max_payload, attached.accept],
            "stopped": slow.transform_job_status,
            "listed": sorted(job.transform_job_name for job in TransformJob.get_all(name_contains=name)),
        }
    )
)
