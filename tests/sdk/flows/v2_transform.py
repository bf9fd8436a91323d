"""SageMaker SDK v2: batch transform, as its documentation shows it: of a model, of every argument, waited for with its logs,
attached to, failed and stopped."""

import contextlib
import io
import json
import sys

import numpy as np
import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.inputs import BatchDataCaptureConfig
from sagemaker.model import Model
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.transformer import Transformer

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)
bucket = "flow-v2-transform"

session = sagemaker.Session(default_bucket=bucket)
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
model = Model(
    image_uri=image,
    model_data=session.upload_data(archive, key_prefix="models"),
    role=role,
    name="flow-v2-transform",
    sagemaker_session=session,
)


def csv(rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def read(uri):
    return S3Downloader.read_file(uri, session)


# The least: whole objects, the default output path.
S3Uploader.upload_string_as_file_body(csv(rows), f"s3://{bucket}/plain/rows.csv", sagemaker_session=session)
plain = model.transformer(1, "ml.m5.large")
plain.transform(f"s3://{bucket}/plain/", content_type="text/csv")
plain_scores = read(f"{plain.output_path}/rows.csv.out")

# Everything at once.
numbered = "".join(f"{number},{line}\n" for number, line in enumerate(csv(rows).splitlines()))
S3Uploader.upload_string_as_file_body(numbered, f"s3://{bucket}/in/numbered.csv", sagemaker_session=session)
transformer = model.transformer(
    instance_count=1,
    instance_type="ml.m5.xlarge",
    strategy="MultiRecord",
    assemble_with="Line",
    output_path=f"s3://{bucket}/out",
    accept="text/csv",
    env={"LANG": "C.UTF-8"},
    max_concurrent_transforms=2,
    max_payload=1,
    tags=[{"Key": "team", "Value": "flows"}],
)
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    transformer.transform(
        data=f"s3://{bucket}/in/",
        data_type="S3Prefix",
        content_type="text/csv",
        compression_type="None",
        split_type="Line",
        job_name="flow-v2-transform-all",
        input_filter="$[1:]",
        output_filter="$[0,-1]",
        join_source="Input",
        experiment_config={"TrialComponentDisplayName": "flows"},
        model_client_config={"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1},
        batch_data_capture_config=BatchDataCaptureConfig(f"s3://{bucket}/captured", generate_inference_id=False),
        wait=True,
        logs=True,
    )
joined = read(f"s3://{bucket}/out/numbered.csv.out")
arn = session.describe_transform_job("flow-v2-transform-all")["TransformJobArn"]
tags = session.sagemaker_client.list_tags(ResourceArn=arn)["Tags"]

attached = Transformer.attach("flow-v2-transform-all", sagemaker_session=session)
attached.wait(logs=False)

# One bad record.
S3Uploader.upload_string_as_file_body("1,2\nnot a number\n", f"s3://{bucket}/bad/a.csv", sagemaker_session=session)
try:
    with contextlib.redirect_stdout(io.StringIO()) as failing_printed:
        transformer.transform(f"s3://{bucket}/bad/", content_type="text/csv", split_type="Line", logs=True)
    failure = None
except UnexpectedStatusException as error:
    failure = str(error)

# Long enough to be stopped: a call each row.
many = csv(np.tile(rows, (5000, 1)))
S3Uploader.upload_string_as_file_body(many, f"s3://{bucket}/many/a.csv", sagemaker_session=session)
slow = model.transformer(1, "ml.m5.large", strategy="SingleRecord", max_concurrent_transforms=1, output_path=f"s3://{bucket}/slow")
slow.transform(f"s3://{bucket}/many/", content_type="text/csv", split_type="Line", job_name="flow-v2-transform-slow", wait=False)
slow.stop_transform_job()
slow.delete_model()
print(
    json.dumps(
        {
            "plain": plain_scores,
            "joined": joined,
            "logs": printed.getvalue(),
            "tags": tags,
            "attached": [attached.strategy, attached.assemble_with, attached.max_payload, attached.accept],
            "captured": sorted(S3Downloader.list(f"s3://{bucket}/captured", sagemaker_session=session)),
            "failure": failure,
            "failing_logs": failing_printed.getvalue(),
            "stopped": session.describe_transform_job("flow-v2-transform-slow")["TransformJobStatus"],
            "left": S3Downloader.list(f"s3://{bucket}/slow", sagemaker_session=session)
            + [uri for uri in S3Downloader.list(f"s3://{bucket}/out", sagemaker_session=session) if "a.csv" in uri],
        }
    )
)
