"""SageMaker SDK v2: a serverless endpoint, and one that captures what it is asked and answers."""

import json
import sys
import time

import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.model import Model
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.predictor import Predictor
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import CSVSerializer
from sagemaker.serverless import ServerlessInferenceConfig

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)

session = sagemaker.Session(default_bucket="flow-v2-capture")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
model_data = session.upload_data(archive, key_prefix="models")
kinds = {"serializer": CSVSerializer(), "deserializer": CSVDeserializer()}


def model():
    return Model(image_uri=image, model_data=model_data, role=role, predictor_cls=Predictor, sagemaker_session=session)


serverless = model().deploy(
    endpoint_name="flow-v2-serverless",
    serverless_inference_config=ServerlessInferenceConfig(memory_size_in_mb=2048, max_concurrency=5),
    **kinds,
)
cold = serverless.predict(rows)
warm = serverless.predict(rows)
serverless.delete_endpoint()

captured = model().deploy(
    1,
    "ml.m5.large",
    endpoint_name="flow-v2-capture",
    data_capture_config=DataCaptureConfig(
        enable_capture=True, sampling_percentage=100, destination_s3_uri="s3://flow-v2-capture/captured"
    ),
    **kinds,
)
answered = captured.predict(rows, inference_id="id-1", custom_attributes="k=v")
described = session.describe_endpoint("flow-v2-capture")["DataCaptureConfig"]
captured.disable_data_capture()
captured.predict(rows, inference_id="id-2")
captured.delete_endpoint()
files = []
for _ in range(300):
    files = S3Downloader.list("s3://flow-v2-capture/captured", sagemaker_session=session)
    if files:
        break
    time.sleep(0.1)
lines = [json.loads(line) for file in files for line in S3Downloader.read_file(file, session).splitlines()]
print(
    json.dumps(
        {"cold": cold, "warm": warm, "answered": answered, "described": described["CaptureStatus"], "files": files, "lines": lines}
    )
)
